"""When sources are asked: due and leased, wet and dry, failing and hanging, killed in between."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connections

from hydrology import ingest
from hydrology.ingest import take_readings
from hydrology.models import Feed, FeedPost, Observation, Product, Source, SourceKind
from hydrology.sources import polls
from hydrology.sources.fetched import Fetched, fault
from hydrology.sources.polls import claim, next_due, poll, poll_due
from hydrology.sources.wet import wet
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_regions, make_station, rain
from tests.hydrology.site import Site, site
from tests.hydrology.test_ingest import grid_body

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as here:
        yield here


@pytest.fixture
def kept_feed(transactional_db: None) -> Feed:
    """For threads: they do not see what a test has not committed."""
    make_regions()
    make_station("rain-1", "PP", "440303001")
    return make_feed()


def make_source(key: str, address: str, **fields: Any) -> Source:
    about = {"kind": SourceKind.URL, "address": address, "due_at": NOW} | fields
    return Source.objects.create(key=key, feed_id="gauges", **about)


def poll_all(at: datetime) -> list[str]:
    threads = poll_due(clock=lambda: at)
    for thread in threads:
        thread.join()
    return sorted(thread.name.removeprefix("poll ") for thread in threads)


def asked(source: Source, at: datetime, *, raining: bool = False) -> Source:
    source = Source.objects.select_related("feed").get(pk=source.pk)
    assert claim(source, at)
    poll(source, raining=raining, clock=lambda: at)
    return Source.objects.get(pk=source.pk)


# What is due


def test_what_is_due_is_polled_and_is_due_again_after_its_period(kept_feed: Feed, web: Site) -> None:
    web.pages["/a"] = body(rain("rain-1", NOW, 0.0))
    make_source("a", f"{web.address}/a")
    make_source("later", f"{web.address}/a", due_at=NOW + MINUTE)
    make_source("off", f"{web.address}/a", enabled=False)
    make_source("broker", "mqtt://127.0.0.1", kind=SourceKind.MQTT)
    assert poll_all(NOW) == ["a"]
    there = Source.objects.get(pk="a")
    assert (there.good_at, there.due_at, there.fault) == (NOW, NOW + 5 * MINUTE, "")
    assert Observation.objects.count() == 1
    assert poll_all(NOW) == []
    assert poll_all(NOW + 5 * MINUTE) == ["a", "later"]


def test_a_source_is_claimed_by_one_only(feed: Feed) -> None:
    source = make_source("a", "http://127.0.0.1/")
    twin = Source.objects.get()
    assert claim(source, NOW)
    assert not claim(twin, NOW)


def test_who_lost_his_lease_writes_no_more(feed: Feed, web: Site) -> None:
    web.pages["/a"] = body(rain("rain-1", NOW, 1.0))
    mine = make_source("a", f"{web.address}/a")
    assert claim(mine, NOW)
    theirs = Source.objects.get()
    assert claim(theirs, NOW + 2 * MINUTE)
    assert len(poll(mine, raining=False, clock=lambda: NOW)) == 1
    there = Source.objects.get()
    assert (there.due_at, there.mark, there.good_at) == (theirs.due_at, {}, None)


def test_one_that_hangs_delays_no_other_and_is_said_to_hang(
    kept_feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Event()

    def hang(request: Any) -> None:
        answer.wait(60)

    web.pages |= {"/hang": hang, "/a": body(rain("rain-1", NOW, 0.0))}
    make_source("hanging", f"{web.address}/hang", mapping={"timeout_s": 60}, due_at=NOW - MINUTE)
    make_source("a", f"{web.address}/a")
    hanging, other = poll_due(clock=lambda: NOW)
    try:
        other.join(30)
        assert Source.objects.get(pk="a").good_at == NOW
        assert hanging.is_alive()
        monkeypatch.setattr(polls, "HANGING_S", -1.0)
        at = NOW + 10 * MINUTE
        assert poll_all(at) == ["a"]  # this process does not ask the one that hangs a second time
        there = Source.objects.get(pk="hanging")
        assert there.failures == 1
        assert "no answer within" in there.fault
        assert there.due_at == at + MINUTE
    finally:
        answer.set()
        hanging.join(30)
    assert (
        Source.objects.get(pk="hanging").failures == 1
    )  # its lease is over: what it found in the end is not written


def test_no_more_are_asked_at_once_than_there_is_room_for(
    kept_feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polls, "MOST_AT_ONCE", 2)
    web.pages["/a"] = body(rain("rain-1", NOW, 0.0))
    for n in range(3):
        make_source(f"{n}", f"{web.address}/a", due_at=NOW - n * MINUTE)
    assert poll_all(NOW) == ["1", "2"]
    assert poll_all(NOW) == ["0"]


# Periods


def test_it_is_wet_while_a_gauge_or_the_nowcast_has_rain(feed: Feed) -> None:
    assert not wet(NOW)
    take_readings(feed, body(rain("rain-1", NOW, 0.0)), NOW)
    assert not wet(NOW)
    take_readings(feed, body(rain("rain-2", NOW, 0.2)), NOW)
    assert wet(NOW)
    assert wet(NOW + 29 * MINUTE)
    assert not wet(NOW + 30 * MINUTE)


@pytest.mark.parametrize(("product", "steps"), [(Product.NOWCAST, 2), (Product.OBSERVED, 1)])
def test_it_is_wet_while_a_timely_field_has_rain(feed: Feed, product: Product, steps: int) -> None:
    for hour, mm in enumerate((0.04, 0.2)):
        at = NOW + timedelta(hours=hour)
        ingest.take_grid(feed, grid_body(product, at, mm, steps=steps), at)
        assert wet(at) is (mm == 0.2)
    assert not wet(at + 31 * MINUTE)


def test_after_rain_sets_in_what_was_put_off_in_the_dry_is_asked_at_once(feed: Feed, web: Site) -> None:
    web.pages["/a"] = body(rain("rain-1", NOW, 0.0))
    source = asked(make_source("a", f"{web.address}/a"), NOW)
    assert source.due_at == NOW + 5 * MINUTE
    for at, due in ((NOW + 30 * timedelta(seconds=1), []), (NOW + MINUTE, [source])):
        assert list(Source.objects.due(at, raining=True)) == due
        assert list(Source.objects.due(at)) == []
    assert asked(source, NOW + MINUTE, raining=True).due_at == NOW + 2 * MINUTE
    assert claim(Source.objects.get(), NOW + 2 * MINUTE)
    assert not Source.objects.due(NOW + 3 * MINUTE, raining=True).exists()  # under lease


def test_failures_back_off_and_are_bounded(feed: Feed) -> None:
    source = Source(every_s=300, wet_every_s=60)
    waits = [(next_due(source, n, False, NOW) - NOW).total_seconds() for n in range(9)]
    assert waits == [300, 60, 120, 240, 480, 960, 1200, 1200, 1200]
    assert next_due(source, 0, True, NOW) == NOW + MINUTE
    assert next_due(source, 10**6, True, NOW) == NOW + 20 * MINUTE
    assert next_due(Source(every_s=0, wet_every_s=0), 0, True, NOW) > NOW


def test_a_failure_is_counted_and_a_good_poll_wipes_it_out(feed: Feed, web: Site) -> None:
    source = make_source("a", f"{web.address}/a")
    for n in (1, 2):
        source = asked(source, NOW)
        assert (source.failures, source.good_at) == (n, None)
    web.pages["/a"] = body(rain("rain-1", NOW, 1.0))
    source = asked(source, NOW + MINUTE)
    assert (source.failures, source.fault, source.good_at) == (0, "", NOW + MINUTE)


# What becomes of what they bring


def brought_by(monkeypatch: pytest.MonkeyPatch, *found: Fetched | Exception) -> None:
    """A fetcher of another kind: the framework asks it like any."""

    def fetch(source: Source, now: datetime) -> Iterator[Fetched]:
        for each in found:
            if isinstance(each, Exception):
                raise each
            yield each

    monkeypatch.setitem(polls.FETCHERS, SourceKind.URL, fetch)


def test_a_mark_is_stored_after_its_body_and_a_fault_keeps_what_came_before(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Fetched("readings", body(rain("rain-1", NOW, 1.0)), {"n": 1})
    brought_by(monkeypatch, taken, fault("address", "断线。", "the line broke."))
    source = asked(make_source("a", "x"), NOW)
    assert source.mark == {"n": 1}
    assert source.fault == "断线。 the line broke."
    assert source.failures == 0  # something came


def test_a_note_is_shown_though_nothing_failed(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    brought_by(monkeypatch, Fetched("", b"", {"n": 1}, note="请看 look"))
    source = asked(make_source("a", "x"), NOW)
    assert (source.failures, source.fault, source.mark, source.good_at) == (0, "请看 look", {"n": 1}, NOW)


def test_a_fault_of_our_own_stops_at_its_body_and_is_left_behind_in_the_end(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[bool] = []
    poison = Fetched("readings", b"poison", {"n": 1}, settle=settled.append)
    good = Fetched("readings", body(rain("rain-1", NOW, 1.0)), {"n": 2})
    brought_by(monkeypatch, poison, good)
    source = make_source("a", "x")

    def break_on_poison(feed: Feed, body: bytes, now: datetime) -> ingest.Answer:
        if body == b"poison":
            raise ZeroDivisionError
        return take_readings(feed, body, now)

    monkeypatch.setitem(polls.DOORS, "readings", break_on_poison)
    for n in range(polls.PATIENCE):
        source = asked(source, NOW)
        assert (source.failures, source.mark) == (n + 1, {})
    assert settled == []
    source = asked(source, NOW)
    assert (source.failures, source.mark, settled) == (0, {"n": 2}, [False])
    assert "ZeroDivisionError" in source.fault


def test_a_poll_whose_time_is_over_leaves_the_rest_to_the_next(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polls, "POLL_S", 0.0)
    bodies = [body(rain("rain-1", NOW - n * MINUTE, 1.0)) for n in (2, 1)]
    brought_by(monkeypatch, *(Fetched("readings", each, {"n": n}) for n, each in enumerate(bodies)))
    source = asked(make_source("a", "x"), NOW)
    assert (source.mark, source.due_at) == ({"n": 0}, NOW)


@pytest.mark.parametrize("fields", [{"door": "nonsense"}, {"kind": "nonsense"}])
def test_an_unknown_kind_or_door_is_a_fault(feed: Feed, fields: dict[str, str]) -> None:
    source = asked(make_source("a", "x", **fields), NOW)
    assert "nonsense" in source.fault
    assert "cannot be polled" in source.fault


def test_killed_between_the_body_and_the_mark_a_poll_is_repeated_without_harm(
    kept_feed: Feed, web: Site
) -> None:
    web.pages["/a"] = body(rain("rain-1", NOW, 1.0))
    make_source("a", f"{web.address}/a")
    settings = connections["default"].settings_dict
    script = textwrap.dedent(
        f"""
        import os, signal, django
        django.setup()
        from datetime import datetime
        from django.db import connection
        from hydrology import ingest
        from hydrology.models import Source
        from hydrology.sources import polls
        connection.settings_dict["NAME"] = {settings["NAME"]!r}

        def take_and_die(feed, body, now):
            ingest.take_readings(feed, body, now)
            os.kill(os.getpid(), signal.SIGKILL)

        polls.DOORS["readings"] = take_and_die
        now = datetime.fromisoformat({NOW.isoformat()!r})
        for thread in polls.poll_due(clock=lambda: now):
            thread.join()
        """
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "backend.settings"}
    died = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    there = Source.objects.get()
    assert Observation.objects.count() == 1
    assert (there.mark, there.good_at, there.due_at) == ({}, None, NOW + polls.LEASE)
    assert poll_all(NOW + MINUTE) == []  # still under the dead one's lease
    assert poll_all(NOW + polls.LEASE) == ["a"]
    assert Source.objects.get().mark["etag"]
    assert (Observation.objects.count(), FeedPost.objects.count()) == (1, 1)


def test_a_fault_of_ours_behind_a_good_body_is_left_behind_too_and_its_words_are_not_kept(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def door(feed: Feed, content: bytes, now: datetime) -> ingest.Answer:
        if content == b"poison":
            raise TypeError("-".join(("the", "secret")))  # the traceback shows this line
        return take_readings(feed, content, now)

    def fetch(source: Source, now: datetime) -> Iterator[Fetched]:
        yield Fetched("readings", body(rain("rain-1", now, 1.0)), {"at": 1}, name="good")
        yield Fetched("readings", b"poison", {"at": 2}, name="bad")
        yield Fetched("readings", body(rain("rain-1", now, 1.0)), {"at": 3}, name="behind")

    monkeypatch.setitem(polls.DOORS, "readings", door)
    monkeypatch.setitem(polls.FETCHERS, SourceKind.FOLDER, fetch)
    there = make_source("a", "/nowhere", kind=SourceKind.FOLDER)
    seen = []
    for hour in range(polls.PATIENCE + 1):
        there = asked(there, NOW + hour * 60 * MINUTE)
        seen.append((there.failures, there.mark["at"]))
        assert "TypeError" in there.fault
        assert "the-secret" not in there.fault + caplog.text
    assert seen == [(1, 1), (2, 1), (3, 1), (0, 3)]
