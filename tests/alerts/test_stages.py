"""From real readings to level notices: each reading once, in order, explained by the rows. PostgreSQL, moved time."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from alerts import stages
from alerts.models import Bulletin, RuleTable, Warning, WarningEvent, WatchMark
from hydrology import ingest
from hydrology.models import Feed, Region, Reservoir, River, SeasonLimit, Station, StationKind
from hydrology.science.stages import STALE
from tests.alerts.conftest import SENT, SLOT, A, B, C
from tests.hydrology.factories import (
    MINUTE,
    NOW,
    body,
    make_feed,
    make_regions,
    make_reservoir,
    make_river,
    make_station,
    rain,
    stage,
)  # fmt: skip

LIMIT_M = 28.0  # 汛限 of make_reservoir on that day; 警戒 of make_river is 5


@pytest.fixture
def lake(feed: Feed) -> Reservoir:
    return make_reservoir("lake", A)


@pytest.fixture
def pond(feed: Feed) -> Reservoir:
    return make_reservoir("pond", A, gated=False)


@pytest.fixture
def brook(feed: Feed) -> River:
    return make_river("brook", B)


def flow(feed: Feed, station: str, levels_m: Iterable[float | None], start: datetime = NOW) -> datetime:
    """One reading every 5 minutes, each assessed when it is in; None: it never comes. Returns the last instant."""
    at = start
    for n, level_m in enumerate(levels_m):
        at = start + n * SLOT
        if level_m is not None:
            ingest.take_readings(feed, body(stage(station, at, level_m)), at + SENT)
        stages.assess_levels(now=at + SENT)
    return at


def actions(**of: Any) -> list[tuple[str, int]]:
    return list(WarningEvent.objects.filter(**of).order_by("id").values_list("action", "level"))


def said() -> list[str]:
    return list(Bulletin.objects.order_by("id").values_list("level", flat=True))


def test_a_gated_reservoir_over_its_limit_is_an_alert_with_the_second_good_reading(
    feed: Feed, lake: Reservoir
) -> None:
    flow(feed, "lake", [27.4, 28.1])
    assert not Warning.objects.exists()
    at = flow(feed, "lake", [28.12], NOW + 2 * SLOT)
    warning = Warning.objects.get()
    assert (warning.hazard, warning.station_id, warning.region_id) == ("reservoir", "lake", A)
    assert (warning.level, warning.peak_level, warning.raised_at, warning.ended_at) == (3, 3, at, None)
    bulletin = Bulletin.objects.get()
    assert (bulletin.kind, bulletin.urgency, bulletin.level, bulletin.requires) == (
        "level",
        3,
        "alert",
        "confirm",
    )
    assert (bulletin.stations, bulletin.areas, bulletin.duties) == (["lake"], [A], ["flood", "reporter"])
    assert bulletin.deadline_at == bulletin.issued_at + timedelta(minutes=10)
    assert bulletin.caused_at == at + SENT
    assert bulletin.ref == f"warning/{warning.pk}"
    assert "station lake" in bulletin.push_zh and "超汛限水位0.12米" in bulletin.push_zh


def test_the_event_explains_itself(feed: Feed, lake: Reservoir) -> None:
    Station.objects.filter(pk="lake").update(datum="珠基")
    flow(feed, "lake", [27.4, 28.1, 28.12])
    reasons = WarningEvent.objects.order_by("-id")[0].reasons
    assert reasons["station"] == {
        "code": "lake", "name": "station lake", "kind": "reservoir", "datum": "珠基", "gated": True
    }  # fmt: skip
    assert reasons["rule_version"] == "levels-1"
    assert reasons["season"] == {"begin_mmdd": "0415", "end_mmdd": "1015", "limit_m": LIMIT_M}
    assert reasons["reading"]["level_m"] == 28.12
    assert [m for _, m, _ in reasons["readings"]] == [27.4, 28.1, 28.12]
    assert reasons["limits"][0] == {"kind": "flood_season", "limit_m": LIMIT_M}
    top = reasons["reasons"][0]
    assert (top["condition"], top["value"], top["limit_m"]) == ("first", 0.12, LIMIT_M)
    assert reasons["rate_m_per_h"] == pytest.approx(4.32)


def test_outside_every_season_the_normal_level_is_the_limit(feed: Feed, lake: Reservoir) -> None:
    SeasonLimit.objects.all().delete()
    flow(feed, "lake", [29.0, 29.0, 29.0])
    assert not Warning.objects.exists()
    flow(feed, "lake", [29.5, 30.1, 30.1], NOW + 3 * SLOT)
    assert WarningEvent.objects.order_by("-id")[0].reasons["limits"][0] == {"kind": "normal", "limit_m": 30.0}


def test_an_ungated_overflow_is_told_to_its_keepers_and_chases_nobody(feed: Feed, pond: Reservoir) -> None:
    flow(feed, "pond", [28.02, 28.02, 28.03, 28.04])
    assert actions() == [("raise", 1)]
    bulletin = Bulletin.objects.get()
    assert (bulletin.requires, bulletin.duties, bulletin.stations) == ("open", [], ["pond"])
    assert bulletin.deadline_at is None and "无闸门" in bulletin.body_zh


def test_only_changes_speak_and_the_end_is_told_to_all_who_had_to_go(feed: Feed, lake: Reservoir) -> None:
    at = flow(feed, "lake", [27.5, 28.1, 28.1, *[28.2] * 20])
    assert (actions(), said()) == ([("raise", 3)], ["alert"])
    at = flow(feed, "lake", [27.97] * 20, at + SLOT)  # under the limit, not yet under its lower mark
    assert said() == ["alert"]
    at = flow(feed, "lake", [27.8] * 3, at + SLOT)
    assert actions() == [("raise", 3), ("downgrade", 1)]
    assert said() == ["alert"]  # a fall within the notice is shown, not said
    flow(feed, "lake", [27.5] * 3, at + SLOT)
    assert actions() == [("raise", 3), ("downgrade", 1), ("cancel", 0)]
    over = Bulletin.objects.order_by("-id")[0]
    assert (over.level, over.urgency, over.requires) == ("none", 0, "open")
    assert (over.duties, over.stations) == (["flood", "reporter"], ["lake"])
    assert over.supersedes_id == Bulletin.objects.order_by("id")[0].pk
    assert Warning.objects.get().ended_at is not None


def test_a_river_past_its_guarantee_stage_is_an_emergency(feed: Feed, brook: River) -> None:
    flow(feed, "brook", [4.0, 4.4, 4.8, 5.2, 5.6, 6.0, 6.1])
    assert actions()[-1] == ("upgrade", 4)
    assert Warning.objects.get().hazard == "river"
    assert Bulletin.objects.order_by("-id")[0].urgency == 4


def test_a_tide_post_has_a_wide_hysteresis_and_no_rate_alarm(feed: Feed) -> None:
    post = make_station("tide", StationKind.TIDE, A)
    River.objects.create(station=post, warning_m=2.0, guarantee_m=3.0, highest_m=3.5, bed_m=-4.0)
    at = flow(feed, "tide", [0.5, 0.9, 1.3, 1.65, 1.6, 1.55])
    assert not Warning.objects.exists()
    at = flow(feed, "tide", [1.75, 1.8, *[1.55] * 5], at + SLOT)
    assert actions() == [("raise", 1)]
    flow(feed, "tide", [1.45] * 3, at + SLOT)
    assert actions() == [("raise", 1), ("cancel", 0)]


def test_rain_around_confirms_a_jump_at_once(feed: Feed, lake: Reservoir) -> None:
    for street in (A, B, C):
        make_station(f"gauge-{street}", StationKind.RAIN, street)
    wet = [rain(f"gauge-{street}", NOW - n * SLOT, 2.0) for street in (A, B, C) for n in range(6)]
    ingest.take_readings(feed, body(*wet), NOW + SENT)
    flow(feed, "lake", [28.1])
    event = WarningEvent.objects.get()
    assert (event.reasons["corroborated"], event.reasons["rain_3h_mm"]) == (True, 12.0)


def test_a_doubted_reading_raises_nothing(feed: Feed, lake: Reservoir) -> None:
    at = flow(feed, "lake", [27.0, 29.5])  # a jump of 2.5 m in 5 minutes is doubted
    stages.assess_levels(now=at + MINUTE)
    assert not Warning.objects.exists()


def test_a_doubted_reading_lifts_nothing(feed: Feed, lake: Reservoir) -> None:
    at = flow(feed, "lake", [28.1, 28.1])
    assert actions() == [("raise", 3)]
    flow(feed, "lake", [25.0, None, None, None, None, None, None, None, None], at + SLOT)
    assert actions() == [("raise", 3)]
    assert "silent" not in WatchMark.objects.get(hazard="reservoir").states["lake"]


def test_old_readings_are_history(feed: Feed, lake: Reservoir) -> None:
    ingest.take_readings(
        feed, body(stage("lake", NOW, 28.1), stage("lake", NOW + SLOT, 28.1)), NOW + 2 * SLOT
    )
    assert stages.assess_levels(now=NOW + SLOT + STALE + MINUTE) == 0
    assert not Warning.objects.exists()


def test_a_silent_station_keeps_its_notice_and_says_so_once(feed: Feed, lake: Reservoir) -> None:
    at = flow(feed, "lake", [28.1, 28.1])
    for late in (STALE, STALE + MINUTE, 3 * STALE):
        stages.assess_levels(now=at + late)
    assert actions() == [("raise", 3), ("silent", 3)]
    warning = Warning.objects.get()
    assert (warning.level, warning.ended_at) == (3, None)
    told = Bulletin.objects.order_by("-id")[0]
    assert "失联" in told.push_zh and "28.10米" in told.push_zh
    assert (told.requires, told.duties, told.stations, told.urgency) == ("open", [], ["lake"], 2)
    back = flow(feed, "lake", [28.1], at + 4 * STALE)
    assert len(actions()) == 2  # heard again, nothing has changed
    stages.assess_levels(now=back + STALE + MINUTE)
    assert actions()[-1] == ("silent", 3)


def test_a_station_without_a_notice_may_be_silent(feed: Feed, lake: Reservoir) -> None:
    at = flow(feed, "lake", [27.0])
    assert stages.assess_levels(now=at + 5 * STALE) == 0
    assert not Bulletin.objects.exists()


def test_a_table_of_the_hazard_in_force_at_the_reading_decides(
    feed: Feed, pond: Reservoir, brook: River
) -> None:
    strict = {
        "ungated": {
            "clear_m": 0,
            "rain_confirms_mm": None,
            "rise_counts_from_m": 0,
            "marks": [["first", 0.0, 4]],
        }
    }
    RuleTable.objects.create(hazard="reservoir", version="strict", valid_from=NOW, rows=strict)
    flow(feed, "pond", [28.1, 28.1])
    flow(feed, "brook", [5.1, 5.1])
    assert actions(warning__station="pond") == [("raise", 4)]
    assert actions(warning__station="brook") == [("raise", 3)]
    versions = WarningEvent.objects.order_by("warning__station").values_list(
        "reasons__rule_version", flat=True
    )
    assert list(versions) == ["levels-1", "strict"]


def test_nothing_new_costs_a_fixed_number_of_queries(
    feed: Feed, lake: Reservoir, brook: River, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    at = flow(feed, "lake", [28.1, 28.1])
    with django_assert_num_queries(
        1 + 3 * 5
    ):  # the clock; then savepoint, mark twice, posts, release a hazard
        assert stages.assess_levels(now=at + MINUTE) == 0


COURSE = [27.4, 27.8, 28.1, 28.2, 28.6, 28.3, 27.9, 27.8, 27.5, 27.4, 27.4, 27.4]


def outcome() -> list[Any]:
    """Everything but the instants at which it happened to be done."""
    return [
        list(
            Warning.objects.order_by("id").values_list(
                "station", "level", "peak_level", "raised_at", "ended_at"
            )
        ),
        [
            (*row, _but_posts(reasons))
            for *row, reasons in WarningEvent.objects.order_by("at", "id").values_list(
                "at", "action", "level", "reasons"
            )
        ],
        [
            (*row, _but_posts(reasons))
            for *row, reasons in Bulletin.objects.order_by("id").values_list(
                "level", "push_zh", "duties", "reasons"
            )
        ],
    ]


def _but_posts(reasons: dict[str, Any]) -> dict[str, Any]:
    """Without which posts had come: how they came is not what they say."""
    return {name: value for name, value in reasons.items() if name != "posts"}


@pytest.fixture
def expected(lake: Reservoir, feed: Feed) -> list[Any]:
    """What the course leads to, reading by reading; nothing of it remains."""
    with transaction.atomic():
        flow(feed, "lake", COURSE)
        found = outcome()
        transaction.set_rollback(True)
    assert [action for _, action, *_ in found[1]][0] == "raise" and found[0][0][-1] is not None
    return found


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, len(COURSE) - 1)), twice=st.booleans(), killed=st.booleans())
def test_the_same_readings_give_the_same_notices_however_they_come(
    expected: list[Any], feed: Feed, cuts: set[int], twice: bool, killed: bool
) -> None:
    """In posts of any size, assessed after each, posted twice, the assessor killed before its commit."""
    rows = [stage("lake", NOW + n * SLOT, level_m) for n, level_m in enumerate(COURSE)]
    bounds = [0, *sorted(cuts), len(COURSE)]
    with transaction.atomic():
        for begin, end in zip(bounds, bounds[1:], strict=False):
            at = NOW + (end - 1) * SLOT + SENT
            for _ in range(1 + twice):
                ingest.take_readings(feed, body(*rows[begin:end]), at)
            if killed:
                with transaction.atomic():
                    stages.assess_levels(now=at)
                    transaction.set_rollback(True)
            stages.assess_levels(now=at)
            stages.assess_levels(now=at)
        assert outcome() == expected
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_assessors_at_the_same_time_say_it_once() -> None:
    make_regions()
    make_reservoir("lake", A)
    feed = make_feed("radar")
    rows = [stage("lake", NOW + n * SLOT, 28.1) for n in range(2)]
    ingest.take_readings(feed, body(*rows), NOW + 2 * SLOT)

    def assess(_: int) -> int:
        try:
            return stages.assess_levels(now=NOW + 2 * SLOT)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(assess, range(4))) == 1
    assert Bulletin.objects.count() == 1


def test_every_street_and_station_has_its_own_notice(feed: Feed, regions: dict[str, Region]) -> None:
    for code, street in (("one", A), ("two", A), ("three", C)):
        make_reservoir(code, street)
    for n in range(3):
        rows = [stage(code, NOW + n * SLOT, 28.1) for code in ("one", "two", "three")]
        ingest.take_readings(feed, body(*rows), NOW + n * SLOT + SENT)
        stages.assess_levels(now=NOW + n * SLOT + SENT)
    assert sorted(Warning.objects.values_list("station", "region")) == [("one", A), ("three", C), ("two", A)]
    assert Bulletin.objects.count() == 3
