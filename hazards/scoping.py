"""Which order takes reports now, who may see them, for which region. Reads only.

An order is everybody's whose regions touch its areas: a street works on the city's order. Figures and names are shown
below the caller's own regions only.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from alerts.models import BulletinKind, OrderStatus, ResponseOrder
from foundation.clock import iso
from foundation.errors import Refusal, not_found
from foundation.scope import below
from hydrology.models import Region
from notifications.models import Dispatch, Errand

OPEN_AFTER_END = timedelta(hours=24)


def seen(pk: int, paths: tuple[str, ...]) -> ResponseOrder:
    """The order, if one of its areas lies at, below or above one of the paths; else Refusal `not_found`."""
    order = ResponseOrder.objects.select_related("authority").filter(pk=pk).first()
    if order is None or not _touching(order, paths):
        raise not_found("指令", "order")
    return order


def view_of(order: ResponseOrder, paths: tuple[str, ...], code: str | None) -> Region:
    """The region a caller looks at: as asked, else the authority, else the highest of his own that the order touches.

    Raises Refusal `not_found` for a region that is not below his, or that the order does not touch.
    """
    if code:
        wanted = Region.objects.filter(pk=code).first()
        if wanted is None or not below(wanted.path, paths) or not _touching(order, (wanted.path,)):
            raise not_found("区域", "region")
        return wanted
    if below(order.authority.path, paths):
        return order.authority
    own = min(_touching(order, paths), key=lambda path: (path.count("/"), path))
    return Region.objects.get(path=own)


def inside(order: ResponseOrder, path: str) -> bool:
    """Whether the region of this path is one of the order's areas or lies in one."""
    return not set(order.areas).isdisjoint(path.split("/"))


def require_open(order: ResponseOrder, at: datetime) -> None:
    """Raises Refusal `not_released` or `reports_closed` (409): reports are taken from the release to a day after the end."""
    if order.released_at is None:
        raise Refusal(
            "not_released",
            zh="该指令尚未发布，不能填报。请等待发布。",
            en="The order has not been released; nothing can be reported on it yet.",
            status=409,
        )
    if order.status == OrderStatus.ISSUED:
        return
    if order.ended_at is None or at > order.ended_at + OPEN_AFTER_END:
        raise Refusal(
            "reports_closed",
            zh="该指令结束已超过 24 小时，不再接收填报。请联系值班室。",
            en="The order ended more than 24 hours ago; reports are closed. Ask the duty desk.",
            status=409,
            fields={"ended_at": iso(order.ended_at) or ""},
        )


def first_dispatch(order: ResponseOrder) -> int | None:
    """The dispatch by which the order's people were addressed; None before its audience was written."""
    return (
        Dispatch.objects.filter(bulletin__order=order, bulletin__kind=BulletinKind.ORDER, errand=Errand.FIRST)
        .order_by("bulletin_id")
        .values_list("pk", flat=True)
        .first()
    )


def _touching(order: ResponseOrder, paths: Iterable[str]) -> list[str]:
    areas = list(Region.objects.filter(code__in=order.areas).values_list("path", flat=True))
    return [path for path in paths if below(path, areas) or any(area.startswith(path) for area in areas)]
