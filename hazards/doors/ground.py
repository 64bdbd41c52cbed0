"""Doors of reports from the ground: taking them in, reading them, their photos, what becomes of them. No rules here."""

from collections.abc import Sequence

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.api import Newest
from alerts.doors.orders import handed_out
from foundation.bodies import JsonBody
from foundation.clock import now
from foundation.errors import not_found
from hazards import ground, ground_acts
from hazards.ground_form import read_report, refused
from hazards.ground_shapes import GroundIn, GroundOut, GroundWholeOut, MoveIn, SendablesOut
from hazards.models import CloseReason, GroundPhoto, GroundReport, GroundReportQuerySet
from hydrology.doors.asked import CURSOR, LIMIT, flag, page_of
from hydrology.models import Region, path_filter


def seen(request: Request) -> GroundReportQuerySet:
    return GroundReport.objects.seen_by(request.user.pk, request.auth.scope)


def shown(request: Request, reports: Sequence[GroundReport]) -> dict[str, object]:
    """What the shape needs beside the rows, for all of them at once."""
    officer, scope = request.user.pk, request.auth.scope
    return {
        "officer": officer,
        "scope": scope,
        "near": ground.near(reports, officer, scope),
        "places": ground.places(made.region for made in reports),
    }


def whole(request: Request, pk: int, status: int = 200) -> Response:
    rows = seen(request).whole().prefetch_related("events__actor", "events__assignee")
    made = rows.filter(pk=pk).first()
    if made is None:
        raise not_found("上报", "report")
    return Response(GroundWholeOut(made, context=shown(request, [made])).data, status=status)


class Hazards(APIView):
    parser_classes = [MultiPartParser, JsonBody]

    @extend_schema(
        operation_id="hazards",
        parameters=[
            OpenApiParameter("region", str, description="code of one of the caller's regions, or below"),
            OpenApiParameter("open", bool, description="1: not closed yet; 0: closed; left out: both"),
            CURSOR,
            LIMIT,
        ],
        responses=page_of(GroundOut),
    )
    def get(self, request: Request) -> Response:
        """Reports from the caller's regions, his own, and those he was sent to, newest first."""
        rows = seen(request).whole()
        if code := request.query_params.get("region"):
            mine = path_filter("path", request.auth.scope.paths)
            region = Region.objects.filter(mine, pk=code).first()
            if region is None:
                raise not_found("区域", "region")
            rows = rows.filter(region__path__startswith=region.path)
        wanted = flag(request, "open")
        if wanted is not None:
            rows = rows.open() if wanted else rows.filter(closed_at__isnull=False)
        pages = Newest()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response(GroundOut(page, many=True, context=shown(request, page)).data)

    @extend_schema(
        operation_id="hazard_report",
        request={"multipart/form-data": GroundIn, "application/json": GroundIn},
        responses={201: GroundWholeOut},
    )
    def post(self, request: Request) -> Response:
        """Report a danger from where I stand, be it in none of my regions. The same `client_id` again: the same one."""
        if not isinstance(request.data, dict):
            raise refused({"body": "须为表单或对象 / must be a form or an object"})
        files = {name: request.FILES.getlist(name) for name in request.FILES}
        raw = {name: request.data.get(name) for name in request.data if name not in files}
        said = read_report(raw, files, request.headers.get("Idempotency-Key", ""))
        made, _ = ground.report(request.user.pk, request.auth.scope, said, now=now())
        return whole(request, made.pk, 201)


class OneHazard(APIView):
    @extend_schema(operation_id="hazard", responses=GroundWholeOut)
    def get(self, request: Request, pk: int) -> Response:
        """One report with its stamp, its photos and every step of its life."""
        return whole(request, pk)


class HazardPhoto(APIView):
    @extend_schema(
        operation_id="hazard_photo", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, pk: int, number: int) -> HttpResponseBase:
        """A photo byte for byte, for whom the report is shown to. ETag/304."""
        found = GroundPhoto.objects.filter(report__in=seen(request).filter(pk=pk), number=number)
        photo = found.defer("body").first()
        if photo is None:
            raise not_found("照片", "photo")
        name = f"{pk}-{number}.{photo.media_type.split('/')[1]}"
        return handed_out(
            request,
            name,
            photo.media_type,
            photo.sha256,
            lambda: bytes(found.values_list("body", flat=True)[0]),
        )


class HazardPeople(APIView):
    @extend_schema(
        operation_id="hazard_people",
        parameters=[OpenApiParameter("q", str, description="part of a name, or how his number ends")],
        responses=SendablesOut,
    )
    def get(self, request: Request, pk: int) -> Response:
        """Who can be sent there: posts in its street, below and above, nearest first, at most 50. For desks and commands."""
        words = request.query_params.get("q", "").strip()[:40]
        items = ground_acts.people(pk, request.user.pk, request.auth.scope, words, now=now())
        return Response(SendablesOut({"items": items}).data)


class HazardAct(APIView):
    @extend_schema(operation_id="hazard_act", request=MoveIn, responses=GroundWholeOut)
    def post(self, request: Request, pk: str, verb: str) -> Response:
        """assign somebody, say that work is in progress, or close it for a reason.

        assign and close are the duty desk's or command's of its region or above; progress also his who was sent.
        """
        asked = MoveIn(data=request.data)
        asked.is_valid(raise_exception=True)
        said = dict(asked.validated_data)
        if reason := said.get("reason"):
            said["reason"] = CloseReason(reason)
        move = ground_acts.Move(**said)
        made = ground_acts.act(int(pk), verb, request.user.pk, request.auth.scope, move, now=now())
        return whole(request, made.pk)
