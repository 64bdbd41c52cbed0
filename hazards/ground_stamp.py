"""The water around a point at this moment, as evidence beside a report: rain of the last hour, the nearest levels.

Reads only; a plain dict that is kept as JSON. Within the district of the report, like all water that is shown. Missing
is None, never zero; shares say how much of the hour is there.
"""

from datetime import datetime, timedelta
from typing import Any

import orjson

from foundation.clock import iso
from hydrology import around, rain
from hydrology.feeds.clock import water_clock
from hydrology.history import STEPS, series
from hydrology.models import Level, Region, StationKind
from hydrology.science.readings import Element
from hydrology.shelf import Asked

HOUR_MIN = 60
Stamp = dict[str, Any]


def stamp_of(region: Region, lon: float, lat: float, now: datetime) -> Stamp:
    """`{as_of, gauge, street, levels}`: the nearest gauge's hour, the street's hour, the nearest reservoir and river."""
    codes = region.path.split("/")
    district, street = f"{codes[0]}/{codes[1]}/", "/".join(codes[:3]) + "/"
    as_of = rain.newest_slot(water_clock(now))

    def nearest(kind: StationKind) -> Stamp | None:
        found = around.nearest((district,), lat, lon, now, count=1, kind=kind)["items"]
        return found[0] if found else None

    levels = [at for kind in (StationKind.RESERVOIR, StationKind.RIVER) if (at := nearest(kind))]
    return {
        "as_of": iso(as_of),
        "gauge": _gauge(nearest(StationKind.RAIN), as_of),
        "street": _street(street, now),
        "levels": [{"distance_km": at["distance_km"], **at["level"]} for at in levels],
    }


def _gauge(at: Stamp | None, as_of: datetime) -> Stamp | None:
    if at is None:
        return None
    steps, _ = series(at["station"], Element.RAIN, as_of - timedelta(minutes=HOUR_MIN), as_of, STEPS["5min"])
    sums = [step["value"] for step in steps if step["value"] is not None]
    return {
        "station": at["station"],
        "name": at["name"],
        "distance_km": at["distance_km"],
        "rain_60min_mm": round(sum(sums), 1) if sums else None,
        "share": round(sum(step["share"] for step in steps) * 5 / HOUR_MIN, 3),
    }


def _street(path: str, now: datetime) -> Stamp | None:
    answer = orjson.loads(rain.shelf(Level.STREET, now).answer(Asked((path,))).body)
    for item in answer["items"]:
        [hour] = [sums for sums in item["observed"] if sums["minutes"] == HOUR_MIN]
        return {"region": item["region"], "name": item["name"], **hour}
    return None
