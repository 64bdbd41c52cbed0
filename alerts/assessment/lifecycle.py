"""The life of a level in one place, a street or a station, and what the changes of one slot become for a district.

Owns the transition function: raise, upgrade, downgrade, cancel, the hold time, and the gathering into steps
that people hear of; and what a person's word does to a level while it holds. Does not own the level itself (rules.py
for rain, stages.py for water levels), the words, the rows. Time is slot time, the END of the 5-minute slot, or the
instant of a stage's reading, never a clock: a replay at any speed takes the same steps. Source: project domain notes
1.4 and 5 (hysteresis). Once said, a level in force is never repeated, also not after the hold time: repetition teaches
people to look away, and whoever has not answered is the escalation's business. The file is long because the rules'
step and a person's word are one state.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from alerts.assessment.rules import Level

_TIMES: Final = ("pending_since", "below_since", "said_at", "seen_at", "hand_until")
_NOT_LOW: Final[dict[str, Any]] = {"below_since": None, "below_peak": 0, "below_slots": 0}


class Action(StrEnum):
    """What happens to a level; the same words as alerts.models.WarningAction."""

    RAISE = "raise"
    """There was nothing; now there is a warning."""
    EXTEND = "extend"
    """A warning is open; more of the district is in it, at or below its level."""
    UPGRADE = "upgrade"
    """The level has grown."""
    DOWNGRADE = "downgrade"
    """The level has fallen, or part of the district is out of it; the warning stays open."""
    CANCEL = "cancel"
    """It is over."""
    HOLD = "hold"
    """A person keeps the level; nobody is told anything new."""
    EXPIRE = "expire"
    """Nothing was heard any more, or the time a person set is over: nobody knows that it is over."""
    SILENT = "silent"
    """Nothing is heard of it any more; the level stays. Said by the keeper of the rows, never by `advance`."""


class Finding(Protocol):
    """What was found of a place at one instant: rules.Assessment of a street, stages.Assessment of a station."""

    @property
    def place(self) -> str:
        """Code of the street or station."""

    @property
    def level(self) -> int: ...

    @property
    def corroborated(self) -> bool:
        """`level` may be in force at once; else it waits for Policy.confirm_slots."""

    @property
    def sure(self) -> int:
        """The highest corroborated level."""

    @property
    def why(self) -> str:
        """The gravest reason in one line; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How many slots confirm a level by themselves, and the times of lowering and of silence, in seconds.

    `lower_slots`: this many low slots running lower it as well, whatever the time; 0: only the time does.
    `lapse_s`: after a longer gap between slots with values, a started confirmation or lowering starts anew.
    """

    confirm_slots: int = 2
    lower_after_s: int = 1800
    hold_s: int = 3600
    lapse_s: int = 900
    lower_slots: int = 0

    def __post_init__(self) -> None:
        if self.confirm_slots < 1 or min(self.lower_after_s, self.hold_s, self.lapse_s, self.lower_slots) < 0:
            raise ValueError(f"{self} has a count below 1 or a negative time")


@dataclass(frozen=True, slots=True)
class PlaceState:
    """Where a street or station stands. `level` is the rules' own; `said_level`/`said_at` are what its people heard last.

    `in_force` is `level` where no person has spoken. Until `hand_until` it is at least `hand_level`, and what the rules
    give up to `hand_over`, the level they gave when he spoke, does not change it. `pending` is the lowest level seen in
    each of the last `pending_slots` slots, above `level` and not yet confirmed; `below_peak` is the highest level held
    since `below_since`, in `below_slots` slots running; `seen_at` the last slot with values.
    """

    level: int = 0
    pending: int = 0
    pending_since: datetime | None = None
    below_since: datetime | None = None
    said_level: int = 0
    said_at: datetime | None = None
    pending_slots: int = 0
    below_peak: int = 0
    seen_at: datetime | None = None
    below_slots: int = 0
    hand_level: int = 0
    hand_until: datetime | None = None
    hand_over: int = 0

    @property
    def in_force(self) -> int:
        """The level that people live under."""
        return self.hand_level if self.level <= self.hand_over else max(self.level, self.hand_level)

    @property
    def stands(self) -> bool:
        """Whether there is anything to remember of the place."""
        return bool(self.level or self.pending or self.hand_until)

    def to_json(self) -> dict[str, int | str | None]:
        """Plain values for a JSON column; times as ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The state as stored; a key of another release is ignored, an absent one takes its default."""
        names = {field.name for field in fields(cls)}
        values = {k: v for k, v in stored.items() if k in names}
        for name in _TIMES:
            if values.get(name):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Change:
    """One place's level in force changed. `spoken` is False where its people heard it inside the hold time."""

    place: str
    action: Action
    before: int
    after: int
    why: str
    spoken: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a district's warning.

    `level`: of a rise, the highest level of the streets addressed; of a fall, the district's level after it
    (0: cancelled). `streets`: those addressed when `speak`, else those that changed; a cancel names the
    streets that ended it, and the caller addresses all that had been told. `unsaid`: streets that rose with
    the others but heard this level inside the hold time.
    """

    action: Action
    level: int
    streets: tuple[str, ...]
    speak: bool
    unsaid: tuple[str, ...] = ()


def advance(
    state: PlaceState | None,
    finding: Finding | None,
    held_level: int,
    slot_at: datetime,
    policy: Policy = Policy(),
) -> tuple[PlaceState, Change | None]:
    """The place's next state after the slot that ENDS at `slot_at` (aware), and the change, if any.

    `finding` None: the slot has no values; the state is held, nothing is lowered by absence. `held_level`
    comes from low_water of rules.py or stages.py. A slot older than the last one seen changes nothing; the same
    slot may be assessed again (late values), but it never counts twice. Raises ValueError for a naive time.
    """
    if slot_at.tzinfo is None:
        raise ValueError("slot_at needs a time zone")
    state = state or PlaceState()
    if finding is None or (state.seen_at is not None and slot_at < state.seen_at):
        return state, None
    before, state = state, _forget_old_evidence(_without_hand_over(state, slot_at), slot_at, policy)
    reached = int(finding.level)
    sure = reached if finding.corroborated else int(finding.sure)
    target, state = _confirm(state, reached, sure, slot_at, policy)
    change: Change | None
    if target > state.level:
        state, change = _rise(state, target, finding, slot_at, policy)
    else:
        state, change = _settle(state, max(int(held_level), reached), finding.place, slot_at, policy)
    if before.hand_until is not None:
        state, change = _under_hand(before, state, finding, change, slot_at, policy)
    return replace(state, seen_at=slot_at), change


def decide(
    state: PlaceState | None, place: str, level: int, at: datetime, until: datetime
) -> tuple[PlaceState, Change | None]:
    """A person sets the level in force from `at` on; the rules decide again from the slot that ENDS at `until` on.

    Both aware, data time. The same level as before holds it: no change, nothing said. 0 ends it; then the rules may
    raise only what is graver than what they gave. Raises ValueError for a level outside 0..4 or an end before `at`.
    """
    if not 0 <= level <= 4 or until <= at:
        raise ValueError(f"level {level} from {at} to {until} is no decision")
    state = state or PlaceState()
    before = state.in_force
    state = replace(state, hand_level=level, hand_until=until, hand_over=state.level)
    if level == before:
        return state, None
    said_at = at if level else None
    return _needed(replace(state, said_level=level, said_at=said_at)), _moved(place, before, level, "by hand")


def lapse(state: PlaceState, place: str) -> Change:
    """The end of a level of which nothing is known any more; the caller forgets the state."""
    return Change(place, Action.EXPIRE, state.in_force, 0, "nothing is heard any more")


def _without_hand_over(state: PlaceState, slot_at: datetime) -> PlaceState:
    over = state.hand_until is not None and slot_at >= state.hand_until
    return replace(state, hand_level=0, hand_until=None, hand_over=0) if over else state


def _needed(state: PlaceState) -> PlaceState:
    """The state without a hand that changes nothing."""
    idle = not state.hand_level and not state.hand_over
    return replace(state, hand_until=None) if idle else state


def _under_hand(
    before: PlaceState,
    ruled: PlaceState,
    finding: Finding,
    change: Change | None,
    slot_at: datetime,
    policy: Policy,
) -> tuple[PlaceState, Change | None]:
    """What the rules' step is to people where a person has spoken, or whose time is over with this slot.

    A level graver than what he overrode ends his override for good: he has not seen it coming.
    """
    state = replace(ruled, said_level=before.said_level, said_at=before.said_at)
    if state.level > state.hand_over:
        state = _needed(replace(state, hand_over=0))
    if state.in_force == before.in_force:
        return state, None
    why = change.why if change else "a person's time is over" if state.hand_until is None else ""
    moved = _moved(finding.place, before.in_force, state.in_force, why)
    if moved.after > moved.before:
        spoken, state = _say(state, moved.after, slot_at, policy)
        return state, replace(moved, spoken=spoken)
    if not moved.after:
        state = replace(state, said_level=0, said_at=None)
    return state, replace(moved, spoken=not moved.after)


def _moved(place: str, before: int, after: int, why: str) -> Change:
    if after > before:
        return Change(place, Action.UPGRADE if before else Action.RAISE, before, after, why)
    return Change(place, Action.DOWNGRADE if after else Action.CANCEL, before, after, why)


def _say(state: PlaceState, target: int, slot_at: datetime, policy: Policy) -> tuple[bool, PlaceState]:
    """Whether a higher level is said: not where the same or a higher one was said inside the hold time."""
    held = state.said_at is not None and slot_at - state.said_at < timedelta(seconds=policy.hold_s)
    if target <= state.said_level and held:
        return False, state
    return True, replace(state, said_level=target, said_at=slot_at)


def _forget_old_evidence(state: PlaceState, slot_at: datetime, policy: Policy) -> PlaceState:
    """Across a long gap neither "twice in a row" nor "low for half an hour" has been seen."""
    if state.seen_at is None or slot_at - state.seen_at <= timedelta(seconds=policy.lapse_s):
        return state
    return replace(_unpended(state), **_NOT_LOW)


def _unpended(state: PlaceState) -> PlaceState:
    return replace(state, pending=0, pending_since=None, pending_slots=0)


def _confirm(
    state: PlaceState, reached: int, sure: int, slot_at: datetime, policy: Policy
) -> tuple[int, PlaceState]:
    """(the level that may be in force now, the state with what still waits for another slot)."""
    if reached <= state.level:
        return state.level, _unpended(state)
    if not state.pending:
        state = replace(state, pending=reached, pending_since=slot_at, pending_slots=1)
    elif slot_at != state.seen_at:
        state = replace(state, pending=min(state.pending, reached), pending_slots=state.pending_slots + 1)
    confirmed = state.pending if state.pending_slots >= policy.confirm_slots else 0
    target = max(state.level, sure, confirmed)
    if state.pending <= target:
        state = _unpended(state)
        if reached > target:
            state = replace(state, pending=reached, pending_since=slot_at, pending_slots=1)
    return target, state


def _rise(
    state: PlaceState, target: int, finding: Finding, slot_at: datetime, policy: Policy
) -> tuple[PlaceState, Change]:
    """A higher level comes into force, said unless the same or a higher one was said inside the hold time."""
    sure = finding.level if finding.corroborated else finding.sure
    by = "corroborated" if sure >= target else f"seen in {policy.confirm_slots} slots running"
    why = f"{finding.why}; {by}" if finding.why else by
    spoken, said = _say(state, target, slot_at, policy)
    change = replace(_moved(finding.place, state.level, target, why), spoken=spoken)
    return replace(said, level=target, **_NOT_LOW), change


def _settle(
    state: PlaceState, held: int, place: str, slot_at: datetime, policy: Policy
) -> tuple[PlaceState, Change | None]:
    """The level stays, or, low for long enough, falls to the highest level held in that time.

    At 0 everything is forgotten, also what was said: rain that comes back after the end is told anew.
    """
    if held >= state.level:
        return replace(state, **_NOT_LOW), None
    since = state.below_since or slot_at
    peak = max(held, state.below_peak)
    slots = state.below_slots + (slot_at != state.seen_at or not state.below_slots)
    enough = bool(policy.lower_slots) and slots >= policy.lower_slots
    if not enough and slot_at - since < timedelta(seconds=policy.lower_after_s):
        return replace(state, below_since=since, below_peak=peak, below_slots=slots), None
    why = f"below the lower mark of {Level(state.level).name.lower()} since {since.isoformat()}"
    change = replace(_moved(place, state.level, peak, why), spoken=not peak)
    if not peak:
        state = replace(state, said_level=0, said_at=None)
    if held < peak:
        return replace(state, level=peak, below_since=slot_at, below_peak=held, below_slots=1), change
    return replace(state, level=peak, **_NOT_LOW), change


def gather(changes: Iterable[Change], open_warning_level: int, staying_level: int) -> list[Step]:
    """The steps of one district for the changes of one slot: at most one rise, then at most one fall.

    `open_warning_level`: the district's level before the slot, 0 when no warning is open. `staying_level`:
    the highest level among its streets that did not change, 0 when there is none; without it nobody can know
    whether the street that ends is the last. At most one step speaks, so a person hears one message. With no
    open warning a rise is news to everybody and is said to all; a fall has nothing to end and is no step.
    """
    ordered = sorted(changes, key=lambda change: (-change.after, change.place))
    rose = [change for change in ordered if change.after > change.before]
    fell = [change for change in ordered if change.after < change.before]
    steps = []
    if rose:
        said = [change for change in rose if change.spoken or not open_warning_level]
        shown = said or rose
        top = shown[0].after
        if not open_warning_level:
            action = Action.RAISE
        else:
            action = Action.UPGRADE if top > open_warning_level else Action.EXTEND
        unsaid = tuple(change.place for change in rose if change not in shown)
        steps.append(Step(action, top, tuple(change.place for change in shown), bool(said), unsaid))
    if fell and open_warning_level:
        left = max(staying_level, ordered[0].after)
        ends = Action.EXPIRE if any(change.action is Action.EXPIRE for change in fell) else Action.CANCEL
        action = Action.DOWNGRADE if left else ends
        steps.append(Step(action, left, tuple(change.place for change in fell), speak=not left))
    return steps
