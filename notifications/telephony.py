"""From the ledger to the gateways for text messages and calls: claim a few, send them, write what became of them.

Owns Delivery rows with transport sms or voice between PENDING and SENT / FAILED_*, as delivery.py those by push: a
claim is a lease, SENDING until due_at, then anybody's; results are fenced by the attempt number; the network is never
inside a transaction. Numbers are unsealed for the moment of sending and written nowhere. Who has answered meanwhile is
not rung, nor is anything sent that has expired or no longer stands. Woken by nudges and a 2 s sweep.
"""

import hmac
import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

from django.conf import settings
from django.db import connection, transaction

from foundation.gateway import LINES, Account, account
from foundation.nudge import nudge
from foundation.seals import BrokenSeal, keyed_digest
from foundation.wire import hints
from notifications import health, months
from notifications.delivery import pause_s, read_by, said, though_restarted, write
from notifications.health import Tally
from notifications.models import SAID, State
from notifications.providers import UNCONFIGURED_S
from notifications.transports import smpp, sms, voice
from notifications.transports.base import Outcome, OutcomeKind, Push, Stream, Transport
from notifications.transports.smpp import Centre
from officers import roster

log = logging.getLogger(__name__)

CHANNELS = ("sms", "voice")
LEASE = timedelta(seconds=30)  # longer than any request with its time-outs
SHIFT_S = 8.0  # a task hands over to the next after this long; the queue has other work
LOOK_S = 0.5  # between two looks for new work while stragglers are out
FEW = LINES // 4  # free lines that are worth a claim: one for each message cost more than the message
LANDING_S, SETTLE_S = 0.05, 0.25  # patience for answers; how long an answer may wait for its ledger row
_ID = re.compile(r"([1-9][0-9]{0,17})-[0-9a-f]{16}")

_turns = {channel: threading.Lock() for channel in CHANNELS}  # one that hangs does not hold up the other

# Lines are few when many are silent: the gravest first. `why`: what speaks against sending
_CLAIM = f"""
WITH due AS (
    SELECT d.id FROM notifications_delivery d
    JOIN notifications_dispatch s ON s.id = d.dispatch_id
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    WHERE d.id >= %(open)s AND d.state IN ('pending', 'sending', 'failed_temp') AND d.due_at <= %(now)s
      AND d.transport = %(channel)s AND d.transport IN ('sms', 'voice')
    ORDER BY b.urgency DESC, d.due_at, d.id LIMIT %(chunk)s FOR UPDATE OF d SKIP LOCKED
), taken AS (
    UPDATE notifications_delivery d
    SET state = 'sending', attempts = d.attempts + 1, due_at = %(lease)s
    FROM due WHERE d.id = due.id AND d.id >= %(open)s
    RETURNING d.id, d.officer_id, d.dispatch_id, d.root_id, d.attempts
), {SAID}
SELECT t.id, t.dispatch_id, t.attempts, o.language, o.sealed_phone,
       CASE WHEN s.expires_at <= %(now)s THEN 'expired'
            WHEN root.state = 'confirmed' THEN 'answered'
            WHEN s.no_more <> '' THEN s.no_more
            WHEN NOT o.is_active THEN 'not_active'
            WHEN o.synthetic AND NOT %(here)s THEN 'synthetic_number'
            ELSE '' END
FROM taken t
JOIN officers_officer o ON o.id = t.officer_id
JOIN said s ON s.id = t.dispatch_id
LEFT JOIN notifications_delivery root ON root.id = t.root_id AND root.id >= %(open)s
ORDER BY t.id
"""

# both lock in the order of ids, as receipts do
_FAILED = """
WITH held AS (
    SELECT d.id, r.reason FROM notifications_delivery d
    JOIN unnest(%(id)s::bigint[], %(reason)s::text[]) AS r(id, reason) ON r.id = d.id
    WHERE d.id = ANY(%(id)s) AND d.state IN ('pending', 'sending', 'failed_temp', 'sent')
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE notifications_delivery d SET state = 'failed_perm', reason = held.reason
FROM held WHERE d.id = held.id AND d.id = ANY(%(id)s)
RETURNING d.dispatch_id
"""
_NAMED = """
WITH held AS (
    SELECT d.id, r.name FROM notifications_delivery d
    JOIN unnest(%(id)s::bigint[], %(attempt)s::int[], %(name)s::text[]) AS r(id, attempt, name) ON r.id = d.id
    WHERE d.id = ANY(%(id)s) AND d.attempts = r.attempt
    ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE notifications_delivery d SET vendor_id = held.name
FROM held WHERE d.id = held.id AND d.id = ANY(%(id)s)
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed delivery: its attempt and, sealed, the number to reach; `why` speaks against sending it."""

    id: int
    dispatch: int
    attempt: int
    language: str
    sealed_phone: bytes
    why: str


def centre() -> Centre | None:
    """The short message service centre of the settings; it then carries the text messages, not the gateway."""
    if not settings.SMPP_HOST:
        return None
    return Centre(
        settings.SMPP_HOST,
        settings.SMPP_PORT,
        settings.SMPP_SYSTEM_ID,
        settings.SMPP_PASSWORD,
        settings.SMPP_SOURCE,
        settings.SMPP_STANDIN,
    )


def _there(channel: str) -> Account | Centre | None:
    """Through whom the channel goes."""
    return (centre() if channel == "sms" else None) or account(channel)


def configured() -> frozenset[str]:
    """The channels that are there: "sms", "voice", both or none."""
    return frozenset(channel for channel in CHANNELS if _there(channel))


def message_id(channel: str, delivery: int) -> str:
    """What the gateway knows the delivery by: the same at every try, and nobody's guess."""
    return f"{delivery}-{keyed_digest(f'{channel} {delivery}', 'telephony id')[:16]}"


def delivery_of(channel: str, named: str) -> int | None:
    """The delivery that went out under this id; None when none can have."""
    found = _ID.fullmatch(named)
    delivery = int(found[1]) if found else 0
    wanted = message_id(channel, delivery).encode()
    return delivery if hmac.compare_digest(wanted, named.encode(errors="replace")) else None


@cache
def _transport(channel: str, there: Account | Centre, rate_per_s: float) -> Transport:
    """This process's lines to that gateway, or its session with that centre (notifications/centre.py keeps it)."""
    if isinstance(there, Centre):
        bound = smpp.session(there)
        assert bound is not None, "centre.keep_bound comes first"
        return smpp.SmppTransport(bound, there.source, rate_per_s=rate_per_s)
    return {"sms": sms, "voice": voice}[channel].transport(there, rate_per_s)


def send_due(*, clock: Callable[[], datetime]) -> int:
    """Send what is due on either channel, or until the shift ends; returns deliveries tried.

    A channel that fails does not stop the other; its fault is raised when both had their turn.
    """
    tried, faults = 0, list[Exception]()
    for channel in CHANNELS:
        if _turns[channel].acquire(blocking=False):
            try:
                tried += _Shift(channel, clock).work()
            except Exception as fault:
                log.exception("telephony.channel_failed channel=%s", channel)
                faults.append(fault)
            finally:
                _turns[channel].release()
    if faults:
        raise faults[0]
    return tried


class _Shift:
    """One turn at one channel: as many are claimed as there are free lines, so a line that hangs stops no other."""

    def __init__(self, channel: str, clock: Callable[[], datetime]) -> None:
        self._channel, self._clock = channel, clock
        self._there, self._rate_per_s = _there(channel), getattr(settings, f"{channel.upper()}_RATE_PER_S")
        self._out: dict[int, Claim] = {}  # by number in the stream
        self._number = self._tried = self._refused = 0
        self._done: list[tuple[Claim, Outcome | None]] = []

    def work(self) -> int:
        """Returns deliveries tried."""
        if self._there is None:
            while claims := claim(self._channel, self._clock(), here=True):
                self._done = [(one, None if one.why else self._away(one)) for one in claims]
                self._tried += len(claims)
                self._settle()
            return self._tried
        with closing(_transport(self._channel, self._there, self._rate_per_s).stream()) as stream:
            return self._work(stream)

    def _work(self, stream: Stream) -> int:
        until_s, look_s, settle_s = time.monotonic() + SHIFT_S, 0.0, 0.0
        while True:
            at_s, claims = time.monotonic(), []
            # no more than may go out within a second: who answers meanwhile is not called
            free = LINES - stream.waiting
            most = min(free, self._rate_per_s)
            if free >= FEW and look_s <= at_s < until_s and self._refused < LINES:
                claims = self._take_on(stream, most)
                look_s = at_s if len(claims) == most else at_s + LOOK_S
            for number, outcome in stream.landed(LANDING_S).items():
                # the gateway is away: not the whole queue against a wall
                self._refused = self._refused + 1 if outcome.kind is OutcomeKind.TEMPORARY else 0
                self._done.append((self._out.pop(number), outcome))
            if at_s >= settle_s or not stream.waiting:
                self._settle()
                settle_s = time.monotonic() + SETTLE_S
            if not stream.waiting and not claims:
                if at_s >= until_s:
                    nudge("delivery.telephone")
                return self._tried

    def _take_on(self, stream: Stream, most: int) -> list[Claim]:
        """Claim, unseal and put on the lines; what cannot be tried is done at once."""
        assert self._there is not None
        now = self._clock()
        claims = claim(self._channel, now, here=self._there.here, most=most)
        messages = said({one.dispatch for one in claims if not one.why})
        pushes = []
        for one in claims:
            if one.why:
                self._done.append((one, None))
                continue
            try:
                number = roster.unseal(one.sealed_phone)
            except BrokenSeal:
                self._done.append((one, Outcome(one.id, OutcomeKind.PERMANENT, "number_unreadable")))
                continue
            words = messages[one.dispatch, read_by(one.language)]
            self._out[self._number + len(pushes)] = one
            pushes.append(Push(one.id, number, words, message_id(self._channel, one.id)))
        stream.add(pushes, now)
        self._number += len(pushes)
        self._tried += len(claims)
        return claims

    def _away(self, one: Claim) -> Outcome:
        reason = f"{self._channel}_not_configured"
        return Outcome(one.id, OutcomeKind.TEMPORARY, reason, retry_after_s=UNCONFIGURED_S, ours=True)

    def _settle(self) -> None:
        """Write what has landed."""
        if self._done:
            done, self._done = self._done, []
            though_restarted(partial(settle, self._channel, done), self._clock, len(done))


def claim(channel: str, now: datetime, *, here: bool, most: int = LINES) -> list[Claim]:
    """Lease up to `most` due deliveries of the channel, the gravest first; other claimers skip them.

    `here`: the gateway is a stand-in on this machine. Invented people's numbers may belong to somebody.
    """
    asked = {"now": now, "lease": now + LEASE, "chunk": most, "channel": channel, "here": here}
    asked["open"] = months.open_since(now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        return [Claim(*row) for row in cursor]


def settle(channel: str, done: list[tuple[Claim, Outcome | None]], now: datetime) -> None:
    """Write what became of the claimed, tell the boards. Without an outcome nothing was tried; `why` says why."""
    verdicts, tally = [_verdict(one, outcome, now) for one, outcome in done], Tally()
    for _, outcome in done:
        if outcome is not None:
            health.count(tally, outcome)
    with transaction.atomic():
        health.note({channel: tally}, now)
        write(verdicts)
        _name([(one, outcome.vendor_id) for one, outcome in done if outcome and outcome.vendor_id])
    hints("board", "dispatch", {one.dispatch for one, _ in done})
    sent = sum(verdict["state"] == State.SENT for verdict in verdicts)
    unsealed = sum(not one.why for one, _ in done)
    log.info("telephony.settled channel=%s n=%s unsealed=%s sent=%s", channel, len(done), unsealed, sent)


def _name(taken: list[tuple[Claim, str]]) -> None:
    """Keep by what name the gateway or the centre knows each: its receipts speak of that."""
    with connection.cursor() as cursor:
        names = {
            "id": [one.id for one, _ in taken],
            "attempt": [one.attempt for one, _ in taken],
            "name": [name for _, name in taken],
        }
        cursor.execute(_NAMED, names)


def _verdict(one: Claim, outcome: Outcome | None, now: datetime) -> dict[str, object]:
    state, reason, due_at = State.FAILED_PERM, one.why or "not_tried", now
    if outcome is not None:
        reason = outcome.reason
        if outcome.kind is OutcomeKind.SENT:
            state = State.SENT
        elif outcome.kind is OutcomeKind.TEMPORARY:
            state, due_at = State.FAILED_TEMP, now + timedelta(seconds=pause_s(one.attempt, [outcome]))
    return {
        "id": one.id,
        "attempt": one.attempt,
        "state": str(state),
        "due_at": due_at,
        "reason": reason[:64],
        "accepted": [],
        "sent_at": now if state is State.SENT else None,
    }


def failed(reasons: dict[int, str]) -> None:
    """The gateway had taken these and says now that they did not arrive; what has arrived stays so."""
    if not reasons:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FAILED, {"id": list(reasons), "reason": [one[:64] for one in reasons.values()]})
        dispatches = {row[0] for row in cursor}
    hints("board", "dispatch", dispatches)
