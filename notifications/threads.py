"""Who has been told of a thread already: then the next message of it renews what he has, and rings nobody.

Reads only. And who has something only in place of what is over. What belongs to one thread is the alerts room's
(storms.py, orders); the lines are dispatch.py's.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Q

from alerts.models import OrderStatus
from alerts.storms import PREFIX, threads_of
from notifications import months
from notifications.models import Dispatch, Errand

IN_FORCE = (Q(bulletin__warning=None) | Q(bulletin__warning__ended_at=None)) & (
    Q(bulletin__order=None) | Q(bulletin__order__status=OrderStatus.ISSUED)
)


def told(dispatch: Dispatch, now: datetime) -> list[int]:
    """The other first dispatches whose people this one only renews: no less grave, valid, of what is still in force.

    The end of a warning is news to whom it was told, unless another warning of the thread that he was told of is still
    open, or an end of the thread came in the same slot: so one ring says that a storm is over.
    """
    bulletin = dispatch.bulletin
    if not (bulletin.renews and bulletin.thread):
        return []
    before = Dispatch.objects.filter(
        errand=Errand.FIRST,
        bulletin__thread__in=threads_of(bulletin.thread),
        bulletin__drill=bulletin.drill,
        bulletin__drill_of=bulletin.drill_of_id,
    ).exclude(pk=dispatch.pk)
    if bulletin.warning_id and not bulletin.urgency:
        twin = Q(bulletin__urgency=0, bulletin__issued_at=bulletin.issued_at)
        before = before.filter(twin | IN_FORCE & Q(bulletin__urgency__gt=0))
    else:
        before = before.filter(
            IN_FORCE, bulletin__urgency__gte=bulletin.urgency, bulletin__valid_until__gt=now
        )
    return list(before.order_by("pk").values_list("pk", flat=True))


# whether bulletins stood no more at an instant. What is said later of a warning that is still open extends what was said.
_OVER = """coalesce(w.ended_at <= %(at)s, false) OR coalesce(o.ended_at <= %(at)s, false)
           OR w.id IS NULL AND b.valid_until <= %(at)s"""
_BULLETINS = """alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN alerts_warning w ON w.id = b.warning_id
    LEFT JOIN alerts_responseorder o ON o.id = b.order_id"""
# of the quiet lines of the dispatches %(among)s those not answered, nor what rang him, which was over at %(at)s. Each of the
# two is read by its dispatch and looked up in a hash
_HANGING = f"""
WITH stands AS MATERIALIZED (
    SELECT s.id, b.thread, b.thread LIKE %(storms)s AS of_storm FROM notifications_dispatch s JOIN {_BULLETINS}
    WHERE s.id = ANY(%(among)s) AND b.renews AND b.thread <> '' AND NOT ({_OVER})
), rang AS MATERIALIZED (
    SELECT d.id
    FROM notifications_dispatch s JOIN {_BULLETINS}
    CROSS JOIN LATERAL (
        SELECT id FROM notifications_delivery
        WHERE dispatch_id = s.id AND id >= %(open)s AND NOT quiet AND state <> 'confirmed' OFFSET 0
    ) d
    WHERE s.errand = 'first' AND s.expires_at > %(at)s - interval '1 day' AND ({_OVER})
      AND EXISTS (SELECT 1 FROM stands WHERE stands.thread = b.thread OR of_storm AND b.thread LIKE %(storms)s)
)
SELECT d.dispatch_id, d.id
FROM stands CROSS JOIN LATERAL (
    SELECT dispatch_id, id, root_id FROM notifications_delivery
    WHERE dispatch_id = stands.id AND id >= %(open)s AND quiet AND state <> 'confirmed' OFFSET 0
) d
WHERE EXISTS (SELECT 1 FROM rang) AND d.root_id IN (SELECT id FROM rang)
ORDER BY d.dispatch_id, d.id
"""


def hanging(among: Sequence[int], *, at: datetime) -> list[tuple[int, int]]:
    """(dispatch, line) of these first dispatches, in order: who has it only in place of what was over by then, unanswered."""
    with connection.cursor() as cursor:
        storms = f"%{PREFIX}%"
        cursor.execute(
            _HANGING, {"among": list(among), "at": at, "storms": storms, "open": months.open_since(at)}
        )
        return cursor.fetchall()
