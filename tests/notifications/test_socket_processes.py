"""Two web processes on one port, as in production: what one process knows the other one is told."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connection
from websockets.asyncio.client import connect

from backend.children import die_with_parent
from foundation.clock import now
from foundation.wire import hint
from officers import auth
from officers.auth import Grant
from officers.models import Officer
from tests.notifications.test_sockets import (
    DISTRICT,
    PATIENCE_S,
    Phone,
    grant,
    listeners,
    officer,
    second_device,
    seqs,
    told,
)

__all__ = ["grant", "officer"]
START_S = 240.0  # two interpreters with all of Django, on a busy machine
pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Webs:
    """Web processes, each also on a port of its own, so that a test may choose."""

    ports: list[int]
    running: list[subprocess.Popen[bytes]]
    opened: list[Phone] = field(default_factory=list)

    async def phone(self, which: int, of: Grant) -> Phone:
        self.opened.append(Phone(of, await connect(f"ws://127.0.0.1:{self.ports[which]}/ws/v1/", proxy=None)))
        return self.opened[-1]


@pytest.fixture
async def webs(officer: Officer, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Webs]:
    own = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    ports, before = [unused_tcp_port_factory() for _ in range(2)], len(listeners())
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "backend.web", "--port", str(port)],
            env=os.environ | {"DATABASE_URL": own},
            preexec_fn=die_with_parent(15),
        )
        for port in ports
    ]
    webs = Webs(ports, running)
    try:
        for port in ports:
            await until_open(port)
        assert len(listeners()) == before  # nobody is here: nothing runs
        yield webs
        for phone in webs.opened:
            await phone.close()
    finally:
        for web in running:
            web.kill()
            web.wait()


async def until_open(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return writer.close()


async def welcomed(webs: Webs, which: int, of: Grant, *topics: str, since: int = 0) -> Phone:
    one = await webs.phone(which, of)
    await one.hello(*topics, since=since)
    assert (await one.next())["type"] == "welcome"
    return one


async def both_listen() -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(listeners()) < 2:
            await asyncio.sleep(0.01)


async def test_a_device_that_comes_to_another_process_is_replaced_in_the_first(
    webs: Webs, grant: Grant
) -> None:
    there = await welcomed(webs, 1, await second_device(grant.officer_id), "inbox")
    old = await welcomed(webs, 0, grant, "inbox")
    await both_listen()
    new = await welcomed(webs, 1, grant, "inbox")
    assert await old.next() == {"type": "close", "code": 4409}
    told_now = await told(1)
    assert await seqs(new, 1) == told_now
    assert await seqs(there, 1) == told_now


async def test_a_process_is_killed_and_its_phones_miss_nothing_at_the_other(webs: Webs, grant: Grant) -> None:
    one = await welcomed(webs, 0, grant, "inbox")
    first = await told(1)
    assert await seqs(one, 1) == first
    webs.running[0].kill()
    assert (await one.next())["type"] == "close"
    missed = await told(2)
    again: Any = await welcomed(webs, 1, grant, "inbox", since=first[0])
    assert await seqs(again, 2) == missed


async def test_levels_and_the_end_of_a_session_reach_every_process(webs: Webs, grant: Grant) -> None:
    other = await second_device(grant.officer_id)
    here = await welcomed(webs, 0, grant, f"levels:{DISTRICT}")
    there = await welcomed(webs, 1, other, f"levels:{DISTRICT}")
    await both_listen()
    hint("levels", as_of="1", changes={f"4403/{DISTRICT}/": [{"station": "s"}]})
    for one in (here, there):
        assert (await one.next())["changes"] == [{"station": "s"}]
    await database_sync_to_async(auth.sign_out)(other, now())
    assert await there.next() == {"type": "close", "code": 4401}
