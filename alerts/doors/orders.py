"""Doors of orders: plans, drafts, verbs, papers in, what is in force. Issuing stands in notifications, which can count."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q
from django.http import HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import drafts, orders, papers, plans, proposals, responses
from alerts.api import Newest
from alerts.models import Hazard, ResponseOrder, ResponseOrderQuerySet
from alerts.order_shapes import AttachmentOut, MeasuresOut, OrderIn, OrderOut, PlansOut, ResponsesOut
from alerts.shapes import NoteIn
from foundation.clock import now
from foundation.errors import Refusal, not_found
from hydrology.doors.asked import CURSOR, LIMIT, choice, page_of
from hydrology.models import Region, path_filter

UPLOAD = {
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
}


def seen(request: Request, mine: Q | None = None) -> ResponseOrderQuerySet:
    """Orders of authorities the caller sees, and those that `mine` says are his."""
    return ResponseOrder.objects.filter(
        path_filter("authority__path", request.auth.scope.paths) | (mine or Q())
    )


def whole(request: Request, pk: int, at: datetime, mine: Q | None = None) -> Response:
    """The order as its door shows it; `mine` as `seen`."""
    order = seen(request, mine).whole().filter(pk=pk).first()
    if order is None:
        raise not_found("指令", "order")
    return Response(OrderOut(order, context={"now": at}).data)


def handed_out(
    request: Request, name: str, media_type: str, sha256: str, body: Callable[[], bytes]
) -> HttpResponseBase:
    """Kept bytes as a download that nothing opens by itself; `body` is read only when the caller lacks them. ETag/304."""
    answer: HttpResponseBase = HttpResponseNotModified()
    tag = f'"{sha256}"'
    if request.headers.get("If-None-Match") != tag:
        answer = HttpResponse(body(), media_type)
        answer["Content-Disposition"] = content_disposition_header(True, name)
    answer["ETag"] = tag
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["Cache-Control"] = "private, no-cache"
    return answer


class Orders(APIView):
    @extend_schema(operation_id="v1_orders_list", parameters=[CURSOR, LIMIT], responses=page_of(OrderOut))
    def get(self, request: Request) -> Response:
        """Orders of the caller's regions, newest first."""
        return Newest().answer(self, seen(request).whole(), OrderOut, now=now())

    @extend_schema(request=OrderIn, responses={201: OrderOut})
    def post(self, request: Request) -> Response:
        """Draft an order; nothing is sent until another person has approved it and it is issued."""
        asked = OrderIn(data=request.data)
        asked.is_valid(raise_exception=True)
        at, said, scope = now(), dict(asked.validated_data), request.auth.scope
        proposal = said.pop("proposal", None)
        if proposal is None:
            order = drafts.draft(request.user.pk, scope, said, now=at)
        else:
            order = proposals.draft_proposed(proposal, request.user.pk, scope, said, now=at)
        answer = whole(request, order.pk, at)
        answer.status_code = 201
        return answer


class OrderAct(APIView):
    @extend_schema(operation_id="order_act", request=NoteIn, responses=OrderOut)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """submit, approve, reject, undo, withdraw or end; approve needs a second person of the command.

        undo takes an issued order back before its first push; withdraw and end tell the people of an order that was sent.
        """
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        at, note = now(), asked.validated_data["note"]
        orders.act(pk, verb, request.user.pk, request.auth.scope, now=at, note=note)
        return whole(request, pk, at)


class OrderPapers(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="order_attach", request=UPLOAD, responses={200: AttachmentOut, 201: AttachmentOut}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Add a paper (PDF, PNG, JPEG, DOCX, XLSX by content, at most 10 MB, 10 an order) to a draft or rejected order."""
        file = request.data.get("file")
        if not isinstance(file, UploadedFile):
            raise Refusal(
                "invalid",
                zh="请以 multipart 的 file 字段上传文件。",
                en="Send the file as the multipart field `file`.",
                fields={"file": "required"},
            )
        if (file.size or 0) > papers.MOST_BYTES:
            raise papers.TOO_LARGE
        paper, new = papers.add(
            pk, file.name or "", file.read(), request.user.pk, request.auth.scope, now=now()
        )
        return Response(AttachmentOut(paper).data, status=201 if new else 200)


class Plans(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("hazard", str, enum=Hazard.values),
            OpenApiParameter(
                "authority", str, description="region code: only plans for its kind of authority"
            ),
        ],
        responses=PlansOut,
    )
    def get(self, request: Request) -> Response:
        """Templates of orders in force; what is asked for is a template's key when drafting."""
        version, table = plans.in_force(now())
        found = list(table.values())
        if hazard := choice(request, "hazard", Hazard.values):
            found = [plan for plan in found if plan.hazard == hazard]
        if code := request.query_params.get("authority"):
            level = _region(request, code, "发布机关", "authority").level
            found = [plan for plan in found if plan.authority_level == level]
        items = [_plan(asdict(plan)) for plan in found]
        return Response({"version": version, "items": items})


class Responses(APIView):
    @extend_schema(operation_id="responses", responses=ResponsesOut)
    def get(self, request: Request) -> Response:
        """Response levels in force that concern the caller's regions: of his authorities, those above and below."""
        return Response(responses.responses(request.auth.scope.paths, now=now()))


class Measures(APIView):
    @extend_schema(
        operation_id="measures", parameters=[OpenApiParameter("region", str)], responses=MeasuresOut
    )
    def get(self, request: Request) -> Response:
        """五停 in force that concern the caller's regions, or one of them."""
        code = request.query_params.get("region")
        region = _region(request, code, "区域", "region") if code else None
        return Response(responses.measures(request.auth.scope.paths, now=now(), region=region))


def _region(request: Request, code: str, zh: str, en: str) -> Region:
    region = Region.objects.filter(path_filter("path", request.auth.scope.paths), pk=code).first()
    if region is None:
        raise not_found(zh, en)
    return region


def _plan(plan: dict[str, Any]) -> dict[str, Any]:
    return plan | {"measures": [{"sector": sector} for sector in plan.pop("sectors")]}
