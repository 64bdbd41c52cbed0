"""Doors of the monitoring room: the service levels for the duty engineer, the metrics for Prometheus."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from hydrology.doors import asked
from hydrology.doors.feeds import admit
from monitoring.metrics import exposition
from monitoring.slo import slo

FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class KeptOut(serializers.Serializer[object]):
    readings = serializers.IntegerField()
    good = serializers.IntegerField()


class PointOut(serializers.Serializer[object]):
    at = serializers.DateTimeField(help_text="begin of a quarter of an hour")
    worst = serializers.FloatField(allow_null=True)
    missed = serializers.BooleanField(help_text="one of its readings never came to pass")


class IndicatorOut(serializers.Serializer[object]):
    key = serializers.CharField()
    of = serializers.CharField(help_text="the vendor; empty")
    name = serializers.CharField()
    why = serializers.CharField(help_text="why this limit")
    unit = serializers.ChoiceField(choices=["s", "lines"])
    limit = serializers.FloatField(help_text="at most")
    objective = serializers.FloatField(help_text="share of readings that must be within it")
    now = serializers.FloatField(allow_null=True, help_text="null: not reached, or not known")
    known = serializers.BooleanField()
    good = serializers.BooleanField(allow_null=True)
    day = KeptOut()
    week = KeptOut()
    points = PointOut(many=True, help_text="of the last 24 hours")


class FaultOut(serializers.Serializer[object]):
    kind = serializers.ChoiceField(choices=["lease", "backlog", "silent", "vendor", "canary", "queue"])
    of = serializers.CharField()
    count = serializers.IntegerField()
    text = serializers.CharField()


class IncidentOut(serializers.Serializer[object]):
    kind = serializers.CharField(help_text="kind/of, or a word of the ladder's auditor")
    found_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    worst = serializers.IntegerField()
    other_way = serializers.CharField(allow_null=True, help_text="sms or voice: told by it besides the push")


class MessageOut(serializers.Serializer[object]):
    dispatch = serializers.IntegerField()
    issued_at = serializers.DateTimeField()
    kind = serializers.CharField()
    title = serializers.CharField()
    people = serializers.IntegerField()
    reachable = serializers.IntegerField(help_text="with a live device")
    readings = serializers.DictField(child=serializers.FloatField(allow_null=True))


class CanaryOut(serializers.Serializer[object]):
    provider = serializers.CharField()
    name = serializers.CharField()
    told_at = serializers.DateTimeField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    back_at = serializers.DateTimeField(allow_null=True)
    trip_s = serializers.FloatField(allow_null=True)
    over = serializers.BooleanField(help_text="nothing more is waited for")
    fault = serializers.CharField()


class JobOut(serializers.Serializer[object]):
    job = serializers.CharField()
    queue = serializers.CharField()
    period_s = serializers.FloatField()
    age_s = serializers.FloatField(allow_null=True, help_text="since it last went well")
    late = serializers.BooleanField()


class WaitingOut(serializers.Serializer[object]):
    transport = serializers.CharField()
    lane = serializers.IntegerField(help_text="0 life safety, 1 prompt, 2 bulk")
    state = serializers.CharField()
    lines = serializers.IntegerField()
    oldest_s = serializers.FloatField(help_text="since the oldest fell due; 0: none is due")


class SocketsOut(serializers.Serializer[object]):
    process = serializers.CharField()
    sockets = serializers.IntegerField()


class SloOut(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    indicators = IndicatorOut(many=True)
    faults = FaultOut(many=True, help_text="wrong now")
    incidents = IncidentOut(many=True, help_text="open, and of the last 24 hours; newest first")
    messages = MessageOut(many=True, help_text="the newest warnings and orders, no drills")
    canaries = CanaryOut(many=True)
    jobs = JobOut(many=True)
    waiting = WaitingOut(many=True)
    sockets = SocketsOut(many=True)


class Slo(APIView):
    @extend_schema(operation_id="slo", responses=SloOut)
    def get(self, request: Request) -> Response:
        """How the service keeps what it promises. The city's duty engineer and desk only; no person is named."""
        admit(request)
        return Response(slo(now(), english=asked.language(request) == "en"))


def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus. With METRICS_TOKEN to its bearer; without one to this machine itself, past no proxy; else 403."""
    if not may_read(request):
        return HttpResponse(
            "METRICS_TOKEN as a bearer, or unset and from the machine itself. 须以 METRICS_TOKEN 为 Bearer 令牌。\n",
            "text/plain; charset=utf-8",
            status=403,
        )
    return HttpResponse(exposition(now()), CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def may_read(request: HttpRequest) -> bool:
    """Whether it comes from who watches our machines."""
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
        return hmac.compare_digest(wanted, request.headers.get("Authorization", "").encode())
    proxied = any(name in request.META for name in FORWARDED)
    return not proxied and request.META.get("REMOTE_ADDR") in settings.LOOPBACK
