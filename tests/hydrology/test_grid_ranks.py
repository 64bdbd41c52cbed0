"""Which feed is believed when several speak: the best rank while it speaks in time, else whoever does."""

from datetime import datetime

import pytest

from hydrology import ingest
from hydrology.models import Feed, GridRun, Product
from tests.hydrology.factories import MINUTE, NOW, make_feed
from tests.hydrology.test_ingest import grid_body

pytestmark = pytest.mark.django_db


@pytest.fixture
def first(db: None) -> Feed:
    return make_feed("first", rank=1)


@pytest.fixture
def second(db: None) -> Feed:
    return make_feed("second", rank=2)


def nowcast(feed: Feed, issued_at: datetime, mm: float = 1.0) -> None:
    ingest.take_grid(feed, grid_body(Product.NOWCAST, issued_at, mm, steps=24), NOW)


def in_force(at: datetime) -> tuple[str, datetime] | None:
    run = GridRun.objects.newest_nowcast(at)
    return run and (run.post.feed_id, run.issued_at)


def test_the_better_feed_is_believed_while_it_is_not_older_than_two_cadences(
    first: Feed, second: Feed
) -> None:
    nowcast(first, NOW - 10 * MINUTE, 1.0)
    nowcast(second, NOW, 2.0)
    assert in_force(NOW) == ("first", NOW - 10 * MINUTE)


def test_a_better_feed_that_fell_silent_gives_way_and_comes_back(first: Feed, second: Feed) -> None:
    nowcast(first, NOW - 15 * MINUTE, 1.0)
    nowcast(second, NOW, 2.0)
    assert in_force(NOW) == ("second", NOW)
    nowcast(first, NOW, 3.0)
    assert in_force(NOW) == ("first", NOW)


def test_a_slow_feed_has_its_own_cadence(second: Feed) -> None:
    nowcast(make_feed("slow", rank=1, cadence_s=720), NOW - 20 * MINUTE, 1.0)
    nowcast(second, NOW, 2.0)
    assert in_force(NOW) == ("slow", NOW - 20 * MINUTE)


def test_when_all_are_late_the_newest_of_any_counts_up_to_the_horizon(first: Feed, second: Feed) -> None:
    nowcast(first, NOW - 25 * MINUTE, 1.0)
    nowcast(second, NOW - 20 * MINUTE, 2.0)
    assert in_force(NOW) == ("second", NOW - 20 * MINUTE)
    assert in_force(NOW + 30 * MINUTE) is None


def test_a_run_issued_later_than_asked_does_not_count(first: Feed, second: Feed) -> None:
    nowcast(first, NOW, 1.0)
    nowcast(second, NOW - 5 * MINUTE, 2.0)
    assert in_force(NOW - 5 * MINUTE) == ("second", NOW - 5 * MINUTE)


def test_an_observed_frame_of_the_better_feed_goes_before_a_later_one_of_another(
    first: Feed, second: Feed
) -> None:
    for feed, mm in ((second, 2.0), (first, 1.0), (second, 3.0)):
        ingest.take_grid(feed, grid_body(Product.OBSERVED, NOW, mm), NOW)
    assert GridRun.objects.observed_between(NOW - MINUTE, NOW).get().post.feed_id == "first"


def test_what_the_better_feed_says_is_kept_though_another_said_the_same(first: Feed, second: Feed) -> None:
    for feed, mm in ((second, 1.0), (first, 1.0), (second, 2.0)):
        ingest.take_grid(feed, grid_body(Product.OBSERVED, NOW, mm), NOW)
    newest = GridRun.objects.observed_between(NOW - MINUTE, NOW).get()
    assert (newest.post.feed_id, newest.revision) == ("first", 1)
