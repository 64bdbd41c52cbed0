"""The ladder as a machine: rungs in order, one at a time, never after an answer, never silent before its end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from escalation.ladder import NIGHT_HOURS, RUNGS, WAITS_S, Ladder, Stop, Take, Wait, ladder_for, step
from foundation.clock import local

START = datetime(2026, 9, 7, 4, tzinfo=UTC)  # noon in Shenzhen
urgencies = st.sampled_from(sorted(WAITS_S))
instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


class OnePersonsClimb(RuleBasedStateMachine):
    """Looks come at any time, early, late or doubled, as sweeps do; answers and ends at any time between them."""

    @initialize(urgency=urgencies, reachable=st.booleans(), hour=st.integers(0, 23))
    def begin(self, urgency: int, reachable: bool, hour: int) -> None:
        self.began_at = self.now = START + timedelta(hours=hour)
        ladder = ladder_for(urgency, local(self.began_at), reachable=reachable)
        assert ladder is not None
        self.ladder = ladder
        self.due_at = self.began_at + timedelta(seconds=ladder.waits_s[0])
        self.taken: list[str] = []
        self.answered = self.ended = ""
        self.over: Stop | None = None

    @rule(passed_s=st.integers(0, 900))
    def time_passes(self, passed_s: int) -> None:
        self.now += timedelta(seconds=passed_s)

    @precondition(lambda self: not self.over)
    @rule()
    def look(self) -> None:
        was_due, before = self.due_at, list(self.taken)
        match step(
            self.ladder, len(self.taken), self.due_at, self.now, answered=self.answered, ended=self.ended
        ):
            case Take(number, errand, next_due_at):
                assert not self.answered and not self.ended
                assert was_due <= self.now < next_due_at or self.ladder.waits_s[number + 1] == 0
                assert number == len(before)
                self.taken.append(errand)
                self.due_at = next_due_at
            case Wait(why):
                assert self.now < self.due_at and why
            case Stop() as stop:
                self.over = stop

    @precondition(lambda self: not self.over)
    @rule()
    def the_person_answers(self) -> None:
        self.answered = "confirmed"

    @precondition(lambda self: not self.over)
    @rule()
    def the_message_ends(self) -> None:
        self.ended = "order withdrawn"

    @invariant()
    def rungs_come_in_order_and_none_twice(self) -> None:
        if hasattr(self, "taken"):
            assert tuple(self.taken) == self.ladder.rungs[: len(self.taken)]

    @invariant()
    def it_is_never_silent_before_its_end(self) -> None:
        """There is always a next instant at which something happens, and it is not far away."""
        if hasattr(self, "due_at") and not self.over and self.due_at > self.now:
            assert self.due_at - self.now <= timedelta(seconds=max(self.ladder.waits_s))

    @invariant()
    def the_end_says_why(self) -> None:
        if hasattr(self, "over") and self.over:
            exhausted = len(self.taken) == len(self.ladder.rungs)
            wanted = "answered" if self.answered else "stopped" if self.ended else "exhausted"
            assert self.over.state == wanted
            assert self.over.state != "exhausted" or exhausted
            assert self.over.why


TestOnePersonsClimb = OnePersonsClimb.TestCase


def at_hour(hour: int) -> datetime:
    return local(START).replace(hour=hour)


@pytest.mark.parametrize("urgency", [0, 1, 2, 5, -1])
def test_what_is_not_grave_is_not_chased(urgency: int) -> None:
    assert ladder_for(urgency, at_hour(12), reachable=True) is None


@given(urgencies, st.integers(0, 23), st.booleans())
def test_night_never_lengthens_a_wait(urgency: int, hour: int, reachable: bool) -> None:
    day, then = (ladder_for(urgency, at_hour(h), reachable=reachable) for h in (12, hour))
    assert day is not None and then is not None
    assert then.rungs == day.rungs
    assert all(night <= light for night, light in zip(then.waits_s, day.waits_s, strict=True))
    assert (then != day) is (hour in NIGHT_HOURS)


@given(st.integers(0, 23), st.booleans())
def test_the_graver_message_is_never_the_slower(hour: int, reachable: bool) -> None:
    grave, graver = (ladder_for(urgency, at_hour(hour), reachable=reachable) for urgency in (3, 4))
    assert grave is not None and graver is not None
    assert all(fast <= slow for fast, slow in zip(graver.waits_s, grave.waits_s, strict=True))


@given(urgencies, instants)
def test_who_cannot_be_rung_has_his_deputy_called_at_once(urgency: int, at: datetime) -> None:
    ladder = ladder_for(urgency, local(at), reachable=False)
    assert ladder is not None
    assert (ladder.rungs, ladder.waits_s[0]) == (RUNGS[1:], 0)


@given(urgencies, instants, st.booleans())
def test_with_nobody_answering_every_rung_is_taken_and_then_it_ends(
    urgency: int, at: datetime, reachable: bool
) -> None:
    ladder = ladder_for(urgency, local(at), reachable=reachable)
    assert ladder is not None
    taken, due_at = [], at + timedelta(seconds=ladder.waits_s[0])
    while isinstance(took := step(ladder, len(taken), due_at, due_at), Take):
        taken.append(took.errand)
        due_at = took.next_due_at
    assert isinstance(took, Stop) and took.state == "exhausted"
    assert tuple(taken) == ladder.rungs
    assert due_at - at == timedelta(seconds=sum(ladder.waits_s))


def test_a_late_look_takes_one_rung_and_the_next_waits_its_full_time() -> None:
    ladder = Ladder(RUNGS, (60, 120, 120, 300))
    late = START + timedelta(hours=1)
    assert step(ladder, 0, START, late) == Take(0, "repeat", late + timedelta(seconds=120))


@pytest.mark.parametrize("waits", [(), (1, 2, 3), (1, 2, 3, 4, 5), (1, -1, 2, 3)])
def test_a_ladder_without_its_waits_is_refused(waits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wait"):
        Ladder(RUNGS, waits)
