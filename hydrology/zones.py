"""Which grid cells and which rain gauges belong to which street.

Owns the zones of the Region table on a given grid, kept per process until a street changes. There are no legal
boundaries here: a street is the cells nearest to its centre, within 6 km.
"""

import re
from collections import defaultdict
from functools import lru_cache

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from hydrology.models import Level, Region, Station, StationKind
from hydrology.science.grids import Zones

REACH_KM = 6.0
Axis = NDArray[np.float64]
_AXIS = re.compile(r"(-?\d+\.\d+)([+-]\d+\.\d+)x(\d+)")


def street_zones(lat: Axis, lon: Axis) -> Zones:
    """Zones of all streets, in order of code, on the grid with these cell centres (degrees). One cheap query."""
    return _zones(lat.astype(np.float64).tobytes(), lon.astype(np.float64).tobytes(), _version())


def district_zones(lat: Axis, lon: Axis) -> Zones:
    """Zones of all districts, in order of code: the cells of their streets together."""
    streets = street_zones(lat, lon)
    parents = dict(Region.objects.filter(level=Level.STREET).values_list("code", "parent_id"))
    return streets.merged([str(parents[code]) for code in streets.codes])


def street_members() -> dict[str, tuple[str, ...]]:
    """Codes of the rain gauges that stand in each street, or anywhere below it; streets without are left out."""
    members: dict[str, list[str]] = defaultdict(list)
    rows = Station.objects.filter(kind=StationKind.RAIN).order_by("code").values_list("code", "region__path")
    for code, path in rows:
        if len(parts := path.split("/")) > 3:  # city/district/street/…
            members[parts[2]].append(code)
    return {street: tuple(codes) for street, codes in members.items()}


def axes_of(geometry: str) -> tuple[Axis, Axis]:
    """(lat, lon) cell centres in degrees of a `Grid.geometry`; raises ValueError when it is none."""
    lat, lon = (_AXIS.fullmatch(part) for part in geometry.split(","))
    if not lat or not lon:
        raise ValueError(f"not a grid geometry: {geometry!r}")
    return _axis(lat), _axis(lon)


def _axis(match: re.Match[str]) -> Axis:
    first, spacing, count = float(match[1]), float(match[2]), int(match[3])
    return np.round(first + spacing * np.arange(count), 5)


def _version() -> tuple[int, int]:
    """Changes when a street is added, moved or renamed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(hashtext(code || lon || lat || path)::bigint), 0)::bigint"
            " FROM hydrology_region WHERE level = %s",
            [Level.STREET.value],
        )
        count, digest = cursor.fetchone()
    return count, digest


@lru_cache(maxsize=8)
def _zones(lat: bytes, lon: bytes, version: tuple[int, int]) -> Zones:
    streets = list(
        Region.objects.filter(level=Level.STREET).order_by("code").values_list("code", "lon", "lat")
    )
    codes = [code for code, _, _ in streets]
    centres = np.array([place for _, *place in streets], dtype=np.float64).reshape(-1, 2)
    return Zones.nearest(np.frombuffer(lat), np.frombuffer(lon), codes, centres, REACH_KM)
