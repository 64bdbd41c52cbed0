"""The rain of a street becomes a level with reasons (alerts/assessment/rules.py)."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.rules import DEFAULT_ROWS, WINDOWS, Figure, Level, Table, assess, low_water
from alerts.models import WarningLevel

TABLE = Table("default-1", DEFAULT_ROWS)

values_mm = st.one_of(
    st.floats(0, 200), st.sampled_from([nan, inf]), st.integers(0, 2000).map(lambda n: n / 10)
)
sources = st.sampled_from(["station:A", "station:B", "cell:114.1,22.5", "cell:114.2,22.5"])
figures = st.builds(
    Figure,
    st.sampled_from(WINDOWS),
    values_mm,
    sources,
    st.floats(0, 1),
    st.none() | values_mm,
    st.booleans(),
)
streets = st.lists(figures, max_size=9)


def test_levels_are_those_of_the_rows() -> None:
    assert {level.name: level.value for level in Level} == {w.name: w.value for w in WarningLevel}


@pytest.mark.parametrize(
    ("window", "value_mm", "level"),
    # Thresholds: project domain notes 1.4.
    [
        ("rain_5min", 4.9, 0),
        ("rain_5min", 5, 1),
        ("rain_5min", 15, 4),
        ("rain_10min", 20, 3),
        ("rain_30min", 29.9, 1),
        ("rain_30min", 50, 3),
        ("rain_60min", 52, 3),
        ("rain_60min", 80, 4),
        ("rain_180min", 50, 2),
        ("rain_180min", 99.9, 3),
        ("nowcast_60min", 30, 2),
        ("nowcast_120min", 90, 4),
    ],
)
def test_a_window_reaches_its_level_at_the_threshold(window: str, value_mm: float, level: int) -> None:
    found = assess("440303001", [Figure(window, value_mm, "station:A")], TABLE)
    assert found.level == level
    assert [(r.window, r.threshold_mm) for r in found.reasons] == (
        [(window, DEFAULT_ROWS[window][level - 1])] if level else []
    )


def test_float_noise_does_not_hide_a_reached_threshold() -> None:
    assert sum([0.1] * 50) < 5
    assert assess("s", [Figure("rain_5min", sum([0.1] * 50), "station:A")], TABLE).level == Level.NOTICE


def test_reasons_name_every_window_gravest_first() -> None:
    found = assess(
        "s",
        [
            Figure("rain_180min", 45, "station:A", share=0.5),
            Figure("rain_5min", 3, "station:A"),
            Figure("rain_30min", 51, "station:B", agree_mm=20),
            Figure("rain_60min", 75, "station:A"),
        ],
        TABLE,
    )
    assert [(r.window, r.level) for r in found.reasons] == [
        ("rain_60min", Level.ALERT),
        ("rain_30min", Level.ALERT),
        ("rain_180min", Level.NOTICE),
    ]
    assert (found.reasons[1].agree_mm, found.reasons[2].share) == (20, 0.5)


@pytest.mark.parametrize("missing", [nan, inf])
def test_a_missing_value_reaches_no_level(missing: float) -> None:
    found = assess("s", [Figure("rain_60min", missing, "station:A", 0, 90)], TABLE)
    assert (found.level, found.reasons, found.corroborated) == (Level.NONE, (), False)


def test_a_neighbour_at_seventy_percent_of_the_threshold_corroborates() -> None:
    assert assess("s", [Figure("rain_60min", 52, "station:A", agree_mm=35)], TABLE).corroborated
    assert not assess("s", [Figure("rain_60min", 52, "station:A", agree_mm=34.9)], TABLE).corroborated
    assert not assess("s", [Figure("rain_60min", 52, "station:A", agree_mm=nan)], TABLE).corroborated


def test_two_windows_of_one_gauge_do_not_confirm_each_other() -> None:
    """One false 30 mm in 5 minutes fills every longer window of the same gauge."""
    spike = [Figure(window, 30, "station:A", agree_mm=0) for window in WINDOWS if window.startswith("rain")]
    found = assess("s", spike, TABLE)
    assert (found.level, found.corroborated, found.sure) == (Level.EMERGENCY, False, Level.NONE)


def test_two_windows_of_different_sources_confirm_each_other() -> None:
    found = assess("s", [Figure("rain_60min", 55, "station:A"), Figure("rain_30min", 50, "station:B")], TABLE)
    assert (found.level, found.corroborated) == (Level.ALERT, True)


def test_a_nowcast_that_agrees_confirms_a_gauge() -> None:
    cell = "cell:114.1,22.5"
    found = assess("s", [Figure("rain_60min", 52, "station:A"), Figure("nowcast_60min", 50, cell)], TABLE)
    assert found.corroborated


def test_a_nowcast_out_of_a_dry_sky_counts_but_is_not_believed_at_once() -> None:
    ahead = [
        Figure("nowcast_60min", 55, "cell:114.1,22.5", agree_mm=54),
        Figure("nowcast_120min", 70, "cell:114.2,22.5", agree_mm=69),
    ]
    dry = assess("s", [*ahead, Figure("rain_30min", 4.9, "station:A")], TABLE)
    wet = assess("s", [*ahead, Figure("rain_30min", 5.0, "station:A")], TABLE)
    assert (dry.level, dry.corroborated) == (Level.ALERT, False)
    assert (wet.level, wet.corroborated) == (Level.ALERT, True)


def test_a_lone_spike_does_not_hide_the_lower_level_all_agree_on() -> None:
    found = assess(
        "s",
        [
            Figure("rain_5min", 16, "station:A", agree_mm=1),
            Figure("rain_60min", 33, "station:A", agree_mm=31),
        ],
        TABLE,
    )
    assert (found.level, found.corroborated, found.sure) == (Level.EMERGENCY, False, Level.ATTENTION)


@given(streets, st.randoms())
def test_the_order_of_the_figures_does_not_matter(street: list[Figure], random: object) -> None:
    shuffled = list(street)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assess("s", street, TABLE) == assess("s", shuffled, TABLE)
    assert low_water(street, TABLE) == low_water(shuffled, TABLE)


@given(streets.filter(bool), st.data())
def test_more_rain_never_gives_a_lower_level(street: list[Figure], draw: st.DataObject) -> None:
    i = draw.draw(st.integers(0, len(street) - 1))
    more = list(street)
    more[i] = replace(street[i], value_mm=street[i].value_mm + draw.draw(st.floats(0, 100)))
    if street[i].value_mm == inf:
        return
    before, after = assess("s", street, TABLE), assess("s", more, TABLE)
    assert after.level >= before.level
    assert after.sure >= before.sure
    assert low_water(more, TABLE) >= low_water(street, TABLE)


@given(streets)
def test_what_holds_is_never_below_what_is_reached(street: list[Figure]) -> None:
    found = assess("s", street, TABLE)
    assert low_water(street, TABLE) >= found.level >= found.sure
    assert found.corroborated == (bool(found.level) and found.sure == found.level)


def test_a_doubted_value_alone_reaches_nothing_however_high_or_long() -> None:
    lone = [Figure(window, 90, "station:A", agree_mm=1, doubted=True) for window in WINDOWS[:5]]
    assert (assess("s", lone, TABLE).level, assess("s", lone, TABLE).sure) == (Level.NONE, Level.NONE)
    assert low_water([*lone, Figure("rain_5min", 0, "cell:114.1,22.5")], TABLE) == Level.NONE


def test_a_doubted_value_counts_as_far_as_a_second_source_or_a_nowcast_confirms_it() -> None:
    doubted = Figure("rain_60min", 90, "station:A", agree_mm=35, doubted=True)
    found = assess("s", [doubted], TABLE)
    assert (found.level, found.corroborated, found.reasons[0].doubted) == (Level.ALERT, True, True)
    ahead = [replace(doubted, agree_mm=0), Figure("nowcast_60min", 30, "cell:114.1,22.5")]
    assert (assess("s", ahead, TABLE).level, assess("s", ahead, TABLE).sure) == (
        Level.ATTENTION,
        Level.ATTENTION,
    )


def test_low_water_is_seventy_percent_of_a_threshold() -> None:
    now_dry = Figure("rain_5min", 0, "station:A")
    assert low_water([now_dry, Figure("rain_60min", 35, "station:A")], TABLE) == Level.ALERT
    assert low_water([now_dry, Figure("rain_60min", 34.9, "station:A")], TABLE) == Level.ATTENTION
    assert low_water([now_dry, Figure("rain_60min", 13.9, "station:A")], TABLE) == Level.NONE
    assert low_water([now_dry, Figure("rain_60min", 35, "station:A")], TABLE, fraction=1) == Level.ATTENTION


@pytest.mark.parametrize(
    "street",
    [
        [],
        [Figure("rain_30min", nan, "station:A", 0)],
        [Figure("rain_30min", 1, "station:A", share=0.4), Figure("rain_180min", 1, "station:A", share=0.9)],
        [Figure("nowcast_60min", 0, "cell:114.1,22.5")],
    ],
)
def test_what_is_not_known_is_not_low(street: list[Figure]) -> None:
    assert low_water(street, TABLE) == Level.EMERGENCY


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({}, "at least one window"),
        ({"rain_7min": (1, 2, 3, 4)}, "unknown window 'rain_7min'"),
        ({"rain_5min": (1, 2, 3)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": (1, 2, 2, 3)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": (0, 1, 2, 3)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": (1, 2, 3, inf)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": (1, 2, nan, 3)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": ("a", 2, 3, 4)}, "rain_5min needs 4 ascending"),
        ({"rain_5min": 5}, "rain_5min needs 4 ascending"),
    ],
)
def test_a_faulty_table_is_refused_by_name(rows: dict[str, tuple[float, ...]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Table("2024-1", rows)


def test_a_table_as_stored_in_json_is_a_table_and_stays_as_it_was() -> None:
    stored = {"rain_60min": [20, 30, 50, 80]}
    table = Table("2024-1", stored)  # type: ignore[arg-type]
    stored["rain_60min"][0] = 1
    assert table.rows["rain_60min"] == (20, 30, 50, 80)
    assert assess("s", [Figure("rain_5min", 99, "station:A")], table).level == Level.NONE


def test_a_fraction_outside_its_range_is_refused() -> None:
    for fraction in (0, -1, 1.1, nan):
        with pytest.raises(ValueError, match="fraction"):
            low_water([], TABLE, fraction)


def test_an_unknown_window_is_refused() -> None:
    with pytest.raises(ValueError, match="rain_7min"):
        Figure("rain_7min", 1, "station:A")
