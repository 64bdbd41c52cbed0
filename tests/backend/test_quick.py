"""The quick door beside Django's own: the same answers, and everything unusual left to Django."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import orjson
import pytest
from channels.db import database_sync_to_async

from backend.asgi import http
from backend.quick import QuickDoor
from foundation.clock import now
from foundation.renewed import hinted
from foundation.wire import wire
from hydrology import ingest, live
from hydrology.models import Feed, Region
from hydrology.rain import HELD
from officers import auth
from officers.models import Duty, Officer, Post
from tests.console.factories import make_officer
from tests.hydrology.factories import body, make_feed, make_regions, make_reservoir, make_river, rain, stage
from tests.notifications.conftest import give_phone

LEVELS, RAIN = "/api/v1/live/levels", "/api/v1/live/rain"
CITY, EAST, WEST, STREET = "4403", "440303", "440304", "440303001"
PATIENCE_S = 20.0
pytestmark = pytest.mark.django_db(transaction=True)
Headers = dict[str, str]


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: Any, path: str, query: str = "", headers: Headers | None = None, method: str = "GET"
) -> Told:
    """One request through an ASGI application; header names in small letters, Vary as a sorted list."""
    sent: list[dict[str, Any]] = []
    coming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()  # the caller stays on the line
        return coming.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http", "scheme": "http", "method": method, "path": path, "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *raw],
    }  # fmt: skip
    await app(scope, receive, send)
    told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    if "vary" in told:
        told["vary"] = ", ".join(sorted(told["vary"].split(", ")))
    return Told(sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:]))


async def passed_on(scope: Any, receive: Any, send: Any) -> None:
    """In Django's place: says that the request came through."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def wet_city() -> dict[str, Region]:
    wire().flushdb()
    HELD.clear()
    regions, feed, at = make_regions(), make_feed(), now()
    make_reservoir("gated", STREET)
    make_reservoir("ungated", "440303002", gated=False)
    make_river("river", "440304001")
    ingest.take_readings(
        feed, body(stage("river", at, 5.5), stage("gated", at, 27.0), rain("river", at, 1.0)), at
    )
    live.refresh(at)
    return regions


def bearer(officer: Officer) -> str:
    return f"Bearer {auth.admit(give_phone(officer).pk, now()).access}"


@pytest.fixture
def bearers(wet_city: dict[str, Region]) -> dict[str, str]:
    """Authorization headers: of the city, a district, the keeper of one reservoir, and of nobody in particular."""
    held = {name: make_officer(wet_city[code], Duty.FLOOD) for name, code in
            (("city", CITY), ("east", EAST), ("keeper", STREET), ("none", WEST))}  # fmt: skip
    Post.objects.update(valid_from=now() - timedelta(days=1))
    Post.objects.filter(officer=held["keeper"]).update(station="ungated", region="440303002")
    Post.objects.filter(officer=held["none"]).delete()
    return {name: bearer(officer) for name, officer in held.items()}


PLAIN = [
    (LEVELS, ""), (LEVELS, "kind=river"), (LEVELS, "kind=reservoir&status=near"), (LEVELS, "status=over"),
    (LEVELS, "first=mine"), (LEVELS, "first=mine&kind=reservoir"), (LEVELS, f"region={EAST}"),
    (LEVELS, f"region={STREET}"), (LEVELS, f"region={STREET}&first=mine"), (RAIN, ""), (RAIN, "level=street"),
    (RAIN, f"level=street&region={STREET}"), (RAIN, f"region={EAST}"), (RAIN, f"region={STREET}"),
]  # fmt: skip
UNUSUAL = [
    (LEVELS, "kind=lake"), (LEVELS, "first=yours"), (LEVELS, "kind="), (LEVELS, "kind=river&kind=reservoir"),
    (LEVELS, "as_of=2026-09-07T12:00:00%2B08:00"), (LEVELS, "format=json"), (LEVELS, "region=nowhere"),
    (LEVELS, "region=4403%30"), (LEVELS, "a"), (RAIN, "level=community"), (RAIN, "kind=river"), (LEVELS + "/", ""),
]  # fmt: skip
SAID = [
    {}, {"Accept-Encoding": "br, gzip"}, {"Accept": "application/json", "Accept-Language": "en-GB,en;q=0.9"},
    {"Accept": "text/html, */*;q=0.1", "Accept-Language": "fr", "Accept-Encoding": "identity"},
]  # fmt: skip


async def side_by_side(quick: QuickDoor, path: str, query: str, headers: Headers) -> tuple[Told, Told]:
    """The quick answer and Django's, while the latter stays the same (a slot may end meanwhile)."""
    while True:
        before = await ask(http, path, query, headers)
        quickly = await ask(quick, path, query, headers)
        if before == (after := await ask(http, path, query, headers)):
            return quickly, after


@pytest.mark.parametrize("who", ["city", "east", "keeper", "none"])
async def test_both_doors_give_the_same_answer(who: str, bearers: dict[str, str]) -> None:
    """Status, headers and body; the second time with the ETag of the first."""
    quick = QuickDoor(http)
    for number, (path, query) in enumerate([*PLAIN, *UNUSUAL]):
        headers = {"Authorization": bearers[who], **SAID[number % len(SAID)]}
        quickly, fully = await side_by_side(quick, path, query, headers)
        assert quickly == fully, (path, query)
        if fully.status == 200:
            etag = fully.headers["etag"]
            for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', '"other"'):
                quickly, fully = await side_by_side(quick, path, query, {**headers, "If-None-Match": known})
                assert quickly == fully, (path, query, known)
                assert fully.status == (200 if known == '"other"' else 304)


@pytest.mark.parametrize("said", SAID, ids=str)
async def test_both_doors_hear_the_same_headers(said: Headers, bearers: dict[str, str]) -> None:
    quick = QuickDoor(http)
    for path in (LEVELS, RAIN):
        quickly, fully = await side_by_side(quick, path, "", {"Authorization": bearers["city"], **said})
        assert quickly == fully
        zipped = fully.headers.get("content-encoding") == "gzip"
        assert zipped == ("gzip" in said.get("Accept-Encoding", ""))
        assert orjson.loads(gzip.decompress(fully.body) if zipped else fully.body)["items"]


async def test_plain_requests_do_not_reach_django_and_all_others_do(bearers: dict[str, str]) -> None:
    quick = QuickDoor(passed_on)
    city = {"Authorization": bearers["city"]}
    for path, query in PLAIN:
        assert (await ask(quick, path, query, city)).status == 200, (path, query)
    for path, query in UNUSUAL:
        assert (await ask(quick, path, query, city)).status == 299, (path, query)
    for headers in (
        {}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, city | {"Cookie": "django_language=en"},
        city | {"Accept": "text/html"}, city | {"Host": "elsewhere.example"}, city | {"If-Match": '"x"'},
        city | {"Content-Length": "2"},
    ):  # fmt: skip
        assert (await ask(quick, LEVELS, "", headers)).status == 299, headers
    assert (await ask(quick, LEVELS, "", city, method="HEAD")).status == 299
    assert (await ask(quick, LEVELS, f"region={WEST}", {"Authorization": bearers["east"]})).status == 299


async def test_a_warm_answer_waits_for_nothing(bearers: dict[str, str]) -> None:
    """Driven by hand: a coroutine that waited would yield."""
    quick = QuickDoor(passed_on)
    city = {"Authorization": bearers["city"]}
    for path in (LEVELS, RAIN):
        # a busy machine may pass the first ones on to the full door
        assert 200 in [(await ask(quick, path, "", city)).status for _ in range(20)]
        with pytest.raises(StopIteration) as done:
            ask(quick, path, "", city).send(None)
        assert done.value.value.status == 200


async def test_the_keeper_s_own_object_comes_first(bearers: dict[str, str]) -> None:
    quick = QuickDoor(passed_on)

    async def codes(query: str) -> list[str]:
        told = await ask(quick, LEVELS, query, {"Authorization": bearers["keeper"]})
        return [item["station"] for item in orjson.loads(told.body)["items"]]

    assert await codes("") == ["gated", "ungated"]
    assert await codes("first=mine") == ["ungated", "gated"]


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await true():
            await asyncio.sleep(0.05)


async def test_who_signed_out_is_sent_to_django_which_refuses_him(bearers: dict[str, str]) -> None:
    quick = QuickDoor(http)
    one, other = ({"Authorization": bearers[who]} for who in ("city", "east"))
    for headers in (one, other):
        assert (await ask(quick, LEVELS, "", headers)).status == 200
    gone = auth.claim_of(bearers["city"], now())
    grant = (await database_sync_to_async(auth.grants_of)([gone], now()))[gone]
    await database_sync_to_async(auth.sign_out)(grant, now())
    hinted("signed_out")

    async def refused() -> bool:
        return (await ask(quick, LEVELS, "", one)).status == 401

    await until(refused, "the end of the session")
    assert (await ask(quick, LEVELS, "", other)).status == 200


async def test_a_new_level_is_shown_soon_after_its_hint(bearers: dict[str, str]) -> None:
    quick = QuickDoor(passed_on)
    city = {"Authorization": bearers["city"]}
    etag = (await ask(quick, LEVELS, "", city)).headers["etag"]
    await database_sync_to_async(rise)()
    hinted("levels")

    async def changed() -> bool:
        return (await ask(quick, LEVELS, "", city | {"If-None-Match": etag})).status == 200

    await until(changed, "the new level")


def rise() -> None:
    at = now()
    ingest.take_readings(Feed.objects.get(), body(stage("river", at, 6.1)), at)
    live.refresh(at)


async def test_without_redis_the_answer_comes_from_the_tables(
    bearers: dict[str, str], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_DATA_URL = "redis://127.0.0.1:1/0"
    wire.cache_clear()
    try:
        told = await ask(QuickDoor(passed_on), LEVELS, "", {"Authorization": bearers["city"]})
    finally:
        wire.cache_clear()
    assert {item["station"] for item in orjson.loads(told.body)["items"]} == {"gated", "ungated", "river"}
