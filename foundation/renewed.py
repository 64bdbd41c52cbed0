"""One value of this process that is renewed in a thread by those who ask for it on the event loop.

Owns when: at most one renewal at a time, begun by an asker once the value is no longer fresh; until it is done the
old value is handed out, while it may still be used. Nobody asks: nothing runs. A hint makes the next asker begin at
once; without hints (Redis away) `fresh_s` is what it takes. Ages count from the instant the renewal BEGAN.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from channels.db import database_sync_to_async

T = TypeVar("T")
log = logging.getLogger(__name__)
_listening: "defaultdict[str, WeakSet[Renewed[object]]]" = defaultdict(WeakSet)


class Renewed(Generic[T]):
    """`renew` runs in a thread and may use the database; `hints` are the kinds that say it is out of date."""

    def __init__(
        self,
        renew: Callable[[], T],
        *,
        fresh_s: float,
        usable_s: float,
        hints: tuple[str, ...] = (),
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._renew = database_sync_to_async(renew, thread_sensitive=False)
        self._fresh_s, self._usable_s, self._elapsed_s = fresh_s, usable_s, elapsed_s
        self._value: T | None = None
        self._began_s = self._tried_s = float("-inf")
        self._task: asyncio.Task[None] | None = None  # held, or the loop may collect it
        self._fault: Exception | None = None
        for kind in hints:
            _listening[kind].add(self)

    def at_hand(self) -> T | None:
        """The value while it may be used; begins a renewal when it is no longer fresh. Never waits."""
        at_s = self._elapsed_s()
        if at_s - self._tried_s >= self._fresh_s:
            self._begin(at_s)
        return self._value if at_s - self._began_s < self._usable_s else None

    async def get(self) -> T:
        """The value at hand, else what the renewal under way brings. Raises what the renewal raised."""
        value = self.at_hand()
        if value is None:
            await asyncio.shield(self._begin(self._elapsed_s()))
            value = self._value
            if self._fault or value is None:
                raise self._fault or RuntimeError("the renewal brought nothing")
        return value

    def due(self) -> None:
        """What it stands for has changed: the next who asks begins a renewal."""
        self._tried_s = float("-inf")

    def _begin(self, at_s: float) -> "asyncio.Task[None]":
        if self._task is None or self._task.done():
            self._tried_s = at_s
            self._task = asyncio.get_running_loop().create_task(self._run(at_s))
        return self._task

    async def _run(self, began_s: float) -> None:
        try:
            self._value = await self._renew()
            self._began_s, self._fault = began_s, None
        except Exception as fault:  # told to those who wait; the others keep the old value while they may
            self._fault = fault
            log.warning("renewed.failed error=%s", type(fault).__name__)


def hinted(kind: str) -> None:
    """A hint of this kind was heard by this process."""
    for one in _listening.get(kind, ()):
        one.due()
