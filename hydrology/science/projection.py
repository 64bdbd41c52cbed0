"""Grids on a map projection, or with a latitude and longitude for every cell, brought to our regular one.

Owns which projections are understood and how cells are sampled. Reads no file format (formats/), knows no time.
Projections are PROJ parameters from a closed list, or an EPSG number: nothing a file says may name a grid file, a
pipeline or an address. Coordinates of spheres and of CGCS2000 are taken as WGS 84 ones, as their makers do.

The rule is nearest: a cell of ours gets the value of the source cell its centre lies in, or is missing where it lies in
none. So no value appears that the source has not, and never one above its neighbours. Our spacing is the source's own,
made smaller until every source cell contains a centre of ours whatever its turn: no peak is lost. One row and one
column may so be counted twice: the total over n x n cells is kept within 2.2 / n, and over many places it is right on
average (tests/hydrology/test_projection.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyproj
import pyproj.network
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from hydrology.science.grids import MAX_CELLS, BadGrid

pyproj.network.set_network_enabled(active=False)  # type: ignore[attr-defined]

NAMES: Final = ("aea", "aeqd", "eqc", "laea", "lcc", "merc", "stere", "sterea", "tmerc", "utm", "webmerc")
_NUMBERS: Final = frozenset(
    {"lat_0", "lon_0", "lat_1", "lat_2", "lat_ts", "k", "k_0", "x_0", "y_0", "a", "b", "R", "rf", "f", "zone"}
)
_WORDS: Final = {
    "ellps": frozenset({"WGS84", "GRS80", "GRS67", "sphere", "bessel", "intl", "krass", "clrk66", "WGS72"}),
    "datum": frozenset({"WGS84"}),
    "units": frozenset({"m", "km"}),
    "type": frozenset({"crs"}),
}
_FLAGS: Final = frozenset({"no_defs", "south", "wktext", "over"})
_SAYS_NOTHING: Final = ("type", "no_defs", "wktext", "over")
_LAT_LON: Final = re.compile(
    r"\+?proj=(longlat|latlong|lonlat|latlon)\b|^\s*epsg:(4326|4490)\s*$", re.IGNORECASE
)
_EPSG: Final = re.compile(r"\s*epsg:(\d{4,5})\s*", re.IGNORECASE)
_MESH: Final = 65
_STEP_DEG: Final = 1e-3
_DECIMALS: Final = 5  # of the spacing in degrees, as of all our coordinates
_LEAST_HIT: Final = 0.9
_NEWTON_STEPS: Final = 12
_CLOSE: Final = 0.01  # of a cell
_ADVICE: Final = "send latitude-longitude (gdalwarp -t_srs EPSG:4326), or one of " + ", ".join(NAMES)

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mapping2D = Callable[[Floats, Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Projection:
    """A checked definition; `metres` is how many metres one unit of its coordinates has."""

    definition: str
    metres: float = 1.0

    def xy(self, lon: Array, lat: Array) -> tuple[Floats, Floats]:
        """Metres, infinite where the projection has no such place."""
        x, y = _transformer(self.definition).transform(np.asarray(lon, float), np.asarray(lat, float))
        return np.asarray(x), np.asarray(y)

    def lon_lat(self, x: Array, y: Array) -> tuple[Floats, Floats]:
        """Degrees, infinite where there is no such place."""
        lon, lat = _transformer(self.definition).transform(
            np.asarray(x, float), np.asarray(y, float), direction="INVERSE"
        )
        return np.asarray(lon), np.asarray(lat)


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """Which source cell each of ours is taken from: `lat` falls, `lon` rises; `cells` is (lat, lon), -1 for none.

    Without `cells` the source is regular already: its axes as they came, its fields as they are.
    """

    lat: Floats
    lon: Floats
    cells: NDArray[np.intp] | None = None

    def of(self, field: Array) -> Array:
        """(rows, columns) of the source to (lat, lon); outside the source NaN."""
        if self.cells is None:
            return field
        return np.where(self.cells >= 0, np.asarray(field, dtype=np.float64).ravel()[self.cells], np.nan)


def is_lat_lon(text: str) -> bool:
    """Whether a definition says plain latitude and longitude."""
    return _LAT_LON.search(text) is not None


def projection(text: str, field: str) -> Projection:
    """A PROJ string or `EPSG:number` as a Projection; raises BadGrid that names `field`."""
    epsg = _EPSG.fullmatch(text)
    definition, metres = (f"EPSG:{epsg[1]}", 1.0) if epsg else _checked(text, field)
    try:
        _transformer(definition)
    except (ProjError, RuntimeError) as error:
        raise BadGrid(field, f"{text[:60]!r} is no usable projection", _ADVICE) from error
    return Projection(definition, metres)


def of_plane(onto: Projection, x: Array, y: Array) -> Sampling:
    """Sampling of a grid with cell centres `x` (columns) and `y` (rows), evenly spaced, in units of `onto`."""
    column, row = _even("x", x, onto.metres), _even("y", y, onto.metres)
    return _of_plane(onto, column, row)


def of_curved(lat: Array, lon: Array) -> Sampling:
    """Sampling of a grid with the centre of every cell given, both (rows, columns), degrees."""
    lat, lon = np.asarray(lat, dtype=np.float64), np.asarray(lon, dtype=np.float64)
    if lat.ndim != 2 or lat.shape != lon.shape or min(lat.shape) < 2 or lat.size > MAX_CELLS:
        raise BadGrid("lat, lon", f"are {lat.shape} and {lon.shape}", "send both as (y, x), at least 2 x 2")
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(lat).all() and np.isfinite(lon).all()
        if not (usable and np.abs(lat).max() <= 90 and np.abs(lon).max() <= 360):
            raise BadGrid("lat, lon", "are not all degrees in range", "send the centre of every cell")
    return _of_curved(lat.tobytes(), np.where(lon > 180, lon - 360, lon).tobytes(), lat.shape)


def _checked(text: str, field: str) -> tuple[str, float]:
    """The allowed parameters of a PROJ string, once each; raises BadGrid on any other."""
    chosen: dict[str, str] = {}
    for token in text.split():
        name, equals, value = token.removeprefix("+").partition("=")
        allowed = (
            _is_number(value) if name in _NUMBERS
            else value in _WORDS[name] if name in _WORDS
            else value in NAMES if name == "proj"
            else name in _FLAGS and not equals
        )  # fmt: skip
        if not allowed:
            raise BadGrid(field, f"{token[:40]!r} is not understood in a projection", _ADVICE)
        chosen.setdefault(name, value)
    if "proj" not in chosen:
        raise BadGrid(field, f"{text[:40]!r} names no projection", _ADVICE)
    metres = 1000.0 if chosen.pop("units", "m") == "km" else 1.0
    for name in _SAYS_NOTHING:
        chosen.pop(name, None)
    return " ".join(f"+{name}={value}" if value else f"+{name}" for name, value in chosen.items()), metres


def _is_number(value: str) -> bool:
    return re.fullmatch(r"[+-]?(\d{1,9}(\.\d{0,12})?|\.\d{1,12})([eE][+-]?\d{1,2})?", value) is not None


@lru_cache(maxsize=16)
def _transformer(definition: str) -> pyproj.Transformer:
    """From (lon, lat) in degrees to (x, y) in metres; raises ProjError. A Transformer, unlike a Proj, may be shared."""
    if not definition.startswith("EPSG:"):
        return pyproj.Transformer.from_pipeline(
            f"+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step {definition}"
        )
    crs = pyproj.CRS.from_epsg(int(definition[5:]))
    if not crs.is_projected or {axis.unit_conversion_factor for axis in crs.axis_info} != {1.0}:
        raise ProjError("is not projected in metres")
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _even(name: str, given: Array, metres: float) -> tuple[float, float, int]:
    """First centre, spacing and count, in metres, of an evenly spaced axis."""
    with np.errstate(invalid="ignore"):
        axis = np.asarray(given, dtype=np.float64) * metres
        gaps = np.diff(axis)
        if axis.ndim != 1 or axis.size < 2 or not np.isfinite(axis).all() or np.abs(axis).max() > 1e8:
            raise BadGrid(name, "is not a list of at least 2 coordinates", "send cell centres in m or km")
    spacing = float(axis[-1] - axis[0]) / (axis.size - 1)
    if abs(spacing) < 1 or (np.abs(gaps - spacing) > 0.02 * abs(spacing)).any():
        raise BadGrid(name, "is not evenly spaced", "send a regular grid on its projection")
    return float(axis[0]), spacing, axis.size


@lru_cache(maxsize=4)
def _of_plane(onto: Projection, column: tuple[float, float, int], row: tuple[float, float, int]) -> Sampling:
    def place(rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        lon, lat = onto.lon_lat(column[0] + columns * column[1], row[0] + rows * row[1])
        return lat, lon

    def index(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
        x, y = onto.xy(lon, lat)
        return (y - row[0]) / row[1], (x - column[0]) / column[1]

    return _sampling((row[2], column[2]), place, index)


@lru_cache(maxsize=2)
def _of_curved(lat_bytes: bytes, lon_bytes: bytes, shape: tuple[int, int]) -> Sampling:
    lat, lon = (np.frombuffer(raw).reshape(shape) for raw in (lat_bytes, lon_bytes))
    rows, columns = (axis.ravel() for axis in np.indices(shape))
    plane = np.stack((np.ones(lat.size), lat.ravel(), lon.ravel()), axis=1)
    fit, *_ = np.linalg.lstsq(plane, np.stack((rows, columns), axis=1).astype(np.float64), rcond=None)

    def place(rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        return _between(lat, rows, columns)[0], _between(lon, rows, columns)[0]

    def index(lats: Floats, lons: Floats) -> tuple[Floats, Floats]:
        row = fit[0, 0] + fit[1, 0] * lats + fit[2, 0] * lons
        column = fit[0, 1] + fit[1, 1] * lats + fit[2, 1] * lons
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON_STEPS):
                at_lat, lat_row, lat_column = _between(lat, row, column)
                at_lon, lon_row, lon_column = _between(lon, row, column)
                turn = lat_row * lon_column - lat_column * lon_row
                off_lat, off_lon = lats - at_lat, lons - at_lon
                by_row = (off_lat * lon_column - off_lon * lat_column) / turn
                by_column = (off_lon * lat_row - off_lat * lon_row) / turn
                row = np.clip(row + by_row, -2, shape[0] + 1)
                column = np.clip(column + by_column, -2, shape[1] + 1)
            found = np.maximum(np.abs(by_row), np.abs(by_column)) < _CLOSE
        return np.where(found, row, np.nan), np.where(found, column, np.nan)

    return _sampling(shape, place, index)


def _between(corner: Floats, row: Floats, column: Floats) -> tuple[Floats, Floats, Floats]:
    """Bilinear value at a place between cell centres and its derivatives by row and column; linear beyond the edge."""
    top = np.clip(np.nan_to_num(np.floor(row)), 0, corner.shape[0] - 2).astype(np.intp)
    left = np.clip(np.nan_to_num(np.floor(column)), 0, corner.shape[1] - 2).astype(np.intp)
    down, right = row - top, column - left
    a, b = corner[top, left], corner[top, left + 1]
    c, d = corner[top + 1, left], corner[top + 1, left + 1]
    value = (a * (1 - right) + b * right) * (1 - down) + (c * (1 - right) + d * right) * down
    return value, (c - a) * (1 - right) + (d - b) * right, (b - a) * (1 - down) + (d - c) * down


def _sampling(shape: tuple[int, int], place: Mapping2D, index: Mapping2D) -> Sampling:
    """The regular grid over a source of `shape`; `place` and `index` lead from cells to degrees and back."""
    if shape[0] * shape[1] > MAX_CELLS:
        raise BadGrid("rain", f"has {shape[0]} x {shape[1]} cells", f"send at most {MAX_CELLS}")
    rows, columns = np.meshgrid(*(np.linspace(-0.5, n - 0.5, _MESH) for n in shape), indexing="ij")
    lat, lon = place(rows.ravel(), columns.ravel())
    there = np.isfinite(lat) & np.isfinite(lon)
    if not there.any() or np.ptp(lat[there]) > 90 or np.ptp(lon[there]) > 180:
        raise BadGrid("x, y", "lie on no part of the earth we know", "check coordinates and projection")
    steps = _spacings(index, lat[there], lon[there])
    lats, lons = (_axis(values[there], step) for values, step in zip((lat, lon), steps, strict=True))
    if lats.size * lons.size > MAX_CELLS or min(lats.size, lons.size) < 2:
        size = f"{lats.size} x {lons.size} cells of {steps[0]:g} x {steps[1]:g} degrees"
        raise BadGrid("rain", f"would be {size}", f"cut it to {MAX_CELLS}")
    lats = lats[::-1]
    row, column = index(np.repeat(lats, lons.size), np.tile(lons, lats.size))
    with np.errstate(invalid="ignore"):
        inside = (row >= -0.5) & (row < shape[0] - 0.5) & (column >= -0.5) & (column < shape[1] - 0.5)
    cells = np.full(row.size, -1, dtype=np.intp)
    nearest_row, nearest_column = (np.floor(axis[inside] + 0.5).astype(np.intp) for axis in (row, column))
    cells[inside] = nearest_row * shape[1] + nearest_column
    hit = np.count_nonzero(np.bincount(cells[inside], minlength=shape[0] * shape[1]))
    if hit < _LEAST_HIT * shape[0] * shape[1]:
        raise BadGrid("x, y", "fold over or leave the earth", "check coordinates and projection")
    return _trimmed(lats, lons, cells.reshape(lats.size, lons.size))


def _spacings(index: Mapping2D, lat: Floats, lon: Floats) -> tuple[float, float]:
    """Degrees north and east between our centres: as few cells as may be, yet every source cell holds a centre.

    Steps of ours are, in cells, the two columns of the derivative of `index`; a unit square holds a point of their
    lattice when both its sides are at least as long as the steps' extents together.
    """
    row, column = index(lat, lon)
    with np.errstate(invalid="ignore"):
        north, east = index(lat + _STEP_DEG, lon), index(lat, lon + _STEP_DEG)
        derivative = np.abs([north[0] - row, east[0] - row, north[1] - column, east[1] - column]) / _STEP_DEG
    derivative = derivative[:, np.isfinite(derivative).all(axis=0)]
    if not derivative.size or not 0.2 <= derivative.max() <= 1e4:
        raise BadGrid("x, y", "have cells of no usable size", "send cells of 20 m to 500 km")
    row_north, row_east, column_north, column_east = derivative
    steepest = np.maximum(derivative.max(axis=1), 1e-9)
    chosen = (0.0, 0.0)
    for wider in (steepest[0] / steepest[3], steepest[2] / steepest[1], 1.0):  # upright, lying, neither
        both = np.maximum(row_north + wider * row_east, column_north + wider * column_east)
        step = 1 / both.max()
        if wider * step**2 > chosen[0] * chosen[1]:
            chosen = (step, wider * step)
    north_deg, east_deg = (np.floor(each * 10**_DECIMALS + 0.01) / 10**_DECIMALS for each in chosen)
    return float(north_deg), float(east_deg)


def _axis(values: Floats, spacing: float) -> Floats:
    """Whole multiples of the spacing that lie in the range of `values`, one more at either end."""
    first, last = np.floor(values.min() / spacing), np.ceil(values.max() / spacing)
    return np.arange(first, min(last, first + MAX_CELLS) + 1) * spacing


def _trimmed(lats: Floats, lons: Floats, cells: NDArray[np.intp]) -> Sampling:
    """Without rows and columns that lie wholly outside."""
    rows, columns = np.flatnonzero((cells >= 0).any(axis=1)), np.flatnonzero((cells >= 0).any(axis=0))
    tall, wide = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    if rows[-1] == rows[0] or columns[-1] == columns[0]:
        raise BadGrid("rain", "is a single row or column", "send at least 2 x 2 cells")
    return Sampling(lats[tall], lons[wide], cells[tall, wide])
