"""Doors of coverage and roll calls, for duty desks and commands, below their regions."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from foundation.errors import not_found
from foundation.scope import Scope
from hydrology.models import Region, path_filter
from notifications import nights, probes
from notifications.coverage import coverage, dark
from notifications.shapes import CoverageOut, NightsOut, ProbeIn, ProbesOut


def _watched(scope: Scope) -> tuple[str, ...]:
    """The regions whose desk or command the caller staffs; Refusal where there is none."""
    paths = tuple({*scope.desk_paths, *scope.command_paths})
    if not paths:
        scope.require_desk("")
    return paths


class Coverage(APIView):
    @extend_schema(parameters=[OpenApiParameter("region", str)], responses=CoverageOut)
    def get(self, request: Request) -> Response:
        """Who would answer for each street, managed object and hazard point of the caller's regions."""
        paths = _watched(request.auth.scope)
        if code := request.query_params.get("region"):
            region = Region.objects.filter(path_filter("path", paths), pk=code).first()
            if region is None:
                raise not_found("区域", "region")
            paths = (region.path,)
        at = now()
        return Response({**coverage(paths, at), "dark": dark(paths, at)})


class Nights(APIView):
    @extend_schema(responses=NightsOut, operation_id="coverage_nights")
    def get(self, request: Request) -> Response:
        """What the last thirty nightly proofs found in the caller's regions."""
        return Response(NightsOut({"items": nights.nights(_watched(request.auth.scope))}).data)


class Probes(APIView):
    @extend_schema(responses=ProbesOut, operation_id="probes")
    def get(self, request: Request) -> Response:
        """The newest roll calls, with how many have tapped."""
        _watched(request.auth.scope)
        return Response({"items": probes.recent(request.auth.scope)})

    @extend_schema(request=ProbeIn, responses={201: ProbesOut}, operation_id="probe")
    def post(self, request: Request) -> Response:
        """点名: everybody with these duties in these areas is asked for one tap within half an hour; nobody is chased."""
        asked = ProbeIn(data=request.data)
        asked.is_valid(raise_exception=True)
        scope = request.auth.scope
        _watched(scope)
        probes.call(**asked.validated_data, officer=request.user.pk, scope=scope, now=now())
        return Response({"items": probes.recent(scope, limit=1)}, status=201)
