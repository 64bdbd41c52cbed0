"""Pushes of one stream by number, in the order they were added: those that wait, and outcomes not handed out yet.

Owns what every transport's stream does alike. How a push is started and how its answer comes back is the transport's own.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from .base import Outcome, OutcomeKind, Push, Stream


class Numbered(ABC):
    """A Stream but for `landed` and `close`; `_flying` holds what is on its way, one entry a push."""

    def __init__(self) -> None:
        self._number = 0
        self._queue: deque[Any] = deque()
        self._flying: dict[Any, Any] = {}
        self._settled: dict[int, Outcome] = {}

    @property
    def waiting(self) -> int:
        """Pushes whose outcome has not been handed out yet."""
        return len(self._queue) + len(self._flying) + len(self._settled)

    def add(self, pushes: Sequence[Push], now: datetime) -> None:
        """Take pushes on; what can never go is settled at once."""
        for push in pushes:
            number, self._number = self._number, self._number + 1
            if push.message.expires_at <= now:
                self._settled[number] = Outcome(push.key, OutcomeKind.PERMANENT, "EXPIRED")
            else:
                self._take_on(number, push, now)

    def _take_on(self, number: int, push: Push, now: datetime) -> None:
        self._queue.append((number, push, now))

    @abstractmethod
    def landed(self, patience_s: float) -> dict[int, Outcome]: ...

    def _handed_out(self) -> dict[int, Outcome]:
        settled, self._settled = self._settled, {}
        return settled


def send(stream: Callable[[], Stream], pushes: Sequence[Push], now: datetime) -> list[Outcome]:
    """All through one fresh stream: one outcome per push, in order."""
    outcomes: dict[int, Outcome] = {}
    with closing(stream()) as flight:
        flight.add(pushes, now)
        while flight.waiting:
            outcomes |= flight.landed(1.0)
    return [outcomes[number] for number in range(len(pushes))]
