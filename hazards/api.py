"""Doors of forms and task reports of an order, from the ground and for the desk; reports of dangers: doors/. No rules."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from foundation.errors import Refusal, not_found
from foundation.scope import below
from hazards import feedback, tasks
from hazards.models import Feedback, TaskReport, TaskState
from hazards.rollup import roll_up
from hazards.scoping import seen, view_of
from hazards.shapes import (
    FeedbackIn,
    FeedbackOut,
    MineOut,
    RollUpOut,
    StandingsOut,
    TaskReportIn,
    TaskReportOut,
)

REGION = OpenApiParameter(
    "region", str, description="one of the caller's; left out: the highest the order touches"
)


class OrderFeedback(APIView):
    @extend_schema(
        operation_id="feedback",
        parameters=[REGION, OpenApiParameter("period", int, description="left out: the running one")],
        responses=RollUpOut,
    )
    def get(self, request: Request, pk: int) -> Response:
        """What the forms amount to below the region, who has reported in the period and who is missing."""
        paths, asked = request.auth.scope.paths, request.query_params
        order = seen(pk, paths)
        region = view_of(order, paths, asked.get("region"))
        return Response(
            RollUpOut(roll_up(order, region, number=_number(asked.get("period")), now=now())).data
        )

    @extend_schema(operation_id="feedback_file", request=FeedbackIn, responses={201: FeedbackOut})
    def post(self, request: Request, pk: int) -> Response:
        """File the form of the region of a post of mine. A correction is another form; the newest counts."""
        filed = feedback.file(pk, request.user.pk, request.auth.scope, request.data, now=now())
        row = Feedback.objects.select_related("officer", "region").get(pk=filed.pk)
        return Response(FeedbackOut(row).data, status=201)


class OrderTasks(APIView):
    @extend_schema(operation_id="order_tasks", parameters=[REGION], responses=StandingsOut)
    def get(self, request: Request, pk: int) -> Response:
        """How the order's tasks stand, per child region; for duty desks and commands."""
        scope = request.auth.scope
        paths = (*scope.desk_paths, *scope.command_paths)
        if not paths:
            scope.require_desk("")
        order = seen(pk, paths)
        if order.released_at is None and not below(order.authority.path, paths):
            raise not_found("指令", "order")  # another authority's draft
        region = view_of(order, paths, request.query_params.get("region"))
        at = now()
        items = tasks.standing(order, region, now=at)
        return Response(StandingsOut({"order": pk, "region": region, "as_of": at, "items": items}).data)


class MyTasks(APIView):
    @extend_schema(operation_id="my_order_tasks", responses=MineOut)
    def get(self, request: Request, pk: int) -> Response:
        """My tasks of the order, and of the orders in force of its thread, each with what I said last."""
        items = tasks.mine(pk, request.user.pk, request.auth.scope, now=now())
        return Response(MineOut({"items": items}, context={"language": request.user.language}).data)


class TaskReports(APIView):
    @extend_schema(operation_id="task_report", request=TaskReportIn, responses={201: TaskReportOut})
    def post(self, request: Request, pk: int, task: int) -> Response:
        """Say how a task of mine stands: doing, done, or blocked and why. The newest counts."""
        asked = TaskReportIn(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        said = tasks.Said(**{**values, "state": TaskState(values["state"])})
        row: TaskReport = tasks.report(pk, task, request.user.pk, request.auth.scope, said, now=now())
        return Response(TaskReportOut(row).data, status=201)


def _number(raw: str | None) -> int | None:
    if not raw:
        return None
    if not raw.isdecimal() or len(raw) > 6:
        raise Refusal(
            "invalid",
            zh="period 须为期号，从 1 开始。",
            en="period must be the number of a period, from 1.",
            fields={"period": raw[:20]},
        )
    return int(raw)
