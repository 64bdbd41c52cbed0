"""The call-out desk: who is to be called by hand, who calls him, what came of it. Owns CallTask once it is made.

A task is claimed by one person at a time; only he sees the number, each look is audited, and only he says the result.
What the silent person said on the telephone becomes a receipt like any other (source "call").
"""

from datetime import datetime, timedelta

from django.db import transaction

from escalation import climb
from escalation.models import CallResult, CallTask, ClimbState
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from foundation.seals import BrokenSeal
from notifications import receipts
from notifications.models import ReceiptState
from officers import audit, roster

HELD_FOR = timedelta(
    minutes=5
)  # a claim without a result; afterwards anybody of the desk may take it or free it
SAID = {  # what he says on the telephone is his receipt
    CallResult.ANSWERED: ReceiptState.CONFIRMED,
    CallResult.CANNOT: ReceiptState.CANNOT,
}


@transaction.atomic
def claim(pk: int, scope: Scope, caller: int, now: datetime) -> CallTask:
    """The caller takes the task; again is no fault, and one forgotten is free for others.

    Raises Refusal `call_claimed`, `call_done`, `call_over`.
    """
    task = _locked(pk, scope)
    _require_open(task)
    if task.claimed_by_id == caller:
        return task
    if task.claimed_by_id is not None and not _forgotten(task, now):
        raise _claimed(task)
    detail = {"climb": task.climb_id} | ({"from": task.claimed_by_id} if task.claimed_by_id else {})
    task.claimed_by_id, task.claimed_at = caller, now
    task.save(update_fields=["claimed_by", "claimed_at"])
    audit.record(caller, "call.claim", f"call:{pk}", detail, now)
    return task


@transaction.atomic
def release(pk: int, scope: Scope, caller: int, now: datetime) -> CallTask:
    """The caller gives his task, or one forgotten, back to the list; raises as `claim` and `call_not_claimed`."""
    task = _locked(pk, scope)
    if not _forgotten(task, now):
        _require_held(task, caller)
    detail = {} if task.claimed_by_id == caller else {"from": task.claimed_by_id}
    task.claimed_by_id = task.claimed_at = None
    task.save(update_fields=["claimed_by", "claimed_at"])
    audit.record(caller, "call.release", f"call:{pk}", detail, now)
    return task


@transaction.atomic
def reveal(pk: int, scope: Scope, caller: int, now: datetime) -> str:
    """The number to dial (E.164), for the one who has claimed the task; audited. Raises Refusal as `release`."""
    task = _held(pk, scope, caller)
    _require_open(task)
    officer = task.climb.delivery.officer
    try:
        number = roster.unseal(officer.sealed_phone)
    except BrokenSeal:
        raise Refusal(
            "phone_unreadable",
            zh="该号码无法解密（密钥已更换）。请从通讯录查找，并报系统值班。",
            en="The number cannot be read (the key was changed). Look it up elsewhere and tell the duty engineer.",
            status=409,
        ) from None
    audit.record(caller, "call.phone", f"call:{pk}", {"officer": officer.pk}, now)
    return number


@transaction.atomic
def finish(pk: int, scope: Scope, caller: int, result: CallResult, note: str, now: datetime) -> CallTask:
    """What came of the call; `answered` ends the climb. Raises Refusal as `release`.

    A result for a message that has ended meanwhile is kept all the same: the call was made.
    """
    task = _held(pk, scope, caller)
    task.result, task.note, task.done_at = result, note, now
    task.save(update_fields=["result", "note", "done_at"])
    delivery = task.climb.delivery
    if said := SAID.get(result):
        answer = receipts.Answer(delivery.pk, said, now, note=note)
        receipts.take(delivery.officer_id, [answer], source="call", now=now)
    if result == CallResult.ANSWERED:
        climb.settle(task.climb_id, "by call", now)
    detail = {"result": result.value, "climb": task.climb_id, "delivery": delivery.pk}
    audit.record(caller, "call.result", f"call:{pk}", detail, now)
    return task


def _locked(pk: int, scope: Scope) -> CallTask:
    if not scope.desk_paths:
        scope.require_desk("")
    task = (
        CallTask.objects.below(scope.desk_paths)
        .select_for_update(of=("self",))
        .select_related("climb__delivery__officer", "claimed_by")
        .filter(pk=pk)
        .first()
    )
    if task is None:
        raise not_found("叫应任务", "call")
    return task


def _held(pk: int, scope: Scope, caller: int) -> CallTask:
    task = _locked(pk, scope)
    _require_held(task, caller)
    return task


def _forgotten(task: CallTask, now: datetime) -> bool:
    return task.done_at is None and task.claimed_at is not None and now - task.claimed_at > HELD_FOR


def _require_held(task: CallTask, caller: int) -> None:
    if task.done_at is not None:
        raise _done(task)
    if task.claimed_by_id is None:
        raise Refusal(
            "call_not_claimed",
            zh="请先认领该叫应任务。",
            en="Claim the call first.",
            status=409,
        )
    if task.claimed_by_id != caller:
        raise _claimed(task)


def _require_open(task: CallTask) -> None:
    if task.done_at is not None:
        raise _done(task)
    if task.climb.state not in {ClimbState.CLIMBING, ClimbState.EXHAUSTED}:
        raise Refusal(
            "call_over",
            zh="对方已应答，或该消息已结束，无需再呼叫。请刷新列表。",
            en="He has answered meanwhile, or the message has ended; no call is needed. Refresh the list.",
            status=409,
            fields={"climb": task.climb.state},
        )


def _claimed(task: CallTask) -> Refusal:
    name = task.claimed_by.name if task.claimed_by else ""
    return Refusal(
        "call_claimed",
        zh=f"该任务已由{name}认领。请选择其他任务，或请其释放。",
        en=f"{name} has claimed this call. Take another, or ask for its release.",
        status=409,
        fields={"claimed_by": name},
    )


def _done(task: CallTask) -> Refusal:
    return Refusal(
        "call_done",
        zh="该叫应任务已有结果，无需再处理。请刷新列表。",
        en="This call has its result already. Refresh the list.",
        status=409,
        fields={"result": task.result},
    )
