"""A storm as a sequence of 5-minute frames, and the reader of a folder of such frames.

Owns the frame type and the file names. The built-in storm is in storm_2023.py; posting is player.py's, gauges
and water are ground.py's. Bodies are read and decoded only when asked for.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import Grid

STEP = timedelta(minutes=5)
FILE_NAME = re.compile(r"(obs|nowcast)_(\d{12})\.nc")


@dataclass(frozen=True, slots=True)
class Frame:
    """One 5-minute step; `at` is its END, UTC. None: that file is missing, which is not zero rain."""

    at: datetime
    observed: Callable[[], bytes] | None  # CF NetCDF of one step
    nowcast: Callable[[], bytes] | None  # CF NetCDF of 24 steps issued at `at`
    rain_mm: Callable[[], Grid] | None  # the observed step, decoded


@dataclass(frozen=True, slots=True)
class PinnedStation:
    """A station whose published maxima its grid cell reproduces. Position approximate, code invented."""

    code: str
    name_zh: str
    name_en: str
    district: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Storm:
    """Frames in order of time, one for every step between the first and the last."""

    title_zh: str
    title_en: str
    synthetic: bool
    frames: Sequence[Frame]
    core: slice  # the frames worth playing; the rest only fills longer windows
    missing: tuple[str, ...] = ()  # files that should be there
    stations: tuple[PinnedStation, ...] = ()


class NoStorm(Exception):
    """The folder holds no storm; the text says which folder and what was expected."""


def read_folder(folder: Path) -> Storm:
    """Files named `obs_YYYYMMDDHHMM.nc` and `nowcast_YYYYMMDDHHMM.nc` (UTC; end of step, issue time).

    Other files are left alone. Raises NoStorm for no folder, no obs_*.nc, or a time off the 5-minute steps.
    """
    if not folder.is_dir():
        raise NoStorm(f"{folder} is not a folder")
    found = {
        match.group(0): match for entry in folder.iterdir() if (match := FILE_NAME.fullmatch(entry.name))
    }
    try:
        times = {name: datetime.strptime(m[2], "%Y%m%d%H%M").replace(tzinfo=UTC) for name, m in found.items()}
    except ValueError as error:
        raise NoStorm(f"{folder}: a file name holds no date ({error})") from error
    observed = [at for name, at in times.items() if name.startswith("obs_")]
    if not observed:
        raise NoStorm(f"{folder} holds no obs_YYYYMMDDHHMM.nc")
    if odd := sorted(name for name, at in times.items() if (at - min(observed)) % STEP):
        raise NoStorm(f"{folder}: {odd[0]} is not on the 5-minute steps of the others")
    frames, missing = [], []
    for at in steps(min(observed), max(observed)):
        names = [f"{kind}_{at:%Y%m%d%H%M}.nc" for kind in ("obs", "nowcast")]
        missing += [name for name in names if name not in found]
        rain, ahead = ((folder / name).read_bytes if name in found else None for name in names)
        frames.append(Frame(at, rain, ahead, partial(_decoded, rain) if rain else None))
    title = folder.resolve().name
    return Storm(title, title, False, frames, slice(0, len(frames)), tuple(missing))


def steps(first: datetime, last: datetime) -> Iterator[datetime]:
    """Every 5 minutes from first to last, both included."""
    return (first + n * STEP for n in range((last - first) // STEP + 1))


def _decoded(body: Callable[[], bytes]) -> Grid:
    return cf_netcdf.decode(body())
