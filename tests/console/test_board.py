"""What the duty room reads: only the signed in, only their regions, in a fixed number of queries."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from console import board
from escalation.models import ClimbState
from foundation.scope import Scope
from hydrology.models import Feed, FeedMark, Region, Station
from notifications.models import State
from officers.models import Officer
from tests.console.conftest import ClientFor
from tests.console.factories import make_bulletin, make_climb, make_dispatch
from tests.hydrology.factories import NOW, make_feed

CITY = Scope(paths=("4403/",))
DOORS = ["map", "dispatches", "dispatches/1", "regions/4403/reach", "feeds"]


@pytest.mark.parametrize("door", DOORS)
def test_nobody_reads_the_board_without_signing_in(db: None, door: str) -> None:
    assert APIClient().get(f"/api/v1/console/{door}").status_code == 401


@pytest.mark.parametrize("door", ["dispatches", "map"])
def test_an_officer_without_a_post_sees_no_people_and_no_places(
    city: dict[str, Region], client_for: ClientFor, door: str
) -> None:
    make_dispatch([(city["440303001"], State.SENT)])
    answer = client_for().get(f"/api/v1/console/{door}").json()
    assert not any(answer.get(key) for key in ("items", "districts", "streets", "stations", "topics"))


@pytest.mark.parametrize("held", ["desk_paths", "command_paths", "engineer_paths", "paths", "stations"])
def test_feeds_are_for_whoever_staffs_a_desk_commands_or_keeps_the_system_running(
    db: None, client_for: ClientFor, held: str
) -> None:
    api = client_for()
    api.force_authenticate(Officer(pk=1), token=SimpleNamespace(scope=Scope(**{held: ("4403/440303/",)})))
    answer = api.get("/api/v1/console/feeds")
    if held.endswith("_paths"):
        assert (answer.status_code, answer.json()["items"]) == (200, [])
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "staff_only")


def test_map_shows_the_whole_district_but_says_whose_people_are_mine(
    city: dict[str, Region], client_for: ClientFor
) -> None:
    answer = client_for("4403/440303/440303001/").get("/api/v1/console/map").json()
    assert [row["code"] for row in answer["districts"]] == ["440303"]
    assert {row["code"]: row["people"] for row in answer["streets"]} == {
        "440303001": True,
        "440303002": False,
    }
    assert [row["code"] for row in answer["stations"]] == ["reservoir", "tide"]
    assert answer["topics"] == ["levels:440303", "board:440303001"]


def test_map_says_where_the_caller_may_draft(city: dict[str, Region], client_for: ClientFor) -> None:
    answer = client_for("4403/", desk=("4403/440304/",)).get("/api/v1/console/map").json()
    assert [row["code"] for row in answer["desk"]] == ["440304"]
    assert answer["command"] == []


def test_made_up_stations_and_replayed_storms_are_called_so(city: dict[str, Region]) -> None:
    assert board.map_of(CITY)["synthetic"] == {"stations": False, "replay": False}
    Station.objects.filter(pk="river").update(synthetic=True)
    make_feed(replayed=True)
    assert board.map_of(CITY)["synthetic"] == {"stations": True, "replay": True}


def test_map_takes_a_fixed_number_of_queries(
    city: dict[str, Region], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(3):
        board.map_of(CITY)


def test_dispatches_count_only_my_streets_people(regions: dict[str, Region], client_for: ClientFor) -> None:
    make_dispatch(
        [
            (regions["440303001"], State.CONFIRMED),
            (regions["440303002"], State.FAILED_PERM),
            (regions["440304001"], State.SENT),
        ]
    )
    make_dispatch([(regions["440304001"], State.SENT)])
    [item] = client_for("4403/440303/").get("/api/v1/console/dispatches").json()["items"]
    assert (item["total"], item["pushed"], item["confirmed"], item["failed"]) == (2, 1, 1, 1)
    assert item["nobody"] == ["440303002"]


def test_escalated_counts_rungs_taken_and_exhausted_those_still_silent(regions: dict[str, Region]) -> None:
    street = regions["440303001"]
    dispatch = make_dispatch([(street, State.SENT)] * 3 + [(street, State.CONFIRMED)])
    waiting, rung_once, silent, late = dispatch.deliveries.order_by("id")
    make_climb(waiting, rung=0)
    make_climb(rung_once, rung=1)
    make_climb(silent, rung=2, state=ClimbState.EXHAUSTED)
    make_climb(late, rung=2, state=ClimbState.EXHAUSTED)
    [item] = board.recent_dispatches(CITY, 5)
    assert (item["escalated"], item["exhausted"]) == (3, 1)
    rungs = {line["id"]: line["climb"]["rung"] for line in board.reach(CITY, dispatch.pk)["unanswered"]}
    assert rungs == {waiting.pk: 0, rung_once.pk: 1, silent.pk: 2}


def test_a_dispatch_that_reaches_none_of_mine_does_not_exist_for_me(
    regions: dict[str, Region], client_for: ClientFor
) -> None:
    dispatch = make_dispatch([(regions["440304001"], State.SENT)])
    door = f"/api/v1/console/dispatches/{dispatch.pk}"
    assert client_for("4403/440303/").get(door).status_code == 404
    assert client_for("4403/440304/").get(door).json()["total"] == 1


def test_region_reach_gathers_what_is_in_force_there(regions: dict[str, Region]) -> None:
    street, other = regions["440303001"], regions["440303002"]
    make_dispatch([(street, State.SENT), (other, State.SENT)])
    make_dispatch([(street, State.OPENED)])
    make_dispatch([(street, State.SENT)], expires_at=NOW - timedelta(minutes=1))
    reach = board.region_reach(CITY, street.code, NOW)
    assert (reach["total"], reach["opened"]) == (2, 1)


def test_region_reach_leaves_drills_out(regions: dict[str, Region]) -> None:
    street = regions["440303001"]
    make_dispatch([(street, State.SENT)] * 2, bulletin=make_bulletin(drill=True))
    make_dispatch([(street, State.SENT)])
    assert board.region_reach(CITY, street.code, NOW)["total"] == 1


def test_region_reach_refuses_a_street_of_others(regions: dict[str, Region], client_for: ClientFor) -> None:
    caller = client_for("4403/440303/440303001/")
    assert caller.get("/api/v1/console/regions/440303002/reach").status_code == 404
    assert caller.get("/api/v1/console/regions/440303001/reach").status_code == 200


def test_queries_of_the_list_do_not_grow_with_dispatches(
    regions: dict[str, Region], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        make_dispatch([(regions["440303001"], State.SENT), (regions["440304001"], State.SENT)])
        with django_assert_num_queries(4):
            board.recent_dispatches(CITY, 20)


def test_queries_of_one_dispatch_are_fixed(
    regions: dict[str, Region], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.SENT)] * 4)
    with django_assert_num_queries(7):
        board.reach(CITY, dispatch.pk)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "٣"])
def test_a_limit_out_of_range_is_refused(db: None, client_for: ClientFor, limit: str) -> None:
    answer = client_for("4403/").get("/api/v1/console/dispatches", {"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    ("age_s", "status"), [(0, "good"), (360, "good"), (361, "late"), (450, "late"), (451, "silent")]
)
def test_the_board_calls_a_feed_late_and_silent_as_everybody_else_does(
    db: None, age_s: int, status: str
) -> None:
    feed = make_feed(cadence_s=300, max_age_s=1800)
    spoke_at = NOW - timedelta(seconds=age_s)
    FeedMark.objects.create(feed=feed, received_at=spoke_at, good_at=spoke_at)
    [row] = board.feeds(NOW)
    assert (row["age_s"], row["status"]) == (age_s, status)


def test_feeds_come_worst_first_and_without_their_keys(db: None) -> None:
    heard, silent, off = make_feed("a"), make_feed("b"), make_feed("c", enabled=False)
    FeedMark.objects.create(feed=heard, received_at=NOW, good_at=NOW)
    rows = board.feeds(NOW)
    assert [row["name"] for row in rows] == [silent.name, heard.name]
    assert Feed.objects.filter(pk=off.pk).exists()
    assert "key" not in rows[0]
