"""From real frames to warnings: every slot once, in order, explained by the rows. Real PostgreSQL, moved time."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.utils import ProgrammingError

from alerts import warnings, watch
from alerts.assessment import rules
from alerts.models import Bulletin, RuleTable, Warning, WarningEvent, WatchMark
from foundation.clock import local
from hydrology import ingest
from hydrology.models import Feed, GridRun, Region, StationKind
from notifications import dispatch
from notifications.models import Delivery
from tests.alerts.conftest import DISTRICT, SENT, SLOT, A, B, C, fell, field_mm, frame, gauged, nowcast, play
from tests.console.factories import make_officer
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_regions, make_station, rain

DRY: dict[str, float] = {}
LEVEL_1, LEVEL_3 = 6.0, 13.0  # mm in one slot, by the built-in table
Actions = list[tuple[str, int, list[str]]]


def actions(warning: Warning) -> Actions:
    return [(e.action, e.level, sorted(e.areas)) for e in warning.events.order_by("id")]


def said(warning: Warning) -> list[str]:
    """The slots of its bulletins, in the order they were said."""
    return [b.reasons["slot_at"] for b in warning.bulletins.order_by("id")]


def test_a_storm_over_two_streets_is_one_warning_from_raise_to_cancel(
    feed: Feed, regions: dict[str, Region]
) -> None:
    people = {make_officer(regions[street]).pk for street in (A, A, B)}
    at = play(feed, [DRY, {A: LEVEL_1}, {A: LEVEL_1, B: LEVEL_1}, {A: LEVEL_3, B: LEVEL_1}, *[DRY] * 24])
    warning = Warning.objects.get()
    done = actions(warning)
    assert done[:3] == [("raise", 1, [A]), ("extend", 1, [B]), ("upgrade", 3, [A])]
    assert {action for action, _, _ in done[3:-1]} <= {"downgrade"}
    assert done[-1][:2] == ("cancel", 0)
    assert (warning.region_id, warning.level, warning.peak_level) == (DISTRICT, 0, 3)
    assert warning.raised_at == NOW + SLOT
    assert warning.ended_at == warning.events.get(action="cancel").at

    chain = list(warning.bulletins.order_by("id"))
    assert [b.level for b in chain] == ["notice", "notice", "alert", "none"]
    assert [b.requires for b in chain] == ["open", "open", "confirm", "open"]
    assert [sorted(b.areas) for b in chain] == [[A], [B], [A], [A, B]]
    assert [b.supersedes_id for b in chain] == [None, *(b.pk for b in chain[:-1])]

    dispatch.take_up(now=at + MINUTE)
    told = Counter(Delivery.objects.values_list("officer", "dispatch__bulletin__reasons__slot_at"))
    assert {officer for officer, _ in told} == people
    assert set(told.values()) == {1}  # nobody hears twice about one slot


def test_several_actions_of_one_slot_are_one_message_with_an_event_each(feed: Feed) -> None:
    end = play(feed, [DRY, {A: LEVEL_3, B: LEVEL_1}, *[DRY] * 6])
    play(feed, [{B: LEVEL_3}], end + SLOT)  # A falls to what its longer sums hold, B rises
    warning = Warning.objects.get()
    newest = list(warning.events.filter(at=end + SLOT).order_by("id").values_list("action", flat=True))
    assert newest == ["extend", "downgrade"]
    assert len(said(warning)) == len(set(said(warning)))
    assert [sorted(b.areas) for b in warning.bulletins.order_by("id")][-1] == [B]


def test_a_street_that_jumps_to_the_top_gets_one_message_of_the_top(
    feed: Feed, regions: dict[str, Region]
) -> None:
    officer = make_officer(regions[A])
    at = play(feed, [DRY, {A: 16.0}, {A: 16.0}, {A: 6.0}])
    assert actions(Warning.objects.get()) == [("raise", 4, [A])]
    dispatch.take_up(now=at + MINUTE)
    assert Delivery.objects.get(officer=officer).dispatch.bulletin.level == "emergency"


def test_two_districts_have_a_warning_each(feed: Feed) -> None:
    play(feed, [DRY, {A: LEVEL_1, C: LEVEL_3}])
    assert sorted(Warning.objects.values_list("region_id", "level")) == [(DISTRICT, 1), ("440304", 3)]


def test_a_frame_posted_twice_or_corrected_after_its_slot_counts_once(feed: Feed) -> None:
    play(feed, [DRY, {A: LEVEL_1}])
    end = NOW + SLOT
    before = (WatchMark.objects.get().states, WarningEvent.objects.count(), Bulletin.objects.count())
    fell(feed, end, {A: LEVEL_1}, after=MINUTE)
    fell(feed, end, {A: LEVEL_3}, after=MINUTE)  # a revision: stored, but the slot has been assessed
    assert GridRun.objects.filter(issued_at=end).count() == 2
    assert watch.assess_due(now=end + 2 * MINUTE) == 0
    assert (WatchMark.objects.get().states, WarningEvent.objects.count(), Bulletin.objects.count()) == before


def test_missing_slots_lower_nothing_and_dry_slots_do(feed: Feed) -> None:
    at = play(feed, [DRY, {A: LEVEL_3}])
    play(feed, [None] * 36, at + SLOT)  # so long that no rain is left in any window
    assert Warning.objects.get().level == 3
    play(feed, [DRY] * 3, at + 37 * SLOT)
    assert Warning.objects.get().level == 3  # three dry slots after three silent hours prove nothing yet
    play(feed, [DRY] * 6, at + 40 * SLOT)
    assert Warning.objects.get().ended_at is not None


def test_a_missing_slot_is_shown_as_a_share_below_one(feed: Feed) -> None:
    play(feed, [*[DRY] * 13, {A: 6.0}, None, {A: 16.0}])
    event = WarningEvent.objects.order_by("-id")[0]
    reasons = {r["window"]: r for r in event.reasons["streets"][A]["reasons"]}
    assert reasons["rain_5min"]["share"] == 1.0
    assert reasons["rain_60min"]["share"] == pytest.approx(11 / 12)
    assert reasons["rain_60min"]["value_mm"] == pytest.approx(22.0)
    assert [mm for _, mm in event.reasons["streets"][A]["values_mm"]["slots"]][-3:] == [6.0, None, 16.0]
    assert event.reasons["missing_share"] > 0


def test_a_slot_waits_for_the_sources_that_have_spoken_lately(feed: Feed, gauges: Feed) -> None:
    for n in range(2):
        fell(feed, NOW + n * SLOT, DRY)
        gauged(gauges, NOW + n * SLOT, {A: 0.0})
    watch.assess_due(now=NOW + SLOT + watch.GRACE)
    end = NOW + 2 * SLOT
    fell(feed, end, {A: 2.0})
    assert watch.assess_due(now=end + SENT) == 0  # the gauges are still expected
    gauged(gauges, end, {A: 16.0}, after=2 * SENT)
    assert watch.assess_due(now=end + 2 * SENT) == 1  # complete: no need to wait for the grace
    assert WatchMark.objects.get().states[A]["pending"] == 4  # the gauge's 16 mm are in it, and want company


def test_a_source_that_stays_away_is_waited_for_no_longer_than_the_grace(feed: Feed, gauges: Feed) -> None:
    for n in range(2):
        fell(feed, NOW + n * SLOT, DRY)
        gauged(gauges, NOW + n * SLOT, {A: 0.0})
    watch.assess_due(now=NOW + SLOT + watch.GRACE)
    end = NOW + 2 * SLOT
    fell(feed, end, {A: LEVEL_3})
    almost = end + SENT + watch.GRACE - timedelta(milliseconds=1)
    assert watch.assess_due(now=almost) == 0
    assert watch.assess_due(now=end + SENT + watch.GRACE) == 1
    assert Warning.objects.get().raised_at == end


def test_after_a_gap_the_missing_slot_gets_its_grace_to_come_late(feed: Feed) -> None:
    at = play(feed, [DRY, DRY])
    fell(feed, at + 2 * SLOT, DRY)
    now = at + 2 * SLOT + SENT
    assert watch.assess_due(now=now) == 0
    fell(feed, at + SLOT, {A: LEVEL_3}, after=SLOT + 2 * SENT)
    assert watch.assess_due(now=now + watch.GRACE) == 2
    assert Warning.objects.get().raised_at == at + SLOT


def test_frames_in_reverse_order_give_the_same_warning(feed: Feed) -> None:
    rains: list[dict[str, float]] = [DRY, {A: LEVEL_1}, {A: LEVEL_1, B: LEVEL_1}, {A: LEVEL_3}]
    play(feed, list(rains))
    forward = actions(Warning.objects.get())
    later = NOW + timedelta(hours=12)
    for n in reversed(range(len(rains))):
        ingest.take_grid(feed, frame(later + n * SLOT, rains[n]), later + 4 * SLOT)
    assert watch.assess_due(now=later + 4 * SLOT + watch.GRACE) == len(rains)
    assert actions(Warning.objects.order_by("-id")[0]) == forward


def test_a_clock_that_runs_ahead_does_not_close_slots_that_have_not_ended(feed: Feed, gauges: Feed) -> None:
    at = play(feed, [DRY, DRY])
    ahead = at + 9 * MINUTE  # 4 minutes ahead of the server: taken, and it belongs to the slot after next
    early = ingest.take_readings(gauges, body(rain(f"gauge-{A}", ahead, 0.2)), at + 5 * MINUTE)
    assert early["accepted"] == 1
    assert watch.assess_due(now=at + 5 * MINUTE + 2 * watch.GRACE) == 0
    fell(feed, at + SLOT, {A: LEVEL_3}, after=MINUTE)
    watch.assess_due(now=at + SLOT + MINUTE + watch.GRACE)
    assert Warning.objects.get().raised_at == at + SLOT


def test_history_raises_nothing_and_is_not_assessed_again(feed: Feed) -> None:
    old = NOW - timedelta(seconds=feed.max_age_s) - SLOT
    for n in range(2):
        ingest.take_grid(feed, frame(old + n * SLOT, {A: LEVEL_3}), NOW)
    assert watch.assess_due(now=NOW + watch.GRACE) == 2
    assert WatchMark.objects.get().slot_at == old + SLOT
    assert not Warning.objects.exists()


def test_a_replayed_storm_of_another_day_is_news_by_the_waters_clock(regions: dict[str, Region]) -> None:
    feed = make_feed("replay", replayed=True)
    past = NOW - timedelta(days=1000)
    for n, mm in enumerate([DRY, {A: LEVEL_3}]):
        ingest.take_grid(feed, frame(past + n * SLOT, mm), NOW)
        watch.assess_due(now=NOW + watch.GRACE)
    warning = Warning.objects.get()
    assert warning.raised_at == past + SLOT
    assert warning.bulletins.get().valid_until > NOW


def test_the_reasons_hold_the_rows_from_which_the_level_follows_again(feed: Feed, gauges: Feed) -> None:
    for n, mm in enumerate([0.0, 4.0, 6.0, 9.0, 13.0]):
        end = NOW + n * SLOT
        fell(feed, end, {A: mm, B: mm / 2})
        gauged(gauges, end, {A: mm * 0.9, B: mm / 2})
        ingest.take_grid(feed, nowcast(end, {A: mm / 4}), end + SENT)
        watch.assess_due(now=end + SENT + watch.GRACE)
    assert WarningEvent.objects.count() >= 2
    for event in WarningEvent.objects.all():
        for street, told in event.reasons["streets"].items():
            figures = [
                rules.Figure(r["window"], r["value_mm"], r["source"], r["share"], r["agree_mm"])
                for r in told["reasons"]
            ]
            again = rules.assess(street, figures, rules.Table("default-1", rules.DEFAULT_ROWS))
            assert (int(again.level), again.corroborated) == (told["level"], told["corroborated"])
            check_slots(told, event.at)
        frames = GridRun.objects.filter(pk__in=event.reasons["grids"])
        assert frames.count() == (event.at - NOW) / SLOT + 1
        assert all(run.issued_at <= event.at for run in frames)
        assert GridRun.objects.get(pk=event.reasons["nowcast"]["id"]).issued_at == event.at


def check_slots(told: dict[str, Any], slot_at: datetime) -> None:
    """The 5-minute values of the named source add up to every window that rests on it."""
    slots = told["values_mm"]["slots"]
    assert datetime.fromisoformat(slots[-1][0]) == slot_at
    for reason in told["reasons"]:
        if reason["source"] == told["values_mm"]["source"] and reason["window"].startswith("rain_"):
            minutes = int(reason["window"].removeprefix("rain_").removesuffix("min"))
            last = [mm for _, mm in slots[-minutes // 5 :] if mm is not None]
            assert sum(last) == pytest.approx(reason["value_mm"], abs=0.005 * len(last))
            assert len(last) / (minutes / 5) == pytest.approx(reason["share"])


def test_the_stored_frames_alone_give_the_same_sums(feed: Feed) -> None:
    play(feed, [DRY, {A: 6.0}, {A: 13.0}])
    event = WarningEvent.objects.order_by("-id")[0]
    top = next(r for r in event.reasons["streets"][A]["reasons"] if r["window"] == "rain_10min")
    assert top["value_mm"] == float(field_mm({A: 6.0}).max() + field_mm({A: 13.0}).max())


@pytest.mark.parametrize(("minutes", "level"), [(4, 1), (5, 1), (6, 0)])
def test_a_rule_table_holds_from_its_first_slot_on(feed: Feed, minutes: int, level: int) -> None:
    rows = rules.DEFAULT_ROWS | {"rain_5min": (2.0, 8.0, 12.0, 15.0)}
    RuleTable.objects.create(version="stricter", valid_from=NOW + minutes * MINUTE, rows=rows)
    play(feed, [DRY, {A: 3.0}])
    found = Warning.objects.first()
    assert (found.level if found else 0) == level
    if found:
        assert found.events.get().reasons["rule_version"] == "stricter"


def test_a_gauge_that_reports_the_impossible_is_left_out_by_name(feed: Feed, gauges: Feed) -> None:
    for n, (cell, mm) in enumerate([(0.0, 0.0), (LEVEL_1, 200.0)]):
        fell(feed, NOW + n * SLOT, {A: cell})
        gauged(gauges, NOW + n * SLOT, {A: mm, B: 0.0})
        watch.assess_due(now=NOW + n * SLOT + SENT + watch.GRACE)
    event = WarningEvent.objects.get()
    assert event.level == 1
    assert event.reasons["excluded"] == [f"gauge-{A}"]
    assert all("station:" not in r["source"] for r in event.reasons["streets"][A]["reasons"])


def test_a_gauge_in_a_community_speaks_for_its_street(feed: Feed, regions: dict[str, Region]) -> None:
    regions["community"] = Region.objects.create(
        code="440303001001", name="community", level="community", parent=regions[A],
        path=f"{regions[A].path}440303001001/", lon=114.12, lat=22.55,
    )  # fmt: skip
    make_station("deep", StationKind.RAIN, "440303001001")
    gauges = make_feed("gauges")
    for n, mm in enumerate([0.0, LEVEL_3, LEVEL_3]):
        ingest.take_readings(gauges, body(rain("deep", NOW + n * SLOT, mm)), NOW + n * SLOT + SENT)
        watch.assess_due(now=NOW + n * SLOT + SENT + watch.GRACE)
    event = WarningEvent.objects.get(action="raise")
    assert event.areas == [A]
    assert event.reasons["streets"][A]["values_mm"]["source"] == "station:deep"


def test_one_gauge_alone_needs_two_slots(gauges: Feed) -> None:
    for n, mm in enumerate([0.0, LEVEL_3]):
        gauged(gauges, NOW + n * SLOT, {A: mm, B: 0.0})
        watch.assess_due(now=NOW + n * SLOT + SENT + watch.GRACE)
    assert not Warning.objects.exists()
    gauged(gauges, NOW + 2 * SLOT, {A: LEVEL_3, B: 0.0})
    watch.assess_due(now=NOW + 2 * SLOT + SENT + watch.GRACE)
    assert Warning.objects.get().level == 3


def test_the_words_carry_the_place_the_level_and_the_end_of_validity(feed: Feed) -> None:
    at = play(feed, [DRY, {A: LEVEL_3}])
    told = Bulletin.objects.get()
    assert told.push_zh.startswith("【警示】")
    assert f"region {A}" in told.body_zh
    now = at + SENT + watch.GRACE
    assert f"{local(now + warnings.VALIDITY):%H:%M}" in told.body_zh
    assert (told.issued_at, told.caused_at, told.valid_until) == (now, at + SENT, now + warnings.VALIDITY)


@pytest.mark.parametrize(
    "change", [lambda rows: rows.update(push_zh="x"), lambda rows: rows._raw_delete("default")]
)
def test_what_was_said_can_neither_be_changed_nor_deleted(
    feed: Feed, change: Callable[[Any], object]
) -> None:
    play(feed, [DRY, {A: LEVEL_3}])
    before = Bulletin.objects.values().get()
    with pytest.raises(ProgrammingError, match="frozen"), transaction.atomic():
        change(Bulletin.objects.all())
    assert Bulletin.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
def test_two_assessors_at_once_take_every_slot_once() -> None:
    make_regions()
    feed = make_feed("radar")
    rains: list[dict[str, float]] = [DRY, {A: LEVEL_1}, {A: LEVEL_1, B: LEVEL_1}, {A: LEVEL_3}, {C: LEVEL_3}]
    for n, mm in enumerate(rains):
        ingest.take_grid(feed, frame(NOW + n * SLOT, mm), NOW + 5 * SLOT)

    def assess() -> int:
        try:
            return watch.assess_due(now=NOW + 5 * SLOT + watch.GRACE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        done = [future.result() for future in [pool.submit(assess) for _ in range(4)]]
    assert sum(done) == len(rains)
    assert [action for action, _, _ in actions(Warning.objects.get(region=DISTRICT))] == [
        "raise",
        "extend",
        "upgrade",
    ]
    assert Warning.objects.count() == 2
    assert max(Counter(said(Warning.objects.get(region=DISTRICT))).values()) == 1
