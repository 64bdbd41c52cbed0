"""Papers that go with an order: added and taken away while it is on the desk, frozen with it. Owns Attachment.

What kind a file is is told by its content (assessment/paper.py); it is only ever given back as a download.
"""

import hashlib
from datetime import datetime

from django.db import transaction

from alerts.assessment.paper import BadPaper, media_type, named
from alerts.models import Attachment, OrderStatus, ResponseOrder
from foundation.errors import Refusal, not_found
from foundation.scope import Scope

MOST_BYTES = 10 * 1024 * 1024
MOST_PAPERS = 10
OPEN = (OrderStatus.DRAFT, OrderStatus.REJECTED)
TOO_LARGE = Refusal(
    "paper_too_large",
    zh="附件为空或超过 10 MB，请压缩或拆分后重试。",
    en="The file is empty or larger than 10 MB; make it smaller, or split it.",
    status=413,
    fields={"file": "size"},
)


def add(
    order_id: int, name: str, body: bytes, officer_id: int, scope: Scope, *, now: datetime
) -> tuple[Attachment, bool]:
    """(the paper, whether it is new): the same content twice is one paper. Raises Refusal."""
    if not 0 < len(body) <= MOST_BYTES:
        raise TOO_LARGE
    try:
        kind = media_type(body)
    except BadPaper as bad:
        raise Refusal(
            "paper_type",
            zh=f"{bad.zh}。",
            en=f"It was not taken: {bad.en}.",
            status=415,
            fields={"file": "type"},
        ) from None
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic():
        order = _open(order_id, scope)
        there = list(order.attachments.defer("body"))
        if same := next((paper for paper in there if paper.sha256 == digest), None):
            return same, False
        if len(there) >= MOST_PAPERS:
            raise Refusal(
                "too_many_papers",
                zh=f"每份指令最多 {MOST_PAPERS} 个附件，请先删除一个。",
                en=f"An order has at most {MOST_PAPERS} attachments; take one away first.",
                status=409,
            )
        paper = Attachment.objects.create(
            order=order,
            name=named(name, kind),
            media_type=kind,
            sha256=digest,
            size=len(body),
            body=body,
            added_by_id=officer_id,
            added_at=now,
        )
    return paper, True


def remove(order_id: int, paper_id: int, scope: Scope) -> Attachment:
    """Take it away from a draft; answers what it was. Raises Refusal; one that is not there is not found."""
    with transaction.atomic():
        order = _open(order_id, scope)
        paper = order.attachments.defer("body").filter(pk=paper_id).first()
        if paper is None:
            raise not_found("附件", "attachment")
        paper.delete()
    return paper


def _open(order_id: int, scope: Scope) -> ResponseOrder:
    """The order, locked, while papers may be added to it."""
    order = (
        ResponseOrder.objects.select_for_update(of=("self",))
        .select_related("authority")
        .filter(pk=order_id)
        .first()
    )
    if order is None or not scope.sees(order.authority.path):
        raise not_found("指令", "order")
    scope.require_desk(order.authority.path)
    if order.status not in OPEN:
        raise Refusal(
            "order_closed",
            zh=f"指令当前为“{order.get_status_display()}”，只有草稿或被退回时才能改动附件。",
            en=f"The order is {order.status}; attachments change only in a draft or a rejected order.",
            status=409,
        )
    return order
