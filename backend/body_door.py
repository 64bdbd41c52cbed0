"""No more of a body than the door takes, counted while it comes: Django would keep all of it on disk before any view runs.

Where photos, papers and feeds come in that is DATA_UPLOAD_MAX_MEMORY_SIZE, elsewhere MOST_JSON_BYTES. More is answered with
413 in the shape of all errors, at once where it is announced; what still comes is thrown away for LINGER_S, or whoever sends
first and listens then would see a broken line instead of the answer.
"""

import asyncio
import re
from contextlib import suppress
from typing import Final

import orjson
from django.conf import settings

from backend.quick import App, Headers, Message, Receive, Send, secured, spoken_language
from foundation.bodies import MOST_JSON_BYTES, too_large

LARGE: Final = re.compile(r"/api/v1/(?:ingest/.+|hazards|orders/[0-9]+/attachments)")
LINGER_S: Final = 10.0


class BodyDoor:
    """An ASGI application in front of another one, for http scopes."""

    def __init__(self, full: App) -> None:
        self._full = full

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        large = LARGE.fullmatch(scope["path"])
        most_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE if large else MOST_JSON_BYTES
        so_far, coming, answered = int(headers.get(b"content-length", b"0")[:20]), True, False

        async def counted() -> Message:
            nonlocal so_far, coming
            message = await receive()
            so_far += len(message.get("body", b""))
            coming = message.get("more_body", False)
            return message if so_far <= most_bytes else {"type": "http.disconnect"}

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if so_far <= most_bytes:
            so_far = 0
            await self._full(scope, counted, noted)
        if so_far <= most_bytes or answered:
            return
        start, body = _refusal(scope["scheme"], headers, most_bytes)
        await send(start)
        await send(body)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while coming:
                    await counted()
        await send({"type": "http.response.body", "body": b""})


def _refusal(scheme: str, headers: Headers, most_bytes: int) -> tuple[Message, Message]:
    """The whole answer, without its end."""
    language = spoken_language(headers.get(b"accept-language", b""))
    body = orjson.dumps(too_large(most_bytes).answer(language.decode()))
    told = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Content-Language", language),
        (b"Vary", b"Accept-Language"),
        (b"Connection", b"close"),
        *secured(scheme),
    ]
    start: Message = {"type": "http.response.start", "status": 413, "headers": told}
    return start, {"type": "http.response.body", "body": body, "more_body": True}
