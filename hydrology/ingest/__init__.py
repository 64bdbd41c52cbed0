"""From a signed post to rows: posts.py keeps it, readings.py, grids.py and radar.py say what is in it."""

from hydrology.ingest.forget import (
    forget_blobs,
    forget_pictures,
    forget_posts,
    forget_raw,
    forget_runs,
)
from hydrology.ingest.grids import forget_parts, take_grid
from hydrology.ingest.posts import Answer
from hydrology.ingest.radar import take_radar
from hydrology.ingest.readings import take_readings

__all__ = [
    "Answer",
    "forget_blobs",
    "forget_parts",
    "forget_pictures",
    "forget_posts",
    "forget_raw",
    "forget_runs",
    "take_grid",
    "take_radar",
    "take_readings",
]
