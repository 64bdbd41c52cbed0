"""What a simulated officer does when his phone rings, and what he has yet to do. SYNTHETIC: shares are made up.

Owns the decision, drawn by hash of the push token and the message's id, so a storm played twice is answered alike,
and the agenda of answers not yet given. Knows no network, no clock and no Django; officers.py gives the answers.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import count

# receipt states of the outside contract
DELIVERED, SHOWN, OPENED, CONFIRMED = "delivered", "shown", "opened", "confirmed"
BEACONS = (DELIVERED, SHOWN)  # said by the app itself when the push comes
BEACON_S = 1.0  # from the ring to the app's own word
SOONEST_S, OPENING_SPREAD_S = 5.0, 40.0  # from the ring to the opening
READING_S, READING_SPREAD_S = 3.0, 12.0  # from the opening to the confirmation: 60 s at most in all
MOST_IN_ONE_REQUEST = 500  # the door takes no more at once


class Habit(StrEnum):
    """What this officer does about this message."""

    PROMPT = "prompt"  # opens and confirms within a minute of the first push, by night as by day
    GLANCES = "glances"  # opens it and leaves it at that
    LATE = "late"  # does nothing until it rings again
    NEVER = "never"


SHARES: Mapping[Habit, float] = {
    Habit.PROMPT: 0.55,
    Habit.GLANCES: 0.15,
    Habit.LATE: 0.15,
    Habit.NEVER: 0.15,
}
DEPUTY_SHARES: Mapping[Habit, float] = {  # he is called because a colleague is silent
    Habit.PROMPT: 0.75,
    Habit.GLANCES: 0.10,
    Habit.LATE: 0.05,
    Habit.NEVER: 0.10,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One receipt, `after_s` seconds after the push."""

    state: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What this push brings about, in order, and the habit that says why."""

    habit: Habit
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A receipt whose time has come, or a chore (fieldwork.py); `at` is the phone's clock, aware."""

    message_id: int  # of a chore the order's or warning's
    state: str
    at: datetime


def answer_of(token: str, message_id: str, errand: str, requires: str) -> Plan:
    """The plan for one push; `errand` and `requires` are the words of notifications.Errand and alerts.Requires.

    A repeat rings with the id of the first push: it moves only those who were late, the others have done what
    they will do. Where only opening is required nobody confirms.
    """
    lot, opening, reading = _lots(token, message_id)
    habit = _habit(lot, DEPUTY_SHARES if errand == "deputy" else SHARES)
    moved = {Habit.LATE} if errand == "repeat" else {Habit.PROMPT, Habit.GLANCES}
    if habit not in moved:
        return Plan(habit, ())
    opened = Step(OPENED, SOONEST_S + opening * OPENING_SPREAD_S)
    if habit is Habit.GLANCES or requires not in {"confirm", "report"}:
        return Plan(habit, (opened,))
    return Plan(habit, (opened, Step(CONFIRMED, opened.after_s + READING_S + reading * READING_SPREAD_S)))


def _habit(lot: float, shares: Mapping[Habit, float]) -> Habit:
    for habit, share in shares.items():
        if lot < share:
            return habit
        lot -= share
    return Habit.NEVER


def _lots(token: str, message_id: str) -> tuple[float, float, float]:
    """Three independent places in 0..1 that depend on the two words alone."""
    digest = blake2b(f"{token}|{message_id}".encode(), digest_size=24).digest()
    first, second, third = (int.from_bytes(digest[i : i + 8]) / 2**64 for i in (0, 8, 16))
    return first, second, third


class Agenda:
    """Answers to come by due time, and those due by phone, the longest waiting phone first.

    An officer's due answers go out together, so the longer the queue the fewer the requests. What an app says by itself
    waits for those who have something to say: it goes out with their words, or when nobody else is waiting.
    """

    def __init__(self) -> None:
        self._ahead: list[tuple[float, int, str, int, str]] = []
        self._numbers = count()  # equal times keep their order
        self._words: dict[str, list[Answer]] = {}
        self._beacons: dict[str, list[Answer]] = {}
        self._due_count = 0

    def __len__(self) -> int:
        """Answers not yet given."""
        return len(self._ahead) + self._due_count

    def expect(self, token: str, message_id: int, state: str, due_s: float) -> None:
        """`due_s` in unix seconds."""
        heapq.heappush(self._ahead, (due_s, next(self._numbers), token, message_id, state))

    def fall_due(self, now: datetime) -> None:
        """Everything due by now is ready to be taken, stamped with this instant."""
        now_s = now.timestamp()
        while self._ahead and self._ahead[0][0] <= now_s:
            _, _, token, message_id, state = heapq.heappop(self._ahead)
            self.give_back(token, [Answer(message_id, state, now)])

    def take(self) -> tuple[str, list[Answer]] | None:
        """The phone that has waited longest with its due answers, in order; None when nothing is due."""
        token = next(iter(self._words), None) or next(iter(self._beacons), None)
        if token is None:
            return None
        waiting = [*self._beacons.pop(token, ()), *self._words.pop(token, ())]
        answers, rest = waiting[:MOST_IN_ONE_REQUEST], waiting[MOST_IN_ONE_REQUEST:]
        self._due_count -= len(waiting)
        self.give_back(token, rest)
        return token, answers

    def give_back(self, token: str, answers: list[Answer]) -> None:
        """They could not be delivered, or have just fallen due: to be taken (again)."""
        for answer in answers:
            waiting = self._beacons if answer.state in BEACONS else self._words
            waiting.setdefault(token, []).append(answer)
        self._due_count += len(answers)
