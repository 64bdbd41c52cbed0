"""Stations around a point: the nearest first, with their newest word, and none the officer may not see."""

from datetime import timedelta

import pytest

from foundation.clock import now
from hydrology import ingest
from hydrology.models import Feed
from tests.hydrology.conftest import ClientFor
from tests.hydrology.factories import body, rain, stage

pytestmark = [pytest.mark.urls("hydrology.urls"), pytest.mark.usefixtures("empty_wire")]
AT_THE_RIVER = "/stations/nearby?lon=114.05&lat=22.53"


def test_the_nearest_come_first_with_their_newest_word(feed: Feed, client_for: ClientFor) -> None:
    at = now()
    ingest.take_readings(feed, body(stage("river", at, 3.2), rain("rain-3", at, 1.5)), at)
    items = client_for("4403/").get(AT_THE_RIVER).json()["items"]
    assert {item["station"] for item in items[:2]} == {"rain-3", "river"}
    assert [item["station"] for item in items[2:]] == ["gated", "rain-1", "rain-2", "ungated"]
    assert items[0]["distance_km"] == 0.0
    assert items[2]["distance_km"] == pytest.approx(7.53, abs=0.05)
    found = {item["station"]: item for item in items}
    assert found["river"]["level"]["level_m"] == 3.2
    assert found["rain-3"]["rain"]["rain_mm"] == 1.5
    assert found["rain-1"]["rain"] is None


def test_another_district_is_not_near_however_near_it_is(feed: Feed, client_for: ClientFor) -> None:
    items = client_for("4403/440303/").get(AT_THE_RIVER).json()["items"]
    assert {item["station"] for item in items} == {"gated", "rain-1", "rain-2", "ungated"}
    assert client_for().get(AT_THE_RIVER).json()["items"] == []


def test_kind_and_count_narrow_and_nonsense_is_named(feed: Feed, client_for: ClientFor) -> None:
    client = client_for("4403/")
    found = client.get(f"{AT_THE_RIVER}&kind=reservoir&count=1").json()["items"]
    assert [item["station"] for item in found] == ["gated"]
    assert client.get(f"{AT_THE_RIVER}&count=0").json()["fields"] == {"count": "0"}
    assert client.get("/stations/nearby?lon=400&lat=22").json()["fields"] == {"lon": "400"}


def test_where_only_time_went_on_the_answer_is_304(feed: Feed, client_for: ClientFor) -> None:
    Feed.objects.update(replayed=True)  # the water's clock stands at the newest reading
    at = now() - timedelta(minutes=10)
    ingest.take_readings(feed, body(stage("river", at, 3.2)), at)
    client, rivers = client_for("4403/"), f"{AT_THE_RIVER}&kind=river"
    first = client.get(rivers)
    ingest.take_readings(feed, body(rain("rain-3", at + timedelta(minutes=5), 0.0)), now())
    assert client.get(rivers).json()["items"][0]["level"]["age_s"] == 300
    again = client.get(rivers, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
