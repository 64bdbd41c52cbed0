"""What is stuck, piles up or falls silent is told once by another way than the one at fault, and once when it is over."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from pytest_django import Settings

from alerts.models import Bulletin
from escalation.models import Incident
from foundation import clock
from foundation.wire import beat
from hydrology.models import Region
from monitoring import jobs, watchman
from monitoring.models import Sample
from notifications import canaries, delivery, dispatch, telephony
from notifications.canaries import EVERY
from notifications.models import Delivery, Errand, Provider, ProviderState, State
from notifications.transports import smpp
from officers.models import Duty, Officer
from replay.phones import Standin
from replay.smsc import Smsc, run_smsc
from replay.switchboard import Switchboard
from tests.monitoring.conftest import CITY, STREET

Regions = dict[str, Region]
People = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def found(at: datetime) -> list[tuple[str, int]]:
    return [(one.incident, one.count) for one in watchman.look(at)]


@pytest.fixture
def waiting(regions: Regions, person: People, bulletin: Bulletins) -> datetime:
    """Three people's lines, due at the returned instant, and nobody who sends them."""
    at = clock.now()
    for _ in range(3):
        person(regions[STREET])
    bulletin(STREET, urgency=2, issued_at=at)
    dispatch.take_up(now=at)
    return at


def alarms() -> list[tuple[str, str]]:
    return list(
        Bulletin.objects.filter(about__startswith="audit/").order_by("id").values_list("about", "level")
    )


def test_it_is_silent_while_all_is_well(waiting: datetime, vendor: Standin, engineer: Officer) -> None:
    delivery.send_due(clock=lambda: waiting)
    assert watchman.watch(now=waiting + seconds(3600)) == 0
    assert not Incident.objects.exists()


def test_lines_that_nobody_sends_are_told_of_once_by_text_message_too_and_once_when_they_are_gone(
    waiting: datetime, engineer: Officer, switchboard: Switchboard
) -> None:
    assert found(waiting + seconds(60)) == []
    late = waiting + seconds(61)
    assert found(late) == [("backlog/fcm", 3)]
    Officer.objects.update(synthetic=True)
    assert [watchman.watch(now=late + seconds(s)) for s in (0, 10, 20)] == [1, 0, 0]
    assert alarms() == [("audit/backlog/fcm", "late")]
    lines = Delivery.objects.filter(officer=engineer).order_by("id")
    assert [(one.transport, one.dispatch.errand) for one in lines] == [("fcm", "first"), ("sms", "repeat")]
    Delivery.objects.filter(dispatch__bulletin__about="").update(state=State.SENT)
    lines.update(state=State.SENT)
    assert watchman.watch(now=late + seconds(200)) == 0
    assert watchman.watch(now=late + seconds(321)) == 1
    assert alarms()[1:] == [("audit/backlog/fcm", "clear")]
    assert Incident.objects.get().ended_at == late + seconds(321)


def test_the_text_message_goes_out_although_nobody_else_sends(
    waiting: datetime, engineer: Officer, switchboard: Switchboard
) -> None:
    Officer.objects.update(synthetic=True)
    at = waiting + seconds(61)
    watchman.sweep(clock=lambda: at)
    [text] = Delivery.objects.filter(transport="sms")
    assert (text.officer_id, text.state) == (engineer.pk, State.SENT)
    assert Sample.objects.filter(of__startswith="minute/").count() == 1


@pytest.fixture
def smsc(settings: Settings) -> Iterator[Smsc]:
    """A centre that this process has not bound to yet."""
    with run_smsc() as smsc:
        smsc.misbehave(receipt="")
        settings.SMPP_HOST, settings.SMPP_PORT = "127.0.0.1", smsc.port
        settings.SMPP_SYSTEM_ID, settings.SMPP_PASSWORD = smsc.system_id, smsc.password
        settings.SMPP_SOURCE, settings.SMPP_STANDIN = "10690001", True
        yield smsc
        there = telephony.centre()
        if there and (session := smpp.session(there)):
            session.close()


def test_the_text_message_goes_out_by_a_centre_that_nobody_has_bound_to(
    waiting: datetime, engineer: Officer, smsc: Smsc
) -> None:
    at = waiting + seconds(61)
    watchman.sweep(clock=lambda: at)
    text = Delivery.objects.get(transport="sms")
    assert (text.officer_id, text.state) == (engineer.pk, State.SENT)
    assert len(smsc.taken) == 1


def test_a_lease_that_nobody_takes_up_again_is_found(waiting: datetime) -> None:
    assert len(delivery.claim(waiting)) == 3
    assert found(waiting + seconds(30 + 60) - seconds(1)) == []
    assert found(waiting + seconds(30 + 60)) == [("lease/fcm", 3)]


def test_a_vendor_who_accepts_nothing_is_found_and_one_who_accepts_some_is_not(
    waiting: datetime, vendor: Standin
) -> None:
    vendor.behave(unavailable_share=1.0)
    at = waiting
    for _ in range(2):
        delivery.send_due(clock=partial(datetime.fromisoformat, at.isoformat()))
        at = max(Delivery.objects.values_list("due_at", flat=True))
    assert set(Delivery.objects.values_list("state", "attempts")) == {(State.FAILED_TEMP, 2)}
    assert ("silent/fcm", 3) in found(at)
    first = Delivery.objects.order_by("id")[0]
    Delivery.objects.filter(pk=first.pk).update(state=State.SENT, sent_at=at - seconds(5), attempts=1)
    Delivery.objects.exclude(pk=first.pk).update(attempts=9)
    assert found(at) == []  # two lines are no silence, and somebody was just accepted


@pytest.mark.parametrize(("accepts", "says"), [(True, "no answer"), (False, "no_live_device")])
def test_two_canaries_that_do_not_come_back_are_a_fault(
    regions: Regions, person: People, vendor: Standin, accepts: bool, says: str
) -> None:
    canary = person(regions[CITY], duty=Duty.CANARY)
    at = clock.now()
    for n in range(2):
        told_at = at + n * EVERY
        canaries.fly(now=told_at)
        if not accepts:
            canary.devices.update(retired_at=told_at)
        dispatch.take_up(now=told_at)
        delivery.send_due(clock=partial(datetime.fromisoformat, told_at.isoformat()))
        missed = found(told_at + seconds(61))
        assert missed == ([] if n == 0 else [("canary/fcm", 2)])
    [fault] = watchman.look(at + EVERY + seconds(61))
    assert says in fault.en


def test_a_vendor_whom_the_breaker_gave_up_is_told_of_after_two_minutes(db: None, vendor: Standin) -> None:
    at = clock.now()
    Provider.objects.create(
        name="fcm", state=ProviderState.PAUSED, since=at, until=at + seconds(8), counted_at=at
    )
    assert found(at + seconds(120)) == []
    assert found(at + seconds(121)) == [("vendor/fcm", 121)]
    Provider.objects.update(state=ProviderState.WELL, since=at)
    assert found(at + seconds(300)) == []


def test_a_queue_whose_jobs_are_dead_is_found_by_name(db: None) -> None:
    at = clock.now()
    assert found(at) == []  # nothing was heard yet: nobody knows
    jobs.watch(watchman.JOB, at)
    for one in jobs.heard(at):
        beat(jobs.BEATS, one.job, at)
    assert jobs.working(at) is True
    beat(jobs.BEATS, "of a former version", at - timedelta(days=3))
    later = at + seconds(90)
    for one in jobs.heard(later):
        if one.queue != "urgent":
            beat(jobs.BEATS, one.job, later)
    assert [incident for incident, _ in found(later)] == ["queue/urgent"]
    assert jobs.working(at + seconds(151)) is False


def test_redis_is_not_asked_while_the_watch_holds_its_lock(
    waiting: datetime, engineer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asking may cost a time-out."""
    held = []
    ask = jobs.heard

    def heard(at: datetime) -> list[jobs.Beat]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE objid = %s", [watchman.WATCH_LOCK])
            held.extend(cursor.fetchone())
        return ask(at)

    monkeypatch.setattr(jobs, "heard", heard)
    assert watchman.watch(now=waiting + seconds(61)) == 1
    assert held == [0]


def test_after_everything_was_down_the_jobs_get_their_time_anew(db: None) -> None:
    at = clock.now()
    jobs.watch(watchman.JOB, at)
    for one in jobs.heard(at):
        beat(jobs.BEATS, one.job, at)
    back = at + timedelta(hours=5)
    jobs.watch(watchman.JOB, back)
    assert found(back + seconds(30)) == []
    beat(jobs.BEATS, watchman.JOB, back)
    jobs.watch(watchman.JOB, back + seconds(10))
    assert ("queue/urgent", 6) in found(back + seconds(61))


def test_what_is_wrong_with_the_gateway_goes_by_push_alone(
    engineer: Officer, switchboard: Switchboard
) -> None:
    assert [watchman.other_way(one) for one in ("silent/sms", "backlog/voice", "canary/fcm", "queue/urgent")] == [
        None, None, "sms", "sms",
    ]  # fmt: skip


def test_without_a_gateway_there_is_the_push(waiting: datetime, engineer: Officer) -> None:
    assert watchman.watch(now=waiting + seconds(61)) == 1
    assert set(Delivery.objects.filter(officer=engineer).values_list("transport", "dispatch__errand")) == {
        ("fcm", Errand.FIRST)
    }
