"""Stations around a point, for the officer on patrol. Limited by `request.auth.scope.water_paths`."""

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from foundation.clock import now
from hydrology import around, shapes
from hydrology.doors import asked
from hydrology.doors.live import private


class Nearby(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("lon", float, required=True),
            OpenApiParameter("lat", float, required=True),
            OpenApiParameter("kind", str, enum=list(shapes.KIND_CODES.values())),
            OpenApiParameter("count", int, description=f"1 to {around.MOST}; 10 when left out"),
        ],
        responses={200: shapes.Nearby, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """The nearest stations of the caller's districts with their newest level or rain."""
        kind = asked.choice(request, "kind", tuple(shapes.KIND_CODES.values()))
        return private(
            around.nearest(
                request.auth.scope.water_paths,
                asked.number(request, "lat", -90, 90),
                asked.number(request, "lon", -180, 180),
                now(),
                count=asked.whole(request, "count", 1, around.MOST, 10),
                kind=next((code for code, name in shapes.KIND_CODES.items() if name == kind), None),
            )
        )
