"""Other thresholds over rain that has fallen: what they would have said, when, and to how many. Writes nothing.

Owns the dry run: the rules, the life cycle and the gathering of alerts/assessment, slot after slot, for the present
table and a proposed one beside each other on the very same rain pictures. It follows alerts/watch.py step by step
(a test holds the two together) but leaves out what people have said of gauges. The audience is today's, asked of
notifications/audience.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from statistics import median
from typing import Any

import numpy as np
from django.db import connection

from alerts.assessment import lifecycle, rules
from alerts.rain import RainPicture, picture, picture_of_fields
from alerts.warnings import DUTIES
from alerts.watch import POLICY
from hydrology.models import GridRun, Level, Observation, Region
from hydrology.science.formats import cf_netcdf
from hydrology.science.rainfall import SLOT, WINDOWS_MIN, slot_end
from hydrology.science.readings import Element
from notifications.audience import preview_query
from replay.storms import Storm

SPELL = timedelta(hours=6)  # a street that stays below ALERT for so long begins anew
NOWCAST_AGE = timedelta(minutes=30)
Hits = dict[str, list[datetime]]


@dataclass(frozen=True, slots=True)
class Said:
    """One bulletin that would have gone out: END of its slot, what it does, its level, the streets told."""

    at: datetime
    district: str
    action: str
    level: int
    areas: tuple[str, ...]


@dataclass(slots=True)
class Trial:
    """One table on its way through the slots. `warned` is by street [from, to) with to None while it lasts."""

    table: rules.Table
    states: dict[str, lifecycle.PlaceState] = field(default_factory=dict)
    streets: dict[str, dict[str, int]] = field(default_factory=dict)  # of each open warning, by district
    peak: dict[str, int] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)  # peak levels of warnings that are over
    said: list[Said] = field(default_factory=list)
    warned: dict[str, list[tuple[datetime, datetime | None]]] = field(default_factory=dict)

    @property
    def warnings(self) -> Counter[int]:
        """How many warnings, by the highest level each came to."""
        return Counter([*self.ended, *(self.peak[district] for district in self.streets)])

    def step(self, seen: RainPicture, districts: Mapping[str, str]) -> None:
        """One slot; `districts` is the district of each street."""
        changes: dict[str, list[lifecycle.Change]] = {}
        for street, district in districts.items():
            if change := self._advance(street, seen):
                changes.setdefault(district, []).append(change)
        for district, its_changes in sorted(changes.items()):
            self._apply(district, its_changes, seen.slot_at)

    def _advance(self, street: str, seen: RainPicture) -> lifecycle.Change | None:
        figures, before = seen.figures.get(street), self.states.get(street)
        found = rules.assess(street, figures, self.table) if figures else None
        if before is None and (found is None or not found.level):
            return None
        held = rules.low_water(figures, self.table) if figures else 0
        state, change = lifecycle.advance(before, found, held, seen.slot_at, POLICY)
        if state.level or state.pending:
            self.states[street] = state
        else:
            self.states.pop(street, None)
        return change

    def _apply(self, district: str, changes: list[lifecycle.Change], at: datetime) -> None:
        streets = self.streets.get(district, {})
        moved = {change.place: change.after for change in changes}
        staying = max((level for street, level in streets.items() if street not in moved), default=0)
        steps = lifecycle.gather(changes, max(streets.values(), default=0), staying)
        if not steps:
            return
        streets = self.streets[district] = streets | moved
        for change in changes:
            self._keep_time(change, at)
        level = max(streets.values())
        self.peak[district] = max(self.peak.get(district, 0), level)
        for step in steps:
            told = tuple(sorted(streets)) if step.action == lifecycle.Action.CANCEL else step.streets
            if step.speak:
                self.said.append(Said(at, district, step.action, step.level, told))
        if not level:
            del self.streets[district]
            self.ended.append(self.peak.pop(district))

    def _keep_time(self, change: lifecycle.Change, at: datetime) -> None:
        spans = self.warned.setdefault(change.place, [])
        if change.after and not change.before:
            spans.append((at, None))
        elif not change.after and spans:
            spans[-1] = (spans[-1][0], at)


def compare(
    tables: Iterable[rules.Table], pictures: Iterable[RainPicture], measure: rules.Table, now: datetime
) -> list[dict[str, Any]]:
    """Each table over the pictures (in order of time): what it would have said, against `measure`'s ALERT."""
    rows = Region.objects.filter(level=Level.STREET).order_by("code").values_list("code", "parent_id")
    districts = {code: str(parent) for code, parent in rows}
    trials = [Trial(table) for table in tables]
    hits: Hits = {}
    for seen in pictures:
        _note_hits(hits, seen, measure)
        for trial in trials:
            trial.step(seen, districts)
    audiences: dict[tuple[str, ...], list[int]] = {}
    return [
        {
            "table": trial.table.version,
            "warnings": {level.name.lower(): trial.warnings[level] for level in rules.Level if level},
            "bulletins": len(trial.said),
            "lead": _leads(trial, hits),
            "messages": _messages(trial, audiences, now),
        }
        for trial in trials
    ]


def _note_hits(hits: Hits, seen: RainPicture, measure: rules.Table) -> None:
    """Slots in which observed, undoubted rain stands at or over ALERT and did not in the hours before."""
    for street, figures in seen.figures.items():
        sure = [figure for figure in figures if figure.observed and not figure.doubted]
        if rules.assess(street, sure, measure).level >= rules.Level.ALERT:
            spells = hits.setdefault(street, [])
            if not spells or seen.slot_at - spells[-1] > SPELL:
                spells += [seen.slot_at, seen.slot_at]
            spells[-1] = seen.slot_at  # pairs: first and last slot of each spell


def _leads(trial: Trial, hits: Hits) -> dict[str, Any]:
    """Minutes from the first warning of a street to its first slot at ALERT; negative: it came after.

    {streets, missed, before, mean_min, median_min, by_street}; `streets` counts spells at ALERT, `missed` those in
    which the street was never warned, `before` those warned in an earlier slot. `by_street` holds its earliest spell.
    """
    leads: list[float] = []
    by_street: dict[str, float | None] = {}
    spells = [
        (street, spell)
        for street, its in sorted(hits.items())
        for spell in zip(its[::2], its[1::2], strict=True)
    ]
    for street, (first, last) in spells:
        starts = [
            start
            for start, end in trial.warned.get(street, ())
            if start <= last and (end is None or end > first)
        ]
        lead = (first - starts[0]).total_seconds() / 60 if starts else None
        by_street.setdefault(street, lead)
        if lead is not None:
            leads.append(lead)
    return {
        "streets": len(spells),
        "missed": len(spells) - len(leads),
        "before": sum(lead > 0 for lead in leads),
        "mean_min": round(sum(leads) / len(leads), 1) if leads else None,
        "median_min": median(leads) if leads else None,
        "by_street": by_street,
    }


def _messages(trial: Trial, audiences: dict[tuple[str, ...], list[int]], now: datetime) -> dict[str, Any]:
    """{people, messages, each, p95, most}: over the people who would have heard anything."""
    heard: Counter[int] = Counter()
    for said in trial.said:
        if said.areas not in audiences:
            query, parameters = preview_query(list(said.areas), DUTIES, now)
            with connection.cursor() as cursor:
                cursor.execute(query, parameters)
                audiences[said.areas] = [officer for officer, *_ in cursor.fetchall()]
        heard.update(audiences[said.areas])
    counts = sorted(heard.values())
    return {
        "people": len(counts),
        "messages": sum(counts),
        "each": round(sum(counts) / len(counts), 2) if counts else 0.0,
        "p95": counts[ceil(0.95 * len(counts)) - 1] if counts else 0,
        "most": counts[-1] if counts else 0,
    }


def stored(since: datetime, until: datetime) -> Iterator[RainPicture]:
    """The pictures of every slot in (since, until] in which anything was stored, oldest first."""
    grids = GridRun.objects.filter(issued_at__gt=since, issued_at__lte=until).values_list(
        "issued_at", flat=True
    )
    gauges = Observation.objects.filter(element=Element.RAIN, observed_at__gt=since, observed_at__lte=until)
    spoken = {*grids.distinct(), *gauges.values_list("observed_at", flat=True).distinct()}
    for end in sorted({slot_end(at) for at in spoken}):
        yield picture(end)


def of_storm(storm: Storm, say: Callable[[str], object] = lambda line: None) -> Iterator[RainPicture]:
    """The pictures of a folder's frames (cells and nowcasts; it holds no gauges), without touching a table."""
    longest = max(WINDOWS_MIN) * timedelta(minutes=1)
    fields: dict[datetime, np.ndarray] = {}
    ahead: tuple[datetime, np.ndarray] | None = None
    axes: tuple[np.ndarray, np.ndarray] | None = None
    for n, frame in enumerate(storm.frames, 1):
        if frame.rain_mm is not None:
            grid = frame.rain_mm()
            axes = grid.lat, grid.lon
            fields[frame.at] = grid.rain_mm[0].reshape(-1).astype(np.float64)
        if frame.nowcast is not None:
            coming = cf_netcdf.decode(frame.nowcast())
            ahead = frame.at, coming.rain_mm.reshape(coming.rain_mm.shape[0], -1).astype(np.float64)
        if axes is None or (frame.rain_mm is None and frame.nowcast is None):
            continue
        fields = {at: mm for at, mm in fields.items() if frame.at - at < longest}
        steps = None
        if ahead is not None and frame.at - ahead[0] <= NOWCAST_AGE:
            steps = ahead[1][(frame.at - ahead[0]) // SLOT :]
        yield picture_of_fields(frame.at, fields, steps, *axes)
        if n % 50 == 0:
            say(f"{n} of {len(storm.frames)} frames")
