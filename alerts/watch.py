"""The watch over the rain: one slot after the other is judged; what changes goes to warnings.py.

Owns WatchMark of rain. Woken by a nudge after each frame and by a sweep. It is
driven by slot time (END of the 5-minute slot), not by the clock: a slot is assessed once, in order, as soon as
every source that has spoken in the last hour has spoken for it, or GRACE after the last one that did. So the same
frames give the same warnings, posted twice, late within the grace, or in reverse.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import Max, Min

from alerts import warnings
from alerts.assessment import lifecycle, rules
from alerts.checks import answers_in_force, raise_checks
from alerts.models import (
    Hazard,
    RuleTable,
    WatchMark,
)
from alerts.rain import RainPicture, picture
from alerts.reasons import reasons_of
from alerts.verdicts import Verdicts
from alerts.warnings import Cause
from hydrology.feeds.clock import water_clock
from hydrology.models import Feed, GridRun, Level, Observation
from hydrology.science.rainfall import SLOT, slot_end
from hydrology.science.readings import Element

log = logging.getLogger(__name__)

BUILT_IN = "default-1"  # the version of the table before the first row
GRACE = timedelta(seconds=20)  # how long a slot waits for what is missing before it
POLICY = lifecycle.Policy()


def assess_due(*, now: datetime) -> int:
    """Assess every slot that is ready, oldest first; returns how many. One assessor at a time."""
    done = 0
    while True:
        with transaction.atomic():
            mark = _mark()
            slot = _next_slot(mark, now)
            if slot is None:
                return done
            slot_at, caused_at, fresh = slot
            if fresh:
                _assess(mark, slot_at, caused_at, now)
            mark.slot_at = slot_at
            mark.save()
            done += 1


def _mark() -> WatchMark:
    """The mark, locked. Waits for another assessor: to pass by would leave a frame that came in meanwhile to the
    next sweep, up to 10 s later."""
    WatchMark.objects.get_or_create(hazard=Hazard.RAINSTORM)
    return WatchMark.objects.select_for_update().get(hazard=Hazard.RAINSTORM)


def _began(now: datetime) -> datetime:
    """Where a watch without a mark begins: an hour before what may still be news; there may be years of history."""
    oldest_s = Feed.objects.aggregate(s=Max("max_age_s"))["s"] or 0
    return water_clock(now) - timedelta(seconds=oldest_s) - timedelta(hours=1)


def _sources(after: datetime, until: datetime) -> Iterator[tuple[str, datetime, datetime, int]]:
    """(source, slot END, first received, the feed's max_age_s) of rain in (after, until]."""
    grids = (
        GridRun.objects.filter(issued_at__gt=after, issued_at__lte=until)
        .values_list("product", "issued_at", "post__feed__max_age_s")
        .annotate(first=Min("received_at"))
    )
    yield from ((product, at, first, age) for product, at, age, first in grids)
    gauges = (
        Observation.objects.filter(element=Element.RAIN, observed_at__gt=after, observed_at__lte=until)
        .values_list("observed_at", "post__feed__max_age_s")
        .annotate(first=Min("received_at"))
    )
    yield from (("gauges", at, first, age) for at, age, first in gauges)


def _next_slot(mark: WatchMark, now: datetime) -> tuple[datetime, datetime, bool] | None:
    """The earliest unassessed slot if it is ready: (END, when its last frame came in, whether it is fresh)."""
    waiting: dict[datetime, dict[str, tuple[datetime, int]]] = {}
    for source, at, first, age in _sources(mark.slot_at or _began(now), now):
        end = slot_end(at)
        # not before its END: a gauge whose clock runs ahead would close the slot to all the others
        if end <= now and (mark.slot_at is None or end > mark.slot_at):
            before = waiting.setdefault(end, {}).get(source)
            waiting[end][source] = (min(first, before[0]), max(age, before[1])) if before else (first, age)
    if not waiting:
        return None
    slot_at = min(waiting)
    spoken = waiting[slot_at]
    expected = {
        source for source, *_ in _sources(slot_at - timedelta(hours=1), slot_at - timedelta(seconds=1))
    }
    follows = mark.slot_at is not None and slot_at - mark.slot_at == SLOT
    complete = follows and expected <= set(spoken)
    if not complete and now - max(first for first, _ in spoken.values()) < GRACE:
        return None
    oldest_s = max(age for _, age in spoken.values())
    caused_at = max(first for first, _ in spoken.values())
    return slot_at, caused_at, water_clock(now) - slot_at <= timedelta(seconds=oldest_s)


def waits(mark: WatchMark, now: datetime) -> bool:
    """Whether anything has come in that is not assessed yet."""
    return any(True for _ in _sources(mark.slot_at or _began(now), now))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the watch over the rain is: the last slot assessed, the newest observed (ENDs, data time), and since when
    something that came in has waited."""

    assessed_at: datetime | None
    observed_at: datetime | None
    waiting_since: datetime | None

    @property
    def behind_s(self) -> float:
        """Data time between the two; 0 when nothing is known."""
        if self.assessed_at is None or self.observed_at is None:
            return 0.0
        return max(0.0, (self.observed_at - self.assessed_at).total_seconds())


def progress(now: datetime) -> Progress:
    """Reads only, and takes no lock. A slot that has not ended yet does not wait."""
    mark = WatchMark.objects.filter(hazard=Hazard.RAINSTORM).first()
    assessed_at = mark and mark.slot_at
    waiting = [
        (end, first)
        for _, at, first, _ in _sources(assessed_at or _began(now), now)
        if (end := slot_end(at)) <= now and (assessed_at is None or end > assessed_at)
    ]
    if not waiting:
        return Progress(assessed_at, assessed_at, None)
    return Progress(assessed_at, max(end for end, _ in waiting), min(first for _, first in waiting))


def table_in_force(at: datetime) -> rules.Table:
    """The newest rule table valid at the instant; the built-in defaults before the first row."""
    row = (
        RuleTable.objects.filter(hazard=Hazard.RAINSTORM, valid_from__lte=at).order_by("-valid_from").first()
    )
    return table_of(row)


def table_of(row: RuleTable | None) -> rules.Table:
    if row is None:
        return rules.Table(BUILT_IN, rules.DEFAULT_ROWS)
    return rules.Table(row.version, row.rows, row.watch_level)


def _assess(mark: WatchMark, slot_at: datetime, caused_at: datetime, now: datetime) -> None:
    answers = answers_in_force(now)
    table = table_in_force(slot_at)
    seen = picture(slot_at, answers.broken, answers.believed, level=Level(table.watch_level))
    raise_checks(seen, table, caused_at, now)
    streets = warnings.streets_of_districts()
    before = dict(mark.states)
    found, changes = judge(seen, table, mark.states, streets)
    cause = cause_of(seen, found, table.version, caused_at, before=before, after=mark.states)
    warnings.move(changes, streets, cause, now)


def judge(
    seen: RainPicture, table: rules.Table, states: dict[str, dict[str, Any]], streets: Iterable[str]
) -> tuple[dict[str, rules.Assessment], list[lifecycle.Change]]:
    """(what was found by street, the changes of level); `states` (PlaceState by street) moves on in place."""
    assessments: dict[str, rules.Assessment] = {}
    changes = []
    verdicts = Verdicts(seen, table)
    for street in streets:
        before = states.get(street)
        if before is None and not verdicts.may_warn(street):
            continue
        found, held = verdicts.of(street)
        if before is None and (found is None or found.level == 0):
            continue
        state, change = lifecycle.advance(
            lifecycle.PlaceState.from_json(before) if before else None, found, held, seen.slot_at, POLICY
        )
        if state.stands:
            states[street] = state.to_json()
        else:
            states.pop(street, None)
        if found is not None:
            assessments[street] = found
        if change is not None:
            changes.append(change)
    return assessments, changes


def cause_of(
    seen: RainPicture,
    assessments: dict[str, rules.Assessment],
    version: str,
    caused_at: datetime,
    drill_of: int | None = None,
    before: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    after: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> Cause:
    """An assessed slot as what moves the warnings; `before` and `after`: where the streets stood and stand."""

    def ahead_mm(streets: tuple[str, ...]) -> float | None:
        places = [place for street in streets for place in seen.places_of(street)]
        ahead = [f.value_mm for p in places for f in seen.figures.get(p, ()) if f.window == "nowcast_60min"]
        return max(ahead, default=None)

    return Cause(
        at=seen.slot_at,
        caused_at=caused_at,
        reasons=lambda streets: reasons_of(seen, assessments, version, streets, before, after),
        gravest=lambda streets: [
            found.reasons[0] for s in streets if (found := assessments.get(s)) and found.reasons
        ],
        ahead_mm=ahead_mm,
        drill=drill_of is not None,
        drill_of=drill_of,
    )
