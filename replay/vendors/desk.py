"""What the local vendors remember and how they misbehave: a request in, the vendor's answer out, no network.

Faults are drawn by hash of token, id and attempt, so the same storm meets the same faults in whatever order
it is sent. Memory grows with the pushes taken: about 50 bytes each, and the newest 200,000 whole. What one vendor's
requests and refusals look like stands in his own file.
"""

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, ClassVar, TypeVar

import orjson

from .receipts import Receipts

RING = 200_000

AnyFaults = TypeVar("AnyFaults")

JSON = (("content-type", "application/json; charset=UTF-8"),)


@dataclass(frozen=True, slots=True)
class Faults:
    """How the stand-in misbehaves; shares are 0..1. Zero or empty: it does not."""

    unregistered_share: float = 0.0  # of tokens: 404
    unregistered_prefix: str = ""
    unregistered_tokens: tuple[str, ...] = ()
    mismatch_prefix: str = ""  # tokens of another project or app
    refused_prefix: str = ""  # tokens PREFIX + one of the vendor's codes + "-…" are refused with that code
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

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Reply":
        return cls(status, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))


BROKEN = Reply(200, b'{"name":"projects/', broken=True)
SILENT = Reply(200, b"", silent=True)


class Taken:
    """Every push that any of the vendors has taken."""

    def __init__(self, ring: int = RING) -> None:
        self._ring_size = ring
        self.receipts = Receipts()
        self.forget()

    def forget(self) -> None:
        """Drop what was counted and remembered, and whom to send receipts."""
        self.receipts.forget()
        self.number = 0
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._bulletins: Counter[str] = Counter()
        self._providers: Counter[str] = Counter()
        self._rings: Counter[str] = Counter()  # by thread
        self._quiet: Counter[str] = Counter()
        self._ring: deque[tuple[str, str, str, bytes, float]] = deque(maxlen=self._ring_size)
        self._seen: set[int] = set()  # 64-bit hashes of (token, id)
        self._extra: Counter[tuple[str, str]] = Counter()  # takings after the first
        self._packed: dict[bytes, bytes] = {}  # one copy of what all pushes of a bulletin share

    def take(self, provider: str, token: str, message_id: str, data: Mapping[str, str]) -> None:
        now_s = time.time()
        self.number += 1
        self._providers[provider] += 1
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
        self._ring.append((provider, token, message_id, self._packed.setdefault(shared, shared), now_s))

    def counters(self) -> dict[str, Any]:
        """Times in unix seconds; `repeated`: (token, id) pairs taken more than once, `extra`: the surplus.

        `rings` and `quiet` count the pushes by thread (of none: ""): those that ring, those that only renew.
        """
        return {
            "accepted": self.number,
            "distinct": len(self._seen),
            "repeated": len(self._extra),
            "extra": self._extra.total(),
            "by_bulletin": dict(self._bulletins),
            "by_provider": dict(self._providers),
            "rings": dict(self._rings),
            "quiet": dict(self._quiet),
            "first_at": self._first_at,
            "last_at": self._last_at,
        }

    def accepted(self, after: int, limit: int) -> Iterator[dict[str, Any]]:
        """Pushes taken after the `after`-th, oldest first; those that have left the ring are skipped."""
        oldest = self.number - len(self._ring)  # the number of the push before the ring's first
        skip = max(after - oldest, 0)
        for n, (provider, token, message_id, shared, at_s) in enumerate(
            islice(self._ring, skip, skip + limit), start=oldest + skip + 1
        ):
            yield {
                "n": n,
                "provider": provider,
                "token": token,
                "id": message_id,
                "data": orjson.Fragment(shared),
                "at": at_s,
            }

    def repeats(self) -> list[dict[str, Any]]:
        """Every (token, id) pair taken more than once, with how often in all."""
        return [{"token": token, "id": mid, "times": n + 1} for (token, mid), n in self._extra.items()]


class Desk(ABC):
    """One vendor: what he answers to the next request."""

    name: ClassVar[str]
    path: ClassVar[str]  # of a push; with a slash at its end the device's token follows
    refusals: ClassVar[Mapping[str, Reply]]  # unregistered, mismatch, quota, unavailable, internal

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.misbehave(Faults())
        self.bearers: dict[str, float] = {}  # Authorization header -> monotonic end of life
        self.forget()

    def misbehave(self, faults: Faults) -> None:
        """From now on with these faults."""
        self.faults = faults
        shares = [(word, getattr(faults, f"{word}_share")) for word in _DRAWN]
        self._shares: list[tuple[str, float]] = [(word, share) for word, share in shares if share]

    def forget(self) -> None:
        """Drop what was counted; faults and bearers stay."""
        self.bearers_issued = 0
        self.versions: Counter[str] = Counter()  # HTTP versions of requests to push
        self._answers: Counter[str] = Counter()
        self._attempts: Counter[int] = Counter()  # only of attempts that met a fault
        self._second, self._in_second = 0, 0

    def counters(self) -> dict[str, Any]:
        return {
            "answers": dict(self._answers),
            "http": dict(self.versions),
            "bearers_issued": self.bearers_issued,
            "faults": asdict(self.faults),
        }

    def answer(self, path: str, headers: Any, body: bytes) -> Reply:
        """The vendor's answer to one request to push; `headers` answers `get` by lower-case name."""
        reply = self._answer(path, headers, body)
        word = "silent" if reply.silent else "broken" if reply.broken else str(reply.status)
        self._answers[word] += 1
        return reply

    @abstractmethod
    def _answer(self, path: str, headers: Any, body: bytes) -> Reply: ...

    def other(self, method: str, path: str, query: str, headers: Any, body: bytes) -> Reply | None:
        """What else the vendor serves, e.g. bearers; None: not his."""
        return None

    def _coded(self, code: str) -> Reply | None:
        """The refusal by a code of the vendor's own table."""
        return None

    def _admits(self, authorization: str | None) -> bool:
        """Whether it is a bearer that was given out here and still lives."""
        good = self.bearers.get(authorization or "", 0.0) >= time.monotonic()
        return good and not self.faults.refuse_bearers

    def _push(self, token: str, data: Mapping[str, str], accepted: Reply, name: str = "") -> Reply:
        """Take the push and answer `accepted`, unless a fault speaks against it; `name` comes back in its receipt."""
        message_id = data.get("id", "")
        word = self._moment() or self._of_token(token) or self._drawn(token, message_id)
        if word in ("", "lost"):
            self.taken.take(self.name, token, message_id, data)
            self.taken.receipts.took(self.name, token, name)
            return BROKEN if word else accepted
        return self._refuse(word)

    def _refuse(self, word: str) -> Reply:
        if word == "broken":
            return BROKEN
        if word == "silent":
            return SILENT
        reply = self.refusals.get(word) or self._coded(word)
        assert reply is not None, word
        wait_s = self.faults.retry_after_s if word in ("quota", "unavailable") else 0
        return replace(reply, headers=(*reply.headers, ("retry-after", str(wait_s)))) if wait_s else reply

    def _moment(self) -> str:
        """The fault that lies in the moment alone."""
        if self.faults.down:
            return "unavailable"
        return "quota" if self.faults.quota_per_s and self._over_quota() else ""

    def _of_token(self, token: str) -> str:
        """The fault that lies in the token alone."""
        faults = self.faults
        if faults.unregistered_share and _share("unregistered", token) < faults.unregistered_share:
            return "unregistered"
        if _begins(token, faults.unregistered_prefix) or token in faults.unregistered_tokens:
            return "unregistered"
        if _begins(token, faults.mismatch_prefix):
            return "mismatch"
        if _begins(token, faults.refused_prefix):
            return token.removeprefix(faults.refused_prefix).partition("-")[0]
        return ""

    def _drawn(self, token: str, message_id: str) -> str:
        """The fault that this attempt has drawn."""
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

    def _over_quota(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second > self.faults.quota_per_s


def _begins(token: str, prefix: str) -> bool:
    return bool(prefix) and token.startswith(prefix)


def _share(*words: str) -> float:
    """A place in 0..1 that depends on the words alone."""
    digest = blake2b(
        "|".join(words).encode(), digest_size=8
    ).digest()  # crc32 would tie one attempt to the next
    return int.from_bytes(digest) / 2**64
