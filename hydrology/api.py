"""The water doors: live levels and rain, stations and their history, and the two signed doors feeds post to.

Owns parsing of parameters and the scope of every answer (`request.auth.scope.water_paths`). No rules, no SQL.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import orjson
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from foundation.errors import Refusal, not_found
from foundation.scope import below
from hydrology import ingest, live, rain, shapes
from hydrology.feeds.signing import KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER, instant, verify
from hydrology.history import STEPS, series
from hydrology.models import Feed, Level, Region, Station
from hydrology.science.readings import Element
from hydrology.standing import KINDS, STATUSES

MOST_READINGS_BYTES = 4 * 1024 * 1024  # 10,000 rows are about 1.3 MB
MOST_GRID_BYTES = 32 * 1024 * 1024
REGION = OpenApiParameter("region", str, description="code of a city, district or street in your regions")
JSON_BYTES = "application/json"


def _language(request: Request) -> str:
    return "en" if request.headers.get("Accept-Language", "").lower().startswith("en") else "zh"


def _choice(request: Request, name: str, choices: tuple[str, ...], default: str | None = None) -> str | None:
    given = request.query_params.get(name) or default
    if given is None or given in choices:
        return given
    raise Refusal(
        "invalid",
        zh=f"{name} 只能是 {'、'.join(choices)}。",
        en=f"{name} must be one of {', '.join(choices)}.",
        fields={name: given[:40]},
    )


def _number(request: Request, name: str, low: float, high: float) -> float:
    try:
        given = float(request.query_params.get(name, ""))
    except ValueError:
        given = float("nan")
    if low <= given <= high:
        return given
    raise Refusal(
        "invalid",
        zh=f"{name} 须为 {low:g} 至 {high:g} 之间的数（度）。",
        en=f"{name} must be a number from {low:g} to {high:g} (degrees).",
        fields={name: request.query_params.get(name, "")[:40]},
    )


def _time(request: Request, name: str, default: datetime) -> datetime:
    raw = request.query_params.get(name)
    at = instant(raw.replace(" ", "+")) if raw else default  # "+08:00" arrives as a blank when not encoded
    if at is not None:
        return at
    raise Refusal(
        "invalid",
        zh=f"{name} 须为带时区的 ISO 8601 时间，如 2023-09-07T18:20:00+08:00。",
        en=f"{name} must be an ISO 8601 time with its zone, like 2023-09-07T18:20:00+08:00.",
        fields={name: (raw or "")[:40]},
    )


def _region(request: Request) -> Region | None:
    """The region asked for, if any. Raises Refusal 404 outside the caller's water."""
    code = request.query_params.get("region")
    if not code:
        return None
    region = Region.objects.filter(pk=code).first()
    if region is None or not below(region.path, request.auth.scope.water_paths):
        raise not_found("区域", "region")
    return region


class LiveLevels(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, enum=list(KINDS.values())),
            REGION,
            OpenApiParameter("status", str, enum=list(STATUSES)),
        ],
        responses={200: shapes.Levels, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Every reservoir and river of the caller's districts. `age_s` counts up to `as_of`; send back the ETag."""
        kind = _choice(request, "kind", tuple(KINDS.values()))
        status = _choice(request, "status", STATUSES)
        region = _region(request)
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
            return HttpResponse(_filtered(shot.body, kind, status, codes), JSON_BYTES, headers=headers)
        if shot.zipped and "gzip" in request.headers.get("Accept-Encoding", ""):
            return HttpResponse(shot.zipped, JSON_BYTES, headers=headers | {"Content-Encoding": "gzip"})
        return HttpResponse(shot.body, JSON_BYTES, headers=headers)


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
        parameters=[REGION, OpenApiParameter("level", str, enum=[Level.DISTRICT, Level.STREET])],
        responses=shapes.LiveRain,
    )
    def get(self, request: Request) -> HttpResponse:
        """Rain per region: 5, 10, 30 min, 1, 3, 24 h (highest gauge and areal mean), and the next 1 h and 2 h."""
        level = _choice(request, "level", (Level.DISTRICT.value, Level.STREET.value), Level.DISTRICT.value)
        region = _region(request)
        paths = (region.path,) if region else request.auth.scope.water_paths
        return HttpResponse(orjson.dumps(rain.by_region(paths, Level(level), now())), JSON_BYTES)


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
            rain.at_point(_number(request, "lat", -90, 90), _number(request, "lon", -180, 180), now())
        )


class ByCode(CursorPagination):
    ordering = "code"
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 1000


class Stations(APIView):
    @extend_schema(
        operation_id="v1_stations_list",
        parameters=[
            OpenApiParameter("kind", str, enum=list(shapes.KIND_CODES.values())),
            REGION,
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int, description="at most 1,000"),
        ],
        responses=shapes.StationPage,
    )
    def get(self, request: Request) -> Response:
        """Gauges of the caller's districts, in order of code."""
        kind = _choice(request, "kind", tuple(shapes.KIND_CODES.values()))
        region = _region(request)
        rows = Station.objects.within(*((region.path,) if region else request.auth.scope.water_paths))
        if kind:
            rows = rows.filter(kind=next(code for code, name in shapes.KIND_CODES.items() if name == kind))
        pages = ByCode()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(shapes.StationOut(page, many=True).data)


def _station(request: Request, code: str) -> Station:
    station = Station.objects.within(*request.auth.scope.water_paths).filter(pk=code).first()
    if station is None:
        raise not_found("测站", "station")
    return station


class OneStation(APIView):
    @extend_schema(responses=shapes.StationWhole)
    def get(self, request: Request, code: str) -> Response:
        """A gauge with its limits, its newest rain and its level as in `live/levels`."""
        station = _station(request, code)
        return Response({**shapes.StationOut(station).data, **live.detail(station.pk, now())})


class StationSeries(APIView):
    @extend_schema(
        parameters=[
            OpenApiParameter("element", str, enum=[element.value for element in Element], required=True),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="24 h before `to` when left out"),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="now when left out"),
            OpenApiParameter("step", str, enum=list(STEPS), default="5min"),
        ],
        responses=shapes.Series,
    )
    def get(self, request: Request, code: str) -> Response:
        """What the gauge said in even steps, newest revision of each instant. Days start at 08:00."""
        station = _station(request, code)
        element = _choice(request, "element", tuple(element.value for element in Element), Element.RAIN.value)
        step = STEPS[str(_choice(request, "step", tuple(STEPS), "5min"))]
        until = _time(request, "to", now())
        since = _time(request, "from", until - timedelta(days=1))
        items = series(station.pk, Element(element), since, until, step)
        return Response(
            {"station": code, "element": element, "step_s": int(step.total_seconds()), "items": items}
        )


SIGNED = [
    OpenApiParameter(KEY_HEADER, str, OpenApiParameter.HEADER, required=True),
    OpenApiParameter(
        TIME_HEADER, str, OpenApiParameter.HEADER, required=True, description="ISO 8601 with zone, or unix seconds"
    ),
    OpenApiParameter(
        SIGNATURE_HEADER, str, OpenApiParameter.HEADER, required=True,
        description="hex HMAC-SHA256 over X-Feed-Time, a newline and the raw body",
    ),
]  # fmt: skip
ANSWERS = {200: shapes.Taken, 400: shapes.Said, 401: shapes.Said, 413: shapes.Said}


class FeedDoor(APIView):
    """Signed by a feed instead of a bearer token; the body is taken as it comes."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def take(
        self, request: Request, most_bytes: int, store: Callable[[Feed, bytes, datetime], ingest.Answer]
    ) -> Response:
        body = _raw(request, most_bytes)
        at = now()
        answer = store(verify(request.headers, body, at), body, at)
        language = _language(request)
        rejected = [
            {"index": r["index"], "code": r["code"], "message": r[language]} for r in answer["rejected"]
        ]
        return Response({**answer, "rejected": rejected})


def _raw(request: Request, most_bytes: int) -> bytes:
    """At most `most_bytes`, whatever the request says of itself; one byte more is refused."""
    body: bytes = request.read(most_bytes + 1)
    if len(body) <= most_bytes:
        return body
    raise Refusal(
        "too_large",
        zh=f"请求体超过 {most_bytes // 1024 // 1024} MB，请分批上报。",
        en=f"The body is larger than {most_bytes // 1024 // 1024} MB; send it in parts.",
        status=413,
    )


class IngestReadings(FeedDoor):
    @extend_schema(parameters=SIGNED, request=shapes.ReadingsIn, responses=ANSWERS, auth=[])
    def post(self, request: Request) -> Response:
        """Up to 10,000 readings; one bad row never loses the good ones. The same body again: the same answer."""
        return self.take(request, MOST_READINGS_BYTES, ingest.take_readings)


class IngestGrids(FeedDoor):
    @extend_schema(
        parameters=SIGNED,
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses=ANSWERS,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """One observed field or one nowcast run: CF NetCDF, ODIM HDF5, MICAPS 4 or HKO CSV, told by the content."""
        return self.take(request, MOST_GRID_BYTES, ingest.take_grid)
