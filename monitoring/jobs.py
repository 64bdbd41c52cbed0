"""Which background jobs there are, and when each last went well. Signs of life go over Redis, as the jobs do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from foundation.wire import beats

BEATS = "jobs"
LATE_PERIODS, LATE_S = (
    3.0,
    30.0,
)  # a sweep may be dropped once when the queue is full, and one may run for 20 s
_known: dict[str, tuple[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Beat:
    """One job: its queue, its period, seconds since it last went well (None: not since Redis was emptied)."""

    job: str
    queue: str
    period_s: float
    age_s: float | None

    @property
    def late(self) -> bool:
        return self.age_s is not None and self.age_s > LATE_PERIODS * self.period_s + LATE_S


def know(jobs: Mapping[str, tuple[str, float]]) -> None:
    """The table of jobs, told by the wiring: (queue, period in s) by name."""
    _known.clear()
    _known.update(jobs)


def heard(now: datetime) -> list[Beat]:
    """Every job in the table, by queue and name. What is no job any more is not waited for."""
    said = beats(BEATS)
    return [
        Beat(job, queue, period_s, (now - said[job][0]).total_seconds() if job in said else None)
        for job, (queue, period_s) in sorted(_known.items(), key=lambda item: (item[1][0], item[0]))
    ]


def working(now: datetime) -> bool | None:
    """Whether any of the quick jobs went well lately; None: nobody knows."""
    ages = [one.age_s for one in heard(now) if one.period_s <= LATE_S and one.age_s is not None]
    return min(ages) <= 2 * LATE_S if ages else None
