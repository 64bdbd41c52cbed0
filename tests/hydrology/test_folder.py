"""A folder watched by listing: what grows is left alone, what is taken goes away or is remembered."""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import Refusal
from hydrology.models import Feed, FeedMark, FeedPost, GridRun, Observation, Source, SourceKind
from hydrology.sources import folder
from hydrology.sources.named import length_of
from hydrology.sources.polls import Came, claim, poll
from tests.hydrology import test_micaps4, test_odim_hdf5
from tests.hydrology.factories import MINUTE, NOW, body, rain

SECOND = timedelta(seconds=1)
NOWCAST = test_micaps4.encode(test_odim_hdf5.grid_of(test_odim_hdf5.RAIN_MM))


def watch(path: Path, **mapping: Any) -> Source:
    return Source.objects.create(
        key="there", feed_id="gauges", kind=SourceKind.FOLDER, address=str(path), due_at=NOW, mapping=mapping
    )


def put(path: Path, content: bytes, at: datetime = NOW - MINUTE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def polled(at: datetime = NOW) -> list[Came]:
    source = Source.objects.select_related("feed").get()
    assert claim(source, at)
    return poll(source, raining=False, clock=lambda: at)


def now_there() -> Source:
    return Source.objects.get()


def names(path: Path) -> list[str]:
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file())


def test_files_are_taken_oldest_first_and_moved_to_done_or_refused(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0)), NOW - 2 * MINUTE)
    put(tmp_path / "b.json", body(rain("rain-1", NOW - 5 * MINUTE, 1.0)), NOW - 3 * MINUTE)
    put(tmp_path / "c.json", b"broken", NOW - MINUTE)
    put(tmp_path / "other.csv", b"of no concern")
    watch(tmp_path, glob="*.json")
    assert [(came.name, bool(came.refused)) for came in polled()] == [
        ("b.json", False), ("a.json", False), ("c.json", True),
    ]  # fmt: skip
    assert names(tmp_path) == ["done/a.json", "done/b.json", "other.csv", "refused/c.json"]
    there = now_there()
    assert (there.failures, there.good_at) == (0, NOW)
    assert "c.json" in there.fault
    assert bytes(FeedPost.objects.get(answer__has_key="refused").body) == b"broken"
    assert polled() == []
    assert now_there().mark["seen"] == {}


def test_a_file_of_the_same_name_later_loses_neither(feed: Feed, tmp_path: Path) -> None:
    watch(tmp_path)
    for minute in (3, 2):
        put(tmp_path / "now.json", body(rain("rain-1", NOW - minute * MINUTE, 1.0)), NOW - minute * MINUTE)
        assert len(polled()) == 1
    assert len(names(tmp_path / "done")) == 2


@pytest.mark.parametrize("name", ["a.json.part", "a.json.tmp", ".a.json", "a.json.filepart"])
def test_a_name_of_something_unfinished_is_left_alone(feed: Feed, tmp_path: Path, name: str) -> None:
    put(tmp_path / name, body(rain("rain-1", NOW, 1.0)))
    watch(tmp_path)
    assert polled() == []
    assert names(tmp_path) == [name]


def test_what_still_grows_waits_until_it_has_been_quiet(feed: Feed, tmp_path: Path) -> None:
    whole = body(rain("rain-1", NOW, 1.0))
    growing = put(tmp_path / "a.json", whole[:20], NOW)
    put(tmp_path / "empty.json", b"", NOW - MINUTE)
    watch(tmp_path, settled_s=10)
    assert polled(NOW + 5 * SECOND) == []
    put(growing, whole, NOW + 6 * SECOND)
    assert polled(NOW + 12 * SECOND) == []
    assert [came.accepted for came in polled(NOW + 16 * SECOND)] == [1]


def test_a_file_of_a_server_whose_clock_is_ahead_is_taken_once_it_rests(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0)), NOW + 60 * MINUTE)
    watch(tmp_path, settled_s=10)
    assert [len(polled(NOW + wait * SECOND)) for wait in (0, 9, 10)] == [0, 0, 1]


def test_a_folder_we_may_only_read_keeps_its_files_and_none_is_taken_twice(
    feed: Feed, tmp_path: Path
) -> None:
    path = put(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0)))
    put(tmp_path / "broken.json", b"broken")
    put(tmp_path / "ancient.json", body(rain("rain-1", NOW - MINUTE, 1.0)), NOW - timedelta(days=3))
    watch(tmp_path, after="leave")
    assert [len(polled()) for _ in range(3)] == [2, 0, 0]
    assert FeedMark.objects.get().rejected == 1
    assert names(tmp_path) == ["a.json", "ancient.json", "broken.json"]
    put(path, body(rain("rain-1", NOW, 1.0), rain("rain-2", NOW, 1.0)))  # a new content under the name
    assert [(came.accepted, came.duplicate) for came in polled()] == [(1, 1)]
    path.unlink()
    polled()
    assert list(now_there().mark["seen"]) == ["broken.json"]


def test_the_names_remembered_are_bounded_and_what_is_older_stays_taken(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MOST_SEEN", 3)
    for n in range(6):
        put(tmp_path / f"{n}.json", body(rain("rain-1", NOW - n * MINUTE, 1.0)), NOW - (n + 1) * MINUTE)
    watch(tmp_path, after="leave")
    assert [len(polled()) for _ in range(3)] == [6, 0, 0]
    assert sorted(now_there().mark["seen"]) == ["0.json", "1.json", "2.json"]


def test_a_file_that_cannot_be_moved_is_said_and_not_taken_again(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0)))
    put(tmp_path / "done", b"a file where the folder should be")
    watch(tmp_path, glob="*.json")
    assert [came.accepted for came in polled()] == [1]
    assert "a.json was taken but cannot be moved" in now_there().fault
    assert polled() == []


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_taken(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0)))
    put(tmp_path / "b.json", body(rain("rain-2", NOW, 1.0)))
    source = watch(tmp_path)
    bodies = folder.fetch(source, NOW)
    assert next(iter(bodies)).name == "a.json"
    (tmp_path / "b.json").unlink()  # it vanishes between listing and reading
    with pytest.raises(Exception, match="file b.json cannot be read"):
        list(bodies)


def test_what_is_too_large_is_named_and_not_read(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(folder.MOST_BYTES, "readings", 200)
    put(tmp_path / "a.json", b" " * 201)
    put(tmp_path / "b.json", body(rain("rain-2", NOW, 1.0)))
    watch(tmp_path)
    assert [came.name for came in polled()] == ["b.json"]
    assert "a.json is larger" in now_there().fault
    assert names(tmp_path) == ["a.json", "done/b.json"]


def test_folders_by_date_are_those_of_today_and_yesterday_here(feed: Feed, tmp_path: Path) -> None:
    for day in ("20260906", "20260907", "20260908"):
        put(tmp_path / day / f"{day}.json", body(rain("rain-1", NOW - int(day[-1]) * MINUTE, 1.0)))
    watch(tmp_path, subfolders="%Y%m%d")
    at = NOW + timedelta(hours=5)  # 01:00 of the 8th in Shenzhen
    assert sorted(came.name for came in polled(at)) == ["20260907/20260907.json", "20260908/20260908.json"]
    assert names(tmp_path / "done") == ["20260907/20260907.json", "20260908/20260908.json"]


def test_micaps_files_that_only_their_names_date_become_one_nowcast(feed: Feed, tmp_path: Path) -> None:
    for n, part in enumerate(part for part in re.split(rb"(?=diamond)", NOWCAST) if part):
        untold = re.sub(rb"(?<=diamond 4 )\S+", "雷达外推".encode("gbk"), part)
        put(tmp_path / f"2309072000.{5 * n + 5:03d}", untold)
    source = watch(tmp_path, field={"length_min": 5})
    Source.objects.update(door="grid")
    assert [each.refused for each in polled()] == ["", ""]
    run = GridRun.objects.order_by("-revision")[0]
    assert (run.product, run.steps, run.missing_share) == ("nowcast", 2, 0)
    source.mapping = {"field": {"length_min": 0}}
    with pytest.raises(Refusal, match="length_min"):
        length_of(source.mapping["field"])


def test_a_name_in_gbk_is_taken_and_said_in_escapes(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / os.fsdecode("雨.json".encode("gbk")), body(rain("rain-1", NOW, 1.0)))
    watch(tmp_path)
    assert [came.name for came in polled()] == [r"\xd3\xea.json"]
    assert len(names(tmp_path / "done")) == 1
    put(tmp_path / os.fsdecode("雨.json".encode("gbk")), b"broken")
    polled()
    assert r"\xd3\xea.json" in now_there().fault


def test_a_link_out_of_the_folder_is_not_followed(feed: Feed, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "a.json", body(rain("rain-1", NOW, 1.0)))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.json").symlink_to(outside)
    watch(inside)
    assert polled() == []
    assert not Observation.objects.exists()


@pytest.mark.parametrize(
    ("address", "mapping", "why"),
    [
        ("/nowhere/at/all", {}, "is not there"),
        ("relative", {}, "not an absolute path"),
        (None, {"after": "burn"}, "after must be move or leave"),
        (None, {"settled_s": -1}, "mapping.settled_s must be whole seconds"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(
    feed: Feed, tmp_path: Path, address: str | None, mapping: dict[str, Any], why: str
) -> None:
    watch(Path(address) if address else tmp_path, **mapping)
    assert polled() == []
    there = now_there()
    assert why in there.fault
    assert there.failures == 1


def test_a_linked_directory_leads_to_no_files(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "out/theirs.json", body(rain("rain-1", NOW, 1.0)))
    put(tmp_path / "in/day/ours.json", body(rain("rain-1", NOW, 2.0)))
    (tmp_path / "in/linked").symlink_to(tmp_path / "out")
    watch(tmp_path / "in", glob="*/*")
    assert [came.name for came in polled()] == ["day/ours.json"]
    assert names(tmp_path / "out") == ["theirs.json"]


def test_nothing_is_put_away_through_a_link(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "in/ours.json", body(rain("rain-1", NOW, 2.0)))
    (tmp_path / "out").mkdir()
    (tmp_path / "in/done").symlink_to(tmp_path / "out")
    watch(tmp_path / "in")
    assert [came.accepted for came in polled()] == [1]
    assert "done/" in now_there().fault
    assert names(tmp_path / "out") == []


def test_the_folder_itself_may_be_a_link(feed: Feed, tmp_path: Path) -> None:
    put(tmp_path / "real/ours.json", body(rain("rain-1", NOW, 2.0)))
    (tmp_path / "in").symlink_to(tmp_path / "real")
    watch(tmp_path / "in")
    assert [came.accepted for came in polled()] == [1]
    assert names(tmp_path / "real") == ["done/ours.json"]
