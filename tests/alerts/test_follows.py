"""Following a station with a threshold of one's own, through HTTP and the sweep."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts import follows
from alerts.models import Bulletin, Follow
from foundation.clock import iso, now
from hydrology import ingest
from hydrology.models import Feed, Region, Station, StationKind
from hydrology.science.stages import STALE
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty, Post
from tests.alerts.conftest import SENT, SLOT, A, B, C, signed_in
from tests.hydrology.factories import MINUTE, NOW, body, make_reservoir, make_river, make_station, rain, stage

Regions = dict[str, Region]
FOLLOWS = "/api/v1/follows"


def door(code: str) -> str:
    return f"/api/v1/stations/{code}/follow"


@pytest.fixture
def me(regions: Regions, feed: Feed) -> APIClient:
    """An officer of street A; a reservoir, a river and a gauge of his district, a river of another."""
    make_reservoir("lake", A)
    make_river("brook", B)
    make_river("far", C)
    make_station("gauge", StationKind.RAIN, A)
    return signed_in((regions[A], Duty.FLOOD))


def put(api: APIClient, code: str, threshold_m: Any = None) -> Any:
    return api.put(door(code), {"threshold_m": threshold_m}, format="json")


def rises(feed: Feed, at: datetime, level_m: float, station: str = "brook") -> int:
    """The level comes in; the bulletins that led to."""
    ingest.take_readings(feed, body(stage(station, at, level_m)), at + SENT)
    return follows.tell_followers(now=at + SENT)


def test_a_station_is_followed_shown_changed_and_given_up(me: APIClient, feed: Feed) -> None:
    at = now().replace(microsecond=0)
    ingest.take_readings(feed, body(stage("brook", at, 4.2)), at)
    made = put(me, "brook", 4.5)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["station"], shown["threshold_m"], shown["passed"]) == ("brook", 4.5, False)
    assert (shown["level"]["level_m"], shown["level"]["kind"]) == (4.2, "river")
    assert put(me, "brook", 4.1).status_code == 200
    assert put(me, "lake").status_code == 201
    listed = me.get(FOLLOWS).json()["items"]
    assert [(i["station"], i["threshold_m"], i["passed"]) for i in listed] == [
        ("brook", 4.1, True),
        ("lake", None, None),
    ]
    for _ in range(2):
        assert me.delete(door("brook")).status_code == 204
    assert [item["station"] for item in me.get(FOLLOWS).json()["items"]] == ["lake"]


def test_where_only_time_went_on_the_list_is_304(me: APIClient, feed: Feed) -> None:
    Feed.objects.update(replayed=True)  # the water's clock stands at the newest reading
    at = now() - timedelta(minutes=10)
    ingest.take_readings(feed, body(stage("brook", at, 4.2)), at)
    put(me, "brook", 4.5)
    first = me.get(FOLLOWS)
    ingest.take_readings(feed, body(rain("gauge", at + timedelta(minutes=5), 0.0)), now())
    assert me.get(FOLLOWS).json()["items"][0]["level"]["age_s"] == 300
    assert me.get(FOLLOWS, headers={"If-None-Match": first["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("code", "threshold_m", "status", "error"),
    [
        ("far", 4.0, 404, "not_found"),
        ("nowhere", 4.0, 404, "not_found"),
        ("gauge", None, 400, "no_level"),
        ("brook", -3.0, 400, "threshold_out_of_range"),
        ("brook", 400.0, 400, "threshold_out_of_range"),
        ("brook", "nan", 400, "invalid"),
        ("brook", "high", 400, "invalid"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_reason(
    me: APIClient, code: str, threshold_m: Any, status: int, error: str
) -> None:
    answer = put(me, code, threshold_m)
    assert (answer.status_code, answer.json()["code"]) == (status, error)
    assert not Follow.objects.exists()


def test_fifty_stations_are_enough(me: APIClient) -> None:
    for n in range(follows.MOST):
        make_river(f"river-{n}", A)
        assert put(me, f"river-{n}").status_code == 201
    assert put(me, "brook").json()["code"] == "too_many_follows"
    assert put(me, "river-0", 4.0).status_code == 200


def test_nobody_sees_anothers_follows(me: APIClient, regions: Regions) -> None:
    put(me, "brook", 4.5)
    assert signed_in((regions[A], Duty.FLOOD)).get(FOLLOWS).json()["items"] == []
    assert APIClient().get(FOLLOWS).status_code == 401


def test_what_lies_outside_my_waters_now_is_no_longer_listed(me: APIClient, regions: Regions) -> None:
    put(me, "brook", 4.5)
    Station.objects.filter(pk="brook").update(region=C)
    assert me.get(FOLLOWS).json()["items"] == []


def test_a_passed_threshold_is_told_once_to_exactly_its_followers(
    me: APIClient, regions: Regions, feed: Feed
) -> None:
    other, third = (signed_in((regions[street], Duty.FLOOD)) for street in (A, B))
    put(me, "brook", 4.5), put(other, "brook", 4.5), put(third, "brook", 4.8)
    assert rises(feed, NOW, 4.4) == 0
    assert rises(feed, NOW + SLOT, 4.5) == 1
    assert rises(feed, NOW + 2 * SLOT, 4.6) == 0
    bulletin = Bulletin.objects.get()
    assert (bulletin.kind, bulletin.urgency, bulletin.requires) == ("level", 1, "none")
    assert (bulletin.ref, bulletin.officers) == ("station/brook", sorted([me.officer.pk, other.officer.pk]))
    assert "4.50米" in bulletin.push_zh
    Post.objects.update(valid_from=NOW - SLOT)
    dispatch.take_up(now=NOW + 3 * SLOT)
    told = Delivery.objects.values_list("officer", flat=True)
    assert sorted(told) == bulletin.officers
    assert rises(feed, NOW + 4 * SLOT, 4.8) == 1
    assert Bulletin.objects.order_by("-id")[0].officers == [third.officer.pk]


def test_who_serves_elsewhere_by_now_is_told_of_these_waters_no_more(
    me: APIClient, regions: Regions, feed: Feed
) -> None:
    put(me, "brook", 4.5)
    rises(feed, NOW, 4.6)
    Post.objects.update(valid_from=NOW - SLOT, region=regions[C])
    dispatch.take_up(now=NOW + SLOT)
    assert not Delivery.objects.exists()


def test_it_is_told_again_only_after_the_level_has_fallen_well_below(me: APIClient, feed: Feed) -> None:
    put(me, "brook", 4.5)
    levels = [4.5, 4.46, 4.5, 4.44, 4.49, 4.5]
    assert [rises(feed, NOW + n * SLOT, level_m) for n, level_m in enumerate(levels)] == [1, 0, 0, 0, 0, 1]


def test_another_threshold_is_another_question(me: APIClient, feed: Feed) -> None:
    put(me, "brook", 4.5)
    assert rises(feed, NOW, 4.6) == 1
    put(me, "brook", 4.5)
    assert rises(feed, NOW + SLOT, 4.6) == 0
    put(me, "brook", 4.55)
    assert rises(feed, NOW + 2 * SLOT, 4.6) == 1


def test_stale_and_doubted_readings_tell_nothing(me: APIClient, feed: Feed) -> None:
    put(me, "brook", 4.5)
    rises(feed, NOW, 3.0)
    assert rises(feed, NOW + SLOT, 5.5) == 0  # 2.5 m in 5 minutes is doubted
    late = NOW + timedelta(hours=3)
    ingest.take_readings(feed, body(stage("brook", late, 4.6)), late)
    assert follows.tell_followers(now=late + STALE + MINUTE) == 0
    assert follows.tell_followers(now=late + STALE) == 1


def test_times_are_spoken_in_shenzhen_time(me: APIClient, feed: Feed) -> None:
    put(me, "brook", 4.5)
    rises(feed, NOW, 4.6)
    assert me.get(FOLLOWS).json()["items"][0]["told_at"] == iso(NOW)
