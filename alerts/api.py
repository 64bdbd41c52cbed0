"""Doors of the alerts room: checks to answer; the others stand in doors/. No queries, no rules."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import checks
from alerts.shapes import (
    CheckAnswerIn,
    CheckOut,
    ChecksOut,
)
from foundation.clock import now
from hydrology.doors.asked import Pages, flag


class Newest(Pages):
    ordering = "-id"
    page_size = 50


class Checks(APIView):
    @extend_schema(parameters=[OpenApiParameter("open", bool)], responses=ChecksOut)
    def get(self, request: Request) -> Response:
        """Doubted rain to be checked in the regions whose duty desk the caller staffs, newest first, at most 200."""
        rows = checks.listed(request.auth.scope, flag(request, "open"))
        return Response(ChecksOut({"items": rows}).data)


class CheckAnswered(APIView):
    @extend_schema(request=CheckAnswerIn, responses=CheckOut)
    def post(self, request: Request, pk: int) -> Response:
        """The desk's finding: `real` takes the doubts off for 3 h, `broken` leaves the station out. Given once."""
        asked = CheckAnswerIn(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        check = checks.answer(
            pk, said["answer"], said["hours"], request.user.pk, request.auth.scope, now=now()
        )
        return Response(CheckOut(check).data)
