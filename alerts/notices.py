"""One change of a station's level becomes rows: its warning moved, one event, at most one bulletin.

Owns the Warnings that have a station, their events and who is told: below ALERT the object's own keepers and the desks
above; from ALERT on the flood officers and reporters of its street as well, and they owe a confirmation. Woken by
stages.py only, inside its transaction. Levels are told in the station's own datum.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.assessment import lifecycle, stages
from alerts.assessment.wording import Words
from alerts.assessment.wording_levels import LevelStory, level_words, silence_words
from alerts.bulletins import issue
from alerts.models import (
    BulletinKind,
    Hazard,
    Requires,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
)
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
    """One change of a station's level with all it rests on."""

    change: lifecycle.Change
    at: datetime
    figures: stages.Figures
    found: stages.Assessment
    table: stages.Table
    season: Season | None
    readings: list[list[object]]


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
        warning.level = move.change.after
        warning.peak_level = max(warning.peak_level, warning.level)
        warning.ended_at = move.at if warning.level == 0 else None
        warning.save()
        reasons = _reasons(post, move)
        _record(warning, WarningAction(step.action), move.at, reasons, now)
        if step.speak:
            _speak(warning, post, step, move, reasons, now)
        log.info(
            "level.moved id=%s station=%s at=%s level=%s", warning.pk, post["code"], move.at, warning.level
        )
    return len(steps)


def _open_warning(hazard: Hazard, code: str) -> Warning | None:
    return Warning.objects.open().select_for_update().filter(hazard=hazard, station=code).first()


def _record(
    warning: Warning, action: WarningAction, at: datetime, reasons: dict[str, object], now: datetime
) -> None:
    WarningEvent.objects.create(
        warning=warning, at=at, created_at=now, action=action, level=warning.level, areas=[warning.region_id],
        reasons=reasons,
    )  # fmt: skip


def _speak(
    warning: Warning, post: Item, step: lifecycle.Step, move: Move, reasons: dict[str, object], now: datetime
) -> None:
    ends = step.action is lifecycle.Action.CANCEL
    chased = not ends and step.level >= CHASED_FROM
    words = level_words(
        LevelStory(
            name=post["name"],
            street=_street(warning),
            object_class=move.figures.object_class,
            action=step.action,
            level=step.level,
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
    _issue(
        warning,
        words,
        now,
        urgency=0 if ends else step.level,
        level=WarningLevel(step.level).name.lower(),
        # who had to go out is told that it is over
        duties=CHASED_DUTIES if chased or (ends and warning.peak_level >= CHASED_FROM) else [],
        reasons=reasons,
        requires=Requires.CONFIRM if chased else Requires.OPEN,
        deadline_at=now + ANSWER_WITHIN if chased else None,
        caused_at=heard.values_list("received_at", flat=True)[0],
    )


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
        warning, words, now, urgency=min(warning.level, WarningLevel.ATTENTION), level=level, duties=[],
        reasons=reasons, requires=Requires.OPEN, deadline_at=None, caused_at=now,
    )  # fmt: skip
    log.info("level.silent id=%s station=%s last=%s", warning.pk, post["code"], last_at)


def _issue(warning: Warning, words: Words, now: datetime, **fields: object) -> None:
    """A bulletin to the station's own keepers and the desks above, and to whom `duties` names in the street."""
    issue(
        words,
        now=now,
        kind=BulletinKind.LEVEL,
        areas=[warning.region_id],
        stations=[warning.station_id],
        valid_until=now + VALIDITY,
        drill=warning.drill,
        warning=warning,
        supersedes=warning.bulletins.order_by("-id").first(),
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


def _reasons(post: Item, move: Move) -> dict[str, object]:
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
    }
