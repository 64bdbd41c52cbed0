"""The stand-ins on the ground: buckets that lose no water, levels that follow the rain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from replay.ground import Catchments, Floats, cells_under, rain_around, reservoirs, rivers, tide_m, tip
from replay.storm_2023 import CORE_H, LAT, LON, rain_2023, slot

RAIN = arrays(np.float64, (24, 3), elements=st.floats(0, 20))


LIMIT_M = np.linspace(20, 80, 177)
DAMS = reservoirs(LIMIT_M, LIMIT_M - 8, LIMIT_M + 0.2, np.arange(177) % 5 == 0)
WARNING_M = np.linspace(5, 30, 119)
STREAMS = rivers(WARNING_M, WARNING_M - 4)


@given(RAIN)
def test_a_bucket_reports_all_the_rain_but_the_last_unfinished_tip(rain_mm: Floats) -> None:
    carry, reported = np.zeros(3), np.zeros(3)
    for step in rain_mm:
        tips, carry = tip(step, carry)
        assert np.allclose(tips * 10, np.rint(tips * 10)) and (tips >= 0).all()
        reported += tips
    assert np.allclose(reported + carry, rain_mm.sum(axis=0))
    assert (carry < 0.1).all()


def test_whole_tips_pass_a_bucket_unchanged_even_as_32_bit_numbers() -> None:
    rain_mm = np.round(np.arange(0, 300) * 0.1, 1)
    reported, _ = tip(rain_mm.astype(np.float32).astype(np.float64), np.zeros(300))
    assert np.array_equal(reported, rain_mm)


def test_missing_rain_is_reported_missing_and_stays_out_of_the_bucket() -> None:
    reported, carry = tip(np.array([np.nan, 0.06]), np.array([0.05, 0.05]))
    assert np.isnan(reported[0]) and reported[1] == 0.1
    assert carry == pytest.approx([0.05, 0.01])


def test_a_point_outside_the_grid_is_named() -> None:
    with pytest.raises(ValueError, match=r"point 1 \(lon 120\.0"):
        cells_under(LAT, LON, [22.6, 22.6], [114.0, 120.0])


def test_missing_cells_do_not_count_in_the_rain_around_a_point() -> None:
    field = np.full((60, 160), 2.0)
    field[0, 0] = np.nan
    cells = (np.array([0, 1, 30]), np.array([0, 1, 80]))
    assert np.array_equal(rain_around(field, cells), [2.0, 2.0, 2.0])
    assert np.isnan(rain_around(np.full((60, 160), np.nan), cells)).all()


@given(RAIN, arrays(np.float64, (24, 3), elements=st.floats(0, 5)))
def test_more_rain_never_gives_a_lower_level(rain_mm: Floats, more_mm: Floats) -> None:
    for model in (
        reservoirs(
            np.array([30.0] * 3), np.array([20.0] * 3), np.array([30.2] * 3), np.array([True, False, False])
        ),
        rivers(np.array([5.0, 6.0, 7.0]), np.array([1.0, 2.0, 3.0])),
    ):
        less, more = model.calm(), model.calm()
        for rain, extra in zip(rain_mm, more_mm, strict=True):
            lower_m, less = model.levels(rain, less)
            higher_m, more = model.levels(rain + extra, more)
            assert (higher_m >= lower_m - 1e-9).all()


@pytest.mark.parametrize("model", [DAMS, STREAMS])
def test_without_rain_the_water_stays_calm(model: Catchments) -> None:
    water = model.calm()
    for _ in range(288):
        stage_m, water = model.levels(np.zeros(len(model.calm_m)), water)
    assert np.array_equal(stage_m, model.calm_m)


def test_calm_water_stands_under_its_limit() -> None:
    assert (DAMS.calm_m < LIMIT_M - 0.25).all()
    assert (STREAMS.calm_m < WARNING_M - 1).all()


def test_a_river_falls_back_after_the_rain_and_a_reservoir_keeps_its_water() -> None:
    dams = reservoirs(np.array([30.0]), np.array([20.0]), np.array([30.2]), np.array([False]))
    streams = rivers(np.array([5.0]), np.array([1.0]))
    for model, keeps in ((dams, True), (streams, False)):
        water = model.calm()
        for step in range(12 + 288):
            stage_m, water = model.levels(np.array([8.0 if step < 12 else 0.0]), water)
        risen_m = float(stage_m[0] - model.calm_m[0])
        assert (risen_m > 0.1) is keeps


def test_in_the_night_of_2023_some_objects_pass_their_limit_and_most_do_not() -> None:
    """Published at 14:00: 26 of 177 reservoirs over their limit, 6 of 119 river posts over their warning."""
    rng = np.random.default_rng(1)
    cells = cells_under(LAT, LON, rng.uniform(22.54, 22.80, 296), rng.uniform(113.80, 114.45, 296))
    pool, channel = DAMS.calm(), STREAMS.calm()
    pools_m, channels_m = [], []
    for field in rain_2023()[slot(CORE_H) :]:
        rain_mm = rain_around(field, cells)
        pool_m, pool = DAMS.levels(rain_mm[:177], pool)
        channel_m, channel = STREAMS.levels(rain_mm[177:], channel)
        pools_m.append(pool_m - LIMIT_M)
        channels_m.append(channel_m - WARNING_M)
    assert 10 <= (np.max(pools_m, axis=0) > 0).sum() <= 60
    assert 2 <= (np.max(channels_m, axis=0) > 0).sum() <= 30
    assert np.abs(np.diff(channels_m, axis=0)).max() < 0.8  # a jump that quality control would suspect


def test_a_tide_comes_twice_a_day_and_only_the_first_post_is_near_its_warning() -> None:
    warning_m = np.full(4, 2.3)
    stage_m = np.array([tide_m(warning_m, n * 300.0) for n in range(288)])
    peaks = (stage_m[1:-1, 0] > stage_m[:-2, 0]) & (stage_m[1:-1, 0] >= stage_m[2:, 0])
    assert peaks.sum() in (1, 2)
    assert np.ptp(stage_m, axis=0) == pytest.approx(2.0, abs=0.01)
    assert (stage_m < warning_m).all()
    assert list(stage_m.max(axis=0) > warning_m - 0.3) == [True, False, False, False]
