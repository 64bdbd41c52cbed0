"""When nobody answers: climbs take their rungs when due, and end. Owns Climb, Rung and a CallTask's first row.

Woken by its 5 s sweep and by a nudge after an answer: the row's due_at is the clock. Bulletins are taken many at once,
in one transaction of set-based steps under the lock of each: a desk hears once of a bulletin, however many below it are
silent. Whether he has answered is read again under the lock of his line, so no rung follows an answer. Every rung is a
dispatch of the same bulletin through notifications/dispatch.py, but the last: a call for the desk to make.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import orjson
from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper

from alerts.models import Bulletin
from escalation.due import Standing, bulletins_due, due
from escalation.ladder import APP, DESK, REPEAT, Stop, Take
from escalation.models import Climb, ClimbState
from escalation.starts import start_climbs
from foundation.wire import hints
from hydrology.models import Region
from notifications import months
from notifications.audience import STAND_INS
from notifications.dispatch import PUSH, Ask, run_errands
from notifications.models import Errand
from officers.models import IN_FORCE

log = logging.getLogger(__name__)

CLIMB_LOCK = 0x5E9_0002  # with the bulletin's id; the first half is used nowhere else
MANY = 500  # rows written by a sweep of which the planner is told before anybody reads them; autovacuum comes in a minute
BULLETINS = 500  # at once: each holds a place in PostgreSQL's table of locks until the commit

# the bulletins that this transaction now has to itself; those of another sweep are left to it
_LOCK = """
SELECT bulletin FROM unnest(%s::bigint[]) AS t(bulletin)
WHERE pg_try_advisory_xact_lock(%s, (bulletin %% 2147483648)::int)
"""

# Who has not answered since he was looked at. Receipts lock the line as well, so from here on an answer comes after the
# rung, and settles what the rung sends. In the order in which receipts lock.
_SILENT = "SELECT id FROM notifications_delivery WHERE id = ANY(%s) AND state <> 'confirmed' ORDER BY id FOR KEY SHARE"

# by dispatch and region: how many people were asked
_ASKED = """
SELECT dispatch_id, region_id, count(*) FROM notifications_delivery
WHERE id >= %s AND dispatch_id = ANY(%s) GROUP BY dispatch_id, region_id
"""

# by region of the silent: how many staff the duty desks there or above, who see the call
_DESKS = f"""
SELECT own.code, count(DISTINCT p.officer_id)::int FROM hydrology_region own
JOIN officers_post p ON p.duty = 'desk' AND p.region_id = ANY(string_to_array(own.path, '/'))
JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
WHERE own.code = ANY(%(regions)s) AND {IN_FORCE}
GROUP BY own.code
"""

_CALLS = """
INSERT INTO escalation_calltask (climb_id, region_id, made_at, result, note)
SELECT climb, region, %(now)s, '', '' FROM unnest(%(climb)s::bigint[], %(region)s::text[]) AS t(climb, region)
ON CONFLICT (climb_id) DO NOTHING
"""

_TAKEN = """
WITH taken AS (
    SELECT * FROM json_to_recordset(%(taken)s)
        AS t(climb bigint, number int, errand text, channel text, due_at timestamptz, next_due_at timestamptz, reached int)
), rungs AS (
    INSERT INTO escalation_rung (climb_id, number, errand, channel, due_at, taken_at, reached)
    SELECT t.climb, t.number, t.errand, t.channel, least(t.due_at, %(now)s), %(now)s, least(t.reached, 32767)
    FROM taken t
)
UPDATE escalation_climb c SET rung = t.number + 1, due_at = t.next_due_at FROM taken t WHERE c.id = t.climb
"""
_GO_ON = """
UPDATE escalation_climb SET state = 'climbing', ended_at = NULL, why = '', due_at = greatest(due_at, %s) WHERE id = ANY(%s)
"""
_ENDED = """
UPDATE escalation_climb c SET state = t.state, ended_at = %(now)s, why = left(t.why, 64)
FROM json_to_recordset(%(ended)s) AS t(climb bigint, state text, why text)
WHERE c.id = t.climb AND c.state <> t.state
"""


class Due(NamedTuple):
    """One climb whose next rung is due."""

    at: Standing
    take: Take

    @property
    def channel(self) -> str:
        return self.at.ladder.channel(self.take.number)

    @property
    def call(self) -> tuple[int, str, str]:
        """Who are asked together: one bulletin's silent people, by one errand and channel."""
        return self.at.bulletin, self.take.errand, self.channel


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

    A step that fails holds up no other climb, or no other bulletin where the database refuses it; the first such fault
    is raised when all others are done.
    """
    faults: list[Exception] = []
    written = taken = 0
    try:
        written = start_climbs(now=now)
    except (DatabaseError, ValueError) as error:  # those that have started go on
        log.exception("climb.start_failed")
        faults.append(error)
    bulletins = bulletins_due(now)
    for first in range(0, len(bulletins), BULLETINS):
        taken += _take_all(bulletins[first : first + BULLETINS], now, faults)
    if written + taken >= MANY:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE escalation_climb, escalation_rung, escalation_calltask")
    if faults:
        raise faults[0]
    return taken


def _take_all(bulletins: list[int], now: datetime, faults: list[Exception]) -> int:
    """The due steps of these; one that cannot be written is found by halving, the others are. Returns rungs taken."""
    try:
        return _take_due(bulletins, now, faults)
    except DatabaseError as error:
        if len(bulletins) == 1:
            log.exception("climb.failed bulletin=%s", bulletins[0])
            faults.append(error)
            return 0
    half = len(bulletins) // 2
    return sum(_take_all(some, now, faults) for some in (bulletins[:half], bulletins[half:]))


def end_left(*, now: datetime) -> int:
    """What nobody could end within a day after its message did: no sweep looks so far back. Returns how many climbs."""
    left = Climb.objects.filter(state=ClimbState.CLIMBING, delivery__lt=months.open_since(now))
    return left.update(state=ClimbState.STOPPED, ended_at=now, why="no longer valid")


@transaction.atomic
def settle(climb: int, why: str, now: datetime) -> None:
    """He has answered by another way than the ledger knows: the climb is over. Idempotent."""
    _end([(climb, Stop(ClimbState.ANSWERED.value, why))], now)


@transaction.atomic
def _take_due(bulletins: list[int], now: datetime, faults: list[Exception]) -> int:
    """The due steps of these bulletins' climbs; none of one while another sweep is at it. Returns rungs taken."""
    takes, stops = [], []
    standings = due(now, _locked(bulletins))
    if rested := [one.climb for one in standings if one.rests]:
        with connection.cursor() as cursor:
            cursor.execute(_GO_ON, [now, rested])
    for standing in standings:
        try:
            step = standing.next_step(now)
        except ValueError as error:  # its row is no ladder
            log.exception("climb.failed climb=%s", standing.climb)
            faults.append(error)
            continue
        match step:
            case Take() as take:
                takes.append(Due(standing, take))
            case Stop() as stop:
                stops.append((standing.climb, stop))
    if stops:
        _end(stops, now)
    takes = _still_silent(takes)
    if takes:
        _take(takes, now)
    return len(takes)


def _still_silent(takes: list[Due]) -> list[Due]:
    """Without those who have answered since they were looked at: the next sweep ends their climbs."""
    with connection.cursor() as cursor:
        cursor.execute(_SILENT, [[one.at.delivery for one in takes if not one.at.cannot]])
        silent = {row[0] for row in cursor}
    return [one for one in takes if one.at.cannot or one.at.delivery in silent]


def _locked(bulletins: list[int]) -> list[int]:
    """Those whose climbs this transaction has to itself."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [bulletins, CLIMB_LOCK])
        return [row[0] for row in cursor]


def _end(stops: Sequence[tuple[int, Stop]], now: datetime) -> None:
    ended = [{"climb": climb, "state": stop.state, "why": stop.why} for climb, stop in stops]
    with connection.cursor() as cursor:
        cursor.execute(_ENDED, {"ended": orjson.dumps(ended).decode(), "now": now})


def _take(takes: list[Due], now: datetime) -> None:
    """A rung for everybody who is due: a dispatch for each call, or tasks for the desk; a row for each climb."""
    calls: dict[tuple[int, str, str], list[Due]] = defaultdict(list)
    by_hand = []
    for one in takes:
        (by_hand if one.take.errand == DESK else calls[one.call]).append(one)
    with connection.cursor() as cursor:
        reached = _ask(cursor, calls, now) | _list_by_hand(cursor, by_hand, now)
        taken = [
            {
                "climb": one.at.climb,
                "number": one.take.number,
                "errand": one.take.errand,
                "channel": one.channel,
                "due_at": one.at.due_at,
                "next_due_at": one.take.next_due_at,
                "reached": reached[one.at.climb],
            }
            for one in takes
        ]
        cursor.execute(_TAKEN, {"taken": orjson.dumps(taken).decode(), "now": now})
    log.info("climb.rungs n=%s calls=%s by_hand=%s", len(takes), len(calls), len(by_hand))


def _ask(
    cursor: CursorWrapper, calls: dict[tuple[int, str, str], list[Due]], now: datetime
) -> dict[int, int]:
    """A dispatch for each call; how many people it addressed, by climb."""
    if not calls:
        return {}
    told = Bulletin.objects.only("drill", "valid_until").in_bulk({bulletin for bulletin, *_ in calls})
    asks = [
        Ask(
            told[bulletin],
            Errand(errand),
            [one.at.delivery for one in group],
            _LEADS[Errand(errand)],
            PUSH if channel == APP else channel,
        )
        for (bulletin, errand, channel), group in calls.items()
    ]
    dispatches = run_errands(asks, now=now)
    asked: dict[str, list[tuple[int, Due]]] = defaultdict(list)
    for ((_, errand, _), group), dispatch in zip(calls.items(), dispatches, strict=True):
        asked[errand] += [(dispatch.pk, one) for one in group]
    first = dispatches[0].first_line
    return (
        {one.at.climb: 1 for _, one in asked[REPEAT]}
        | _deputies(cursor, asked[Errand.DEPUTY], first, now)
        | _superiors(cursor, asked[Errand.SUPERIOR], first)
    )


def _deputies(
    cursor: CursorWrapper, asked: list[tuple[int, Due]], first: int, now: datetime
) -> dict[int, int]:
    """How many deputies of his own each dispatch called, by climb."""
    if not asked:
        return {}
    given = {
        "dispatch": [dispatch for dispatch, _ in asked],
        "unanswered": [one.at.delivery for _, one in asked],
        "now": now,
        "first": first,
    }
    cursor.execute(STAND_INS, given)
    people = {(dispatch, delivery): count for dispatch, delivery, count in cursor}
    return {one.at.climb: people.get((dispatch, one.at.delivery), 0) for dispatch, one in asked}


def _superiors(cursor: CursorWrapper, asked: list[tuple[int, Due]], first: int) -> dict[int, int]:
    """How many of those each dispatch called stand in the region of the silent or above it, by climb."""
    if not asked:
        return {}
    cursor.execute(_ASKED, [first, list({dispatch for dispatch, _ in asked})])
    people = {(dispatch, region): count for dispatch, region, count in cursor}
    regions = {one.at.region for _, one in asked}
    paths = dict(Region.objects.filter(code__in=regions).values_list("code", "path"))
    return {
        one.at.climb: sum(people.get((dispatch, code), 0) for code in paths[one.at.region].split("/"))
        for dispatch, one in asked
    }


def _list_by_hand(cursor: CursorWrapper, by_hand: list[Due], now: datetime) -> dict[int, int]:
    """A task for the desk's list each; how many people staff the desks that see it, by climb."""
    if not by_hand:
        return {}
    regions = [one.at.region for one in by_hand]
    cursor.execute(_CALLS, {"climb": [one.at.climb for one in by_hand], "region": regions, "now": now})
    cursor.execute(_DESKS, {"regions": regions, "now": now})
    people = dict(cursor.fetchall())
    transaction.on_commit(partial(hints, "board", "dispatch", sorted({one.at.dispatch for one in by_hand})))
    return {one.at.climb: people.get(one.at.region, 0) for one in by_hand}
