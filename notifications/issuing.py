"""Issuing an order with the head counted: who would hear it is known here, one floor above the order.

The order is issued first and the count taken inside the same transaction: what does not fit undoes all of it. The
audience is the very query of the dispatch.
"""

from datetime import datetime

from django.db import connection, transaction

from alerts import orders
from alerts.models import ResponseOrder
from foundation.errors import Refusal
from foundation.scope import Scope
from notifications.audience import preview_query


def issue(
    order_id: int,
    officer_id: int,
    scope: Scope,
    *,
    now: datetime,
    note: str = "",
    typed: int | None = None,
    undo_s: int = 0,
) -> ResponseOrder:
    """Issue it, unless nobody would hear it or, where a count was typed, that is not the present one. Raises Refusal."""
    with transaction.atomic():
        order = orders.act(
            order_id, "issue", officer_id, scope, now=now, note=note, head_count=typed, undo_s=undo_s
        )
        present = _present(order, now, whole=typed is not None)
        if not present:
            raise Refusal(
                "nobody",
                zh="所选区域和岗位目前没有任何责任人，指令未发布。请改选区域或岗位后重新起草。",
                en="Nobody holds such a post there now; nothing was issued. Draft it with other areas or duties.",
                status=409,
                fields={"officers": "0"},
            )
        if typed is not None and typed != present:
            raise Refusal(
                "head_count",
                zh=f"您输入的人数 {typed} 与当前应通知人数 {present} 不符，指令未发布。请核对范围后重新输入。",
                en=f"You typed {typed}, but {present} would be told now; nothing was issued. Check it and type again.",
                status=409,
                fields={"officers": str(present)},
            )
    return order


def _present(order: ResponseOrder, now: datetime, *, whole: bool) -> int:
    """How many would hear it now; not `whole`: 1 when anybody would."""
    audience, parameters = preview_query(order.areas, order.duties, now, order.drill_of_id)
    asked = f"SELECT count(*) FROM ({audience}) heard" if whole else f"SELECT EXISTS ({audience})::int"
    with connection.cursor() as cursor:
        cursor.execute(asked, parameters)
        return int(cursor.fetchone()[0])
