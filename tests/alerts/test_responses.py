"""What is in force: levels, five stops, plans to choose from, proposals that become drafts."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts.assessment.plan_defaults import DEFAULT
from alerts.models import OrderMeasure, Proposal, ProposalState, ResponseOrder
from foundation.clock import now
from hydrology.models import Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, A, B, C, signed_in
from tests.alerts.test_doors import act, order

CITY = "4403"
Regions = dict[str, Region]


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[CITY], Duty.DESK))


@pytest.fixture
def head(regions: Regions) -> APIClient:
    return signed_in((regions[CITY], Duty.COMMAND))


def issued(desk: APIClient, head: APIClient, **said: Any) -> int:
    made = desk.post("/api/v1/orders", order(**said), format="json")
    assert made.status_code == 201, made.content
    pk = int(made.json()["id"])
    for who, verb in ((desk, "submit"), (head, "approve"), (desk, "issue")):
        assert act(who, pk, verb).status_code == 200
    return pk


def test_levels_in_force_are_those_of_each_authority_on_its_own(
    desk: APIClient, head: APIClient, regions: Regions
) -> None:
    city = issued(desk, head, authority=CITY, areas=[DISTRICT], level="IV")
    district = issued(desk, head, level="II")
    issued(desk, head, authority="440304", areas=[C], level="III")
    issued(desk, head, level="I", drill=True)
    act(desk, issued(desk, head, level="III", hazard="rainstorm"), "end")
    here, there = signed_in((regions[B], Duty.FLOOD)), signed_in((regions[C], Duty.FLOOD))
    found = here.get("/api/v1/responses").json()["items"]
    assert [(one["authority"]["code"], one["level"], one["order"]) for one in found] == [
        (CITY, "IV", city), (DISTRICT, "II", district)
    ]  # fmt: skip
    assert found[1]["since"].endswith("+08:00")
    assert {area["code"] for area in found[1]["areas"]} == {A, B}
    assert [one["level"] for one in there.get("/api/v1/responses").json()["items"]] == ["III"]
    assert len(desk.get("/api/v1/responses").json()["items"]) == 3
    assert APIClient().get("/api/v1/responses").status_code == 401


def test_five_stops_are_shown_where_and_while_they_hold(
    desk: APIClient, head: APIClient, regions: Regions
) -> None:
    later = (now() + timedelta(hours=1)).isoformat()
    pk = issued(
        desk, head,
        measures=[{"sector": "school"}, {"sector": "work", "areas": [B]}, {"sector": "business", "starts_at": later}],
    )  # fmt: skip
    in_a = desk.get(f"/api/v1/measures?region={A}").json()["items"]
    assert [(one["sector"], one["sector_name"], one["order"]) for one in in_a] == [("school", "停课", pk)]
    assert [area["code"] for area in in_a[0]["areas"]] == [A]
    everything = desk.get("/api/v1/measures").json()["items"]
    assert {one["sector"]: [area["code"] for area in one["areas"]] for one in everything} == {
        "school": [A, B], "work": [B]
    }  # fmt: skip
    shown = {one["sector"]: one["in_force"] for one in desk.get(f"/api/v1/orders/{pk}").json()["measures"]}
    assert shown == {"school": True, "work": True, "business": False}
    stranger = signed_in((regions[C], Duty.FLOOD))
    assert stranger.get("/api/v1/measures").json()["items"] == []
    assert stranger.get(f"/api/v1/measures?region={A}").status_code == 404
    act(desk, pk, "end")
    assert desk.get("/api/v1/measures").json()["items"] == []
    assert OrderMeasure.objects.count() == 3


def test_plans_can_be_narrowed_to_hazard_and_authority(desk: APIClient, regions: Regions) -> None:
    found = desk.get("/api/v1/plans").json()
    assert (found["version"], len(found["items"])) == ("", len(DEFAULT))
    narrow = desk.get(f"/api/v1/plans?hazard=flood&authority={DISTRICT}").json()["items"]
    assert [one["level"] for one in narrow] == ["watch", "IV", "III", "II", "I"]
    assert {one["authority_level"] for one in narrow} == {"district"}
    assert narrow[3]["measures"] == [{"sector": "school"}] and "sectors" not in narrow[3]
    street = signed_in((regions[A], Duty.DESK))
    assert street.get(f"/api/v1/plans?authority={DISTRICT}").status_code == 404


def test_an_order_is_drafted_from_a_plan_with_little_said(desk: APIClient) -> None:
    made = desk.post(
        "/api/v1/orders", {"plan": "flood-III-district", "authority": DISTRICT, "areas": [A]}, format="json"
    ).json()
    assert (made["level"], made["plan"], made["deadline_min"]) == ("III", "flood-III-district", 30)
    assert [task["number"] for task in made["tasks"]] == list(range(1, len(made["tasks"]) + 1))
    assert {task["due_at"] for task in made["tasks"]} == {None}
    bare = desk.post("/api/v1/orders", {"authority": DISTRICT, "areas": [A]}, format="json")
    assert (bare.status_code, set(bare.json()["fields"])) == (
        400, {"level", "duties", "title_zh", "text_zh", "valid_until"}
    )  # fmt: skip


def proposal(regions: Regions, level: int, **said: Any) -> Proposal:
    fields = {
        "hazard": "flood",
        "authority": regions[DISTRICT],
        "areas": [DISTRICT],
        "why": "red",
        "made_at": now(),
    }
    return Proposal.objects.create(level=level, **fields | said)


def test_taking_a_proposal_drafts_its_order_in_the_place_of_the_one_in_force(
    desk: APIClient, head: APIClient, regions: Regions
) -> None:
    first = issued(desk, head, level="IV")
    one = proposal(regions, 3)
    taken = desk.post(f"/api/v1/proposals/{one.pk}/take", {}, format="json").json()
    drafted = ResponseOrder.objects.get(pk=taken["order"])
    assert (taken["state"], drafted.status, drafted.action) == ("taken", "draft", "upgrade")
    assert (drafted.replaces_id, drafted.plan, drafted.areas) == (first, "flood-III-district", [DISTRICT])
    assert "升级为防汛Ⅲ级" in drafted.text_zh


def test_the_suggested_end_of_a_response_drafts_nothing(desk: APIClient, regions: Regions) -> None:
    one = proposal(regions, 0)
    taken = desk.post(f"/api/v1/proposals/{one.pk}/take", {}, format="json").json()
    assert (taken["state"], taken["order"]) == ("taken", None)


def test_a_draft_takes_its_proposal_with_it_or_neither(desk: APIClient, regions: Regions) -> None:
    one = proposal(regions, 4)
    said = {"proposal": one.pk, "duties": ["flood"], "title_zh": "t", "text_zh": "x"}
    until = (now() + timedelta(hours=2)).isoformat()
    assert desk.post("/api/v1/orders", said, format="json").status_code == 400
    other = desk.post("/api/v1/orders", said | {"valid_until": until, "authority": CITY}, format="json")
    assert (other.status_code, other.json()["code"]) == (409, "proposal_other")
    one.refresh_from_db()
    assert one.state == ProposalState.OPEN and not ResponseOrder.objects.exists()
    made = desk.post("/api/v1/orders", said | {"valid_until": until}, format="json").json()
    one.refresh_from_db()
    assert (made["level"], made["authority"]["code"], made["areas"]) == ("II", DISTRICT, [DISTRICT])
    assert (one.state, one.order_id, one.decided_by_id) == ("taken", made["id"], desk.officer.pk)
    again = desk.post("/api/v1/orders", said | {"valid_until": until}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


def test_an_order_shows_what_stands_above_below_and_after_it(desk: APIClient, head: APIClient) -> None:
    city = issued(desk, head, authority=CITY, areas=[DISTRICT])
    district = issued(desk, head, under=city)
    desk.post("/api/v1/orders", order(under=city), format="json")
    shown = desk.get(f"/api/v1/orders/{city}").json()
    assert (shown["adds"], shown["thread"], shown["replaced_by"]) == ([district], f"order/{city}", None)
    below = desk.get(f"/api/v1/orders/{district}").json()
    assert (below["under"], below["thread"], below["action"]) == (city, f"order/{city}", "start")
