"""All officers' sockets of one server process: who is here, what each has been told, and one Redis subscription.

A socket is only a hint, the inbox is the record. So the hub keeps one mark: everything up to that seq has been told to
whoever is connected here. A hint that something is new, the sweep every SWEEP_S, and a subscription that begins again
all do the same: read the ledger after the mark, tell it, move the mark. Nothing depends on a hint that arrives.

Frames are encoded once and written straight to the line; a line that takes nothing is cut and resumes by `since`.
Runs on the event loop; reads the ledger in threads.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from socket import gethostname
from typing import Any, ClassVar, Final

import orjson
import redis.asyncio
from channels.db import database_sync_to_async

from foundation.renewed import hinted
from foundation.scope import below
from foundation.together import Together
from foundation.wire import HINTS, beat, client, hint
from notifications import frames
from notifications.entering import TOPIC_OUTSIDE, Entry, Hello, enter, outside
from notifications.frames import Item, Since
from officers.grants import lately_ended

log = logging.getLogger(__name__)

PING_S: Final = 25.0
TURNS: Final = 25  # pings go to so many parts of the sockets in turn: 15,000 answers at once would be felt
SLOW_S: Final = 10.0  # a line that has taken nothing for so long is cut
MOST_UNSENT: Final = 1 << 20  # bytes a line may leave untaken; beyond it is cut at once
ROOM: Final = 1 << 16  # with more than this untaken, the next page of what was missed waits
BOARD_S: Final = 0.5  # board frames and joins are gathered this long
SWEEP_S: Final = 5.0
POSTS_S: Final = (
    240.0  # what a post no longer covers is heard no longer than live water is read without it (ADR 8)
)
PAGE: Final = 50  # items of catching up a socket and query
MOST_TOGETHER: Final = 250  # hellos or sockets behind a query
MOST_TOLD: Final = 100_000  # lines a query, when much is new
STRIDE: Final = 500  # sockets between two looks at everything else the loop has to do
SOCKETS: Final = "sockets"  # signs of life of the server processes, each with how many it holds
BEAT_S: Final = 15.0
NOT_SIGNED_IN, REPLACED = 4401, 4409
PING: Final = frames.framed(type="ping")


class Socket:
    """One welcomed phone or board. `upto`: it has been told everything up to this seq."""

    __slots__ = (
        "behind", "device", "hub", "inbox", "issued_at_s", "line", "officer", "send", "session", "stalled_s",
        "topics", "turn", "unsent", "upto",
    )  # fmt: skip

    def __init__(self, hub: "Hub", line: asyncio.Transport, send: Callable[[Any], Awaitable[None]]) -> None:
        self.hub, self.line, self.send = hub, line, send
        self.behind = False  # catching up: live items wait
        self.unsent, self.stalled_s = 0, 0.0

    def take(self, entry: Entry, turn: int) -> None:
        grant = entry.admission.grant
        self.officer, self.device, self.session = grant.officer_id, grant.device_id, grant.session_id
        self.issued_at_s = entry.admission.issued_at.timestamp()
        self.inbox, self.topics = entry.inbox, entry.topics
        self.turn, self.upto = turn, entry.seq

    def write(self, frame: bytes) -> None:
        """Never waits. A line with too much untaken is cut instead."""
        if self.line.is_closing():
            return None
        if self.line.get_write_buffer_size() > MOST_UNSENT:
            return self.cut("bytes")
        return self.line.write(frame)

    def cut(self, why: str) -> None:
        log.info("sockets.too_slow why=%s unsent=%s", why, self.line.get_write_buffer_size())
        self.hub.leave(self)
        self.line.abort()

    def close(self, code: int) -> None:
        """With this code; a line that does not take the close frame is cut."""
        self.hub.leave(self)
        self.hub.hold(self._close(code))

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(SLOW_S):
                await self.send({"type": "websocket.close", "code": code})
        except TimeoutError:
            self.line.abort()

    def look(self, elapsed_s: float) -> None:
        """Whether the line still takes what it is given."""
        unsent = self.line.get_write_buffer_size()
        stalled = 0 < self.unsent <= unsent
        self.unsent, self.stalled_s = unsent, self.stalled_s + elapsed_s if stalled else 0.0
        if self.stalled_s >= SLOW_S:
            self.cut("time")


class Hub:
    """The sockets of this process."""

    _here: ClassVar["Hub | None"] = None

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.name = secrets.token_hex(8)  # of this process, on the wire
        self.sockets: dict[int, set[Socket]] = {}  # by officer
        self.devices: dict[int, Socket] = {}
        self.mark: int | None = None  # everything up to it has been told here; None: nobody was here yet
        self.tasks: set[asyncio.Future[None]] = set()  # held, or the loop may collect them
        self.boards: set[int] = set()
        self._behind: set[Socket] = set()
        self._joined: dict[int, float] = {}  # device: when its ticket was issued; not yet told to the others
        self._turn = self._pinged = 0
        self._started = False
        self._enter = Together(lambda hellos: enter(hellos, clock(), page=PAGE), most=MOST_TOGETHER)
        self._new, self._ended, self._lagging = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @classmethod
    def here(cls, clock: Callable[[], datetime]) -> "Hub":
        if cls._here is None:
            cls._here = cls(clock)
        return cls._here

    def everyone(self) -> list[Socket]:
        return [socket for mine in self.sockets.values() for socket in mine]

    # coming and going

    async def enter(self, socket: Socket, hello: Hello) -> int | None:
        """Let it in and write the welcome with what was missed; or the code to close it with. Raises Refusal 503."""
        entry = await self._enter.ask(hello)
        if isinstance(entry, int):
            return entry
        if not self._started:
            self._start()
        self._turn = (self._turn + 1) % TURNS
        socket.take(entry, self._turn)
        if not self._join(socket):
            return REPLACED
        welcome = frames.framed(type="welcome", seq=entry.seq, gap=entry.gap)
        socket.write(welcome + b"".join(item.frame for item in entry.items))
        if self.mark is None:
            self.mark = entry.newest
        self._caught_up(socket, entry.items, entry.newest)
        return None

    def _join(self, socket: Socket) -> bool:
        """Of two sockets of one device the one with the later ticket stands, here and in the other processes."""
        rival = self.devices.get(socket.device)
        if rival is not None and rival.issued_at_s > socket.issued_at_s:
            return False
        if rival is not None:
            rival.close(REPLACED)
        self.sockets.setdefault(socket.officer, set()).add(socket)
        self.devices[socket.device] = socket
        self._joined[socket.device] = socket.issued_at_s
        return True

    def leave(self, socket: Socket) -> None:
        mine = self.sockets.get(socket.officer)
        if mine is None or socket not in mine:
            return
        mine.discard(socket)
        if not mine:
            del self.sockets[socket.officer]
        if self.devices.get(socket.device) is socket:
            del self.devices[socket.device]
        self._behind.discard(socket)

    # what was missed

    def _caught_up(self, socket: Socket, items: list[Item], newest: int) -> None:
        """It has these of what is not beyond `newest`; if that is not all by now, it catches up again."""
        more = len(items) == PAGE
        socket.upto = max(socket.upto, items[-1].seq if more else newest)
        socket.behind = socket.inbox and (more or socket.upto < (self.mark or 0))
        if socket.behind:
            self._behind.add(socket)
            self._lagging.set()
        else:
            self._behind.discard(socket)

    async def _catch_up(self) -> None:
        while ready := [socket for socket in self._behind if socket.line.get_write_buffer_size() <= ROOM]:
            batch = ready[:MOST_TOGETHER]
            wanted = [Since(socket.officer, socket.upto) for socket in batch]
            newest, theirs = await _missed(wanted, self._clock())
            if not any(theirs) and all(newest <= socket.upto for socket in batch):
                return  # a ledger that came back older than what was told: `_tell` finds out, or there is more next time
            for socket, items in zip(batch, theirs, strict=True):
                if socket in self._behind:
                    socket.write(b"".join(item.frame for item in items))
                    self._caught_up(socket, items, newest)

    # what is new

    async def _tell(self) -> None:
        """Everything after the mark to whoever is connected. Who comes in meanwhile reads up to the new mark himself."""
        while self.mark is not None:
            newest = (await _ledger()).newest
            if newest < self.mark:  # restored, or another primary that had not heard the last lines
                log.warning("sockets.ledger_older mark=%s newest=%s", self.mark, newest)
                self.mark = newest
                for socket in self.everyone():
                    socket.upto = min(socket.upto, newest)
            if newest == self.mark:
                break
            since, self.mark = self.mark, await _step(self.mark, newest, MOST_TOLD)
            try:
                items = await _told(since, self.mark, list(self.sockets), self._clock())
            except BaseException:
                self.mark = since  # told again by the next sweep; who has it already is passed over
                raise
            self.boards.update({item.dispatch for item in items})
            for number, item in enumerate(items):
                for socket in self.sockets.get(item.officer, ()):
                    if socket.inbox and not socket.behind and socket.upto < item.seq:
                        socket.write(item.frame)
                        socket.upto = item.seq
                if number % STRIDE == STRIDE - 1:
                    await asyncio.sleep(0)

    async def _tell_levels(self, message: dict[str, Any]) -> None:
        """What changed, by region, to those whose topics lie there or above; each item is encoded once."""
        encoded = {path: orjson.dumps(items)[1:-1] for path, items in message["changes"].items() if items}
        head = orjson.dumps({"type": "levels", "as_of": message.get("as_of")})[:-1]
        wanted: dict[tuple[str, ...], list[Socket]] = {}
        for socket in self.everyone():
            if socket.topics.levels:
                wanted.setdefault(socket.topics.levels, []).append(socket)
        for paths, sockets in wanted.items():
            theirs = [items for path, items in encoded.items() if below(path, paths)]
            if theirs:
                await self._send_all(sockets, frames.text(head + b',"changes":[' + b",".join(theirs) + b"]}"))

    async def _tell_boards(self) -> None:
        if self.boards:
            frame = frames.framed(type="board", dispatches=sorted(self.boards))
            self.boards.clear()
            await self._send_all([socket for socket in self.everyone() if socket.topics.boards], frame)

    async def _send_all(self, sockets: Iterable[Socket], frame: bytes) -> None:
        for number, socket in enumerate(sockets):
            socket.write(frame)
            if number % STRIDE == STRIDE - 1:
                await asyncio.sleep(0)

    # the wire

    async def _listen(self) -> None:
        """The one subscription. Each time it begins the ledger is read: hints before it are gone.

        redis-py reconnects by itself without raising; the server's reply to SUBSCRIBE is what tells.
        """
        while True:
            try:
                listener = client(redis.asyncio.Redis, health_check_interval=10)
                async with listener, listener.pubsub() as subscription:
                    await subscription.subscribe(HINTS)
                    async for message in subscription.listen():
                        if message["type"] == "subscribe":
                            self._new.set()
                            self._ended.set()
                        elif message["type"] == "message":
                            await self._on_hint(message["data"])
            except (redis.RedisError, OSError) as error:
                log.warning("sockets.subscription_lost error=%s", type(error).__name__)
                await asyncio.sleep(1)

    async def _on_hint(self, raw: bytes) -> None:
        try:
            message = orjson.loads(raw)
            hinted(message["kind"])
            match message["kind"]:
                case "dispatch":
                    self.boards.add(int(message["dispatch"]))
                    self._new.set()
                case "levels":
                    await self._tell_levels(message)
                case "board":
                    self.boards.add(int(message["dispatch"]))
                case "signed_out":
                    self._ended.set()
                case "joined" if message["at"] != self.name:
                    self._replace(message["devices"])
        except Exception:  # one bad hint must not end the subscription of everybody
            log.exception("sockets.hint_failed")

    def _replace(self, devices: dict[str, float]) -> None:
        for device, issued_at_s in devices.items():
            mine = self.devices.get(int(device))
            if mine is not None and mine.issued_at_s < issued_at_s:
                mine.close(REPLACED)

    async def _announce(self) -> None:
        if self._joined:
            joined, self._joined = self._joined, {}
            devices = {str(device): issued_at_s for device, issued_at_s in joined.items()}
            await asyncio.to_thread(hint, "joined", at=self.name, devices=devices)

    async def _close_ended(self) -> None:
        """Sockets of sessions that were ended and of officers who left; lately, for the others were closed then."""
        ended = await _lately_ended(self._clock())
        for socket in self.everyone():
            if socket.session in ended.sessions or socket.officer in ended.officers:
                socket.close(NOT_SIGNED_IN)

    async def _close_outside(self) -> None:
        """Sockets with a topic that their officers' posts no longer cover; he comes back and says what he may hear."""
        heard = {(socket.officer, socket.topics) for socket in self.everyone() if any(socket.topics)}
        if heard and (gone := await _outside(heard, self._clock())):
            for socket in self.everyone():
                if (socket.officer, socket.topics) in gone:
                    socket.close(TOPIC_OUTSIDE)

    async def _take_turn(self) -> None:
        self._pinged = (self._pinged + 1) % TURNS
        for socket in self.everyone():
            if socket.turn == self._pinged:
                socket.write(PING)
            socket.look(PING_S / TURNS)

    # the loops

    def _start(self) -> None:
        self._started = True
        never = asyncio.Event()
        self.hold(self._listen())
        self.hold(_again(self._tell, self._new, SWEEP_S))
        self.hold(_again(self._close_ended, self._ended, SWEEP_S))
        self.hold(_again(self._close_outside, never, POSTS_S))
        self.hold(_again(self._catch_up, self._lagging, 1.0))
        self.hold(_again(self._tell_boards, never, BOARD_S))
        self.hold(_again(self._announce, never, BOARD_S))
        self.hold(_again(self._take_turn, never, PING_S / TURNS))
        self.hold(_again(self._beat, never, BEAT_S))

    async def _beat(self) -> None:
        """For the metrics of whichever process is asked."""
        who = f"{gethostname()}:{os.getpid()}"
        await asyncio.to_thread(beat, SOCKETS, who, self._clock(), len(self.devices))

    def hold(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _again(job: Callable[[], Awaitable[None]], nudged: asyncio.Event, every_s: float) -> None:
    """The job at every nudge and every `every_s`, for ever; a fault is said and the next turn tries again."""
    while True:
        try:
            async with asyncio.timeout(every_s):
                await nudged.wait()
        except TimeoutError:
            pass
        nudged.clear()
        try:
            await job()
        except Exception as fault:
            log.warning("sockets.job_failed job=%s error=%s", job.__name__, type(fault).__name__)


def _missed_now(wanted: list[Since], now: datetime) -> tuple[int, list[list[Item]]]:
    newest = frames.ledger().newest
    return newest, frames.missed(wanted, newest, now, most=PAGE)


_missed = database_sync_to_async(_missed_now, thread_sensitive=False)
_ledger = database_sync_to_async(frames.ledger, thread_sensitive=False)
_step = database_sync_to_async(frames.step, thread_sensitive=False)
_told = database_sync_to_async(frames.told, thread_sensitive=False)
_outside = database_sync_to_async(outside, thread_sensitive=False)
_lately_ended = database_sync_to_async(lately_ended, thread_sensitive=False)
