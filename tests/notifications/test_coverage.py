"""Coverage before the rain: who would answer for each street and object, and which fault stands where nobody would."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from foundation.clock import now
from hydrology.models import Region
from notifications.coverage import coverage, dark
from notifications.models import Delivery, State
from officers.models import Device, Duty, Officer, Post, Rank
from tests.alerts.conftest import signed_in
from tests.console.factories import make_dispatch
from tests.hydrology.factories import make_reservoir

CITY = ["4403/"]
STREET = "440303001"
Person = Callable[..., Officer]


def places(paths: list[str] = CITY, **wishes: Any) -> dict[str, dict[str, Any]]:
    return {item["code"]: item for item in coverage(paths, now(), **wishes)["items"]}


def tap(officer: Officer, region: Region, days_ago: float) -> None:
    dispatch = make_dispatch([(region, State.OPENED)])
    Post.objects.filter(officer__deliveries__dispatch=dispatch).delete()
    at = now() - timedelta(days=days_ago)
    Delivery.objects.filter(dispatch=dispatch).update(officer=officer, opened_at=at)


def test_a_street_with_a_responder_a_deputy_a_phone_and_a_tap_has_no_fault(
    regions: dict[str, Region], person: Person
) -> None:
    first, second = person(regions[STREET]), person(regions[STREET])
    Post.objects.filter(officer=second).update(rank=Rank.B)
    tap(first, regions[STREET], days_ago=2)
    street = places()[STREET]
    assert (street["responders"], street["deputies"], street["reachable"]) == (1, 1, 2)
    assert street["faults"] == []


def test_every_lack_is_named(regions: dict[str, Region], person: Person) -> None:
    officer = person(regions[STREET], phones=0)
    assert places()[STREET]["faults"] == ["no_deputy", "no_live_device", "no_recent_tap"]
    assert places()["440303002"]["faults"] == ["no_responder", "no_deputy"]
    tap(officer, regions[STREET], days_ago=40)
    assert "no_recent_tap" in places()[STREET]["faults"]
    assert "no_recent_tap" not in places(days=60)[STREET]["faults"]


def test_who_left_whose_term_is_over_or_who_has_another_duty_does_not_count(
    regions: dict[str, Region], person: Person
) -> None:
    gone, past = person(regions[STREET]), person(regions[STREET])
    person(regions[STREET], duty=Duty.DESK)
    Officer.objects.filter(pk=gone.pk).update(is_active=False)
    Post.objects.filter(officer=past).update(valid_to=now())
    assert places()[STREET]["responders"] == 0


def test_a_retired_device_reaches_nobody(regions: dict[str, Region], person: Person) -> None:
    person(regions[STREET])
    Device.objects.update(retired_at=now())
    assert places()[STREET]["reachable"] == 0


def test_an_object_is_covered_by_its_own_keepers_only(regions: dict[str, Region], person: Person) -> None:
    make_reservoir("lake", STREET)
    keeper = person(regions[STREET])
    assert places()["lake"]["faults"] == ["no_responder", "no_deputy"]
    Post.objects.filter(officer=keeper).update(station="lake")
    assert places()["lake"]["responders"] == 1
    assert places()["lake"]["kind"] == "reservoir"
    assert places()[STREET]["responders"] == 0, "the keeper of a reservoir does not stand for the street"


def test_only_what_lies_below_the_paths_is_shown_and_the_worst_comes_first(
    regions: dict[str, Region], person: Person
) -> None:
    officer = person(regions[STREET])
    tap(officer, regions[STREET], days_ago=1)
    shown = coverage(["4403/440303/"], now())
    assert [item["code"] for item in shown["items"]] == ["440303002", STREET]
    assert (shown["places"], shown["faulty"]) == (2, 2)
    assert coverage([], now())["items"] == []


def test_desks_and_commands_see_their_own_regions_and_nobody_else_does(regions: dict[str, Region]) -> None:
    desk, officer = signed_in((regions["440303"], Duty.DESK)), signed_in((regions[STREET], Duty.FLOOD))
    shown = desk.get("/api/v1/coverage").json()
    assert {item["code"] for item in shown["items"]} == {STREET, "440303002"}
    narrowed = desk.get(f"/api/v1/coverage?region={STREET}").json()
    assert [item["code"] for item in narrowed["items"]] == [STREET]
    assert desk.get("/api/v1/coverage?region=440304").status_code == 404
    assert officer.get("/api/v1/coverage").json()["code"] == "desk_only"


def test_who_has_no_phone_that_could_be_rung_is_on_the_red_list_with_the_reason(
    regions: dict[str, Region], person: Person
) -> None:
    at = now()
    never, tokenless, dead = (person(regions[STREET], phones=n) for n in (0, 1, 2))
    person(regions[STREET])  # covers the place; they are not silent for that
    Device.objects.filter(officer=tokenless).update(token="")
    Device.objects.filter(officer=dead).update(retired_at=at, retired_reason="80300007")
    found = dark(CITY, at)
    assert found["total"] == 3
    assert {
        (one["officer"], one["reason"], one["detail"], one["region"], one["duty"]) for one in found["people"]
    } == {
        (never.pk, "never", "", STREET, "flood"),
        (tokenless.pk, "no_token", "", STREET, "flood"),
        (dead.pk, "retired", "80300007", STREET, "flood"),
    }
    assert found["people"][0]["officer"] == dead.pk  # the newest loss first
    assert places()[STREET]["faults"] == ["no_deputy", "no_recent_tap"]


def test_the_red_list_ends_at_the_region_and_says_how_many_there_are(
    regions: dict[str, Region], person: Person
) -> None:
    for _ in range(3):
        person(regions[STREET], phones=0)
    person(regions["440303002"], phones=0)
    gone = person(regions[STREET], phones=0)
    Officer.objects.filter(pk=gone.pk).update(is_active=False)
    found = dark([f"4403/440303/{STREET}/"], now(), limit=2)
    assert (found["total"], len(found["people"])) == (3, 2)


def test_the_door_shows_both_lists(regions: dict[str, Region], person: Person) -> None:
    person(regions[STREET], phones=0)
    answer = signed_in((regions["440303"], Duty.DESK)).get("/api/v1/coverage")
    assert answer.status_code == 200
    assert "never" in {one["reason"] for one in answer.json()["dark"]["people"]}
