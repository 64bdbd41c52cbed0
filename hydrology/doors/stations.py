"""Stations and their history. Every answer is limited by `request.auth.scope.water_paths`."""

from datetime import timedelta

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import age_s, iso, now
from foundation.errors import not_found
from hydrology import live, shapes
from hydrology.doors import asked
from hydrology.doors.live import PRIVATE, private
from hydrology.feeds.clock import water_clock
from hydrology.history import EVERYTHING, STEPS, known_at, maxima, series
from hydrology.models import Station
from hydrology.science.readings import Element


class ByCode(asked.Pages):
    ordering = "code"
    page_size = 100
    max_page_size = 1000


class Stations(APIView):
    @extend_schema(
        operation_id="v1_stations_list",
        parameters=[
            OpenApiParameter("kind", str, enum=list(shapes.KIND_CODES.values())),
            asked.REGION,
            asked.CURSOR,
            OpenApiParameter("limit", int, description="at most 1,000"),
        ],
        responses=asked.page_of(shapes.StationOut),
    )
    def get(self, request: Request) -> Response:
        """Gauges of the caller's districts, in order of code."""
        kind = asked.choice(request, "kind", shapes.KIND_CODES.values())
        region = asked.region(request)
        rows = Station.objects.within(*((region.path,) if region else request.auth.scope.water_paths))
        if kind:
            rows = rows.filter(kind=next(code for code, name in shapes.KIND_CODES.items() if name == kind))
        response = ByCode().answer(self, rows, shapes.StationOut)
        for name, value in PRIVATE.items():
            response[name] = value
        return response


def _station(request: Request, code: str) -> Station:
    station = Station.objects.within(*request.auth.scope.water_paths).filter(pk=code).first()
    if station is None:
        raise not_found("测站", "station")
    return station


class OneStation(APIView):
    @extend_schema(responses={200: shapes.StationWhole, 304: None})
    def get(self, request: Request, code: str) -> HttpResponse:
        """A gauge with its limits, its newest rain and its level as in `live/levels`."""
        station = _station(request, code)
        return private({**shapes.StationOut(station).data, **live.detail(station.pk, now())})


class StationSeries(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("element", str, enum=[element.value for element in Element], required=True),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="24 h before `to` when left out"),
            OpenApiParameter(
                "to", OpenApiTypes.DATETIME, description="now, by the water's clock, when left out"
            ),
            OpenApiParameter("step", str, enum=list(STEPS), default="5min"),
            OpenApiParameter(
                "maxima", bool, description="rain: with the highest 5, 10, 30, 60, 180 min of the span"
            ),
            asked.AS_OF,
        ],
        responses={200: shapes.Series, 304: None},
    )
    def get(self, request: Request, code: str) -> HttpResponse:
        """What the gauge said in even steps, newest revision of each instant (with `as_of`, of those received by then).

        Days start at 08:00.
        """
        station = _station(request, code)
        element = asked.choice(
            request, "element", tuple(element.value for element in Element), Element.RAIN.value
        )
        step = STEPS[str(asked.choice(request, "step", tuple(STEPS), "5min"))]
        at = now()
        as_of = asked.time(request, "as_of", water_clock(at))
        known = known_at(as_of, at) if "as_of" in request.query_params else EVERYTHING
        until = asked.time(request, "to", as_of)
        since = asked.time(request, "from", until - timedelta(days=1))
        items, newest_at = series(station.pk, Element(element), since, until, step, known)
        wanted = element == Element.RAIN and asked.flag(request, "maxima")
        return private(
            {
                "station": code,
                "element": element,
                "step_s": int(step.total_seconds()),
                "as_of": iso(as_of),
                "observed_at": iso(newest_at),
                "age_s": age_s(newest_at, as_of),
                "items": items,
                "maxima": maxima(station.pk, since, until, known) if wanted else None,
            }
        )
