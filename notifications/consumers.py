"""What one officer's phone or board says on its socket and is answered: hello, receipts, pong.

Speaks the frames of the outside contract. A plain ASGI application behind Channels' routing: a consumer of Channels
costs two tasks a message (docs/adr/0015). What is sent without being asked for is the hub's (hub.py).
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from channels.db import database_sync_to_async

from foundation.clock import now
from foundation.errors import Refusal, in_one, language_of
from notifications import frames
from notifications.api import take_receipts
from notifications.entering import NOT_SIGNED_IN, TOPIC_OUTSIDE, Hello
from notifications.hub import Hub, Socket

log = logging.getLogger(__name__)

HELLO_S = 5.0
LATE_S: Final = 0.5  # a loop that comes so much later than asked has thousands at the door
NO_HELLO, TRY_AGAIN = 4408, 1013
MOST_TOPICS: Final = 50
TOPIC: Final = re.compile(r"inbox|(?:levels|board):[A-Za-z0-9_-]{1,32}")
LINE: Final = "line"  # the server's extension that lends its transport: backend/web.py
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def officer_socket(scope: Message, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    line = scope["extensions"].get(LINE)
    if line is None:
        log.error("sockets.no_line; start the server by `python -m backend.web`")
        return await send({"type": "websocket.close"})
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    return await _Talk(line, send, language_of(_accepted(scope))).listen(receive)


def _accepted(scope: Message) -> str:
    """The Accept-Language of the handshake."""
    return dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")


class _Talk:
    __slots__ = ("due_s", "language", "loop", "send", "socket", "timeout", "welcomed")

    def __init__(self, line: asyncio.Transport, send: Send, language: str) -> None:
        self.language = language
        self.send, self.socket, self.welcomed = send, Socket(Hub.here(now), line, send), False
        self.loop = asyncio.get_running_loop()
        self._await_hello()

    async def listen(self, receive: Receive) -> None:
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await self._hear(message.get("text") or message.get("bytes") or "")
        finally:
            self.timeout.cancel()
            if self.welcomed:
                self.socket.hub.leave(self.socket)

    def _await_hello(self) -> None:
        self.due_s = self.loop.time() + HELLO_S
        self.timeout = self.loop.call_at(self.due_s, self._no_hello)

    def _no_hello(self) -> None:
        if self.loop.time() - self.due_s > LATE_S:  # ours is the delay: the hello may lie here unread
            self._await_hello()
        else:
            self.socket.hub.hold(self._close(NO_HELLO))

    async def _close(self, code: int) -> None:
        await self.send({"type": "websocket.close", "code": code})

    async def _hear(self, raw: str | bytes) -> None:
        try:
            frame = orjson.loads(raw)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            return self._complain("malformed", "须为 JSON 对象 / send a JSON object")
        match frame.get("type"):
            case "hello" if not self.welcomed:
                await self._hello(frame)
            case "receipt" if self.welcomed:
                await self._receipt(frame)
            case "pong":
                pass
            case kind:
                self._complain("unexpected", f"{repr(kind)[:40]} 此时不可用 / not possible now")
        return None

    def _complain(self, code: str, message: str) -> None:
        self._say(type="error", code=code, message=in_one(message, self.language))

    def _say(self, **fields: object) -> None:
        self.socket.write(frames.framed(**fields))

    async def _hello(self, frame: Message) -> None:
        ticket, since, topics = frame.get("ticket"), frame.get("since", 0), frame.get("topics", [])
        if not isinstance(topics, list) or not isinstance(since, int) or isinstance(since, bool):
            return self._complain("malformed", "since 须为序号，topics 须为数组 / a number and an array")
        if not 0 <= since < 1 << 63:
            return self._complain("malformed", "since 须为收件箱序号 / since is a seq of the inbox")
        self.timeout.cancel()
        if not isinstance(ticket, str):
            return await self._close(NOT_SIGNED_IN)
        named = tuple(str(topic) for topic in topics)
        if len(named) > MOST_TOPICS or not all(map(TOPIC.fullmatch, named)):
            return await self._close(TOPIC_OUTSIDE)
        try:
            code = await self.socket.hub.enter(self.socket, Hello(ticket, since, named))
        except Exception as fault:  # Redis or the database is away: the phone tries again with a new ticket
            log.warning("sockets.not_entered error=%s", type(fault).__name__)
            code = TRY_AGAIN
        if code is None:
            self.welcomed = True
            return None
        return await self._close(code)

    async def _receipt(self, frame: Message) -> None:
        raw = frame.get("receipts", [{k: v for k, v in frame.items() if k not in {"type", "clock"}}])
        try:
            results = await _take_receipts(
                self.socket.officer, raw, "socket", frame.get("clock"), self.language
            )
        except Refusal as error:
            return self._complain(error.code, error.message(self.language))
        return self._say(type="receipts", results=results)


_take_receipts = database_sync_to_async(take_receipts, thread_sensitive=False)
