"""A moment without Redis: after a fault this process asks it for nothing that may be lost.

A Redis that hangs then costs one time-out, not one a nudge or a hint. Read and written by many threads; who comes too late
to see it pays a time-out of his own.
"""

import time

PAUSE_S = 5.0


class Pause:
    """Over, until a fault begins it."""

    def __init__(self) -> None:
        self._until_s = float("-inf")

    @property
    def lasts(self) -> bool:
        return time.monotonic() < self._until_s

    def begin(self) -> None:
        self._until_s = time.monotonic() + PAUSE_S

    def end(self) -> None:
        self._until_s = float("-inf")
