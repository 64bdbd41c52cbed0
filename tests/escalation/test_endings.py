"""What ends a chase without an answer: the message no longer stands, or a later one is chased instead."""

from typing import Any

import pytest

from alerts.models import (
    Bulletin,
    BulletinKind,
    Drill,
    DrillState,
    Hazard,
    OrderStatus,
    Requires,
    ResponseOrder,
    Warning,
)
from escalation import audit, climb
from escalation.models import CallTask, Climb, ClimbState
from hydrology.models import Region
from notifications import delivery, receipts
from notifications.models import Delivery, ReceiptState, State
from officers.models import Duty, Officer, Rank
from tests.console.factories import make_officer
from tests.escalation.test_climb import (
    DEPUTY_S,
    DESK_S,
    DISTRICT,
    END_S,
    NOON,
    REPEAT_S,
    STREET,
    Regions,
    at,
    heard,
    person,
    rungs,
    state_of,
    sweep_until,
    tell,
)
from tests.hydrology.factories import make_regions

THREAD = "storm/7"


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


def ended() -> dict[int, tuple[str, str]]:
    """By bulletin: state of its one climb and why."""
    rows = Climb.objects.values_list("delivery__dispatch__bulletin", "state", "why")
    return {bulletin: (state, why) for bulletin, state, why in rows}


def order_of(region: Region) -> ResponseOrder:
    drafter, approver = make_officer(region), make_officer(region)
    return ResponseOrder.objects.create(
        level=3, authority=region, areas=[STREET], duties=["flood"], title_zh="防汛", title_en="order", text_zh="全员上岗",
        valid_until=at(7200), status=OrderStatus.ISSUED, drafted_by=drafter, approved_by=approver, created_at=NOON,
    )  # fmt: skip


@pytest.mark.parametrize("status", [OrderStatus.WITHDRAWN, OrderStatus.ENDED, OrderStatus.SUPERSEDED])
def test_an_order_that_no_longer_stands_is_not_chased(regions: Regions, status: OrderStatus) -> None:
    order = order_of(regions[DISTRICT])
    officer = person(regions[STREET])
    told = tell(STREET, kind=BulletinKind.ORDER, order=order)
    sweep_until(REPEAT_S)
    ResponseOrder.objects.filter(pk=order.pk).update(status=status)
    assert climb.sweep(now=at(DEPUTY_S)) == 0
    assert Climb.objects.get(delivery__officer=officer).why == f"order {status}"
    assert ended()[told.pk][0] == ClimbState.STOPPED


def test_who_leaves_the_roster_is_not_chased_and_who_is_back_is(regions: Regions) -> None:
    officer, late = person(regions[STREET]), person(regions[STREET])
    tell(officers=[officer.pk, late.pk])
    Officer.objects.filter(pk=late.pk).update(is_active=False)
    sweep_until(DESK_S)
    task = CallTask.objects.open(at(DESK_S)).get()
    assert (task.climb.delivery.officer, rungs(late)) == (officer, [])
    Officer.objects.filter(pk=officer.pk).update(is_active=False)
    climb.sweep(now=at(DESK_S + 5))
    assert set(Climb.objects.values_list("state", "why")) == {(ClimbState.STOPPED, "left the roster")}
    assert not CallTask.objects.open(at(DESK_S + 5)).exists()
    assert audit.look(at(DESK_S + 60)) == {}
    Officer.objects.update(is_active=True)  # the roster was a mistake
    assert climb.sweep(now=at(DESK_S + 60)) == 1
    assert (rungs(late), state_of(officer)) == ([("repeat", 1)], ClimbState.CLIMBING)
    assert CallTask.objects.open(at(DESK_S + 60)).get() == task


def drill_for(region: Region, *officers: Officer) -> Drill:
    return Drill.objects.create(
        name="演练", authority=region, areas=[STREET], duties=["flood"], officers=[one.pk for one in officers],
        state=DrillState.RUNNING, created_at=NOON, created_by=officers[0], began_at=NOON,
    )  # fmt: skip


@pytest.mark.parametrize("state", [DrillState.PAUSED, DrillState.ENDED])
def test_a_drill_that_rests_or_is_over_chases_nobody(regions: Regions, state: DrillState) -> None:
    officer = person(regions[STREET])
    drill = drill_for(regions[DISTRICT], officer)
    told = tell(STREET, drill=True, drill_of=drill)
    sweep_until(REPEAT_S)
    Drill.objects.update(state=state)
    assert climb.sweep(now=at(DEPUTY_S)) == 0
    assert ended() == {told.pk: (ClimbState.STOPPED, f"drill {state}")}
    late = tell(STREET, drill=True, drill_of=drill, issued_at=at(DEPUTY_S))
    assert sweep_until(DEPUTY_S + 600, every_s=30, since_s=DEPUTY_S) == 0
    assert late.pk not in ended()
    assert audit.look(at(DEPUTY_S + 600)) == {}


def test_a_drill_that_goes_on_chases_on_from_where_it_was(regions: Regions) -> None:
    officer = person(regions[STREET])
    drill = drill_for(regions[DISTRICT], officer)
    tell(STREET, drill=True, drill_of=drill)
    sweep_until(REPEAT_S)
    Drill.objects.update(state=DrillState.PAUSED)
    climb.sweep(now=at(DEPUTY_S))
    Drill.objects.update(state=DrillState.RUNNING)
    assert climb.sweep(now=at(DEPUTY_S + 600)) == 1
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]


def test_a_drill_is_chased_inside_its_audience_only(regions: Regions) -> None:
    officer, desk = person(regions[STREET]), person(regions[DISTRICT], duty=Duty.DESK)
    tell(STREET, drill=True, drill_of=drill_for(regions[DISTRICT], officer))
    sweep_until(1200, every_s=30)
    assert set(heard(officer)) == {"first", "repeat"}
    assert heard(desk) == []


@pytest.mark.parametrize(
    ("fields", "instead"),
    [
        ({}, True),
        ({"urgency": 3}, False),  # milder
        ({"requires": Requires.OPEN}, False),  # nobody would be chased for it
        ({"drill": True}, False),
        ({"thread": "storm/8"}, False),
    ],
    ids=str,
)
def test_a_later_message_of_the_thread_is_chased_instead(
    regions: Regions, fields: dict[str, Any], instead: bool
) -> None:
    person(regions[STREET])
    earlier = tell(STREET, thread=THREAD)
    sweep_until(REPEAT_S)
    tell(STREET, **{"thread": THREAD, "issued_at": at(REPEAT_S + 1)} | fields)
    climb.sweep(now=at(REPEAT_S + 5))
    assert ended()[earlier.pk] == (
        (ClimbState.STOPPED, "told anew") if instead else (ClimbState.CLIMBING, "")
    )


@pytest.mark.parametrize("answered", [False, True])
def test_when_what_he_was_told_since_is_withdrawn_he_is_chased_for_this_again(
    regions: Regions, answered: bool
) -> None:
    officer = person(regions[STREET])
    earlier = tell(STREET, thread=THREAD)
    sweep_until(REPEAT_S)
    order = order_of(regions[DISTRICT])
    later = tell(STREET, thread=THREAD, kind="order", order=order, issued_at=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 5))
    assert ended()[earlier.pk] == (ClimbState.STOPPED, "told anew")
    if answered:
        line = Delivery.objects.get(officer=officer, dispatch__bulletin=later)
        said = receipts.Answer(line.pk, ReceiptState.CONFIRMED, at(REPEAT_S + 10))
        receipts.take(officer.pk, [said], source="http", now=at(REPEAT_S + 10))
    ResponseOrder.objects.update(status=OrderStatus.WITHDRAWN)
    climb.sweep(now=at(DEPUTY_S + 60))
    stands = (ClimbState.STOPPED, "told anew") if answered else (ClimbState.CLIMBING, "")
    assert ended()[earlier.pk] == stands
    assert [errand for errand, _ in rungs(officer)] == (["repeat"] if answered else ["repeat", "deputy"])


def renewed(regions: Regions) -> tuple[Officer, Bulletin, Bulletin]:
    """He has been told, and what he has is renewed in place."""
    officer = person(regions[STREET])
    warnings = [
        Warning.objects.create(
            hazard=Hazard.RAINSTORM, region=regions[code], level=4, peak_level=4, raised_at=NOON
        )
        for code in (DISTRICT, "440304")
    ]
    told = tell(STREET, thread=THREAD, warning=warnings[0])
    later = tell(STREET, thread=THREAD, warning=warnings[1], renews=True, issued_at=at(5))
    assert list(Delivery.objects.filter(officer=officer).order_by("id").values_list("quiet", flat=True)) == [
        False,
        True,
    ]
    return officer, told, later


def test_what_only_renews_owes_nothing_and_what_rang_is_chased_on(regions: Regions) -> None:
    officer, told, _ = renewed(regions)
    sweep_until(DEPUTY_S)
    assert ended() == {told.pk: (ClimbState.CLIMBING, "")}
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]
    assert audit.look(at(DEPUTY_S + 29)) == {}


def test_an_answer_to_what_rang_is_one_to_what_renewed_it(regions: Regions) -> None:
    officer, told, _ = renewed(regions)
    sweep_until(REPEAT_S)
    root = Delivery.objects.get(officer=officer, dispatch__bulletin=told, dispatch__errand="first")
    said = receipts.Answer(root.pk, ReceiptState.CONFIRMED, at(REPEAT_S + 1))
    receipts.take(officer.pk, [said], source="http", now=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 2))
    assert ended() == {told.pk: (ClimbState.ANSWERED, "confirmed")}
    assert set(Delivery.objects.filter(officer=officer).values_list("state", flat=True)) == {"confirmed"}


ORDER_THREAD = "order/1"
OVER_S = REPEAT_S + 30


def under(regions: Regions, urgency: int, over_in_s: float | None = None, **fields: Any) -> Bulletin:
    """Told of an order that joins the thread."""
    order = order_of(regions[DISTRICT])
    told = tell(
        STREET,
        kind=BulletinKind.ORDER,
        order=order,
        thread=ORDER_THREAD,
        renews=True,
        urgency=urgency,
        **fields,
    )
    if over_in_s is not None:
        ends(told, over_in_s)
    return told


def ends(told: Bulletin, at_s: float) -> None:
    ResponseOrder.objects.filter(pk=told.order_id).update(status=OrderStatus.ENDED, ended_at=at(at_s))
    Warning.objects.filter(pk=told.warning_id).update(ended_at=at(at_s))


def line(officer: Officer, told: Bulletin) -> Delivery:
    return Delivery.objects.get(officer=officer, dispatch__bulletin=told, dispatch__errand="first")


def says(officer: Officer, told: Bulletin, state: ReceiptState, at_s: float) -> None:
    said = receipts.Answer(line(officer, told).pk, state, at(at_s))
    receipts.take(officer.pk, [said], source="http", now=at(at_s))


@pytest.mark.parametrize("state", [ReceiptState.CONFIRMED, ReceiptState.CANNOT])
@pytest.mark.parametrize("orders", [True, False], ids=["orders", "warnings"])
def test_who_has_it_only_in_place_of_what_is_over_is_rung_and_chased_for_it(
    regions: Regions, orders: bool, state: ReceiptState
) -> None:
    if orders:
        officer = person(regions[STREET])
        over, stands = under(regions, 4), under(regions, 4, issued_at=at(5))
    else:
        officer, over, stands = renewed(regions)
    deputy = person(regions[STREET], rank=Rank.B, valid_from=at(OVER_S))
    sweep_until(OVER_S)
    Delivery.objects.update(state=State.SENT, sent_at=at(OVER_S))
    ends(over, OVER_S)
    assert audit.look(at(OVER_S + 29)).get("no_climb") is None  # the next sweep's
    assert audit.look(at(OVER_S + 31))["no_climb"] == 1
    assert climb.sweep(now=at(OVER_S + 5)) == 1
    assert ended()[stands.pk] == (ClimbState.CLIMBING, "")
    assert ended()[over.pk][0] == ClimbState.STOPPED
    assert audit.look(at(OVER_S + 36)) == {}
    [ring] = delivery.claim(at(OVER_S + 6))
    assert ring.message_id == str(line(officer, stands).pk)
    assert (ring.quiet, ring.why, ring.tag) == (False, "", "")
    says(officer, stands, state, OVER_S + 10)
    climb.sweep(now=at(OVER_S + 11))
    called = state == ReceiptState.CANNOT
    assert heard(deputy) == (["deputy"] if called else [])
    assert ended()[stands.pk][0] == (ClimbState.CLIMBING if called else ClimbState.ANSWERED)


def test_who_had_answered_what_is_over_is_not_rung_for_what_renewed_it(regions: Regions) -> None:
    officer = person(regions[STREET])
    over = under(regions, 4)
    says(officer, over, ReceiptState.CONFIRMED, 4)
    stands = under(regions, 4, issued_at=at(5))
    ends(over, 6)
    sweep_until(DEPUTY_S)
    assert (line(officer, stands).quiet, heard(officer)) == (True, ["first", "first"])
    assert audit.look(at(DEPUTY_S + 60)) == {}


@pytest.mark.parametrize(
    ("urgencies", "chased"),
    [
        ((4, 3, 3), [1]),  # the first of two rings for both
        ((4, 3, 4), [2]),  # the graver one rings
        ((3, 4, 3), [1]),  # it has rung him already, and stands
    ],
    ids=str,
)
def test_of_what_is_left_of_a_thread_one_is_chased(
    regions: Regions, urgencies: tuple[int, ...], chased: list[int]
) -> None:
    officer = person(regions[STREET])
    told = [under(regions, urgency, issued_at=at(n)) for n, urgency in enumerate(urgencies)]
    ends(told[0], 10)
    sweep_until(END_S)
    climbing = {pk for pk, (_, why) in ended().items() if why != "told anew" and pk != told[0].pk}
    assert climbing == {told[n].pk for n in chased}
    assert heard(officer).count("repeat") == 1
    assert audit.look(at(END_S + 30)) == {}


def test_one_sweep_costs_the_same_statements_for_one_bulletin_and_for_twenty(
    regions: Regions, django_assert_max_num_queries: Any
) -> None:
    costs = []
    for count in (1, 20):
        Climb.objects.all().delete()
        since_s = 4000 * len(costs)
        for _ in range(count):
            tell(officers=[person(regions[STREET]).pk], issued_at=at(since_s), valid_until=at(since_s + 3000))
        with django_assert_max_num_queries(40) as asked:
            assert climb.sweep(now=at(since_s + REPEAT_S)) == count
        costs.append(len(asked))
    assert costs[0] == costs[1]
