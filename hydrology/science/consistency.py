"""A reading held against what others say: neighbouring gauges, the field over it, its own sums, its post's clock.

Owns the doubts that need more than the station's own past (quality.py). Each answer is a reason that begins with the
name of its check, or nothing; a doubt makes a value SUSPECT, never WRONG. Rows are 5-minute slots, oldest first; NaN
is missing and never zero. The same rows give the same doubts, so they can be judged again at any time. Sources:
domain sheet 5.1 (buddy check with radar echo; 0 while three neighbours have 10 mm/h; sums within 0.2 mm; clock
drift of 5 minutes); the figures of the lone gauge are design values, measured by tests/benchmarks/quality.py.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hydrology.science.grids import KM_PER_DEGREE
from hydrology.science.rainfall import SLOT_S, slot_end

Floats = NDArray[np.floating]

REACH_KM: Final = 8.0
LEAST_NEIGHBOURS: Final = 3
LONE_MM: Final = 5.0
"""Rain in 5 minutes from which a gauge must not be alone: the lowest mark that warns."""
FAR: Final = 4.0
"""A gauge is far above the others at more than so many times the highest of them."""
DRY_MM: Final = 0.5
RECENT_SLOTS: Final = 3
"""Cells move some 8 km in 15 minutes: what fell around within that time counts as being there."""
CLOGGED_SLOTS: Final = 6
HEAVY_MM: Final = 10.0 * SLOT_S / 3600
CLOGGED_MM: Final = HEAVY_MM * CLOGGED_SLOTS
"""10 mm/h for the half hour in which the gauge said 0."""
FIELD_REACH_KM: Final = 3.0
SUM_TOLERANCE_MM: Final = 0.2
DRIFT_ALLOWED: Final = timedelta(minutes=5)
LEAST_CLOCKS: Final = 5
_ZONE: Final = timedelta(hours=1)
_ON_THE_HOUR: Final = timedelta(minutes=2)

NEIGHBOURS, RADAR, SUM, CLOCK = "neighbours", "radar", "sum", "clock"
AGAINST_OTHERS: Final = frozenset({NEIGHBOURS, RADAR, "stuck"})
"""Checks whose answer changes with rows that come later: whoever sees more judges again."""


def check_of(why: str) -> str:
    """The name of the check a reason comes from."""
    return why.partition(":")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Observed rain of every slot: mm as (slot, lat, lon); axes in degrees, evenly spaced, as in grids.Grid."""

    mm: Floats
    lat: Floats
    lon: Floats

    def around(self, at_lat: float, at_lon: float, reach_km: float) -> Floats:
        """(slot, cell) of the cells within a square of `reach_km` around the point; no column outside the grid."""
        rows = _within(self.lat, at_lat, reach_km / KM_PER_DEGREE)
        columns = _within(self.lon, at_lon, reach_km / KM_PER_DEGREE / float(np.cos(np.radians(at_lat))))
        part = self.mm[:, rows, columns]
        return np.asarray(part.reshape(len(part), part.shape[1] * part.shape[2]))

    @property
    def wettest_mm(self) -> float:
        """The highest 5-minute value anywhere; 0 where nothing is known."""
        return float(np.nan_to_num(self.mm).max(initial=0.0))


def _within(axis: Floats, at: float, reach: float) -> slice:
    spacing = float(axis[1] - axis[0])
    centre = round((at - float(axis[0])) / spacing)
    cells = max(1, int(reach / abs(spacing)))
    if not 0 <= centre < len(axis):
        return slice(0, 0)
    return slice(max(0, centre - cells), centre + cells + 1)


def doubted_rain(
    mm: Floats, lat: Sequence[float] | Floats, lon: Sequence[float] | Floats, field: Field | None
) -> dict[tuple[int, int], str]:
    """Why which 5-minute values of `mm` (slot, gauge) are doubted; keys are (slot, gauge).

    Values not to be believed at all are left out by the caller (NaN). `field` has the same slots, None: no field.
    A value is doubted when it is alone (at least three neighbours within 8 km and what is known of the field all far
    below it), high under a dry field, or 0 for half an hour under rain of 10 mm/h, in the field or at three neighbours.
    """
    found: dict[tuple[int, int], str] = {}
    if not mm.size:
        return found
    half_hour = _last_sums(mm, CLOGGED_SLOTS)
    high = mm >= LONE_MM
    idle = half_hour == 0
    somewhere_wet = bool(
        (half_hour >= CLOGGED_MM).any() or (field is not None and field.wettest_mm >= HEAVY_MM)
    )
    at_lat, at_lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    for gauge in np.flatnonzero(high.any(axis=0) | (idle.any(axis=0) & somewhere_wet)).tolist():
        near = _neighbours(gauge, at_lat, at_lon)
        over = field.around(at_lat[gauge], at_lon[gauge], FIELD_REACH_KM) if field is not None else None
        for slot in np.flatnonzero(high[:, gauge]).tolist():
            if why := _lone(float(mm[slot, gauge]), _recent(mm[:, near], slot), _recent(over, slot)):
                found[slot, gauge] = why
        if not idle[:, gauge].any():
            continue
        under = field.around(at_lat[gauge], at_lon[gauge], 0.0) if field is not None else None
        for slot, why in _clogged(idle[:, gauge], half_hour[:, near], under):
            found[slot, gauge] = why
    return found


def _neighbours(gauge: int, lat: Floats, lon: Floats) -> NDArray[np.intp]:
    north = (lat - lat[gauge]) * KM_PER_DEGREE
    east = (lon - lon[gauge]) * KM_PER_DEGREE * np.cos(np.radians(lat[gauge]))
    near = np.hypot(north, east) <= REACH_KM
    near[gauge] = False
    return np.flatnonzero(near)


def _recent(rows: Floats | None, slot: int) -> Floats | None:
    return None if rows is None else rows[max(0, slot + 1 - RECENT_SLOTS) : slot + 1]


def _lone(value: float, near: Floats | None, over: Floats | None) -> str:
    """Far above everything around within the last 15 minutes; a field that was seen in two slots of three counts."""
    cells_mm = _highest(over, least_rows=RECENT_SLOTS - 1)
    if cells_mm is not None and cells_mm <= DRY_MM:
        return f"{RADAR}: {value:g} mm under {cells_mm:.1f} mm within {FIELD_REACH_KM:g} km"
    if near is None or int((~np.isnan(near)).any(axis=0).sum()) < LEAST_NEIGHBOURS:
        return ""
    near_mm = _highest(near, least_rows=1) or 0.0
    others_mm = max(near_mm, cells_mm or 0.0)
    if value <= FAR * others_mm or (cells_mm is None and near_mm > DRY_MM):
        return ""  # without a field only a gauge among dry ones is alone
    return f"{NEIGHBOURS}: {value:g} mm, none around above {others_mm:.1f} mm"


def _highest(rows: Floats | None, least_rows: int) -> float | None:
    if rows is None or not rows.size or int((~np.isnan(rows)).any(axis=1).sum()) < least_rows:
        return None
    return float(np.nanmax(rows))


def _clogged(idle: NDArray[np.bool_], near_sums: Floats, under: Floats | None) -> Iterator[tuple[int, str]]:
    """Slots at which the gauge had said 0 for half an hour while it rained on it, by the field or by its neighbours."""
    wet = (near_sums >= CLOGGED_MM).sum(axis=1)
    by_neighbours = (wet >= LEAST_NEIGHBOURS) & (2 * wet > (~np.isnan(near_sums)).sum(axis=1))
    least_mm, by_field = np.zeros(len(idle)), np.zeros(len(idle), dtype=bool)
    if under is not None and under.shape[1]:
        known = ~np.isnan(under)
        least_mm = _window_sums(np.where(known, under, 0.0)).min(axis=1)
        seen = _window_sums(np.asarray(known.all(axis=1), np.float64))
        there = seen >= CLOGGED_SLOTS - 1  # the newest frame often comes after the gauges
        by_field = there & (least_mm >= HEAVY_MM * seen)
        by_neighbours &= ~there  # else the field knows better
    for slot in np.flatnonzero(idle & (by_field | by_neighbours)).tolist():
        if by_field[slot]:
            yield slot, f"{RADAR}: 0 mm for 30 min under {least_mm[slot]:.1f} mm"
        else:
            yield slot, f"stuck: 0 mm for 30 min, {wet[slot]} neighbours above {CLOGGED_MM:g} mm"


def _window_sums(rows: Floats) -> Floats:
    """Sum of up to CLOGGED_SLOTS rows up to each row; without NaN."""
    totals = np.concatenate([np.zeros((CLOGGED_SLOTS, *rows.shape[1:])), np.cumsum(rows, axis=0)])
    return np.asarray(totals[CLOGGED_SLOTS:] - totals[:-CLOGGED_SLOTS])


def _last_sums(mm: Floats, slots: int) -> Floats:
    """Sum of the last `slots` rows up to each row; NaN where one of them is missing."""
    sums = np.full(mm.shape, np.nan)
    if len(mm) >= slots:
        sums[slots - 1 :] = np.lib.stride_tricks.sliding_window_view(mm, slots, axis=0).sum(axis=-1)
    return sums


def doubted_sum(sum_mm: float, duration_s: int, parts: Sequence[tuple[int, float]]) -> str:
    """Why a rain sum over `duration_s` contradicts its parts [(duration_s, mm)], which lie inside it; else nothing.

    Parts that cover it must add up to it, others must not exceed it; 0.2 mm are forgiven. (PJ >= P1 >= PN05.)
    """
    covered_s, parts_mm = sum(length for length, _ in parts), sum(mm for _, mm in parts)
    over_mm = parts_mm - sum_mm
    if over_mm > SUM_TOLERANCE_MM + 1e-9:
        return f"{SUM}: {sum_mm:g} mm in {duration_s} s, but {parts_mm:.1f} mm in parts of it"
    if covered_s == duration_s and -over_mm > SUM_TOLERANCE_MM + 1e-9:
        return f"{SUM}: {sum_mm:g} mm in {duration_s} s, but its parts have {parts_mm:.1f} mm"
    return ""


def common_instant(newest: Iterable[datetime]) -> datetime | None:
    """The instant (to the minute) that most stations of a post speak of, given the newest instant of each; None when
    fewer than five do, or not most of them."""
    told = Counter(_minute(at) for at in newest)
    common, count = max(told.items(), key=lambda item: (item[1], item[0]), default=(None, 0))
    return common if count >= LEAST_CLOCKS and 2 * count > told.total() else None


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def doubted_clock(at: datetime, common: datetime) -> str:
    """Why a clock that says `at` where its post says `common` is doubted; else nothing.

    Whole hours behind is a fault of the time zone; more than 5 minutes and off the 5-minute steps is drift. Others
    that are behind are merely late.
    """
    behind = common - at
    hours = round(behind / _ZONE)
    if hours > 0 and abs(behind - hours * _ZONE) <= _ON_THE_HOUR:
        return f"{CLOCK}: {hours} h behind its post, a fault of the time zone"
    if abs(behind) > DRIFT_ALLOWED and slot_end(at) != at:
        return f"{CLOCK}: {behind.total_seconds():.0f} s behind its post and off the 5 minutes"
    return ""
