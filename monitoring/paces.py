"""How fast messages came to where they should: seconds from the word to a share of its people, from the ledger.

Of first dispatches of real warnings and orders. Accepted and delivered are shares of those who had a live device then
(who has none is a fault of the coverage), confirmed is a share of everybody who was rung. A share that was never
reached is None. What a later state implies counts: who has opened it has it.
"""

from dataclasses import dataclass
from datetime import datetime
from math import isinf
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef

from alerts.models import OWED, BulletinKind
from monitoring.targets import SHARES
from notifications import months
from notifications.models import Delivery, Dispatch, DispatchQuerySet, Errand

_PACES = """
SELECT s.id, b.issued_at, b.kind, b.title_zh, b.title_en, b.requires, count(*) FILTER (WHERE NOT d.quiet),
       count(*) FILTER (WHERE there), {accepted}, {delivered}, {confirmed}
FROM notifications_dispatch s
JOIN alerts_bulletin b ON b.id = s.bulletin_id
JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(first)s
CROSS JOIN LATERAL (SELECT NOT d.quiet AND d.reason <> 'no_live_device' AS there) ear
WHERE s.id = ANY(%(ids)s)
GROUP BY s.id, b.id ORDER BY s.id
"""


def _share(at: str, of: str) -> str:
    took = f"coalesce(extract(epoch FROM {at} - b.issued_at)::float8, 'Infinity')"
    return f"percentile_disc(%(shares)s) WITHIN GROUP (ORDER BY {took}) FILTER (WHERE {of})"


_QUERY = _PACES.format(
    accepted=_share("d.sent_at", "there"),
    delivered=_share("least(d.delivered_at, d.opened_at, d.confirmed_at)", "there"),
    confirmed=_share("d.confirmed_at", "NOT d.quiet"),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """One message: its people (with a live device: `reachable`) and, by indicator, seconds; None: not (yet) reached."""

    dispatch: int
    issued_at: datetime
    kind: str
    title_zh: str
    title_en: str
    people: int
    reachable: int
    readings: dict[str, float | None]


def told() -> DispatchQuerySet:
    """The messages that count: what only renewed what everybody had told nobody anything."""
    rings = Delivery.objects.filter(dispatch=OuterRef("pk"), quiet=False)
    kinds = (BulletinKind.WARNING, BulletinKind.ORDER)
    return Dispatch.objects.filter(
        Exists(rings), bulletin__kind__in=kinds, errand=Errand.FIRST, drill=False, recipients__gt=0
    )


def paces(dispatches: list[int]) -> list[Pace]:
    """Of these dispatches, by number. Two queries; a message to 45,000 takes about 0.1 s."""
    with connection.cursor() as cursor:
        first = months.since_of(pk__in=dispatches)
        cursor.execute(_QUERY, {"ids": dispatches, "first": first, "shares": list(SHARES)})
        return [_pace(*row) for row in cursor.fetchall()]


def newest(limit: int) -> list[Pace]:
    """The newest messages, newest first."""
    return paces(list(told().order_by("-pk").values_list("pk", flat=True)[:limit]))[::-1]


def _pace(
    dispatch: int,
    issued_at: datetime,
    kind: str,
    zh: str,
    en: str,
    requires: str,
    people: int,
    reachable: int,
    *took: Any,
) -> Pace:
    readings: dict[str, float | None] = {}
    owed = requires in OWED
    for word, times in zip(("accepted", "delivered", "confirmed"), took, strict=True):
        if times is None or (word == "confirmed" and not owed):
            continue
        for share, seconds in zip(SHARES, times, strict=True):
            readings[f"{word}_{round(share * 100)}_s"] = (
                None if isinf(seconds) else round(max(0.0, seconds), 2)
            )
    return Pace(dispatch, issued_at, kind, zh, en, people, reachable, readings)
