"""GRIB2 read by ecCodes, in a process of its own that is thrown away: a body on stdin, its fields on stdout.

Run as a file by grib2.py and never imported: the C library loaded here unsettles PROJ in the same process and may end
it on damaged bytes (docs/adr/0009). So nothing of this project is imported, and memory and time are limited before the
library is loaded. Owns which keys are read and the order of the cells; what they mean is grib2.py's.

The answer: the length of a JSON text (4 bytes, big-endian), the text, then for each field its values as float64, rows
by rows, NaN missing. `{"refused": [field, reason]}` when it cannot be read.
"""

import json
import resource
import struct
import sys
from contextlib import suppress
from typing import Any, Final

MEMORY_BYTES: Final = 2 * 1024**3
CPU_S: Final = 10
# What must hold before the library is loaded cannot follow the imports below; systems without such limits go on.
for _kind, _most in (
    (resource.RLIMIT_AS, MEMORY_BYTES),
    (resource.RLIMIT_CPU, CPU_S),
    (resource.RLIMIT_CORE, 0),
):
    with suppress(ValueError, OSError):
        resource.setrlimit(_kind, (_most, _most))

import eccodes  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

MISSING: Final = 9.999e35
_WHOLE: Final = (
    "discipline", "parameterCategory", "parameterNumber", "productDefinitionTemplateNumber",
    "significanceOfReferenceTime", "typeOfProcessedData", "typeOfGeneratingProcess", "dataDate", "hour", "minute", "second",
    "indicatorOfUnitOfTimeRange", "forecastTime",
)  # fmt: skip
_INTERVAL: Final = (
    "typeOfStatisticalProcessing", "numberOfTimeRange", "yearOfEndOfOverallTimeInterval",
    "monthOfEndOfOverallTimeInterval", "dayOfEndOfOverallTimeInterval", "hourOfEndOfOverallTimeInterval",
    "minuteOfEndOfOverallTimeInterval", "secondOfEndOfOverallTimeInterval",
)  # fmt: skip
_CORNERS: Final = (
    "latitudeOfFirstGridPointInDegrees", "longitudeOfFirstGridPointInDegrees",
    "latitudeOfLastGridPointInDegrees", "longitudeOfLastGridPointInDegrees",
)  # fmt: skip
_SPACINGS: Final = (("DxInMetres", "DyInMetres"), ("DiInMetres", "DjInMetres"))
_SCANNING: Final = (
    "iScansNegatively", "jScansPositively", "jPointsAreConsecutive", "alternativeRowScanning",
)  # fmt: skip


class Refused(Exception):
    """(field, reason): what in the body cannot be used."""


def main(most_fields: int, most_cells: int, most_values: int) -> None:
    fields: list[dict[str, Any]] = []
    values: list[bytes] = []
    answer: dict[str, Any] = {"fields": fields}
    try:
        eccodes.codes_grib_multi_support_on()
        while (handle := eccodes.codes_grib_new_from_file(sys.stdin.buffer)) is not None:
            if len(fields) == most_fields:
                raise Refused("file", f"has more than {most_fields} fields")
            field, cells = _field(handle, most_cells)
            fields.append(field)
            values.append(cells.tobytes())
            if sum(map(len, values)) > 8 * most_values:
                raise Refused("file", f"has more than {most_values} values")
            eccodes.codes_release(handle)
    except Refused as refused:
        answer, values = {"refused": refused.args}, []
    except (eccodes.CodesInternalError, ValueError, MemoryError, OverflowError) as error:
        answer, values = {"refused": ("file", f"is damaged ({type(error).__name__}: {error})"[:120])}, []
    said = json.dumps(answer).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(said)) + said + b"".join(values))
    sys.stdout.buffer.flush()


def _field(handle: int, most_cells: int) -> tuple[dict[str, Any], NDArray[np.float64]]:
    edition = eccodes.codes_get(handle, "edition", int)
    if edition != 2:
        raise Refused("file", f"is GRIB edition {edition}")
    field: dict[str, Any] = {key: eccodes.codes_get(handle, key, int) for key in _WHOLE}
    field |= {key: _optional(handle, key, int) for key in _INTERVAL}
    kind = eccodes.codes_get(handle, "gridType", str)
    columns, rows = (_optional(handle, key, int) for key in ("Nx", "Ny"))
    if not columns or not rows or not 4 <= columns * rows <= most_cells:
        raise Refused("grid", f"is {kind} of {columns} x {rows}, not 2 x 2 to {most_cells} cells")
    scanning = {key: bool(_optional(handle, key, int)) for key in _SCANNING}
    field |= {"gridType": kind, "columns": columns, "rows": rows, **scanning}
    field["projection"] = _optional(handle, "projTargetString", str)
    field["corners"] = [_optional(handle, key, float) for key in _CORNERS]
    spacings = [[_optional(handle, key, float) for key in keys] for keys in _SPACINGS]
    field["spacing_m"] = next((pair for pair in spacings if None not in pair), None)
    return field, _cells(handle, rows, columns, scanning)


def _optional(handle: int, key: str, kind: type) -> Any:
    """The key's value, None where the grid or product has none."""
    try:
        found = eccodes.codes_get(handle, key, kind)
    except eccodes.CodesInternalError:
        return None
    absent = kind is int and eccodes.codes_is_missing(handle, key)
    return None if absent or found == eccodes.CODES_MISSING_LONG else found


def _cells(handle: int, rows: int, columns: int, scanning: dict[str, bool]) -> NDArray[np.float64]:
    """(rows, columns) in the order of the scan, each row running alike; missing is NaN."""
    if eccodes.codes_get(handle, "numberOfDataPoints", int) != rows * columns:
        raise Refused("grid", "has not as many values as cells")
    eccodes.codes_set(handle, "missingValue", MISSING)
    values = eccodes.codes_get_array(handle, "values", float)
    if values.size != rows * columns:
        raise Refused("grid", "has not as many values as cells")
    across = scanning["jPointsAreConsecutive"]
    cells = values.reshape((columns, rows) if across else (rows, columns))
    if scanning["alternativeRowScanning"]:
        cells[1::2] = cells[1::2, ::-1]
    cells = np.where(cells == MISSING, np.nan, cells)
    return np.ascontiguousarray(cells.T if across else cells)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
