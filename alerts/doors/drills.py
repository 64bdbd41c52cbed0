"""Doors of drills: plan, look, pause, resume, end; and the signed door their storm comes in by.

Beginning one asks who hears it, and the grade is counted in the ledger: both stand in notifications/doors/drills.py.
"""

from datetime import datetime

from django.db.models import Count, Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import drills
from alerts.api import Newest
from alerts.assessment.drill_words import Act
from alerts.drill_frames import take_frame
from alerts.models import Drill, DrillState
from alerts.shapes import At, NamedRegion, NoteIn
from foundation.clock import now
from foundation.errors import not_found
from hydrology.doors.asked import CURSOR, LIMIT, choice, page_of
from hydrology.doors.ingest import ANSWERS, MOST_GRID_BYTES, SIGNED, FeedDoor
from hydrology.ingest import Answer
from hydrology.models import Feed, Product, path_filter

PRODUCT_HEADER = "X-Product"
HERE = "|".join(verb for verb in drills.VERBS if verb != Act.BEGIN)


class DrillIn(serializers.Serializer[object]):
    name = serializers.CharField(max_length=80)
    authority = serializers.CharField(max_length=32, help_text="region code")
    areas = serializers.ListField(child=serializers.CharField(max_length=32), min_length=1, max_length=1000)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=["command", "desk", "flood", "reporter", "forest"]),
        min_length=1,
        max_length=5,
    )


class DrillOut(serializers.ModelSerializer[Drill]):
    authority = NamedRegion()
    officers = serializers.SerializerMethodField(help_text="how many take part; 0 before it begins")
    created_by = serializers.IntegerField(source="created_by_id", help_text="cannot begin it himself")
    created_by_name = serializers.CharField(source="created_by.name")
    created_at, began_at, ended_at = At(), At(allow_null=True), At(allow_null=True)
    frames = serializers.IntegerField(source="frame_count", help_text="fields of its storm")
    slot_at = At(allow_null=True, help_text="END of the last slot of its storm that was judged")

    class Meta:
        model = Drill
        fields = [
            "id", "name", "authority", "areas", "duties", "state", "why", "officers", "created_by",
            "created_by_name", "created_at", "began_at", "ended_at", "frames", "slot_at",
        ]  # fmt: skip

    def get_officers(self, drill: Drill) -> int:
        return len(drill.officers)


class DrillActOut(serializers.Serializer[object]):
    at = At()
    act = serializers.ChoiceField(choices=[act.value for act in Act])
    actor = serializers.IntegerField(allow_null=True, help_text="null: a real danger")
    note = serializers.CharField()


class DrillWhole(DrillOut):
    acts = serializers.SerializerMethodField()

    class Meta(DrillOut.Meta):
        fields = [*DrillOut.Meta.fields, "acts"]

    @extend_schema_field(DrillActOut(many=True))
    def get_acts(self, drill: Drill) -> object:
        said = [{"at": told.issued_at, **told.reasons} for told in drills.record(drill.pk)]
        return DrillActOut(said, many=True).data


def seen(request: Request) -> QuerySet[Drill]:
    """Drills of authorities in the caller's regions, and those in which he takes part."""
    mine = path_filter("authority__path", request.auth.scope.paths) | Q(officers__contains=[request.user.pk])
    rows = Drill.objects.filter(mine).select_related("authority", "created_by").defer("states")
    return rows.annotate(frame_count=Count("frames"))


class Drills(APIView):
    @extend_schema(
        operation_id="v1_drills_list",
        parameters=[OpenApiParameter("state", str, enum=DrillState.values), CURSOR, LIMIT],
        responses=page_of(DrillOut),
    )
    def get(self, request: Request) -> Response:
        """Drills of the caller's regions and those he takes part in, newest first."""
        rows = seen(request)
        if state := choice(request, "state", DrillState.values):
            rows = rows.filter(state=state)
        return Newest().answer(self, rows, DrillOut)

    @extend_schema(request=DrillIn, responses={201: DrillOut})
    def post(self, request: Request) -> Response:
        """Plan a drill; nobody hears of it until another person, of the command, begins it."""
        asked = DrillIn(data=request.data)
        asked.is_valid(raise_exception=True)
        drill = drills.plan(request.user.pk, request.auth.scope, asked.validated_data, now=now())
        return Response(DrillOut(seen(request).get(pk=drill.pk)).data, status=201)


class OneDrill(APIView):
    @extend_schema(responses=DrillWhole)
    def get(self, request: Request, pk: int) -> Response:
        """One drill with what was done to it."""
        drill = seen(request).filter(pk=pk).first()
        if drill is None:
            raise not_found("演练", "drill")
        return Response(DrillWhole(drill).data)


class DrillAct(APIView):
    @extend_schema(operation_id="drill_act", request=NoteIn, responses=DrillOut)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """pause, resume or end; those who take part are told. No drill goes on while there is a real danger."""
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        note = asked.validated_data["note"]
        drills.act(pk, Act(verb), request.user.pk, request.auth.scope, now=now(), note=note)
        return Response(DrillOut(seen(request).get(pk=pk)).data)


class IngestDrill(FeedDoor):
    @extend_schema(
        parameters=[
            *SIGNED,
            OpenApiParameter(PRODUCT_HEADER, str, OpenApiParameter.HEADER, enum=Product.values),
        ],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses=ANSWERS,
        auth=[],
    )
    def post(self, request: Request, pk: int) -> Response:
        """One observed field or nowcast run of a running drill's own storm, in any format of `ingest/grids`, from a feed
        that speaks to drills only. It reaches no live table."""
        product = request.headers.get(PRODUCT_HEADER, "")[:16]

        def store(feed: Feed, body: bytes, at: datetime) -> Answer:
            return take_frame(feed, pk, product, body, at)

        return self.take(request, MOST_GRID_BYTES, store, drill=True)
