"""The hub when the ledger is older than what it has told: a restored backup, a standby that had not heard the last lines."""

from types import SimpleNamespace

import pytest

from foundation.clock import now
from notifications import hub
from notifications.frames import Item


async def test_a_ledger_that_came_back_older_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = hub.Hub(now)
    here.mark = 1_000
    line = SimpleNamespace(
        is_closing=lambda: False, get_write_buffer_size=lambda: 0, write=lambda frame: None
    )
    socket = hub.Socket(here, line, None)  # type: ignore[arg-type]
    socket.officer, socket.device, socket.inbox, socket.upto = 1, 1, True, 990
    here.sockets[1] = {socket}
    asked = 0

    async def missed(wanted: list[object], at: object) -> tuple[int, list[list[object]]]:
        nonlocal asked
        asked += 1
        assert asked < 5
        return 990, [[] for _ in wanted]

    monkeypatch.setattr(hub, "_missed", missed)
    here._caught_up(socket, [], 990)
    await here._catch_up()
    assert asked == 1


async def test_after_a_ledger_that_came_back_older_what_is_new_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = hub.Hub(now)
    here.mark = 1_000
    told = []
    line = SimpleNamespace(is_closing=lambda: False, get_write_buffer_size=lambda: 0, write=told.append)
    socket = hub.Socket(here, line, None)  # type: ignore[arg-type]
    socket.officer, socket.device, socket.inbox, socket.upto = 1, 1, True, 1_000
    here.sockets[1] = {socket}
    newest = iter([990, 991, 991])

    async def ledger() -> SimpleNamespace:
        return SimpleNamespace(newest=next(newest))

    async def step(since: int, until: int, most: int) -> int:
        return until

    async def told_since(*_: object) -> list[Item]:
        return [Item(991, 1, 7, b"frame")]

    monkeypatch.setattr(hub, "_ledger", ledger)
    monkeypatch.setattr(hub, "_step", step)
    monkeypatch.setattr(hub, "_told", told_since)
    await here._tell()
    await here._tell()
    assert told == [b"frame"]
