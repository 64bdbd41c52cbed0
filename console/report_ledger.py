"""What a report counts in the ledger: receipts, late steps, vendor faults, fatigue. Reads only, set-based.

The span (since, until] is that of the dispatches' making. Every query is limited by region paths; none returns a
person. Put together by reports.py.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, Max, Q, QuerySet

from escalation.models import Climb, ClimbState, Rung
from foundation.clock import iso
from hydrology.models import Region, path_filter
from notifications import months
from notifications.models import UNSENT, Delivery, Dispatch, Errand

AFTER_MIN = (1, 2, 5, 10, 30, 60)
# how far a person has come, in order; what he did himself counts from the line he was rung for, too
STATES = {
    "accepted": ("d.sent_at",),
    "delivered": ("d.delivered_at",),
    "shown": ("d.shown_at",),
    "opened": ("d.opened_at", "rang.opened_at"),
    "confirmed": ("d.confirmed_at", "rang.confirmed_at"),
    "acting": ("d.acting_at", "rang.acting_at"),
}
RUNG_LATE = timedelta(seconds=30)
SENT_LATE = timedelta(seconds=60)
WEEK = timedelta(days=7)
MOST_CALLED = 10
Row = dict[str, Any]


def said(since: datetime, until: datetime, paths: tuple[str, ...]) -> list[Row]:
    """Per bulletin sent in the span: people addressed, and how many had come to each of STATES after n minutes.

    Counted from the bulletin's issue; a later state implies the earlier ones. A line that only renews another stands
    where that stands. Oldest first.
    """
    rows = _rows(
        _SAID,
        since=since,
        until=until,
        first=months.since(since),
        paths=list(paths),
        minutes=list(AFTER_MIN),
    )
    return [
        {
            **{
                key: row[key]
                for key in ("id", "kind", "level", "title_zh", "title_en", "drill", "people", "sent")
            },
            "warning": row["warning_id"],
            "order": row["order_id"],
            "issued_at": iso(row["issued_at"]),
            "reached": {state: row[state] for state in STATES},
            "curve": {state: row[f"{state}_after"] for state in STATES},
        }
        for row in rows
    ]


def curves(said: list[Row]) -> list[Row]:
    """Per kind, drills apart, the counts of all its bulletins together; shares are of `people`."""
    groups: dict[tuple[str, bool], list[Row]] = {}
    for line in said:
        groups.setdefault((line["kind"], line["drill"]), []).append(line)
    return [
        {
            "kind": kind,
            "drill": drill,
            "bulletins": len(lines),
            "people": sum(line["people"] for line in lines),
            **{
                state: [sum(after) for after in zip(*(line["curve"][state] for line in lines), strict=True)]
                for state in STATES
            },
        }
        for (kind, drill), lines in sorted(groups.items())
    ]


def late(since: datetime, until: datetime, paths: tuple[str, ...], now: datetime) -> Row:
    """Steps of the escalation taken more than 30 s after they were due, and pushes more than 60 s after dispatch.

    `calls`: people called again by errand. `overdue`: steps due for more than 30 s and not taken yet. `unsent`: lines
    that nobody could send before they expired. Of real operations: a drill's own figures are its grade.
    """
    rungs = Rung.objects.filter(
        path_filter("climb__delivery__region__path", paths),
        due_at__gt=since,
        due_at__lte=until,
        climb__delivery__dispatch__drill=False,
    ).annotate(behind=F("taken_at") - F("due_at"))
    counted = rungs.aggregate(
        taken=Count("id"),
        late=Count("id", filter=Q(behind__gt=RUNG_LATE)),
        worst=Max("behind"),
        nobody=Count("id", filter=Q(reached=0)),
    )
    lines = _real_lines(since, until, paths).annotate(took=F("sent_at") - F("dispatch__created_at"))
    sent = lines.aggregate(
        sent=Count("sent_at"),
        late=Count("id", filter=Q(took__gt=SENT_LATE)),
        worst=Max("took"),
        unsent=Count("id", filter=Q(state__in=UNSENT, dispatch__expires_at__lte=now)),
        **{
            errand: Count("id", filter=Q(dispatch__errand=errand))
            for errand in Errand
            if errand != Errand.FIRST
        },
    )
    by_bulletin = (
        rungs.filter(behind__gt=RUNG_LATE)
        .values(
            "errand",
            bulletin=F("climb__delivery__dispatch__bulletin"),
            title_zh=F("climb__delivery__dispatch__bulletin__title_zh"),
            title_en=F("climb__delivery__dispatch__bulletin__title_en"),
        )
        .annotate(steps=Count("id"), worst=Max("behind"))
        .order_by("-worst", "bulletin", "errand")[:MOST_CALLED]
    )
    overdue = Climb.objects.filter(
        path_filter("delivery__region__path", paths), state=ClimbState.CLIMBING, due_at__lt=min(now, until) - RUNG_LATE,
        due_at__gt=since, delivery__dispatch__drill=False,
    )  # fmt: skip
    return {
        "rungs": {
            "taken": counted["taken"],
            "late": counted["late"],
            "worst_s": _seconds(counted["worst"]),
            "reached_nobody": counted["nobody"],
            "overdue": overdue.count(),
        },
        "rungs_of": [
            {
                **{key: row[key] for key in ("bulletin", "errand", "title_zh", "title_en")},
                "steps": row["steps"],
                "worst_s": _seconds(row["worst"]),
            }
            for row in by_bulletin
        ],
        "sends": {
            "sent": sent["sent"],
            "late": sent["late"],
            "worst_s": _seconds(sent["worst"]),
            "unsent": sent["unsent"],
        },
        "calls": {errand.value: sent[errand] for errand in Errand if errand != Errand.FIRST},
    }


def faults(since: datetime, until: datetime, paths: tuple[str, ...]) -> list[Row]:
    """[{transport, state, reason, lines}], most first: what vendors or our own checks gave as the reason; no drills."""
    return list(
        _real_lines(since, until, paths)
        .exclude(reason="")
        .values("transport", "state", "reason")
        .annotate(lines=Count("id"))
        .order_by("-lines", "transport", "state", "reason")
    )


def _real_lines(since: datetime, until: datetime, paths: tuple[str, ...]) -> QuerySet[Delivery]:
    """What was said to people in the span, no drills. Dispatches and regions by name: joined, they were walked a line each."""
    made = Dispatch.objects.to_people().filter(created_at__gt=since, created_at__lte=until, drill=False)
    said = dict(made.values_list("pk", "first_line"))
    return Delivery.objects.filter(
        id__gte=min(said.values(), default=months.NOWHERE),
        dispatch__in=list(said),
        region__in=list(Region.objects.within(*paths).values_list("pk", flat=True)),
    )


def fatigue(since: datetime, until: datetime, paths: tuple[str, ...]) -> Row:
    """How often people were called, repeats and drills included (both wear people out), refused and quiet lines not.

    {people, messages, drill_messages (of these), weekly: {mean, p95, most}, regions}: weekly figures are over the weeks
    (counted from `since`) in which a person heard anything. `regions`: the ten with the most messages a person, each with
    people and messages.
    """
    asked = {"since": since, "until": until, "first": months.since(since), "paths": list(paths), "week": WEEK}
    [whole] = _rows(_WEEKLY, **asked)
    regions = _rows(_MOST_CALLED, most=MOST_CALLED, **asked)
    return {
        "people": whole["people"],
        "messages": int(whole["messages"] or 0),
        "drill_messages": int(whole["drill_messages"] or 0),
        "weekly": {
            "mean": round(float(whole["mean"] or 0), 2),
            "p95": whole["p95"] or 0,
            "most": whole["most"] or 0,
        },
        "regions": [{**row, "each": round(float(row["each"]), 2)} for row in regions],
    }


def _seconds(span: timedelta | None) -> int:
    return 0 if span is None else max(0, round(span.total_seconds()))


def _rows(query: str, **asked: Any) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


_LINES = """
WITH mine AS MATERIALIZED (
    SELECT code, name FROM hydrology_region r
    WHERE EXISTS (SELECT 1 FROM unnest(%(paths)s::text[]) p WHERE starts_with(r.path, p))
)
"""


def _after(state: str) -> str:
    order = list(STATES)
    times = [time for later in order[order.index(state) :] for time in STATES[later]]
    at = f"least({', '.join(times)})"
    counts = ", ".join(
        f"count(*) FILTER (WHERE {at} <= b.issued_at + interval '{minutes} min')" for minutes in AFTER_MIN
    )
    return f"count({at}) AS {state}, ARRAY[{counts}] AS {state}_after"


_SAID = (
    _LINES
    + f"""
SELECT b.id, b.kind, b.level, b.title_zh, b.title_en, s.drill, b.warning_id, b.order_id, b.issued_at,
       count(*) AS people, count(d.sent_at) AS sent,
       {", ".join(map(_after, STATES))}
FROM notifications_dispatch s
JOIN alerts_bulletin b ON b.id = s.bulletin_id
JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(first)s
JOIN mine ON mine.code = d.region_id
LEFT JOIN LATERAL (  -- what he was rung for; OFFSET 0: looked up for the few quiet lines only
    SELECT r.opened_at, r.confirmed_at, r.acting_at FROM notifications_delivery r WHERE d.quiet AND r.id = d.root_id OFFSET 0
) rang ON true
WHERE b.kind <> 'canary' AND s.errand = 'first' AND s.created_at > %(since)s AND s.created_at <= %(until)s
GROUP BY b.id, s.id ORDER BY b.issued_at, b.id
"""
)
_CALLED = """
    SELECT d.officer_id, d.region_id, s.drill, date_bin(%(week)s, s.created_at, %(since)s) AS week
    FROM notifications_dispatch s
    JOIN alerts_bulletin b ON b.id = s.bulletin_id AND b.kind <> 'canary'
    JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(first)s
    JOIN mine ON mine.code = d.region_id
    WHERE s.created_at > %(since)s AND s.created_at <= %(until)s AND d.state <> 'failed_perm' AND NOT d.quiet
"""
_WEEKLY = (
    _LINES
    + f"""
SELECT count(DISTINCT officer_id) AS people, sum(n) AS messages, sum(drills) AS drill_messages, avg(n) AS mean, max(n) AS most,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY n) AS p95
FROM (SELECT officer_id, count(*) AS n, count(*) FILTER (WHERE drill) AS drills
      FROM ({_CALLED}) called GROUP BY officer_id, week) weekly
"""
)
_MOST_CALLED = (
    _LINES
    + f"""
SELECT mine.code, mine.name, count(*) AS people, sum(n)::bigint AS messages, sum(n) / count(*) AS each
FROM (SELECT officer_id, region_id, count(*) AS n FROM ({_CALLED}) called GROUP BY officer_id, region_id) each
JOIN mine ON mine.code = each.region_id
GROUP BY mine.code, mine.name ORDER BY each DESC, messages DESC, mine.code LIMIT %(most)s
"""
)
