"""What the local FCM remembers and how it misbehaves: a request in, FCM's answer out, no network.

Faults are drawn by hash of token, id and attempt, so the same storm meets the same faults in whatever order
it is sent. Memory grows with the pushes taken: about 50 bytes each, and the newest 200,000 whole.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, TypeVar

import orjson

from . import fcm_v1

PROJECT = "standin"
RING = 200_000

AnyFaults = TypeVar("AnyFaults")

JSON = (("content-type", "application/json; charset=UTF-8"),)


@dataclass(frozen=True, slots=True)
class Faults:
    """How the stand-in misbehaves; shares are 0..1. Zero or empty: it does not."""

    unregistered_share: float = 0.0  # of tokens: 404
    unregistered_prefix: str = ""
    unregistered_tokens: tuple[str, ...] = ()
    mismatch_prefix: str = ""  # tokens of another project: 403
    apns_refused_prefix: str = ""  # tokens behind a bad APNs key: 401 THIRD_PARTY_AUTH_ERROR
    quota_share: float = 0.0  # of attempts: 429
    unavailable_share: float = 0.0  # of attempts: 503
    internal_share: float = 0.0  # of attempts: 500
    broken_share: float = 0.0  # of attempts: not taken, the answer breaks off
    lost_share: float = 0.0  # of attempts: taken, but the answer breaks off
    silent_share: float = 0.0  # of attempts: not taken and never answered
    retry_after_s: int = 0  # sent with 429 and 503; 0: no header
    quota_per_s: int = 0  # above it 429; 0: no limit
    latency_ms: float = 0.0
    down: bool = False  # everything 503 until switched back
    refuse_bearers: bool = False  # every bearer 401
    refuse_assertions: bool = False  # no new bearers
    bearer_life_s: int = 3600

    def changed(self, wishes: dict[str, Any]) -> "Faults":
        """These faults with the wishes on top; raises ValueError on an unknown name or a wrong type."""
        return changed(self, wishes)


def changed(faults: AnyFaults, wishes: dict[str, Any]) -> AnyFaults:
    """A stand-in's faults with the wishes on top; raises ValueError on an unknown name or a wrong type."""
    known = {field.name: type(getattr(faults, field.name)) for field in fields(faults)}  # type: ignore[arg-type]
    fresh: dict[str, Any] = {}
    for name, value in wishes.items():
        if name not in known:
            raise ValueError(f"unknown fault {name}")
        kind = known[name]
        taken = {float: (int, float), tuple: (list,)}.get(kind, (kind,))
        if type(value) not in taken:  # exact: True is no 1
            raise ValueError(f"{name} must be {kind.__name__}")
        fresh[name] = kind(value)
    return replace(faults, **fresh)  # type: ignore[type-var]


_DRAWN = ("quota", "unavailable", "internal", "broken", "lost", "silent")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `broken` breaks off inside the body, `silent` never comes."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON
    broken: bool = False
    silent: bool = False


_UNAUTHENTICATED = Reply(
    401, fcm_v1.refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
)
_APNS_REFUSED = Reply(
    401, fcm_v1.refusal(401, "UNAUTHENTICATED", "Auth error from APNS", "THIRD_PARTY_AUTH_ERROR")
)
_UNREGISTERED = Reply(
    404, fcm_v1.refusal(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
)
_MISMATCH = Reply(403, fcm_v1.refusal(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH"))
_INTERNAL = Reply(500, fcm_v1.refusal(500, "INTERNAL", "Internal error encountered.", "INTERNAL"))
_QUOTA = Reply(
    429,
    fcm_v1.refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded for messages per minute.", "QUOTA_EXCEEDED"),
)
_UNAVAILABLE = Reply(503, fcm_v1.refusal(503, "UNAVAILABLE", "The service is unavailable.", "UNAVAILABLE"))
_BROKEN = Reply(200, b'{"name":"projects/', broken=True)
_SILENT = Reply(200, b"", silent=True)
_NAME = b'{"name":"projects/%b/messages/%%b"}' % PROJECT.encode()


class Phones:
    """Every push taken, and what to answer to the next."""

    def __init__(self, ring: int = RING) -> None:
        self._ring_size = ring
        self.misbehave(Faults())
        self.bearers: dict[str, float] = {}  # Authorization header -> monotonic end of life
        self.forget()

    def misbehave(self, faults: Faults) -> None:
        """From now on with these faults."""
        self.faults = faults
        shares = [(word, getattr(faults, f"{word}_share")) for word in _DRAWN]
        self._shares: list[tuple[str, float]] = [(word, share) for word, share in shares if share]

    def forget(self) -> None:
        """Drop what was counted and remembered; faults and bearers stay."""
        self.taken = 0
        self._first_at: float | None = None
        self._last_at: float | None = None
        self.bearers_issued = 0
        self.versions: Counter[str] = Counter()  # HTTP versions of send requests
        self._answers: Counter[str] = Counter()
        self._bulletins: Counter[str] = Counter()
        self._rings: Counter[str] = Counter()  # by thread
        self._quiet: Counter[str] = Counter()
        self._ring: deque[tuple[str, str, bytes, float]] = deque(maxlen=self._ring_size)
        self._seen: set[int] = set()  # 64-bit hashes of (token, id)
        self._extra: Counter[tuple[str, str]] = Counter()  # takings after the first
        self._attempts: Counter[int] = Counter()  # only of attempts that met a fault
        self._packed: dict[bytes, bytes] = {}  # one copy of what all pushes of a bulletin share
        self._second, self._in_second = 0, 0

    def answer(self, authorization: str | None, body: bytes) -> Reply:
        """FCM's answer to one send request."""
        reply = self._answer(authorization, body)
        word = "silent" if reply.silent else "broken" if reply.broken else str(reply.status)
        self._answers[word] += 1
        return reply

    def _answer(self, authorization: str | None, body: bytes) -> Reply:
        if self.faults.refuse_bearers or self.bearers.get(authorization or "", 0.0) < time.monotonic():
            return _UNAUTHENTICATED
        try:
            request = orjson.loads(body)
            message = fcm_v1.check_request(request, len(body))
        except orjson.JSONDecodeError:
            return Reply(
                400, fcm_v1.bad_request(fcm_v1.Fault("Invalid JSON payload received", path="message"))
            )
        except fcm_v1.Fault as fault:
            return Reply(400, fcm_v1.bad_request(fault))
        if request.get("validate_only") or request.get("validateOnly"):
            return Reply(200, _NAME % b"fake_message_id")
        token = str(next(message[name] for name in fcm_v1.TARGETS if message.get(name) is not None))
        return self._refused(token) or self._drawn(token, message.get("data") or {})

    def _refused(self, token: str) -> Reply | None:
        """The answer that depends on the token or on the moment alone."""
        faults = self.faults
        if faults.down:
            return self._later(_UNAVAILABLE)
        if faults.quota_per_s and self._over_quota():
            return self._later(_QUOTA)
        if faults.unregistered_share and _share("unregistered", token) < faults.unregistered_share:
            return _UNREGISTERED
        if _begins(token, faults.unregistered_prefix) or token in faults.unregistered_tokens:
            return _UNREGISTERED
        if _begins(token, faults.mismatch_prefix):
            return _MISMATCH
        if _begins(token, faults.apns_refused_prefix):
            return _APNS_REFUSED
        return None

    def _drawn(self, token: str, data: dict[str, str]) -> Reply:
        """Take the push, or the fault that this attempt has drawn."""
        message_id = data.get("id", "")
        match self._fault(token, message_id):
            case "quota":
                return self._later(_QUOTA)
            case "unavailable":
                return self._later(_UNAVAILABLE)
            case "internal":
                return _INTERNAL
            case "broken":
                return _BROKEN
            case "silent":
                return _SILENT
            case "lost":
                self._take(token, message_id, data)
                return _BROKEN
        self._take(token, message_id, data)
        return Reply(200, _NAME % b"0:%d" % self.taken)

    def _fault(self, token: str, message_id: str) -> str:
        if not self._shares:
            return ""
        pair = hash((token, message_id))
        drawn = _share(str(self._attempts[pair]), token, message_id)
        for word, share in self._shares:
            if drawn < share:
                self._attempts[pair] += 1
                return word
            drawn -= share
        return ""

    def _later(self, reply: Reply) -> Reply:
        if not self.faults.retry_after_s:
            return reply
        return replace(reply, headers=(*reply.headers, ("retry-after", str(self.faults.retry_after_s))))

    def _over_quota(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second > self.faults.quota_per_s

    def _take(self, token: str, message_id: str, data: dict[str, str]) -> None:
        now_s = time.time()
        self.taken += 1
        self._first_at, self._last_at = self._first_at or now_s, now_s
        self._bulletins[data.get("bulletin", "")] += 1
        (self._quiet if data.get("quiet") else self._rings)[data.get("thread", "")] += 1
        pair = hash((token, message_id))
        if pair in self._seen:
            self._extra[token, message_id] += 1
        self._seen.add(pair)
        shared = orjson.dumps({name: text for name, text in data.items() if name != "id"})
        if len(self._packed) > 10_000:
            self._packed.clear()
        self._ring.append((token, message_id, self._packed.setdefault(shared, shared), now_s))

    def counters(self) -> dict[str, Any]:
        """Times in unix seconds; `repeated`: (token, id) pairs taken more than once, `extra`: the surplus.

        `rings` and `quiet` count the pushes by thread (of none: ""): those that ring, those that only renew.
        """
        return {
            "accepted": self.taken,
            "distinct": len(self._seen),
            "repeated": len(self._extra),
            "extra": self._extra.total(),
            "by_bulletin": dict(self._bulletins),
            "rings": dict(self._rings),
            "quiet": dict(self._quiet),
            "first_at": self._first_at,
            "last_at": self._last_at,
            "answers": dict(self._answers),
            "http": dict(self.versions),
            "bearers_issued": self.bearers_issued,
            "faults": asdict(self.faults),
        }

    def accepted(self, after: int, limit: int) -> Iterator[dict[str, Any]]:
        """Pushes taken after the `after`-th, oldest first; those that have left the ring are skipped."""
        oldest = self.taken - len(self._ring)  # the number of the push before the ring's first
        skip = max(after - oldest, 0)
        for n, (token, message_id, shared, at_s) in enumerate(
            islice(self._ring, skip, skip + limit), start=oldest + skip + 1
        ):
            yield {"n": n, "token": token, "id": message_id, "data": orjson.Fragment(shared), "at": at_s}

    def repeats(self) -> list[dict[str, Any]]:
        """Every (token, id) pair taken more than once, with how often in all."""
        return [{"token": token, "id": mid, "times": n + 1} for (token, mid), n in self._extra.items()]


def _begins(token: str, prefix: str) -> bool:
    return bool(prefix) and token.startswith(prefix)


def _share(*words: str) -> float:
    """A place in 0..1 that depends on the words alone."""
    digest = blake2b(
        "|".join(words).encode(), digest_size=8
    ).digest()  # crc32 would tie one attempt to the next
    return int.from_bytes(digest) / 2**64
