"""A person's word in the life of a level (alerts/assessment/lifecycle.py): decide, what overrules it, when it is over."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.assessment.hand_words import HandStory, hand_words
from alerts.assessment.lifecycle import (
    Action,
    Change,
    PlaceState,
    Policy,
    Step,
    advance,
    decide,
    gather,
    lapse,
)
from alerts.assessment.rules import Assessment, Level
from alerts.assessment.wording import PUSH_EN, PUSH_ZH

START = datetime(2023, 9, 7, 10, 0, tzinfo=UTC)
SLOT = timedelta(minutes=5)
HOUR = timedelta(hours=1)
STREET = "440303001"


def saw(level: int) -> Assessment:
    return Assessment(STREET, Level(level), bool(level), (), Level(level))


def slot(state: PlaceState | None, level: int, n: int) -> tuple[PlaceState, Change | None]:
    """The n-th slot with this level, believed at once and held as long as it is seen."""
    return advance(state, saw(level), level, START + n * SLOT)


def test_a_level_by_hand_is_in_force_and_said() -> None:
    state, change = decide(None, STREET, 3, START, START + HOUR)
    assert change == Change(STREET, Action.RAISE, 0, 3, "by hand", spoken=True)
    assert (state.in_force, state.level, state.said_level) == (3, 0, 3)


def test_the_same_level_holds_and_is_no_change() -> None:
    state, _ = slot(None, 2, 0)
    held, change = decide(state, STREET, 2, START, START + HOUR)
    assert (change, held.in_force, held.said_at) == (None, 2, state.said_at)
    for n in range(1, 12):
        held, change = slot(held, 0, n)
        assert change is None
    _, change = slot(held, 0, 12)
    assert change and (change.action, change.before, change.after) == (Action.CANCEL, 2, 0)


def test_an_override_ends_with_the_first_graver_level() -> None:
    state, _ = slot(None, 3, 0)
    state, change = decide(state, STREET, 1, START, START + 6 * HOUR)
    assert change and (change.action, change.after) == (Action.DOWNGRADE, 1)
    state, change = slot(state, 3, 1)
    assert change is None
    state, change = slot(state, 4, 2)
    assert change and (change.action, change.before, change.after, change.spoken) == (
        Action.UPGRADE,
        1,
        4,
        True,
    )
    seen = []
    for n in range(3, 40):
        state, change = slot(state, 0 if n > 20 else 3, n)
        seen += [change.after] if change else []
    assert seen == [3, 1]  # by the rules, but no deeper than his word


def test_what_he_ended_leaves_nothing_behind_where_the_rules_gave_nothing() -> None:
    state, _ = decide(None, STREET, 2, START, START + HOUR)
    state, change = decide(state, STREET, 0, START, START + HOUR)
    assert change and change.action == Action.CANCEL
    assert not state.stands


def test_under_a_graver_word_the_rules_move_unheard_and_speak_when_it_is_over() -> None:
    state, _ = decide(None, STREET, 4, START, START + HOUR)
    for n in range(1, 12):
        state, change = slot(state, 3, n)
        assert change is None
    state, change = slot(state, 3, 12)
    assert change and (change.action, change.after, change.spoken) == (Action.DOWNGRADE, 3, False)


def test_a_level_heard_by_hand_inside_the_hold_time_is_not_said_again() -> None:
    state, _ = decide(None, STREET, 3, START, START + HOUR / 2)
    state, _ = slot(state, 1, 1)
    state, change = slot(state, 1, 6)
    assert change and (change.after, change.spoken) == (1, False)
    state, change = slot(state, 3, 7)
    assert change and (change.after, change.spoken) == (3, False)


@pytest.mark.parametrize(("level", "until"), [(5, START + HOUR), (-1, START + HOUR), (1, START)])
def test_no_decision_is_refused(level: int, until: datetime) -> None:
    with pytest.raises(ValueError, match="no decision"):
        decide(None, STREET, level, START, until)


def test_the_end_of_what_nobody_knows_is_an_expiry_only_when_the_last_street_goes() -> None:
    gone = lapse(PlaceState(level=3), "a")
    assert gather([gone], 3, 0) == [Step(Action.EXPIRE, 0, ("a",), speak=True)]
    assert gather([gone], 3, 1) == [Step(Action.DOWNGRADE, 1, ("a",), speak=False)]


class HandLife(RuleBasedStateMachine):
    """One street through any weather and any word, beside the same street to which nobody ever says a word."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy()
        self.state = PlaceState()
        self.alone = PlaceState()  # the rules' own life
        self.at = START
        self.floor = 0  # what he decided
        self.over = 0  # what he overrode; 0 once something graver has come
        self.until: datetime | None = None

    def _take(self, reached: int, held: int, sure: bool) -> None:
        self.at += SLOT
        found = Assessment(STREET, Level(reached), sure and bool(reached), (), Level(reached if sure else 0))
        before = self.state.in_force
        stored = json.loads(json.dumps(self.state.to_json()))
        assert PlaceState.from_json(stored) == self.state
        self.state, change = advance(self.state, found, held, self.at, self.policy)
        assert advance(self.state, found, held, self.at, self.policy) == (self.state, None)
        self.alone, _ = advance(self.alone, found, held, self.at, self.policy)
        if self.until is not None and self.at >= self.until:
            self.floor, self.over, self.until = 0, 0, None
        if self.alone.level > max(self.floor, self.over):
            self.over = 0
        assert (
            (change.before, change.after) == (before, self.state.in_force)
            if change
            else before == self.state.in_force
        )
        if change is not None:
            rises = change.after > change.before
            assert change.action in (
                {Action.RAISE, Action.UPGRADE} if rises else {Action.DOWNGRADE, Action.CANCEL}
            )

    @rule(reached=st.integers(0, 4), more=st.integers(0, 4), sure=st.booleans(), times=st.integers(1, 10))
    def it_rains(self, reached: int, more: int, sure: bool, times: int) -> None:
        for _ in range(times):
            self._take(reached, min(4, reached + more), sure)

    @rule(level=st.integers(0, 4), slots=st.integers(1, 40))
    def a_person_decides(self, level: int, slots: int) -> None:
        before = self.state.in_force
        until = self.at + slots * SLOT
        self.state, change = decide(self.state, STREET, level, self.at, until)
        assert (change is None) == (level == before)
        self.floor, self.over, self.until = level, self.alone.level, until

    @rule(slots=st.integers(1, 20))
    def nothing_is_heard(self, slots: int) -> None:
        for _ in range(slots):
            self.at += SLOT
            assert advance(self.state, None, 0, self.at, self.policy) == (self.state, None)

    @precondition(lambda self: self.until is None)
    @rule()
    def it_dries_up(self) -> None:
        for _ in range(40):
            self._take(0, 0, True)
        assert not self.state.stands

    @invariant()
    def never_below_his_word(self) -> None:
        if self.until is not None:
            assert self.state.in_force >= self.floor

    @invariant()
    def never_deaf_to_what_is_graver(self) -> None:
        if self.alone.level > max(self.floor, self.over):
            assert self.state.in_force == self.alone.level

    @invariant()
    def never_back_to_what_he_overrode(self) -> None:
        if self.until is not None and self.alone.level <= self.over:
            assert self.state.in_force == self.floor

    @invariant()
    def without_a_word_the_rules_alone_decide(self) -> None:
        assert self.state.level == self.alone.level
        if self.until is None:
            assert self.state.in_force == self.alone.level


TestHandLife = HandLife.TestCase
TestHandLife.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), max_size=30)


@given(
    st.sampled_from(["rainstorm", "flood", "reservoir", "river", "tide"]),
    st.sampled_from(
        [Action.RAISE, Action.EXTEND, Action.UPGRADE, Action.DOWNGRADE, Action.CANCEL, Action.EXPIRE]
    ),
    NAMES,
    st.lists(NAMES, max_size=4),
    st.integers(1, 4),
    st.text(max_size=200),
    st.booleans(),
    st.booleans(),
)
def test_a_push_by_hand_stands_alone_in_its_length(
    hazard: str,
    action: Action,
    place: str,
    streets: list[str],
    level: int,
    note: str,
    blind: bool,
    drill: bool,
) -> None:
    over = action in (Action.CANCEL, Action.EXPIRE)
    story = HandStory(
        hazard, action, place, tuple(streets), 0 if over else level, START, START + HOUR, note, blind, drill
    )
    words = hand_words(story)
    assert len(words.push_zh) <= PUSH_ZH and len(words.push_en) <= PUSH_EN
    assert words.push_zh.startswith("【演练】") == drill
    assert ("值班人员研判" in words.body_zh) == (action is not Action.EXPIRE)
