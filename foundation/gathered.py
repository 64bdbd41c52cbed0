"""Many who ask for parts of the same thing at once: one piece of work at a time, and each serves all who wait by then.

Nobody is told what was read before he asked, so an answer is as fresh as if he had asked alone. A hundred duty rooms hear
of one receipt in the same second and look at the same board: without this each counted everybody anew.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Batch(Generic[K, V]):
    """What is worked out together; `found` once it has been."""

    def __init__(self) -> None:
        self.wanted: set[K] = set()
        self.found: V | None = None


class Gathered(Generic[K, V]):
    """`work` of all that is wanted at a time, in the thread of one who waits for it. Raises to him what `work` raises; the
    others try again.
    """

    def __init__(self, work: Callable[[set[K]], V]) -> None:
        self._work = work
        self._filling, self._turn = threading.Lock(), threading.Lock()
        self._next: _Batch[K, V] = _Batch()

    def __call__(self, wanted: Iterable[K]) -> V:
        """What `work` gives for these and whatever else was wanted."""
        with self._filling:
            batch = self._next
            batch.wanted.update(wanted)
        with self._turn:
            if batch.found is None:
                with self._filling:  # who asks from now on is served by the next
                    self._next = _Batch()
                batch.found = self._work(batch.wanted)
        return batch.found
