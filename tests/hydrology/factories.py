"""Rows of a small wet city: two districts, three streets, gauges, one reservoir of each kind, one river."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from foundation.seals import seal
from hydrology.models import Feed, Level, Region, Reservoir, River, SeasonLimit, Station, StationKind

NOW = datetime(2026, 9, 7, 12, tzinfo=UTC)
SECRET = "a feed's secret"
MINUTE = timedelta(minutes=1)

PLACES = [  # code, level, parent, lon, lat
    ("4403", Level.CITY, None, 114.06, 22.62),
    ("440303", Level.DISTRICT, "4403", 114.13, 22.56),
    ("440304", Level.DISTRICT, "4403", 114.06, 22.53),
    ("440303001", Level.STREET, "440303", 114.12, 22.55),
    ("440303002", Level.STREET, "440303", 114.18, 22.59),
    ("440304001", Level.STREET, "440304", 114.05, 22.53),
]


def make_regions() -> dict[str, Region]:
    made: dict[str, Region] = {}
    for code, level, parent, lon, lat in PLACES:
        path = (made[parent].path if parent else "") + f"{code}/"
        made[code] = Region.objects.create(
            code=code, name=f"region {code}", level=level, parent_id=parent, path=path, lon=lon, lat=lat
        )
    return made


def make_station(code: str, kind: StationKind, region: str, **fields: Any) -> Station:
    """A station at the centre of its region."""
    place = Region.objects.get(pk=region)
    where = {"lon": place.lon, "lat": place.lat} | fields
    return Station.objects.create(code=code, name=f"station {code}", kind=kind, region=place, **where)


def make_reservoir(code: str, region: str, *, gated: bool = True) -> Reservoir:
    """Dead 20, normal 30, design 32, check 33, crest 34 m; 汛限 28 m from 15 April to 15 October."""
    reservoir = Reservoir.objects.create(
        station=make_station(code, StationKind.RESERVOIR, region),
        gated=gated, dead_m=20.0, normal_m=30.0, design_m=32.0, check_m=33.0, crest_m=34.0,
    )  # fmt: skip
    SeasonLimit.objects.create(reservoir=reservoir, begin_mmdd="0415", end_mmdd="1015", limit_m=28.0)
    return reservoir


def make_river(code: str, region: str) -> River:
    """Bed 1, 警戒 5, 保证 6, highest 7 m."""
    station = make_station(code, StationKind.RIVER, region)
    return River.objects.create(station=station, warning_m=5.0, guarantee_m=6.0, highest_m=7.0, bed_m=1.0)


def make_feed(key: str = "gauges", **fields: Any) -> Feed:
    return Feed.objects.create(key=key, name=f"feed {key}", sealed_secret=seal(SECRET), **fields)


def rain(station: str, at: datetime, value: Any, **fields: Any) -> dict[str, Any]:
    return {"station": station, "element": "rain_mm", "observed_at": at.isoformat(), "value": value} | fields


def stage(station: str, at: datetime, value: Any) -> dict[str, Any]:
    return {"station": station, "element": "stage_m", "observed_at": at.isoformat(), "value": value}


def body(*rows: Any) -> bytes:
    return orjson.dumps({"readings": rows})


def steady_stage(station: str, value: float, until: datetime, count: int = 4) -> Iterable[dict[str, Any]]:
    """`count` equal levels, 5 minutes apart, the last at `until`."""
    return [stage(station, until - 5 * n * MINUTE, value) for n in reversed(range(count))]
