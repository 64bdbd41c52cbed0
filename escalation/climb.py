"""When nobody answers: climbs start, take their rungs when due, end. Owns Climb, Rung and a CallTask's first line.

Woken by its 5 s sweep and by a nudge after an answer: the row's due_at is the clock. The climbs of one bulletin are
taken together, in one transaction of set-based steps under the bulletin's lock: a desk hears once, however many below
it are silent, and whether somebody has answered is read under that lock, so no rung follows an answer. Every rung is
a dispatch of the same bulletin through notifications/dispatch.py, but the last: a call for the desk to make.
"""

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper

from alerts.models import Bulletin
from escalation import in_force
from escalation.due import CANNOT, Standing, due
from escalation.ladder import APP, DESK, REPEAT, Ladder, Stop, Take
from escalation.models import ClimbState
from foundation.clock import local
from foundation.wire import hint
from notifications.dispatch import run_errand
from notifications.models import Dispatch, Errand

log = logging.getLogger(__name__)

CLIMB_LOCK = 0x5E9_0002  # with the bulletin's id; the first half is used nowhere else
SAID_WITHIN = timedelta(days=1)  # a "cannot" is looked for so long; messages are valid for hours

_START = f"""
INSERT INTO escalation_climb
    (delivery_id, rungs, waits_s, channels, of_group, version, rung, state, due_at, started_at, why)
SELECT d.id, %(rungs)s, %(waits)s, %(channels)s, %(of_group)s, %(version)s, 0, 'climbing', %(due_at)s, %(now)s, ''
FROM notifications_delivery d
CROSS JOIN LATERAL (SELECT {CANNOT.format(d="d")} AS cannot) said
WHERE d.dispatch_id = %(dispatch)s AND (d.state <> 'confirmed' OR said.cannot)
  AND (d.state = 'failed_perm' OR said.cannot) = %(unreachable)s
  AND d.id NOT IN (  -- hashed once; NOT EXISTS walked the growing table for each of 45,000 rows, 13 s
      SELECT c.delivery_id FROM escalation_climb c JOIN notifications_delivery x ON x.id = c.delivery_id
      WHERE x.dispatch_id = %(dispatch)s)
ON CONFLICT (delivery_id) DO NOTHING
"""

# one look at all of them: most sweeps have none to start
_UNSTARTED = """
SELECT DISTINCT d.dispatch_id FROM notifications_delivery d
WHERE d.dispatch_id = ANY(%(dispatches)s)
  AND (d.state <> 'confirmed' OR d.id IN (SELECT n.delivery_id FROM notifications_receipt n WHERE n.state = 'cannot'))
  AND d.id NOT IN (
      SELECT c.delivery_id FROM escalation_climb c JOIN notifications_delivery x ON x.id = c.delivery_id
      WHERE x.dispatch_id = ANY(%(dispatches)s))
"""

# he had answered, and says afterwards that he cannot go
_REOPEN = """
UPDATE escalation_climb c SET state = 'climbing', ended_at = NULL, why = '', due_at = %(now)s
FROM notifications_receipt n
WHERE n.delivery_id = c.delivery_id AND n.state = 'cannot' AND n.received_at > %(since)s
  AND c.state = 'answered' AND n.received_at > c.ended_at
"""

# the deputy whose answer had ended it says afterwards that he cannot go
_REOPEN_DEPUTY = """
UPDATE escalation_climb c SET state = 'climbing', ended_at = NULL, why = '', due_at = %(now)s
FROM notifications_receipt n
JOIN notifications_delivery nd ON nd.id = n.delivery_id
JOIN notifications_dispatch ns ON ns.id = nd.dispatch_id AND ns.errand = 'deputy'
JOIN notifications_dispatch s ON s.bulletin_id = ns.bulletin_id AND s.errand = 'first'
JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.region_id = nd.region_id
WHERE n.state = 'cannot' AND n.received_at > %(since)s AND c.delivery_id = d.id
  AND c.state = 'answered' AND c.why = 'deputy confirmed' AND n.received_at > c.ended_at
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

# by region of the silent: how many staff the duty desks there or above, who see the call
_DESKS = """
SELECT own.code, count(DISTINCT p.officer_id)::int FROM hydrology_region own
JOIN officers_post p ON p.duty = 'desk' AND p.region_id = ANY(string_to_array(own.path, '/'))
JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
WHERE own.code = ANY(%(regions)s) AND p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > %(now)s)
GROUP BY own.code
"""

_CALLS = """
INSERT INTO escalation_calltask (climb_id, region_id, made_at, result, note)
SELECT climb, region, %(now)s, '', '' FROM unnest(%(climb)s::bigint[], %(region)s::text[]) AS t(climb, region)
ON CONFLICT (climb_id) DO NOTHING
"""

_TAKEN = """
WITH taken AS (
    SELECT * FROM unnest(%(climb)s::bigint[], %(number)s::int[], %(channel)s::text[], %(due_at)s::timestamptz[],
                         %(next)s::timestamptz[], %(reached)s::int[])
        AS t(climb, number, channel, due_at, next_due_at, reached)
), rungs AS (
    INSERT INTO escalation_rung (climb_id, number, errand, channel, due_at, taken_at, reached)
    SELECT t.climb, t.number, %(errand)s, t.channel, least(t.due_at, %(now)s), %(now)s, least(t.reached, 32767)
    FROM taken t
)
UPDATE escalation_climb c SET rung = t.number + 1, due_at = t.next_due_at FROM taken t WHERE c.id = t.climb
"""
_ENDED = """
UPDATE escalation_climb c SET state = %(state)s, ended_at = %(now)s, why = left(t.why, 64)
FROM unnest(%(climb)s::bigint[], %(why)s::text[]) AS t(climb, why) WHERE c.id = t.climb AND c.state <> %(state)s
"""


class Due(NamedTuple):
    """One climb whose next rung is due."""

    at: Standing
    take: Take

    @property
    def channel(self) -> str:
        return self.at.channels[self.take.number] if self.at.channels else APP


_LEADS = {  # said before the bulletin's own words, (zh, en)
    Errand.REPEAT: ("【再次提醒】请立即确认。", "[Reminder] Confirm now. "),
    Errand.DEPUTY: ("【叫应】A角未应答，请您接替。", "[Call] The A-post has not answered; take over. "),
    Errand.SUPERIOR: (
        "【叫应】下级有人未应答，请督促。",
        "[Call] People below you have not answered; see to it. ",
    ),
}


def sweep(*, now: datetime) -> int:
    """Start the climbs that are due to start, then take every due step; returns rungs taken.

    A bulletin whose step fails holds up no other; the first such fault is raised when all others are done.
    """
    start_climbs(now=now)
    taken, fault = 0, None
    for bulletin, _ in groupby(due(now), attrgetter("bulletin")):
        try:
            taken += _take_due(bulletin, now)
        except (DatabaseError, ValueError) as error:  # a broken row, or one that cannot be written
            log.exception("climb.failed bulletin=%s", bulletin)
            fault = fault or error
    if fault is not None:
        raise fault
    return taken


def start_climbs(*, now: datetime) -> None:
    """A climb for each unanswered first delivery of a chased message, when its first wait is over.

    Those without a live device, and those who cannot go, start at once. The ladder is frozen into the row.
    """
    open_now = starting(now)
    with connection.cursor() as cursor:
        cursor.execute(_UNSTARTED, {"dispatches": sorted({dispatch.pk for dispatch, *_ in open_now})})
        unstarted = {row[0] for row in cursor}
    for dispatch, version, ladder, unreachable in open_now:
        due_at = dispatch.created_at + timedelta(seconds=ladder.waits_s[0])
        if due_at > now or dispatch.pk not in unstarted:
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            if not _locked(cursor, dispatch.bulletin_id):
                continue
            cursor.execute(
                _START,
                {
                    "rungs": list(ladder.rungs),
                    "waits": list(ladder.waits_s),
                    "channels": list(ladder.channels),
                    "of_group": ladder.of_group,
                    "version": version,
                    "due_at": due_at,
                    "now": now,
                    "dispatch": dispatch.pk,
                    "unreachable": unreachable,
                },
            )
    with connection.cursor() as cursor:
        for reopen in (_REOPEN, _REOPEN_DEPUTY):
            cursor.execute(reopen, {"now": now, "since": now - SAID_WITHIN})


def starting(now: datetime) -> list[tuple[Dispatch, str, Ladder, bool]]:
    """The open first dispatches of chased messages, each twice: (dispatch, version, ladder, unreachable)."""
    version, table = in_force.table_at(now)
    dispatches = Dispatch.objects.filter(
        errand=Errand.FIRST,
        bulletin__urgency__gte=table.chased_from,
        bulletin__requires__in=["confirm", "report"],
        expires_at__gt=now,
    ).select_related("bulletin")
    found = []
    for dispatch in dispatches.order_by("id"):
        told, at = dispatch.bulletin, local(dispatch.created_at)
        for unreachable in (False, True):
            ladder = table.ladder_for(told.kind, told.urgency, at, reachable=not unreachable)
            if ladder is not None:
                found.append((dispatch, version, ladder, unreachable))
    return found


@transaction.atomic
def settle(climb: int, why: str, now: datetime) -> None:
    """He has answered by another way than the ledger knows: the climb is over. Idempotent."""
    with connection.cursor() as cursor:
        _end(cursor, ClimbState.ANSWERED, [(climb, why)], now)


@transaction.atomic
def _take_due(bulletin: int, now: datetime) -> int:
    """The due steps of one bulletin's climbs; none while another sweep is at them. Returns rungs taken."""
    takes: dict[str, list[Due]] = defaultdict(list)
    stops: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        if not _locked(cursor, bulletin):
            return 0
        for standing in due(now, bulletin):
            match standing.next_step(now):
                case Take() as take:
                    takes[take.errand].append(Due(standing, take))
                case Stop(state=state, why=why):
                    stops[state].append((standing.climb, why))
        for state, ended in stops.items():
            _end(cursor, ClimbState(state), ended, now)
    told = Bulletin.objects.get(pk=bulletin) if takes else None
    for errand, group in takes.items():
        _take(told, errand, group, now)
    return sum(map(len, takes.values()))


def _locked(cursor: CursorWrapper, bulletin: int) -> bool:
    """Whether this transaction has the bulletin's climbs to itself."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CLIMB_LOCK, bulletin % 2**31])
    return bool(cursor.fetchone()[0])


def _end(cursor: CursorWrapper, state: ClimbState, ended: list[tuple[int, str]], now: datetime) -> None:
    climbs, whys = zip(*ended, strict=True)
    cursor.execute(_ENDED, {"state": state.value, "now": now, "climb": list(climbs), "why": list(whys)})


def _take(bulletin: Bulletin, errand: str, group: list[Due], now: datetime) -> None:
    """One rung of one bulletin for everybody who is due: a single dispatch or calls to make, rows for each climb."""
    regions = [due.at.region for due in group]
    with connection.cursor() as cursor:
        if errand == DESK:
            cursor.execute(_CALLS, {"climb": [due.at.climb for due in group], "region": regions, "now": now})
            cursor.execute(_DESKS, {"regions": regions, "now": now})
            dispatch = Dispatch.objects.get(bulletin=bulletin, errand=Errand.FIRST)
        else:
            unanswered = [due.at.delivery for due in group]
            dispatch = run_errand(
                bulletin, Errand(errand), now=now, unanswered=unanswered, lead=_LEADS[Errand(errand)]
            )
            cursor.execute(_REACHED, [dispatch.pk, regions])
        reached = dict(cursor.fetchall())
        taken = {
            "climb": [due.at.climb for due in group],
            "number": [due.take.number for due in group],
            "channel": [due.channel for due in group],
            "due_at": [due.at.due_at for due in group],
            "next": [due.take.next_due_at for due in group],
            "reached": [1 if errand == REPEAT else reached.get(region, 0) for region in regions],
        }
        cursor.execute(_TAKEN, {**taken, "errand": errand, "now": now})
    transaction.on_commit(partial(hint, "board", dispatch=dispatch.pk))
    log.info("climb.rung bulletin=%s errand=%s climbs=%s", bulletin.pk, errand, len(group))
