"""Files fetched from an address on loopback: renewed ones, one a time step, late, broken, too large, moved."""

import base64
import socket
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from hydrology.models import Feed, FeedMark, FeedPost, Observation, Source, SourceKind
from hydrology.sources import url
from hydrology.sources.polls import Came, claim, poll
from tests.hydrology.factories import MINUTE, NOW, body, rain
from tests.hydrology.site import Site, site

STEPS = "/{time:%Y%m%d%H%M}.json"
Request = Any


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as here:
        yield here


def make_source(web: Site, path: str, **fields: Any) -> Source:
    about = {"kind": SourceKind.URL, "address": web.address + path, "due_at": NOW} | fields
    return Source.objects.create(key="there", feed_id="gauges", **about)


def polled(at: Any = NOW) -> list[Came]:
    source = Source.objects.select_related("feed").get()
    assert claim(source, at)
    return poll(source, raining=False, clock=lambda: at)


def now_there() -> Source:
    return Source.objects.get()


def test_a_file_is_taken_and_asked_for_with_its_etag_from_then_on(feed: Feed, web: Site) -> None:
    web.pages["/now.json"] = body(rain("rain-1", NOW, 1.5))
    make_source(web, "/now.json")
    assert [came.accepted for came in polled()] == [1]
    assert polled() == []
    assert [headers.get("If-None-Match") is None for _, headers in web.asked] == [True, False]
    web.pages["/now.json"] = body(rain("rain-1", NOW, 1.5), rain("rain-2", NOW, 0.5))
    assert [(came.accepted, came.duplicate) for came in polled()] == [(1, 1)]


def test_a_server_without_validators_is_told_by_the_content(feed: Feed, web: Site) -> None:
    def plain(request: Request) -> None:
        content = body(rain("rain-1", NOW, 1.5))
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    web.pages["/now.json"] = plain
    make_source(web, "/now.json")
    assert [len(polled()) for _ in range(2)] == [1, 0]


def test_every_time_step_is_fetched_once_newest_first_and_a_late_one_when_it_comes(
    feed: Feed, web: Site
) -> None:
    mapping = {"cadence_s": 300, "delay_s": 60, "back_s": 1800, "zone": "UTC"}
    make_source(web, STEPS, mapping=mapping)
    at = NOW + 2 * MINUTE  # the step of 12:00 is due, the one of 12:05 not yet
    for minute in (40, 45, 50, 55):
        web.pages[f"/2026090711{minute}.json"] = body(rain("rain-1", NOW - (60 - minute) * MINUTE, 1.0))
    del web.pages["/202609071145.json"]
    assert [came.name[-17:] for came in polled(at)] == [
        "202609071155.json", "202609071150.json", "202609071140.json",
    ]  # fmt: skip
    assert web.paths()[0] == "/202609071200.json"
    assert now_there().fault == ""
    web.asked.clear()
    web.pages["/202609071145.json"] = body(rain("rain-1", NOW - 15 * MINUTE, 2.0))
    assert [came.accepted for came in polled(at + MINUTE)] == [1]
    assert web.paths() == ["/202609071200.json", "/202609071145.json", "/202609071135.json"]
    assert Observation.objects.count() == 4
    polled(at + 90 * MINUTE)
    assert now_there().mark == {"done": [], "tried": {}}


def test_times_in_an_address_are_shenzhens_unless_said_otherwise(feed: Feed, web: Site) -> None:
    make_source(web, STEPS, mapping={"back_s": 300, "delay_s": 0})
    polled()
    assert web.paths() == ["/202609072000.json"]
    there = now_there()
    assert there.failures == 1
    assert "none of the 1 files" in there.fault
    assert "均不存在" in there.fault


def test_one_file_that_fails_does_not_keep_back_the_others(feed: Feed, web: Site) -> None:
    make_source(web, STEPS, mapping={"back_s": 600, "delay_s": 0, "zone": "UTC"})
    web.pages |= {
        "/202609071200.json": 500,
        "/202609071155.json": body(rain("rain-1", NOW - 5 * MINUTE, 1.0)),
    }
    assert [came.accepted for came in polled()] == [1]
    there = now_there()
    assert (there.failures, there.good_at) == (0, NOW)
    assert "202609071200.json answers 500" in there.fault


def test_a_broken_file_is_kept_and_refused_once_until_it_changes(feed: Feed, web: Site) -> None:
    make_source(web, STEPS, mapping={"back_s": 300, "delay_s": 0, "zone": "UTC"})
    web.pages["/202609071200.json"] = b'{"readings": [{"station": "rai'
    (came,) = polled()
    assert came.refused
    there = now_there()
    assert there.failures == 1
    assert "202609071200.json" in there.fault
    assert bytes(FeedPost.objects.get().body) == b'{"readings": [{"station": "rai'
    web.pages["/202609071200.json"] = body(rain("rain-1", NOW, 1.0))  # now it is written to its end
    assert [came.accepted for came in polled()] == [1]
    assert polled() == []
    assert len(web.asked) == 2


def test_a_file_that_stays_broken_is_neither_refused_again_nor_fetched_for_ever(
    feed: Feed, web: Site
) -> None:
    make_source(web, STEPS, mapping={"back_s": 300, "delay_s": 0, "zone": "UTC"})
    web.pages["/202609071200.json"] = b"nothing of the kind"
    assert [len(polled()) for _ in range(4)] == [1, 0, 0, 0]
    assert FeedMark.objects.get().rejected == 1
    assert len(web.asked) == 2


def test_a_file_that_breaks_anew_each_time_is_given_up_after_three(feed: Feed, web: Site) -> None:
    make_source(web, STEPS, mapping={"back_s": 300, "delay_s": 0, "zone": "UTC"})
    for n in range(5):
        web.pages["/202609071200.json"] = b"broken %d" % n
        polled()
    assert FeedPost.objects.count() == len(web.asked) == url.TRIES


def test_a_renewed_file_that_is_broken_is_refused_once_and_stays_a_remark(feed: Feed, web: Site) -> None:
    make_source(web, "/now.json")
    web.pages["/now.json"] = b"<html>maintenance</html>"
    assert [len(polled()) for _ in range(3)] == [1, 0, 0]
    assert FeedMark.objects.get().rejected == 1
    assert "waiting for it to change" in now_there().fault
    web.pages["/now.json"] = body(rain("rain-1", NOW, 1.0))
    assert [came.accepted for came in polled()] == [1]
    assert now_there().fault == ""


@pytest.mark.parametrize(
    ("status", "remedy"), [(500, "ask its owner"), (403, "check the secret"), (404, "address")]
)
def test_an_error_status_is_a_fault_with_its_remedy(feed: Feed, web: Site, status: int, remedy: str) -> None:
    make_source(web, "/now.json")
    web.pages["/now.json"] = status
    assert polled() == []
    there = now_there()
    assert (there.failures, there.good_at) == (1, None)
    assert f"answers {status}" in there.fault
    assert remedy in there.fault
    assert there.due_at == NOW + MINUTE


def test_what_is_too_large_is_not_read_to_its_end(
    feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Event()

    def endless(request: Request) -> None:
        request.send_response(200)
        request.end_headers()  # no length: it ends when the line does
        try:
            while True:
                request.wfile.write(b" " * 65536)
        except OSError:
            gone.set()

    monkeypatch.setitem(url.MOST_BYTES, "readings", 1024 * 1024)
    make_source(web, "/now.json")
    web.pages["/now.json"] = endless
    polled()
    assert "larger than 1 MB" in now_there().fault
    assert gone.wait(20)
    assert not FeedPost.objects.exists()


def test_a_file_cut_short_is_not_taken_for_a_whole_one(feed: Feed, web: Site) -> None:
    def cut(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(body(rain("rain-1", NOW, 1.0)))
        request.close_connection = True

    make_source(web, "/now.json")
    web.pages["/now.json"] = cut
    polled()
    assert "cannot be reached (RemoteProtocolError)" in now_there().fault
    assert not FeedPost.objects.exists()


def test_a_server_that_does_not_answer_is_a_fault_after_its_time(feed: Feed, web: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        make_source(web, "/", mapping={"timeout_s": 1}, wet_every_s=60)
        Source.objects.update(address=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        polled()
    assert "ReadTimeout" in now_there().fault


def test_a_slow_drip_ends_with_the_time_of_a_file(
    feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url, "TOTAL_S", 0.0)
    make_source(web, "/now.json")
    web.pages["/now.json"] = body(rain("rain-1", NOW, 1.0))
    polled()
    assert "takes more than 0 s" in now_there().fault


def test_a_redirect_stays_on_its_host_unless_another_is_allowed(feed: Feed, web: Site) -> None:
    with site() as other:
        elsewhere = other.address.replace("127.0.0.1", "localhost")
        other.pages["/moved.json"] = body(rain("rain-1", NOW, 1.0))
        web.pages |= {"/now.json": f"{elsewhere}/moved.json", "/loop": "/loop", "/file": "file:///etc/passwd"}
        web.pages["/near"] = "/there"
        web.pages["/there"] = body(rain("rain-2", NOW, 1.0))
        make_source(web, "/near", secret_env="SOURCE_THERE")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SOURCE_THERE", "ann:hush")
            assert [came.accepted for came in polled()] == [1]
            Source.objects.update(address=f"{web.address}/now.json")
            polled()
            assert "redirected to http://localhost" in now_there().fault
            assert other.asked == []
            Source.objects.update(mapping={"hosts": ["localhost"]})
            assert [came.accepted for came in polled()] == [1]
        basic = "Basic " + base64.b64encode(b"ann:hush").decode()
        assert {headers.get("Authorization") for _, headers in web.asked} == {basic}
        assert [headers.get("Authorization") for _, headers in other.asked] == [
            None
        ]  # the secret stays at home
        Source.objects.update(secret_env="", address=f"{web.address}/loop")
        polled()
        assert "redirects more than 3 times" in now_there().fault
        Source.objects.update(address=f"{web.address}/file")
        polled()
        assert "not allowed" in now_there().fault


def test_a_source_may_not_name_a_secret_of_ours(feed: Feed, web: Site) -> None:
    make_source(web, "/now.json", secret_env="SECRET_KEY", mapping={"header": "X-Api-Key"})
    polled()
    assert "must begin with SOURCE_" in now_there().fault
    assert web.asked == []


def test_the_secret_comes_from_the_environment_and_is_never_shown(
    feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_source(web, "/now.json", secret_env="SOURCE_THERE", mapping={"header": "X-Api-Key"})
    polled()
    assert "SOURCE_THERE is not set" in now_there().fault
    assert web.asked == []
    monkeypatch.setenv("SOURCE_THERE", "hush")
    web.pages["/now.json"] = 401
    polled()
    assert [headers.get("X-Api-Key") for _, headers in web.asked] == ["hush"]
    Source.objects.update(address=web.address + "/now.json?key={secret}")
    polled()
    assert web.paths()[-1] == "/now.json?key=hush"
    assert "X-Api-Key" not in web.asked[-1][1]
    assert "hush" not in now_there().fault + caplog.text


@pytest.mark.parametrize(
    ("address", "mapping", "why"),
    [
        ("file:///etc/passwd", {}, "must begin with http"),
        ("http://ann:hush@127.0.0.1/x", {}, "must not hold a user or a password"),
        ("http:///x", {}, "name a host"),
        ("http://127.0.0.1/x", {"cadence_s": "300"}, "mapping.cadence_s must be whole seconds"),
        ("http://127.0.0.1/x", {"cadence_s": 1, "back_s": 1000}, "at most 100 times"),
        ("http://127.0.0.1/x", {"zone": "Shenzhen"}, "name of a time zone"),
        ("http://127.0.0.1/x", {"hosts": "a"}, "list of host names"),
        ("https://127.0.0.1/x", {"ca_file": "/nowhere"}, "certificate file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    feed: Feed, web: Site, address: str, mapping: dict[str, Any], why: str
) -> None:
    make_source(web, "/", mapping=mapping)
    Source.objects.update(address=address)
    assert polled() == []
    assert why in now_there().fault


def test_somebody_elses_json_is_read_by_its_mapping(feed: Feed, web: Site) -> None:
    payload = {"rows": "data.list", "station": "stcd", "time": "tm", "values": {"drp": "rain_mm"}}
    make_source(web, "/now.json", mapping={"payload": payload})
    web.pages["/now.json"] = (
        b'{"data": {"list": [{"stcd": "rain-1", "tm": "2026-09-07 19:55:00", "drp": "1.5"}, {"stcd": "rain-2"}]}}'
    )
    (came,) = polled()
    assert (came.accepted, came.rejected) == (1, 1)
    assert Observation.objects.get().observed_at == NOW - timedelta(minutes=5)


def test_a_secret_no_header_can_hold_is_a_fault_that_does_not_quote_it(
    feed: Feed, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_KEY", "密钥Secret9")
    make_source(web, "/now.json", secret_env="SOURCE_KEY", mapping={"header": "X-Key"})
    polled()
    assert "ASCII" in now_there().fault
    assert "Secret9" not in now_there().fault
