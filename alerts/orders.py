"""Response orders: approved by another than who drafted them, issued once, released once. Owns ResponseOrder, OrderEvent.

One literal transition table, one function that applies it under lock, one event row per change (the audit of these
acts). A release freezes a Bulletin in the same transaction; delivery is nobody's business here. Woken by a person, and
for orders issued with an undo window or for a later hour by the job `dispatch.release`. Drafting stands in drafts.py.

What takes an order's place makes it SUPERSEDED when it is released; no verb does. Those of its people whom the new one
does not address are called off by notifications, which alone knows who they are (`call_off`).
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction

from alerts.drills import give_way
from alerts.lineage import not_in_force, require_one_level
from alerts.models import (
    DrillState,
    OrderAction,
    OrderEvent,
    OrderStatus,
    Requires,
    ResponseLevel,
    ResponseOrder,
)
from alerts.order_bulletins import call_off, last_said, say
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import Region

log = logging.getLogger(__name__)

S = OrderStatus
# act: (from, to, who may)
TRANSITIONS: dict[str, tuple[frozenset[OrderStatus], OrderStatus, str]] = {
    "submit": (frozenset({S.DRAFT, S.REJECTED}), S.SUBMITTED, "desk"),
    "approve": (frozenset({S.SUBMITTED}), S.APPROVED, "command"),
    "reject": (frozenset({S.SUBMITTED}), S.REJECTED, "command"),
    "issue": (frozenset({S.APPROVED}), S.ISSUED, "desk"),
    "undo": (frozenset({S.ISSUED}), S.APPROVED, "desk"),  # before it is released
    "withdraw": (frozenset({S.DRAFT, S.REJECTED, S.SUBMITTED, S.APPROVED, S.ISSUED}), S.WITHDRAWN, "desk"),
    "end": (frozenset({S.ISSUED}), S.ENDED, "desk"),  # after it is released
}
# how urgent a response level is: Ⅱ and Ⅰ are chased
URGENCY = {
    ResponseLevel.WATCH: 1,
    ResponseLevel.IV: 1,
    ResponseLevel.III: 2,
    ResponseLevel.II: 3,
    ResponseLevel.I: 4,
}
LAPSED = "有效期已过，未发布 / its validity passed before it was released"


def act(
    order_id: int,
    verb: str,
    officer_id: int,
    scope: Scope,
    *,
    now: datetime,
    note: str = "",
    head_count: int | None = None,
    undo_s: int = 0,
) -> ResponseOrder:
    """Apply one verb of TRANSITIONS; an illegal one is a named Refusal and changes nothing.

    For `issue`: the head count that was typed, kept with the order, and for how many seconds it can be undone. With
    neither an undo window nor a later `effective_at` the order is released in the same transaction.
    """
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
            raise _illegal(order, verb)
        _check_step(order, verb, officer_id)
        match verb:
            case "approve":
                order.approved_by_id = officer_id
            case "issue":
                order.head_count = head_count
                order.release_at = max(now + timedelta(seconds=undo_s), order.effective_at or now)
                _check_issue(order)
            case "undo":
                order.head_count = order.release_at = None
            case "withdraw" | "end":
                order.ended_at = now
        _move(order, after, officer_id, now, note)
        if verb == "issue" and order.release_at == now:
            _release(order, now)
        elif order.ended_at is not None and order.released_at is not None:
            call_off(order, now=now)
    return order


def release_due(*, now: datetime) -> int:
    """Release what was issued with an undo window or for a later hour; returns how many. Safe to run anywhere.

    Each in a transaction of its own, under its row's lock: bulletin and `released_at` together, or neither. One whose
    validity has passed is withdrawn instead, by an event that says so; nobody was told of it.
    """
    done = 0
    due = ResponseOrder.objects.to_release(now)
    for pk in due.order_by("release_at", "id").values_list("pk", flat=True):
        try:
            with transaction.atomic():
                order = (
                    due.select_for_update(skip_locked=True, of=("self",))
                    .select_related("authority")
                    .filter(pk=pk)
                    .first()
                )
                if order is not None:
                    (_lapse if order.valid_until <= now else _release)(order, now)
                    done += 1
        except Refusal:  # the others are released all the same
            log.exception("order.release_failed order=%s", pk)
    return done


def _illegal(order: ResponseOrder, verb: str) -> Refusal:
    return Refusal(
        "illegal_transition",
        zh=f"指令当前为“{order.get_status_display()}”，不能执行此操作。请刷新后重试。",
        en=f"The order is {order.status}; {verb} is not possible now. Refresh and look again.",
        status=409,
    )


def _check_step(order: ResponseOrder, verb: str, officer_id: int) -> None:
    """What the status alone does not tell."""
    if verb == "approve" and order.drafted_by_id == officer_id:
        raise Refusal(
            "second_person",
            zh="起草人不能批准自己的指令，须由另一人批准。",
            en="The drafter cannot approve his own order; another person must.",
            status=403,
        )
    if verb == "undo" and order.released_at is not None:
        raise Refusal(
            "already_released",
            zh="指令已发出，不能撤销发布。如不再执行，请撤回或结束。",
            en="The order has been sent; its issue cannot be undone. Withdraw it, or end it.",
            status=409,
        )
    if verb == "end" and order.released_at is None:
        raise Refusal(
            "not_released",
            zh="指令尚未发出，无需结束。请撤销发布或撤回。",
            en="The order has not been sent yet; there is nothing to end. Undo its issue, or withdraw it.",
            status=409,
        )


def _check_issue(order: ResponseOrder) -> None:
    """That it can be released at `release_at`: in time, its drill running, the order it replaces in force, no other level."""
    assert order.release_at is not None
    if order.valid_until <= order.release_at:
        raise Refusal(
            "expired",
            zh="指令有效期已过，请撤回后重新起草。",
            en="The order's validity has passed; withdraw it and draft a new one.",
            status=409,
        )
    if order.deadline_at is not None and order.deadline_at <= order.release_at:
        raise Refusal(
            "deadline_passed",
            zh="指令要求的签收时限已过，请撤回后重新起草。",
            en="The order's deadline has passed; withdraw it and draft a new one.",
            status=409,
        )
    if order.drill_of is not None and order.drill_of.state != DrillState.RUNNING:
        raise Refusal(
            "drill_not_running",
            zh=f"演练{order.drill_of.get_state_display()}，演练指令不能发布。",
            en=f"The drill is {order.drill_of.state}; its orders cannot be issued now.",
            status=409,
        )
    Region.objects.select_for_update(no_key=True).get(pk=order.authority_id)  # two issued at once
    require_one_level(order)
    if order.replaces_id is None:
        return
    replaced = ResponseOrder.objects.select_for_update(of=("self",)).get(pk=order.replaces_id)
    if not replaced.is_in_force:
        raise not_in_force(replaced)
    rival = replaced.replaced_by.filter(status=S.ISSUED, released_at=None).exclude(pk=order.pk).first()
    if rival is not None:
        raise Refusal(
            "already_replaced",
            zh=f"指令 {replaced.pk} 即将被指令 {rival.pk} 取代，请先撤销后者的发布。",
            en=f"Order {rival.pk} is about to take the place of {replaced.pk}; undo its issue first.",
            status=409,
            fields={"replaces": str(rival.pk)},
        )


def _move(order: ResponseOrder, after: OrderStatus, officer_id: int, now: datetime, note: str) -> None:
    before, order.status = order.status, after
    order.save(update_fields=["status", "approved_by", "head_count", "release_at", "ended_at"])
    OrderEvent.objects.create(
        order=order, at=now, actor_id=officer_id, before=before, after=after, note=note[:200]
    )


def _release(order: ResponseOrder, now: datetime) -> None:
    """Say it: the bulletin, `released_at` and what becomes of the order it replaces, in one transaction."""
    replaced = None
    if order.replaces_id is not None:
        replaced = ResponseOrder.objects.select_for_update(of=("self",)).get(pk=order.replaces_id)
        if (
            not replaced.is_in_force
        ):  # ended by hand while this one waited: there is nothing to upgrade any more
            replaced, order.replaces, order.action = None, None, OrderAction.START
    if order.deadline_min is not None:
        order.deadline_at = min(now + timedelta(minutes=order.deadline_min), order.valid_until)
    order.released_at = now
    order.save(update_fields=["released_at", "deadline_at", "replaces", "action"])
    if replaced is not None:
        replaced.ended_at = now
        _move(replaced, S.SUPERSEDED, _issuer(order), now, f"order/{order.pk}")
    say(
        order,
        now,
        urgency=URGENCY[ResponseLevel(order.level)],
        requires=Requires.CONFIRM,
        deadline_at=order.deadline_at if order.deadline_at and order.deadline_at > now else None,
        valid_until=order.valid_until,
        supersedes=last_said(replaced) if replaced else None,
        renews=order.under_id is not None and replaced is None,
    )
    if not order.drill:
        give_way(now)


def _lapse(order: ResponseOrder, now: datetime) -> None:
    order.ended_at = now
    _move(order, S.WITHDRAWN, _issuer(order), now, LAPSED)
    log.warning("order.lapsed order=%s release_at=%s", order.pk, order.release_at)


def _issuer(order: ResponseOrder) -> int:
    """Who issued it: what follows by itself is his act."""
    return order.events.filter(after=S.ISSUED).order_by("-id").values_list("actor_id", flat=True)[0]
