"""Doors of the call-out desk, for duty desks, below their regions. No rules here: escalation/calls.py."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from escalation import calls
from escalation.models import CallResult, CallTask
from escalation.shapes import CallOut, CallResultIn, PhoneOut, call_shape
from foundation.clock import now
from hydrology.doors.asked import CURSOR, LIMIT, Pages, flag, page_of


class GravestFirst(Pages):
    ordering = ("place",)  # unique: a cursor's position is its first column only
    page_size = 50


def _shown(request: Request, pk: int) -> Response:
    task = CallTask.objects.listed().get(pk=pk)
    return Response(call_shape(task, request.user.language, request.user.pk))


class Calls(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("open", bool, description="1: still to be called (the default); 0: done"),
            CURSOR,
            LIMIT,
        ],
        responses=page_of(CallOut),
        operation_id="calls",
    )
    def get(self, request: Request) -> Response:
        """Who is to be called by hand, the gravest first, then whose call was made first. Numbers are masked."""
        scope = request.auth.scope
        if not scope.desk_paths:
            scope.require_desk("")
        tasks = CallTask.objects.below(scope.desk_paths)
        done = flag(request, "open") is False
        rows = tasks.filter(done_at__isnull=False) if done else tasks.open(now())
        pages = GravestFirst()
        page = pages.paginate_queryset(rows.listed(), request, view=self) or []
        shown = [call_shape(task, request.user.language, request.user.pk) for task in page]
        return pages.get_paginated_response(shown)


class Claim(APIView):
    @extend_schema(request=None, responses=CallOut, operation_id="call_claim")
    def post(self, request: Request, pk: int) -> Response:
        """Take this call; nobody else can then. Claiming again what is one's own is no fault."""
        calls.claim(pk, request.auth.scope, request.user.pk, now())
        return _shown(request, pk)


class Release(APIView):
    @extend_schema(request=None, responses=CallOut, operation_id="call_release")
    def post(self, request: Request, pk: int) -> Response:
        """Give one's own call back to the list."""
        calls.release(pk, request.auth.scope, request.user.pk, now())
        return _shown(request, pk)


class Result(APIView):
    @extend_schema(request=CallResultIn, responses=CallOut, operation_id="call_result")
    def post(self, request: Request, pk: int) -> Response:
        """What came of one's own call; `answered` ends the climb."""
        asked = CallResultIn(data=request.data)
        asked.is_valid(raise_exception=True)
        result, note = CallResult(asked.validated_data["result"]), asked.validated_data["note"]
        calls.finish(pk, request.auth.scope, request.user.pk, result, note, now())
        return _shown(request, pk)


class Phone(APIView):
    @extend_schema(request=None, responses=PhoneOut, operation_id="call_phone")
    def post(self, request: Request, pk: int) -> Response:
        """The full number of one's own call. Every look is in the audit log."""
        number = calls.reveal(pk, request.auth.scope, request.user.pk, now())
        return Response({"phone": number}, headers={"Cache-Control": "no-store"})
