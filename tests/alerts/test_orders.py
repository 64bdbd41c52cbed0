"""Response orders: two people, one literal table, one bulletin; a refusal changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from alerts import drafts, orders
from alerts.cap_out import message_of
from alerts.models import Bulletin, OrderEvent, OrderStatus, ResponseLevel, ResponseOrder
from escalation import climb
from escalation.models import Climb, ClimbState
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty, Officer
from tests.alerts.conftest import DISTRICT, PATH, A, B, C
from tests.console.factories import HOUR, make_officer
from tests.hydrology.factories import MINUTE, NOW, make_regions
from tests.notifications.conftest import give_phone

S = OrderStatus
DESK = Scope((PATH,), desk_paths=(PATH,))
COMMAND = Scope((PATH,), command_paths=(PATH,))
BOTH = Scope((PATH,), (PATH,), (PATH,))
ROUTES: dict[str, list[str]] = {
    S.DRAFT: [],
    S.SUBMITTED: ["submit"],
    S.REJECTED: ["submit", "reject"],
    S.APPROVED: ["submit", "approve"],
    S.ISSUED: ["submit", "approve", "issue"],
    S.WITHDRAWN: ["withdraw"],
    S.ENDED: ["submit", "approve", "issue", "end"],
}


def values(**fields: Any) -> dict[str, Any]:
    return {
        "level": ResponseLevel.I, "authority": DISTRICT, "areas": [A], "duties": ["flood"],
        "title_zh": "转移危险区人员", "title_en": "Move people to safety", "text_zh": "请立即转移。", "text_en": "Move them now.",
        "deadline_at": NOW + HOUR, "valid_until": NOW + 6 * HOUR,
    } | fields  # fmt: skip


class Room:
    """Two people of the district's duty room: one drafts, the other approves."""

    def __init__(self, regions: dict[str, Region]) -> None:
        self.drafter = make_officer(regions[DISTRICT], Duty.DESK)
        self.commander = make_officer(regions[DISTRICT], Duty.COMMAND)

    def act(self, order: ResponseOrder, *verbs: str, minutes: int = 0) -> ResponseOrder:
        for verb in verbs:
            who = self.commander if orders.TRANSITIONS[verb][2] == "command" else self.drafter
            order = orders.act(order.pk, verb, who.pk, BOTH, now=NOW + minutes * MINUTE)
        return order

    def draft(self, **fields: Any) -> ResponseOrder:
        return drafts.draft(self.drafter.pk, DESK, values(**fields), now=NOW)


@pytest.fixture
def room(regions: dict[str, Region]) -> Room:
    return Room(regions)


def rows() -> list[Any]:
    """Everything this room may write, to be compared before and after."""
    tables = (ResponseOrder, OrderEvent, Bulletin)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def refused(act: Callable[[], object]) -> Refusal:
    """The refusal of this act, which changed nothing."""
    before = rows()
    with pytest.raises(Refusal) as caught:
        act()
    assert rows() == before
    return caught.value


@pytest.mark.parametrize(("status", "verb"), list(product(ROUTES, orders.TRANSITIONS)))
def test_only_what_the_table_allows_changes_the_status(room: Room, status: str, verb: str) -> None:
    order = room.act(room.draft(), *ROUTES[status])
    assert order.status == status
    before, after, _ = orders.TRANSITIONS[verb]
    if verb == "undo" and status == S.ISSUED:  # it was released at once
        assert refused(lambda: room.act(order, verb)).code == "already_released"
    elif status in before:
        room.act(order, verb)
        order.refresh_from_db()
        assert order.status == after
        event = order.events.order_by("-id")[0]
        assert (event.before, event.after) == (status, after)
    else:
        refusal = refused(lambda: room.act(order, verb))
        assert (refusal.code, refusal.status) == ("illegal_transition", 409)


def test_every_step_leaves_an_event_with_its_person_and_words(room: Room) -> None:
    order = room.draft()
    orders.act(order.pk, "submit", room.drafter.pk, DESK, now=NOW)
    orders.act(order.pk, "reject", room.commander.pk, COMMAND, now=NOW + MINUTE, note="范围不对")
    told = order.events.order_by("id").values_list("before", "after", "actor_id", "note", "at")
    assert list(told) == [
        ("", S.DRAFT, room.drafter.pk, "", NOW),
        (S.DRAFT, S.SUBMITTED, room.drafter.pk, "", NOW),
        (S.SUBMITTED, S.REJECTED, room.commander.pk, "范围不对", NOW + MINUTE),
    ]


def test_the_drafter_cannot_approve_his_own_order_even_with_the_command(room: Room) -> None:
    order = room.act(room.draft(), "submit")
    refusal = refused(lambda: orders.act(order.pk, "approve", room.drafter.pk, BOTH, now=NOW))
    assert (refusal.code, refusal.status) == ("second_person", 403)


@pytest.mark.parametrize(
    "fault",
    [{"approved_by": "drafter"}, {"status": S.APPROVED}, {"status": S.ISSUED}, {"status": S.ENDED}],
)
def test_the_database_itself_wants_a_second_person(room: Room, fault: dict[str, Any]) -> None:
    order = room.act(room.draft(), "submit")
    fields = {k: room.drafter if v == "drafter" else v for k, v in fault.items()}
    with pytest.raises(IntegrityError, match="order_"), transaction.atomic():
        ResponseOrder.objects.filter(pk=order.pk).update(**fields)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"areas": [A, C]}, "area_outside"),
        ({"areas": ["nowhere"]}, "area_outside"),
        ({"areas": ["4403"]}, "area_outside"),
        ({"areas": []}, "area_outside"),
        ({"valid_until": NOW}, "validity"),
        ({"valid_until": NOW + drafts.LONGEST_VALIDITY + MINUTE}, "validity"),
        ({"deadline_at": NOW}, "deadline"),
        ({"deadline_at": NOW + 7 * HOUR}, "deadline"),
        ({"authority": A, "areas": [B]}, "area_outside"),
        ({"authority": "440304", "areas": [C]}, "not_found"),
        ({"authority": "nowhere"}, "not_found"),
    ],
)
def test_a_draft_outside_the_authority_or_its_times_is_refused_by_name(
    room: Room, fields: dict[str, Any], code: str
) -> None:
    assert refused(lambda: room.draft(**fields)).code == code


@pytest.mark.parametrize("verb", orders.TRANSITIONS)
def test_another_regions_desk_does_not_even_learn_that_the_order_exists(room: Room, verb: str) -> None:
    order = room.draft()
    other = ("4403/440304/",)
    stranger = Scope(other, other, other)
    found = refused(lambda: orders.act(order.pk, verb, room.commander.pk, stranger, now=NOW))
    missing = refused(lambda: orders.act(order.pk + 99, verb, room.commander.pk, BOTH, now=NOW))
    assert (found.code, found.status, found.en) == (missing.code, 404, missing.en)


@pytest.mark.parametrize("verb", orders.TRANSITIONS)
def test_who_sees_the_order_but_holds_no_such_post_is_refused(room: Room, verb: str) -> None:
    order = room.draft()
    wrong = DESK if orders.TRANSITIONS[verb][2] == "command" else COMMAND
    assert refused(lambda: orders.act(order.pk, verb, room.commander.pk, wrong, now=NOW)).status == 403
    street = Scope((f"{PATH}{A}/",), (f"{PATH}{A}/",), (f"{PATH}{A}/",))
    assert refused(lambda: orders.act(order.pk, verb, room.commander.pk, street, now=NOW)).status == 404


def test_the_citys_desk_may_act_for_its_district(room: Room) -> None:
    city = Scope(("4403/",), ("4403/",), ())
    assert orders.act(room.draft().pk, "submit", room.drafter.pk, city, now=NOW).status == S.SUBMITTED


@pytest.mark.parametrize("level", ResponseLevel)
def test_issuing_says_it_once_to_the_right_people(room: Room, level: ResponseLevel) -> None:
    order = room.draft(level=level, areas=[A, B], duties=["flood", "desk"], drill=True)
    room.act(order, "submit", "approve", "issue", minutes=3)
    told = Bulletin.objects.get()
    assert (told.order_id, told.kind, told.level) == (
        order.pk,
        "order",
        "watch" if level == 1 else level.name,
    )
    assert (told.areas, told.duties, told.drill) == ([A, B], ["flood", "desk"], True)
    assert told.urgency == {1: 1, 2: 1, 3: 2, 4: 3, 5: 4}[level]
    assert (told.deadline_at, told.valid_until) == (order.deadline_at, order.valid_until)
    assert (told.issued_at, told.requires) == (NOW + 3 * MINUTE, "confirm")
    assert told.reasons == {"order": order.pk, "approved_by": room.commander.pk}
    assert told.title_zh.startswith("【演练】")


@pytest.mark.parametrize(("hours", "code"), [(1, "deadline_passed"), (6, "expired")])
def test_an_order_whose_time_has_passed_is_not_issued(room: Room, hours: int, code: str) -> None:
    order = room.act(room.draft(), "submit", "approve")
    refusal = refused(lambda: room.act(order, "issue", minutes=60 * hours))
    assert (refusal.code, refusal.status) == (code, 409)


@pytest.mark.parametrize("route", [[], ["submit"], ["submit", "approve"]])
def test_what_was_never_issued_is_withdrawn_in_silence(room: Room, route: list[str]) -> None:
    room.act(room.draft(), *route, "withdraw")
    assert not Bulletin.objects.exists()


@pytest.mark.parametrize(
    ("verb", "status", "word"), [("withdraw", S.WITHDRAWN, "撤回"), ("end", S.ENDED, "终止")]
)
def test_calling_off_tells_the_same_people_and_nobody_is_chased_any_more(
    room: Room, regions: dict[str, Region], verb: str, status: str, word: str
) -> None:
    officer = make_officer(regions[A])
    for told in (officer, room.drafter):  # the desk above hears it as well
        give_phone(told)
    order = room.act(room.draft(), "submit", "approve", "issue")
    dispatch.take_up(now=NOW)
    assert climb.sweep(now=NOW + MINUTE) == 2  # a reminder each
    room.act(order, verb, minutes=2)
    first, last = Bulletin.objects.order_by("id")
    assert (last.areas, last.duties, last.supersedes_id) == (first.areas, first.duties, first.pk)
    assert (last.requires, last.urgency) == ("open", 1)
    assert word in last.push_zh
    assert last.title_zh.startswith(f"【{word}】") and last.body_zh.startswith(f"【{word}】")
    assert message_of(last).infos[0].headline == last.title_zh
    assert climb.sweep(now=NOW + 10 * MINUTE) == 0
    assert {state for (state,) in Climb.objects.values_list("state")} == {ClimbState.STOPPED}
    dispatch.take_up(now=NOW + 10 * MINUTE)
    assert Delivery.objects.filter(dispatch__bulletin=last, officer=officer).count() == 1
    order.refresh_from_db()
    assert order.status == status


@pytest.mark.django_db(transaction=True)
def test_two_who_issue_at_once_issue_once() -> None:
    room = Room(make_regions())
    order = room.act(room.draft(), "submit", "approve")

    def issue(who: Officer) -> str:
        try:
            return orders.act(order.pk, "issue", who.pk, DESK, now=NOW).status
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(issue, [room.drafter, room.commander]))
    assert answers == ["illegal_transition", S.ISSUED]
    assert Bulletin.objects.count() == 1


def test_the_longest_validity_is_three_days(room: Room) -> None:
    assert room.draft(valid_until=NOW + timedelta(days=3)).status == S.DRAFT
