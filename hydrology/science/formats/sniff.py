"""One door for rain grids: the format is known by the content, never by a name or a header of the request.

Owns which decoder gets the bytes. Reads: CF NetCDF-4, GRIB2, ODIM_H5, MICAPS diamond 4, HKO nowcast CSV.
"""

from datetime import timedelta
from typing import Final

from hydrology.science.cadence import RainRun
from hydrology.science.formats import cf_netcdf, grib2, hdf5, hko_csv, micaps4, odim_hdf5
from hydrology.science.grids import BadGrid, Grid
from hydrology.science.rainfall import SLOT

READ: Final = "CF NetCDF-4, GRIB2, ODIM_H5, MICAPS diamond 4 or HKO nowcast CSV"
_KNOWN_BY_THEIR_START: Final = (
    (b"CDF", "is NetCDF-3", "write it as NetCDF-4 (nccopy -k nc4)"),
    (b"\x1f\x8b", "is compressed (gzip)", "send it unpacked"),
    (b"BZh", "is compressed (bzip2)", "send it unpacked"),
    (b"PK\x03\x04", "is a zip archive", "send the file inside"),
)


def decode(body: bytes) -> Grid:
    """The whole 5-minute steps in any format this house reads; raises like `read`."""
    return read(body).grid()


def read(body: bytes, unsaid: timedelta = SLOT) -> RainRun:
    """The sums in any format this house reads. Raises BadGrid, and nothing else, for all other bytes.

    `unsaid` is how long a single field is when nothing in the file says it: what the sender is known to send.
    """
    if body.startswith(hdf5.MAGIC):
        with hdf5.opened(body) as file:
            return odim_hdf5.read(file) if odim_hdf5.is_odim(file) else cf_netcdf.read(file, unsaid)
    if body.startswith(grib2.MAGIC):
        return grib2.read(body)
    for start, what_it_is, what_to_do in _KNOWN_BY_THEIR_START:
        if body.startswith(start):
            raise BadGrid("file", what_it_is, what_to_do)
    if micaps4.claims(body):
        return micaps4.read(body)
    if hko_csv.claims(body):
        return hko_csv.read(body)
    raise BadGrid("file", f"begins with {_shown(body[:12])} and is no grid we know", f"send {READ}")


def _shown(start: bytes) -> str:
    """As a person reads it: letters as letters, anything else in hex."""
    text = start.decode("ascii", "replace")
    return f"“{text}”" if text.isascii() and text.isprintable() else start.hex(" ")
