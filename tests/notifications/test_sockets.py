"""The officers' sockets against real PostgreSQL and Valkey: hello, what was missed, live, and what goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async

from foundation.clock import now
from foundation.wire import HINTS, hint, wire
from hydrology.models import Region
from notifications import consumers, dispatch
from notifications.consumers import Hub, OfficerSocket
from notifications.models import Delivery, Errand, Receipt
from officers.auth import Grant, issue_ticket
from officers.directory import scope_of
from officers.models import Duty, Officer, Post
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions
from tests.notifications.conftest import give_phone

STREET, DISTRICT, OTHER = "440303001", "440303", "440304"
PATIENCE_S = 20.0  # how long a frame that must come may take on a busy machine
pytestmark = pytest.mark.django_db(transaction=True)
Frame = dict[str, Any]


@dataclass
class Phone:
    """One officer's phone at the end of a socket."""

    grant: Grant
    socket: ApplicationCommunicator = field(
        default_factory=lambda: ApplicationCommunicator(
            OfficerSocket.as_asgi(),
            {"type": "websocket", "path": "/ws/v1/", "headers": [], "subprotocols": []},
        )
    )

    async def open(self) -> None:
        await self.socket.send_input({"type": "websocket.connect"})
        assert (await self.socket.receive_output(PATIENCE_S))["type"] == "websocket.accept"

    async def close(self) -> None:
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(PATIENCE_S)

    async def send(self, frame: object) -> None:
        text = frame if isinstance(frame, str) else orjson.dumps(frame).decode()
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def hello(self, *topics: str, since: int = 0, ticket: str = "") -> None:
        ticket = ticket or issue_ticket(self.grant, now())
        await self.send({"type": "hello", "ticket": ticket, "since": since, "topics": list(topics)})

    async def next(self) -> Frame:
        """The next frame; a close as {"type": "close", "code": …}."""
        out = await self.socket.receive_output(PATIENCE_S)
        if out["type"] == "websocket.close":
            return {"type": "close", "code": out["code"]}
        return orjson.loads(out["text"])

    async def until(self, kind: str) -> Frame:
        while (frame := await self.next())["type"] != kind:
            assert frame["type"] != "close", frame
        return frame


@pytest.fixture
def officer() -> Officer:
    """He answers for one street of the wet city."""
    regions = make_regions()
    person = make_officer(regions[STREET])
    Post.objects.update(valid_from=now() - timedelta(days=1))
    give_phone(person)
    return person


@pytest.fixture
def grant(officer: Officer) -> Grant:
    return Grant(officer.pk, uuid4(), officer.devices.get().pk, scope_of(officer.pk, now()))


@pytest.fixture
async def phone(grant: Grant, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Any]]:
    """Opens phones of this officer's device; the hub's loops belong to the event loop of one test."""
    monkeypatch.setattr(Hub, "_here", None)
    opened: list[Phone] = []

    async def connect(of: Grant = grant) -> Phone:
        one = Phone(of)
        await one.open()
        opened.append(one)
        return one

    yield connect
    for one in opened:
        await one.close()
    hub = Hub.here()
    assert hub.everyone() == []  # whoever is gone is forgotten
    # again and again: a loop cancelled inside a database call finishes the call and forgets the cancellation
    while unfinished := {task for task in hub.tasks if not task.done()}:
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=0.2)


@database_sync_to_async
def told(count: int = 1, **fields: Any) -> list[int]:
    """Bulletins for the street, dispatched; the seqs in order."""
    since = Delivery.objects.order_by("-id").values_list("id", flat=True).first() or 0
    for _ in range(count):
        make_bulletin(
            **{"areas": [STREET], "valid_until": now() + timedelta(hours=1), "issued_at": now()} | fields
        )
    dispatch.take_up(now=now())
    return list(Delivery.objects.filter(id__gt=since).order_by("id").values_list("id", flat=True))


async def subscribed(but: Iterable[int] = ()) -> None:
    """Until the hub listens on the wire, on a connection that is none of `but`."""
    async with asyncio.timeout(PATIENCE_S):
        while not listeners() - set(but):
            await asyncio.sleep(0.01)


def listeners() -> set[int]:
    return {int(client["id"]) for client in wire().client_list(_type="pubsub")}


async def seqs(phone: Phone, count: int) -> list[int]:
    return [(await phone.until("inbox"))["seq"] for _ in range(count)]


async def test_after_hello_comes_the_welcome_then_what_was_missed_in_order_then_live(phone: Any) -> None:
    missed = await told(3)
    one = await phone()
    await one.hello("inbox")
    frames = [await one.next() for _ in range(4)]
    assert [frame["type"] for frame in frames] == ["welcome", "inbox", "inbox", "inbox"]
    assert [frame["seq"] for frame in frames[1:]] == missed
    assert frames[1]["requires"] == "confirm" and frames[1]["state"] == "pending"
    await subscribed()
    live = await told(1, push_zh="新")
    frame = await one.until("inbox")
    assert frame["seq"] == live[0]
    assert set(frame) == set(frames[1])  # the same words, live or missed


async def test_since_resumes_where_the_phone_was(phone: Any) -> None:
    missed = await told(3)
    one = await phone()
    await one.hello("inbox", since=missed[1])
    assert await one.next() == {"type": "welcome", "seq": missed[1]}
    assert await seqs(one, 1) == missed[2:]


async def test_more_than_a_page_is_sent_whole_and_in_order(
    phone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PAGE", 2)
    missed = await told(5)
    one = await phone()
    await one.hello("inbox")
    assert await seqs(one, 5) == missed


async def test_a_repeat_is_no_item(phone: Any) -> None:
    first = await told(1)
    one = await phone()
    await one.hello("inbox")
    assert await seqs(one, 1) == first
    await subscribed()
    await again(first[0])
    later = await told(1)
    assert (await one.until("inbox"))["seq"] == later[0]


@database_sync_to_async
def again(pk: int) -> None:
    bulletin = Delivery.objects.get(pk=pk).dispatch.bulletin
    dispatch.run_errand(bulletin, Errand.REPEAT, now=now(), unanswered=[pk])


async def test_who_says_no_hello_is_closed(phone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "HELLO_S", 0.05)
    one = await phone()
    assert await one.next() == {"type": "close", "code": 4408}


async def test_who_has_said_hello_is_not_closed_for_it(phone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "HELLO_S", 0.2)
    monkeypatch.setattr(consumers, "PING_S", 0.4)
    one = await phone()
    await one.hello()
    assert [(await one.next())["type"] for _ in range(3)] == ["welcome", "ping", "ping"]


@pytest.mark.parametrize("ticket", ["never issued", "", 7, None])
async def test_without_a_ticket_nobody_is_let_in(phone: Any, ticket: object) -> None:
    one = await phone()
    await one.send({"type": "hello", "ticket": ticket, "since": 0, "topics": []})
    assert await one.next() == {"type": "close", "code": 4401}


async def test_a_ticket_lets_in_once(phone: Any, grant: Grant) -> None:
    ticket = issue_ticket(grant, now())
    one, two = await phone(), await phone()
    await one.hello(ticket=ticket)
    assert (await one.next())["type"] == "welcome"
    await two.hello(ticket=ticket)
    assert await two.next() == {"type": "close", "code": 4401}


async def test_a_ticket_that_is_too_old_lets_nobody_in(phone: Any, grant: Grant) -> None:
    one = await phone()
    await one.hello(ticket=issue_ticket(grant, now() - timedelta(minutes=2)))
    assert await one.next() == {"type": "close", "code": 4401}


@pytest.mark.parametrize(
    "topic", [f"levels:{OTHER}", "levels:4403", f"board:{DISTRICT}", "board:nowhere", "levels:", "all"]
)
async def test_a_topic_outside_his_regions_closes_the_socket(phone: Any, topic: str) -> None:
    one = await phone()
    await one.hello("inbox", topic)
    assert await one.next() == {"type": "close", "code": 4403}


async def test_the_same_device_replaces_its_older_socket(phone: Any) -> None:
    old, new = await phone(), await phone()
    await old.hello("inbox")
    assert (await old.next())["type"] == "welcome"
    await new.hello("inbox")
    assert (await new.next())["type"] == "welcome"
    assert await old.next() == {"type": "close", "code": 4409}
    await subscribed()
    live = await told(1)
    assert await seqs(new, 1) == live


@database_sync_to_async
def second_device(officer_id: int) -> int:
    return give_phone(Officer.objects.get(pk=officer_id)).pk


async def test_two_devices_of_one_person_both_hear(phone: Any, grant: Grant) -> None:
    other = Grant(grant.officer_id, uuid4(), await second_device(grant.officer_id), grant.scope)
    both = [await phone(), await phone(other)]
    for one in both:
        await one.hello("inbox")
        assert (await one.next())["type"] == "welcome"
    await subscribed()
    live = await told(1)
    assert [await seqs(one, 1) for one in both] == [live, live]


async def test_a_receipt_by_socket_is_kept_like_one_by_http(phone: Any) -> None:
    [pk] = await told(1)
    one = await phone()
    await one.hello("inbox")
    await one.until("inbox")
    at = now().isoformat()
    await one.send({"type": "receipt", "id": pk, "state": "confirmed", "at": at})
    assert (await one.until("receipts"))["results"] == [
        {"id": pk, "state": "confirmed", "result": "accepted"}
    ]
    await one.send({"type": "receipt", "receipts": [{"id": pk, "state": "opened", "at": at}, {"id": pk}]})
    results = (await one.until("receipts"))["results"]
    assert [result["result"] for result in results] == ["accepted", "invalid"]
    row, kept = await database_sync_to_async(lambda: (Delivery.objects.get(), Receipt.objects.count()))()
    assert (row.state, kept) == ("confirmed", 2)


BROKEN: list[Any] = [
    "{",
    "[]",
    "null",
    '"hello"',
    "{}",
    {"type": "nonsense"},
    {"type": ["x" * 5000]},
    {"type": "receipt", "id": 1, "state": "confirmed"},
    {"type": "hello", "ticket": "t", "since": "x"},
    {"type": "hello", "ticket": "t", "since": -1},
    {"type": "hello", "ticket": "t", "since": True},
    {"type": "hello", "ticket": "t", "topics": 5},
    {"type": "hello", "ticket": "t", "topics": {"inbox": 1}},
]


@pytest.mark.parametrize("frame", BROKEN, ids=lambda frame: str(frame)[:50])
async def test_a_malformed_frame_gets_an_error_and_closes_nothing(phone: Any, frame: Any) -> None:
    one = await phone()
    await one.send(frame)
    error = await one.next()
    assert error["type"] == "error"
    assert len(error["message"]) < 200
    await one.hello("inbox")
    assert (await one.next())["type"] == "welcome"
    await one.send(frame)  # and the same when signed in
    assert (await one.next())["type"] in {"error", "receipts"}
    await one.send({"type": "pong"})
    await one.send({"type": "receipt", "receipts": []})
    assert (await one.next()) == {"type": "receipts", "results": []}


async def test_levels_are_told_for_his_own_district_only(phone: Any) -> None:
    one = await phone()
    await one.hello(f"levels:{DISTRICT}")
    await one.next()
    await subscribed()
    mine, other = {"station": "mine"}, {"station": "other"}
    hint("levels", as_of="1", changes={f"4403/{OTHER}/": [other]})
    hint("levels", as_of="2", changes={f"4403/{OTHER}/": [other], f"4403/{DISTRICT}/": [mine]})
    assert await one.next() == {"type": "levels", "as_of": "2", "changes": [mine]}


async def test_levels_of_a_street_are_told_to_its_topic_and_to_those_above(phone: Any) -> None:
    street, district, city = await phone(), await phone(await district_desk()), await phone(await city_desk())
    for one, code in ((street, STREET), (district, DISTRICT), (city, "4403")):
        await one.hello(f"levels:{code}")
        await one.next()
    await subscribed()
    mine, next_door, far = {"station": "mine"}, {"station": "next door"}, {"station": "far"}
    changes = {
        f"4403/{DISTRICT}/{STREET}/": [mine],
        f"4403/{DISTRICT}/{DISTRICT}002/": [next_door],
        f"4403/{OTHER}/{OTHER}001/": [far],
    }
    hint("levels", as_of="1", changes=changes)
    assert (await street.next())["changes"] == [mine]
    assert (await district.next())["changes"] == [mine, next_door]
    assert (await city.next())["changes"] == [mine, next_door, far]


async def test_boards_hear_that_counts_have_moved_and_others_do_not(
    phone: Any, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "BOARD_S", 0.05)
    desk = await district_desk()
    board, other = await phone(desk), await phone()
    await board.hello(f"board:{DISTRICT}")
    await other.hello(f"levels:{DISTRICT}")
    for one in (board, other):
        await one.next()
    await subscribed()
    hint("board", dispatch=7)
    assert await board.next() == {"type": "board", "dispatches": [7]}
    hint("levels", as_of="1", changes={f"4403/{DISTRICT}/": [1]})
    assert (await other.next())["type"] == "levels"  # no board frame stood before it


@database_sync_to_async
def district_desk() -> Grant:
    return desk_of(Region.objects.get(pk=DISTRICT))


@database_sync_to_async
def city_desk() -> Grant:
    return desk_of(Region.objects.get(pk="4403"))


def desk_of(region: Region) -> Grant:
    desk = make_officer(region, Duty.DESK)
    Post.objects.filter(officer=desk).update(valid_from=now() - timedelta(days=1))
    return Grant(desk.pk, uuid4(), give_phone(desk).pk, scope_of(desk.pk, now()))


async def test_what_was_said_while_the_subscription_was_lost_is_caught_up(
    phone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await phone()
    await one.hello("inbox")
    await one.next()
    await subscribed()
    before = listeners()
    with monkeypatch.context() as silent:  # the hint is lost with the subscription; the row stands
        silent.setattr(dispatch, "hint", lambda *_, **__: None)
        unheard = await told(2)
    wire().client_kill_filter(_type="pubsub")
    await subscribed(but=before)
    assert await seqs(one, 2) == unheard
    live = await told(1)
    assert await seqs(one, 1) == live


@pytest.mark.parametrize(
    "noise",
    [b"", b"{", b"[]", b"7", b'{"kind": "dispatch"}', b'{"kind": "dispatch", "dispatch": "x"}', b"\xff"],
)
async def test_a_broken_hint_does_not_end_the_subscription(phone: Any, noise: bytes) -> None:
    one = await phone()
    await one.hello("inbox")
    await one.next()
    await subscribed()
    wire().publish(HINTS, noise)
    live = await told(1)
    assert await seqs(one, 1) == live


async def test_a_message_between_catching_up_and_subscribing_is_not_lost(phone: Any) -> None:
    """The first socket of a process is ready before the subscription stands."""
    one = await phone()
    await one.hello("inbox")
    await one.next()
    early = await told(1)  # wherever the subscription has got to by now
    assert await seqs(one, 1) == early
