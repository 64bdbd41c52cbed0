"""ODIM_H5 rain composites (EUMETNET OPERA data information model 2.x): bytes in, `Grid` out.

Owns the groups and attributes of /what, /where, /datasetN/dataM. Opening the bytes is hdf5.py's, spreading sums over
5-minute steps is cadence.py's, projections are projection.py's. Takes COMP and IMAGE objects. The corners in `where` are
the outer corners of the outer pixels; the first row is the northern one. On a projection the pixels are xscale and
yscale, counted from the lower left corner; the upper right one, where it stands, must agree within a pixel.

Quantities: ACRR is the rain of (start, end] in mm. RATE is in mm/h and is taken as the mean of its (start, end], so
mm = rate x length; a snapshot without length is refused. `nodata` is missing, `undetect` is dry. An attribute of the
data group goes before its dataset's, and that before the file's. ODIM does not say whether a file is a forecast: two
or more fields that all start at or after the nominal time in /what are a nowcast issued then. A single one that does
could as well be an observation named by its start, and is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hydrology.science import projection
from hydrology.science.cadence import MAX_SUMS, RainRun, RainSum
from hydrology.science.formats import hdf5
from hydrology.science.grids import MAX_CELLS, BadGrid, Grid, Product
from hydrology.science.projection import Projection, Sampling

_CONVENTIONS: Final = "ODIM_H5"
_OBJECTS: Final = frozenset({"COMP", "IMAGE"})
_DATASET: Final = re.compile(r"dataset[1-9]\d{0,3}")
_DATA: Final = re.compile(r"data[1-9]\d{0,2}")
_CORNERS: Final = ("LL_lon", "LL_lat", "UR_lon", "UR_lat")

Array = NDArray[Any]
Groups = tuple[h5py.Group, ...]


@dataclass(frozen=True, slots=True)
class _Where:
    """The projection, None for degrees; the pixels' number and scale.

    `corners` are LL_lon, LL_lat, UR_lon, UR_lat in degrees, NaN where not said.
    """

    onto: Projection | None
    corners: tuple[float, float, float, float]
    columns: int
    rows: int
    scale: tuple[float, float]


def is_odim(file: h5py.File) -> bool:
    """Whether an opened HDF5 file says that it follows ODIM."""
    return hdf5.text(file, "Conventions").upper().startswith(_CONVENTIONS) or bool(
        _text((file,), "what", "object")
    )


def decode(body: bytes) -> Grid:
    """One or more observed fields, or a nowcast. Raises BadGrid and nothing else; at most 64 MB."""
    with hdf5.opened(body) as file:
        return read(file).grid()


def read(file: h5py.File) -> RainRun:
    """The sums in an opened file; raises BadGrid."""
    kind = _text((file,), "what", "object")
    if kind not in _OBJECTS:
        raise BadGrid(
            "what/object", f"is {kind[:12]!r}", "send a composite (COMP) or an image of one (IMAGE)"
        )
    fields = list(_fields(file))
    places = {_where(groups) for groups, _ in fields}
    if len(places) > 1:
        raise BadGrid("where", "differs between datasets", "send every dataset on the same cells")
    where = places.pop()
    sampling = _sampling(where)
    sums = [_sum(groups, data, (where.rows, where.columns), sampling) for groups, data in fields]
    nominal_at = _instant((file,), "date", "time")
    return RainRun(_product(sums, nominal_at), nominal_at, sums, sampling.lat, sampling.lon)


def _product(sums: list[RainSum], nominal_at: datetime) -> Product:
    ahead = [given.start_at >= nominal_at for given in sums]
    if not any(ahead):
        return "observed"
    if len(sums) == 1 or not all(ahead):
        raise BadGrid(
            "what/time", "lies before the field", "name observations by their end, send nowcasts whole"
        )
    return "nowcast"


def _fields(file: h5py.File) -> Iterator[tuple[Groups, h5py.Dataset]]:
    """Each rain field with the groups that describe it, the nearest first."""
    found = [
        (quantity, (data, dataset, file))
        for dataset in _children(file, _DATASET)
        for data in _children(dataset, _DATA)
        if (quantity := _text((data, dataset), "what", "quantity"))
    ]
    quantities = {quantity for quantity, _ in found}
    wanted = next((rain for rain in ("ACRR", "RATE") if rain in quantities), None)
    if wanted is None:
        named = ", ".join(sorted(quantities))[:60] or "none"
        raise BadGrid("what/quantity", f"found {named}", "send ACRR (mm) or RATE (mm/h)")
    for quantity, groups in found:
        if quantity == wanted:
            if not hdf5.is_own(groups[0], "data") or not hdf5.is_numeric(groups[0]["data"]):
                raise BadGrid("data", "is no array of numbers", "send dataM/data")
            yield groups, groups[0]["data"]


def _children(group: h5py.Group, name: re.Pattern[str]) -> list[h5py.Group]:
    names = [child for child in group if name.fullmatch(child) and hdf5.is_own(group, child)]
    if len(names) > MAX_SUMS:
        raise BadGrid("file", f"has {len(names)} datasets", f"send at most {MAX_SUMS}")
    children = [group[child] for child in names]
    return [child for child in children if isinstance(child, h5py.Group)]


def _where(groups: Groups) -> _Where:
    projdef = _text(groups, "where", "projdef")
    onto = None if projection.is_lat_lon(projdef) else projection.projection(projdef, "where/projdef")
    west, south = (_number(groups, "where", corner) for corner in _CORNERS[:2])
    east, north = (_number(groups, "where", corner, np.nan if onto else None) for corner in _CORNERS[2:])
    columns, rows = (_number(groups, "where", size) for size in ("xsize", "ysize"))
    if not (columns >= 2 and rows >= 2 and columns * rows <= MAX_CELLS):
        raise BadGrid("where", f"has {columns:g} x {rows:g} cells", f"send 2 x 2 to {MAX_CELLS}")
    scale = tuple(_number(groups, "where", f"{axis}scale") if onto else np.nan for axis in "xy")
    return _Where(onto, (west, south, east, north), int(columns), int(rows), (scale[0], scale[1]))


def _sampling(where: _Where) -> Sampling:
    west, south, east, north = where.corners
    if where.onto:
        return _on_plane(where.onto, where)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise BadGrid(
            "where", f"{west:g}..{east:g}, {south:g}..{north:g} is no area", "send degrees, LL before UR"
        )
    lat = north - (np.arange(where.rows) + 0.5) * (north - south) / where.rows
    lon = west + (np.arange(where.columns) + 0.5) * (east - west) / where.columns
    return Sampling(lat, lon)


def _on_plane(onto: Projection, where: _Where) -> Sampling:
    west, south, east, north = where.corners
    (left, right), (low, high) = (
        axis / onto.metres for axis in onto.xy(np.array([west, east]), np.array([south, north]))
    )
    wide, tall = where.scale
    if not (np.isfinite([left, low]).all() and wide > 0 and tall > 0):
        raise BadGrid(
            "where", "has no lower left corner or no size of a pixel", "send LL_lon, LL_lat, xscale, yscale"
        )
    off = np.abs([(right - left) / wide - where.columns, (high - low) / tall - where.rows])
    if (off[np.isfinite(off)] > 1).any():
        raise BadGrid(
            "where", f"UR lies {off.max():.1f} pixels beside the last", "correct corners, scale or size"
        )
    x = left + (np.arange(where.columns) + 0.5) * wide
    y = low + (where.rows - np.arange(where.rows) - 0.5) * tall
    return projection.of_plane(onto, x, y)


def _sum(groups: Groups, data: h5py.Dataset, shape: tuple[int, int], sampling: Sampling) -> RainSum:
    if data.shape != shape:
        raise BadGrid("data", f"has shape {data.shape}", f"send {shape} (ysize, xsize)")
    start_at, end_at = _instant(groups, "startdate", "starttime"), _instant(groups, "enddate", "endtime")
    if end_at.second == 59:  # some name the last second of the sum
        end_at += timedelta(seconds=1)
    raw = hdf5.read(data, MAX_CELLS)
    with np.errstate(all="ignore"):  # absurd factors end as missing
        mm = raw * _number(groups, "what", "gain", 1.0) + _number(groups, "what", "offset", 0.0)
        if _text(groups, "what", "quantity") == "RATE":
            mm = mm * ((end_at - start_at) / timedelta(hours=1))
    mm = np.where(raw == _number(groups, "what", "undetect", np.nan), 0.0, mm)
    known = np.where(raw == _number(groups, "what", "nodata", np.nan), np.nan, mm)
    return RainSum(start_at, end_at, sampling.of(known))


def _instant(groups: Groups, date: str, time: str) -> datetime:
    stamp = _text(groups, "what", date) + _text(groups, "what", time)
    try:
        at = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadGrid(
            f"what/{date}", f"{stamp[:20]!r} is no time", "send YYYYMMDD and HHMMSS in UTC"
        ) from error
    if len(stamp) != 14 or not 2000 <= at.year < 2100:
        raise BadGrid(f"what/{date}", f"{stamp[:20]!r} is outside 2000..2100", "check the producer's clock")
    return at


def _holders(groups: Groups, name: str, attribute: str) -> Iterator[h5py.Group]:
    """The groups called `name` that have the attribute, the nearest first."""
    for group in groups:
        if hdf5.is_own(group, name):
            holder = group[name]
            if isinstance(holder, h5py.Group) and attribute in holder.attrs:
                yield holder


def _text(groups: Groups, name: str, attribute: str) -> str:
    return next((hdf5.text(holder, attribute) for holder in _holders(groups, name, attribute)), "")


def _number(groups: Groups, name: str, attribute: str, default: float | None = None) -> float:
    for holder in _holders(groups, name, attribute):
        return hdf5.number(holder, attribute, np.nan)
    if default is None:
        raise BadGrid(f"{name}/{attribute}", "is not there", "send the attributes that ODIM asks for")
    return default
