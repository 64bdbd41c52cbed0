"""Where a level stands against the limits of its object: rows and `now` in, an item of the contract out.

Maps rows to science/stages.py, where the meaning of the levels stands, and tells the result. Raises no warning
(alerts does). An ungated reservoir over its limit overflows by design: still `over`, and the item says
`gated: false`. Metres of one station's datum, which the item names; items of two stations are not compared.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

from foundation.clock import age_s, iso
from hydrology.models import SeasonLimit, StationKind
from hydrology.science.quality import Quality
from hydrology.science.stages import (
    STALE,
    Limit,
    Season,
    Stand,
    next_limit,
    reservoir_limits,
    river_limits,
    season_in_force,
    stand,
    time_to_limit_s,
)

STEADY_M_PER_H: Final = 0.02
STATUSES: Final = tuple(status.value for status in Stand)
KINDS: Final = {
    StationKind.RESERVOIR: "reservoir",
    StationKind.RIVER: "river",
    StationKind.TIDE: "tide",
}

Item = dict[str, Any]


def seasons_in_force(rows: Iterable[SeasonLimit], day: date) -> dict[str, Season]:
    """The season that holds on a local day, by station code; no entry in a gap."""
    seasons: defaultdict[str, list[Season]] = defaultdict(list)
    for row in rows:
        seasons[row.reservoir_id].append(Season(row.begin_mmdd, row.end_mmdd, row.limit_m))
    found = {code: season_in_force(its, day) for code, its in seasons.items()}
    return {code: season for code, season in found.items() if season is not None}


def season_limits(rows: Iterable[SeasonLimit], day: date) -> dict[str, float]:
    """汛限 in force on a local day, metres by station code; no entry in a gap: there 正常 counts."""
    return {code: season.limit_m for code, season in seasons_in_force(rows, day).items()}


def limits_of(post: Item, season_m: float | None) -> list[Limit]:
    """The limits of a `Station.objects.level_posts()` row, lowest first; none when the object has none."""
    if post["kind"] == StationKind.RESERVOIR:
        return reservoir_limits(
            normal_m=post["reservoir__normal_m"],
            season_m=season_m,
            design_m=post["reservoir__design_m"],
            check_m=post["reservoir__check_m"],
            crest_m=post["reservoir__crest_m"],
        )
    return river_limits(
        warning_m=post["river__warning_m"],
        guarantee_m=post["river__guarantee_m"],
        highest_m=post["river__highest_m"],
    )


def item_of(post: Item, season_m: float | None, now: datetime) -> Item:
    """One item of `GET live/levels`; `age_s` counts up to `now`.

    A doubtful reading may look like an alarm, never like an all-clear; from it and from a stale one no time to the
    next limit is told, nor from a tide, which does not rise in a straight line.
    """
    limits = limits_of(post, season_m)
    level_m, observed_at = post["stage__value"], post["stage__observed_at"]
    rate = post["stage__rate_m_per_h"]
    quality = None if level_m is None else Quality(post["stage__quality"])
    limit = ahead = None
    if level_m is None:
        status = Stand.UNKNOWN
        limit = ahead = limits[0] if limits else None
    else:
        status, limit = stand(level_m, limits)
        ahead = next_limit(level_m, limits)
    if status in (Stand.NORMAL, Stand.NEAR) and quality is not Quality.GOOD:
        status = Stand.UNKNOWN
    if observed_at is not None and now - observed_at > STALE:
        status = Stand.STALE
    forecast = status is not Stand.STALE and quality is Quality.GOOD and post["kind"] != StationKind.TIDE
    return {
        "station": post["code"],
        "name": post["name"],
        "kind": KINDS[post["kind"]],
        "region": post["region_id"],
        "level_m": level_m,
        "datum": post["datum"],
        "observed_at": iso(observed_at),
        "age_s": age_s(observed_at, now),
        "quality": quality.name.lower() if quality is not None else None,
        "trend": _trend(rate),
        "rate_m_per_h": rate,
        "limit_kind": limit.kind.value if limit else None,
        "limit_m": limit.limit_m if limit else None,
        "over_m": round(level_m - limit.limit_m, 3) if limit and level_m is not None else None,
        "next_limit_kind": ahead.kind.value if ahead else None,
        "time_to_limit_s": time_to_limit_s(level_m, rate, ahead) if forecast else None,
        "status": status.value,
        "gated": post["reservoir__gated"],
    }


def _trend(rate_m_per_h: float | None) -> str | None:
    if rate_m_per_h is None:
        return None
    if abs(rate_m_per_h) < STEADY_M_PER_H:
        return "steady"
    return "rising" if rate_m_per_h > 0 else "falling"
