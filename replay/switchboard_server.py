"""A local gateway for text messages and calls on loopback: `POST /sms`, `POST /voice`, and doors to steer it.

What it answers and whom it lets pick up is decided in switchboard.py; it reports to the callback of each request, signed
and again until it is heard. Its own doors:
  GET /control counters and faults | DELETE /control forget what was taken
  POST /control {fault: value} change these faults | PUT /control these and no others
  GET /taken?after=N text messages and calls taken, oldest first
"""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
import uvicorn

from foundation.gateway import KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER
from foundation.signatures import sign

from .switchboard import CHANNELS, Faults, Reply, Switchboard

TURN_S, AGAIN_S, HEARD_WITHIN_S = 0.1, 2.0, 10.0
SILENT_S = 3600.0
PAGE = 1000
START_TIMEOUT_S = 20.0


class Doors:
    """The HTTP side: one ASGI callable."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._speaker: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        reply = self._reply(scope, headers, body)
        if reply.silent:
            with suppress(asyncio.TimeoutError):  # until the caller has had enough
                await asyncio.wait_for(_gone(receive), SILENT_S)
            return
        named = [(b"content-type", b"application/json")]
        named += [(name.encode(), value.encode()) for name, value in reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": named})
        await send({"type": "http.response.body", "body": orjson.dumps(reply.body)})

    def _reply(self, scope: Any, headers: dict[str, str], body: bytes) -> Reply:
        match scope["method"], scope["path"].strip("/"):
            case "POST", channel if channel in CHANNELS:
                return self._board.answer(channel, headers, body, time.time())
            case "GET", "control":
                return Reply(200, self._board.counters())
            case "DELETE", "control":
                self._board.forget()
                return Reply(200, self._board.counters())
            case ("POST" | "PUT") as verb, "control":
                try:
                    self._board.misbehave(orjson.loads(body), only=verb == "PUT")
                except (ValueError, TypeError) as wrong:
                    return Reply(400, {"code": "bad_fault", "message": str(wrong)})
                return Reply(200, self._board.counters())
            case "GET", "taken":
                after = int(parse_qs(scope["query_string"].decode()).get("after", ["0"])[0])
                return Reply(200, {"items": self._board.taken[after : after + PAGE]})
        return Reply(404, {"code": "not_found"})

    async def _live(self, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self._speaker = asyncio.create_task(self._speak())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._speaker:
                    self._speaker.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _speak(self) -> None:
        """Say what is due, for ever; who does not hear it is told again."""
        async with httpx.AsyncClient(timeout=HEARD_WITHIN_S, trust_env=False) as client:
            while True:
                for (channel, callback), reports in self._board.due(time.time()).items():
                    if not await self._told(client, callback, reports):
                        self._board.give_back(channel, callback, reports, time.time() + AGAIN_S)
                await asyncio.sleep(TURN_S)

    async def _told(self, client: httpx.AsyncClient, callback: str, reports: list[dict[str, object]]) -> bool:
        headers, body = signed(self._board, reports, datetime.now(UTC))
        try:
            answer = await client.post(callback, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.status_code < 500 and answer.status_code != 429


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def signed(
    board: Switchboard, reports: list[dict[str, object]], at: datetime
) -> tuple[dict[str, str], bytes]:
    """(headers, body) of one post of reports."""
    body, stamp = orjson.dumps({"reports": reports}), at.isoformat(timespec="seconds")
    headers = {
        "Content-Type": "application/json",
        KEY_HEADER: board.key,
        TIME_HEADER: stamp,
        SIGNATURE_HEADER: sign(board.secret, stamp, body),
    }
    return headers, body


@dataclass(frozen=True, slots=True)
class Running:
    """A stand-in that is up: where it is and what it knows."""

    endpoint: str
    board: Switchboard


@contextmanager
def run_switchboard(faults: Faults | None = None) -> Iterator[Running]:
    """A stand-in in a thread of this process while the block runs, for tests. RuntimeError when it does not come up."""
    board = Switchboard("standin", secrets.token_urlsafe(24), faults)
    server = uvicorn.Server(_config(board, 0))
    thread = threading.Thread(target=server.run, name="switchboard", daemon=True)
    thread.start()
    until_s = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if time.monotonic() > until_s or not thread.is_alive():
            raise RuntimeError("the local gateway did not start")
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(f"http://127.0.0.1:{port}", board)
    finally:
        server.should_exit = True
        thread.join(timeout=START_TIMEOUT_S)


def serve(directory: Path, port: int, key: str, secret: str, faults: Faults) -> None:
    """Serve until a signal; `ready.json` in the directory says where, once it answers."""
    directory.mkdir(parents=True, exist_ok=True)
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            draft = directory / "ready.json.new"
            draft.write_bytes(orjson.dumps({"endpoint": f"http://127.0.0.1:{port}", "pid": os.getpid()}))
            draft.rename(ready)

    Announcing(_config(Switchboard(key, secret, faults), port)).run()


def _config(board: Switchboard, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        Doors(board),
        host="127.0.0.1",
        port=port,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
