"""Which background jobs there are, and when each last went well. Signs of life go over Redis, as the jobs do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from foundation.wire import beat, beats

BEATS, WATCHED = "jobs", "watched"
LATE_PERIODS, LATE_S = (
    3.0,
    30.0,
)  # a sweep may be dropped once when the queue is full, and one may run for 20 s
AWAY_S = 60.0  # when the watch itself was away for so long, everything was: the jobs get their time anew
_known: dict[str, tuple[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Beat:
    """One job: its queue, its period, seconds since it last went well (None: not since Redis was emptied).

    `missed_s`: for how long it has been missed, which is not before the watch began.
    """

    job: str
    queue: str
    period_s: float
    age_s: float | None
    missed_s: float

    @property
    def late(self) -> bool:
        return self.missed_s > LATE_PERIODS * self.period_s + LATE_S


def know(jobs: Mapping[str, tuple[str, float]]) -> None:
    """The table of jobs, told by the wiring: (queue, period in s) by name."""
    _known.clear()
    _known.update(jobs)


def watch(job: str, now: datetime) -> None:
    """The watch, which is this job, goes on; after a pause it begins anew, and with it everybody's time."""
    last = beats(BEATS).get(job)
    if last is None or (now - last[0]).total_seconds() > AWAY_S:
        beat(WATCHED, "since", now)


def heard(now: datetime) -> list[Beat]:
    """Every job in the table, by queue and name. What is no job any more is not waited for."""
    said, since = beats(BEATS), beats(WATCHED).get("since")
    watched_s = (now - since[0]).total_seconds() if since else 0.0
    rows = []
    for job, (queue, period_s) in sorted(_known.items(), key=lambda item: (item[1][0], item[0])):
        age_s = max(0.0, (now - said[job][0]).total_seconds()) if job in said else None
        rows.append(Beat(job, queue, period_s, age_s, watched_s if age_s is None else min(age_s, watched_s)))
    return rows


def working(now: datetime) -> bool | None:
    """Whether any of the quick jobs went well lately; None: nobody knows."""
    ages = [one.age_s for one in heard(now) if one.period_s <= LATE_S and one.age_s is not None]
    return min(ages) <= AWAY_S if ages else None
