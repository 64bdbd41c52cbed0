"""Door of storms: what they came to, for people."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.models import Hazard
from alerts.shapes import NamedRegion
from hydrology.doors.asked import flag
from notifications import storms


class StormOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    hazard = serializers.ChoiceField(choices=Hazard.choices)
    drill = serializers.BooleanField()
    began_at = serializers.DateTimeField(help_text="data time")
    last_at = serializers.DateTimeField(help_text="data time; when it last moved")
    ended_at = serializers.DateTimeField(allow_null=True)
    streets = NamedRegion(many=True, help_text="every street it has touched")
    warnings = serializers.ListField(child=serializers.IntegerField())
    people = serializers.IntegerField(help_text="who heard of it, below the caller's regions")
    messages = serializers.IntegerField()
    rung = serializers.IntegerField(help_text="messages that rang; the others renewed one in place")


class StormsOut(serializers.Serializer[object]):
    items = StormOut(many=True)


class Storms(APIView):
    @extend_schema(parameters=[OpenApiParameter("active", bool)], responses=StormsOut)
    def get(self, request: Request) -> Response:
        """The newest storms over the caller's water, at most 50, with the messages they came to."""
        active = bool(flag(request, "active"))
        return Response({"items": storms.listed(request.auth.scope, active=active)})
