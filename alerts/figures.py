"""What the rules look at, by place: the highest sum of each window, made only for the places somebody asks for.

Owns the step from arrays of sums (gauges, the two highest cells of a zone) to rules.Figure, and the look at all places
at once that says where a mark is reached at all: 800 communities cost little more than 78 streets. Reads no rows.
Values are rounded to 0.01 mm once, here, so both ways of looking see the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.assessment.rules import (
    AGREES_FROM,
    NOISE_MM,
    PRESENT_MIN,
    PRESENT_SHARE,
    WINDOWS,
    Figure,
    Table,
)

Floats = NDArray[np.float64]
Offer = tuple[float, str, float]
"""(mm, source, share)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The two highest cells of every place: `top` is (2, window, place), -1 where there is none; sums (window, cell)."""

    windows: Sequence[str]
    places: Sequence[str]
    top: NDArray[np.intp]
    sums_mm: Floats
    shares: Floats
    lat: Floats
    lon: Floats

    def source(self, cell: int) -> str:
        return f"cell:{self.lon[cell % self.lon.size]:.3f},{self.lat[cell // self.lon.size]:.3f}"

    def cell_of(self, source: str) -> int:
        """The cell that is called so."""
        lon, lat = map(float, source.removeprefix("cell:").split(","))
        return int(np.abs(self.lat - lat).argmin()) * self.lon.size + int(np.abs(self.lon - lon).argmin())

    def offers(self, n: int) -> Iterator[tuple[str, Offer]]:
        """What the n-th place has, by window."""
        for w, window in enumerate(self.windows):
            for cell in self.top[:, w, n].tolist():
                if cell >= 0 and not np.isnan(mm := self.sums_mm[w, cell]):
                    yield window, (float(mm), self.source(cell), float(self.shares[w, cell]))

    def laid(self) -> Iterator[tuple[Floats, Floats]]:
        """(mm, shares) of the highest and of the second cells, (window, place); NaN where there is none."""
        for cells in self.top:
            mm = np.where(cells >= 0, np.take_along_axis(self.sums_mm, np.maximum(cells, 0), 1), np.nan)
            yield mm, np.take_along_axis(self.shares, np.maximum(cells, 0), 1)


@dataclass(frozen=True, slots=True, eq=False)
class GaugeSums:
    """Sums of gauges, (window, gauge); `places`: where each counts."""

    windows: Sequence[str]
    codes: Sequence[str]
    places: Sequence[str]
    sums_mm: Floats
    shares: Floats

    def offers(self, n: int) -> Iterator[tuple[str, Offer]]:
        for w, window in enumerate(self.windows):
            if not np.isnan(mm := self.sums_mm[w, n]):
                yield window, (float(mm), f"station:{self.codes[n]}", float(self.shares[w, n]))


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """All places of which anything is known against a table: by code the level reached and the level that still holds.

    `absent`: too little is known of the last half hour to say what holds. `unclear`: doubted values, or sources of which
    some are hardly there; of these rules.py must look itself.
    """

    reached: Mapping[str, int]
    held: Mapping[str, int]
    absent: frozenset[str]
    unclear: frozenset[str]


@dataclass(slots=True, eq=False)
class Figures(Mapping[str, list[Figure]]):
    """By place its figures, one a window; places without any are not in it."""

    cells: list[Cells] = field(default_factory=list)
    gauges: GaugeSums | None = None
    doubted: dict[str, list[Figure]] = field(default_factory=dict)
    _made: dict[str, list[Figure]] = field(default_factory=dict)
    _gauges_in: dict[str, list[int]] | None = None
    _index: list[dict[str, int]] = field(default_factory=list)

    def offers(self, place: str) -> dict[str, list[Offer]]:
        """All candidates by window, without what is doubted."""
        found: dict[str, list[Offer]] = {}
        if self._gauges_in is None:
            self._gauges_in, self._index = {}, []
            for n, its in enumerate(self.gauges.places if self.gauges else ()):
                self._gauges_in.setdefault(its, []).append(n)
        if len(self._index) != len(self.cells):
            self._index = [{code: n for n, code in enumerate(cells.places)} for cells in self.cells]
        for cells, index in zip(self.cells, self._index, strict=True):
            if (n := index.get(place)) is not None:
                for window, offer in cells.offers(n):
                    found.setdefault(window, []).append(offer)
        for n in self._gauges_in.get(place, ()) if self.gauges else ():
            for window, offer in self.gauges.offers(n):
                found.setdefault(window, []).append(offer)
        return found

    def __getitem__(self, place: str) -> list[Figure]:
        made = self._made.get(place)
        if made is None:
            made = [_figure(window, offers) for window, offers in self.offers(place).items()]
            made += self.doubted.get(place, ())
            self._made[place] = made
        if not made:
            raise KeyError(place)
        return made

    def __iter__(self) -> Iterator[str]:
        return (place for place in self.places if self.get(place))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def places(self) -> list[str]:
        """Every place that may have any, in order of code."""
        given = {place for cells in self.cells for place in cells.places} | self.doubted.keys()
        return sorted(given | set(self.gauges.places if self.gauges else ()))

    def marks(self, table: Table) -> Marks:
        """All places at once; equal to rules.assess(…).level and rules.low_water wherever it is not unclear."""
        codes = self.places
        at = {code: n for n, code in enumerate(codes)}
        mm, least, most = (np.full((len(WINDOWS), len(codes)), np.nan) for _ in range(3))
        for windows, columns, sums, shares in self._laid(at):
            rows = np.array([WINDOWS.index(window) for window in windows], dtype=np.intp)[:, None]
            there = np.where(np.isnan(sums), np.nan, shares)
            for kept, given, join in ((mm, sums, np.fmax), (least, there, np.fmin), (most, there, np.fmax)):
                join.at(kept, (rows, columns[None, :]), given)
        reached, held = np.zeros(len(codes), dtype=np.intp), np.zeros(len(codes), dtype=np.intp)
        for window, row in table.rows.items():
            value = mm[WINDOWS.index(window)][:, None] + NOISE_MM
            marks = np.array(row)
            reached = np.maximum(reached, (value >= marks).sum(axis=1))
            held = np.maximum(held, (value >= AGREES_FROM * marks).sum(axis=1))
        short = [WINDOWS.index(window) for window in PRESENT_MIN]
        present = (least[short] >= PRESENT_SHARE).any(axis=0)
        perhaps = (most[short] >= PRESENT_SHARE).any(axis=0) & ~present
        known = np.isfinite(mm).any(axis=0)
        return Marks(
            {codes[n]: int(reached[n]) for n in np.flatnonzero(known)},
            {codes[n]: int(held[n]) for n in np.flatnonzero(known)},
            frozenset(codes[n] for n in np.flatnonzero(known & ~present & ~perhaps)),
            frozenset(codes[n] for n in np.flatnonzero(perhaps)) | self.doubted.keys(),
        )

    def _laid(
        self, at: Mapping[str, int]
    ) -> Iterator[tuple[Sequence[str], NDArray[np.intp], Floats, Floats]]:
        for cells in self.cells:
            columns = np.array([at[place] for place in cells.places], dtype=np.intp)
            for mm, shares in cells.laid():
                yield cells.windows, columns, mm, shares
        if self.gauges is not None and self.gauges.codes:
            columns = np.array([at[place] for place in self.gauges.places], dtype=np.intp)
            yield self.gauges.windows, columns, self.gauges.sums_mm, self.gauges.shares


def _figure(window: str, offers: list[Offer]) -> Figure:
    """The highest of the candidates; the runner-up is what agrees with it."""
    ranked = sorted(offers, key=lambda offer: (-offer[0], offer[1]))
    mm, source, share = ranked[0]
    return Figure(window, mm, source, share, ranked[1][0] if len(ranked) > 1 else None)
