"""Doubts at the door: the whole post is known before it is judged, and better feeds are believed first."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from foundation.clock import local
from hydrology import ingest
from hydrology.models import Feed, Latest, Observation, StationKind
from hydrology.science.quality import Quality
from hydrology.science.sl651 import Direction
from hydrology.science.sl651_elements import Measure, Report
from hydrology.science.sl651_sums import doubted_slots
from hydrology.science.sl651_water import water_of
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_station, rain, stage

SLOT = 5 * MINUTE
CODES = [f"near-{n}" for n in range(5)]


@pytest.fixture
def cluster(feed: Feed) -> Feed:
    """Five gauges around the reservoir "gated", within 3 km."""
    for n, code in enumerate(CODES):
        make_station(code, StationKind.RAIN, "440303001", lon=114.12 + n / 200)
    return feed


def taken(feed: Feed, *rows: Any, now: datetime = NOW) -> dict[str, Any]:
    return ingest.take_readings(feed, body(*rows), now)


def row(station: str, at: datetime = NOW) -> Observation:
    return Observation.objects.latest_revision().get(station=station, observed_at=at)


def test_neighbours_in_the_same_post_are_seen(cluster: Feed) -> None:
    times = [NOW - n * SLOT for n in range(7)]
    rows = [rain(code, at, 2.0) for code in CODES[1:] for at in times]
    taken(cluster, *(rain(CODES[0], at, 0.0) for at in times), *rows)
    assert (row(CODES[0]).quality, row(CODES[0]).why) == (
        Quality.SUSPECT,
        "stuck: 0 mm for 30 min, 4 neighbours above 5 mm",
    )


def test_a_lone_gauge_is_suspect_and_its_dry_neighbours_are_not(cluster: Feed) -> None:
    taken(cluster, rain(CODES[0], NOW, 17.0), *(rain(code, NOW, 0.0) for code in CODES[1:]))
    assert row(CODES[0]).why == "neighbours: 17 mm, none around above 0.0 mm"
    assert {row(code).quality for code in CODES[1:]} == {Quality.GOOD}


def test_rain_of_the_same_post_explains_a_fast_rise(cluster: Feed) -> None:
    taken(cluster, *(stage("gated", NOW - n * SLOT, 25.0) for n in (1, 2)))
    wet = [rain(code, NOW - n * SLOT, 9.0) for code in CODES for n in range(3)]
    taken(cluster, stage("gated", NOW, 26.1), *wet)
    assert row("gated").quality == Quality.GOOD


def test_a_level_frozen_for_six_hours_of_rain_is_stuck_though_an_hour_is_read(cluster: Feed) -> None:
    began = NOW - timedelta(hours=7)
    for n in range(85):
        at = began + n * SLOT
        taken(cluster, stage("gated", at, 25.0), *(rain(code, at, 1.0) for code in CODES[:3]), now=at)
    stuck = Observation.objects.filter(station="gated", why__startswith="stuck").order_by("observed_at")
    assert stuck.first().observed_at == began + timedelta(hours=6)  # type: ignore[union-attr]
    assert Latest.objects.get(station="gated").unchanged_since == began
    taken(cluster, stage("gated", NOW + SLOT, 25.1), now=NOW + SLOT)
    assert row("gated", NOW + SLOT).quality == Quality.GOOD
    assert Latest.objects.get(station="gated").unchanged_since == NOW + SLOT


def test_a_silence_of_hours_breaks_the_run_of_one_value(feed: Feed) -> None:
    taken(feed, stage("gated", NOW - timedelta(hours=4), 25.0))
    taken(feed, stage("gated", NOW, 25.0))
    assert Latest.objects.get().unchanged_since == NOW


def test_a_station_hours_behind_its_post_has_its_zone_named_and_a_backfill_has_not(cluster: Feed) -> None:
    eight = timedelta(hours=8)
    taken(cluster, rain("rain-1", NOW, 0.0))
    others = [rain(code, NOW, 0.0) for code in CODES]
    taken(cluster, *others, rain("rain-2", NOW - eight, 0.2), rain("rain-1", NOW - eight, 0.2))
    assert row("rain-2", NOW - eight).why == "clock: 8 h behind its post, a fault of the time zone"
    assert row("rain-1", NOW - eight).quality == Quality.GOOD


def test_a_time_eight_hours_ahead_is_refused_as_a_wrong_zone(feed: Feed) -> None:
    (refused,) = taken(feed, rain("rain-1", NOW + timedelta(hours=8) - MINUTE, 0.2))["rejected"]
    assert refused["code"] == "wrong_zone"
    assert "8 h ahead" in refused["en"]


def test_an_hourly_sum_that_contradicts_the_five_minutes_makes_them_suspect(feed: Feed) -> None:
    taken(feed, *(rain("rain-1", NOW - n * SLOT, 1.0) for n in range(1, 12)))
    answer = taken(feed, rain("rain-1", NOW, 14.0, duration_s=3600), rain("rain-1", NOW, 1.0))
    assert [(r["index"], r["code"]) for r in answer["rejected"]] == [(0, "sum_disagrees")]
    assert row("rain-1").why == "sum: 14 mm in 3600 s, but its parts have 12.0 mm"
    agreeing = taken(feed, rain("rain-1", NOW, 12.1, duration_s=3600))
    assert [r["code"] for r in agreeing["rejected"]] == ["other_duration"]


def test_what_the_source_doubts_is_suspect_with_its_words(feed: Feed) -> None:
    taken(feed, rain("rain-1", NOW, 1.0, doubt="battery low"), rain("rain-2", NOW, 1.0, doubt=["\x00"]))
    assert (row("rain-1").quality, row("rain-1").why) == (Quality.SUSPECT, "source: battery low")
    assert row("rain-2").why == "source: doubted"


# Which feed is believed


@pytest.fixture
def feeds(city: Any) -> tuple[Feed, Feed]:
    return make_feed("best", rank=1, cadence_s=300), make_feed("spare", rank=2, cadence_s=300)


def test_a_worse_feed_is_set_aside_while_the_better_one_speaks(feeds: tuple[Feed, Feed]) -> None:
    best, spare = feeds
    taken(best, stage("river", NOW, 3.0))
    for ago in (0, 1, 10):
        answer = taken(spare, stage("river", NOW + ago * MINUTE, 3.5), now=NOW + ago * MINUTE)
        assert (answer["accepted"], answer["duplicate"]) == (0, 1)
    assert Observation.objects.count() == 1
    assert taken(spare, rain("rain-1", NOW, 1.0))["accepted"] == 1  # of this the better one says nothing


def test_the_worse_feed_counts_where_the_better_is_silent_until_it_comes_back(
    feeds: tuple[Feed, Feed],
) -> None:
    best, spare = feeds
    taken(best, stage("river", NOW, 3.0))
    later = NOW + 11 * MINUTE
    assert taken(spare, stage("river", later, 3.5), now=later)["accepted"] == 1
    assert Latest.objects.get().feed_id == "spare"
    assert taken(spare, stage("river", later + SLOT, 3.6), now=later + SLOT)["accepted"] == 1
    taken(best, stage("river", later, 3.1), stage("river", later + SLOT, 3.2), now=later + SLOT)
    assert [(o.revision, o.value) for o in Observation.objects.filter(observed_at=later).order_by("revision")] == [
        (0, 3.5), (1, 3.1),
    ]  # fmt: skip
    assert (Latest.objects.get().feed_id, Latest.objects.get().value) == ("best", 3.2)
    assert taken(spare, stage("river", later, 3.4), now=later + SLOT)["accepted"] == 0


def test_late_rows_of_a_worse_feed_fill_the_gap_of_the_better_one_only(feeds: tuple[Feed, Feed]) -> None:
    best, spare = feeds
    taken(best, *(rain("rain-1", NOW - n * SLOT, 1.0) for n in (0, 1, 8, 9)))
    answer = taken(spare, *(rain("rain-1", NOW - n * SLOT, 2.0) for n in range(10)))
    kept = Observation.objects.filter(post__feed=spare).values_list("observed_at", flat=True)
    assert {(NOW - at) // SLOT for at in kept} == {2, 3, 4, 5}
    assert answer["duplicate"] == 6


def test_feeds_of_one_rank_correct_each_other_as_ever(city: Any) -> None:
    taken(make_feed("one"), rain("rain-1", NOW, 1.0))
    assert taken(make_feed("two"), rain("rain-1", NOW, 2.0))["accepted"] == 1


# The sums of one telegram


def doubted(**sums_mm: float) -> dict[datetime, str]:
    """Of twelve slots of 1 mm up to 20:00 in Shenzhen, in a report that says these sums as well."""
    slots = {NOW - n * SLOT: 1.0 for n in range(12)}
    measures = tuple(Measure("S", "P", NOW, code, 0, (mm,)) for code, mm in sums_mm.items())
    report = Report(0x34, Direction.UP, "S", 1, "", measures)
    return doubted_slots(report, {"S": "gauge"}, {"gauge": slots}).get("gauge", {})


@pytest.mark.parametrize(
    ("sums_mm", "slots", "why"),
    [
        ({"P1": 12.2, "PJ": 30.0}, 0, ""),
        ({"P1": 14.0}, 12, "sum: 14 mm in 3600 s, but its parts have 12.0 mm (P1)"),
        ({"PN10": 1.5}, 2, "sum: 1.5 mm in 600 s, but 2.0 mm in parts of it (PN10)"),
        ({"P1": 12.0, "PJ": 9.0}, 12, "sum: 9 mm in 43200 s, but 12.0 mm in parts of it (PJ)"),
        ({"P3": 20.0, "P6": 15.0}, 12, "sum: 15 mm in 21600 s, but 20.0 mm in parts of it (P6)"),
    ],
)
def test_the_sums_of_a_report_agree_with_its_slots_and_each_other(
    sums_mm: dict[str, float], slots: int, why: str
) -> None:
    found = doubted(**sums_mm)
    assert (len(found), *set(found.values())) == (slots, *([why] if why else []))


def test_a_telegram_whose_hour_disagrees_with_its_slots_is_told_and_its_rain_is_suspect() -> None:
    measures = (
        Measure("S", "P", NOW - 11 * SLOT, "DRP", 0, (1.0,) * 12, step_s=300),
        Measure("S", "P", NOW, "P1", 0, (20.0,)),
    )
    sent = f"{local(NOW):%y%m%d%H%M%S}"
    water = water_of(Report(0x34, Direction.UP, "S", 1, sent, measures), {"S": "gauge"}, NOW, {})
    assert {reading.doubt[:4] for reading in water.readings} == {"sum:"}
    assert water.left_out == ("station gauge: sum: 20 mm in 3600 s, but its parts have 12.0 mm (P1)",)
