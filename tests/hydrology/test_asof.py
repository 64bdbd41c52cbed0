"""What did we know then: rows by their receipt, the newest revision among them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from foundation.clock import iso
from hydrology import asof, ingest
from hydrology.models import Feed, Latest, Level
from hydrology.rain import at_point, shelf_then
from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import make_grid
from hydrology.shelf import Asked, Shelf
from hydrology.standing import Item
from tests.hydrology.conftest import ClientFor
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, rain, stage

CITY = "4403/"


def field_at(end: datetime, mm: float) -> bytes:
    lat, lon = np.arange(22.7, 22.4, -0.01), np.arange(114.0, 114.3, 0.01)
    return cf_netcdf.encode(make_grid("observed", end, [end], lat, lon, np.full((1, lat.size, lon.size), mm)))


def rows(shelf: Shelf) -> list[dict[str, Any]]:
    return list(orjson.loads(shelf.answer(Asked((CITY,))).body)["items"])


def received(feed: Feed, at: datetime, *rows: Any) -> None:
    ingest.take_readings(feed, body(*rows), at)


def items(as_of: datetime) -> dict[str, Item]:
    return {item["station"]: item for _, item in asof.level_rows(as_of, NOW)}


def test_a_level_is_the_newest_received_by_then_with_its_age_then(feed: Feed) -> None:
    for n in range(13):
        at = NOW - (65 - 5 * n) * MINUTE
        received(feed, at + MINUTE, stage("river", at, 2.0 + 0.1 * n))
    then = items(NOW - 30 * MINUTE)["river"]  # the reading of that instant is still on its way
    assert (then["level_m"], then["age_s"], then["observed_at"]) == (2.6, 300, iso(NOW - 35 * MINUTE))
    assert then["rate_m_per_h"] == pytest.approx(1.2)
    assert items(NOW + MINUTE)["river"]["level_m"] == Latest.objects.get(station="river").value == 3.2


def test_a_correction_is_not_known_before_it_came(feed: Feed) -> None:
    received(feed, NOW, stage("gated", NOW, 25.0))
    received(feed, NOW + 10 * MINUTE, stage("gated", NOW, 26.0))
    assert items(NOW + 9 * MINUTE)["gated"]["level_m"] == 25.0
    assert items(NOW + 10 * MINUTE)["gated"]["level_m"] == 26.0
    assert items(NOW - MINUTE)["gated"]["status"] == "unknown"


def test_a_wrong_value_was_no_level_then_either_and_an_old_one_is_stale(feed: Feed) -> None:
    received(feed, NOW, stage("gated", NOW - 5 * MINUTE, 25.0), stage("gated", NOW, 300.0))
    assert items(NOW)["gated"]["level_m"] == 25.0
    assert items(NOW + timedelta(hours=2))["gated"]["status"] == "stale"
    assert items(NOW + timedelta(hours=25))["gated"]["level_m"] is None


def test_rain_is_what_had_been_received_by_then_corrected_or_not(feed: Feed, client_for: ClientFor) -> None:
    grids = make_feed("grids")
    received(feed, NOW, rain("rain-1", NOW - 5 * MINUTE, 2.0))
    ingest.take_grid(grids, field_at(NOW - 5 * MINUTE, 2.0), NOW)
    received(feed, NOW + 9 * MINUTE, rain("rain-1", NOW - 5 * MINUTE, 7.0), rain("rain-1", NOW, 3.0))
    ingest.take_grid(grids, field_at(NOW - 5 * MINUTE, 7.0), NOW + 9 * MINUTE)

    def known(minutes: int) -> tuple[Any, ...]:
        at = NOW + minutes * MINUTE
        hour = next(
            row
            for row in rows(shelf_then(Level.DISTRICT, at, NOW + 60 * MINUTE))
            if row["region"] == "440303"
        )
        gauge = hour["observed"][3]
        (*_, fallen) = (
            s["rain_mm"] for s in at_point(22.55, 114.12, NOW, at)["observed"] if s["rain_mm"] is not None
        )
        return gauge["station_max_mm"], gauge["mean_mm"], fallen

    assert known(1) == (2.0, 2.0, 2.0)
    assert known(9) == (10.0, 7.0, 7.0)
    client, then = client_for(CITY), iso(NOW + MINUTE)
    shown = client.get("/api/v1/live/rain", {"as_of": then}).json()
    assert (shown["as_of"], shown["observed_at"]) == (iso(NOW - 5 * MINUTE), iso(NOW - 5 * MINUTE))
    point = client.get("/api/v1/rain/point", {"lon": 114.12, "lat": 22.55, "as_of": then}).json()
    assert point["observed"][-1] == {"at": iso(NOW - 5 * MINUTE), "rain_mm": 2.0}
    assert client.get("/api/v1/live/rain", {"as_of": "19:40"}).status_code == 400


def test_in_a_replay_a_reading_counts_as_received_when_it_was_observed(city: Any) -> None:
    feed = make_feed(replayed=True)
    past = NOW - timedelta(days=900)
    received(feed, NOW, *(stage("river", past + n * 5 * MINUTE, 2.0 + n / 10) for n in range(4)))
    assert items(past + 6 * MINUTE)["river"]["level_m"] == 2.1


def test_the_door_answers_levels_and_series_as_of_then(feed: Feed, client_for: ClientFor) -> None:
    received(feed, NOW, stage("gated", NOW, 25.0), rain("rain-1", NOW, 1.0))
    received(feed, NOW + 10 * MINUTE, stage("gated", NOW, 26.0), rain("rain-1", NOW, 4.0))
    client, then = client_for(CITY), {"as_of": iso(NOW + 5 * MINUTE)}
    shown = client.get("/api/v1/live/levels", {**then, "kind": "reservoir"}).json()
    assert shown["as_of"] == iso(NOW + 5 * MINUTE)
    assert [item["level_m"] for item in shown["items"]] == [25.0, None]
    assert (
        client_for("4403/440304/").get("/api/v1/live/levels", then).json()["items"][0]["station"] == "river"
    )
    series = client.get("/api/v1/stations/rain-1/series", {**then, "element": "rain_mm"}).json()
    assert (series["as_of"], [point["value"] for point in series["items"]]) == (shown["as_of"], [1.0])
    assert client.get("/api/v1/live/levels", {"as_of": "19:40"}).status_code == 400


def test_a_series_tells_its_sliding_maxima_and_where_they_ended(feed: Feed, client_for: ClientFor) -> None:
    mm = {
        55: 1.0,
        50: 9.0,
        45: 2.0,
        40: 3.0,
        10: 8.0,
        5: 50.0,
        0: 70.0,
    }  # minutes before NOW; the last is wrong
    received(feed, NOW, *(rain("rain-1", NOW - ago * MINUTE, value) for ago, value in mm.items()))
    span = {"element": "rain_mm", "from": iso(NOW - timedelta(hours=1)), "to": iso(NOW)}
    client = client_for(CITY)
    assert client.get("/api/v1/stations/rain-1/series", span).json()["maxima"] is None
    found = client.get("/api/v1/stations/rain-1/series", {**span, "maxima": "true"}).json()["maxima"]
    assert [(m["minutes"], m["rain_mm"], m["at"], m["share"]) for m in found] == [
        (5, 50.0, iso(NOW - 5 * MINUTE), 1.0),
        (10, 58.0, iso(NOW - 5 * MINUTE), 1.0),
        (30, 58.0, iso(NOW - 5 * MINUTE), 0.333),
        (60, 73.0, iso(NOW - 5 * MINUTE), 0.5),
        (180, 73.0, iso(NOW - 5 * MINUTE), 0.167),
    ]
    long = {**span, "from": iso(NOW - timedelta(days=100)), "step": "day", "maxima": "true"}
    assert client.get("/api/v1/stations/rain-1/series", long).json()["code"] == "bad_span"


@pytest.mark.parametrize(
    "at",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+08:00", "1999-12-31T23:59:59Z", "2100-01-01T00:00:01Z"]
    + ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-08:00"],
)
def test_a_time_no_water_was_measured_at_is_refused_by_name(
    at: str, feed: Feed, client_for: ClientFor
) -> None:
    client, series = client_for(CITY), "/api/v1/stations/rain-1/series"
    assert client.get("/api/v1/live/levels", {"as_of": at}).json()["fields"] == {"as_of": at}
    for name in ("as_of", "from", "to"):
        answer = client.get(series, {"element": "rain_mm", name: at})
        assert (answer.status_code, answer.json()["fields"]) == (400, {name: at})
    for name in ("since", "until"):
        answer = client.get("/api/v1/console/report", {name: at})
        assert (answer.status_code, answer.json()["fields"]) == (400, {name: at})
