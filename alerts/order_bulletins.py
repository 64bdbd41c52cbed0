"""What is said of an order: frozen as a Bulletin, of its thread and its drill. Call inside the transaction of its cause."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from alerts.assessment.order_words import Ordered, Over, order_words
from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, OrderStatus, Requires, ResponseLevel, ResponseOrder
from hydrology.models import Region

CALL_OFF_VALIDITY = timedelta(hours=12)


def say(order: ResponseOrder, now: datetime, *, over: Over | None = None, **fields: object) -> Bulletin:
    code = ResponseLevel(order.level).code
    stops = list(order.measures.order_by("sector"))
    areas = {*order.areas, *(area for stop in stops for area in stop.areas)}
    # as the draft was checked: a region that has moved or gone since must not keep the word from being said
    names = {area: area for area in areas} | dict(
        Region.objects.filter(code__in=areas).values_list("code", "name")
    )
    was = order.replaces
    said = Ordered(
        level=code,
        areas=[names[area] for area in order.areas],
        deadline_at=fields.get("deadline_at"),  # type: ignore[arg-type]
        drill=order.drill,
        hazard=order.hazard,
        action=order.action,
        was=(was.hazard, ResponseLevel(was.level).code) if was else None,
        stops=[(stop.sector, [names[area] for area in stop.areas]) for stop in stops],
        papers=order.attachments.count(),
        over=over,
    )
    return issue(
        order_words(said, order.title_zh, order.text_zh, order.title_en, order.text_en),
        now=now,
        kind=BulletinKind.ORDER,
        level=code,
        areas=order.areas,
        duties=order.duties,
        drill=order.drill,
        drill_of_id=order.drill_of_id,
        caused_at=now,
        order=order,
        thread=order.thread,
        reasons={"order": order.pk, "approved_by": order.approved_by_id},
        **fields,
    )


def call_off(order: ResponseOrder, *, now: datetime, officers: Sequence[int] = ()) -> Bulletin:
    """The order no longer stands: told to its audience, or only to these `officers`, whom what replaced it leaves out."""
    ended = Over.WITHDRAWN if order.status == OrderStatus.WITHDRAWN else Over.ENDED
    return say(
        order,
        now,
        over=Over.LEFT if officers else ended,
        officers=list(officers),
        urgency=1,
        requires=Requires.OPEN,
        valid_until=now + CALL_OFF_VALIDITY,
        supersedes=last_said(order),
    )


def last_said(order: ResponseOrder) -> Bulletin | None:
    """The newest bulletin of the order to its whole audience."""
    return order.bulletins.filter(officers=[]).order_by("-id").first()
