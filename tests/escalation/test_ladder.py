"""The ladder as a machine: rungs in order, one at a time, never after an answer, never silent before its end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from escalation.ladder import APP, PERSON, REPEAT, SMS, VOICE, Ladder, Reach, Stop, Take, Wait, step
from escalation.ladder_table import DEFAULT, KINDS
from foundation.clock import local

START = datetime(2026, 9, 7, 4, tzinfo=UTC)  # noon in Shenzhen
RUNGS = ("repeat", "deputy", "superior")
urgencies = st.sampled_from([3, 4])
kinds = st.sampled_from(KINDS[1:])
steps = st.sampled_from(
    [
        *((REPEAT, channel) for channel in (APP, SMS, VOICE)),
        ("deputy", APP),
        ("deputy", VOICE),
        ("superior", APP),
        ("desk", PERSON),
    ]
)
waits = st.integers(0, 900)
ladders = st.lists(steps, min_size=1, max_size=6).flatmap(
    lambda rungs: st.builds(
        Ladder,
        st.just(tuple(errand for errand, _ in rungs)),
        st.tuples(*[waits] * (len(rungs) + 1)),
        st.just(tuple(channel for _, channel in rungs)),
    )
)
gateways = st.sets(st.sampled_from([SMS, VOICE])).map(frozenset)
reaches = st.sampled_from(Reach)
instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


class OnePersonsClimb(RuleBasedStateMachine):
    """Looks come at any time, early, late or doubled, as sweeps do; answers and ends at any time between them."""

    @initialize(ladder=ladders, configured=gateways, reach=reaches, night=st.booleans())
    def begin(self, ladder: Ladder, configured: frozenset[str], reach: Reach, night: bool) -> None:
        ladder = ladder.at_night(0.5) if night else ladder
        self.ladder = ladder.by(configured).for_one(reach)
        self.began_at = self.now = START
        self.due_at = START + timedelta(seconds=self.ladder.waits_s[0])
        self.stands = 0
        self.taken: list[tuple[int, str]] = []
        self.answered = self.ended = ""
        self.cannot = False
        self.over: Stop | None = None

    @rule(passed_s=st.integers(0, 900))
    def time_passes(self, passed_s: int) -> None:
        self.now += timedelta(seconds=passed_s)

    def next_step(self) -> Take | Wait | Stop:
        return step(
            self.ladder,
            self.stands,
            self.due_at,
            self.now,
            answered=self.answered,
            ended=self.ended,
            cannot=self.cannot,
        )

    @precondition(lambda self: not self.over)
    @rule()
    def look(self) -> None:
        was_due = self.due_at
        match self.next_step():
            case Take(number, errand, next_due_at):
                assert not self.answered and not self.ended
                others = [errand for _, errand in self.taken if errand != REPEAT]
                assert was_due <= self.now or (self.cannot and not others)
                assert next_due_at == self.now + timedelta(seconds=self.ladder.waits_s[number + 1])
                assert errand != REPEAT or not self.cannot
                self.taken.append((number, errand))
                self.stands, self.due_at = number + 1, next_due_at
            case Wait(why):
                assert self.now < self.due_at and why
            case Stop() as stop:
                self.over = stop

    @precondition(lambda self: not self.over)
    @rule()
    def he_cannot_go(self) -> None:
        self.cannot = True

    @precondition(lambda self: not self.over)
    @rule()
    def he_goes_after_all(self) -> None:
        self.cannot = False

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
            numbers = [number for number, _ in self.taken]
            assert numbers == sorted(set(numbers))
            assert [errand for _, errand in self.taken] == [self.ladder.rungs[number] for number in numbers]

    @invariant()
    def only_repeats_are_left_out(self) -> None:
        if hasattr(self, "taken"):
            skipped = set(range(self.stands)) - {number for number, _ in self.taken}
            assert {self.ladder.rungs[number] for number in skipped} <= {REPEAT}

    @invariant()
    def two_looks_at_one_instant_are_one_rung(self) -> None:
        """What was just taken is followed by its wait, unless the table says that there is none."""
        if hasattr(self, "taken") and self.taken and not self.over and self.due_at > self.now:
            assert not isinstance(self.next_step(), Take) or (
                self.cannot and all(errand == REPEAT for _, errand in self.taken)
            )

    @invariant()
    def it_is_never_silent_before_its_end(self) -> None:
        """There is always a next instant at which something happens, and it is not far away."""
        if hasattr(self, "due_at") and not self.over and self.due_at > self.now:
            assert self.due_at - self.now <= timedelta(seconds=max(self.ladder.waits_s))

    @invariant()
    def the_end_says_why(self) -> None:
        if hasattr(self, "over") and self.over:
            left = self.ladder.rungs[self.stands :]
            exhausted = not left or (self.cannot and set(left) == {REPEAT})
            wanted = "answered" if self.answered else "stopped" if self.ended else "exhausted"
            assert self.over.state == wanted
            assert self.over.state != "exhausted" or exhausted
            assert self.over.why


TestOnePersonsClimb = OnePersonsClimb.TestCase


def at_hour(hour: int) -> datetime:
    return local(START).replace(hour=hour)


@pytest.mark.parametrize("urgency", [0, 1, 2, 5, -1])
def test_what_is_not_grave_is_not_chased(urgency: int) -> None:
    assert DEFAULT.ladder_for("warning", urgency, at_hour(12)) is None


def of_default(
    kind: str,
    urgency: int,
    at: datetime,
    reach: Reach = Reach.RINGS,
    configured: frozenset[str] = frozenset(),
) -> Ladder:
    ladder = DEFAULT.ladder_for(kind, urgency, at, reach=reach, configured=configured)
    assert ladder is not None
    return ladder


@given(kinds, urgencies, st.integers(0, 23), reaches, gateways)
def test_night_never_lengthens_a_wait(
    kind: str, urgency: int, hour: int, reach: Reach, configured: frozenset[str]
) -> None:
    day, then = (of_default(kind, urgency, at_hour(h), reach, configured) for h in (12, hour))
    assert (then.rungs, then.channels, then.of_group) == (day.rungs, day.channels, day.of_group)
    assert all(night <= light for night, light in zip(then.waits_s, day.waits_s, strict=True))
    assert (then != day) is (hour >= 22 or hour < 7)


@given(kinds, st.integers(0, 23), reaches, gateways)
def test_the_graver_message_is_never_the_slower(
    kind: str, hour: int, reach: Reach, configured: frozenset[str]
) -> None:
    grave, graver = (of_default(kind, n, at_hour(hour), reach, configured) for n in (3, 4))
    assert all(fast <= slow for fast, slow in zip(graver.waits_s, grave.waits_s, strict=True))


@given(kinds, urgencies, instants)
def test_who_cannot_go_has_his_deputy_called_at_once(kind: str, urgency: int, at: datetime) -> None:
    ladder = of_default(kind, urgency, local(at), Reach.CANNOT, frozenset({SMS, VOICE}))
    assert (ladder.rungs, ladder.waits_s[0]) == (("deputy", "superior", "desk"), 0)


@pytest.mark.parametrize(
    ("configured", "asked"),
    [((), []), ((SMS,), [SMS]), ((VOICE,), [VOICE]), ((SMS, VOICE), [SMS, VOICE])],
)
def test_who_has_no_live_device_is_asked_at_once_by_what_needs_none(
    configured: tuple[str, ...], asked: list[str]
) -> None:
    ladder = of_default("order", 4, at_hour(12), Reach.DARK, frozenset(configured))
    assert ladder.waits_s[0] == 0
    assert ladder.rungs == (*[REPEAT] * len(asked), "deputy", "superior", "desk")
    assert ladder.channels == (*asked, APP, APP, PERSON)


@given(ladders, gateways)
def test_no_rung_leads_into_the_void_and_nobody_else_is_left_out(
    ladder: Ladder, configured: frozenset[str]
) -> None:
    left = ladder.by(configured)
    assert set(left.channels) <= {APP, PERSON} | configured
    others = [errand for errand in ladder.rungs if errand != REPEAT]
    assert [errand for errand in left.rungs if errand != REPEAT] == others
    assert sum(left.waits_s) <= sum(ladder.waits_s)
    assert ladder.by(frozenset({SMS, VOICE})) == ladder


@given(kinds, st.integers(0, 23), reaches, gateways)
def test_somebody_else_hears_within_the_five_minutes_of_the_rule(
    kind: str, hour: int, reach: Reach, configured: frozenset[str]
) -> None:
    ladder = of_default(kind, 4, at_hour(hour), reach, configured)
    superior = ladder.rungs.index("superior")
    assert sum(ladder.waits_s[: superior + 1]) <= 300


@given(urgencies, instants, reaches, gateways)
def test_with_nobody_answering_every_rung_is_taken_and_then_it_ends(
    urgency: int, at: datetime, reach: Reach, configured: frozenset[str]
) -> None:
    ladder = of_default("order", urgency, local(at), reach, configured)
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


def test_who_cannot_go_is_not_rung_again_and_his_deputy_is_called_at_once() -> None:
    ladder = Ladder(("repeat", "repeat", "deputy", "repeat", "desk"), (60, 60, 60, 60, 60, 60))
    due_at = START + timedelta(seconds=60)
    after = START + timedelta(seconds=60)
    assert step(ladder, 0, due_at, START, cannot=True) == Take(2, "deputy", after)
    assert isinstance(step(ladder, 3, due_at, START, cannot=True), Wait)
    assert step(ladder, 3, due_at, due_at, cannot=True) == Take(4, "desk", due_at + timedelta(seconds=60))


@pytest.mark.parametrize("waits", [(), (1, 2, 3), (1, 2, 3, 4, 5), (1, -1, 2, 3)])
def test_a_ladder_without_its_waits_is_refused(waits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wait"):
        Ladder(RUNGS, waits)
