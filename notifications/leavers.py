"""Who was told of an order and is not addressed by the one that took its place: they hear that it no longer stands.

Called by dispatch.py in the transaction of the new order's first dispatch: only then is it known who has it. What was
told are deliveries, not posts: nobody who was never told is called off, and nobody hears of both.
"""

import logging
from datetime import datetime

from django.db import connection

from alerts.models import Requires
from alerts.order_bulletins import call_off
from notifications import months
from notifications.models import Dispatch

log = logging.getLogger(__name__)

_LEFT = """
SELECT DISTINCT d.officer_id FROM notifications_delivery d
JOIN notifications_dispatch s ON s.id = d.dispatch_id
JOIN alerts_bulletin b ON b.id = s.bulletin_id
WHERE b.order_id = %(replaced)s AND d.id >= %(since)s AND NOT EXISTS (
    SELECT 1 FROM notifications_delivery n
    WHERE n.id >= %(first)s AND n.dispatch_id = %(dispatch)s AND n.officer_id = d.officer_id)
ORDER BY d.officer_id
"""


def call_off_leavers(dispatch: Dispatch, *, now: datetime) -> int:
    """One bulletin by name for those whom the order of this first dispatch leaves out; returns how many they are."""
    bulletin = dispatch.bulletin
    order = bulletin.order if bulletin.requires == Requires.CONFIRM else None  # a call-off leaves nobody out
    replaced = order.replaces if order else None
    if order is None or replaced is None:
        return 0
    with connection.cursor() as cursor:
        asked = {"replaced": replaced.pk, "since": months.since_of(bulletin__order=replaced)}
        cursor.execute(_LEFT, {**asked, "dispatch": dispatch.pk, "first": dispatch.first_line})
        left = [officer for (officer,) in cursor.fetchall()]
    if left:
        call_off(replaced, now=now, officers=left)
        log.info("order.called_off order=%s by=%s officers=%s", replaced.pk, order.pk, len(left))
    return len(left)
