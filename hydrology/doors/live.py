"""Live water out: levels, rain by region, rain at a point. Every answer is limited by `request.auth.scope.water_paths`.

The plain requests for levels and rain by region are answered by backend/quick.py with the same bytes; what they mean
is said here.
"""

from typing import Any

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from foundation.clock import now
from hydrology import asof, live, rain, shapes
from hydrology.doors import asked
from hydrology.models import Level
from hydrology.shelf import Answer, Asked, etag_of
from hydrology.standing import KINDS, STATUSES

PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept-Encoding"}
RAIN_LEVELS = (Level.DISTRICT.value, Level.STREET.value)


class LiveLevels(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, enum=list(KINDS.values())),
            asked.REGION,
            OpenApiParameter("status", str, enum=list(STATUSES)),
            OpenApiParameter(
                "first", str, enum=["mine"], description="the objects you answer for come first"
            ),
            asked.AS_OF,
        ],
        responses={200: shapes.Levels, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Every level of the caller's districts, in order of code. `age_s` counts up to `as_of`; send back the ETag."""
        kind = asked.choice(request, "kind", tuple(KINDS.values()))
        status = asked.choice(request, "status", STATUSES)
        first = asked.choice(request, "first", ("mine",))
        region, scope = asked.region(request), request.auth.scope
        wanted = Asked(
            paths=(region.path,) if region else scope.water_paths,
            kind=kind or "",
            status=status or "",
            first=scope.stations if first else (),
        )
        at = now()
        if "as_of" in request.query_params:
            return _told(request, asof.levels(asked.time(request, "as_of", at), at).answer(wanted))
        return _told(request, live.shelf(at).answer(wanted))


class LiveRain(APIView):
    @extend_schema(
        parameters=[asked.REGION, OpenApiParameter("level", str, enum=list(RAIN_LEVELS)), asked.AS_OF],
        responses={200: shapes.LiveRain, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Rain per region: 5, 10, 30 min, 1, 3, 24 h (highest gauge and areal mean), and the next 1 h and 2 h.

        Without `level` by district; of a street, the street.
        """
        region = asked.region(request)
        level = asked.choice(request, "level", RAIN_LEVELS, rain_level(region.path if region else ""))
        wanted = Asked((region.path,) if region else request.auth.scope.water_paths)
        at = now()
        if "as_of" in request.query_params:
            then = rain.shelf_then(Level(level), asked.time(request, "as_of", at), at)
            return _told(request, then.answer(wanted))
        return _told(request, rain.shelf(Level(level), at).answer(wanted))


def rain_level(path: str) -> str:
    """At which level the rain of a region's path is shown when nobody says: a street's own, else by district."""
    return (Level.STREET if path.count("/") > 2 else Level.DISTRICT).value


class PointRain(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("lon", float, required=True),
            OpenApiParameter("lat", float, required=True),
            asked.AS_OF,
        ],
        responses={200: shapes.PointRain, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Rain at a point: the last 2 h observed and the next 2 h nowcast, in 5-minute steps; null is missing."""
        lat, lon = asked.number(request, "lat", -90, 90), asked.number(request, "lon", -180, 180)
        at = now()
        then = asked.time(request, "as_of", at) if "as_of" in request.query_params else None
        return private(rain.at_point(lat, lon, at, then))


def private(content: dict[str, Any]) -> HttpResponse:
    """The content with its ETag; 304 is ConditionalGetMiddleware's, gzip GZipMiddleware's."""
    return HttpResponse(orjson.dumps(content), asked.JSON_BYTES, headers=PRIVATE | {"ETag": etag_of(content)})


def _told(request: Request, answer: Answer) -> HttpResponse:
    """Zipped once a snapshot, so not by GZipMiddleware; 304 is ConditionalGetMiddleware's."""
    headers = PRIVATE | {"ETag": answer.etag}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return HttpResponse(answer.zipped, asked.JSON_BYTES, headers=headers | {"Content-Encoding": "gzip"})
    return HttpResponse(answer.body, asked.JSON_BYTES, headers=headers)
