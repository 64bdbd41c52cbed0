"""7-8 September 2023 over Shenzhen, rebuilt from published figures. SYNTHETIC, and called so wherever shown.

Published and reproduced: station maxima (records of 2023-09-08 15:00), the sums of Zhengkeng's hours
19-22 and of Ailian 18:20-21:47, district means of 17:00-06:00 (at the street centres, within 3 %).
Invented: everything between, namely every 5-minute value, where in a district it rained, how the cells
moved, all rain before 17:00 and after 06:00, station positions and codes. The interim figures of that
morning are not followed; outside the city and in Shenshan the field only fades. Source: domain figures,
section 6 (bulletins and records of the Shenzhen meteorological service and 三防办 on the remnant of Haikui:
a "train" of cells along one band).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import Grid, Product, make_grid
from replay.storms import STEP, Frame, PinnedStation, Storm, steps

Field = NDArray[np.float32]
Floats = NDArray[np.float64]

LEADS = 24

# Hours count from 2023-09-07 00:00 +08:00. The 72 hours of the records end at 15:00 on the 8th, when
# they were published. Worth playing is 16:00 on the 7th (a dry hour before the rain) to 15:00 on the 8th
# (an hour past the downgrade to yellow at 14:00): windows up to 24 h lie in it whole, 48 h and 72 h need
# all frames.
MIDNIGHT_AT = datetime(2023, 9, 7, tzinfo=ZoneInfo("Asia/Shanghai"))
FIRST_H, CORE_H, RAIN_H, MORNING_H, LAST_H = -33, 16, 17, 30, 39
SHAPE = (60, 160)
LAT = np.round(22.995 - 0.01 * np.arange(SHAPE[0]), 3)
LON = np.round(113.705 + 0.01 * np.arange(SHAPE[1]), 3)
SEED = 20230907
HIGHEST_MM = 415.0  # of the night; more, and cells beside the stations break the published records
MOTION = (-0.5, 2.0)  # cells per step (south, east): about 24 km/h towards the east-north-east
TURNOVER_STEPS = 36  # a rain cell grows and decays within about 3 h
CONTRAST = 0.4  # of the rain cells; limited by the same records
SPREAD_H = 2.6  # how long the band stays over one longitude
PIN_REACH = 3.5  # cells; the pinned stations' surroundings do not meet

# district, published mean mm of 17:00-06:00, street centres as (row, column) of the grid
DISTRICTS = (
    ("440303", 380.8, "45,40 45,43 45,41 43,42 46,41 43,40 41,45 44,47 41,43 41,40"),
    ("440304", 263.8, "46,38 44,39 46,35 46,32 44,32 42,34 44,35 44,37 48,34 45,38"),
    ("440305", 133.9, "45,22 47,21 46,27 51,21 50,20 47,23 42,28 40,25"),
    ("440306", 169.5, "43,18 40,17 37,14 32,11 31,9 26,9 27,12 22,13 20,16 31,23"),
    ("440307", 234.8, "30,42 22,60 37,43 36,36 39,41 27,54 25,56 35,50 37,40 30,58 37,51"),
    ("440308", 240.8, "39,60 40,56 44,53 43,54"),
    ("440309", 251.7, "28,35 37,33 34,32 31,29 28,31 26,36"),
    ("440310", 82.0, "30,64 32,62 33,58 31,68 25,68 25,66"),
    ("440311", 250.8, "24,23 21,19 20,22 26,25 28,20 24,19"),
    ("4403DP", 48.6, "35,71 40,77 45,78"),
)
# the station; then hour, mm until the next hour, and so on: the sums are published, the shapes are not
PINS = (
    (
        PinnedStation("G2023001", "正坑", "Zhengkeng", "440308", 114.265, 22.595),
        "-7 22.0 -3 0 17 2.0 18 14.0 19 20.0 19:30 31.0 20 46.9 20:30 52.0 21 51.5 21:30 45.4 22 21.0 "
        "23 24.0 26 18.0 30 16.0 34 10.0 38",
    ),
    (
        PinnedStation("G2023002", "东门", "Dongmen", "440303", 114.115, 22.545),
        "-7 30.0 -3 0 17 3.0 18 8.0 19 18.0 20 42.0 21 75.0 22 95.0 23 68.0 24 45.0 25 30.2 26 24.0 28 10.8 "
        "30 20.0 34 14.0 38",
    ),
    (
        PinnedStation("G2023003", "小梧桐", "Xiaowutong", "440303", 114.195, 22.585),
        "-30 1.0 -29 0 -7 55.8 -3 0 17 3.5 18 55.0 20 85.0 22 68.0 23 98.0 24 62.0 25 55.0 27 42.5 "
        "30 50.0 34 36.6 38 4.0 39",
    ),
    (  # 18:20-21:47 read as 18:20-21:45; the steepest 30 minutes are 19:50-20:20
        PinnedStation("G2023004", "爱联", "Ailian", "440307", 114.235, 22.715),
        "-7 18.0 -3 0 17 1.5 18:20 71.5 19:35 20.6 19:50 52.2 20:20 20.6 20:35 70.0 21:45 0 22 30.0 26 12.0 "
        "30 10.0 34 6.0 38",
    ),
)


def slot(hour: float) -> int:
    """Index of the first frame that ends after this hour (from 2023-09-07 00:00 +08:00)."""
    return round((hour - FIRST_H) * 12)


@lru_cache(maxsize=1)
def reconstruct_2023() -> Storm:
    """7-8 September 2023 over Shenzhen, rebuilt from published figures; the same in every run."""
    rain = rain_2023()
    first = MIDNIGHT_AT.astimezone(UTC) + timedelta(hours=FIRST_H)
    times = list(steps(first + STEP, first + len(rain) * STEP))
    frames = []
    for n, at in enumerate(times):
        observed = partial(_grid, "observed", at, (at,), rain[n : n + 1])
        ahead = tuple(at + k * STEP for k in range(1, LEADS + 1))
        nowcast = partial(_extrapolated, at, ahead, rain[n - 1 : n + 1])
        frames.append(Frame(at, partial(_body, observed), partial(_body, nowcast) if n else None, observed))
    return Storm(
        title_zh="2023年9月7日至8日特大暴雨(据公布数据重建,合成雨场)",
        title_en="7-8 September 2023, a reconstruction from published figures (synthetic field)",
        synthetic=True,
        frames=tuple(frames),
        core=slice(slot(CORE_H), slot(LAST_H)),
        stations=tuple(station for station, _ in PINS),
    )


def _grid(product: Product, issued_at: datetime, valid_at: tuple[datetime, ...], rain_mm: Field) -> Grid:
    return make_grid(product, issued_at, valid_at, LAT, LON, rain_mm)


def _body(grid: Callable[[], Grid]) -> bytes:
    return cf_netcdf.encode(grid())


def _extrapolated(issued_at: datetime, valid_at: tuple[datetime, ...], last_two: Field) -> Grid:
    """Extrapolation, synthetic: the mean of the last two frames, carried on and weakened.

    The cells drift with the known motion, but the band they run along hardly moves, so the drift fades. Error
    against these frames, as a share of the rain: first 15 min 0.25 (standing still 0.29), first hour 0.38 (a
    steady drift 0.56).
    """
    drift = [2 * (1 - np.exp(-k / 2)) for k in range(1, len(valid_at) + 1)]
    start = last_two.mean(axis=0)
    fields = [
        0.99**k * _moved(start, MOTION[0] * d, MOTION[1] * d, wrap=False) for k, d in enumerate(drift, 1)
    ]
    return _grid("nowcast", issued_at, valid_at, np.stack(fields).astype(np.float32))


def rain_2023() -> Field:
    """Rain of every frame, (864, lat, lon) mm: moving cells, scaled to the night's totals, then pinned."""
    rng = np.random.default_rng(SEED)
    series = np.array([_series(curve, rng) for _, curve in PINS])
    weight = _pin_weights()
    rain = _band(rng, series[2])
    night = slice(slot(RAIN_H), slot(MORNING_H))
    total = _night_totals(weight, series[:, night].sum(axis=1))
    rain[night] *= total / rain[night].sum(axis=0)
    for part in (slice(0, night.start), slice(night.stop, len(rain))):  # elsewhere less rain, as in the night
        rain[part] *= total / series[2, night].sum() * series[2, part].sum() / rain[part].sum(axis=0)
    pinned: Field = (rain * (1 - weight.sum(axis=0)) + np.tensordot(series.T, weight, 1)).astype(np.float32)
    return pinned


def _series(curve: str, rng: np.random.Generator) -> Floats:
    """5-minute values in whole tenths, uneven by 8 %; each part sums exactly to its figure."""
    words = curve.split()
    hours = [
        float(hour) + float(minute or 0) / 60
        for hour, _, minute in (word.partition(":") for word in words[::2])
    ]
    series = np.zeros(slot(LAST_H))
    for (from_hour, to_hour), mm in zip(pairwise(hours), words[1::2], strict=True):
        part = slice(slot(from_hour), slot(to_hour))
        share = np.cumsum(1 + rng.uniform(-0.08, 0.08, part.stop - part.start))
        series[part] = np.diff(np.rint(share / share[-1] * float(mm) * 10), prepend=0) / 10
    return series


def _pin_weights() -> Floats:
    """(station, lat, lon): 1 in the station's cell, 0 beyond PIN_REACH: a blend exceeds none of its parts."""
    row, column = np.indices(SHAPE)
    distances = [
        np.hypot(row - round((LAT[0] - pin.lat) / 0.01), column - round((pin.lon - LON[0]) / 0.01))
        for pin, _ in PINS
    ]
    weights: Floats = np.clip(1 - (np.array(distances) / PIN_REACH) ** 2, 0, None) ** 2
    return weights


def _band(rng: np.random.Generator, off_night: Floats) -> Field:
    """Unscaled rain of every frame: cells drifting along a band that moves from east to west in the night."""
    one, other = _texture(rng), _texture(rng)
    hours = FIRST_H + (np.arange(len(off_night)) + 0.5) / 12
    peak_h = 22.0 - np.clip((LON - 114.1) * 10, -4, 2)
    band = np.empty((len(hours), *SHAPE), np.float32)
    for n, hour in enumerate(hours):
        if RAIN_H < hour < MORNING_H:
            strength = np.clip((hour - RAIN_H) / 1.5, 0.02, 1) * (
                np.exp(-(((hour - peak_h) / SPREAD_H) ** 2) / 2) + 0.12
            )
        else:
            strength = np.full(SHAPE[1], off_night[n])
        age = 2 * np.pi * n / TURNOVER_STEPS
        cells = np.cos(age) * one + np.sin(age) * other
        moved = _moved(cells, MOTION[0] * n, MOTION[1] * n, wrap=True)[: SHAPE[0], : SHAPE[1]]
        band[n] = np.exp(CONTRAST * moved) * strength
    return band


def _texture(rng: np.random.Generator, cells: float = 3.0) -> Floats:
    """A periodic random field of mean 0 and deviation 1, smooth over some 3 cells."""
    shape = (128, 256)
    south, east = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    smooth = np.exp(-2 * (np.pi * cells) ** 2 * (south**2 + east**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * smooth, s=shape)
    texture: Floats = field / field.std()
    return texture


def _moved(field: NDArray[np.floating], south: float, east: float, *, wrap: bool) -> Floats:
    """The field carried by so many cells, linear between cells; the far side enters, or the nearest edge."""
    for axis, distance in enumerate((south, east)):
        size = field.shape[axis]
        whole = int(np.floor(distance))
        at = np.arange(size) - whole
        far, near = (index % size if wrap else index.clip(0, size - 1) for index in (at - 1, at))
        part = distance - whole
        field = (1 - part) * field.take(near, axis) + part * field.take(far, axis)
    return np.asarray(field, np.float64)


def _night_totals(weight: Floats, pinned_mm: Floats) -> Floats:
    """Smooth totals (lat, lon) of 17:00-06:00 whose means over street centres are the published ones."""
    points = [
        (d, *map(int, at.split(","))) for d, (_, _, places) in enumerate(DISTRICTS) for at in places.split()
    ]
    owner, rows, columns = np.array(points).T
    row, column = np.indices(SHAPE)
    distance = np.hypot(row - rows[:, None, None], column - columns[:, None, None])
    away = np.exp(-np.clip(distance.min(axis=0) - 8, 0, None) / 12)  # nothing is published there
    kernel = (1 + (distance / 3) ** 2) ** -2
    kernel /= kernel.sum(axis=0)
    published = np.array([mean_mm for _, mean_mm, _ in DISTRICTS])
    total = np.ones(SHAPE)
    for _ in range(12):  # far enough: the means then stand within 2 %
        blended = total * (1 - weight.sum(axis=0)) + np.tensordot(pinned_mm, weight, 1)
        means = np.bincount(owner, blended[rows, columns]) / np.bincount(owner)
        total = np.minimum(total * np.tensordot((published / means)[owner], kernel, 1), HIGHEST_MM)
    return np.asarray(total * away, np.float64)
