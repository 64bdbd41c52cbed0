"""Simulated officers: what they decide, and that their answers pass the real front door, HTTP and socket."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import uvicorn
from channels.db import database_sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import Requires
from backend import web
from backend.asgi import application
from foundation import clock
from foundation.errors import Refusal
from hazards.models import Feedback
from notifications.hub import Hub
from notifications.models import Delivery, Errand, Receipt, State
from notifications.transports.base import Message, OutcomeKind, Push
from notifications.transports.fcm import FcmTransport
from officers import auth
from officers.models import AuditEntry, Device, Officer, Platform, Rank, Session
from replay.answers import (
    CONFIRMED,
    DELIVERED,
    DEPUTY_SHARES,
    MOST_IN_ONE_REQUEST,
    OPENED,
    SHARES,
    SHOWN,
    Agenda,
    Habit,
    answer_of,
)
from replay.city import _held
from replay.fieldwork import FORM, chores_of
from replay.officers import Officers
from replay.phones import Standin, start_standin
from tests.console.factories import make_dispatch
from tests.hazards.conftest import person, released
from tests.hydrology.factories import make_regions

TOKENS = [f"demo-{i:05d}" for i in range(10_000)]
NOW = datetime(2026, 9, 7, 12, tzinfo=UTC)
WORDS = st.text(max_size=20)


@pytest.mark.parametrize("holders", [1, 5, 6, 7, 11, 12, 33, 300])
def test_of_every_position_in_the_demo_city_there_is_one_b(holders: int) -> None:
    held = [_held(turn, holders) for turn in range(holders)]
    deputies = Counter(position for rank, position in held if rank == Rank.B)
    assert set(deputies.values()) <= {1}
    assert {position for _, position in held} == (set(deputies) or {""})


@pytest.mark.parametrize(("errand", "shares"), [("first", SHARES), ("deputy", DEPUTY_SHARES)])
def test_ten_thousand_officers_keep_the_shares(errand: str, shares: dict[Habit, float]) -> None:
    habits = Counter(answer_of(token, "77", errand, "confirm").habit for token in TOKENS)
    assert sum(shares.values()) == pytest.approx(1)
    for habit, share in shares.items():
        assert habits[habit] / len(TOKENS) == pytest.approx(share, abs=0.02)


def test_another_message_finds_other_officers_awake() -> None:
    both = sum(
        answer_of(token, "1", "first", "confirm").habit is answer_of(token, "2", "first", "confirm").habit
        for token in TOKENS
    )
    alike_by_chance = sum(share**2 for share in SHARES.values())
    assert both / len(TOKENS) == pytest.approx(alike_by_chance, abs=0.02)


@given(WORDS, WORDS, st.sampled_from(Errand.values), st.sampled_from(Requires.values))
def test_a_plan_is_always_the_same_and_in_order(token: str, message: str, errand: str, requires: str) -> None:
    plan = answer_of(token, message, errand, requires)
    assert plan == answer_of(token, message, errand, requires)
    assert [step.state for step in plan.steps] in ([], [OPENED], [OPENED, CONFIRMED])
    times_s = [step.after_s for step in plan.steps]
    assert times_s == sorted(times_s)
    assert all(5 <= after_s <= 60 for after_s in times_s)


@given(WORDS, WORDS, st.sampled_from(Requires.values))
def test_first_push_and_repeat_together_say_everything_at_most_once(
    token: str, message: str, requires: str
) -> None:
    first, again = (answer_of(token, message, errand, requires) for errand in ("first", "repeat"))
    assert not (first.steps and again.steps)


def test_where_only_opening_is_required_nobody_confirms() -> None:
    for requires in ("open", "none"):
        plans = [answer_of(t, "5", e, requires) for t in TOKENS for e in ("first", "repeat", "deputy")]
        assert {step.state for plan in plans for step in plan.steps} == {OPENED}


def test_the_late_ones_answer_the_repeat_and_only_they() -> None:
    for token in TOKENS[:1000]:
        first = answer_of(token, "9", "first", "confirm")
        again = answer_of(token, "9", "repeat", "confirm")
        assert bool(again.steps) == (first.habit is Habit.LATE)


def test_what_falls_due_goes_out_by_phone_the_longest_waiting_first() -> None:
    agenda = Agenda()
    for token, message, after_s in (("a", 1, 3), ("b", 2, 1), ("a", 3, 2), ("c", 4, 99)):
        agenda.expect(token, message, OPENED, NOW.timestamp() + after_s)
    agenda.fall_due(NOW + timedelta(seconds=3))
    taken = [agenda.take(), agenda.take(), agenda.take()]
    assert [(one[0], [answer.message_id for answer in one[1]]) for one in taken if one] == [
        ("b", [2]),
        ("a", [3, 1]),
    ]
    assert len(agenda) == 1


def test_what_could_not_be_delivered_is_taken_again_and_no_request_is_too_long() -> None:
    agenda = Agenda()
    for message in range(MOST_IN_ONE_REQUEST + 1):
        agenda.expect("a", message, OPENED, 0.0)
    agenda.fall_due(NOW)
    taken = agenda.take()
    assert taken
    agenda.give_back(*taken)
    seen = set()
    while taken := agenda.take():
        assert len(taken[1]) <= MOST_IN_ONE_REQUEST
        seen |= {answer.message_id for answer in taken[1]}
    assert seen == set(range(MOST_IN_ONE_REQUEST + 1))
    assert len(agenda) == 0


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Standin, Path]]:
    directory = tmp_path_factory.mktemp("phones")
    with start_standin(directory) as running:
        yield running, directory


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A loopback port that nobody else gets; it refuses until a server listens on it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved


@pytest.fixture
def deliveries(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> list[Delivery]:
    """Three officers on a street, the last one not synthetic, each with a phone that will answer promptly."""
    monkeypatch.setattr(Hub, "_here", None)  # its loops belong to the event loop of one test
    street = make_regions()["440303001"]
    dispatch = make_dispatch([(street, State.SENT)] * 3)
    made = list(dispatch.deliveries.order_by("pk"))
    Officer.objects.filter(pk__in=[made[0].officer_id, made[1].officer_id]).update(synthetic=True)
    for delivery in made:
        Device.objects.create(
            officer_id=delivery.officer_id, platform=Platform.ANDROID, provider="fcm",
            token=prompt_token(delivery.pk), registered_at=NOW,
        )  # fmt: skip
    return made


def prompt_token(message_id: int) -> str:
    tokens = (f"phone-{message_id}-{i}" for i in count())
    return next(t for t in tokens if answer_of(t, str(message_id), "first", "confirm").habit is Habit.PROMPT)


def ring(
    standin: Standin, deliveries: list[Delivery], *, ref: str = "", token: str = "", kind: str = "warning"
) -> None:
    """Push these deliveries to their officers' phones through the real transport."""
    now = clock.now()
    message = Message(
        id="1", title="暴雨", body="暴雨", level="alert", kind=kind, ref=ref, drill=False, critical=True,
        expires_at=now + timedelta(hours=1), data={"requires": "confirm", "errand": "first"},
    )  # fmt: skip
    pushes = [Push(one.pk, token or prompt_token(one.pk), message, str(one.pk)) for one in deliveries]
    transport = FcmTransport(standin.credentials, endpoint=standin.endpoint, ca_file=standin.ca_file)
    try:
        assert {outcome.kind for outcome in transport.send(pushes, now)} == {OutcomeKind.SENT}
    finally:
        transport.close()


@asynccontextmanager
async def serving(port: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(web.config(application, log_level="error"))
    task = asyncio.create_task(server.serve(sockets=[port]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def at_work(officers: Officers) -> AsyncIterator[None]:
    task = asyncio.create_task(officers.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await database_sync_to_async(true)():
            await asyncio.sleep(0.02)


def confirmed(*deliveries: Delivery) -> bool:
    ids = [one.pk for one in deliveries]
    return Delivery.objects.filter(pk__in=ids, state=State.CONFIRMED).count() == len(ids)


def test_admission_opens_one_session_on_a_live_device_and_none_on_a_retired_one(
    deliveries: list[Delivery],
) -> None:
    device = Device.objects.get(officer_id=deliveries[0].officer_id)
    tokens = [auth.admit(device.pk, NOW).access for _ in range(2)]
    grant = auth.grant_of(tokens[1], NOW)
    assert (grant.officer_id, grant.device_id) == (device.officer_id, device.pk)
    with pytest.raises(Refusal):
        auth.grant_of(tokens[0], NOW)
    Device.objects.filter(pk=device.pk).update(retired_at=NOW)
    with pytest.raises(Device.DoesNotExist):
        auth.admit(device.pk, NOW)


async def test_answers_pass_the_front_door_by_socket_and_by_http_and_only_for_synthetic_officers(
    standin: tuple[Standin, Path], port: socket.socket, deliveries: list[Delivery]
) -> None:
    running, directory = standin
    by_socket, by_http, real = deliveries
    officers = Officers(directory, f"http://127.0.0.1:{port.getsockname()[1]}", speed=1000, sockets=1)
    async with serving(port), at_work(officers):
        await until(lambda: officers.seen is not None and any(p.connected for p in officers.phones.values()))
        await asyncio.to_thread(ring, running, deliveries)
        await until(lambda: confirmed(by_socket, by_http) and officers.tally["refused"] > 0)
    receipts = await database_sync_to_async(
        lambda: set(Receipt.objects.values_list("delivery_id", "source", "state"))
    )()
    assert receipts == {
        (line.pk, source, state)
        for line, source in ((by_socket, "socket"), (by_http, "http"))
        for state in (DELIVERED, SHOWN, OPENED, CONFIRMED)
    }
    skews = await database_sync_to_async(lambda: set(Receipt.objects.values_list("skew_s", flat=True)))()
    assert None not in skews
    admitted = await database_sync_to_async(
        lambda: set(AuditEntry.objects.filter(act="session.admit").values_list("detail__officer", flat=True))
    )()
    assert admitted == {by_socket.officer_id, by_http.officer_id}


async def test_a_phone_on_the_shelf_says_at_once_that_the_push_came_and_nothing_else(
    standin: tuple[Standin, Path], port: socket.socket, deliveries: list[Delivery]
) -> None:
    running, directory = standin
    officers = Officers(directory, f"http://127.0.0.1:{port.getsockname()[1]}", sockets=0)
    async with serving(port), at_work(officers):
        await until(lambda: officers.seen is not None)
        await asyncio.to_thread(lambda: ring(running, deliveries[:1], kind="canary"))
        await until(lambda: officers.tally["canaries"] == 1)
    [receipt] = await database_sync_to_async(lambda: list(Receipt.objects.all()))()
    assert (receipt.delivery_id, receipt.state) == (deliveries[0].pk, "delivered")


async def test_a_server_that_is_away_is_waited_for_and_a_lost_session_opened_again(
    standin: tuple[Standin, Path], port: socket.socket, deliveries: list[Delivery]
) -> None:
    running, directory = standin
    officers = Officers(directory, f"http://127.0.0.1:{port.getsockname()[1]}", speed=1000, sockets=0)
    async with at_work(officers):
        await until(lambda: officers.seen is not None)
        await asyncio.to_thread(ring, running, deliveries[:1])
        await until(lambda: officers.tally["put_off"] > 0)
        await database_sync_to_async(Session.objects.update)(revoked_at=clock.now())
        async with serving(port):
            await until(lambda: confirmed(deliveries[0]))
    sessions = await database_sync_to_async(Session.objects.count)()
    assert sessions == 2


async def test_some_who_confirm_an_order_file_a_form(
    standin: tuple[Standin, Path],
    port: socket.socket,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hub, "_here", None)
    line, token = await database_sync_to_async(_told_of_an_order)()
    running, directory = standin
    officers = Officers(directory, f"http://127.0.0.1:{port.getsockname()[1]}", speed=100_000, sockets=0)
    async with serving(port), at_work(officers):
        await until(lambda: officers.seen is not None)
        ref = f"order/{line.dispatch.bulletin.order_id}"
        await asyncio.to_thread(lambda: ring(running, [line], ref=ref, token=token))
        await until(lambda: officers.tally["form_201"] == 1 and confirmed(line))
    form = await database_sync_to_async(Feedback.objects.get)()
    assert (form.officer_id, form.order_id) == (line.officer_id, line.dispatch.bulletin.order_id)


def _told_of_an_order() -> tuple[Delivery, str]:
    """A synthetic officer's line in an order's ledger, and the token of a phone that answers it and files a form."""
    officer = person(make_regions()["440303001"])
    Officer.objects.filter(pk=officer.pk).update(synthetic=True)
    order = released(at=clock.now() - timedelta(hours=1))
    line = Delivery.objects.select_related("dispatch__bulletin").get(officer=officer)
    tokens = (f"phone-{line.pk}-{i}" for i in count())
    token = next(
        t
        for t in tokens
        if answer_of(t, str(line.pk), "first", "confirm").habit is Habit.PROMPT
        and [chore.kind for chore in chores_of(t, f"order/{order.pk}")] == [FORM]
    )
    Device.objects.create(
        officer=officer, platform=Platform.ANDROID, provider="fcm", token=token, registered_at=NOW
    )
    return line, token
