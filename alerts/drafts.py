"""An order on paper: what the desk says, what the template adds, and whether it may be said at all.

Leaves a ResponseOrder as a draft with its OrderTask and OrderMeasure rows; none of their words changes afterwards. Whether
it goes out is decided in orders.py. What a superior or an earlier order must be is checked here when it is drafted; that the
one replaced is still in force is checked again when the order is issued.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from alerts import lineage, plans
from alerts.assessment import order_words
from alerts.assessment.plans import Plan, fill
from alerts.models import (
    Hazard,
    OrderAction,
    OrderEvent,
    OrderMeasure,
    OrderStatus,
    OrderTask,
    ResponseLevel,
    ResponseOrder,
)
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import Level, Region

Values = Mapping[str, Any]
AUTHORITIES = (Level.CITY, Level.DISTRICT, Level.STREET)
LONGEST_VALIDITY = timedelta(days=3)
LONGEST_NOTICE = timedelta(days=3)  # so far ahead may an order be set to take effect
NEEDED = ("authority", "areas", "level", "duties", "title_zh", "text_zh", "valid_until")
NAMED_AREAS = 20  # in a text that names them; the bulletin lists them all
_BY_CODE = {level.code: level for level in ResponseLevel}
_COLUMNS = (
    "hazard", "level", "duties", "title_zh", "title_en", "text_zh", "text_en", "deadline_at", "deadline_min",
    "valid_until", "effective_at", "report_every_h", "plan",
)  # fmt: skip


def draft(officer_id: int, scope: Scope, values: Values, *, now: datetime) -> ResponseOrder:
    """A new draft by the duty desk of the authority; `values` are the validated fields of the door. Raises Refusal."""
    if not values.get("authority"):
        _check_whole(values)
    authority = _authority(values.get("authority"), scope)
    said = dict(values)
    replaced = lineage.replaced_by_draft(said.get("replaces"), authority)
    superior = lineage.superior_of_draft(said.get("under"), authority) or lineage.still_in_force(replaced)
    said["areas"] = list(dict.fromkeys(said.get("areas", ())))  # each said once
    areas = check_areas(said["areas"], authority)
    plan = _plan(said, authority, now)
    if "hazard" not in said:
        said["hazard"] = plan.hazard if plan else replaced.hazard if replaced else Hazard.FLOOD
    if plan is not None:
        _add_from_plan(said, plan, authority, areas, replaced, now)
    _check_whole(said)
    _check_times(said, now)
    tasks, measures = _tasks(said), _measures(said, areas)
    with transaction.atomic():
        order = ResponseOrder.objects.create(
            **{name: said[name] for name in _COLUMNS if name in said},
            **lineage.drill_of_draft(said, areas, replaced, superior),
            authority=authority,
            areas=said["areas"],
            action=lineage.action_of(replaced, said["hazard"], said["level"]),
            replaces=replaced,
            under=superior,
            thread=next((one.thread for one in (superior, replaced) if one), ""),
            drafted_by_id=officer_id,
            created_at=now,
        )
        lineage.require_one_level(order)
        if not order.thread:
            order.thread = f"order/{order.pk}"
            order.save(update_fields=["thread"])
        OrderTask.objects.bulk_create(
            OrderTask(order=order, number=n, **task) for n, task in enumerate(tasks, start=1)
        )
        OrderMeasure.objects.bulk_create(OrderMeasure(order=order, **measure) for measure in measures)
        OrderEvent.objects.create(
            order=order, at=now, actor_id=officer_id, before="", after=OrderStatus.DRAFT
        )
    return order


def check_areas(areas: list[str], authority: Region) -> list[Region]:
    """The regions of these codes, all at or below the authority; Refusal names those that are not."""
    found = {region.code: region for region in Region.objects.filter(code__in=areas)}
    strangers = [
        code for code in areas if code not in found or not found[code].path.startswith(authority.path)
    ]
    if strangers or not areas:
        raise Refusal(
            "area_outside",
            zh=f"区域 {'、'.join(strangers) or '（空）'} 不在{authority.name}辖区内，请重新选择。",
            en=f"Areas {', '.join(strangers) or '(none)'} are not inside {authority.code}; choose again.",
            fields={"areas": ",".join(strangers)},
        )
    return [found[code] for code in areas]


def _authority(code: object, scope: Scope) -> Region:
    authority = Region.objects.filter(code=code, level__in=AUTHORITIES).first()
    if authority is None or not scope.sees(authority.path):
        raise not_found("发布机关", "authority")
    scope.require_desk(authority.path)
    return authority


def _plan(said: Values, authority: Region, now: datetime) -> Plan | None:
    key = said.get("plan", "")
    if not key:
        return None
    plan = plans.in_force(now)[1].get(key)
    if plan is None or plan.authority_level != authority.level:
        raise Refusal(
            "plan_unknown",
            zh=f"预案 {key} 不存在，或不适用于{authority.get_level_display()}级机关。请重新选择。",
            en=f"There is no plan {key} for a {authority.level} authority. Choose again.",
            fields={"plan": str(key)},
        )
    return plan


def _add_from_plan(
    said: dict[str, Any],
    plan: Plan,
    authority: Region,
    areas: list[Region],
    replaced: ResponseOrder | None,
    now: datetime,
) -> None:
    """What was not said is taken from the plan, its placeholders filled."""
    level = said.setdefault("level", _BY_CODE[plan.level])
    zh, en = _words(authority, areas, level, lineage.action_of(replaced, said["hazard"], level))
    for name in ("title", "text"):
        said.setdefault(f"{name}_zh", fill(getattr(plan, f"{name}_zh"), zh))
        said.setdefault(f"{name}_en", fill(getattr(plan, f"{name}_en"), en))
    said.setdefault("duties", list(plan.duties))
    said.setdefault("report_every_h", plan.report_every_h)
    if "deadline_at" not in said:
        said.setdefault("deadline_min", plan.deadline_min)
    said.setdefault("valid_until", (said.get("effective_at") or now) + timedelta(hours=plan.valid_h))
    addressed = {"", "desk", *said["duties"]}
    said.setdefault(
        "tasks",
        [
            {
                "duty": task.duty,
                "level": task.level,
                "text_zh": fill(task.text_zh, zh),
                "text_en": fill(task.text_en, en),
                "due_min": task.due_min,
            }
            for task in plan.tasks
            if task.duty in addressed
        ],
    )
    said.setdefault("measures", [{"sector": sector, "areas": said["areas"]} for sector in plan.sectors])


def _words(
    authority: Region, areas: list[Region], level: int, action: OrderAction
) -> tuple[dict[str, str], dict[str, str]]:
    """What the placeholders stand for, zh and en; names of places are Chinese in both."""
    names = [area.name for area in areas[:NAMED_AREAS]]
    more_zh, more_en = "", ""
    if len(areas) > NAMED_AREAS:
        more_zh, more_en = f"等{len(areas)}地", f" and {len(areas) - NAMED_AREAS} more areas"
    level_zh, level_en = order_words.RESPONSES[ResponseLevel(level).code]
    action_zh, action_en = order_words.ACTIONS[action]
    zh = {"level": level_zh, "action": action_zh, "areas": "、".join(names) + more_zh}
    en = {"level": level_en, "action": action_en, "areas": ", ".join(names) + more_en}
    return {**zh, "authority": authority.name}, {**en, "authority": authority.name}


def _check_whole(said: Values) -> None:
    missing = [name for name in NEEDED if not said.get(name)]
    if missing:
        raise Refusal(
            "invalid",
            zh=f"缺少：{'、'.join(missing)}。请补全，或选择预案。",
            en=f"Missing: {', '.join(missing)}. Say them, or choose a plan.",
            fields=dict.fromkeys(missing, "required"),
        )


def _check_times(said: Values, now: datetime) -> None:
    """`effective_at`, then `valid_until` and `deadline_at` after the moment it is to take effect."""
    effective_at, valid_until, deadline_at = (
        said.get(name) for name in ("effective_at", "valid_until", "deadline_at")
    )
    if effective_at is not None and not now < effective_at <= now + LONGEST_NOTICE:
        raise Refusal(
            "effective",
            zh="生效时间须晚于现在且在三天以内；立即生效请留空。",
            en="effective_at must be later than now and within three days; leave it out to take effect at once.",
            fields={"effective_at": str(effective_at)},
        )
    begins_at = effective_at or now
    if not isinstance(valid_until, datetime) or not begins_at < valid_until <= begins_at + LONGEST_VALIDITY:
        raise Refusal(
            "validity",
            zh="有效期须晚于现在（或生效时间）且不超过三天。",
            en="valid_until must be later than now, or than effective_at, and within three days.",
            fields={"valid_until": str(valid_until)},
        )
    if isinstance(deadline_at, datetime) and not begins_at < deadline_at <= valid_until:
        raise Refusal(
            "deadline",
            zh="签收时限须晚于现在（或生效时间）且不晚于有效期。",
            en="deadline_at must be later than now, or than effective_at, and not after valid_until.",
            fields={"deadline_at": str(deadline_at)},
        )


def _tasks(said: Values) -> list[dict[str, Any]]:
    tasks = [
        {"duty": "", "level": "", "text_en": "", "due_min": None, **task} for task in said.get("tasks") or ()
    ]
    unheard = sorted({task["duty"] for task in tasks} - {"", "desk", *said["duties"]})
    if unheard:
        raise Refusal(
            "task_duty",
            zh=f"任务岗位 {'、'.join(unheard)} 不在指令的发送岗位内，请加入岗位或删去任务。",
            en=f"Tasks for {', '.join(unheard)}, whom the order does not address: add the duty or drop the task.",
            fields={"tasks": ",".join(unheard)},
        )
    return tasks


def _measures(said: Values, areas: list[Region]) -> list[dict[str, Any]]:
    """The five stops as columns: each sector once, inside the order's areas, its times in order."""
    measures = [
        {"starts_at": None, "ends_at": None, "note": "", **measure} for measure in said.get("measures") or ()
    ]
    for measure in measures:
        measure["areas"] = list(dict.fromkeys(measure.get("areas") or said["areas"]))
    paths = dict(
        Region.objects.filter(
            code__in={code for measure in measures for code in measure["areas"]}
        ).values_list("code", "path")
    )
    seen: set[str] = set()
    for measure in measures:
        sector = measure["sector"]
        outside = [code for code in measure["areas"] if not _inside(paths.get(code), areas)]
        if outside:
            raise Refusal(
                "measure_outside",
                zh=f"五停措施区域 {'、'.join(outside)} 不在指令范围内，请重新选择。",
                en=f"Areas {', '.join(outside)} of measure {sector} are not inside the order's; choose again.",
                fields={"measures": ",".join(outside)},
            )
        if sector in seen:
            raise Refusal(
                "sector_twice",
                zh=f"五停措施 {sector} 出现两次，请合并其区域。",
                en=f"Measure {sector} stands there twice; put its areas together.",
                fields={"measures": sector},
            )
        seen.add(sector)
        if measure["starts_at"] and measure["ends_at"] and measure["ends_at"] <= measure["starts_at"]:
            raise Refusal(
                "measure_times",
                zh=f"五停措施 {sector} 的结束时间须晚于开始时间。",
                en=f"Measure {sector} must end after it starts.",
                fields={"measures": sector},
            )
    return measures


def _inside(path: str | None, areas: Iterable[Region]) -> bool:
    return path is not None and any(path.startswith(area.path) for area in areas)
