"""CF NetCDF-4 rain grids: bytes in, `Grid` out, and back.

Owns which variable is the rain and what its numbers and times mean (CF attributes, never its name). Where its cells
lie is cf_place.py's, cutting into steps is cadence.py's. Sources: CF 1.8 (sections 2.4, 3, 4.4, 7.1, 7.3, 8.1) and the
storm files beside the repository. h5py is used for reading because h5netcdf took 4.7 ms against 3.0 ms a nowcast. The
bytes come from outside: hdf5.py opens and reads them.

How long a sum is, is said by the bounds of `time`; without them, by the distance of evenly spaced times; for a single
time the caller knows (the feed's cadence). A rate counts as the mean of its bounds when cell_methods says so
(`time: mean`); the rate of an instant is no amount and is refused.
"""

import io
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from hydrology.science.cadence import MAX_SUMS, RainRun, RainSum
from hydrology.science.formats import hdf5
from hydrology.science.formats.cf_place import Place, place_of
from hydrology.science.formats.cf_variables import Variable, only, variables_of
from hydrology.science.grids import MAX_CELLS, MAX_STEPS, MISSING, BadGrid, Grid, Product
from hydrology.science.rainfall import SLOT, SLOT_S

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
_RATES: Final = frozenset(
    {
        "rainfall_rate",
        "rainfall_flux",
        "precipitation_flux",
        "lwe_precipitation_rate",
        "lwe_thickness_of_precipitation_amount_per_time",
    }
)
_MM_H_PER_UNIT: Final = {
    "mm h-1": 1.0, "mm/h": 1.0, "mm/hr": 1.0, "mm hr-1": 1.0, "kg m-2 h-1": 1.0, "kg m-2 s-1": 3600.0,
    "kg/m2/s": 3600.0, "kg m^-2 s^-1": 3600.0, "mm s-1": 3600.0, "m s-1": 3_600_000.0,
}  # fmt: skip
_SECONDS_PER_UNIT: Final = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "h": 3600,
                            "hr": 3600, "day": 86_400, "d": 86_400}  # fmt: skip
_SINCE: Final = re.compile(
    r"\s*(?P<unit>[a-z]+?)s?\s+since\s+(?P<day>\d{4}-\d{1,2}-\d{1,2})"
    r"(?:[T ]\s*(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)(?:\.0*)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?\s*",
    re.ASCII | re.IGNORECASE,
)
_CALENDARS: Final = frozenset({"", "standard", "gregorian", "proleptic_gregorian"})
_EARLIEST_S: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()

Array = NDArray[Any]


def decode(body: bytes) -> Grid:
    """The rain grid in a CF NetCDF-4 file: observed, or a nowcast when it has a forecast_reference_time.

    Steps are 5-minute accumulations named by their END (the upper time bound where there are bounds). Raises
    BadGrid, and nothing else, for whatever cannot be used; at most 64 MB, 240 sums, 1,000,000 cells.
    """
    with hdf5.opened(body) as file:
        return read(file).grid()


def read(file: h5py.File, unsaid: timedelta = SLOT) -> RainRun:
    """The sums in an opened file; `unsaid` is the length of a single one that does not say its own."""
    variables = variables_of(file)
    rain = _rain(variables)
    time = only("time", [v for v in variables if v.standard_name == "time"])
    if time.dataset.ndim > 1 or time.dataset.size > MAX_SUMS:
        raise BadGrid(
            time.name, f"has shape {time.dataset.shape}", f"send a list of at most {MAX_SUMS} times"
        )
    place = place_of(file, rain, variables)
    if place.shape[0] * place.shape[1] > MAX_CELLS:
        raise BadGrid(rain.name, f"{place.shape} is too large", f"at most {MAX_CELLS} cells")
    spans = _spans(time, variables, unsaid)
    references = [v for v in variables if v.standard_name == "forecast_reference_time"]
    product: Product = "nowcast" if references else "observed"
    issued_at = _instants(references[0], references[0].read(1))[0] if references else max(spans)[1]
    fields = _rain_mm(rain, time, place, spans)
    sums = [RainSum(*span, place.sampling.of(mm)) for span, mm in zip(spans, fields, strict=True)]
    return RainRun(product, issued_at, sums, place.sampling.lat, place.sampling.lon)


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


def _rain(variables: list[Variable]) -> Variable:
    rates = [v for v in variables if v.standard_name in _RATES]
    named = [v for v in variables if v.standard_name in _AMOUNTS]
    if not named and rates:
        rate = only("rainfall_rate", rates)
        if "time: mean" not in rate.text("cell_methods"):
            raise BadGrid(
                rate.name,
                "is a rate of no interval",
                "send accumulations, or means (cell_methods, time bounds)",
            )
        return rate
    # Some producers give units only; a height in m could then be anything, a depth in mm cannot.
    unnamed = [v for v in variables if not v.standard_name and v.dataset.ndim in (2, 3)]
    depths = [v for v in unnamed if _MM_PER_UNIT.get(v.units) == 1.0]
    return only("rainfall_amount", named or depths)


Span = tuple[datetime, datetime]


def _rain_mm(rain: Variable, time: Variable, place: Place, spans: list[Span]) -> Array:
    """The rain as float64 (time, rows, columns) in mm, missing as NaN."""
    is_rate = rain.standard_name in _RATES
    mm_per_unit = (_MM_H_PER_UNIT if is_rate else _MM_PER_UNIT).get(rain.units)
    if mm_per_unit is None:
        raise BadGrid(rain.name, f"has units {rain.units[:20]!r}", "send mm or kg m-2")
    if is_rate and not time.text("bounds"):
        raise BadGrid(rain.name, "is a rate of no interval", "send time bounds")
    lengths = (len(spans), *place.shape)
    dimensions = rain.dimensions()
    # One step may come without a time axis. Without dimension scales the CF order T, Y, X is taken.
    clock = time.dimensions()[0] if time.dataset.ndim else ""
    wanted = [clock, *place.dimensions][3 - len(dimensions) :]
    order = list(range(len(dimensions)))
    if all(dimensions) and all(wanted):
        if sorted(dimensions) != sorted(wanted):
            raise BadGrid(rain.name, f"lies on {dimensions}", f"send it on {tuple(wanted)}")
        order = [dimensions.index(name) for name in wanted]
    shape = tuple(rain.dataset.shape[axis] for axis in order)
    if shape not in (lengths, lengths[1:]) or (len(shape) == 2 and lengths[0] != 1):
        raise BadGrid(rain.name, f"has shape {shape}", f"send {lengths} (time, lat, lon)")
    raw = np.transpose(rain.read(MAX_STEPS * MAX_CELLS), order).reshape(lengths)
    hours = [(end - start) / timedelta(hours=1) if is_rate else 1.0 for start, end in spans]
    with np.errstate(all="ignore"):  # absurd factors end as missing in cadence
        unpacked = raw * rain.number("scale_factor", 1.0) + rain.number("add_offset", 0.0)
        missing = (raw == rain.number("_FillValue", np.nan)) | (raw == rain.number("missing_value", np.nan))
        return np.where(missing, np.nan, unpacked * mm_per_unit * np.array(hours)[:, None, None])


def _spans(time: Variable, variables: list[Variable], unsaid: timedelta) -> list[Span]:
    """Start and END of each sum; CF lets `time` lie anywhere in its bounds."""
    bounds_name = time.text("bounds")
    if not bounds_name:
        ends = _instants(time, time.read(MAX_SUMS))
        lengths = {after - before for before, after in pairwise(ends)} or {unsaid}
        if len(lengths) > 1 or min(lengths) <= timedelta(0):
            raise BadGrid(time.name, "has gaps and no bounds", "send time bounds (CF 7.1)")
        return [(end - max(lengths), end) for end in ends]
    bounds = only(bounds_name, [v for v in variables if v.name.lower() == bounds_name])
    if bounds.dataset.shape != (time.dataset.size, 2):
        raise BadGrid(bounds.name, f"has shape {bounds.dataset.shape}", "send (time, 2)")
    pairs = bounds.read(2 * MAX_SUMS)
    return list(zip(_instants(time, pairs[:, 0]), _instants(time, pairs[:, 1]), strict=True))


def _instants(variable: Variable, numbers: Array) -> tuple[datetime, ...]:
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
