"""Pictures of the rain for maps: one transparent PNG a 5-minute step, observed and nowcast, and the list to animate.

Owns the colours and the list with its gaps; reads GridRun, leaves nothing but a cache in the process. One pixel is one
cell, north up, plain degrees (EPSG:4326); dry is transparent, missing is grey, so a hole is never taken for dry.
A picture's id names its run and step: rows never change, so a phone may keep it for good.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image

from foundation.clock import age_s, iso
from hydrology.feeds.clock import water_clock
from hydrology.fields import field_of
from hydrology.models import GridRun, Product
from hydrology.rain import newest_slot
from hydrology.science.rainfall import SLOT, SLOT_S
from hydrology.zones import axes_of

# from mm/h, colour; the names of 小雨 … 特大暴雨 are for sums over a day and are not used for intensities
SCALE: Final = (
    (0.5, "#a6f28f"), (2.0, "#3dba3d"), (5.0, "#61b8ff"), (10.0, "#1e6be6"), (20.0, "#ffd24d"), (30.0, "#ff9426"),
    (50.0, "#f0402b"), (80.0, "#d61fd6"), (120.0, "#7a0f9e"),
)  # fmt: skip
MISSING_COLOUR: Final = "#808080"
_OPAQUE, _HAZE = 200, 90  # the map stays readable below
PER_HOUR: Final = 3600 / SLOT_S
MOST_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG bytes and a strong ETag."""

    png: bytes
    etag: str


def rain_frames(hours: int, now: datetime) -> dict[str, Any]:
    """`{as_of, observed_at, age_s, step_s, scale, missing_colour, items}`: observed steps of the last hours, then the nowcast's.

    An expected step without a field is in the list with `missing: true` and without a picture.
    """
    as_of = newest_slot(water_clock(now))
    since = as_of - SLOT * int(hours * PER_HOUR)
    seen = {run.issued_at: run for run in GridRun.objects.observed_between(since, as_of)}
    ends = [since + SLOT * (n + 1) for n in range(int(hours * PER_HOUR))]
    items = [_item("observed", end, seen.get(end), 0) for end in ends]
    nowcast = GridRun.objects.newest_nowcast(as_of)
    if nowcast:
        steps = ((n, nowcast.issued_at + SLOT * (n + 1)) for n in range(nowcast.steps))
        items += [_item("nowcast", end, nowcast, n) for n, end in steps if end > as_of]
    newest = max(seen, default=None)
    return {
        "as_of": iso(as_of),
        "observed_at": iso(newest),
        "age_s": age_s(newest, as_of),
        "step_s": SLOT_S,
        "scale": [[mm_per_h, colour] for mm_per_h, colour in SCALE],
        "missing_colour": MISSING_COLOUR,
        "items": items,
    }


def rain_picture(run_id: int, step: int) -> Picture | None:
    """The picture of one step; None when there is no such run or step."""
    run = GridRun.objects.filter(pk=run_id).first()
    if run is None or not 0 <= step < run.steps:
        return None
    return Picture(_png(run.blob_id, run.geometry, run.steps, step), f'"{run.blob_id[:20]}-{step}"')


def _item(kind: str, end: datetime, run: GridRun | None, step: int) -> dict[str, Any]:
    return {
        "id": run and f"{run.pk}-{step}",
        "kind": kind,
        "at": iso(end),
        "issued_at": iso(run.issued_at) if run and run.product == Product.NOWCAST else None,
        "bbox": bbox_of(run.geometry) if run else None,
        "missing": run is None,
        "missing_share": run.missing_share if run else None,
        "spread": run.spread if run else None,
    }


def bbox_of(geometry: str) -> list[float]:
    """[west, south, east, north] of the cells' outer edges, degrees."""
    lat, lon = axes_of(geometry)
    half_lat, half_lon = abs(lat[1] - lat[0]) / 2, abs(lon[1] - lon[0]) / 2
    edges = (lon.min() - half_lon, lat.min() - half_lat, lon.max() + half_lon, lat.max() + half_lat)
    return [round(float(edge), 5) for edge in edges]


@lru_cache(maxsize=256)
def _png(digest: str, geometry: str, steps: int, step: int) -> bytes:
    lat, lon = axes_of(geometry)
    field = field_of(GridRun(blob_id=digest, geometry=geometry, steps=steps))
    mm_per_h = field[step].reshape(lat.size, lon.size) * PER_HOUR
    shades = np.digitize(mm_per_h, [mark for mark, _ in SCALE]).astype(np.uint8)
    shades[np.isnan(mm_per_h)] = len(SCALE) + 1
    image = Image.fromarray(shades)
    image.putpalette(
        b"\0\0\0" + b"".join(bytes.fromhex(c[1:]) for c in (*(c for _, c in SCALE), MISSING_COLOUR))
    )
    drawn = BytesIO()
    alphas = bytes([0, *[_OPAQUE] * len(SCALE), _HAZE])
    image.save(drawn, "PNG", transparency=alphas, optimize=True)
    return drawn.getvalue()
