"""When nobody answers: climbs start, take their rungs when due, end. Owns Climb and Rung.

Woken only by its 5 s sweep: the row's due_at is the clock. The climbs of one bulletin are taken together, in one
transaction of set-based steps under the bulletin's lock: a desk hears once, however many below it are silent, and
whether somebody has answered is read under that lock, so no rung follows an answer. Every rung is a dispatch of
the same bulletin through notifications/dispatch.py.
"""

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import connection, transaction

from alerts.models import Bulletin
from escalation.ladder import Ladder, Stop, Take, ladder_for, step
from escalation.models import ClimbState
from foundation.clock import local
from foundation.wire import hint
from notifications.dispatch import run_errand
from notifications.models import Dispatch, Errand

log = logging.getLogger(__name__)

CLIMB_LOCK = 0x5E9_0002  # with the bulletin's id; the first half is used nowhere else
CHASED_FROM = 3  # Bulletin.urgency

_START = """
INSERT INTO escalation_climb (delivery_id, rungs, waits_s, rung, state, due_at, started_at)
SELECT d.id, %(rungs)s, %(waits)s, 0, 'climbing', %(due_at)s, %(now)s
FROM notifications_delivery d
WHERE d.dispatch_id = %(dispatch)s AND d.state <> 'confirmed'
  AND (d.state = 'failed_perm') = %(unreachable)s
  AND d.id NOT IN (  -- hashed once; NOT EXISTS walked the growing table for each of 45,000 rows, 13 s
      SELECT c.delivery_id FROM escalation_climb c JOIN notifications_delivery x ON x.id = c.delivery_id
      WHERE x.dispatch_id = %(dispatch)s)
ON CONFLICT (delivery_id) DO NOTHING
"""

_CLIMBING = """
SELECT DISTINCT s.bulletin_id FROM escalation_climb c
JOIN notifications_delivery d ON d.id = c.delivery_id JOIN notifications_dispatch s ON s.id = d.dispatch_id
WHERE c.state = 'climbing' ORDER BY s.bulletin_id
"""

# a warning's later message of the same gravity to the same person is chased instead of the earlier one
_DUE = """
SELECT * FROM (
    SELECT c.id, c.delivery_id, d.region_id, c.rungs, c.waits_s, c.rung, c.due_at,
           CASE WHEN d.state = 'confirmed' THEN 'confirmed'
                WHEN EXISTS (
                    SELECT 1 FROM notifications_dispatch ds
                    JOIN notifications_delivery dd ON dd.dispatch_id = ds.id
                    WHERE ds.bulletin_id = s.bulletin_id AND ds.errand = 'deputy'
                      AND dd.region_id = d.region_id AND dd.state = 'confirmed'
                ) THEN 'deputy confirmed' ELSE '' END AS answered,
           CASE WHEN b.valid_until <= %(now)s THEN 'no longer valid'
                WHEN w.ended_at IS NOT NULL THEN 'warning cancelled'
                WHEN o.status IN ('withdrawn', 'ended') THEN 'order ' || o.status
                WHEN b.about <> '' AND EXISTS (SELECT 1 FROM alerts_bulletin sb WHERE sb.supersedes_id = b.id)
                    THEN 'all clear'
                WHEN EXISTS (
                    SELECT 1 FROM notifications_delivery nd
                    JOIN notifications_dispatch ns ON ns.id = nd.dispatch_id AND ns.errand = 'first'
                    JOIN alerts_bulletin nb ON nb.id = ns.bulletin_id
                    WHERE nd.officer_id = d.officer_id AND nd.id > d.id AND nb.warning_id = b.warning_id
                      AND nb.urgency >= b.urgency AND nb.requires IN ('confirm', 'report')
                ) THEN 'told anew' ELSE '' END AS ended
    FROM escalation_climb c
    JOIN notifications_delivery d ON d.id = c.delivery_id
    JOIN notifications_dispatch s ON s.id = d.dispatch_id
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN alerts_warning w ON w.id = b.warning_id
    LEFT JOIN alerts_responseorder o ON o.id = b.order_id
    WHERE c.state = 'climbing' AND s.bulletin_id = %(bulletin)s
) climbing
WHERE due_at <= %(now)s OR answered <> '' OR ended <> ''
ORDER BY due_at, id
"""

# by region of the silent: how many people of the dispatch stand there or above
_REACHED = """
WITH told AS (
    SELECT region_id, count(*) AS people FROM notifications_delivery WHERE dispatch_id = %s GROUP BY region_id
)
SELECT own.code, sum(told.people)::int FROM hydrology_region own
JOIN told ON told.region_id = ANY(string_to_array(own.path, '/'))
WHERE own.code = ANY(%s) GROUP BY own.code
"""

_TAKEN = """
WITH taken AS (
    SELECT * FROM unnest(%(climb)s::bigint[], %(due_at)s::timestamptz[], %(next)s::timestamptz[], %(reached)s::int[])
        AS t(climb, due_at, next_due_at, reached)
), rungs AS (
    INSERT INTO escalation_rung (climb_id, number, errand, due_at, taken_at, reached)
    SELECT t.climb, c.rung, %(errand)s, t.due_at, %(now)s, least(t.reached, 32767)
    FROM taken t JOIN escalation_climb c ON c.id = t.climb
)
UPDATE escalation_climb c SET rung = c.rung + 1, due_at = t.next_due_at FROM taken t WHERE c.id = t.climb
"""
_ENDED = "UPDATE escalation_climb SET state = %s, ended_at = %s WHERE id = ANY(%s)"


class Due(NamedTuple):
    """One climb whose next rung is due."""

    climb: int
    delivery: int
    region: str
    due_at: datetime
    take: Take


_LEADS = {  # said before the bulletin's own words, (zh, en)
    Errand.REPEAT: ("【再次提醒】请立即确认。", "[Reminder] Confirm now. "),
    Errand.DEPUTY: ("【叫应】A角未应答，请您接替。", "[Call] The A-post has not answered; take over. "),
    Errand.SUPERIOR: (
        "【叫应】下级有人未应答，请督促。",
        "[Call] People below you have not answered; see to it. ",
    ),
}


def sweep(*, now: datetime) -> int:
    """Start the climbs that are due to start, then take every due step; returns rungs taken."""
    start_climbs(now=now)
    with connection.cursor() as cursor:
        cursor.execute(_CLIMBING)
        bulletins = [row[0] for row in cursor]
    return sum(_take_due(bulletin, now) for bulletin in bulletins)


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


@transaction.atomic
def _take_due(bulletin: int, now: datetime) -> int:
    """The due steps of one bulletin's climbs; none while another sweep is at them. Returns rungs taken."""
    takes: dict[str, list[Due]] = defaultdict(list)
    stops: dict[str, list[int]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CLIMB_LOCK, bulletin % 2**31])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_DUE, {"now": now, "bulletin": bulletin})
        for climb, delivery, region, rungs, waits, rung, due_at, answered, ended in cursor:
            ladder = Ladder(tuple(rungs), tuple(waits))
            match step(ladder, rung, due_at, now, answered=answered, ended=ended):
                case Take() as take:
                    takes[take.errand].append(Due(climb, delivery, region, due_at, take))
                case Stop(state=state):
                    stops[state].append(climb)
        for state, ids in stops.items():
            cursor.execute(_ENDED, [ClimbState(state).value, now, ids])
    for errand, group in takes.items():
        _take(Bulletin.objects.get(pk=bulletin), Errand(errand), group, now)
    return sum(map(len, takes.values()))


def _take(bulletin: Bulletin, errand: Errand, group: list[Due], now: datetime) -> None:
    """One rung of one bulletin for everybody who is due: a single dispatch, rows for each climb."""
    unanswered = [due.delivery for due in group]
    dispatch = run_errand(bulletin, errand, now=now, unanswered=unanswered, lead=_LEADS[errand])
    reached = _reached(dispatch, {due.region for due in group})
    taken = {
        "climb": [due.climb for due in group],
        "due_at": [due.due_at for due in group],
        "next": [due.take.next_due_at for due in group],
        "reached": [1 if errand is Errand.REPEAT else reached.get(due.region, 0) for due in group],
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKEN, {**taken, "errand": errand.value, "now": now})
    transaction.on_commit(partial(hint, "board", dispatch=dispatch.pk))
    log.info("climb.rung bulletin=%s errand=%s climbs=%s", bulletin.pk, errand, len(group))


def _reached(dispatch: Dispatch, regions: set[str]) -> dict[str, int]:
    """How many people the rung addressed for the silent of each region; where it is nobody, no entry."""
    with connection.cursor() as cursor:
        cursor.execute(_REACHED, [dispatch.pk, list(regions)])
        return dict(cursor.fetchall())
