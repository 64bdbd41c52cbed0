"""Door of a warning explained: what an event rested on, and whether the stored rows still say the same."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.assessment.lifecycle import PlaceState
from alerts.explain import Recomputed, recompute
from alerts.models import Warning, WarningEvent
from alerts.shapes import WARNING_CODES, WarningEventOut, reasons_out
from foundation.errors import not_found
from hydrology.models import Region, path_filter

Json = dict[str, Any]


class RecomputedOut(serializers.Serializer[object]):
    streets = serializers.DictField(
        child=serializers.ChoiceField(choices=list(WARNING_CODES.values())),
        help_text="by street (of a level notice: by station) the level as it comes out today",
    )
    differs = serializers.ListField(child=serializers.CharField(), help_text="what did not come out again")


class TableOut(serializers.Serializer[object]):
    version = serializers.CharField()
    rows = serializers.JSONField(
        help_text="{window: [notice, attention, alert, emergency]}; levels: by class"
    )


class ValuesOut(serializers.Serializer[object]):
    source = serializers.CharField(help_text="station:CODE or cell:LON,LAT")
    slots = serializers.ListField(help_text="[[END, mm or null], …] of the longest window")


class ExplainedStreet(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.ChoiceField(
        choices=list(WARNING_CODES.values()), help_text="what its rain comes to in this slot"
    )
    before = serializers.ChoiceField(
        choices=list(WARNING_CODES.values()), allow_null=True, help_text="in force before it; null: not noted"
    )
    after = serializers.ChoiceField(choices=list(WARNING_CODES.values()), allow_null=True)
    corroborated = serializers.BooleanField()
    community = serializers.CharField(
        allow_null=True, help_text="where it was found, when watched by community"
    )
    reasons = serializers.JSONField(help_text="windows that reached a level, the gravest first")
    thresholds = serializers.JSONField(help_text="{window: the four marks in mm}")
    values_mm = ValuesOut()
    marks = serializers.JSONField(
        help_text="{window: {value_mm, source, share, agree_mm, doubted, level, next_mm}}, as recomputed"
    )


class ExplainedOut(serializers.Serializer[object]):
    event = WarningEventOut()
    same = serializers.BooleanField(allow_null=True, help_text="null: not computed, `why` says why")
    why = serializers.CharField(allow_null=True)
    why_en = serializers.CharField(allow_null=True)
    recomputed = RecomputedOut(allow_null=True)
    table = TableOut(allow_null=True)
    nowcast = serializers.JSONField(allow_null=True, help_text="{id, issued_at}")
    grids = serializers.ListField(child=serializers.IntegerField())
    missing_share = serializers.FloatField(allow_null=True)
    excluded = serializers.ListField(child=serializers.CharField(), help_text="stations left out")
    doubted = serializers.JSONField(help_text="{station: {why, slots}}")
    streets = ExplainedStreet(many=True)
    station = serializers.JSONField(
        allow_null=True, help_text="level notices: readings, limits, season, rate, rain, reasons"
    )


class Explained(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("event", int, description="one of the warning's events; else the last")],
        responses=ExplainedOut,
    )
    def get(self, request: Request, pk: int) -> Response:
        """The very rows, cells, marks and rule version of an event, and the same computed again from what is stored."""
        scope = request.auth.scope
        warning = Warning.objects.filter(path_filter("region__path", scope.water_paths), pk=pk).first()
        if warning is None:
            raise not_found("预警", "warning")
        event = _asked(request, warning.events.select_related("warning__station", "actor"))
        return Response(ExplainedOut(_explained(event, recompute(event))).data)


def _asked(request: Request, events: QuerySet[WarningEvent]) -> WarningEvent:
    wanted = request.query_params.get("event", "")
    if wanted:
        events = events.filter(pk=int(wanted) if wanted.isdecimal() and len(wanted) < 19 else -1)
    event = events.order_by("-pk").first()
    if event is None:
        raise not_found("预警事件", "event")
    return event


def _explained(event: WarningEvent, made: Recomputed) -> Json:
    told, streets = reasons_out(event.reasons), event.reasons.get("streets", {})
    names = dict(Region.objects.filter(pk__in=streets).values_list("code", "name"))
    zh, en = made.says
    return {
        "event": event,
        "same": made.same,
        "why": zh or None,
        "why_en": en or None,
        "recomputed": {"streets": _levels(event, made), "differs": made.differs}
        if made.same is not None
        else None,
        "table": {"version": made.version, "rows": made.rows} if made.version else None,
        "nowcast": told.get("nowcast"),
        "grids": told.get("grids", []),
        "missing_share": told.get("missing_share"),
        "excluded": told.get("excluded", []),
        "doubted": told.get("doubted", {}),
        "streets": [_street(code, names.get(code, code), its, made) for code, its in sorted(streets.items())],
        "station": told if event.warning.station_id else None,
    }


def _levels(event: WarningEvent, made: Recomputed) -> dict[str, str]:
    if event.warning.station_id:
        return {event.warning.station_id: WARNING_CODES[made.reasons["after"]]} if made.reasons else {}
    return {code: WARNING_CODES[its["level"]] for code, its in made.reasons.get("streets", {}).items()}


def _street(code: str, name: str, told: Json, made: Recomputed) -> Json:
    noted = "after" in told
    before = (told.get("before") or {}) if noted else None
    return {
        "code": code,
        "name": name,
        "level": WARNING_CODES[told["level"]],
        "before": None if before is None else WARNING_CODES[PlaceState.from_json(before).in_force],
        "after": WARNING_CODES[told["after"]] if noted else None,
        "corroborated": told["corroborated"],
        "community": told.get("community"),
        "reasons": told["reasons"],
        "thresholds": made.rows,
        "values_mm": reasons_out(told["values_mm"]),
        "marks": made.marks.get(code, {}),
    }
