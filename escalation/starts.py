"""Who begins to climb: a row for each unanswered first delivery of a chased message, and for each person who says of any
message that he cannot go. Owns a Climb's first row.

Woken by climb.sweep, before it takes what is due. The ladder is frozen into the row: by the table in force, the hour,
the channels that are set up, and whether the person himself can be asked again. All of a sweep's climbs start by one
statement that may be repeated. Also reopens the climbs whose end was taken back.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from alerts.models import DrillState
from escalation import in_force
from escalation.ladder import Ladder, Reach
from escalation.ladder_table import ALWAYS_CHASED
from escalation.models import Climb
from foundation.clock import local
from notifications import months, newcomers, telephony
from notifications.dispatch import own_what_hangs
from notifications.models import REFUSED, STOPPED_REASONS, Delivery, Dispatch, Errand, Receipt

SAID_WITHIN = timedelta(days=1)  # a "cannot" is looked for so long; messages are valid for hours
RESTS = (DrillState.PAUSED, DrillState.ENDED)  # nobody is chased

# who owes an answer, of the lines from %(open)s on (months.open_since): not for what only renews another line in place, nor
# for what a resting drill has kept from him
OWES = f"d.id >= %(open)s AND NOT d.quiet AND d.reason NOT IN {STOPPED_REASONS}"

# Which lines have no climb: two lists, each read once and grouped, whatever the planner believes of tables that have just
# grown or are full of dead rows. Where one list was joined to the other, it has walked it anew for each of 45,000 lines:
# minutes.
_START = f"""
WITH wanted AS (  -- of each dispatch the ladder for each kind of person; null: not yet
    SELECT * FROM unnest(%(dispatch)s::bigint[], %(told_at)s::timestamptz[], %(rings)s::int[], %(dark)s::int[],
                         %(cannot)s::int[]) AS t(dispatch_id, told_at, rings, dark, cannot)
), ladders AS (
    SELECT * FROM unnest(%(rungs)s::text[], %(waits)s::text[], %(channels)s::text[], %(of_group)s::int[])
        WITH ORDINALITY AS t(rungs, waits_s, channels, of_group, number)
), owing AS MATERIALIZED (
    SELECT d.id, CASE WHEN said.cannot OR d.id >= %(late)s THEN %(now)s::timestamptz ELSE w.told_at END AS since,
           CASE WHEN said.cannot THEN w.cannot
                WHEN d.state = 'failed_perm' THEN w.dark
                WHEN d.state <> 'confirmed' THEN w.rings END AS ladder
    FROM wanted w JOIN notifications_delivery d ON d.dispatch_id = w.dispatch_id AND {OWES}
    CROSS JOIN LATERAL (SELECT d.id IN ({REFUSED}) AS cannot) said
), fresh AS MATERIALIZED (
    SELECT id, min(since) AS since, min(ladder) AS ladder
    FROM (
        SELECT id, since, ladder FROM owing WHERE ladder IS NOT NULL
        UNION ALL
        SELECT delivery_id, NULL, NULL FROM escalation_climb
        WHERE delivery_id BETWEEN (SELECT min(id) FROM owing) AND (SELECT max(id) FROM owing)
    ) line GROUP BY id HAVING count(ladder) = count(*)
)
INSERT INTO escalation_climb
    (delivery_id, rungs, waits_s, channels, of_group, version, rung, state, due_at, started_at, why)
SELECT fresh.id, l.rungs::varchar[], l.waits_s::int[], l.channels::varchar[], l.of_group, %(version)s, 0, 'climbing',
       fresh.since + make_interval(secs => (l.waits_s::int[])[1]), %(now)s, ''
FROM fresh JOIN ladders l ON l.number = fresh.ladder
ORDER BY fresh.id
ON CONFLICT (delivery_id) DO NOTHING
"""

# he had answered, and has said since that he cannot go
_REOPEN = f"""
UPDATE escalation_climb c SET state = 'climbing', ended_at = NULL, why = '', due_at = %(now)s
WHERE c.state = 'answered' AND c.why IN ('confirmed', 'by call') AND c.delivery_id IN ({REFUSED})
"""

# whose answer had ended it, as a deputy or one of the group, says afterwards that he cannot go; what still stands ends
# again in the same sweep. A word may be committed some time after the instant it came in.
_REOPEN_OTHERS = """
UPDATE escalation_climb c SET state = 'climbing', ended_at = NULL, why = '', due_at = %(now)s
FROM notifications_receipt n
JOIN notifications_delivery nd ON nd.id = n.delivery_id AND nd.id >= %(open)s
JOIN notifications_dispatch ns ON ns.id = nd.dispatch_id
JOIN notifications_dispatch s ON s.bulletin_id = ns.bulletin_id AND s.errand = 'first'
JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(open)s
WHERE n.state = 'cannot' AND n.received_at > %(since)s AND n.delivery_id >= %(open)s
  AND c.delivery_id = d.id AND c.state = 'answered'
  AND (c.why = 'deputy confirmed' AND ns.errand = 'deputy' AND d.region_id = nd.region_id OR c.why = 'enough of the group')
  AND n.received_at > c.ended_at - interval '10 seconds'
"""

# the exercise goes on
_REOPEN_DRILL = f"""
UPDATE escalation_climb c SET state = 'climbing', ended_at = NULL, why = '', due_at = greatest(c.due_at, %(now)s)
FROM alerts_drill g
JOIN alerts_bulletin b ON b.drill_of_id = g.id
JOIN notifications_dispatch s ON s.bulletin_id = b.id AND s.errand = 'first'
JOIN notifications_delivery d ON d.dispatch_id = s.id
WHERE g.state = 'running' AND c.delivery_id = d.id AND c.state = 'stopped' AND c.why = 'drill paused'
  AND b.valid_until > %(now)s AND {OWES}
"""


class Open(NamedTuple):
    """One first dispatch some of whose people are chased, and the ladder of each kind of person who is."""

    dispatch: int
    told_at: datetime
    version: str
    ladders: dict[Reach, Ladder]

    def due_at(self, reach: Reach) -> datetime:
        """When the first rung is due for such a person."""
        return self.told_at + timedelta(seconds=self.ladders[reach].waits_s[0])

    def was_due(self, reach: Reach, at: datetime) -> bool:
        """Whether it was due by then; never where such a person is not chased."""
        return reach in self.ladders and self.due_at(reach) <= at


@transaction.atomic
def take_in(*, now: datetime) -> int:
    """Who came after it is told what stands (newcomers.py) and is chased from that moment on: the audit finds nobody who owes
    and has no climb. Returns how many climbs began."""
    late = newcomers.tell(now=now)
    return 0 if late is None else start_climbs(now=now, late=late)


def start_climbs(*, now: datetime, late: int = months.NOWHERE) -> int:
    """A climb for each unanswered first delivery of a chased message, when its first wait is over; how many.

    From the line `late` on they were told now: these start as well, and have the wait before them.
    Those without a live device start at once, and those who cannot go, whatever the message.
    """
    opens = open_dispatches(now)
    numbers: dict[Ladder, int] = {}  # counted from 1, as ORDINALITY does
    due = {
        reach: [
            numbers.setdefault(one.ladders[reach], len(numbers) + 1) if one.was_due(reach, now) else None
            for one in opens
        ]
        for reach in Reach
    }
    said = {"now": now, "since": now - SAID_WITHIN, "open": months.open_since(now), "late": late}
    started = 0
    with connection.cursor() as cursor:
        with transaction.atomic():  # so that the audit finds nobody who owes and is not chased
            own_what_hangs([one.dispatch for one in opens], now=now)
            if numbers:
                cursor.execute(
                    _START,
                    {
                        **said,
                        **{reach.value: ladders for reach, ladders in due.items()},
                        "version": opens[0].version,
                        "dispatch": [one.dispatch for one in opens],
                        "told_at": [one.told_at for one in opens],
                        "rungs": [_array(ladder.rungs) for ladder in numbers],
                        "waits": [_array(ladder.waits_s) for ladder in numbers],
                        "channels": [_array(ladder.channels) for ladder in numbers],
                        "of_group": [ladder.of_group for ladder in numbers],
                    },
                )
                started = cursor.rowcount
        for reopen in (_REOPEN, _REOPEN_OTHERS, _REOPEN_DRILL):
            cursor.execute(reopen, said)
    return started


def open_dispatches(now: datetime) -> list[Open]:
    """The open first dispatches of chased messages, and of others where somebody cannot go and has no climb; in order.

    Who cannot go has his deputy called whatever the message: by the ladder of its class, else by that of the least grave
    messages that are always chased.
    """
    version, table = in_force.table_at(now)
    configured = telephony.configured()
    since = months.open_since(now)
    said = Receipt.objects.refusals(since).filter(received_at__gt=now - SAID_WITHIN)
    cannot = Delivery.objects.filter(
        ~Exists(Climb.objects.filter(delivery=OuterRef("pk"))),
        id__gte=since,
        quiet=False,
        pk__in=said.values("delivery"),
    )
    rows = (
        Dispatch.objects.filter(
            Q(bulletin__urgency__gte=table.chased_from) | Q(pk__in=cannot.values("dispatch")),
            errand=Errand.FIRST,
            bulletin__requires__in=["confirm", "report"],
            expires_at__gt=now,
        )
        .exclude(bulletin__drill_of__state__in=RESTS)
        .order_by("id")
        .values_list("id", "created_at", "bulletin__kind", "bulletin__urgency")
    )
    known: dict[tuple[str, int, int], dict[Reach, Ladder]] = {}
    found = []
    for dispatch, told_at, kind, urgency in rows:
        told_local = local(told_at)
        key = kind, urgency, told_local.hour
        if key not in known:
            ladders = {
                reach: table.ladder_for(kind, urgency, told_local, reach=reach, configured=configured)
                for reach in Reach
            }
            ladders[Reach.CANNOT] = ladders[Reach.CANNOT] or table.ladder_for(
                kind, min(ALWAYS_CHASED), told_local, reach=Reach.CANNOT, configured=configured
            )
            known[key] = {reach: ladder for reach, ladder in ladders.items() if ladder is not None}
        found.append(Open(dispatch, told_at, version, known[key]))
    return found


def _array(values: tuple[object, ...]) -> str:
    """As PostgreSQL writes it; names and numbers only."""
    return "{" + ",".join(map(str, values)) + "}"
