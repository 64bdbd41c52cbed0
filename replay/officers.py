"""Simulated officers who answer pushes: SYNTHETIC, for the demo and for nothing else.

Follows the stand-in's feed of accepted pushes (phones.py) from its present end and gives the answers planned by
answers.py through the front door: receipts over HTTP, and for some officers over a socket of their own; a few file
forms, say how their tasks stand and report what they see (fieldwork.py). It acts for officers marked synthetic only.
Signing in is the one thing it does inside (officers.auth.admit), since it can read no one-time codes. Nothing is kept
over a restart: what was planned before is not answered any more. A server, database or stand-in that is away is waited
for. Does not own what is answered, nor the ledger.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import orjson
from channels.db import database_sync_to_async
from django import db
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from foundation.clock import now
from notifications.providers import PROVIDERS
from officers import auth
from officers.models import Device
from replay import fieldwork
from replay.answers import BEACON_S, BEACONS, DELIVERED, Agenda, Answer, answer_of
from replay.phones import Standin

log = logging.getLogger(__name__)

CANARY = "canary"  # the kind of what a phone on the shelf answers
RATE_PER_S = 120.0  # requests, receipts on sockets included; the server has a storm to work on
CARRIERS = 8  # requests at once
SOCKETS = 50
MOST_WAITING = 100_000  # answers planned; above it the feed is left alone (its ring holds 200,000 pushes)
MOST_SESSIONS = 20_000
PAGE = 1000
IDLE_S, LOOK_S, PAUSE_S, RECONNECT_S, NO_ROSTER_S, TALLY_S = 0.1, 0.5, 1.0, 3.0, 5.0, 30.0
AWAY = (httpx.TransportError, db.Error)  # of the server, or of the database when signing in


class ServerAway(Exception):
    """The door is closed for now (5xx, 429): try again later."""


class Door:
    """Requests in an officer's name, each with the bearer of the session on his own device."""

    def __init__(self, server: str, client: httpx.AsyncClient) -> None:
        self._client = client
        self._server = server
        self._bearers: dict[str, str] = {}  # by push token, oldest first
        self._next_s = 0.0

    @property
    def socket_url(self) -> str:
        return urljoin(self._server.replace("http", "ws", 1), "/ws/v1/")

    async def turn(self) -> None:
        """Wait until one more request keeps the rate."""
        clock_s = asyncio.get_running_loop().time()
        self._next_s = max(self._next_s, clock_s) + 1 / RATE_PER_S
        await asyncio.sleep(self._next_s - clock_s)

    async def post(self, token: str, path: str, body: object) -> httpx.Response | None:
        return await self.ask(token, "POST", path, body)

    async def ask(
        self, token: str, method: str, path: str, body: Any = None, photos: Sequence[bytes] = ()
    ) -> httpx.Response | None:
        """The answer to one request, JSON or a form with photos; None when the phone cannot be signed in.

        Raises ServerAway or one of AWAY.
        """
        said = {"data": body, "files": [("photos", photo) for photo in photos]} if photos else {"json": body}
        for _ in range(2):  # a bearer lives 15 minutes
            bearer = self._bearers.get(token) or await self._sign_in(token)
            if bearer is None:
                return None
            answer = await self._client.request(
                method, urljoin(self._server, path), **said, headers={"Authorization": f"Bearer {bearer}"}
            )
            if answer.status_code == 429 or answer.status_code >= 500:
                raise ServerAway(answer.status_code)
            if answer.status_code != 401:
                return answer
            self._bearers.pop(token, None)
        return None

    async def _sign_in(self, token: str) -> str | None:
        bearer = await database_sync_to_async(_admit)(token)
        if bearer is not None:
            while len(self._bearers) >= MOST_SESSIONS:
                del self._bearers[next(iter(self._bearers))]
            self._bearers[token] = bearer
        return bearer


def _admit(token: str) -> str | None:
    """An access token for the synthetic officer's phone with this push token; None when there is none."""
    try:
        phones = Device.objects.filter(token=token, provider__in=PROVIDERS, retired_at=None)
        device = phones.get(officer__synthetic=True)  # the city's tokens are all different
        return auth.admit(device.pk, now()).access
    except Device.DoesNotExist:
        return None


def _spread(wanted: int) -> list[str]:
    """Push tokens of so many synthetic officers' phones, evenly over the roster."""
    phones = Device.objects.live().filter(provider__in=PROVIDERS, officer__synthetic=True)
    ids = list(phones.order_by("pk").values_list("pk", flat=True))
    chosen = ids[:: max(1, len(ids) // max(wanted, 1))][:wanted]
    return list(phones.filter(pk__in=chosen).order_by("pk").values_list("token", flat=True))


def _receipts(answers: list[Answer]) -> dict[str, object]:
    """As a phone sends them: with its clock."""
    rows = [
        {"id": answer.message_id, "state": answer.state, "at": answer.at.isoformat()} for answer in answers
    ]
    return {"receipts": rows, "clock": now().isoformat()}


class SocketPhone:
    """A phone that holds a socket: says hello, resumes by `since`, answers pings, sends its receipts there."""

    def __init__(self, token: str, door: Door, agenda: Agenda, tally: Counter[str]) -> None:
        self._token, self._door, self._agenda, self._tally = token, door, agenda, tally
        self._seq = 0
        self._socket: ClientConnection | None = None
        self._unsettled: deque[list[Answer]] = deque()  # sent, the server's word is still out

    @property
    def connected(self) -> bool:
        return self._socket is not None

    async def stay(self) -> None:
        """Hold the socket for ever; reconnects after a pause, unanswered receipts go back to the agenda."""
        while True:
            try:
                await self._connect()
            except (*AWAY, ServerAway, OSError, TimeoutError, WebSocketException) as error:
                log.debug("officers.socket_lost error=%s", type(error).__name__)
            finally:
                self._socket = None
                while self._unsettled:
                    self._agenda.give_back(self._token, self._unsettled.popleft())
            await asyncio.sleep(RECONNECT_S)

    async def tell(self, answers: list[Answer]) -> bool:
        """Whether the receipts went out on the socket."""
        socket = self._socket
        if socket is None:
            return False
        self._unsettled.append(answers)  # first: if sending fails, `stay` gives them back
        frame = {"type": "receipt", **_receipts(answers)}
        with contextlib.suppress(WebSocketException):
            await socket.send(orjson.dumps(frame).decode())
        return True

    async def _connect(self) -> None:
        await self._door.turn()
        answer = await self._door.post(self._token, "/api/v1/auth/tickets", {})
        if answer is None or answer.status_code != 201:
            return
        async with connect(self._door.socket_url, proxy=None, open_timeout=10, max_size=2**22) as socket:
            ticket = answer.json()["ticket"]
            hello = {"type": "hello", "ticket": ticket, "since": self._seq, "topics": ["inbox"]}
            await socket.send(orjson.dumps(hello).decode())
            async for text in socket:
                await self._read(socket, orjson.loads(text))

    async def _read(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case "welcome":
                self._socket = socket
            case "ping":
                await socket.send('{"type":"pong"}')
            case "inbox":
                self._seq = max(self._seq, frame["seq"])
                self._tally["inbox"] += 1
            case "receipts" if self._unsettled:
                self._unsettled.popleft()
                self._tally.update(f"socket_{one['result']}" for one in frame["results"])
            case "error" if self._unsettled:
                self._unsettled.popleft()
                self._tally["refused"] += 1


class Officers:
    """Everybody with a phone, in one process."""

    def __init__(self, standin: Path, server: str, *, speed: float = 1.0, sockets: int = SOCKETS) -> None:
        """`standin`: the stand-in's folder; `speed`: people's seconds a second; `sockets`: phones that hold one."""
        self._standin, self._speed, self._wanted = standin, speed, sockets
        self._agenda, self.tally = Agenda(), Counter[str]()
        self._client = httpx.AsyncClient(
            timeout=10, trust_env=False, limits=httpx.Limits(max_connections=CARRIERS + 2)
        )
        self._door = Door(server, self._client)
        self.phones: dict[str, SocketPhone] = {}  # by push token
        self.seen: int | None = None  # the newest push's number in the feed; None: the feed was not found yet

    async def run(self) -> None:
        """Answer until cancelled."""
        async with self._client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._report())
            tasks.create_task(self._hold_sockets(tasks))
            for _ in range(CARRIERS):
                tasks.create_task(self._carry())

    async def _follow(self) -> None:
        """Plan an answer for every push the stand-in takes from now on; a new stand-in is read from its start."""
        standin, pid = None, 0
        while True:
            full = False
            try:
                if standin is None:
                    standin = Standin.at(self._standin)
                    if self.seen is None:
                        self.seen = int((await asyncio.to_thread(standin.counters))["accepted"])
                        log.info("officers.following after=%s", self.seen)
                    elif pid != standin.pid:
                        self.seen = 0
                    pid = standin.pid
                if len(self._agenda) < MOST_WAITING:
                    pushes = await asyncio.to_thread(standin.accepted, self.seen or 0, PAGE)
                    for push in pushes:
                        if push["data"].get("kind") == CANARY:
                            await self._fly_back(push)
                        else:
                            self._plan(push)
                        self.seen = push["n"]
                    full = len(pushes) == PAGE
            except OSError as error:  # not there yet, or gone: requests' errors are OSErrors
                log.debug("officers.standin_away error=%s", type(error).__name__)
                standin = None
            if not full:
                await asyncio.sleep(LOOK_S)

    async def _fly_back(self, push: dict[str, Any]) -> None:
        """A phone on the shelf answers at once, whatever the others have to say. Lost when the server is away."""
        beacon = Answer(int(push["id"]), DELIVERED, now())
        with contextlib.suppress(*AWAY, ServerAway):
            await self._give(push["token"], [beacon])
            self.tally["canaries"] += 1

    def _plan(self, push: dict[str, Any]) -> None:
        self.tally["pushes"] += 1
        words = push["data"]
        if not push["id"].isdigit() or words.get("quiet"):  # not from the ledger; nothing rang
            return
        errand, requires = words.get("errand", "first"), words.get("requires", "open")
        if errand != "repeat":  # of which the app knows the id
            for beacon in BEACONS:
                self._agenda.expect(
                    push["token"], int(push["id"]), beacon, push["at"] + BEACON_S / self._speed
                )
        plan = answer_of(push["token"], push["id"], errand, requires)
        for step in plan.steps:
            due_s = push["at"] + step.after_s / self._speed
            self._agenda.expect(push["token"], int(push["id"]), step.state, due_s)
        for chore in fieldwork.chores_of(push["token"], words.get("ref", "")) if plan.steps else ():
            due_s = push["at"] + (plan.steps[-1].after_s + chore.after_s) / self._speed
            self._agenda.expect(push["token"], chore.about, chore.kind, due_s)

    async def _carry(self) -> None:
        """One of the carriers: the phone that has waited longest, again and again."""
        while True:
            self._agenda.fall_due(now())
            taken = self._agenda.take()
            if taken is None:
                await asyncio.sleep(IDLE_S)
                continue
            token, answers = taken
            try:
                await self._door.turn()
                await self._give(token, answers)
            except (*AWAY, ServerAway) as error:
                self.tally["put_off"] += 1
                log.debug("officers.put_off error=%s", type(error).__name__)
                self._agenda.give_back(token, answers)
                await asyncio.sleep(PAUSE_S)

    async def _give(self, token: str, answers: list[Answer]) -> None:
        for chore in (answer for answer in answers if answer.state in fieldwork.CHORES):
            await fieldwork.carry_out(self._door, token, chore.message_id, chore.state, self.tally)
        answers = [answer for answer in answers if answer.state not in fieldwork.CHORES]
        if not answers:
            return
        phone = self.phones.get(token)
        if phone and await phone.tell(answers):
            return
        answer = await self._door.post(token, "/api/v1/inbox/receipts", _receipts(answers))
        if answer is None or answer.status_code != 200:
            self.tally["refused"] += 1
            return
        self.tally.update(f"http_{one['result']}" for one in answer.json()["results"])

    async def _hold_sockets(self, tasks: asyncio.TaskGroup) -> None:
        """Choose the phones once there is a roster, and let each hold its socket."""
        tokens: list[str] = []
        while self._wanted and not tokens:
            try:
                tokens = await database_sync_to_async(_spread)(self._wanted)
            except db.Error as error:
                log.debug("officers.no_roster error=%s", type(error).__name__)
            if not tokens:
                await asyncio.sleep(NO_ROSTER_S)
        self.phones = {token: SocketPhone(token, self._door, self._agenda, self.tally) for token in tokens}
        for phone in self.phones.values():
            tasks.create_task(phone.stay())

    async def _report(self) -> None:
        """One line whenever something has happened."""
        told: dict[str, int] = {}
        while True:
            await asyncio.sleep(TALLY_S)
            if self.tally != told:
                told = dict(self.tally)
                figures = " ".join(f"{name}={n}" for name, n in sorted(told.items()))
                connected = sum(phone.connected for phone in self.phones.values())
                log.info("officers.answered %s waiting=%s sockets=%s", figures, len(self._agenda), connected)
