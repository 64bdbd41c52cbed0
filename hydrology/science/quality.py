"""Is a reading believable? Range, step, persistence and dead zero, each verdict with its reason.

Owns the verdict on one reading by itself and its past; what others say of it is consistency.py's. Does not change
values, does not fetch neighbours, decides no warning:
SUSPECT rain must still be shown to an operator (the national v1.0 hourly-rain QC flagged mostly *correct*
extremes as suspect). Sources: domain sheet 5.1: CMA upload QC gross limits (minute 40 mm, hour 600 mm),
hourly level change above 1 m suspect, river 0.8 m in 5 min suspect unless it rains; the 5-minute rain limits
and the stage range are design values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import pairwise
from math import inf
from typing import Final

from hydrology.science.readings import Element, Reading


class Quality(IntEnum):
    """CMA quality flags, as far as a machine may set them."""

    GOOD = 0
    """No check objects; the value may raise and lift warnings."""
    SUSPECT = 1
    """Possible, but some check objects; it stays visible and counts only when something confirms it."""
    WRONG = 2
    """Physically impossible here; kept as a row, never used."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A quality and the check that decided it with its figures; `why` is empty when good."""

    quality: Quality
    why: str = ""


GOOD: Final = Verdict(Quality.GOOD)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one element may be at one station, in the element's own unit.

    Outside [low, high] is suspect, outside [reject_low, reject_high] is wrong. A change is suspect above
    `step_per_5min`, or above `step_per_hour` times the hours that passed where that is more; where it rains it may be
    `rain_step_factor` times as fast. `dead_values`
    are what the sensor reports when it has dropped out (0.000, or its base value).
    """

    low: float
    high: float
    reject_low: float
    reject_high: float
    step_per_5min: float = inf
    step_per_hour: float = inf
    stuck_after_s: int = 6 * 3600
    stuck_rain_mm: float = 20.0
    rain_step_factor: float = 3.0
    dead_values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.reject_low <= self.low <= self.high <= self.reject_high:
            raise ValueError(f"limits are not nested: {self}")


# (duration s, suspect above mm, wrong above mm); between the rows the limit is interpolated. Hour: the city
# record was 136.5 mm in 2019, 600 mm is the CMA gross limit; a day: the mainland record is about 1,060 mm.
RAIN_LIMITS_MM: Final = ((60, 12.0, 40.0), (300, 30.0, 60.0), (3600, 200.0, 600.0), (86_400, 900.0, 2000.0))
RAINING_MM: Final = 10.0


def rain_limits(duration_s: int = 300) -> Limits:
    """Limits for an accumulation over `duration_s`: 5 minutes above 30 mm suspect, above 60 mm wrong."""
    suspect_mm, wrong_mm = _interpolated(duration_s)
    return Limits(0.0, suspect_mm, 0.0, wrong_mm, stuck_after_s=3600, stuck_rain_mm=10.0)


def stage_limits(
    bed_m: float | None = None,
    crest_m: float | None = None,
    *,
    step_per_5min: float = 0.8,
    rain_step_factor: float = 3.0,
    dead_values: tuple[float, ...] = (0.0,),
) -> Limits:
    """Limits for a level: wrong outside [bed - 2, crest + 1], suspect below bed - 0.5 or above the crest.

    `bed_m` is the river bed or the dead level DDZ, `crest_m` the dam crest DAMEL or the dyke (+1 for rivers
    that may stand on it). None = not known: only what no water in the city can be is refused.
    """
    low, reject_low = (bed_m - 0.5, bed_m - 2.0) if bed_m is not None else (-10.0, -50.0)
    high, reject_high = (crest_m, crest_m + 1.0) if crest_m is not None else (900.0, 1000.0)
    return Limits(
        low, high, reject_low, reject_high, step_per_5min=step_per_5min, step_per_hour=1.0,
        rain_step_factor=rain_step_factor, dead_values=dead_values,
    )  # fmt: skip


# What no water in the city can be; within, nothing is said of flows and storage: no officer is warned by them.
_FLOW_LIMITS: Final = Limits(-10_000.0, 10_000.0, -50_000.0, 50_000.0)
_STORAGE_LIMITS: Final = Limits(0.0, 1e9, 0.0, 1e11)


def default_limits(element: Element, duration_s: int = 300) -> Limits:
    """Limits where nothing is known about the station."""
    if element is Element.RAIN:
        return rain_limits(duration_s)
    if element is Element.STAGE:
        return stage_limits()
    return _STORAGE_LIMITS if element is Element.STORAGE else _FLOW_LIMITS


def judge(
    reading: Reading,
    previous: Sequence[tuple[datetime, float]],
    limits: Limits,
    *,
    rain_nearby_mm: float | None = None,
    unmoved_since: datetime | None = None,
    doubts: Sequence[str] = (),
) -> Verdict:
    """Judge one reading against its own limits, the station's recent past and what others say against it.

    `previous`: the station's earlier values of the same element that were not WRONG, in any order; those not
    before `reading.observed_at` are ignored, so judging again after storing gives the same verdict. An hour of
    them is enough where `unmoved_since` says since when this very value has been reported. `rain_nearby_mm`: for
    a level the upstream rain of the last 3 h, for rain the middle value of at least 3 neighbours over the last
    hour; None = not known. `doubts`: reasons of consistency.py. Heavy rain within physical limits is never WRONG.
    """
    value = reading.value
    unit = reading.element.value.rpartition("_")[2]
    if not limits.reject_low <= value <= limits.reject_high:
        return Verdict(
            Quality.WRONG, f"range: {value:g} {unit} outside {limits.reject_low:g}..{limits.reject_high:g}"
        )
    if not limits.low <= value <= limits.high:
        why = f"range: {value:g} {unit} outside {limits.low:g}..{limits.high:g}"
        return Verdict(Quality.SUSPECT, "; ".join([why, *doubts]))
    past = sorted((pair for pair in previous if pair[0] < reading.observed_at), reverse=True)
    alive = [pair for pair in past if pair[1] not in limits.dead_values]
    why = (
        _dead(value, past, limits, unit)
        or _spike(reading, alive, limits, unit, rain_nearby_mm)
        or _stuck(reading, past, limits, unit, rain_nearby_mm, unmoved_since)
    )
    whys = [each for each in (why, *doubts) if each]
    return Verdict(Quality.SUSPECT, "; ".join(whys)) if whys else GOOD


def asks_for_rain(
    reading: Reading,
    previous: Sequence[tuple[datetime, float]],
    limits: Limits,
    unmoved_since: datetime | None,
) -> bool:
    """Whether `judge` would look at `rain_nearby_mm` at all; `previous` in order of time."""
    if reading.element is Element.RAIN:
        return reading.value <= 0
    alive = next((value for _, value in reversed(previous) if value not in limits.dead_values), reading.value)
    still_s = (reading.observed_at - unmoved_since).total_seconds() if unmoved_since else 0.0
    return abs(reading.value - alive) > limits.step_per_5min or still_s >= limits.stuck_after_s


def _dead(value: float, past: Sequence[tuple[datetime, float]], limits: Limits, unit: str) -> str:
    """A level that passes through zero on its way (a tidal post) is not a dead sensor."""
    if value not in limits.dead_values:
        return ""
    newest = past[0][1] if past else inf
    if newest not in limits.dead_values and abs(newest - value) <= 0.1:
        return ""
    return f"dead zero: {value:.3f} {unit}"


def _spike(
    reading: Reading,
    past: Sequence[tuple[datetime, float]],
    limits: Limits,
    unit: str,
    rain_nearby_mm: float | None,
) -> str:
    """A jump from the value before, unless that value was itself the jump and this one comes back from it."""
    if not past or limits.step_per_5min == inf:
        return ""
    factor = limits.rain_step_factor if (rain_nearby_mm or 0.0) >= RAINING_MM else 1.0
    now = (reading.observed_at, reading.value)
    if not _jumps(past[0], now, limits, factor):
        return ""
    came_back = (
        len(past) > 1
        and _jumps(past[1], past[0], limits, factor)
        and not _jumps(past[1], now, limits, factor)
        and not (len(past) > 2 and _jumps(past[2], past[1], limits, factor))
    )
    if came_back:
        return ""
    passed_s = (now[0] - past[0][0]).total_seconds()
    return f"spike: {now[1] - past[0][1]:+.3g} {unit} in {passed_s:.0f} s"


def _jumps(
    before: tuple[datetime, float], after: tuple[datetime, float], limits: Limits, factor: float
) -> bool:
    passed_h = (after[0] - before[0]).total_seconds() / 3600
    allowed = factor * max(limits.step_per_5min, limits.step_per_hour * passed_h)
    return abs(after[1] - before[1]) > allowed + 1e-9


def _stuck(
    reading: Reading,
    past: Sequence[tuple[datetime, float]],
    limits: Limits,
    unit: str,
    rain_nearby_mm: float | None,
    unmoved_since: datetime | None,
) -> str:
    """Unmoved through rain that must have moved it. Only a rain gauge's zeros can be stuck, not its rain."""
    if rain_nearby_mm is None or rain_nearby_mm < limits.stuck_rain_mm:
        return ""
    if reading.element is Element.RAIN and reading.value > 0:
        return ""
    unmoved_s = 0.0
    for at, value in past:
        if abs(value - reading.value) > 0.0005:
            break
        unmoved_s = (reading.observed_at - at).total_seconds()
    if unmoved_since is not None:
        unmoved_s = max(unmoved_s, (reading.observed_at - unmoved_since).total_seconds())
    if unmoved_s < limits.stuck_after_s:
        return ""
    return f"stuck: {reading.value:g} {unit} for {unmoved_s:.0f} s, rain nearby {rain_nearby_mm:g} mm"


def _interpolated(duration_s: int) -> tuple[float, float]:
    if duration_s <= RAIN_LIMITS_MM[0][0]:
        return RAIN_LIMITS_MM[0][1:]
    for (from_s, suspect, wrong), (to_s, suspect_to, wrong_to) in pairwise(RAIN_LIMITS_MM):
        if duration_s <= to_s:
            share = (duration_s - from_s) / (to_s - from_s)
            return suspect + share * (suspect_to - suspect), wrong + share * (wrong_to - wrong)
    return RAIN_LIMITS_MM[-1][1:]
