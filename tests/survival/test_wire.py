"""A Redis that takes connections and says nothing: hints and signs of life are lost, and nobody waits for them twice."""

import socket
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from foundation import wire
from foundation.clock import now
from tests.survival.test_nudge import callers


@pytest.fixture
def dumb_redis(settings: Settings) -> Iterator[socket.socket]:
    """The Redis of this process's hints while the test runs; accepting from it never waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        settings.REDIS_SENTINELS = None
        settings.REDIS_DATA_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/1"
        wire.wire.cache_clear()
        yield listener
        wire.wire.cache_clear()
        wire.pause.end()


def asked(listener: socket.socket) -> int:
    """How many have connected since the last look."""
    n = 0
    while callers(listener):
        n += 1
    return n


def test_after_one_lost_hint_the_others_do_not_wait_for_redis(dumb_redis: socket.socket) -> None:
    wire.hint("board", dispatch=1)
    assert asked(dumb_redis) == 1
    for n in range(20):
        wire.hint("board", dispatch=n)
        wire.hints("board", "dispatch", [n])
        wire.beat("jobs", "any", now())
        wire.beats_no_more("jobs", ["any"])
    assert asked(dumb_redis) == 0
    wire.pause.end()
    wire.beat("jobs", "any", now())
    assert asked(dumb_redis) > 0
