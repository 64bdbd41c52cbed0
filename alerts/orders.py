"""Response orders: drafted by one person, approved by another, issued once. Owns ResponseOrder and OrderEvent.

One literal transition table, one function that applies it under lock, one event row per change (the audit of
these acts). Issuing freezes a Bulletin in the same transaction; delivery is nobody's business here.
"""

from datetime import datetime, timedelta

from django.db import transaction

from alerts.assessment.wording import order_words
from alerts.bulletins import issue
from alerts.models import (
    BulletinKind,
    OrderEvent,
    OrderStatus,
    Requires,
    ResponseLevel,
    ResponseOrder,
)
from foundation.clock import local
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import Level, Region

S = OrderStatus
# act: (from, to, who may)
TRANSITIONS: dict[str, tuple[frozenset[OrderStatus], OrderStatus, str]] = {
    "submit": (frozenset({S.DRAFT, S.REJECTED}), S.SUBMITTED, "desk"),
    "approve": (frozenset({S.SUBMITTED}), S.APPROVED, "command"),
    "reject": (frozenset({S.SUBMITTED}), S.REJECTED, "command"),
    "issue": (frozenset({S.APPROVED}), S.ISSUED, "desk"),
    "withdraw": (frozenset({S.DRAFT, S.REJECTED, S.SUBMITTED, S.APPROVED, S.ISSUED}), S.WITHDRAWN, "desk"),
    "end": (frozenset({S.ISSUED}), S.ENDED, "desk"),
}
# how urgent a response level is: Ⅱ and Ⅰ are chased
URGENCY = {
    ResponseLevel.WATCH: 1,
    ResponseLevel.IV: 1,
    ResponseLevel.III: 2,
    ResponseLevel.II: 3,
    ResponseLevel.I: 4,
}
LONGEST_VALIDITY = timedelta(days=3)
CALL_OFF_VALIDITY = timedelta(hours=12)


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


def draft(officer_id: int, scope: Scope, values: dict[str, object], *, now: datetime) -> ResponseOrder:
    """A new draft by the duty desk of the authority; `values` are the validated fields of the door."""
    authority = Region.objects.filter(
        code=values["authority"], level__in=[Level.CITY, Level.DISTRICT]
    ).first()
    if authority is None or not scope.sees(authority.path):
        raise not_found("发布机关", "authority")
    scope.require_desk(authority.path)
    areas = list(dict.fromkeys(values["areas"]))  # type: ignore[call-overload]  # each said once
    check_areas(areas, authority)
    _check_times(values, now)
    with transaction.atomic():
        order = ResponseOrder.objects.create(
            **{**values, "authority": authority, "areas": areas}, drafted_by_id=officer_id, created_at=now
        )
        OrderEvent.objects.create(order=order, at=now, actor_id=officer_id, before="", after=S.DRAFT)
    return order


def _check_times(values: dict[str, object], now: datetime) -> None:
    valid_until, deadline_at = values["valid_until"], values.get("deadline_at")
    if not isinstance(valid_until, datetime) or not now < valid_until <= now + LONGEST_VALIDITY:
        raise Refusal(
            "validity",
            zh="有效期须晚于现在且不超过三天。",
            en="valid_until must be later than now and within three days.",
            fields={"valid_until": str(valid_until)},
        )
    if isinstance(deadline_at, datetime) and not now < deadline_at <= valid_until:
        raise Refusal(
            "deadline",
            zh="签收时限须晚于现在且不晚于有效期。",
            en="deadline_at must be later than now and not after valid_until.",
            fields={"deadline_at": str(deadline_at)},
        )


def act(
    order_id: int, verb: str, officer_id: int, scope: Scope, *, now: datetime, note: str = ""
) -> ResponseOrder:
    """Apply one verb of TRANSITIONS; an illegal one is a named Refusal and changes nothing."""
    before, after, who = TRANSITIONS[verb]
    with transaction.atomic():
        order = (
            ResponseOrder.objects.select_for_update(of=("self",))
            .select_related("authority")
            .filter(pk=order_id)
            .first()
        )
        if order is None or not scope.sees(order.authority.path):
            raise not_found("指令", "order")
        (scope.require_command if who == "command" else scope.require_desk)(order.authority.path)
        if order.status not in before:
            raise Refusal(
                "illegal_transition",
                zh=f"指令当前为“{order.get_status_display()}”，不能执行此操作。请刷新后重试。",
                en=f"The order is {order.status}; {verb} is not possible now. Refresh and look again.",
                status=409,
            )
        if verb == "approve":
            if order.drafted_by_id == officer_id:
                raise Refusal(
                    "second_person",
                    zh="起草人不能批准自己的指令，须由另一人批准。",
                    en="The drafter cannot approve his own order; another person must.",
                    status=403,
                )
            order.approved_by_id = officer_id
        event_before, order.status = order.status, after
        order.save(update_fields=["status", "approved_by"])
        OrderEvent.objects.create(
            order=order, at=now, actor_id=officer_id, before=event_before, after=after, note=note
        )
        if verb == "issue":
            _issue(order, now)
        elif event_before == S.ISSUED:
            _call_off(order, now)
    return order


def _issue(order: ResponseOrder, now: datetime) -> None:
    if order.valid_until <= now:
        raise Refusal(
            "expired",
            zh="指令有效期已过，请撤回后重新起草。",
            en="The order's validity has passed; withdraw it and draft a new one.",
            status=409,
        )
    if order.deadline_at is not None and order.deadline_at <= now:
        raise Refusal(
            "deadline_passed",
            zh="指令要求的签收时限已过，请撤回后重新起草。",
            en="The order's deadline has passed; withdraw it and draft a new one.",
            status=409,
        )
    _say(
        order,
        now,
        urgency=URGENCY[ResponseLevel(order.level)],
        requires=Requires.CONFIRM,
        deadline_at=order.deadline_at,
        valid_until=order.valid_until,
    )


def _call_off(order: ResponseOrder, now: datetime) -> None:
    """Withdrawn or ended after it was issued: the same people hear that it no longer stands."""
    _say(
        order,
        now,
        ends=True,
        urgency=1,
        requires=Requires.OPEN,
        valid_until=now + CALL_OFF_VALIDITY,
        supersedes=order.bulletins.order_by("-id").first(),
    )


def _say(order: ResponseOrder, now: datetime, *, ends: bool = False, **fields: object) -> None:
    code = ResponseLevel(order.level).code
    words = order_words(
        code,
        [area.name for area in check_areas(order.areas, order.authority)],
        order.title_zh,
        order.text_zh,
        local(order.deadline_at) if order.deadline_at else None,
        order.drill,
        title_en=order.title_en,
        text_en=order.text_en,
        ends=ends,
    )
    issue(
        words,
        now=now,
        kind=BulletinKind.ORDER,
        level=code,
        areas=order.areas,
        duties=order.duties,
        drill=order.drill,
        caused_at=now,
        order=order,
        reasons={"order": order.pk, "approved_by": order.approved_by_id},
        **fields,
    )
