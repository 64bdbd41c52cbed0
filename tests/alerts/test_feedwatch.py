"""The dead-man alarm: moved time, real rows, as far as the duty engineer's line in the ledger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from alerts import feedwatch
from alerts.assessment.feed_words import Silence, recovery_words, silence_words
from alerts.models import Bulletin, BulletinKind, FeedAlarm, Requires
from escalation import climb
from escalation.models import Climb
from hydrology import ingest
from hydrology.models import Feed, FeedMark, Region, Source, StationKind
from hydrology.science.feed_states import Doubt
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty, Officer, Post
from tests.alerts.conftest import A
from tests.console.factories import make_officer
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_station, rain
from tests.notifications.conftest import give_phone

CADENCE = timedelta(seconds=300)
SWEEP = timedelta(seconds=10)


@pytest.fixture
def engineer(regions: dict[str, Region]) -> Officer:
    officer = make_officer(regions["4403"], Duty.ENGINEER)
    give_phone(officer)
    Post.objects.update(valid_from=NOW - timedelta(days=1))
    return officer


@pytest.fixture
def gauge(regions: dict[str, Region]) -> Feed:
    """A feed that has spoken for one gauge at NOW, beside another that goes on speaking."""
    make_station("gauge", StationKind.RAIN, A)
    feed = make_feed("gauges")
    speak(feed)
    keep_well(make_feed("radar"))
    return feed


def keep_well(feed: Feed) -> None:
    """As if it spoke all the time."""
    later = NOW + timedelta(days=1)
    FeedMark.objects.create(feed=feed, received_at=later, good_at=later, observed_at=later)


def speak(feed: Feed, after: timedelta = timedelta(), value: object = 1.0) -> None:
    at = NOW + after
    ingest.take_readings(feed, body(rain("gauge", at - MINUTE, value)), at)


def watch(after: timedelta) -> int:
    return feedwatch.watch_feeds(now=NOW + after)


def test_a_silent_feed_reaches_the_duty_engineer_within_two_cadences(gauge: Feed, engineer: Officer) -> None:
    desk = make_officer(Region.objects.get(pk="4403"), Duty.DESK)
    street_desk = make_officer(Region.objects.get(pk=A), Duty.DESK)
    flood = make_officer(Region.objects.get(pk="4403"), Duty.FLOOD)
    Post.objects.update(valid_from=NOW - timedelta(days=1))
    after = timedelta()
    while not Delivery.objects.filter(officer=engineer).exists():
        after += SWEEP
        assert after < 2 * CADENCE
        watch(after)
        dispatch.take_up(now=NOW + after)
    assert after > 1.5 * CADENCE
    [bulletin] = Bulletin.objects.all()
    assert (bulletin.kind, bulletin.ref, bulletin.duties) == (
        BulletinKind.MESSAGE,
        "feed/gauges",
        ["engineer"],
    )
    assert "20:00" in bulletin.push_zh and "雨量站1" in bulletin.push_zh
    assert Delivery.objects.filter(officer=desk).exists()
    assert not Delivery.objects.filter(officer__in=[street_desk, flood]).exists()


def test_a_feed_within_its_cadence_is_left_alone(gauge: Feed) -> None:
    assert watch(1.5 * CADENCE) == 0
    assert not FeedAlarm.objects.exists()


def test_one_alarm_a_feed_however_often_one_looks(gauge: Feed, engineer: Officer) -> None:
    assert [watch(1.5 * CADENCE + n * SWEEP) for n in range(1, 40)] == [1] + [0] * 38
    assert (FeedAlarm.objects.count(), Bulletin.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_raise_and_end_one_alarm(gauge: Feed) -> None:
    def sweep(after: timedelta) -> int:
        try:
            return watch(after)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(sweep, [2 * CADENCE] * 6)) == 1
        speak(gauge, 3 * CADENCE)
        speak(gauge, 4 * CADENCE)
        assert sum(pool.map(sweep, [4 * CADENCE + SWEEP] * 6)) == 1
    assert FeedAlarm.objects.count() == 1
    assert list(Bulletin.objects.order_by("id").values_list("level", flat=True)) == ["silent", "clear"]


def test_an_all_clear_refers_to_the_alarm_once_the_feed_is_steady(gauge: Feed, engineer: Officer) -> None:
    watch(2 * CADENCE)
    speak(gauge, 3 * CADENCE)
    assert watch(3 * CADENCE + SWEEP) == 0
    speak(gauge, 4 * CADENCE)
    assert watch(4 * CADENCE + SWEEP) == 1
    alarm = FeedAlarm.objects.get()
    assert (alarm.silent_since, alarm.ended_at) == (NOW, NOW + 4 * CADENCE + SWEEP)
    raised, clear = Bulletin.objects.order_by("id")
    assert (clear.supersedes_id, clear.requires, clear.ref) == (raised.pk, Requires.NONE, "feed/gauges")
    dispatch.take_up(now=NOW + 4 * CADENCE + SWEEP)
    assert Delivery.objects.filter(officer=engineer).count() == 2


def test_one_word_in_between_does_not_end_the_alarm(gauge: Feed) -> None:
    watch(2 * CADENCE)
    speak(gauge, 3 * CADENCE)
    moved = [watch(3 * CADENCE + n * SWEEP) for n in range(200)]
    assert sum(moved) == 0
    assert FeedAlarm.objects.get().ended_at is None


def test_a_burst_of_what_had_piled_up_does_not_end_the_alarm(gauge: Feed) -> None:
    watch(2 * CADENCE)
    for n in range(5):
        speak(gauge, 3 * CADENCE + n * timedelta(seconds=1), value=n)
    assert watch(3 * CADENCE + SWEEP) == 0


def test_posts_of_which_nothing_is_accepted_are_silence(gauge: Feed) -> None:
    for n in (1, 2):
        speak(gauge, n * CADENCE, value="wet")
    assert watch(2 * CADENCE + SWEEP) == 1
    assert "无一被接收" in Bulletin.objects.get().push_zh


def test_data_that_stands_still_is_silence(gauge: Feed) -> None:
    moved = []
    for n in range(1, 8):
        FeedMark.objects.filter(feed=gauge).update(
            received_at=NOW + n * CADENCE, good_at=NOW + n * CADENCE, lag_s=n * 300
        )
        moved.append(watch(n * CADENCE + SWEEP))
    assert moved == [0, 0, 0, 0, 0, 1, 0]  # max_age_s is 30 minutes
    assert "停滞" in Bulletin.objects.get().push_zh


def test_a_source_that_fails_for_more_than_two_periods_alarms_its_feed(gauge: Feed) -> None:
    source = Source.objects.create(
        key="city-db",
        feed=gauge,
        kind="database",
        every_s=60,
        due_at=NOW,
        good_at=NOW,
        failures=2,
        fault="refused",
    )
    assert watch(timedelta(seconds=120)) == 0
    assert watch(timedelta(seconds=130)) == 1
    bulletin = Bulletin.objects.get()
    assert "city-db：refused" in bulletin.body_zh and "采集失败" in bulletin.push_zh
    Source.objects.filter(pk=source.pk).update(failures=0, good_at=NOW + CADENCE)
    for n in (1, 2):
        speak(gauge, n * CADENCE)
    assert watch(2 * CADENCE + SWEEP) == 1
    assert FeedAlarm.objects.get().ended_at is not None


def test_a_source_that_never_succeeded_alarms_a_feed_that_never_spoke(regions: dict[str, Region]) -> None:
    feed = make_feed("new")
    keep_well(make_feed("radar"))
    assert watch(timedelta(days=1)) == 0
    Source.objects.create(key="s", feed=feed, kind="url", due_at=NOW, failures=2, fault="404")
    assert watch(timedelta(minutes=10)) == 1
    assert "接入以来采集失败" in Bulletin.objects.get().push_zh


def test_a_replay_and_a_feed_switched_off_are_not_missed(gauge: Feed) -> None:
    Feed.objects.filter(pk="gauges").update(replayed=True)
    assert watch(3 * CADENCE) == 0
    Feed.objects.filter(pk="gauges").update(replayed=False, enabled=False)
    assert watch(3 * CADENCE) == 0


def test_switching_a_feed_off_ends_its_alarm_without_a_word(gauge: Feed) -> None:
    watch(2 * CADENCE)
    Feed.objects.filter(pk="gauges").update(enabled=False)
    assert watch(3 * CADENCE) == 1
    assert (FeedAlarm.objects.get().ended_at, Bulletin.objects.count()) == (NOW + 3 * CADENCE, 1)


def test_one_feed_of_several_is_told_of_and_not_chased(gauge: Feed, engineer: Officer) -> None:
    watch(2 * CADENCE)
    bulletin = Bulletin.objects.get()
    assert (bulletin.urgency, bulletin.requires) == (2, Requires.OPEN)


def test_the_silence_that_blinds_the_city_is_chased_until_it_ends(gauge: Feed, engineer: Officer) -> None:
    FeedMark.objects.filter(feed="radar").update(received_at=NOW, good_at=NOW, observed_at=NOW)
    raised_at = NOW + 2 * CADENCE
    assert feedwatch.watch_feeds(now=raised_at) == 2
    chased, told = Bulletin.objects.order_by("-urgency")
    assert [(b.urgency, b.requires) for b in (chased, told)] == [(3, Requires.CONFIRM), (2, Requires.OPEN)]
    assert "已无实时数据" in chased.push_zh
    dispatch.take_up(now=raised_at)
    climb.sweep(now=raised_at + timedelta(minutes=4))
    assert Climb.objects.get().state == "climbing"
    for n in (3, 4):
        speak(Feed.objects.get(pk=chased.ref.removeprefix("feed/")), n * CADENCE, value=n)
    watch(4 * CADENCE + SWEEP)
    climb.sweep(now=NOW + 4 * CADENCE + SWEEP)
    assert Climb.objects.get().state == "stopped"


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
instants = st.datetimes(
    min_value=(NOW - timedelta(days=400)).replace(tzinfo=None), max_value=NOW.replace(tzinfo=None)
)
kinds = st.dictionaries(
    st.sampled_from(["rain", "reservoir", "river", "tide", "radar"]), st.integers(0, 20_000)
)


@given(
    names, st.sampled_from([doubt for doubt in Doubt if doubt]), st.none() | instants, kinds, st.booleans()
)
def test_every_silence_is_said_in_fifty_characters_with_its_time_and_what_to_do(
    name: str, doubt: Doubt, since: object, falls_out: dict[str, int], blind: bool
) -> None:
    since_at = since.replace(tzinfo=NOW.tzinfo) if since else None  # type: ignore[attr-defined]
    words = silence_words(
        Silence("key", name, doubt, since_at, since_at, since_at, falls_out, [], blind), NOW
    )
    assert words.push_zh.startswith("【数据中断】")
    assert words.push_zh.endswith("请立即处理" if blind else "请检查")
    assert ("起" in words.push_zh) or not since
    recovery_words("key", name, since_at or NOW, NOW)
