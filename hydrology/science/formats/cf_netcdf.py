"""CF NetCDF-4 rain grids: bytes in, `Grid` out, and back.

Owns which variable is the rain and what its numbers mean (CF attributes, never its name). Does not check the
grid itself (grids.make_grid). Sources: CF 1.8 (sections 2.4, 3, 4.4, 7.1, 8.1) and the storm files beside the
repository. h5py is used for reading because h5netcdf took 4.7 ms against 3.0 ms a nowcast. The bytes come
from outside: hdf5.py opens and reads them.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from hydrology.science.formats import hdf5
from hydrology.science.grids import MAX_CELLS, MAX_STEPS, MISSING, BadGrid, Grid, Product, make_grid
from hydrology.science.rainfall import SLOT, SLOT_S

MAX_VARIABLES: Final = 64
_AMOUNTS: Final = frozenset(
    {
        "rainfall_amount",
        "precipitation_amount",
        "thickness_of_rainfall_amount",
        "thickness_of_precipitation_amount",
        "lwe_thickness_of_precipitation_amount",
    }
)
_MM_PER_UNIT: Final = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "kg m-2": 1.0, "kg m^-2": 1.0, "kg/m2": 1.0,
    "kg/m^2": 1.0, "kg m**-2": 1.0, "cm": 10.0, "m": 1000.0, "metre": 1000.0, "meter": 1000.0,
}  # fmt: skip
_SECONDS_PER_UNIT: Final = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "h": 3600,
                            "hr": 3600, "day": 86_400, "d": 86_400}  # fmt: skip
_SINCE: Final = re.compile(
    r"\s*(?P<unit>[a-z]+?)s?\s+since\s+(?P<day>\d{4}-\d{1,2}-\d{1,2})"
    r"(?:[T ]\s*(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)(?:\.0*)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?\s*",
    re.ASCII | re.IGNORECASE,
)
_NORTH: Final = frozenset({"degrees_north", "degree_north", "degrees_n", "degree_n"})
_EAST: Final = frozenset({"degrees_east", "degree_east", "degrees_e", "degree_e"})
_CALENDARS: Final = frozenset({"", "standard", "gregorian", "proleptic_gregorian"})
_EARLIEST_S: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

Array = NDArray[Any]


class _Variable:
    """One numeric dataset of the root group: what it says it is, and its numbers."""

    def __init__(self, name: str, dataset: h5py.Dataset) -> None:
        self.name = name
        self.dataset = dataset
        self.standard_name = self.text("standard_name")
        self.units = self.text("units")

    def text(self, attribute: str) -> str:
        """A text attribute in lower case, empty when absent or not text."""
        return hdf5.text(self.dataset, attribute).lower()

    def number(self, attribute: str, default: float) -> float:
        return hdf5.number(self.dataset, attribute, default)

    def dimensions(self) -> tuple[str, ...]:
        """The names of its dimensions; empty names where no scale is attached."""
        if self.dataset.ndim == 1 and self.dataset.is_scale:
            return (self.name,)
        return tuple(str(axis[0].name).lstrip("/") if len(axis) else "" for axis in self.dataset.dims)

    def read(self, most: int) -> Array:
        return hdf5.read(self.dataset, most)


def decode(body: bytes) -> Grid:
    """The rain grid in a CF NetCDF-4 file: observed, or a nowcast when it has a forecast_reference_time.

    Steps are 5-minute accumulations named by their END (the upper time bound where there are bounds). Raises
    BadGrid, and nothing else, for whatever cannot be used; at most 64 MB, 48 steps, 1,000,000 cells.
    """
    with hdf5.opened(body) as file:
        return read(file)


def read(file: h5py.File) -> Grid:
    """The rain grid in an opened file; like `decode`."""
    if len(file) > MAX_VARIABLES:
        raise BadGrid("file", f"has {len(file)} variables", "send the rain grid alone")
    return _grid(list(_numeric(file)))


def _numeric(file: h5py.File) -> Iterator[_Variable]:
    for name in file:
        if hdf5.is_own(file, name) and hdf5.is_numeric(file[name]):
            yield _Variable(name, file[name])


def encode(grid: Grid) -> bytes:
    """A CF-1.8 NetCDF-4 file with `grid` packed to hundredths of a mm; `decode` gives the same grid back."""
    buffer = io.BytesIO()
    ends_s = np.array([at.timestamp() for at in grid.valid_at])
    epoch = "seconds since 1970-01-01 00:00:00 UTC"
    with h5netcdf.File(buffer, "w") as file:
        file.attrs["Conventions"] = "CF-1.8"
        file.dimensions = {"time": ends_s.size, "bnds": 2, "lat": grid.lat.size, "lon": grid.lon.size}
        for name, values, attributes in (
            ("time", ends_s, {"units": epoch, "standard_name": "time", "bounds": "time_bnds"}),
            ("lat", grid.lat, {"units": "degrees_north", "standard_name": "latitude"}),
            ("lon", grid.lon, {"units": "degrees_east", "standard_name": "longitude"}),
        ):
            file.create_variable(name, (name,), data=values).attrs.update(attributes)
        bounds_s = np.stack((ends_s - SLOT_S, ends_s), axis=1)
        file.create_variable("time_bnds", ("time", "bnds"), data=bounds_s)
        if grid.product == "nowcast":
            issued_s = np.float64(grid.issued_at.timestamp())
            issued = file.create_variable("forecast_reference_time", (), data=issued_s)
            issued.attrs.update({"units": epoch, "standard_name": "forecast_reference_time"})
        rain_mm = grid.rain_mm.astype(np.float64)
        hundredths = np.where(np.isnan(rain_mm), MISSING, np.rint(rain_mm * 100)).astype("<i2")
        rain = file.create_variable(
            "rainfall_amount",
            ("time", "lat", "lon"),
            data=hundredths,
            fillvalue=np.int16(MISSING),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        rain.attrs.update({"units": "mm", "standard_name": "rainfall_amount", "scale_factor": 0.01})
        rain.attrs["cell_methods"] = "time: sum"
    return buffer.getvalue()


def _grid(variables: list[_Variable]) -> Grid:
    rain = _rain(variables)
    time = _only("time", [v for v in variables if v.standard_name == "time"])
    lat = _only("lat", [v for v in variables if v.standard_name == "latitude" or v.units in _NORTH])
    lon = _only("lon", [v for v in variables if v.standard_name == "longitude" or v.units in _EAST])
    lengths = (time.dataset.size, lat.dataset.size, lon.dataset.size)
    if max(time.dataset.ndim, lat.dataset.ndim, lon.dataset.ndim) > 1:
        raise BadGrid("lat, lon", "are not lists", "send a regular latitude-longitude grid")
    if lengths[0] > MAX_STEPS or lengths[1] * lengths[2] > MAX_CELLS:
        raise BadGrid(rain.name, f"{lengths} is too large", f"at most {MAX_STEPS} steps x {MAX_CELLS} cells")
    valid_at = _ends(time, variables)
    references = [v for v in variables if v.standard_name == "forecast_reference_time"]
    product: Product = "nowcast" if references else "observed"
    issued_at = _instants(references[0], references[0].read(1))[0] if references else valid_at[-1]
    rain_mm = _rain_mm(rain, (time, lat, lon), lengths)
    return make_grid(product, issued_at, valid_at, lat.read(MAX_CELLS), lon.read(MAX_CELLS), rain_mm)


def _rain(variables: list[_Variable]) -> _Variable:
    rates = [v.name for v in variables if "rate" in v.standard_name or "flux" in v.standard_name]
    named = [v for v in variables if v.standard_name in _AMOUNTS]
    if not named and rates:
        raise BadGrid(rates[0], "is a rate", "send 5-minute accumulations (rainfall_amount, mm)")
    # Some producers give units only; a height in m could then be anything, a depth in mm cannot.
    unnamed = [v for v in variables if not v.standard_name and v.dataset.ndim in (2, 3)]
    depths = [v for v in unnamed if _MM_PER_UNIT.get(v.units) == 1.0]
    return _only("rainfall_amount", named or depths)


def _only(field: str, found: list[_Variable]) -> _Variable:
    if len(found) != 1:
        names = ", ".join(sorted(v.name for v in found)) or "none"
        raise BadGrid(field, f"found {names}", f"send exactly one variable with the CF attributes of {field}")
    return found[0]


def _rain_mm(rain: _Variable, coordinates: tuple[_Variable, ...], lengths: tuple[int, ...]) -> Array:
    """The rain as float64 (time, lat, lon) in mm, missing as NaN."""
    mm_per_unit = _MM_PER_UNIT.get(rain.units)
    if mm_per_unit is None:
        raise BadGrid(rain.name, f"has units {rain.units[:20]!r}", "send mm or kg m-2")
    dimensions = rain.dimensions()
    # One step may come without a time axis. Without dimension scales the CF order T, Y, X is taken.
    wanted = [v.dimensions()[0] if v.dataset.ndim else "" for v in coordinates][3 - len(dimensions) :]
    order = list(range(len(dimensions)))
    if all(dimensions) and all(wanted):
        if sorted(dimensions) != sorted(wanted):
            raise BadGrid(rain.name, f"lies on {dimensions}", f"send it on {tuple(wanted)}")
        order = [dimensions.index(name) for name in wanted]
    shape = tuple(rain.dataset.shape[axis] for axis in order)
    if shape not in (lengths, lengths[1:]) or (len(shape) == 2 and lengths[0] != 1):
        raise BadGrid(rain.name, f"has shape {shape}", f"send {lengths} (time, lat, lon)")
    raw = np.transpose(rain.read(MAX_STEPS * MAX_CELLS), order).reshape(lengths)
    with np.errstate(all="ignore"):  # absurd factors end as missing in make_grid
        unpacked = raw * rain.number("scale_factor", 1.0) + rain.number("add_offset", 0.0)
        missing = (raw == rain.number("_FillValue", np.nan)) | (raw == rain.number("missing_value", np.nan))
        return np.where(missing, np.nan, unpacked * mm_per_unit)


def _ends(time: _Variable, variables: list[_Variable]) -> tuple[datetime, ...]:
    """The END of each step; CF lets `time` lie anywhere in its bounds."""
    bounds_name = time.text("bounds")
    if not bounds_name:
        return _instants(time, time.read(MAX_STEPS))
    bounds = _only(bounds_name, [v for v in variables if v.name.lower() == bounds_name])
    if bounds.dataset.shape != (time.dataset.size, 2):
        raise BadGrid(bounds.name, f"has shape {bounds.dataset.shape}", "send (time, 2)")
    pairs = bounds.read(2 * MAX_STEPS)
    starts, ends = _instants(time, pairs[:, 0]), _instants(time, pairs[:, 1])
    if any(end - start != SLOT for start, end in zip(starts, ends, strict=True)):
        raise BadGrid(bounds.name, "steps are not 5 minutes long", "send 5-minute accumulations")
    return ends


def _instants(variable: _Variable, numbers: Array) -> tuple[datetime, ...]:
    """Numbers in the variable's `<unit> since <instant>` as UTC, to the second (days as floats are noisy)."""
    since = _SINCE.fullmatch(variable.units)
    unit_s = _SECONDS_PER_UNIT.get(since["unit"]) if since else None
    if since is None or unit_s is None or variable.text("calendar") not in _CALENDARS:
        raise BadGrid(variable.name, f"has units {variable.units[:40]!r}", "send seconds since 1970-01-01")
    origin = _origin(since)
    seconds = np.rint(numbers.astype(np.float64).ravel() * unit_s + origin.timestamp())
    if not ((seconds >= _EARLIEST_S) & (seconds <= _LATEST_S)).all():
        raise BadGrid(variable.name, "is outside 2000..2100", "check the producer's clock")
    return tuple(datetime.fromtimestamp(int(second), UTC) for second in seconds)


def _origin(since: re.Match[str]) -> datetime:
    year, month, day = (int(part) for part in since["day"].split("-"))
    hour, minute, second = (int(part) for part in f"{since['clock'] or '0:0'}:0".split(":")[:3])
    local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    zone = since["zone"] or ""
    if zone[:1] not in ("+", "-"):
        return local
    digits = zone[1:].replace(":", "")
    ahead_min = int(digits[:-2] or 0) * 60 + int(digits[-2:]) if len(digits) > 2 else int(digits) * 60
    return local - timedelta(minutes=ahead_min if zone[0] == "+" else -ahead_min)
