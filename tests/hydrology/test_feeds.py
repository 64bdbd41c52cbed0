"""The duty engineer's doors: how the feeds stand, what was not taken, and reading it again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from alerts import feedwatch
from foundation.clock import now
from foundation.errors import Refusal
from hydrology import ingest
from hydrology.feeds.health import standings, without_secrets
from hydrology.feeds.telegrams import keep, quarantine, take_up
from hydrology.models import Feed, FeedMark, FeedPost, Region, Source, Telegram
from hydrology.science.sl651 import Frame, Receiver
from officers.models import Duty
from tests.alerts.conftest import signed_in
from tests.hydrology.factories import body, make_feed, make_reservoir, rain

DOORS = ["feeds", "telegrams", "posts"]
VECTORS = (Path(__file__).parent / "sl651_vectors.txt").read_text().splitlines()
HOURLY = [line.strip() for line in VECTORS if line.startswith("  ")][1]

SENT_AT = datetime(2023, 9, 7, 14, 0, 6, tzinfo=UTC)


@pytest.fixture
def engineer(city: dict[str, Region]) -> APIClient:
    return signed_in((city["4403"], Duty.ENGINEER))


def read(caller: APIClient, door: str, **asked: str) -> list[dict[str, object]]:
    answer = caller.get(f"/api/v1/{door}", asked)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["items"])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("region", "duty", "status"),
    [
        ("4403", Duty.ENGINEER, 200), ("4403", Duty.DESK, 200), ("4403", Duty.FLOOD, 403), ("4403", Duty.COMMAND, 403),
        ("440303", Duty.DESK, 403), ("440303", Duty.ENGINEER, 403), ("440303001", Duty.FLOOD, 403),
    ],
)  # fmt: skip
def test_feeds_are_for_the_engineer_and_the_desk_of_the_city(
    city: dict[str, Region], door: str, region: str, duty: Duty, status: int
) -> None:
    answer = signed_in((city[region], duty)).get(f"/api/v1/{door}")
    assert answer.status_code == status
    assert status == 200 or "系统值班" in answer.json()["message"]


@pytest.mark.parametrize("door", DOORS)
def test_nobody_reads_them_without_signing_in(db: None, door: str) -> None:
    assert APIClient().get(f"/api/v1/{door}").status_code == 401


def test_a_street_officer_may_not_have_a_telegram_read_again(city: dict[str, Region], feed: Feed) -> None:
    quarantine(feed.pk, "10.0.0.1", b"noise", "no frame", now())
    caller = signed_in((city["440303001"], Duty.FLOOD))
    assert caller.post(f"/api/v1/telegrams/{Telegram.objects.get().pk}/again").status_code == 403


def test_a_feed_is_shown_with_its_age_its_lag_its_sources_and_its_alarm(
    engineer: APIClient, feed: Feed
) -> None:
    at = now()
    spoke_at = at - timedelta(minutes=10)
    ingest.take_readings(feed, body(rain("rain-1", spoke_at - timedelta(minutes=1), 1.0)), spoke_at)
    make_feed("spare", rank=2, enabled=False)
    Source.objects.create(
        key="db", feed=feed, kind="database", address="postgresql://reader:hush@db.example/water?password=hush",
        due_at=at, failures=1, fault="no route to //reader:hush@db.example",
    )  # fmt: skip
    feedwatch.watch_feeds(now=at)
    shown, spare = read(engineer, "feeds")
    assert (shown["feed"], shown["state"], shown["why"], shown["lag_s"]) == (
        "gauges",
        "silent",
        "no_posts",
        60.0,
    )
    assert 600 <= int(str(shown["age_s"])) < 660
    assert shown["alarm"]["silent_since"] == shown["good_at"]  # type: ignore[index]
    [source] = shown["sources"]  # type: ignore[misc]
    assert "hush" not in orjson.dumps(source).decode()
    assert (spare["feed"], spare["state"], spare["alarm"]) == ("spare", "disabled", None)


def test_the_list_takes_a_fixed_number_of_queries(
    feed: Feed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(5):
        Source.objects.create(key=f"s{n}", feed=make_feed(f"f{n}"), kind="url", due_at=now())
    with django_assert_num_queries(2):
        assert len(standings(now())) == 6


def test_readyz_and_the_door_say_the_same(engineer: APIClient, feed: Feed) -> None:
    quiet_at = now() - timedelta(hours=1)
    FeedMark.objects.create(feed=feed, received_at=quiet_at, good_at=quiet_at)
    [told] = Client().get("/readyz").json()["feeds"]
    [shown] = read(engineer, "feeds")
    assert (told["state"], told["late"]) == (shown["state"], True) == ("silent", True)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:p@host/a", "https://host/a"),
        ("https://host/a?token=x&b=1", "https://host/a?token=…&b=1"),
        ("mssql+pymssql://host/db", "mssql+pymssql://host/db"),
        ("water/+/rain", "water/+/rain"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_doubtful_telegrams_are_listed_with_reason_and_bytes(engineer: APIClient, feed: Feed) -> None:
    other = make_feed("other")
    quarantine(feed.pk, "10.0.0.1", b"\x7e\x7e noise", "header: cut short", now())
    quarantine(other.pk, "10.0.0.2", b"\x00" * 2000, "no frame", now())
    newest, older = read(engineer, "telegrams", doubtful="true")
    assert (newest["feed"], newest["raw_bytes"], len(str(newest["raw"]))) == ("other", 2000, 1024)
    assert (older["reason"], older["verdict"], older["function"]) == (
        "header: cut short",
        "quarantined",
        None,
    )
    assert str(older["raw"]).startswith("7E7E")
    assert [row["feed"] for row in read(engineer, "telegrams", feed="gauges")] == ["gauges"]
    assert engineer.get("/api/v1/telegrams", {"feed": "nobody"}).status_code == 404


def test_a_telegram_read_again_after_its_station_was_registered_is_stored(
    engineer: APIClient, feed: Feed
) -> None:
    [frame] = Receiver().feed(bytes.fromhex(HOURLY))
    assert isinstance(frame, Frame)
    keep(feed.pk, "10.0.0.1", frame, SENT_AT)
    take_up(now=SENT_AT)
    [doubted] = read(engineer, "telegrams", doubtful="1")
    make_reservoir("44030021", "440303001")
    answer = engineer.post(f"/api/v1/telegrams/{doubted['id']}/again")
    assert (answer.status_code, answer.json()["verdict"]) == (200, "stored")
    assert read(engineer, "telegrams", doubtful="1") == []


@pytest.mark.parametrize("pk", [1, 2**63, 10**30])
def test_a_telegram_that_is_not_there_is_not_found(engineer: APIClient, pk: int) -> None:
    assert engineer.post(f"/api/v1/telegrams/{pk}/again").status_code == 404


def test_refused_posts_say_why_in_the_readers_language_and_never_show_their_body(
    engineer: APIClient, feed: Feed
) -> None:
    at = now()
    with pytest.raises(Refusal):
        ingest.take_readings(feed, b"{broken", at - timedelta(seconds=3))
    bad = [rain(f"nowhere-{n}", at - timedelta(minutes=5), 1.0) for n in range(8)]
    ingest.take_readings(
        feed, body(rain("rain-1", at - timedelta(minutes=5), 1.0), *bad), at - timedelta(seconds=2)
    )
    ingest.take_readings(
        feed, body(rain("rain-2", at - timedelta(minutes=5), 1.0)), at - timedelta(seconds=1)
    )
    partly, whole = read(engineer, "posts", refused="true")
    assert (partly["accepted"], partly["rejected"], len(partly["first"])) == (1, 8, 5)  # type: ignore[arg-type]
    assert whole["refused"]["code"] == "malformed" and "无法读取" in whole["refused"]["message"]  # type: ignore[index]
    assert whole["size_bytes"] == len(b"{broken")
    assert not {"body", "answer"} & set(whole)
    assert len(read(engineer, "posts")) == 3
    engineer.credentials(**{**engineer._credentials, "HTTP_ACCEPT_LANGUAGE": "en"})
    assert "Cannot be read" in read(engineer, "posts", refused="1")[1]["refused"]["message"]  # type: ignore[index]


def test_old_refusals_are_history(engineer: APIClient, feed: Feed) -> None:
    ingest.take_readings(feed, body(rain("nowhere", now(), 1.0)), now())
    FeedPost.objects.update(received_at=now() - timedelta(days=8))
    assert read(engineer, "posts", refused="1") == []


def test_a_station_says_which_feed_speaks_for_it(engineer: APIClient, feed: Feed) -> None:
    at = now()
    feed.rank = 2
    feed.save()
    door = "/api/v1/stations/rain-1"
    assert engineer.get(door).json()["feed"] is None
    ingest.take_readings(feed, body(rain("rain-1", at - timedelta(minutes=1), 1.0)), at)
    assert engineer.get(door).json()["feed"] == {"name": feed.name, "rank": 2}
