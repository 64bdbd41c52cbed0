"""Reminders: to whom and when, once however often and by however many workers it is swept, never for what is over."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from alerts.models import Bulletin, BulletinKind, Drill, DrillState, OrderStatus, ResponseOrder
from hazards.forms import none_of_it
from hazards.models import Feedback, Reminder, TaskReport
from hazards.reminders import BEFORE_END, TASK_GRACE, remind
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty, Officer
from tests.console.factories import HOUR
from tests.hazards.conftest import (
    A1,
    B1,
    C1,
    CELL,
    CITY,
    EAST,
    A,
    B,
    C,
    also,
    person,
    released,
)
from tests.hydrology.factories import MINUTE, NOW, make_regions

Regions = dict[str, Region]
DAY = 24 * HOUR


def filed(order: ResponseOrder, officer: Officer, region: Region, at: datetime) -> None:
    Feedback.objects.create(
        order=order, region=region, officer=officer, at=at, received_at=at, zero=True, figures=none_of_it()
    )


def told() -> list[tuple[str, list[int]]]:
    """What every reminder so far speaks of and to whom, in order."""
    rows = Bulletin.objects.filter(kind=BulletinKind.MESSAGE).order_by("pk")
    return [(row.about, sorted(row.officers)) for row in rows]


def sweep_through(start: datetime, end: datetime, every: timedelta = MINUTE) -> None:
    at = start
    while at <= end:
        remind(now=at)
        at += every


def test_who_has_not_sent_the_form_is_reminded_half_an_hour_before_the_end_and_the_desk_after_it(
    regions: Regions,
) -> None:
    good, silent, cell = person(regions[A1]), person(regions[B1]), person(regions[CELL])
    desk, city_desk = person(regions[B], Duty.DESK), person(regions[CITY], Duty.DESK)
    order = released()
    filed(order, good, regions[A1], NOW + HOUR)
    filed(order, desk, regions[B], NOW + HOUR)
    end = NOW + 2 * HOUR
    sweep_through(NOW, end - BEFORE_END - MINUTE, 10 * MINUTE)
    assert told() == []
    sweep_through(end - BEFORE_END, end)
    form = (f"feedback/{order.pk}/1", [silent.pk])
    assert told() == [form]
    sweep_through(end + MINUTE, end + 20 * MINUTE)
    assert told() == [form, (f"feedback/{order.pk}/1", [desk.pk])]
    last = Bulletin.objects.filter(kind=BulletinKind.MESSAGE).order_by("-pk")[0]
    assert regions[B1].name in last.body_zh and "1个区域" in last.body_zh and regions[B].name in last.title_zh
    assert {cell.pk, city_desk.pk, good.pk}.isdisjoint(person for _, people in told() for person in people)
    assert set(Reminder.objects.values_list("kind", "told", "period", "regions")) == {
        ("form", "people", 1, 1),
        ("form", "desk", 1, 1),
    }


def test_the_message_reaches_them_and_nobody_else(regions: Regions) -> None:
    silent = person(regions[B1])
    person(regions[C])
    order = released(EAST)
    remind(now=NOW + 2 * HOUR)
    dispatch.take_up(now=NOW + 2 * HOUR)
    lines = Delivery.objects.filter(dispatch__bulletin__kind=BulletinKind.MESSAGE)
    assert [line.officer for line in lines] == [silent]
    assert order.bulletins.count() == 1  # a reminder is none of the order's own words


def test_every_desk_above_hears_of_its_own(regions: Regions) -> None:
    for street in (A1, B1, C1):
        person(regions[street])
    street, district, city = (person(regions[code], Duty.DESK) for code in (A, EAST, CITY))
    released()
    Feedback.objects.bulk_create(  # the desks' own regions have spoken
        Feedback(
            order=ResponseOrder.objects.get(), region=regions[code], officer=street, at=NOW + HOUR,
            received_at=NOW + HOUR, zero=True, figures=none_of_it(),
        )
        for code in (A, EAST)
    )  # fmt: skip
    remind(now=NOW + 2 * HOUR + MINUTE)
    rows = Bulletin.objects.filter(kind=BulletinKind.MESSAGE, reasons__told="desk")
    assert {(row.areas[0], *row.officers) for row in rows} == {
        (A, street.pk), (EAST, district.pk), (CITY, city.pk)
    }  # fmt: skip


def test_a_community_without_people_of_its_own_is_asked_through_its_cells(regions: Regions) -> None:
    cell = person(regions[CELL])
    order = released()
    remind(now=NOW + 2 * HOUR)
    assert told() == [(f"feedback/{order.pk}/1", [cell.pk])]


def test_where_all_have_reported_nobody_is_told_and_it_is_looked_at_once(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released()
    filed(order, officer, regions[A1], NOW + MINUTE)
    remind(now=NOW + 2 * HOUR)
    remind(now=NOW + 2 * HOUR + MINUTE)
    assert told() == []
    assert [row.regions for row in Reminder.objects.all()] == [0, 0]


def test_a_form_at_the_very_end_is_in_time_and_one_of_the_last_period_is_not(regions: Regions) -> None:
    officer = person(regions[A1])
    desk = person(regions[A], Duty.DESK)
    order = released()
    for region in (A1, A):
        filed(order, officer, regions[region], NOW + 2 * HOUR)
    remind(now=NOW + 2 * HOUR + MINUTE)
    assert told() == []
    remind(now=NOW + 4 * HOUR + MINUTE)
    assert told() == [(f"feedback/{order.pk}/2", [desk.pk])]


def test_silence_for_a_day_is_told_to_people_and_desk(regions: Regions) -> None:
    silent, good = person(regions[A1]), person(regions[B1])
    desk = person(regions[EAST], Duty.DESK)
    order = released(report_every_h=None)
    filed(order, good, regions[B1], NOW + DAY)
    filed(order, desk, regions[EAST], NOW + DAY)
    sweep_through(NOW, NOW + DAY, HOUR)
    assert told() == []
    sweep_through(NOW + DAY + MINUTE, NOW + DAY + 10 * MINUTE)
    assert told() == [(f"zero/{order.pk}/1", [silent.pk]), (f"zero/{order.pk}/1", [desk.pk])]
    first = Bulletin.objects.filter(kind=BulletinKind.MESSAGE).order_by("pk")[0]
    assert "零报告" in first.push_zh
    sweep_through(NOW + 2 * DAY + MINUTE, NOW + 2 * DAY + 3 * MINUTE)
    assert {about for about, _ in told()[2:]} == {f"zero/{order.pk}/2"}


def test_where_the_form_is_wanted_daily_the_desk_hears_once(regions: Regions) -> None:
    person(regions[A1])
    desk = person(regions[CITY], Duty.DESK)
    order = released(report_every_h=24)
    sweep_through(NOW, NOW + DAY + 10 * MINUTE, 10 * MINUTE)
    assert [about for about, people in told() if people == [desk.pk]] == [f"zero/{order.pk}/1"]


def test_after_a_pause_only_the_period_just_over_is_told(regions: Regions) -> None:
    person(regions[A1])
    person(regions[CITY], Duty.DESK)
    order = released()
    remind(now=NOW + 9 * HOUR)
    assert [about for about, _ in told()] == [f"feedback/{order.pk}/4"]


def test_overdue_tasks_are_asked_for_together_then_the_desk_hears(regions: Regions) -> None:
    quiet, done = person(regions[A1]), person(regions[B1])
    desk = person(regions[EAST], Duty.DESK)
    order = released(
        report_every_h=None,
        tasks=[
            {"duty": "flood", "level": "community", "due_min": 30},
            {"duty": "", "level": "community", "due_min": 30},
            {"duty": "flood", "level": "community"},
        ],
    )
    for task in order.tasks.all():
        TaskReport.objects.create(
            task=task,
            officer=done,
            region=regions[B1],
            state="doing",
            at=NOW + MINUTE,
            received_at=NOW + MINUTE,
        )
    due = NOW + 30 * MINUTE
    sweep_through(NOW, due - MINUTE)
    assert told() == []
    sweep_through(due, due + TASK_GRACE - MINUTE)
    assert told() == [(f"tasks/{order.pk}", [quiet.pk])]
    sweep_through(due + TASK_GRACE, due + 3 * HOUR, 10 * MINUTE)
    assert told()[1:] == [(f"tasks/{order.pk}", [desk.pk])]
    last = Bulletin.objects.filter(kind=BulletinKind.MESSAGE).order_by("-pk")[0]
    assert "1人、1个区域" in last.body_zh
    assert Reminder.objects.filter(kind="task").count() == 4


def drill(state: DrillState, *officers: Officer) -> dict[str, Any]:
    city = Region.objects.get(pk=CITY)
    exercise = Drill.objects.create(
        name="演练", authority=city, areas=[CITY], duties=["flood"], officers=[one.pk for one in officers],
        state=state, created_at=NOW, created_by=person(city, Duty.COMMAND),
    )  # fmt: skip
    return {"drill": True, "drill_of": exercise}


@pytest.mark.parametrize(
    "over",
    [
        {"status": OrderStatus.ENDED, "ended_at": NOW + HOUR},
        {"status": OrderStatus.SUPERSEDED, "ended_at": NOW + HOUR},
        {"status": OrderStatus.WITHDRAWN, "ended_at": NOW + HOUR},
        {"valid_until": NOW + HOUR},
        {"released_at": None},
    ],
)
def test_what_is_over_or_not_out_yet_reminds_nobody(regions: Regions, over: dict[str, Any]) -> None:
    person(regions[A1])
    order = released(tasks=[{"duty": "flood", "due_min": 1}])
    ResponseOrder.objects.filter(pk=order.pk).update(**over)
    for hours in (2, 3, 25):
        assert remind(now=NOW + hours * HOUR) == 0
    assert told() == []
    assert not Reminder.objects.exists()


@pytest.mark.parametrize("state", [DrillState.PAUSED, DrillState.ENDED])
def test_a_drill_that_does_not_run_reminds_nobody(regions: Regions, state: DrillState) -> None:
    released(**drill(state, person(regions[A1])))
    assert remind(now=NOW + 2 * HOUR) == 0
    assert told() == []


def test_a_drills_reminders_stay_with_the_drill(regions: Regions) -> None:
    player, desk = person(regions[A1]), person(regions[EAST], Duty.DESK)
    person(regions[A], Duty.DESK)  # nearer, and no part of it
    person(regions[B1])
    order = released(**drill(DrillState.RUNNING, player, desk))
    for minutes in (120, 121):
        remind(now=NOW + minutes * MINUTE)
    assert told() == [(f"feedback/{order.pk}/1", [player.pk, desk.pk]), (f"feedback/{order.pk}/1", [desk.pk])]
    dispatch.take_up(now=NOW + 122 * MINUTE)
    assert set(Delivery.objects.values_list("officer", flat=True)) == {player.pk, desk.pk}
    assert set(Bulletin.objects.values_list("drill", "drill_of")) == {(True, order.drill_of_id)}
    assert all("演练" in row.push_zh for row in Bulletin.objects.filter(kind=BulletinKind.MESSAGE))


def test_who_gave_up_his_post_is_not_counted_as_silent(regions: Regions) -> None:
    officer = person(regions[A1])
    released(report_every_h=None, tasks=[{"duty": "flood", "level": "community", "due_min": 30}])
    officer.is_active = False
    officer.save(update_fields=["is_active"])
    remind(now=NOW + HOUR)
    assert told() == []


def test_nothing_due_costs_few_queries_however_many_orders(regions: Regions) -> None:
    person(regions[A1])
    counts = []
    for _ in range(3):
        released(tasks=[{"duty": "flood", "due_min": 90}])
        with CaptureQueriesContext(connection) as queries:
            assert remind(now=NOW + MINUTE) == 0
        counts.append(len(queries))
    assert counts == [3, 3, 3]


@pytest.mark.django_db(transaction=True)
def test_many_workers_remind_once() -> None:
    regions = make_regions()
    for code in (A, B, C):
        for _ in range(5):
            person(regions[code])
    person(regions[CITY], Duty.DESK)
    orders = [released(tasks=[{"duty": "flood", "due_min": 30}]) for _ in range(3)]
    also(person(regions[A]), regions[B])

    def work(_: int) -> None:
        try:
            remind(now=NOW + 2 * HOUR + MINUTE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(8)))
    assert sorted(about for about, _ in told()) == sorted(
        about for order in orders for about in (f"feedback/{order.pk}/1", f"tasks/{order.pk}")
    )
    assert Reminder.objects.count() == 2 * len(orders)
