"""Pushes in flight to one vendor over HTTP/2: what is alike for all of them.

Owns the encoding once a message, the rate cap, batches, the bearer and its renewal, and one outcome a push. How a push
looks, what proves who we are and what an answer means stand in the vendor's own file; bytes are courier.py's. It tries
once (twice after a stale bearer): delivery.py tries again, from the ledger. What cannot begin in time, behind a slow vendor or
a low rate, is given back unsent. Build a transport after a fork.
"""

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from weakref import WeakSet

from . import numbered
from .base import NOT_BEGUN, Capabilities, Message, Outcome, OutcomeKind, Push, cut
from .courier import STREAMS_PER_CONNECTION, Answer, Courier, TokenBucket
from .numbered import Numbered

log = logging.getLogger(__name__)

BEARER_PAUSE_S = 2.0  # between two failed requests for a bearer
PATIENCE_S = 0.01  # between two looks at the rate cap
# from taking a push on to its outcome; delivery.py's lease is a little longer, or another sender would push it again
LAND_WITHIN_S, BEGIN_LEAST_S = 25.0, 5.0
HELD_UP_S = 1.0  # after so long no further parcel is made, whose names may have to be waited for, before answers are seen


class NoBearer(Exception):
    """What proves who we are cannot be had at the moment; its text says why, without secrets."""


class Bearer:
    """The header that proves who we are, shared by all threads, renewed before it runs out."""

    def __init__(
        self,
        ask: Callable[[], tuple[str, float]],
        *,
        early_s: float,
        least_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask`: a new header and its life in seconds, or NoBearer. It is asked anew `early_s` before the end, and
        after a refusal no sooner than `least_s` after the last time.
        """
        self._ask, self._early_s, self._least_s, self._clock = ask, early_s, least_s, clock
        self._lock = threading.Lock()
        self._header, self._asked_s, self._ends_s = "", -math.inf, -math.inf
        self._fault: NoBearer | None = None
        self._again_s = -math.inf

    def header(self) -> str:
        """Raises NoBearer when there is no new one and the old has run out."""
        with self._lock:
            if self._clock() >= self._ends_s - self._early_s:
                try:
                    self._renew()
                except NoBearer:
                    if self._clock() >= self._ends_s:
                        raise
            return self._header

    def renewed(self, refused: str) -> str:
        """A header that is not the refused one: renewed once, however many threads were refused. Raises NoBearer."""
        with self._lock:
            if refused == self._header:
                if self._clock() < self._asked_s + self._least_s:
                    raise NoBearer("refused although it is new; is this machine's clock right?")
                self._renew()
        return self.header()

    def _renew(self) -> None:
        """After a failure nobody asks again for a moment, or every thread would wait its turn."""
        if self._fault and self._clock() < self._again_s:
            raise NoBearer(str(self._fault)) from self._fault
        try:
            self._header, life_s = self._ask()
        except NoBearer as fault:
            self._fault, self._again_s = fault, self._clock() + BEARER_PAUSE_S
            raise
        self._fault, self._asked_s = None, self._clock()
        self._ends_s = self._asked_s + life_s


@dataclass(slots=True)  # not frozen: made 45,000 times an order, in a third of the time
class Letter:
    """One push, ready to be carried."""

    body: bytes
    path: str = ""  # after the vendor's address, where each push has its own
    headers: tuple[str, ...] = ()  # its own


class BulkTransport(ABC):
    """One vendor. One instance a process; every thread gets its own connections."""

    name: str
    capabilities: Capabilities
    headers: tuple[str, ...] = ("content-type: application/json",)
    stale: frozenset[str] = frozenset()  # reasons by which the vendor refuses a bearer that has run out

    def __init__(
        self,
        url: str,
        bearer: Bearer,
        *,
        rate_per_s: float,
        ca_file: str | None = None,
        concurrency: int = 200,
        connections: int | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate_per_s` caps this process's requests, `concurrency` and `connections` (None: as HTTP/2 needs) each
        thread's, `timeout_s` each request.
        """
        self.url, self.bearer, self.clock, self.timeout_s = url, bearer, clock, timeout_s
        self.begin_within_s = max(LAND_WITHIN_S - timeout_s, BEGIN_LEAST_S)
        self.bucket = TokenBucket(rate_per_s)
        self._new_courier = partial(
            Courier,
            url,
            ca_file=ca_file,
            timeout_s=timeout_s,
            concurrency=concurrency,
            connections=connections or math.ceil(concurrency / STREAMS_PER_CONNECTION),
        )
        self._own = threading.local()
        self._couriers: WeakSet[Courier] = WeakSet()

    @abstractmethod
    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        """The message encoded once, with the push's own places left open; either may raise ValueError or TypeError."""

    @abstractmethod
    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        """What the answer to one request means for the push `key`; any bytes are an answer."""

    def parcel(self, letters: Sequence[Letter]) -> tuple[bytes, Sequence[str]]:
        """Several letters as one body, and by what names the answer will speak of them. Raises NoBearer."""
        raise NotImplementedError  # where `capabilities.batch` is 1 nobody asks

    def verdicts(self, keys: Sequence[int], names: Sequence[str], answer: Answer) -> list[Outcome]:
        """What the answer to a parcel means for each of its pushes."""
        raise NotImplementedError

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in order, within LAND_WITHIN_S; NOT_BEGUN for what had no turn in time."""
        return numbered.send(self.stream, pushes, now)

    def stream(self) -> "Stream":
        """Pushes in flight from this thread; one at a time a thread."""
        return Stream(self, self._courier())

    def close(self) -> None:
        """Close every thread's connections; no thread may be sending."""
        for courier in list(self._couriers):
            courier.close()

    def _courier(self) -> Courier:
        courier: Courier | None = getattr(self._own, "courier", None)
        if courier is None:
            courier = self._own.courier = self._new_courier()
            self._couriers.add(courier)
        return courier


@dataclass(slots=True)
class _Aloft:
    """One push on its way."""

    key: int
    letter: Letter
    until_s: float  # to begin; of all that were taken on together
    bearer: str = ""  # the header it went with
    renewed: bool = False


@dataclass(slots=True)
class _Parcel:
    """One request with several pushes on the wire: the bearer it went with, the vendor's names for them."""

    numbers: list[int]
    bearer: str
    names: Sequence[str]


class Stream(Numbered):
    """One thread's pushes in flight: more are added while stragglers are still out, so that a vendor who leaves a
    few requests unanswered holds up these few and nobody else.
    """

    _queue: deque[int]  # of those aloft, what is not on the wire; who is to begin soonest first

    def __init__(self, transport: BulkTransport, courier: Courier) -> None:
        super().__init__()
        self._transport, self._courier = transport, courier
        self._aloft: dict[int, _Aloft] = {}
        self._parcels: dict[int, _Parcel] = {}  # by the number of their first push

    @property
    def waiting(self) -> int:
        return len(self._aloft) + len(self._settled)

    def add(self, pushes: Sequence[Push], now: datetime) -> None:
        # by id(): the pushes hold the messages alive
        self._templates: dict[int, Callable[[Push], Letter]] = {}
        self._until_s = self._transport.clock() + self._transport.begin_within_s
        super().add(pushes, now)

    def _take_on(self, number: int, push: Push, now: datetime) -> None:
        try:
            template = self._templates.get(id(push.message))
            if template is None:
                template = self._templates[id(push.message)] = self._template(push.message, now)
            self._aloft[number] = _Aloft(push.key, template(push), self._until_s)
            self._queue.append(number)
        except (ValueError, TypeError):
            self._settled[number] = Outcome(push.key, OutcomeKind.PERMANENT, "UNENCODABLE")

    def _template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        body = cut(message.body, self._transport.capabilities.body_columns)
        return self._transport.template(message if body == message.body else replace(message, body=body), now)

    def landed(self, patience_s: float) -> dict[int, Outcome]:
        """Move bytes for about `patience_s` at most; outcomes by number, possibly none."""
        if self._queue:
            self._start()
        if self._courier.flying:
            take = self._take_one if self._transport.capabilities.batch == 1 else self._take_batch
            for answer in self._courier.landed(PATIENCE_S if self._queue else patience_s):
                take(answer)
        elif self._queue:
            time.sleep(PATIENCE_S)  # the rate cap
        return self._handed_out()

    def close(self) -> None:
        """Drop what is still in flight; whether it arrived is unknown."""
        self._courier.abandon()

    def _start(self) -> None:
        """Put as many of the queue on the wire as there is room and rate for."""
        transport, batch = self._transport, self._transport.capabilities.batch
        try:
            bearer = transport.bearer.header()
            headers = (bearer, *transport.headers)
            self._give_back(transport.clock())
            wanted = min(math.ceil(len(self._queue) / batch), self._courier.room)
            send = self._send_one if batch == 1 else self._send_batch
            until_s = transport.clock() + HELD_UP_S
            for _ in range(transport.bucket.grant(wanted, transport.clock()) if wanted else 0):
                send(bearer, headers)
                if batch > 1 and (not self._queue or transport.clock() > until_s):
                    break
        except NoBearer as refused:
            log.error("push.credential provider=%s n=%d error=%s", transport.name, len(self._queue), refused)
            while self._queue:
                number = self._queue.popleft()
                self._settle(number, Outcome(self._aloft[number].key, OutcomeKind.TEMPORARY, "CREDENTIAL"))

    def _give_back(self, at_s: float) -> None:
        """What can no longer end before the sender's lease does; says nothing against the vendor's health."""
        while self._queue and self._aloft[self._queue[0]].until_s <= at_s:
            number = self._queue.popleft()
            key = self._aloft[number].key
            self._settle(number, Outcome(key, OutcomeKind.TEMPORARY, NOT_BEGUN, ours=True))

    def _send_one(self, bearer: str, headers: tuple[str, ...]) -> None:
        number = self._queue.popleft()
        push = self._aloft[number]
        push.bearer, letter = bearer, push.letter
        url = f"{self._transport.url}{letter.path}" if letter.path else ""
        self._courier.start(number, letter.body, headers + letter.headers, url)

    def _send_batch(self, bearer: str, headers: tuple[str, ...]) -> None:
        numbers = list(islice(self._queue, self._transport.capabilities.batch))
        body, names = self._transport.parcel([self._aloft[number].letter for number in numbers])
        self._give_back(self._transport.clock())  # the names may have been waited for
        if not self._queue or self._queue[0] != numbers[0]:
            return
        for _ in numbers:
            self._queue.popleft()
        self._parcels[numbers[0]] = _Parcel(numbers, bearer, names)
        self._courier.start(numbers[0], body, headers)

    def _take_one(self, answer: Answer) -> None:
        """Settle one answer; a refused bearer is renewed once and the push goes again."""
        number, transport = answer.index, self._transport
        push = self._aloft[number]
        if answer.fault:
            outcome = Outcome(push.key, OutcomeKind.TEMPORARY, answer.fault)
        else:
            outcome = transport.verdict(push.key, answer.status, answer.body, answer.retry_after_s)
        if outcome.reason not in transport.stale or not self._again(number, push.bearer):
            self._settle(number, outcome)

    def _take_batch(self, answer: Answer) -> None:
        parcel = self._parcels.pop(answer.index)
        keys = [self._aloft[number].key for number in parcel.numbers]
        if answer.fault:
            outcomes = [Outcome(key, OutcomeKind.TEMPORARY, answer.fault) for key in keys]
        else:
            outcomes = self._transport.verdicts(keys, parcel.names, answer)
        for number, outcome in zip(parcel.numbers, outcomes, strict=True):
            if outcome.reason not in self._transport.stale or not self._again(number, parcel.bearer):
                self._settle(number, outcome)

    def _again(self, number: int, refused: str) -> bool:
        """Whether the push goes once more, with another bearer than the refused one."""
        push = self._aloft[number]
        if push.renewed:
            return False
        push.renewed = True
        try:
            self._transport.bearer.renewed(refused)
        except NoBearer as fault:
            log.error("push.credential provider=%s error=%s", self._transport.name, fault)
            return False
        self._queue.appendleft(number)
        return True

    def _settle(self, number: int, outcome: Outcome) -> None:
        del self._aloft[number]
        self._settled[number] = outcome
