"""A warning by the duty desk's own judgement: raised, extended, upgraded, held, downgraded, ended.

A decision is an input of the life cycle (lifecycle.decide), taken under the lock of the mark that the watch works
under, so the two never cross. Leaves the places' states in the mark (WatchMark; Drill.states inside an exercise), and
the rows and words of the step through warnings.py or, of a station, notices.py; the event with its actor is the audit.
Time is the water's clock, as for the watch; of a flood, which no watch sees, the ground's. What ends without anybody
saying so: endings.py.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.db import transaction

from alerts import notices, warnings
from alerts.assessment import lifecycle
from alerts.assessment.hand_words import HandStory, hand_words
from alerts.assessment.lifecycle import Action, Change, PlaceState, Step
from alerts.assessment.wording import Words
from alerts.hand_checks import (
    Asked,
    check_drill,
    district_of,
    drill_there,
    require_level,
    require_note,
    require_running,
    targets,
)
from alerts.models import Drill, Hazard, Warning, WatchMark
from alerts.warnings import VALIDITY, Cause
from foundation.errors import Refusal, not_found
from foundation.scope import Scope, below
from hydrology.feeds.clock import water_clock
from hydrology.models import Region

log = logging.getLogger(__name__)

VERBS = (Action.UPGRADE, Action.EXTEND, Action.DOWNGRADE, Action.HOLD, Action.CANCEL)
RAISED = (Hazard.RAINSTORM, Hazard.FLOOD)  # a level notice is about a station's own readings


class Mark(Protocol):
    """Where the places of a hazard, or of an exercise's storm, stand; a locked row."""

    states: dict[str, Any]
    slot_at: datetime | None

    def save(self, *, update_fields: list[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person decided: `at` and `until` in data time, `now` the ground's."""

    officer: int
    action: Action
    asked: Asked
    hazard: str
    drill: int | None
    at: datetime
    now: datetime

    @property
    def length(self) -> timedelta:
        return timedelta(hours=self.asked.hours)

    @property
    def until(self) -> datetime:
        return self.at + self.length


@transaction.atomic
def begin(
    officer_id: int,
    scope: Scope,
    asked: Asked,
    *,
    hazard: str,
    drill: bool = False,
    drill_of: int | None = None,
    now: datetime,
) -> Warning:
    """Raise a warning of rain or flood at `asked.level` for streets of one district.

    `drill`: inside an exercise, the only one that runs in those streets unless `drill_of` names it. Raises Refusal for a
    stranger's or no street, no note, a warning that is open already, no such drill; then nothing is changed.
    """
    require_note(asked.note)
    level = require_level(asked)
    district, streets = district_of(asked.streets, scope)
    if drill and drill_of is None:
        drill_of = drill_there(streets)
    if drill_of is not None:
        check_drill(drill_of, hazard, scope, streets)
    mark = _mark(hazard, drill_of)
    decision = Decision(officer_id, Action.RAISE, asked, hazard, drill_of, _clock(hazard, mark, now), now)
    opened = (
        Warning.objects.open().filter(hazard=hazard, region=district, station=None, drill_of=drill_of).first()
    )
    if opened is not None:
        raise Refusal(
            "already_open",
            zh=f"{district.name}已有同类预警（编号{opened.pk}），请对其升级或扩展。",
            en=f"{district.code} has an open warning of this kind, number {opened.pk}: upgrade or extend that one.",
            status=409,
            fields={"warning": str(opened.pk)},
        )
    levels = dict.fromkeys((street.code for street in streets), level)
    return _in_district(None, district, mark, levels, decision)


@transaction.atomic
def act(pk: int, verb: str, officer_id: int, scope: Scope, asked: Asked, *, now: datetime) -> Warning:
    """Apply one of VERBS to an open warning; an illegal one is a named Refusal and changes nothing."""
    seen = Warning.objects.select_related("region").filter(pk=pk).first()
    if seen is None or not below(seen.region.path, scope.water_paths):
        raise not_found("预警", "warning")
    scope.require_desk("/".join(seen.region.path.split("/")[:2]) + "/")
    require_note(asked.note)
    mark = _mark(seen.hazard, seen.drill_of_id)
    warning = Warning.objects.select_for_update(of=("self",)).select_related("region", "station").get(pk=pk)
    if warning.ended_at is not None:
        raise Refusal(
            "warning_ended",
            zh="该预警已结束，不能再操作。如仍有风险，请发布新的预警。",
            en="This warning has ended. If the danger is still there, raise a new one.",
            status=409,
        )
    at = _clock(warning.hazard, mark, now)
    decision = Decision(officer_id, Action(verb), asked, warning.hazard, warning.drill_of_id, at, now)
    levels = targets(warning, decision.action, asked)
    if warning.station is None:
        return _in_district(warning, warning.region, mark, levels, decision)
    return _at_station(warning, mark, levels[warning.station.pk], decision)


def holds(warning: Warning) -> dict[str, dict[str, Any]]:
    """By street or station code the person's word that holds there: {"level", "until"}; not of what has ended."""
    if warning.ended_at is not None:
        return {}
    if warning.drill_of_id is not None:
        states = Drill.objects.values_list("states", flat=True).get(pk=warning.drill_of_id)
    else:
        states = WatchMark.objects.filter(pk=warning.hazard).values_list("states", flat=True).first() or {}
    held = {place: PlaceState.from_json(stored) for place, stored in states.items()}
    return {
        place: {"level": state.hand_level, "until": state.hand_until}
        for place, state in held.items()
        if state.hand_until
    }


def _mark(hazard: str, drill: int | None) -> Any:
    """The mark of the hazard or of the exercise, locked as its watch locks it."""
    if drill is not None:
        exercise = Drill.objects.select_for_update(of=("self",), no_key=True).get(pk=drill)
        require_running(exercise)
        return exercise
    WatchMark.objects.get_or_create(hazard=hazard)
    return WatchMark.objects.select_for_update().get(hazard=hazard)


def _clock(hazard: str, mark: Mark, now: datetime) -> datetime:
    if isinstance(mark, Drill):
        return mark.slot_at or now
    return now if hazard == Hazard.FLOOD else water_clock(now)


def _decide(mark: Mark, levels: Mapping[str, int], decision: Decision) -> tuple[list[Change], dict[str, int]]:
    """(the changes of level in force, what the rules gave by place); the mark's states move on."""
    changes, ruled = [], {}
    for place, level in sorted(levels.items()):
        stored = mark.states.get(place, {})
        before = PlaceState.from_json(stored)
        state, change = lifecycle.decide(before, place, level, decision.at, decision.until)
        ruled[place] = before.level
        if state.stands or stored.get("read_at"):
            mark.states[place] = {**stored, **state.to_json()}
        else:
            mark.states.pop(place, None)
        if change is not None:
            changes.append(change)
    mark.save(update_fields=["states"])
    return changes, ruled


def _in_district(
    warning: Warning | None, district: Region, mark: Mark, levels: Mapping[str, int], decision: Decision
) -> Warning:
    changes, ruled = _decide(mark, levels, decision)
    step = _step(warning, levels, decision.action)
    cause = Cause(
        at=decision.at,
        caused_at=decision.now,
        reasons=lambda streets: _reasons(decision, ruled, left=step.action is Action.DOWNGRADE),
        hazard=Hazard(decision.hazard),
        drill=decision.drill is not None,
        drill_of=decision.drill,
        actor=decision.officer,
        note=decision.asked.note,
        tell=partial(_words, decision),
        valid_until=decision.now + (decision.length if step.level else VALIDITY),
    )
    return warnings.act(district, changes, step, warnings.streets_of_districts(), cause, decision.now)


def _step(warning: Warning | None, levels: Mapping[str, int], action: Action) -> Step:
    """One step, whatever the watch would call it; streets that end while others stay are a downgrade."""
    places = tuple(sorted(levels))
    if action is Action.HOLD:
        return Step(action, max(levels.values()), places, speak=False)
    if action is Action.CANCEL and warning is not None:
        stay = warning.streets.exclude(region_id__in=places).filter(level__gt=0)
        action = Action.DOWNGRADE if stay.exists() else Action.CANCEL
    return Step(action, max(levels.values()), places, speak=True)


def _at_station(warning: Warning, mark: Mark, level: int, decision: Decision) -> Warning:
    assert warning.station is not None
    _, ruled = _decide(mark, {warning.station.pk: level}, decision)
    speaks = decision.action is not Action.HOLD
    step = Step(decision.action, level, (), speaks)
    notices.act(
        warning,
        level,
        decision.action,
        _words(decision, step, warning.station.name, [], warning.drill) if speaks else None,
        at=decision.at,
        reasons=_reasons(decision, ruled),
        actor=decision.officer,
        note=decision.asked.note,
        valid_until=decision.now + (decision.length if level else VALIDITY),
        now=decision.now,
    )
    return warning


def _words(decision: Decision, step: Step, place: str, streets: list[str], drill: bool) -> Words:
    """As warnings.Tell; whoever is out of it reads that it is over for him."""
    return hand_words(
        HandStory(
            hazard=decision.hazard,
            action=decision.action if step.level else Action.CANCEL,
            place=place,
            streets=tuple(streets),
            level=step.level,
            at=decision.now,
            until=decision.now + decision.length,
            note=decision.asked.note,
            drill=drill,
        )
    )


def _reasons(decision: Decision, ruled: Mapping[str, int], *, left: bool = False) -> dict[str, object]:
    """`ruled`: what the rules gave where he decided; `left`: others of the district stay in the warning."""
    return {
        "by_hand": True,
        "hazard": decision.hazard,
        "slot_at": decision.at.isoformat(),
        "until": decision.until.isoformat(),
        "ruled": dict(ruled),
        "lowers": decision.action
        in (Action.DOWNGRADE, Action.CANCEL),  # nobody is chased for the graver one any more
        "goes_on": left,
    }
