"""Rain over sliding windows of 5-minute slots.

Owns the slot arithmetic and the window sums. Does not know stations, grids or thresholds, reads no clock.
A slot is (end - 5 min, end] and is named by its END. NaN is a missing slot and is never zero rain.
Source: domain sheet 1.3 (sliding durations), house rule "a missing slot is missing, never zero".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOT_S: Final = 300
SLOT: Final = timedelta(seconds=SLOT_S)
WINDOWS_MIN: Final = (5, 10, 30, 60, 180)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Sums are rounded to a thousandth of a mm, far below any gauge or packed grid (0.1 and 0.01 mm): float noise
# must not decide whether 20 mm were reached.
_DECIMALS: Final = 3

Floats = NDArray[np.floating]


def slot_end(at: datetime) -> datetime:
    """The END of the 5-minute slot (t - 5 min, t] that the aware instant `at` belongs to, in UTC."""
    return _EPOCH + -((_EPOCH - at) // SLOT) * SLOT


def lay_slots(by_end: Mapping[datetime, Floats], *, last_end: datetime, slots: int, places: int) -> Floats:
    """Rows (slot, place) for the `slots` slots up to and including `last_end`; a slot not given is NaN.

    Rows are found by their END, so the order in which they arrived does not matter.
    """
    laid = np.full((slots, places), np.nan)
    for back in range(slots):
        row = by_end.get(last_end - back * SLOT)
        if row is not None:
            laid[slots - 1 - back] = row
    return laid


def sliding_sums(mm: Floats, windows: Sequence[int] = WINDOWS_MIN) -> tuple[Floats, Floats]:
    """Sums over the last `w` minutes up to the last row, for each window of `windows` (minutes).

    `mm` is (slot, place), oldest first. Returns (window, place) sums in mm and the share of the window's
    slots that were present, 0..1; slots before the first row are missing. A sum counts what is present, and
    is NaN only where nothing is. Sums never shrink as the window grows. Raises ValueError on a window that
    is not whole slots.
    """
    lengths = np.array([_slots_in(window) for window in windows], dtype=np.intp)
    newest_first = np.asarray(mm, dtype=np.float64)[::-1]
    present = ~np.isnan(newest_first)
    rows = np.minimum(lengths, len(newest_first))
    sums = _padded_cumsum(np.where(present, newest_first, 0.0))[rows]
    counts = _padded_cumsum(present.astype(np.float64))[rows]
    return np.where(counts > 0, np.round(sums, _DECIMALS), np.nan), counts / lengths[:, None]


def sliding_maxima(mm: Floats, window_slots: int) -> Floats:
    """The largest sum over any `window_slots` consecutive slots of the whole series, per place, in mm.

    `mm` is (slot, place). Missing slots add nothing; NaN only where no slot is present. A series shorter
    than the window gives its total. Raises ValueError when `window_slots` < 1.
    """
    if window_slots < 1:
        raise ValueError(f"a window has at least one slot, not {window_slots}")
    series = np.asarray(mm, dtype=np.float64)
    present = ~np.isnan(series)
    totals = _padded_cumsum(np.where(present, series, 0.0))
    reach = min(window_slots, len(series))
    sums = totals[reach:] - totals[: len(totals) - reach]
    return np.where(present.any(axis=0), np.round(sums.max(axis=0), _DECIMALS), np.nan)


def _padded_cumsum(rows: Floats) -> Floats:
    padded = np.zeros((len(rows) + 1, *rows.shape[1:]))
    np.cumsum(rows, axis=0, out=padded[1:])
    return padded


def _slots_in(window_min: int) -> int:
    slots, rest_s = divmod(window_min * 60, SLOT_S)
    if slots < 1 or rest_s:
        raise ValueError(f"a window is whole 5-minute slots, not {window_min} min")
    return slots
