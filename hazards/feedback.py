"""Feedback forms (反馈表): filed at the door or brought by a receipt. Owns Feedback and UnreadForm.

A receipt with a form is the outbox: the job takes up those that neither a Feedback nor an UnreadForm stands for yet.
A form that cannot be counted is lost nowhere: it stays with its receipt, and who sent it is told which field is wrong.
What the forms amount to: rollup.py.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, Requires, ResponseOrder
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hazards import words
from hazards.forms import Form, read_form
from hazards.models import Feedback, UnreadForm
from hazards.scoping import inside, require_open, seen
from hydrology.models import Region
from notifications.models import Receipt, ReceiptState
from officers.models import Post

log = logging.getLogger(__name__)

FORMS_LOCK = 0x5E9_0006  # used nowhere else
BATCH = 500
LOOK_BACK = timedelta(days=7)  # longer than the job is ever away
UNREAD_VALIDITY = timedelta(hours=6)
UNREAD_URGENCY = 1
_REMINDED = re.compile(r"(?:feedback|zero)/([0-9]{1,18})/")  # what a reminder speaks of: reminders.py


def file(order_id: int, officer_id: int, scope: Scope, raw: object, *, now: datetime) -> Feedback:
    """Keep the form an officer files; `raw` is its JSON. A correction is another one.

    Raises Refusal `form`, `not_found`, `not_released`, `reports_closed`, `no_post_inside`, `region_outside`,
    `region_not_yours`.
    """
    order = seen(order_id, scope.paths)
    form = read_form(raw)
    row = _counted(order, officer_id, _regions_of([officer_id], now)[officer_id], form, now)
    row.save(force_insert=True)
    log.info("feedback.filed order=%s region=%s zero=%s", order.pk, row.region_id, row.zero)
    return row


def take_forms(*, now: datetime) -> int:
    """Take up every form that a receipt has brought; returns how many receipts were looked at."""
    taken = 0
    while batch := _take_batch(now):
        taken += batch
    return taken


@transaction.atomic
def _take_batch(now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [FORMS_LOCK])
        if not cursor.fetchone()[0]:
            return 0  # another worker is at it
    receipts = list(_waiting(now)[:BATCH])
    orders = {receipt.pk: _order_of(receipt.delivery.dispatch.bulletin) for receipt in receipts}
    found = ResponseOrder.objects.in_bulk([pk for pk in orders.values() if pk is not None])
    regions = _regions_of([receipt.delivery.officer_id for receipt in receipts], now)
    rows: list[Feedback] = []
    for receipt in receipts:
        officer = receipt.delivery.officer_id
        try:
            form, order = read_form(receipt.form), found.get(orders[receipt.pk] or 0)
            if order is None:
                raise not_found("指令", "order")
            row = _counted(order, officer, regions[officer], form, receipt.received_at, at=receipt.at)
            row.receipt = receipt
            rows.append(row)
        except Refusal as refusal:
            _unread(receipt, refusal, now)
    Feedback.objects.bulk_create(rows)
    if receipts:
        log.info("feedback.taken forms=%s unread=%s", len(rows), len(receipts) - len(rows))
    return len(receipts)


def _waiting(now: datetime) -> Any:
    """Receipts about an order, or about a reminder of one, whose form nobody has looked at, oldest first."""
    bulletin = "delivery__dispatch__bulletin"
    of_an_order = (
        Q(**{f"{bulletin}__kind": BulletinKind.ORDER})
        | Q(**{f"{bulletin}__about__startswith": "feedback/"})
        | Q(**{f"{bulletin}__about__startswith": "zero/"})
    )
    return (
        Receipt.objects.filter(
            of_an_order,
            ~Exists(Feedback.objects.filter(receipt=OuterRef("pk"))),
            ~Exists(UnreadForm.objects.filter(receipt=OuterRef("pk"))),
            form__isnull=False,
            state=ReceiptState.REPORTED,
            received_at__gt=now - LOOK_BACK,
        )
        .select_related("delivery__dispatch__bulletin")
        .order_by("received_at", "pk")
    )


def _order_of(bulletin: Bulletin) -> int | None:
    reminded = _REMINDED.match(bulletin.about)
    return int(reminded[1]) if reminded else bulletin.order_id


def _regions_of(officers: Sequence[int], now: datetime) -> dict[int, list[Region]]:
    """By officer the regions of his posts in force, the nearest (deepest) first."""
    regions: dict[int, list[Region]] = defaultdict(list)
    posts = Post.objects.active(now).filter(officer__in=officers).select_related("region").order_by("pk")
    for post in sorted(posts, key=lambda post: -len(post.region.path)):
        regions[post.officer_id].append(post.region)
    return regions


def _counted(
    order: ResponseOrder,
    officer: int,
    regions: Sequence[Region],
    form: Form,
    received_at: datetime,
    *,
    at: datetime | None = None,
) -> Feedback:
    """The row a form amounts to, not saved; `at` is the receipt's, for a form that says none."""
    require_open(order, received_at)
    region = _region_for(order, regions, form.region)
    said_at = form.at or at or received_at
    return Feedback(
        order=order,
        region=region,
        officer_id=officer,
        at=min(max(said_at, order.released_at), received_at),  # a wrong clock wins over nobody for good
        received_at=received_at,
        zero=form.zero,
        figures=form.figures,
        note=form.note,
    )


def _region_for(order: ResponseOrder, regions: Sequence[Region], code: str | None) -> Region:
    """The region he reports for: as he says, else the nearest of his that the order is about."""
    if code is None:
        nearest = next((region for region in regions if inside(order, region.path)), None)
        if nearest is None:
            raise Refusal(
                "no_post_inside",
                zh="您在该指令的区域内没有岗位，不能填报。请由当地责任人填报。",
                en="You hold no post inside the order's areas; its own officers report.",
                status=403,
            )
        return nearest
    own = next((region for region in regions if region.code == code), None)
    if own is None:
        raise Refusal(
            "region_not_yours",
            zh="您在该区域没有岗位，只能为自己岗位所在区域填报。",
            en="You hold no post in that region; report for the region of a post of yours.",
            status=403,
            fields={"region": code},
        )
    if not inside(order, own.path):
        raise Refusal(
            "region_outside",
            zh=f"{own.name}不在该指令的区域内，请改选指令区域内的岗位。",
            en=f"{own.code} is not inside the order's areas; choose a post of yours that is.",
            fields={"region": code},
        )
    return own


def _unread(receipt: Receipt, refusal: Refusal, now: datetime) -> None:
    """Mark the receipt's form and tell its officer which field is wrong and why."""
    UnreadForm.objects.create(receipt=receipt, found_at=now, code=refusal.code, fields=refusal.fields)
    told = receipt.delivery.dispatch.bulletin
    issue(
        words.form_unread(told.title_zh, told.title_en, told.drill, (refusal.zh, refusal.en), refusal.fields),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=UNREAD_URGENCY,
        level="form",
        areas=[receipt.delivery.region_id],
        duties=[],
        officers=[receipt.delivery.officer_id],
        about=f"form/{receipt.pk}",
        reasons={"receipt": receipt.pk, "code": refusal.code, "fields": refusal.fields},
        requires=Requires.OPEN,
        valid_until=now + UNREAD_VALIDITY,
        drill=told.drill,
        drill_of_id=told.drill_of_id,
        caused_at=receipt.received_at,
    )
