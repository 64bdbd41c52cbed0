"""Sums of 6, 10 and 30 minutes in 5-minute steps: nothing added, nothing lost, nothing made up."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.cadence import RainRun, RainSum, cover, differences, five_minute_grid, pieces
from hydrology.science.grids import BadGrid, Grid, Product

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LAT, LON = np.array([22.6, 22.5]), np.array([114.1, 114.2, 114.3])
amounts = st.integers(0, 2_900).map(lambda n: n / 100)
Rain = NDArray[np.float64]


def field(*cells: float) -> Rain:
    return np.array([*cells, *[0.0] * (6 - len(cells))]).reshape(2, 3)


def sums_of(minutes: int, fields: list[Rain] | Rain, start_at: datetime = AT) -> list[RainSum]:
    length = minutes * MINUTE
    return [RainSum(start_at + n * length, start_at + (n + 1) * length, mm) for n, mm in enumerate(fields)]


def steps_of(sums: list[RainSum], product: Product = "nowcast", issued_at: datetime = AT) -> Grid:
    return five_minute_grid(product, issued_at, sums, LAT, LON)


def hundredths(mm: Rain) -> NDArray[np.int64]:
    return np.rint(np.asarray(mm, dtype=np.float64) * 100).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(6, 5, 6), (10, 1, 2), (10, 6, 12), (30, 2, 12), (5, 3, 3), (1, 10, 2), (15, 2, 6)]),
    st.data(),
)
def test_the_total_of_a_whole_window_is_the_same_to_the_hundredth(
    case: tuple[int, int, int], draw: st.DataObject
) -> None:
    minutes, count, steps = case
    fields = draw.draw(arrays(np.float64, (count, 2, 3), elements=amounts))
    grid = steps_of(sums_of(minutes, fields))
    assert grid.valid_at[-1] == AT + count * minutes * MINUTE
    assert len(grid.valid_at) == steps
    np.testing.assert_array_equal(hundredths(grid.rain_mm).sum(axis=0), hundredths(fields).sum(axis=0))
    assert (grid.rain_mm >= 0).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (5, 2, 3), elements=amounts | st.just(0.0)))
def test_a_step_is_dry_exactly_where_it_may_be(fields: Rain) -> None:
    """Dry six minutes never become wet; a step inside one wet sum is wet when there is enough to go round."""
    grid = steps_of(sums_of(6, fields))
    for n in range(6):
        touched = fields[[k for k in range(5) if 6 * k < 5 * (n + 1) and 6 * (k + 1) > 5 * n]]
        assert not grid.rain_mm[n][(touched == 0).all(axis=0)].any()
        assert grid.rain_mm[n][(touched > 0.1).all(axis=0)].all()


def test_six_minute_sums_are_shared_by_the_minutes_they_have_in_each_step() -> None:
    grid = steps_of(sums_of(6, [field(6), field(12), field(0), field(0), field(30)]))
    # (0,6] holds 1 mm a minute, (6,12] 2 mm, (24,30] 5 mm
    np.testing.assert_allclose(grid.rain_mm[:, 0, 0], [5, 1 + 8, 4, 0, 5, 25], atol=1e-5)


def test_a_hundredth_that_cannot_be_split_falls_in_one_step() -> None:
    grid = steps_of(sums_of(30, [field(0.01, 0.05)]))
    np.testing.assert_array_equal(hundredths(grid.rain_mm[:, 0, 0]), [0, 0, 1, 0, 0, 0])
    assert hundredths(grid.rain_mm[:, 0, 1]).sum() == 5


def test_a_step_that_a_missing_sum_touches_is_missing_and_the_others_are_not() -> None:
    grid = steps_of(sums_of(6, [field(6), field(np.nan), field(6), field(6), field(6)]))
    np.testing.assert_array_equal(np.isnan(grid.rain_mm[:, 0, 0]), [False, True, True, False, False, False])
    assert not np.isnan(grid.rain_mm[:, 0, 1]).any()
    assert grid.dropped == 0


def test_a_sum_that_was_not_sent_is_missing_and_never_dry() -> None:
    first, _, third = sums_of(10, [field(2), field(2), field(2)])
    grid = steps_of([third, first])
    np.testing.assert_array_equal(np.isnan(grid.rain_mm[:, 1, 1]), [False, False, True, True, False, False])


def test_values_beyond_any_rain_become_missing_and_are_counted() -> None:
    grid = steps_of(sums_of(10, [field(-1, 300.5, np.inf, 299)]))
    assert grid.dropped == 3
    assert np.isnan(grid.rain_mm[:, 0]).all()
    np.testing.assert_array_equal(grid.rain_mm[:, 1, 0], [149.5, 149.5])


def test_steps_covered_in_part_are_left_out_and_the_issue_moves_to_the_first_whole_one() -> None:
    issued_at = AT + 12 * MINUTE
    grid = steps_of(sums_of(30, [field(30), field(60)], issued_at), issued_at=issued_at)
    assert grid.issued_at == AT + 15 * MINUTE
    assert (grid.valid_at[0], grid.valid_at[-1]) == (AT + 20 * MINUTE, AT + 70 * MINUTE)
    np.testing.assert_allclose(grid.rain_mm[[0, 4, 5, 10], 0, 0], [5, 5, 2 + 3 * 2, 10], atol=1e-5)


def test_observed_sums_are_issued_at_their_last_step() -> None:
    grid = steps_of(sums_of(10, [field(2)]), "observed")
    assert (grid.issued_at, grid.valid_at) == (AT + 10 * MINUTE, (AT + 5 * MINUTE, AT + 10 * MINUTE))


def test_five_minute_sums_come_out_as_they_went_in() -> None:
    fields = [field(1.23, np.nan, 0.01), field(0, 4)]
    np.testing.assert_array_equal(steps_of(sums_of(5, fields)).rain_mm, np.array(fields, dtype=np.float32))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([10, 30]), arrays(np.float64, (60,), elements=st.integers(0, 300).map(lambda n: n / 100))
)
def test_spreading_never_raises_the_largest_sum_of_a_window_that_divides_or_repeats_the_length(
    minutes: int, by_minute: Rain
) -> None:
    fields = [field(float(part.sum())) for part in by_minute.reshape(-1, minutes)]
    spread = steps_of(sums_of(minutes, fields)).rain_mm[:, 0, 0].astype(np.float64)
    for window in (5, 10, 30, 60):
        true_mm = max(by_minute[n : n + window].sum() for n in range(60 - window + 1))
        steps = window // 5
        here_mm = max(spread[n : n + steps].sum() for n in range(12 - steps + 1))
        assert here_mm <= true_mm + 0.01 * steps + 1e-6


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        ([], "0 sums"),
        (sums_of(60, [field(1)]), "long"),
        (sums_of(0, [field(1)]), "long"),
        ([*sums_of(10, [field(1)]), *sums_of(10, [field(1)], AT + 5 * MINUTE)], "overlap"),
        (sums_of(10, [np.zeros((3, 2))]), "2 x 3"),
        (sums_of(6, [field(1)], AT + 6 * MINUTE), "covers 0"),
        ([*sums_of(5, [field(1)]), *sums_of(5, [field(1)], AT + timedelta(days=3))], "covers 865"),
        ([RainSum(AT, AT + timedelta(minutes=5, microseconds=1), field(1))], "fractions"),
    ],
)
def test_sums_that_make_no_run_are_refused(sums: list[RainSum], said: str) -> None:
    with pytest.raises(BadGrid, match=said):
        steps_of(sums)


# Piece by piece


def run_of(sums: list[RainSum]) -> RainRun:
    return RainRun("observed", max(given.end_at for given in sums), sums, LAT, LON)


@given(
    st.sampled_from([1, 5, 6, 10, 12, 30]),
    st.integers(0, 299),
    arrays(np.float64, (3, 2, 3), elements=amounts),
)
def test_the_pieces_of_a_sum_add_up_to_it_to_the_hundredth(minutes: int, late_s: int, fields: Rain) -> None:
    for given_sum in sums_of(minutes, fields, AT + timedelta(seconds=late_s)):
        cut = pieces(run_of([given_sum]))
        total = np.sum([hundredths(piece.grid.rain_mm[0]) for piece in cut], axis=0)
        np.testing.assert_array_equal(total, hundredths(given_sum.rain_mm))
        assert all(piece.slot_at - 5 * MINUTE < given_sum.end_at for piece in cut)
        assert all(piece.grid.spread == (len(cut) > 1) for piece in cut)


@given(st.sampled_from([1, 5, 6, 10, 30]), arrays(np.float64, (6, 2, 3), elements=amounts | st.just(np.nan)))
def test_slots_laid_piece_by_piece_are_those_of_all_sums_at_once(minutes: int, fields: Rain) -> None:
    run = run_of(sums_of(minutes, fields))
    whole = run.grid()
    cut = pieces(run)
    for end, mm in zip(whole.valid_at, whole.rain_mm, strict=True):
        here = [piece for piece in cut if piece.slot_at == end]
        chosen = cover([(piece.start_at, piece.end_at) for piece in here], end)
        assert chosen is not None
        together = sum(here[index].grid.rain_mm[0] for index in chosen)
        np.testing.assert_allclose(together, mm, atol=1e-4)


def span(start_min: float, end_min: float) -> tuple[datetime, datetime]:
    return AT + start_min * MINUTE, AT + end_min * MINUTE


@pytest.mark.parametrize(
    ("spans", "chosen"),
    [
        ([], None),
        ([span(0, 6)], [span(0, 6)]),
        ([span(0, 4)], None),
        ([span(0, 4), span(4, 10)], [span(0, 4), span(4, 10)]),
        ([span(-2, 4), span(5, 10)], None),
        ([span(0, 10), span(-5, 5)], [span(-5, 5)]),
        ([span(0, 10), span(-5, 5), span(0, 5)], [span(0, 5)]),
        ([span(0, 2), span(2, 5), span(0, 5)], [span(0, 5)]),
        ([span(-2, 4), span(4, 10), span(-1, 5.5)], [span(-1, 5.5)]),
        ([span(-2, 4), span(-3, 3)], None),
    ],
)
def test_a_slot_is_covered_without_gap_or_overlap_whatever_the_order(
    spans: list[tuple[datetime, datetime]], chosen: list[tuple[datetime, datetime]] | None
) -> None:
    for order in permutations(spans):
        found = cover(order, AT + 5 * MINUTE)
        assert (found and [order[index] for index in found]) == chosen


def test_totals_that_run_on_become_what_fell_between_them() -> None:
    sums = [
        RainSum(AT, AT + n * 5 * MINUTE, field(total, other))
        for n, total, other in ((2, 3.0, 1.0), (1, 1.0, 1.0), (3, 2.99, 0.5))
    ]
    between = differences(sums)
    assert [(given.start_at - AT, given.end_at - AT) for given in between] == [
        (n * 5 * MINUTE, (n + 1) * 5 * MINUTE) for n in range(3)
    ]
    assert [given.rain_mm[0, 0] for given in between] == [1, 2, 0]
    grid = steps_of(list(between))
    assert np.isnan(grid.rain_mm[2, 0, 1])  # half a millimetre cannot have fallen up again
    assert grid.dropped == 1
    assert differences(sums_of(5, [field(1), field(2)]))[1].rain_mm[0, 0] == 2


def test_a_nowcast_that_begins_late_is_missing_until_then_and_past_steps_are_left_out() -> None:
    grid = steps_of(sums_of(5, [field(1), field(2)], AT + 10 * MINUTE))
    assert grid.valid_at[0] == AT + 5 * MINUTE
    np.testing.assert_array_equal(np.isnan(grid.rain_mm[:, 0, 0]), [True, True, False, False])
    grid = steps_of(sums_of(5, [field(1), field(2)], AT - 5 * MINUTE))
    assert grid.valid_at == (AT + 5 * MINUTE,)
    assert grid.rain_mm[0, 0, 0] == 2
