"""Frames posted over HTTP while beat, the assessor, the web server, Redis and PostgreSQL die one after the other.

The warnings must be those of the same frames taken quietly in this process (tests/survival/test_same_frames.py
shows that their order does not matter), every frame stored once, and everyone warned.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest
from django.db import connection

from alerts import watch
from hydrology import ingest
from hydrology.feeds.signing import signed_headers
from hydrology.models import Feed
from replay import city
from replay.player import Door
from replay.storm_2023 import reconstruct_2023, slot
from replay.storms import Frame
from tests.survival.stack import Stack

BUILT_AT = datetime.fromisoformat("2026-06-01T00:00:00+08:00")
ANSWER_S = 5.0  # how long a feed waits for its answer

EVENTS = """
SELECT w.region_id, e.at, e.action, e.level, e.areas, e.reasons ->> 'streets'
FROM alerts_warningevent e JOIN alerts_warning w ON w.id = e.warning_id ORDER BY 1, 2, 3
"""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """18:00 to 19:00 of 7 September 2023, of the built-in reconstruction."""
    return list(reconstruct_2023().frames[slot(18) : slot(19)])


def bodies(frame: Frame) -> list[bytes]:
    assert frame.nowcast and frame.observed
    return [frame.nowcast(), frame.observed()]


@pytest.fixture
def undisturbed(db: None, frames: list[Frame]) -> list[tuple]:
    """The events of the same frames in a city where nothing dies."""
    city.build(BUILT_AT, say=lambda line: None, officers=1500)
    feed = Feed.objects.get(key="replay")
    for n, frame in enumerate(frames):
        at = BUILT_AT + n * timedelta(minutes=5)
        for body in bodies(frame):
            ingest.take_grid(feed, body, at)
        watch.assess_due(now=at + watch.GRACE)
    with connection.cursor() as cursor:
        cursor.execute(EVENTS)
        events = cursor.fetchall()
    assert len(events) > 3
    return events


def post(stack: Stack, frame: Frame, meanwhile: Callable[[], None] = lambda: None) -> None:
    """The frame through the player's door, which tries again; `meanwhile` comes as soon as it is on its way."""
    door = Door(stack.url, *stack.feed)
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(lambda: [door.post("grids", body) for body in bodies(frame)])
        meanwhile()
        stack.wait(sent.done, "the frame")
        sent.result()


def post_once(stack: Stack, frame: Frame) -> None:
    """The frame by a feed that neither waits long nor tries again."""
    key, secret = stack.feed
    for body in bodies(frame):
        headers = signed_headers(key, secret, body, datetime.now().astimezone())
        answer = httpx.post(
            f"{stack.url}/api/v1/ingest/grids", content=body, headers=headers, timeout=ANSWER_S
        )
        assert answer.json() == {"accepted": 1, "duplicate": 0, "rejected": []}


def assessed(stack: Stack, frame: Frame) -> None:
    stack.wait(
        lambda: (
            stack.ask("SELECT slot_at >= %s FROM alerts_watchmark WHERE hazard = 'rainstorm'", frame.at)
            == [(True,)]
        ),
        f"the assessment of {frame.at}",
    )


def test_whoever_dies_between_frames_the_warnings_are_the_same(
    stack: Stack, frames: list[Frame], undisturbed: list[tuple]
) -> None:
    post(stack, frames[0])
    stack.kill("beat")  # the first slot waits for its grace, and only beat comes by then
    assessed(stack, frames[0])
    for frame in frames[1:4]:
        post(stack, frame)
        assessed(stack, frame)
    stack.kill("ingest")
    post(stack, frames[4])
    post(stack, frames[5], lambda: stack.kill("web"))
    assessed(stack, frames[5])
    post(stack, frames[6])
    stack.kill("ingest")  # perhaps in the middle of it
    assessed(stack, frames[6])
    with stack.without(stack.valkey):
        post_once(stack, frames[7])
        post_once(stack, frames[8])
    assessed(stack, frames[8])
    post(stack, frames[9], lambda: stack.kill_server(stack.postgres))
    for frame in frames[10:]:
        post(stack, frame)
    assessed(stack, frames[-1])
    assert stack.ask(EVENTS) == undisturbed
    stored = stack.ask("SELECT product, issued_at, count(*) FROM hydrology_gridrun GROUP BY 1, 2")
    assert sorted(stored) == sorted((p, f.at, 1) for f in frames for p in ("nowcast", "observed"))
    everyone_warned(stack)


def everyone_warned(stack: Stack) -> None:
    """Each bulletin of a warning goes out once, to its whole audience."""
    stack.wait(lambda: all(map(stack.all_settled, bulletins(stack))), "the warnings", 120)
    for bulletin in bulletins(stack):
        tally = stack.tally(bulletin)
        assert tally.rows == tally.officers == tally.recipients > 0


def bulletins(stack: Stack) -> list[int]:
    return [row[0] for row in stack.ask("SELECT id FROM alerts_bulletin WHERE warning_id IS NOT NULL")]
