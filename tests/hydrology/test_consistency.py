"""A value held against its neighbours, the field over it, its own sums and its post's clock."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.consistency import (
    LONE_MM,
    Field,
    check_of,
    common_instant,
    doubted_clock,
    doubted_rain,
    doubted_sum,
)

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LAT = np.round(22.65 - 0.01 * np.arange(20), 3)
LON = np.round(114.0 + 0.01 * np.arange(20), 3)
# five gauges within 3 km of each other, in the middle of the field
GAUGE_LAT = [22.55, 22.56, 22.54, 22.55, 22.565]
GAUGE_LON = [114.10, 114.11, 114.09, 114.12, 114.10]


def gauges(*columns: list[float]) -> np.ndarray:
    return np.array(columns, dtype=np.float64).T


def field(mm: list[float]) -> Field:
    """The same rain everywhere, one value a slot."""
    return Field(np.repeat(np.array(mm)[:, None, None], LAT.size, 1).repeat(LON.size, 2), LAT, LON)


def doubts(mm: np.ndarray, over: Field | None) -> dict[tuple[int, int], str]:
    return doubted_rain(mm, GAUGE_LAT, GAUGE_LON, over)


def test_a_gauge_far_above_dry_neighbours_and_a_dry_field_is_alone() -> None:
    mm = gauges([0, 0, 16], *[[0, 0, 0.2]] * 4)
    assert doubts(mm, field([0, 0, 0])) == {(2, 0): "radar: 16 mm under 0.0 mm within 3 km"}
    assert doubts(mm, None) == {(2, 0): "neighbours: 16 mm, none around above 0.2 mm"}


@pytest.mark.parametrize(
    ("over", "near_mm", "alone"),
    [([1, 1, 3], 3.0, True), ([1, 1, 5], 3.0, False), ([1, 6, 1], 3.0, False), ([1, 1, 3], 5.0, False)],
)
def test_a_gauge_in_a_storm_is_doubted_only_far_above_all_that_was_around_in_the_last_quarter(
    over: list[float], near_mm: float, alone: bool
) -> None:
    found = doubts(gauges([0, 0, 18], *[[0, 0, near_mm]] * 4), field(over))
    assert [check_of(why) for why in found.values()] == ["neighbours"] * alone


def test_with_fewer_than_three_neighbours_or_no_field_to_speak_of_nothing_is_said() -> None:
    mm = gauges([0, 0, 18], [0, 0, 0], [0, 0, 0], [np.nan] * 3, [np.nan] * 3)
    assert doubts(mm, None) == {}
    assert doubts(mm, field([np.nan, np.nan, 0])) == {}
    assert doubts(mm, field([np.nan, 0, 0])) != {}


def test_a_gauge_at_zero_under_half_an_hour_of_rain_is_clogged() -> None:
    mm = gauges([0] * 6, *[[np.nan] * 6] * 4)
    assert doubts(mm, field([0.9] * 6)) == {(5, 0): "radar: 0 mm for 30 min under 5.4 mm"}
    assert doubts(mm, field([0.8] * 6)) == {}
    mm[2, 0] = np.nan
    assert doubts(mm, field([0.9] * 6)) == {}


def test_without_a_field_three_neighbours_in_heavy_rain_say_so() -> None:
    mm = gauges([0] * 6, *[[1.0] * 6] * 3, [0.1] * 6)
    assert doubts(mm, None) == {(5, 0): "stuck: 0 mm for 30 min, 3 neighbours above 5 mm"}
    assert doubts(mm, field([0.0] * 6)) == {}  # the field was there: the storm ends before this gauge
    mm[:, 3] = 0.1
    assert doubts(mm, None) == {}


values = st.floats(0, 60) | st.just(np.nan)


@given(st.lists(st.lists(values, min_size=5, max_size=5), min_size=1, max_size=9), st.booleans())
def test_only_high_values_and_zeros_are_ever_doubted_and_judging_again_changes_nothing(
    rows: list[list[float]], seen: bool
) -> None:
    mm, over = np.array(rows), field([1.0] * len(rows)) if seen else None
    found = doubts(mm, over)
    assert doubts(mm.copy(), over) == found
    assert all(mm[at] >= LONE_MM or mm[at] == 0 for at in found)


@given(st.lists(st.floats(0, 60), min_size=8, max_size=8), st.floats(0.5, 1.5))
def test_a_gauge_that_shows_the_rain_of_the_field_over_it_is_never_doubted(
    rain: list[float], factor: float
) -> None:
    mm = gauges(*[[value * factor if value >= 0.2 else 0.0 for value in rain]] * 5)
    assert doubts(mm, field([value if value >= 0.2 else 0.0 for value in rain])) == {}


@pytest.mark.parametrize(
    ("sum_mm", "parts", "agrees"),
    [
        (12.0, [1.0] * 12, True),
        (12.2, [1.0] * 12, True),
        (12.3, [1.0] * 12, False),
        (11.7, [1.0] * 12, False),
        (30.0, [1.0] * 11, True),  # one is missing
        (10.7, [1.0] * 11, False),
        (5.0, [], True),
    ],
)
def test_an_hour_is_the_sum_of_its_twelve_values_and_never_less_than_some(
    sum_mm: float, parts: list[float], agrees: bool
) -> None:
    why = doubted_sum(sum_mm, 3600, [(300, mm) for mm in parts])
    assert (why == "", check_of(why) in {"", "sum"}) == (agrees, True)


@given(st.lists(st.integers(0, 400), min_size=12, max_size=12))
def test_sums_of_tenths_agree_with_their_parts(tenths: list[int]) -> None:
    assert doubted_sum(sum(tenths) / 10, 3600, [(300, tenth / 10) for tenth in tenths]) == ""


def test_whole_hours_behind_the_post_is_a_fault_of_the_zone_and_late_is_none() -> None:
    common = common_instant([AT] * 6 + [AT - 8 * 60 * MINUTE, AT - 10 * MINUTE])
    assert common == AT
    assert doubted_clock(AT - 8 * 60 * MINUTE, AT) == "clock: 8 h behind its post, a fault of the time zone"
    assert doubted_clock(AT - 10 * MINUTE, AT) == ""
    assert doubted_clock(AT - 7 * MINUTE, AT) == "clock: 420 s behind its post and off the 5 minutes"
    assert doubted_clock(AT - 4 * MINUTE, AT) == ""


def test_a_post_of_unaligned_stations_has_no_common_instant() -> None:
    assert common_instant([AT + n * MINUTE for n in range(20)]) is None
    assert common_instant([AT] * 4) is None
    assert common_instant([]) is None
