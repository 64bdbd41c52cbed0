"""Why a warning stands as it does: the event made again from the stored rows its reasons name, and held against them.

Owns the recomputing: fields and nowcast by their numbers, gauges and levels as the posts of then had brought them, what
people had said of gauges, the rule table by its version, each place from where it stood before. Nothing that came later
counts. What a person decided, and what a drill judged from its own fields, is not made again and says so. Writes
nothing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from alerts import stages, watch
from alerts.assessment import rules
from alerts.assessment.lifecycle import PlaceState
from alerts.assessment.stages import DEFAULT_ROWS as LEVEL_ROWS
from alerts.checks import answers_in_force
from alerts.models import Hazard, RuleTable, WarningEvent
from alerts.notices import reasons_of as notice_reasons
from alerts.rain import Given, picture
from alerts.reasons import reasons_of
from foundation.months import month_of
from hydrology.course import LOOK_BACK, courses_over
from hydrology.known import Known
from hydrology.models import GridRun, Level, StationKind
from hydrology.science.readings import Element
from hydrology.science.stages import LimitKind, Season
from hydrology.standing import KINDS, Item
from hydrology.storage import months

Json = dict[str, Any]
_SAID = {
    "by_hand": ("由人员决定，未经规则计算。", "Decided by a person, not computed by the rules."),
    "drill": ("演练使用其自有雨场，不作重算。", "A drill rests on fields of its own; it is not computed again."),
    "no_assessment": ("该事件不含计算依据。", "This event names nothing to compute from."),
    "table_gone": ("当时的规则表已不存在。", "The rule table of then is no longer there."),
    "fields_gone": ("当时的格点场已不完整。", "Some of its fields are no longer there."),
    "archived": ("该月实况已归档，恢复后可重算。", "The month's observations are archived; bring them back first."),
}  # fmt: skip
_SECTIONS = {
    LimitKind.NORMAL: "reservoir__normal_m", LimitKind.DESIGN: "reservoir__design_m",
    LimitKind.CHECK: "reservoir__check_m", LimitKind.CREST: "reservoir__crest_m",
    LimitKind.WARNING: "river__warning_m", LimitKind.GUARANTEE: "river__guarantee_m",
    LimitKind.HIGHEST: "river__highest_m",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recomputed:
    """`same`: whether it came out as it was told, to the last digit; None: not made again, and `why`.

    `reasons` is what came out; `differs` names what did not agree; `rows` is the rule table that held; `marks` is
    by street and window how it stood to the table, also where no mark was reached.
    """

    same: bool | None
    why: str = ""
    reasons: Json = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    version: str = ""
    rows: Json = field(default_factory=dict)
    marks: dict[str, Json] = field(default_factory=dict)

    @property
    def says(self) -> tuple[str, str]:
        """(zh, en) of `why`."""
        return _SAID.get(self.why, ("", ""))


def recompute(event: WarningEvent) -> Recomputed:
    """The event from its inputs; `event.warning` and its station are read."""
    told = event.reasons
    if event.actor_id or told.get("by_hand"):
        return Recomputed(None, "by_hand")
    if event.warning.drill_of_id:
        return Recomputed(None, "drill")
    if "rule_version" not in told or event.action == "silent":
        return Recomputed(None, "no_assessment")
    if {month_of(event.at), month_of(event.at - LOOK_BACK)} & set(months(attached=False)):
        return Recomputed(None, "archived")
    return _rain(event) if event.warning.station_id is None else _level(event)


def _rain(event: WarningEvent) -> Recomputed:
    told = event.reasons
    row, found = _table_row(told["rule_version"], watch.BUILT_IN)
    if not found:
        return Recomputed(None, "table_gone")
    nowcast = (told.get("nowcast") or {}).get("id")
    wanted = {*told["grids"], *([nowcast] if nowcast else [])}
    if GridRun.objects.filter(pk__in=wanted).count() < len(wanted):
        return Recomputed(None, "fields_gone")
    table = watch.table_of(row)
    posts = Known.from_json(told.get("posts"), event.created_at)
    answers = told.get("answers")
    if answers is None:
        then = answers_in_force(event.created_at)
        answers = {"broken": then.broken, "believed": then.believed}
    seen = picture(
        event.at,
        frozenset(answers["broken"]),
        frozenset(answers["believed"]),
        level=Level(told.get("watched", table.watch_level)),
        given=Given(tuple(told["grids"]), nowcast, posts),
    )
    before = {street: its["before"] for street, its in told["streets"].items() if its.get("before")}
    states = dict(before)
    assessed, _ = watch.judge(seen, table, states, told["streets"])
    again = reasons_of(seen, assessed, table.version, told["streets"], before, states)
    rows = {window: list(marks) for window, marks in table.rows.items()}
    marks = {
        street: _marks(seen.figures.get(its.get("community", street), ()), table)
        for street, its in told["streets"].items()
    }
    return replace(_held_against(told, again, table.version, rows), marks=marks)


def _marks(figures: Iterable[rules.Figure], table: rules.Table) -> Json:
    """By window the highest value, who says so, the level it reaches and the next mark above it (None: none)."""
    found: Json = {}
    for figure in sorted(figures, key=lambda one: (one.doubted, -one.value_mm)):
        if figure.window in found or figure.window not in table.rows:
            continue
        row = table.rows[figure.window]
        level = sum(figure.value_mm + rules.NOISE_MM >= mark for mark in row)
        found[figure.window] = {
            "value_mm": figure.value_mm,
            "source": figure.source,
            "share": figure.share,
            "agree_mm": figure.agree_mm,
            "doubted": figure.doubted,
            "level": level,
            "next_mm": row[level] if level < len(row) else None,
        }
    return {window: found[window] for window in table.rows if window in found}


def _level(event: WarningEvent) -> Recomputed:
    told, station = event.reasons, event.warning.station
    assert station is not None
    hazard = Hazard(event.warning.hazard)
    row, found = _table_row(told["rule_version"], stages.BUILT_IN)
    if not found:
        return Recomputed(None, "table_gone")
    table = stages.table_of(hazard, row)
    posts = Known.from_json(told.get("posts"), event.created_at)
    span = (station.code, Element.STAGE, event.at - LOOK_BACK, event.at)
    course = courses_over([span], posts)[station.code, Element.STAGE]
    if event.at not in course.rows:
        return Recomputed(None, "no_assessment")
    season = Season(**told["season"]) if told["season"] else None
    post = _post(told)
    _, move = stages.take_step(
        post,
        PlaceState.from_json(told.get("before") or {}),
        course,
        event.at,
        table,
        season,
        stages.rain_around([station.code], posts),
        posts,
    )
    again = notice_reasons(post, move) if move else {}
    marks = row.rows if row else {name.value: LEVEL_ROWS[name] for name in stages.CLASSES[hazard]}
    return _held_against(told, again, table.version, marks)


def _post(told: Json) -> Item:
    """The station with the limits it had: those of the register may be others today."""
    station = told["station"]
    kind = next(kind for kind, word in KINDS.items() if word == station["kind"])
    limits = {limit["kind"]: limit["limit_m"] for limit in told["limits"]}
    return {
        "code": station["code"],
        "name": station["name"],
        "kind": StationKind(kind),
        "datum": station["datum"],
        "reservoir__gated": station["gated"],
        **{column: limits.get(limit) for limit, column in _SECTIONS.items()},
    }


def _table_row(version: str, built_in: str) -> tuple[RuleTable | None, bool]:
    """(the table's row, None for the built-in one; whether there is such a table)."""
    row = RuleTable.objects.filter(pk=version).first()
    return row, row is not None or version == built_in


def _held_against(told: Json, again: Json, version: str, rows: Any) -> Recomputed:
    """What was told of the very things that came out again; events of older releases tell less."""
    plain: Json = json.loads(json.dumps(again))
    differs = tuple(name for name, value in plain.items() if name in told and not _same(told[name], value))
    missing = () if plain else ("level",)
    return Recomputed(not differs and not missing, "", plain, (*differs, *missing), version, dict(rows))


def _same(told: Any, again: Any) -> bool:
    """Equal in everything that was told."""
    if isinstance(told, dict) and isinstance(again, dict):
        return all(name in again and _same(value, again[name]) for name, value in told.items())
    return bool(told == again)
