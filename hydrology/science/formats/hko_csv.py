"""The Hong Kong Observatory's gridded rainfall nowcast (open data F3): CSV in, `Grid` out.

Owns its columns, its rounding and its known damage. Spreads nothing itself: the half-hour sums go through cadence.py,
so the 5-minute steps are even shares of half hours and their peaks are flattened. Sources: the data dictionary
(Updated Date and Time, Ending Date and Time, Latitude, Longitude, Half-hourly Nowcast Accumulated Rainfall; times
YYYYMMDDHHMM in Hong Kong Time, a new file every 12 minutes, four half hours, 121 x 121 cells) and public checks of
8,910 archived files, where 58 had broken lines, coordinates are rounded to 3 decimals and a few values exceed 5,000 mm.

A line that is no row leaves its cell missing; more than 1 in 100 cells without a row, and the file is refused.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydrology.science.cadence import RainRun, RainSum
from hydrology.science.grids import MAX_CELLS, BadGrid, Grid

MAX_BYTES: Final = 8 * 1024 * 1024  # three times the real file
MAX_HALF_HOUR_MM: Final = 300.0  # above the world's record for 30 minutes
MAX_LOST: Final = 0.01
HALF_HOUR: Final = timedelta(minutes=30)
HALF_HOURS: Final = 4
_ROUNDING_DEG: Final = 0.0011  # two values rounded to 3 decimals, and a bit
_ROW: Final = re.compile(
    rb"^[ \t]*(\d{12}),(\d{12}),(-?\d{1,2}\.\d{1,6}),(-?\d{1,3}\.\d{1,6}),(-?\d{1,6}(?:\.\d{1,4})?)[ \t]*\r?$",
    re.MULTILINE,
)
_HONG_KONG: Final = timezone(timedelta(hours=8))

Array = NDArray[Any]


def claims(body: bytes) -> bool:
    """Whether a row of this product stands in the first lines, whatever the language of the header."""
    return _ROW.search(body[:2048]) is not None


def decode(body: bytes) -> Grid:
    """The nowcast in one file in 5-minute steps; raises like `read`."""
    return read(body).grid()


def read(body: bytes) -> RainRun:
    """The nowcast in one file. Raises BadGrid and nothing else; at most 8 MB."""
    if len(body) > MAX_BYTES:
        raise BadGrid("file", f"has {len(body)} bytes", f"send at most {MAX_BYTES} bytes")
    rows = np.array(_ROW.findall(body), dtype="S12").reshape(-1, 5)
    if not len(rows):
        raise BadGrid("file", "has no row of the HKO nowcast", "send Gridded_rainfall_nowcast.csv as it is")
    updated_at = _instant(_usual("time", rows[:, 0])[0])
    ends_at = [updated_at + n * HALF_HOUR for n in range(1, HALF_HOURS + 1)]
    ends = [f"{end:%Y%m%d%H%M}".encode() for end in ends_at]
    lat, of_lat = _axis("lat", rows[:, 2])
    lon, of_lon = _axis("lon", rows[:, 3])
    if lat.size * lon.size > MAX_CELLS:
        raise BadGrid("rain", f"has {lat.size} x {lon.size} cells", f"send at most {MAX_CELLS}")
    step = np.full(len(rows), -1)
    for n, end in enumerate(ends):
        step[rows[:, 1] == end] = n
    good = (step >= 0) & (of_lat >= 0) & (of_lon >= 0) & (rows[:, 0] == f"{updated_at:%Y%m%d%H%M}".encode())
    rain_mm = np.full((HALF_HOURS, lat.size, lon.size), np.nan)
    there = np.zeros(rain_mm.shape, dtype=bool)
    at = (step[good], of_lat[good], of_lon[good])
    mm = rows[good, 4].astype(np.float64)
    rain_mm[at], there[at] = (
        np.where(mm > MAX_HALF_HOUR_MM, np.inf, mm),
        True,
    )  # infinite: dropped and counted
    lost = 1 - there.mean(axis=(1, 2)).min()
    if lost > MAX_LOST:
        raise BadGrid(
            "rain", f"{lost:.0%} of a half hour is not there", "fetch the file again: it was cut or merged"
        )
    sums = [RainSum(end - HALF_HOUR, end, mm) for end, mm in zip(ends_at, rain_mm, strict=True)]
    return RainRun("nowcast", updated_at, sums, lat, lon)


def _axis(name: str, texts: Array) -> tuple[Array, Array]:
    """The evenly spaced axis behind the rounded coordinates, and each row's place on it, -1 where it has none."""
    numbers = texts.astype(np.float64)
    usual = np.unique(_usual(name, texts).astype(np.float64))
    if usual.size < 2:
        raise BadGrid(name, "has fewer than 2 values", "send the whole grid")
    axis = np.linspace(usual[0], usual[-1], usual.size)
    if np.abs(axis - usual).max() > _ROUNDING_DEG:
        raise BadGrid(name, "is not evenly spaced", "send a regular latitude-longitude grid")
    place = np.searchsorted(usual, numbers).clip(0, usual.size - 1)
    return axis, np.where(usual[place] == numbers, place, -1)


def _usual(field: str, texts: Array) -> Array:
    """The values that belong: each cell has its rows, so one that is rare among its kind is a damaged digit."""
    values, counts = np.unique(texts, return_counts=True)
    usual: Array = values[counts * 2 >= counts.max()]
    if field == "time" and usual.size > 1:
        raise BadGrid("time", "mixes files of different update", "send one file")
    return usual


def _instant(stamp: bytes) -> datetime:
    try:
        at = datetime.strptime(stamp.decode(), "%Y%m%d%H%M").replace(tzinfo=_HONG_KONG)
    except ValueError as error:
        raise BadGrid("time", f"{stamp.decode()} is no time", "send YYYYMMDDHHMM") from error
    if not 2000 <= at.year < 2100:
        raise BadGrid("time", "is outside 2000..2100", "check the producer's clock")
    return at
