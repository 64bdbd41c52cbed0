"""One change of a station's level becomes rows: its warning moved, one event, at most one bulletin.

Owns the Warnings that have a station, their events and who is told: below ALERT the object's own keepers and the desks
above; from ALERT on the flood officers and reporters of its street as well, and they owe a confirmation. Woken by
stages.py, inside its transaction, and by a person's word (hand.py). Levels are told in the station's own datum.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts import releases
from alerts.assessment import lifecycle, stages
from alerts.assessment.hand_words import HandStory, hand_words
from alerts.assessment.wording import Words
from alerts.assessment.wording_levels import LevelStory, level_words, silence_words
from alerts.models import (
    BulletinKind,
    Hazard,
    Requires,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
)
from hydrology.known import Known
from hydrology.models import Observation, Region, StationKind
from hydrology.science.readings import Element
from hydrology.science.stages import STALE, Season
from hydrology.standing import KINDS, Item

log = logging.getLogger(__name__)

VALIDITY = timedelta(hours=2)
ANSWER_WITHIN = timedelta(minutes=10)
CHASED_FROM = WarningLevel.ALERT
CHASED_DUTIES = [
    "flood",
    "reporter",
]  # of the street, from ALERT on; below it only the object's keepers and the desks


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a station's level with all it rests on; `before`: where the station stood."""

    change: lifecycle.Change
    at: datetime
    figures: stages.Figures
    found: stages.Assessment
    table: stages.Table
    season: Season | None
    readings: list[list[object]]
    before: lifecycle.PlaceState
    posts: Known


def move_notice(hazard: Hazard, post: Item, move: Move, now: datetime) -> int:
    """The rows of one change: warning moved, one event, at most one bulletin; returns the notices moved."""
    warning = _open_warning(hazard, post["code"])
    steps = lifecycle.gather([move.change], warning.level if warning else 0, 0)
    for step in steps:
        if warning is None:
            warning = Warning.objects.create(
                hazard=hazard, region_id=post["region_id"], station_id=post["code"], level=move.change.after,
                peak_level=move.change.after, raised_at=move.at,
            )  # fmt: skip
        _set_level(warning, move.change.after, move.at)
        reasons = reasons_of(post, move)
        _record(warning, WarningAction(step.action), move.at, reasons, now)
        if step.speak:
            _speak(warning, post, step, move, reasons, now)
        log.info(
            "level.moved id=%s station=%s at=%s level=%s", warning.pk, post["code"], move.at, warning.level
        )
    return len(steps)


def _open_warning(hazard: Hazard, code: str) -> Warning | None:
    return Warning.objects.open().select_for_update().filter(hazard=hazard, station=code).first()


def _set_level(warning: Warning, level: int, at: datetime) -> None:
    warning.level = level
    warning.peak_level = max(warning.peak_level, level)
    warning.ended_at = at if level == 0 else None
    warning.save()


def _record(
    warning: Warning,
    action: WarningAction,
    at: datetime,
    reasons: dict[str, object],
    now: datetime,
    actor: int | None = None,
    note: str = "",
) -> None:
    WarningEvent.objects.create(
        warning=warning, at=at, created_at=now, action=action, level=warning.level, areas=[warning.region_id],
        reasons=reasons, actor_id=actor, note=note,
    )  # fmt: skip


def _speak(
    warning: Warning, post: Item, step: lifecycle.Step, move: Move, reasons: dict[str, object], now: datetime
) -> None:
    told = releases.overtake(warning, step, [warning.region_id], now)
    if told is None:
        return
    words = level_words(
        LevelStory(
            name=post["name"],
            street=_street(warning),
            object_class=move.figures.object_class,
            action=told.action,
            level=told.level,
            level_m=move.figures.level_m,
            datum=post["datum"],
            reasons=move.found.reasons,
            rate_m_per_h=move.figures.rate_m_per_h if post["kind"] != StationKind.TIDE else None,
            observed_at=move.at,
            valid_until=now + VALIDITY,
            drill=warning.drill,
        )
    )
    heard = Observation.objects.filter(
        station=post["code"], element=Element.STAGE, observed_at=move.at
    ).order_by("-revision")
    caused_at = heard.values_list("received_at", flat=True)[0]
    _tell(warning, words, told.level, told.action, reasons, caused_at, now)


def _tell(
    warning: Warning,
    words: Words,
    level: int,
    action: lifecycle.Action | None,
    reasons: dict[str, object],
    caused_at: datetime,
    now: datetime,
    valid_until: datetime | None = None,
) -> None:
    """The words of a level, 0: it is over; `action` None: no release policy is asked."""
    chased = level >= CHASED_FROM
    _issue(
        warning,
        words,
        action,
        now,
        urgency=level,
        level=WarningLevel(level).name.lower(),
        # who had to go out is told that it is over
        duties=CHASED_DUTIES if chased or (not level and warning.peak_level >= CHASED_FROM) else [],
        reasons=reasons,
        requires=Requires.CONFIRM if chased else Requires.OPEN,
        deadline_s=ANSWER_WITHIN.total_seconds() if chased else None,
        caused_at=caused_at,
        valid_until=valid_until or now + VALIDITY,
    )


def act(
    warning: Warning,
    level: int,
    action: lifecycle.Action,
    words: Words | None,
    *,
    at: datetime,
    reasons: dict[str, object],
    actor: int,
    note: str,
    valid_until: datetime,
    now: datetime,
) -> None:
    """What a person decides about an open notice, locked: its level from `at` on; None: nothing is said."""
    _set_level(warning, level, at)
    _record(warning, WarningAction(action), at, reasons, now, actor, note)
    step = lifecycle.Step(action, level, (warning.region_id,), speak=words is not None)
    if words is not None and releases.overtake(warning, step, step.streets, now) is not None:
        _tell(warning, words, level, None, reasons, now, now, valid_until)
    log.info("level.by_hand id=%s action=%s level=%s by=%s", warning.pk, action, level, actor)


def expire(hazard: Hazard, post: Item, at: datetime, now: datetime) -> None:
    """The time a person set is over and the station is silent: nobody knows how the water stands."""
    warning = _open_warning(hazard, post["code"])
    if warning is None:
        return
    _set_level(warning, 0, at)
    reasons: dict[str, object] = {"station": _station(post), "slot_at": at.isoformat(), "expired": True}
    _record(warning, WarningAction.EXPIRE, at, reasons, now)
    step = lifecycle.Step(lifecycle.Action.EXPIRE, 0, (warning.region_id,), speak=True)
    if releases.overtake(warning, step, step.streets, now) is not None:
        story = HandStory(
            hazard, step.action, post["name"], (), 0, at, now + VALIDITY, blind=True, drill=warning.drill
        )
        _tell(warning, hand_words(story), 0, None, reasons, now, now)
    log.info("level.expired id=%s station=%s", warning.pk, post["code"])


def tell_silence(hazard: Hazard, post: Item, now: datetime) -> None:
    """失联: the notice stays, its keepers look for themselves."""
    warning = _open_warning(hazard, post["code"])
    if warning is None:
        return
    last_at = post["stage__observed_at"]
    reasons: dict[str, object] = {
        "station": _station(post),
        "slot_at": last_at.isoformat(),
        "reading": {"observed_at": last_at.isoformat(), "level_m": post["stage__value"]},
        "why": f"nothing heard for more than {STALE.total_seconds() / 60:.0f} min",
    }
    _record(warning, WarningAction.SILENT, last_at, reasons, now)
    words = silence_words(
        post["name"], _street(warning), post["stage__value"], warning.level, last_at, warning.drill
    )
    level = WarningLevel(warning.level).name.lower()
    _issue(
        warning, words, None, now, urgency=min(warning.level, WarningLevel.ATTENTION), level=level, duties=[],
        reasons=reasons, requires=Requires.OPEN, deadline_s=None, caused_at=now, valid_until=now + VALIDITY,
    )  # fmt: skip
    log.info("level.silent id=%s station=%s last=%s", warning.pk, post["code"], last_at)


def _issue(
    warning: Warning, words: Words, action: lifecycle.Action | None, now: datetime, **fields: Any
) -> None:
    """A bulletin to the station's own keepers and the desks above, and to whom `duties` names in the street."""
    releases.say(
        words,
        action,
        now=now,
        kind=BulletinKind.LEVEL,
        areas=[warning.region_id],
        stations=[warning.station_id],
        drill=warning.drill,
        warning=warning,
        **fields,
    )


def _street(warning: Warning) -> str:
    return Region.objects.values_list("name", flat=True).get(pk=warning.region_id)


def _station(post: Item) -> dict[str, object]:
    return {
        "code": post["code"],
        "name": post["name"],
        "kind": KINDS[post["kind"]],
        "datum": post["datum"],
        "gated": post["reservoir__gated"],
    }


def reasons_of(post: Item, move: Move) -> dict[str, object]:
    """What a reader needs to check the decision: rule version, readings, limits, season, rate, rain."""
    return {
        "rule_version": move.table.version,
        "slot_at": move.at.isoformat(),
        "station": _station(post),
        "reading": {"observed_at": move.at.isoformat(), "level_m": move.figures.level_m},
        "readings": move.readings,
        "rate_m_per_h": move.figures.rate_m_per_h,
        "rise_30min_m": move.figures.rise_30min_m,
        "rain_3h_mm": move.figures.rain_3h_mm,
        "corroborated": move.found.corroborated,
        "limits": [{"kind": limit.kind.value, "limit_m": limit.limit_m} for limit in move.figures.limits],
        "season": move.season
        and {
            "begin_mmdd": move.season.begin_mmdd,
            "end_mmdd": move.season.end_mmdd,
            "limit_m": move.season.limit_m,
        },
        "reasons": [
            {
                "condition": str(reason.condition),
                "level": int(reason.level),
                "value": reason.value,
                "threshold": reason.threshold,
                "limit_kind": reason.limit and reason.limit.kind.value,
                "limit_m": reason.limit and reason.limit.limit_m,
            }
            for reason in move.found.reasons
        ],
        "why": move.change.why,
        "after": move.change.after,
        "before": move.before.to_json(),
        "posts": move.posts.to_json(),
    }
