"""How an order stands to others: whose place it takes, whose thread it joins, whose drill it is.

Answers or refuses by name; writes nothing. An order taken under a superior's stays in force when the superior's ends: a
district's response is its own (project domain notes 2: city and district levels are independent).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from alerts.drills import require_inside
from alerts.models import Drill, OrderAction, OrderStatus, ResponseLevel, ResponseOrder
from foundation.errors import Refusal, not_found
from hydrology.models import Region


def action_of(replaced: ResponseOrder | None, hazard: str, level: int) -> OrderAction:
    """What an order of this hazard and level does to the one whose place it takes."""
    if replaced is None:
        return OrderAction.START
    if replaced.hazard != hazard or replaced.level == level:
        return OrderAction.CONVERT
    return OrderAction.UPGRADE if level > replaced.level else OrderAction.DOWNGRADE


def replaced_by_draft(pk: int | None, authority: Region) -> ResponseOrder | None:
    if pk is None:
        return None
    order = ResponseOrder.objects.filter(pk=pk, authority=authority).first()
    if order is None:
        raise not_found("本机关被取代的指令", "order of this authority to replace")
    if not order.is_in_force:
        raise not_in_force(order)
    return order


def not_in_force(order: ResponseOrder) -> Refusal:
    """Its place cannot be taken: there is nothing in force there."""
    return Refusal(
        "replaced_not_in_force",
        zh=f"指令 {order.pk} 当前为“{order.get_status_display()}”，不在执行中，无法取代。请刷新后另行启动。",
        en=f"Order {order.pk} is {order.status}, not in force: nothing can take its place. Refresh, or start anew.",
        status=409,
        fields={"replaces": str(order.pk)},
    )


def require_one_level(order: ResponseOrder) -> None:
    """An authority has one level for a hazard and area: another level replaces it and does not stand beside it.

    Asked of a draft and again, under the authority's lock, when it is issued; of issued orders that wait as well.
    """
    beside = (
        ResponseOrder.objects.filter(
            authority=order.authority_id,
            hazard=order.hazard,
            drill=order.drill,
            drill_of=order.drill_of_id,
            areas__overlap=order.areas,
            status=OrderStatus.ISSUED,
        )
        .exclude(level=order.level)
        .exclude(pk__in=[pk for pk in (order.pk, order.replaces_id) if pk])
        .order_by("pk")
        .first()
    )
    if beside is not None:
        level = beside.get_level_display()
        raise Refusal(
            "level_in_force",
            zh=f"同一机关、灾种、区域已有{level}响应（指令 {beside.pk}）。请起草时选择取代该指令，再升级、降级。",
            en=f"Order {beside.pk} ({ResponseLevel(beside.level).code}) of this authority holds there for this hazard. "
            "Draft this one in its place to upgrade or downgrade.",
            status=409,
            fields={"replaces": str(beside.pk)},
        )


def superior_of_draft(pk: int | None, authority: Region) -> ResponseOrder | None:
    """The superior authority's order: one of its areas holds the authority, or lies in it."""
    if pk is None:
        return None
    order = ResponseOrder.objects.select_related("authority").filter(pk=pk).first()
    above = order is not None and authority.path != order.authority.path
    if order is None or not (above and authority.path.startswith(order.authority.path)):
        raise Refusal(
            "not_superior",
            zh=f"指令 {pk} 不是{authority.name}上级机关的指令，不能在其下部署。",
            en=f"Order {pk} is not of an authority above {authority.code}; nothing can be added under it.",
            status=409,
            fields={"under": str(pk)},
        )
    paths = Region.objects.filter(code__in=order.areas).values_list("path", flat=True)
    if not any(path.startswith(authority.path) or authority.path.startswith(path) for path in paths):
        raise Refusal(
            "not_superior",
            zh=f"上级指令 {pk} 的范围不涉及{authority.name}，不能在其下部署。",
            en=f"Order {pk} does not concern {authority.code}; nothing can be added under it.",
            status=409,
            fields={"under": str(pk)},
        )
    if not order.is_in_force:
        raise Refusal(
            "under_not_in_force",
            zh=f"上级指令 {pk} 当前为“{order.get_status_display()}”，不在执行中。可单独启动本级响应。",
            en=f"The superior's order {pk} is {order.status}, not in force. Start a response of your own.",
            status=409,
            fields={"under": str(pk)},
        )
    return order


def still_in_force(replaced: ResponseOrder | None) -> ResponseOrder | None:
    """What the replaced order stands under, if that still holds: the new one joins it as well."""
    superior = replaced.under if replaced else None
    return superior if superior is not None and superior.is_in_force else None


def drill_of_draft(
    said: Mapping[str, Any],
    areas: Iterable[Region],
    replaced: ResponseOrder | None,
    superior: ResponseOrder | None,
) -> dict[str, object]:
    """{drill, drill_of_id}: an order under a drill's, or in the place of one, is of the same drill; never otherwise."""
    drill_of, drill = said.get("drill_of"), bool(said.get("drill"))
    for parent in (superior, replaced):
        if parent is None:
            continue
        if (drill and not parent.drill) or (drill_of and drill_of != parent.drill_of_id):
            raise Refusal(
                "drill_mismatch",
                zh="演练指令只能取代或加入同一演练的指令，实战指令也不能进入演练。",
                en="A drill's order only replaces or joins orders of the same drill, and a real one none of a drill.",
                status=409,
                fields={"drill": str(parent.pk)},
            )
        drill, drill_of = drill or parent.drill, drill_of or parent.drill_of_id
    if drill_of:
        if not Drill.objects.under_way().filter(pk=drill_of).exists():
            raise Refusal(
                "drill_not_running",
                zh=f"演练 {drill_of} 未在进行中。请先开始演练。",
                en=f"Drill {drill_of} is not under way. Begin it first.",
                status=409,
                fields={"drill_of": str(drill_of)},
            )
        require_inside(drill_of, areas)
    return {"drill": drill or bool(drill_of), "drill_of_id": drill_of}
