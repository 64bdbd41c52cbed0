"""From the water level of a station to a level of our own with its reasons.

Owns the default marks, the table of marks as a value, `assess` and the lower marks of the hysteresis. Does not own
what the limits of an object are (hydrology/science/stages.py), when a level is said or lifted (lifecycle.py), the
words (wording_levels.py), where the figures come from. The caller keeps stale and doubtful readings away: they are
no figures. Source: project domain notes 5 (alarm set, confidence L: so the marks are data and these rows are only
the first table). Metres in the station's own datum; nothing here compares two stations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from alerts.assessment.rules import Level
from hydrology.science.stages import Limit, LimitKind, next_limit, time_to_limit_s

FIRST: Final = (LimitKind.FLOOD_SEASON, LimitKind.NORMAL, LimitKind.WARNING)
"""The limit of an object that comes first; what lies beyond it is grave."""


class ObjectClass(StrEnum):
    """What the same level means differs between these."""

    GATED = "gated"
    """A reservoir whose gates should hold it under 汛限: over it somebody must act."""
    UNGATED = "ungated"
    """A reservoir that overflows by design (自由溢流): over its limit is worth knowing, design is danger."""
    RIVER = "river"
    TIDE = "tide"
    """Rises and falls twice a day by itself: no rate, no forecast in a straight line, a wide hysteresis."""


class Condition(StrEnum):
    """What a mark looks at, besides the limits by their own names (LimitKind)."""

    FIRST = "first"
    """Metres over the first limit; a negative threshold lies under it."""
    RISE_30MIN = "rise_30min_m"
    RISE_60MIN = "rise_60min_m"
    AHEAD_FIRST = "ahead_first_s"
    """Seconds until the first limit is reached, if it goes on rising like this."""
    AHEAD_GRAVE = "ahead_grave_s"
    """The same for the limit after the first."""


_LIMITS: Final = (
    LimitKind.DESIGN, LimitKind.CHECK, LimitKind.CREST_MARGIN, LimitKind.CREST, LimitKind.GUARANTEE,
    LimitKind.HIGHEST,
)  # fmt: skip
_CONDITIONS: Final = (*Condition, *_LIMITS)
_GRAVE_FIRST: Final = (
    LimitKind.CREST, LimitKind.CREST_MARGIN, LimitKind.CHECK, LimitKind.DESIGN, LimitKind.HIGHEST,
    LimitKind.GUARANTEE, Condition.FIRST, Condition.AHEAD_GRAVE, Condition.AHEAD_FIRST, Condition.RISE_30MIN,
    Condition.RISE_60MIN,
)  # fmt: skip
_DAM: Final = [["design", 0.0, 4], ["check", 0.0, 4], ["crest_margin", 0.0, 4], ["crest", 0.0, 4]]
DEFAULT_ROWS: Final[dict[str, dict[str, Any]]] = {
    "gated": {
        "clear_m": 0.05,
        "rain_confirms_mm": 10.0,
        "rise_counts_from_m": -1.0,
        "marks": [
            ["first", -0.30, 1], ["first", 0.0, 3], ["first", 0.3, 3], ["first", 0.5, 3], *_DAM,
            ["rise_60min_m", 0.2, 1], ["ahead_first_s", 3600, 2], ["ahead_grave_s", 3600, 3],
        ],
    },
    # 2023-09-08: 23 of the 26 over their limit overflowed at the crest by design; near it is not even news
    "ungated": {
        "clear_m": 0.05,
        "rain_confirms_mm": 10.0,
        "rise_counts_from_m": 0.0,
        "marks": [
            ["first", 0.0, 1], ["first", 0.3, 2], ["first", 0.5, 2], *_DAM,
            ["rise_60min_m", 0.2, 2], ["ahead_grave_s", 3600, 3],
        ],
    },
    "river": {
        "clear_m": 0.10,
        "rain_confirms_mm": 10.0,
        "rise_counts_from_m": -1.0,
        "marks": [
            ["first", -0.30, 1], ["first", 0.0, 3], ["first", 0.3, 3], ["first", 0.5, 3], ["guarantee", 0.0, 4],
            ["highest", 0.0, 4], ["rise_30min_m", 0.3, 2], ["rise_60min_m", 0.5, 2], ["ahead_first_s", 3600, 2],
        ],
    },
    # a tide over 警戒 is foreseen and falls by itself within hours: be ready, not yet out
    "tide": {
        "clear_m": 0.20,
        "rain_confirms_mm": None,
        "rise_counts_from_m": 0.0,
        "marks": [["first", -0.30, 1], ["first", 0.0, 2], ["first", 0.3, 3], ["guarantee", 0.0, 4], ["highest", 0.0, 4]],
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """Reached at `threshold` or beyond, it stands for `level`."""

    condition: str
    threshold: float
    level: Level


@dataclass(frozen=True, slots=True)
class Row:
    """The marks of one class. A level is held until it is `clear_m` below its marks.

    `rain_confirms_mm`: this much rain nearby in 3 hours confirms a level at once; None: no rain does.
    `rise_counts_from_m`: metres over the first limit (negative: under it) from where on a mere rise counts; a brook
    that wakes up far below its banks is no news.
    """

    marks: tuple[Mark, ...]
    clear_m: float
    rain_confirms_mm: float | None
    rise_counts_from_m: float


@dataclass(frozen=True, slots=True)
class Table:
    """Marks by ObjectClass. Raises ValueError naming the version, the class and what is wrong with it."""

    version: str
    rows: Mapping[ObjectClass, Row]

    @classmethod
    def from_json(cls, version: str, rows: Mapping[str, Any]) -> "Table":
        """`{class: {clear_m, rain_confirms_mm, rise_counts_from_m, marks: [[condition, threshold, level], …]}}`."""
        made = {}
        for name, row in rows.items():
            try:
                made[ObjectClass(name)] = _row(row)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"rule table {version}: {name}: {error}") from error
        if not version or not made:
            raise ValueError("a rule table needs a version and at least one class")
        return cls(version, MappingProxyType(made))


def _row(row: Mapping[str, Any]) -> Row:
    marks = tuple(
        Mark(str(condition), float(threshold), Level(level)) for condition, threshold, level in row["marks"]
    )
    unknown = {mark.condition for mark in marks} - set(_CONDITIONS)
    if unknown or not marks or not all(isfinite(mark.threshold) and mark.level for mark in marks):
        raise ValueError(
            f"marks need a condition of {[str(c) for c in _CONDITIONS]}, a number and a level 1..4"
        )
    confirms = row["rain_confirms_mm"]
    clear_m = float(row["clear_m"])
    if not clear_m >= 0:
        raise ValueError("clear_m is negative")
    return Row(
        marks, clear_m, None if confirms is None else float(confirms), float(row["rise_counts_from_m"])
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one station at one good reading: metres; `limits` lowest first; None is not known."""

    station: str
    object_class: ObjectClass
    level_m: float
    limits: Sequence[Limit]
    rate_m_per_h: float | None = None
    rise_30min_m: float | None = None
    rain_3h_mm: float | None = None

    @property
    def first(self) -> Limit | None:
        """汛限 or 正常, 警戒: what the object must not pass."""
        return next((limit for limit in self.limits if limit.kind in FIRST), None)


@dataclass(frozen=True, slots=True)
class Reason:
    """One mark that was reached: its condition with the figure, and the limit it speaks of, if any.

    `value` is in the unit of the condition: metres over the limit, metres risen, seconds to the limit.
    """

    condition: str
    level: Level
    value: float
    threshold: float
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The level of a station with its reasons, gravest first; a lifecycle.Finding."""

    place: str
    level: Level
    corroborated: bool
    reasons: tuple[Reason, ...]

    @property
    def sure(self) -> Level:
        """What may be in force at once: all of it where rain confirms it, else nothing."""
        return self.level if self.corroborated else Level.NONE

    @property
    def why(self) -> str:
        """The gravest reason in one line."""
        if not self.reasons:
            return ""
        top = self.reasons[0]
        limit = f" of {top.limit.kind} {top.limit.limit_m:g} m" if top.limit else ""
        return f"{top.condition} {top.value:g}{limit}, threshold {top.threshold:g}"


def assess(figures: Figures, table: Table) -> Assessment:
    """The highest level any mark of the station's class stands for; no such class or no limits: NONE."""
    row = table.rows.get(figures.object_class)
    reasons = _reached(figures, row) if row else ()
    level = reasons[0].level if reasons else Level.NONE
    rained = row is not None and row.rain_confirms_mm is not None and figures.rain_3h_mm is not None
    confirmed = bool(rained and row and figures.rain_3h_mm >= row.rain_confirms_mm)  # type: ignore[operator]
    return Assessment(figures.station, level, bool(level) and confirmed, reasons)


def low_water(figures: Figures, table: Table) -> Level:
    """The level that still holds: what would be reached were the water `clear_m` higher. Never below `assess`."""
    row = table.rows.get(figures.object_class)
    if row is None:
        return Level.NONE
    reasons = _reached(replace(figures, level_m=figures.level_m + row.clear_m), row)
    return max(reasons[0].level if reasons else Level.NONE, assess(figures, table).level)


def _reached(figures: Figures, row: Row) -> tuple[Reason, ...]:
    """Every mark reached; of several on one condition only the highest. Gravest first."""
    found: dict[str, Reason] = {}
    for mark in sorted(row.marks, key=lambda mark: (mark.level, mark.threshold)):
        if (reason := _reason(figures, mark, row)) is not None:
            found[mark.condition] = reason
    return tuple(sorted(found.values(), key=lambda r: (-r.level, _GRAVE_FIRST.index(r.condition))))


def _reason(figures: Figures, mark: Mark, row: Row) -> Reason | None:
    """The mark as a reason, or None where it is not reached or cannot be judged."""
    first = figures.first
    if mark.condition in (Condition.RISE_30MIN, Condition.RISE_60MIN):
        half_hour = mark.condition == Condition.RISE_30MIN
        risen = figures.rise_30min_m if half_hour else figures.rate_m_per_h
        if first is None or risen is None or not _at(figures.level_m, first, row.rise_counts_from_m):
            return None
        reached = round(risen, 6) >= mark.threshold
        return Reason(mark.condition, mark.level, risen, mark.threshold, None) if reached else None
    if mark.condition in (Condition.AHEAD_FIRST, Condition.AHEAD_GRAVE):
        ahead = next_limit(figures.level_m, figures.limits)
        seconds = time_to_limit_s(figures.level_m, figures.rate_m_per_h, ahead)
        if ahead is None or seconds is None or seconds > mark.threshold:
            return None
        if (ahead.kind in FIRST) != (mark.condition == Condition.AHEAD_FIRST):
            return None
        return Reason(mark.condition, mark.level, float(seconds), mark.threshold, ahead)
    limit = first
    if mark.condition != Condition.FIRST:
        limit = next((limit for limit in figures.limits if limit.kind == mark.condition), None)
    if limit is None or not _at(figures.level_m, limit, mark.threshold):
        return None
    return Reason(
        mark.condition, mark.level, round(figures.level_m - limit.limit_m, 3), mark.threshold, limit
    )


def _at(level_m: float, limit: Limit, offset_m: float) -> bool:
    """Whether the level has come to `offset_m` over the limit; at the limit itself as the limit counts."""
    moved = Limit(limit.kind, limit.limit_m + offset_m, limit.status, limit.inclusive or offset_m != 0)
    return moved.passed_by(level_m)
