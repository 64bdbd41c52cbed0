"""Live levels and rain at their doors, on real PostgreSQL and Valkey."""

import gzip
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
from django.utils.http import urlencode
from pytest_django import DjangoAssertNumQueries

from foundation.clock import iso, local, now
from foundation.wire import HINTS, wire
from hydrology import ingest, live
from hydrology.models import Feed, Product, SeasonLimit
from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import make_grid
from hydrology.science.rainfall import slot_end
from hydrology.standing import season_limits
from tests.hydrology.conftest import ClientFor
from tests.hydrology.factories import MINUTE, body, make_feed, rain, stage, steady_stage

CITY, WEST, EAST = "4403/", "4403/440304/", "4403/440303/"
pytestmark = [pytest.mark.urls("hydrology.urls"), pytest.mark.usefixtures("empty_wire")]


def take(feed: Feed, *rows: Any, at: datetime | None = None) -> None:
    ingest.take_readings(feed, body(*rows), at or now())


def levels(client: Any, **query: str) -> dict[str, dict[str, Any]]:
    answer = client.get(f"/live/levels?{urlencode(query)}")
    assert answer.status_code == 200
    return {item["station"]: item for item in answer.json()["items"]}


# Levels


def test_every_level_is_shown_with_what_the_contract_promises(feed: Feed, client_for: ClientFor) -> None:
    at = now().replace(microsecond=0)
    take(feed, *steady_stage("gated", 28.4, at, count=6), stage("river", at, 3.0))
    items = levels(client_for(CITY))
    assert set(items) == {"gated", "ungated", "river"}
    shown = items["gated"]
    assert shown.pop("age_s") < 60
    in_season = "gated" in season_limits(SeasonLimit.objects.all(), local(at).date())
    assert shown == {
        "station": "gated", "name": "station gated", "kind": "reservoir", "region": "440303001", "level_m": 28.4,
        "datum": "85高程", "observed_at": iso(at), "quality": "good", "trend": "steady", "rate_m_per_h": 0.0,
        "limit_kind": "flood_season" if in_season else "normal", "limit_m": 28.0 if in_season else 30.0,
        "over_m": pytest.approx(0.4 if in_season else -1.6), "status": "over" if in_season else "normal",
        "next_limit_kind": "design" if in_season else "normal", "time_to_limit_s": None, "gated": True,
    }  # fmt: skip
    assert items["ungated"]["status"] == "unknown"
    assert (items["river"]["status"], items["river"]["kind"]) == ("normal", "river")


def test_water_of_another_district_is_not_shown(feed: Feed, client_for: ClientFor) -> None:
    assert set(levels(client_for(WEST))) == {"river"}
    assert set(levels(client_for(EAST + "440303001/"))) == {"gated", "ungated"}
    assert set(levels(client_for(WEST, EAST))) == {"gated", "ungated", "river"}
    assert levels(client_for()) == {}


def test_asking_for_another_district_is_answered_404(city: Any, client_for: ClientFor) -> None:
    client = client_for(WEST)
    for path in ("/live/levels?region=440303", "/live/rain?region=440303", "/stations?region=440303"):
        assert client.get(path).status_code == 404
    assert client.get("/stations/gated").status_code == 404
    assert client.get("/stations/gated/series?element=stage_m").status_code == 404
    assert client.get("/live/levels?region=nowhere").status_code == 404


def test_filters_narrow_the_answer(feed: Feed, client_for: ClientFor) -> None:
    take(feed, stage("river", now(), 5.5))
    client = client_for(CITY)
    assert set(levels(client, kind="reservoir")) == {"gated", "ungated"}
    assert set(levels(client, status="over")) == {"river"}
    assert set(levels(client, region="440303")) == {"gated", "ungated"}
    assert set(levels(client, region="440303002")) == {"ungated"}
    assert client.get("/live/levels?kind=lake").status_code == 400


def test_a_level_grown_old_is_stale_though_nothing_new_came(feed: Feed, client_for: ClientFor) -> None:
    old = now() - timedelta(minutes=61)
    take(feed, stage("river", old, 3.0), at=old)
    live.refresh(old)
    assert orjson.loads(live.snapshot((WEST,), old).body)["items"][0]["status"] == "normal"
    assert levels(client_for(WEST))["river"]["status"] == "stale"


def test_the_same_content_is_answered_304(feed: Feed, client_for: ClientFor) -> None:
    at = now()
    take(feed, stage("river", at, 3.0))
    client = client_for(CITY)
    etag = client.get("/live/levels")["ETag"]
    again = client.get("/live/levels", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    live.refresh(at + timedelta(seconds=20))
    assert client.get("/live/levels", headers={"If-None-Match": etag}).status_code == 304
    take(feed, stage("river", at + timedelta(seconds=1), 3.1))
    live.refresh(at + timedelta(seconds=21))
    changed = client.get("/live/levels", headers={"If-None-Match": etag})
    assert (changed.status_code, changed["ETag"] != etag) == (200, True)


def test_a_filtered_answer_has_the_etag_of_what_it_shows(feed: Feed, client_for: ClientFor) -> None:
    at = now()
    take(feed, stage("river", at, 3.0), stage("gated", at, 25.0))
    client = client_for(CITY)
    asked = ["?kind=reservoir", "?kind=river", "?region=440303001", "?first=mine"]
    etags = {query: client.get(f"/live/levels{query}")["ETag"] for query in asked}
    for query, etag in etags.items():
        assert client.get(f"/live/levels{query}", headers={"If-None-Match": etag}).status_code == 304
    take(feed, stage("river", at + timedelta(seconds=1), 3.1))
    live.refresh(at + timedelta(seconds=1))
    statuses = {
        query: client.get(f"/live/levels{query}", headers={"If-None-Match": etag}).status_code
        for query, etag in etags.items()
    }
    assert statuses == dict(zip(asked, [304, 200, 304, 200], strict=True))


def test_an_answer_from_redis_asks_the_database_nothing(
    feed: Feed, client_for: ClientFor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    live.refresh(now())
    client = client_for(WEST)
    with django_assert_num_queries(0):
        assert client.get("/live/levels").status_code == 200


def test_a_client_that_takes_gzip_gets_the_same_content(feed: Feed, client_for: ClientFor) -> None:
    plain = client_for(CITY).get("/live/levels").content
    zipped = client_for(CITY).get("/live/levels", headers={"Accept-Encoding": "gzip"})
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == plain


def test_after_redis_lost_everything_the_answer_is_the_same(feed: Feed, client_for: ClientFor) -> None:
    take(feed, stage("river", now(), 3.0))
    client = client_for(CITY)
    before = client.get("/live/levels")
    wire().flushall()
    after = client.get("/live/levels")
    assert (after.status_code, after["ETag"]) == (200, before["ETag"])


def test_while_another_process_builds_the_answer_comes_from_the_tables(
    feed: Feed, client_for: ClientFor
) -> None:
    take(feed, stage("river", now(), 3.0))
    with wire().lock(f"{live.KEY}:lock", timeout=10):
        assert levels(client_for(WEST))["river"]["level_m"] == 3.0


def test_a_refresh_hints_only_what_changed_by_region(feed: Feed) -> None:
    at = now()
    live.refresh(at)
    listener = wire().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(HINTS)
    listener.get_message(timeout=5)
    take(feed, stage("river", at, 3.0))
    live.refresh(at)
    live.refresh(at + timedelta(seconds=10))
    heard = [orjson.loads(m["data"]) for m in iter(lambda: listener.get_message(timeout=0.5), None) if m]
    listener.close()
    street = WEST + "440304001/"
    assert [(hint["kind"], list(hint["changes"])) for hint in heard] == [("levels", [street])]
    assert [item["level_m"] for item in heard[0]["changes"][street]] == [3.0]


def test_in_a_replay_ages_are_told_by_the_water_s_clock(city: Any, client_for: ClientFor) -> None:
    replay = make_feed("replay", replayed=True)
    then = datetime(2023, 9, 7, 12, tzinfo=now().tzinfo)
    take(replay, stage("gated", then, 28.5))
    shown = levels(client_for(CITY))["gated"]
    assert (shown["age_s"], shown["status"], shown["limit_kind"]) == (0, "over", "flood_season")


# Rain


def frame(product: Product, issued_at: datetime, mm: float, steps: int = 1) -> bytes:
    lat, lon = np.linspace(22.65, 22.46, 20), np.linspace(114.00, 114.24, 25)
    first = issued_at if product == Product.OBSERVED else issued_at + 5 * MINUTE
    ends = [first + 5 * n * MINUTE for n in range(steps)]
    return cf_netcdf.encode(make_grid(product.value, issued_at, ends, lat, lon, np.full((steps, 20, 25), mm)))


@pytest.fixture
def rained(feed: Feed) -> datetime:
    """An hour of rain but for one lost frame, and a nowcast; END of the newest slot."""
    end = slot_end(now()) - 5 * MINUTE
    for n in range(12):
        if n != 3:
            ingest.take_grid(feed, frame(Product.OBSERVED, end - n * 5 * MINUTE, 2.0), now())
    ingest.take_grid(feed, frame(Product.NOWCAST, end, 1.0, steps=24), now())
    take(feed, *(rain("rain-1", end - n * 5 * MINUTE, 3.0) for n in range(12)), rain("rain-2", end, 1.0))
    return end


def test_rain_is_told_per_district_with_the_share_of_what_is_there(
    rained: datetime, client_for: ClientFor
) -> None:
    answer = client_for(CITY).get("/live/rain").json()
    assert (answer["as_of"], answer["nowcast_issued_at"]) == (iso(rained), iso(rained))
    east = next(item for item in answer["items"] if item["region"] == "440303")
    by_minutes = {window["minutes"]: window for window in east["observed"]}
    assert list(by_minutes) == [5, 10, 30, 60, 180, 1440]
    assert by_minutes[5] == {
        "minutes": 5, "station_max_mm": 3.0, "station": "rain-1", "station_share": 1.0, "mean_mm": 2.0, "mean_share": 1.0,
    }  # fmt: skip
    hour = by_minutes[60]
    assert (hour["station_max_mm"], hour["station_share"]) == (36.0, pytest.approx(13 / 24, abs=0.001))
    assert (hour["mean_mm"], hour["mean_share"]) == (22.0, pytest.approx(11 / 12, abs=0.001))
    assert [(a["minutes"], a["mean_mm"], a["max_mm"], a["share"]) for a in east["nowcast"]] == [
        (60, 12.0, 12.0, 1.0), (120, 24.0, 24.0, 1.0),
    ]  # fmt: skip


def test_rain_per_street_is_scoped_and_a_street_without_gauges_is_not_dry(
    rained: datetime, client_for: ClientFor
) -> None:
    items = client_for(WEST).get("/live/rain?level=street").json()["items"]
    assert [item["region"] for item in items] == ["440304001"]
    hour = items[0]["observed"][3]
    assert (hour["station_max_mm"], hour["station_share"], hour["mean_mm"]) == (None, 0.0, 22.0)
    assert client_for(WEST).get("/live/rain?region=440304001").json()["items"] == items


def test_new_data_is_told_at_once(rained: datetime, feed: Feed, client_for: ClientFor) -> None:
    client = client_for(EAST)
    assert client.get("/live/rain").json() == client.get("/live/rain").json()
    take(feed, rain("rain-2", rained, 9.0))
    assert client.get("/live/rain").json()["items"][0]["observed"][0]["station_max_mm"] == 9.0


@pytest.mark.parametrize(
    "path",
    ["/live/rain", "/live/rain?level=street&region=440303", "/rain/point?lon=114.12&lat=22.55", "/stations",
     "/stations/gated", "/stations/rain-1/series?element=rain_mm&to=2026-09-07T12:00:00Z"],
)  # fmt: skip
def test_the_same_water_is_answered_304_to_any_client(
    path: str, rained: datetime, client_for: ClientFor
) -> None:
    """Zipped or not; the ETag of one goes for the other."""
    client = client_for(CITY)
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        first = client.get(path, headers=headers)
        assert (first.status_code, first["Cache-Control"]) == (200, "private, no-cache")
        assert {"Accept-Encoding", "Authorization"} <= set(first["Vary"].split(", "))
        for known in (first["ETag"], first["ETag"].removeprefix("W/")):
            for again in ({}, {"Accept-Encoding": "gzip"}):
                answer = client.get(path, headers=again | {"If-None-Match": known})
                assert (answer.status_code, answer.content) == (304, b"")


def test_a_post_is_done_whatever_the_client_says_it_knows(feed: Feed, client_for: ClientFor) -> None:
    answer = client_for(CITY).post("/ingest/readings", headers={"If-None-Match": "*"})
    assert answer.status_code == 401  # the door's own word: a feed signs


@pytest.mark.parametrize(
    ("said", "fallen"),
    [
        ([(minute, 60, 1.0) for minute in (1, 2, 3, 4)] + [(5, 300, 5.0)], 5.0),  # two durations
        ([(minute, 300, 5.0) for minute in (5, 7, 10, 12, 15, 17, 20)], 20.0),  # two feeds, two minutes apart
        ([(minute, 300, 5.0) for minute in (5.2, 9.9, 15.1, 20)], 20.0),  # one gauge whose clock wanders
        ([(minute, 60, 1.0) for minute in (1, 2, 3, 4, 5)], 5.0),
    ],
)
def test_the_same_minutes_of_a_gauge_are_never_counted_twice(
    said: list[tuple[float, int, float]], fallen: float, feed: Feed, client_for: ClientFor
) -> None:
    begin = slot_end(now()) - 6 * 5 * MINUTE
    take(feed, *(rain("rain-1", begin + m * MINUTE, mm, duration_s=s) for m, s, mm in said))
    items = client_for(CITY).get("/live/rain?level=street").json()["items"]
    tops = [w["station_max_mm"] for item in items for w in item["observed"] if w["minutes"] == 60]
    assert max(mm for mm in tops if mm is not None) == fallen
    until = begin + 20 * MINUTE
    path = f"/stations/rain-1/series?element=rain_mm&maxima=1&from={iso(begin)}&to={iso(until)}&step="
    for step in ("5min", "1h", "day"):
        told = client_for(CITY).get(path.replace("+", "%2B") + step).json()
        assert sum(point["value"] for point in told["items"]) == fallen
        assert max(maximum["rain_mm"] for maximum in told["maxima"]) == fallen


def test_a_sum_longer_than_the_step_is_not_shown_as_one_step(feed: Feed, client_for: ClientFor) -> None:
    """Hourly sums of a gauge that has also told half of each hour in slots: neither a burst nor the double."""
    end = datetime(2023, 9, 7, 12, tzinfo=now().tzinfo)
    take(feed, *(rain("rain-1", end - n * 5 * MINUTE, 1.0) for n in range(1, 7)))
    take(feed, rain("rain-1", end, 12.0, duration_s=3600))
    span = {"element": "rain_mm", "from": iso(end - timedelta(hours=1)), "to": iso(end)}
    client = client_for(CITY)
    steps = client.get("/stations/rain-1/series", span).json()["items"]
    assert [point["value"] for point in steps] == [1.0] * 6
    (hour,) = client.get("/stations/rain-1/series", {**span, "step": "1h"}).json()["items"]
    assert (hour["value"], hour["share"]) == (12.0, 1.0)


def test_a_series_ends_at_the_water_s_clock_says_its_age_and_is_answered_304(
    feed: Feed, client_for: ClientFor
) -> None:
    Feed.objects.update(replayed=True)
    at = datetime(2023, 9, 7, 12, tzinfo=now().tzinfo)
    take(feed, stage("river", at - 5 * MINUTE, 3.0), rain("rain-1", at, 1.0))
    client = client_for(CITY)
    first = client.get("/stations/river/series?element=stage_m")
    told = first.json()
    assert [(point["at"], point["value"]) for point in told["items"]] == [(iso(at - 5 * MINUTE), 3.0)]
    assert (told["as_of"], told["observed_at"], told["age_s"]) == (iso(at), iso(at - 5 * MINUTE), 300)
    take(feed, rain("rain-1", at + 5 * MINUTE, 1.0))  # time goes on, the river has nothing new to say
    again = client.get("/stations/river/series?element=stage_m", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    nothing = client.get("/stations/gated/series?element=stage_m").json()
    assert (nothing["items"], nothing["observed_at"], nothing["age_s"]) == ([], None, None)


def test_rain_says_how_old_its_newest_value_is(feed: Feed, client_for: ClientFor) -> None:
    client = client_for(CITY)
    never = client.get("/live/rain").json()
    assert (never["observed_at"], never["age_s"]) == (None, None)
    old = slot_end(now()) - timedelta(hours=2)
    take(feed, rain("rain-1", old, 4.0))
    for path in ("/live/rain", "/rain/point?lon=114.12&lat=22.55"):
        answer = client.get(path).json()
        gap = datetime.fromisoformat(answer["as_of"]) - old
        assert (answer["observed_at"], answer["age_s"]) == (iso(old), gap.total_seconds())


def test_when_data_stopped_the_shares_fall_and_nothing_is_called_dry(
    feed: Feed, client_for: ClientFor
) -> None:
    old = slot_end(now()) - timedelta(hours=2)
    take(feed, rain("rain-1", old, 4.0))
    answer = client_for(CITY).get("/live/rain").json()
    assert now() - datetime.fromisoformat(answer["as_of"]) < timedelta(minutes=5)
    five = answer["items"][0]["observed"][0]
    assert (five["station_max_mm"], five["mean_mm"], five["station_share"], five["mean_share"]) == (
        None,
        None,
        0,
        0,
    )


def test_a_point_gets_two_hours_back_and_two_ahead_with_nulls_for_what_is_missing(
    rained: datetime, client_for: ClientFor
) -> None:
    answer = client_for(CITY).get("/rain/point?lon=114.12&lat=22.55").json()
    fallen = [step["rain_mm"] for step in answer["observed"]]
    assert fallen == [None] * 12 + [2.0] * 8 + [None] + [2.0] * 3
    assert [step["rain_mm"] for step in answer["nowcast"]] == [1.0] * 24
    assert answer["observed"][-1]["at"] == iso(rained)
    outside = client_for(CITY).get("/rain/point?lon=110&lat=22.55").json()
    assert {step["rain_mm"] for step in outside["observed"] + outside["nowcast"]} == {None}
    assert client_for(CITY).get("/rain/point?lon=114").status_code == 400


# Stations


def test_stations_are_paged_by_cursor_in_order(city: Any, client_for: ClientFor) -> None:
    client = client_for(CITY)
    first = client.get("/stations?limit=4").json()
    second = client.get(first["next"]).json()
    codes = [row["code"] for row in first["results"] + second["results"]]
    assert codes == ["gated", "rain-1", "rain-2", "rain-3", "river", "ungated"]
    assert second["next"] is None
    assert [row["code"] for row in client.get("/stations?kind=rain&region=440303").json()["results"]] == [
        "rain-1", "rain-2",
    ]  # fmt: skip


def test_a_station_is_told_with_its_level_and_its_newest_rain(feed: Feed, client_for: ClientFor) -> None:
    take(feed, stage("river", now(), 5.5), rain("rain-1", now(), 0.4))
    client = client_for(CITY)
    river = client.get("/stations/river").json()
    assert river["level"]["status"] == "over"
    assert river["limits"] == [
        {"kind": "warning", "limit_m": 5.0}, {"kind": "guarantee", "limit_m": 6.0}, {"kind": "highest", "limit_m": 7.0},
    ]  # fmt: skip
    gauge = client.get("/stations/rain-1").json()
    assert (gauge["kind"], gauge["level"], gauge["rain"]["rain_mm"]) == ("rain", None, 0.4)
    assert gauge["limits"] == []


def test_a_series_sums_rain_leaves_gaps_out_and_takes_the_newest_revision(
    feed: Feed, client_for: ClientFor
) -> None:
    end = datetime(2023, 9, 7, 12, tzinfo=now().tzinfo)
    take(
        feed,
        *(rain("rain-1", end - n * 5 * MINUTE, 1.0) for n in range(6)),
        rain("rain-1", end - 3 * 60 * MINUTE, 0.5),
    )
    take(feed, rain("rain-1", end, 2.0))
    client = client_for(CITY)
    span = {"element": "rain_mm", "from": iso(end - timedelta(hours=4)), "to": iso(end)}
    hourly = client.get("/stations/rain-1/series", {**span, "step": "1h"}).json()["items"]
    assert hourly == [
        {"at": iso(end - timedelta(hours=3)), "value": 0.5, "quality": "good", "share": 0.083},
        {"at": iso(end), "value": 7.0, "quality": "good", "share": 0.5},
    ]
    steps = client.get("/stations/rain-1/series", span).json()["items"]
    assert [point["value"] for point in steps] == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0]


def test_a_day_of_a_series_ends_at_eight_in_the_morning(feed: Feed, client_for: ClientFor) -> None:
    eight = datetime(2023, 9, 7, 0, tzinfo=now().tzinfo)
    take(feed, stage("river", eight, 3.0), stage("river", eight + MINUTE, 3.5))
    span = {
        "element": "stage_m",
        "from": iso(eight - timedelta(days=1)),
        "to": iso(eight + MINUTE),
        "step": "day",
    }
    days = client_for(CITY).get("/stations/river/series", span).json()["items"]
    assert [(day["at"], day["value"]) for day in days] == [
        ("2023-09-07T08:00:00+08:00", 3.0), ("2023-09-08T08:00:00+08:00", 3.5),
    ]  # fmt: skip


def test_a_wrong_value_is_in_no_sum(feed: Feed, client_for: ClientFor) -> None:
    end = datetime(2023, 9, 7, 12, tzinfo=now().tzinfo)
    take(feed, rain("rain-1", end - 5 * MINUTE, 1.0), rain("rain-1", end, 90.0))
    span = {"element": "rain_mm", "from": iso(end - timedelta(hours=1)), "to": iso(end)}
    client = client_for(CITY)
    steps = client.get("/stations/rain-1/series", span).json()["items"]
    assert [(point["value"], point["quality"]) for point in steps] == [(1.0, "good"), (None, "wrong")]
    hour = client.get("/stations/rain-1/series", {**span, "step": "1h"}).json()["items"]
    assert [(point["value"], point["quality"]) for point in hour] == [(1.0, "wrong")]


def test_a_series_too_long_or_backwards_is_refused_with_what_to_do(city: Any, client_for: ClientFor) -> None:
    client = client_for(CITY)
    for query in (
        "from=2000-01-01T00:00:00Z",
        "from=2026-09-07T12:00:00Z&to=2026-09-01T12:00:00Z",
        "from=yesterday",
    ):
        answer = client.get(f"/stations/rain-1/series?element=rain_mm&{query}")
        assert (answer.status_code, bool(answer.json()["message"])) == (400, True)
