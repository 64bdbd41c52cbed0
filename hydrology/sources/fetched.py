"""What a fetcher brings from a source, one body at a time.

A fetcher is `Callable[[Source, datetime], Iterable[Fetched]]`. Whoever drives it posts each body at its door and only
then stores `mark` in the source; so a kill between the two is harmless: the next poll brings the same body again.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fetched:
    """One body for one door, and how far the source has been read when it is in."""

    door: str
    """readings, grid or radar."""
    body: bytes
    """What the door of that name takes; empty when there is nothing to post but the mark has moved."""
    mark: dict[str, Any]
    """The whole new `Source.mark`, plain JSON."""
    note: str = ""
    """What an engineer should look at although the poll went well; at most 400 characters, zh and en."""
