"""What the rules look at: per street the highest sum of each window, from gauges and grid cells together.

Reads hydrology's rows, computes with its science, leaves nothing behind. The same rows give the same figures
bit for bit: fields are quantised when stored and every sum runs in slot order.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from alerts.assessment.rules import Figure
from hydrology.fields import field_of
from hydrology.models import GridRun, Observation
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S, WINDOWS_MIN, lay_slots, sliding_sums
from hydrology.science.readings import Element
from hydrology.zones import axes_of, street_members, street_zones

SLOTS = max(WINDOWS_MIN) * 60 // SLOT_S
NOWCAST_MIN = (60, 120)
Floats = NDArray[np.float64]


@dataclass(slots=True)
class RainPicture:
    """Everything one assessment rests on, per street, and where it came from."""

    slot_at: datetime
    figures: dict[str, list[Figure]]
    grids: list[int] = field(default_factory=list)
    spread: list[int] = field(default_factory=list)  # of these runs: out of sums longer than a slot
    nowcast: GridRun | None = None
    missing_share: float = 0.0
    excluded: list[str] = field(default_factory=list)
    _cells: Floats | None = None
    _gauges: Floats | None = None
    _cell_of: dict[str, int] = field(default_factory=dict)
    _gauge_of: dict[str, int] = field(default_factory=dict)

    def series(self, source: str) -> list[list[object]]:
        """The 5-minute values of one source over the longest window: [[END iso, mm or None], …]."""
        column = None
        if source in self._cell_of and self._cells is not None:
            column = self._cells[:, self._cell_of[source]]
        elif source in self._gauge_of and self._gauges is not None:
            column = self._gauges[:, self._gauge_of[source]]
        if column is None:
            return []
        ends = [self.slot_at - SLOT * (SLOTS - 1 - i) for i in range(SLOTS)]
        return [
            [end.isoformat(), None if np.isnan(mm) else round(float(mm), 2)]
            for end, mm in zip(ends, column, strict=True)
        ]


def picture(slot_at: datetime) -> RainPicture:
    """The rain of the windows ending at slot_at (UTC, END of a slot) and the nowcast in force then."""
    seen = RainPicture(slot_at=slot_at, figures={})
    best: dict[str, dict[str, list[tuple[float, str, float]]]] = {}
    _add_gauges(seen, best)
    _add_cells(seen, best)
    for street, windows in best.items():
        seen.figures[street] = [_figure(window, values) for window, values in windows.items()]
    return seen


def _figure(window: str, values: list[tuple[float, str, float]]) -> Figure:
    """The highest of the candidates (value, source, share); the runner-up is what agrees with it."""
    ranked = sorted(values, key=lambda value: (-value[0], value[1]))
    mm, source, share = ranked[0]
    return Figure(window, mm, source, share, ranked[1][0] if len(ranked) > 1 else None)


def _offer(
    best: dict[str, dict[str, list[tuple[float, str, float]]]],
    street: str,
    window: str,
    mm: float,
    source: str,
    share: float,
) -> None:
    if not np.isnan(mm):
        best.setdefault(street, {}).setdefault(window, []).append((round(float(mm), 2), source, float(share)))


def _add_gauges(seen: RainPicture, best: dict[str, dict[str, list[tuple[float, str, float]]]]) -> None:
    """Rain gauges of good or suspect quality; wrong values are excluded by name, never silently."""
    gauges = [(code, street) for street, codes in street_members().items() for code in codes]
    column = {code: i for i, (code, _) in enumerate(gauges)}
    mm = np.full((SLOTS, len(gauges)), np.nan)
    rows = (
        Observation.objects.latest_revision()
        .filter(
            element=Element.RAIN,
            duration_s=SLOT_S,
            observed_at__gt=seen.slot_at - SLOT * SLOTS,
            observed_at__lte=seen.slot_at,
        )
        .values_list("station_id", "observed_at", "value", "quality")
    )
    excluded = set()
    for code, at, value, quality in rows:
        behind = int((seen.slot_at - at).total_seconds()) // SLOT_S
        if quality == Quality.WRONG:
            excluded.add(code)
        elif code in column:
            mm[SLOTS - 1 - behind, column[code]] = value
    seen.excluded = sorted(excluded)
    seen._gauges, seen._gauge_of = mm, {f"station:{code}": i for code, i in column.items()}
    if not gauges:
        return
    sums, shares = sliding_sums(mm)
    for w, minutes in enumerate(WINDOWS_MIN):
        for code, street in gauges:
            i = column[code]
            _offer(best, street, f"rain_{minutes}min", sums[w, i], f"station:{code}", shares[w, i])


def _add_cells(seen: RainPicture, best: dict[str, dict[str, list[tuple[float, str, float]]]]) -> None:
    """Grid cells of the observed frames and of the nowcast run in force."""
    frames = list(GridRun.objects.observed_between(seen.slot_at - SLOT * SLOTS, seen.slot_at))
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
        names = [f"rain_{minutes}min" for minutes in WINDOWS_MIN]
        _offer_cells(seen, best, names, sums, shares, lat, lon)
        seen.missing_share = round(float(np.isnan(cells).mean()), 4)
    seen.nowcast = run = GridRun.objects.newest_nowcast(seen.slot_at)
    if run is not None:
        seen.spread += [run.pk] * run.spread
        lat, lon = axes_of(run.geometry)
        ahead = field_of(run).astype(np.float64)
        age = int((seen.slot_at - run.issued_at).total_seconds()) // run.step_s
        sums, shares = [], []
        for minutes in NOWCAST_MIN:
            wanted = minutes * 60 // run.step_s
            part = ahead[age : age + wanted]
            present = ~np.isnan(part)
            sums.append(np.where(present.any(axis=0), np.nansum(part, axis=0), np.nan))
            shares.append(present.sum(axis=0) / wanted)
        names = [f"nowcast_{minutes}min" for minutes in NOWCAST_MIN]
        _offer_cells(seen, best, names, np.array(sums), np.array(shares), lat, lon)


def _offer_cells(
    seen: RainPicture,
    best: dict[str, dict[str, list[tuple[float, str, float]]]],
    names: list[str],
    sums: Floats,
    shares: Floats,
    lat: Floats,
    lon: Floats,
) -> None:
    """The two highest cells of every street for every window, by one sparse product each."""
    zones = street_zones(lat, lon)
    rest = sums.copy()
    for _ in range(2):
        top = zones.argmax(rest)
        for w, name in enumerate(names):
            for street, cell in zip(zones.codes, top[w], strict=True):
                if cell < 0:
                    continue
                source = f"cell:{lon[cell % lon.size]:.3f},{lat[cell // lon.size]:.3f}"
                seen._cell_of.setdefault(source, int(cell))
                _offer(best, street, name, sums[w, cell], source, shares[w, cell])
            rest[w, top[w][top[w] >= 0]] = np.nan
