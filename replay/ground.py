"""What a storm does on the ground: tips of rain gauges, stages of reservoirs and rivers; and a tide that knows no storm.

Owns the stand-in for the instruments of a replay; knows no storm (storms.py), no rows, no network
(player.py). The water is SYNTHETIC: two linear reservoirs in series (slope, then pool or channel),
parameters drawn from each object's own limits and so chosen that in a storm like that of 7-8 September
2023 some objects pass their limit and most do not. It forecasts nothing and describes no real catchment.

Arrays have one entry per gauge or object. NaN is missing rain: never zero in a gauge, none on a slope.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Cells = tuple[NDArray[np.intp], NDArray[np.intp]]

STEP_S = 300.0
TIP_MM = 0.1
TIDE_S = 12.4206 * 3600  # M2, the moon's half day
GOLDEN = 0.6180339887498949  # spreads consecutive objects evenly over their ranges, without chance


def cells_under(lat: ArrayLike, lon: ArrayLike, at_lat: ArrayLike, at_lon: ArrayLike) -> Cells:
    """Rows and columns of the cells that hold the points; lat and lon are evenly spaced, either way up.

    Raises ValueError naming the first point outside the grid.
    """
    rows = _index(np.asarray(lat, np.float64), np.asarray(at_lat, np.float64))
    columns = _index(np.asarray(lon, np.float64), np.asarray(at_lon, np.float64))
    outside = (rows < 0) | (rows >= np.size(lat)) | (columns < 0) | (columns >= np.size(lon))
    if outside.any():
        n = int(outside.argmax())
        raise ValueError(f"point {n} (lon {np.ravel(at_lon)[n]}, lat {np.ravel(at_lat)[n]}) is off the grid")
    return rows, columns


def _index(axis: Floats, at: Floats) -> NDArray[np.intp]:
    index: NDArray[np.intp] = np.rint((np.atleast_1d(at) - axis[0]) / (axis[1] - axis[0])).astype(np.intp)
    return index


def rain_at(rain_mm: NDArray[np.floating], cells: Cells) -> Floats:
    """Rain (mm) of a field (lat, lon) in these cells."""
    return np.asarray(rain_mm[cells], np.float64)


def rain_around(rain_mm: NDArray[np.floating], cells: Cells, reach: int = 2) -> Floats:
    """Mean rain (mm) of the cells within `reach` of each; cells missing or off the grid do not count."""
    padded = np.pad(np.asarray(rain_mm, np.float64), reach, constant_values=np.nan)
    squares = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))[cells]
    known = np.isfinite(squares)
    amount, count = np.where(known, squares, 0.0).sum(axis=(1, 2)), known.sum(axis=(1, 2))
    mean: Floats = np.divide(amount, count, out=np.full(len(amount), np.nan), where=count > 0)
    return mean


def tip(rain_mm: Floats, carry_mm: Floats) -> tuple[Floats, Floats]:
    """What 0.1 mm tipping buckets report for one step, and what stays in them for the next (at first 0).

    Sums of reports never drift from the rain by more than one tip. Missing rain is reported missing (NaN) and
    leaves the bucket as it was. The thousandth of a tip forgives binary fractions: 8.2 mm is 82 tips.
    """
    held_mm = np.where(np.isfinite(rain_mm), rain_mm, 0.0) + carry_mm
    tips = np.floor(held_mm / TIP_MM + 0.001)
    reported = np.where(np.isfinite(rain_mm), np.round(tips * TIP_MM, 1), np.nan)
    return reported, held_mm - tips * TIP_MM


@dataclass(frozen=True, slots=True)
class Water:
    """Where the water stands now."""

    slope_mm: Floats  # rain still on its way down
    stage_m: Floats


@dataclass(frozen=True, slots=True)
class Catchments:
    """Reservoirs and rivers that rise with the rain around them and fall back towards `outlet_m`.

    Above `outlet_m` the excess drains with `drain_s`: a river to its calm stage, an ungated reservoir over
    its weir, a gated one through its gates above the flood limit.
    """

    calm_m: Floats  # stage before the storm
    rise_m_per_mm: Floats  # per mm of runoff
    slope_s: Floats  # how long runoff takes to arrive
    outlet_m: Floats
    drain_s: Floats

    def calm(self) -> Water:
        return Water(np.zeros_like(self.calm_m), self.calm_m.copy())

    def levels(self, rain_mm: Floats, water: Water) -> tuple[Floats, Water]:
        """Stages (m) after 5 minutes with this rain (mm per object); more rain never gives a lower stage."""
        slope_mm = water.slope_mm + np.where(np.isfinite(rain_mm), rain_mm, 0.0)
        arriving_mm = slope_mm * -np.expm1(-STEP_S / self.slope_s)
        stage_m = water.stage_m + arriving_mm * self.rise_m_per_mm
        drained_m = np.maximum(stage_m - self.outlet_m, 0.0) * -np.expm1(-STEP_S / self.drain_s)
        stage_m = np.subtract(stage_m, drained_m, dtype=np.float64)
        return stage_m, Water(slope_mm - arriving_mm, stage_m)


def reservoirs(limit_m: Floats, dead_m: Floats, weir_m: Floats, gated: NDArray[np.bool_]) -> Catchments:
    """Reservoirs that stand under their flood limit by up to 2 m and reach it after 150 to 900 mm of rain.

    limit_m: 汛限水位 of the season; weir_m: crest of the free overflow (正常蓄水位).
    """
    freeboard_m = np.minimum(0.3 * (limit_m - dead_m), 0.3 + 1.7 * _spread(len(limit_m), 0.3))
    fill_mm = 150 + 750 * _spread(len(limit_m), 0.0)
    return Catchments(
        calm_m=limit_m - freeboard_m,
        rise_m_per_mm=freeboard_m / fill_mm,
        slope_s=np.full(len(limit_m), 5400.0),
        outlet_m=np.where(gated, limit_m, np.maximum(limit_m, weir_m)),
        drain_s=np.where(gated, 12 * 3600.0, 3 * 3600.0),
    )


def rivers(warning_m: Floats, bed_m: Floats) -> Catchments:
    """Rivers at a third of their warning depth (警戒水位 over bed), reached with 85-285 mm in the channel."""
    calm_m = bed_m + (warning_m - bed_m) / 3
    return Catchments(
        calm_m=calm_m,
        rise_m_per_mm=(warning_m - calm_m) / (85 + 200 * _spread(len(warning_m), 0.0)),
        slope_s=np.full(len(warning_m), 3600.0),
        outlet_m=calm_m,
        drain_s=np.full(len(warning_m), 3 * 3600.0),
    )


def tide_m(warning_m: Floats, at_s: float) -> Floats:
    """Stage (m) of tide posts at an instant (seconds, POSIX): half-daily, mean to peak 1 m, the first nearest to 警戒.

    No surge, no neap: it only gives the tide posts something to show. High water stays 0.15 to 1.15 m under 警戒.
    """
    high_m = warning_m - 0.15 - _spread(len(warning_m), 0.0)
    return np.asarray(high_m - 1.0 + np.cos(2 * np.pi * at_s / TIDE_S), np.float64)


def _spread(count: int, start: float) -> Floats:
    """Evenly spread numbers in [0, 1), neighbours far apart."""
    return np.asarray((start + GOLDEN * np.arange(count)) % 1.0, np.float64)
