"""Every warning can be made again from the stored rows, as they were known then, to the last digit."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import connection, transaction

from alerts import grounds, stages, watch
from alerts.assessment import rules
from alerts.explain import Recomputed, recompute
from alerts.models import Check, CheckAnswer, RuleTable, Warning, WarningEvent
from alerts.shapes import reasons_out
from foundation.months import month_of
from hydrology import ingest, storage
from hydrology.ingest import forget
from hydrology.known import Known, known_now
from hydrology.models import Feed, FeedPost, GridRun, Observation, Region, Reservoir
from officers.models import Duty
from replay import city, player
from replay.storm_2023 import reconstruct_2023, slot
from replay.storms import Storm, read_folder
from tests.alerts.conftest import SENT, SLOT, A, B, C, fell, frame, gauged, nowcast, play, signed_in
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_reservoir, rain, stage

STORM = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"
DRY: dict[str, float] = {}


def made_again() -> dict[int, Recomputed]:
    return {
        event.pk: recompute(event)
        for event in WarningEvent.objects.select_related("warning__station").order_by("pk")
    }


def all_same() -> int:
    """Every event comes out again; returns how many there were."""
    for pk, made in made_again().items():
        assert (made.same, made.differs) == (True, ()), WarningEvent.objects.get(pk=pk).reasons
    return WarningEvent.objects.count()


def wet(feed: Feed, gauges: Feed, mms: list[float], start: datetime = NOW) -> datetime:
    """Field, gauges and a nowcast of every slot, assessed when its grace is over; the last END."""
    end = start
    for n, mm in enumerate(mms):
        end = start + n * SLOT
        fell(feed, end, {A: mm, B: mm / 2})
        gauged(gauges, end, {A: round(mm * 0.9, 1), B: round(mm / 2, 1), C: 0.0})
        ingest.take_grid(feed, nowcast(end, {A: mm / 4}), end + SENT)
        watch.assess_due(now=end + SENT + watch.GRACE)
    return end


def test_every_event_from_raise_to_cancel_comes_out_again(feed: Feed, gauges: Feed) -> None:
    wet(feed, gauges, [0.0, 4.0, 6.0, 9.0, 13.0, 4.0, *[0.0] * 44])
    actions = set(WarningEvent.objects.values_list("action", flat=True))
    assert {"raise", "upgrade", "cancel"} <= actions
    assert all_same() >= 4


def test_what_comes_or_is_corrected_later_changes_nothing(feed: Feed, gauges: Feed) -> None:
    """Another field of the slot, another nowcast, corrected gauges, a gauge that was late: not known then."""
    end = wet(feed, gauges, [0.0, 4.0, 6.0, 9.0, 13.0])
    before = {event.pk: event.reasons for event in WarningEvent.objects.all()}
    for n in range(5):
        fell(feed, NOW + n * SLOT, {A: 40.0, B: 40.0}, after=MINUTE)
        gauged(gauges, NOW + n * SLOT, {A: 30.0, B: 0.0}, after=MINUTE)
        ingest.take_grid(feed, nowcast(NOW + n * SLOT, {A: 20.0}), end + MINUTE)
    assert Observation.objects.filter(revision__gt=0).exists()
    RuleTable.objects.create(
        version="later", valid_from=NOW - SLOT, rows={"rain_5min": [100, 200, 300, 400]}, note="not then"
    )
    assert all_same() == len(before)
    for event in WarningEvent.objects.all():
        assert recompute(event).reasons["streets"] == before[event.pk]["streets"]


def test_it_would_be_noticed_if_the_rows_said_something_else(feed: Feed, gauges: Feed) -> None:
    wet(feed, gauges, [0.0, 4.0, 6.0, 13.0])
    event = WarningEvent.objects.order_by("-pk")[0]
    told = event.reasons["streets"][A]
    told["level"] = (told["level"] + 1) % 5
    made = recompute(event)
    assert (made.same, made.differs) == (False, ("streets",))


def test_a_post_still_under_way_when_a_slot_was_judged_is_not_known_to_it_although_it_came_before(
    feed: Feed, gauges: Feed
) -> None:
    """Its number is older than what was seen, it became visible only after."""
    wet(feed, gauges, [0.0, 0.0])
    with connection.cursor() as cursor:  # a number is taken, its post is not stored yet
        cursor.execute("SELECT nextval(pg_get_serial_sequence('hydrology_feedpost', 'id'))")
        number = cursor.fetchone()[0]
    end = NOW + 2 * SLOT
    fell(feed, end, {A: 13.0})
    watch.assess_due(now=end + SENT + watch.GRACE)
    event = WarningEvent.objects.get()
    assert number in event.reasons["posts"]["unseen"]
    gauged(gauges, end, {A: 30.0}, after=MINUTE)
    late = FeedPost.objects.order_by("-pk")[0]
    Observation.objects.filter(post_id=late.pk).update(post_id=number, received_at=end)
    assert recompute(event).same is True


def test_known_posts_are_those_that_can_be_seen(feed: Feed) -> None:
    with transaction.atomic():
        fell(feed, NOW, DRY)
        transaction.set_rollback(True)
    fell(feed, NOW, DRY)
    post = FeedPost.objects.get()
    known = known_now()
    assert (known.until, post.pk - 1 in known.unseen, post.pk in known.unseen) == (post.pk, True, False)
    assert Known.from_json(known.to_json(), NOW) == known
    assert Known.from_json(None, NOW) == Known(received_by=NOW)


def test_an_event_of_a_release_that_noted_no_posts_is_read_by_receipt(feed: Feed, gauges: Feed) -> None:
    end = wet(feed, gauges, [0.0, 4.0, 6.0, 13.0])
    for event in WarningEvent.objects.all():
        for name in ("posts", "answers", "watched"):
            event.reasons.pop(name)
        for told in event.reasons["streets"].values():
            told.pop("before"), told.pop("after")
        event.save()
    gauged(gauges, end, {A: 30.0}, after=timedelta(minutes=3))
    assert all_same() >= 2


def test_what_people_said_of_a_gauge_counts_as_it_was_said_then(feed: Feed, gauges: Feed) -> None:
    wet(feed, gauges, [0.0, 0.0])
    check = Check.objects.create(
        station_id=f"gauge-{A}", observed_at=NOW, value_mm=30.0, why="w", raised_at=NOW,
        answer=CheckAnswer.BROKEN, answered_at=NOW, excluded_until=NOW + timedelta(hours=2),
    )  # fmt: skip
    wet(feed, gauges, [6.0, 13.0], NOW + 2 * SLOT)
    assert {tuple(e.reasons["answers"]["broken"]) for e in WarningEvent.objects.all()} == {(f"gauge-{A}",)}
    Check.objects.filter(pk=check.pk).delete()
    assert all_same() >= 1


def test_a_table_of_then_is_found_by_its_version(feed: Feed, gauges: Feed) -> None:
    table = RuleTable.objects.create(
        version="of-then", valid_from=NOW - SLOT, rows={"rain_5min": [3, 6, 9, 12], "nowcast_60min": [9, 18, 27, 36]}
    )  # fmt: skip
    wet(feed, gauges, [0.0, 4.0, 7.0, 13.0])
    RuleTable.objects.create(version="newer", valid_from=NOW - SLOT, rows=dict(rules.DEFAULT_ROWS))
    assert all_same() >= 2
    table.delete()
    assert {(made.same, made.why) for made in made_again().values()} == {(None, "table_gone")}


def levels(feed: Feed, *levels_m: float, start: datetime = NOW) -> datetime:
    at = start
    for n, level_m in enumerate(levels_m):
        at = start + n * SLOT
        ingest.take_readings(feed, body(stage("lake", at, level_m), rain(f"gauge-{A}", at, 4.0)), at + SENT)
        stages.assess_levels(now=at + SENT)
    return at


@pytest.fixture
def lake(feed: Feed, gauges: Feed) -> Reservoir:
    return make_reservoir("lake", A)


def test_a_level_notice_comes_out_again_also_with_other_limits_and_later_readings(
    lake: Reservoir, gauges: Feed
) -> None:
    levels(gauges, 27.0, 27.2, 27.8, 28.1, 28.2, 28.4, 28.4, 28.0, 27.6, *[27.2] * 14)
    assert {"raise", "upgrade", "cancel"} <= set(WarningEvent.objects.values_list("action", flat=True))
    told = all_same()
    lake.season_limits.update(limit_m=20.0)
    Reservoir.objects.update(design_m=25.0)
    for n in range(12):
        row = stage("lake", NOW + n * SLOT, 29.0)
        ingest.take_readings(gauges, body(row), NOW + timedelta(hours=2))
    assert all_same() == told


def test_what_a_warning_rests_on_is_not_forgotten(feed: Feed, gauges: Feed) -> None:
    end = wet(feed, gauges, [0.0, 4.0, 6.0, 13.0, *[0.0] * 4])
    for n in range(4):  # nothing rests on these
        ingest.take_grid(
            feed, frame(end + timedelta(days=1) + n * SLOT, DRY), end + timedelta(days=1, hours=1)
        )
    later = end + timedelta(days=4000)
    for product in ("observed", "nowcast"):
        forget.forget_runs(now=later, product=product, keep_days=1, named=grounds.runs_named)
    forget.forget_blobs()
    forget.forget_posts()
    assert GridRun.objects.filter(issued_at__gt=end + SLOT).count() == 0
    named = grounds.runs_named()
    assert {run for e in WarningEvent.objects.all() for run in e.reasons["grids"]} <= named
    assert {e.reasons["nowcast"]["id"] for e in WarningEvent.objects.all()} <= named
    assert {month_of(event.at) for event in WarningEvent.objects.all()} <= grounds.months_named()
    assert all_same() >= 2


def test_without_its_fields_it_is_not_made_again(feed: Feed, gauges: Feed) -> None:
    wet(feed, gauges, [0.0, 6.0, 13.0])
    event = WarningEvent.objects.order_by("-pk")[0]
    GridRun.objects.filter(pk=event.reasons["grids"][0]).delete()
    assert (recompute(event).same, recompute(event).why) == (None, "fields_gone")


@pytest.fixture
def whole_city(db: None) -> Iterator[Feed]:
    """The demo city with few officers, its gauges and reservoirs, under the replay's feed."""
    city.build(NOW, say=lambda line: None, officers=50)
    yield Feed.objects.get(pk="replay")


def play_storm(feed: Feed, storm: Storm, first: int, last: int | None) -> None:
    """Frames as the player posts them: gauges and levels, nowcast, field; each slot judged at once."""
    frames = storm.frames[storm.core][first:last]
    objects = player.Objects(frames[0].at.date())
    now = NOW
    for one in frames:
        now += SLOT
        if one.rain_mm is not None:
            rows = objects.readings(one.rain_mm(), one.at)
            ingest.take_readings(feed, orjson.dumps({"readings": rows}), now)
        for field in (one.nowcast, one.observed):
            if field is not None:
                ingest.take_grid(feed, field(), now)
        watch.assess_due(now=now + watch.GRACE)
        stages.assess_levels(now=now + watch.GRACE)


@pytest.mark.timeout(900)  # a whole storm over the whole city
def test_every_event_of_the_real_storm_comes_out_again(whole_city: Feed) -> None:
    if not STORM.exists():
        pytest.skip(f"{STORM} is not here")
    play_storm(whole_city, read_folder(STORM), 0, None)
    assert Warning.objects.filter(station=None).count() >= 8
    assert all_same() > 100


def test_every_event_of_the_reconstructions_first_hour_comes_out_again(whole_city: Feed) -> None:
    """The first hour of its heavy rain: 18:00 to 19:00 on 7 September."""
    storm = reconstruct_2023()
    first = slot(18) - storm.core.start
    play_storm(whole_city, storm, first, first + 12)
    assert all_same() > 10


def explained(warning: Warning, region: Region, event: int | None = None) -> Any:
    asked = f"?event={event}" if event else ""
    return signed_in((region, Duty.DESK)).get(f"/api/v1/warnings/{warning.pk}/explained{asked}")


def test_the_door_shows_the_rows_the_marks_and_that_it_is_the_same(
    feed: Feed, gauges: Feed, regions: dict[str, Region]
) -> None:
    wet(feed, gauges, [0.0, 6.0, 13.0])
    warning = Warning.objects.get()
    first, last = (warning.events.order_by(order)[0] for order in ("pk", "-pk"))
    shown = explained(warning, regions["440303"]).json()
    assert (shown["event"]["id"], shown["same"], shown["why"]) == (last.pk, True, None)
    assert shown["recomputed"] == {"streets": {A: "alert", B: "notice"}, "differs": []}
    assert shown["table"]["version"] == "default-1"
    assert (shown["grids"], shown["nowcast"]) == (last.reasons["grids"], reasons_out(last.reasons["nowcast"]))
    street = shown["streets"][0]
    assert (street["code"], street["level"], street["before"], street["after"]) == (
        A,
        "alert",
        "notice",
        "alert",
    )
    assert street["thresholds"]["rain_5min"] == [5.0, 8.0, 12.0, 15.0]
    assert [mm for _, mm in street["values_mm"]["slots"]][-3:] == [0.0, 6.0, 13.0]
    mark = street["marks"]["rain_10min"]
    assert (mark["value_mm"], mark["level"], mark["next_mm"]) == (19.0, 2, 20.0)
    assert street["marks"]["rain_180min"]["level"] == 0  # also where no mark is reached
    assert explained(warning, regions["440303"], first.pk).json()["event"]["id"] == first.pk


def test_the_door_is_for_those_whose_water_it_is(
    feed: Feed, gauges: Feed, regions: dict[str, Region]
) -> None:
    wet(feed, gauges, [0.0, 13.0])
    warning = Warning.objects.get()
    assert explained(warning, regions["440304"]).status_code == 404
    refused = explained(warning, regions["440303"], 999_999)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_what_a_person_decided_is_not_computed(feed: Feed, regions: dict[str, Region]) -> None:
    play(feed, [DRY, {A: 13.0}])
    warning = Warning.objects.get()
    WarningEvent.objects.create(
        warning=warning, at=NOW + 2 * SLOT, created_at=NOW, action="hold", level=3, areas=[A],
        reasons={"by_hand": True}, note="seen from the bridge",
    )  # fmt: skip
    shown = explained(warning, regions["440303"]).json()
    assert (shown["same"], shown["recomputed"], shown["event"]["note"]) == (
        None,
        None,
        "seen from the bridge",
    )
    assert "人员" in shown["why"]


def test_a_level_notice_is_explained_by_its_station(
    lake: Reservoir, gauges: Feed, regions: dict[str, Region]
) -> None:
    levels(gauges, 27.0, 27.2, 27.8, 28.1, 28.2, 28.4)
    shown = explained(Warning.objects.get(), regions["440303"]).json()
    assert shown["same"] is True
    assert shown["recomputed"]["streets"] == {"lake": shown["event"]["level"]}
    assert shown["station"]["reading"]["level_m"] == 28.2
    assert "gated" in shown["table"]["rows"]


def test_the_months_of_archived_observations_are_named(feed: Feed, gauges: Feed) -> None:
    wet(feed, gauges, [0.0, 13.0])
    event = WarningEvent.objects.get()
    table = storage.table_of(month_of(event.at))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {storage.PARENT} DETACH PARTITION {table}")
    assert recompute(event).why == "archived"


def test_a_drills_events_are_not_computed(feed: Feed, gauges: Feed) -> None:
    make_feed("unused")
    wet(feed, gauges, [0.0, 13.0])
    event = WarningEvent.objects.get()
    event.warning.drill_of_id = 1
    assert (recompute(event).same, recompute(event).why) == (None, "drill")
