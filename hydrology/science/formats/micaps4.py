"""MICAPS diamond 4 rain grids: text in, `Grid` out.

Owns the header, the row order and how times are told. Does not spread sums over steps (cadence.py) and takes no
projected grid. Source: domain sheet 3.3 (whitespace-separated text, GBK or UTF-8; rows run from lat0 to lat1,
9999 missing, hours and lead sometimes swapped).

A file holds one field, so a nowcast run is its files joined into one body. The header knows whole hours only and not
how long a field was summed; an hour's rain read as five minutes would be a false alarm. So the TITLE has to say both,
in Beijing time: `<YY|YYYY>MMDDHHmm[.LLL]` and `<n>min` or `<n>分钟`, as in `202309072005.030_5min`. The stamp must
be in the header's hour. LLL is the lead in minutes to the END of the field; without it the header's lead in hours
counts. Lead 0 is an observation that ends at the stamp.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hydrology.science.cadence import MAX_SUMS, RainRun, RainSum
from hydrology.science.grids import MAX_CELLS, BadGrid, Grid, Product

MAX_BYTES: Final = 16 * 1024 * 1024
MISSING: Final = 9999.0
_BOM: Final = b"\xef\xbb\xbf"
_START: Final = re.compile(rb"(?<!\S)diamond\s+(\d{1,4})(?!\S)", re.IGNORECASE)
_TITLE: Final = re.compile(rb"((?<!\S)diamond\s+4\s+)\S+", re.IGNORECASE)
_THOUSANDS: Final = re.compile(rb"(?<=\d),(?=\d{3}(?!\d))")
_LENGTH: Final = re.compile(r"(?<!\d)(\d{1,3})(?:分钟|分鐘|min)", re.IGNORECASE)
_BEIJING: Final = timezone(timedelta(hours=8))
_HEADER_FIELDS: Final = 19  # YY … bold, after the title
# as contour_max; the header says nothing of parallels or scale, so such a grid cannot be laid on the earth
_PROJECTED: Final = {-1.0: "Lambert", -2.0: "Mercator", -3.0: "polar stereographic"}
_TITLE_ADVICE: Final = "name the field like 202309072005.030_5min: minute, lead and length"


@dataclass(frozen=True, slots=True)
class _Axes:
    lon: tuple[float, float, int]
    lat: tuple[float, float, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    stamp_at: datetime
    lead: timedelta
    length: timedelta
    axes: _Axes
    rain_mm: NDArray[np.float64]


def claims(body: bytes) -> bool:
    """Whether the bytes begin like a MICAPS text file of any type."""
    return _START.match(body.removeprefix(_BOM).lstrip()[:64]) is not None


def titled(body: bytes, name: str, length_min: int) -> bytes:
    """The body under the title that `read` wants, of its file's name and a length known beforehand; others stay as they are.

    For files that say their minute and lead in their name only, as `2309072005.030`.
    """
    if not claims(body):
        return body
    title = re.sub(r"[^\w.+-]", "_", name.rsplit("/", 1)[-1]) + f"_{length_min}min"
    return _TITLE.sub(lambda found: found[1] + title.encode(), body)


def decode(body: bytes) -> Grid:
    """What `read` finds in 5-minute steps; raises like it."""
    return read(body).grid()


def read(body: bytes) -> RainRun:
    """Observed fields, or a nowcast as its fields in any order. Raises BadGrid and nothing else; at most 16 MB."""
    if len(body) > MAX_BYTES:
        raise BadGrid("file", f"has {len(body)} bytes", f"send at most {MAX_BYTES} bytes")
    text = body.removeprefix(_BOM)
    starts = list(_START.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise BadGrid("file", "does not begin with 'diamond 4'", "send MICAPS type 4")
    if len(starts) > MAX_SUMS:
        raise BadGrid("file", f"has {len(starts)} fields", f"send at most {MAX_SUMS}")
    other = next((start[1] for start in starts if int(start[1]) != 4), None)
    if other is not None:
        raise BadGrid("file", f"is MICAPS type {other.decode()}", "send grids, type 4")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return _run([_field(text[start.end() : end]) for start, end in zip(starts, ends, strict=True)])


def _run(fields: list[_Field]) -> RainRun:
    ahead = {field.lead > timedelta(0) for field in fields}
    if len(ahead) > 1 or any(before.axes != after.axes for before, after in pairwise(fields)):
        raise BadGrid("file", "mixes runs, products or grids", "send one nowcast run, or one observation")
    product: Product = "nowcast" if ahead.pop() else "observed"
    issued_at = max(field.stamp_at for field in fields)
    if product == "nowcast" and any(field.stamp_at != issued_at for field in fields):
        raise BadGrid("time", "mixes nowcasts of different issue", "send one run in one body")
    ends = [field.stamp_at + field.lead for field in fields]
    sums = [RainSum(end - field.length, end, field.rain_mm) for end, field in zip(ends, fields, strict=True)]
    axes = fields[0].axes
    return RainRun(product, issued_at, sums, np.linspace(*axes.lat), np.linspace(*axes.lon))


def _field(segment: bytes) -> _Field:
    parts = segment.split(None, _HEADER_FIELDS + 1)
    if len(parts) < _HEADER_FIELDS + 2:
        raise BadGrid(
            "header", f"has {len(parts)} of {_HEADER_FIELDS + 2} fields", "send the whole type 4 header"
        )
    header = _numbers(parts[1:-1], "header")
    if not np.isfinite(header).all() or np.abs(header).max() > 1e9:
        raise BadGrid("header", "has a number that is none", "send finite numbers; the title has no spaces")
    if header[16] in _PROJECTED:
        raise BadGrid(
            "header",
            f"is a {_PROJECTED[header[16]]} grid (contour_max {header[16]:.0f}) and does not say its parallels",
            "send latitude-longitude",
        )
    axes = _Axes(
        _axis("lon", header[8], header[9], header[12], header[6]),
        _axis("lat", header[10], header[11], header[13], header[7]),
    )
    cells = axes.lon[2] * axes.lat[2]
    if cells > MAX_CELLS:
        raise BadGrid("header", f"has {cells} cells", f"send at most {MAX_CELLS}")
    values = _THOUSANDS.sub(b"", parts[-1]).split(None, cells)
    if len(values) != cells:
        raise BadGrid("rain", f"has not {cells} values", "send nlat x nlon values, longitude fastest")
    rain = _numbers(values, "rain").reshape(axes.lat[2], axes.lon[2])
    stamp_at, lead, length = _times(_decoded(parts[0]), header)
    return _Field(stamp_at, lead, length, axes, np.where(rain == MISSING, np.nan, rain))


def _numbers(tokens: list[bytes], field: str) -> NDArray[np.float64]:
    try:
        return np.array([float(token) for token in tokens])
    except ValueError as error:
        raise BadGrid(
            field, "has a value that is no number", "send numbers; the title has no spaces"
        ) from error


def _axis(name: str, first: float, last: float, count: float, spacing: float) -> tuple[float, float, int]:
    """Ends and count. The rows follow first -> last; the spacing's sign is not asked, its size must agree."""
    if count != int(count) or not 2 <= count <= MAX_CELLS:
        raise BadGrid(name, f"has {count:g} points", "send at least 2")
    if not abs(abs(last - first) - abs(spacing) * (count - 1)) <= abs(spacing) / 2:
        raise BadGrid(
            name, f"{first:g}..{last:g} is not {count:g} points {spacing:g} apart", "correct the header"
        )
    return (first, last, int(count))


def _times(title: str, header: NDArray[Any]) -> tuple[datetime, timedelta, timedelta]:
    """The stamp, the lead to the END of the field and the field's length."""
    year, month, day, hour, lead_h = (int(number) for number in header[:5])
    if hour >= 24:
        hour, lead_h = lead_h, hour
    year = year + 2000 if 0 <= year < 100 else year
    try:
        hour_at = datetime(year if 2000 <= year < 2100 else 0, month, day, hour, tzinfo=_BEIJING)
    except (ValueError, OverflowError) as error:
        raise BadGrid("time", "the header has no such hour", "send year, month, day, hour, lead") from error
    # The stem is looked for, not guessed: ten digits could be YYYYMMDDHH as well as YYMMDDHHmm.
    stamp = re.search(
        rf"(?<!\d)(?:20)?{hour_at:%y%m%d%H}([0-5]\d)(?:[._+-](\d{{3}})(?!min|分))?(?!\d)", title
    )
    if stamp is None:
        raise BadGrid("title", f"does not name a minute of {hour_at:%Y-%m-%d %H}h", _TITLE_ADVICE)
    lengths = set(_LENGTH.findall(title))
    if len(lengths) != 1:
        raise BadGrid("title", "does not say one length of its sum", _TITLE_ADVICE)
    lead_min = int(stamp[2]) if stamp[2] else lead_h * 60
    if not 0 <= lead_min <= 24 * 60:
        raise BadGrid("header", f"has a lead of {lead_min} minutes", "send a nowcast of hours")
    return (
        hour_at + timedelta(minutes=int(stamp[1])),
        timedelta(minutes=lead_min),
        timedelta(minutes=int(lengths.pop())),
    )


def _decoded(title: bytes) -> str:
    try:
        return title.decode("utf-8")
    except UnicodeDecodeError:
        return title.decode("gb18030", "replace")
