"""The officers' sockets: hello with a ticket, what was missed since `seq`, then live frames.

Owns the open sockets of this process and one Redis subscription for all of them. Frames are encoded once and
sent by a local loop; a socket that does not take its frame in time is closed and resumes by `since`. A socket is
only a hint: the inbox is the record, so after a lost subscription every socket is caught up from the ledger.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import ClassVar

import orjson
import redis.asyncio
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from foundation.clock import now
from foundation.errors import Refusal
from foundation.renewed import hinted
from foundation.scope import Scope, below
from foundation.wire import HINTS
from hydrology.models import Region
from notifications.api import take_receipts
from notifications.inbox import common, items, line_of, papers_of
from notifications.models import STOPPED_REASONS, Delivery, Errand
from notifications.own_tasks import Line, own_tasks, spoken
from officers.auth import Grant, redeem_ticket

log = logging.getLogger(__name__)

HELLO_S = 5.0
PING_S = 25.0
SLOW_S = 5.0  # a socket that has not taken one frame by then is dropped; it resumes by `since`
BOARD_S = 0.5  # board frames are gathered this long
PAGE = 200
NOT_SIGNED_IN, TOPIC_OUTSIDE, NO_HELLO, REPLACED, TOO_SLOW = 4401, 4403, 4408, 4409, 4410


class OfficerSocket(AsyncWebsocketConsumer):
    """One phone or board. Speaks the frames of the outside contract."""

    grant: Grant | None = None
    ready = False  # caught up: live frames may be sent
    seen = 0
    level_paths: tuple[str, ...] = ()
    inbox = True
    board = False
    _timeout: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        await self.accept()
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(HELLO_S, lambda: loop.create_task(self._no_hello()))

    async def _no_hello(self) -> None:
        if self.grant is None:
            await self.close(NO_HELLO)

    async def disconnect(self, code: int) -> None:
        if self._timeout:
            self._timeout.cancel()
        Hub.here().leave(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = orjson.loads(text_data or bytes_data or b"")
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            return await self._complain("malformed", "须为 JSON 对象 / send a JSON object")
        match frame.get("type"):
            case "hello" if self.grant is None:
                await self._hello(frame)
            case "receipt" if self.grant is not None:
                await self._receipt(frame)
            case "pong":
                pass
            case kind:
                await self._complain("unexpected", f"{repr(kind)[:40]} 此时不可用 / not possible now")
        return None

    async def say(self, frame: dict[str, object]) -> None:
        await self.send(text_data=orjson.dumps(frame).decode())

    async def _complain(self, code: str, message: str) -> None:
        await self.say({"type": "error", "code": code, "message": message})

    async def _hello(self, frame: dict[str, object]) -> None:
        ticket, since, topics = frame.get("ticket"), frame.get("since", 0), frame.get("topics", [])
        if not isinstance(topics, list) or not isinstance(since, int) or isinstance(since, bool) or since < 0:
            return await self._complain(
                "malformed", "since 须为序号，topics 须为数组 / a number and an array"
            )
        try:
            grant = (
                await database_sync_to_async(redeem_ticket)(ticket, now())
                if isinstance(ticket, str)
                else None
            )
        except Refusal:  # Redis is away: the phone tries again with a new ticket
            grant = None
        if grant is None:
            return await self.close(NOT_SIGNED_IN)
        topics = [str(topic) for topic in topics]
        paths = await database_sync_to_async(_topic_paths)(topics, grant.scope)
        if paths is None:
            return await self.close(TOPIC_OUTSIDE)
        self.grant, self.level_paths, self.seen = grant, paths, since
        self.inbox = "inbox" in topics or not topics
        self.board = any(topic.startswith("board:") for topic in topics)
        await Hub.here().join(self)
        await self.say({"type": "welcome", "seq": since})
        await self.catch_up()
        self.ready = True
        await self.catch_up()  # what was committed between the last page and `ready`
        return None

    async def catch_up(self) -> None:
        """Send every inbox item after `seen`, in order.

        Live frames do not move `seen`: a repeated item costs a few bytes, a gap would cost a message.
        """
        assert self.grant is not None
        while self.inbox and (
            items := await database_sync_to_async(_missed)(self.grant.officer_id, self.seen)
        ):
            for one in items:
                await self.say({"type": "inbox", **one})
                self.seen = max(self.seen, int(str(one["seq"])))

    async def _receipt(self, frame: dict[str, object]) -> None:
        assert self.grant is not None
        raw = frame.get("receipts", [{k: v for k, v in frame.items() if k != "type"}])
        try:
            results = await database_sync_to_async(take_receipts)(self.grant.officer_id, raw, "socket")
        except Refusal as error:
            return await self._complain(error.code, f"{error.zh} {error.en}")
        return await self.say({"type": "receipts", "results": results})


class Hub:
    """All sockets of this process, one subscription, one ping loop."""

    _here: ClassVar["Hub | None"] = None

    def __init__(self) -> None:
        self.sockets: dict[int, set[OfficerSocket]] = {}
        self.devices: dict[int, OfficerSocket] = {}
        self.tasks: set[asyncio.Task[None]] = set()  # held, or the loop may collect them
        self.boards: set[int] = set()

    @classmethod
    def here(cls) -> "Hub":
        if cls._here is None:
            cls._here = cls()
        return cls._here

    async def join(self, socket: OfficerSocket) -> None:
        """Register after hello; an older socket of the same device is closed. Starts the loops once."""
        assert socket.grant is not None
        old = self.devices.get(socket.grant.device_id)
        if old is not None:
            self.leave(old)
            await old.close(REPLACED)
        self.sockets.setdefault(socket.grant.officer_id, set()).add(socket)
        self.devices[socket.grant.device_id] = socket
        if not self.tasks:
            for loop in (self._listen(), self._ping(), self._tell_boards()):
                self.tasks.add(asyncio.create_task(loop))

    def leave(self, socket: OfficerSocket) -> None:
        if socket.grant is None:
            return
        mine = self.sockets.get(socket.grant.officer_id, set())
        mine.discard(socket)
        if not mine:
            self.sockets.pop(socket.grant.officer_id, None)
        if self.devices.get(socket.grant.device_id) is socket:
            del self.devices[socket.grant.device_id]

    def everyone(self) -> list[OfficerSocket]:
        return [socket for mine in self.sockets.values() for socket in mine]

    async def _listen(self) -> None:
        """The one subscription. Each time it begins, all sockets are caught up: hints before it are gone.

        redis-py reconnects by itself without raising; the server's reply to SUBSCRIBE is what tells.
        """
        while True:
            try:
                client = redis.asyncio.Redis.from_url(settings.REDIS_DATA_URL, health_check_interval=10)
                async with client, client.pubsub() as subscription:
                    await subscription.subscribe(HINTS)
                    async for message in subscription.listen():
                        match message["type"]:
                            case "subscribe":
                                await asyncio.gather(
                                    *(s.catch_up() for s in self.everyone() if s.ready),
                                    return_exceptions=True,
                                )
                            case "message":
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
                    await self._tell_inbox(int(message["dispatch"]))
                case "levels":
                    await self._tell_levels(message)
                case "board":
                    self.boards.add(int(message["dispatch"]))
        except Exception:  # one bad hint must not end the subscription of everybody
            log.exception("sockets.hint_failed")

    async def _tell_inbox(self, dispatch: int) -> None:
        """The new dispatch to those of its audience who are connected here: one query, one text a language."""
        connected = list(self.sockets)
        frames = await database_sync_to_async(_inbox_frames)(dispatch, connected)
        await asyncio.gather(
            *(
                self._send(socket, frame)
                for officer, frame in frames
                for socket in self.sockets.get(officer, ())
                if socket.ready and socket.inbox
            )
        )
        self.boards.add(dispatch)

    async def _tell_levels(self, message: dict[str, object]) -> None:
        """What changed, by region, to those whose topics lie there or above; each item is encoded once."""
        changes: dict[str, list[object]] = message.get("changes", {})  # type: ignore[assignment]
        encoded = {path: orjson.dumps(items).decode()[1:-1] for path, items in changes.items() if items}
        head = orjson.dumps({"type": "levels", "as_of": message.get("as_of")}).decode()[:-1]
        wanted: dict[tuple[str, ...], list[OfficerSocket]] = {}
        for socket in self.everyone():
            if socket.level_paths and socket.ready:
                wanted.setdefault(socket.level_paths, []).append(socket)
        for paths, sockets in wanted.items():
            theirs = [items for path, items in encoded.items() if below(path, paths)]
            if theirs:
                await self._send_all(sockets, f'{head},"changes":[{",".join(theirs)}]}}')

    async def _tell_boards(self) -> None:
        while True:
            await asyncio.sleep(BOARD_S)
            if self.boards:
                frame = orjson.dumps({"type": "board", "dispatches": sorted(self.boards)}).decode()
                self.boards.clear()
                await self._send_all((s for s in self.everyone() if s.board and s.ready), frame)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._send_all(self.everyone(), '{"type":"ping"}')

    async def _send_all(self, sockets: Iterable[OfficerSocket], frame: str) -> None:
        await asyncio.gather(*(self._send(socket, frame) for socket in sockets))

    async def _send(self, socket: OfficerSocket, frame: str) -> None:
        try:
            async with asyncio.timeout(SLOW_S):
                await socket.send(text_data=frame)
        except TimeoutError:
            self.leave(socket)
            await socket.close(TOO_SLOW)
        except Exception as error:  # the peer is gone: its own disconnect tidies up
            log.debug("sockets.send_failed error=%s", type(error).__name__)
            self.leave(socket)


def _topic_paths(topics: list[str], scope: Scope) -> tuple[str, ...] | None:
    """The region paths of the level topics; None when a topic lies outside the scope or is unknown."""
    wanted = {}
    for topic in topics:
        kind, _, code = topic.partition(":")
        if kind in {"levels", "board"} and code:
            wanted.setdefault(kind, set()).add(code)
        elif topic != "inbox":
            return None
    codes = set().union(*wanted.values()) if wanted else set()
    paths = dict(Region.objects.filter(code__in=codes).values_list("code", "path"))
    for kind, its_codes in wanted.items():
        allowed = scope.water_paths if kind == "levels" else scope.paths
        if any(code not in paths or not below(paths[code], allowed) for code in its_codes):
            return None
    return tuple(sorted(paths[code] for code in wanted.get("levels", ())))


def _missed(officer_id: int, since: int) -> list[dict[str, object]]:
    rows = Delivery.objects.inbox(officer_id, since).select_related("officer")[:PAGE]
    return items(rows, rows[0].officer.language, now=now()) if rows else []


def _inbox_frames(dispatch: int, officers: list[int]) -> list[tuple[int, str]]:
    """(officer, frame) for the connected officers whom the dispatch addresses; the text is encoded once.

    An order's frames end in each one's own tasks, each set of tasks encoded once a language.
    """
    rows = (
        Delivery.objects.filter(dispatch_id=dispatch, officer_id__in=officers)
        .exclude(dispatch__errand=Errand.REPEAT)
        .exclude(reason__in=STOPPED_REASONS)
        .order_by("id")
        .values_list("id", "officer_id", "officer__language", "state", "quiet")
    )
    if not rows:
        return []
    sample = Delivery.objects.select_related("dispatch__bulletin").get(pk=rows[0][0])
    order = sample.dispatch.bulletin.order_id
    lines = [Line(row[0], row[1], order) for row in rows] if order and line_of(sample) else []
    tasks = own_tasks(lines, now=now())
    papers = papers_of([order]).get(order or 0, [])
    tails = {
        language: orjson.dumps(common(sample, language) | {"attachments": papers}).decode()[1:-1]
        for language in ("zh", "en")
    }
    encoded: dict[tuple[str, tuple[object, ...]], str] = {}

    def own(pk: int, language: str) -> str:
        theirs = tasks.get(pk, [])
        key = (language, tuple((task["id"], task["state"]) for task in theirs))
        if key not in encoded:
            encoded[key] = orjson.dumps([spoken(task, language) for task in theirs]).decode()
        return encoded[key]

    return [
        (
            officer,
            f'{{"type":"inbox","seq":{pk},"id":{pk},"state":"{state}","quiet":{"true" if quiet else "false"},'
            f'{tails[language]},"tasks":{own(pk, language)}}}',
        )
        for pk, officer, language, state, quiet in rows
    ]
