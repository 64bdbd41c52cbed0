"""From a signed post to rows, on real PostgreSQL."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks
from rest_framework.test import APIClient

from foundation.clock import local, now
from foundation.errors import Refusal
from hydrology import ingest
from hydrology.doors import ingest as doors
from hydrology.feeds import signing
from hydrology.ingest.posts import Store, malformed, take
from hydrology.models import Feed, FeedMark, FeedPost, GridRun, Latest, Observation, Product, StationKind
from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import make_grid, unpack
from hydrology.science.quality import Quality
from hydrology.storage import make_room
from hydrology.zones import axes_of
from tests.hydrology.factories import (
    MINUTE,
    NOW,
    SECRET,
    body,
    make_feed,
    make_regions,
    make_reservoir,
    make_station,
    rain,
    stage,
    steady_stage,
)

STORM = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"


def taken(feed: Feed, *rows: Any) -> dict[str, Any]:
    return ingest.take_readings(feed, body(*rows), NOW)


def counts(answer: dict[str, Any]) -> tuple[int, int, int]:
    return answer["accepted"], answer["duplicate"], len(answer["rejected"])


def test_the_same_body_twice_gets_the_first_answer_and_leaves_one_row(feed: Feed) -> None:
    first = taken(feed, rain("rain-1", NOW, 1.2), rain("nowhere", NOW, 1.0))
    assert counts(first) == (1, 0, 1)
    assert taken(feed, rain("rain-1", NOW, 1.2), rain("nowhere", NOW, 1.0)) == first
    assert (FeedPost.objects.count(), Observation.objects.count()) == (1, 1)


def test_the_same_reading_in_another_body_is_a_duplicate(feed: Feed) -> None:
    taken(feed, rain("rain-1", NOW, 1.2))
    assert counts(taken(feed, rain("rain-1", NOW, 1.2), rain("rain-2", NOW, 0.0))) == (1, 1, 0)
    assert Observation.objects.count() == 2


def test_a_correction_is_a_new_row_and_the_first_stays_as_it_was(feed: Feed) -> None:
    taken(feed, rain("rain-1", NOW, 1.2))
    assert counts(taken(feed, rain("rain-1", NOW, 2.2))) == (1, 0, 0)
    rows = Observation.objects.order_by("revision").values_list("revision", "value")
    assert list(rows) == [(0, 1.2), (1, 2.2)]
    assert Observation.objects.latest_revision().get().value == 2.2
    assert Latest.objects.get().value == 2.2


def test_going_back_to_the_first_value_is_a_correction_too(feed: Feed) -> None:
    taken(feed, rain("rain-1", NOW, 1.2))
    taken(feed, rain("rain-1", NOW, 2.2))
    assert counts(taken(feed, rain("rain-1", NOW, 1.2), rain("rain-2", NOW, 0.0))) == (2, 0, 0)
    assert Observation.objects.latest_revision().filter(station="rain-1").get().value == 1.2


def test_repeats_inside_one_body_are_one_row_and_its_corrections(feed: Feed) -> None:
    answer = taken(feed, rain("rain-1", NOW, 1.0), rain("rain-1", NOW, 1.0), rain("rain-1", NOW, 3.0))
    assert counts(answer) == (2, 1, 0)
    assert Latest.objects.get().value == 3.0


def test_bad_rows_do_not_lose_the_good_ones(feed: Feed) -> None:
    answer = taken(
        feed,
        rain("rain-1", NOW, "rubbish"),
        rain("rain-1", NOW, 0.4),
        rain("unknown", NOW, 0.4),
        "not a row",
        rain("rain-2", NOW + timedelta(hours=1), 0.4),
        rain("rain-2", NOW, 9999.999),
    )
    assert answer["accepted"] == 1
    assert [(r["index"], r["code"]) for r in answer["rejected"]] == [
        (0, "not_a_number"), (2, "unknown_station"), (3, "not_an_object"), (4, "wrong_zone"), (5, "sentinel"),
    ]  # fmt: skip
    assert all(r["zh"] and r["en"] for r in answer["rejected"])
    assert FeedMark.objects.get().rejected == 5


def test_a_sum_of_another_length_for_the_same_instant_is_refused(feed: Feed) -> None:
    taken(feed, rain("rain-1", NOW, 1.0))
    answer = taken(feed, rain("rain-1", NOW, 5.0, duration_s=3600))
    assert [r["code"] for r in answer["rejected"]] == ["other_duration"]
    assert Observation.objects.get().value == 1.0


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b"\xff\x00 no json", "body"), (b"[]", "body"), (b'{"readings": 7}', "readings"), (b"", "body")],
)
def test_a_malformed_body_is_kept_and_answered_with_the_field(feed: Feed, raw: bytes, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        ingest.take_readings(feed, raw, NOW)
    assert (refused.value.code, refused.value.status) == ("malformed", 400)
    assert list(refused.value.fields) == [field]
    kept = FeedPost.objects.get()
    assert bytes(kept.body) == raw
    assert kept.answer["refused"]["code"] == "malformed"
    with pytest.raises(Refusal, match="malformed"):
        ingest.take_readings(feed, raw, NOW)
    assert FeedPost.objects.count() == 1


def test_readings_out_of_order_leave_the_newest_as_latest(feed: Feed) -> None:
    taken(feed, stage("river", NOW, 3.1))
    taken(feed, stage("river", NOW - 10 * MINUTE, 2.9))
    newest = Latest.objects.get()
    assert (newest.observed_at, newest.value) == (NOW, 3.1)
    assert Observation.objects.count() == 2


def test_a_batch_in_reverse_gives_the_same_rows_as_one_in_order(feed: Feed) -> None:
    rows = [stage("river", NOW - n * 5 * MINUTE, value) for n, value in enumerate([3.0, 3.1, 5.5, 3.1, 3.0])]
    taken(feed, *rows)
    in_order = list(Observation.objects.order_by("observed_at").values_list("value", "quality", "why"))
    Observation.objects.all().delete()
    taken(feed, *reversed(rows))
    assert (
        list(Observation.objects.order_by("observed_at").values_list("value", "quality", "why")) == in_order
    )
    assert [quality for _, quality, _ in in_order].count(Quality.SUSPECT) == 1


def test_a_spike_is_stored_with_its_reason(feed: Feed) -> None:
    taken(feed, *steady_stage("river", 3.0, NOW - 5 * MINUTE))
    taken(feed, stage("river", NOW, 4.9))
    spike = Observation.objects.get(observed_at=NOW)
    assert (spike.quality, spike.why[:5]) == (Quality.SUSPECT, "spike")
    assert Latest.objects.get().quality == Quality.SUSPECT


def test_a_wrong_value_is_kept_and_never_becomes_latest(feed: Feed) -> None:
    taken(feed, stage("gated", NOW - 5 * MINUTE, 27.0))
    assert counts(taken(feed, stage("gated", NOW, 300.0))) == (1, 0, 0)
    assert Observation.objects.get(observed_at=NOW).quality == Quality.WRONG
    assert Latest.objects.get().value == 27.0


def test_a_wrong_value_does_not_make_the_next_good_one_a_spike(feed: Feed) -> None:
    taken(feed, *steady_stage("gated", 27.0, NOW - 10 * MINUTE), stage("gated", NOW - 5 * MINUTE, 300.0))
    taken(feed, stage("gated", NOW, 27.02))
    assert Observation.objects.get(observed_at=NOW).quality == Quality.GOOD


def test_the_rate_is_the_change_over_the_last_hour_present(feed: Feed) -> None:
    taken(feed, *(stage("river", NOW - n * 5 * MINUTE, round(4.0 - 0.02 * n, 2)) for n in range(30)))
    assert Latest.objects.get().rate_m_per_h == pytest.approx(0.24)


def test_a_single_level_has_no_rate(feed: Feed) -> None:
    taken(feed, stage("river", NOW, 3.0))
    assert Latest.objects.get().rate_m_per_h is None


def test_a_dead_gauge_among_wet_neighbours_is_suspect(feed: Feed) -> None:
    for n in range(4, 7):
        make_station(f"rain-{n}", StationKind.RAIN, "440303001", lon=114.12 + n / 1000)
    times = [NOW - n * 5 * MINUTE for n in range(1, 14)]
    taken(feed, *(rain(f"rain-{n}", at, 2.0) for n in range(4, 7) for at in times))
    taken(feed, *(rain("rain-1", at, 0.0) for at in times))
    taken(feed, rain("rain-1", NOW, 0.0))
    dead = Observation.objects.get(station="rain-1", observed_at=NOW)
    assert (dead.quality, dead.why[:5]) == (Quality.SUSPECT, "stuck")


def nudged(capture: DjangoCaptureOnCommitCallbacks, do: Callable[[], object]) -> set[str]:
    with capture() as callbacks:
        do()
    return {callback.args[0] for callback in callbacks}  # type: ignore[attr-defined]  # partials of nudge


def test_rain_wakes_the_watch_and_levels_wake_their_watch_and_the_snapshot(
    feed: Feed, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    capture = django_capture_on_commit_callbacks
    assert nudged(capture, lambda: taken(feed, rain("rain-1", NOW, 1.0))) == {"watch.assess"}
    assert nudged(capture, lambda: taken(feed, rain("rain-1", NOW, 1.0), stage("river", NOW, 3.0))) == {
        "live.refresh",
        "watch.levels",
    }


def test_late_rain_is_history_and_wakes_nobody(
    feed: Feed, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    late = NOW - timedelta(seconds=feed.max_age_s + 1)
    assert nudged(django_capture_on_commit_callbacks, lambda: taken(feed, rain("rain-1", late, 9.0))) == set()
    assert Observation.objects.get().value == 9.0


def test_queries_do_not_grow_with_the_batch(
    feed: Feed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_room([NOW])
    with django_assert_num_queries(15):  # eleven, and the savepoint
        taken(feed, rain("rain-1", NOW, 1.0), stage("river", NOW, 3.0))
    rows = [rain(f"rain-{1 + n % 3}", NOW - n * MINUTE, n / 10, duration_s=60) for n in range(1, 400)]
    with django_assert_num_queries(15):
        assert taken(feed, *rows, *steady_stage("gated", 25.0, NOW))["accepted"] == 403


def test_raw_bytes_are_forgotten_and_the_answer_is_not(feed: Feed) -> None:
    first = taken(feed, rain("rain-1", NOW, 1.0))
    assert ingest.forget_raw(now=NOW + timedelta(days=31), keep_days=30) == 1
    assert bytes(FeedPost.objects.get().body) == b""
    assert taken(feed, rain("rain-1", NOW, 1.0)) == first


@pytest.mark.django_db(transaction=True)
def test_the_same_body_twice_at_once_gives_one_row_and_one_answer() -> None:
    make_regions()
    for n in range(20):
        make_station(f"rain-{n}", StationKind.RAIN, "440303001")
    feed = make_feed()
    raw = body(*(rain(f"rain-{n}", NOW, 0.5) for n in range(20)))
    start, answers = threading.Barrier(4), []

    def post() -> None:
        start.wait()
        answers.append(ingest.take_readings(feed, raw, NOW))
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["accepted"], Observation.objects.count(), FeedPost.objects.count()) == (20, 20, 1)


@pytest.mark.django_db(transaction=True)
def test_different_corrections_at_once_all_become_revisions() -> None:
    make_regions()
    make_station("rain-1", StationKind.RAIN, "440303001")
    feeds = [make_feed(f"feed-{n}") for n in range(4)]
    start = threading.Barrier(4)

    def post(n: int) -> None:
        start.wait()
        ingest.take_readings(feeds[n], body(rain("rain-1", NOW, float(n))), NOW)
        connection.close()

    threads = [threading.Thread(target=post, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = Observation.objects.order_by("revision").values_list("revision", "value")
    assert [revision for revision, _ in rows] == [0, 1, 2, 3]
    assert sorted(value for _, value in rows) == [0.0, 1.0, 2.0, 3.0]
    assert Latest.objects.get().value == list(rows)[-1][1]


# Grids


def grid_body(product: Product, issued_at: datetime, mm: float = 1.0, steps: int = 1) -> bytes:
    lat, lon = np.linspace(22.60, 22.51, 10), np.linspace(114.00, 114.19, 20)
    first = issued_at if product == Product.OBSERVED else issued_at + 5 * MINUTE
    field = np.full((steps, lat.size, lon.size), mm)
    field[0, 0, 0] = np.nan
    ends = [first + 5 * n * MINUTE for n in range(steps)]
    return cf_netcdf.encode(make_grid(product.value, issued_at, ends, lat, lon, field))


def test_the_same_frame_twice_gives_one_run(feed: Feed) -> None:
    raw = grid_body(Product.OBSERVED, NOW)
    first = ingest.take_grid(feed, raw, NOW)
    assert counts(first) == (1, 0, 0)
    assert ingest.take_grid(feed, raw, NOW) == first
    run = GridRun.objects.get()
    assert (run.product, run.issued_at, run.steps, run.missing_share) == (
        "observed",
        NOW,
        1,
        pytest.approx(0.005),
    )


def test_the_same_content_from_another_feed_is_a_duplicate(feed: Feed) -> None:
    raw = grid_body(Product.OBSERVED, NOW)
    ingest.take_grid(feed, raw, NOW)
    assert counts(ingest.take_grid(make_feed("second"), raw, NOW)) == (0, 1, 0)
    assert GridRun.objects.count() == 1


def test_other_content_for_the_same_instant_is_the_next_revision(feed: Feed) -> None:
    ingest.take_grid(feed, grid_body(Product.OBSERVED, NOW, 1.0), NOW)
    assert counts(ingest.take_grid(feed, grid_body(Product.OBSERVED, NOW, 2.0), NOW)) == (1, 0, 0)
    assert list(GridRun.objects.order_by("revision").values_list("revision", flat=True)) == [0, 1]
    assert GridRun.objects.observed_between(NOW - MINUTE, NOW).get().revision == 1


def test_a_field_comes_back_from_the_row_as_it_was_sent(feed: Feed) -> None:
    raw = grid_body(Product.NOWCAST, NOW, 2.5, steps=24)
    ingest.take_grid(feed, raw, NOW)
    run, sent = GridRun.objects.get(), cf_netcdf.decode(raw)
    assert np.array_equal(unpack(bytes(run.blob.content), sent.rain_mm.shape), sent.rain_mm, equal_nan=True)
    lat, lon = axes_of(run.geometry)
    assert np.allclose(lat, sent.lat) and np.allclose(lon, sent.lon)


def test_bytes_that_are_no_grid_are_kept_and_answered(feed: Feed) -> None:
    with pytest.raises(Refusal, match="malformed"):
        ingest.take_grid(feed, b"\x89HDF rubbish", NOW)
    assert bytes(FeedPost.objects.get().body) == b"\x89HDF rubbish"
    assert not GridRun.objects.exists()


def test_a_frame_refused_for_its_time_is_taken_when_its_time_has_come(feed: Feed) -> None:
    raw = grid_body(Product.OBSERVED, NOW + 10 * MINUTE)
    with pytest.raises(Refusal, match="malformed"):
        ingest.take_grid(feed, raw, NOW)
    assert counts(ingest.take_grid(feed, raw, NOW + 10 * MINUTE)) == (1, 0, 0)
    assert FeedPost.objects.count() == 1


def test_a_new_frame_wakes_the_watch_and_a_repeat_does_not(
    feed: Feed, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    raw = grid_body(Product.OBSERVED, NOW)
    assert nudged(django_capture_on_commit_callbacks, lambda: ingest.take_grid(feed, raw, NOW)) == {
        "watch.assess"
    }
    assert nudged(django_capture_on_commit_callbacks, lambda: ingest.take_grid(feed, raw, NOW)) == set()


def test_the_given_storm_is_taken_frame_by_frame(feed: Feed) -> None:
    if not STORM.is_dir():
        pytest.skip("the given storm files are absent")
    for path in sorted(STORM.glob("*_2020103108*.nc")):
        assert counts(ingest.take_grid(feed, path.read_bytes(), NOW)) == (1, 0, 0)
    steps = GridRun.objects.order_by("pk").values_list("product", "steps")
    assert set(steps) == {("observed", 1), ("nowcast", 24)}


# The door


@pytest.fixture
def door(feed: Feed, settings: Any) -> Feed:
    settings.ROOT_URLCONF = "hydrology.urls"
    return feed


def posted(raw: bytes, headers: dict[str, str], **more: str) -> Any:
    return APIClient().post(
        "/ingest/readings", raw, content_type="application/json", headers={**headers, **more}
    )


def signed(raw: bytes, at: datetime, secret: str = SECRET, key: str = "gauges") -> dict[str, str]:
    return signing.signed_headers(key, secret, raw, at)


def test_a_signed_post_is_taken_and_told_in_the_callers_language(door: Feed) -> None:
    raw = body(rain("rain-1", now(), 1.0), rain("nowhere", now(), 1.0))
    headers = signed(raw, now())
    english = posted(raw, headers, **{"Accept-Language": "en"})
    chinese = posted(raw, headers)
    assert english.status_code == chinese.status_code == 200
    assert english.json()["accepted"] == chinese.json()["accepted"] == 1
    assert "not registered" in english.json()["rejected"][0]["message"]
    assert "未登记" in chinese.json()["rejected"][0]["message"]


def test_a_malformed_post_is_answered_400_with_the_field(door: Feed) -> None:
    answer = posted(b"{", signed(b"{", now()))
    assert answer.status_code == 400
    assert (answer.json()["code"], list(answer.json()["fields"])) == ("malformed", ["body"])


def test_a_value_signed_anew_counts_again_after_a_correction_and_a_replay_does_not(door: Feed) -> None:
    make_reservoir("lake", "440303001")
    at = now()
    first, corrected = (body(stage("lake", at, level)) for level in (59.85, 60.0))
    headers = signed(first, at - timedelta(seconds=20))
    answer = posted(first, headers).json()
    assert posted(corrected, signed(corrected, at)).json()["accepted"] == 1
    assert posted(first, headers).json() == answer
    assert Observation.objects.latest_revision().get().value == 60.0
    assert posted(first, signed(first, at + timedelta(seconds=1))).json()["accepted"] == 1
    assert Observation.objects.latest_revision().get().value == 59.85
    assert posted(first, signed(first, at + timedelta(seconds=2))).json()["duplicate"] == 1


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b'{"station": "rain-1", "element": "rain_mm", "observed_at": "AT", "value": 1e999}', "not_a_number"),
        (b'{"station": "\\ud800", "element": "rain_mm", "observed_at": "AT", "value": 1}', "bad_station"),
        (b'{"station": "rain-1", "element": "\\ud800", "observed_at": "AT", "value": 1}', "unknown_element"),
        (b'{"station": "rain-1", "element": "rain_mm", "observed_at": "\\udfff", "value": 1}', "bad_time"),
        (b'{"station": "rain-1", "element": "rain_mm", "observed_at": "AT", "value": NaN}', "not_a_number"),
        (
            b'{"station": "rain-1", "element": "rain_mm", "observed_at": "AT", "value": "\\ud800"}',
            "not_a_number",
        ),
    ],
)
def test_a_row_that_json_can_hardly_say_loses_no_other(door: Feed, row: bytes, code: str) -> None:
    good = orjson.dumps(rain("rain-2", NOW, 1.0))
    raw = b'{"readings": [' + row.replace(b"AT", NOW.isoformat().encode()) + b", " + good + b"]}"
    answer = posted(raw, signed(raw, now()))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert [(bad["index"], bad["code"]) for bad in answer.json()["rejected"]] == [(0, code)]


def test_a_body_nested_without_end_is_malformed(door: Feed) -> None:
    raw = b"[" * 50_000 + b"]" * 50_000
    answer = posted(raw, signed(raw, now()))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_an_unknown_key_and_a_wrong_signature_are_told_alike(door: Feed) -> None:
    raw = body()
    make_feed("silent", enabled=False)
    wrong = posted(raw, signed(raw, now(), secret="another"))
    unknown = posted(raw, signed(raw, now(), key="nobody"))
    disabled = posted(raw, signed(raw, now(), key="silent"))
    unsigned = posted(raw, {})
    assert {answer.status_code for answer in (wrong, unknown, disabled, unsigned)} == {401}
    assert wrong.json() == unknown.json() == disabled.json() == unsigned.json()
    assert wrong.json()["code"] == "bad_signature"
    assert not FeedPost.objects.exists()


def test_a_changed_body_breaks_the_signature(door: Feed) -> None:
    headers = signed(body(rain("rain-1", NOW, 1.0)), now())
    assert posted(body(rain("rain-1", NOW, 99.0)), headers).status_code == 401


def test_a_skewed_clock_is_told_the_servers_time_only_when_the_signature_holds(door: Feed) -> None:
    raw, old = body(), now() - timedelta(minutes=6)
    skewed = posted(raw, signed(raw, old))
    assert (skewed.status_code, skewed.json()["code"]) == (401, "clock_skew")
    told = datetime.fromisoformat(skewed.json()["fields"]["server_time"])
    assert abs(told - now()) < timedelta(minutes=1)
    assert posted(raw, signed(raw, old, secret="another")).json()["code"] == "bad_signature"


@pytest.mark.parametrize("time", ["iso", "unix", "unix with fraction", "with +08:00"])
def test_the_time_may_be_iso_or_unix_seconds(door: Feed, time: str) -> None:
    at = now()
    text = {
        "iso": at.isoformat(),
        "unix": str(int(at.timestamp())),
        "unix with fraction": f"{at.timestamp():.3f}",
        "with +08:00": local(at).isoformat(),
    }[time]
    raw = body()
    headers = {
        "X-Feed-Key": "gauges",
        "X-Feed-Time": text,
        "X-Feed-Signature": signing.sign(SECRET, text, raw),
    }
    assert posted(raw, headers).status_code == 200


@given(text=st.text(max_size=40))
def test_any_time_header_is_an_instant_or_none(text: str) -> None:
    at = signing.instant(text)
    assert at is None or at.tzinfo is not None


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    door: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "MOST_READINGS_BYTES", 100)
    raw = body(*(rain("rain-1", NOW, 1.0) for _ in range(10)))
    answer = posted(raw, signed(raw, now()))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not FeedPost.objects.exists()


def test_what_is_quoted_of_an_unreadable_body_can_be_kept() -> None:
    refusal = malformed("a\0", "不是 \udc80", "is not \x1b")
    assert refusal.fields == {"a?": "is not ?"}
    assert (refusal.zh + refusal.en).isprintable()


def test_an_unreadable_body_quoted_with_nul_is_refused_and_kept(feed: Feed) -> None:
    def read(feed: Feed, content: bytes, now: datetime) -> Store:
        raise malformed("quantity", "为 AC\0", "is AC\0")

    with pytest.raises(Refusal, match="AC[?]"):
        take(feed, "grid", b"broken", NOW, read)
    assert bytes(FeedPost.objects.get().body) == b"broken"
