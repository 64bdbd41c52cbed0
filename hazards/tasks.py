"""Reports on the tasks of an order: whose a task is, what he says of it, how it stands per region. Owns TaskReport.

A task is his who holds its duty at its level in a post inside the order's areas and was told of the order's thread. A
report is a row; of a person's rows on a task the newest counts. No report is silence: reminders.py asks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from alerts.models import BulletinKind, OrderTask, ResponseOrder
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hazards.models import TaskReport, TaskState
from hazards.scoping import inside, require_open, seen
from hydrology.models import Region
from notifications import months, receipts
from notifications.models import Delivery, Dispatch, Errand, ReceiptState
from notifications.own_tasks import tell_states
from officers.models import IN_FORCE, Post

NOTES_LIMIT = 50  # a task; the newest

# whose the tasks of one order are: (task_id, officer_id, region_id, path), one row a person and task, by his nearest post
_WHOSE = f"""
inside AS MATERIALIZED (
    SELECT code, level, path FROM hydrology_region
    WHERE string_to_array(path, '/') && %(areas)s::text[] AND starts_with(path, %(path)s)
), told AS MATERIALIZED (
    SELECT DISTINCT officer_id FROM notifications_delivery
    WHERE id >= %(since)s AND dispatch_id = ANY(%(dispatches)s) AND (%(officer)s::bigint IS NULL OR officer_id = %(officer)s)
), held AS MATERIALIZED (
    SELECT p.id, p.officer_id, p.duty, i.code, i.level, i.path
    FROM officers_post p JOIN inside i ON i.code = p.region_id
    JOIN told USING (officer_id) JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE {IN_FORCE}
), whose AS (
    SELECT DISTINCT ON (t.id, h.officer_id) t.id AS task_id, h.officer_id, h.code AS region_id, h.path
    FROM alerts_ordertask t
    JOIN held h ON (t.level = '' OR t.level = h.level)
        AND CASE WHEN t.duty = '' THEN h.duty = ANY(%(duties)s::text[]) ELSE h.duty = t.duty END
    WHERE t.order_id = %(order)s AND (%(tasks)s::bigint[] IS NULL OR t.id = ANY(%(tasks)s))
    ORDER BY t.id, h.officer_id, length(h.path) DESC, h.id
), newest AS (
    SELECT DISTINCT ON (task_id, officer_id) task_id, officer_id, region_id, state, note, at
    FROM hazards_taskreport
    WHERE task_id IN (SELECT id FROM alerts_ordertask WHERE order_id = %(order)s)
      AND (%(officer)s::bigint IS NULL OR officer_id = %(officer)s)
    ORDER BY task_id, officer_id, at DESC, id DESC
)
"""
_MINE = f"""
WITH {_WHOSE}
SELECT w.task_id, w.region_id, n.state, n.at, n.note
FROM whose w LEFT JOIN newest n USING (task_id, officer_id)
"""
_SILENT = f"""
WITH {_WHOSE}
SELECT DISTINCT w.officer_id, w.region_id
FROM whose w LEFT JOIN newest n USING (task_id, officer_id) WHERE n.task_id IS NULL
"""
_STANDING = f"""
WITH {_WHOSE}
SELECT w.task_id, split_part(w.path, '/', %(depth)s) AS child, count(*) AS people,
       count(*) FILTER (WHERE n.state = 'doing'), count(*) FILTER (WHERE n.state = 'done'),
       count(*) FILTER (WHERE n.state = 'blocked')
FROM whose w LEFT JOIN newest n USING (task_id, officer_id)
GROUP BY w.task_id, child
"""
_BLOCKED = f"""
WITH {_WHOSE}, blocked AS (
    SELECT n.*, row_number() OVER (PARTITION BY n.task_id ORDER BY n.at DESC, n.officer_id) AS place
    FROM whose w JOIN newest n USING (task_id, officer_id) WHERE n.state = 'blocked'
)
SELECT b.task_id, o.name, r.name, b.note, b.at
FROM blocked b JOIN officers_officer o ON o.id = b.officer_id JOIN hydrology_region r ON r.code = b.region_id
WHERE b.place <= {NOTES_LIMIT} ORDER BY b.task_id, b.place
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What an officer says of a task; `at` is the phone's clock, aware, None: now."""

    state: TaskState
    at: datetime | None = None
    note: str = ""
    lon: float | None = None
    lat: float | None = None


@dataclass(slots=True)
class Standing:
    """People of one task, or of one region of it, by their newest word."""

    people: int = 0
    doing: int = 0
    done: int = 0
    blocked: int = 0

    @property
    def silent(self) -> int:
        return self.people - self.doing - self.done - self.blocked

    def add(self, counts: Iterable[int]) -> None:
        people, doing, done, blocked = counts
        self.people += people
        self.doing += doing
        self.done += done
        self.blocked += blocked


def due_at(task: OrderTask, order: ResponseOrder) -> datetime | None:
    """When the task's time is up; None: no limit, or not released."""
    if task.due_min is None or order.released_at is None:
        return None
    return order.released_at + timedelta(minutes=task.due_min)


def newest_states(asked: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """{(officer, task): state} of those asked for who have said something, by their newest word. One query."""
    rows = (
        TaskReport.objects.filter(
            officer__in={officer for officer, _ in asked}, task__in={task for _, task in asked}
        )
        .order_by("task", "officer", "-at", "-id")
        .distinct("task", "officer")
    )
    return {(officer, task): state for officer, task, state in rows.values_list("officer", "task", "state")}


tell_states(newest_states)  # the inbox, one room below, shows them


def report(
    order_id: int, task_id: int, officer_id: int, scope: Scope, said: Said, *, now: datetime
) -> TaskReport:
    """Keep what he says of his task.

    Raises Refusal `not_found`, `not_released`, `reports_closed`, `not_your_task`, `note_wanted`.
    """
    order = seen(order_id, scope.paths)
    if not order.tasks.filter(pk=task_id).exists():
        raise not_found("任务", "task")
    require_open(order, now)
    held = {row[0]: row[1] for row in _rows(_MINE, order, now, officer=officer_id, tasks=[task_id])}
    if task_id not in held:
        raise Refusal(
            "not_your_task",
            zh="该任务不属于您的岗位，不能反馈。请查看“我的任务”。",
            en="This task is not of a post of yours. Look at your own tasks.",
            status=403,
        )
    if said.state is TaskState.BLOCKED and not said.note.strip():
        raise Refusal(
            "note_wanted",
            zh="反馈“有困难”须说明原因，请填写说明。",
            en="Say in the note why it is blocked.",
            fields={"note": "须填写 / must be given"},
        )
    assert order.released_at is not None  # require_open
    if said.state is not TaskState.BLOCKED:
        _acts(order, officer_id, min(said.at or now, now), now)
    return TaskReport.objects.create(
        task_id=task_id,
        officer_id=officer_id,
        region_id=held[task_id],
        state=said.state,
        at=min(max(said.at or now, order.released_at), now),
        received_at=now,
        note=said.note,
        lon=said.lon,
        lat=said.lat,
    )


def _acts(order: ResponseOrder, officer_id: int, at: datetime, now: datetime) -> None:
    """Who says that he is at his task has the order and goes: a receipt of his line."""
    told = Dispatch.objects.filter(
        bulletin__order=order, bulletin__kind=BulletinKind.ORDER, errand=Errand.FIRST
    )
    line = (
        Delivery.objects.filter(
            id__gte=months.since_of(bulletin__order=order), dispatch__in=told, officer=officer_id
        )
        .order_by("-id")
        .first()
    )
    if line is not None:
        answer = receipts.Answer(line.pk, ReceiptState.REPORTED, at)
        receipts.take(officer_id, [answer], source="task", now=now)


def mine(order_id: int, officer_id: int, scope: Scope, *, now: datetime) -> list[dict[str, Any]]:
    """The officer's tasks of the order and of the orders in force of its thread, each with his newest word."""
    order = seen(order_id, scope.paths)
    held = Post.objects.active(now).filter(officer=officer_id).values_list("region__path", flat=True)
    thread = ResponseOrder.objects.in_force().filter(thread=order.thread).exclude(thread="")
    others = thread.exclude(pk=order.pk).order_by("pk")
    items = []
    for one in [order, *others]:
        if one.released_at is None or not any(inside(one, path) for path in held):
            continue
        said = {row[0]: row[1:] for row in _rows(_MINE, one, now, officer=officer_id)}
        for task in one.tasks.filter(pk__in=said).order_by("number"):
            region, state, at, note = said[task.pk]
            until = due_at(task, one)
            items.append(
                {
                    "order": one.pk,
                    "task": task,
                    "due_at": until,
                    "region": region,
                    "state": state,
                    "at": at,
                    "note": note,
                    "overdue": until is not None and until < now and state != TaskState.DONE,
                }
            )
    return items


def silent(order: ResponseOrder, tasks: list[int], *, now: datetime) -> list[tuple[int, str]]:
    """(officer, region) of who has said nothing of one of these tasks of his."""
    return _rows(_SILENT, order, now, tasks=tasks)


def standing(order: ResponseOrder, region: Region, *, now: datetime) -> list[dict[str, Any]]:
    """Every task of the order as it stands below the region and in each of its children. A fixed number of queries."""
    whole: dict[int, Standing] = {}
    parts: dict[int, dict[str, Standing]] = {}
    for task, child, *counts in _rows(_STANDING, order, now, region=region):
        whole.setdefault(task, Standing()).add(counts)
        parts.setdefault(task, {}).setdefault(child or region.pk, Standing()).add(counts)
    notes: dict[int, list[dict[str, Any]]] = {}
    for task, name, place, note, at in _rows(_BLOCKED, order, now, region=region):
        notes.setdefault(task, []).append({"name": name, "region": place, "note": note, "at": at})
    codes = {code for of_task in parts.values() for code in of_task}
    regions = list(Region.objects.filter(code__in=codes).order_by("path"))
    items = []
    for task in order.tasks.order_by("number"):
        until, all_of_it = due_at(task, order), whole.get(task.pk, Standing())
        of_task = parts.get(task.pk, {})
        items.append(
            {
                "task": task,
                "due_at": until,
                "standing": all_of_it,
                "late": all_of_it.people - all_of_it.done if until is not None and until < now else 0,
                "regions": [
                    {"region": one, "standing": of_task[one.pk]} for one in regions if one.pk in of_task
                ],
                "blocked_notes": notes.get(task.pk, []),
            }
        )
    return items


def _rows(
    query: str,
    order: ResponseOrder,
    now: datetime,
    *,
    officer: int | None = None,
    tasks: list[int] | None = None,
    region: Region | None = None,
) -> list[Any]:
    of_thread = Q(bulletin__order=order)
    if order.thread:
        of_thread |= Q(bulletin__order__thread=order.thread)
    found = Dispatch.objects.filter(of_thread, bulletin__kind=BulletinKind.ORDER)
    dispatches = dict(found.values_list("pk", "first_line"))
    path = region.path if region else ""
    with connection.cursor() as cursor:
        cursor.execute(
            query,
            {
                "order": order.pk,
                "areas": order.areas,
                "duties": order.duties,
                "dispatches": list(dispatches),
                "since": min(dispatches.values(), default=0),
                "officer": officer,
                "tasks": tasks,
                "now": now,
                "path": path,
                "depth": path.count("/") + 1,
            },
        )
        return cursor.fetchall()
