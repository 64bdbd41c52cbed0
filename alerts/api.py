"""Doors of the alerts room: warnings to read, checks to answer. No queries beyond a scoped QuerySet, no rules."""

from django.db.models import Prefetch, Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import checks
from alerts.models import (
    Hazard,
    Warning,
    WarningEvent,
    WarningQuerySet,
    WarningStreet,
)
from alerts.shapes import (
    WARNING_CODES,
    CheckAnswerIn,
    CheckOut,
    ChecksOut,
    WarningOut,
    WarningWhole,
)
from foundation.clock import now
from foundation.errors import not_found
from hydrology.models import path_filter


class Newest(CursorPagination):
    ordering = "-id"
    page_size = 50


def _warnings(request: Request) -> WarningQuerySet:
    return (
        Warning.objects.filter(path_filter("region__path", request.auth.scope.water_paths))
        .select_related("region", "station")
        .prefetch_related(
            Prefetch("streets", WarningStreet.objects.select_related("region").order_by("region_id")),
            Prefetch("events", WarningEvent.objects.order_by("id")),
        )
    )


class Warnings(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("active", bool),
            OpenApiParameter("region", str, description="district or street code"),
            OpenApiParameter("hazard", str, enum=Hazard.values),
            OpenApiParameter("level", str, enum=list(WARNING_CODES.values())),
        ],
        responses=WarningOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Warnings of the caller's districts, newest first, each with the reasons of its present level."""
        rows = _warnings(request)
        if request.query_params.get("active") in {"1", "true"}:
            rows = rows.open()
        if region := request.query_params.get("region"):
            rows = rows.filter(Q(region=region) | Q(region__parent=region))
        if hazard := request.query_params.get("hazard"):
            rows = rows.filter(hazard=hazard)
        if level := request.query_params.get("level"):
            rows = rows.filter(level=next((v for v, code in WARNING_CODES.items() if code == level), -1))
        pages = Newest()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(WarningOut(page, many=True).data)


class OneWarning(APIView):
    @extend_schema(responses=WarningWhole)
    def get(self, request: Request, pk: int) -> Response:
        """One warning with its chain of events and everything that was said about it."""
        warning = _warnings(request).filter(pk=pk).prefetch_related("bulletins").first()
        if warning is None:
            raise not_found("预警", "warning")
        return Response(WarningWhole(warning).data)


class Checks(APIView):
    @extend_schema(parameters=[OpenApiParameter("open", bool)], responses=ChecksOut)
    def get(self, request: Request) -> Response:
        """Doubted rain to be checked in the regions whose duty desk the caller staffs, newest first, at most 200."""
        asked = request.query_params.get("open")
        rows = checks.listed(request.auth.scope, asked in {"1", "true"} if asked else None)
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
