"""Sums of any length up to half an hour brought to 5-minute steps.

Owns how a 6-, 10- or 30-minute sum becomes 5-minute sums: all at once for a nowcast (`five_minute_grid`), piece by
piece for observations, which come one at a time (`pieces`, `cover`). Reads no format, sums nothing up (rainfall.py).

The rule: the intensity is even inside each sum. In hundredths of a mm, the part of a sum that has fallen by second
t of its L is its whole times t / L, rounded; a step holds the differences of these parts. So the parts of a sum add
up to it to the hundredth, a dry sum gives dry steps, and a step that any missing sum touches, or that is not
covered for all of its 300 s, is missing. Steps that the sums cover only partly at either edge are left out: a
nowcast issued at 17:12 begins with the step (17:15, 17:20] and counts as issued at 17:15. Where its first sums are
later than that, its first steps are missing; steps up to the issue are left out.

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
PACKING_MM: Final = 0.05  # how far two totals packed apart may disagree

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class RainSum:
    """The rain of (start_at, end_at], aware and in whole seconds: mm as (lat, lon), NaN missing."""

    start_at: datetime
    end_at: datetime
    rain_mm: Array


@dataclass(frozen=True, slots=True, eq=False)
class RainRun:
    """What a body says, before it is cut into steps: sums on one regular grid; cell centres in degrees."""

    product: Product
    issued_at: datetime
    sums: Sequence[RainSum]
    lat: Array
    lon: Array

    def grid(self) -> Grid:
        """All whole 5-minute steps in it; raises BadGrid."""
        return five_minute_grid(self.product, self.issued_at, self.sums, self.lat, self.lon)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The part of the sum over (start_at, end_at] in one slot: `grid` has that one step, named by its END."""

    start_at: datetime
    end_at: datetime
    grid: Grid

    @property
    def slot_at(self) -> datetime:
        return self.grid.issued_at

    @property
    def is_whole(self) -> bool:
        """Whether the sum is the slot: nothing was split, nothing is needed beside it."""
        return self.start_at == self.slot_at - SLOT and self.end_at == self.slot_at


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
    ordered = _checked(sums, lat, lon)
    first_at = slot_end(issued_at if product == "nowcast" else ordered[0].start_at)
    steps = (ordered[-1].end_at - first_at) // SLOT
    ends = [first_at + (step + 1) * SLOT for step in range(min(steps, MAX_STEPS))]
    covered = sum(_is_covered(ordered, end) for end in ends)
    if not covered or steps > MAX_STEPS:
        count = steps if covered else 0
        raise BadGrid(
            "time", f"covers {count} whole 5-minute steps", f"send the sums of 1 to {MAX_STEPS} in one body"
        )
    whole = [_whole(given) for given in ordered]
    rain_mm = np.stack([_step_mm(whole, end) for end in ends])
    issued = ends[-1] if product == "observed" else first_at
    grid = make_grid(product, issued, ends, lat, lon, rain_mm)
    return replace(
        grid,
        dropped=grid.dropped + sum(given.dropped for given in whole),
        spread=any(is_split(given.start_at, given.end_at) for given in ordered),
    )


def pieces(run: RainRun) -> list[Piece]:
    """Each sum of the run cut at the whole 5 minutes, in order of time; raises BadGrid like `five_minute_grid`.

    The pieces of a sum add up to it to the hundredth. Values no rain can have are counted in each piece's `dropped`.
    """
    ordered = _checked(run.sums, run.lat, run.lon)
    found: list[Piece] = []
    for given in ordered:
        whole = _whole(given)
        end = slot_end(given.start_at + timedelta(seconds=1))
        while end - SLOT < given.end_at:
            from_s, to_s = _within(given, end)
            fallen = (_part(whole, to_s) - _part(whole, from_s)) / 100.0
            mm = np.where(whole.hundredths == MISSING, np.nan, fallen)
            grid = make_grid("observed", end, [end], run.lat, run.lon, mm[None])
            split = is_split(given.start_at, given.end_at)
            found.append(
                Piece(
                    given.start_at,
                    given.end_at,
                    replace(grid, dropped=grid.dropped + whole.dropped, spread=split),
                )
            )
            end += SLOT
    if len({piece.slot_at for piece in found}) > MAX_STEPS:
        raise BadGrid("time", "covers too many steps", f"send at most {MAX_STEPS} in one body")
    return found


def cover(spans: Sequence[tuple[datetime, datetime]], slot_at: datetime) -> list[int] | None:
    """Which of the sums over `spans` (start, END) make up the slot without gap or overlap; None when none do.

    Where several choices do, the one with the least length in all, so that a sum of 5 minutes goes before two of 6;
    then the earliest. The choice depends on the set alone, never on the order in which it came.
    """
    start = slot_at - SLOT
    cut = sorted(
        (max(first, start), min(last, slot_at), last - first, first, index)
        for index, (first, last) in enumerate(spans)
        if first < slot_at and last > start
    )
    best: dict[datetime, tuple[timedelta, list[datetime], list[int]]] = {start: (timedelta(0), [], [])}
    for begins, ends, length, first, index in cut:
        if begins in best:
            before = best[begins]
            here = (before[0] + length, [*before[1], first], [*before[2], index])
            best[ends] = min(best[ends], here) if ends in best else here
    return best[slot_at][2] if slot_at in best else None


def is_split(start_at: datetime, end_at: datetime) -> bool:
    """Whether a sum lies in more than one slot, so that its rain was taken as even."""
    return slot_end(start_at + timedelta(seconds=1)) != slot_end(end_at)


def _is_covered(sums: Sequence[RainSum], slot_at: datetime) -> bool:
    """Whether the sums, which do not overlap, cover all of the slot."""
    parts = (_within(given, slot_at) for given in sums)
    return sum(max(0, to_s - from_s) for from_s, to_s in parts) == SLOT_S


def differences(sums: Sequence[RainSum]) -> Sequence[RainSum]:
    """Sums that all begin at one instant, as models write them, become what fell between their ends.

    A total that falls back by more than its packing explains (0.05 mm) leaves its interval missing. Others stay.
    """
    if len(sums) < 2 or len({given.start_at for given in sums}) > 1:
        return sums
    ordered = sorted(sums, key=lambda given: given.end_at)
    found = [ordered[0]]
    for before, after in zip(ordered, ordered[1:], strict=False):
        with np.errstate(all="ignore"):
            more_mm = np.asarray(after.rain_mm, dtype=np.float64) - before.rain_mm
            found.append(
                RainSum(
                    before.end_at,
                    after.end_at,
                    np.where(more_mm >= -PACKING_MM, np.maximum(more_mm, 0), more_mm),
                )
            )
    return found


def _checked(sums: Sequence[RainSum], lat: Array, lon: Array) -> list[RainSum]:
    """The sums in order of time; raises BadGrid on too many, overlaps and lengths we cannot place."""
    if len(lat) * len(lon) > MAX_CELLS or not 1 <= len(sums) <= MAX_SUMS:
        raise BadGrid(
            "rain", f"{len(sums)} sums of {len(lat)} x {len(lon)}", f"at most {MAX_SUMS} x {MAX_CELLS}"
        )
    if any(given.rain_mm.shape != (len(lat), len(lon)) for given in sums):
        raise BadGrid("rain", f"is not {len(lat)} x {len(lon)}", "send every sum on the same cells")
    ordered = sorted(sums, key=lambda given: given.start_at)
    for given in ordered:
        if not timedelta(0) < given.end_at - given.start_at <= MAX_LENGTH:
            raise BadGrid(
                "time", f"a sum is {given.end_at - given.start_at} long", "send sums of 1 to 30 minutes"
            )
        if given.start_at.microsecond or given.end_at.microsecond:
            raise BadGrid("time", "has fractions of a second", "send whole seconds")
    if any(after.start_at < before.end_at for before, after in zip(ordered, ordered[1:], strict=False)):
        raise BadGrid("time", "two sums overlap", "send sums of one length that follow each other")
    return ordered


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
    fallen = np.zeros_like(whole[0].hundredths)
    known = np.ones(fallen.shape, dtype=bool)
    covered_s = 0
    for given in whole:
        from_s, to_s = _within(given, end)
        if from_s < to_s:
            fallen += _part(given, to_s) - _part(given, from_s)
            known &= given.hundredths != MISSING
            covered_s += to_s - from_s
    return np.where(known & (covered_s == SLOT_S), fallen / 100.0, np.nan)


def _part(given: _Whole, by_s: int) -> NDArray[np.int32]:
    # int32 holds it: 90,000 hundredths in half an hour x 1,800 s x 2
    return (2 * given.hundredths * by_s + given.length_s) // (2 * given.length_s)


def _within(given: RainSum | _Whole, slot_at: datetime) -> tuple[int, int]:
    """From which second of the sum to which it lies in the slot; nothing when the first is not below the second."""
    from_at, to_at = max(slot_at - SLOT, given.start_at), min(slot_at, given.end_at)
    return int((from_at - given.start_at).total_seconds()), int((to_at - given.start_at).total_seconds())
