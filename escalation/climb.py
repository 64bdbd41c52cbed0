"""When nobody answers: climbs start, take their rungs when due, end. Owns Climb and Rung.

Woken only by its 5 s sweep: the row's due_at is the clock. A sweep is one transaction of set-based steps; the
climbs it holds are locked, and whether somebody has answered is read under that lock, so no rung follows an
answer. Every rung is a dispatch of the same bulletin through notifications/dispatch.py.
"""

import logging
from collections import defaultdict
from datetime import datetime, timedelta

from django.db import connection, transaction

from alerts.models import Bulletin
from escalation.ladder import Ladder, Stop, Take, ladder_for, step
from escalation.models import Climb, ClimbState, Rung
from foundation.clock import local
from foundation.wire import hint
from notifications.dispatch import run_errand
from notifications.models import Dispatch, Errand

log = logging.getLogger(__name__)

CHUNK = 5000
CHASED_FROM = 3  # Bulletin.urgency

_START = """
INSERT INTO escalation_climb (delivery_id, rungs, waits_s, rung, state, due_at, started_at)
SELECT d.id, %(rungs)s, %(waits)s, 0, 'climbing', %(due_at)s, %(now)s
FROM notifications_delivery d
WHERE d.dispatch_id = %(dispatch)s AND d.state <> 'confirmed'
  AND (d.state = 'failed_perm') = %(unreachable)s
  AND NOT EXISTS (SELECT 1 FROM escalation_climb c WHERE c.delivery_id = d.id)
ON CONFLICT (delivery_id) DO NOTHING
"""

_DUE = """
SELECT c.id, c.delivery_id, c.rungs, c.waits_s, c.rung, c.due_at, s.bulletin_id,
       CASE WHEN d.state = 'confirmed' THEN 'confirmed'
            WHEN EXISTS (
                SELECT 1 FROM notifications_dispatch ds JOIN notifications_delivery dd ON dd.dispatch_id = ds.id
                WHERE ds.bulletin_id = s.bulletin_id AND ds.errand = 'deputy'
                  AND dd.region_id = d.region_id AND dd.state = 'confirmed'
            ) THEN 'deputy confirmed' ELSE '' END,
       CASE WHEN b.valid_until <= %(now)s THEN 'no longer valid'
            WHEN w.ended_at IS NOT NULL THEN 'warning cancelled'
            WHEN o.status IN ('withdrawn', 'ended') THEN 'order ' || o.status ELSE '' END
FROM escalation_climb c
JOIN notifications_delivery d ON d.id = c.delivery_id
JOIN notifications_dispatch s ON s.id = d.dispatch_id
JOIN alerts_bulletin b ON b.id = s.bulletin_id
LEFT JOIN alerts_warning w ON w.id = b.warning_id
LEFT JOIN alerts_responseorder o ON o.id = b.order_id
WHERE c.state = 'climbing' AND (c.due_at <= %(now)s OR d.state = 'confirmed')
ORDER BY c.due_at, c.id LIMIT %(chunk)s
FOR UPDATE OF c SKIP LOCKED
"""


def sweep(*, now: datetime) -> int:
    """Start the climbs that are due to start, then take every due step; returns rungs taken."""
    start_climbs(now=now)
    taken = 0
    while True:
        looked, rungs = _take_due(now)
        taken += rungs
        if looked < CHUNK:
            return taken


def start_climbs(*, now: datetime) -> None:
    """A climb for each unanswered first delivery of a chased message, when its first wait is over.

    Those without a live device start at once. The ladder is frozen into the row.
    """
    open_dispatches = Dispatch.objects.filter(
        errand=Errand.FIRST,
        bulletin__urgency__gte=CHASED_FROM,
        bulletin__requires__in=["confirm", "report"],
        expires_at__gt=now,
    ).select_related("bulletin")
    for dispatch in open_dispatches.order_by("id"):
        for unreachable in (False, True):
            ladder = ladder_for(
                dispatch.bulletin.urgency, local(dispatch.created_at), reachable=not unreachable
            )
            if ladder is None:
                continue
            due_at = dispatch.created_at + timedelta(seconds=ladder.waits_s[0])
            if due_at > now:
                continue
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    _START,
                    {
                        "rungs": list(ladder.rungs),
                        "waits": list(ladder.waits_s),
                        "due_at": due_at,
                        "now": now,
                        "dispatch": dispatch.pk,
                        "unreachable": unreachable,
                    },
                )


def _take_due(now: datetime) -> tuple[int, int]:
    """One chunk of due climbs: (looked at, rungs taken)."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_DUE, {"now": now, "chunk": CHUNK})
            rows = cursor.fetchall()
        takes: dict[tuple[int, str, int], list[tuple[int, int, Take, datetime]]] = defaultdict(list)
        stops: dict[str, list[int]] = defaultdict(list)
        for climb, delivery, rungs, waits, rung, due_at, bulletin, answered, ended in rows:
            ladder = Ladder(tuple(rungs), tuple(waits))
            match step(ladder, rung, due_at, now, answered=answered, ended=ended):
                case Take() as take:
                    takes[bulletin, take.errand, take.number].append((climb, delivery, take, due_at))
                case Stop(state=state):
                    stops[state].append(climb)
        for state, ids in stops.items():
            Climb.objects.filter(pk__in=ids).update(state=ClimbState(state), ended_at=now)
        for (bulletin, errand, _), group in takes.items():
            _take(Bulletin.objects.get(pk=bulletin), Errand(errand), group, now)
        return len(rows), sum(map(len, takes.values()))


def _take(
    bulletin: Bulletin, errand: Errand, group: list[tuple[int, int, Take, datetime]], now: datetime
) -> None:
    """One rung of one bulletin for everybody who is due: a single dispatch, rows for each climb."""
    unanswered = [delivery for _, delivery, _, _ in group]
    dispatch = run_errand(bulletin, errand, now=now, unanswered=unanswered, lead=_lead(errand, len(group)))
    Rung.objects.bulk_create(
        [
            Rung(
                climb_id=climb,
                number=take.number,
                errand=errand,
                due_at=due_at,
                taken_at=now,
                reached=min(dispatch.recipients, 32767),
            )
            for climb, _, take, due_at in group
        ]
    )
    for next_due_at in {take.next_due_at for _, _, take, _ in group}:
        ids = [climb for climb, _, take, _ in group if take.next_due_at == next_due_at]
        Climb.objects.filter(pk__in=ids).update(rung=group[0][2].number + 1, due_at=next_due_at)
    transaction.on_commit(lambda: hint("board", bulletin=bulletin.pk))
    log.info("climb.rung bulletin=%s errand=%s climbs=%s", bulletin.pk, errand, len(group))


def _lead(errand: Errand, count: int) -> tuple[str, str]:
    """What is said before the bulletin's own words on this rung."""
    match errand:
        case Errand.REPEAT:
            return "【再次提醒】请立即确认。", "[Reminder] Confirm now. "
        case Errand.DEPUTY:
            return "【叫应】A角未应答，请您接替。", "[Call] The A-post has not answered; take over. "
        case _:
            return f"【叫应】下级{count}人未应答。", f"[Call] {count} below you have not answered. "
