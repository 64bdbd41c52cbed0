"""Water, places and feeds as rows; see places.py, feeds.py, water.py."""

from hydrology.models.feeds import (
    Feed,
    FeedMark,
    FeedPost,
    RainTotal,
    Rtu,
    Source,
    SourceKind,
    Telegram,
    Verdict,
)
from hydrology.models.places import (
    LEVEL_KINDS,
    Level,
    Region,
    Reservoir,
    River,
    SeasonLimit,
    Station,
    StationKind,
    path_filter,
)
from hydrology.models.water import (
    Blob,
    GridRun,
    Latest,
    Observation,
    Product,
    RadarFrame,
)

__all__ = [
    "Blob",
    "Feed",
    "FeedMark",
    "FeedPost",
    "GridRun",
    "LEVEL_KINDS",
    "Latest",
    "Level",
    "Observation",
    "Product",
    "RadarFrame",
    "RainTotal",
    "Region",
    "Reservoir",
    "River",
    "Rtu",
    "SeasonLimit",
    "Source",
    "SourceKind",
    "Station",
    "StationKind",
    "Telegram",
    "Verdict",
    "path_filter",
]
