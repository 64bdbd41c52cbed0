"""The synthetic radar picture: one the front door takes, that says it is synthetic, with the rain where it falls."""

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from PIL import Image

from hydrology.science.formats import radar_png
from hydrology.science.grids import make_grid
from replay import radar

AT = datetime(2023, 9, 7, 12, tzinfo=UTC)


def test_the_picture_is_taken_by_the_door_and_shows_the_rain_of_its_cells() -> None:
    rain = np.zeros((1, 2, 3), dtype=np.float32)
    rain[0, 0, 0], rain[0, 1, 2], rain[0, 1, 0] = 5.0, 0.1, np.nan  # 60 and 1.2 mm/h: 51 and 24 dBZ
    grid = make_grid("observed", AT, [AT], np.array([22.6, 22.5]), np.array([114.0, 114.1, 114.2]), rain)
    seen = radar_png.read(radar.picture(grid, AT))
    assert (seen.radar, seen.product, seen.observed_at) == ("合成-synthetic", "CR", AT)
    assert seen.bbox == (113.95, 22.45, 114.25, 22.65)
    pixels = Image.open(BytesIO(seen.png)).convert("RGBA")
    colours = dict(radar.SCALE)
    assert pixels.getpixel((0, 0)) == (*bytes.fromhex(colours[50][1:]), 255)
    assert pixels.getpixel((2, 1)) == (*bytes.fromhex(colours[20][1:]), 255)
    assert [pixels.getpixel(dry)[3] for dry in ((1, 0), (0, 1))] == [0, 0]
