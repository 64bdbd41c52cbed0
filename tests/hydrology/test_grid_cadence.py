"""Observed frames of any cadence, one at a time and in any order, give the same 5-minute slots."""

import random
from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from hydrology import ingest
from hydrology.fields import field_of
from hydrology.models import Feed, FeedMark, FeedPost, GridPart, GridRun
from tests.hydrology.factories import MINUTE, NOW, make_feed
from tests.hydrology.test_ingest import counts
from tests.hydrology.test_odim_hdf5 import encode

pytestmark = pytest.mark.django_db
START = NOW - 60 * MINUTE
Rain = NDArray[np.float64]
RAIN = np.random.default_rng(5).integers(0, 1200, (60, 3, 4)) / 100  # by the minute


@pytest.fixture
def feed(db: None) -> Feed:
    return make_feed("radar")


def frame(start_min: int, end_min: int, rain: Rain = RAIN) -> bytes:
    """One observed sum over these minutes of the hour."""
    end_at = START + end_min * MINUTE
    total = rain[start_min:end_min].sum(axis=0)[None]
    return encode(np.round(total, 2), end_at, [end_at], minutes=end_min - start_min)


def slots() -> dict[int, Rain]:
    """What is believed of the hour: minute of the END of the slot -> field."""
    runs = GridRun.objects.observed_between(START, NOW)
    return {int((run.issued_at - START) / MINUTE): field_of(run)[0] for run in runs}


def forget_all() -> None:
    GridRun.objects.all().delete()
    GridPart.objects.all().delete()
    FeedMark.objects.all().delete()
    FeedPost.objects.all().delete()


def frames_of(minutes: int, until: int = 60) -> list[tuple[int, int]]:
    return [(start, start + minutes) for start in range(0, until, minutes)]


@pytest.mark.parametrize("minutes", [1, 5, 6, 10, 30])
def test_frames_one_at_a_time_twice_or_in_reverse_give_the_same_slots(feed: Feed, minutes: int) -> None:
    frames = frames_of(minutes, until=30 if minutes == 1 else 60)
    expected = None
    for seed in range(3):
        order = {0: frames, 1: frames[::-1]}.get(seed) or random.Random(seed).sample(
            frames * 2, len(frames) * 2
        )
        for span in order:
            ingest.take_grid(feed, frame(*span), NOW)
        laid = {end: field.tobytes() for end, field in slots().items()}
        expected = expected or laid
        assert laid == expected
        forget_all()
    assert expected is not None
    assert sorted(expected) == list(range(5, frames[-1][1] + 1, 5))


@pytest.mark.parametrize("minutes", [5, 6, 10])
def test_no_rain_is_made_and_none_is_lost(feed: Feed, minutes: int) -> None:
    for span in frames_of(minutes):
        ingest.take_grid(feed, frame(*span), NOW)
    total = sum(np.rint(field.astype(np.float64) * 100) for field in slots().values())
    np.testing.assert_array_equal(total, np.rint(RAIN.sum(axis=0) * 100).ravel())


def test_a_six_minute_frame_fills_a_slot_only_together_with_its_neighbour(feed: Feed) -> None:
    assert counts(ingest.take_grid(feed, frame(6, 12), NOW)) == (1, 0, 0)
    assert slots() == {}
    assert counts(ingest.take_grid(feed, frame(18, 24), NOW)) == (1, 0, 0)
    assert list(slots()) == []
    ingest.take_grid(feed, frame(0, 6), NOW)
    assert list(slots()) == [5, 10]
    ingest.take_grid(feed, frame(12, 18), NOW)
    assert list(slots()) == [5, 10, 15, 20]


def test_what_was_spread_says_so_and_what_was_measured_does_not(feed: Feed) -> None:
    for span in ((0, 6), (6, 12), (20, 25), (30, 31), (31, 33), (33, 35)):
        ingest.take_grid(feed, frame(*span), NOW)
    runs = GridRun.objects.order_by("issued_at").values_list("issued_at", "spread")
    assert [(int((at - START) / MINUTE), spread) for at, spread in runs] == [
        (5, True), (10, True), (25, False), (35, False),
    ]  # fmt: skip


def test_a_dry_frame_is_dry_and_a_missing_cell_is_missing_in_every_slot_it_touches(feed: Feed) -> None:
    holed = RAIN * 0
    holed[6:12, 1, 1] = np.nan
    for span in frames_of(6, until=30):
        ingest.take_grid(feed, frame(*span, rain=holed), NOW)
    missing = {end: bool(np.isnan(field[5])) for end, field in slots().items()}
    assert missing == {5: False, 10: True, 15: True, 20: False, 25: False, 30: False}
    assert all(np.nansum(field) == 0 for field in slots().values())


def test_a_correction_mends_the_slots_it_touches_and_no_other(feed: Feed) -> None:
    for span in frames_of(6, until=30):
        ingest.take_grid(feed, frame(*span), NOW)
    before = slots()
    assert counts(ingest.take_grid(feed, frame(6, 12, rain=RAIN / 2), NOW)) == (1, 0, 0)
    after = slots()
    assert [end for end in after if not np.array_equal(before[end], after[end])] == [10, 15]
    assert GridRun.objects.get(issued_at=START + 10 * MINUTE, revision=1).spread


def test_sums_that_overlap_each_other_are_taken_alike_in_any_order(feed: Feed) -> None:
    """Ten-minute sums every five minutes: each slot is in two of them."""
    frames = [(start, start + 10) for start in range(0, 30, 5)]
    laid = []
    for order in (frames, frames[::-1]):
        for span in order:
            ingest.take_grid(feed, frame(*span), NOW)
        laid.append({end: field.tobytes() for end, field in slots().items()})
        forget_all()
    assert laid[0] == laid[1]


def test_a_frame_measured_for_its_slot_goes_before_a_longer_one_in_either_order(feed: Feed) -> None:
    laid = []
    for order in ([(0, 10), (0, 5)], [(0, 5), (0, 10)]):
        for span in order:
            ingest.take_grid(feed, frame(*span), NOW)
        laid.append(slots()[5].tobytes())
        forget_all()
    assert laid[0] == laid[1] == RAIN[:5].sum(axis=0).astype(np.float32).round(2).tobytes()


def test_several_steps_in_one_body_are_one_run_each_and_gaps_stay_gaps(feed: Feed) -> None:
    ends = [START + end * MINUTE for end in (5, 10, 20)]
    body = encode(np.stack([RAIN[end - 5 : end].sum(axis=0) for end in (5, 10, 20)]), ends[-1], ends)
    assert counts(ingest.take_grid(feed, body, NOW)) == (3, 0, 0)
    assert list(slots()) == [5, 10, 20]
    assert counts(ingest.take_grid(feed, frame(5, 10), NOW)) == (0, 1, 0)
    assert counts(ingest.take_grid(feed, frame(10, 15), NOW)) == (1, 0, 0)
    assert GridRun.objects.count() == 4
    assert FeedMark.objects.get().observed_at == ends[-1]


def nowcast(minutes: int, steps: int, issued_at: datetime = START) -> bytes:
    ends = [issued_at + (n + 1) * minutes * MINUTE for n in range(steps)]
    return encode(RAIN[:steps], issued_at, ends, minutes=minutes)


@pytest.mark.parametrize(("minutes", "steps"), [(6, 20), (10, 12), (5, 24)])
def test_a_nowcast_of_any_cadence_is_one_run_of_five_minute_steps(
    feed: Feed, minutes: int, steps: int
) -> None:
    assert counts(ingest.take_grid(feed, nowcast(minutes, steps), NOW)) == (1, 0, 0)
    run = GridRun.objects.get()
    assert (run.product, run.issued_at, run.steps, run.spread) == ("nowcast", START, 24, minutes > 5)
    np.testing.assert_allclose(field_of(run).sum(axis=0), RAIN[:steps].sum(axis=0).ravel(), atol=1e-3)


def test_a_nowcast_issued_between_two_slots_counts_from_the_next_one(feed: Feed) -> None:
    ingest.take_grid(feed, nowcast(6, 20, START + 12 * MINUTE), NOW)
    run = GridRun.objects.get()
    assert (run.issued_at, run.steps) == (START + 15 * MINUTE, 23)


def test_parts_are_forgotten_when_no_neighbour_is_waited_for(feed: Feed) -> None:
    ingest.take_grid(feed, frame(6, 12), NOW)
    assert ingest.forget_parts(now=NOW) == 0
    assert ingest.forget_parts(now=NOW + timedelta(days=3)) == 2


def test_parts_of_two_feeds_are_not_mixed(feed: Feed) -> None:
    ingest.take_grid(feed, frame(0, 6), NOW)
    ingest.take_grid(make_feed("other"), frame(6, 12), NOW)
    assert list(slots()) == [5]
