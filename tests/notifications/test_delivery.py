"""From a bulletin to the vendor: everyone once in the ledger, whatever the vendor does. Real PostgreSQL, real FCM stand-in."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from alerts.models import Bulletin, Hazard, OrderStatus, Requires, ResponseOrder, Warning
from foundation.clock import now
from hydrology.models import Region
from notifications import delivery, dispatch, months, providers, receipts
from notifications.models import Delivery, Dispatch, Errand, Lane, Provider, ReceiptState, State
from notifications.preview import preview
from notifications.transports.base import NOT_BEGUN, Outcome, OutcomeKind, Push
from notifications.transports.carrier import HELD_UP_S, BulkTransport
from notifications.transports.jpush import CIDS_WITHIN_S
from officers.models import Device, Duty, Officer, Post, Rank
from replay.phones import Standin
from tests.console.factories import make_officer
from tests.notifications.conftest import give_phone

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
Regions = dict[str, Region]
STREET, OTHER = "440303001", "440303002"


def pushed(claims: list[delivery.Claim], at: datetime) -> dict[tuple[int, int], Outcome]:
    """What the vendor says to the pushes of these claims, by (delivery, device)."""
    said = delivery._messages({one.dispatch for one in claims})
    places = [(one, device) for one in claims for device in one.devices]
    pushes = [
        Push(
            n, one.devices[device].token, said[one.dispatch, one.language, one.quiet], one.message_id, one.tag
        )
        for n, (one, device) in enumerate(places)
    ]
    outcomes = providers.transports()["fcm"].send(pushes, at)
    return {(places[o.key][0].id, places[o.key][1]): o for o in outcomes}


def send() -> int:
    return delivery.send_due(clock=now)


def test_everyone_below_the_area_hears_it_once_and_nobody_else(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    inside = {person(regions[STREET]).pk for _ in range(3)}
    desk_above = person(regions["440303"], duty=Duty.DESK).pk
    person(regions[OTHER])
    person(regions["440303"])  # flood post above the area is not addressed
    person(regions[STREET], duty=Duty.FOREST)
    bulletin(STREET)
    assert dispatch.take_up(now=now()) == 1
    assert {row.officer_id for row in Delivery.objects.all()} == inside | {desk_above}


def test_taking_up_twice_makes_one_dispatch(regions: Regions, person: Person, bulletin: Bulletins) -> None:
    person(regions[STREET])
    bulletin(STREET)
    assert dispatch.take_up(now=now()) == 1
    assert dispatch.take_up(now=now()) == 0
    assert Dispatch.objects.count() == Delivery.objects.count() == 1


def test_a_person_with_several_posts_is_addressed_by_the_nearest(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    officer = person(regions["440303"])
    Post.objects.create(
        officer=officer, duty=Duty.FLOOD, region=regions[STREET], valid_from=now() - timedelta(days=1)
    )
    bulletin("440303")
    dispatch.take_up(now=now())
    assert [row.region_id for row in Delivery.objects.all()] == [STREET]


def test_expired_posts_and_inactive_officers_are_not_addressed(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET], valid_to=now() - timedelta(hours=1))
    gone = person(regions[STREET])
    Officer.objects.filter(pk=gone.pk).update(is_active=False)
    bulletin(STREET)
    dispatch.take_up(now=now())
    assert not Delivery.objects.exists()


def test_an_expired_bulletin_is_never_dispatched(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET])
    bulletin(STREET, valid_until=now() - timedelta(seconds=1))
    assert dispatch.take_up(now=now()) == 0


def test_dispatching_costs_the_same_queries_for_any_audience(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    counts = []
    months.turn(now())  # once a month it costs more
    for people in (1, 30):
        for _ in range(people):
            person(regions[STREET])
        bulletin(STREET)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            dispatch.take_up(now=now())
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 11


def test_preview_counts_the_same_people_as_the_dispatch(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    for phones in (1, 1, 0):
        person(regions[STREET], phones=phones)
    shown = preview(["440303"], ["flood"], now())
    bulletin("440303")
    dispatch.take_up(now=now())
    assert shown["officers"] == Delivery.objects.count() == 3
    assert shown["no_live_device"] == 1


def test_a_push_reaches_every_live_device_with_one_id(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET], phones=2)
    bulletin(STREET)
    dispatch.take_up(now=now())
    assert send() == 1
    row = Delivery.objects.get()
    assert row.state == State.SENT
    assert row.sent_at is not None
    pushes = vendor.accepted()
    assert {push["token"] for push in pushes} == set(Device.objects.values_list("token", flat=True))
    assert {push["id"] for push in pushes} == {str(row.pk)}


def test_without_a_live_device_it_fails_at_once_and_says_so(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET], phones=0)
    bulletin(STREET)
    dispatch.take_up(now=now())
    row = Delivery.objects.get()
    assert (row.state, row.reason) == (State.FAILED_PERM, "no_live_device")


def test_dead_tokens_are_retired_and_the_other_phone_still_rings(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET])
    give_phone(officer, "gone-1")
    vendor.behave(unregistered_prefix="gone-")
    bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    assert Delivery.objects.get().state == State.SENT
    assert Device.objects.get(token="gone-1").retired_at is not None
    assert Device.objects.exclude(token="gone-1").get().retired_at is None


def test_only_dead_tokens_is_a_permanent_failure_with_its_reason(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    give_phone(person(regions[STREET], phones=0), "gone-2")
    vendor.behave(unregistered_prefix="gone-")
    bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    row = Delivery.objects.get()
    assert row.state == State.FAILED_PERM
    assert "UNREGISTERED" in row.reason.upper()


def test_a_vendor_that_is_down_is_tried_again_when_due(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET])
    vendor.behave(down=True, retry_after_s=7)
    bulletin(STREET)
    dispatch.take_up(now=now())
    began = now()
    send()
    row = Delivery.objects.get()
    assert row.state == State.FAILED_TEMP
    assert row.due_at - began >= timedelta(seconds=7)  # Retry-After is honoured
    assert send() == 0  # not before it is due
    vendor.behave()
    delivery.send_due(clock=lambda: row.due_at)
    assert Delivery.objects.get().state == State.SENT


def test_after_a_partial_success_only_the_missing_device_is_tried(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET])
    give_phone(officer, "later-1")
    bulletin(STREET)
    dispatch.take_up(now=now())
    claims = delivery.claim(now())
    [one] = claims
    good = next(d for d, handset in one.devices.items() if handset.token != "later-1")
    outcomes = pushed(claims, now())
    later = next(d for d in one.devices if d != good)
    outcomes[one.id, later] = type(outcomes[one.id, later])(0, delivery.OutcomeKind.TEMPORARY, "UNAVAILABLE")
    delivery.settle(claims, outcomes, now())
    row = Delivery.objects.get()
    assert (row.state, row.accepted_devices) == (State.FAILED_TEMP, [good])
    [again] = delivery.claim(row.due_at)
    assert {handset.token for handset in again.devices.values()} == {"later-1"}


def test_a_lease_is_respected_and_then_falls_to_the_next(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    at = now()
    assert len(delivery.claim(at)) == 1  # this sender is killed here
    assert delivery.claim(at + timedelta(seconds=1)) == []
    assert len(delivery.claim(at + delivery.LEASE)) == 1


def test_whatever_goes_out_is_answered_before_its_lease_ends(vendor: Standin) -> None:
    for one in providers.transports().values():
        assert isinstance(one, BulkTransport)
        held_up_s = HELD_UP_S + CIDS_WITHIN_S  # before anybody looks at the answer
        assert one.begin_within_s + one.timeout_s + held_up_s < delivery.LEASE.total_seconds()


def test_what_had_no_turn_at_the_vendor_is_due_at_once_and_nobody_is_blamed(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    for _ in range(20):
        person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    at = now()
    claims = delivery.claim(at)
    unsent = Outcome(0, OutcomeKind.TEMPORARY, NOT_BEGUN, ours=True)
    delivery.settle(claims, {(one.id, device): unsent for one in claims for device in one.devices}, at)
    assert len(delivery.claim(at)) == 20
    assert Provider.objects.get(name="fcm").state == "well"


def test_at_the_end_of_a_shift_the_next_begins_while_answers_are_still_out(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    vendor.behave(latency_ms=600)
    monkeypatch.setattr(delivery, "SHIFT_S", 0.2)
    free_turns, sent = [], Delivery.objects.filter(state=State.SENT)

    def hand_over(task: str) -> None:
        free_turns.append((task, delivery._turns._value, sent.exists()))

    monkeypatch.setattr(delivery, "nudge", hand_over)
    assert send() == 1
    assert free_turns == [("delivery.send", dispatch.SENDERS, False)]
    assert sent.exists()
    assert delivery._turns._value == dispatch.SENDERS


def test_a_sender_that_lost_its_lease_cannot_overwrite_its_successor(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    slow = delivery.claim(now())
    quick = delivery.claim(now() + delivery.LEASE)
    delivery.settle(quick, pushed(quick, now()), now())
    delivery.settle(slow, {}, now())
    assert Delivery.objects.get().state == State.SENT


def test_what_is_graver_is_claimed_first_whatever_waits(
    regions: Regions, person: Person, bulletin: Bulletins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 4)
    for _ in range(3):
        person(regions[STREET])
    at = now()
    routine, drill = bulletin(STREET, urgency=0), bulletin(STREET, urgency=4, drill=True)
    dispatch.take_up(now=at - timedelta(minutes=5))
    prompt, grave = bulletin(STREET, urgency=2), bulletin(STREET, urgency=3)
    dispatch.take_up(now=at)
    said = dict(Dispatch.objects.values_list("pk", "bulletin"))

    def claimed() -> Counter[int]:
        return Counter(said[one.dispatch] for one in delivery.claim(at))

    assert claimed() == {grave.pk: 3, prompt.pk: 1}
    assert claimed() == {prompt.pk: 2, drill.pk: 2}
    assert claimed() == {drill.pk: 1, routine.pk: 3}
    assert not claimed()


def test_nothing_else_is_begun_while_lines_of_life_safety_are_being_written(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET])
    bulletin(STREET, urgency=1)
    dispatch.take_up(now=now())
    (waiting,) = Delivery.objects.all()
    grave = bulletin(STREET, urgency=4)
    assert delivery.claim(now()) == []
    late = now() + delivery.WRITING
    assert [one.id for one in delivery.claim(late)] == [waiting.pk]  # whatever holds the writer up
    dispatch.take_up(now=now())
    assert [one.dispatch for one in delivery.claim(now())] == [grave.dispatches.get().pk]


def test_a_drill_holds_nobody_up(regions: Regions, person: Person, bulletin: Bulletins) -> None:
    person(regions[STREET])
    bulletin(STREET, urgency=1)
    dispatch.take_up(now=now())
    bulletin(STREET, urgency=4, drill=True)
    assert len(delivery.claim(now())) == 1


def test_a_repeat_goes_in_the_lane_of_what_it_repeats(
    regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions[STREET])
    dispatch.run_errand(bulletin(STREET, urgency=4), Errand.FIRST, now=now())
    first = Delivery.objects.get()
    dispatch.run_errand(first.dispatch.bulletin, Errand.REPEAT, now=now(), unanswered=[first.pk])
    assert [row.lane for row in Delivery.objects.all()] == [Lane.LIFE_SAFETY] * 2


def test_what_expired_while_it_waited_is_never_sent(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    later = now() + timedelta(hours=2)
    assert delivery.send_due(clock=lambda: later) == 1
    row = Delivery.objects.get()
    assert (row.state, row.reason) == (State.FAILED_PERM, "EXPIRED")
    assert vendor.counters()["accepted"] == 0


def test_who_has_left_the_roster_since_is_not_rung(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    left, stays = person(regions[STREET]), person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    Officer.objects.filter(pk=left.pk).update(is_active=False)
    assert send() == 2
    ends = dict(Delivery.objects.values_list("officer", "reason"))
    assert ends == {left.pk: "not_active", stays.pk: ""}
    assert vendor.counters()["accepted"] == 1


def order_of(
    bulletin: Bulletins, street: Region, drafter: Officer, **fields: object
) -> tuple[ResponseOrder, Bulletin]:
    at = now()
    order = ResponseOrder.objects.create(
        hazard="rainstorm", level=2, authority=street, areas=[STREET], duties=["flood"], title_zh="x", title_en="x",
        text_zh="x", text_en="x", status=OrderStatus.ISSUED, drafted_by=drafter, created_at=at,
        approved_by=make_officer(street),
        valid_until=at + timedelta(hours=1),
    )  # fmt: skip
    return order, bulletin(STREET, order=order, requires=Requires.CONFIRM, **fields)


@pytest.mark.parametrize("status", [OrderStatus.WITHDRAWN, OrderStatus.ENDED, OrderStatus.SUPERSEDED])
def test_nobody_is_pushed_to_an_order_that_is_over_and_its_call_off_goes_out(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, status: OrderStatus
) -> None:
    order, told = order_of(bulletin, regions["440303"], person(regions[STREET]))
    dispatch.take_up(now=now())
    ResponseOrder.objects.filter(pk=order.pk).update(status=status)
    call_off = bulletin(STREET, order=order, requires=Requires.OPEN)
    dispatch.take_up(now=now())
    assert send() == 2
    ends = dict(Delivery.objects.values_list("dispatch__bulletin", "reason"))
    assert ends == {told.pk: "over", call_off.pk: ""}
    assert [push["id"] for push in vendor.accepted()] == [
        str(Delivery.objects.get(dispatch__bulletin=call_off).pk)
    ]


def test_nobody_is_pushed_to_a_warning_that_has_ended(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET])
    warning = Warning.objects.create(
        hazard=Hazard.RAINSTORM, region=regions["440303"], level=3, peak_level=3, raised_at=now()
    )
    bulletin(STREET, warning=warning, requires=Requires.CONFIRM)
    dispatch.take_up(now=now())
    Warning.objects.update(ended_at=now())
    send()
    row = Delivery.objects.get()
    assert (row.state, row.reason, vendor.accepted()) == (State.FAILED_PERM, "over", [])


def test_what_a_later_message_renews_without_a_ring_is_rung_although_it_is_over(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    order, told = order_of(bulletin, regions["440303"], person(regions[STREET]), thread="order/1")
    dispatch.take_up(now=now())
    bulletin(STREET, thread="order/1", renews=True, requires=Requires.CONFIRM)
    dispatch.take_up(now=now())
    ResponseOrder.objects.update(status=OrderStatus.ENDED)
    [rings, renews] = delivery.claim(now())
    assert [(one.why, one.quiet) for one in (rings, renews)] == [("", False), ("", True)]
    Delivery.objects.filter(pk=rings.id).update(state=State.FAILED_PERM, reason="over")
    [again] = [one for one in delivery.claim(now() + delivery.LEASE) if one.id == renews.id]
    assert (again.quiet, again.tag) == (False, "order/1")  # what he was to be rung by never came out


def test_without_credentials_what_expired_waits_no_longer(
    regions: Regions, person: Person, bulletin: Bulletins, settings: Settings
) -> None:
    settings.FIREBASE_CREDENTIALS = None
    providers.transports.cache_clear()
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    delivery.send_due(clock=lambda: now() + timedelta(hours=2))
    assert Delivery.objects.get().reason == "EXPIRED"
    providers.transports.cache_clear()


def test_without_credentials_deliveries_wait_and_say_why(
    regions: Regions, person: Person, bulletin: Bulletins, settings: Settings
) -> None:
    settings.FIREBASE_CREDENTIALS = None
    providers.transports.cache_clear()
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    row = Delivery.objects.get()
    assert (row.state, row.reason) == (State.FAILED_TEMP, "fcm_not_configured")


def test_who_was_entered_with_another_language_is_told_in_chinese(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET])
    person(regions[STREET])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE officers_officer DROP CONSTRAINT IF EXISTS officer_language")
        cursor.execute("UPDATE officers_officer SET language = 'fr' WHERE id = %s", [officer.pk])
    bulletin(STREET)
    dispatch.take_up(now=now())
    assert send() == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.SENT}


def test_an_answer_settles_what_was_not_yet_sent(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    row = Delivery.objects.get()
    receipts.take(
        officer.pk, [receipts.Answer(row.pk, ReceiptState.CONFIRMED, now())], source="socket", now=now()
    )
    assert send() == 0
    assert vendor.accepted() == []


def test_push_text_of_a_deputy_carries_the_lead_and_stays_within_fifty_characters(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    told = bulletin(STREET, push_zh="雨" * 50)
    dispatch.take_up(now=now())
    first = Delivery.objects.exclude(officer=deputy).get()
    dispatch.run_errand(told, Errand.DEPUTY, now=now(), unanswered=[first.pk], lead=("【叫应】请接替。", ""))
    claims = [one for one in delivery.claim(now()) if one.dispatch != first.dispatch_id]
    said = delivery._messages({claims[0].dispatch})[claims[0].dispatch, "zh", False]
    assert said.body.startswith("【叫应】请接替。")
    assert len(said.body) == 50
