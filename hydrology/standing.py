"""Where a level stands against the limits of its object: rows and `now` in, an item of the contract out.

Owns the statuses `normal near over design check stale unknown`. Raises no warning (alerts does). Sources: domain 5
(order of levels, exceedances) and SL 323 names. Reservoirs: 汛限 of the season, else 正常; 设计; 校核. Rivers: 警戒;
保证. An ungated reservoir over its limit overflows by design: still `over`, and the item says `gated: false`.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from foundation.clock import iso
from hydrology.models import SeasonLimit, StationKind
from hydrology.science.quality import Quality

STALE: Final = timedelta(minutes=60)  # domain 5: from older levels no alarm, and here no all-clear
NEAR_M: Final = 0.30
STEADY_M_PER_H: Final = 0.02
STATUSES: Final = ("normal", "near", "over", "design", "check", "stale", "unknown")
KINDS: Final = {StationKind.RESERVOIR: "reservoir", StationKind.RIVER: "river"}

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limit:
    """A level that means something, metres in the station's datum, and the status of having passed it."""

    kind: str
    limit_m: float
    status: str
    inclusive: bool = True  # 设计, 校核, 警戒, 保证 count when reached; a reservoir is over only above 汛限

    def passed_by(self, level_m: float) -> bool:
        return level_m > self.limit_m or (self.inclusive and level_m == self.limit_m)


def season_limits(rows: list[SeasonLimit], day: date) -> dict[str, float]:
    """汛限 in force on a local day, by station code; where two seasons overlap the lower one."""
    limits: dict[str, float] = {}
    for row in rows:
        if row.covers(day):
            limits[row.reservoir_id] = min(row.limit_m, limits.get(row.reservoir_id, row.limit_m))
    return limits


def limits_of(post: Item, season_m: float | None) -> list[Limit]:
    """The limits of a `Station.objects.level_posts()` row, lowest first; none when the object has none."""
    if post["river__warning_m"] is not None:
        return [
            Limit("warning", post["river__warning_m"], "over"),
            Limit("guarantee", post["river__guarantee_m"], "over"),
        ]
    if post["reservoir__normal_m"] is None:
        return []
    return [
        Limit("normal", post["reservoir__normal_m"], "over", inclusive=False)
        if season_m is None
        else Limit("flood_season", season_m, "over", inclusive=False),
        Limit("design", post["reservoir__design_m"], "design"),
        Limit("check", post["reservoir__check_m"], "check"),
    ]


def stand(level_m: float, limits: list[Limit]) -> tuple[str, Limit | None]:
    """(status, the limit it speaks of): the highest one passed, else the lowest one; no limits: unknown."""
    passed = [limit for limit in limits if limit.passed_by(level_m)]
    if passed:
        return passed[-1].status, passed[-1]
    if not limits:
        return "unknown", None
    return ("near" if level_m >= limits[0].limit_m - NEAR_M else "normal"), limits[0]


def item_of(post: Item, season_m: float | None, now: datetime) -> Item:
    """One item of `GET live/levels`; `age_s` counts up to `now`."""
    limits = limits_of(post, season_m)
    level_m, observed_at = post["stage__value"], post["stage__observed_at"]
    rate = post["stage__rate_m_per_h"]
    status, limit = ("unknown", limits[0] if limits else None) if level_m is None else stand(level_m, limits)
    quality = None if level_m is None else Quality(post["stage__quality"])
    if status in ("normal", "near") and quality is not Quality.GOOD:
        status = "unknown"  # a doubtful reading may alarm, it is no all-clear
    if observed_at is not None and now - observed_at > STALE:
        status = "stale"
    return {
        "station": post["code"],
        "name": post["name"],
        "kind": KINDS[post["kind"]],
        "region": post["region_id"],
        "level_m": level_m,
        "observed_at": iso(observed_at),
        "age_s": None if observed_at is None else max(0, round((now - observed_at).total_seconds())),
        "quality": quality.name.lower() if quality is not None else None,
        "trend": _trend(rate),
        "rate_m_per_h": rate,
        "limit_kind": limit.kind if limit else None,
        "limit_m": limit.limit_m if limit else None,
        "over_m": round(level_m - limit.limit_m, 3) if limit and level_m is not None else None,
        "status": status,
        "gated": post["reservoir__gated"],
    }


def _trend(rate_m_per_h: float | None) -> str | None:
    if rate_m_per_h is None:
        return None
    if abs(rate_m_per_h) < STEADY_M_PER_H:
        return "steady"
    return "rising" if rate_m_per_h > 0 else "falling"
