"""The doors of the duty room: pages and the JSON they stand on. Nothing is decided here.

The pages themselves are the same for everybody and hold no facts; what they show is asked for with the signed-in
officer's token, within his scope.
"""

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console import board, chain, reports
from console.report_pdf import pdf
from foundation import clock
from hydrology.doors import asked
from notifications.models import State
from notifications.shapes import PeopleOut
from officers import portal

CONTENT_POLICY = (  # blob: rain and radar pictures are fetched with the officer's token
    "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
DISPATCHES_AT_MOST = 100
SPAN = [
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="begin, a day before `until` unless told"),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="end, now unless told"),
]


PAGES = {  # address: (its word in words.js, in Chinese; template)
    "console/": ("page_board", "值班台", "console/board.html"),
    "console/danger": ("page_danger", "预警", "console/danger.html"),
    "console/orders": ("page_orders", "指令", "console/orders.html"),
    "console/ground": ("page_ground", "灾情", "console/ground.html"),
    "console/people": ("page_people", "叫应", "console/people.html"),
    "console/drills": ("page_drills", "演练", "console/drills.html"),
    "console/water": ("page_water", "水情", "console/water.html"),
    "console/feeds": ("page_feeds", "数据", "console/feeds.html"),
    "console/slo": ("page_slo", "运行", "console/slo.html"),
    "console/report": ("page_report", "复盘", "console/report.html"),
}


@require_safe
def page(request: HttpRequest, address: str) -> HttpResponse:
    """A page of the console; scripts and styles only from our own static files."""
    told = {"pages": PAGES, "here": address, "portal": portal.account() is not None}
    response = render(request, PAGES[address][2], told)
    response["Content-Security-Policy"] = CONTENT_POLICY
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
def back_from_portal(request: HttpRequest) -> HttpResponse:
    """Where the city's portal sends a browser; what its address holds is read by the page, not here."""
    if portal.account() is None:
        raise Http404
    response = render(request, "console/portal.html")
    response["Content-Security-Policy"] = CONTENT_POLICY
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"  # the address holds a code
    return response


class MapView(APIView):
    @extend_schema(operation_id="console_map", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Districts, streets and level stations with their centres; topics to listen to; what I may do."""
        return Response(board.map_of(request.auth.scope))


class DispatchesView(APIView):
    @extend_schema(
        operation_id="console_dispatches",
        parameters=[OpenApiParameter("limit", int, description="1 to 100, 20 unless told")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        """Recent bulletins on their way, newest first, with how many of my people they have reached."""
        limit = asked.whole(request, "limit", 1, DISPATCHES_AT_MOST, 20)
        items = board.recent_dispatches(request.auth.scope, limit)
        return Response({"as_of": clock.iso(clock.now()), "items": items})


class DispatchView(APIView):
    @extend_schema(operation_id="console_dispatch", parameters=[asked.AFTER], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, dispatch_id: int) -> Response:
        """One dispatch by district and street, and who has not answered, with his rung."""
        return Response(board.reach(request.auth.scope, dispatch_id, after=asked.after(request)))


class PeopleView(APIView):
    @extend_schema(
        operation_id="dispatch_people",
        parameters=[
            asked.AFTER,
            OpenApiParameter("q", str, description="part of a name or a place, or how his number ends"),
        ],
        responses=PeopleOut,
    )
    def get(self, request: Request, dispatch_id: int) -> Response:
        """Everybody of my people who was told of a message, the answered too."""
        words = request.query_params.get("q", "").strip()[:40]
        return Response(
            board.people(request.auth.scope, dispatch_id, words=words, after=asked.after(request))
        )


class StepOut(serializers.Serializer[object]):
    step = serializers.ChoiceField(choices=["accepted", *chain.STEPS])
    at = serializers.DateTimeField(allow_null=True, help_text="when we heard of it")
    source = serializers.CharField(help_text="fcm, sms, voice; http or socket: the app; call; task; a vendor")
    device_at = serializers.DateTimeField(allow_null=True, help_text="the phone's clock")
    skew_s = serializers.FloatField(allow_null=True, help_text="that clock minus ours, as it was sent")
    true_at = serializers.DateTimeField(allow_null=True, help_text="device_at by our clock")
    implied = serializers.BooleanField(help_text="nobody reported it, but a later step")


class SaidOut(serializers.Serializer[object]):
    state = serializers.CharField()
    at = serializers.DateTimeField()
    source = serializers.CharField()
    device_at = serializers.DateTimeField()
    skew_s = serializers.FloatField(allow_null=True)
    true_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()


class TryOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    errand = serializers.CharField()
    transport = serializers.CharField(help_text="fcm: by the app")
    made_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=State.choices)
    attempts = serializers.IntegerField()
    sent_at = serializers.DateTimeField(allow_null=True)
    devices = serializers.IntegerField(help_text="phones for which a vendor took it")
    reason = serializers.CharField()
    rerouted = serializers.CharField(help_text="why it went by text message instead of by app; else empty")


class ChainOut(serializers.Serializer[object]):
    dispatch = serializers.IntegerField()
    delivery = serializers.IntegerField(help_text="the id the phone knows")
    title_zh = serializers.CharField()
    title_en = serializers.CharField()
    requires = serializers.CharField()
    drill = serializers.BooleanField()
    issued_at = serializers.DateTimeField()
    deadline_at = serializers.DateTimeField(allow_null=True)
    officer = serializers.IntegerField()
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    region_name = serializers.CharField()
    duty = serializers.CharField(allow_null=True)
    quiet = serializers.BooleanField(help_text="only renewed what he had; the chain is that of what rang")
    steps = StepOut(many=True)
    said = SaidOut(many=True, help_text="every receipt as it came")
    tries = TryOut(many=True)
    reports = serializers.ListField(
        child=serializers.DictField(), help_text="of gateways: provider, state, at, received_at"
    )
    climb = serializers.DictField(allow_null=True, help_text="state, rung, rungs, due_at")
    rungs = serializers.ListField(
        child=serializers.DictField(), help_text="taken: errand, channel, due_at, taken_at, reached"
    )
    call = serializers.DictField(allow_null=True, help_text="by hand: made_at, claimed_at, done_at, result")


class ChainView(APIView):
    @extend_schema(operation_id="person_chain", responses=ChainOut)
    def get(self, request: Request, dispatch_id: int, officer: int) -> Response:
        """One person's chain for one message, of my people. Kept in the audit log."""
        grant = request.auth
        return Response(chain.chain(grant.scope, dispatch_id, officer, request.user.pk, now=clock.now()))


class RegionReachView(APIView):
    @extend_schema(
        operation_id="console_region_reach", parameters=[asked.AFTER], responses=OpenApiTypes.OBJECT
    )
    def get(self, request: Request, code: str) -> Response:
        """Everything still in force for one region's people, and who there has not answered."""
        found = board.region_reach(request.auth.scope, code, clock.now(), after=asked.after(request))
        return Response(found)


class FeedsView(APIView):
    @extend_schema(operation_id="console_feeds", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """The age of every feed, worst first. Duty desks, commanders and duty engineers only."""
        request.auth.scope.require_staff()
        now = clock.now()
        return Response({"as_of": clock.iso(now), "items": board.feeds(now)})


class ReportView(APIView):
    @extend_schema(operation_id="console_report", parameters=SPAN, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """What happened in a span to my regions: rain, warnings, orders, receipts, late steps, faults, fatigue."""
        return Response(_report(request))


class ReportPdfView(APIView):
    @extend_schema(
        operation_id="console_report_pdf",
        parameters=SPAN,
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> HttpResponse:
        """The same report on paper, in the language asked for."""
        drawn = pdf(_report(request), english=asked.language(request) == "en")
        headers = {"Content-Disposition": 'attachment; filename="report.pdf"', "Cache-Control": "no-store"}
        return HttpResponse(drawn, "application/pdf", headers=headers)


def _report(request: Request) -> dict[str, Any]:
    """The report asked for, within the caller's regions; raises Refusal 400 for a bad span."""
    now = clock.now()
    until = asked.time(request, "until", now)
    since = asked.time(request, "since", until - timedelta(days=1))
    return reports.report(since, until, request.auth.scope.paths, now)
