"""Doors of warnings: to read, to raise and move by hand, and the words about them that wait for release."""

from django.db.models import Exists, OuterRef, Prefetch, Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import hand, releases
from alerts.api import Newest
from alerts.hand_checks import Asked
from alerts.models import Bulletin, Hazard, Warning, WarningEvent, WarningQuerySet, WarningStreet
from alerts.shapes import (
    WARNING_CODES,
    HeldOut,
    NoteIn,
    ReleasesOut,
    WarningActIn,
    WarningIn,
    WarningOut,
    WarningWhole,
)
from foundation.clock import now
from foundation.errors import not_found
from hydrology.doors.asked import CURSOR, LIMIT, choice, flag, page_of
from hydrology.doors.asked import region as region_of
from hydrology.models import path_filter


def _warnings(request: Request) -> WarningQuerySet:
    return (
        Warning.objects.filter(path_filter("region__path", request.auth.scope.water_paths))
        .select_related("region", "station")
        .prefetch_related(
            Prefetch("streets", WarningStreet.objects.select_related("region").order_by("region_id")),
            Prefetch("events", WarningEvent.objects.select_related("actor").order_by("id")),
        )
    )


def _touches(path: str) -> Q:
    """Warnings of a region below `path`; of rain and flood, whose region is the district, those with a street there."""
    there = WarningStreet.objects.filter(warning=OuterRef("pk"), region__path__startswith=path)
    ended = Q(ended_at__isnull=False)
    return Q(region__path__startswith=path) | Exists(there.filter(level__gt=0)) | ended & Exists(there)


class Warnings(APIView):
    @extend_schema(
        operation_id="v1_warnings_list",
        parameters=[
            OpenApiParameter("active", bool),
            OpenApiParameter(
                "region",
                str,
                description="city, district or street: warnings there, below, or of a street in it",
            ),
            OpenApiParameter("hazard", str, enum=Hazard.values),
            OpenApiParameter("level", str, enum=list(WARNING_CODES.values())),
            CURSOR,
            LIMIT,
        ],
        responses=page_of(WarningOut),
    )
    def get(self, request: Request) -> Response:
        """Warnings of the caller's districts, newest first, each with the reasons of its present level."""
        rows = _warnings(request)
        if flag(request, "active"):
            rows = rows.open()
        if region := region_of(request):
            rows = rows.filter(_touches(region.path))
        if hazard := choice(request, "hazard", Hazard.values):
            rows = rows.filter(hazard=hazard)
        if level := choice(request, "level", WARNING_CODES.values()):
            rows = rows.filter(level=next(value for value, code in WARNING_CODES.items() if code == level))
        return Newest().answer(self, rows, WarningOut)

    @extend_schema(request=WarningIn, responses={201: WarningWhole})
    def post(self, request: Request) -> Response:
        """Raise a warning by the duty desk's judgement, for streets of one district; it is said at once."""
        asked = WarningIn(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        warning = hand.begin(
            request.user.pk, request.auth.scope, _asked(said), hazard=said["hazard"], drill=said["drill"],
            drill_of=said["drill_of"], now=now(),
        )  # fmt: skip
        return Response(whole(request, warning.pk), status=201)


class WarningAct(APIView):
    @extend_schema(operation_id="warning_act", request=WarningActIn, responses=WarningWhole)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """upgrade, extend, downgrade, hold or cancel by the duty desk; the watch heeds it for `hours`."""
        asked = WarningActIn(data=request.data)
        asked.is_valid(raise_exception=True)
        hand.act(
            pk, verb, request.user.pk, request.auth.scope, _asked(asked.validated_data), now=now()
        )  # fmt: skip
        return Response(whole(request, pk))


def _asked(said: dict[str, object]) -> Asked:
    streets = tuple(dict.fromkeys(said["streets"]))  # type: ignore[call-overload]  # each said once
    return Asked(said["note"], said["level"], streets, said["hours"])  # type: ignore[arg-type]


def whole(request: Request, pk: int) -> dict[str, object]:
    """The warning as its doors show it. Raises Refusal 404."""
    chain = Prefetch("bulletins", Bulletin.objects.order_by("id"))
    warning = _warnings(request).filter(pk=pk).prefetch_related(chain).first()
    if warning is None:
        raise not_found("预警", "warning")
    return dict(WarningWhole(warning, context={"holds": hand.holds(warning)}).data)


class Releases(APIView):
    @extend_schema(parameters=[OpenApiParameter("open", bool)], responses=ReleasesOut)
    def get(self, request: Request) -> Response:
        """Words that wait, or waited, for release where the caller staffs the duty desk, newest first, at most 200."""
        rows = releases.listed(request.auth.scope, bool(flag(request, "open")))
        return Response(ReleasesOut({"items": rows}).data)


class ReleaseAct(APIView):
    @extend_schema(operation_id="release_act", request=NoteIn, responses=HeldOut)
    def post(self, request: Request, pk: int, verb: str) -> Response:
        """release (it is said now) or drop (it is not said); decided once."""
        asked = NoteIn(data=request.data)
        asked.is_valid(raise_exception=True)
        note = asked.validated_data["note"]
        held = releases.decide(pk, verb, request.user.pk, request.auth.scope, note=note, now=now())
        return Response(HeldOut(held).data)
