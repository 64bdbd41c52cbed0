"""Warnings to read and orders to write, through HTTP with real posts and tokens."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts import stages, watch
from alerts.models import Bulletin, ResponseOrder, Warning
from foundation.clock import now
from hydrology import ingest
from hydrology.models import Feed, Region
from notifications import dispatch
from officers.models import Duty, Post
from tests.alerts.conftest import DISTRICT, SLOT, A, B, C, fell, play, signed_in
from tests.hydrology.factories import NOW, body, make_reservoir, stage

ORDERS, WARNINGS = "/api/v1/orders", "/api/v1/warnings"
Regions = dict[str, Region]


def order(**fields: Any) -> dict[str, Any]:
    return {
        "level": "II", "authority": DISTRICT, "areas": [A, B], "duties": ["flood"], "title_zh": "巡查低洼点",
        "text_zh": "请巡查。", "valid_until": (now() + timedelta(hours=3)).isoformat(),
    } | fields  # fmt: skip


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


@pytest.fixture
def commander(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.COMMAND))


@pytest.fixture
def storm(feed: Feed) -> None:
    """Two districts under a warning: one street each, at levels 1 and 3."""
    for n, mm in enumerate([{}, {A: 6.0, C: 13.0}]):
        fell(feed, NOW + n * SLOT, mm)
        watch.assess_due(now=NOW + n * SLOT + 2 * watch.GRACE)


def act(api: APIClient, pk: int, verb: str, **words: str) -> Any:
    return api.post(f"{ORDERS}/{pk}/{verb}", words, format="json")


def test_an_order_goes_from_draft_to_end_between_two_people(desk: APIClient, commander: APIClient) -> None:
    made = desk.post(ORDERS, order(), format="json")
    assert made.status_code == 201
    pk = made.json()["id"]
    assert act(desk, pk, "submit").json()["status"] == "submitted"
    assert act(commander, pk, "approve", note="同意").json()["approved_by"] == commander.officer.pk
    assert act(desk, pk, "issue").json()["status"] == "issued"
    ended = act(desk, pk, "end").json()
    assert [event["after"] for event in ended["events"]] == [
        "draft",
        "submitted",
        "approved",
        "issued",
        "ended",
    ]
    assert ended["events"][2]["note"] == "同意"
    assert Bulletin.objects.filter(order=pk).count() == 2
    assert desk.get(f"{ORDERS}/{pk}").json() == ended
    assert [row["id"] for row in desk.get(ORDERS).json()["results"]] == [pk]


def test_times_are_spoken_in_shenzhen_time(desk: APIClient) -> None:
    until = (now() + timedelta(hours=3)).replace(microsecond=0)
    said = desk.post(ORDERS, order(valid_until=until.isoformat()), format="json").json()["valid_until"]
    assert said.endswith("+08:00")
    assert datetime.fromisoformat(said) == until


def test_an_illegal_step_answers_409_and_leaves_the_order(desk: APIClient) -> None:
    pk = desk.post(ORDERS, order(), format="json").json()["id"]
    answer = act(desk, pk, "issue")
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
    assert ResponseOrder.objects.get().status == "draft"


def test_a_person_with_both_posts_still_needs_another_to_approve(regions: Regions) -> None:
    both = signed_in((regions[DISTRICT], Duty.DESK), (regions[DISTRICT], Duty.COMMAND))
    pk = both.post(ORDERS, order(), format="json").json()["id"]
    act(both, pk, "submit")
    answer = act(both, pk, "approve")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_person")


def test_the_neighbours_desk_sees_no_order_of_this_district(desk: APIClient, regions: Regions) -> None:
    pk = desk.post(ORDERS, order(), format="json").json()["id"]
    neighbour = signed_in((regions["440304"], Duty.DESK))
    assert neighbour.get(f"{ORDERS}/{pk}").status_code == 404
    assert act(neighbour, pk, "submit").status_code == 404
    assert neighbour.get(ORDERS).json()["results"] == []
    assert neighbour.post(ORDERS, order(), format="json").status_code == 404


def test_who_has_no_desk_may_not_draft(commander: APIClient) -> None:
    answer = commander.post(ORDERS, order(), format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "desk_only")
    assert not ResponseOrder.objects.exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"level": "VI"},
        {"areas": []},
        {"areas": [A, C]},
        {"areas": "440303001"},
        {"duties": ["king"]},
        {"title_zh": "雨" * 81},
        {"title_zh": "a\x00b"},
        {"valid_until": "tomorrow"},
        {"valid_until": "2020-01-01T00:00:00+08:00"},
        {"deadline_at": "2020-01-01T00:00:00+08:00"},
        {"valid_until": "9999-12-31T23:59:59-12:00"},
    ],
    ids=str,
)
def test_a_faulty_draft_is_refused_with_the_fields_name(desk: APIClient, fault: dict[str, Any]) -> None:
    answer = desk.post(ORDERS, order(**fault), format="json")
    assert answer.status_code == 400, answer.content
    assert set(answer.json()["fields"]) == set(fault)
    assert not ResponseOrder.objects.exists()


def test_the_english_texts_may_be_left_out_or_empty(desk: APIClient) -> None:
    for texts in ({}, {"title_en": "", "text_en": ""}):
        assert desk.post(ORDERS, order(**texts), format="json").status_code == 201


def test_an_area_named_twice_is_said_once(desk: APIClient) -> None:
    assert desk.post(ORDERS, order(areas=[A, A, B]), format="json").json()["areas"] == [A, B]


def test_the_drill_mark_cannot_be_changed_after_the_draft(desk: APIClient) -> None:
    pk = desk.post(ORDERS, order(drill=True), format="json").json()["id"]
    answer = desk.post(f"{ORDERS}/{pk}/submit", {"drill": False}, format="json")
    assert answer.json()["drill"] is True


def test_warnings_are_those_of_the_callers_districts(storm: None, desk: APIClient, regions: Regions) -> None:
    city = signed_in((regions["4403"], Duty.DESK))
    street = signed_in((regions[A], Duty.FLOOD))
    assert [row["region"]["code"] for row in desk.get(WARNINGS).json()["results"]] == [DISTRICT]
    assert [row["region"]["code"] for row in street.get(WARNINGS).json()["results"]] == [DISTRICT]
    assert len(city.get(WARNINGS).json()["results"]) == 2
    elsewhere = Warning.objects.get(region="440304").pk
    assert desk.get(f"{WARNINGS}/{elsewhere}").status_code == 404
    assert city.get(f"{WARNINGS}/{elsewhere}").status_code == 200


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("", {"440303", "440304"}),
        ("active=true", {"440303"}),
        ("region=440304", {"440304"}),
        ("region=4403", {"440303", "440304"}),
        (f"region={A}", {"440303"}),
        (f"region={B}", set()),
        (f"region={A}&active=true", {"440303"}),
        ("level=notice", {"440303"}),
        ("region=440303&level=alert", set()),
    ],
)
def test_warnings_can_be_narrowed(storm: None, regions: Regions, query: str, codes: set[str]) -> None:
    Warning.objects.filter(region="440304").update(ended_at=now())
    city = signed_in((regions["4403"], Duty.DESK))
    assert {row["region"]["code"] for row in city.get(f"{WARNINGS}?{query}").json()["results"]} == codes


def test_one_warning_tells_its_streets_reasons_and_what_was_said(storm: None, desk: APIClient) -> None:
    told = desk.get(f"{WARNINGS}/{Warning.objects.get(region=DISTRICT).pk}").json()
    assert (told["level"], told["ended_at"]) == ("notice", None)
    assert [(street["code"], street["level"]) for street in told["streets"]] == [(A, "notice")]
    assert told["reasons"]["streets"][A]["reasons"][0]["value_mm"] == 6.0
    assert told["reasons"] == told["events"][-1]["reasons"]
    assert told["bulletins"][0]["areas"] == [A]
    said = told["bulletins"][0]
    assert said["push"].startswith("【提示】")
    assert said["push_en"].startswith("[NOTICE]") and "Valid until" in said["body_en"]


@pytest.mark.parametrize("door", [ORDERS, f"{ORDERS}/1", WARNINGS, f"{WARNINGS}/1"])
def test_nobody_reads_without_signing_in(db: None, door: str) -> None:
    assert APIClient().get(door).status_code == 401


@pytest.mark.parametrize("ask", [lambda api: api.get(ORDERS), lambda api: api.get(WARNINGS)])
def test_lists_cost_the_same_queries_however_long_they_are(
    desk: APIClient, ask: Callable[[APIClient], Any], django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        desk.post(ORDERS, order(), format="json")
    with django_assert_max_num_queries(8):  # an order has six kinds of rows beside its own
        assert ask(desk).status_code == 200


def test_level_notices_stand_in_the_list_with_their_station(desk: APIClient, feed: Feed) -> None:
    make_reservoir("lake", A)
    for n in range(2):
        ingest.take_readings(feed, body(stage("lake", NOW + n * SLOT, 28.1)), NOW + n * SLOT)
        stages.assess_levels(now=NOW + n * SLOT)
    [shown] = desk.get(f"{WARNINGS}?active=1&region={DISTRICT}&hazard=reservoir").json()["results"]
    assert shown["station"] == {"code": "lake", "name": "station lake", "kind": "reservoir"}
    assert (shown["hazard"], shown["level"], shown["region"]["code"]) == ("reservoir", "alert", A)
    assert (shown["streets"], shown["reasons"]["station"]["code"]) == ([], "lake")
    assert desk.get(f"{WARNINGS}?hazard=rainstorm").json()["results"] == []
    whole = desk.get(f"{WARNINGS}/{shown['id']}").json()
    assert [event["action"] for event in whole["events"]] == ["raise"]
    assert "28.10" in whole["bulletins"][0]["body"]
    assert desk.get(f"{WARNINGS}/{shown['id']}.cap").status_code == 200
    assert "station lake" in desk.get(f"{WARNINGS}.atom").content.decode()
    Post.objects.update(valid_from=NOW - SLOT)
    dispatch.take_up(now=NOW + 2 * SLOT)
    [item] = desk.get("/api/v1/inbox?since=0").json()["items"]
    assert (item["kind"], item["level"], item["requires"]) == ("level", "alert", "confirm")
    assert item["ref"] == f"warning/{shown['id']}"


def test_a_notice_of_another_district_is_not_shown(desk: APIClient, feed: Feed) -> None:
    make_reservoir("lake", C)
    for n in range(2):
        ingest.take_readings(feed, body(stage("lake", NOW + n * SLOT, 28.1)), NOW + n * SLOT)
        stages.assess_levels(now=NOW + n * SLOT)
    assert desk.get(WARNINGS).json()["results"] == []


def test_every_instant_of_a_warnings_answer_is_of_shenzhen_and_the_watchs_counters_stay_inside(
    feed: Feed, regions: Regions
) -> None:
    play(feed, [{}, {A: 6.0}, {A: 13.0}])
    desk = signed_in((regions[DISTRICT], Duty.DESK))
    warning = Warning.objects.get()
    for path in ("warnings", f"warnings/{warning.pk}", f"warnings/{warning.pk}/explained"):
        text = desk.get(f"/api/v1/{path}").content.decode()
        assert "+08:00" in text and "+00:00" not in text, path
        assert not [name for name in ("pending_slots", "hand_over", "below_peak") if name in text]
    assert "+00:00" in str(warning.events.first().reasons)  # as it is stored
