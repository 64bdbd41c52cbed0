"""Rain warnings as rows: one slot's changes become warnings moved, events, and at most one bulletin a district.

Owns Warning, WarningStreet and WarningEvent of rain. Called by whoever knows what the levels are now (watch.py; a
person by hand; a drill's own storm), inside his transaction; judges no rain itself.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts import drills, releases, storms
from alerts.assessment import lifecycle, wording
from alerts.assessment.rules import Reason
from alerts.assessment.wording import Words
from alerts.models import (
    BulletinKind,
    Hazard,
    Requires,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
    WarningStreet,
)
from foundation.clock import local
from hydrology.models import Level, Region

log = logging.getLogger(__name__)

VALIDITY = timedelta(hours=2)  # nowcast horizon: old storm news is harm
DUTIES = ["flood", "reporter"]
CHASED_FROM = WarningLevel.ALERT
ANSWER_WITHIN = timedelta(minutes=10)
Streets = tuple[str, ...]
Tell = Callable[[lifecycle.Step, str, list[str], bool], Words]
"""(step, the district's name, the names of the streets addressed, drill) -> what they read."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What moved the levels. `at`: END of the slot (data time); `caused_at`: when its last frame came in.

    Of the streets given: `reasons` for the event, `gravest` for the words, `ahead_mm` what the nowcast adds in an hour.
    """

    at: datetime
    caused_at: datetime
    reasons: Callable[[Streets], dict[str, object]]
    gravest: Callable[[Streets], list[Reason]] = lambda streets: []
    ahead_mm: Callable[[Streets], float | None] = lambda streets: None
    hazard: Hazard = Hazard.RAINSTORM
    drill: bool = False
    drill_of: int | None = None
    actor: int | None = None
    note: str = ""
    tell: Tell | None = None  # other words than the watch's, which no release policy holds back
    valid_until: datetime | None = None


def streets_of_districts() -> dict[str, tuple[str, str]]:
    """By street code: (its name, its district's code)."""
    rows = Region.objects.filter(level=Level.STREET).values_list("code", "name", "parent_id")
    return {code: (name, district) for code, name, district in rows if district}


def move(
    changes: Sequence[lifecycle.Change], streets: Mapping[str, tuple[str, str]], cause: Cause, now: datetime
) -> None:
    """The changes of one slot, district by district; `streets` as from streets_of_districts."""
    if not changes:
        return
    threads = storms.follow(changes, hazard=cause.hazard, at=cause.at, drill_of=cause.drill_of)
    by_district: dict[str, list[lifecycle.Change]] = {}
    for change in changes:
        by_district.setdefault(streets[change.place][1], []).append(change)
    for district, its_changes in sorted(by_district.items()):
        _move_district(district, its_changes, streets, threads, cause, now)


def _move_district(
    district: str,
    changes: list[lifecycle.Change],
    streets: Mapping[str, tuple[str, str]],
    threads: Mapping[str, str],
    cause: Cause,
    now: datetime,
) -> None:
    """One district's changes of one slot: rows moved, one event a step, at most one bulletin a step."""
    region = Region.objects.get(pk=district)
    warning = open_warning(region, cause)
    moved = [change.place for change in changes]
    staying = warning.streets.exclude(region_id__in=moved).values_list("level", flat=True) if warning else ()
    steps = lifecycle.gather(changes, warning.level if warning else 0, max(staying, default=0))
    if steps:
        _record(warning, region, changes, steps, streets, threads, cause, now)


def act(
    region: Region,
    changes: Sequence[lifecycle.Change],
    step: lifecycle.Step,
    streets: Mapping[str, tuple[str, str]],
    cause: Cause,
    now: datetime,
) -> Warning:
    """What a person decides for a district: one step, said as he says it, whatever the slot would have made of it."""
    threads = {}
    if changes:
        threads = storms.follow(changes, hazard=cause.hazard, at=cause.at, drill_of=cause.drill_of)
    return _record(open_warning(region, cause), region, changes, [step], streets, threads, cause, now)


def open_warning(region: Region, cause: Cause) -> Warning | None:
    """The district's open warning of the cause's hazard (and drill), locked."""
    rows = Warning.objects.open().select_for_update()
    return rows.filter(hazard=cause.hazard, region=region, station=None, drill_of=cause.drill_of).first()


def _record(
    warning: Warning | None,
    region: Region,
    changes: Sequence[lifecycle.Change],
    steps: Sequence[lifecycle.Step],
    streets: Mapping[str, tuple[str, str]],
    threads: Mapping[str, str],
    cause: Cause,
    now: datetime,
) -> Warning:
    """The changes and steps of one district as rows; None: no warning is open, and one is raised."""
    if warning is None:
        top = max(change.after for change in changes)
        warning = Warning.objects.create(
            hazard=cause.hazard, region=region, level=top, peak_level=top, raised_at=cause.at,
            drill=cause.drill, drill_of_id=cause.drill_of,
        )  # fmt: skip
    WarningStreet.objects.bulk_create(
        [WarningStreet(warning=warning, region_id=change.place, level=change.after) for change in changes],
        update_conflicts=True,
        unique_fields=["warning", "region"],
        update_fields=["level"],
    )
    warning.level = max(warning.streets.values_list("level", flat=True), default=0)
    warning.peak_level = max(warning.peak_level, warning.level)
    warning.ended_at = cause.at if warning.level == 0 else None
    warning.save()
    for step in steps:
        reasons = cause.reasons(step.streets)
        WarningEvent.objects.create(
            warning=warning,
            at=cause.at,
            created_at=now,
            action=WarningAction(step.action),
            level=step.level or warning.level,  # streets that a person ended while others stay
            areas=[*step.streets, *step.unsaid],
            reasons=reasons,
            actor_id=cause.actor,
            note=cause.note,
        )
        if step.speak:
            _speak(warning, region.name, step, streets, threads, cause, reasons, now)
    if not warning.drill:
        drills.give_way(now)
    log.info("warning.moved id=%s slot=%s level=%s steps=%s", warning.pk, cause.at, warning.level, len(steps))
    return warning


def _speak(
    warning: Warning,
    district_name: str,
    step: lifecycle.Step,
    streets: Mapping[str, tuple[str, str]],
    threads: Mapping[str, str],
    cause: Cause,
    reasons: dict[str, object],
    now: datetime,
) -> None:
    everyone = tuple(warning.streets.order_by("region_id").values_list("region_id", flat=True))
    told = releases.overtake(warning, step, everyone, now)
    if told is None:
        return
    ends = told.level == 0
    names = [streets[street][0] for street in told.streets]
    valid_until = cause.valid_until or now + VALIDITY
    if cause.tell is not None:
        words = cause.tell(told, district_name, names, warning.drill)
    else:
        words = wording.warning_words(
            told, district_name, names, cause.gravest(told.streets), cause.ahead_mm(told.streets),
            local(cause.at), local(valid_until), warning.drill,
        )  # fmt: skip
    chased = not ends and told.level >= CHASED_FROM
    fields = {
        "kind": BulletinKind.WARNING,
        "urgency": told.level,
        "level": WarningLevel(told.level).name.lower(),
        "areas": list(told.streets),
        "duties": DUTIES,
        "reasons": reasons,
        "requires": Requires.CONFIRM if chased else Requires.OPEN,
        "drill": warning.drill,
        "drill_of_id": cause.drill_of,
        "caused_at": cause.caused_at,
        "warning": warning,
        "thread": threads.get(step.streets[0], ""),  # of its gravest street
        "renews": True,
    }
    releases.say(
        words,
        None if cause.tell else told.action,
        now=now,
        valid_until=valid_until,
        deadline_s=ANSWER_WITHIN.total_seconds() if chased else None,
        **fields,
    )
