"""The engineer's command: sources listed with their state, set up with their faults named, polled once."""

import json
import os
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from foundation.clock import now
from hydrology.management.commands.sources import state
from hydrology.models import Feed, FeedPost, Observation, RadarFrame, Source, SourceKind
from hydrology.sources.polls import claim
from tests.hydrology.factories import MINUTE, NOW, body, rain

URL = ["--feed", "gauges", "--kind", "url", "--address", "https://water.example/now.json"]


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("sources", *arguments, stdout=out)
    return out.getvalue()


def ripe(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (now().timestamp() - 60,) * 2)


def test_a_source_is_added_listed_switched_off_and_on_and_changed(feed: Feed) -> None:
    listed = said("add", "there", *URL, "--secret-env", "SOURCE_THERE", "--mapping", '{"header": "X-Key"}')
    assert "there [url > readings, feed gauges] not polled yet" in listed
    there = Source.objects.get()
    assert (there.mapping, there.every_s, there.wet_every_s) == ({"header": "X-Key"}, 300, 60)
    assert there.due_at <= now()
    assert "off 停用" in said("disable", "there")
    assert not Source.objects.due(now()).exists()
    assert "off" not in said("enable", "there")
    Source.objects.update(mark={"n": 1}, failures=3, fault="断线。 broken.")
    assert "failing 失败 x3" in said()
    assert "断线。 broken." in said()
    said("change", "there", "--every-s", "120")
    there = Source.objects.get()
    assert (there.every_s, there.mark, there.failures, there.mapping) == (
        120,
        {"n": 1},
        0,
        {"header": "X-Key"},
    )
    said("change", "there", "--address", "https://water.example/other.json")
    assert Source.objects.get().mark == {}


def test_a_feed_that_only_we_fetch_for_is_made_with_its_source(db: None) -> None:
    said("add", "there", "--feed", "fetched", "--new-feed", "省水文", *URL[2:], "--every-s", "600")
    feed = Feed.objects.get()
    assert (feed.pk, feed.name, feed.cadence_s) == ("fetched", "省水文", 600)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "there", *URL[2:], "--feed", "nobody"], "There is no feed nobody"),
        (["add", "there", *URL[:5], "ftp://water.example"], "must begin with http"),
        (["add", "there", *URL, "--mapping", "{"], "The mapping cannot be read"),
        (["add", "there", *URL, "--mapping", "@/nowhere.json"], "The mapping cannot be read"),
        (["add", "there", *URL, "--mapping", "[]"], "must be a JSON object"),
        (["add", "there", *URL, "--mapping", '{"payload": {"values": {}}}'], "mapping.payload.values is needed"),
        (["add", "there", *URL, "--mapping", '{"picture": {"radar": "SZ"}}'], "needs radar, product and bbox"),
        (["add", "there", *URL, "--secret-env", "hush!"], "NAME of an environment variable"),
        (["add", "there", "--feed", "gauges", "--kind", "folder", "--address", "/nowhere"], "is not there"),
        (["add", "there", "--feed", "gauges", "--kind", "mqtt", "--address", "mqtt://h"], "mapping.topics"),
        (["enable", "there"], "There is no source there"),
        (["poll", "there"], "There is no source there"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_both_languages_and_nothing_is_written(
    feed: Feed, arguments: list[str], why: str
) -> None:
    with pytest.raises(CommandError) as error:
        said(*arguments)
    assert why in str(error.value)
    assert any(ord(sign) > 0x2E80 for sign in str(error.value))
    assert not Source.objects.exists()


def test_a_second_source_of_a_key_is_refused(feed: Feed) -> None:
    said("add", "there", *URL)
    with pytest.raises(CommandError, match="there exists: use change"):
        said("add", "there", *URL)


def test_polled_by_hand_a_source_says_what_came(feed: Feed, tmp_path: Path) -> None:
    ripe(tmp_path / "a.json", body(rain("rain-1", NOW, 1.0), rain("nobody", NOW, 1.0)))
    said("add", "there", "--feed", "gauges", "--kind", "folder", "--address", str(tmp_path))
    claim(Source.objects.get(), now())  # a worker has it just now
    came = said("poll", "there")
    assert "a.json: " in came
    assert "accepted 1, duplicate 0, rejected 1" in came
    assert "good 正常; next " in came
    ripe(tmp_path / "b.json", b"broken")
    with pytest.raises(CommandError, match="b.json"):
        said("poll", "there")
    assert Observation.objects.count() == 1


def test_a_source_of_messages_is_not_polled(feed: Feed) -> None:
    mapping = json.dumps({"topics": {"a/{station}": {"values": {"drp": "rain_mm"}}}})
    said("add", "there", "--feed", "gauges", "--kind", "mqtt", "--address", "mqtt://h", "--mapping", mapping)
    with pytest.raises(CommandError, match="listen_mqtt there"):
        said("poll", "there")


def test_a_password_in_an_address_is_not_shown(feed: Feed) -> None:
    Source.objects.create(key="old", feed=feed, kind="url", address="https://ann:hush@h/x", due_at=NOW)
    assert "hush" not in said()
    assert "https://***@h/x" in said()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "good"),
        ({"fault": "look"}, "remark"),
        ({"failures": 1}, "failing"),
        ({"good_at": None}, "not polled yet"),
        ({"enabled": False}, "off"),
        ({"due_at": NOW - 2 * MINUTE}, "overdue"),
    ],
)
def test_a_state_is_a_word(feed: Feed, fields: dict[str, Any], word: str) -> None:
    source = Source(key="a", feed=feed, kind=SourceKind.URL, **({"due_at": NOW, "good_at": NOW} | fields))
    assert state(source, NOW).startswith(word)


def test_bare_radar_pictures_get_their_words_from_the_mapping_and_their_time_from_their_name(
    feed: Feed, tmp_path: Path
) -> None:
    out = BytesIO()
    Image.new("RGBA", (8, 6), (0, 0, 255, 255)).save(out, "PNG")
    ripe(tmp_path / "Z_RADR_SZ_202309071018_CR.png", out.getvalue())
    ripe(tmp_path / "latest.png", out.getvalue())
    picture = {"radar": "SZ", "product": "CR", "bbox": [113.0, 22.0, 115.0, 23.0], "zone": "UTC"}
    where = ["--kind", "folder", "--address", str(tmp_path), "--mapping", json.dumps({"picture": picture})]
    said("add", "radar", "--feed", "gauges", "--door", "radar", *where)
    assert "refused" in said("poll", "radar")
    frame = RadarFrame.objects.get()
    assert (frame.radar, frame.width, f"{frame.observed_at:%Y-%m-%dT%H:%M}") == ("SZ", 8, "2023-09-07T10:18")
    assert "latest.png" in Source.objects.get().fault
    assert FeedPost.objects.filter(answer__has_key="refused").count() == 1
