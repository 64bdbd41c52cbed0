"""Doors of an order and a warning that need to know who was told: the order also for whom it was delivered to, the warning
with its reach, and reach itself."""

from django.db.models import Exists, OuterRef, Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.doors import orders, warnings
from alerts.models import BulletinKind, ResponseOrder, Warning
from alerts.order_shapes import OrderOut
from foundation.clock import now
from foundation.errors import not_found
from hydrology.doors.asked import AFTER, after
from hydrology.models import path_filter
from notifications import months
from notifications.models import Delivery, Dispatch, Errand
from notifications.reach import asking, counts_of, reach_of
from notifications.shapes import ReachOut, WarningReached

_KINDS = {"orders": [BulletinKind.ORDER], "warnings": [BulletinKind.WARNING, BulletinKind.LEVEL]}


def told(officer: int, order: int, its: str) -> Exists:
    """A line of his about the order, whose id the row has as `its`."""
    since = months.since_of(bulletin__order=order)
    return Exists(
        Delivery.objects.filter(id__gte=since, officer=officer, dispatch__bulletin__order=OuterRef(its))
    )


class OneOrder(APIView):
    @extend_schema(responses=OrderOut)
    def get(self, request: Request, pk: int) -> Response:
        """The order, for who sees its authority and whom it was delivered to."""
        mine = Q(told(request.user.pk, pk, "pk"))
        return orders.whole(request, pk, now(), mine)


class OneWarning(APIView):
    @extend_schema(responses=WarningReached)
    def get(self, request: Request, pk: int) -> Response:
        """One warning with its chain of events, everything that was said about it, and how far that has come."""
        said = warnings.whole(request, pk)
        counts = counts_of(asking(_KINDS["warnings"], warning=pk), request.auth.scope.paths)
        return Response({**said, "reach": counts})


class Reach(APIView):
    @extend_schema(parameters=[AFTER], responses=ReachOut, operation_id="reach")
    def get(self, request: Request, kind: str, pk: int) -> Response:
        """Counts per state, per district and street, streets with nobody confirmed, the unanswered.

        Of what asked for an answer, each person by the newest of it; that it is over asks for none.
        """
        scope = request.auth.scope
        model, path = (ResponseOrder, "authority__path") if kind == "orders" else (Warning, "region__path")
        row = model.objects.filter(path_filter(path, scope.water_paths), pk=pk).first()
        bulletins = asking(_KINDS[kind], **{kind.removesuffix("s"): pk}) if row else []
        if not bulletins:
            raise not_found("消息", "message")
        first = Dispatch.objects.filter(bulletin__in=bulletins, errand=Errand.FIRST).order_by("-id")
        return Response(
            {
                "dispatch": first.values_list("pk", flat=True).first(),
                **reach_of(bulletins, scope.paths, after=after(request), once=True),
            }
        )
