"""The ground's clock: the one place that reads it, and the edge between UTC and Shenzhen time.

Functions elsewhere take `now` as an argument; only views, tasks, commands and consumers call `now()`.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SHENZHEN = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.now(UTC)


def local(at: datetime) -> datetime:
    """The same instant with Shenzhen's offset (+08:00)."""
    return at.astimezone(SHENZHEN)


def iso(at: datetime | None) -> str | None:
    """ISO 8601 with +08:00 to the second, as the outside contract wants it; None stays None."""
    return None if at is None else local(at).isoformat(timespec="seconds")


def age_s(at: datetime | None, as_of: datetime) -> int | None:
    """Whole seconds from an instant to another, 0 where a clock ahead of ours told it; None stays None."""
    return None if at is None else max(0, round((as_of - at).total_seconds()))
