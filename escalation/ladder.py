"""The ladder of 叫应 as a dry function: which rung is next, when, and why not. No Django, no clock.

Each person who owes a confirmation climbs alone: the same person again, then his B-post, then the duty desk of
the superior region. The two highest levels are chased (urgency 3 and 4). Defaults are a design guess after the
published five-minute wake rule (domain facts 2.1), to be data later. Night shortens, never lengthens.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

RUNGS = ("repeat", "deputy", "superior")
WAITS_S: dict[int, tuple[int, ...]] = {  # before each rung, and after the last before nobody is left to ask
    4: (60, 120, 120, 300),
    3: (180, 360, 360, 600),
}
NIGHT_FACTOR = 0.5
NIGHT_HOURS = frozenset({22, 23, 0, 1, 2, 3, 4, 5, 6})


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs one person will climb and the wait before each; frozen when the climb starts."""

    rungs: tuple[str, ...]
    waits_s: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.waits_s) != len(self.rungs) + 1 or any(wait < 0 for wait in self.waits_s):
            raise ValueError("a ladder has one wait before each rung and one after the last, none negative")


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do yet."""

    why: str


@dataclass(frozen=True, slots=True)
class Take:
    """Take this rung now; the next look is due at next_due_at."""

    number: int
    errand: str
    next_due_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """The climb is over: state is answered, stopped or exhausted."""

    state: str
    why: str


Step = Wait | Take | Stop


def ladder_for(urgency: int, sent_at_local: datetime, *, reachable: bool) -> Ladder | None:
    """The ladder of a message; None when its urgency is not chased.

    reachable: the person has a live device. One who has none cannot answer: the repeat is left out and the
    deputy is called at once.
    """
    waits = WAITS_S.get(urgency)
    if waits is None:
        return None
    if sent_at_local.hour in NIGHT_HOURS:
        waits = tuple(int(wait * NIGHT_FACTOR) for wait in waits)
    if reachable:
        return Ladder(RUNGS, waits)
    return Ladder(RUNGS[1:], (0, *waits[2:]))


def step(
    ladder: Ladder, taken: int, due_at: datetime, now: datetime, *, answered: str = "", ended: str = ""
) -> Step:
    """What to do with a climb that has taken `taken` rungs and is due at `due_at`.

    answered, ended: why it was answered or why the message no longer stands; empty when not.
    """
    if answered:
        return Stop("answered", answered)
    if ended:
        return Stop("stopped", ended)
    if now < due_at:
        return Wait(f"rung {taken + 1} is due at {due_at.isoformat()}")
    if taken >= len(ladder.rungs):
        return Stop("exhausted", f"nobody answered after {len(ladder.rungs)} rungs")
    return Take(taken, ladder.rungs[taken], now + timedelta(seconds=ladder.waits_s[taken + 1]))
