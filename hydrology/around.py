"""What stands around a point: the nearest stations an officer may see, each with its newest word.

Owns the distance. Levels are items as in live/levels; rain is the newest 5-minute value. Reads only.
"""

from datetime import datetime
from math import cos, hypot, radians
from typing import Any, Final

from foundation.clock import age_s, iso, local
from hydrology.feeds.clock import water_clock
from hydrology.models import Latest, SeasonLimit, Station
from hydrology.science.grids import KM_PER_DEGREE
from hydrology.science.readings import Element
from hydrology.standing import item_of, season_limits

MOST: Final = 50


def nearest(
    paths: tuple[str, ...], lat: float, lon: float, now: datetime, *, count: int = 10, kind: str | None = None
) -> dict[str, Any]:
    """`{as_of, items: [{station, distance_km, level, rain}]}`, the nearest first; three queries.

    `kind` is a StationKind. The distance is equirectangular: good to a few metres within the city.
    """
    rows = Station.objects.within(*paths).values(
        "code", "name", "kind", "region_id", "lon", "lat", "synthetic"
    )
    if kind:
        rows = rows.filter(kind=kind)
    east = cos(radians(lat))
    away = sorted(
        (
            (KM_PER_DEGREE * hypot(row["lat"] - lat, (row["lon"] - lon) * east), row["code"], row)
            for row in rows
        ),
        key=lambda found: found[:2],
    )[:count]
    as_of = water_clock(now)
    codes = [code for _, code, _ in away]
    season_m = season_limits(list(SeasonLimit.objects.filter(reservoir__in=codes)), local(as_of).date())
    levels = {
        post["code"]: item_of(post, season_m.get(post["code"]), as_of)
        for post in Station.objects.level_posts().filter(pk__in=codes)
    }
    rain = {
        latest.station_id: {
            "observed_at": iso(latest.observed_at),
            "age_s": age_s(latest.observed_at, as_of),
            "rain_mm": latest.value,
        }
        for latest in Latest.objects.filter(station__in=codes, element=Element.RAIN)
    }
    return {
        "as_of": iso(as_of),
        "items": [
            {
                "station": code,
                "name": row["name"],
                "region": row["region_id"],
                "lon": row["lon"],
                "lat": row["lat"],
                "synthetic": row["synthetic"],
                "distance_km": round(km, 2),
                "level": levels.get(code),
                "rain": rain.get(code),
            }
            for km, code, row in away
        ],
    }
