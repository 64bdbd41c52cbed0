"""The doors of a drill: two people, their regions, the storm's signed door, the grade."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts import drill_watch
from alerts.models import Drill
from foundation.clock import now
from hydrology.feeds.signing import signed_headers
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, A, C, frame, signed_in
from tests.hydrology.factories import NOW, SECRET, make_feed

Regions = dict[str, Region]
PLAN = {"name": "汛前演练", "authority": DISTRICT, "areas": [A], "duties": ["flood"]}


class People:
    def __init__(self, regions: Regions) -> None:
        self.desk = signed_in((regions[DISTRICT], Duty.DESK))
        self.command = signed_in((regions[DISTRICT], Duty.COMMAND))
        self.both = signed_in((regions[DISTRICT], Duty.DESK), (regions[DISTRICT], Duty.COMMAND))
        self.street = signed_in((regions[A], Duty.FLOOD))
        self.elsewhere = signed_in((regions["440304"], Duty.DESK))


@pytest.fixture
def people(regions: Regions) -> People:
    return People(regions)


def said(api: APIClient, path: str, body: Any = None, *, get: bool = False) -> tuple[int, Any]:
    path = f"/api/v1/{path}"
    answer = api.get(path) if get else api.post(path, body or {}, format="json")
    return answer.status_code, answer.json()


def storm(key: str, drill: int, body: bytes, **headers: str) -> tuple[int, Any]:
    signed = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in
              (signed_headers(key, SECRET, body, now()) | headers).items()}  # fmt: skip
    answer = APIClient().generic(
        "POST", f"/api/v1/ingest/drills/{drill}", body, "application/octet-stream", **signed
    )
    return answer.status_code, answer.json()


def test_a_drill_from_its_plan_to_its_grade(people: People) -> None:
    status, planned = said(people.desk, "drills", PLAN)
    assert (status, planned["state"], planned["officers"]) == (201, "planned", 0)
    path = f"drills/{planned['id']}"
    status, begun = said(people.command, f"{path}/begin", {"note": "开始"})
    assert (status, begun["state"]) == (200, "running")
    assert begun["officers"] == 3  # the street's officer, and who staffs the desk above him
    make_feed("drills", drill=True)
    body = frame(NOW, {A: 13.0})
    assert storm("drills", planned["id"], body, **{"X-Product": "observed"}) == (
        200, {"accepted": 1, "duplicate": 0, "rejected": []}
    )  # fmt: skip
    drill_watch.assess_due(now=now())
    dispatch.take_up(now=now())
    [item] = [
        item for item in said(people.street, "inbox", get=True)[1]["items"] if item["kind"] == "warning"
    ]
    assert (item["drill"], item["requires"]) == (True, "confirm")
    assert item["ref"].startswith(f"drill/{planned['id']}/warning/")
    receipt = {"id": item["id"], "state": "confirmed", "at": now().isoformat()}
    said(people.street, "inbox/receipts", {"receipts": [receipt]})
    status, graded = said(people.desk, f"{path}/grade", get=True)
    assert (status, graded["warnings"], graded["people"]) == (200, 1, 3)
    [street] = graded["streets"]
    assert (street["code"], street["delivered_share"], street["nobody"]) == (A, 1.0, False)
    assert street["median_confirm_s"] is not None
    for verb, state in (("pause", "paused"), ("resume", "running"), ("end", "ended")):
        assert said(people.desk, f"{path}/{verb}", {"note": verb})[1]["state"] == state
    whole = said(people.street, path, get=True)[1]
    assert [act["act"] for act in whole["acts"]] == ["begin", "pause", "resume", "end"]
    assert whole["acts"][0]["actor"] == people.command.officer.pk
    assert (whole["frames"], whole["why"]) == (1, "end")
    told = set(Delivery.objects.values_list("officer", flat=True))
    assert told == {people.desk.officer.pk, people.both.officer.pk, people.street.officer.pk}


def test_every_refusal_is_named_and_changes_nothing(people: People) -> None:
    pk = said(people.both, "drills", PLAN)[1]["id"]
    make_feed("drills", drill=True)
    make_feed("radar")
    body = frame(NOW, {})
    before = list(Drill.objects.values())
    refusals = [
        (said(people.both, f"drills/{pk}/begin"), 403, "second_person"),
        (said(people.desk, f"drills/{pk}/begin"), 403, "command_only"),
        (said(people.elsewhere, f"drills/{pk}/begin"), 404, "not_found"),
        (said(people.elsewhere, f"drills/{pk}/end"), 404, "not_found"),
        (said(people.elsewhere, f"drills/{pk}/grade", get=True), 404, "not_found"),
        (said(people.elsewhere, f"drills/{pk}", get=True), 404, "not_found"),
        (said(people.command, f"drills/{pk}/end"), 403, "desk_only"),
        (said(people.desk, f"drills/{pk}/pause"), 409, "illegal_transition"),
        (said(people.desk, "drills", PLAN | {"areas": [C]}), 400, "area_outside"),
        (said(people.elsewhere, "drills", PLAN), 404, "not_found"),
        (said(people.desk, "drills", PLAN | {"duties": ["king"]}), 400, "invalid"),
        (storm("drills", pk, body), 409, "drill_not_running"),
        (storm("radar", pk, body), 403, "live_feed"),
        (storm("drills", pk + 1, body), 404, "not_found"),
    ]
    for (status, answer), wanted, code in refusals:
        assert (status, answer["code"]) == (wanted, code)
    assert list(Drill.objects.values()) == before


def test_a_drills_feed_is_refused_at_the_live_doors(people: People) -> None:
    make_feed("drills", drill=True)
    for door in ("readings", "grids", "radar", "signals"):
        signed = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in
                  signed_headers("drills", SECRET, b"{}", now()).items()}  # fmt: skip
        answer = APIClient().generic("POST", f"/api/v1/ingest/{door}", b"{}", "application/json", **signed)
        assert (answer.status_code, answer.json()["code"]) == (403, "drill_feed")


def test_drills_are_listed_to_their_regions_and_to_who_takes_part(people: People) -> None:
    pk = said(people.desk, "drills", PLAN)[1]["id"]

    def listed(api: APIClient, query: str = "") -> list[int]:
        return [row["id"] for row in said(api, f"drills{query}", get=True)[1]["results"]]

    assert (listed(people.desk), listed(people.street), listed(people.elsewhere)) == ([pk], [], [])
    said(people.command, f"drills/{pk}/begin")
    assert (listed(people.street), listed(people.elsewhere)) == ([pk], [])
    assert (listed(people.desk, "?state=running"), listed(people.desk, "?state=ended")) == ([pk], [])
