"""What a form may say: every faulty field is named, nothing crashes the reader, a zero report counts nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Refusal
from hazards.forms import COUNTS, INSPECTED, MOST, none_of_it, read_form
from hazards.periods import period, running
from tests.hazards.conftest import FIGURES

COUNT = st.integers(0, MOST)
FIGURE = st.fixed_dictionaries(
    {"inspected": st.dictionaries(st.sampled_from(sorted(INSPECTED)), COUNT)},
    optional=dict.fromkeys(COUNTS, COUNT),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def faults(raw: object) -> dict[str, str]:
    with pytest.raises(Refusal) as caught:
        read_form(raw)
    assert caught.value.code == "form"
    return caught.value.fields


@given(FIGURE)
def test_what_is_counted_comes_out_as_it_went_in(figures: dict[str, Any]) -> None:
    form = read_form({"figures": figures})
    assert form.figures == none_of_it() | figures
    assert set(form.figures) == {*COUNTS, "inspected"}


@given(JSON)
def test_no_json_crashes_the_reader(raw: object) -> None:
    for given_ in (raw, {"figures": raw, "note": raw, "at": raw, "zero": raw, "region": raw}):
        try:
            read_form(given_)
        except Refusal as refusal:
            assert refusal.fields
            str(refusal.fields).encode()


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([], "form"),
        ({}, "figures"),
        ({"figures": []}, "figures"),
        ({"figures": FIGURES | {"boats": 1}}, "figures.boats"),
        ({"figures": FIGURES | {"people": -1}}, "figures.people"),
        ({"figures": FIGURES | {"people": MOST + 1}}, "figures.people"),
        ({"figures": FIGURES | {"people": 1.5}}, "figures.people"),
        ({"figures": FIGURES | {"people": True}}, "figures.people"),
        ({"figures": FIGURES | {"people": "3"}}, "figures.people"),
        ({"figures": FIGURES | {"inspected": {"volcano": 1}}}, "figures.inspected.volcano"),
        ({"figures": FIGURES | {"inspected": {"slope": None}}}, "figures.inspected.slope"),
        ({"figures": FIGURES | {"inspected": None}}, "figures.inspected"),
        ({"figures": FIGURES, "zero": True}, "figures.people"),
        ({"figures": FIGURES, "zero": 1}, "zero"),
        ({"figures": FIGURES, "note": "x" * 501}, "note"),
        ({"figures": FIGURES, "note": "\x00"}, "note"),
        ({"figures": FIGURES, "region": ""}, "region"),
        ({"figures": FIGURES, "at": "yesterday"}, "at"),
        ({"figures": FIGURES, "at": "0001-01-01T00:00:00+08:00"}, "at"),
        ({"figures": FIGURES, "colour": "red"}, "colour"),
    ],
)
def test_a_faulty_field_is_named_with_its_reason(raw: object, field: str) -> None:
    assert field in faults(raw)


def test_all_faults_are_named_at_once() -> None:
    assert set(faults({"zero": 1, "note": 3, "figures": {"people": -1}})) == {
        "zero",
        "note",
        "figures.people",
    }


def test_a_zero_report_needs_no_figures() -> None:
    form = read_form({"zero": True})
    assert (form.zero, form.figures) == (True, none_of_it())


def test_an_instant_without_an_offset_is_shenzhens() -> None:
    assert read_form({"zero": True, "at": "2026-09-07T20:00:00"}).at == datetime(2026, 9, 7, 12, tzinfo=UTC)


@given(every_h=st.integers(1, 72), minutes=st.integers(1, 10_000))
def test_every_instant_after_the_release_lies_in_one_period(every_h: int, minutes: int) -> None:
    start = datetime(2026, 9, 7, 12, tzinfo=UTC)
    at = start + timedelta(minutes=minutes)
    found = running(start, every_h, at)
    assert found.from_at < at <= found.until_at
    assert found == period(start, every_h, found.number)
    assert period(start, every_h, found.number + 1).from_at == found.until_at


def test_before_the_release_the_first_period_is_meant() -> None:
    start = datetime(2026, 9, 7, 12, tzinfo=UTC)
    assert running(start, 2, start - timedelta(days=1)).number == 1
    with pytest.raises(ValueError, match="begin with 1"):
        period(start, 2, 0)
