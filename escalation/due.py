"""Where every climb stands at an instant: who has answered, what no longer stands, which step is due. Reads only.

One query for all climbs or for those of some bulletins; what follows from a row is decided by ladder.step (dry) and
written by climb.py, under the bulletins' locks.
"""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from django.db import connection

from escalation.ladder import Ladder, Step, step
from escalation.models import ClimbState
from notifications import months
from notifications.models import REFUSED
from officers.models import IN_FORCE, IN_FORCE_SINCE

# Of one dispatch, by its own index: joined to all dispatches asked about, the whole month was read in each sweep. A repeat
# follows its first delivery's state, but what was said hangs on the first.
_CONFIRMED = """SELECT id, officer_id, region_id FROM notifications_delivery
        WHERE dispatch_id = s.id AND id >= %(open)s AND root_id IS NULL AND state = 'confirmed' OFFSET 0"""
# of the seat `p`: whether the bulletin `b` speaks to its holder by it, at the line
_ADDRESSED = """CASE WHEN p.station_id IS NOT NULL THEN p.station_id = ANY(b.stations)
        ELSE p.duty = ANY(b.duties) AND p.region_id = {line}.region_id END"""

# bulletins, and why each no longer stands
_BULLETINS = """alerts_bulletin b
    LEFT JOIN alerts_warning w ON w.id = b.warning_id
    LEFT JOIN alerts_responseorder o ON o.id = b.order_id
    LEFT JOIN alerts_drill g ON g.id = b.drill_of_id"""
_ENDED = """CASE WHEN b.valid_until <= %(now)s THEN 'no longer valid'
                WHEN w.ended_at IS NOT NULL THEN 'warning cancelled'
                WHEN o.status IN ('withdrawn', 'ended', 'superseded') THEN 'order ' || o.status
                WHEN g.state IN ('paused', 'ended') THEN 'drill ' || g.state
                WHEN b.about <> '' AND EXISTS (SELECT 1 FROM alerts_bulletin sb WHERE sb.supersedes_id = b.id)
                    THEN 'all clear' ELSE '' END"""

# Everything is asked once for all of them, in sets: asked for each climb it took 0.25 ms, of 45,000 ten seconds. Climbs and
# lines are read by their ids (OFFSET 0): what was written a moment ago is planned as if it were one row.
_DUE = f"""
WITH gone AS MATERIALIZED (
    SELECT b.id, b.warning_id, b.thread FROM notifications_dispatch s JOIN {_BULLETINS} ON b.id = s.bulletin_id
    WHERE s.errand = 'first' AND s.expires_at > %(now)s - interval '1 day' AND {_ENDED} <> ''
), again AS MATERIALIZED (  -- of what stands, while something said since of the same warning or thread does not
    SELECT s.id FROM notifications_dispatch s JOIN alerts_bulletin b ON b.id = s.bulletin_id
    WHERE s.errand = 'first' AND s.expires_at > %(now)s AND EXISTS (
        SELECT 1 FROM gone WHERE gone.id > b.id AND (gone.warning_id = b.warning_id OR b.thread <> '' AND gone.thread = b.thread))
), at AS MATERIALIZED (
    SELECT c.*, d.officer_id, d.region_id, d.state = 'confirmed' AS confirmed, d.dispatch_id, s.bulletin_id,
           s.created_at AS told_at
    FROM (
        SELECT * FROM escalation_climb WHERE state = 'climbing'
        UNION ALL
        SELECT x.* FROM escalation_calltask t
        CROSS JOIN LATERAL (SELECT * FROM escalation_climb WHERE id = t.climb_id OFFSET 0) x
        WHERE t.done_at IS NULL AND x.state = 'exhausted'
        UNION ALL
        SELECT x.* FROM again s
        CROSS JOIN LATERAL (SELECT id FROM notifications_delivery WHERE dispatch_id = s.id AND id >= %(open)s OFFSET 0) y
        CROSS JOIN LATERAL (SELECT * FROM escalation_climb WHERE delivery_id = y.id OFFSET 0) x
        WHERE x.state = 'stopped' AND x.why = 'told anew'
        UNION ALL
        SELECT * FROM escalation_climb WHERE state = 'stopped' AND why = 'left the roster'
    ) c
    CROSS JOIN LATERAL (
        SELECT officer_id, region_id, state, dispatch_id FROM notifications_delivery
        WHERE id = c.delivery_id AND id >= %(open)s OFFSET 0
    ) d
    JOIN notifications_dispatch s ON s.id = d.dispatch_id
    WHERE %(bulletins)s::bigint[] IS NULL OR s.bulletin_id = ANY(%(bulletins)s)
), told AS MATERIALIZED (
    SELECT b.id, b.warning_id, b.thread, b.urgency, b.drill, b.stations, b.areas, {_ENDED} AS ended
    FROM {_BULLETINS} WHERE b.id IN (SELECT bulletin_id FROM at)
), asked AS MATERIALIZED (
    SELECT id, bulletin_id, errand, created_at FROM notifications_dispatch WHERE bulletin_id IN (SELECT id FROM told)
), refused AS MATERIALIZED ({REFUSED}
), seats AS NOT MATERIALIZED (  -- whose A and B stand in for each other: a station's posts, those of one position
    SELECT p.officer_id, p.rank, p.duty, p.region_id, p.station_id, p.valid_from, p.valid_to, {IN_FORCE} AS held,
           coalesce('station ' || p.station_id, p.region_id || ' ' || p.duty || ' ' || p.position) AS seat
    FROM officers_post p JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE p.station_id IS NOT NULL OR p.position <> ''
), deputies AS MATERIALIZED (  -- by region the seats of those who take over; '': of anybody there
    SELECT DISTINCT b.id AS bulletin_id, d.region_id, coalesce(p.seat, '') AS seat
    FROM (SELECT * FROM asked WHERE errand = 'deputy' OFFSET 0) s
    CROSS JOIN LATERAL ({_CONFIRMED}) d
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN seats p ON p.officer_id = d.officer_id AND p.rank = 'B' AND {_ADDRESSED.format(line="d")}
         AND {IN_FORCE_SINCE.format(since="s.created_at")}
    WHERE d.id NOT IN (SELECT delivery_id FROM refused)
), alone AS MATERIALIZED (  -- who is silent there and has a deputy of his own, who is none of these
    SELECT at.id
    FROM at JOIN alerts_bulletin b ON b.id = at.bulletin_id
    CROSS JOIN LATERAL (
        SELECT * FROM seats p WHERE officer_id = at.officer_id AND {IN_FORCE_SINCE.format(since="at.told_at")} OFFSET 0
    ) p
    WHERE ((at.bulletin_id, at.region_id) IN (SELECT bulletin_id, region_id FROM deputies)) IS TRUE
      AND {_ADDRESSED.format(line="at")}
      -- a station's only B has the region's for deputies, that of a position has none (notifications/audience.py)
      AND CASE WHEN p.station_id IS NULL
          THEN EXISTS (SELECT 1 FROM seats o WHERE o.region_id = p.region_id AND o.duty = p.duty AND o.rank = 'B'
                       AND o.seat = p.seat AND o.held OFFSET 0)
          ELSE EXISTS (SELECT 1 FROM seats o WHERE o.station_id = p.station_id AND o.rank = 'B' AND o.held
                       AND o.officer_id <> p.officer_id OFFSET 0) END
    GROUP BY at.id
    HAVING NOT bool_or((at.bulletin_id, at.region_id, p.seat) IN (SELECT bulletin_id, region_id, seat FROM deputies))
), mates AS MATERIALIZED (
    SELECT told.id AS of, mate.id
    FROM told CROSS JOIN LATERAL (
        SELECT id FROM alerts_bulletin WHERE warning_id = told.warning_id
        UNION
        SELECT id FROM alerts_bulletin WHERE thread <> '' AND thread = told.thread
    ) mate
    WHERE mate.id <> told.id
), others AS MATERIALIZED (
    SELECT b.id, b.urgency, b.drill, {_ENDED} = '' AS stands
    FROM {_BULLETINS} WHERE b.id IN (SELECT id FROM mates) AND b.requires IN ('confirm', 'report')
), later AS MATERIALIZED (  -- of the same warning or thread, no less grave
    SELECT told.id, s.id AS dispatch_id, b.stands
    FROM told JOIN mates ON mates.of = told.id JOIN others b ON b.id = mates.id
    JOIN notifications_dispatch s ON s.bulletin_id = b.id AND s.errand = 'first'
    WHERE b.urgency >= told.urgency AND b.drill = told.drill
), since AS MATERIALIZED (  -- first what each has been told since, a few lines by his own index, then which of it counts
    SELECT at.id, at.bulletin_id, d.dispatch_id, d.state = 'confirmed' AND d.id NOT IN (SELECT delivery_id FROM refused) AS goes
    FROM at CROSS JOIN LATERAL (
        SELECT id, dispatch_id, state FROM notifications_delivery
        WHERE id >= %(open)s AND officer_id = at.officer_id AND id > at.delivery_id AND NOT quiet OFFSET 0
    ) d
    WHERE at.bulletin_id IN (SELECT id FROM later)
), anew AS MATERIALIZED (  -- he is chased for that message instead, or has answered it
    SELECT DISTINCT since.id FROM since
    JOIN later ON later.id = since.bulletin_id AND later.dispatch_id = since.dispatch_id
    WHERE later.stands OR since.goes
), lowered AS MATERIALIZED (  -- a person has lowered or ended it, for all or where he answers for it
    SELECT DISTINCT at.id FROM at
    JOIN told ON told.id = at.bulletin_id
    JOIN alerts_bulletin b ON b.warning_id = told.warning_id AND b.id > told.id AND b.urgency < told.urgency
    JOIN hydrology_region own ON own.code = at.region_id
    WHERE b.reasons @> '{{"lowers": true}}'
      AND (told.areas <@ b.areas OR string_to_array(own.path, '/') && b.areas::text[])
), answers AS MATERIALIZED (  -- of a station's keepers; where the message names none, of those called in one region
    SELECT told.id AS bulletin_id, coalesce(p.station_id, d.region_id) AS group_code, count(DISTINCT d.officer_id) AS people
    FROM (SELECT * FROM asked WHERE bulletin_id IN (SELECT bulletin_id FROM at WHERE of_group IS NOT NULL) OFFSET 0) s
    JOIN told ON told.id = s.bulletin_id
    CROSS JOIN LATERAL ({_CONFIRMED}) d
    LEFT JOIN officers_post p ON p.officer_id = d.officer_id AND p.station_id = ANY(told.stations)
         AND {IN_FORCE_SINCE.format(since="s.created_at")}
    WHERE (p.station_id IS NOT NULL OR told.stations = '{{}}' AND s.errand = 'first')
      AND d.id NOT IN (SELECT delivery_id FROM refused)
    GROUP BY told.id, group_code
), enough AS MATERIALIZED (  -- of the stations he keeps, the one with the fewest answers decides
    SELECT at.id
    FROM at JOIN told ON told.id = at.bulletin_id
    LEFT JOIN officers_post p ON p.officer_id = at.officer_id AND p.station_id = ANY(told.stations)
         AND {IN_FORCE_SINCE.format(since="at.told_at")}
    LEFT JOIN answers ON answers.bulletin_id = told.id AND answers.group_code = coalesce(p.station_id, at.region_id)
    WHERE at.of_group IS NOT NULL AND (p.station_id IS NOT NULL OR told.stations = '{{}}')
    GROUP BY at.id, at.of_group HAVING at.of_group <= min(coalesce(answers.people, 0))
)
-- what was found is looked up in hashes, not joined: PostgreSQL expects one row of each, and would walk thousands for each climb
SELECT * FROM (
    SELECT at.bulletin_id AS bulletin, at.dispatch_id, at.id AS climb, at.delivery_id, at.region_id, at.state,
           at.rungs::text, at.waits_s::text, at.channels::text, at.rung, at.due_at, said.cannot,
           CASE WHEN at.confirmed AND NOT said.cannot THEN 'confirmed'
                WHEN (at.bulletin_id, at.region_id, '') IN (SELECT bulletin_id, region_id, seat FROM deputies)
                     OR (at.bulletin_id, at.region_id) IN (SELECT bulletin_id, region_id FROM deputies)
                     AND at.id NOT IN (SELECT id FROM alone) THEN 'deputy confirmed'
                WHEN at.id IN (SELECT id FROM enough) THEN 'enough of the group' ELSE '' END AS answered,
           CASE WHEN over.why <> '' THEN over.why
                WHEN at.officer_id IN (SELECT id FROM officers_officer WHERE NOT is_active) THEN 'left the roster'
                WHEN at.id IN (SELECT id FROM anew) THEN 'told anew'
                WHEN at.id IN (SELECT id FROM lowered) THEN 'lowered by hand' ELSE '' END AS ended
    FROM at
    CROSS JOIN LATERAL (
        SELECT (SELECT jsonb_object_agg(id, ended) FROM told) ->> at.bulletin_id::text AS why
    ) over
    CROSS JOIN LATERAL (SELECT at.delivery_id IN (SELECT delivery_id FROM refused) AS cannot) said
) standing
-- an exhausted climb whose call is still open can only end otherwise, one that rests can only go on
WHERE CASE state WHEN 'stopped' THEN answered = '' AND ended = ''
                 ELSE answered <> '' OR ended <> '' OR state = 'climbing' AND (due_at <= %(now)s OR cannot) END
ORDER BY bulletin, due_at, climb
"""


class Standing(NamedTuple):
    """One climb for which there may be something to do, as the query gives it."""

    bulletin: int
    dispatch: int  # the first one of the bulletin
    climb: int
    delivery: int
    region: str
    state: str
    rungs: str  # arrays as PostgreSQL writes them
    waits_s: str
    channels: str
    rung: int
    due_at: datetime
    cannot: bool
    answered: str
    ended: str

    @property
    def rests(self) -> bool:
        """It had ended, and what ended it no longer holds: what he was told since is over, or he is on the roster again."""
        return self.state == ClimbState.STOPPED

    @property
    def ladder(self) -> Ladder:
        """Raises ValueError when its row is no ladder."""
        return _ladder(self.rungs, self.waits_s, self.channels)

    def next_step(self, now: datetime) -> Step:
        return step(
            self.ladder, self.rung, self.due_at, now,
            answered=self.answered, ended=self.ended, cannot=self.cannot,
        )  # fmt: skip


def bulletins_due(now: datetime) -> list[int]:
    """The bulletins for whose climbs there is something to do."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT bulletin FROM ({_DUE}) due ORDER BY bulletin", _asked(now, None))
        return [row[0] for row in cursor]


def due(now: datetime, bulletins: list[int]) -> list[Standing]:
    """The climbs of these bulletins that are due, answered or over; by bulletin, the longest due first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, _asked(now, bulletins))
        return [Standing(*row) for row in cursor.fetchall()]


def _asked(now: datetime, bulletins: list[int] | None) -> dict[str, object]:
    return {"now": now, "bulletins": bulletins, "open": months.open_since(now)}


@lru_cache(256)
def _ladder(rungs: str, waits_s: str, channels: str) -> Ladder:
    """From arrays of names and numbers: the same few stand beside 45,000 climbs, and to read each took longer than all else."""

    def names(array: str) -> tuple[str, ...]:
        return tuple(filter(None, array.strip("{}").split(",")))

    return Ladder(names(rungs), tuple(map(int, names(waits_s))), names(channels))
