"""From a bulletin to its ledger: one Dispatch, one Delivery a person, one INSERT … SELECT.

Woken by a nudge after a bulletin and by a sweep. Leaves PENDING deliveries due now. Inserts take one advisory
lock, so delivery ids (the inbox's seq) become visible in order.
"""

import logging
from datetime import datetime

from django.db import connection, transaction

from alerts.models import Bulletin
from foundation.nudge import nudge
from foundation.wire import hint
from notifications.audience import Query, audience, preview_query
from notifications.models import Dispatch, Errand

log = logging.getLogger(__name__)

SEQ_LOCK = 0x5E9_0001  # any constant, used nowhere else
SENDERS = 2  # tasks started at once: one talks to the database while the other talks to the vendor

_INSERT = """
INSERT INTO notifications_delivery
    (dispatch_id, officer_id, region_id, root_id, transport, state, reason, attempts, due_at, accepted_devices)
SELECT %(dispatch)s, a.officer_id, a.region_id, a.root_id, 'fcm',
       CASE WHEN live THEN 'pending' ELSE 'failed_perm' END,
       CASE WHEN live THEN '' ELSE 'no_live_device' END,
       0, %(now)s, '{{}}'
FROM ({audience}) a
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT 1 FROM officers_device v
    WHERE v.officer_id = a.officer_id AND v.retired_at IS NULL AND v.provider = 'fcm' AND v.token <> ''
) AS live) device
ON CONFLICT (dispatch_id, officer_id) DO NOTHING
"""

_PREVIEW = """
SELECT r.code, r.name, r.level, count(*), count(*) FILTER (WHERE NOT EXISTS (
    SELECT 1 FROM officers_device v
    WHERE v.officer_id = a.officer_id AND v.retired_at IS NULL AND v.token <> ''))
FROM ({audience}) a
JOIN hydrology_region own ON own.code = a.region_id
JOIN hydrology_region r ON r.code = split_part(own.path, '/', CASE WHEN own.level = 'city' THEN 1 ELSE 2 END)
GROUP BY r.code, r.name, r.level, r.path ORDER BY r.path
"""


def take_up(*, now: datetime) -> int:
    """Dispatch every valid bulletin that has none, gravest first; returns how many. Safe to run anywhere."""
    done = 0
    for pk in Bulletin.objects.unsent(now).values_list("pk", flat=True):
        with transaction.atomic():
            bulletin = (
                Bulletin.objects.unsent(now)
                .select_for_update(skip_locked=True, of=("self",), no_key=True)
                .filter(pk=pk)
                .first()
            )
            if bulletin is not None:
                run_errand(bulletin, Errand.FIRST, now=now)
                done += 1
    return done


def run_errand(
    bulletin: Bulletin,
    errand: Errand,
    *,
    now: datetime,
    unanswered: list[int] | None = None,
    lead: tuple[str, str] = ("", ""),
) -> Dispatch:
    """One dispatch of the bulletin to the errand's audience; call inside a transaction.

    `unanswered`: delivery ids for which an escalation speaks; `lead`: (zh, en) said before the bulletin's words.
    """
    dispatch = Dispatch.objects.create(
        bulletin=bulletin,
        errand=errand,
        drill=bulletin.drill,
        lead_zh=lead[0],
        lead_en=lead[1],
        created_at=now,
        expires_at=bulletin.valid_until,
    )
    dispatch.recipients = _fill(dispatch, audience(bulletin, errand, now, unanswered))
    dispatch.save(update_fields=["recipients"])
    for _ in range(SENDERS):
        nudge("delivery.send")
    transaction.on_commit(lambda: hint("dispatch", dispatch=dispatch.pk))
    log.info("dispatch.made id=%s errand=%s recipients=%s", dispatch.pk, errand, dispatch.recipients)
    return dispatch


@transaction.atomic
def refill(pk: int, *, now: datetime) -> int:
    """Write the lines that a dispatch should have and has not; returns how many. For the audit (escalation/audit.py).

    A first dispatch asks its audience anew. Of an errand's rung it is not known any more for whom it spoke: what is
    left of it is taken as it is, and its climbs go on to the next rung.
    """
    dispatch = (
        Dispatch.objects.select_for_update(no_key=True, of=("self",)).select_related("bulletin").get(pk=pk)
    )
    lines = dispatch.deliveries.count()
    added = 0
    if dispatch.errand == Errand.FIRST:
        added = _fill(dispatch, audience(dispatch.bulletin, Errand.FIRST, now))
    if lines + added != dispatch.recipients:
        dispatch.recipients = lines + added
        dispatch.save(update_fields=["recipients"])
    if added:
        for _ in range(SENDERS):
            nudge("delivery.send")
        transaction.on_commit(lambda: hint("dispatch", dispatch=pk))
    log.warning("dispatch.refilled id=%s lines=%s added=%s", pk, lines, added)
    return added


def _fill(dispatch: Dispatch, query: Query) -> int:
    """One line a person of the audience, under the lock that keeps ids in order; returns how many were new."""
    text, parameters = query
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEQ_LOCK])
        cursor.execute(
            _INSERT.format(audience=text),
            {**parameters, "dispatch": dispatch.pk},
        )
        return int(cursor.rowcount)


def preview(areas: list[str], duties: list[str], now: datetime) -> dict[str, object]:
    """Who would hear it, before anything is sent: total, without a live device, by district."""
    query, parameters = preview_query(areas, duties, now)
    with connection.cursor() as cursor:
        cursor.execute(_PREVIEW.format(audience=query), parameters)
        rows = cursor.fetchall()
    regions = [
        {"code": code, "name": name, "level": level, "officers": count, "no_live_device": dark}
        for code, name, level, count, dark in rows
    ]
    return {
        "officers": sum(row[3] for row in rows),
        "no_live_device": sum(row[4] for row in rows),
        "regions": regions,
    }
