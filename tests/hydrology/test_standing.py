"""Where a level stands against the limits of its object."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.models import SeasonLimit
from hydrology.science.quality import Quality
from hydrology.standing import STATUSES, item_of, season_limits
from tests.hydrology.factories import NOW

RESERVOIR = {
    "code": "r", "name": "reservoir", "kind": "RR", "region_id": "440303001", "region__path": "4403/440303/440303001/",
    "datum": "85高程",
    "stage__value": 27.0, "stage__observed_at": NOW, "stage__quality": 0, "stage__rate_m_per_h": None,
    "reservoir__gated": True, "reservoir__normal_m": 30.0, "reservoir__design_m": 32.0, "reservoir__check_m": 33.0,
    "reservoir__crest_m": 34.0, "river__warning_m": None, "river__guarantee_m": None, "river__highest_m": None,
}  # fmt: skip
RIVER = RESERVOIR | {
    "kind": "ZZ", "reservoir__gated": None, "reservoir__normal_m": None, "reservoir__design_m": None,
    "reservoir__check_m": None, "reservoir__crest_m": None, "river__warning_m": 5.0, "river__guarantee_m": 6.0,
    "river__highest_m": 7.0, "stage__value": 3.0,
}  # fmt: skip


def shown(post: dict[str, Any], season_m: float | None = 28.0, **fields: Any) -> tuple[Any, ...]:
    item = item_of(post | fields, season_m, NOW)
    return item["status"], item["limit_kind"], item["over_m"]


@pytest.mark.parametrize(
    ("level_m", "expected"),
    [
        (27.0, ("normal", "flood_season", -1.0)),
        (27.7, ("near", "flood_season", -0.3)),
        (28.0, ("near", "flood_season", 0.0)),
        (28.01, ("over", "flood_season", 0.01)),
        (32.0, ("design", "design", 0.0)),
        (33.0, ("check", "check", 0.0)),
        (33.5, ("check", "crest_margin", 0.0)),
        (34.2, ("check", "crest", 0.2)),
    ],
)
def test_a_reservoir_stands_against_its_season_then_design_then_check(level_m: float, expected: Any) -> None:
    assert shown(RESERVOIR, stage__value=level_m) == expected


def test_outside_every_season_the_normal_level_counts() -> None:
    assert shown(RESERVOIR, None, stage__value=29.0) == ("normal", "normal", -1.0)
    assert shown(RESERVOIR, None, stage__value=30.5) == ("over", "normal", 0.5)


@pytest.mark.parametrize(
    ("level_m", "expected"),
    [
        (4.0, ("normal", "warning", -1.0)),
        (4.8, ("near", "warning", -0.2)),
        (5.0, ("over", "warning", 0.0)),
        (6.2, ("over", "guarantee", 0.2)),
        (7.1, ("over", "highest", 0.1)),
    ],
)
def test_a_river_stands_against_warning_and_guarantee(level_m: float, expected: Any) -> None:
    assert shown(RIVER, None, stage__value=level_m) == expected


def test_an_ungated_reservoir_over_its_limit_is_over_and_says_it_has_no_gates() -> None:
    item = item_of(RESERVOIR | {"reservoir__gated": False, "stage__value": 28.5}, 28.0, NOW)
    assert (item["status"], item["gated"]) == ("over", False)


def test_a_doubtful_reading_is_no_all_clear_but_may_alarm() -> None:
    assert shown(RESERVOIR, stage__quality=Quality.SUSPECT)[0] == "unknown"
    assert shown(RESERVOIR, stage__quality=Quality.SUSPECT, stage__value=28.5)[0] == "over"


def test_without_a_reading_the_status_is_unknown_and_the_limit_is_told() -> None:
    nothing = {name: None for name in RESERVOIR if name.startswith("stage__")}
    assert shown(RESERVOIR | nothing) == ("unknown", "flood_season", None)


def test_without_limits_the_status_is_unknown() -> None:
    assert shown(RIVER | {"river__warning_m": None})[0] == "unknown"


@given(
    level_m=st.floats(-5, 60),
    quality=st.sampled_from([0, 1]),
    age_s=st.integers(0, 10 * 24 * 3600),
    post=st.sampled_from([RESERVOIR, RIVER]),
)
def test_a_stale_reading_is_never_shown_as_normal(
    level_m: float, quality: int, age_s: int, post: Any
) -> None:
    read = {
        "stage__value": level_m,
        "stage__quality": quality,
        "stage__observed_at": NOW - timedelta(seconds=age_s),
    }
    item = item_of(post | read, 28.0, NOW)
    assert item["status"] in STATUSES
    assert (item["status"] == "stale") == (age_s > 3600)
    assert item["age_s"] == age_s


@pytest.mark.parametrize(
    ("rate", "trend"), [(None, None), (0.3, "rising"), (-0.3, "falling"), (0.0, "steady"), (0.019, "steady")]
)
def test_the_trend_is_told_from_the_rate(rate: float | None, trend: str | None) -> None:
    assert item_of(RIVER | {"stage__rate_m_per_h": rate}, None, NOW)["trend"] == trend


@pytest.mark.parametrize(
    ("fields", "ahead"),
    [
        ({"stage__value": 4.0, "stage__rate_m_per_h": 0.5}, ("warning", 7200)),
        ({"stage__value": 5.5, "stage__rate_m_per_h": 0.5}, ("guarantee", 3600)),
        ({"stage__value": 4.0, "stage__rate_m_per_h": -0.5}, ("warning", None)),
        ({"stage__value": 4.0, "stage__rate_m_per_h": None}, ("warning", None)),
        ({"stage__value": 4.0, "stage__rate_m_per_h": 0.01}, ("warning", None)),
        ({"stage__value": 7.5, "stage__rate_m_per_h": 0.5}, (None, None)),
        ({"stage__value": 4.0, "stage__rate_m_per_h": 0.5, "stage__quality": 1}, ("warning", None)),
        ({"stage__value": 4.0, "stage__rate_m_per_h": 0.5, "kind": "TT"}, ("warning", None)),
        (
            {"stage__value": 4.0, "stage__rate_m_per_h": 0.5, "stage__observed_at": NOW - timedelta(hours=2)},
            ("warning", None),
        ),
    ],
)
def test_the_time_to_the_next_limit_is_told_only_where_it_may_be_believed(
    fields: dict[str, Any], ahead: Any
) -> None:
    item = item_of(RIVER | fields, None, NOW)
    assert (item["next_limit_kind"], item["time_to_limit_s"]) == ahead


def test_the_item_names_its_datum_and_a_tide_post_its_kind() -> None:
    item = item_of(RIVER | {"kind": "TT", "datum": "珠基"}, None, NOW)
    assert (item["kind"], item["datum"]) == ("tide", "珠基")


def test_a_reservoir_without_any_level_of_its_own_is_unknown() -> None:
    bare = {name: None for name in RESERVOIR if name.startswith("reservoir__")}
    assert shown(RESERVOIR | bare, None) == ("unknown", None, None)


def test_seasons_of_several_reservoirs_are_kept_apart() -> None:
    rows = [
        SeasonLimit(reservoir_id="r", begin_mmdd="1101", end_mmdd="0228", limit_m=27.0),
        SeasonLimit(reservoir_id="q", begin_mmdd="0415", end_mmdd="", limit_m=25.0),
    ]
    assert season_limits(rows, date(2026, 12, 31)) == {"r": 27.0, "q": 25.0}
    assert season_limits(rows, date(2026, 6, 1)) == {"q": 25.0}
