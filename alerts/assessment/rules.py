"""From the rain of a street to a level with its reasons.

Owns the default thresholds, the rule table as a value, `assess` and the lower marks of the hysteresis. Does
not own when a level is said or lifted (lifecycle.py), the words (wording.py), where the sums come from, or
official signals: those are forecasters' decisions and are never computed. Source: project domain notes
1.1-1.4; no public text gives Shenzhen's internal thresholds, so they are data and these rows are only the
first table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from types import MappingProxyType
from typing import Final

DEFAULT_ROWS: Final[dict[str, tuple[float, float, float, float]]] = {
    "rain_5min": (5, 8, 12, 15),
    "rain_10min": (8, 15, 20, 25),
    "rain_30min": (20, 30, 50, 70),
    "rain_60min": (20, 30, 50, 80),
    "rain_180min": (40, 50, 80, 100),
    "nowcast_60min": (20, 30, 50, 80),
    # Confidence L: the notes have no +2 h row; chosen between the 1 h and the 3 h row.
    "nowcast_120min": (30, 40, 65, 90),
}
WINDOWS: Final = tuple(DEFAULT_ROWS)
AGREES_FROM: Final = 0.7  # a second source this near to the threshold agrees
WET_MM: Final = 5.0  # observed in 30 min: it is raining, so a nowcast may be believed at once
PRESENT_MIN: Final = ("rain_5min", "rain_10min", "rain_30min")  # what can show that the rain has gone
PRESENT_SHARE: Final = 0.5
NOISE_MM: Final = 1e-6  # float noise must not decide whether 20 mm were reached


class Level(IntEnum):
    """How grave the rain in a street is; the same numbers as alerts.models.WarningLevel."""

    NONE = 0
    """No window reaches the first threshold."""
    NOTICE = 1
    """提示: rain worth knowing of."""
    ATTENTION = 2
    """关注: be ready."""
    ALERT = 3
    """警示: go to the post and inspect; chased."""
    EMERGENCY = 4
    """紧急: lives may be in danger; chased."""


@dataclass(frozen=True, slots=True)
class Table:
    """Thresholds in mm by window, one for each level 1..4. A window without a row is not judged.

    `watch_level`: whose figures are held against them, those of a street or of each of its communities.

    Raises ValueError, naming the version and the window, for an unknown window or a row that is not four
    finite, positive, strictly ascending numbers.
    """

    version: str
    rows: Mapping[str, tuple[float, ...]]
    watch_level: str = "street"

    def __post_init__(self) -> None:
        if not self.version or not self.rows:
            raise ValueError("a rule table needs a version and at least one window")
        rows = {}
        for window, marks in self.rows.items():
            if window not in DEFAULT_ROWS:
                raise ValueError(f"rule table {self.version}: unknown window {window!r}; known: {WINDOWS}")
            try:
                row = tuple(float(mark) for mark in marks)
            except (TypeError, ValueError):
                row = ()
            ascending = all(low < high for low, high in zip((0.0, *row), row, strict=False))
            if len(row) != len(Level) - 1 or not all(map(isfinite, row)) or not ascending:
                raise ValueError(
                    f"rule table {self.version}: {window} needs 4 ascending mm above 0, got {marks!r}"
                )
            rows[window] = row
        object.__setattr__(self, "rows", MappingProxyType(rows))


@dataclass(frozen=True, slots=True)
class Figure:
    """The highest value of one window in one street.

    `source` is "station:CODE" or "cell:LON,LAT". `share` (0..1) is the part of the window's 5-minute slots
    that were present: below 1 the value is a lower bound. `agree_mm` is the second independent value of the
    street. `doubted`: quality control doubts it, so it counts only as far as something confirms it (`assess`). A
    value that is NaN or infinite is missing. Raises ValueError for an unknown window.
    """

    window: str
    value_mm: float
    source: str
    share: float = 1.0
    agree_mm: float | None = None
    doubted: bool = False

    def __post_init__(self) -> None:
        if self.window not in DEFAULT_ROWS:
            raise ValueError(f"unknown window {self.window!r}; known: {WINDOWS}")

    @property
    def observed(self) -> bool:
        """Whether it has fallen, rather than being forecast."""
        return self.window.startswith("rain_")


@dataclass(frozen=True, slots=True)
class Reason:
    """One window that reached a level: the value, the threshold of that level, who says so and who agrees."""

    window: str
    level: Level
    value_mm: float
    threshold_mm: float
    source: str
    share: float
    agree_mm: float | None
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The level of a street, its reasons (gravest first), and how far they can be believed at once.

    `corroborated` speaks of `level`; `sure` is the highest corroborated level, so that a lone spike to a
    higher level does not hold up the lower one that everything agrees on. `at`: the community it was found in, where
    the street is watched by communities.
    """

    street: str
    level: Level
    corroborated: bool
    reasons: tuple[Reason, ...]
    sure: Level = Level.NONE
    at: str = ""

    @property
    def place(self) -> str:
        """The street: the life of a level knows only places."""
        return self.street

    @property
    def why(self) -> str:
        """The gravest reason in one line."""
        if not self.reasons:
            return ""
        top = self.reasons[0]
        return f"{top.window} {top.value_mm:g} mm, threshold {top.threshold_mm:g} mm, {top.source}"


def assess(street: str, figures: Iterable[Figure], table: Table) -> Assessment:
    """The highest level any window reaches; the order of the figures does not matter.

    A level is corroborated when, among the windows that reach it,
    - an observed value has a second source in the street at 70 % of the threshold or more, or
    - two observed windows come from different sources (two windows of one gauge hold the same water: one
      false 5-minute value fills all of them, so they do not confirm each other), or
    - an observed window and a nowcast both reach it, or
    - a nowcast reaches it and 5 mm or more were observed in the last 30 min.
    So a nowcast counts fully for the level, but by itself, out of a dry sky, it has to be seen twice. A doubted value
    reaches no more than the highest level that a second source (70 % of its threshold) or a nowcast confirms.
    """
    known = [f for f in figures if f.window in table.rows and isfinite(f.value_mm)]
    ahead = _ahead(known, table)
    reasons = sorted(
        (reason for figure in known if (reason := _reason(figure, table.rows[figure.window], ahead))),
        key=_gravest_first,
    )
    wet = any(f.window == "rain_30min" and f.value_mm >= WET_MM and not f.doubted for f in known)
    level = reasons[0].level if reasons else Level.NONE
    sure = max(
        (at for at in Level if at and _corroborated([r for r in reasons if r.level >= at], at, table, wet)),
        default=Level.NONE,
    )
    return Assessment(street, level, bool(level) and sure == level, tuple(reasons), sure)


def low_water(figures: Iterable[Figure], table: Table, fraction: float = AGREES_FROM) -> Level:
    """The level that still holds: the highest whose threshold is reached at `fraction` by any window.

    What is not known is not low: unless an observed window of up to 30 min is at least half present, nothing
    can be ruled out and the answer is EMERGENCY, so no level is lowered while the gauges and the radar are
    silent and the sums shrink only because slots are missing. Never below `assess(...).level`.
    Raises ValueError unless 0 < fraction <= 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction} is not in (0, 1]")
    known = [f for f in figures if isfinite(f.value_mm)]
    if not present(known):
        return Level.EMERGENCY
    judged = [(f, table.rows[f.window]) for f in known if f.window in table.rows]
    ahead = _ahead([f for f, _ in judged], table)
    return max(
        (_confirmed(f, row, ahead) if f.doubted else _level(f.value_mm, row, fraction) for f, row in judged),
        default=Level.NONE,
    )


def present(figures: Iterable[Figure]) -> bool:
    """Whether enough is known of the last half hour to say that the rain has gone."""
    return any(
        f.window in PRESENT_MIN and f.share >= PRESENT_SHARE and not f.doubted and isfinite(f.value_mm)
        for f in figures
    )


def _level(value_mm: float, row: tuple[float, ...], fraction: float = 1.0) -> Level:
    return Level(sum(value_mm + NOISE_MM >= fraction * threshold_mm for threshold_mm in row))


def _ahead(figures: Iterable[Figure], table: Table) -> Level:
    """The level a nowcast reaches."""
    return max(
        (_level(f.value_mm, table.rows[f.window]) for f in figures if not f.observed), default=Level.NONE
    )


def _confirmed(figure: Figure, row: tuple[float, ...], ahead: Level) -> Level:
    """The level of a doubted value that a second source or a nowcast confirms."""
    agree_mm = figure.agree_mm if figure.agree_mm is not None and isfinite(figure.agree_mm) else 0.0
    return min(_level(figure.value_mm, row), max(ahead, _level(agree_mm, row, AGREES_FROM)))


def _reason(figure: Figure, row: tuple[float, ...], ahead: Level) -> Reason | None:
    level = _confirmed(figure, row, ahead) if figure.doubted else _level(figure.value_mm, row)
    if not level:
        return None
    agree_mm = figure.agree_mm if figure.agree_mm is not None and isfinite(figure.agree_mm) else None
    return Reason(
        figure.window,
        level,
        figure.value_mm,
        row[level - 1],
        figure.source,
        figure.share,
        agree_mm,
        figure.doubted,
    )


def _gravest_first(reason: Reason) -> tuple[object, ...]:
    """By level, then by how far past its threshold; the rest only makes the order certain."""
    agree_mm = -1.0 if reason.agree_mm is None else reason.agree_mm
    past = reason.value_mm / reason.threshold_mm
    return (
        -reason.level, reason.doubted, -past, WINDOWS.index(reason.window), reason.source, reason.share, agree_mm
    )  # fmt: skip


def _corroborated(reached: list[Reason], at: Level, table: Table, wet: bool) -> bool:
    """Whether the windows that reach `at` support each other; see `assess`."""
    observed = [r for r in reached if r.window.startswith("rain_")]
    forecast = len(observed) < len(reached)
    agreed = any(
        r.agree_mm is not None and r.agree_mm + NOISE_MM >= AGREES_FROM * table.rows[r.window][at - 1]
        for r in observed
    )
    return agreed or len({r.source for r in observed}) > 1 or (forecast and (wet or bool(observed)))
