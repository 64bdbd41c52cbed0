"""Sums of any length up to half an hour brought to 5-minute steps.

Owns how a 6-, 10- or 30-minute sum becomes 5-minute sums. Reads no format, sums nothing up again (rainfall.py).

The rule: the intensity is even inside each sum. In hundredths of a mm, the part of a sum that has fallen by second
t of its L is its whole times t / L, rounded; a step holds the differences of these parts. So the parts of a sum add
up to it to the hundredth, a dry sum gives dry steps, and a step that any missing sum touches, or that is not
covered for all of its 300 s, is missing. Steps that the sums cover only partly at either edge are left out: a
nowcast issued at 17:12 begins with the step (17:15, 17:20] and counts as issued at 17:15.

Its limits: a peak shorter than a sum is flattened, so 5-minute steps out of half-hour sums are a lower bound of the
heaviest 5 minutes. The largest sum over a window is never above the true one where the window divides L or is a
multiple of it; for other windows (40 minutes out of half hours) two bursts may be brought closer than they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydrology.science.grids import (
    MAX_CELLS,
    MAX_STEP_MM,
    MAX_STEPS,
    MISSING,
    BadGrid,
    Grid,
    Product,
    make_grid,
)
from hydrology.science.rainfall import SLOT, SLOT_S, slot_end

MAX_LENGTH: Final = timedelta(minutes=30)
MAX_SUMS: Final = 240  # four hours by the minute

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class RainSum:
    """The rain of (start_at, end_at], aware and in whole seconds: mm as (lat, lon), NaN missing."""

    start_at: datetime
    end_at: datetime
    rain_mm: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A sum in hundredths of a mm (int32, MISSING where it is)."""

    start_at: datetime
    end_at: datetime
    length_s: int
    hundredths: NDArray[np.int32]
    dropped: int


def five_minute_grid(
    product: Product, issued_at: datetime, sums: Sequence[RainSum], lat: Array, lon: Array
) -> Grid:
    """The grid of the whole 5-minute steps that `sums` cover, in any order, gaps allowed.

    A nowcast counts as issued at the first whole 5 minutes from `issued_at` on, an observation at its last step.
    Values outside 0 and 150 mm for every 5 minutes of their sum become missing and are counted in `dropped`.
    Raises BadGrid on overlaps, on sums longer than half an hour, and where no whole step is covered.
    """
    if len(lat) * len(lon) > MAX_CELLS or not 1 <= len(sums) <= MAX_SUMS:
        raise BadGrid(
            "rain", f"{len(sums)} sums of {len(lat)} x {len(lon)}", f"at most {MAX_SUMS} x {MAX_CELLS}"
        )
    if any(given.rain_mm.shape != (len(lat), len(lon)) for given in sums):
        raise BadGrid("rain", f"is not {len(lat)} x {len(lon)}", "send every sum on the same cells")
    ordered = sorted(sums, key=lambda given: given.start_at)
    _check_times(ordered)
    first_at = slot_end(ordered[0].start_at)
    steps = (ordered[-1].end_at - first_at) // SLOT
    if not 1 <= steps <= MAX_STEPS:
        raise BadGrid(
            "time", f"covers {steps} whole 5-minute steps", f"send the sums of 1 to {MAX_STEPS} in one body"
        )
    whole = [_whole(given) for given in ordered]
    ends = [first_at + (step + 1) * SLOT for step in range(steps)]
    rain_mm = np.stack([_step_mm(whole, end) for end in ends])
    issued = ends[-1] if product == "observed" else slot_end(issued_at)
    grid = make_grid(product, issued, ends, lat, lon, rain_mm)
    return replace(grid, dropped=grid.dropped + sum(given.dropped for given in whole))


def _check_times(ordered: Sequence[RainSum]) -> None:
    for given in ordered:
        if not timedelta(0) < given.end_at - given.start_at <= MAX_LENGTH:
            raise BadGrid(
                "time", f"a sum is {given.end_at - given.start_at} long", "send sums of 1 to 30 minutes"
            )
        if given.start_at.microsecond or given.end_at.microsecond:
            raise BadGrid("time", "has fractions of a second", "send whole seconds")
    if any(after.start_at < before.end_at for before, after in zip(ordered, ordered[1:], strict=False)):
        raise BadGrid("time", "two sums overlap", "send sums of one length that follow each other")


def _whole(given: RainSum) -> _Whole:
    length_s = int((given.end_at - given.start_at).total_seconds())
    most = MAX_STEP_MM * 100 * max(1.0, length_s / SLOT_S)
    with np.errstate(all="ignore"):  # absurd values end as missing
        scaled = np.rint(np.asarray(given.rain_mm, dtype=np.float64) * 100)
        usable = (scaled >= 0) & (scaled <= most)
    dropped = int(np.count_nonzero(~usable & ~np.isnan(scaled)))
    return _Whole(
        given.start_at, given.end_at, length_s, np.where(usable, scaled, MISSING).astype(np.int32), dropped
    )


def _step_mm(whole: Sequence[_Whole], end: datetime) -> NDArray[np.float64]:
    """The rain of (end - 5 min, end], NaN where a part of it is not known."""
    start = end - SLOT
    fallen = np.zeros_like(whole[0].hundredths)
    known = np.ones(fallen.shape, dtype=bool)
    covered_s = 0
    for given in whole:
        from_s = _seconds(max(start, given.start_at) - given.start_at)
        to_s = _seconds(min(end, given.end_at) - given.start_at)
        if from_s < to_s:
            fallen += _part(given, to_s) - _part(given, from_s)
            known &= given.hundredths != MISSING
            covered_s += to_s - from_s
    return np.where(known & (covered_s == SLOT_S), fallen / 100.0, np.nan)


def _part(given: _Whole, by_s: int) -> NDArray[np.int32]:
    # int32 holds it: 90,000 hundredths in half an hour x 1,800 s x 2
    return (2 * given.hundredths * by_s + given.length_s) // (2 * given.length_s)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
