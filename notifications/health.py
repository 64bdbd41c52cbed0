"""Whether each vendor works: counted from what became of pushes, text messages and calls; a breaker for those who do not.

Owns Provider: one row a vendor, with the outcomes of about the last minute (each weighs half after HALF_LIFE_S) and what
follows from them. Who fails more than half of at least LEAST is PAUSED and not tried; then one sender PROBES it with a
few pushes, and it is WELL again or rests twice as long. Read by delivery.py before each chunk, written after each.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from notifications.models import Provider, ProviderState
from notifications.transports.base import Outcome, OutcomeKind

log = logging.getLogger(__name__)

HALF_LIFE_S = 30.0
LEAST, SHARE = 10.0, 0.5
PAUSE_S, LONGEST_PAUSE_S = 8.0, 120.0
PROBE_S = 15.0  # for one sender to find out; then another may
STEADY_S = 300.0  # who was well for so long rests as briefly as the first time

_COUNT = """
INSERT INTO notifications_provider AS p (name, state, since, until, pause_s, sent, failed, dead, counted_at, last_ok_at)
SELECT n.name, 'well', %(now)s, NULL, 0, n.sent, n.failed, n.dead, %(now)s, CASE WHEN n.sent > 0 THEN %(now)s END
FROM unnest(%(name)s::text[], %(sent)s::float8[], %(failed)s::float8[], %(dead)s::float8[]) AS n(name, sent, failed, dead)
ORDER BY n.name
ON CONFLICT (name) DO UPDATE SET
    sent = p.sent * f.half + excluded.sent, failed = p.failed * f.half + excluded.failed,
    dead = p.dead * f.half + excluded.dead,
    counted_at = greatest(p.counted_at, excluded.counted_at),
    last_ok_at = greatest(p.last_ok_at, excluded.last_ok_at)
RETURNING p.name, p.state, p.until, p.sent, p.failed, p.dead
""".replace(
    "f.half",
    f"power(0.5, greatest(0, extract(epoch FROM excluded.counted_at - p.counted_at)) / {HALF_LIFE_S})",
)

# the counts start anew, so that the next verdict speaks of what came after
_PAUSE = f"""
UPDATE notifications_provider
SET state = 'paused', since = CASE WHEN state = 'well' THEN %(now)s ELSE since END, sent = 0, failed = 0, dead = 0,
    pause_s = CASE WHEN state = 'well' AND since < %(now)s - interval '{STEADY_S} s' THEN {PAUSE_S}
                   ELSE least(greatest(pause_s * 2, {PAUSE_S}), {LONGEST_PAUSE_S}) END,
    until = %(now)s + make_interval(secs => CASE
        WHEN state = 'well' AND since < %(now)s - interval '{STEADY_S} s' THEN {PAUSE_S}
        ELSE least(greatest(pause_s * 2, {PAUSE_S}), {LONGEST_PAUSE_S}) END)
WHERE name = %(name)s AND state = %(state)s
RETURNING pause_s
"""
_HEAL = """
UPDATE notifications_provider SET state = 'well', since = %(now)s, until = NULL, sent = 0, failed = 0, dead = 0
WHERE name = %(name)s AND state <> 'well' RETURNING name
"""
_PROBE = """
UPDATE notifications_provider SET state = 'probing', until = %(lease)s
WHERE name = %(name)s AND state <> 'well' AND until <= %(now)s RETURNING name
"""


@dataclass(slots=True)
class Tally:
    """What became of some pushes of one provider; what lies with us or with the message does not count."""

    sent: int = 0
    failed: int = 0  # not taken, or nobody knows
    dead: int = 0  # tokens that the vendor calls dead


@dataclass(frozen=True, slots=True)
class Standing:
    """How a provider stands, for whoever watches."""

    provider: str
    reports: bool  # says itself what reached the phone: a silence of its reports is a symptom
    state: str  # well, paused, probing
    since: datetime | None
    failed_share: float | None  # of about the last minute; None: nothing was tried
    last_ok_at: datetime | None


def count(tally: Tally, outcome: Outcome) -> None:
    if outcome.kind is OutcomeKind.SENT:
        tally.sent += 1
    elif outcome.kind is OutcomeKind.DEAD_TOKEN:
        tally.dead += 1
    elif outcome.kind is OutcomeKind.TEMPORARY and not outcome.ours:
        tally.failed += 1


def note(tallies: dict[str, Tally], now: datetime) -> frozenset[str]:
    """Count, and draw the conclusion; returns the providers whose word on dead tokens is not to be believed.

    A vendor that calls most tokens dead has been given the wrong key, or has lost his mind: to retire everybody's phone
    on that would be worse than the fault. Of one who rests a single word is enough. In the caller's transaction: the rows
    are locked by name.
    """
    if not tallies:
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "now": now,
                "name": list(tallies),
                "sent": [one.sent for one in tallies.values()],
                "failed": [one.failed for one in tallies.values()],
                "dead": [one.dead for one in tallies.values()],
            },
        )
        rows = cursor.fetchall()
    doubted = set()
    for name, state, until, sent, failed, dead in rows:
        if dead > sent and (dead >= LEAST or state != ProviderState.WELL):
            doubted.add(name)
            failed += dead
        if state != ProviderState.WELL and tallies[name].sent:
            _move(_HEAL, "provider.well", name, now)
        elif (
            (state == ProviderState.WELL and failed >= LEAST and failed >= SHARE * (sent + failed))
            or (state == ProviderState.PROBING and (tallies[name].failed or name in doubted))
            # nobody probes a gateway: who sends after its rest has done so
            or (state == ProviderState.PAUSED and until <= now and tallies[name].failed)
        ):
            _move(_PAUSE, "provider.paused", name, now, state=state)
    return frozenset(doubted)


def _move(sql: str, event: str, name: str, now: datetime, **fields: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"name": name, "now": now, **fields})
        if cursor.fetchone():
            log.warning("%s name=%s", event, name)


def paused(
    now: datetime, of: Collection[str] | None = None, *, probe: bool = True
) -> dict[str, float | None]:
    """Providers that rest, with the seconds they still do; None: the rest is over and the caller is to `probe`.

    `of`: those whom the caller would send to; None: whichever.
    """
    resting: dict[str, float | None] = {}
    rows = Provider.objects.exclude(state=ProviderState.WELL)
    for row in rows if of is None else rows.filter(name__in=of):
        assert row.until is not None
        resting[row.name] = max((row.until - now).total_seconds(), 0.0)
        if probe and row.until <= now:
            with connection.cursor() as cursor:
                lease = now + timedelta(seconds=PROBE_S)
                cursor.execute(_PROBE, {"name": row.name, "now": now, "lease": lease})
                resting[row.name] = None if cursor.fetchone() else PROBE_S
    return resting


def standings(providers: Mapping[str, bool], now: datetime) -> list[Standing]:
    """How each of these stands; the value says whether it reports. One query."""
    rows = {row.name: row for row in Provider.objects.all()}
    found = []
    for name, reports in providers.items():
        row = rows.get(name)
        if row is None:
            found.append(Standing(name, reports, ProviderState.WELL.value, None, None, None))
            continue
        half = 0.5 ** (max((now - row.counted_at).total_seconds(), 0.0) / HALF_LIFE_S)
        tried = (row.sent + row.failed) * half
        share = row.failed / (row.sent + row.failed) if tried >= 0.5 else None
        found.append(Standing(name, reports, row.state, row.since, share, row.last_ok_at))
    return found
