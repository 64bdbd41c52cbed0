"""What a water level means: the limits of an object in order, the season in force, how long until the next limit.

Owns the order of the limits, which status each stands for, 汛限 by season (gaps, year wrap, an open end, overlaps)
and the time to the next limit. Knows no rows, decides no warning (alerts/assessment/stages.py). Metres, all of one
station and so of one datum: levels of two stations are never compared here. Source: project domain notes 5 (order
of levels) and SL 323 names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

STALE: Final = timedelta(minutes=60)  # domain 5: from older levels no alarm, and here no all-clear
NEAR_M: Final = 0.30
CREST_MARGIN_M: Final = 0.5
LONGEST_AHEAD_S: Final = 24 * 3600  # a rise is no forecast for longer than that
_NOISE_M: Final = 6  # decimals: float noise must not decide whether a limit was reached


class Stand(StrEnum):
    """How a level stands; the words of the outside contract."""

    NORMAL = "normal"
    """Below everything that means something."""
    NEAR = "near"
    """Within NEAR_M under the lowest limit."""
    OVER = "over"
    """Past a limit: 汛限 or 正常 of a reservoir; 警戒, 保证 or the record of a river or tide post."""
    DESIGN = "design"
    """At or above 设计洪水位."""
    CHECK = "check"
    """At or above 校核洪水位, or within CREST_MARGIN_M of 坝顶, or above it."""
    STALE = "stale"
    """The newest reading is older than STALE: it says nothing about now."""
    UNKNOWN = "unknown"
    """No reading, no limits, or a doubtful reading that would look like an all-clear."""


GRAVITY: Final = (Stand.OVER, Stand.DESIGN, Stand.CHECK)


class LimitKind(StrEnum):
    """The levels that mean something, by their SL 323 names."""

    FLOOD_SEASON = "flood_season"
    """FSLTDZ 汛限水位 of the season in force."""
    NORMAL = "normal"
    """NORMZ 正常高水位, outside every season."""
    DESIGN = "design"
    """DSFLZ 设计洪水位."""
    CHECK = "check"
    """CKFLZ 校核洪水位."""
    CREST_MARGIN = "crest_margin"
    """Half a metre below DAMEL."""
    CREST = "crest"
    """DAMEL 坝顶高程: the dam is overtopped."""
    WARNING = "warning"
    """WRZ 警戒水位 (tide: 警戒潮位)."""
    GUARANTEE = "guarantee"
    """GRZ 保证水位."""
    HIGHEST = "highest"
    """OBHTZ 历史最高水位: higher than ever measured."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A level that means something, metres in the station's datum, and the status of having passed it."""

    kind: LimitKind
    limit_m: float
    status: Stand
    inclusive: bool = True  # all but a reservoir's 汛限 and 正常 count when reached: there it must be above

    def passed_by(self, level_m: float) -> bool:
        """Whether the level has passed it."""
        over_m = round(level_m - self.limit_m, _NOISE_M)
        return over_m > 0 or (self.inclusive and over_m == 0)


def reservoir_limits(
    *,
    normal_m: float | None,
    season_m: float | None,
    design_m: float | None,
    check_m: float | None,
    crest_m: float | None,
) -> list[Limit]:
    """The limits of a reservoir, lowest first; `season_m` None: outside every season 正常 counts.

    What is None is not known and is left out; with neither season nor normal there is nothing to stand against.
    """
    first = (LimitKind.NORMAL, normal_m) if season_m is None else (LimitKind.FLOOD_SEASON, season_m)
    if first[1] is None:
        return []
    limits = [Limit(first[0], first[1], Stand.OVER, inclusive=False)]
    if design_m is not None:
        limits.append(Limit(LimitKind.DESIGN, design_m, Stand.DESIGN))
    if check_m is not None:
        limits.append(Limit(LimitKind.CHECK, check_m, Stand.CHECK))
    if crest_m is not None:
        limits.append(Limit(LimitKind.CREST_MARGIN, round(crest_m - CREST_MARGIN_M, _NOISE_M), Stand.CHECK))
        limits.append(Limit(LimitKind.CREST, crest_m, Stand.CHECK))
    return sorted(limits, key=_lowest_first)


def river_limits(
    *, warning_m: float | None, guarantee_m: float | None, highest_m: float | None
) -> list[Limit]:
    """The limits of a river or tide post, lowest first; without 警戒 none.

    A record below 警戒 says only that the river never rose so high since it is measured: no limit.
    """
    if warning_m is None:
        return []
    limits = [Limit(LimitKind.WARNING, warning_m, Stand.OVER)]
    if guarantee_m is not None:
        limits.append(Limit(LimitKind.GUARANTEE, guarantee_m, Stand.OVER))
    if highest_m is not None and highest_m > warning_m:
        limits.append(Limit(LimitKind.HIGHEST, highest_m, Stand.OVER))
    return sorted(limits, key=_lowest_first)


def stand(level_m: float, limits: Sequence[Limit]) -> tuple[Stand, Limit | None]:
    """(status, the limit it speaks of): the gravest one passed, else the lowest one; no limits: unknown."""
    if not limits:
        return Stand.UNKNOWN, None
    passed = [limit for limit in limits if limit.passed_by(level_m)]
    if passed:
        gravest = max(passed, key=lambda limit: (GRAVITY.index(limit.status), *_lowest_first(limit)))
        return gravest.status, gravest
    lowest = min(limits, key=_lowest_first)
    near = round(level_m - lowest.limit_m, _NOISE_M) >= -NEAR_M
    return (Stand.NEAR if near else Stand.NORMAL), lowest


def next_limit(level_m: float, limits: Iterable[Limit]) -> Limit | None:
    """The lowest limit not yet passed; None above all of them."""
    return min((limit for limit in limits if not limit.passed_by(level_m)), key=_lowest_first, default=None)


def time_to_limit_s(level_m: float, rate_m_per_h: float | None, limit: Limit | None) -> int | None:
    """Seconds until a level that goes on rising like this reaches the limit.

    None when it does not rise, has no such limit, or would need more than a day. A tide does not rise in a straight
    line: do not ask for it.
    """
    if limit is None or rate_m_per_h is None or rate_m_per_h <= 0:
        return None
    ahead_s = max(0.0, limit.limit_m - level_m) / rate_m_per_h * 3600
    return round(ahead_s) if ahead_s <= LONGEST_AHEAD_S else None


@dataclass(frozen=True, slots=True)
class Season:
    """One row of 汛限: days MMDD, both inclusive; may wrap the year end. `end_mmdd` empty: until the next begins."""

    begin_mmdd: str
    end_mmdd: str
    limit_m: float


def season_in_force(seasons: Sequence[Season], day: date) -> Season | None:
    """The season of a local day; None in a gap. Where two overlap, the lower limit: the safe side.

    A season without an end lasts until the day before the next one begins; alone it lasts the whole year.
    """
    mmdd = day.strftime("%m%d")
    covering = [season for season in seasons if _covers(season, seasons, mmdd)]
    return min(covering, key=lambda season: (season.limit_m, season.begin_mmdd), default=None)


def _covers(season: Season, seasons: Sequence[Season], mmdd: str) -> bool:
    begin, end = season.begin_mmdd, season.end_mmdd
    if end:
        return begin <= mmdd <= end if begin <= end else mmdd >= begin or mmdd <= end
    others = sorted(other.begin_mmdd for other in seasons if other.begin_mmdd != begin)
    if not others:
        return True
    ends_before = next((other for other in others if other > begin), others[0])
    return begin <= mmdd < ends_before if begin < ends_before else mmdd >= begin or mmdd < ends_before


def _lowest_first(limit: Limit) -> tuple[float, str]:
    return limit.limit_m, limit.kind
