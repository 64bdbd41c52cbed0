"""Where every climb stands at an instant: who has answered, what no longer stands, which step is due. Reads only.

One query for all climbs or for those of some bulletins; what follows from a row is decided by ladder.step (dry) and
written by climb.py, under the bulletins' locks.
"""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from escalation.ladder import Ladder, Step, step
from notifications.models import REFUSED

_STEPS = f"""
    SELECT s.bulletin_id AS bulletin, s.id AS dispatch, c.id AS climb, c.delivery_id, d.region_id, c.state, c.rungs, c.waits_s,
           c.channels, c.rung, c.due_at, said.cannot,
           CASE WHEN d.state = 'confirmed' AND NOT said.cannot THEN 'confirmed'
                WHEN EXISTS (
                    SELECT 1 FROM notifications_dispatch ds
                    JOIN notifications_delivery dd ON dd.dispatch_id = ds.id
                    WHERE ds.bulletin_id = s.bulletin_id AND ds.errand = 'deputy'
                      AND dd.region_id = d.region_id AND dd.state = 'confirmed' AND NOT {REFUSED.format(d="dd")}
                ) THEN 'deputy confirmed'
                WHEN c.of_group <= kept.enough THEN 'enough of the group' ELSE '' END AS answered,
           -- a later message of the same warning or thread, no less grave, to the same person is chased instead
           CASE WHEN b.valid_until <= %(now)s THEN 'no longer valid'
                WHEN w.ended_at IS NOT NULL THEN 'warning cancelled'
                WHEN o.status IN ('withdrawn', 'ended', 'superseded') THEN 'order ' || o.status
                WHEN g.state IN ('paused', 'ended') THEN 'drill ' || g.state
                WHEN b.about <> '' AND EXISTS (SELECT 1 FROM alerts_bulletin sb WHERE sb.supersedes_id = b.id)
                    THEN 'all clear'
                WHEN EXISTS (
                    SELECT 1 FROM notifications_delivery nd
                    JOIN notifications_dispatch ns ON ns.id = nd.dispatch_id AND ns.errand = 'first'
                    JOIN alerts_bulletin nb ON nb.id = ns.bulletin_id
                    WHERE nd.officer_id = d.officer_id AND nd.id > d.id AND NOT nd.quiet
                      AND (nb.warning_id = b.warning_id OR b.thread <> '' AND nb.thread = b.thread)
                      AND nb.urgency >= b.urgency AND nb.requires IN ('confirm', 'report') AND nb.drill = b.drill
                ) THEN 'told anew' ELSE '' END AS ended
    FROM escalation_climb c
    JOIN notifications_delivery d ON d.id = c.delivery_id
    JOIN notifications_dispatch s ON s.id = d.dispatch_id
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN alerts_warning w ON w.id = b.warning_id
    LEFT JOIN alerts_responseorder o ON o.id = b.order_id
    LEFT JOIN alerts_drill g ON g.id = b.drill_of_id
    CROSS JOIN LATERAL (SELECT {REFUSED.format(d="d")} AS cannot) said
    LEFT JOIN LATERAL (  -- of the stations he keeps, the one with the fewest answers decides
        SELECT min(answers.people) AS enough FROM officers_post own
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT p.officer_id) AS people FROM officers_post p
            JOIN notifications_dispatch ds ON ds.bulletin_id = s.bulletin_id
            JOIN notifications_delivery dd ON dd.dispatch_id = ds.id AND dd.officer_id = p.officer_id
            -- a repeat follows its first delivery's state, but what was said hangs on the first
            WHERE p.station_id = own.station_id AND dd.root_id IS NULL AND dd.state = 'confirmed' AND NOT {REFUSED.format(d="dd")}
              AND p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > %(now)s)
        ) answers
        WHERE c.of_group IS NOT NULL AND own.officer_id = d.officer_id AND own.station_id = ANY(b.stations)
          AND own.valid_from <= %(now)s AND (own.valid_to IS NULL OR own.valid_to > %(now)s)
    ) kept ON true
    WHERE (c.state = 'climbing'
        OR c.state = 'exhausted' AND EXISTS (SELECT 1 FROM escalation_calltask t
                                             WHERE t.climb_id = c.id AND t.done_at IS NULL))
"""
# an exhausted climb whose call is still open can only end otherwise
_DUE = f"""
SELECT * FROM ({_STEPS} AND (%(bulletins)s::bigint[] IS NULL OR s.bulletin_id = ANY(%(bulletins)s))) steps
WHERE answered <> '' OR ended <> '' OR state = 'climbing' AND (due_at <= %(now)s OR cannot)
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
    rungs: list[str]
    waits_s: list[int]
    channels: list[str]
    rung: int
    due_at: datetime
    cannot: bool
    answered: str
    ended: str

    def next_step(self, now: datetime) -> Step:
        ladder = Ladder(tuple(self.rungs), tuple(self.waits_s), tuple(self.channels))
        return step(
            ladder, self.rung, self.due_at, now,
            answered=self.answered, ended=self.ended, cannot=self.cannot,
        )  # fmt: skip


def due(now: datetime, bulletins: list[int] | None = None) -> list[Standing]:
    """The climbs, of all bulletins or of these, that are due, answered or over; by bulletin, the longest due first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now, "bulletins": bulletins})
        return [Standing(*row) for row in cursor]
