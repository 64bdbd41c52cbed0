"""Warnings by the duty desk's judgement: what a person decides holds over the rules, never over a graver danger."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from alerts import endings, hand, stages, watch
from alerts.assessment.lifecycle import PlaceState
from alerts.hand_checks import Asked
from alerts.models import Bulletin, Drill, DrillState, Warning, WarningEvent, WarningStreet, WatchMark
from foundation.clock import now as clock_now
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology import ingest
from hydrology.models import Feed, Region
from officers.models import Duty, Officer
from tests.alerts.conftest import DISTRICT, PATH, SENT, SLOT, A, B, C, fell, play, signed_in
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW, body, make_feed, make_regions, make_reservoir, stage

DRY: dict[str, float] = {}
LEVEL_1, LEVEL_3, LEVEL_4 = 6.0, 13.0, 16.0  # mm in one slot, by the built-in table
HOUR = timedelta(hours=1)
DESK = Scope(paths=(PATH,), desk_paths=(PATH,))
CITY = Scope(paths=("4403/",), desk_paths=("4403/",))
Regions = dict[str, Region]


@pytest.fixture
def officer(regions: Regions) -> Officer:
    return make_officer(regions[DISTRICT], Duty.DESK)


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


def asked(level: int | None = None, *streets: str, hours: int = 2, note: str = "电话核实") -> Asked:
    return Asked(note, level, streets, hours)


def begin(officer: Officer, level: int, *streets: str, at: datetime = NOW, **more: Any) -> Warning:
    hazard = more.pop("hazard", "rainstorm")
    drill = more.pop("drill", None)
    return hand.begin(officer.pk, DESK, asked(level, *streets, **more), hazard=hazard, drill_of=drill, now=at)


def act(
    officer: Officer, warning: Warning, verb: str, *what: Any, at: datetime = NOW, **more: Any
) -> Warning:
    return hand.act(warning.pk, verb, officer.pk, DESK, asked(*what, **more), now=at)


def levels(warning: Warning) -> dict[str, int]:
    return dict(warning.streets.order_by("region").values_list("region_id", "level"))


def chain(warning: Warning) -> list[tuple[str, int, bool]]:
    """(action, level, by hand)"""
    rows = warning.events.order_by("id").values_list("action", "level", "actor")
    return [(action, level, actor is not None) for action, level, actor in rows]


def said(warning: Warning) -> list[tuple[str, list[str]]]:
    return [(b.level, sorted(b.areas)) for b in warning.bulletins.order_by("id")]


def everything() -> list[Any]:
    """All that a request may change."""
    rows: list[Any] = []
    for model in (Warning, WarningStreet, WarningEvent, WatchMark, Bulletin):
        rows += model.objects.order_by("pk").values()
    return rows


def test_a_warning_by_hand_is_said_at_once_with_who_and_why(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 3, A, B, note="深南路积水30厘米")
    assert (warning.region_id, warning.level, levels(warning)) == (DISTRICT, 3, {A: 3, B: 3})
    event = warning.events.get()
    assert (event.action, event.level, event.actor_id, event.note) == (
        "raise",
        3,
        officer.pk,
        "深南路积水30厘米",
    )
    told = warning.bulletins.get()
    assert (told.urgency, told.requires, sorted(told.areas), told.duties) == (
        3,
        "confirm",
        [A, B],
        ["flood", "reporter"],
    )
    assert "值班人员研判" in told.push_zh and "值班人员研判" in told.body_zh
    assert "深南路积水30厘米" in told.body_zh and "duty desk" in told.body_en
    assert told.valid_until == NOW + 2 * HOUR
    assert len(told.push_zh) <= 50


def test_dry_slots_lower_nothing_that_a_person_raised_until_his_time_is_over(
    feed: Feed, officer: Officer
) -> None:
    warning = begin(officer, 2, A, hours=1)
    play(feed, [DRY] * 11, NOW + SLOT)
    warning.refresh_from_db()
    assert (warning.level, warning.ended_at) == (2, None)
    play(feed, [DRY], NOW + HOUR)
    warning.refresh_from_db()
    assert warning.ended_at == NOW + HOUR
    assert chain(warning) == [("raise", 2, True), ("cancel", 0, False)]
    assert WatchMark.objects.get().states == {}


def test_what_he_lowered_is_not_raised_again_but_what_is_graver_is(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_3}])
    warning = Warning.objects.get()
    act(officer, warning, "downgrade", 1, at=end + SENT)
    assert levels(warning) == {A: 1}
    end = play(feed, [*[DRY] * 14, {A: LEVEL_3}], end + SLOT)
    assert PlaceState.from_json(WatchMark.objects.get(hazard="rainstorm").states[A]).level == 3
    assert levels(warning) == {A: 1}  # the rules had let it go and raised it again: he knows of it
    play(feed, [*[DRY] * 4, {A: LEVEL_4}], end + SLOT)
    assert levels(warning) == {A: 4}
    assert said(warning) == [("alert", [A]), ("notice", [A]), ("emergency", [A])]
    assert warning.bulletins.order_by("id")[1].requires == "open"


def test_after_his_time_the_rules_decide_again(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_3}])
    warning = Warning.objects.get()
    act(officer, warning, "downgrade", 1, hours=1, at=end)
    play(feed, [*[DRY] * 10, {A: LEVEL_3}], end + SLOT)
    assert levels(warning) == {A: 1}
    play(feed, [DRY], end + HOUR)
    assert levels(warning) == {A: 3}
    assert chain(warning)[-1] == ("upgrade", 3, False)
    assert said(warning)[-1] == ("alert", [A])


def test_what_he_ended_comes_back_only_graver_while_his_word_holds(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_1}])
    first = act(officer, Warning.objects.get(), "cancel", at=end)
    first.refresh_from_db()
    assert first.ended_at is not None and said(first)[-1] == ("none", [A])
    end = play(feed, [{A: LEVEL_1}], end + SLOT)
    assert Warning.objects.open().count() == 0
    play(feed, [{A: LEVEL_3}], end + SLOT)
    again = Warning.objects.open().get()
    assert (again.level, chain(again)) == (3, [("raise", 3, False)])


def test_a_held_level_is_kept_and_nobody_is_told_anew(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_1}])
    warning = Warning.objects.get()
    act(officer, warning, "hold", hours=24, at=end)
    play(feed, [DRY] * 48, end + SLOT)
    warning.refresh_from_db()
    assert (warning.level, warning.ended_at) == (1, None)
    assert chain(warning) == [("raise", 1, False), ("hold", 1, True)]
    assert len(said(warning)) == 1


def test_upgrade_extend_and_the_end_of_single_streets_address_exactly_those(
    feed: Feed, officer: Officer
) -> None:
    warning = begin(officer, 2, A)
    act(officer, warning, "extend", 1, B)
    act(officer, warning, "upgrade", 4, A)
    act(officer, warning, "cancel", None, A)
    warning.refresh_from_db()
    assert (levels(warning), warning.level, warning.peak_level) == ({A: 0, B: 1}, 1, 4)
    assert said(warning) == [("attention", [A]), ("notice", [B]), ("emergency", [A]), ("none", [A])]
    assert chain(warning) == [
        ("raise", 2, True), ("extend", 1, True), ("upgrade", 4, True), ("downgrade", 1, True)
    ]  # fmt: skip
    act(officer, warning, "cancel")
    warning.refresh_from_db()
    assert warning.ended_at == NOW
    bulletins = list(warning.bulletins.order_by("id"))
    assert [b.supersedes_id for b in bulletins] == [None, *(b.pk for b in bulletins[:-1])]


def test_streets_that_are_there_already_stay_as_they_are(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 1, A)
    act(officer, warning, "extend", 1, A, B)
    assert said(warning)[-1] == ("notice", [B])
    act(officer, warning, "upgrade", 3, A)
    act(officer, warning, "upgrade", 3, A, B)
    assert said(warning)[-1] == ("alert", [B])


def test_a_street_under_the_rules_and_one_by_hand_are_one_warning(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 1, A)
    play(feed, [DRY, {B: LEVEL_3}], NOW + SLOT)
    assert Warning.objects.get() == warning
    assert levels(warning) == {A: 1, B: 3}
    assert chain(warning) == [("raise", 1, True), ("upgrade", 3, False)]


def test_a_flood_that_a_person_sees_ends_with_its_time(regions: Regions, officer: Officer) -> None:
    warning = begin(officer, 4, A, hazard="flood", hours=1)
    assert "内涝洪水" in warning.bulletins.get().push_zh
    assert endings.expire_due(now=NOW + HOUR - SENT) == 0
    assert endings.expire_due(now=NOW + HOUR) == 1
    assert endings.expire_due(now=NOW + HOUR) == 0
    warning.refresh_from_db()
    assert (warning.level, warning.ended_at, chain(warning)[-1]) == (0, NOW + HOUR, ("expire", 0, False))
    last = warning.bulletins.order_by("-id")[0]
    assert (last.urgency, last.level, last.requires, last.areas) == (0, "none", "open", [A])
    assert "时限已到" in last.push_zh and "自行观察" in last.push_zh
    assert WatchMark.objects.get(hazard="flood").states == {}


def test_rain_and_flood_of_one_district_are_two_warnings_and_the_watch_moves_its_own(
    feed: Feed, officer: Officer
) -> None:
    flood = begin(officer, 4, A, hazard="flood")
    play(feed, [DRY, {A: LEVEL_1}], NOW + SLOT)
    rain = Warning.objects.get(hazard="rainstorm")
    assert (levels(flood), levels(rain)) == ({A: 4}, {A: 1})


def test_two_hours_without_a_slot_end_a_warning_by_one_message(feed: Feed) -> None:
    end = play(feed, [DRY, {A: LEVEL_3, B: LEVEL_1}])
    assert endings.expire_due(now=end + 2 * HOUR - SENT) == 0
    assert endings.expire_due(now=end + 2 * HOUR) == 2
    warning = Warning.objects.get()
    assert (warning.ended_at, chain(warning)[-1]) == (end + 2 * HOUR, ("expire", 0, False))
    last = warning.bulletins.order_by("-id")[0]
    assert (last.urgency, sorted(last.areas), last.level) == (0, [A, B], "none")
    assert "数据中断" in last.push_zh and "no data" in last.push_en
    assert WatchMark.objects.get().states == {}
    play(feed, [DRY, {A: LEVEL_3}], end + 3 * HOUR)
    assert Warning.objects.open().get().level == 3  # it rains still: told anew


def test_a_word_that_holds_outlives_the_silence(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_1, B: LEVEL_1}])
    warning = Warning.objects.get()
    act(officer, warning, "hold", None, A, hours=3, at=end)
    assert endings.expire_due(now=end + 2 * HOUR) == 1
    assert levels(warning) == {A: 1, B: 0}
    assert endings.expire_due(now=end + 3 * HOUR) == 1
    warning.refresh_from_db()
    assert warning.ended_at is not None


def test_a_word_in_the_silence_ends_a_little_after_its_time(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 2, A, hours=1)
    assert endings.expire_due(now=NOW + HOUR + endings.LEFT_TO_THE_WATCH - SENT) == 0
    assert endings.expire_due(now=NOW + HOUR + endings.LEFT_TO_THE_WATCH) == 1
    assert chain(warning)[-1] == ("expire", 0, False)


def test_a_replay_that_runs_ahead_of_its_slots_expires_nothing(regions: Regions) -> None:
    feed = make_feed("replay", replayed=True)
    past = NOW - timedelta(days=1000)
    for n, mm in enumerate([DRY, {A: LEVEL_3}]):
        fell(feed, past + n * SLOT, mm)
        watch.assess_due(now=NOW + watch.GRACE)
    fell(feed, past + 4 * HOUR, DRY)  # the water's clock is there at once, its slot waits for its grace
    assert endings.expire_due(now=NOW + watch.GRACE) == 0
    assert Warning.objects.open().count() == 1
    assert endings.expire_due(now=NOW + timedelta(days=30)) == 0  # the storm is over, and so is its clock


def test_a_graver_level_is_not_kept_down_by_silence_or_by_an_older_slot(feed: Feed, officer: Officer) -> None:
    end = play(feed, [DRY, {A: LEVEL_1}])
    act(officer, Warning.objects.get(), "cancel", at=end)
    fell(feed, end + SLOT, {A: LEVEL_4})
    watch.assess_due(now=end + SLOT + SENT + watch.GRACE)
    assert Warning.objects.open().get().level == 4


@pytest.fixture
def opened(feed: Feed, officer: Officer) -> Warning:
    """A at ATTENTION, by hand."""
    return begin(officer, 2, A)


@pytest.mark.parametrize(
    ("verb", "what", "code"),
    [
        ("upgrade", asked(2), "level_not_higher"),
        ("upgrade", asked(1), "level_not_higher"),
        ("upgrade", asked(), "level_wanted"),
        ("upgrade", asked(3, B), "not_in_warning"),
        ("downgrade", asked(2), "level_not_lower"),
        ("downgrade", asked(3), "level_not_lower"),
        ("extend", asked(1, A), "nothing_new"),
        ("extend", asked(1), "empty_streets"),
        ("extend", asked(4, B), "above_warning"),
        ("extend", asked(1, C), "area_outside"),
        ("extend", asked(1, "no such street"), "area_outside"),
        ("hold", asked(None, B), "not_in_warning"),
        ("hold", asked(3), "level_not_wanted"),
        ("cancel", asked(None, B), "not_in_warning"),
        ("cancel", asked(None, note="  "), "note_wanted"),
    ],
)
def test_an_illegal_step_has_a_name_and_changes_nothing(
    opened: Warning, officer: Officer, verb: str, what: Asked, code: str
) -> None:
    before = everything()
    with pytest.raises(Refusal) as refused:
        hand.act(opened.pk, verb, officer.pk, DESK, what, now=NOW)
    assert refused.value.code == code
    assert refused.value.zh and refused.value.en and refused.value.status in (400, 409)
    assert everything() == before


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (asked(2), "empty_streets"),
        (asked(2, C), "area_outside"),
        (asked(2, A, "0"), "area_outside"),
        (asked(2, DISTRICT), "area_outside"),
        (asked(2, B, note=""), "note_wanted"),
        (asked(None, B), "level_wanted"),
        (asked(2, B), "already_open"),
    ],
)
def test_a_warning_that_cannot_be_raised_is_refused_by_name(
    opened: Warning, officer: Officer, what: Asked, code: str
) -> None:
    before = everything()
    with pytest.raises(Refusal) as refused:
        hand.begin(officer.pk, DESK, what, hazard="rainstorm", now=NOW)
    assert refused.value.code == code
    assert everything() == before


def test_one_warning_is_for_one_district(regions: Regions, officer: Officer) -> None:
    with pytest.raises(Refusal, match="several_districts"):
        hand.begin(officer.pk, CITY, asked(2, A, C), hazard="flood", now=NOW)


def test_what_has_ended_is_not_moved_any_more(opened: Warning, officer: Officer) -> None:
    act(officer, opened, "cancel")
    for verb in hand.VERBS:
        with pytest.raises(Refusal, match="warning_ended"):
            act(officer, opened, verb, 3, A)


def test_only_the_desk_of_the_district_decides(desk: APIClient, regions: Regions, feed: Feed) -> None:
    body = {"hazard": "flood", "level": "alert", "streets": [A], "note": "现场"}
    made = desk.post("/api/v1/warnings", body, format="json")
    assert made.status_code == 201
    path = f"/api/v1/warnings/{made.json()['id']}/cancel"
    officer, street_desk, neighbour = (
        signed_in((regions[DISTRICT], Duty.FLOOD)),
        signed_in((regions[A], Duty.DESK)),
        signed_in((regions["440304"], Duty.DESK)),
    )
    for who, status, code in (
        (officer, 403, "desk_only"),
        (street_desk, 403, "desk_only"),
        (neighbour, 404, "not_found"),
        (APIClient(), 401, None),
    ):
        answer = who.post(path, {"note": "现场"}, format="json")
        assert answer.status_code == status
        assert code is None or answer.json()["code"] == code
    assert neighbour.post("/api/v1/warnings", body, format="json").json()["code"] == "area_outside"
    assert officer.post("/api/v1/warnings", body, format="json").json()["code"] == "desk_only"
    assert desk.post(path, {"note": "水退"}, format="json").json()["ended_at"] is not None


@pytest.mark.parametrize(
    "fault", [{"level": "none"}, {"level": "III"}, {"hours": 0}, {"hours": 25}, {"hazard": "tide"}]
)
def test_what_no_warning_can_be_is_refused_by_field(desk: APIClient, fault: dict[str, Any]) -> None:
    wanted = {"hazard": "flood", "level": "alert", "streets": [A], "note": "现场"} | fault
    answer = desk.post("/api/v1/warnings", wanted, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == list(fault)
    assert not Warning.objects.exists()


def test_the_same_request_sent_twice_is_done_once(desk: APIClient, feed: Feed) -> None:
    wanted = {"hazard": "rainstorm", "level": "notice", "streets": [A], "note": "现场"}
    first, again = (
        desk.post("/api/v1/warnings", wanted, format="json", HTTP_IDEMPOTENCY_KEY="one") for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Warning.objects.count() == 1


def test_the_chain_is_readable_with_who_did_what_and_what_was_said(desk: APIClient, feed: Feed) -> None:
    wanted = {"hazard": "rainstorm", "level": "notice", "streets": [A], "hours": 3, "note": "雷达回波"}
    pk = desk.post("/api/v1/warnings", wanted, format="json").json()["id"]
    up = {"level": "alert", "note": "现场积水"}
    whole = desk.post(f"/api/v1/warnings/{pk}/upgrade", up, format="json").json()
    assert [(e["action"], e["by_hand"], e["note"]) for e in whole["events"]] == [
        ("raise", True, "雷达回波"),
        ("upgrade", True, "现场积水"),
    ]
    assert whole["events"][0]["actor"] == desk.officer.name
    assert [b["supersedes"] for b in whole["bulletins"]] == [None, whole["bulletins"][0]["id"]]
    [street] = whole["streets"]
    assert (street["code"], street["level"], street["hand"]["level"]) == (A, "alert", "alert")
    assert datetime.fromisoformat(street["hand"]["until"]) > clock_now() + HOUR
    shown = desk.get(f"/api/v1/warnings/{pk}").json()
    assert (shown.pop("reach")["total"], shown) == (0, whole)
    done = desk.post(f"/api/v1/warnings/{pk}/cancel", {"note": "雨停"}, format="json").json()
    assert done["ended_at"] and done["streets"][0]["hand"] is None


def test_cap_says_what_ended_for_some_what_for_all_and_what_expired(
    desk: APIClient, feed: Feed, officer: Officer
) -> None:
    warning = begin(officer, 2, A, B, hazard="flood", hours=1)

    def cap() -> str:
        return str(desk.get(f"/api/v1/warnings/{warning.pk}.cap").content.decode())

    assert "内涝洪水风险提示" in cap() and "<msgType>Alert" in cap()
    act(officer, warning, "cancel", None, A)
    assert "<msgType>Update" in cap() and "AllClear" in cap()
    endings.expire_due(now=NOW + HOUR)
    assert "<msgType>Cancel" in cap() and "Monitor" in cap() and "AllClear" not in cap()


def run_dry(level_m: float, count: int, start: datetime) -> datetime:
    feed = Feed.objects.get(pk="radar")
    at = start
    for n in range(count):
        at = start + n * SLOT
        ingest.take_readings(feed, body(stage("lake", at, level_m)), at + SENT)
        stages.assess_levels(now=at + SENT)
    return at


@pytest.fixture
def lake(feed: Feed) -> Warning:
    """A gated reservoir over its limit: ALERT since NOW + SLOT."""
    make_reservoir("lake", A)
    run_dry(28.1, 2, NOW)
    return Warning.objects.get()


def test_a_level_notice_obeys_the_same_hand(lake: Warning, officer: Officer) -> None:
    at = NOW + 2 * SLOT
    act(officer, lake, "downgrade", 1, at=at)
    lake.refresh_from_db()
    assert (lake.level, chain(lake)[-1]) == (1, ("downgrade", 1, True))
    told = lake.bulletins.order_by("-id")[0]
    assert (told.kind, told.level, told.stations) == ("level", "notice", ["lake"])
    assert "值班人员研判" in told.push_zh
    run_dry(28.2, 3, at + SLOT)
    lake.refresh_from_db()
    assert lake.level == 1
    run_dry(33.5, 3, at + 4 * SLOT)  # over the check flood level
    lake.refresh_from_db()
    assert lake.level == 4


def test_a_held_level_notice_stays_through_low_water_and_expires_in_silence(
    lake: Warning, officer: Officer
) -> None:
    act(officer, lake, "hold", hours=2, at=NOW + 2 * SLOT)
    at = run_dry(20.5, 20, NOW + 3 * SLOT)
    lake.refresh_from_db()
    assert lake.level == 3
    stages.assess_levels(now=NOW + 3 * HOUR)
    lake.refresh_from_db()
    assert lake.ended_at is None
    stages.assess_levels(now=at + 4 * HOUR)
    lake.refresh_from_db()
    assert (lake.level, chain(lake)[-1]) == (0, ("expire", 0, False))
    assert lake.bulletins.order_by("-id")[0].urgency == 0


def test_a_level_notice_that_a_person_ends_is_over_until_it_is_graver(
    lake: Warning, officer: Officer
) -> None:
    act(officer, lake, "cancel", at=NOW + 2 * SLOT)
    run_dry(28.1, 6, NOW + 3 * SLOT)
    assert not Warning.objects.open().exists()
    run_dry(33.5, 4, NOW + 9 * SLOT)
    assert Warning.objects.open().get().level == 4


@pytest.mark.parametrize(
    ("verb", "what", "code"),
    [
        ("extend", asked(1, B), "station_cannot_extend"),
        ("upgrade", asked(4, A), "station_has_no_streets"),
        ("upgrade", asked(3), "level_not_higher"),
    ],
)
def test_a_level_notice_has_no_streets(
    lake: Warning, officer: Officer, verb: str, what: Asked, code: str
) -> None:
    before = everything()
    with pytest.raises(Refusal, match=code):
        hand.act(lake.pk, verb, officer.pk, DESK, what, now=NOW + 2 * SLOT)
    assert everything() == before


def a_drill(regions: Regions, officer: Officer, **fields: Any) -> Drill:
    return Drill.objects.create(
        name="演练", authority=regions[DISTRICT], areas=[DISTRICT], duties=["flood"], officers=[officer.pk],
        created_by=officer, created_at=NOW, **({"state": DrillState.RUNNING} | fields),
    )  # fmt: skip


def test_a_warning_by_hand_inside_a_drill_stays_inside(
    regions: Regions, feed: Feed, officer: Officer
) -> None:
    drill = a_drill(regions, officer)
    warning = begin(officer, 4, A, drill=drill.pk)
    assert (warning.drill, warning.drill_of_id) == (True, drill.pk)
    told = warning.bulletins.get()
    assert (told.drill, told.drill_of_id) == (True, drill.pk)
    assert told.push_zh.startswith("【演练】")
    assert not WatchMark.objects.filter(hazard="rainstorm", states__has_key=A).exists()
    drill.refresh_from_db()
    assert PlaceState.from_json(drill.states[A]).in_force == 4
    act(officer, warning, "cancel")
    warning.refresh_from_db()
    assert warning.ended_at is not None


def test_a_drill_that_does_not_run_takes_no_warning(regions: Regions, feed: Feed, officer: Officer) -> None:
    drill = a_drill(regions, officer, state=DrillState.PAUSED)
    with pytest.raises(Refusal, match="drill_not_running"):
        begin(officer, 4, A, drill=drill.pk)
    with pytest.raises(Refusal, match="drill_rain_only"):
        begin(officer, 4, A, hazard="flood", drill=drill.pk)
    assert not Warning.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_desk_and_the_watch_at_once_leave_one_truth() -> None:
    regions = make_regions()
    feed = make_feed("radar")
    officer = make_officer(regions[DISTRICT], Duty.DESK)
    for n, mm in enumerate([DRY, {A: LEVEL_1}, {A: LEVEL_1, B: LEVEL_1}, {A: LEVEL_3}, {A: LEVEL_4}]):
        fell(feed, NOW + n * SLOT, mm)
    warning = begin(officer, 1, B)
    at = NOW + 5 * SLOT + watch.GRACE

    def once(step: Callable[[], object]) -> None:
        try:
            step()
        except Refusal:
            pass  # the other was first: a named answer, nothing changed
        finally:
            connections.close_all()

    def decide(verb: str, what: Asked) -> None:
        hand.act(warning.pk, verb, officer.pk, DESK, what, now=at)

    steps: list[Callable[[], object]] = [
        lambda: watch.assess_due(now=at),
        lambda: decide("extend", asked(1, A)),
        lambda: decide("upgrade", asked(2, B)),
        lambda: watch.assess_due(now=at),
        lambda: decide("downgrade", asked(1)),
        lambda: decide("hold", asked()),
    ]
    with ThreadPoolExecutor(len(steps)) as pool:
        list(pool.map(once, steps))
    states = WatchMark.objects.get(hazard="rainstorm").states
    truth = {street: PlaceState.from_json(stored).in_force for street, stored in states.items()}
    assert {street: level for street, level in levels(warning).items() if level} == {
        s: n for s, n in truth.items() if n
    }
    assert truth[A] == 4  # the last slot is graver than whatever was decided
    warning.refresh_from_db()
    assert warning.level == 4
    before = warning.bulletins.order_by("id")
    assert [b.supersedes_id for b in before] == [None, *(b.pk for b in before[: len(before) - 1])]


def test_to_look_for_what_expires_costs_three_queries_while_nothing_does(
    feed: Feed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    end = play(feed, [DRY, {A: LEVEL_3, B: LEVEL_1, C: LEVEL_1}])
    with django_assert_num_queries(3):
        assert endings.expire_due(now=end + SENT) == 0


def test_who_was_told_that_it_is_over_is_not_told_again(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 3, A, B, hazard="flood")
    act(officer, warning, "cancel", None, A)
    act(officer, warning, "cancel")
    raised, first, last = warning.bulletins.order_by("id")
    assert (sorted(raised.areas), first.areas, last.areas) == ([A, B], [A], [B])
    assert (first.level, last.level) == ("none", "none")


def test_the_title_names_the_streets_it_is_about(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 3, A, B, hazard="flood")
    act(officer, warning, "cancel", None, A)
    name = Region.objects.get(pk=A).name
    last = warning.bulletins.order_by("-id")[0]
    assert name.removesuffix("街道") in last.title_zh and name in last.title_en


def test_a_street_that_is_warned_again_hears_of_that_end_too(feed: Feed, officer: Officer) -> None:
    warning = begin(officer, 3, A, B, hazard="flood")
    act(officer, warning, "cancel", None, A)
    act(officer, warning, "extend", 2, A)
    act(officer, warning, "cancel")
    assert sorted(warning.bulletins.order_by("-id")[0].areas) == [A, B]
