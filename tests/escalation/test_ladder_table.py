"""Ladders as data: what is no table is refused with its place; the command shows, compares, and sets on demand."""

import copy
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from escalation import in_force
from escalation.ladder_table import DEFAULT, DEFAULT_ROWS, BadTable, parse_table
from escalation.models import LadderTable
from foundation.clock import now

GONE = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """The default rows with one value replaced, or taken away."""
    rows: Any = copy.deepcopy(DEFAULT_ROWS)
    *way, last = [int(name) if name.isdecimal() and name != "4" else name for name in path.split("/")]
    place = rows
    for name in way:
        place = place[name]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return rows


RUNGS = "ladders/*/4/rungs"
BAD = [
    ("night", [], "night"),
    ("night/factor", 1.5, "night.factor"),
    ("night/factor", 0, "night.factor"),
    ("night/factor", float("nan"), "night.factor"),
    ("night/from_hour", 24, "night.from_hour"),
    ("night/until_hour", True, "night.until_hour"),
    ("ladders/*/4", GONE, "ladders.*.4"),
    ("ladders/*", GONE, "ladders.*.3"),
    ("ladders/flood", {}, "ladders.flood"),
    ("ladders/level/7", {}, "ladders.level.7"),
    ("ladders/*/4/final_wait_s", 0, "ladders.*.4.final_wait_s"),
    ("ladders/*/4/final_wait_s", GONE, "ladders.*.4"),
    ("ladders/*/4/colour", "red", "ladders.*.4"),
    ("ladders/*/4/needs", "some", "ladders.*.4.needs"),
    ("ladders/*/4/needs", {"of_group": 0}, "ladders.*.4.needs.of_group"),
    (RUNGS, [], "ladders.*.4.rungs"),
    (RUNGS, [{"errand": "repeat", "wait_s": 5}], "ladders.*.4.rungs"),
    (RUNGS, [{"errand": "desk", "wait_s": 5}] * 2, "ladders.*.4.rungs"),
    (RUNGS + "/0/errand", "mayor", "ladders.*.4.rungs[0].errand"),
    (RUNGS + "/0/wait_s", -1, "ladders.*.4.rungs[0].wait_s"),
    (RUNGS + "/0/wait_s", 3601, "ladders.*.4.rungs[0].wait_s"),
    (RUNGS + "/0/channel", "pigeon", "ladders.*.4.rungs[0].channel"),
    (RUNGS + "/0/channel", "person", "ladders.*.4.rungs[0].channel"),
    (RUNGS + "/5/channel", "voice", "ladders.*.4.rungs[5].channel"),
]


@pytest.mark.parametrize(("path", "value", "where"), BAD, ids=lambda given: str(given)[:40])
def test_what_is_no_table_is_refused_with_its_place(path: str, value: object, where: str) -> None:
    with pytest.raises(BadTable) as bad:
        parse_table(changed(path, value))
    assert bad.value.where == where


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    json_values,
    st.sampled_from(["night", "ladders", "ladders/*/4", RUNGS, RUNGS + "/0", "ladders/*/4/needs"]),
)
def test_no_json_at_all_breaks_the_parser(value: object, path: str) -> None:
    for rows in (value, changed(path, value)):
        try:
            parse_table(rows)
        except BadTable as bad:
            assert bad.where and str(bad)


def test_a_class_of_its_own_goes_before_the_rest() -> None:
    noon = now().replace(hour=12)
    level, order = (DEFAULT.ladder_for(kind, 4, noon) for kind in ("level", "order"))
    assert level is not None and order is not None
    assert (level.of_group, order.of_group) == (1, None)


def test_a_rung_that_names_no_channel_goes_by_the_app_and_the_desk_calls_in_person() -> None:
    rungs = [{"errand": errand, "wait_s": 60} for errand in ("repeat", "deputy", "desk")]
    ladder = parse_table(changed(RUNGS, rungs)).ladders["*", 4]
    assert ladder.channels == ("app", "app", "person")


def run(*args: object) -> str:
    out = StringIO()
    call_command("ladder", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.django_db
def test_the_command_shows_what_it_would_change_and_changes_it_when_told(tmp_path: Path) -> None:
    assert json.loads(run()) == DEFAULT_ROWS
    file = tmp_path / "ladders.json"
    file.write_text(json.dumps(changed(RUNGS + "/0/wait_s", 30)))
    said = run(file)
    assert "* 4: 60 s repeat/app" in said and "-> 30 s repeat/app" in said and "1 would change" in said
    assert not LadderTable.objects.exists()
    run(file, "--apply", "--note", "faster")
    version, table = in_force.table_at(now())
    assert version and table.ladders["*", 4].waits_s[0] == 30
    assert json.loads(run())["ladders"]["*"]["4"]["rungs"][0]["wait_s"] == 30
    assert "nothing differs" in run(file, "--apply")
    assert LadderTable.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "{", "[]", '{"night": 1, "ladders": 2}'])
def test_the_command_refuses_a_file_that_is_no_table(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(CommandError, match=r"bad\.json"):
        run(file, "--apply")
    assert not LadderTable.objects.exists()
