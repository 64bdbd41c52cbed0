"""The centre's end of SL 651 lines: accept, keep, confirm, ask again, set clocks, ask for what an engineer wants.

Owns the talk with each station over TCP. What a report says is not looked at here: it is kept first (telegrams.py),
then confirmed, so slow storage of observations never makes a station wait. What could not be kept is not confirmed,
and the station sends it again. Heartbeats are not kept. Source: SL 651-2014, modes M1 to M4.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeVar

from django.db import DatabaseError, connections

from hydrology.feeds import questions, telegrams
from hydrology.science.sl651 import Direction, End, Frame, Function, Noise, Receiver, encode
from hydrology.science.sl651_fields import ClockState, clock
from hydrology.science.sl651_talk import (
    Assembler,
    Step,
    confirm,
    expects_answer,
    question,
    sent_at,
    set_clock,
)

log = logging.getLogger(__name__)
GONE = timedelta(minutes=15)  # a station stays on the line for 10 minutes after ESC
STORAGE_S = 5.0
NOISE_BYTES = 16_384  # a line that sends more than this is no station
CLOCK_COMMANDS = 2
MOST_HEARD = 10_000  # stations remembered at a time
READ_BYTES = 4096


@dataclass(slots=True)
class Listener:
    """Which lines are let in, and what they share. `kept` is set whenever a telegram was queued."""

    feed_key: str
    allowed: Sequence[IPv4Network | IPv6Network]
    now: Callable[[], datetime]
    hang_up: bool = False
    silence_s: float = 10.0  # then what is incomplete is given up or asked for again
    most_lines: int = 1000
    most_of_one_peer: int = 256
    lines: Counter[str] = field(default_factory=Counter)
    kept: asyncio.Event = field(default_factory=asyncio.Event)
    heard: dict[str, tuple["_Line", Frame]] = field(default_factory=dict)
    """By station the line it last spoke on, while that is open, and what it said there."""

    async def open(self, host: str, port: int) -> asyncio.Server:
        """Listen; port 0 takes a free one."""
        return await asyncio.start_server(self._talk, host, port)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("unknown",))[0])
        refused = self._refusal(peer)
        if refused:
            log.warning("line.refused peer=%s why=%s", peer, refused)
            writer.close()
            return
        self.lines[peer] += 1
        line = _Line(self, peer, reader, writer)
        try:
            await line.talk()
        except (ConnectionError, TimeoutError) as error:
            log.warning("line.lost peer=%s error=%r", peer, error)
        finally:
            self.lines[peer] -= 1
            self.heard = {rtu: (on, frame) for rtu, (on, frame) in self.heard.items() if on is not line}
            writer.close()

    async def ask(self) -> None:
        """Send the questions that are due to stations on the line. Raises ConnectionError without a database."""
        heard = dict(self.heard)
        if not heard:
            return
        for each in await _stored(questions.due, self.feed_key, list(heard), self.now()):
            line, frame = heard[each.rtu]
            try:
                await line.send(question(frame, each.function, bytes(each.wanted), self.now()))
            except (ConnectionError, TimeoutError, ValueError) as error:
                log.warning("line.not_asked rtu=%s question=%s error=%r", each.rtu, each.pk, error)

    def _refusal(self, peer: str) -> str:
        try:
            known = any(ip_address(peer) in network for network in self.allowed)
        except ValueError:
            known = False
        if not known:
            return "not on the list of addresses"
        if self.lines.total() >= self.most_lines or self.lines[peer] >= self.most_of_one_peer:
            return "too many lines"
        return ""


class _Line:
    """One connection."""

    def __init__(
        self, listener: Listener, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._listener = listener
        self._peer = peer
        self._reader = reader
        self._writer = writer
        self._receiver = Receiver()
        self._assembler = Assembler(patience=timedelta(seconds=listener.silence_s))
        self._noise_bytes = 0
        self._clock_commands: Counter[str] = Counter()

    async def talk(self) -> None:
        """Until the station hangs up, is silent for long, or sends too much noise."""
        heard_at = self._listener.now()
        while self._noise_bytes <= NOISE_BYTES:
            try:
                received = await asyncio.wait_for(self._reader.read(READ_BYTES), self._listener.silence_s)
            except TimeoutError:
                await self._hear(self._receiver.end())
                for step in self._assembler.stalled(self._listener.now()):
                    await self._follow(step)
                if self._listener.now() - heard_at > GONE:
                    return
                continue
            if not received:
                await self._hear(self._receiver.end())
                await self._follow(self._assembler.give_up("the line was closed"))
                return
            heard_at = self._listener.now()
            await self._hear(self._receiver.feed(received))
        log.warning("line.noise peer=%s", self._peer)

    async def _hear(self, events: Sequence[Frame | Noise]) -> None:
        for event in events:
            if isinstance(event, Noise):
                self._noise_bytes += len(event.raw)
                await self._quarantine(event.raw, f"{event.where}: {event.why} ({event.fault})")
            elif event.direction is Direction.DOWN:
                await self._quarantine(event.raw, "a frame of a centre, not of a station")
            else:
                self._note(event)
                if event.function == Function.HEARTBEAT:
                    await self._mend_clock(event)
                else:
                    await self._follow(self._assembler.take(event, self._listener.now()))

    def _note(self, frame: Frame) -> None:
        """The station is on this line; of what it said only how to address it is remembered."""
        heard = self._listener.heard
        if frame.rtu in heard or len(heard) < MOST_HEARD:
            heard[frame.rtu] = self, replace(frame, text=b"", raw=b"")

    async def _follow(self, step: Step) -> None:
        if step.lost:
            await self._quarantine(b"".join(frame.raw for frame in step.lost), step.why)
        if step.repair:
            await self.send(step.repair)
        if step.whole:
            listener = self._listener
            await _stored(telegrams.keep, listener.feed_key, self._peer, step.whole, listener.now())
            listener.kept.set()
            if expects_answer(step.whole):
                await self.send(confirm(step.whole, listener.now(), self._end(step.whole)))
            await self._mend_clock(step.whole)

    def _end(self, frame: Frame) -> End:
        if frame.end is End.ETB:
            return End.ACK
        return End.EOT if self._listener.hang_up and not self._needs_clock(frame) else End.ESC

    def _needs_clock(self, frame: Frame) -> bool:
        """More than 5 minutes off; two commands at most, for one that does not help will not help ten times."""
        if clock(sent_at(frame), self._listener.now()).state is ClockState.RIGHT:
            self._clock_commands.pop(frame.rtu, None)
            return False
        return self._clock_commands[frame.rtu] < CLOCK_COMMANDS

    async def _mend_clock(self, frame: Frame) -> None:
        if frame.function != Function.SET_CLOCK and self._needs_clock(frame):
            self._clock_commands[frame.rtu] += 1
            log.warning("line.clock peer=%s rtu=%s sent_at=%s", self._peer, frame.rtu, sent_at(frame))
            await self.send(set_clock(frame, self._listener.now()))

    async def send(self, frame: Frame) -> None:
        """Write a frame of ours. Raises ConnectionError or TimeoutError."""
        self._writer.write(encode(frame))
        await asyncio.wait_for(self._writer.drain(), STORAGE_S)

    async def _quarantine(self, raw: bytes, reason: str) -> None:
        listener = self._listener
        await _stored(telegrams.quarantine, listener.feed_key, self._peer, raw, reason, listener.now())


_Wrote = TypeVar("_Wrote")


async def _stored(store: Callable[..., _Wrote], *args: object) -> _Wrote:
    """Run a write in a thread. Raises ConnectionError when it fails or takes too long: the line is closed unconfirmed."""

    def write() -> _Wrote:
        try:
            return store(*args)
        finally:
            connections.close_all()

    try:
        return await asyncio.wait_for(asyncio.to_thread(write), STORAGE_S)
    except (DatabaseError, TimeoutError) as error:
        raise ConnectionError(f"could not be kept: {error!r}") from error
