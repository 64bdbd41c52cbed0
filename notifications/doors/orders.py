"""Two doors of orders that need to know the people: issuing, which counts them, and papers, which they may open."""

from django.db import transaction
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import papers
from alerts.doors.orders import handed_out, whole
from alerts.models import Attachment
from alerts.order_shapes import MOST_UNDO_S, OrderOut
from alerts.shapes import NoteIn
from foundation.clock import now
from foundation.errors import not_found
from hydrology.models import path_filter
from notifications.doors.told import told
from notifications.issuing import issue
from officers import audit


class IssueIn(NoteIn):
    officers = serializers.IntegerField(
        min_value=0,
        default=None,
        allow_null=True,
        help_text="the head count as a person typed it; refused with `head_count` when it is not the present one",
    )
    undo_s = serializers.IntegerField(
        min_value=0,
        max_value=MOST_UNDO_S,
        default=0,
        help_text="seconds in which `undo` takes it back; 0: it goes at once",
    )


class IssueOrder(APIView):
    @extend_schema(operation_id="order_issue", request=IssueIn, responses=OrderOut)
    def post(self, request: Request, pk: int) -> Response:
        """Issue an approved order: at once, after the undo window, or at its `effective_at`. Nobody there: refused."""
        asked = IssueIn(data=request.data)
        asked.is_valid(raise_exception=True)
        at, said = now(), asked.validated_data
        issue(
            pk, request.user.pk, request.auth.scope,
            now=at, note=said["note"], typed=said["officers"], undo_s=said["undo_s"],
        )  # fmt: skip
        return whole(request, pk, at)


class OrderPaper(APIView):
    @extend_schema(
        operation_id="order_paper", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, pk: int, paper: int) -> HttpResponseBase:
        """A paper of an order, for whom the order was delivered to and who sees its authority. ETag/304."""
        mine = told(request.user.pk, pk, "order")
        seen = path_filter("order__authority__path", request.auth.scope.paths) | mine
        found = Attachment.objects.filter(seen, order=pk, pk=paper)
        row = found.defer("body").first()
        if row is None:
            raise not_found("附件", "attachment")
        return handed_out(
            request,
            row.name,
            row.media_type,
            row.sha256,
            lambda: bytes(found.values_list("body", flat=True)[0]),
        )

    @extend_schema(operation_id="order_detach", responses={204: None})
    def delete(self, request: Request, pk: int, paper: int) -> Response:
        """Take a paper away from a draft or rejected order. Kept in the audit log."""
        with transaction.atomic():
            gone = papers.remove(pk, paper, request.auth.scope)
            detail = {"paper": paper, "sha256": gone.sha256, "added_by": gone.added_by_id}
            audit.record(request.user.pk, "order.detach", f"order:{pk}", detail, now())
        return Response(status=204)
