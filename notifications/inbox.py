"""How deliveries look to the officer: the same words over HTTP and socket, with his own tasks and the papers of an order."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from alerts.models import OWED, Attachment
from foundation.clock import iso
from notifications.models import Delivery, Dispatch
from notifications.own_tasks import Line, own_tasks, spoken

Row = dict[str, Any]


def items(deliveries: Iterable[Delivery], language: str, *, now: datetime) -> list[Row]:
    """Inbox items of the outside contract; each `delivery.dispatch.bulletin` must be loaded."""
    rows = list(deliveries)
    tasks = own_tasks(filter(None, map(line_of, rows)), now=now)
    papers = papers_of({row.dispatch.bulletin.order_id for row in rows})
    return [
        {
            **common(row.dispatch, language),
            "seq": row.pk,
            "id": row.pk,
            "state": row.state,
            "quiet": row.quiet,
            "tasks": [spoken(task, language) for task in tasks.get(row.pk, ())],
            "attachments": papers.get(row.dispatch.bulletin.order_id or 0, []),
        }
        for row in rows
    ]


def line_of(delivery: Delivery) -> Line | None:
    """What has tasks: a message about an order that asks for something, not one that calls it off."""
    order = asking(delivery.dispatch)
    return Line(delivery.pk, delivery.officer_id, order) if order else None


def asking(dispatch: Dispatch) -> int | None:
    """The order this dispatch is about, if it asks for something."""
    return dispatch.bulletin.order_id if dispatch.bulletin.requires in OWED else None


def common(dispatch: Dispatch, language: str) -> Row:
    """What everybody's item of this dispatch has in common; its bulletin must be loaded."""
    bulletin = dispatch.bulletin
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


def papers_of(orders: Iterable[int | None]) -> dict[int, list[Row]]:
    """By order its attachments: {id, name, media_type, size}."""
    found = defaultdict[int, list[Row]](list)
    if wanted := {order for order in orders if order}:
        rows = Attachment.objects.filter(order__in=wanted).order_by("id")
        for row in rows.values("order_id", "id", "name", "media_type", "size"):
            found[row.pop("order_id")].append(row)
    return dict(found)
