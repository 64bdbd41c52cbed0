"""How deliveries look to the officer: the same words over HTTP and socket, and his own tasks of an order.

A task is his when one of his posts in its order's areas has its duty and that post's region its level. Shown are the tasks
of every order in force of the message's thread: what a district or street added under the city's order
stands beside the city's own, without a second message. Two queries for a page with orders in it, none for one without.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from alerts.models import Attachment, BulletinKind
from foundation.clock import iso
from notifications.models import Delivery

Row = dict[str, Any]
States = Mapping[tuple[int, int], str]  # (officer, task): what he said of it last

_TASKS = """
SELECT d.id, d.officer_id, t.id, t.text_zh, t.text_en, o.released_at, t.due_min
FROM notifications_delivery d
JOIN notifications_dispatch s ON s.id = d.dispatch_id
JOIN alerts_bulletin b ON b.id = s.bulletin_id AND b.requires IN ('confirm', 'report')
JOIN alerts_responseorder said ON said.id = b.order_id
JOIN alerts_responseorder o ON o.thread = said.thread AND o.status = 'issued' AND o.released_at IS NOT NULL
JOIN alerts_ordertask t ON t.order_id = o.id
WHERE d.id = ANY(%(deliveries)s) AND EXISTS (
    SELECT 1 FROM officers_post p JOIN hydrology_region r ON r.code = p.region_id
    WHERE p.officer_id = d.officer_id AND string_to_array(r.path, '/') && o.areas::text[]
      AND p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > %(now)s)
      AND t.level IN ('', r.level) AND (t.duty = p.duty OR t.duty = '' AND p.duty = ANY(o.duties)))
ORDER BY d.id, o.under_id NULLS FIRST, o.id, t.number
"""

_states: list[Callable[[set[tuple[int, int]]], States]] = []


def tell_states(asked: Callable[[set[tuple[int, int]]], States]) -> None:
    """A room above says what officers reported of their tasks: {(officer, task): state} for those asked for."""
    _states.append(asked)


def items(deliveries: Iterable[Delivery], language: str, *, now: datetime) -> list[Row]:
    """Inbox items of the outside contract; each `delivery.dispatch.bulletin` must be loaded."""
    rows = list(deliveries)
    orders = [row for row in rows if row.dispatch.bulletin.kind == BulletinKind.ORDER]
    tasks = tasks_of([row.pk for row in orders], now=now)
    papers = papers_of({row.dispatch.bulletin.order_id for row in orders})
    return [
        {
            **common(row, language),
            "seq": row.pk,
            "id": row.pk,
            "state": row.state,
            "quiet": row.quiet,
            "tasks": [spoken(task, language) for task in tasks.get(row.pk, ())],
            "attachments": papers.get(row.dispatch.bulletin.order_id or 0, []),
        }
        for row in rows
    ]


def common(delivery: Delivery, language: str) -> Row:
    """What everybody's item of this dispatch has in common."""
    dispatch, bulletin = delivery.dispatch, delivery.dispatch.bulletin
    zh = language != "en"
    return {
        "kind": bulletin.kind,
        "level": bulletin.level,
        "title": bulletin.title_zh if zh else bulletin.title_en,
        "body": (dispatch.lead_zh if zh else dispatch.lead_en)
        + (bulletin.body_zh if zh else bulletin.body_en),
        "drill": dispatch.drill,
        "requires": bulletin.requires,
        "deadline_at": iso(bulletin.deadline_at),
        "sent_at": iso(dispatch.created_at),
        "ref": bulletin.ref,
        "thread": bulletin.thread,
    }


def tasks_of(deliveries: Sequence[int], *, now: datetime) -> dict[int, list[Row]]:
    """By delivery the tasks that are its officer's own, the superior's first: {id, text_zh, text_en, due_at, state}."""
    if not deliveries:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_TASKS, {"deliveries": list(deliveries), "now": now})
        rows = cursor.fetchall()
    asked = {(officer, task) for _, officer, task, *_ in rows}
    states = {key: state for tell in _states if asked for key, state in tell(asked).items()}
    found = defaultdict[int, list[Row]](list)
    for delivery, officer, task, text_zh, text_en, released_at, due_min in rows:
        due_at = None if due_min is None else released_at + timedelta(minutes=due_min)
        found[delivery].append(
            {
                "id": task,
                "text_zh": text_zh,
                "text_en": text_en or text_zh,
                "due_at": iso(due_at),
                "state": states.get((officer, task)),
            }
        )
    return dict(found)


def papers_of(orders: Iterable[int | None]) -> dict[int, list[Row]]:
    """By order its attachments: {id, name, media_type, size}."""
    found = defaultdict[int, list[Row]](list)
    if wanted := {order for order in orders if order}:
        rows = Attachment.objects.filter(order__in=wanted).order_by("id")
        for row in rows.values("order_id", "id", "name", "media_type", "size"):
            found[row.pop("order_id")].append(row)
    return dict(found)


def spoken(task: Row, language: str) -> Row:
    """The task in one language."""
    return {
        "id": task["id"],
        "text": task["text_en" if language == "en" else "text_zh"],
        "due_at": task["due_at"],
        "state": task["state"],
    }
