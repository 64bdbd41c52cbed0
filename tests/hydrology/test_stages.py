"""What a water level means (hydrology/science/stages.py)."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.stages import (
    GRAVITY,
    Limit,
    LimitKind,
    Season,
    Stand,
    next_limit,
    reservoir_limits,
    river_limits,
    season_in_force,
    stand,
    time_to_limit_s,
)

LAKE = reservoir_limits(normal_m=30.0, season_m=28.0, design_m=32.0, check_m=33.0, crest_m=34.0)
BROOK = river_limits(warning_m=5.0, guarantee_m=6.0, highest_m=7.0)
METRES = st.floats(-10, 200).map(lambda m: round(m, 3))


def kinds(limits: list[Limit]) -> list[str]:
    return [limit.kind.value for limit in limits]


def test_the_limits_of_a_reservoir_stand_in_order() -> None:
    assert kinds(LAKE) == ["flood_season", "design", "check", "crest_margin", "crest"]
    assert [limit.limit_m for limit in LAKE] == [28.0, 32.0, 33.0, 33.5, 34.0]


def test_what_is_not_known_is_left_out_and_without_a_first_limit_nothing_is_judged() -> None:
    known = reservoir_limits(normal_m=30.0, season_m=None, design_m=None, check_m=33.0, crest_m=None)
    assert kinds(known) == ["normal", "check"]
    assert reservoir_limits(normal_m=None, season_m=None, design_m=32.0, check_m=33.0, crest_m=34.0) == []
    assert river_limits(warning_m=None, guarantee_m=6.0, highest_m=7.0) == []


def test_a_record_below_the_warning_stage_is_no_limit() -> None:
    assert kinds(river_limits(warning_m=5.0, guarantee_m=6.0, highest_m=4.2)) == ["warning", "guarantee"]


def test_a_record_between_warning_and_guarantee_is_named_in_its_place() -> None:
    limits = river_limits(warning_m=5.0, guarantee_m=6.0, highest_m=5.5)
    assert stand(5.7, limits)[1] == Limit(LimitKind.HIGHEST, 5.5, Stand.OVER)
    assert stand(6.0, limits)[1] == Limit(LimitKind.GUARANTEE, 6.0, Stand.OVER)


def test_a_low_dam_is_grave_before_its_check_level() -> None:
    """Where the crest lies less than half a metre over 校核, overtopping is the nearer danger."""
    limits = reservoir_limits(normal_m=30.0, season_m=None, design_m=31.0, check_m=31.8, crest_m=32.0)
    status, limit = stand(31.6, limits)
    assert (status, limit and limit.kind) == (Stand.CHECK, LimitKind.CREST_MARGIN)


@pytest.mark.parametrize(
    ("level_m", "over"), [(28.0, False), (28.001, True), (28.0 + 1e-9, False), (27.999, False)]
)
def test_a_reservoir_is_over_only_above_its_flood_limit(level_m: float, over: bool) -> None:
    assert (stand(level_m, LAKE)[0] is Stand.OVER) is over


@given(level_m=METRES, limits=st.sampled_from([LAKE, BROOK]))
def test_more_water_never_stands_better(level_m: float, limits: list[Limit]) -> None:
    order = (Stand.NORMAL, Stand.NEAR, *GRAVITY)
    lower, higher = stand(level_m, limits)[0], stand(level_m + 0.25, limits)[0]
    assert order.index(lower) <= order.index(higher)


@given(level_m=METRES, limits=st.sampled_from([LAKE, BROOK]))
def test_the_next_limit_is_the_lowest_that_is_not_passed(level_m: float, limits: list[Limit]) -> None:
    ahead = next_limit(level_m, limits)
    open_m = [limit.limit_m for limit in limits if not limit.passed_by(level_m)]
    assert (ahead.limit_m if ahead else None) == min(open_m, default=None)


@pytest.mark.parametrize(
    ("level_m", "rate", "seconds"),
    [
        (4.0, 0.5, 7200),
        (4.0, 0.0, None),
        (4.0, -1.0, None),
        (4.0, None, None),
        (4.0, 0.04, None),
        (5.0, 0.5, 7200),
    ],
)
def test_the_time_to_a_limit_is_told_for_a_rise_of_less_than_a_day(
    level_m: float, rate: float | None, seconds: int | None
) -> None:
    assert time_to_limit_s(level_m, rate, next_limit(level_m, BROOK)) == seconds


MAIN = Season("0415", "1015", 28.0)
WINTER = Season("1101", "0228", 29.0)


@pytest.mark.parametrize(
    ("day", "limit_m"),
    [
        ("0414", None), ("0415", 28.0), ("1015", 28.0), ("1016", None), ("1031", None), ("1101", 29.0),
        ("1231", 29.0), ("0101", 29.0), ("0228", 29.0), ("0229", None), ("0301", None),
    ],
)  # fmt: skip
def test_seasons_have_gaps_and_wrap_the_year_end(day: str, limit_m: float | None) -> None:
    found = season_in_force([MAIN, WINTER], date(2028, int(day[:2]), int(day[2:])))
    assert (found.limit_m if found else None) == limit_m


@pytest.mark.parametrize(
    ("day", "limit_m"),
    [
        ("0414", 29.0),
        ("0415", 28.0),
        ("0630", 28.0),
        ("0701", 28.5),
        ("1031", 28.5),
        ("1101", 29.0),
        ("0101", 29.0),
    ],
)
def test_a_season_without_an_end_lasts_until_the_next_begins(day: str, limit_m: float) -> None:
    seasons = [Season("0415", "", 28.0), Season("0701", "", 28.5), Season("1101", "", 29.0)]
    found = season_in_force(seasons, date(2026, int(day[:2]), int(day[2:])))
    assert found and found.limit_m == limit_m


def test_a_lone_season_without_an_end_lasts_the_whole_year() -> None:
    assert season_in_force([Season("0701", "", 28.0)], date(2026, 6, 30)) == Season("0701", "", 28.0)


def test_where_seasons_overlap_the_lower_limit_holds() -> None:
    early, late = Season("0415", "0715", 28.5), Season("0701", "1015", 28.0)
    assert season_in_force([early, late], date(2026, 7, 10)) == late
    assert season_in_force([Season("0415", "0715", 27.0), late], date(2026, 7, 10)) == Season(
        "0415", "0715", 27.0
    )


@given(
    begin=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    length=st.integers(1, 364),
    offset=st.integers(0, 364),
)
def test_a_season_and_the_one_without_an_end_before_it_fill_the_year(
    begin: date, length: int, offset: int
) -> None:
    """Two open seasons leave no gap, whatever day it is and wherever the year ends."""
    other = begin + timedelta(days=length)
    seasons = [Season(begin.strftime("%m%d"), "", 1.0), Season(other.strftime("%m%d"), "", 2.0)]
    found = season_in_force(seasons, begin + timedelta(days=offset))
    assert found and found.limit_m == (1.0 if offset < length else 2.0)
