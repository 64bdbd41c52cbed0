"""Questions asked on the event loop at about the same time, answered together by one call in a thread.

Owns when: one call at a time, begun at once by the first who asks; who asks meanwhile waits for the next call, which
begins `pace_s` after the last one began. So an idle process answers one at once, and a busy one answers hundreds at the
price of one round trip.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from channels.db import database_sync_to_async

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """`answer` runs in a thread, may use the database, and gives one answer a question, in their order."""

    def __init__(self, answer: Callable[[list[Q]], list[A]], *, most: int, pace_s: float = 0.05) -> None:
        self._answer = database_sync_to_async(answer, thread_sensitive=False)
        self._most, self._pace_s = most, pace_s  # most: questions a call
        self._due_s = float("-inf")
        self._asked: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._asking: asyncio.Task[None] | None = None  # held, or the loop may collect it

    async def ask(self, question: Q) -> A:
        """Raises what the call raised in which it was answered."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._asked.append((question, future))
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask_all())
        return await future

    async def _ask_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._asked:
            if len(self._asked) < self._most and (early_s := self._due_s - clock()) > 0:
                await asyncio.sleep(early_s)
            self._due_s = clock() + self._pace_s
            batch = [self._asked.popleft() for _ in range(min(self._most, len(self._asked)))]
            try:
                answers = await self._answer([question for question, _ in batch])
            except Exception as fault:  # everybody who waits is told
                for _, future in batch:
                    if not future.done():
                        future.set_exception(fault)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
