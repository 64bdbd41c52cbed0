"""Text messages straight to a short message service centre: SMPP 3.4 by aiosmpplib, bound as a transceiver.

Owns the session (one a process, in a thread with its own event loop: it binds, keeps the link alive, binds again) and
what the centre's answers mean. Text over 140 bytes goes whole as message_payload, so that one message has one id and one
receipt. What the centre says of itself (receipts, replies) is handed to who listens before it is acknowledged: if we die
first, it says it again. It cannot be asked whether it has a message: who was cut off before the answer may be told twice.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from queue import Empty, SimpleQueue

from aiosmpplib import (
    ESME,
    NPI,
    TON,
    AbstractBroker,
    AbstractHook,
    AbstractThrottleHandler,
    DeliverSm,
    PhoneNumber,
    SmppCommand,
    SmppCommandStatus,
    SmppMessage,
    SubmitSm,
    SubmitSmResp,
)
from aiosmpplib.correlator import SimpleCorrelator
from aiosmpplib.protocol import MESSAGE_TYPE_MAP
from aiosmpplib.retrytimer import SimpleExponentialBackoff

from . import numbered
from .base import Capabilities, Outcome, OutcomeKind, Push, left_s
from .courier import TokenBucket
from .numbered import Numbered
from .sms import SEGMENT, SIGNATURE_CHARS, text

log = logging.getLogger(__name__)

ANSWER_S = 10.0  # from the push to the centre's answer, binding included
LINK_S = 30.0  # between two looks whether the link is alive
AGAIN_S = 1.0  # between two offers of what could not be placed yet
KEPT_S = 60.0
ONE_SEGMENT_BYTES, ONE_SEGMENT_ASCII = 140, 160
THROTTLED_RETRY_S = 2.0
TTL_MAX_S = 24 * 3600

_STATUS = SmppCommandStatus
# what is not listed (our account, the centre's state) may be mended: TEMPORARY
_KINDS = {
    _STATUS.ESME_RINVDSTADR: OutcomeKind.DEAD_TOKEN,
    _STATUS.ESME_RINVMSGLEN: OutcomeKind.PERMANENT,
    _STATUS.ESME_RINVDSTTON: OutcomeKind.PERMANENT,
    _STATUS.ESME_RINVDSTNPI: OutcomeKind.PERMANENT,
    _STATUS.ESME_RINVEXPIRY: OutcomeKind.PERMANENT,
    _STATUS.ESME_RX_P_APPN: OutcomeKind.PERMANENT,
    _STATUS.ESME_RINVPARLEN: OutcomeKind.PERMANENT,
    _STATUS.ESME_RINVOPTPARAMVAL: OutcomeKind.PERMANENT,
}
_TOO_FAST = {_STATUS.ESME_RTHROTTLED, _STATUS.ESME_RMSGQFUL}
_WORD = re.compile(r"\b(id|stat):(\S*)")


@dataclass(frozen=True, slots=True)
class Centre:
    """Where it is, who we are there, and the number that people see and reply to."""

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    source: str
    here: bool = False  # a stand-in: invented people may be written to


@dataclass(frozen=True, slots=True)
class Heard:
    """What the centre says of itself: of a message it took (`id`, `word` its final state), or a reply (`phone`, `word`)."""

    id: str
    phone: str
    word: str


class _Receipt(DeliverSm):
    """The library reads dates and numbers that centres write as they like, and ends the session over one it does not
    know: we want the id and the state only.
    """

    def parse_receipt(self) -> dict[str, str | int | datetime]:
        words = dict(_WORD.findall(self.short_message or self.message_payload))
        for parameter in self.optional_params or []:
            if parameter.tag == 0x001E and not words.get("id"):  # receipted_message_id
                words["id"] = str(parameter.value)
        return words if self.is_receipt() else {}


MESSAGE_TYPE_MAP[SmppCommand.DELIVER_SM] = _Receipt


class _Correlator(SimpleCorrelator):
    """Which answer belongs to which request; which receipt to which message stands in the ledger, not in memory."""

    async def put_delivery(self, smsc_message_id: str, submit_sm: SubmitSm) -> None:
        return None

    async def get_delivery(self, receipt: DeliverSm) -> SubmitSm | None:
        return None


class _Queue(AbstractBroker):
    """What is to be sent; what the ledger has given up meanwhile is not."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[float, SubmitSm]] = asyncio.Queue()

    def put(self, until_s: float, message: SubmitSm) -> None:
        self._waiting.put_nowait((until_s, message))

    async def enqueue(self, message: SmppMessage) -> None:
        raise NotImplementedError

    async def dequeue(self) -> SmppMessage:
        while True:
            until_s, message = await self._waiting.get()
            if time.monotonic() < until_s:
                return message


class _NoThrottle(AbstractThrottleHandler):
    """The pace is ours (TokenBucket), and a message refused for it comes again from the ledger."""

    async def throttled(self) -> None: ...

    async def not_throttled(self) -> None: ...

    async def allow_request(self) -> bool:
        return True

    async def throttle_delay(self) -> float:
        return 0.0


class _Ears(AbstractHook):
    def __init__(self, session: "Session") -> None:
        self._session = session

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None: ...

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        if isinstance(smpp_message, SubmitSmResp) and smpp_message.log_id:
            self._session.answered(smpp_message.log_id, smpp_message.command_status, smpp_message.message_id)
        elif isinstance(smpp_message, DeliverSm):
            await self._session.heard(smpp_message)

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        """Not sent, or not answered: the stream's own time-out says so."""


Listener = Callable[[list[Heard]], list[Heard]]


class Session:
    """One bound session; `listener` takes what the centre says and gives back what it cannot place yet."""

    def __init__(self, centre: Centre, listener: Listener) -> None:
        self._centre, self._listener = centre, listener
        self._waiting: dict[str, Callable[[SmppCommandStatus, str], None]] = {}
        self._unplaced: list[tuple[float, Heard]] = []
        self._scribe = ThreadPoolExecutor(1, thread_name_prefix="smpp-heard")  # the database, off the loop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="smpp", daemon=True)
        self._thread.start()
        self._ready.wait(ANSWER_S)

    @property
    def bound(self) -> bool:
        return self._esme.session_state.name.startswith("BOUND")

    def submit(
        self, name: str, message: SubmitSm, until_s: float, then: Callable[[SmppCommandStatus, str], None]
    ) -> None:
        """Put one on the link; `then` is called once from the session's thread, or never."""
        self._waiting[name] = then
        self._loop.call_soon_threadsafe(self._queue.put, until_s, message)

    def forget(self, name: str) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(name, None)

    def close(self) -> None:
        with suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self._esme.stop(), self._loop).result(5)
        self._thread.join(5)

    def answered(self, name: str, status: SmppCommandStatus, vendor_id: str) -> None:
        then = self._waiting.pop(name, None)
        if then is not None:
            then(status, vendor_id)

    async def heard(self, message: DeliverSm) -> None:
        """Raises ConnectionError when it could not be kept: the centre is not answered and says it again."""
        if message.is_receipt():
            words = message.parse_receipt()
            one = Heard(str(words.get("id", "")), "", str(words.get("stat", "")))
        else:
            one = Heard("", message.source.number, message.short_message or message.message_payload)
        await self._offer([one])

    async def _offer(self, said: list[Heard]) -> None:
        loop = asyncio.get_running_loop()
        try:
            left = await loop.run_in_executor(self._scribe, self._listener, said)
        except Exception as fault:
            log.warning("smpp.not_kept n=%d error=%s", len(said), type(fault).__name__)
            raise ConnectionError("what the centre said could not be kept") from fault
        self._unplaced += [(time.monotonic() + KEPT_S, one) for one in left]

    async def _offer_again(self) -> None:
        """A receipt may be quicker than the ledger's row of the message."""
        while True:
            await asyncio.sleep(AGAIN_S)
            now_s, kept = time.monotonic(), self._unplaced
            self._unplaced = []
            again = [one for until_s, one in kept if until_s > now_s]
            if again:
                until = {one: until_s for until_s, one in kept}
                with suppress(ConnectionError):
                    await self._offer(again)
                self._unplaced = [(until[one], one) for _, one in self._unplaced]

    def _live(self) -> None:
        asyncio.run(self._bind())

    async def _bind(self) -> None:
        self._loop, self._queue = asyncio.get_running_loop(), _Queue()
        self._esme = ESME(
            smsc_host=self._centre.host,
            smsc_port=self._centre.port,
            system_id=self._centre.system_id,
            password=self._centre.password,
            enquire_link_interval=LINK_S,
            socket_timeout=ANSWER_S,
            log_level="CRITICAL",  # it would log numbers and texts
            log_handler=logging.NullHandler(),
            hook=_Ears(self),
            broker=self._queue,
            throttle_handler=_NoThrottle(),
            correlator=_Correlator("centre", max_ttl_response=2 * ANSWER_S),
            retry_timer=SimpleExponentialBackoff(min_delay=500, max_increases=5),
        )
        self._ready.set()
        again = asyncio.create_task(self._offer_again())
        while True:
            try:
                await self._esme.start()
                again.cancel()
                return  # asked to stop
            except Exception as fault:  # the library gives up on what it does not expect; we do not
                log.error("smpp.session_lost error=%s", type(fault).__name__)
                await asyncio.sleep(AGAIN_S)


_sessions: dict[Centre, Session] = {}
_once = threading.Lock()


def session(centre: Centre, listener: Listener | None = None) -> Session | None:
    """This process's session with that centre; made with a listener, None while nobody has made it."""
    with _once:
        if listener is not None and centre not in _sessions:
            _sessions[centre] = Session(centre, listener)
        return _sessions.get(centre)


def verdict(key: int, status: SmppCommandStatus, vendor_id: str) -> Outcome:
    """What the centre's answer to a submit_sm means for one person."""
    if status is _STATUS.ESME_ROK:
        return Outcome(key, OutcomeKind.SENT, vendor_id=vendor_id[:64])
    fast = status in _TOO_FAST
    kind = _KINDS.get(status, OutcomeKind.TEMPORARY)
    wait_s = THROTTLED_RETRY_S if fast else None
    return Outcome(key, kind, status.name.removeprefix("ESME_")[:64], retry_after_s=wait_s, ours=fast)


def submit_sm(push: Push, source: str, now: datetime, name: str) -> SubmitSm:
    """One text message, in UCS-2 when it has more than plain letters; the centre stops when it expires."""
    words = text(push.message)
    plain = words.isascii()
    most = ONE_SEGMENT_ASCII if plain else ONE_SEGMENT_BYTES
    one = len(words if plain else words.encode("utf-16-be")) <= most
    digits = push.token.removeprefix("+")
    return SubmitSm(
        short_message=words if one else "",
        message_payload="" if one else words,
        source=PhoneNumber(source),
        destination=PhoneNumber(digits, TON.INTERNATIONAL, NPI.ISDN),
        encoding=None if plain else "ucs2",
        registered_delivery=1,
        priority_flag=1 if push.message.critical else 0,
        validity_period=timedelta(seconds=max(left_s(push.message, now, TTL_MAX_S), 1)),
        log_id=name,
    )


class SmppTransport:
    """Text messages through one centre. One instance a process."""

    name = "sms"
    capabilities = Capabilities(
        receipts=True, ttl_max_s=TTL_MAX_S, body_columns=2 * (SEGMENT - SIGNATURE_CHARS)
    )

    def __init__(
        self,
        session: Session,
        source: str,
        *,
        rate_per_s: float,
        answer_s: float = ANSWER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session, self.source, self.answer_s = session, source, answer_s
        self.bucket, self.clock = TokenBucket(rate_per_s), clock
        self._names = count(1)

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in order, within number / rate + `answer_s`."""
        return numbered.send(self.stream, pushes, now)

    def stream(self) -> "Stream":
        return Stream(self)

    def close(self) -> None:
        self.session.close()

    def next_name(self) -> str:
        return f"n{next(self._names)}"


class Stream(Numbered):
    """Text messages on the link."""

    _flying: dict[str, tuple[int, int, float]]  # name -> number, key, until

    def __init__(self, transport: SmppTransport) -> None:
        super().__init__()
        self._transport = transport
        self._answers: SimpleQueue[tuple[str, SmppCommandStatus, str]] = SimpleQueue()

    def landed(self, patience_s: float) -> dict[int, Outcome]:
        """Outcomes by number as they come; none after about `patience_s`."""
        self._start()
        with suppress(Empty):
            self._take(*self._answers.get(timeout=0 if self._settled else patience_s))
            while True:
                self._take(*self._answers.get_nowait())
        now_s = self._transport.clock()
        for name in [name for name, (_, _, until_s) in self._flying.items() if until_s <= now_s]:
            number, key, _ = self._flying.pop(name)
            self._transport.session.forget(name)
            reason = "TIMEOUT" if self._transport.session.bound else "NOT_BOUND"
            self._settled[number] = Outcome(key, OutcomeKind.TEMPORARY, reason)
        return self._handed_out()

    def close(self) -> None:
        """Drop what is still in flight; whether it arrived is unknown."""
        for name in self._flying:
            self._transport.session.forget(name)
        self._flying.clear()
        self._queue.clear()

    def _start(self) -> None:
        transport = self._transport
        granted = transport.bucket.grant(len(self._queue), transport.clock()) if self._queue else 0
        for number, push, now in [self._queue.popleft() for _ in range(granted)]:
            name, until_s = transport.next_name(), transport.clock() + transport.answer_s
            try:
                message = submit_sm(push, transport.source, now, name)
            except ValueError:
                self._settled[number] = Outcome(push.key, OutcomeKind.PERMANENT, "UNENCODABLE")
                continue
            self._flying[name] = number, push.key, until_s

            def then(status: SmppCommandStatus, vendor_id: str, name: str = name) -> None:
                self._answers.put((name, status, vendor_id))

            transport.session.submit(name, message, until_s, then)

    def _take(self, name: str, status: SmppCommandStatus, vendor_id: str) -> None:
        if name in self._flying:
            number, key, _ = self._flying.pop(name)
            self._settled[number] = verdict(key, status, vendor_id)
