"""The tickets' own door beside Django's: the same answer, and whatever is unusual left to Django."""

import asyncio
from typing import Any

import orjson
import pytest
from channels.db import database_sync_to_async
from pytest_django import Settings

from backend import ticket_door
from backend.asgi import http
from backend.ticket_door import TICKETS, TicketDoor
from foundation.clock import now
from foundation.wire import wire
from officers import auth
from officers.tickets import redeem_tickets
from tests.backend.test_quick import Told, ask, bearer, passed_on
from tests.console.factories import make_officer
from tests.hydrology.factories import make_regions

pytestmark = pytest.mark.django_db(transaction=True)
PLAIN: list[dict[str, str]] = [
    {},
    {"Content-Length": "0", "Accept-Encoding": "gzip"},
    {"Content-Length": "2", "Content-Type": "application/json", "Accept-Language": "en"},
    {"Accept": "application/json, */*", "Accept-Language": "fr", "Idempotency-Key": "k"},
]


@pytest.fixture
def bearers() -> list[str]:
    street = make_regions()["440303001"]
    return [bearer(make_officer(street)) for _ in range(6)]


def without_ticket(told: Told) -> Told:
    return told._replace(body=orjson.dumps(orjson.loads(told.body) | {"ticket": ""}))


@pytest.mark.parametrize("said", PLAIN)
async def test_both_doors_give_the_same_answer_but_for_the_ticket(
    bearers: list[str], said: dict[str, str]
) -> None:
    headers = {"Authorization": bearers[0], **said}
    quickly = await ask(TicketDoor(passed_on), TICKETS, headers=headers, method="POST")
    fully = await ask(http, TICKETS, headers=headers, method="POST")
    assert without_ticket(quickly) == without_ticket(fully)
    assert quickly.body != fully.body


async def test_many_are_admitted_by_one_query_and_each_ticket_is_his_own(
    bearers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    door, calls = TicketDoor(passed_on), []
    issued = ticket_door.grants_of
    monkeypatch.setattr(ticket_door, "grants_of", lambda *asked: calls.append(1) or issued(*asked))
    told = await asyncio.gather(
        *(ask(door, TICKETS, headers={"Authorization": one}, method="POST") for one in bearers)
    )
    tickets = [orjson.loads(one.body)["ticket"] for one in told]
    at = now()
    admissions = await database_sync_to_async(redeem_tickets)(tickets, at)
    claims = [auth.claim_of(one, at) for one in bearers]
    assert [one and one.grant.session_id for one in admissions] == [claim.session_id for claim in claims]
    assert len(calls) == 1


@pytest.mark.parametrize(
    "unusual",
    [
        {"headers": {}},
        {"headers": {"Authorization": "Bearer nonsense"}},
        {"headers": {"Content-Length": "3"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"Accept": "text/html"}},
        {"headers": {"Host": "elsewhere"}},
        {"headers": {"Cookie": "a=b"}},
        {"query": "format=json"},
        {"method": "GET"},
        {"path": "/api/v1/auth/refresh"},
    ],
    ids=str,
)
async def test_whatever_is_not_plain_is_passed_on(bearers: list[str], unusual: dict[str, Any]) -> None:
    asked = {"path": TICKETS, "method": "POST", **unusual}
    if unusual.get("headers") != {}:
        asked["headers"] = {"Authorization": bearers[0], **unusual.get("headers", {})}
    assert (await ask(TicketDoor(passed_on), asked.pop("path"), **asked)).status == 299


async def test_who_has_signed_out_gets_none_here(bearers: list[str]) -> None:
    at = now()
    grant = await database_sync_to_async(auth.grant_of)(bearers[0].removeprefix("Bearer "), at)
    await database_sync_to_async(auth.sign_out)(grant, at)
    headers = {"Authorization": bearers[0]}
    assert (await ask(TicketDoor(passed_on), TICKETS, headers=headers, method="POST")).status == 299
    assert (await ask(http, TICKETS, headers=headers, method="POST")).status == 401


async def test_while_redis_is_away_django_says_so(bearers: list[str], settings: Settings) -> None:
    settings.REDIS_DATA_URL, kept = "unix:///nowhere.sock", settings.REDIS_DATA_URL
    wire.cache_clear()
    try:
        told = await ask(TicketDoor(http), TICKETS, headers={"Authorization": bearers[0]}, method="POST")
    finally:
        settings.REDIS_DATA_URL = kept
        wire.cache_clear()
    assert (told.status, orjson.loads(told.body)["code"]) == (503, "try_again")
