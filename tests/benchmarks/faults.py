"""What goes wrong with gauges in the field, done to true readings on purpose.

Owns the faults of domain sheet 5.1, each a way to spoil one row of a post; knows no database. `hurts` says whether a
spoiled row differs enough from the truth to be found at all: a clogged gauge in dry weather is right.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

Row = dict[str, Any]
HOUR = timedelta(hours=1)
RAIN, STAGE = "rain_mm", "stage_m"


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What is sent in place of a row; `found_by`: "" any doubt or refusal counts, "duplicate" must be set aside."""

    rows: list[Row]
    hurts: bool
    found_by: str = ""


@dataclass(slots=True)
class Case:
    """A row about to be sent: the frame's number and instant, and what the station truly had before."""

    n: int
    at: datetime
    row: Row
    past: deque[float]
    rng: np.random.Generator
    memory: dict[str, Any] = field(default_factory=dict)

    def valued(self, value: object, *, hurts: bool = True) -> Spoiled:
        return Spoiled([self.row | {"value": value}], hurts)

    def timed(self, shift: timedelta, *, hurts: bool = True) -> Spoiled:
        return Spoiled([self.row | {"observed_at": (self.at + shift).isoformat()}], hurts)

    @property
    def untouched(self) -> Spoiled:
        return Spoiled([self.row], hurts=False)


Fault = Callable[[Case], Spoiled]


def sentinel(case: Case) -> Spoiled:
    """9999.999, and AA or FF where digits should be."""
    return case.valued((9999.999, "AAAAAA", "FFFFFF", 99999)[case.n % 4])


def null(case: Case) -> Spoiled:
    """A missing value: 2 % of the readings."""
    return case.valued(None) if case.rng.random() < 0.02 else case.untouched


def year_1959(case: Case) -> Spoiled:
    return Spoiled(
        [case.row | {"observed_at": case.row["observed_at"].replace(str(case.at.year), "1959", 1)}], True
    )


def duplicate(case: Case) -> Spoiled:
    """The same report once more under a new serial."""
    return Spoiled([case.row, case.row | {"serial": case.n}], True, "duplicate")


def sent_before_observed(case: Case) -> Spoiled:
    return case.timed(timedelta(minutes=20)) if case.n % 6 == 0 else case.untouched


def hours_ahead(case: Case) -> Spoiled:
    return case.timed(8 * HOUR)


def hours_behind(case: Case) -> Spoiled:
    return case.timed(-8 * HOUR)


def drift(case: Case) -> Spoiled:
    """A clock that loses 20 s every 5 minutes."""
    lost = timedelta(seconds=20 * case.n)
    return case.timed(-lost, hurts=lost > timedelta(minutes=5))


def clogged(case: Case) -> Spoiled:
    """A rain gauge that says 0; it hurts once half an hour had 5 mm."""
    six = [*case.past, case.row["value"]][-6:]
    return case.valued(0.0, hurts=sum(six) >= 5)


def rain_spike(case: Case) -> Spoiled:
    """One slot of 25 to 45 mm, and back."""
    return case.valued(round(25 + 20 * case.rng.random(), 1)) if case.n % 9 == 4 else case.untouched


def lone_200_mm_an_hour(case: Case) -> Spoiled:
    """Half an hour at 16.7 mm in 5 minutes where it does not rain like that."""
    return case.valued(16.7) if case.n % 24 in range(12, 18) else case.untouched


def impossible_rain(case: Case) -> Spoiled:
    return case.valued(200.0) if case.n % 7 == 3 else case.untouched


def wrong_sum(case: Case) -> Spoiled:
    """On the hour an hourly sum 2 mm above the twelve values, as a lost F4 slot makes it."""
    return _with_hour(case, 2.0)


def right_sum(case: Case) -> Spoiled:
    """No fault: an hourly sum that is the sum. It must not be doubted."""
    return _with_hour(case, 0.0)


def _with_hour(case: Case, off_mm: float) -> Spoiled:
    if case.at.minute or len(case.past) < 11:
        return case.untouched
    hour_mm = sum([*case.past, case.row["value"]][-12:]) + off_mm
    extra = case.row | {"value": round(hour_mm, 1), "duration_s": 3600}
    return Spoiled([case.row, extra], True, "sum_disagrees")


def level_spike(case: Case) -> Spoiled:
    """1.2 to 2 m up for one sample, and back."""
    up_m = 1.2 + 0.8 * case.rng.random()
    return case.valued(round(case.row["value"] + up_m, 2)) if case.n % 9 == 4 else case.untouched


def frozen_level(case: Case) -> Spoiled:
    """The first level for ever; it hurts once the water stands 5 cm elsewhere and six hours have passed."""
    first = case.memory.setdefault(case.row["station"], case.row["value"])
    return case.valued(first, hurts=case.n > 72 and abs(first - case.row["value"]) >= 0.05)


def dead_zero(case: Case) -> Spoiled:
    return case.valued(0.0)


FAULTS: dict[str, tuple[str, Fault]] = {
    fault.__name__: (element, fault)
    for element, faults in {
        RAIN: (sentinel, year_1959, duplicate, sent_before_observed, hours_ahead, hours_behind, drift, clogged,
               rain_spike, lone_200_mm_an_hour, impossible_rain, wrong_sum, right_sum),
        STAGE: (null, level_spike, frozen_level, dead_zero),
    }.items()
    for fault in faults
}  # fmt: skip


def histories() -> defaultdict[tuple[str, str], deque[float]]:
    """The last eleven true values by station and element, filled by whoever plays the storm."""
    return defaultdict(lambda: deque(maxlen=11))
