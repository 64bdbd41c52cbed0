"""GRIB edition 2 rain fields: bytes in, sums out.

Owns what the keys mean (WMO FM 92, code tables 1.2, 4.2-0-1, 4.3, 4.4, 4.10) and the process that reads them: ecCodes
is loaded only in grib2_child.py, because its C library is safe neither beside PROJ nor on damaged bytes (docs/adr/0009).
Whatever becomes of that process is a grid or a BadGrid here. Sampling projections is projection.py's.

A field is the sum over a stated interval (product template 4.8): an accumulated amount, or a rate averaged, which counts
for its interval. The rate of an instant (template 4.0) is no amount and is refused. Amounts that all start together, as
models write them, become their differences. A field whose process is an observation, or that ends before the reference
time, is observed; one that starts at or after it is a nowcast issued then.
"""

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydrology.science import projection
from hydrology.science.cadence import MAX_SUMS, RainRun, RainSum, differences
from hydrology.science.grids import MAX_CELLS, BadGrid, Grid, Product
from hydrology.science.projection import Sampling

MAGIC: Final = b"GRIB"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_VALUES: Final = 24 * 1024 * 1024
WAIT_S: Final = 20.0
_CHILD: Final = str(Path(__file__).with_name("grib2_child.py"))
# (discipline, category, number) -> mm per unit; rates -> mm per second
_AMOUNTS: Final = {
    (0, 1, 8): 1.0,
    (0, 1, 49): 1.0,
    (0, 1, 193): 1000.0,
}  # tp kg m-2, total water, tp m (ECMWF)
_RATES: Final = {(0, 1, 7): 1.0, (0, 1, 52): 1.0, (0, 1, 65): 1.0}  # kg m-2 s-1: precipitation, total, rain
_AVERAGE, _ACCUMULATION = 0, 1
_INTERVAL: Final = 8
_OBSERVATION: Final = 8
_OBSERVATION_TIME: Final = 3
_FORECAST: Final = 2
_UNIT_S: Final = {0: 60, 1: 3600, 13: 1}
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    said: dict[str, Any]
    values: NDArray[np.float64]
    reference_at: datetime
    start_at: datetime
    end_at: datetime


def decode(body: bytes) -> Grid:
    """What `read` finds in 5-minute steps; raises like it."""
    return read(body).grid()


def read(body: bytes) -> RainRun:
    """The rain in a body of one or more GRIB2 messages. Raises BadGrid and nothing else; at most 64 MB."""
    if len(body) > MAX_BYTES:
        raise BadGrid("file", f"has {len(body)} bytes", f"send at most {MAX_BYTES} bytes")
    fields = [_timed(said, values) for said, values in _rain(_asked(body))]
    places = {_place(field.said) for field in fields}
    if len(places) > 1:
        raise BadGrid("grid", "differs between messages", "send every message on the same cells")
    sampling = _sampling(fields[0].said)
    sums = [RainSum(field.start_at, field.end_at, sampling.of(_mm(field))) for field in fields]
    references = {field.reference_at for field in fields}
    product = _product(fields)
    if product == "nowcast" and len(references) > 1:
        raise BadGrid("time", "mixes nowcasts of different issue", "send one run in one body")
    return RainRun(product, max(references), differences(sums), sampling.lat, sampling.lon)


def _asked(body: bytes) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Every field's keys and values (rows, columns), from a process that may die of them."""
    limits = [str(limit) for limit in (MAX_SUMS, MAX_CELLS, MAX_VALUES)]
    with TemporaryFile() as given:  # a file, because messages of several fields are read back and forth
        given.write(body)
        given.seek(0)
        try:
            ended = subprocess.run(
                [sys.executable, "-I", _CHILD, *limits],
                stdin=given, capture_output=True, timeout=WAIT_S, check=False, env={},
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise BadGrid(
                "file", f"was not read within {WAIT_S:.0f} s", "send fewer or smaller messages"
            ) from late
    if ended.returncode != 0 or len(ended.stdout) < 4:
        raise BadGrid(
            "file",
            f"ended its reader (code {ended.returncode})",
            "check the file with grib_ls and send it again",
        )
    (length,) = struct.unpack_from(">I", ended.stdout)
    answer = json.loads(ended.stdout[4 : 4 + length])
    if "refused" in answer:
        field, reason = answer["refused"]
        raise BadGrid(field, reason, "send GRIB edition 2 on a regular or projected grid")
    at, found = 4 + length, []
    for said in answer["fields"]:
        count = said["rows"] * said["columns"]
        values = np.frombuffer(ended.stdout, dtype=np.float64, count=count, offset=at)
        found.append((said, values.reshape(said["rows"], said["columns"])))
        at += 8 * count
    return found


def _rain(
    fields: list[tuple[dict[str, Any], NDArray[np.float64]]],
) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:
    """The amounts, or where there are none the rates; other parameters of the same body are passed over."""
    for wanted in (_AMOUNTS, _RATES):
        if found := [field for field in fields if _parameter(field[0]) in wanted]:
            return found
    named = ", ".join(sorted({"/".join(map(str, _parameter(said))) for said, _ in fields}))[:60] or "none"
    raise BadGrid(
        "parameter", f"found {named}", "send total precipitation (0/1/8) or its mean rate (0/1/52, 0/1/7)"
    )


def _parameter(said: dict[str, Any]) -> tuple[int, int, int]:
    return said["discipline"], said["parameterCategory"], said["parameterNumber"]


def _timed(said: dict[str, Any], values: NDArray[np.float64]) -> _Field:
    is_rate = _parameter(said) in _RATES
    if said["productDefinitionTemplateNumber"] != _INTERVAL or said["numberOfTimeRange"] != 1:
        template = said["productDefinitionTemplateNumber"]
        raise BadGrid(
            "time", f"says no single interval (template 4.{template})", "send sums or means (template 4.8)"
        )
    if said["typeOfStatisticalProcessing"] != (_AVERAGE if is_rate else _ACCUMULATION):
        kind = said["typeOfStatisticalProcessing"]
        raise BadGrid("time", f"is neither a sum nor a mean rate (table 4.10: {kind})", "send accumulations")
    unit_s = _UNIT_S.get(said["indicatorOfUnitOfTimeRange"])
    try:
        day = datetime.strptime(f"{said['dataDate']:08d}", "%Y%m%d").replace(tzinfo=UTC)
        clock = {part: int(said[part]) for part in ("hour", "minute", "second")}
        ends = [int(said[f"{part}OfEndOfOverallTimeInterval"]) for part in _PARTS]
        reference_at, end_at = day.replace(**clock), datetime(*ends, tzinfo=UTC)  # type: ignore[arg-type,misc]
        start_at = reference_at + timedelta(seconds=said["forecastTime"] * unit_s) if unit_s else end_at
    except (ValueError, TypeError, OverflowError) as error:
        raise BadGrid("time", "says no instant", "correct reference time and interval") from error
    if (
        not 2000 <= min(reference_at, start_at, end_at).year <= max(reference_at, end_at).year < 2100
        or not unit_s
    ):
        raise BadGrid(
            "time", "is outside 2000..2100 or has an unusual unit", "send minutes, seconds or hours"
        )
    return _Field(said, values, reference_at, start_at, end_at)


def _product(fields: Sequence[_Field]) -> Product:
    measured = {
        field.said["typeOfGeneratingProcess"] == _OBSERVATION
        or field.said["significanceOfReferenceTime"] == _OBSERVATION_TIME
        or field.end_at <= field.reference_at
        for field in fields
    }
    if measured == {True}:
        return "observed"
    ahead = all(field.start_at >= field.reference_at for field in fields)
    forecast = all(field.said["typeOfGeneratingProcess"] == _FORECAST for field in fields)
    if measured == {True, False} or not ahead or not (forecast or len(fields) > 1):
        raise BadGrid(
            "time",
            "is neither all before nor all after its reference time",
            "say observation or forecast (4.3)",
        )
    return "nowcast"


def _mm(field: _Field) -> Array:
    parameter = _parameter(field.said)
    rate = _RATES.get(parameter)
    with np.errstate(all="ignore"):  # absurd values end as missing in cadence
        if rate is not None:
            return field.values * (rate * (field.end_at - field.start_at).total_seconds())
        return field.values * _AMOUNTS[parameter]


def _place(said: dict[str, Any]) -> str:
    """Equal for fields on the same cells."""
    keys = (
        "gridType",
        "columns",
        "rows",
        "projection",
        "corners",
        "spacing_m",
        "iScansNegatively",
        "jScansPositively",
    )
    return json.dumps([said[key] for key in keys])


def _sampling(said: dict[str, Any]) -> Sampling:
    """Where the cells lie: their first and last corner in degrees, or from the first on in metres."""
    first_lat, first_lon, last_lat, last_lon = (
        np.nan if value is None else value for value in said["corners"]
    )
    if said["gridType"] == "regular_ll":
        lon = np.linspace(_east(first_lon), _east(last_lon), said["columns"])
        return Sampling(np.linspace(first_lat, last_lat, said["rows"]), lon)
    if not said["projection"] or not said["spacing_m"]:
        raise BadGrid(
            "grid",
            f"is {said['gridType'][:30]}",
            "send latitude-longitude, lambert, polar stereographic or mercator",
        )
    onto = projection.projection(said["projection"], "grid")
    x, y = onto.xy(np.array([_east(first_lon)]), np.array([first_lat]))
    wide, tall = said["spacing_m"]
    columns = x[0] + np.arange(said["columns"]) * (-wide if said["iScansNegatively"] else wide)
    rows = y[0] + np.arange(said["rows"]) * (tall if said["jScansPositively"] else -tall)
    return projection.of_plane(onto, columns / onto.metres, rows / onto.metres)


def _east(lon: float) -> float:
    """-180..180, as all our coordinates; GRIB counts to 360."""
    return float((lon + 180) % 360 - 180)
