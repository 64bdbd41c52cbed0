"""What an order replaces, joins and belongs to: named refusals, one thread, one drill, nothing changed by a refusal."""

from datetime import timedelta
from typing import Any

import pytest

from alerts import drafts, orders
from alerts.models import (
    Bulletin,
    Drill,
    DrillState,
    OrderMeasure,
    OrderStatus,
    OrderTask,
    ResponseLevel,
    ResponseOrder,
)
from foundation.scope import Scope
from hydrology.models import Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, A, B, C
from tests.alerts.test_orders import Room, refused, values
from tests.console.factories import HOUR, make_officer
from tests.hydrology.factories import MINUTE, NOW

S = OrderStatus
CITY = "4403"
WHOLE = Scope(("4403/",), ("4403/",), ("4403/",))
L = ResponseLevel


@pytest.fixture
def room(regions: dict[str, Region]) -> Room:
    return Room(regions)


class Command:
    """The city's duty room, which may speak for every authority below."""

    def __init__(self, regions: dict[str, Region]) -> None:
        self.desk, self.head = (make_officer(regions[CITY], duty) for duty in (Duty.DESK, Duty.COMMAND))

    def draft(self, authority: str, *areas: str, **said: Any) -> ResponseOrder:
        fields = values(authority=authority, areas=list(areas), deadline_at=None) | said
        return drafts.draft(self.desk.pk, WHOLE, fields, now=NOW)

    def act(self, order: ResponseOrder, *verbs: str, minutes: float = 0, **how: Any) -> ResponseOrder:
        for verb in verbs:
            who = self.head if verb in ("approve", "reject") else self.desk
            more = how if verb == "issue" else {}
            order = orders.act(order.pk, verb, who.pk, WHOLE, now=NOW + minutes * MINUTE, **more)
        return order

    def issued(self, authority: str, *areas: str, minutes: float = 0, **said: Any) -> ResponseOrder:
        order = self.draft(authority, *areas, **said)
        return self.act(order, "submit", "approve", "issue", minutes=minutes)


@pytest.fixture
def command(regions: dict[str, Region]) -> Command:
    return Command(regions)


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ({"level": L.II}, "upgrade"),
        ({"level": L.IV}, "downgrade"),
        ({"level": L.III}, "convert"),
        ({"level": L.II, "hazard": "rainstorm"}, "convert"),
    ],
)
def test_what_an_order_does_to_the_one_it_replaces_is_computed(
    command: Command, said: dict[str, Any], action: str
) -> None:
    first = command.issued(DISTRICT, A, level=L.III)
    assert (first.action, first.thread) == ("start", f"order/{first.pk}")
    second = command.draft(DISTRICT, A, replaces=first.pk, **said)
    assert (second.action, second.thread) == (action, first.thread)


def test_releasing_it_ends_the_one_it_replaces_and_says_so_once(command: Command) -> None:
    first = command.issued(DISTRICT, A, B, level=L.III)
    second = command.issued(DISTRICT, A, B, level=L.II, replaces=first.pk, minutes=5)
    first.refresh_from_db()
    assert (first.status, first.ended_at) == (S.SUPERSEDED, NOW + 5 * MINUTE)
    event = first.events.order_by("-id")[0]
    assert (event.before, event.after, event.note) == (S.ISSUED, S.SUPERSEDED, f"order/{second.pk}")
    before, told = Bulletin.objects.order_by("id")
    assert told.push_zh.startswith("【升级为Ⅱ级响应】")
    assert (told.supersedes, told.thread, told.renews) == (before, first.thread, False)
    assert refused(lambda: command.act(first, "end")).code == "illegal_transition"


def test_an_authority_has_one_level_for_a_hazard_and_area(command: Command) -> None:
    first = command.issued(DISTRICT, A, level=L.IV)
    refusal = refused(lambda: command.draft(DISTRICT, A, B, level=L.III))
    assert (refusal.code, refusal.fields) == ("level_in_force", {"replaces": str(first.pk)})
    command.draft(DISTRICT, A, level=L.IV)
    command.draft(DISTRICT, A, level=L.III, replaces=first.pk)
    command.draft(DISTRICT, A, level=L.III, hazard="rainstorm")
    command.draft(DISTRICT, A, level=L.III, drill=True)
    command.draft(CITY, A, level=L.III)
    two = [
        command.act(command.draft(DISTRICT, B, level=level), "submit", "approve") for level in (L.III, L.II)
    ]
    command.act(two[0], "issue", undo_s=60)
    refusal = refused(lambda: command.act(two[1], "issue"))
    assert (refusal.code, refusal.fields) == ("level_in_force", {"replaces": str(two[0].pk)})
    two[1].refresh_from_db()
    assert (two[1].status, two[1].release_at) == (S.APPROVED, None)
    command.act(two[0], "undo")
    assert command.act(two[1], "issue").is_in_force


def test_only_what_is_in_force_of_the_same_authority_can_be_replaced(command: Command) -> None:
    draft = command.draft(DISTRICT, A)
    ended = command.act(command.issued(DISTRICT, A), "end")
    other = command.issued("440304", C)
    assert refused(lambda: command.draft(DISTRICT, A, replaces=draft.pk)).code == "replaced_not_in_force"
    assert refused(lambda: command.draft(DISTRICT, A, replaces=ended.pk)).code == "replaced_not_in_force"
    assert refused(lambda: command.draft(DISTRICT, A, replaces=other.pk)).code == "not_found"
    assert refused(lambda: command.draft(DISTRICT, A, replaces=10**9)).code == "not_found"


def test_what_ended_before_the_issue_cannot_be_replaced_any_more(command: Command) -> None:
    first = command.issued(DISTRICT, A)
    second = command.act(command.draft(DISTRICT, A, replaces=first.pk), "submit", "approve")
    command.act(first, "end")
    refusal = refused(lambda: command.act(second, "issue"))
    assert (refusal.code, refusal.status, refusal.fields) == (
        "replaced_not_in_force", 409, {"replaces": str(first.pk)}
    )  # fmt: skip


def test_two_cannot_wait_to_replace_the_same_order(command: Command) -> None:
    first = command.issued(DISTRICT, A)
    one, two = (
        command.act(command.draft(DISTRICT, A, replaces=first.pk), "submit", "approve") for _ in range(2)
    )
    command.act(one, "issue", undo_s=30)
    assert refused(lambda: command.act(two, "issue")).code == "already_replaced"
    command.act(one, "undo")
    assert command.act(two, "issue").is_in_force


def test_a_waiting_upgrade_of_what_was_ended_by_hand_goes_out_as_a_start(command: Command) -> None:
    first = command.issued(DISTRICT, A, level=L.III)
    second = command.act(
        command.draft(DISTRICT, A, level=L.II, replaces=first.pk), "submit", "approve", "issue", undo_s=60
    )
    command.act(first, "end")
    assert orders.release_due(now=NOW + 2 * MINUTE) == 1
    second.refresh_from_db()
    assert (second.action, second.replaces, second.is_in_force) == ("start", None, True)
    assert Bulletin.objects.order_by("-id")[0].push_zh.startswith("【Ⅱ级响应】")
    first.refresh_from_db()
    assert first.status == S.ENDED


def test_city_district_and_street_speak_in_one_thread(command: Command) -> None:
    city = command.issued(CITY, DISTRICT, level=L.III)
    district = command.issued(DISTRICT, A, B, level=L.II, under=city.pk)
    street = command.issued(A, A, level=L.III, under=district.pk)
    assert {one.thread for one in (city, district, street)} == {f"order/{city.pk}"}
    assert list(Bulletin.objects.order_by("id").values_list("thread", "renews")) == [
        (city.thread, False), (city.thread, True), (city.thread, True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("authority", "areas", "superior", "code"),
    [
        (DISTRICT, [A], (CITY, ["440304"]), "not_superior"),  # does not concern it
        (CITY, [DISTRICT], (DISTRICT, [A]), "not_superior"),  # the wrong way up
        (DISTRICT, [A], (DISTRICT, [A]), "not_superior"),  # itself
        (B, [B], (DISTRICT, [A]), "not_superior"),  # another street
    ],
)
def test_an_order_is_added_only_under_a_superiors_that_concerns_it(
    command: Command, authority: str, areas: list[str], superior: tuple[str, list[str]], code: str
) -> None:
    above = command.issued(superior[0], *superior[1])
    refusal = refused(lambda: command.draft(authority, *areas, under=above.pk))
    assert (refusal.code, refusal.status) == (code, 409)


def test_a_district_joins_a_citys_order_for_one_of_its_streets(command: Command) -> None:
    city = command.issued(CITY, A)
    assert command.draft(DISTRICT, A, B, under=city.pk).under == city


def test_nothing_is_added_under_what_is_over_or_not_there(command: Command) -> None:
    city = command.act(command.issued(CITY, DISTRICT), "end")
    assert refused(lambda: command.draft(DISTRICT, A, under=city.pk)).code == "under_not_in_force"
    assert refused(lambda: command.draft(DISTRICT, A, under=10**9)).code == "not_superior"


def test_the_districts_response_is_its_own_and_outlives_the_citys(command: Command) -> None:
    city = command.issued(CITY, DISTRICT)
    district = command.issued(DISTRICT, A, under=city.pk)
    command.act(city, "end")
    district.refresh_from_db()
    assert district.is_in_force


def test_an_upgrade_of_an_added_order_stays_in_the_thread_and_rings(command: Command) -> None:
    city = command.issued(CITY, DISTRICT, level=L.III)
    added = command.issued(DISTRICT, A, level=L.III, under=city.pk)
    graver = command.issued(DISTRICT, A, level=L.II, replaces=added.pk)
    assert (graver.under, graver.thread) == (city, city.thread)
    assert Bulletin.objects.order_by("-id")[0].renews is False


@pytest.fixture
def drill(regions: dict[str, Region], command: Command) -> Drill:
    return Drill.objects.create(
        name="演练", authority=regions[CITY], areas=[DISTRICT], duties=["flood"], state=DrillState.RUNNING,
        created_at=NOW, created_by=command.desk,
    )  # fmt: skip


def test_an_order_under_a_drills_is_of_the_same_drill(command: Command, drill: Drill) -> None:
    city = command.issued(CITY, DISTRICT, drill_of=drill.pk)
    assert (city.drill, city.drill_of) == (True, drill)
    added = command.issued(DISTRICT, A, under=city.pk)
    replacing = command.draft(DISTRICT, A, replaces=added.pk)
    assert {(one.drill, one.drill_of) for one in (added, replacing)} == {(True, drill)}
    assert set(Bulletin.objects.values_list("drill", "drill_of")) == {(True, drill.pk)}


def test_a_drill_never_touches_what_is_real(command: Command, drill: Drill) -> None:
    real = command.issued(CITY, DISTRICT)
    assert refused(lambda: command.draft(DISTRICT, A, under=real.pk, drill=True)).code == "drill_mismatch"
    assert (
        refused(lambda: command.draft(CITY, A, replaces=real.pk, drill_of=drill.pk)).code == "drill_mismatch"
    )


def test_a_drills_order_stays_inside_it_and_waits_while_it_rests(command: Command, drill: Drill) -> None:
    assert refused(lambda: command.draft(CITY, C, drill_of=drill.pk)).code == "area_outside_drill"
    assert refused(lambda: command.draft(CITY, A, drill_of=10**9)).code == "drill_not_running"
    waiting = command.act(command.draft(CITY, A, drill_of=drill.pk), "submit", "approve", "issue", undo_s=10)
    ready = command.act(command.draft(CITY, A, drill_of=drill.pk), "submit", "approve")
    Drill.objects.update(state=DrillState.PAUSED)
    assert refused(lambda: command.act(ready, "issue")).code == "drill_not_running"
    assert orders.release_due(now=NOW + MINUTE) == 0
    Drill.objects.update(state=DrillState.RUNNING)
    assert orders.release_due(now=NOW + 2 * MINUTE) == 1
    waiting.refresh_from_db()
    assert waiting.released_at == NOW + 2 * MINUTE


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"tasks": [{"duty": "forest", "text_zh": "x"}]}, "task_duty", "tasks"),
        ({"measures": [{"sector": "school", "areas": [B]}]}, "measure_outside", "measures"),
        ({"measures": [{"sector": "school", "areas": [DISTRICT]}]}, "measure_outside", "measures"),
        ({"measures": [{"sector": "school", "areas": ["nowhere"]}]}, "measure_outside", "measures"),
        ({"measures": [{"sector": "work"}, {"sector": "work"}]}, "sector_twice", "measures"),
        ({"measures": [{"sector": "work", "starts_at": NOW + HOUR, "ends_at": NOW + HOUR}]}, "measure_times", "measures"),
        ({"effective_at": NOW}, "effective", "effective_at"),
        ({"effective_at": NOW + drafts.LONGEST_NOTICE + MINUTE}, "effective", "effective_at"),
        ({"effective_at": NOW + HOUR, "deadline_at": NOW + HOUR}, "deadline", "deadline_at"),
        ({"effective_at": NOW + 6 * HOUR}, "validity", "valid_until"),
        ({"title_zh": ""}, "invalid", "title_zh"),
    ],
)  # fmt: skip
def test_a_draft_that_contradicts_itself_is_refused_by_name(
    room: Room, said: dict[str, Any], code: str, field: str
) -> None:
    refusal = refused(lambda: room.draft(**said))
    assert refusal.code == code and field in refusal.fields
    assert not OrderTask.objects.exists() and not OrderMeasure.objects.exists()


def test_tasks_are_numbered_and_measures_hold_in_the_orders_areas_unless_said(room: Room) -> None:
    order = room.draft(
        areas=[A, B],
        tasks=[{"text_zh": "一"}, {"duty": "desk", "level": "district", "text_zh": "二", "due_min": 5}],
        measures=[{"sector": "work", "areas": [B]}, {"sector": "school"}],
    )
    assert list(order.tasks.order_by("number").values_list("number", "duty", "level", "due_min")) == [
        (1, "", "", None), (2, "desk", "district", 5)
    ]  # fmt: skip
    assert dict(order.measures.values_list("sector", "areas")) == {"work": [B], "school": [A, B]}


def test_a_street_desk_orders_for_its_own_street_alone(regions: dict[str, Region]) -> None:
    path = regions[A].path
    scope = Scope((path,), desk_paths=(path,))
    desk = make_officer(regions[A], Duty.DESK)
    said = values(authority=A, areas=[A])
    assert drafts.draft(desk.pk, scope, said, now=NOW).authority_id == A
    assert (
        refused(lambda: drafts.draft(desk.pk, scope, said | {"areas": [B]}, now=NOW)).code == "area_outside"
    )
    assert refused(lambda: drafts.draft(desk.pk, scope, said | {"authority": B}, now=NOW)).code == "not_found"


def test_an_order_for_a_later_hour_may_be_valid_until_three_days_after_it(room: Room) -> None:
    at = NOW + timedelta(days=2)
    order = room.draft(effective_at=at, deadline_at=None, valid_until=at + timedelta(days=3))
    assert order.effective_at == at
