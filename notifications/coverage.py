"""Coverage before the rain: has every street and every managed object somebody who would answer?

Owns the proof: for each street, reservoir, river, tide post and hazard point the people of the right duty, their
deputies, whether one of them has a live device and whether one of them has lately tapped a message. Reads posts,
devices and the ledger in one query; leaves nothing. A fault is named, never averaged away: who has no phone that could
be rung stands on a list of his own (`dark`), with the reason, even where others cover his place.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from foundation.clock import iso
from hydrology.models import LEVEL_KINDS, StationKind
from hydrology.standing import KINDS
from notifications import months
from officers.models import IN_FORCE, Duty, has_live_device

TAPPED_WITHIN_DAYS: Final = 30
OPENED_WITHIN: Final = timedelta(days=31)  # of a message older than that nobody looks for an opening
KIND_WORDS: Final = {"street": "street", **KINDS, StationKind.HAZARD: "hazard"}
DARK: Final = ("never", "no_token", "retired")
DARK_AT_MOST: Final = 300
FAULTS: Final = ("no_responder", "no_deputy", "no_live_device", "no_recent_tap")


def coverage(paths: Iterable[str], now: datetime, *, days: int = TAPPED_WITHIN_DAYS) -> dict[str, Any]:
    """`{as_of, days, places, faulty, items}` of what lies at or below the paths, the worst first.

    An item: kind (street, reservoir, river, tide, hazard), code, name, region, responders (A posts), deputies (B posts),
    reachable (of both, with a live device), tapped_at (the newest opening or confirmation of any of them), faults.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _COVERAGE,
            {
                "now": now,
                "since": now - timedelta(days=days),
                "told_since": months.since(now - timedelta(days=days) - OPENED_WITHIN),
                "duties": [Duty.FLOOD.value, Duty.REPORTER.value],
                "kinds": [*LEVEL_KINDS, StationKind.HAZARD],
                "paths": list(paths),
            },
        )
        rows = cursor.fetchall()
    items = [_item(*row) for row in rows]
    items.sort(key=lambda item: (-_gravity(item["faults"]), item["code"]))
    return {
        "as_of": iso(now),
        "days": days,
        "places": len(items),
        "faulty": sum(bool(item["faults"]) for item in items),
        "items": items,
    }


def dark(paths: Iterable[str], now: datetime, *, limit: int = DARK_AT_MOST) -> dict[str, Any]:
    """`{total, people}` with a post in force below the paths and no live device; the newest losses first.

    A person: officer, name, masked_phone, duty, region, region_name, reason (never, no_token, retired), detail, since.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DARK, {"now": now, "paths": list(paths), "limit": limit})
        rows = cursor.fetchall()
    names = ("officer", "name", "masked_phone", "duty", "region", "region_name", "reason", "detail", "since")
    people = [dict(zip(names, row[:-1], strict=True)) for row in rows]
    for person in people:
        person["since"] = iso(person["since"])
    return {"total": rows[0][-1] if rows else 0, "people": people}


def _item(
    kind: str,
    code: str,
    name: str,
    region: str,
    responders: int,
    deputies: int,
    reachable: int,
    tapped_at: Any,
) -> dict[str, Any]:
    faults = []
    if not responders:
        faults.append("no_responder")
    if not deputies:
        faults.append("no_deputy")
    if responders + deputies and not reachable:
        faults.append("no_live_device")
    if responders + deputies and tapped_at is None:
        faults.append("no_recent_tap")
    return {
        "kind": KIND_WORDS[kind],
        "code": code,
        "name": name,
        "region": region,
        "responders": responders,
        "deputies": deputies,
        "reachable": reachable,
        "tapped_at": iso(tapped_at),
        "faults": faults,
    }


def _gravity(faults: list[str]) -> int:
    """Nobody there is graver than nobody reachable, that than no tap, that than no deputy."""
    weights = {"no_responder": 8, "no_live_device": 4, "no_recent_tap": 2, "no_deputy": 1}
    return sum(weights[fault] for fault in faults)


# a place and a post meet by one key: nested loops over CASE took 10 s for 1,100 places and 48,000 posts
_COVERAGE = f"""
WITH tapped AS (
    SELECT officer_id, max(opened_at) AS at FROM notifications_delivery
    WHERE id >= %(told_since)s AND opened_at > %(since)s GROUP BY officer_id
), places AS (
    SELECT 'street' AS kind, r.code, r.name, r.code AS region, r.path, 'region ' || r.code AS key
    FROM hydrology_region r WHERE r.level = 'street'
    UNION ALL
    SELECT s.kind, s.code, s.name, s.region_id, r.path, 'station ' || s.code
    FROM hydrology_station s JOIN hydrology_region r ON r.code = s.region_id WHERE s.kind = ANY(%(kinds)s)
), posts AS (
    SELECT coalesce('station ' || p.station_id, 'region ' || p.region_id) AS key, p.officer_id, p.rank, p.duty
    FROM officers_post p JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE p.duty = ANY(%(duties)s) AND {IN_FORCE}
), people AS (
    SELECT l.kind, l.code, l.name, l.region, p.officer_id, p.rank
    FROM places l LEFT JOIN posts p ON p.key = l.key
        AND (p.duty = 'flood' OR l.kind = 'HP')  -- a hazard point may be a reporter's
    WHERE l.path ^@ ANY(%(paths)s)  -- starts with
)
SELECT p.kind, p.code, p.name, p.region,
       count(DISTINCT p.officer_id) FILTER (WHERE p.rank = 'A'), count(DISTINCT p.officer_id) FILTER (WHERE p.rank = 'B'),
       count(DISTINCT p.officer_id) FILTER (WHERE {has_live_device("p")}),
       max(t.at)
FROM people p LEFT JOIN tapped t ON t.officer_id = p.officer_id
GROUP BY p.kind, p.code, p.name, p.region
"""

_DARK = f"""
WITH dark AS MATERIALIZED (
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.duty, p.region_id
    FROM officers_post p JOIN hydrology_region r ON r.code = p.region_id
    WHERE {IN_FORCE} AND r.path ^@ ANY(%(paths)s)
      AND NOT {has_live_device("p")}
    ORDER BY p.officer_id, length(r.path) DESC, p.id
)
SELECT o.id, o.name, o.masked_phone, d.duty, d.region_id, r.name,
       CASE WHEN last.id IS NULL THEN 'never' WHEN last.retired_at IS NULL THEN 'no_token' ELSE 'retired' END,
       coalesce(last.retired_reason, ''), coalesce(last.retired_at, last.registered_at), count(*) OVER ()
FROM dark d
JOIN officers_officer o ON o.id = d.officer_id AND o.is_active
JOIN hydrology_region r ON r.code = d.region_id
LEFT JOIN LATERAL (
    SELECT * FROM officers_device v WHERE v.officer_id = d.officer_id
    ORDER BY v.retired_at DESC NULLS FIRST, v.id DESC LIMIT 1
) last ON true
ORDER BY last.retired_at DESC NULLS LAST, r.path, o.id
LIMIT %(limit)s
"""
