"""The nightly proof of coverage and roll calls: made once, told to the right desks, answered by a tap."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection
from rest_framework.test import APIClient

from alerts.models import Bulletin
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology.models import Region, Station, StationKind
from notifications import dispatch, nights, probes, receipts
from notifications.coverage import coverage
from notifications.models import CoverageNight, Delivery, ReceiptState
from notifications.preview import preview, red_list
from officers.models import AuditEntry, Duty, Officer, Post
from tests.alerts.conftest import signed_in
from tests.hydrology.factories import make_regions

NIGHT = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)  # 02:00 in Shenzhen, of the 25th
STREET = "440303001"
Person = Callable[..., Officer]
DESK = Scope(paths=("4403/",), desk_paths=("4403/",))


def refused(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value


def point(code: str, region: str) -> Station:
    return Station.objects.create(
        code=code, name="易涝点", kind=StationKind.HAZARD, region_id=region, lon=114.1, lat=22.5
    )


def test_a_hazard_point_is_covered_by_whom_it_is_given_to_also_a_reporter(
    regions: dict[str, Region], person: Person
) -> None:
    point("low-1", STREET)
    reporter = person(regions[STREET], duty=Duty.REPORTER)
    Post.objects.filter(officer=reporter).update(station="low-1", valid_from=NIGHT - timedelta(days=1))
    items = {item["code"]: item for item in coverage(["4403/"], NIGHT)["items"]}
    assert (items["low-1"]["kind"], items["low-1"]["responders"]) == ("hazard", 1)
    assert items[STREET]["responders"] == 0, "he keeps the point, not the street"


def test_the_night_is_written_once_a_day_and_not_before_one_o_clock(regions: dict[str, Region]) -> None:
    assert nights.prove(now=NIGHT)
    assert not nights.prove(now=NIGHT + timedelta(hours=20)), "24:00 minus one hour is still that day"
    assert nights.prove(now=NIGHT + timedelta(hours=23))
    first = CoverageNight.objects.order_by("day")[0]
    assert first.day.isoformat() == "2026-11-25"
    assert first.places == sum(region.level == "street" for region in regions.values())
    assert {fault for item in first.items for fault in item["faults"]} == {"no_responder", "no_deputy"}


def test_each_district_desk_hears_of_its_own_gaps_only(regions: dict[str, Region], person: Person) -> None:
    for region in regions.values():
        if region.level == "street" and not region.path.startswith("4403/440303/"):
            person(region)
    Post.objects.update(valid_from=NIGHT - timedelta(days=1))
    nights.prove(now=NIGHT)
    told = {bulletin.areas[0]: bulletin for bulletin in Bulletin.objects.filter(level="coverage")}
    assert set(told) == {"4403", "440303"}
    assert "无人负责" in told["440303"].push_zh
    assert told["440303"].duties == ["desk"]
    shown = nights.nights(("4403/440303/",))[0]
    assert shown["faulty"] == shown["faults"]["no_responder"] > 0
    assert nights.nights(()) == [{**shown, "faulty": 0, "faults": {}}]


def test_a_roll_call_wants_one_tap_is_not_chased_and_counts_as_a_tap(
    regions: dict[str, Region], person: Person
) -> None:
    officer, desk = person(regions[STREET]), person(regions["4403"], duty=Duty.DESK)
    Post.objects.update(valid_from=NIGHT - timedelta(days=1))
    told = probes.call([STREET], ["flood"], "", desk.pk, DESK, now=NIGHT)
    assert (told.urgency, told.requires) == (0, "confirm")
    dispatch.take_up(now=NIGHT)
    line = Delivery.objects.get(dispatch__bulletin=told, officer=officer)
    at = NIGHT + timedelta(minutes=1)
    receipts.take(officer.pk, [receipts.Answer(line.pk, ReceiptState.CONFIRMED, at)], source="http", now=at)
    street = next(i for i in coverage(["4403/"], at)["items"] if i["code"] == STREET)
    assert "no_recent_tap" not in street["faults"]
    listed = probes.recent(DESK)
    assert [(one["id"], one["confirmed"]) for one in listed] == [(told.pk, 1)]
    assert AuditEntry.objects.filter(act="probe.call", actor=desk).exists()


def test_roll_calls_that_cannot_be_are_refused_by_name(regions: dict[str, Region], person: Person) -> None:
    person(regions[STREET])
    Post.objects.update(valid_from=NIGHT - timedelta(days=1))
    district = Scope(paths=("4403/440304/",), desk_paths=("4403/440304/",))
    assert refused(lambda: probes.call([STREET], ["flood"], "", 1, district, now=NIGHT)).status == 404
    assert refused(lambda: probes.call(["440303002"], ["forest"], "", 1, DESK, now=NIGHT)).code == "nobody"
    no_desk = Scope(paths=("4403/",))
    assert refused(lambda: probes.call([STREET], ["flood"], "", 1, no_desk, now=NIGHT)).code == "desk_only"
    desk = person(regions["4403"], duty=Duty.DESK)
    probes.call([STREET], ["flood"], "", desk.pk, DESK, now=NIGHT)
    later = NIGHT + timedelta(minutes=9)
    for area in (STREET, "440303", "4403"):
        soon = refused(lambda area=area: probes.call([area], ["flood"], "", desk.pk, DESK, now=later))
        assert soon.code == "probe_too_soon"
    probes.call(["4403"], ["flood"], "", desk.pk, DESK, now=NIGHT + probes.APART)


@pytest.mark.django_db(transaction=True)
def test_two_desks_at_once_ring_everybody_once(person: Person) -> None:
    regions = make_regions()
    for duty in (Duty.FLOOD, Duty.DESK):
        person(regions[STREET], duty=duty)
    Post.objects.update(valid_from=NIGHT - timedelta(days=1))
    desk = Officer.objects.get(posts__duty=Duty.DESK)
    together = Barrier(4, timeout=30)

    def call(area: str) -> str:
        try:
            together.wait()
            probes.call([area], ["flood"], "", desk.pk, DESK, now=NIGHT)
            return "called"
        except Refusal as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(call, [STREET, STREET, "440303", "4403"]))
    assert said == ["called", *["probe_too_soon"] * 3]


def test_a_preview_shows_the_red_list_of_its_areas(regions: dict[str, Region], person: Person) -> None:
    person(regions[STREET])
    Post.objects.update(valid_from=NIGHT - timedelta(days=1))
    assert preview([STREET], ["flood"], NIGHT)["officers"] == 1
    listed = red_list([STREET], NIGHT)
    assert (listed["places"], listed["faulty"]) == (1, 1)
    assert listed["worst"][0]["faults"] == ["no_deputy", "no_recent_tap"]
    assert red_list(["440303002"], NIGHT)["worst"][0]["faults"][0] == "no_responder"


@pytest.mark.parametrize("door", ["coverage/nights", "probes"])
def test_the_doors_are_for_desks(regions: dict[str, Region], person: Person, door: str) -> None:
    plain, desk = signed_in((regions[STREET], Duty.FLOOD)), signed_in((regions["4403"], Duty.DESK))
    assert APIClient().get(f"/api/v1/{door}").status_code == 401
    assert plain.get(f"/api/v1/{door}").status_code == 403
    assert desk.get(f"/api/v1/{door}").json() == {"items": []}


def test_a_desk_calls_the_roll_through_the_door(regions: dict[str, Region], person: Person) -> None:
    person(regions[STREET])
    desk = signed_in((regions["4403"], Duty.DESK))
    body = {"areas": [STREET], "duties": ["flood"], "text": "例行点名"}
    answer = desk.post("/api/v1/probes", body, format="json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["items"][0]["areas"] == [STREET]
    assert "例行点名" in Bulletin.objects.get(pk=answer.json()["items"][0]["id"]).body_zh
    bad = desk.post("/api/v1/probes", {"areas": []}, format="json")
    assert bad.status_code == 400
    assert set(bad.json()["fields"]) == {"areas", "duties"}
