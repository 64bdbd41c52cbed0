"""Nudges in bulk; and a broker that takes connections and says nothing: the worst of its faults, for it costs time."""

import socket
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from pytest_django import DjangoCaptureOnCommitCallbacks

import backend.celery
from foundation import nudge

TIMEOUT_S = 0.2
EVERY_S = 0.3


@pytest.fixture
def dumb_broker() -> Iterator[socket.socket]:
    """The broker of this process's nudges while the test runs; accepting from it never waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        app = Celery("dumb", broker=f"redis://127.0.0.1:{listener.getsockname()[1]}", set_as_current=False)
        app.conf.broker_transport_options = {"socket_timeout": TIMEOUT_S, "max_retries": 0}
        app.set_current()
        yield listener
        backend.celery.app.set_current()
        nudge.pause.end()


def test_after_one_lost_nudge_the_others_do_not_wait_for_the_broker(
    db: None, dumb_broker: socket.socket, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        nudge.nudge("watch.assess")
    asked = 0
    while callers(dumb_broker):
        asked += 1
    assert asked > 0
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(20):
            nudge.nudge("watch.assess")
    assert not callers(dumb_broker)


@pytest.fixture
def broker() -> Iterator[Celery]:
    """The broker of this process's nudges while the test runs: its own memory."""
    app = Celery("memory", broker="memory://", set_as_current=False)
    app.set_current()
    app.set_default()  # of other threads
    yield app
    backend.celery.app.set_current()
    backend.celery.app.set_default()


def arrived(app: Celery, wanted: int) -> int:
    """How many nudges have come, once as many as wanted have, or a few seconds are over."""
    give_up_s = time.monotonic() + 20 * EVERY_S
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        while queue.qsize() < wanted and time.monotonic() < give_up_s:
            time.sleep(0.02)
        return int(queue.qsize())


def test_of_many_nudges_the_first_goes_at_once_and_the_last_is_not_lost(
    db: None, broker: Celery, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    def ask(times: int) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            for _ in range(times):
                nudge.nudge_at_most("watch.assess", EVERY_S)

    began_s = time.monotonic()
    ask(1)
    assert arrived(broker, 1) == 1
    ask(20)
    assert arrived(broker, 2) == 2
    assert time.monotonic() - began_s >= EVERY_S  # that one waited for its turn
    ask(1)
    assert arrived(broker, 3) == 3


def callers(listener: socket.socket) -> bool:
    """Whether somebody has connected since the last look."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
