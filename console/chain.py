"""One person's chain for one message: what was tried, and how far it came, each step with its time and its source.

Accepted, delivered, shown, opened, confirmed and acting are six things. A step that nobody reported, though a later one
was, is said to be implied and has no time of its own. The phone's own clock is told beside ours, with how wrong it was.
Reads only, below the caller's regions; reading it is written into the audit log, for it is about one person.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from escalation.models import CallTask, Climb, Rung
from foundation.clock import iso
from foundation.errors import not_found
from foundation.scope import Scope
from hydrology.models import path_filter
from notifications.models import ACTS, Delivery, ProviderReport, Receipt, ReceiptState
from officers import audit
from officers.models import Post

STEPS: dict[str, tuple[ReceiptState, ...]] = {
    "delivered": (ReceiptState.DELIVERED,),
    "shown": (ReceiptState.SHOWN,),
    "opened": (ReceiptState.OPENED,),
    "confirmed": (ReceiptState.CONFIRMED, ReceiptState.CANNOT, ReceiptState.HELP),
    "acting": ACTS,
}
Row = dict[str, Any]


@transaction.atomic
def chain(scope: Scope, dispatch_id: int, officer_id: int, reader: int, *, now: datetime) -> Row:
    """As the door gives it. Raises Refusal 404 where the dispatch has no line of this person in scope."""
    line = (
        Delivery.objects.filter(
            path_filter("region__path", scope.paths), dispatch=dispatch_id, officer=officer_id
        )
        .select_related("dispatch__bulletin", "officer", "region")
        .defer("officer__sealed_phone")
        .first()
    )
    if line is None:
        raise not_found("发送记录", "delivery")
    root = line.root_id or line.pk
    of_line = Q(pk=root) | Q(root=root, quiet=False) | Q(pk=line.pk)
    # what repeats or renews a line comes after it: no earlier month is looked into
    own = Delivery.objects.filter(of_line, pk__gte=root, officer=officer_id)
    tries = list(own.select_related("dispatch").order_by("pk"))
    ids = [one.pk for one in tries]
    receipts = list(Receipt.objects.filter(delivery__in=ids).order_by("received_at", "id"))
    audit.record(reader, "chain.read", f"delivery:{line.pk}", {"officer": officer_id}, now)
    climb = Climb.objects.filter(delivery=root).first()
    duty = Post.objects.filter(officer=officer_id, region=line.region_id).order_by("rank", "id").first()
    bulletin = line.dispatch.bulletin
    return {
        "dispatch": dispatch_id,
        "delivery": root,
        "title_zh": bulletin.title_zh,
        "title_en": bulletin.title_en,
        "requires": bulletin.requires,
        "drill": line.dispatch.drill,
        "issued_at": iso(bulletin.issued_at),
        "deadline_at": iso(bulletin.deadline_at),
        "officer": officer_id,
        "name": line.officer.name,
        "masked_phone": line.officer.masked_phone,
        "region_name": line.region.name,
        "duty": duty and duty.duty,
        "quiet": line.quiet,
        "steps": _steps(tries, receipts),
        "said": [_receipt(one) for one in receipts],
        "tries": _tries(tries),
        "reports": [
            {
                "provider": one.provider,
                "state": one.state,
                "at": iso(one.at),
                "received_at": iso(one.received_at),
            }
            for one in ProviderReport.objects.filter(delivery__in=ids).order_by("received_at", "id")
        ],
        "climb": climb
        and {"state": climb.state, "rung": climb.rung, "rungs": climb.rungs, "due_at": iso(climb.due_at)},
        "rungs": [
            {
                "number": one.number,
                "errand": one.errand,
                "channel": one.channel,
                "due_at": iso(one.due_at),
                "taken_at": iso(one.taken_at),
                "reached": one.reached,
            }
            for one in Rung.objects.filter(climb=climb).order_by("number")
        ]
        if climb
        else [],
        "call": _call(climb),
    }


def _steps(tries: list[Delivery], receipts: list[Receipt]) -> list[Row]:
    """The six, in order: done, implied by a later one, or not there."""
    sent = [one for one in tries if one.sent_at]
    first = min(sent, key=lambda one: one.sent_at or one.due_at, default=None)
    rows = [
        {"step": "accepted", "at": iso(first.sent_at), "source": first.transport, **_NO_CLOCK}
        if first
        else {"step": "accepted", "at": None, "source": "", **_NO_CLOCK}
    ]
    for step, states in STEPS.items():
        said = next((one for one in receipts if one.state in states), None)
        rows.append({"step": step, **(_times(said) if said else {"at": None, "source": "", **_NO_CLOCK})})
    last = max((n for n, row in enumerate(rows) if row["at"]), default=-1)
    return [{**row, "implied": row["at"] is None and n < last} for n, row in enumerate(rows)]


_NO_CLOCK = dict.fromkeys(("device_at", "skew_s", "true_at"))


def _times(one: Receipt) -> Row:
    """When we heard it, when the phone says it was, and when that was by our clock (where the phone has told its own)."""
    true_at = None if one.skew_s is None else min(one.at - timedelta(seconds=one.skew_s), one.received_at)
    return {
        "at": iso(one.received_at),
        "source": one.source,
        "device_at": iso(one.at),
        "skew_s": one.skew_s,
        "true_at": iso(true_at),
    }


def _receipt(one: Receipt) -> Row:
    return {"state": one.state, **_times(one), "note": one.note}


def _tries(tries: list[Delivery]) -> list[Row]:
    return [
        {
            "id": one.pk,
            "errand": one.dispatch.errand,
            "transport": one.transport,
            "made_at": iso(one.dispatch.created_at),
            "state": one.state,
            "attempts": one.attempts,
            "sent_at": iso(one.sent_at),
            "devices": len(one.accepted_devices),
            "reason": one.reason,
            "rerouted": one.rerouted,
        }
        for one in tries
    ]


def _call(climb: Climb | None) -> Row | None:
    """The desk's own call, without the note: that is the desk's."""
    task = CallTask.objects.filter(climb=climb).first() if climb else None
    if task is None:
        return None
    return {
        "made_at": iso(task.made_at),
        "claimed_at": iso(task.claimed_at),
        "done_at": iso(task.done_at),
        "result": task.result,
    }
