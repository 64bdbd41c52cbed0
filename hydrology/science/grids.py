"""Gridded rain in 5-minute steps, its stored form, and which cells belong to which place.

Owns `Grid` (normalised when made), packing to hundredths of a mm, and `Zones`. Does not read file formats
(formats/), does not sum over time (rainfall.py), knows no thresholds. A step is (valid_at - 5 min, valid_at].
NaN is missing and never zero. Cells are numbered row by row: cell = row * columns + column.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hydrology.science.rainfall import SLOT, slot_end

MAX_STEPS: Final = 48
MAX_CELLS: Final = 1_000_000
MAX_STEP_MM: Final = 150.0
MISSING: Final = -1
KM_PER_DEGREE: Final = 111.195  # sphere of 6,371 km
# About a metre: float32 and float64 copies of the same coordinates become the same grid.
_COORD_DECIMALS: Final = 5
# First byte of a packed field; a plain deflated one begins with 0x78. Then the columns of a row.
_DIFFERENCED: Final = 1
_HEAD: Final = struct.Struct("<BI")

Product = Literal["observed", "nowcast"]
Array = NDArray[Any]


class BadGrid(Exception):
    """A grid that cannot be used: which field, why, and what the sender should do."""

    def __init__(self, field: str, reason: str, what_to_do: str) -> None:
        super().__init__(f"{field}: {reason}; {what_to_do}")
        self.field = field
        self.reason = reason
        self.what_to_do = what_to_do


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Rain per step on a regular grid; make it with `make_grid`.

    `rain_mm` is float32 (step, lat, lon), quantised; `lat` falls, `lon` rises (cell centres, degrees);
    `dropped` counts the values that were out of bounds and became missing; `spread` says that a sum longer than its
    step was taken as even, so that its peaks are a lower bound.
    """

    product: Product
    issued_at: datetime
    valid_at: tuple[datetime, ...]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    rain_mm: NDArray[np.float32]
    dropped: int = 0
    spread: bool = False

    @property
    def geometry(self) -> str:
        """Equal for grids with the same cells: first value, spacing and count of each axis."""
        return f"{_axis_key(self.lat)},{_axis_key(self.lon)}"

    @property
    def cells_mm(self) -> NDArray[np.float32]:
        """The same rain as (step, cell)."""
        return self.rain_mm.reshape(len(self.valid_at), -1)

    def __eq__(self, other: object) -> bool:
        """Same product, times and cells, and the same rain with missing equal to missing."""
        if not isinstance(other, Grid):
            return NotImplemented
        return (
            (self.product, self.issued_at, self.valid_at, self.geometry)
            == (other.product, other.issued_at, other.valid_at, other.geometry)
        ) and np.array_equal(self.rain_mm, other.rain_mm, equal_nan=True)

    __hash__ = None  # type: ignore[assignment]


def make_grid(
    product: Product,
    issued_at: datetime,
    valid_at: Sequence[datetime],
    lat: Array,
    lon: Array,
    rain_mm: Array,
) -> Grid:
    """Check and normalise: lat falls, lon rises, values below 0 or above 150 mm a step become missing.

    `rain_mm` is (step, lat, lon) in the order of `lat` and `lon` as given. Raises BadGrid.
    """
    lat, lon = _axis("lat", lat, 90.0), _axis("lon", lon, 180.0)
    shape = (len(valid_at), len(lat), len(lon))
    rain = np.asarray(rain_mm)
    if rain.shape != shape:
        raise BadGrid("rain", f"shape {rain.shape} is not {shape}", "send (time, lat, lon)")
    if lat.size * lon.size > MAX_CELLS or not 1 <= len(valid_at) <= MAX_STEPS:
        raise BadGrid("rain", f"{shape} is too large or empty", f"at most {MAX_STEPS} x {MAX_CELLS} cells")
    steps = _steps(product, issued_at, valid_at)
    if lat[0] < lat[-1]:
        lat, rain = lat[::-1], rain[:, ::-1]
    if lon[0] > lon[-1]:
        lon, rain = lon[::-1], rain[:, :, ::-1]
    hundredths = _hundredths(rain)
    return Grid(
        product,
        issued_at.astimezone(UTC),
        steps,
        np.ascontiguousarray(lat),
        np.ascontiguousarray(lon),
        _millimetres(hundredths),
        int(np.count_nonzero(hundredths == MISSING) - np.count_nonzero(np.isnan(rain))),
    )


def quantise(rain_mm: Array) -> NDArray[np.float32]:
    """The values that survive `unpack(pack(x))` exactly: float32 nearest to hundredths of a mm."""
    return _millimetres(_hundredths(rain_mm))


def pack(rain_mm: Array) -> bytes:
    """Rain (any shape, mm, NaN missing) as bytes: hundredths of a mm, -1 missing, differenced and deflated.

    Rain is smooth, so each value becomes its difference to the left, and that its difference to the row above
    (modulo 2^16, small ones near 0 whatever their sign), low bytes first, then all high bytes: nearly all zero.
    43 % smaller than the deflated values on the storm of 2020, and no slower.
    """
    hundredths = _hundredths(rain_mm)
    columns = max(1, hundredths.shape[-1] if hundredths.ndim else 1)
    by_row = hundredths.reshape(-1, columns)
    down = by_row.copy()
    down[1:] -= by_row[:-1]
    steps = down.copy()
    steps[:, 1:] -= down[:, :-1]
    folded = (steps << 1) ^ (steps >> 15)
    deflate = zlib.compressobj(6, strategy=zlib.Z_RLE)
    planes = folded.view(np.uint8).reshape(-1, 2).T.tobytes()
    return _HEAD.pack(_DIFFERENCED, columns) + deflate.compress(planes) + deflate.flush()


def unpack(packed: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The rain that was packed, float32 mm of `shape`; also of older rows, which are plain deflated values.

    Raises ValueError on other bytes.
    """
    size = int(np.prod(shape))
    if packed[:1] != bytes([_DIFFERENCED]):
        return _millimetres(np.frombuffer(_inflated(packed, size * 2, shape), dtype="<i2").reshape(shape))
    planes = np.frombuffer(_inflated(packed[_HEAD.size :], size * 2, shape), dtype=np.uint8)
    _, columns = _HEAD.unpack_from(packed)
    if not columns or size % columns:
        raise ValueError(f"packed field is not {shape}")
    folded = planes.reshape(2, -1).T.copy().view("<u2").reshape(-1, columns)
    steps = (folded >> 1).astype(np.int16) ^ -(folded & 1).astype(np.int16)
    down = np.cumsum(steps, axis=1, dtype=np.int16)
    return _millimetres(np.cumsum(down, axis=0, dtype=np.int16).reshape(shape))


def _inflated(deflated: bytes, expected: int, shape: tuple[int, ...]) -> bytes:
    try:
        raw = zlib.decompressobj().decompress(deflated, expected + 1)
    except zlib.error as error:
        raise ValueError(f"not a packed field: {error}") from error
    if len(raw) != expected:
        raise ValueError(f"packed field is not {shape}")
    return raw


def _hundredths(rain_mm: Array) -> NDArray[np.int16]:
    scaled = np.rint(np.asarray(rain_mm, dtype=np.float64) * 100)
    usable = (scaled >= 0) & (scaled <= MAX_STEP_MM * 100)
    return np.where(usable, scaled, MISSING).astype("<i2")


def _millimetres(hundredths: NDArray[np.int16]) -> NDArray[np.float32]:
    return np.where(hundredths == MISSING, np.nan, hundredths / 100.0).astype(np.float32)


def _axis(name: str, given: Array, bound: float) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a damaged file may hold signalling NaNs
        axis = np.asarray(given, dtype=np.float64)
    if axis.ndim != 1 or axis.size < 2 or not np.isfinite(axis).all() or np.abs(axis).max() > bound:
        raise BadGrid(name, "is not a list of at least 2 degrees in range", "send cell centres in degrees")
    gaps = np.diff(axis)
    spacing = (axis[-1] - axis[0]) / (axis.size - 1)
    if abs(spacing) < 1e-4 or (np.abs(gaps - spacing) > 0.02 * abs(spacing)).any():
        raise BadGrid(name, "is not evenly spaced", "send a regular latitude-longitude grid")
    return np.round(axis, _COORD_DECIMALS)


def _axis_key(axis: NDArray[np.float64]) -> str:
    spacing = (axis[-1] - axis[0]) / (axis.size - 1)
    return f"{axis[0]:.5f}{spacing:+.5f}x{axis.size}"


def _steps(product: str, issued_at: datetime, valid_at: Sequence[datetime]) -> tuple[datetime, ...]:
    if any(at.tzinfo is None for at in (issued_at, *valid_at)):
        raise BadGrid("time", "has no zone", "send UTC times")
    steps = tuple(at.astimezone(UTC) for at in valid_at)
    if any(slot_end(at) != at for at in steps):
        raise BadGrid("time", "a step does not end on a whole 5 minutes", "send steps ending at :00, :05, …")
    if any(after - before != SLOT for before, after in zip(steps, steps[1:], strict=False)):
        raise BadGrid("time", "steps are not 5 minutes apart and rising", "send 5-minute accumulations")
    if product == "nowcast" and steps[0] < issued_at:
        raise BadGrid("time", "a nowcast step ends before the nowcast was issued", "send future steps only")
    return steps


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Which grid cells belong to which place: a sparse 0/1 matrix (place, cell) by rows.

    `cells` are the cell numbers sorted by place, those of place i being cells[starts[i]:starts[i + 1]].
    A place without cells is missing everywhere (NaN, share 0, cell -1), never dry.
    """

    codes: tuple[str, ...]
    cells: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, codes: Sequence[str], places: Array, cells: Array) -> "Zones":
        """From pairs (index of the place in `codes`, cell); a cell may belong to several places."""
        order = np.lexsort((cells, places))
        counts = np.bincount(np.asarray(places, dtype=np.intp), minlength=len(codes))
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.intp)
        return cls(tuple(codes), np.asarray(cells, dtype=np.intp)[order], starts)

    @classmethod
    def nearest(
        cls, lat: Array, lon: Array, codes: Sequence[str], centres: Array, reach_km: float
    ) -> "Zones":
        """Each cell belongs to the place whose centre is nearest, if that is within `reach_km`.

        `lat`, `lon` are the grid's axes, `centres` is (place, 2) as lon, lat in degrees. Distances are
        equirectangular. A place that would have no cell gets the one nearest to it, so that no place is
        blind, unless it lies off the grid by more than `reach_km` and a cell.
        """
        lats, lons = np.repeat(lat, len(lon)), np.tile(lon, len(lat))
        points = np.asarray(centres, dtype=np.float64).reshape(len(codes), 2)
        owner = np.full(lats.size, -1, dtype=np.intp)
        best_km = np.full(lats.size, np.inf)
        own_cell = np.zeros(len(codes), dtype=np.intp)
        own_km = np.full(len(codes), np.inf)
        for place, (place_lon, place_lat) in enumerate(points):  # once per geometry; one row of memory
            away_km = KM_PER_DEGREE * np.hypot(
                lats - place_lat, (lons - place_lon) * np.cos(np.radians(lats))
            )
            closer = away_km < best_km
            owner[closer], best_km[closer] = place, away_km[closer]
            own_cell[place] = away_km.argmin()
            own_km[place] = away_km[own_cell[place]]
        cells = np.flatnonzero(best_km <= reach_km)
        places = owner[cells]
        cell_km = KM_PER_DEGREE * (abs(lat[1] - lat[0]) + abs(lon[1] - lon[0]))
        blind = np.flatnonzero(~np.isin(np.arange(len(codes)), places) & (own_km <= reach_km + cell_km))
        return cls.of(codes, np.concatenate((places, blind)), np.concatenate((cells, own_cell[blind])))

    def merged(self, parents: Sequence[str]) -> "Zones":
        """Zones of larger places: `parents[i]` is the code place i belongs to; codes come out sorted."""
        codes = sorted(set(parents))
        rank = {code: index for index, code in enumerate(codes)}
        places = np.repeat(np.array([rank[parent] for parent in parents], dtype=np.intp), self.sizes)
        pairs = np.unique(np.stack((places, self.cells)), axis=1)  # a shared cell counts once
        return Zones.of(codes, pairs[0], pairs[1])

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Cells per place."""
        return np.diff(self.starts)

    def mean(self, field: Array) -> NDArray[np.float64]:
        """Areal mean over the cells that are present: (..., cell) -> (..., place); NaN where none is."""
        gathered = self._gathered(field)
        present = ~np.isnan(gathered)
        sums = self._reduced(np.add, np.where(present, gathered, 0.0), 0.0)
        counts = self._reduced(np.add, present.astype(np.float64), 0.0)
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

    def maximum(self, field: Array) -> NDArray[np.float64]:
        """The largest present value: (..., cell) -> (..., place); NaN where none is present."""
        return self._reduced(np.fmax, self._gathered(field), np.nan)

    def share(self, field: Array) -> NDArray[np.float64]:
        """The share of a place's cells that are present, 0..1: (..., cell) -> (..., place)."""
        counts = self._reduced(np.add, (~np.isnan(self._gathered(field))).astype(np.float64), 0.0)
        return counts / np.maximum(self.sizes, 1)

    def argmax(self, field: Array) -> NDArray[np.intp]:
        """The cell that holds `maximum` (the lowest number on a tie), -1 where nothing is present."""
        gathered = self._gathered(field)
        highest = np.repeat(self.maximum(field), self.sizes, axis=-1)
        absent = np.iinfo(np.intp).max
        at = self._reduced(np.minimum, np.where(gathered == highest, self.cells, absent), absent)
        return np.where(at == absent, -1, at).astype(np.intp)

    def count_at_least(self, field: Array, threshold: float) -> NDArray[np.intp]:
        """How many cells of each place reach `threshold`; a missing cell does not."""
        reached = (self._gathered(field) >= threshold).astype(np.intp)
        return self._reduced(np.add, reached, 0).astype(np.intp)

    def _gathered(self, field: Array) -> NDArray[np.float64]:
        return np.asarray(field)[..., self.cells].astype(np.float64)

    def _reduced(self, ufunc: np.ufunc, values: Array, empty: float) -> Array:
        """Reduce each place's run of `values` (..., member).

        reduceat gives an empty row its next neighbour's first value, so empty rows are left out: the starts
        of the others still bound exactly their own members.
        """
        filled = np.flatnonzero(self.sizes)
        reduced = np.full((*values.shape[:-1], len(self.codes)), empty, dtype=values.dtype)
        if filled.size:
            reduced[..., filled] = ufunc.reduceat(values, self.starts[filled], axis=-1)
        return reduced
