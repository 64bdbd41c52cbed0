"""演练: two people, one literal table, an audience fixed at the beginning, and nothing of it near what is real."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from alerts import drill_watch, drills, feedwatch, watch
from alerts.assessment.drill_words import Act, drill_words
from alerts.drill_frames import forget_frames, take_frame
from alerts.models import (
    Bulletin,
    Drill,
    DrillFrame,
    DrillState,
    Hazard,
    OrderStatus,
    ResponseLevel,
    ResponseOrder,
    Storm,
    Warning,
    WarningEvent,
    WatchMark,
)
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology.feeds import signing
from hydrology.feeds.health import standings
from hydrology.ingest import take_grid, take_readings
from hydrology.models import (
    Blob,
    Feed,
    FeedMark,
    FeedPost,
    GridPart,
    GridRun,
    Latest,
    Observation,
    RadarFrame,
    Region,
)
from officers.models import Duty, Officer
from tests.alerts.conftest import DISTRICT, PATH, SENT, SLOT, A, B, C, fell, frame, nowcast
from tests.console.factories import make_officer
from tests.hydrology.factories import MINUTE, NOW, SECRET, make_feed, make_regions

DESK = Scope((PATH,), desk_paths=(PATH,))
BOTH = Scope((PATH,), (PATH,), (PATH,))
DRY: dict[str, float] = {}
ROUTES: dict[str, list[Act]] = {
    DrillState.PLANNED: [],
    DrillState.RUNNING: [Act.BEGIN],
    DrillState.PAUSED: [Act.BEGIN, Act.PAUSE],
    DrillState.ENDED: [Act.BEGIN, Act.END],
}


class Room:
    """Who plans the district's drills, who begins them, and whom they concern."""

    def __init__(self, regions: dict[str, Region]) -> None:
        self.planner = make_officer(regions[DISTRICT], Duty.DESK)
        self.commander = make_officer(regions[DISTRICT], Duty.COMMAND)
        self.people = [make_officer(regions[A]).pk, make_officer(regions[B]).pk]

    def plan(self, **fields: Any) -> Drill:
        values = {
            "name": "汛前演练",
            "authority": DISTRICT,
            "areas": [DISTRICT],
            "duties": ["flood"],
        } | fields
        return drills.plan(self.planner.pk, DESK, values, now=NOW)

    def act(self, drill: Drill, *verbs: Act, minutes: int = 0, note: str = "") -> Drill:
        for verb in verbs:
            who = self.commander if verb is Act.BEGIN else self.planner
            drill = drills.act(
                drill.pk, verb, who.pk, BOTH, now=NOW + minutes * MINUTE, note=note, invite=self.invite
            )
        return drill

    def invite(self, drill: Drill, now: object) -> list[int]:
        return self.people

    def running(self, **fields: Any) -> Drill:
        return self.act(self.plan(**fields), Act.BEGIN)


@pytest.fixture
def room(regions: dict[str, Region]) -> Room:
    return Room(regions)


@pytest.fixture
def drill_feed(regions: dict[str, Region]) -> Feed:
    return make_feed("drills", drill=True)


def real_warning(level: int = 3, **fields: Any) -> Warning:
    return Warning.objects.create(
        **{
            "hazard": Hazard.RAINSTORM,
            "region_id": "440304",
            "level": level,
            "peak_level": level,
            "raised_at": NOW,
        }
        | fields
    )


def real_order(officer: Officer, level: ResponseLevel = ResponseLevel.III, **fields: Any) -> ResponseOrder:
    other = make_officer(Region.objects.get(pk=DISTRICT), Duty.COMMAND)
    return ResponseOrder.objects.create(
        **{
            "level": level, "authority_id": DISTRICT, "areas": [A], "duties": ["flood"], "title_zh": "防御", "title_en": "",
            "text_zh": "到岗", "valid_until": NOW + timedelta(hours=6), "status": OrderStatus.ISSUED, "released_at": NOW,
            "drafted_by": officer, "approved_by": other, "created_at": NOW,
        }
        | fields
    )  # fmt: skip


def refused(act: Callable[[], object]) -> Refusal:
    """The refusal of this act, which changed nothing."""
    before = rows()
    with pytest.raises(Refusal) as caught:
        act()
    assert rows() == before
    assert caught.value.zh != caught.value.en
    return caught.value


def rows(*tables: Any) -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in tables or (Drill, DrillFrame, Bulletin)]


def levels(drill: Drill) -> list[str]:
    return [said.level for said in drills.record(drill.pk)]


@pytest.mark.parametrize(("state", "verb"), list(product(ROUTES, [Act(verb) for verb in drills.VERBS])))
def test_only_what_the_table_allows_changes_the_state(room: Room, state: str, verb: Act) -> None:
    drill = room.act(room.plan(), *ROUTES[state])
    assert drill.state == state
    before, after, _ = drills.TRANSITIONS[verb]
    if state in before:
        room.act(drill, verb)
        assert Drill.objects.get().state == after
    else:
        refusal = refused(lambda: room.act(drill, verb))
        assert (refusal.code, refusal.status) == ("illegal_transition", 409)


def test_who_planned_it_cannot_begin_it_nor_can_a_desk_and_without_people_nobody_can(room: Room) -> None:
    drill = room.plan()

    def begin(officer: Officer, scope: Scope) -> Drill:
        return drills.act(drill.pk, Act.BEGIN, officer.pk, scope, now=NOW, invite=room.invite)

    assert refused(lambda: begin(room.planner, BOTH)).code == "second_person"
    assert refused(lambda: begin(room.commander, DESK)).code == "command_only"
    assert refused(lambda: begin(room.commander, Scope())).code == "not_found"
    room.people = []
    assert refused(lambda: begin(room.commander, BOTH)).code == "empty_audience"


def test_areas_outside_the_authority_and_authorities_outside_ones_regions_are_refused(room: Room) -> None:
    assert refused(lambda: room.plan(areas=[A, C])).fields == {"areas": C}
    assert refused(lambda: room.plan(authority="440304", areas=[C])).code == "not_found"
    elsewhere = Scope((PATH,), command_paths=(PATH,))
    values = {"name": "x", "authority": DISTRICT, "areas": [A], "duties": ["flood"]}
    assert refused(lambda: drills.plan(room.planner.pk, elsewhere, values, now=NOW)).code == "desk_only"


def test_every_step_is_told_to_exactly_those_who_take_part_and_marked_in_every_text(room: Room) -> None:
    drill = room.act(room.running(), Act.PAUSE, Act.RESUME, Act.END, note="按计划")
    assert levels(drill) == ["begin", "pause", "resume", "end"]
    for told in drills.record(drill.pk):
        assert (told.drill, told.drill_of_id, told.officers) == (True, drill.pk, sorted(room.people))
        assert (told.ref, told.thread) == (f"drill/{drill.pk}", f"drill/{drill.pk}")
        for text in (told.title_zh, told.push_zh, told.body_zh):
            assert text.startswith("【演练】")
        for text in (told.title_en, told.push_en, told.body_en):
            assert text.startswith("[DRILL]")
        assert told.reasons["actor"] in (room.planner.pk, room.commander.pk)
    assert "说明：按计划" in drills.record(drill.pk)[1].body_zh


def test_a_drill_called_off_before_it_began_is_told_to_nobody(room: Room) -> None:
    drill = room.act(room.plan(), Act.END)
    assert (drill.state, drill.officers, Bulletin.objects.count()) == (DrillState.ENDED, [], 0)


@given(
    act=st.sampled_from(list(Act)),
    name=st.text(min_size=1, max_size=80),
    place=st.text(max_size=64),
    areas=st.lists(st.text(max_size=64), max_size=60),
    note=st.text(max_size=200),
)
def test_words_fit_every_column_and_say_that_it_is_a_drill(
    act: Act, name: str, place: str, areas: list[str], note: str
) -> None:
    words = drill_words(act, name, place, areas, note)
    assert all("演练" in text for text in (words.title_zh, words.push_zh, words.body_zh))
    assert all("[DRILL]" in text for text in (words.title_en, words.push_en, words.body_en))


# --- what is real goes first


def test_a_real_warning_that_reaches_alert_pauses_every_running_drill_in_its_own_transaction(
    room: Room, regions: dict[str, Region]
) -> None:
    running, planned, resting = room.running(), room.plan(), room.act(room.running(), Act.PAUSE)
    feed = make_feed("radar")
    fell(feed, NOW, DRY)
    watch.assess_due(now=NOW + SENT + watch.GRACE)
    fell(feed, NOW + SLOT, {C: 13.0})  # in another district
    with pytest.raises(RuntimeError), transaction.atomic():
        watch.assess_due(now=NOW + SLOT + SENT + watch.GRACE)
        assert Drill.objects.get(pk=running.pk).state == DrillState.PAUSED
        raise RuntimeError("what made it paused did not happen after all")
    assert Drill.objects.get(pk=running.pk).state == DrillState.RUNNING
    watch.assess_due(now=NOW + SLOT + SENT + watch.GRACE)
    states = {drill.pk: drill.state for drill in Drill.objects.all()}
    assert states == {
        running.pk: DrillState.PAUSED, planned.pk: DrillState.PLANNED, resting.pk: DrillState.PAUSED
    }  # fmt: skip
    told = drills.record(running.pk)[-1]
    assert (told.level, told.urgency, told.drill) == ("danger", 3, True)
    assert "出现真实险情" in told.title_zh
    assert "出现真实险情" in told.push_zh
    assert f"warning/{Warning.objects.get().pk}" in Drill.objects.get(pk=running.pk).why
    assert levels(running).count("danger") == 1


@pytest.mark.parametrize("level", [1, 2])
def test_a_real_warning_below_alert_pauses_nothing(room: Room, level: int) -> None:
    running = room.running()
    real_warning(level)
    drills.give_way(NOW)
    assert Drill.objects.get(pk=running.pk).state == DrillState.RUNNING


@pytest.mark.parametrize(
    ("level", "fields", "state"),
    [
        (ResponseLevel.III, {}, DrillState.PAUSED),
        (ResponseLevel.I, {}, DrillState.PAUSED),
        (ResponseLevel.IV, {}, DrillState.RUNNING),
        (ResponseLevel.I, {"drill": True}, DrillState.RUNNING),
        (ResponseLevel.I, {"released_at": None}, DrillState.RUNNING),
        (ResponseLevel.I, {"status": OrderStatus.ENDED}, DrillState.RUNNING),
        (ResponseLevel.I, {"valid_until": NOW}, DrillState.RUNNING),
    ],
)
def test_a_real_order_of_level_iii_or_graver_in_force_pauses_a_drill(
    room: Room, level: ResponseLevel, fields: dict[str, Any], state: str
) -> None:
    running = room.running()
    real_order(room.planner, level, **fields)
    drills.give_way(NOW)
    assert Drill.objects.get(pk=running.pk).state == state


def test_the_sweep_pauses_for_whatever_danger_nobody_spoke_of(room: Room) -> None:
    running = room.running()
    real_warning()
    drill_watch.assess_due(now=NOW)
    assert Drill.objects.get(pk=running.pk).state == DrillState.PAUSED
    drill_watch.assess_due(now=NOW)
    assert levels(running) == ["begin", "danger"]  # told once


def test_nobody_begins_or_resumes_a_drill_while_there_is_a_real_danger(room: Room) -> None:
    planned, resting = room.plan(), room.act(room.running(), Act.PAUSE)
    danger = real_warning()
    for drill, verb in ((planned, Act.BEGIN), (resting, Act.RESUME)):
        refusal = refused(lambda drill=drill, verb=verb: room.act(drill, verb))
        assert (refusal.code, refusal.status, refusal.fields) == (
            "real_danger",
            409,
            {"ref": f"warning/{danger.pk}"},
        )
    Warning.objects.filter(pk=danger.pk).update(ended_at=NOW)
    drill_watch.assess_due(now=NOW)
    assert Drill.objects.get(pk=resting.pk).state == DrillState.PAUSED  # goes on by hand only
    assert room.act(resting, Act.RESUME).state == DrillState.RUNNING


def test_a_drills_own_warning_is_no_danger(room: Room) -> None:
    running = room.running()
    real_warning(4, drill=True, drill_of=running)
    drills.give_way(NOW)
    assert Drill.objects.get().state == DrillState.RUNNING


def test_paused_time_is_what_lay_between_pauses_and_what_ended_them(room: Room) -> None:
    drill = room.running()
    for verb, minutes in ((Act.PAUSE, 5), (Act.RESUME, 8), (Act.PAUSE, 20), (Act.END, 21)):
        drill = room.act(drill, verb, minutes=minutes)
    spans = drills.paused_spans(drill, NOW + 60 * MINUTE)
    assert spans == [(NOW + 5 * MINUTE, NOW + 8 * MINUTE), (NOW + 20 * MINUTE, NOW + 21 * MINUTE)]
    other = room.act(room.running(), Act.PAUSE, minutes=1)
    assert drills.paused_spans(other, NOW + 3 * MINUTE) == [(NOW + MINUTE, NOW + 3 * MINUTE)]


# --- the database itself


def test_no_update_turns_a_drill_real_nor_what_is_real_into_a_drill(room: Room) -> None:
    running = room.running()
    exercise, real = real_warning(drill=True, drill_of=running), real_warning(1)
    ordered = real_order(room.planner, drill=True, drill_of=running)
    attempts: list[tuple[Any, dict[str, Any]]] = [
        (Warning.objects.filter(pk=exercise.pk), {"drill": False, "drill_of": None}),
        (Warning.objects.filter(pk=exercise.pk), {"drill": False}),
        (Warning.objects.filter(pk=exercise.pk), {"drill_of": None}),
        (Warning.objects.filter(pk=real.pk), {"drill": True, "drill_of": running}),
        (ResponseOrder.objects.filter(pk=ordered.pk), {"drill": False, "drill_of": None}),
        (Drill.objects.filter(pk=running.pk), {"officers": [*running.officers, room.planner.pk]}),
        (Drill.objects.filter(pk=running.pk), {"state": DrillState.PLANNED}),
    ]
    for query, values in attempts:
        with pytest.raises(IntegrityError), transaction.atomic():
            query.update(**values)
    room.act(running, Act.END)
    with pytest.raises(IntegrityError), transaction.atomic():
        Drill.objects.filter(pk=running.pk).update(state=DrillState.RUNNING)


@pytest.mark.parametrize("fields", [{"drill": False, "drill_of": None}, {"drill": True, "drill_of": None}])
def test_a_bulletin_cannot_say_otherwise_than_its_warning(room: Room, fields: dict[str, Any]) -> None:
    running = room.running()
    exercise = real_warning(drill=True, drill_of=running)
    words = dict.fromkeys(("title_zh", "title_en", "push_zh", "push_en", "body_zh", "body_en"), "x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Bulletin.objects.create(
            kind="warning", urgency=3, level="alert", areas=[A], duties=["flood"], requires="open",
            valid_until=NOW, caused_at=NOW, issued_at=NOW, warning=exercise, **words, **fields,
        )  # fmt: skip


# --- a storm of its own

LIVE = (Observation, Latest, GridRun, GridPart, RadarFrame, Blob, FeedPost, FeedMark, WatchMark)


def take(
    feed: Feed, drill: Drill, body: bytes, *, product: str = "", after: timedelta = timedelta(0)
) -> dict[str, Any]:
    return take_frame(feed, drill.pk, product, body, NOW + after)


def play(feed: Feed, drill: Drill, rains: list[dict[str, float] | None]) -> None:
    """One slot after the other; None: the frame never comes."""
    for n, mm in enumerate(rains):
        if mm is not None:
            take(feed, drill, frame(NOW + n * SLOT, mm), after=n * SLOT)
        drill_watch.assess_due(now=NOW + n * SLOT + watch.GRACE)


def test_a_storm_as_a_drill_warns_inside_its_areas_and_touches_no_live_row(
    room: Room, drill_feed: Feed
) -> None:
    live = make_feed("radar")
    fell(live, NOW - SLOT, {A: 3.0})
    watch.assess_due(now=NOW + watch.GRACE)
    real = real_warning(1)
    before = rows(*LIVE)
    drill = room.running()
    play(drill_feed, drill, [DRY, {A: 6.0, C: 40.0}, {A: 13.0, B: 6.0}, *[DRY] * 3])
    assert rows(*LIVE) == before
    assert list(Warning.objects.filter(drill=False)) == [real]
    assert not WarningEvent.objects.filter(warning=real).exists()
    exercise = Warning.objects.get(drill_of=drill)
    assert (exercise.region_id, exercise.drill, exercise.peak_level) == (DISTRICT, True, 3)
    assert [event.action for event in exercise.events.order_by("id")][:2] == ["raise", "upgrade"]
    assert set(Storm.objects.values_list("drill_of", flat=True)) == {drill.pk}
    for told in exercise.bulletins.all():
        assert (told.drill, told.drill_of_id) == (True, drill.pk)
        assert told.thread.startswith(f"drill/{drill.pk}/storm/")
        assert told.ref == f"drill/{drill.pk}/warning/{exercise.pk}"
        assert told.push_zh.startswith("【演练】")
    drill.refresh_from_db()
    assert drill.slot_at == NOW + 5 * SLOT
    assert drill.state == DrillState.RUNNING  # its own ALERT is no real danger


def test_the_drills_warnings_are_those_the_same_storm_raises_when_it_is_real(
    room: Room, drill_feed: Feed
) -> None:
    rains: list[dict[str, float] | None] = [DRY, {A: 6.0}, None, {A: 13.0, B: 6.0}, *[DRY] * 30]
    play(drill_feed, room.running(), rains)
    live = make_feed("radar")
    for n, mm in enumerate(rains):
        if mm is not None:
            fell(live, NOW + n * SLOT, mm)
        watch.assess_due(now=NOW + n * SLOT + SENT + watch.GRACE)

    def story(drill: bool) -> list[Any]:
        events = WarningEvent.objects.filter(warning__drill=drill).order_by("at", "id")
        return [(event.at, event.action, event.level, sorted(event.areas)) for event in events]

    assert story(drill=True) == story(drill=False) != []


def test_a_slot_is_judged_once_whatever_the_order_of_posts_and_how_often_they_come(
    room: Room, drill_feed: Feed
) -> None:
    drill = room.running()
    bodies = [frame(NOW + n * SLOT, mm) for n, mm in enumerate([DRY, {A: 6.0}, {A: 13.0}])]
    assert take(drill_feed, drill, bodies[0]) == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert take(drill_feed, drill, bodies[0]) == {"accepted": 0, "duplicate": 1, "rejected": []}
    assert drill_watch.assess_due(now=NOW) == 1
    take(drill_feed, drill, bodies[2])
    assert drill_watch.assess_due(now=NOW) == 0  # one is missing before it, and gets its grace
    take(drill_feed, drill, bodies[1])
    assert drill_watch.assess_due(now=NOW) == 2
    assert drill_watch.assess_due(now=NOW + watch.GRACE) == 0
    assert [event.action for event in WarningEvent.objects.order_by("id")] == ["raise", "upgrade"]


@pytest.mark.django_db(transaction=True)
def test_assessors_side_by_side_judge_every_slot_once() -> None:
    room, feed = Room(make_regions()), make_feed("drills", drill=True)
    drill = room.running()
    rains: list[dict[str, float]] = [DRY, {A: 6.0}, {A: 6.0, B: 6.0}, {A: 13.0}]
    for n, mm in enumerate(rains):
        take(feed, drill, frame(NOW + n * SLOT, mm))

    def assess() -> int:
        try:
            return drill_watch.assess_due(now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        done = [future.result() for future in [pool.submit(assess) for _ in range(4)]]
    assert sum(done) == len(rains)
    assert [event.action for event in WarningEvent.objects.order_by("id")] == ["raise", "extend", "upgrade"]


def test_a_nowcast_is_waited_for_where_there_was_one_and_counts(room: Room, drill_feed: Feed) -> None:
    drill = room.running()
    take(drill_feed, drill, nowcast(NOW, {A: 2.0}), product="nowcast")
    take(drill_feed, drill, frame(NOW, DRY), product="observed")
    assert drill_watch.assess_due(now=NOW) == 1
    take(drill_feed, drill, frame(NOW + SLOT, DRY))
    assert drill_watch.assess_due(now=NOW) == 0
    take(drill_feed, drill, nowcast(NOW + SLOT, {A: 3.0}))
    assert drill_watch.assess_due(now=NOW) == 1
    [event] = WarningEvent.objects.all()
    [reason, *_] = event.reasons["streets"][A]["reasons"]
    assert (reason["window"], reason["value_mm"]) == ("nowcast_120min", 72.0)


@pytest.mark.parametrize("state", [DrillState.PLANNED, DrillState.PAUSED, DrillState.ENDED])
def test_only_a_running_drill_takes_fields(room: Room, drill_feed: Feed, state: str) -> None:
    drill = room.act(room.plan(), *ROUTES[state])
    refusal = refused(lambda: take(drill_feed, drill, frame(NOW, DRY)))
    assert (refusal.code, refusal.status) == ("drill_not_running", 409)


def test_what_waits_when_a_drill_is_paused_is_judged_when_it_goes_on(room: Room, drill_feed: Feed) -> None:
    drill = room.running()
    take(drill_feed, drill, frame(NOW, {A: 13.0}))
    room.act(drill, Act.PAUSE)
    assert drill_watch.assess_due(now=NOW + MINUTE) == 0
    room.act(drill, Act.RESUME)
    assert drill_watch.assess_due(now=NOW + MINUTE) == 1


def test_fields_that_cannot_be_read_or_say_otherwise_are_refused_by_name(
    room: Room, drill_feed: Feed
) -> None:
    drill = room.running()
    take(drill_feed, drill, frame(NOW, DRY))
    assert refused(lambda: take(drill_feed, drill, b"no grid")).code == "malformed"
    assert refused(lambda: take(drill_feed, drill, b"GRIB" + bytes(60))).code == "malformed"
    assert (
        refused(lambda: take(drill_feed, drill, frame(NOW + SLOT, DRY), product="nowcast")).code
        == "malformed"
    )
    assert refused(lambda: take(drill_feed, drill, frame(NOW, {A: 1.0}))).code == "frame_differs"
    assert refused(lambda: take_frame(drill_feed, 10**6, "", frame(NOW, DRY), NOW)).code == "not_found"


def test_an_ended_drill_leaves_no_warning_open_and_its_fields_are_forgotten(
    room: Room, drill_feed: Feed
) -> None:
    drill = room.running()
    play(drill_feed, drill, [{A: 13.0}])
    room.act(drill, Act.END)
    said = Bulletin.objects.count()
    drill_watch.assess_due(now=NOW)
    exercise = Warning.objects.get()
    assert (exercise.level, exercise.ended_at) == (0, NOW)
    assert exercise.events.order_by("id").last().action == "expire"
    assert not Storm.objects.filter(ended_at=None).exists()
    assert Bulletin.objects.count() == said  # its end was said
    assert forget_frames(now=NOW + timedelta(days=31), keep_days=0) == 0
    assert forget_frames(now=NOW + timedelta(days=29), keep_days=30) == 0
    assert forget_frames(now=NOW + timedelta(days=31), keep_days=30) == 1


# --- feeds


def test_a_drills_feed_is_refused_at_every_live_door_and_other_feeds_at_the_drills(
    room: Room, drill_feed: Feed
) -> None:
    live = make_feed("radar")
    body = frame(NOW, DRY)
    for feed, drill, code in ((drill_feed, False, "drill_feed"), (live, True, "live_feed")):
        headers = signing.signed_headers(feed.pk, SECRET, body, NOW)
        with pytest.raises(Refusal) as caught:
            signing.verify(headers, body, NOW, drill=drill)
        assert (caught.value.code, caught.value.status) == (code, 403)
        assert signing.verify(headers, body, NOW, drill=not drill) == feed
    for store in (take_grid, take_readings):  # fetched, not posted
        with pytest.raises(Refusal, match="drill_feed"):
            store(drill_feed, body, NOW)
    assert not FeedPost.objects.exists()


def test_a_drills_feed_is_neither_silent_nor_the_last_one_left(drill_feed: Feed) -> None:
    assert standings(NOW) == []
    live = make_feed("radar")
    assert [standing.feed for standing in standings(NOW)] == [live]
    assert feedwatch.watch_feeds(now=NOW) == 0
