"""Doubted heavy rain goes to the desk at once, and counts for a warning only when something confirms it."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts import watch
from alerts.assessment.check_words import Doubtful, check_words
from alerts.checks import RETOLD_AFTER
from alerts.models import Bulletin, BulletinKind, Check, Warning, WarningEvent
from foundation.clock import now
from hydrology.models import Feed, Observation, Region
from hydrology.science.quality import Quality
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, SENT, SLOT, A, fell, gauged, signed_in
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW

DRY: dict[str, float] = {}
Regions = dict[str, Region]


def slot(feed: Feed, gauges: Feed, n: int, gauge_mm: float, cells: dict[str, float] = DRY) -> None:
    """Slot n: the field, and the gauge of street A; assessed when its grace is over."""
    end = NOW + n * SLOT
    fell(feed, end, cells)
    gauged(gauges, end, {A: gauge_mm})
    watch.assess_due(now=end + SENT + watch.GRACE)


@pytest.fixture
def lone(feed: Feed, gauges: Feed) -> Check:
    """After three dry slots the gauge of A says 16 mm under a dry field."""
    for n in range(3):
        slot(feed, gauges, n, 0.0)
    slot(feed, gauges, 3, 16.0)
    return Check.objects.get()


def test_a_gauge_alone_under_a_dry_field_is_checked_and_never_warns_however_long(
    lone: Check, feed: Feed, gauges: Feed
) -> None:
    assert (lone.station_id, lone.observed_at, lone.value_mm) == (f"gauge-{A}", NOW + 3 * SLOT, 16.0)
    assert lone.why == "radar: 16 mm under 0.0 mm within 3 km"
    told = Bulletin.objects.get()
    assert (told.kind, told.about, told.areas, told.duties) == (
        BulletinKind.MESSAGE, f"check/{lone.pk}", [DISTRICT], [],
    )  # fmt: skip
    assert told.requires == "open"
    assert "核实" in told.push_zh
    for n in range(4, 12):
        slot(feed, gauges, n, 17.0)
    assert not Warning.objects.exists()
    assert (Check.objects.get().value_mm, Bulletin.objects.count()) == (17.0, 1)


def test_the_desks_of_the_district_and_above_hear_it_and_nobody_below(lone: Check, regions: Regions) -> None:
    desks = {make_officer(regions[code], Duty.DESK).pk for code in (DISTRICT, "4403")}
    for code, duty in ((A, Duty.DESK), (A, Duty.FLOOD), ("440304", Duty.DESK)):
        make_officer(regions[code], duty)
    dispatch.take_up(now=Bulletin.objects.get().issued_at)
    assert set(Delivery.objects.values_list("officer", flat=True)) == desks


def test_a_doubted_gauge_counts_once_the_cells_over_it_agree(feed: Feed, gauges: Feed) -> None:
    slot(feed, gauges, 0, 0.0)
    slot(feed, gauges, 1, 35.0, {A: 20.0})  # above 30 mm in 5 minutes: suspect, but it pours there
    event = WarningEvent.objects.get()
    assert event.level == 4
    assert Observation.objects.get(value=35.0).quality == Quality.SUSPECT
    assert list(event.reasons["doubted"]) == [f"gauge-{A}"]
    assert not Check.objects.exists()


def test_a_doubted_gauge_that_only_a_little_confirms_counts_as_far_as_that(feed: Feed, gauges: Feed) -> None:
    slot(feed, gauges, 0, 0.0)
    slot(feed, gauges, 1, 35.0, {A: 5.0})
    assert Warning.objects.get().level == 1
    assert Check.objects.get().value_mm == 35.0


def test_an_impossible_value_is_excluded_by_name_and_checked(feed: Feed, gauges: Feed) -> None:
    slot(feed, gauges, 0, 0.0)
    slot(feed, gauges, 1, 200.0, {A: 6.0})
    assert WarningEvent.objects.get().reasons["excluded"] == [f"gauge-{A}"]
    assert (Check.objects.get().value_mm, Check.objects.get().why[:6]) == (200.0, "range:")


def test_a_field_that_comes_before_or_after_the_gauges_makes_the_same_check(feed: Feed, gauges: Feed) -> None:
    for n, mm in enumerate([0.0, 0.0, 0.0, 16.0]):
        end = NOW + n * SLOT
        gauged(gauges, end, {A: mm})
        fell(feed, end, DRY, after=2 * SENT)
        watch.assess_due(now=end + 2 * SENT + watch.GRACE)
    assert (Check.objects.get().value_mm, Check.objects.get().why[:6]) == (16.0, "radar:")


def test_an_open_check_is_told_again_when_the_doubt_returns_hours_later(
    lone: Check, feed: Feed, gauges: Feed
) -> None:
    later = 3 + RETOLD_AFTER // SLOT
    for n in range(later - 3, later):
        slot(feed, gauges, n, 0.0)
    slot(feed, gauges, later, 12.0)
    assert Bulletin.objects.filter(about=f"check/{lone.pk}").count() == 2
    assert (Check.objects.get().pk, Check.objects.get().value_mm) == (lone.pk, 12.0)


# The doors


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


def answered(api: APIClient, check: Check, **said: Any) -> Any:
    return api.post(f"/api/v1/checks/{check.pk}/answer", said, format="json")


def test_the_desk_sees_the_checks_of_its_region_and_others_none(
    lone: Check, desk: APIClient, regions: Regions
) -> None:
    (item,) = desk.get("/api/v1/checks?open=true").json()["items"]
    assert (item["station"], item["station_name"], item["region"]) == (f"gauge-{A}", f"station gauge-{A}", A)
    assert (item["answer"], item["answered_at"], item["excluded_until"]) == ("", None, None)
    assert desk.get("/api/v1/checks?open=false").json()["items"] == []
    for other in ((regions["440304"], Duty.DESK), (regions[DISTRICT], Duty.FLOOD)):
        assert signed_in(other).get("/api/v1/checks").json()["items"] == []


def test_a_broken_gauge_is_left_out_for_the_hours_and_named(
    lone: Check, desk: APIClient, feed: Feed, gauges: Feed
) -> None:
    said = answered(desk, lone, answer="broken", hours=2).json()
    assert said["answer"] == "broken"
    Check.objects.update(excluded_until=NOW + timedelta(hours=2))  # the door's clock is not the storm's
    slot(feed, gauges, 4, 35.0, {A: 6.0})
    assert WarningEvent.objects.get().reasons["excluded"] == [f"gauge-{A}"]
    assert Warning.objects.get().level == 1
    assert Check.objects.count() == 1
    slot(feed, gauges, 3 * 12, 35.0)
    assert Check.objects.count() == 2  # the exclusion is over, the doubt is back


def test_a_gauge_found_real_warns_like_any_other(
    lone: Check, desk: APIClient, feed: Feed, gauges: Feed
) -> None:
    assert answered(desk, lone, answer="real").json()["excluded_until"] is None
    Check.objects.update(answered_at=NOW + 3 * SLOT)
    for n in (4, 5):
        slot(feed, gauges, n, 16.0)
    assert Warning.objects.get().level == 4
    assert Check.objects.count() == 1


def test_an_answer_is_given_once_and_by_a_desk_of_the_region_or_above(
    lone: Check, desk: APIClient, regions: Regions
) -> None:
    assert answered(signed_in((regions["440304"], Duty.DESK)), lone, answer="real").status_code == 404
    assert answered(signed_in((regions[A], Duty.FLOOD)), lone, answer="real").json()["code"] == "desk_only"
    assert answered(desk, lone, answer="perhaps").status_code == 400
    assert answered(desk, lone, answer="broken", hours=73).status_code == 400
    before = now()
    assert answered(signed_in((regions["4403"], Duty.DESK)), lone, answer="broken").status_code == 200
    until = Check.objects.get().excluded_until
    assert until and timedelta(hours=24) <= until - before < timedelta(hours=25)
    again = answered(desk, lone, answer="real")
    assert (again.status_code, again.json()["code"]) == (409, "check_answered")
    assert Check.objects.get().answer == "broken"


@pytest.mark.parametrize("count", [1, 3, 206])
@pytest.mark.parametrize("name", ["坪山", "很长" * 30])
def test_the_push_fits_and_keeps_mark_value_and_act(count: int, name: str) -> None:
    words = check_words(
        [Doubtful(f"G{n}", name, 16.5 + n, "neighbours: 16.5 mm") for n in range(count)], "盐田区", NOW
    )
    assert words.push_zh.startswith("【核实】")
    assert words.push_zh.endswith("请核实")
    assert f"{15.5 + count:g}毫米" in words.push_zh
    assert words.push_en.endswith("Please check.")
    assert words.body_zh.count("5分钟") == count
