"""What a gauge may say before it is doubted, and what it may never say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.quality import (
    Limits,
    Quality,
    Verdict,
    asks_for_rain,
    default_limits,
    judge,
    rain_limits,
    stage_limits,
)
from hydrology.science.readings import Element, Reading

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
RESERVOIR = stage_limits(40.0, 60.0)
Past = list[tuple[datetime, float]]


def rain(value: float, duration_s: int = 300) -> Reading:
    return Reading("G", Element.RAIN, AT, value, duration_s)


def stage(value: float) -> Reading:
    return Reading("Z", Element.STAGE, AT, value, 0)


def past(*values: float, every_s: int = 300) -> Past:
    """Values ending `every_s` before AT, oldest first."""
    return [(AT - timedelta(seconds=every_s * back), value) for back, value in enumerate(reversed(values), 1)]


def quality_of(reading: Reading, previous: Past, limits: Limits, rain_mm: float | None = None) -> Quality:
    verdict = judge(reading, previous, limits, rain_nearby_mm=rain_mm)
    assert bool(verdict.why) is (verdict.quality is not Quality.GOOD)
    return verdict.quality


@pytest.mark.parametrize(
    ("mm", "quality"),
    [(0.0, Quality.GOOD), (30.0, Quality.GOOD), (30.5, Quality.SUSPECT), (60.0, Quality.SUSPECT),
     (60.5, Quality.WRONG), (-0.5, Quality.WRONG)],
)  # fmt: skip
def test_five_minute_rain_is_doubted_above_30_mm_and_wrong_above_60(mm: float, quality: Quality) -> None:
    assert quality_of(rain(mm), [], rain_limits()) is quality


def test_the_record_hour_of_the_city_is_good_though_no_five_minutes_could_hold_it() -> None:
    assert quality_of(rain(136.5, 3600), [], rain_limits(3600)) is Quality.GOOD
    assert quality_of(rain(136.5), [], rain_limits()) is Quality.WRONG


@given(st.integers(1, 72 * 3600), st.integers(1, 72 * 3600))
def test_rain_limits_never_shrink_with_duration(one_s: int, other_s: int) -> None:
    short, long = rain_limits(min(one_s, other_s)), rain_limits(max(one_s, other_s))
    assert short.high <= long.high
    assert short.reject_high <= long.reject_high


@given(st.floats(0, 60), st.lists(st.floats(0, 60), max_size=5), st.none() | st.floats(0, 300))
def test_rain_within_physical_limits_is_never_wrong(
    mm: float, before: list[float], nearby: float | None
) -> None:
    assert quality_of(rain(mm), past(*before), rain_limits(), nearby) is not Quality.WRONG


def test_a_gauge_at_zero_for_an_hour_while_neighbours_flood_is_clogged() -> None:
    verdict = judge(rain(0.0), past(*[0.0] * 12), rain_limits(), rain_nearby_mm=35.0)
    assert verdict == Verdict(Quality.SUSPECT, "stuck: 0 mm for 3600 s, rain nearby 35 mm")
    assert quality_of(rain(0.0), past(*[0.0] * 12), rain_limits(), 3.0) is Quality.GOOD
    assert quality_of(rain(0.0), past(*[0.0] * 12), rain_limits()) is Quality.GOOD
    assert quality_of(rain(0.0), past(*[0.0] * 6), rain_limits(), 35.0) is Quality.GOOD


def test_an_even_rain_is_no_clogged_gauge() -> None:
    assert quality_of(rain(2.0), past(*[2.0] * 12), rain_limits(), 35.0) is Quality.GOOD


@pytest.mark.parametrize(
    ("level_m", "quality"),
    [(37.9, Quality.WRONG), (38.0, Quality.SUSPECT), (39.5, Quality.GOOD), (60.0, Quality.GOOD),
     (60.5, Quality.SUSPECT), (61.1, Quality.WRONG)],
)  # fmt: skip
def test_a_level_is_held_between_the_bed_and_the_crest(level_m: float, quality: Quality) -> None:
    assert quality_of(stage(level_m), [], RESERVOIR) is quality


def test_a_jump_is_a_spike_and_says_how_far_and_how_fast() -> None:
    verdict = judge(stage(51.6), past(50.0, 50.0), RESERVOIR)
    assert verdict == Verdict(Quality.SUSPECT, "spike: +1.6 m in 300 s")


def test_coming_back_from_a_spike_is_good() -> None:
    assert quality_of(stage(50.0), past(50.0, 50.0, 53.0), RESERVOIR) is Quality.GOOD


def test_a_jump_that_holds_is_believed_at_the_second_sample() -> None:
    assert quality_of(stage(53.1), past(50.0, 50.0, 53.0), RESERVOIR) is Quality.GOOD


def test_a_sensor_that_flips_to_and_fro_stays_suspect() -> None:
    assert quality_of(stage(50.0), past(53.0, 50.0, 53.0), RESERVOIR) is Quality.SUSPECT


def test_the_fastest_river_rise_on_record_is_no_spike() -> None:
    assert quality_of(stage(51.67), past(50.0, every_s=7200), RESERVOIR) is Quality.GOOD
    assert quality_of(stage(51.67), past(50.0, every_s=3600), RESERVOIR) is Quality.SUSPECT


def test_rain_upstream_explains_a_fast_rise() -> None:
    assert quality_of(stage(51.2), past(50.0), RESERVOIR) is Quality.SUSPECT
    assert quality_of(stage(51.2), past(50.0), RESERVOIR, 40.0) is Quality.GOOD
    assert quality_of(stage(55.0), past(50.0), RESERVOIR, 40.0) is Quality.SUSPECT


def test_a_level_unmoved_for_six_hours_of_rain_is_stuck() -> None:
    still = past(*[50.0] * 12, every_s=1800)
    assert quality_of(stage(50.0), still, RESERVOIR, 25.0) is Quality.SUSPECT
    assert quality_of(stage(50.0), still, RESERVOIR, 5.0) is Quality.GOOD
    assert quality_of(stage(50.0), [*still, (AT - timedelta(hours=3), 50.1)], RESERVOIR, 25.0) is Quality.GOOD


def test_a_level_reported_for_six_hours_is_stuck_though_an_hour_is_known() -> None:
    hour = past(*[50.0] * 12)
    assert judge(
        stage(50.0), hour, RESERVOIR, rain_nearby_mm=25.0, unmoved_since=AT - timedelta(hours=6)
    ) == Verdict(Quality.SUSPECT, "stuck: 50 m for 21600 s, rain nearby 25 mm")
    assert quality_of(stage(50.0), hour, RESERVOIR, 25.0) is Quality.GOOD


def test_what_others_say_makes_suspect_and_never_wrong_nor_hides_the_own_reason() -> None:
    assert judge(rain(3.0), [], rain_limits(), doubts=["radar: x"]) == Verdict(Quality.SUSPECT, "radar: x")
    both = judge(rain(35.0), [], rain_limits(), doubts=["radar: x"])
    assert (both.quality, both.why) == (Quality.SUSPECT, "range: 35 mm outside 0..30; radar: x")


def test_a_lake_rises_in_rain_less_steeply_than_a_river() -> None:
    lake = stage_limits(40.0, 60.0, rain_step_factor=1.5)
    assert quality_of(stage(51.6), past(50.0), lake, 40.0) is Quality.SUSPECT
    assert quality_of(stage(51.6), past(50.0), RESERVOIR, 40.0) is Quality.GOOD


def test_exactly_zero_is_a_dead_sensor() -> None:
    verdict = judge(stage(0.0), past(1.2, 1.2), default_limits(Element.STAGE))
    assert verdict == Verdict(Quality.SUSPECT, "dead zero: 0.000 m")
    assert quality_of(stage(0.0), past(0.0, 0.0), default_limits(Element.STAGE)) is Quality.SUSPECT


def test_a_tide_may_pass_through_zero() -> None:
    assert quality_of(stage(0.0), past(0.08, 0.04), default_limits(Element.STAGE)) is Quality.GOOD


def test_the_first_level_after_a_dead_sensor_is_no_spike() -> None:
    assert quality_of(stage(5.1), past(5.0, 0.0, 0.0, 0.0), default_limits(Element.STAGE)) is Quality.GOOD


levels = st.floats(38.0, 61.0) | st.just(0.0)


@given(levels, st.lists(levels, max_size=6), st.none() | st.floats(0, 100), st.randoms())
def test_judging_again_or_in_another_order_or_after_later_values_changes_nothing(
    level: float, before: list[float], nearby: float | None, random: object
) -> None:
    reading, previous = stage(level), past(*before)
    first = judge(reading, previous, RESERVOIR, rain_nearby_mm=nearby)
    later = [*previous, (AT, level), (AT + timedelta(minutes=5), 45.0)]
    random.shuffle(later)  # type: ignore[attr-defined]
    assert judge(reading, later, RESERVOIR, rain_nearby_mm=nearby) == first


@given(
    st.booleans(), levels, st.lists(levels, max_size=6), st.floats(0, 100), st.none() | st.integers(0, 30_000)
)
def test_where_the_rain_nearby_is_not_asked_for_it_would_change_nothing(
    wet: bool, value: float, before: list[float], nearby: float, still_s: int | None
) -> None:
    reading, limits = (rain(value), rain_limits()) if wet else (stage(value), RESERVOIR)
    since = None if still_s is None else AT - timedelta(seconds=still_s)
    previous = past(*before)[::-1]
    without = judge(reading, previous, limits, unmoved_since=since)
    if not asks_for_rain(reading, previous, limits, since):
        assert judge(reading, previous, limits, rain_nearby_mm=nearby, unmoved_since=since) == without


def test_limits_that_are_not_nested_are_refused() -> None:
    with pytest.raises(ValueError, match="not nested"):
        Limits(low=0, high=10, reject_low=1, reject_high=20)
