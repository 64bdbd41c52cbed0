"""The same frames, however they come in, give the same warnings: in order, each twice, newest first.

Frames and gauges go through hydrology/ingest.py and the watch with a moved `now`; PostgreSQL is real. The storms
are the built-in reconstruction at its steepest and the given one, where it lies beside the repository.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
from django.db import transaction

from alerts import watch
from alerts.models import Warning, WarningEvent, WarningStreet, WatchMark
from hydrology import ingest
from hydrology.models import Feed, GridRun, Observation
from hydrology.science.formats import cf_netcdf
from hydrology.science.readings import Element
from replay import city
from replay.player import Objects
from replay.storm_2023 import MIDNIGHT_AT, reconstruct_2023, slot
from replay.storms import Frame, read_folder

GIVEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"
MOMENT = timedelta(milliseconds=100)
BEGAN_AT = MIDNIGHT_AT + timedelta(days=1000)  # after both storms: a replay's now is not the storm's
BUILT_AT = BEGAN_AT - timedelta(days=1)
LATER = watch.GRACE + timedelta(seconds=1)
Posts = list[tuple[str, bytes]]  # what is posted for one frame: (kind, body)


@dataclass(frozen=True)
class Outcome:
    """What the frames led to, without the instants at which they happened to come in."""

    warnings: list[tuple]
    streets: list[tuple]
    events: list[tuple]
    rain_mm: dict[str, float]
    rows: tuple[int, int]  # observations, grids


@dataclass(frozen=True)
class Storm:
    """The posts of each frame, oldest first, and what they lead to in their own time."""

    posts: list[Posts]
    expected: Outcome


@pytest.fixture(scope="module")
def known() -> dict[str, Storm]:
    """By name: the city is the same every time, so one test's expectation is the other's."""
    return {}


@pytest.fixture(params=["reconstructed", "given"])
def storm(request: pytest.FixtureRequest, known: dict[str, Storm], db: None) -> Storm:
    name = request.param
    city.build(BUILT_AT, say=lambda line: None, officers=1500)
    if name not in known:
        posts = posted(reconstructed() if name == "reconstructed" else given())
        known[name] = Storm(posts, in_order(posts))
    return known[name]


def reconstructed() -> list[Frame]:
    """18:00 to 20:00 of 7 September 2023."""
    return list(reconstruct_2023().frames[slot(18) : slot(20)])


def given() -> list[Frame]:
    """The wettest two hours of the given storm."""
    if not GIVEN.is_dir():
        pytest.skip("../shared/data/storm is not there: the given storm was not replayed")
    frames = list(read_folder(GIVEN).frames)
    wet = [float(frame.rain_mm().rain_mm.sum()) if frame.rain_mm else 0.0 for frame in frames]
    first = max(range(len(frames) - 23), key=lambda n: sum(wet[n : n + 24]))
    return frames[first : first + 24]


def posted(frames: list[Frame]) -> list[Posts]:
    objects = Objects(frames[0].at.date())
    posts = []
    for frame in frames:
        assert frame.observed and frame.nowcast and frame.rain_mm
        rows = objects.readings(frame.rain_mm(), frame.at)
        grids = [("grid", frame.nowcast()), ("grid", frame.observed())]
        posts.append([("readings", orjson.dumps({"readings": rows})), *grids])
    return posts


def arrive(posts: Posts, at: datetime) -> list[dict[str, object]]:
    """Each post is taken and, as the nudge has it, the watch looks at once."""
    feed = Feed.objects.get(key="replay")
    answers = []
    for kind, body in posts:
        answers.append((ingest.take_readings if kind == "readings" else ingest.take_grid)(feed, body, at))
        watch.assess_due(now=at)
    return answers


def outcome() -> Outcome:
    rain: dict[str, float] = {}
    for code, mm in (
        Observation.objects.filter(element=Element.RAIN).order_by("pk").values_list("station", "value")
    ):
        rain[code] = round(rain.get(code, 0.0) + mm, 1)
    return Outcome(
        sorted(
            Warning.objects.values_list("region", "level", "peak_level", "raised_at", "ended_at", "drill")
        ),
        sorted(WarningStreet.objects.values_list("warning__region", "region", "level")),
        [
            (
                event.warning.region_id,
                event.at,
                event.action,
                event.level,
                event.areas,
                event.reasons["streets"],
            )
            for event in WarningEvent.objects.select_related("warning").order_by(
                "warning__region", "at", "action"
            )
        ],
        rain,
        (Observation.objects.count(), GridRun.objects.count()),
    )


def in_order(posts: list[Posts]) -> Outcome:
    """Every frame in its own time, five minutes apart; nothing of it remains."""
    with transaction.atomic():
        for n, frame in enumerate(posts):
            at = BEGAN_AT + n * timedelta(minutes=5)
            arrive(frame, at)
            watch.assess_due(now=at + LATER)
        found = outcome()
        transaction.set_rollback(True)
    assert found.events
    assert found.rows[1] == 2 * len(posts)
    return found


def test_each_frame_posted_twice_gives_the_same_warnings_and_counts_rain_once(storm: Storm) -> None:
    for n, frame in enumerate(storm.posts):
        at = BEGAN_AT + n * timedelta(minutes=5)
        first = arrive(frame, at)
        assert arrive(frame, at + MOMENT) == first  # the same bytes: the same answer
        again = arrive([(kind, said_otherwise(kind, body)) for kind, body in frame], at + 2 * MOMENT)
        assert [answer["accepted"] for answer in again] == [0, 0, 0]
        assert [answer["duplicate"] for answer in again] == [answer["accepted"] for answer in first]
        watch.assess_due(now=at + LATER)
    assert outcome() == storm.expected


def said_otherwise(kind: str, body: bytes) -> bytes:
    """The same content in other bytes."""
    if kind == "readings":
        return orjson.dumps({"readings": orjson.loads(body)["readings"][::-1]}, option=orjson.OPT_INDENT_2)
    other = cf_netcdf.encode(cf_netcdf.decode(body))
    return other if other != body else other + b"\0" * 8  # HDF5 reads past nothing: a tail is no content


def test_frames_in_reverse_within_the_grace_give_the_same_warnings(storm: Storm) -> None:
    for n, frame in enumerate(reversed(storm.posts)):
        arrive(frame[::-1], BEGAN_AT + n * MOMENT)
    assert not WatchMark.objects.exclude(slot_at=None).exists()  # everything still waits for what is older
    watch.assess_due(now=BEGAN_AT + len(storm.posts) * MOMENT + LATER)
    assert outcome() == storm.expected
