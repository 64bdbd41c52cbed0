"""The quick door: plain requests for live water, answered on the event loop from bytes at hand, before Django.

Owns nothing that has a meaning: what is asked, who may see it, what is shown and every error is said by Django's views
(hydrology/doors/live.py), and whatever is not plain goes there: another address or method, an unknown parameter, an
unknown region, a bearer who is not admitted, a header that changes the answer, a fault. For what it does answer, status,
headers and body are those of the view; tests/backend/test_quick.py holds both side by side. Why: docs/adr/0008.

Kept here: who was lately admitted (officers/grants.py), the newest snapshots (renewed in a thread at most every second,
sooner by the hint "levels"), the regions. Nobody asks: nothing runs.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware
from django.utils.translation import get_language_from_request

from foundation.clock import now
from foundation.renewed import Renewed
from foundation.scope import below
from hydrology import live, rain
from hydrology.doors.live import PRIVATE, RAIN_LEVELS, rain_level
from hydrology.models import Level, Region
from hydrology.shelf import Answer, Asked, Shelf
from hydrology.standing import KINDS, STATUSES
from officers.grants import Grants

Message = dict[str, Any]
Headers = dict[bytes, bytes]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LEVELS, RAIN = "/api/v1/live/levels", "/api/v1/live/rain"
FRESH_S, USABLE_S = 1.0, 10.0  # a snapshot says its own as_of, and Redis may take its time to be away
PLACES_S: Final = 60.0
CHOICES: Final = {
    LEVELS: {"kind": {*KINDS.values()}, "status": {*STATUSES}, "first": {"mine"}, "region": None},
    RAIN: {"level": {*RAIN_LEVELS}, "region": None},
}
CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
# with one of these the answer may be another one
TELLING: Final = frozenset(
    {b"cookie", b"content-length", b"transfer-encoding", b"if-match", b"if-unmodified-since"}
)
log = logging.getLogger(__name__)


class Question(NamedTuple):
    """A plain request's parameters; empty is not given."""

    kind: str = ""
    status: str = ""
    first: str = ""
    region: str = ""
    level: str = ""


class QuickDoor:
    """An ASGI application in front of another one, for http scopes."""

    def __init__(self, full: App) -> None:
        self._full = full
        self._grants = Grants(now)
        self._places = Renewed(_places, fresh_s=PLACES_S, usable_s=2 * PLACES_S)
        self._levels = Renewed(_levels, fresh_s=FRESH_S, usable_s=USABLE_S, hints=("levels",))
        self._rain = {
            level: Renewed(partial(_rain, Level(level)), fresh_s=FRESH_S, usable_s=USABLE_S)
            for level in RAIN_LEVELS
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path not in CHOICES or scope["method"] != "GET":
            return await self._full(scope, receive, send)
        headers: Headers = dict(scope["headers"])
        answer = None
        if len(headers) == len(scope["headers"]) and _plain(headers):
            try:
                answer = await self._answer(path, scope["query_string"], headers)
            except Exception as fault:  # the full door asks again and says what is wrong
                log.warning("quick.passed_on path=%s error=%s", path, type(fault).__name__)
        if answer is None:
            return await self._full(scope, receive, send)
        status, told, body = _told(answer, headers, scope["scheme"])
        await send({"type": "http.response.start", "status": status, "headers": told})
        return await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, query: bytes, headers: Headers) -> Answer | None:
        question, bearer = _question(path, query), headers.get(b"authorization")
        if question is None or bearer is None:
            return None
        known = self._grants.at_hand(bearer) or await self._grants.ask(bearer)
        if known is None:
            return None
        paths, place = known.water_paths, ""
        if question.region:
            place = (self._places.at_hand() or await self._places.get()).get(question.region, "")
            if not place or not below(place, paths):
                return None
            paths = (place,)
        shelf = self._levels if path == LEVELS else self._rain[question.level or rain_level(place)]
        first = known.stations if question.first else ()
        asked = Asked(paths, question.kind, question.status, first)
        return (shelf.at_hand() or await shelf.get()).answer(asked)


def _levels() -> Shelf:
    return live.shelf(now()).prepared()


def _rain(level: Level) -> Shelf:
    return rain.shelf(level, now()).prepared()


def _places() -> dict[str, str]:
    """Paths of the city, the districts and the streets, by code."""
    levels = (Level.CITY, Level.DISTRICT, Level.STREET)
    return dict(Region.objects.filter(level__in=levels).values_list("code", "path"))


@lru_cache(maxsize=1024)
def _question(path: str, query: bytes) -> Question | None:
    """The parameters, if each is known, given once and plainly; None for the full door."""
    asked: dict[str, str] = {}
    for part in query.decode("latin-1").split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in CHOICES[path] or name in asked or not CODE.fullmatch(value):
            return None
        if (choices := CHOICES[path][name]) and value not in choices:
            return None
        asked[name] = value
    return Question(**asked)


def _plain(headers: Headers) -> bool:
    return (
        TELLING.isdisjoint(headers)
        and is_ours(headers.get(b"host", b""))
        and takes_json(headers.get(b"accept", b"*/*"))
    )


def _told(answer: Answer, headers: Headers, scheme: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body, as the view and the middleware give them."""
    told = [(b"ETag", answer.etag.encode()), *_PRIVATE, *secured(scheme)]
    if answer.known_to(headers.get(b"if-none-match", b"").decode("latin-1")):
        return 304, told, b""
    zipped = b"gzip" in headers.get(b"accept-encoding", b"")
    body = answer.zipped if zipped else answer.body
    if zipped:
        told.append((b"Content-Encoding", b"gzip"))
    told += [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Content-Language", spoken_language(headers.get(b"accept-language", b""))),
        (b"Allow", b"GET, HEAD, OPTIONS"),
    ]
    return 200, told, body


_PRIVATE: Final = (
    (b"Cache-Control", PRIVATE["Cache-Control"].encode()),
    (b"Vary", f"{PRIVATE['Vary']}, Accept-Language".encode()),
)


@lru_cache
def secured(scheme: str) -> tuple[tuple[bytes, bytes], ...]:
    """What the settings say of security, on every answer."""
    request, response = HttpRequest(), HttpResponse()
    request._get_scheme = lambda: scheme  # type: ignore[method-assign]
    del response["Content-Type"]
    SecurityMiddleware(lambda _: response)(request)
    return tuple((name.encode(), value.encode()) for name, value in response.items())


@lru_cache(maxsize=256)
def spoken_language(accept_language: bytes) -> bytes:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accept_language.decode("latin-1")
    return get_language_from_request(request).encode()


@lru_cache(maxsize=256)
def is_ours(host: bytes) -> bool:
    return validate_host(split_domain_port(host.decode("latin-1"))[0], settings.ALLOWED_HOSTS)


@lru_cache(maxsize=256)
def takes_json(accept: bytes) -> bool:
    ranges = {part.partition(b";")[0].strip() for part in accept.split(b",")}
    return not ranges.isdisjoint({b"*/*", b"application/*", b"application/json"})
