"""Where the cells of a CF file lie: latitude and longitude as two lists, one for every cell, or a projection.

Owns the spatial coordinates and grid mappings (CF 1.8, sections 4, 5.2, 5.6, appendix F). How cells are sampled is
projection.py's. `crs_wkt` is not read: the parameters say the same, and a text from outside could say more.
"""

from dataclasses import dataclass
from typing import Final

import h5py

from hydrology.science import projection
from hydrology.science.formats import hdf5
from hydrology.science.formats.cf_variables import Variable, only
from hydrology.science.grids import MAX_CELLS, BadGrid
from hydrology.science.projection import Sampling

_NORTH: Final = frozenset({"degrees_north", "degree_north", "degrees_n", "degree_n"})
_EAST: Final = frozenset({"degrees_east", "degree_east", "degrees_e", "degree_e"})
_METRES: Final = {"m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0, "km": 1000.0,
                  "kilometer": 1000.0, "kilometers": 1000.0, "kilometre": 1000.0, "kilometres": 1000.0}  # fmt: skip
_CENTRE: Final = {"lat_0": "latitude_of_projection_origin", "lon_0": "longitude_of_projection_origin"}
_CONE: Final = {"lat_0": "latitude_of_projection_origin", "lon_0": "longitude_of_central_meridian"}
_MAPPINGS: Final = {
    "lambert_conformal_conic": ("lcc", _CONE),
    "albers_conical_equal_area": ("aea", _CONE),
    "transverse_mercator": ("tmerc", {**_CONE, "k_0": "scale_factor_at_central_meridian"}),
    "azimuthal_equidistant": ("aeqd", _CENTRE),
    "lambert_azimuthal_equal_area": ("laea", _CENTRE),
    "stereographic": ("stere", {**_CENTRE, "k_0": "scale_factor_at_projection_origin"}),
    "mercator": (
        "merc",
        {"lon_0": "longitude_of_projection_origin", "k_0": "scale_factor_at_projection_origin"},
    ),
    "polar_stereographic": (
        "stere",
        {
            "lat_0": "latitude_of_projection_origin",
            "lon_0": "straight_vertical_longitude_from_pole",
            "k_0": "scale_factor_at_projection_origin",
        },
    ),
}
_TOUCHING: Final = frozenset({"stere", "merc"})  # whose one standard parallel is where the scale is true


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The names and lengths of the two dimensions, rows first, and the sampling of a field that lies on them."""

    dimensions: tuple[str, str]
    shape: tuple[int, int]
    sampling: Sampling


def place_of(file: h5py.File, rain: Variable, variables: list[Variable]) -> Place:
    """Where the cells of `rain` lie; raises BadGrid."""
    mapping = _mapping(file, rain)
    name = hdf5.text(mapping, "grid_mapping_name").lower() if mapping is not None else ""
    on_plane = [
        [v for v in variables if v.standard_name == f"projection_{axis}_coordinate" and v.dataset.ndim == 1]
        for axis in "yx"
    ]
    if mapping is not None and name in _MAPPINGS and all(on_plane):
        y, x = only("y", on_plane[0]), only("x", on_plane[1])
        return _on_plane(mapping, name, y, x)
    lat = [v for v in variables if v.standard_name == "latitude" or v.units in _NORTH]
    lon = [v for v in variables if v.standard_name == "longitude" or v.units in _EAST]
    if not lat and not lon and all(on_plane):
        said = name or "not said"
        raise BadGrid("grid_mapping", f"is {said[:40]}", f"send one of {', '.join(sorted(_MAPPINGS))}")
    return _on_degrees(only("lat", lat), only("lon", lon))


def _mapping(file: h5py.File, rain: Variable) -> h5py.Dataset | None:
    name = hdf5.text(rain.dataset, "grid_mapping").split(":")[0].strip()
    if not name or "/" in name or name not in file or not hdf5.is_own(file, name):
        return None
    found = file[name]
    return found if isinstance(found, h5py.Dataset) else None


def _on_degrees(lat: Variable, lon: Variable) -> Place:
    if max(lat.dataset.size, lon.dataset.size) > MAX_CELLS:
        raise BadGrid(
            "rain", f"{lat.dataset.shape} x {lon.dataset.shape} is too large", f"at most {MAX_CELLS} cells"
        )
    if lat.dataset.ndim == lon.dataset.ndim == 2:
        if lat.dimensions() != lon.dimensions():
            raise BadGrid("lat, lon", "lie on different dimensions", "send both as (y, x)")
        rows, columns = lat.dimensions()
        sampling = projection.of_curved(lat.read(MAX_CELLS), lon.read(MAX_CELLS))
        return Place((rows, columns), lat.dataset.shape, sampling)
    if lat.dataset.ndim != 1 or lon.dataset.ndim != 1:
        raise BadGrid("lat, lon", "are neither lists nor one for every cell", "send (y), (x) or (y, x) each")
    names = (lat.dimensions()[0], lon.dimensions()[0])
    return Place(
        names, (lat.dataset.size, lon.dataset.size), Sampling(lat.read(MAX_CELLS), lon.read(MAX_CELLS))
    )


def _on_plane(mapping: h5py.Dataset, name: str, y: Variable, x: Variable) -> Place:
    metres = {_METRES.get(axis.units) for axis in (y, x)}
    unit = metres.pop()
    if unit is None or metres:
        raise BadGrid("x, y", f"have units {x.units[:20]!r}, {y.units[:20]!r}", "send m or km")
    onto = projection.projection(_proj(mapping, name, unit), "grid_mapping")
    rows, columns = y.read(MAX_CELLS) * unit, x.read(MAX_CELLS) * unit
    sampling = projection.of_plane(onto, columns, rows)
    return Place((y.dimensions()[0], x.dimensions()[0]), (rows.size, columns.size), sampling)


def _proj(mapping: h5py.Dataset, name: str, unit: float) -> str:
    """The PROJ string of a grid mapping; false eastings are in the unit of the coordinates."""
    proj, attributes = _MAPPINGS[name]
    said = {ours: hdf5.numbers(mapping, theirs)[:1] for ours, theirs in attributes.items()}
    parallels = hdf5.numbers(mapping, "standard_parallel")
    if proj in _TOUCHING:
        said["lat_ts"] = parallels[:1]
    else:
        said |= {"lat_1": parallels[:1], "lat_2": parallels[1:2]}
    for ours, theirs in (("x_0", "false_easting"), ("y_0", "false_northing")):
        said[ours] = tuple(value * unit for value in hdf5.numbers(mapping, theirs)[:1])
    said |= _earth(mapping)
    numbers = " ".join(f"+{ours}={value:.9f}" for ours, values in said.items() for value in values)
    return f"+proj={proj} {numbers}"


def _earth(mapping: h5py.Dataset) -> dict[str, tuple[float, ...]]:
    radius, major, minor, inverse = (
        hdf5.numbers(mapping, name)[:1]
        for name in ("earth_radius", "semi_major_axis", "semi_minor_axis", "inverse_flattening")
    )
    if radius and not major:
        return {"R": radius}
    if major and inverse and inverse[0] != 0:
        return {"a": major, "rf": inverse}
    if major:
        return {"a": major, "b": minor} if minor else {"R": major}
    return {"a": (6378137.0,), "rf": (298.257223563,)}  # WGS 84
