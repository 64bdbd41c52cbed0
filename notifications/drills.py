"""A drill among people: who takes part, what of it is stopped, how well it was answered.

Owns the question of its audience (asked once, when it begins), stopping what is on its way when it rests or is over, and
the grade, counted from the ledger and kept nowhere. Its life is alerts/drills.py's; that no line is ever written outside
the audience is dispatch.py's.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from alerts import drills
from alerts.models import Bulletin, Drill, DrillState
from foundation.clock import iso
from notifications import months
from notifications.audience import preview_query
from notifications.models import STOPPED_REASONS

log = logging.getLogger(__name__)

STOPPED: Final = dict(zip((DrillState.PAUSED, DrillState.ENDED), STOPPED_REASONS, strict=True))
WITHIN: Final = timedelta(minutes=5)
# letter: at least so much delivered, so much confirmed within WITHIN, so few streets (share) with nobody
GRADES: Final = (("A", 0.98, 0.90, 0.0), ("B", 0.95, 0.80, 0.05), ("C", 0.90, 0.60, 0.10))
WORST: Final = "D"


def invited(drill: Drill, now: datetime) -> list[int]:
    """Everyone whom an order for these areas and duties would reach now: posts at or below them, desks around them."""
    query, parameters = preview_query(drill.areas, drill.duties, now)
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [officer for officer, *_ in cursor.fetchall()]


def stop_reason(bulletin: Bulletin) -> str:
    """Why nothing of the bulletin goes out now; empty when it does. What is said of the drill itself always does."""
    if bulletin.drill_of_id is None or bulletin.about == drills.about(bulletin.drill_of_id):
        return ""
    state = Drill.objects.values_list("state", flat=True).get(pk=bulletin.drill_of_id)
    return STOPPED.get(DrillState(state), "")


def stop_resting(*, now: datetime) -> int:
    """Stop what drills that rest or are over still have on its way; returns how many lines.

    A line that a sender holds is left to him: it comes back sent, or to be tried again, and is stopped then.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RESTING, {"states": list(STOPPED), "now": now})
        if not (dispatches := cursor.fetchall()):
            return 0
        columns = {"id": [pk for pk, _ in dispatches], "state": [state for _, state in dispatches]}
        cursor.execute(_STOP, {**columns, "now": now, "open": months.open_since(now)})
        if cursor.rowcount:
            log.info("drill.stopped lines=%s", cursor.rowcount)
        return int(cursor.rowcount)


def grade(drill: Drill, now: datetime) -> dict[str, Any]:
    """How the drill was answered, from its warnings and orders alone; shares are None where nothing was asked.

    delivered_share: of the lines not stopped, those the phone says it has. confirmed_in_5min_share: of the lines that
    wanted a confirmation and had WITHIN for it, those confirmed in that time; what is younger, or was cut short by the
    end, counts for nobody. The clock stands while the drill rests.
    A street has nobody when none of its people, nor a deputy, has confirmed anything he was asked to.
    """
    spans = drills.paused_spans(drill, now)
    rows = _counted(drill, spans, now)
    whole, streets = rows[0], rows[1:]
    silent = sum(row["nobody"] for row in streets)
    letter = _letter(whole, silent / len(streets) if streets else 0.0)
    return {
        "drill": drill.pk,
        "name": drill.name,
        "state": drill.state,
        "as_of": iso(now),
        "messages": whole["messages"],
        "bulletins": whole["bulletins"],
        "people": whole["people"],
        "audience": len(drill.officers),
        "stopped": whole["stopped"],
        "delivered_share": whole["delivered_share"],
        "confirmed_in_5min_share": whole["confirmed_in_5min_share"],
        "median_confirm_s": whole["median_confirm_s"],
        "grade": letter,
        "rule": [
            {"grade": name, "delivered_from": sent, "confirmed_from": answered, "nobody_to": nobody}
            for name, sent, answered, nobody in GRADES
        ],
        "nobody": silent,
        "streets": streets,
        "warnings": drill.warnings.count(),
        "orders": drill.orders.exclude(released_at=None).count(),
        "paused_s": round(sum((until - since).total_seconds() for since, until in spans)),
    }


def _letter(whole: dict[str, Any], silent_share: float) -> str | None:
    """By GRADES; where no confirmation was asked, by delivery alone; None where nothing was sent."""
    delivered, confirmed = whole["delivered_share"], whole["confirmed_in_5min_share"]
    if delivered is None:
        return None
    for letter, sent, answered, nobody in GRADES:
        if delivered >= sent and (confirmed is None or confirmed >= answered) and silent_share <= nobody:
            return letter
    return WORST


def _counted(drill: Drill, spans: Sequence[tuple[datetime, datetime]], now: datetime) -> list[dict[str, Any]]:
    """The whole first, then every street addressed, in order of code."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GRADE,
            {
                "drill": drill.pk,
                "first": months.since_of(bulletin__drill_of=drill),
                "until": min(now, drill.ended_at or now),
                "within_s": WITHIN.total_seconds(),
                "since": [since for since, _ in spans],
                "to": [to for _, to in spans],
                "stopped": list(STOPPED.values()),
            },
        )
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [_shares(row) for row in rows]


def _shares(row: dict[str, Any]) -> dict[str, Any]:
    """Counts become shares; the whole has no code, and a street no count of bulletins."""
    shares = {
        "delivered_share": _share(row.pop("delivered"), row["messages"]),
        "confirmed_in_5min_share": _share(row.pop("confirmed"), row.pop("ripe")),
        "median_confirm_s": None if row["median_s"] is None else round(row["median_s"]),
    }
    row.pop("median_s")
    kept = ("code", "name", "people", "messages", "nobody") if row["code"] else ("messages", "people")
    return {key: row[key] for key in kept} | shares | ({} if row["code"] else {
        "bulletins": row["bulletins"], "stopped": row["stopped"]
    })  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


_RESTING = """
SELECT s.id, g.state FROM alerts_drill g
JOIN alerts_bulletin b ON b.drill_of_id = g.id AND b.about <> 'drill/' || g.id
JOIN notifications_dispatch s ON s.bulletin_id = b.id
WHERE g.state = ANY(%(states)s) AND s.expires_at > %(now)s
"""
# in the order of ids, as a sender's claim takes them
_STOP = """
WITH waiting AS (
    SELECT d.id, 'drill_' || t.state AS reason
    FROM unnest(%(id)s::bigint[], %(state)s::text[]) AS t(id, state)
    JOIN notifications_delivery d ON d.dispatch_id = t.id AND d.id >= %(open)s
    WHERE d.state IN ('pending', 'failed_temp') OR d.state = 'sending' AND d.due_at <= %(now)s
    ORDER BY d.id FOR UPDATE OF d SKIP LOCKED
)
UPDATE notifications_delivery d SET state = 'failed_perm', reason = w.reason
FROM waiting w WHERE d.id = w.id AND d.id >= %(open)s
"""
# seconds that the drill ran between the bulletin and an instant; null where that is
_RAN = """
    SELECT extract(epoch FROM {until} - b.issued_at) - coalesce(sum(extract(epoch FROM greatest(
        interval '0', least(p.until_at, {until}) - greatest(p.since_at, b.issued_at)))), 0) AS s
    FROM unnest(%(since)s::timestamptz[], %(to)s::timestamptz[]) AS p(since_at, until_at)
"""
_GRADE = f"""
WITH said AS (
    SELECT b.id, b.issued_at, b.areas, b.requires IN ('confirm', 'report') AS asks
    FROM alerts_bulletin b WHERE b.drill_of_id = %(drill)s AND b.kind IN ('warning', 'order')
), lines AS (
    SELECT b.id AS bulletin, s.errand, d.officer_id, b.asks, d.confirmed_at,
           d.reason = ANY(%(stopped)s) AS stopped,
           coalesce(d.delivered_at, d.opened_at, d.confirmed_at) IS NOT NULL AS delivered,
           split_part(r.path, '/', 3) AS street,
           confirming.s AS took_s, whole.s AS had_s
    FROM said b
    JOIN notifications_dispatch s ON s.bulletin_id = b.id AND s.errand IN ('first', 'deputy')
    JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(first)s AND NOT d.quiet
    JOIN hydrology_region r ON r.code = d.region_id
    CROSS JOIN LATERAL ({_RAN.format(until="d.confirmed_at")}) confirming
    CROSS JOIN LATERAL ({_RAN.format(until="least(%(until)s, s.expires_at)")}) whole
), streets AS (  -- also those where nobody was there to be told
    SELECT DISTINCT r.code, r.name FROM said b
    JOIN hydrology_region a ON a.code = ANY(b.areas)
    JOIN hydrology_region r ON r.level = 'street' AND (starts_with(r.path, a.path) OR starts_with(a.path, r.path))
), counted AS (
    SELECT street,
           count(DISTINCT bulletin) FILTER (WHERE errand = 'first') AS bulletins,
           count(DISTINCT officer_id) FILTER (WHERE errand = 'first') AS people,
           count(*) FILTER (WHERE errand = 'first' AND stopped) AS stopped,
           count(*) FILTER (WHERE errand = 'first' AND NOT stopped) AS messages,
           count(*) FILTER (WHERE errand = 'first' AND NOT stopped AND delivered) AS delivered,
           count(*) FILTER (WHERE errand = 'first' AND NOT stopped AND asks AND had_s >= %(within_s)s) AS ripe,
           count(*) FILTER (WHERE errand = 'first' AND NOT stopped AND asks AND had_s >= %(within_s)s
                              AND took_s <= %(within_s)s) AS confirmed,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s::float8)
               FILTER (WHERE errand = 'first' AND asks AND confirmed_at IS NOT NULL) AS median_s,
           bool_or(asks AND NOT stopped) AND NOT bool_or(asks AND confirmed_at IS NOT NULL) AS nobody
    FROM lines GROUP BY GROUPING SETS ((), (street))
    HAVING GROUPING(street) = 1 OR street <> ''
)
SELECT '' AS code, '' AS name, c.bulletins, c.people, c.stopped, c.messages, c.delivered, c.ripe, c.confirmed,
       c.median_s, c.nobody
FROM counted c WHERE street IS NULL
UNION ALL
SELECT t.code, t.name, coalesce(c.bulletins, 0), coalesce(c.people, 0), coalesce(c.stopped, 0), coalesce(c.messages, 0),
       coalesce(c.delivered, 0), coalesce(c.ripe, 0), coalesce(c.confirmed, 0), c.median_s, coalesce(c.nobody, true)
FROM (SELECT code, name FROM streets
      UNION SELECT r.code, r.name FROM counted x JOIN hydrology_region r ON r.code = x.street) t
LEFT JOIN counted c ON c.street = t.code
ORDER BY code
"""
