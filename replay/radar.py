"""A radar picture of a synthetic storm: the field it rains from, as reflectivity. SYNTHETIC, and named so.

Owns the drawing; posting is player.py's. Intensity becomes reflectivity by Z = 200 R^1.6 (Marshall and Palmer 1948),
colours are the usual 5 dBZ steps. Missing cells are transparent, like dry ones: a radar does not know the difference.
"""

import base64
from datetime import datetime
from io import BytesIO

import numpy as np
import orjson
from PIL import Image

from hydrology.science.grids import Grid

NAME, PRODUCT, CADENCE_S = "合成-synthetic", "CR", 300
SCALE = (
    (10, "#01a0f6"), (15, "#00ecec"), (20, "#00d800"), (25, "#019000"), (30, "#ffff00"), (35, "#e7c000"),
    (40, "#ff9000"), (45, "#ff0000"), (50, "#d60000"), (55, "#c00000"), (60, "#ff00f0"), (65, "#9600b4"),
)  # fmt: skip
LEAST_MM_PER_H = 1e-3  # so that dry is a number: far below the first colour


def picture(grid: Grid, at: datetime) -> bytes:
    """A body for `ingest/radar` from the first step of the grid (mm in 5 minutes), one pixel a cell, north up."""
    mm_per_h = np.nan_to_num(grid.rain_mm[0], nan=0.0) * 12
    dbz = 10 * np.log10(200 * np.maximum(mm_per_h, LEAST_MM_PER_H) ** 1.6)
    image = Image.fromarray(np.digitize(dbz, [mark for mark, _ in SCALE]).astype(np.uint8))
    image.putpalette(b"\0\0\0" + b"".join(bytes.fromhex(colour[1:]) for _, colour in SCALE))
    png = BytesIO()
    image.save(png, "PNG", transparency=bytes([0, *[255] * len(SCALE)]))
    half_lat, half_lon = (abs(float(axis[1] - axis[0])) / 2 for axis in (grid.lat, grid.lon))
    west, east = float(grid.lon.min()) - half_lon, float(grid.lon.max()) + half_lon
    south, north = float(grid.lat.min()) - half_lat, float(grid.lat.max()) + half_lat
    said = {
        "radar": NAME, "product": PRODUCT, "observed_at": at.isoformat(), "cadence_s": CADENCE_S,
        "bbox": [round(edge, 5) for edge in (west, south, east, north)], "scale": SCALE,
        "png": base64.b64encode(png.getvalue()).decode(),
    }  # fmt: skip
    return orjson.dumps(said)
