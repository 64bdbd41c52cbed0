"""Doors of followed stations: follow, give up, list with the live level. Rules stand in alerts/follows.py."""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import follows
from foundation.clock import now
from hydrology.doors.live import private
from hydrology.shapes import LevelItem


class FollowIn(serializers.Serializer[object]):
    threshold_m = serializers.FloatField(
        allow_null=True, default=None, help_text="in the station's datum; left out: only shown"
    )


class FollowItem(serializers.Serializer[object]):
    station = serializers.CharField()
    threshold_m = serializers.FloatField(allow_null=True)
    passed = serializers.BooleanField(allow_null=True, help_text="null: no threshold, or nobody can know")
    told_at = serializers.DateTimeField(allow_null=True, help_text="instant of the reading told of")
    created_at = serializers.DateTimeField()
    level = LevelItem()


class Followed(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = FollowItem(many=True)


class Follows(APIView):
    @extend_schema(operation_id="follows", responses={200: Followed, 304: None})
    def get(self, request: Request) -> HttpResponse:
        """What I follow, in order of code, each with its live level and whether my threshold is passed."""
        return private(follows.followed(request.user.pk, request.auth.scope, now=now()))


class FollowStation(APIView):
    @extend_schema(
        operation_id="follow_station", request=FollowIn, responses={200: FollowItem, 201: FollowItem}
    )
    def put(self, request: Request, code: str) -> Response:
        """Follow a station of my waters, or change my threshold; a passed threshold is told once, by the inbox."""
        asked = FollowIn(data=request.data)
        asked.is_valid(raise_exception=True)
        at, scope = now(), request.auth.scope
        made = follows.follow(request.user.pk, scope, code, asked.validated_data["threshold_m"], now=at)
        items = follows.followed(request.user.pk, scope, now=at)["items"]
        return Response(next(item for item in items if item["station"] == code), status=201 if made else 200)

    @extend_schema(operation_id="unfollow_station", responses={204: None})
    def delete(self, request: Request, code: str) -> Response:
        """Follow it no more; whether I did does not matter."""
        follows.unfollow(request.user.pk, code)
        return Response(status=204)
