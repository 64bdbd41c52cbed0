"""From the ledger to the vendors and back: claim a chunk, send it, write what became of it.

Owns Delivery between PENDING and SENT / FAILED_*. A claim is a lease: SENDING until due_at, then anybody's. The
network is never inside a transaction. Results go in by one UPDATE … FROM unnest a chunk, fenced by the attempt
number, so a sender that lost its lease cannot overwrite its successor. A person's phones are rung each through its own
vendor; whom no vendor that works can reach gets a text message if the matter is grave. Woken by nudges and a 2 s sweep.
"""

import logging
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from alerts.models import Bulletin
from foundation.nudge import nudge
from foundation.wire import hints
from notifications import health, months, providers
from notifications.dispatch import SENDERS
from notifications.health import Tally
from notifications.models import (
    DEAD_TOKEN,
    LIFE_SAFETY_URGENCY,
    NO_DEVICE,
    SAID,
    UNSENT,
    Delivery,
    Dispatch,
    Lane,
    State,
)
from notifications.transports.base import (
    LOCK_SCREEN_COLUMNS,
    NOT_BEGUN,
    Message,
    Outcome,
    OutcomeKind,
    Push,
    Stream,
    cut,
)
from officers.devices import retire_tokens
from officers.models import LIVE

log = logging.getLogger(__name__)

CHUNK = 1000
LEASE = timedelta(seconds=30)  # longer than any push of a chunk with its time-out: carrier.py's LAND_WITHIN_S
WRITING = timedelta(seconds=10)  # longer than the lines of any order take; what hangs stops nobody for longer
SHIFT_S = 20.0  # a task hands over to the next after this long, and stays for the answers that are still out
BACKOFF_S = (2.0, 4.0, 8.0, 15.0, 30.0)
SETTLE_AGAIN_S = 0.5
LOOK_S = 0.5  # between two looks for new work while stragglers are out
LANDING_S, SETTLE_S = 0.05, 0.25  # patience for answers; how long an answer may wait for its ledger row
GLANCE_S = 0.005
HELD_SPREAD_S = 2.0

_turns = threading.BoundedSemaphore(SENDERS)  # senders a process; the pool's other threads stay free

_CLAIM = f"""
WITH due AS (
    SELECT d.id FROM unnest(%(lanes)s::int[]) AS l(lane) CROSS JOIN LATERAL (
        SELECT id FROM notifications_delivery
        WHERE id >= %(open)s AND transport = 'fcm' AND lane = l.lane
          AND state IN ('pending', 'sending', 'failed_temp') AND due_at <= %(now)s
        ORDER BY due_at, id LIMIT %(chunk)s FOR UPDATE SKIP LOCKED
    ) d LIMIT %(chunk)s
), taken AS (
    UPDATE notifications_delivery d
    SET state = 'sending', attempts = d.attempts + 1, due_at = %(lease)s
    FROM due WHERE d.id = due.id AND d.id >= %(open)s
    RETURNING d.id, d.officer_id, d.dispatch_id, d.root_id, d.quiet, d.attempts, d.accepted_devices
), {SAID}
SELECT t.id, t.dispatch_id, CASE WHEN t.quiet THEN t.id ELSE coalesce(t.root_id, t.id) END,
       t.quiet AND coalesce((
           SELECT r.state <> 'failed_perm' OR r.sent_at IS NOT NULL FROM notifications_delivery r
           WHERE r.id = t.root_id), true),
       CASE WHEN t.quiet THEN (
           SELECT b.thread FROM notifications_delivery r
           JOIN notifications_dispatch s ON s.id = r.dispatch_id JOIN alerts_bulletin b ON b.id = s.bulletin_id
           WHERE r.id = t.root_id) END,
       t.attempts, t.accepted_devices, o.language, against.why,
       v.id, v.provider, v.token
FROM taken t
CROSS JOIN LATERAL (SELECT language, is_active FROM officers_officer WHERE id = t.officer_id OFFSET 0) o
JOIN said s ON s.id = t.dispatch_id
CROSS JOIN LATERAL (SELECT CASE
    WHEN s.expires_at <= %(now)s THEN 'EXPIRED'
    WHEN NOT o.is_active THEN 'not_active'
    WHEN s.no_more = 'over' AND (
        SELECT true FROM notifications_delivery q
        WHERE q.root_id = t.id AND q.quiet AND q.id > t.id AND q.id >= %(open)s LIMIT 1) THEN ''
    ELSE s.no_more END AS why OFFSET 0) against
LEFT JOIN LATERAL (SELECT * FROM officers_device WHERE officer_id = t.officer_id OFFSET 0) v
    ON against.why = '' AND {LIVE} AND NOT v.id = ANY(t.accepted_devices)
ORDER BY t.id, v.id
"""  # OFFSET 0: by the officer's index, always. Right after an import the planner knows no better than to compare
# every delivery with every device: 9 s a claim instead of 15 ms, measured with the first order to 45,000. And behind half
# a million lines it would read all officers for each thousand of them: 23 ms of a claim's 48.
# Lane by lane, each by the index of what is due: a graver line waits for the chunk under way, not for those before it.
# A repeat has the id of what it repeats, so the phone drops it where it has it. What renews has its own, and the place
# on the screen of what it renews: the thread by which he was rung (of two storms that became one he knows one). What is
# renewed rings although it is over, and what renews rings where that never came out: somebody must ring.

# Line by line by its id, and locked, so that the fence holds: left to itself the planner takes those being sent for one
# or two and compares every line with every verdict, or reads all that was written since (0.3 s a thousand).
_HELD = """
    CROSS JOIN LATERAL (
        SELECT id AS line FROM notifications_delivery
        WHERE id = r.id AND attempts = r.attempt AND state = 'sending' OFFSET 0 FOR NO KEY UPDATE
    ) held
"""
_SETTLE = f"""
WITH r AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(verdicts)s) AS r(id bigint, attempt int, state text, due_at timestamptz,
                                                       reason text, accepted bigint[], sent_at timestamptz,
                                                       transport text, rerouted text)
    {_HELD}
)
UPDATE notifications_delivery d
SET state = r.state, due_at = r.due_at, reason = r.reason, accepted_devices = r.accepted,
    sent_at = coalesce(d.sent_at, r.sent_at),
    transport = coalesce(r.transport, d.transport), rerouted = coalesce(r.rerouted, d.rerouted)
FROM r WHERE d.id = r.line
"""


class Handset(NamedTuple):
    """By what a device is reached."""

    provider: str
    token: str


@dataclass(slots=True)
class Claim:
    """One claimed delivery: its attempt, the devices still to be tried and those settled before.

    `tag`: the thread of what a quiet one renews, else empty. `held`: why some device is not tried now, and for how long.
    """

    id: int
    dispatch: int
    message_id: str
    quiet: bool
    tag: str
    attempt: int
    accepted: list[int]
    language: str
    why: str  # speaks against sending: too late, or said no more. Without devices to try
    devices: dict[int, Handset] = field(default_factory=dict)
    held: tuple[str, float] | None = None
    grave: bool = False  # worth a text message


def send_due(*, clock: Callable[[], datetime]) -> int:
    """Claim and send until nothing is due or the shift ends; returns deliveries tried."""
    if not _turns.acquire(blocking=False):
        return 0
    with ExitStack() as turn, ExitStack() as closing:
        turn.callback(_turns.release)
        return _Shift(clock, turn, closing).work()


@dataclass(slots=True)
class _Out:
    """One claimed delivery whose pushes are on their way. Not known by its id: a lost lease may be claimed again."""

    claim: Claim
    left: int
    outcomes: dict[tuple[int, int], Outcome] = field(default_factory=dict)


@dataclass(slots=True)
class _Line:
    """One provider's pushes of this shift; the stream numbers them as they are added."""

    stream: Stream
    number: int = 0
    places: dict[int, tuple[_Out, int]] = field(default_factory=dict)  # push number -> delivery, device
    pushes: list[Push] = field(default_factory=list)  # of the chunk being taken on


class _Shift:
    """One sender's turn: the next chunk is claimed while stragglers of the former are still out, so that a vendor
    who leaves one push in two hundred unanswered does not stop the other hundred and ninety-nine for a time-out.
    """

    def __init__(self, clock: Callable[[], datetime], turn: ExitStack, closing: ExitStack) -> None:
        self._clock, self._turn, self._closing = clock, turn, closing
        self._lines: dict[str, _Line] = {}
        self._tried = 0
        self._done: list[_Out] = []
        self._settled_s = time.monotonic()

    def work(self) -> int:
        """Returns deliveries tried."""
        until_s, look_s, over = time.monotonic() + SHIFT_S, 0.0, False
        while True:
            at_s, claims = time.monotonic(), []
            if at_s >= until_s and not over:
                over = True
                self._turn.close()
                nudge("delivery.send")
            waiting = self._waiting()
            idle = not waiting or (waiting < CHUNK // 2 and at_s >= look_s)
            if idle and not over:
                claims = self._take_on()
                look_s = at_s if len(claims) == CHUNK else at_s + LOOK_S
            if self._waiting():
                self._land()
                if len(self._done) >= CHUNK // 2 or time.monotonic() - self._settled_s > SETTLE_S:
                    self._settle()
            else:
                self._settle()
                if not claims:
                    return self._tried

    def _waiting(self) -> int:
        return sum(line.stream.waiting for line in self._lines.values())

    def _land(self) -> None:
        """A slow vendor is waited for no longer than a look when others have pushes out too."""
        busy = [line for line in self._lines.values() if line.stream.waiting]
        for line in busy:
            for number, outcome in line.stream.landed(LANDING_S if len(busy) == 1 else GLANCE_S).items():
                out, device = line.places.pop(number)
                out.outcomes[out.claim.id, device] = outcome
                out.left -= 1
                if not out.left:
                    self._done.append(out)

    def _take_on(self) -> list[Claim]:
        """Claim and put on the wire. While pushes are out, a database that is away must not make us drop them."""
        try:
            claims = claim(self._clock())
            messages = _messages({one.dispatch for one in claims}) if claims else {}
            routes = providers.Routes(self._clock()) if claims else None
        except (OperationalError, InterfaceError) as error:
            if not self._waiting() and not self._done:
                raise
            log.warning("delivery.claim_later error=%s", type(error).__name__)
            connection.close()
            return []
        for one in claims:
            assert routes is not None
            message = messages[one.dispatch, read_by(one.language), one.quiet]
            one.grave = (message.asks or message.critical) and not one.quiet
            self._address(one, message, routes)
        for line in self._lines.values():
            line.stream.add(line.pushes, self._clock())
            line.number += len(line.pushes)
            line.pushes.clear()
        self._tried += len(claims)
        return claims

    def _address(self, one: Claim, message: Message, routes: providers.Routes) -> None:
        """Each of his devices by its own provider; what may not be tried now is held."""
        out = _Out(one, 0)
        for device, (provider, token) in one.devices.items():
            hindrance = routes.hindrance(provider)
            if hindrance:
                one.held = hindrance
                continue
            line = self._lines.get(provider) or self._open(provider)
            line.places[line.number + len(line.pushes)] = out, device
            line.pushes.append(Push(one.id, token, message, one.message_id, one.tag or message.thread))
            out.left += 1
        if not out.left:
            self._done.append(out)

    def _open(self, provider: str) -> _Line:
        stream = providers.transports()[provider].stream()
        self._closing.callback(stream.close)
        line = self._lines[provider] = _Line(stream)
        return line

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
        asked = {"now": now, "lease": now + LEASE, "chunk": CHUNK, "open": months.open_since(now)}
        cursor.execute(_CLAIM, {**asked, "lanes": _lanes(now)})
        for id_, dispatch, known_as, quiet, tag, *rest, device, provider, token in cursor.fetchall():
            mine = claims.setdefault(id_, Claim(id_, dispatch, str(known_as), quiet, tag or "", *rest))
            if device is not None:
                mine.devices[device] = Handset(provider, token)
    return list(claims.values())


def _lanes(now: datetime) -> list[int]:
    """Gravest first. While lines of life safety are being written nothing else is begun: they need the machine."""
    coming = Bulletin.objects.unsent(now).filter(
        urgency__gte=LIFE_SAFETY_URGENCY, drill=False, issued_at__gt=now - WRITING
    )
    return [Lane.LIFE_SAFETY] if coming.exists() else Lane.values


def said(dispatches: set[int]) -> dict[tuple[int, str], Message]:
    """What each dispatch says, in both languages, uncut; `lead` is not in its body yet."""
    messages = {}
    for dispatch in Dispatch.objects.filter(pk__in=dispatches).select_related("bulletin"):
        bulletin = dispatch.bulletin
        for language, title, words, lead in (
            ("zh", bulletin.title_zh, bulletin.push_zh, dispatch.lead_zh),
            ("en", bulletin.title_en, bulletin.push_en, dispatch.lead_en),
        ):
            messages[dispatch.pk, language] = Message(
                id=str(bulletin.pk),
                title=title,
                body=words,
                level=bulletin.level,
                kind=bulletin.kind,
                ref=bulletin.ref,
                drill=dispatch.drill,
                expires_at=dispatch.expires_at,
                critical=bulletin.urgency >= 3,
                language=language,
                asks=bulletin.requires in ("confirm", "report"),
                lead=lead,
                thread=bulletin.thread,
                data={"requires": bulletin.requires, "errand": dispatch.errand},
            )
    return messages


def read_by(language: str) -> str:
    """Which of the two languages somebody is told in."""
    return "en" if language == "en" else "zh"


def _messages(dispatches: set[int]) -> dict[tuple[int, str, bool], Message]:
    """What is pushed for each dispatch: to whom it rings, and (True) to whom it only renews what he has."""
    pushed = {}
    for (dispatch, language), message in said(dispatches).items():
        rings = replace(message, body=cut(f"{message.lead}{message.body}", LOCK_SCREEN_COLUMNS))
        pushed[dispatch, language, False] = rings
        pushed[dispatch, language, True] = replace(rings, quiet=True)
    return pushed


def end_left(*, now: datetime) -> int:
    """What nobody could send within a day after its end is given up: no claim looks so far back. Returns how many lines."""
    left = Delivery.objects.filter(id__lt=months.open_since(now), state__in=UNSENT)
    return left.update(state=State.FAILED_PERM, reason="EXPIRED")


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
    """Write what became of the chunk and how the vendors did, retire dead tokens, tell the boards."""
    tallies: dict[str, Tally] = {}
    for one in claims:
        for device, (provider, _) in one.devices.items():
            if (one.id, device) in outcomes:
                health.count(tallies.setdefault(provider, Tally()), outcomes[one.id, device])
    verdicts, dead = [], defaultdict[tuple[str, str], list[str]](list)
    with transaction.atomic():  # the counting as well: settled again after a fault, it counts once
        doubted = health.note(tallies, now)
        for one in claims:
            verdicts.append(_verdict(one, _believed(one, outcomes, doubted, dead), now))
        rerouted = _reroute(claims, verdicts, now)
        write(verdicts)
        for (provider, reason), tokens in dead.items():
            retire_tokens(provider, tokens, reason, now)
        if rerouted:
            nudge("delivery.telephone")
    hints("board", "dispatch", {one.dispatch for one in claims})
    sent = sum(verdict["state"] == State.SENT for verdict in verdicts)
    called_dead = sum(map(len, dead.values()))
    log.info("delivery.settled n=%s sent=%s dead=%s rerouted=%s", len(claims), sent, called_dead, rerouted)


def _believed(
    one: Claim,
    outcomes: dict[tuple[int, int], Outcome],
    doubted: frozenset[str],
    dead: dict[tuple[str, str], list[str]],
) -> dict[int, Outcome]:
    """What became of his devices, by device; those called dead are put to the `dead`, or held where that is in doubt."""
    by_device = {}
    for device, (provider, token) in one.devices.items():
        outcome = outcomes.get((one.id, device))
        if outcome is None:
            continue
        if outcome.kind is OutcomeKind.DEAD_TOKEN:
            if provider in doubted:
                one.held = f"{provider}_doubted", health.PAUSE_S
                continue
            dead[provider, outcome.reason].append(token)
        by_device[device] = outcome
    return by_device


def _reroute(claims: list[Claim], verdicts: list[dict[str, object]], now: datetime) -> int:
    """Whom none of his phones can be pushed to at the moment: by text message instead, if it is grave; how many.

    No more than go out while the vendor rests: the others may be rung by it sooner than their text's turn would come.
    """
    held = [
        (verdict, one.held[1])
        for one, verdict in zip(claims, verdicts, strict=True)
        if one.grave and one.held and verdict["reason"] == one.held[0]
    ]
    if not held or not providers.text_messages(now):
        return 0
    waiting = Delivery.objects.filter(
        id__gte=months.open_since(now), transport="sms", state__in=UNSENT
    ).count()
    room = math.ceil(settings.SMS_RATE_PER_S * max(rest_s for _, rest_s in held)) - waiting
    rerouted = [verdict for verdict, _ in held[: max(room, 0)]]
    for verdict in rerouted:
        verdict |= {
            "state": str(State.PENDING), "due_at": now, "reason": "", "transport": "sms", "rerouted": verdict["reason"],
        }  # fmt: skip
    return len(rerouted)


def write(verdicts: list[dict[str, object]]) -> None:
    """Set-wise, each fenced by its attempt: columns of _SETTLE by name. JSON: seven arrays cost the sender ten times that.

    In the order of ids, in which receipts lock their lines too.
    """
    if verdicts:
        in_order = sorted(verdicts, key=itemgetter("id"))
        with connection.cursor() as cursor:
            cursor.execute(_SETTLE, {"verdicts": orjson.dumps(in_order).decode()})


def _verdict(one: Claim, by_device: dict[int, Outcome], now: datetime) -> dict[str, object]:
    """The delivery's next state from its devices' outcomes: later if any device says later.

    A device that was held waits for its vendor only as long as no other phone of his has it.
    """
    accepted = sorted({*one.accepted, *(d for d, o in by_device.items() if o.kind is OutcomeKind.SENT)})
    later = [o for o in by_device.values() if o.kind is OutcomeKind.TEMPORARY]
    refused = [o for o in by_device.values() if o.kind in (OutcomeKind.PERMANENT, OutcomeKind.DEAD_TOKEN)]
    due_at, reason = now, ""
    if one.why and not accepted:
        state, reason = State.FAILED_PERM, one.why
    elif later:
        state, reason = State.FAILED_TEMP, later[0].reason
        due_at = now + timedelta(seconds=pause_s(one.attempt, later))
    elif accepted:
        state = State.SENT
    elif one.held:
        state, reason = State.FAILED_TEMP, one.held[0]
        due_at = now + timedelta(seconds=one.held[1] + random.uniform(0, HELD_SPREAD_S))  # noqa: S311
    else:
        state = State.FAILED_PERM
        reason = refused[0].reason if refused else NO_DEVICE
        if refused and all(o.kind is OutcomeKind.DEAD_TOKEN for o in refused):
            reason = f"{DEAD_TOKEN} {reason}"  # his last phone is gone: as good as none
    return {
        "id": one.id,
        "attempt": one.attempt,
        "state": str(state),
        "due_at": due_at,
        "reason": reason[:64],
        "accepted": accepted,
        "sent_at": now if accepted else None,
    }


def pause_s(attempt: int, later: list[Outcome]) -> float:
    """How long to wait after this attempt, as long as a vendor wishes at least; what had no turn yet does not wait."""
    if all(outcome.reason == NOT_BEGUN for outcome in later):
        return 0.0
    own_s = BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1] * random.uniform(0.75, 1.25)  # noqa: S311
    return max(own_s, *(outcome.retry_after_s or 0.0 for outcome in later))
