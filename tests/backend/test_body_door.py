"""Bodies are counted while they come: more than a door takes is refused before Django keeps it."""

import asyncio
from typing import Any

import orjson
import pytest

from backend import body_door
from backend.asgi import http
from backend.body_door import BodyDoor
from foundation.bodies import MOST_JSON_BYTES

MB = 1024 * 1024
JSON, GRIDS = "/api/v1/auth/otp", "/api/v1/ingest/grids"


class Sender:
    """A client that sends so many pieces of 1 MB and then stays silent on the line."""

    def __init__(self, pieces: int) -> None:
        self.pieces, self.taken = pieces, 0
        self.heard: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self.taken == self.pieces:
            await asyncio.Event().wait()
        self.taken += 1
        return {"type": "http.request", "body": b" " * MB, "more_body": True}

    async def send(self, message: dict[str, Any]) -> None:
        self.heard.append(message)

    async def post(self, app: Any, path: str, **headers: str) -> dict[str, Any]:
        """The answer's status and content; headers with _ for -."""
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "scheme": "http", "method": "POST", "path": path, "query_string": b"",
            "headers": [(b"host", b"localhost"), *raw],
        }  # fmt: skip
        await BodyDoor(app)(scope, self.receive, self.send)
        content = b"".join(message.get("body", b"") for message in self.heard[1:])
        return {"status": self.heard[0]["status"], **orjson.loads(content)}


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    """In Django's place: reads as it does, and says how much came."""
    came = 0
    while message := await receive():
        if message["type"] == "http.disconnect":
            return
        came += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": orjson.dumps({"came": came})})


async def in_two(path: str, size: int) -> dict[str, Any]:
    sender, halves = Sender(0), [size - size // 2, size // 2]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * halves.pop(), "more_body": bool(halves)}

    sender.receive = receive  # type: ignore[method-assign]
    return await sender.post(reads_all, path)


@pytest.mark.parametrize(
    ("path", "most_bytes"),
    [
        (JSON, MOST_JSON_BYTES), ("/api/v1/orders", MOST_JSON_BYTES), ("/api/v1/hazards/7/close", MOST_JSON_BYTES),
        ("/anywhere", MOST_JSON_BYTES), (GRIDS, 64 * MB), ("/api/v1/ingest/drills/7", 64 * MB), ("/api/v1/hazards", 64 * MB),
        ("/api/v1/orders/7/attachments", 64 * MB),
    ],
)  # fmt: skip
async def test_each_door_takes_what_it_may_and_not_one_byte_more(path: str, most_bytes: int) -> None:
    assert await in_two(path, most_bytes) == {"status": 200, "came": most_bytes}
    refused = await in_two(path, most_bytes + 1)
    assert (refused["status"], refused["code"], refused["fields"]) == (413, "too_large", {})


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "请求体超过 2 MB"), ("en", "larger than 2 MB")])
async def test_a_body_without_end_is_refused_by_django_no_more_read_and_the_line_closed(
    monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    monkeypatch.setattr(body_door, "LINGER_S", 0.01)
    sender = Sender(pieces=5)
    said = await sender.post(http, JSON, accept_language=language, content_type="application/json")
    assert (said["status"], said["code"]) == (413, "too_large")
    assert words in said["message"]
    headers = dict(sender.heard[0]["headers"])
    assert (headers[b"Connection"], headers[b"Content-Language"][:2]) == (b"close", language[:2].encode())
    assert [message.get("more_body", False) for message in sender.heard] == [False, True, False]
    assert sender.taken == 5  # thrown away meanwhile


async def test_a_body_announced_as_too_large_is_refused_before_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_door, "LINGER_S", 0.0)

    async def nobody(*_: Any) -> None:
        raise AssertionError("it was passed on")

    sender = Sender(pieces=0)
    assert (await sender.post(nobody, GRIDS, content_length=str(64 * MB + 1)))["status"] == 413
    assert (await in_two(GRIDS, 3 * MB))["came"] == 3 * MB


async def test_what_was_answered_before_all_had_come_stays_the_answer() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"{}"})

    assert await Sender(pieces=3).post(hasty, JSON) == {"status": 401}
