"""Which grid cells and which rain gauges belong to which street or community, and which streets touch.

Owns the zones of the Region table on a given grid, kept per process until a place of that level changes. There are no
legal boundaries here: a place is the cells nearest to its centre, within 6 km.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from numpy.typing import NDArray

from hydrology.models import Level, Region, Station, StationKind
from hydrology.science.grids import KM_PER_DEGREE, Zones

REACH_KM = 6.0
BORDER_DEG = (
    0.005  # the grid on which borders are looked for: some 500 m, a quarter of what lies between two streets
)
DEPTHS = {Level.STREET: 2, Level.COMMUNITY: 3}  # where a place of the level stands in a path
Axis = NDArray[np.float64]
Version = tuple[int, int]
_AXIS = re.compile(r"(-?\d+\.\d+)([+-]\d+\.\d+)x(\d+)")


def zones_of(level: Level, lat: Axis, lon: Axis) -> Zones:
    """Zones of all places of a level, in order of code, on the grid with these cell centres (degrees). One cheap query.

    Among the communities stand the streets that have none: no street is without a place.
    """
    return _zones(level, lat.astype(np.float64).tobytes(), lon.astype(np.float64).tobytes(), _version())


def street_zones(lat: Axis, lon: Axis) -> Zones:
    return zones_of(Level.STREET, lat, lon)


def district_zones(lat: Axis, lon: Axis) -> Zones:
    """Zones of all districts, in order of code: the cells of their streets together."""
    streets = street_zones(lat, lon)
    parents = dict(Region.objects.filter(level=Level.STREET).values_list("code", "parent_id"))
    return streets.merged([str(parents[code]) for code in streets.codes])


def street_members() -> dict[str, tuple[str, ...]]:
    """Codes of the rain gauges that stand in each street, or anywhere below it; streets without are left out."""
    return members_of(Level.STREET)


def members_of(level: Level) -> dict[str, tuple[str, ...]]:
    """Codes of the rain gauges by street or by community; places without are left out.

    A gauge of a street that names no community counts for the community of the street that is nearest.
    """
    depth = DEPTHS[level]
    near: Mapping[str, tuple[str, ...]] = {}
    centres: dict[str, tuple[float, float]] = {}
    if level == Level.COMMUNITY:
        near = places_in_streets(level)
        centres = {code: (lon, lat) for code, _, lon, lat in _places(level, _version())}
    members: dict[str, list[str]] = defaultdict(list)
    rows = Station.objects.filter(kind=StationKind.RAIN).order_by("code")
    for code, path, lon, lat in rows.values_list("code", "region__path", "lon", "lat"):
        parts = path.split("/")  # city/district/street/…, ended by /
        if len(parts) > depth + 1:
            members[parts[depth]].append(code)
        elif len(parts) > 3 and (its := near.get(parts[2])):
            away = {place: _away(centres[place], lon, lat) for place in its}
            members[min(its, key=lambda place: (away[place], place))].append(code)
    return {place: tuple(codes) for place, codes in members.items()}


def places_in_streets(level: Level) -> Mapping[str, tuple[str, ...]]:
    """The places of the level in each street, in order of code; of the streets themselves each its own."""
    return _in_streets(level, _version())


@lru_cache(maxsize=4)
def _in_streets(level: Level, version: Version) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for code, street, *_ in _places(level, version):
        found[street].append(code)
    return {street: tuple(codes) for street, codes in found.items()}


def place_at(lon: float, lat: float) -> str | None:
    """The community (of a street that has none: the street) whose centre is nearest to the point; None beyond 6 km."""
    places = _places(Level.COMMUNITY, _version())
    away_deg, code = min(((_away((x, y), lon, lat), code) for code, _, x, y in places), default=(180.0, ""))
    return code if away_deg * KM_PER_DEGREE <= REACH_KM else None


def _away(centre: tuple[float, float], lon: float, lat: float) -> float:
    return float(np.hypot(centre[1] - lat, (centre[0] - lon) * np.cos(np.radians(lat))))


def touching_streets() -> Mapping[str, frozenset[str]]:
    """Which streets touch: their zones have a border in common. One cheap query; the same whatever grids come in."""
    return _touching(_version())


@lru_cache(maxsize=2)
def _touching(version: Version) -> Mapping[str, frozenset[str]]:
    places = list(Region.objects.filter(level=Level.STREET).values_list("lat", "lon"))
    if not places:
        return {}
    edge = REACH_KM / KM_PER_DEGREE + BORDER_DEG
    lat, lon = (
        np.arange(min(axis) - edge, max(axis) + edge + BORDER_DEG, BORDER_DEG)
        for axis in zip(*places, strict=True)
    )
    zones = street_zones(lat, lon)
    owner = np.full((lat.size, lon.size), -1, dtype=np.intp)
    owner.ravel()[zones.cells] = np.repeat(np.arange(len(zones.codes)), zones.sizes)
    touching: dict[str, set[str]] = {code: set() for code in zones.codes}
    for one, other in ((owner[1:], owner[:-1]), (owner[:, 1:], owner[:, :-1])):
        at = (one >= 0) & (other >= 0) & (one != other)
        for a, b in {*zip(one[at].tolist(), other[at].tolist(), strict=True)}:
            touching[zones.codes[a]].add(zones.codes[b])
            touching[zones.codes[b]].add(zones.codes[a])
    return {code: frozenset(others) for code, others in touching.items()}


def axes_of(geometry: str) -> tuple[Axis, Axis]:
    """(lat, lon) cell centres in degrees of a `Grid.geometry`; raises ValueError when it is none."""
    lat, lon = (_AXIS.fullmatch(part) for part in geometry.split(","))
    if not lat or not lon:
        raise ValueError(f"not a grid geometry: {geometry!r}")
    return _axis(lat), _axis(lon)


def _axis(match: re.Match[str]) -> Axis:
    first, spacing, count = float(match[1]), float(match[2]), int(match[3])
    return np.round(first + spacing * np.arange(count), 5)


def _version() -> Version:
    """Changes when a street or a community is added, moved or renamed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(hashtext(code || lon || lat || path)::bigint), 0)::bigint"
            " FROM hydrology_region WHERE level IN ('street', 'community')"
        )
        count, digest = cursor.fetchone()
    return count, digest


@lru_cache(maxsize=4)
def _places(level: Level, version: Version) -> list[tuple[str, str, float, float]]:
    """(code, its street, lon, lat) of the places of a level, in order of code."""
    rows = Region.objects.filter(level=level)
    if level == Level.COMMUNITY:
        childless = Q(level=Level.STREET) & ~Exists(
            Region.objects.filter(parent=OuterRef("pk"), level=Level.COMMUNITY)
        )
        rows = Region.objects.filter(Q(level=level) | childless)
    return [
        (code, code if its == Level.STREET else path.split("/")[2], lon, lat)
        for code, its, path, lon, lat in rows.order_by("code").values_list(
            "code", "level", "path", "lon", "lat"
        )
    ]


@lru_cache(maxsize=8)
def _zones(level: Level, lat: bytes, lon: bytes, version: Version) -> Zones:
    places = _places(level, version)
    centres = np.array([place for _, _, *place in places], dtype=np.float64).reshape(-1, 2)
    codes = [code for code, *_ in places]
    return Zones.nearest(np.frombuffer(lat), np.frombuffer(lon), codes, centres, REACH_KM)
