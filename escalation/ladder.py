"""The ladder of 叫应 as dry functions: which rung is next, when, and why not. No Django, no clock.

Each person who owes a confirmation climbs alone: the same person again, by the app, by text message, by a call that
asks for a key; his B-post, the duty desk of the superior region, at last a person with a telephone (the call-out desk).
Which rungs, after how long and for whom is a table (`Table`, ladder_table.py); its defaults are a design guess after the
published five-minute wake rule (domain facts 2.1).
"""

from collections.abc import Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

REPEAT: Final = "repeat"
DESK: Final = "desk"
APP: Final = "app"  # push and socket, whatever the phone has
SMS: Final = "sms"
VOICE: Final = "voice"  # a call that is answered by a key
PERSON: Final = "person"  # the desk calls by hand
ERRANDS: Final = (REPEAT, "deputy", "superior", DESK)
CHANNELS: Final = (APP, SMS, VOICE, PERSON)
ALWAYS: Final = frozenset({APP, PERSON})  # the other channels are there when somebody has set them up


class Reach(StrEnum):
    """Whether the silent person himself can be asked again, when his climb starts."""

    RINGS = "rings"  # he has a live device
    DARK = "dark"  # he has none: the app cannot ring him, a text message or a call may
    CANNOT = "cannot"  # he has said that he cannot go


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs one person will climb, the channel of each, the wait before each and after the last, in seconds.

    Frozen when the climb starts. `of_group`: so many answers do for all of his group, which are the keepers of the
    station the message names, or those called in his region where it names none; None: each must answer. `channels`
    empty: all by the app.
    """

    rungs: tuple[str, ...]
    waits_s: tuple[int, ...]
    channels: tuple[str, ...] = ()
    of_group: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if len(self.waits_s) != len(self.rungs) + 1 or any(wait < 0 for wait in self.waits_s):
            raise ValueError("a ladder has one wait before each rung and one after the last, none negative")
        if self.channels and len(self.channels) != len(self.rungs):
            raise ValueError("a ladder has one channel for each rung")

    def channel(self, number: int) -> str:
        return self.channels[number] if self.channels else APP

    def by(self, configured: Set[str]) -> "Ladder":
        """What these channels can do: on another one he is not asked again, and others are asked by the app."""
        there = ALWAYS | configured
        kept = [n for n, errand in enumerate(self.rungs) if errand != REPEAT or self.channel(n) in there]
        channels = tuple(self.channel(n) if self.channel(n) in there else APP for n in kept)
        return self._only(kept, channels, self.waits_s[kept[0]] if kept else 0)

    def for_one(self, reach: Reach) -> "Ladder":
        """Without what would not reach him; who cannot be rung, or cannot go, is not waited for: first rung at once."""
        if reach is Reach.RINGS:
            return self
        kept = [
            n
            for n, errand in enumerate(self.rungs)
            if errand != REPEAT or (reach is Reach.DARK and self.channel(n) != APP)
        ]
        return self._only(kept, tuple(self.channel(n) for n in kept), 0)

    def _only(self, kept: list[int], channels: tuple[str, ...], first_s: int) -> "Ladder":
        """These rungs, each with the wait it had before; what is left out is not waited for."""
        waits = (first_s, *(self.waits_s[n] for n in kept[1:])) if kept else ()
        return Ladder(
            tuple(self.rungs[n] for n in kept), (*waits, self.waits_s[-1]), channels, of_group=self.of_group
        )

    def at_night(self, factor: float) -> "Ladder":
        """Night shortens, never lengthens."""
        waits = tuple(int(wait * factor) for wait in self.waits_s)
        return Ladder(self.rungs, waits, self.channels, of_group=self.of_group)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do yet."""

    why: str


@dataclass(frozen=True, slots=True)
class Take:
    """Take this rung now; the next look is due at next_due_at. Rungs between are left out."""

    number: int
    errand: str
    next_due_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """The climb is over: state is answered, stopped or exhausted."""

    state: str
    why: str


Step = Wait | Take | Stop


def step(
    ladder: Ladder,
    taken: int,
    due_at: datetime,
    now: datetime,
    *,
    answered: str = "",
    ended: str = "",
    cannot: bool = False,
) -> Step:
    """What to do with a climb that stands on rung `taken` (0: none yet) and is due at `due_at`.

    answered, ended: why it was answered or why the message no longer stands; empty when not. cannot: he says that
    he cannot go: he is not rung again, and unless somebody else was called already the next one is, at once.
    """
    if answered:
        return Stop("answered", answered)
    if ended:
        return Stop("stopped", ended)
    number = taken
    if cannot:
        number = next(
            (n for n in range(taken, len(ladder.rungs)) if ladder.rungs[n] != REPEAT), len(ladder.rungs)
        )
    others_called = any(errand != REPEAT for errand in ladder.rungs[:taken])
    at_once = cannot and number < len(ladder.rungs) and not others_called
    if now < due_at and not at_once:
        return Wait(f"rung {number + 1} is due at {due_at.isoformat()}")
    if number >= len(ladder.rungs):
        return Stop("exhausted", f"nobody answered after {len(ladder.rungs)} rungs")
    return Take(number, ladder.rungs[number], now + timedelta(seconds=ladder.waits_s[number + 1]))
