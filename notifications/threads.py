"""Who has been told of a thread already: then the next message of it renews what he has, and rings nobody.

Reads only. What belongs to one thread is the alerts room's (storms.py, orders); the lines are dispatch.py's.
"""

from datetime import datetime

from django.db.models import Q

from alerts.models import OrderStatus
from alerts.storms import threads_of
from notifications.models import Dispatch, Errand

_IN_FORCE = (Q(bulletin__warning=None) | Q(bulletin__warning__ended_at=None)) & (
    Q(bulletin__order=None) | Q(bulletin__order__status=OrderStatus.ISSUED)
)


def told(dispatch: Dispatch, now: datetime) -> list[int]:
    """The earlier first dispatches whose people this one only renews: no less grave, valid, of what is still in force.

    The end of a warning is news to whom it was told, unless another warning of the thread that he was told of is still
    open, or an end of the thread came in the same slot: so one ring says that a storm is over.
    """
    bulletin = dispatch.bulletin
    if not (bulletin.renews and bulletin.thread):
        return []
    before = Dispatch.objects.filter(
        errand=Errand.FIRST,
        pk__lt=dispatch.pk,
        bulletin__thread__in=threads_of(bulletin.thread),
        bulletin__drill=bulletin.drill,
        bulletin__drill_of=bulletin.drill_of_id,
    )
    if bulletin.warning_id and not bulletin.urgency:
        twin = Q(bulletin__urgency=0, bulletin__issued_at=bulletin.issued_at)
        before = before.filter(twin | _IN_FORCE & Q(bulletin__urgency__gt=0))
    else:
        before = before.filter(
            _IN_FORCE, bulletin__urgency__gte=bulletin.urgency, bulletin__valid_until__gt=now
        )
    return list(before.order_by("pk").values_list("pk", flat=True))
