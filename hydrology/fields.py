"""Stored gridded fields, unpacked once a process: rows never change, so the last few hours are kept.

Owns the cache. What the numbers mean is science/grids.py; which run is wanted is asked in models and callers.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hydrology.models import Blob, GridRun
from hydrology.science.grids import unpack
from hydrology.zones import axes_of


def field_of(run: GridRun) -> NDArray[np.float32]:
    """The run's rain as (step, cell), mm, NaN missing. Do not write into it."""
    lat, lon = axes_of(run.geometry)
    return _field(run.blob_id, run.steps, lat.size * lon.size)


@lru_cache(maxsize=96)
def _field(digest: str, steps: int, cells: int) -> NDArray[np.float32]:
    packed = Blob.objects.values_list("content", flat=True).get(pk=digest)
    return unpack(bytes(packed), (steps, cells))
