"""Sliding rain sums: whole slots, missing never zero, nothing lost to float noise."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.rainfall import (
    SLOT,
    WINDOWS_MIN,
    lay_slots,
    sliding_maxima,
    sliding_sums,
    slot_end,
)

END = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
hundredths = st.integers(0, 1500).map(lambda n: n / 100) | st.just(np.nan)
series = st.tuples(st.integers(0, 50), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=hundredths)
)


def column(*mm: float) -> NDArray[np.float64]:
    return np.array(mm, dtype=np.float64)[:, None]


def test_a_slot_holds_its_end_and_not_its_start() -> None:
    assert slot_end(END) == END
    assert slot_end(END + timedelta(microseconds=1)) == END + SLOT
    assert slot_end(END + SLOT) == END + SLOT


@given(st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)), st.integers(-12, 14))
def test_every_instant_lies_in_the_five_minutes_before_its_slot_end(at: datetime, zone_h: int) -> None:
    zoned = at.replace(tzinfo=timezone(timedelta(hours=zone_h)))
    end = slot_end(zoned)
    assert end - SLOT < zoned <= end
    assert end.timestamp() % 300 == 0
    assert slot_end(end) == end


def test_missing_slot_is_not_zero_rain() -> None:
    sums, shares = sliding_sums(column(4.0, np.nan, 2.0), windows=(5, 10, 15))
    assert sums.ravel().tolist() == [2.0, 2.0, 6.0]
    assert shares.ravel().tolist() == [1.0, 0.5, 2 / 3]


def test_a_place_that_sent_nothing_has_no_sum() -> None:
    sums, shares = sliding_sums(np.full((36, 2), np.nan))
    assert np.isnan(sums).all()
    assert not shares.any()


def test_slots_before_the_first_row_are_missing() -> None:
    sums, shares = sliding_sums(column(1.0, 1.0), windows=(180,))
    assert sums.item() == 2.0
    assert shares.item() == pytest.approx(2 / 36)


def test_twenty_millimetres_in_tenths_are_twenty_millimetres() -> None:
    hour = np.full((12, 1), np.float32(5 / 3)).round(2)
    assert sliding_sums(column(*[0.1] * 3), windows=(15,))[0].item() == 0.3
    assert sliding_sums(hour, windows=(60,))[0].item() == 20.04
    assert sliding_maxima(hour, 12).item() == 20.04


@given(series)
def test_sums_and_shares_are_those_counted_by_hand(mm: NDArray[np.float64]) -> None:
    sums, shares = sliding_sums(mm)
    for row, window_min in enumerate(WINDOWS_MIN):
        slots = window_min // 5
        last = mm[max(0, len(mm) - slots) :]
        for place in range(mm.shape[1]):
            present = [value for value in last[:, place] if not np.isnan(value)]
            assert shares[row, place] == pytest.approx(len(present) / slots)
            if present:
                assert sums[row, place] == round(sum(present), 2)
            else:
                assert np.isnan(sums[row, place])


@given(series)
def test_sums_never_shrink_as_the_window_grows(mm: NDArray[np.float64]) -> None:
    sums, _ = sliding_sums(mm)
    known = np.nan_to_num(sums)
    assert (np.diff(known, axis=0) >= 0).all()


@given(series, st.integers(1, 40))
def test_maxima_are_the_largest_of_the_sums_at_every_slot(mm: NDArray[np.float64], slots: int) -> None:
    maxima = sliding_maxima(mm, slots)
    at_each = [sliding_sums(mm[: end + 1], windows=(slots * 5,))[0][0] for end in range(len(mm))]
    expected = np.fmax.reduce(at_each) if at_each else np.full(mm.shape[1], np.nan)
    np.testing.assert_array_equal(maxima, expected)


@given(st.permutations(range(8)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    rows = {END - back * SLOT: np.array([float(back)]) for back in order if back != 3}
    laid = lay_slots(rows, last_end=END, slots=6, places=1)
    np.testing.assert_array_equal(laid.ravel(), [5, 4, np.nan, 2, 1, 0])


@pytest.mark.parametrize("window_min", [0, -5, 7])
def test_a_window_is_whole_slots(window_min: int) -> None:
    with pytest.raises(ValueError, match="whole 5-minute slots"):
        sliding_sums(column(1.0), windows=(window_min,))


def test_a_maximum_needs_a_slot() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        sliding_maxima(column(1.0), 0)
