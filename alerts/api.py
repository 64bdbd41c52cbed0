"""Doors of the alerts room: warnings to read, orders to write. No queries beyond a scoped QuerySet, no rules."""

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import orders
from alerts.models import (
    Hazard,
    OrderEvent,
    ResponseLevel,
    ResponseOrder,
    Warning,
    WarningEvent,
    WarningLevel,
    WarningStreet,
)
from foundation.clock import SHENZHEN, now
from foundation.errors import not_found
from hydrology.models import path_filter

LEVEL_CODES = {level.value: "watch" if level.name == "WATCH" else level.name for level in ResponseLevel}


class At(serializers.DateTimeField):
    """An instant, ISO 8601 with +08:00."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(default_timezone=SHENZHEN, **kwargs)


class CodeField(serializers.ChoiceField):
    """An integer column spoken as its stable code."""

    def __init__(self, codes: dict[int, str], **kwargs: object) -> None:
        self.to_code = codes
        super().__init__(choices=[(code, code) for code in codes.values()], **kwargs)

    def to_representation(self, value: int) -> str:
        return self.to_code[value]

    def to_internal_value(self, data: object) -> int:
        code = super().to_internal_value(data)
        return next(value for value, its in self.to_code.items() if its == code)


WARNING_CODES = {level.value: level.name.lower() for level in WarningLevel}


class NamedRegion(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()


class StreetOut(serializers.ModelSerializer[WarningStreet]):
    code = serializers.CharField(source="region_id")
    name = serializers.CharField(source="region.name")
    level = CodeField(WARNING_CODES)

    class Meta:
        model = WarningStreet
        fields = ["code", "name", "level"]


class WarningEventOut(serializers.ModelSerializer[WarningEvent]):
    level = CodeField(WARNING_CODES)
    at = At()
    created_at = At()
    reasons = serializers.DictField()

    class Meta:
        model = WarningEvent
        fields = ["action", "level", "at", "created_at", "areas", "reasons"]


class BulletinOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    level = serializers.CharField()
    title = serializers.CharField(source="title_zh")
    title_en = serializers.CharField()
    push = serializers.CharField(source="push_zh")
    body = serializers.CharField(source="body_zh")
    issued_at = At()
    valid_until = At()
    areas = serializers.ListField(child=serializers.CharField())


class WarningOut(serializers.ModelSerializer[Warning]):
    level = CodeField(WARNING_CODES)
    peak_level = CodeField(WARNING_CODES)
    region = NamedRegion()
    streets = StreetOut(many=True)
    raised_at = At()
    ended_at = At(allow_null=True)
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = Warning
        fields = [
            "id", "hazard", "level", "peak_level", "region", "streets", "raised_at", "ended_at", "drill",
            "reasons",
        ]  # fmt: skip

    def get_reasons(self, warning: Warning) -> dict[str, object]:
        """The last event's reasons: what the present level rests on."""
        events = list(warning.events.all())
        return events[-1].reasons if events else {}


class WarningWhole(WarningOut):
    events = WarningEventOut(many=True)
    bulletins = BulletinOut(many=True)

    class Meta(WarningOut.Meta):
        fields = [*WarningOut.Meta.fields, "events", "bulletins"]


class Newest(CursorPagination):
    ordering = "-id"
    page_size = 50


def _warnings(request: Request) -> "object":
    return (
        Warning.objects.filter(path_filter("region__path", request.auth.scope.water_paths))
        .select_related("region")
        .prefetch_related(
            Prefetch("streets", WarningStreet.objects.select_related("region").order_by("region_id")),
            Prefetch("events", WarningEvent.objects.order_by("id")),
        )
    )


class Warnings(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("active", bool),
            OpenApiParameter("region", str, description="district code"),
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
            rows = rows.filter(region_id=region)
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


class OrderIn(serializers.ModelSerializer[ResponseOrder]):
    hazard = serializers.ChoiceField(choices=Hazard.choices, default=Hazard.FLOOD)
    level = CodeField(LEVEL_CODES)
    authority = serializers.CharField(max_length=32)
    areas = serializers.ListField(child=serializers.CharField(max_length=32), min_length=1, max_length=1000)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=["command", "desk", "flood", "reporter", "forest"]), min_length=1
    )
    title_zh = serializers.CharField(max_length=80)
    title_en = serializers.CharField(max_length=160, default="")
    text_zh = serializers.CharField(max_length=4000)
    text_en = serializers.CharField(max_length=8000, default="", allow_blank=True)
    deadline_at = At(default=None, allow_null=True)
    valid_until = At()
    drill = serializers.BooleanField(default=False)

    class Meta:
        model = ResponseOrder
        fields = [
            "hazard", "level", "authority", "areas", "duties", "title_zh", "title_en", "text_zh", "text_en",
            "deadline_at", "valid_until", "drill",
        ]  # fmt: skip


class OrderEventOut(serializers.ModelSerializer[OrderEvent]):
    at = At()
    actor = serializers.CharField(source="actor.name")

    class Meta:
        model = OrderEvent
        fields = ["at", "actor", "before", "after", "note"]


class OrderOut(serializers.ModelSerializer[ResponseOrder]):
    level = CodeField(LEVEL_CODES)
    authority = NamedRegion()
    deadline_at = At(allow_null=True)
    valid_until = At()
    created_at = At()
    drafted_by = serializers.IntegerField(source="drafted_by_id")
    approved_by = serializers.IntegerField(source="approved_by_id", allow_null=True)
    events = OrderEventOut(many=True)

    class Meta:
        model = ResponseOrder
        fields = [*OrderIn.Meta.fields, "id", "status", "drafted_by", "approved_by", "created_at", "events"]


class NoteIn(serializers.Serializer[object]):
    note = serializers.CharField(max_length=200, default="", allow_blank=True)


def _orders(request: Request) -> "object":
    return (
        ResponseOrder.objects.filter(path_filter("authority__path", request.auth.scope.paths))
        .select_related("authority")
        .prefetch_related(Prefetch("events", OrderEvent.objects.select_related("actor").order_by("id")))
    )


class Orders(APIView):
    @extend_schema(responses=OrderOut(many=True))
    def get(self, request: Request) -> Response:
        """Orders of the caller's regions, newest first."""
        pages = Newest()
        page = pages.paginate_queryset(_orders(request), request, view=self)
        return pages.get_paginated_response(OrderOut(page, many=True).data)

    @extend_schema(request=OrderIn, responses={201: OrderOut})
    def post(self, request: Request) -> Response:
        """Draft an order; nothing is sent until another person has approved it and it is issued."""
        asked = OrderIn(data=request.data)
        asked.is_valid(raise_exception=True)
        order = orders.draft(request.user.pk, request.auth.scope, asked.validated_data, now=now())
        return Response(OrderOut(_orders(request).get(pk=order.pk)).data, status=201)


class OneOrder(APIView):
    @extend_schema(responses=OrderOut)
    def get(self, request: Request, pk: int) -> Response:
        order = _orders(request).filter(pk=pk).first()
        if order is None:
            raise not_found("指令", "order")
        return Response(OrderOut(order).data)


class OrderAct(APIView):
    @extend_schema(request=NoteIn, responses=OrderOut)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """submit, approve, reject, issue, withdraw or end; approve needs a second person of the command."""
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        note = asked.validated_data["note"]
        orders.act(pk, verb, request.user.pk, request.auth.scope, now=now(), note=note)
        return Response(OrderOut(_orders(request).get(pk=pk)).data)


