"""Official signals: the signed door they come in by, the list of those in force, and the proposals they make."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import proposals, signals
from alerts.api import Newest
from alerts.models import Proposal, Signal
from alerts.shapes import LEVEL_CODES, At, CodeField, NoteIn
from foundation.clock import now
from foundation.errors import in_one
from hydrology.doors.asked import CURSOR, LIMIT, flag, language, page_of
from hydrology.doors.ingest import ANSWERS, SIGNED, FeedDoor
from hydrology.models import path_filter

MOST_BYTES = 1024 * 1024
LEVELS = {0: "end", **LEVEL_CODES}


class SignalOut(serializers.ModelSerializer[Signal]):
    issued_at, received_at, ended_at, expected_until = At(), At(), At(), At()

    class Meta:
        model = Signal
        fields = [
            "id", "identifier", "sender", "status", "event", "colour", "action", "areas", "held", "sea", "unknown",
            "text", "issued_at", "received_at", "expected_until", "ended_at", "references",
        ]  # fmt: skip


class ProposalOut(serializers.ModelSerializer[Proposal]):
    level = CodeField(LEVELS)
    authority = serializers.CharField(source="authority_id")
    authority_name = serializers.CharField(source="authority.name")
    made_at, decided_at = At(), At()
    why = serializers.SerializerMethodField()

    class Meta:
        model = Proposal
        fields = [
            "id", "hazard", "authority", "authority_name", "level", "areas", "why", "made_at", "state", "decided_at",
            "decided_by", "note", "order",
        ]  # fmt: skip

    def get_why(self, proposal: Proposal) -> str:
        return in_one(proposal.why, language(self.context["request"]))


class IngestSignals(FeedDoor):
    @extend_schema(
        parameters=SIGNED,
        request={"application/cap+xml": OpenApiTypes.STR, "application/json": OpenApiTypes.OBJECT},
        responses=ANSWERS,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """One official message, CAP 1.2 or JSON. The same message again: the same answer."""
        return self.take(request, MOST_BYTES, signals.take_signals)


class Signals(APIView):
    @extend_schema(
        operation_id="v1_signals_list",
        parameters=[OpenApiParameter("active", bool), CURSOR, LIMIT],
        responses=page_of(SignalOut),
    )
    def get(self, request: Request) -> Response:
        """Official signals, newest first; public knowledge, so of the whole city. `active`: only those in force."""
        rows = Signal.objects.all()
        if flag(request, "active"):
            rows = rows.in_force()
        return Newest().answer(self, rows, SignalOut, request=request)


class Proposals(APIView):
    @extend_schema(
        operation_id="v1_proposals_list",
        parameters=[OpenApiParameter("open", bool), CURSOR, LIMIT],
        responses=page_of(ProposalOut),
    )
    def get(self, request: Request) -> Response:
        """Response levels the signals suggest to the caller's authorities, newest first."""
        rows = Proposal.objects.filter(path_filter("authority__path", request.auth.scope.paths))
        if flag(request, "open"):
            rows = rows.filter(state="open")
        return Newest().answer(self, rows.select_related("authority"), ProposalOut, request=request)


class ProposalAct(APIView):
    @extend_schema(operation_id="proposal_act", request=NoteIn, responses=ProposalOut)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """take, which drafts the order it suggests from its plan, or decline; the authority's duty desk decides."""
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        scope, note = request.auth.scope, asked.validated_data["note"]
        proposal = proposals.decide(pk, verb, request.user.pk, scope, note=note, now=now())
        return Response(ProposalOut(proposal, context={"request": request}).data)
