"""The officers' sockets on a real server, PostgreSQL and Valkey: hello, what was missed, live, and what goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest
import uvicorn
from channels.db import database_sync_to_async
from django.conf import settings as settings_now
from django.db import OperationalError
from pytest_django import DjangoAssertNumQueries, Settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backend import web
from foundation.clock import now
from foundation.wire import HINTS, hint, wire
from hydrology.models import Region
from notifications import consumers, dispatch, entering, hub
from notifications.entering import Topics
from notifications.hub import Hub
from notifications.models import Delivery, Errand, Receipt
from officers import auth
from officers.auth import Grant
from officers.models import Duty, Officer, Post
from officers.tickets import issue_ticket
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions
from tests.notifications.conftest import give_phone

STREET, DISTRICT, OTHER = "440303001", "440303", "440304"
REDIS_DATA_URL = settings_now.REDIS_DATA_URL
PATIENCE_S = 20.0  # how long a frame that must come may take on a busy machine
pytestmark = pytest.mark.django_db(transaction=True)
Frame = dict[str, Any]


@dataclass
class Phone:
    """One officer's phone at the end of a socket."""

    grant: Grant
    line: ClientConnection

    async def close(self) -> None:
        await self.line.close()

    async def send(self, frame: object) -> None:
        await self.line.send(frame if isinstance(frame, str) else orjson.dumps(frame).decode())

    async def hello(self, *topics: str, since: int = 0, ticket: object = None) -> None:
        ticket = ticket or await asyncio.to_thread(issue_ticket, self.grant, now())
        await self.send({"type": "hello", "ticket": ticket, "since": since, "topics": list(topics)})

    async def next(self) -> Frame:
        """The next frame; a close as {"type": "close", "code": …}."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return orjson.loads(await self.line.recv())
        except ConnectionClosed as closed:
            return {"type": "close", "code": closed.rcvd.code if closed.rcvd else 1006}

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


def signed_in(officer: Officer) -> Grant:
    at = now()
    return auth.grant_of(auth.admit(officer.devices.latest("pk").pk, at).access, at)


@pytest.fixture
def grant(officer: Officer) -> Grant:
    return signed_in(officer)


@pytest.fixture
async def phone(grant: Grant, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Any]]:
    """Opens phones of this officer's device; the hub's loops belong to the event loop of one test."""
    monkeypatch.setattr(Hub, "_here", None)
    port = web.shared_port("127.0.0.1", 0)
    server = uvicorn.Server(web.config(log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[port]))
    await poll(lambda: server.started)
    opened: list[Phone] = []

    async def open_one(of: Grant = grant, **more: Any) -> Phone:
        line = await connect(f"ws://127.0.0.1:{port.getsockname()[1]}/ws/v1/", proxy=None, **more)
        opened.append(Phone(of, line))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()
    here = Hub.here(now)
    await poll(lambda: here.everyone() == [])  # whoever is gone is forgotten
    server.should_exit = True
    await serving
    # again and again: a loop cancelled inside a database call finishes the call and forgets the cancellation
    while unfinished := {task for task in here.tasks if not task.done()}:
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=0.2)


async def poll(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


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
    assert await one.next() == {"type": "welcome", "seq": missed[1], "gap": False}
    assert await seqs(one, 1) == missed[2:]


async def test_more_than_a_page_is_sent_whole_and_in_order(
    phone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PAGE", 2)
    missed = await told(5)
    one = await phone()
    await one.hello("inbox")
    assert await seqs(one, 5) == missed


async def test_who_missed_more_than_is_replayed_is_told_of_the_gap(
    phone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "MOST_REPLAYED", 2)
    missed = await told(5)
    one = await phone()
    await one.hello("inbox", since=missed[0])
    assert await one.next() == {"type": "welcome", "seq": missed[2], "gap": True}
    assert await seqs(one, 2) == missed[3:]  # what lies between stands in the inbox


@pytest.mark.parametrize(("since", "gap"), [(0, True), (1, False)])
async def test_who_was_last_here_before_the_oldest_that_is_kept_is_told_of_the_gap(
    phone: Any, since: int, gap: bool
) -> None:
    missed = await told(3)
    await database_sync_to_async(Delivery.objects.filter(pk__in=missed[:2]).delete)()
    one = await phone()
    await one.hello("inbox", since=missed[since])
    assert await one.next() == {"type": "welcome", "seq": missed[2] - 1, "gap": gap}
    assert await seqs(one, 1) == missed[2:]


async def test_who_knows_more_than_the_ledger_is_told_of_the_gap(phone: Any) -> None:
    """After the ledger came back from a backup its next messages have numbers the phone takes for known."""
    missed = await told(1)
    one = await phone()
    await one.hello("inbox", since=missed[0] + 1000)
    assert await one.next() == {"type": "welcome", "seq": missed[0], "gap": True}
    await subscribed()
    assert await told(1) == await seqs(one, 1)


async def test_everybody_gets_every_message_once_and_in_order_whenever_he_comes(
    phone: Any, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phones come and go while messages go out and hints are lost."""
    monkeypatch.setattr(hub, "PAGE", 2)
    monkeypatch.setattr(hub, "SWEEP_S", 0.05)
    grants = [grant, *[await second_device(grant.officer_id) for _ in range(7)]]
    said: list[int] = []

    async def speak() -> None:
        for number in range(12):
            with monkeypatch.context() as maybe:
                if number % 3 == 0:
                    maybe.setattr(dispatch, "hint", lambda *_, **__: None)
                said.extend(await told(1))

    async def stay(of: Grant, leaving: int) -> list[int]:
        had: list[int] = []
        while len(had) < 12:
            one = await phone(of)
            await one.hello("inbox", since=had[-1] if had else 0)
            for _ in range(min(leaving, 12 - len(had))):
                had.append((await one.until("inbox"))["seq"])
            await one.close()
        return had

    _, *heard = await asyncio.gather(speak(), *(stay(of, n + 1) for n, of in enumerate(grants)))
    assert heard == [said] * len(grants)


async def test_a_hint_that_was_lost_costs_one_sweep(phone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SWEEP_S", 0.05)
    one = await phone()
    await one.hello("inbox")
    await one.next()
    await subscribed()
    monkeypatch.setattr(dispatch, "hint", lambda *_, **__: None)
    assert await told(2) == await seqs(one, 2)


async def test_what_could_not_be_read_is_told_by_the_next_sweep(
    phone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SWEEP_S", 0.05)
    one = await phone()
    await one.hello("inbox")
    await one.next()
    await subscribed()
    read, faults = hub._told, [OperationalError("away")] * 2

    async def away(*asked: Any) -> Any:
        if faults:
            raise faults.pop()
        return await read(*asked)

    monkeypatch.setattr(hub, "_told", away)
    assert await told(2) == await seqs(one, 2)
    assert not faults


@pytest.mark.parametrize("elsewhere", [False, True], ids=["himself", "from another device"])
async def test_who_signs_out_is_closed(phone: Any, grant: Grant, elsewhere: bool) -> None:
    second = await second_device(grant.officer_id)
    one, other = await phone(), await phone(second)
    for each in (one, other):
        await each.hello("inbox")
        await each.next()
    await subscribed()
    if elsewhere:
        await database_sync_to_async(auth.remove_device)(second, grant.device_id, now())
    else:
        await database_sync_to_async(auth.sign_out)(grant, now())
    assert await one.next() == {"type": "close", "code": 4401}
    assert await told(1) == await seqs(other, 1)


async def test_a_ticket_of_a_session_that_has_ended_lets_nobody_in(phone: Any, grant: Grant) -> None:
    ticket, one = issue_ticket(grant, now()), await phone()
    await database_sync_to_async(auth.sign_out)(grant, now())
    await one.hello(ticket=ticket)
    assert await one.next() == {"type": "close", "code": 4401}


async def test_a_phone_that_does_not_read_is_cut_and_resumes_where_it_was(
    phone: Any, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_UNSENT", 1 << 16)
    deaf, other = await phone(max_queue=1), await phone(await second_device(grant.officer_id))
    for each in (deaf, other):
        await each.hello("inbox", f"levels:{DISTRICT}")
        await each.next()
    await subscribed()
    deaf.line.transport.pause_reading()
    here = Hub.here(now)
    while len(here.everyone()) == 2:  # kernels take some hundred KB first
        hint("levels", as_of="1", changes={f"4403/{DISTRICT}/": ["x" * 100_000]})
        assert (await other.next())["type"] == "levels"
    missed = await told(1)
    assert await seqs(other, 1) == missed
    again = await phone(grant)
    await again.hello("inbox")
    assert await seqs(again, 1) == missed


async def test_a_line_that_takes_nothing_for_long_is_cut(phone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SLOW_S", 0.2)
    monkeypatch.setattr(hub, "PING_S", 0.5)
    deaf = await phone(max_queue=1)
    await deaf.hello(f"levels:{DISTRICT}")
    await deaf.next()
    await subscribed()
    deaf.line.transport.pause_reading()
    here = Hub.here(now)
    for _ in range(20):  # 2 MB in all, more than kernels take, in pieces below the bound
        hint("levels", as_of="1", changes={f"4403/{DISTRICT}/": ["x" * 100_000]})
        await asyncio.sleep(0.01)
        if not here.everyone():
            break
    await poll(lambda: here.everyone() == [])


async def test_while_redis_is_away_the_phone_is_asked_to_try_again(
    phone: Any, grant: Grant, settings: Settings
) -> None:
    ticket, one = issue_ticket(grant, now()), await phone()
    settings.REDIS_DATA_URL = "unix:///nowhere.sock"
    wire.cache_clear()
    try:
        await one.hello(ticket=ticket)
        assert await one.next() == {"type": "close", "code": 1013}
    finally:
        settings.REDIS_DATA_URL = REDIS_DATA_URL
        wire.cache_clear()


async def test_compression_is_not_agreed_to(phone: Any) -> None:
    """It would cost 45,000 phones 300 KB each."""
    one = await phone(compression="deflate")
    assert one.line.protocol.extensions == []


async def test_a_server_that_lends_no_line_refuses(
    officer: Officer, caplog: pytest.LogCaptureFixture
) -> None:
    port = web.shared_port("127.0.0.1", 0)
    server = uvicorn.Server(web.config(log_level="error", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve(sockets=[port]))
    await poll(lambda: server.started)
    with pytest.raises(InvalidStatus):
        await connect(f"ws://127.0.0.1:{port.getsockname()[1]}/ws/v1/", proxy=None)
    assert "python -m backend.web" in caplog.text
    server.should_exit = True
    await serving


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
    monkeypatch.setattr(hub, "PING_S", 0.4)
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


async def test_who_no_longer_answers_for_a_topic_is_closed_and_the_others_stay(
    phone: Any, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "POSTS_S", 0.05)
    desk, stays = await district_desk(), await district_desk()
    moved, ended, inbox, stayed = await phone(desk), await phone(), await phone(), await phone(stays)
    inbox.grant = await second_device(grant.officer_id)
    await moved.hello(f"levels:{DISTRICT}", f"board:{DISTRICT}")
    await ended.hello("inbox", f"levels:{STREET}")
    await inbox.hello("inbox")
    await stayed.hello(f"levels:{DISTRICT}", f"board:{DISTRICT}")
    for one in (moved, ended, inbox, stayed):
        await one.next()
    await subscribed()
    # the desk keeps its district's water, but not its board
    await change_posts(desk, region_id=STREET)
    await change_posts(grant, valid_to=now())
    for one in (moved, ended):
        assert await one.next() == {"type": "close", "code": 4403}
    hint("board", dispatch=7)
    assert await stayed.next() == {"type": "board", "dispatches": [7]}
    again = await phone(await second_device(desk.officer_id))
    await again.hello(f"levels:{DISTRICT}", f"board:{STREET}")
    assert (await again.next())["type"] == "welcome"
    assert len(Hub.here(now).everyone()) == 3


@database_sync_to_async
def change_posts(grant: Grant, **fields: object) -> None:
    Post.objects.filter(officer_id=grant.officer_id).update(**fields)


def test_what_posts_no_longer_cover_is_found_in_one_query(
    officer: Officer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    other = make_officer(Region.objects.get(pk=OTHER), Duty.DESK)
    Post.objects.filter(officer=other).update(valid_from=now() - timedelta(days=1))
    district, far = f"4403/{DISTRICT}/", f"4403/{OTHER}/"
    street = f"{district}{STREET}/"
    stands = {
        (officer.pk, Topics((district, street), (street,))), (officer.pk, Topics()),
        (other.pk, Topics((), (far,))), (other.pk, Topics((far,))),
    }  # fmt: skip
    gone = {
        (officer.pk, Topics((), (district,))), (officer.pk, Topics((far,))), (other.pk, Topics((far, district))),
        (0, Topics((district,))),
    }  # fmt: skip
    with django_assert_num_queries(1):
        assert entering.outside(stands | gone, now()) == gone


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
def second_device(officer_id: int) -> Grant:
    person = Officer.objects.get(pk=officer_id)
    give_phone(person)
    return signed_in(person)


async def test_of_two_sockets_of_a_device_the_one_with_the_later_ticket_stands(
    phone: Any, grant: Grant
) -> None:
    early, late = issue_ticket(grant, now() - timedelta(seconds=1)), issue_ticket(grant, now())
    old, new = await phone(), await phone()
    await new.hello("inbox", ticket=late)
    assert (await new.next())["type"] == "welcome"
    await old.hello("inbox", ticket=early)
    assert await old.next() == {"type": "close", "code": 4409}
    await subscribed()
    assert await told(1) == await seqs(new, 1)


async def test_two_devices_of_one_person_both_hear(phone: Any, grant: Grant) -> None:
    other = await second_device(grant.officer_id)
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
    {"type": "hello", "ticket": "t", "since": 1 << 63},
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
    monkeypatch.setattr(hub, "BOARD_S", 0.05)
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
    give_phone(desk)
    return signed_in(desk)


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
