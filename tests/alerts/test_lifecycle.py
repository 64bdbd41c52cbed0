"""The life of a level in one street and the steps of a district (alerts/assessment/lifecycle.py)."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alerts.assessment.lifecycle import Action, Change, PlaceState, Policy, Step, advance, gather
from alerts.assessment.rules import DEFAULT_ROWS, Assessment, Figure, Level, Table, assess, low_water
from alerts.models import WarningAction

START = datetime(2023, 9, 7, 10, 0, tzinfo=UTC)
SLOT = timedelta(minutes=5)
HOUR = timedelta(hours=1)
Slot = tuple[int, bool] | None


def saw(level: int, *, sure: int | None = None) -> Assessment:
    """An assessment of the level; believed at once up to `sure`, by default altogether."""
    sure = level if sure is None else sure
    return Assessment("440303001", Level(level), bool(level) and sure == level, (), Level(sure))


def live(
    slots: Iterable[tuple[Assessment | None, int]], state: PlaceState | None = None
) -> list[Change | None]:
    """What happened at each slot of (assessment, level held), one every 5 minutes."""
    changes = []
    for i, (found, held) in enumerate(slots):
        state, change = advance(state, found, held, START + i * SLOT)
        changes.append(change)
    return changes


def moves(changes: Iterable[Change | None]) -> list[tuple[int, str, int, bool]]:
    return [(i, c.action, c.after, c.spoken) for i, c in enumerate(changes) if c]


def test_actions_are_those_of_the_rows() -> None:
    assert {a.name: a.value for a in Action} == {w.name: w.value for w in WarningAction}


def test_a_corroborated_level_is_raised_with_its_first_slot() -> None:
    assert moves(live([(saw(3), 3)])) == [(0, "raise", 3, True)]


def test_a_lone_level_is_raised_with_its_second_slot() -> None:
    assert moves(live([(saw(3, sure=0), 3)] * 3)) == [(1, "raise", 3, True)]


def test_two_lone_slots_confirm_the_lower_of_their_levels() -> None:
    slots = [(saw(2, sure=0), 2), (saw(4, sure=0), 4), (saw(4, sure=0), 4)]
    assert moves(live(slots)) == [(1, "raise", 2, True), (2, "upgrade", 4, True)]


def test_a_lone_slot_between_lower_ones_raises_nothing() -> None:
    assert moves(live([(saw(3, sure=0), 3), (saw(0), 0)] * 4)) == []


def test_a_lone_spike_does_not_delay_what_is_sure() -> None:
    assert moves(live([(saw(4, sure=2), 4), (saw(2), 2)])) == [(0, "raise", 2, True)]


def test_a_jump_raises_the_top_level_once() -> None:
    assert moves(live([(saw(4), 4)] * 12)) == [(0, "raise", 4, True)]


def test_a_level_falls_after_half_an_hour_below_its_lower_mark() -> None:
    slots = [(saw(3), 3)] + [(saw(0), 1)] * 8
    assert moves(live(slots)) == [(0, "raise", 3, True), (7, "downgrade", 1, False)]


def test_rain_above_the_lower_mark_holds_the_level() -> None:
    assert moves(live([(saw(3), 3)] + [(saw(2), 3)] * 40)) == [(0, "raise", 3, True)]


def test_a_single_slot_back_above_the_lower_mark_starts_the_half_hour_anew() -> None:
    slots = [(saw(3), 3)] + [(saw(0), 0)] * 6 + [(saw(2), 3)] + [(saw(0), 0)] * 7
    assert moves(live(slots)) == [(0, "raise", 3, True), (14, "cancel", 0, True)]


def test_a_level_falls_no_deeper_than_what_held_within_the_half_hour() -> None:
    slots = [(saw(3), 3)] + [(saw(2), 2)] * 6 + [(saw(0), 0)] * 7
    assert moves(live(slots)) == [(0, "raise", 3, True), (7, "downgrade", 2, False), (13, "cancel", 0, True)]


def test_a_level_that_comes_back_within_the_hold_time_is_not_said_again() -> None:
    slots = [(saw(3), 3)] + [(saw(1), 1)] * 7 + [(saw(3), 3)]
    assert moves(live(slots))[1:] == [(7, "downgrade", 1, False), (8, "upgrade", 3, False)]


def test_a_higher_level_is_said_within_the_hold_time() -> None:
    slots = [(saw(3), 3)] + [(saw(1), 1)] * 7 + [(saw(4), 4)]
    assert moves(live(slots))[-1] == (8, "upgrade", 4, True)


def test_a_level_that_comes_back_after_the_hold_time_is_said() -> None:
    slots = [(saw(3), 3)] + [(saw(1), 1)] * 11 + [(saw(3), 3)]
    assert moves(live(slots))[-1] == (12, "upgrade", 3, True)


def test_rain_that_comes_back_after_the_end_is_told_anew() -> None:
    slots = [(saw(3), 3)] + [(saw(0), 0)] * 7 + [(saw(3), 3)]
    assert moves(live(slots))[1:] == [(7, "cancel", 0, True), (8, "raise", 3, True)]


def test_so_many_low_slots_running_lower_a_level_where_the_policy_says_so() -> None:
    policy = Policy(lower_slots=3)
    state, moved = None, []
    for i, (found, held) in enumerate(
        [(saw(3), 3), (saw(0), 0), (saw(0), 3), *[(saw(0), 1)] * 3, *[(saw(0), 0)] * 3]
    ):
        state, change = advance(state, found, held, START + i * SLOT, policy)
        moved += moves([None] * i + [change])
    assert moved == [(0, "raise", 3, True), (5, "downgrade", 1, False), (8, "cancel", 0, True)]


def test_a_low_slot_assessed_again_counts_once() -> None:
    policy, state = Policy(lower_slots=2), None
    for found, held, n in [(saw(3), 3, 0), (saw(0), 0, 1), (saw(0), 0, 1)]:
        state, change = advance(state, found, held, START + n * SLOT, policy)
    assert change is None and state is not None and state.level == 3


def test_missing_slots_lower_nothing() -> None:
    assert moves(live([(saw(3), 3)] + [(None, 0)] * 100)) == [(0, "raise", 3, True)]


def test_the_half_hour_is_counted_only_where_there_are_values() -> None:
    slots = [(saw(3), 3), (saw(0), 0), *[(None, 0)] * 20, *[(saw(0), 0)] * 7]
    assert moves(live(slots)) == [(0, "raise", 3, True), (28, "cancel", 0, True)]


def test_one_missing_slot_does_not_break_a_confirmation_but_a_long_gap_does() -> None:
    lone = (saw(3, sure=0), 3)
    assert moves(live([lone, (None, 0), lone])) == [(2, "raise", 3, True)]
    assert moves(live([lone, *[(None, 0)] * 3, lone])) == []


def test_an_older_slot_changes_nothing() -> None:
    state, _ = advance(None, saw(1), 1, START)
    assert advance(state, saw(4), 4, START - SLOT) == (state, None)


def test_the_same_slot_again_never_counts_twice() -> None:
    first, _ = advance(None, saw(3, sure=0), 3, START)
    again, change = advance(first, saw(3, sure=0), 3, START)
    assert (again, change) == (first, None)


def test_late_values_of_the_same_slot_may_raise() -> None:
    state, _ = advance(None, saw(3, sure=0), 3, START)
    _, change = advance(state, saw(3), 3, START)
    assert change and change.action == Action.RAISE


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        advance(None, saw(1), 1, datetime(2023, 9, 7))  # noqa: DTZ001


def test_a_policy_without_a_confirming_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        Policy(confirm_slots=0)


def test_a_change_says_why() -> None:
    table = Table("default-1", DEFAULT_ROWS)
    found = assess("440303001", [Figure("rain_60min", 52, "station:G1", agree_mm=40)], table)
    _, change = advance(None, found, 3, START)
    assert change and change.why == "rain_60min 52 mm, threshold 50 mm, station:G1; corroborated"


def test_a_cloudburst_is_raised_held_and_lifted_by_its_sums() -> None:
    """12 mm in 5 minutes: alert. Its 10 minutes hold attention for one slot (12 >= 0.7 x 15), the rest nothing."""
    table = Table("default-1", DEFAULT_ROWS)
    rain = [12.0] + [0.0] * 15
    state, seen = None, []
    for i in range(len(rain)):
        street = [
            Figure(f"rain_{m}min", sum(rain[max(0, i + 1 - m // 5) : i + 1]), "station:A", agree_mm=9)
            for m in (5, 10, 30, 60)
        ]
        found, held = assess("440303001", street, table), low_water(street, table)
        state, change = advance(state, found, held, START + i * SLOT)
        seen.append(change)
    assert moves(seen) == [(0, "raise", 3, True), (7, "downgrade", 2, False), (13, "cancel", 0, True)]


class StreetLife(RuleBasedStateMachine):
    """One street through any weather, gap, repetition and disorder; the past is kept here to check against."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy()
        self.state: PlaceState | None = None
        self.at = START
        self.past: list[tuple[datetime, int, int, int]] = []  # at, reached, sure, held: slots with values
        self.spoken: list[tuple[datetime, int]] = []  # since the last end

    def _advance(self, found: Assessment | None, held: int, at: datetime) -> Change | None:
        before = self.state or PlaceState()
        stored = json.loads(json.dumps(before.to_json()))
        assert PlaceState.from_json(stored) == before
        self.state, change = advance(self.state, found, held, at, self.policy)
        again, nothing = advance(self.state, found, held, at, self.policy)
        assert (again, nothing) == (self.state, None)
        assert self.state.level == (change.after if change else before.level)
        return change

    @rule(reached=st.integers(0, 4), doubt=st.integers(0, 4), more=st.integers(0, 4), times=st.integers(1, 8))
    def it_rains(self, reached: int, doubt: int, more: int, times: int) -> None:
        sure, held = max(0, reached - doubt), min(4, reached + more)
        for _ in range(times):
            self.at += SLOT
            change = self._advance(saw(reached, sure=sure), held, self.at)
            self.past.append((self.at, reached, sure, held))
            if change and change.after > change.before:
                self._check_rise(change)
            elif change:
                self._check_fall(change)

    @rule(slots=st.integers(1, 30))
    def nothing_is_heard(self, slots: int) -> None:
        for _ in range(slots):
            self.at += SLOT
            assert self._advance(None, 0, self.at) is None

    @rule(slots=st.integers(1, 30))
    def slots_are_skipped(self, slots: int) -> None:
        self.at += slots * SLOT

    @rule(reached=st.integers(0, 4), back=st.integers(1, 9))
    def an_old_slot_comes_late(self, reached: int, back: int) -> None:
        if self.past:
            state = self.state
            assert self._advance(saw(reached), reached, self.past[-1][0] - back * SLOT) is None
            assert self.state == state

    def _check_rise(self, change: Change) -> None:
        """Believed at once, or seen in two slots running; said once inside the hold time."""
        (at, reached, sure, _), before = self.past[-1], self.past[-2:-1]
        twice = [min(reached, b[1]) for b in before if at - b[0] <= timedelta(seconds=self.policy.lapse_s)]
        assert change.after == max([sure, *twice])
        recent = [level for said_at, level in self.spoken if at - said_at < HOUR]
        assert change.spoken == (change.after > max(recent, default=0))
        if change.spoken:
            self.spoken.append((at, change.after))

    def _check_fall(self, change: Change) -> None:
        """Half an hour of values without a long gap, all below the level, none above where it falls to."""
        at = self.past[-1][0]
        span = [p for p in self.past if at - p[0] <= timedelta(seconds=self.policy.lower_after_s)]
        before = [p for p in self.past if at - p[0] >= timedelta(seconds=self.policy.lower_after_s)]
        low = [*before[-1:], *span]
        assert all(b[0] - a[0] <= timedelta(seconds=self.policy.lapse_s) for a, b in pairwise(low))
        assert before and max(p[3] for p in low) <= change.after < change.before
        if change.action == Action.CANCEL:
            self.spoken.clear()

    @invariant()
    def what_is_certain_is_in_force(self) -> None:
        if self.past and self.state:
            assert self.state.level >= self.past[-1][2]
            assert self.state.level >= min((p[1] for p in self._last_two()), default=0)

    def _last_two(self) -> list[tuple[datetime, int, int, int]]:
        two = self.past[-2:]
        near = len(two) == 2 and two[1][0] - two[0][0] <= timedelta(seconds=self.policy.lapse_s)
        return two if near else []


TestStreetLife = StreetLife.TestCase
TestStreetLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_state_of_another_release_is_read() -> None:
    assert PlaceState.from_json({"level": 2, "said_level": 2, "colour": "red"}) == PlaceState(2, said_level=2)


def change(street: str, before: int, after: int, *, spoken: bool = True) -> Change:
    if after > before:
        action = Action.UPGRADE if before else Action.RAISE
    else:
        action = Action.DOWNGRADE if after else Action.CANCEL
    return Change(street, action, before, after, "", spoken)


def test_the_first_streets_of_a_district_raise_one_warning() -> None:
    steps = gather([change("b", 0, 1), change("a", 0, 3)], 0, 0)
    assert steps == [Step(Action.RAISE, 3, ("a", "b"), speak=True)]


def test_a_street_that_joins_extends_the_warning_at_its_own_level() -> None:
    assert gather([change("b", 0, 1)], 3, 3) == [Step(Action.EXTEND, 1, ("b",), speak=True)]


def test_a_street_above_the_district_upgrades_the_warning() -> None:
    steps = gather([change("a", 3, 4), change("b", 0, 2)], 3, 3)
    assert steps == [Step(Action.UPGRADE, 4, ("a", "b"), speak=True)]


def test_one_slot_with_everything_in_it_speaks_once() -> None:
    steps = gather([change("a", 3, 0), change("b", 2, 1), change("c", 0, 2)], 3, 0)
    assert steps == [
        Step(Action.EXTEND, 2, ("c",), speak=True),
        Step(Action.DOWNGRADE, 2, ("b", "a"), speak=False),
    ]


def test_one_street_that_ends_is_no_end_while_another_stays() -> None:
    assert gather([change("a", 3, 0)], 3, 1) == [Step(Action.DOWNGRADE, 1, ("a",), speak=False)]


def test_the_last_streets_end_the_warning_aloud() -> None:
    assert gather([change("b", 1, 0), change("a", 3, 0)], 3, 0) == [
        Step(Action.CANCEL, 0, ("a", "b"), speak=True)
    ]


def test_streets_inside_their_hold_time_are_named_but_not_addressed() -> None:
    quiet = change("a", 1, 3, spoken=False)
    assert gather([quiet], 1, 0) == [Step(Action.UPGRADE, 3, ("a",), speak=False)]
    steps = gather([quiet, change("b", 0, 1)], 1, 0)
    assert steps == [Step(Action.EXTEND, 1, ("b",), speak=True, unsaid=("a",))]


def test_without_an_open_warning_a_rise_is_news_and_a_fall_is_nothing() -> None:
    assert gather([change("a", 1, 3, spoken=False)], 0, 0) == [Step(Action.RAISE, 3, ("a",), speak=True)]
    assert gather([change("a", 3, 1)], 0, 0) == []
    assert gather([], 3, 3) == []


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()).filter(lambda t: t[0] != t[1]),
    ),
    st.integers(0, 4),
)
def test_a_district_speaks_at_most_once_a_slot(moved: dict[str, tuple[int, int, bool]], staying: int) -> None:
    changes = [change(street, *levels, spoken=spoken) for street, (*levels, spoken) in moved.items()]
    opened = max([staying, *(before for before, _, _ in moved.values())])
    steps = gather(changes, opened, staying)
    named = [street for step in steps for street in step.streets + step.unsaid]
    assert sorted(named) == sorted(moved)
    assert len({step.action for step in steps}) == len(steps)
    assert sum(step.speak for step in steps) <= 1
    assert gather(reversed(changes), opened, staying) == steps
    left = max([staying, *(after for _, after, _ in moved.values())])
    assert any(step.action == Action.CANCEL for step in steps) == (bool(moved) and left == 0)
    for step in steps:
        if step.speak and step.action != Action.CANCEL:
            assert step.level == max(moved[street][1] for street in step.streets)
            assert all(moved[street][2] for street in step.streets) or opened == 0
