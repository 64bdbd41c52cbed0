"""How long things are kept is one line of the environment; every fault of it is told, with those of the rest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.keeping import KEEP_DAYS, MOST_DAYS, keep_days

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("text", ["", " , ", ","])
def test_nothing_said_keeps_the_defaults(text: str) -> None:
    assert keep_days(text) == (KEEP_DAYS, [])


def test_observations_last_five_years() -> None:
    assert KEEP_DAYS["observations"] >= 5 * 366


@given(st.dictionaries(st.sampled_from(sorted(KEEP_DAYS)), st.integers(0, MOST_DAYS)))
def test_what_is_said_replaces_the_default(said: dict[str, int]) -> None:
    text = " , ".join(f"{name} = {days}" for name, days in said.items())
    assert keep_days(text) == ({**KEEP_DAYS, **said}, [])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nowcasts=9", "'nowcasts'"), ("radar", "radar=''"), ("radar=-1", "'-1'"), ("radar=9.5", "'9.5'"),
        ("radar=٣", "radar='٣'"), ("radar=9999999999", "'9999999999'"), ("radar=9,radar=9", "radar is given twice"),
    ],
)  # fmt: skip
def test_a_fault_names_what_is_wrong_and_changes_nothing_else(text: str, named: str) -> None:
    days, faults = keep_days(f"nowcast=7,{text}")
    assert len(faults) == 1 and named in faults[0]
    assert days == {**KEEP_DAYS, "nowcast": 7} | ({"radar": 9} if "twice" in named else {})


@given(st.text(max_size=60))
def test_any_text_gives_days_or_faults(text: str) -> None:
    days, _ = keep_days(text)
    assert days.keys() == KEEP_DAYS.keys()


def said_of(**environment: str) -> str:
    command = [sys.executable, "-c", "from django.conf import settings; print(settings.KEEP_DAYS)"]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "backend.settings"} | environment
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_the_settings_tell_all_faults_at_once() -> None:
    said = said_of(KEEP_DAYS="radar=soon,weather=3", SECRET_KEY="short")
    assert "SECRET_KEY must be" in said and "radar='soon'" in said and "'weather'" in said


def test_the_older_name_still_counts_unless_the_new_one_says_otherwise() -> None:
    said = said_of(RAW_KEEP_DAYS="7", KEEP_DAYS="telegrams=8")
    assert "'raw': 7" in said and "'telegrams': 8" in said
