"""Reports on tasks: whose they are, what is refused and changes nothing, how they stand per region."""

from typing import Any

from rest_framework.response import Response

from alerts.models import OrderStatus, OrderTask, ResponseOrder
from foundation.clock import now
from hazards.models import TaskReport
from hydrology.models import Region
from notifications.models import Delivery, Receipt
from officers.models import Duty, Officer, Post
from tests.console.factories import HOUR
from tests.hazards.conftest import (
    A1,
    A2,
    CITY,
    EAST,
    WEST,
    A,
    B,
    C,
    also,
    person,
    phone,
    released,
)
from tests.hydrology.factories import MINUTE

Regions = dict[str, Region]
STREETS = {"duty": "flood", "level": "street", "due_min": 30}


def say(officer: Officer, order: ResponseOrder, task: OrderTask | int, **said: Any) -> Response:
    number = task if isinstance(task, int) else task.pk
    door = f"/api/v1/orders/{order.pk}/tasks/{number}/reports"
    return phone(officer).post(door, {"state": "done"} | said, format="json")


def mine(officer: Officer, order: ResponseOrder) -> list[dict[str, Any]]:
    answer = phone(officer).get(f"/api/v1/orders/{order.pk}/tasks/mine")
    assert answer.status_code == 200, answer.content
    return answer.json()["items"]


def standing(officer: Officer, order: ResponseOrder, **asked: str) -> list[dict[str, Any]]:
    answer = phone(officer).get(f"/api/v1/orders/{order.pk}/tasks", asked)
    assert answer.status_code == 200, answer.content
    return answer.json()["items"]


def test_a_task_is_his_who_holds_its_duty_at_its_level_and_was_told(regions: Regions) -> None:
    street, community = person(regions[A]), person(regions[A1])
    reporter = person(regions[A], Duty.REPORTER)
    order = released(
        EAST,
        at=now() - HOUR,
        duties=["flood", "reporter"],
        tasks=[
            STREETS,
            {"duty": "reporter"},
            {"duty": "", "level": ""},
            {"duty": "flood", "level": "community"},
        ],
    )
    late = person(regions[A])  # came when it had been sent
    outside = person(regions[C])
    also(outside, regions[EAST], Duty.DESK)
    expected = {street: [1, 3], community: [3, 4], reporter: [2, 3], late: [], outside: []}
    for officer, numbers in expected.items():
        assert [item["number"] for item in mine(officer, order)] == numbers


def test_of_several_posts_the_nearest_says_the_region(regions: Regions) -> None:
    officer = person(regions[A])
    also(officer, regions[A2])
    order = released(at=now() - HOUR, tasks=[{"duty": "flood"}])
    [item] = mine(officer, order)
    assert item["region"] == A2
    assert say(officer, order, item["id"]).json()["region"] == A2


def test_his_newest_word_counts(regions: Regions) -> None:
    officer = person(regions[A])
    order = released(at=now() - HOUR, tasks=[STREETS])
    task = order.tasks.get()
    [item] = mine(officer, order)
    assert (item["state"], item["overdue"]) == (None, True)
    assert item["due_at"] is not None
    for state in ("doing", "done"):
        assert say(officer, order, task, state=state, lon=114.1, lat=22.5).status_code == 201
    earlier = (now() - 30 * MINUTE).isoformat()
    say(officer, order, task, state="blocked", note="水深", at=earlier)  # out of a dead spot
    [item] = mine(officer, order)
    assert (item["state"], item["overdue"]) == ("done", False)
    assert TaskReport.objects.filter(lon=114.1, lat=22.5).count() == 2
    assert TaskReport.objects.count() == 3


def test_tasks_read_in_his_own_language(regions: Regions) -> None:
    officer = person(regions[A])
    order = released(at=now() - HOUR, tasks=[STREETS | {"text_zh": "巡查", "text_en": "Inspect"}])
    assert mine(officer, order)[0]["text"] == "巡查"
    officer.language = "en"
    assert mine(officer, order)[0]["text"] == "Inspect"


def test_his_tasks_are_those_of_the_whole_thread_in_force(regions: Regions) -> None:
    officer = person(regions[A])
    city = released(at=now() - HOUR, tasks=[STREETS])
    fields = {"at": now() - HOUR, "tasks": [STREETS], "thread": city.thread}
    district, other = released(EAST, **fields), released(WEST, **fields)
    ended = released(EAST, **fields, status=OrderStatus.ENDED, ended_at=now())
    assert [item["order"] for item in mine(officer, city)] == [city.pk, district.pk]
    assert {other.pk, ended.pk}.isdisjoint(item["order"] for item in mine(officer, city))
    assert say(officer, district, district.tasks.get()).status_code == 201


def test_what_cannot_be_reported_is_refused_by_name(regions: Regions) -> None:
    officer, stranger = person(regions[A]), person(regions[A1])
    order = released(EAST, at=now() - HOUR, tasks=[STREETS])
    elsewhere = released(EAST, at=now() - HOUR, tasks=[STREETS])
    task = order.tasks.get()
    waiting = released(EAST, at=now(), released_at=None, tasks=[STREETS])
    over = released(
        EAST, at=now() - 50 * HOUR, status=OrderStatus.ENDED, ended_at=now() - 25 * HOUR, tasks=[STREETS]
    )
    faults = [
        (say(stranger, order, task), 403, "not_your_task"),
        (say(officer, order, elsewhere.tasks.get()), 404, "not_found"),
        (say(officer, order, 0), 404, "not_found"),
        (say(person(regions[C]), order, task), 404, "not_found"),
        (say(officer, order, task, state="blocked"), 400, "note_wanted"),
        (say(officer, order, task, state="asleep"), 400, "invalid"),
        (say(officer, order, task, lat=91), 400, "invalid"),
        (say(officer, waiting, waiting.tasks.get()), 409, "not_released"),
        (say(officer, over, over.tasks.get()), 409, "reports_closed"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer, *_ in faults] == [
        (status, code) for _, status, code in faults
    ]
    assert not TaskReport.objects.exists()


def test_a_post_given_up_takes_its_task_along(regions: Regions) -> None:
    officer = person(regions[A])
    order = released(at=now() - HOUR, tasks=[STREETS])
    Post.objects.filter(officer=officer).update(valid_to=now())
    also(officer, regions[A1])
    assert mine(officer, order) == []
    assert say(officer, order, order.tasks.get()).json()["code"] == "not_your_task"


def test_the_desk_sees_how_tasks_stand_per_region(regions: Regions) -> None:
    people = {street: [person(regions[street]) for _ in range(3)] for street in (A, B, C)}
    order = released(at=now() - HOUR, tasks=[STREETS, {"duty": "flood", "level": "community"}])
    first = order.tasks.get(number=1)
    said = [(A, 0, "done"), (A, 1, "doing"), (B, 0, "blocked"), (C, 0, "done")]
    for street, n, state in said:
        say(people[street][n], order, first, state=state, note="路断")
    top, below = standing(person(regions[CITY], Duty.DESK), order)
    counts = ("people", "doing", "done", "blocked", "silent", "late")
    assert [top[count] for count in counts] == [9, 1, 2, 1, 5, 7]
    assert [(r["code"], r["people"], r["done"], r["blocked"], r["silent"]) for r in top["regions"]] == [
        (EAST, 6, 1, 1, 3),
        (WEST, 3, 1, 0, 2),
    ]
    [note] = top["blocked_notes"]
    assert (note["name"], note["note"]) == (people[B][0].name, "路断")
    assert [below[count] for count in counts] == [0, 0, 0, 0, 0, 0]
    [east, _] = standing(person(regions[EAST], Duty.DESK), order)
    assert [(r["code"], r["people"]) for r in east["regions"]] == [(A, 3), (B, 3)]
    [street, _] = standing(person(regions[EAST], Duty.DESK), order, region=A)
    assert (street["people"], street["blocked_notes"]) == (3, [])


def test_the_standing_is_for_desks_and_commands_below_their_regions(regions: Regions) -> None:
    order = released(EAST, at=now() - HOUR, tasks=[STREETS])
    door = f"/api/v1/orders/{order.pk}/tasks"
    refused = phone(person(regions[A])).get(door)
    assert (refused.status_code, refused.json()["code"]) == (403, "desk_only")
    assert phone(person(regions[WEST], Duty.DESK)).get(door).status_code == 404
    assert phone(person(regions[A], Duty.DESK)).get(door, {"region": B}).status_code == 404
    assert phone(person(regions[EAST], Duty.COMMAND)).get(door).status_code == 200
    ResponseOrder.objects.update(status=OrderStatus.APPROVED, released_at=None)
    assert phone(person(regions[A], Duty.DESK)).get(door).status_code == 404, "another authority's draft"
    assert phone(person(regions[CITY], Duty.DESK)).get(door).status_code == 200


def test_who_reports_on_his_task_is_acting_and_has_confirmed(regions: Regions) -> None:
    doing, stuck = person(regions[A]), person(regions[B])
    order = released(EAST, at=now() - HOUR, tasks=[STREETS])
    task = order.tasks.get()
    assert say(stuck, order, task, state="blocked", note="路断").status_code == 201
    assert say(doing, order, task, state="doing").status_code == 201
    assert say(doing, order, task, state="done").status_code == 201
    lines = {line.officer_id: line for line in Delivery.objects.filter(dispatch__bulletin__order=order)}
    assert (lines[doing.pk].state, lines[doing.pk].acting_at is not None) == ("confirmed", True)
    assert (lines[stuck.pk].state == "confirmed", lines[stuck.pk].acting_at) == (False, None)
    assert [(one.state, one.source) for one in Receipt.objects.all()] == [("reported", "task")] * 2
