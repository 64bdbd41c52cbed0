"""A storm played as a drill: through its own door, waiting while it rests, and nothing live is touched."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django.live_server_helper import LiveServer

from alerts import drill_watch, drills
from alerts.assessment.drill_words import Act
from alerts.models import Drill, DrillFrame, DrillState, Warning
from foundation.clock import now
from foundation.scope import Scope
from hydrology.models import FeedPost, GridRun
from notifications import dispatch
from notifications.drills import invited
from officers.models import Duty
from replay import exercise, player
from replay.storms import read_folder
from tests.alerts.conftest import DISTRICT, SLOT, A, B, frame, nowcast
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW, SECRET, make_feed, make_regions

ALL = Scope(("",), ("",), ("",))
STORM: list[dict[str, float]] = [{}, {A: 6.0}, {A: 13.0, B: 6.0}, {}, {}]


@pytest.fixture
def drill(transactional_db: None) -> Drill:
    """A running drill of a district with two people in a street."""
    regions = make_regions()
    people = [make_officer(regions[A]) for _ in range(2)]
    commander = make_officer(regions["4403"], Duty.COMMAND)
    values = {"name": "汛前演练", "authority": DISTRICT, "areas": [DISTRICT], "duties": ["flood"]}
    planned = drills.plan(people[0].pk, ALL, values, now=now())
    return drills.act(planned.pk, Act.BEGIN, commander.pk, ALL, now=now(), invite=invited)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, mm in enumerate(STORM):
        end = NOW + n * SLOT
        (tmp_path / f"obs_{end:%Y%m%d%H%M}.nc").write_bytes(frame(end, mm))
        (tmp_path / f"nowcast_{end:%Y%m%d%H%M}.nc").write_bytes(nowcast(end, {}))
    return tmp_path


@contextmanager
def working(step: Callable[[], object] = lambda: None) -> Iterator[None]:
    """The workers, on connections of their own, while the storm plays."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.02):
                step()
                drill_watch.assess_due(now=now())
                dispatch.take_up(now=now())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def door(server: LiveServer) -> player.Door:
    make_feed("drill", drill=True)
    return player.Door(server.url, "drill", SECRET)


def test_the_command_plays_a_folder_into_the_drill_and_closes_with_its_grade(
    drill: Drill,
    folder: Path,
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_feed("drill", drill=True)
    monkeypatch.setenv("FEED_SECRET", SECRET)
    monkeypatch.setattr(exercise, "SAY_EVERY_S", 0.0)
    with working():
        call_command("replay", str(folder), drill=drill.pk, json=True, server=live_server.url)
    told = capsys.readouterr()
    assert told.err.count("storm time") == len(STORM)
    closing = json.loads(told.out)
    assert (closing["frames"], closing["late_frames"], closing["drill"]) == (len(STORM), 0, drill.pk)
    assert (closing["grade"]["people"], closing["grade"]["warnings"], closing["grade"]["grade"]) == (
        2,
        1,
        "D",
    )
    drill.refresh_from_db()
    assert drill.slot_at == NOW + (len(STORM) - 1) * SLOT
    assert DrillFrame.objects.count() == 2 * len(STORM)
    assert not GridRun.objects.exists()
    assert not FeedPost.objects.exists()
    assert not Warning.objects.filter(drill=False).exists()


def test_a_live_replay_says_how_far_it_is_beside_its_json(
    folder: Path,
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_feed("replay")
    monkeypatch.setenv("FEED_SECRET", SECRET)
    monkeypatch.setattr(player, "SAY_EVERY_S", 0.0)
    monkeypatch.setattr(player, "KEEP_UP_S", 0.0)  # nobody works here
    call_command("replay", str(folder), json=True, server=live_server.url)
    told = capsys.readouterr()
    assert told.err.count("storm time") == len(STORM)
    assert json.loads(told.out)["late_frames"] == len(STORM)


def test_the_same_storm_again_plays_a_day_later(drill: Drill, folder: Path, live_server: LiveServer) -> None:
    posts = door(live_server)
    with working():
        for _ in range(2):
            exercise.play(read_folder(folder), posts, drill.pk, speed=0, say=lambda line: None)
    drill.refresh_from_db()
    assert drill.slot_at == NOW + exercise.DAY + (len(STORM) - 1) * SLOT
    assert DrillFrame.objects.count() == 4 * len(STORM)


def test_the_storm_waits_while_the_drill_rests_and_stops_when_it_ends(
    drill: Drill, folder: Path, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercise, "REST_S", 0.05)
    posts, said = door(live_server), []
    by = drill.created_by_id
    verbs = iter([(1, Act.PAUSE), (1, Act.RESUME), (3, Act.END)])
    verb = [next(verbs)]

    def step() -> None:
        frames, act = verb[0]
        rested = act is not Act.RESUME or said  # until the player has noticed
        if DrillFrame.objects.filter(drill=drill, product="observed").count() >= frames and rested:
            drills.act(drill.pk, act, by, ALL, now=now())
            verb[0] = next(verbs, (10**6, act))

    with working(step):
        report = exercise.play(read_folder(folder), posts, drill.pk, speed=0, say=said.append)
    assert 3 <= report.frames < len(STORM)
    assert Drill.objects.get().state == DrillState.ENDED
    assert [line for line in said if "rests" in line]
    assert "ended" in said[-1]


def test_only_a_running_drill_has_a_storm(
    drill: Drill, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_SECRET", SECRET)
    drills.act(drill.pk, Act.PAUSE, drill.created_by_id, ALL, now=now())
    for pk, why in ((drill.pk, "paused"), (drill.pk + 1, "no drill")):
        with pytest.raises(CommandError, match=why):
            call_command("replay", str(folder), drill=pk, json=True)
