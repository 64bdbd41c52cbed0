"""From the ledger to the vendor and back: claim a chunk, send it, write what became of it.

Owns Delivery between PENDING and SENT / FAILED_*. A claim is a lease: SENDING until due_at, then anybody's. The
network is never inside a transaction. Results go in by one UPDATE … FROM unnest a chunk, fenced by the attempt
number, so a sender that lost its lease cannot overwrite its successor. Woken by nudges and a 2 s sweep.
"""

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from foundation.wire import hint
from notifications.dispatch import SENDERS
from notifications.models import Dispatch, Lane, State
from notifications.transports.base import Message, Outcome, OutcomeKind, Push, Stream, Transport
from notifications.transports.fcm import FcmTransport
from officers.devices import retire_tokens

log = logging.getLogger(__name__)

CHUNK = 1000
LEASE = timedelta(seconds=30)  # longer than any send of one chunk with its time-outs
SHIFT_S = 20.0  # a task hands over to the next after this long
BACKOFF_S = (2.0, 4.0, 8.0, 15.0, 30.0)
UNCONFIGURED_S = 30.0
SETTLE_AGAIN_S = 0.5
LOOK_S = 0.5  # between two looks for new work while stragglers are out
LANDING_S, SETTLE_S = 0.05, 0.25  # patience for answers; how long an answer may wait for its ledger row
PUSH_CHARS = 50

_turns = threading.BoundedSemaphore(SENDERS)  # senders a process; the pool's other threads stay free

_CLAIM = f"""
WITH due AS (
    SELECT d.id FROM unnest(ARRAY{Lane.values}) AS l(lane) CROSS JOIN LATERAL (
        SELECT id FROM notifications_delivery
        WHERE transport = 'fcm' AND lane = l.lane
          AND state IN ('pending', 'sending', 'failed_temp') AND due_at <= %(now)s
        ORDER BY due_at, id LIMIT %(chunk)s FOR UPDATE SKIP LOCKED
    ) d LIMIT %(chunk)s
), taken AS (
    UPDATE notifications_delivery d
    SET state = 'sending', attempts = d.attempts + 1, due_at = %(lease)s
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.officer_id, d.dispatch_id, d.root_id, d.quiet, d.attempts, d.accepted_devices
)
SELECT t.id, t.dispatch_id, CASE WHEN t.quiet THEN t.id ELSE coalesce(t.root_id, t.id) END, t.quiet,
       CASE WHEN t.quiet THEN (
           SELECT b.thread FROM notifications_delivery r
           JOIN notifications_dispatch s ON s.id = r.dispatch_id JOIN alerts_bulletin b ON b.id = s.bulletin_id
           WHERE r.id = t.root_id) END,
       t.attempts, t.accepted_devices, o.language, s.expires_at <= %(now)s, v.id, v.token
FROM taken t
JOIN officers_officer o ON o.id = t.officer_id
JOIN notifications_dispatch s ON s.id = t.dispatch_id
LEFT JOIN LATERAL (SELECT * FROM officers_device WHERE officer_id = t.officer_id OFFSET 0) v
    ON s.expires_at > %(now)s AND v.retired_at IS NULL AND v.provider = 'fcm' AND v.token <> ''
    AND NOT v.id = ANY(t.accepted_devices)
ORDER BY t.id, v.id
"""  # OFFSET 0: by the officer's index, always. Right after an import the planner knows no better than to compare
# every delivery with every device: 9 s a claim instead of 15 ms, measured with the first order to 45,000.
# Lane by lane, each by the index of what is due: a graver line waits for the chunk under way, not for those before it.
# A repeat has the id of what it repeats, so the phone drops it where it has it. What renews has its own, and the place
# on the screen of what it renews: the thread by which he was rung (of two storms that became one he knows one).

_SETTLE = """
UPDATE notifications_delivery d
SET state = r.state, due_at = r.due_at, reason = r.reason, accepted_devices = r.accepted::bigint[],
    sent_at = coalesce(d.sent_at, r.sent_at)
FROM unnest(%(id)s::bigint[], %(attempt)s::int[], %(state)s::text[], %(due_at)s::timestamptz[],
            %(reason)s::text[], %(accepted)s::text[], %(sent_at)s::timestamptz[])
     AS r(id, attempt, state, due_at, reason, accepted, sent_at)
WHERE d.id = r.id AND d.attempts = r.attempt AND d.state = 'sending'
"""


@dataclass(slots=True)
class Claim:
    """One claimed delivery: its attempt, the devices still to be tried and those settled before.

    `tag`: the thread of what a quiet one renews, else empty.
    """

    id: int
    dispatch: int
    message_id: str
    quiet: bool
    tag: str
    attempt: int
    accepted: list[int]
    language: str
    expired: bool  # too late: without devices to try
    devices: dict[int, str] = field(default_factory=dict)


@cache
def _transport() -> Transport | None:
    """This process's FCM; None when it has no credentials (then deliveries wait, visibly)."""
    if settings.FIREBASE_CREDENTIALS is None:
        return None
    return FcmTransport(
        endpoint=settings.FCM_ENDPOINT,
        ca_file=settings.FCM_CA_FILE,
        credentials_file=settings.FIREBASE_CREDENTIALS,
        rate_per_s=settings.FCM_RATE_PER_S,
    )


def send_due(*, clock: Callable[[], datetime]) -> int:
    """Claim and send until nothing is due or the shift ends; returns deliveries tried."""
    if not _turns.acquire(blocking=False):
        return 0
    try:
        transport = _transport()
        if transport is not None:
            with closing(transport.stream()) as stream:
                return _Shift(stream, clock).work()
        tried = 0
        while claims := claim(clock()):
            though_restarted(partial(settle, claims, {}), clock, len(claims))
            tried += len(claims)
        return tried
    finally:
        _turns.release()


@dataclass(slots=True)
class _Out:
    """One claimed delivery whose pushes are on their way. Not known by its id: a lost lease may be claimed again."""

    claim: Claim
    left: int
    outcomes: dict[tuple[int, int], Outcome] = field(default_factory=dict)


class _Shift:
    """One sender's turn: the next chunk is claimed while stragglers of the former are still out, so that a vendor
    who leaves one push in two hundred unanswered does not stop the other hundred and ninety-nine for a time-out.
    """

    def __init__(self, stream: Stream, clock: Callable[[], datetime]) -> None:
        self._stream, self._clock = stream, clock
        self._tried = self._number = 0
        self._place: dict[int, tuple[_Out, int]] = {}  # push number -> delivery, device
        self._done: list[_Out] = []
        self._settled_s = time.monotonic()

    def work(self) -> int:
        """Returns deliveries tried."""
        until_s, look_s = time.monotonic() + SHIFT_S, 0.0
        while True:
            at_s, claims = time.monotonic(), []
            idle = not self._stream.waiting or (self._stream.waiting < CHUNK // 2 and at_s >= look_s)
            if idle and at_s < until_s:
                claims = self._take_on()
                look_s = at_s if len(claims) == CHUNK else at_s + LOOK_S
            if self._stream.waiting:
                for number, outcome in self._stream.landed(LANDING_S).items():
                    self._note(number, outcome)
                if len(self._done) >= CHUNK // 2 or time.monotonic() - self._settled_s > SETTLE_S:
                    self._settle()
            else:
                self._settle()
                if not claims:
                    return self._tried

    def _take_on(self) -> list[Claim]:
        """Claim and put on the wire. While pushes are out, a database that is away must not make us drop them."""
        try:
            claims = claim(self._clock())
            messages = _messages({one.dispatch for one in claims}) if claims else {}
        except (OperationalError, InterfaceError) as error:
            if not self._stream.waiting and not self._done:
                raise
            log.warning("delivery.claim_later error=%s", type(error).__name__)
            connection.close()
            return []
        pushes = []
        for one in claims:
            out = _Out(one, len(one.devices))
            for device, token in one.devices.items():
                self._place[self._number + len(pushes)] = out, device
                message = messages[one.dispatch, one.language, one.quiet]
                pushes.append(Push(one.id, token, message, one.message_id, one.tag or message.thread))
            if not one.devices:
                self._done.append(out)
        self._stream.add(pushes, self._clock())
        self._number += len(pushes)
        self._tried += len(claims)
        return claims

    def _note(self, number: int, outcome: Outcome) -> None:
        out, device = self._place.pop(number)
        out.outcomes[out.claim.id, device] = outcome
        out.left -= 1
        if not out.left:
            self._done.append(out)

    def _settle(self) -> None:
        """Write those whose devices have all answered."""
        self._settled_s = time.monotonic()
        if self._done:
            done, self._done = self._done, []
            outcomes = {key: outcome for out in done for key, outcome in out.outcomes.items()}
            claims = [out.claim for out in done]
            though_restarted(partial(settle, claims, outcomes), self._clock, len(claims))


def claim(now: datetime) -> list[Claim]:
    """Lease up to CHUNK due deliveries with their live devices; other claimers skip them."""
    claims: dict[int, Claim] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "lease": now + LEASE, "chunk": CHUNK})
        for id_, dispatch, known_as, quiet, tag, *rest, device, token in cursor:
            mine = claims.setdefault(id_, Claim(id_, dispatch, str(known_as), quiet, tag or "", *rest))
            if device is not None:
                mine.devices[device] = token
    return list(claims.values())


def _messages(dispatches: set[int]) -> dict[tuple[int, str, bool], Message]:
    """What each dispatch says, in both languages: to whom it rings, and (True) to whom it only renews what he has."""
    said = {}
    for dispatch in Dispatch.objects.filter(pk__in=dispatches).select_related("bulletin"):
        bulletin = dispatch.bulletin
        for language in ("zh", "en"):
            lead, title, push = (
                (dispatch.lead_zh, bulletin.title_zh, bulletin.push_zh)
                if language == "zh"
                else (dispatch.lead_en, bulletin.title_en, bulletin.push_en)
            )
            message = Message(
                id=str(bulletin.pk),
                title=title,
                body=f"{lead}{push}"[:PUSH_CHARS] if language == "zh" else f"{lead}{push}"[: 2 * PUSH_CHARS],
                level=bulletin.level,
                kind=bulletin.kind,
                ref=bulletin.ref,
                drill=dispatch.drill,
                expires_at=dispatch.expires_at,
                critical=bulletin.urgency >= 3,
                thread=bulletin.thread,
                data={"requires": bulletin.requires, "errand": dispatch.errand},
            )
            said[dispatch.pk, language, False] = message
            said[dispatch.pk, language, True] = replace(message, quiet=True)
    return said


def though_restarted(settle: Callable[[datetime], None], clock: Callable[[], datetime], n: int) -> None:
    """Settle, trying again while the lease lasts: a database that is restarted must not ring 1,000 phones twice."""
    until = time.monotonic() + LEASE.total_seconds()
    while True:
        try:
            return settle(clock())
        except (OperationalError, InterfaceError) as error:
            log.warning("delivery.settle_again n=%s error=%s", n, type(error).__name__)
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(SETTLE_AGAIN_S)


def settle(claims: list[Claim], outcomes: dict[tuple[int, int], Outcome], now: datetime) -> None:
    """Write what became of the chunk, retire dead tokens, tell the boards."""
    configured = bool(outcomes) or _transport() is not None
    verdicts, dead = [], defaultdict[str, list[str]](list)
    for one in claims:
        by_device = {
            device: outcomes[one.id, device] for device in one.devices if (one.id, device) in outcomes
        }
        for device, outcome in by_device.items():
            if outcome.kind is OutcomeKind.DEAD_TOKEN:
                dead[outcome.reason].append(one.devices[device])
        verdicts.append(_verdict(one, by_device, configured, now))
    with transaction.atomic():
        write(verdicts)
        for reason, tokens in dead.items():
            retire_tokens("fcm", tokens, reason, now)
    for dispatch in {one.dispatch for one in claims}:
        hint("board", dispatch=dispatch)
    sent = sum(verdict["state"] == State.SENT for verdict in verdicts)
    retired = sum(map(len, dead.values()))
    log.info("delivery.settled n=%s sent=%s dead=%s", len(claims), sent, retired)


def write(verdicts: list[dict[str, object]]) -> None:
    """Set-wise, each fenced by its attempt: columns of _SETTLE by name; `accepted` as a PostgreSQL array's text."""
    columns = {name: [verdict[name] for verdict in verdicts] for name in verdicts[0]}
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, columns)


def _verdict(one: Claim, by_device: dict[int, Outcome], configured: bool, now: datetime) -> dict[str, object]:
    """The delivery's next state from its devices' outcomes: later if any device says later."""
    accepted = sorted({*one.accepted, *(d for d, o in by_device.items() if o.kind is OutcomeKind.SENT)})
    later = [o for o in by_device.values() if o.kind is OutcomeKind.TEMPORARY]
    refused = [o for o in by_device.values() if o.kind in (OutcomeKind.PERMANENT, OutcomeKind.DEAD_TOKEN)]
    due_at, reason = now, ""
    if one.expired and not accepted:
        state, reason = State.FAILED_PERM, "EXPIRED"
    elif not configured:
        state, reason, due_at = (
            State.FAILED_TEMP,
            "fcm_not_configured",
            now + timedelta(seconds=UNCONFIGURED_S),
        )
    elif later:
        state, reason = State.FAILED_TEMP, later[0].reason
        due_at = now + timedelta(seconds=pause_s(one.attempt, later))
    elif accepted:
        state = State.SENT
    else:
        state = State.FAILED_PERM
        reason = refused[0].reason if refused else "no_live_device"
    return {
        "id": one.id,
        "attempt": one.attempt,
        "state": str(state),
        "due_at": due_at,
        "reason": reason[:64],
        "accepted": "{" + ",".join(map(str, accepted)) + "}",
        "sent_at": now if accepted else None,
    }


def pause_s(attempt: int, later: list[Outcome]) -> float:
    """How long to wait after this attempt, as long as a vendor wishes at least."""
    own_s = BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1] * random.uniform(0.75, 1.25)  # noqa: S311
    return max(own_s, *(outcome.retry_after_s or 0.0 for outcome in later))
