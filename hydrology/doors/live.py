"""Live water out: levels, rain by region, rain at a point. Every answer is limited by `request.auth.scope.water_paths`."""

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from hydrology import live, rain, shapes
from hydrology.doors import asked
from hydrology.models import Level, Region
from hydrology.standing import KINDS, STATUSES


class LiveLevels(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, enum=list(KINDS.values())),
            asked.REGION,
            OpenApiParameter("status", str, enum=list(STATUSES)),
        ],
        responses={200: shapes.Levels, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Every reservoir and river of the caller's districts. `age_s` counts up to `as_of`; send back the ETag."""
        kind = asked.choice(request, "kind", tuple(KINDS.values()))
        status = asked.choice(request, "status", STATUSES)
        region = asked.region(request)
        at, paths = now(), request.auth.scope.water_paths
        street = region is not None and region.level not in (Level.CITY, Level.DISTRICT)
        if region is not None:
            paths = (live.district_of(region.path),) if street else (region.path,)
        shot = live.snapshot(paths, at)
        headers = {
            "ETag": shot.etag,
            "Cache-Control": "private, no-cache",
            "Vary": "Authorization, Accept-Encoding",
        }
        if shot.etag in request.headers.get("If-None-Match", ""):
            return HttpResponse(status=304, headers=headers)
        if kind or status or street:
            codes = (
                set(Region.objects.within(region.path).values_list("pk", flat=True))
                if street and region
                else None
            )
            return HttpResponse(_filtered(shot.body, kind, status, codes), asked.JSON_BYTES, headers=headers)
        if shot.zipped and "gzip" in request.headers.get("Accept-Encoding", ""):
            return HttpResponse(shot.zipped, asked.JSON_BYTES, headers=headers | {"Content-Encoding": "gzip"})
        return HttpResponse(shot.body, asked.JSON_BYTES, headers=headers)


def _filtered(body: bytes, kind: str | None, status: str | None, regions: set[str] | None) -> bytes:
    shot = orjson.loads(body)
    shot["items"] = [
        item
        for item in shot["items"]
        if (not kind or item["kind"] == kind)
        and (not status or item["status"] == status)
        and (regions is None or item["region"] in regions)
    ]
    return orjson.dumps(shot)


class LiveRain(APIView):
    @extend_schema(
        parameters=[asked.REGION, OpenApiParameter("level", str, enum=[Level.DISTRICT, Level.STREET])],
        responses=shapes.LiveRain,
    )
    def get(self, request: Request) -> HttpResponse:
        """Rain per region: 5, 10, 30 min, 1, 3, 24 h (highest gauge and areal mean), and the next 1 h and 2 h."""
        level = asked.choice(
            request, "level", (Level.DISTRICT.value, Level.STREET.value), Level.DISTRICT.value
        )
        region = asked.region(request)
        paths = (region.path,) if region else request.auth.scope.water_paths
        return HttpResponse(orjson.dumps(rain.by_region(paths, Level(level), now())), asked.JSON_BYTES)


class PointRain(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("lon", float, required=True),
            OpenApiParameter("lat", float, required=True),
        ],
        responses=shapes.PointRain,
    )
    def get(self, request: Request) -> Response:
        """Rain at a point: the last 2 h observed and the next 2 h nowcast, in 5-minute steps; null is missing."""
        return Response(
            rain.at_point(
                asked.number(request, "lat", -90, 90), asked.number(request, "lon", -180, 180), now()
            )
        )
