"""What was said, in CAP 1.2: one message, and the Atom feed of open warnings. Scope as for warnings and orders."""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, Subquery
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from alerts.cap_out import atom_of, cap_of
from alerts.models import Bulletin, BulletinKind, Warning
from foundation.clock import now
from foundation.errors import Refusal, not_found
from hydrology.models import path_filter

CAP_XML, ATOM_XML = "application/cap+xml", "application/atom+xml"
MOST_ENTRIES = 200
SHOWN_FOR = timedelta(hours=24)  # by when it was said: data time may be another
BULLETIN = OpenApiParameter("bulletin", int, description="one message of the chain; the newest when left out")


def _message(request: Request, of: dict[str, object]) -> HttpResponse:
    rows = Bulletin.objects.filter(**of).exclude(kind=BulletinKind.MESSAGE).select_related("supersedes")
    if asked := request.query_params.get("bulletin"):
        if not asked.isdecimal() or len(asked) > 18:
            raise Refusal(
                "invalid",
                zh="bulletin 须为消息编号。",
                en="bulletin must be the number of a message.",
                fields={"bulletin": asked[:40]},
            )
        rows = rows.filter(pk=int(asked))
    bulletin = rows.order_by("-id").first()
    if bulletin is None:
        raise not_found("消息", "message")
    return HttpResponse(cap_of(bulletin), CAP_XML)


class WarningCap(APIView):
    @extend_schema(parameters=[BULLETIN], responses={(200, CAP_XML): OpenApiTypes.STR})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """What was said about a warning, as CAP 1.2; earlier messages of the chain by `bulletin`."""
        seen = Warning.objects.filter(path_filter("region__path", request.auth.scope.water_paths), pk=pk)
        return _message(request, {"warning__in": seen})


class OrderCap(APIView):
    @extend_schema(parameters=[BULLETIN], responses={(200, CAP_XML): OpenApiTypes.STR})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """What was said about an order to its whole audience, as CAP 1.2."""
        seen = path_filter("order__authority__path", request.auth.scope.paths)
        return _message(request, {"pk__in": Bulletin.objects.filter(seen, order=pk, officers=[])})


class WarningsAtom(APIView):
    @extend_schema(responses={(200, ATOM_XML): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """The newest message of each warning of the caller's districts, newest first: open, or of the last 24 hours.

        What reads the feed sees the end of a warning: a missing entry could as well be a fault.
        """
        at = now()
        newest = Bulletin.objects.filter(warning=OuterRef("pk")).order_by("-id")
        lately = Bulletin.objects.filter(issued_at__gt=at - SHOWN_FOR, warning=OuterRef("pk"))
        seen = Warning.objects.filter(Q(ended_at=None) | Exists(lately))
        wanted = seen.filter(path_filter("region__path", request.auth.scope.water_paths))
        wanted = wanted.annotate(said=Subquery(newest.values("pk")[:1])).values("said")
        rows = Bulletin.objects.filter(pk__in=wanted).order_by("-issued_at", "-id")[:MOST_ENTRIES]
        address = request.build_absolute_uri("/api/v1")
        return HttpResponse(atom_of(rows, address, at), ATOM_XML)
