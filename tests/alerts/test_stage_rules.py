"""From a water level to a level of our own (alerts/assessment/stages.py)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.rules import Level
from alerts.assessment.stages import DEFAULT_ROWS, Figures, ObjectClass, Table, assess, low_water
from hydrology.science.stages import reservoir_limits, river_limits

LAKE = reservoir_limits(normal_m=30.0, season_m=28.0, design_m=32.0, check_m=33.0, crest_m=34.0)
BROOK = river_limits(warning_m=5.0, guarantee_m=6.0, highest_m=7.0)
TABLE = Table.from_json("levels-1", DEFAULT_ROWS)
GATED, UNGATED, RIVER, TIDE = ObjectClass


def figures(kind: ObjectClass, level_m: float, **known: Any) -> Figures:
    limits = LAKE if kind in (GATED, UNGATED) else BROOK
    return Figures("s", kind, level_m, limits, **known)


@pytest.mark.parametrize(
    ("kind", "level_m", "level", "condition"),
    [
        (GATED, 27.69, 0, None), (GATED, 27.7, 1, "first"), (GATED, 28.0, 1, "first"), (GATED, 28.01, 3, "first"),
        (GATED, 28.6, 3, "first"), (GATED, 32.0, 4, "design"), (GATED, 33.0, 4, "check"),
        (GATED, 33.5, 4, "crest_margin"), (GATED, 34.0, 4, "crest"),
        (UNGATED, 28.0, 0, None), (UNGATED, 28.01, 1, "first"), (UNGATED, 28.3, 2, "first"), (UNGATED, 31.9, 2, "first"),
        (UNGATED, 32.0, 4, "design"),
        (RIVER, 4.69, 0, None), (RIVER, 4.7, 1, "first"), (RIVER, 5.0, 3, "first"), (RIVER, 6.0, 4, "guarantee"),
        (RIVER, 7.0, 4, "highest"),
        (TIDE, 4.7, 1, "first"), (TIDE, 5.0, 2, "first"), (TIDE, 5.3, 3, "first"), (TIDE, 6.0, 4, "guarantee"),
    ],
)  # fmt: skip
def test_what_a_level_stands_for(
    kind: ObjectClass, level_m: float, level: int, condition: str | None
) -> None:
    found = assess(figures(kind, level_m), TABLE)
    assert (found.level, found.reasons[0].condition if found.reasons else None) == (level, condition)


def test_an_ungated_overflow_is_information_and_a_gated_one_an_alert() -> None:
    over = 28.2
    assert (
        assess(figures(UNGATED, over), TABLE).level < Level.ALERT == assess(figures(GATED, over), TABLE).level
    )


@pytest.mark.parametrize(
    ("kind", "known", "level"),
    [
        (RIVER, {"level_m": 4.1, "rise_30min_m": 0.3}, 2),
        (RIVER, {"level_m": 4.1, "rate_m_per_h": 0.5}, 2),
        (RIVER, {"level_m": 4.1, "rise_30min_m": 0.29, "rate_m_per_h": 0.49}, 0),
        (RIVER, {"level_m": 2.0, "rise_30min_m": 0.4, "rate_m_per_h": 0.9}, 0),  # a brook wakes up far below
        (RIVER, {"level_m": 4.3, "rate_m_per_h": 0.7}, 2),
        (GATED, {"level_m": 27.5, "rate_m_per_h": 0.2}, 1),
        (GATED, {"level_m": 27.65, "rate_m_per_h": 0.36}, 2),  # 汛限 in less than an hour
        (GATED, {"level_m": 31.5, "rate_m_per_h": 0.6}, 3),  # 设计 in less than an hour: a forecast is no emergency yet
        (UNGATED, {"level_m": 31.5, "rate_m_per_h": 0.6}, 3),
        (UNGATED, {"level_m": 27.9, "rate_m_per_h": 0.6}, 0),  # it will overflow, as it should
        (TIDE, {"level_m": 4.5, "rate_m_per_h": 0.6, "rise_30min_m": 0.4}, 0),
    ],
)  # fmt: skip
def test_a_rise_counts_by_what_rises_and_where(
    kind: ObjectClass, known: dict[str, float], level: int
) -> None:
    assert assess(figures(kind, **known), TABLE).level == level


@pytest.mark.parametrize(
    ("rain_3h_mm", "kind", "sure"),
    [(None, RIVER, 0), (9.9, RIVER, 0), (10.0, RIVER, 3), (10.0, GATED, 3), (80.0, TIDE, 0)],
)
def test_rain_nearby_confirms_a_level_at_once_but_not_a_tide(
    rain_3h_mm: float | None, kind: ObjectClass, sure: int
) -> None:
    level_m = 28.1 if kind is GATED else 5.4
    assert assess(figures(kind, level_m, rain_3h_mm=rain_3h_mm), TABLE).sure == sure


@pytest.mark.parametrize(
    ("kind", "held_m", "low_m"), [(GATED, 27.951, 27.949), (UNGATED, 27.951, 27.949), (RIVER, 4.9, 4.899)]
)
def test_a_level_is_held_until_it_is_below_its_lower_mark(
    kind: ObjectClass, held_m: float, low_m: float
) -> None:
    at_limit = assess(figures(kind, 28.001 if kind is not RIVER else 5.0), TABLE).level
    assert low_water(figures(kind, held_m), TABLE) == at_limit
    assert low_water(figures(kind, low_m), TABLE) < at_limit


def test_a_tide_is_held_longest() -> None:
    assert low_water(figures(TIDE, 4.8), TABLE) == Level.ATTENTION
    assert low_water(figures(TIDE, 4.79), TABLE) == Level.NOTICE


LEVELS = st.floats(0, 40).map(lambda m: round(m, 3))
RATES = st.none() | st.floats(-2, 3)


@given(kind=st.sampled_from(ObjectClass), level_m=LEVELS, rate=RATES, rise=RATES, more_m=st.floats(0, 3))
def test_more_water_is_never_less_grave(
    kind: ObjectClass, level_m: float, rate: float | None, rise: float | None, more_m: float
) -> None:
    """Without a rate: with one, a limit just passed is no longer ahead."""
    low = figures(kind, level_m, rate_m_per_h=None, rise_30min_m=rise)
    high = figures(kind, level_m + more_m, rate_m_per_h=None, rise_30min_m=rise)
    assert assess(low, TABLE).level <= assess(high, TABLE).level
    found = assess(figures(kind, level_m, rate_m_per_h=rate, rise_30min_m=rise), TABLE)
    assert low_water(figures(kind, level_m, rate_m_per_h=rate, rise_30min_m=rise), TABLE) >= found.level
    assert bool(found.reasons) == bool(found.level) == bool(found.why)
    assert [reason.level for reason in found.reasons] == sorted(
        (r.level for r in found.reasons), reverse=True
    )


def test_without_limits_or_marks_nothing_is_judged() -> None:
    assert assess(Figures("s", RIVER, 9.0, [], rate_m_per_h=2.0), TABLE).level == Level.NONE
    only_rivers = Table.from_json("rivers", {"river": DEFAULT_ROWS["river"]})
    assert assess(figures(GATED, 40.0), only_rivers).level == Level.NONE
    assert low_water(figures(GATED, 40.0), only_rivers) == Level.NONE


ROW = DEFAULT_ROWS["river"]


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"lake": ROW}, "lake"),
        ({"river": ROW | {"marks": [["depth", 1.0, 1]]}}, "river"),
        ({"river": ROW | {"marks": [["first", 0.0, 9]]}}, "river"),
        ({"river": ROW | {"marks": [["first", 0.0, 0]]}}, "river"),
        ({"river": ROW | {"marks": [["first", float("nan"), 1]]}}, "river"),
        ({"river": ROW | {"marks": []}}, "river"),
        ({"river": ROW | {"clear_m": -0.1}}, "river"),
        ({"river": {"marks": ROW["marks"]}}, "river"),
        ({}, "at least one class"),
    ],
)
def test_a_wrong_table_names_its_version_and_class(rows: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Table.from_json("odd", rows)
