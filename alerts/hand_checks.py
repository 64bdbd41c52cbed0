"""What the duty desk may ask of a warning: every illegal request is a named Refusal, before anything is written.

Owns the checks and which places a request means, with the level each is to have. Reads only; hand.py writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerts import drills
from alerts.assessment.lifecycle import Action
from alerts.models import Drill, DrillState, Hazard, Warning, WarningLevel
from foundation.errors import Refusal, not_found
from foundation.scope import Scope, below
from hydrology.models import Level, Region

MOST_STREETS = 100
DEFAULT_H, LEAST_H, MOST_H = 2, 1, 24
NEEDS_LEVEL = (Action.UPGRADE, Action.DOWNGRADE)
TAKES_LEVEL = (*NEEDS_LEVEL, Action.EXTEND)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the desk asked for, as the door checked it. `level` 1 to 4; no streets: all that the verb can mean."""

    note: str
    level: int | None = None
    streets: tuple[str, ...] = ()
    hours: int = DEFAULT_H


def require_note(note: str) -> None:
    if not note.strip():
        raise Refusal(
            "note_wanted",
            zh="人工研判须写明依据，请填写备注。",
            en="A decision by hand needs its grounds: fill in the note.",
            fields={"note": ""},
        )


def require_level(asked: Asked) -> int:
    if asked.level is None:
        raise Refusal("level_wanted", zh="请选择级别。", en="Say which level.", fields={"level": ""})
    return asked.level


def district_of(codes: Sequence[str], scope: Scope) -> tuple[Region, list[Region]]:
    """(the district, its streets) of these codes, for a desk of that district or above."""
    if not codes:
        raise _empty_streets()
    found = {region.code: region for region in Region.objects.filter(code__in=codes, level=Level.STREET)}
    strangers = [code for code in codes if code not in found or not scope.sees(found[code].path)]
    if strangers:
        raise _outside(strangers, "您的辖区", "your regions")
    districts = {region.parent_id for region in found.values()}
    if len(districts) > 1:
        raise Refusal(
            "several_districts",
            zh="一次只能发布一个区的预警，请按区分别发布。",
            en="A warning is for one district: raise one for each.",
            fields={"streets": ",".join(sorted(map(str, districts)))},
        )
    district = Region.objects.get(pk=districts.pop())
    scope.require_desk(district.path)
    return district, [found[code] for code in dict.fromkeys(codes)]


def require_running(drill: Drill) -> None:
    if drill.state != DrillState.RUNNING:
        raise Refusal(
            "drill_not_running",
            zh=f"演练“{drill.name}”当前为“{drill.get_state_display()}”，只有进行中的演练可以操作预警。",
            en=f"The drill is {drill.state}: its warnings are moved while it runs.",
            status=409,
            fields={"state": drill.state},
        )


def drill_there(streets: Sequence[Region]) -> int:
    """The drill that runs where these streets lie."""
    running = Drill.objects.filter(state=DrillState.RUNNING).order_by("pk").values_list("pk", "areas")
    there = [
        pk for pk, areas in running if all(set(street.path.split("/")) & set(areas) for street in streets)
    ]
    if len(there) == 1:
        return there[0]
    zh, en = "这些街道没有正在进行的演练，请先启动演练。", "No drill runs in these streets: begin one first."
    if there:
        zh = "这些街道有多个演练在进行，请用 drill_of 指明。"
        en = "Several drills run in these streets: say which one with drill_of."
    raise Refusal("drill_wanted", zh=zh, en=en, status=409, fields={"drill": ",".join(map(str, there))})


def check_drill(drill_id: int, hazard: str, scope: Scope, streets: Sequence[Region]) -> None:
    """A warning inside an exercise: its storm is rain, and the streets are in its areas."""
    drill = Drill.objects.select_related("authority").filter(pk=drill_id).first()
    if drill is None or not below(drill.authority.path, scope.water_paths):
        raise not_found("演练", "drill")
    if hazard != Hazard.RAINSTORM:
        raise Refusal(
            "drill_rain_only",
            zh="演练中只能发布强降雨预警。",
            en="Inside a drill only rain is warned of.",
            fields={"hazard": hazard},
        )
    drills.require_inside(drill_id, streets)


def targets(warning: Warning, action: Action, asked: Asked) -> dict[str, int]:
    """The places a verb means, streets or the station, with the level each is to have."""
    _check_level(action, asked)
    if warning.station_id is not None:
        return _station_target(warning, action, asked)
    levels = dict(warning.streets.values_list("region_id", "level"))
    inside = {street: level for street, level in levels.items() if level}
    if action is Action.EXTEND:
        return _extended(warning, asked, inside)
    if strangers := [code for code in asked.streets if code not in inside]:
        raise Refusal(
            "not_in_warning",
            zh=f"街道 {'、'.join(strangers)} 不在该预警中，请使用“扩展”。",
            en=f"Streets {', '.join(strangers)} are not in this warning; extend it to them.",
            fields={"streets": ",".join(strangers)},
        )
    return _of_those(inside, action, asked)


def _of_those(inside: Mapping[str, int], action: Action, asked: Asked) -> dict[str, int]:
    chosen = {street: inside[street] for street in asked.streets} if asked.streets else dict(inside)
    if action is Action.HOLD:
        return chosen
    if action is Action.CANCEL:
        return dict.fromkeys(chosen, 0)
    wanted = int(asked.level or 0)
    fits = {street for street, level in chosen.items() if _moves(action, level, wanted)}
    if not fits:  # streets that are there already stay as they are
        raise _no_move(action, max(chosen.values()) if action is Action.DOWNGRADE else min(chosen.values()))
    return dict.fromkeys(fits, wanted)


def _station_target(warning: Warning, action: Action, asked: Asked) -> dict[str, int]:
    station = str(warning.station_id)
    if action is Action.EXTEND:
        raise Refusal(
            "station_cannot_extend",
            zh="水位提示只针对一个测站，不能扩展。请发布内涝洪水预警，或升级本提示。",
            en="A level notice is about one station and cannot be extended. Raise a flood warning, or upgrade it.",
            status=409,
        )
    if asked.streets:
        raise Refusal(
            "station_has_no_streets",
            zh="水位提示不分街道，请去掉街道。",
            en="A level notice has no streets: leave them out.",
            fields={"streets": ",".join(asked.streets)},
        )
    return _of_those({station: warning.level}, action, asked)


def _extended(warning: Warning, asked: Asked, inside: Mapping[str, int]) -> dict[str, int]:
    if not asked.streets:
        raise _empty_streets()
    level = int(asked.level or warning.level)
    of_district = Region.objects.filter(
        code__in=asked.streets, level=Level.STREET, parent=warning.region
    ).values_list("code", flat=True)
    if strangers := sorted(set(asked.streets) - set(of_district)):
        raise _outside(strangers, warning.region.name, warning.region.code)
    if level > warning.level:
        raise Refusal(
            "above_warning",
            zh=f"扩展的级别不能高于预警当前级别（{_zh(warning.level)}）。请先升级。",
            en=f"It cannot be extended above its own level ({_en(warning.level)}). Upgrade it first.",
            status=409,
            fields={"level": _en(level)},
        )
    if not (new := [street for street in asked.streets if street not in inside]):
        raise Refusal(
            "nothing_new",
            zh="所选街道都已在预警中，没有可扩展的范围。",
            en="These streets are in the warning already: there is nothing to extend.",
            status=409,
            fields={"streets": ",".join(asked.streets)},
        )
    return dict.fromkeys(new, level)


def _check_level(action: Action, asked: Asked) -> None:
    if action in NEEDS_LEVEL:
        require_level(asked)
    if action not in TAKES_LEVEL and asked.level is not None:
        raise Refusal(
            "level_not_wanted",
            zh="此操作不改变级别，请去掉级别；要改变级别请用升级或降级。",
            en="This does not set a level: leave it out, or upgrade or downgrade.",
            fields={"level": _en(asked.level)},
        )


def _moves(action: Action, before: int, after: int) -> bool:
    return after > before if action is Action.UPGRADE else after < before


def _no_move(action: Action, present: int) -> Refusal:
    up = action is Action.UPGRADE
    return Refusal(
        "level_not_higher" if up else "level_not_lower",
        zh=f"当前级别为{_zh(present)}，{'升级须选更高' if up else '降级须选更低'}的级别。请刷新后重试。",
        en=f"The level is {_en(present)} now: choose a {'higher' if up else 'lower'} one. Refresh and look again.",
        status=409,
        fields={"level": _en(present)},
    )


def _empty_streets() -> Refusal:
    return Refusal(
        "empty_streets",
        zh="请至少选择一个街道。",
        en="Choose at least one street.",
        fields={"streets": ""},
    )


def _outside(codes: Sequence[str], where_zh: str, where_en: str) -> Refusal:
    return Refusal(
        "area_outside",
        zh=f"街道 {'、'.join(codes)} 不在{where_zh}内，请重新选择。",
        en=f"Streets {', '.join(codes)} are not inside {where_en}; choose again.",
        fields={"streets": ",".join(codes)},
    )


def _zh(level: int) -> str:
    return WarningLevel(level).label


def _en(level: int) -> str:
    return WarningLevel(level).name.lower()
