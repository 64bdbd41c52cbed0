"""A person may change his mind: each word is kept, the last one counts, and only an answer stops what is due."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from alerts.models import Bulletin
from escalation import calls, climb
from escalation.models import CallResult, CallTask, Climb, ClimbState
from foundation.clock import now
from foundation.scope import Scope
from hydrology.models import Region
from notifications import delivery, dispatch, receipts, telephony
from notifications.models import Delivery, Errand, ReceiptState
from officers.models import Duty, Officer, Post, Rank
from tests.escalation.test_climb import DISTRICT, STREET, at, rungs, says, sweep_until, tell
from tests.escalation.test_climb import person as chased
from tests.notifications.switchboard import first_line, rung

END_S = 1200


@pytest.mark.parametrize("state", [ReceiptState.DELIVERED, ReceiptState.SHOWN, ReceiptState.OPENED])
@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_that_the_push_came_does_not_cancel_the_call_that_is_due(
    regions: dict[str, Region],
    person: Callable[..., Officer],
    bulletin: Callable[..., Bulletin],
    channel: str,
    state: ReceiptState,
) -> None:
    officer = person(regions[STREET])
    told = bulletin(STREET)
    dispatch.take_up(now=now())
    root = first_line(told)
    call = rung(root, channel)
    receipts.take(officer.pk, [receipts.Answer(root.pk, state, now())], source="http", now=now())
    assert [one.id for one in telephony.claim(channel, now(), here=True)] == [call.pk]


def test_that_the_ring_came_does_not_count_for_what_renews_it(
    regions: dict[str, Region], person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    officer = person(regions[STREET])
    ring, quiet = (_told(bulletin) for _ in range(2))
    assert quiet.quiet
    came = receipts.Answer(ring.pk, ReceiptState.DELIVERED, now())
    receipts.take(officer.pk, [came], source="http", now=now())
    assert quiet.pk in {claim.id for claim in delivery.claim(now())}


def _told(bulletin: Callable[..., Bulletin]) -> Delivery:
    one = bulletin(STREET, thread="storm/1", renews=True)
    dispatch.take_up(now=now())
    return first_line(one)


def test_who_cannot_then_goes_then_cannot_after_all_has_his_deputy_called(regions: dict[str, Region]) -> None:
    officer = chased(regions[STREET])
    deputy = chased(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    says(officer, ReceiptState.CANNOT, 5, "a")
    says(officer, ReceiptState.CONFIRMED, 7)
    climb.sweep(now=at(8))
    says(officer, ReceiptState.CANNOT, 60, "the road is gone")
    sweep_until(END_S, since_s=61)
    assert ("deputy", 1) in rungs(officer)


def test_who_goes_then_cannot_then_goes_after_all_has_answered(regions: dict[str, Region]) -> None:
    officer = chased(regions[STREET])
    tell(STREET)
    says(officer, ReceiptState.CONFIRMED, 5)
    says(officer, ReceiptState.CANNOT, 10, "a")
    climb.sweep(now=at(11))
    says(officer, ReceiptState.CONFIRMED, 20)
    sweep_until(END_S + 600, since_s=21)
    assert Climb.objects.get(delivery__officer=officer).state == ClimbState.ANSWERED


@pytest.mark.parametrize(("confirmed_before", "ahead_s"), [(True, 0), (False, 3600)])
def test_an_answer_on_the_telephone_ends_the_climb_for_good_whatever_the_phones_clock_said(
    regions: dict[str, Region], confirmed_before: bool, ahead_s: int
) -> None:
    officer, desk = chased(regions[STREET]), chased(regions[DISTRICT], duty=Duty.DESK)
    tell(STREET)
    line = Delivery.objects.get(officer=officer, dispatch__errand=Errand.FIRST)
    if confirmed_before:
        says(officer, ReceiptState.CONFIRMED, 2)
    cannot = receipts.Answer(line.pk, ReceiptState.CANNOT, at(5 + ahead_s), note="x")
    receipts.take(officer.pk, [cannot], source="http", now=at(5))
    for second in (6, 100, 200, 300, 400, 500):
        climb.sweep(now=at(second))
    task = CallTask.objects.get(climb__delivery=line)
    path = (regions[DISTRICT].path,)
    scope = Scope(paths=path, desk_paths=path)
    calls.claim(task.pk, scope, desk.pk, at(501))
    calls.finish(task.pk, scope, desk.pk, CallResult.ANSWERED, "he goes", at(502))
    for second in (505, 1200, 2000):
        climb.sweep(now=at(second))
    ended = Climb.objects.filter(delivery=line).values_list("state", "why").get()
    assert ended == ("answered", "by call")


def test_a_refusal_after_the_telephone_call_is_heard(regions: dict[str, Region]) -> None:
    officer, desk = chased(regions[STREET]), chased(regions[DISTRICT], duty=Duty.DESK)
    tell(STREET)
    sweep_until(600)
    line = Delivery.objects.get(officer=officer, dispatch__errand=Errand.FIRST)
    task = CallTask.objects.get(climb__delivery=line)
    path = (regions[DISTRICT].path,)
    scope = Scope(paths=path, desk_paths=path)
    calls.claim(task.pk, scope, desk.pk, at(601))
    calls.finish(task.pk, scope, desk.pk, CallResult.ANSWERED, "he goes", at(602))
    says(officer, ReceiptState.CANNOT, 700, "the road is gone")
    climb.sweep(now=at(705))
    assert Climb.objects.get(delivery=line).state != ClimbState.ANSWERED


def test_the_same_word_of_the_same_instant_is_kept_once(
    regions: dict[str, Region], person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    officer = person(regions[STREET])
    line = _told(bulletin)
    said = receipts.Answer(line.pk, ReceiptState.CONFIRMED, now() - timedelta(seconds=3))
    results = [
        receipts.take(officer.pk, [said], source=source, now=now())[0]["result"]
        for source in ("http", "socket")
    ]
    assert results == ["accepted", "repeated"]
    assert line.receipts.count() == 1
