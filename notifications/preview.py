"""Before anything is sent: who would hear it, who has it already, and which places there have nobody.

Reads only; the same audience query as the dispatch will use.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from alerts.models import Bulletin, OrderStatus
from hydrology.models import Region
from notifications import months
from notifications.audience import preview_query
from notifications.coverage import coverage
from notifications.models import Dispatch, Errand
from officers.models import IN_FORCE, has_live_device

WORST = 20  # faulty places shown
COUNTS = ("officers", "no_live_device", "quiet")

_PREVIEW = f"""
SELECT p.duty, r.code, r.name, r.level, count(*), count(*) FILTER (WHERE NOT {has_live_device("a")}),
    count(*) FILTER (WHERE a.officer_id IN (
        SELECT officer_id FROM notifications_delivery WHERE id >= %(first)s AND dispatch_id = ANY(%(thread)s)))
FROM ({{audience}}) a
JOIN hydrology_region own ON own.code = a.region_id
JOIN hydrology_region r ON r.code = split_part(own.path, '/', CASE WHEN own.level = 'city' THEN 1 ELSE 2 END)
CROSS JOIN LATERAL (
    SELECT p.duty FROM officers_post p
    WHERE p.officer_id = a.officer_id AND p.region_id = a.region_id AND (p.duty = 'desk' OR p.duty = ANY(%(duties)s))
      AND {IN_FORCE}
    ORDER BY p.id LIMIT 1) p
GROUP BY GROUPING SETS ((r.code, r.name, r.level, r.path), (p.duty)) ORDER BY r.path, p.duty
"""


def preview(
    areas: list[str],
    duties: list[str],
    now: datetime,
    *,
    under: int | None = None,
    urgency: int = 0,
    drill_of: int | None = None,
) -> dict[str, Any]:
    """`{officers, no_live_device, quiet, regions: [{code, name, level, officers, no_live_device, quiet}], duties}`.

    `duties`: by the duty for which a person is addressed, the same three counts. A person counts once.
    `quiet`: who has the message of the order `under` which it joins, no less grave than `urgency`, and is not rung
    again. Of a drill only its own people count.
    """
    query, parameters = preview_query(areas, duties, now, drill_of)
    thread = _told_under(under, urgency, now)
    told = {"thread": thread, "first": months.since_of(pk__in=thread)}
    with connection.cursor() as cursor:
        cursor.execute(_PREVIEW.format(audience=query), {**parameters, **told})
        rows = cursor.fetchall()
    names = ("code", "name", "level", *COUNTS)
    regions = [dict(zip(names, row[1:], strict=True)) for row in rows if row[0] is None]
    by_duty = [
        dict(zip(("duty", *COUNTS), (row[0], *row[4:]), strict=True)) for row in rows if row[0] is not None
    ]
    totals = {name: sum(region[name] for region in regions) for name in COUNTS}
    return {**totals, "regions": regions, "duties": by_duty}


def red_list(areas: Sequence[str], now: datetime) -> dict[str, Any]:
    """`{places, faulty, worst}`: the coverage of these areas; `worst` as the items of GET coverage."""
    found = coverage(Region.objects.filter(code__in=areas).values_list("path", flat=True), now)
    faulty = [item for item in found["items"] if item["faults"]]
    return {"places": found["places"], "faulty": found["faulty"], "worst": faulty[:WORST]}


def _told_under(under: int | None, urgency: int, now: datetime) -> list[int]:
    said = Bulletin.objects.filter(order=under).exclude(thread="").order_by("-id").first() if under else None
    if said is None:
        return []
    told = Dispatch.objects.filter(
        errand=Errand.FIRST,
        bulletin__thread=said.thread,
        bulletin__urgency__gte=urgency,
        bulletin__valid_until__gt=now,
        bulletin__order__status=OrderStatus.ISSUED,
    )
    return list(told.values_list("pk", flat=True))
