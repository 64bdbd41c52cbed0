"""How things stand at this instant, from PostgreSQL, by few and cheap queries: what /metrics, /readyz and the watch share.

Every figure is true whatever the number of processes. Signs of life (jobs, sockets) are over Redis: they speak of
processes, and are gone with them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from alerts import watch
from escalation.models import Climb, ClimbState
from foundation.wire import beats, beats_no_more
from hydrology.feeds.health import standings
from hydrology.science.feed_states import FeedState
from monitoring.targets import LEASE_OVER_S, SILENT_S
from notifications import months
from notifications.hub import SOCKETS
from notifications.models import Lane

LATELY = timedelta(minutes=10)
SOCKETS_OLD_S = 75.0  # five beats of a server process

# of the partial index of what is unsent; half a million waiting lines cost about 0.1 s
_BACKLOG = """
SELECT transport, lane, state, count(*), count(*) FILTER (WHERE due_at <= %(now)s),
       min(due_at) FILTER (WHERE due_at <= %(now)s),
       count(*) FILTER (WHERE state = 'sending' AND due_at <= %(lost)s),
       count(*) FILTER (WHERE state = 'failed_temp' AND attempts >= 2)
FROM notifications_delivery WHERE id >= %(open)s AND state IN ('pending', 'sending', 'failed_temp')
GROUP BY transport, lane, state ORDER BY transport, lane, state
"""
# the dispatches of the last minutes are the newest ones: from their end backwards, by the key
_LATELY = """
SELECT d.transport, count(*) FILTER (WHERE d.sent_at > %(since)s), count(*) FILTER (WHERE d.sent_at > %(lately)s),
       count(*) FILTER (WHERE d.state = 'failed_temp'),
       count(*) FILTER (WHERE d.state = 'failed_perm' AND d.attempts > 0)
FROM notifications_dispatch s JOIN notifications_delivery d ON d.dispatch_id = s.id AND d.id >= %(first)s
WHERE s.id > coalesce((SELECT max(id) FROM notifications_dispatch WHERE created_at <= %(since)s), 0)
GROUP BY d.transport ORDER BY d.transport
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Unsent lines of one transport, lane and state: how many, how many of them are due, since when the oldest is."""

    transport: str
    lane: int
    state: str
    lines: int
    due: int
    due_since: datetime | None
    lost: int  # leases that ended long ago, taken up by nobody
    tried: int  # twice at least, and put off again

    def oldest_s(self, now: datetime) -> float:
        return (now - self.due_since).total_seconds() if self.due_since else 0.0


@dataclass(frozen=True, slots=True)
class Lately:
    """What became of the lines of the last ten minutes' dispatches, by transport."""

    transport: str
    accepted: int
    accepted_just_now: int  # in the last SILENT_S
    put_off: int
    refused: int


@dataclass(frozen=True, slots=True)
class Climbs:
    """Steps of the ladder that are due: how many, and for how long the oldest has been."""

    due: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class FeedReading:
    """One enabled feed: seconds since its last post, that post's lag (None: unknown), how it stands."""

    feed: str
    age_s: float | None
    lag_s: float | None
    state: str
    replayed: bool


def waiting(now: datetime) -> list[Waiting]:
    with connection.cursor() as cursor:
        lost = now - timedelta(seconds=LEASE_OVER_S)
        cursor.execute(_BACKLOG, {"now": now, "lost": lost, "open": months.open_since(now)})
        return [Waiting(*row) for row in cursor.fetchall()]


def lately(now: datetime) -> list[Lately]:
    with connection.cursor() as cursor:
        lately = now - timedelta(seconds=SILENT_S)
        since = now - LATELY
        first = months.since_of(created_at__gt=since)
        cursor.execute(_LATELY, {"since": since, "lately": lately, "first": first})
        return [Lately(*row) for row in cursor.fetchall()]


def oldest_unsent_s(found: list[Waiting], now: datetime) -> float:
    """Of what is not bulk: seconds since its oldest line fell due."""
    return max((one.oldest_s(now) for one in found if one.lane < Lane.BULK), default=0.0)


def climbs(now: datetime) -> Climbs:
    due = Climb.objects.filter(state=ClimbState.CLIMBING, due_at__lte=now)
    oldest = due.order_by("due_at").values_list("due_at", flat=True).first()
    return Climbs(due.count(), (now - oldest).total_seconds() if oldest else 0.0)


def feeds(now: datetime) -> list[FeedReading]:
    return [
        FeedReading(
            standing.feed.pk,
            standing.mark and (now - standing.mark.received_at).total_seconds(),
            standing.mark and standing.mark.lag_s,
            standing.health.state,
            standing.feed.replayed,
        )
        for standing in standings(now)
        if standing.feed.enabled
    ]


def ingest_lag_s(found: list[FeedReading]) -> float | None:
    """The worst lag of the live feeds that speak; None where none does (silence has its own alarm)."""
    speaking = (FeedState.GOOD, FeedState.LATE)
    lags = [
        one.lag_s for one in found if not one.replayed and one.state in speaking and one.lag_s is not None
    ]
    return max(lags) if lags else None


def rule_lag_s(found: watch.Progress, now: datetime) -> float:
    return (now - found.waiting_since).total_seconds() if found.waiting_since else 0.0


def sockets(now: datetime) -> dict[str, int]:
    """Open sockets by server process, at most one ping old; a process that is gone is forgotten."""
    said = beats(SOCKETS)
    gone = [who for who, (at, _) in said.items() if (now - at).total_seconds() > SOCKETS_OLD_S]
    beats_no_more(SOCKETS, gone)
    return {who: held for who, (_, held) in sorted(said.items()) if who not in gone}
