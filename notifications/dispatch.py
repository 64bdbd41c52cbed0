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
from notifications.audience import Query, audience
from notifications.models import Dispatch, Errand

log = logging.getLogger(__name__)

SEQ_LOCK = 0x5E9_0001  # any constant, used nowhere else
SENDERS = 2  # tasks started at once: one talks to the database while the other talks to the vendor

# `told`: what he has already of the bulletin's thread, when the bulletin renews it and is no graver
_INSERT = """
INSERT INTO notifications_delivery
    (dispatch_id, officer_id, region_id, root_id, quiet, transport, state, reason, attempts, due_at, accepted_devices)
SELECT %(dispatch)s, a.officer_id, a.region_id, coalesce(a.root_id, told.id), told.id IS NOT NULL, 'fcm',
       CASE WHEN live THEN 'pending' ELSE 'failed_perm' END,
       CASE WHEN live THEN '' ELSE 'no_live_device' END,
       0, %(now)s, '{{}}'
FROM ({audience}) a
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT 1 FROM officers_device v
    WHERE v.officer_id = a.officer_id AND v.retired_at IS NULL AND v.provider = 'fcm' AND v.token <> ''
) AS live) device
LEFT JOIN LATERAL (
    SELECT d.id FROM notifications_delivery d
    WHERE d.officer_id = a.officer_id AND d.dispatch_id = ANY(%(thread)s) AND d.root_id IS NULL
    ORDER BY d.id LIMIT 1
) told ON a.root_id IS NULL
WHERE CASE
    WHEN %(drill_of)s::bigint IS NOT NULL  -- nobody but who takes part in the exercise
        THEN a.officer_id = ANY(ARRAY(SELECT unnest(officers) FROM alerts_drill WHERE id = %(drill_of)s))
    WHEN %(drill)s AND %(errand)s <> 'first'  -- nobody but who was told that it is one
        THEN a.officer_id IN (SELECT d.officer_id FROM notifications_delivery d
                              JOIN notifications_dispatch s ON s.id = d.dispatch_id
                              WHERE s.bulletin_id = %(bulletin)s AND s.errand = 'first')
    ELSE true END
ON CONFLICT (dispatch_id, officer_id) DO NOTHING
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
    dispatch.recipients = _fill(dispatch, audience(bulletin, errand, now, unanswered), now)
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
        added = _fill(dispatch, audience(dispatch.bulletin, Errand.FIRST, now), now)
    if lines + added != dispatch.recipients:
        dispatch.recipients = lines + added
        dispatch.save(update_fields=["recipients"])
    if added:
        for _ in range(SENDERS):
            nudge("delivery.send")
        transaction.on_commit(lambda: hint("dispatch", dispatch=pk))
    log.warning("dispatch.refilled id=%s lines=%s added=%s", pk, lines, added)
    return added


def _fill(dispatch: Dispatch, query: Query, now: datetime) -> int:
    """One line a person of the audience, under the lock that keeps ids in order; returns how many were new."""
    text, parameters = query
    bulletin = dispatch.bulletin
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEQ_LOCK])
        cursor.execute(
            _INSERT.format(audience=text),
            {
                **parameters,
                "dispatch": dispatch.pk,
                "errand": dispatch.errand,
                "bulletin": bulletin.pk,
                "drill": bulletin.drill,
                "drill_of": bulletin.drill_of_id,
                "thread": _told(bulletin, now) if bulletin.renews and dispatch.errand == Errand.FIRST else [],
            },
        )
        return int(cursor.rowcount)


def _told(bulletin: Bulletin, now: datetime) -> list[int]:
    """The first dispatches of what its thread has said before, no less grave and still valid."""
    before = Dispatch.objects.filter(
        errand=Errand.FIRST,
        bulletin__thread=bulletin.thread,
        bulletin__urgency__gte=bulletin.urgency,
        bulletin__valid_until__gt=now,
        bulletin__drill_of=bulletin.drill_of_id,
        bulletin__drill=bulletin.drill,
        bulletin__lt=bulletin.pk,
    )
    return list(before.values_list("pk", flat=True)) if bulletin.thread else []
