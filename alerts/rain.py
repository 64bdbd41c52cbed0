"""What the rules look at: per street or community the highest sum of each window, from gauges and cells together.

Reads hydrology's rows, computes with its science, leaves nothing behind. The same rows give the same figures
bit for bit: fields are quantised when stored and every sum runs in slot order. Doubted values of a gauge are left out
of its ordinary sums; with them it makes a doubted figure beside, which counts as far as something confirms it. What an
earlier assessment rested on (`Given`) makes the same picture again, whatever came since.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from alerts.assessment.rules import Figure
from alerts.figures import Cells, Figures, GaugeSums
from alerts.gauges import Gauges, doubt, gauges_of
from hydrology.fields import field_of
from hydrology.known import EVERYTHING, Known, known_now
from hydrology.models import GridRun, Level
from hydrology.nearby import field_on
from hydrology.science.consistency import Field
from hydrology.science.rainfall import SLOT, SLOT_S, WINDOWS_MIN, lay_slots, sliding_sums
from hydrology.zones import axes_of, places_in_streets, zones_of

SLOTS = max(WINDOWS_MIN) * 60 // SLOT_S
NOWCAST_MIN = (60, 120)
DECIMALS = 2  # of mm, as fields are stored
WINDOWS = [f"rain_{minutes}min" for minutes in WINDOWS_MIN]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A gauge whose value of the newest slot is doubted (or impossible): what it says and what it would come to.

    `figures` are its own, all doubted, each with what agrees with it; nothing can confirm what is impossible.
    """

    station: str
    place: str
    value_mm: float
    why: str
    figures: tuple[Figure, ...]
    impossible: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """The rows an earlier assessment rested on: its fields, its nowcast, the posts its gauges came in."""

    grids: tuple[int, ...]
    nowcast: int | None
    posts: Known


@dataclass(slots=True)
class RainPicture:
    """Everything one assessment rests on, per place of `level`, and where it came from.

    `doubted`: by station why, and the ENDs of the slots that are doubted; `suspects`: those of the newest slot.
    """

    slot_at: datetime
    figures: Figures = field(default_factory=Figures)
    level: Level = Level.STREET
    posts: Known = EVERYTHING
    broken: list[str] = field(default_factory=list)  # as people had said
    believed: list[str] = field(default_factory=list)
    grids: list[int] = field(default_factory=list)
    spread: list[int] = field(default_factory=list)  # of these runs: out of sums longer than a slot
    nowcast: GridRun | None = None
    missing_share: float = 0.0
    excluded: list[str] = field(default_factory=list)
    doubted: dict[str, tuple[str, list[datetime]]] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)
    _cells: Floats | None = None
    _gauges: Floats | None = None
    _gauge_of: dict[str, int] = field(default_factory=dict)
    _field: Field | None = None  # of slots
    _sums: Field | None = None  # of windows

    def places_of(self, street: str) -> tuple[str, ...]:
        """The places that speak for a street."""
        return (street,) if self.level == Level.STREET else places_in_streets(self.level).get(street, ())

    def series(self, source: str) -> list[list[object]]:
        """The 5-minute values of one source over the longest window: [[END iso, mm or None], …]."""
        column = None
        if source.startswith("cell:") and self._cells is not None:
            column = self._cells[:, self.figures.cells[0].cell_of(source)]
        elif source in self._gauge_of and self._gauges is not None:
            column = self._gauges[:, self._gauge_of[source]]
        if column is None:
            return []
        ends = [self.slot_at - SLOT * (SLOTS - 1 - i) for i in range(SLOTS)]
        return [
            [end.isoformat(), None if np.isnan(mm) else round(float(mm), 2)]
            for end, mm in zip(ends, column, strict=True)
        ]


def picture(
    slot_at: datetime,
    broken: AbstractSet[str] = frozenset(),
    believed: AbstractSet[str] = frozenset(),
    *,
    level: Level = Level.STREET,
    given: Given | None = None,
) -> RainPicture:
    """The rain of the windows ending at slot_at (UTC, END of a slot) and the nowcast in force then.

    `broken`, `believed`: stations of which a person has said so (checks.py). `given`: from these rows only.
    """
    posts = given.posts if given else known_now()
    seen = RainPicture(slot_at, level=level, posts=posts, broken=sorted(broken), believed=sorted(believed))
    _add_cells(seen, given)
    gauges = gauges_of(slot_at, SLOTS, broken, believed, level, seen.posts)
    doubt(gauges, seen._field, believed)
    doubtful = _add_gauges(seen, gauges)
    _add_doubted(seen, gauges, doubtful)
    return seen


def picture_of_fields(
    slot_at: datetime, fields: Mapping[datetime, Floats], ahead: Floats | None, lat: Floats, lon: Floats
) -> RainPicture:
    """The same from fields alone, without rows and without gauges: what a stored storm would have shown.

    `fields`: mm by cell by END of slot; `ahead`: (5-minute step, cell) of the nowcast in force, from the step after
    `slot_at` on. One grid for all, lat and lon its axes in degrees.
    """
    seen = RainPicture(slot_at=slot_at)
    cells = lay_slots(fields, last_end=slot_at, slots=SLOTS, places=lat.size * lon.size)
    sums, shares = sliding_sums(cells)
    _offer_cells(seen, WINDOWS, sums, shares, lat, lon)
    if ahead is not None:
        _offer_ahead(seen, ahead, SLOT_S, lat, lon)
    return seen


def _add_gauges(seen: RainPicture, gauges: Gauges) -> dict[int, list[tuple[str, float, float]]]:
    """Offers the sums of what is not doubted; impossible values are excluded by name, never silently.

    Returns by gauge the (window, mm, share) in which doubted values make a difference.
    """
    seen.excluded = sorted(gauges.excluded)
    seen._gauges = gauges.mm
    seen._gauge_of = {f"station:{code}": n for n, code in enumerate(gauges.codes)}
    doubtful: dict[int, list[tuple[str, float, float]]] = {}
    if not gauges.codes:
        return doubtful
    whole, whole_shares = sliding_sums(gauges.mm)
    sums, shares = sliding_sums(np.where(gauges.doubted, np.nan, gauges.mm))
    rounded = np.round(sums, DECIMALS)
    seen.figures.gauges = GaugeSums(WINDOWS, gauges.codes, gauges.places, rounded, shares)
    for w, window in enumerate(WINDOWS):
        for n in np.flatnonzero(whole[w] > np.nan_to_num(sums[w])).tolist():
            mm = round(float(whole[w, n]), DECIMALS)
            doubtful.setdefault(n, []).append((window, mm, float(whole_shares[w, n])))
    for (slot, n), why in sorted(gauges.whys.items()):
        _, ends = seen.doubted.setdefault(gauges.codes[n], (why, []))
        ends.append(seen.slot_at - SLOT * (SLOTS - 1 - slot))
    return doubtful


def _add_doubted(
    seen: RainPicture, gauges: Gauges, doubtful: dict[int, list[tuple[str, float, float]]]
) -> None:
    """Doubted figures: with each the highest of what else the place has and of the cells over the gauge."""
    for n, sums in doubtful.items():
        code, place = gauges.codes[n], gauges.places[n]
        best = seen.figures.offers(place)
        over = (
            seen._sums.around(gauges.lat[n], gauges.lon[n], 0.0)
            if seen._sums is not None
            else np.empty((0, 0))
        )
        figures = []
        for window, mm, share in sums:
            others = [value for value, source, _ in best.get(window, ()) if source != f"station:{code}"]
            others += [
                its_mm
                for m, its in doubtful.items()
                if m != n and gauges.places[m] == place
                for its_window, its_mm, _ in its
                if its_window == window
            ]
            if over.size and not np.isnan(cells := over[WINDOWS.index(window)]).all():
                others.append(round(float(np.nanmax(cells)), 2))
            figures.append(
                Figure(window, mm, f"station:{code}", share, max(others, default=None), doubted=True)
            )
        seen.figures.doubted.setdefault(place, []).extend(figures)
        if why := gauges.whys.get((SLOTS - 1, n)):
            seen.suspects.append(Suspect(code, place, float(gauges.mm[-1, n]), why, tuple(figures)))
    place_of = dict(zip(gauges.codes, gauges.places, strict=True))
    for code, (value_mm, why) in sorted(gauges.impossible.items()):
        figure = Figure("rain_5min", value_mm, f"station:{code}", doubted=True)
        seen.suspects.append(Suspect(code, place_of[code], value_mm, why, (figure,), impossible=True))


def _add_cells(seen: RainPicture, given: Given | None) -> None:
    """Grid cells of the observed frames and of the nowcast run in force."""
    if given is None:
        frames = list(GridRun.objects.observed_between(seen.slot_at - SLOT * SLOTS, seen.slot_at))
        seen.nowcast = run = GridRun.objects.newest_nowcast(seen.slot_at)
    else:
        frames = list(GridRun.objects.filter(pk__in=given.grids).order_by("issued_at"))
        seen.nowcast = run = GridRun.objects.filter(pk=given.nowcast).first()
    if frames:
        geometry = frames[-1].geometry
        frames = [frame for frame in frames if frame.geometry == geometry]
        lat, lon = axes_of(geometry)
        places = lat.size * lon.size
        fields = {frame.issued_at: field_of(frame)[0] for frame in frames}
        cells = lay_slots(fields, last_end=seen.slot_at, slots=SLOTS, places=places)
        seen.grids = [frame.pk for frame in frames]
        seen.spread = [frame.pk for frame in frames if frame.spread]
        seen._cells = cells
        sums, shares = sliding_sums(cells)
        _offer_cells(seen, WINDOWS, sums, shares, lat, lon)
        seen._sums = field_on(sums, lat, lon)
        sharp = {frame.issued_at: fields[frame.issued_at] for frame in frames if not frame.spread}
        if sharp:  # peaks of fields out of longer sums are too low to be held against a gauge
            only = cells if len(sharp) == len(fields) else lay_slots(
                sharp, last_end=seen.slot_at, slots=SLOTS, places=places
            )  # fmt: skip
            seen._field = field_on(only, lat, lon)
        seen.missing_share = round(float(np.isnan(cells).mean()), 4)
    if run is not None:
        seen.spread += [run.pk] * run.spread
        lat, lon = axes_of(run.geometry)
        age = int((seen.slot_at - run.issued_at).total_seconds()) // run.step_s
        _offer_ahead(seen, field_of(run).astype(np.float64)[age:], run.step_s, lat, lon)


def _offer_ahead(seen: RainPicture, ahead: Floats, step_s: int, lat: Floats, lon: Floats) -> None:
    """The sums of the coming hours; `ahead` is (step, cell) from the step after the slot on."""
    sums, shares = [], []
    for minutes in NOWCAST_MIN:
        wanted = minutes * 60 // step_s
        part = ahead[:wanted]
        present = ~np.isnan(part)
        sums.append(np.where(present.any(axis=0), np.nansum(part, axis=0), np.nan))
        shares.append(present.sum(axis=0) / wanted)
    names = [f"nowcast_{minutes}min" for minutes in NOWCAST_MIN]
    _offer_cells(seen, names, np.array(sums), np.array(shares), lat, lon)


def _offer_cells(
    seen: RainPicture, windows: list[str], sums: Floats, shares: Floats, lat: Floats, lon: Floats
) -> None:
    """The two highest cells of every place for every window, by one sparse product each."""
    zones = zones_of(seen.level, lat, lon)
    rounded = np.round(sums, DECIMALS)
    rest, ranks = sums.copy(), []
    for _ in range(2):
        top = zones.argmax(rest)
        ranks.append(top)
        for w in range(len(windows)):
            rest[w, top[w][top[w] >= 0]] = np.nan
    seen.figures.cells.append(
        Cells(windows, zones.codes, np.array(ranks).reshape(2, len(windows), -1), rounded, shares, lat, lon)
    )
