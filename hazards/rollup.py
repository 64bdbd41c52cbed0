"""What the forms of an order amount to: community -> street -> district -> city. Reads only, set-based.

Of each region the newest form counts, for its own people and places; a region's total is its own and that of all below
it (`Region.path`). Expected to report are districts, streets and communities inside the order's areas with somebody whom
its first dispatch addressed; front-line cells report with their community. Who has reported is asked per period.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from alerts.models import BulletinKind, OrderStatus, ResponseOrder
from foundation.errors import Refusal
from hazards.forms import COUNTS, Figures
from hazards.models import Feedback, UnreadForm
from hazards.periods import DAY_H, Period, period, running
from hazards.scoping import first_dispatch, require_open
from hydrology.models import Region
from notifications import months
from notifications.models import Dispatch

MISSING_LIMIT = 1000

# forms below a path, the newest of each region, summed per region at the given depth of the path; '' is the path's own
_SUMS = """
WITH newest AS (
    SELECT DISTINCT ON (f.region_id) f.region_id, f.figures, f.at, split_part(r.path, '/', %(depth)s) AS child
    FROM hazards_feedback f JOIN hydrology_region r ON r.code = f.region_id
    WHERE f.order_id = %(order)s AND starts_with(r.path, %(path)s)
    ORDER BY f.region_id, f.at DESC, f.id DESC
), summed AS (
    SELECT n.child, c.key, sum(c.value::bigint)::bigint AS total,
           (sum(c.value::bigint) FILTER (WHERE n.region_id = n.child OR n.child = ''))::bigint AS own,
           max(n.at) AS at
    FROM newest n CROSS JOIN LATERAL (
        SELECT key, value FROM jsonb_each_text(n.figures - 'inspected')
        UNION ALL
        SELECT 'inspected.' || key, value FROM jsonb_each_text(n.figures -> 'inspected')
    ) c
    GROUP BY n.child, c.key
)
SELECT child, jsonb_object_agg(key, total), jsonb_object_agg(key, own) FILTER (WHERE own IS NOT NULL), max(at)
FROM summed GROUP BY child
"""

# the places that are to report, and whether they have within (from, until]; a cell's word is its community's
_EXPECTED = """
WITH places AS (
    SELECT code, CASE WHEN level = 'frontline' THEN parent_id ELSE code END AS place
    FROM hydrology_region WHERE string_to_array(path, '/') && %(areas)s::text[]
), told AS (
    SELECT DISTINCT p.place FROM notifications_delivery d JOIN places p ON p.code = d.region_id
    WHERE d.id >= %(since)s AND d.dispatch_id = %(first)s
), spoken AS (
    SELECT DISTINCT p.place FROM hazards_feedback f JOIN places p ON p.code = f.region_id
    WHERE f.order_id = %(order)s AND f.received_at > %(from)s AND f.received_at <= %(until)s
)
SELECT r.code, r.name, r.level, r.path, s.place IS NOT NULL AS reported
FROM told t JOIN hydrology_region r ON r.code = t.place LEFT JOIN spoken s ON s.place = t.place
WHERE r.level IN ('district', 'street', 'community') AND starts_with(r.path, %(path)s)
  AND string_to_array(r.path, '/') && %(areas)s::text[]
ORDER BY r.path
"""

_ARRIVED = """
SELECT split_part(r.path, '/', %(depth)s) AS child, count(DISTINCT d.officer_id),
       count(DISTINCT d.officer_id) FILTER (WHERE n.lon IS NOT NULL AND n.lat IS NOT NULL)
FROM notifications_delivery d
JOIN hydrology_region r ON r.code = d.region_id
JOIN notifications_receipt n ON n.state = 'arrived' AND n.delivery_id >= %(thread_since)s
    AND n.delivery_id = CASE WHEN d.quiet THEN d.root_id ELSE d.id END  -- who has arrived there has arrived here
WHERE d.id >= %(since)s AND d.dispatch_id = ANY(%(dispatches)s) AND starts_with(r.path, %(path)s)
GROUP BY child
"""


class Place(NamedTuple):
    """A region that is to report on an order."""

    code: str
    name: str
    level: str
    path: str
    reported: bool


@dataclass(slots=True)
class Share:
    """What one region and those below it amount to, without its name."""

    total: Figures
    own: Figures | None = None
    last_at: datetime | None = None
    expected: int = 0
    reported: int = 0
    arrived: int = 0
    placed: int = 0


def expected(order: ResponseOrder, wanted: Period, *, path: str = "") -> list[Place]:
    """The places below `path` that are to report, in order of their paths, and whether they have in the period."""
    with connection.cursor() as cursor:
        cursor.execute(
            _EXPECTED,
            {
                "order": order.pk,
                "areas": order.areas,
                "first": first_dispatch(order),
                "since": months.since_of(bulletin__order=order),
                "path": path,
                "from": wanted.from_at,
                "until": wanted.until_at,
            },
        )
        return [Place(*row) for row in cursor]


def roll_up(order: ResponseOrder, region: Region, *, number: int | None, now: datetime) -> dict[str, Any]:
    """The forms of the region and of what lies below it; `number` is the period asked about, None the running one.

    `own` is the region's newest Feedback or None. Raises Refusal `not_released`, `no_such_period`. A fixed number of
    queries.
    """
    if order.released_at is None:
        require_open(order, now)
    wanted = _wanted(order, number, now)
    places = expected(order, wanted, path=region.path)
    shares, total = _shares(order, region, places)
    children = Region.objects.filter(code__in=shares).exclude(pk=region.pk).order_by("path")
    own = Feedback.objects.filter(order=order, region=region).select_related("officer", "region")
    missing = [place for place in places if not place.reported]
    over = order.status != OrderStatus.ISSUED
    return {
        "order": order.pk,
        "drill": order.drill,
        "region": region,
        "as_of": now,
        "period": wanted,
        "own": own.order_by("-at", "-id").first(),
        "total": total,
        "children": [{"region": child, "share": shares[child.pk]} for child in children],
        "expected": len(places),
        "reported": len(places) - len(missing),
        "missing": missing[:MISSING_LIMIT],
        "arrived": sum(share.arrived for share in shares.values()),
        "arrived_with_place": sum(share.placed for share in shares.values()),
        "unread": UnreadForm.objects.filter(
            receipt__delivery__gte=months.since_of(bulletin__order=order),
            receipt__delivery__dispatch__bulletin__order=order,
            receipt__delivery__region__path__startswith=region.path,
        ).count(),
        "due_at": None if over else _ends(order, order.report_every_h, now),
        "zero_due_at": None if over else _ends(order, DAY_H, now),
    }


def _shares(
    order: ResponseOrder, region: Region, places: Sequence[Place]
) -> tuple[dict[str, Share], Figures]:
    """By region code, of the region itself (its own part only) and of its children; and the figures of all together."""
    depth = region.path.count("/") + 1
    asked = {"order": order.pk, "path": region.path, "depth": depth, "dispatches": _dispatches(order)}
    asked["since"] = months.since_of(bulletin__order=order)
    asked["thread_since"] = months.since_of(bulletin__order__thread=order.thread) if order.thread else 0
    shares: defaultdict[str, Share] = defaultdict(lambda: Share(_figures({})))
    whole = Counter[str]()
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, asked)
        for child, total, own, at in cursor:
            sums = json.loads(total)
            whole.update(sums)
            own_figures = _figures(json.loads(own)) if own else None
            shares[child or region.pk] = Share(_figures(sums), own_figures, at)
        cursor.execute(_ARRIVED, asked)
        for child, people, placed in cursor:
            share = shares[child or region.pk]
            share.arrived, share.placed = people, placed
    for place in places:
        share = shares["/".join(place.path.split("/")[depth - 1 : depth]) or region.pk]
        share.expected += 1
        share.reported += place.reported
    return dict(shares), _figures(whole)


def _figures(sums: Mapping[str, int]) -> Figures:
    """Sums by flat key as a form's figures; what nobody counted is 0."""
    prefix = "inspected."
    inspected = {key.removeprefix(prefix): n for key, n in sorted(sums.items()) if key.startswith(prefix)}
    return {**{key: sums.get(key, 0) for key in COUNTS}, "inspected": inspected}


def _dispatches(order: ResponseOrder) -> list[int]:
    """Every dispatch of the order's own words, the escalation's as well: a deputy arrives, too."""
    said = Dispatch.objects.filter(bulletin__order=order, bulletin__kind=BulletinKind.ORDER)
    return list(said.values_list("pk", flat=True))


def _wanted(order: ResponseOrder, number: int | None, now: datetime) -> Period:
    """The period asked about, of days where no form is wanted more often. The last one stays open for latecomers."""
    every_h = order.report_every_h or DAY_H
    last = running(order.released_at, every_h, min(now, order.ended_at or now))
    if number is not None and not 1 <= number <= last.number:
        raise Refusal(
            "no_such_period",
            zh=f"该指令目前只有第 1 至 {last.number} 期，请重新选择。",
            en=f"The order has periods 1 to {last.number} so far; choose one of them.",
            fields={"period": str(number)},
        )
    if number is None or number == last.number:
        return Period(last.number, last.from_at, max(last.until_at, now))
    return period(order.released_at, every_h, number)


def _ends(order: ResponseOrder, every_h: int | None, now: datetime) -> datetime | None:
    """When the running period of this length ends."""
    return running(order.released_at, every_h, now).until_at if every_h else None
