"""Pictures out: rain frames and radar frames, as lists to animate and as PNG. For whoever may see any water."""

from datetime import datetime

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from foundation.clock import age_s, iso, now
from foundation.errors import not_found
from hydrology import frames, radar, shapes
from hydrology.doors import asked
from hydrology.doors.live import private
from hydrology.feeds.clock import water_clock

HOURS = OpenApiParameter("hours", int, description=f"how far back, 1 to {frames.MOST_HOURS}; 2 when left out")
PNG = {(200, "image/png"): OpenApiTypes.BINARY, 304: None, 404: shapes.Said}
FOR_GOOD = "private, max-age=31536000, immutable"  # an id names rows that never change


def _require_water(request: Request) -> None:
    """Raises Refusal 404 for an officer without any post: no region, no picture."""
    if not request.auth.scope.water_paths:
        raise not_found("图像", "picture")


def _picture(request: Request, picture: frames.Picture | None) -> HttpResponse:
    if picture is None:
        raise not_found("图像", "picture")
    headers = {"ETag": picture.etag, "Cache-Control": FOR_GOOD, "Vary": "Authorization"}
    if picture.etag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(picture.png, "image/png", headers=headers)


class RainFrames(APIView):
    @extend_schema(parameters=[HOURS], responses={200: shapes.RainFrames, 304: None})
    def get(self, request: Request) -> HttpResponse:
        """Rain of the last hours and of the nowcast, step by step; gaps are marked. Pictures at `rain/frames/{id}.png`."""
        _require_water(request)
        return private(frames.rain_frames(asked.whole(request, "hours", 1, frames.MOST_HOURS, 2), now()))


class RainFrame(APIView):
    @extend_schema(responses=PNG)
    def get(self, request: Request, run: int, step: int) -> HttpResponse:
        """One step as a transparent PNG over the list's bbox, north up, one pixel a cell."""
        _require_water(request)
        return _picture(request, frames.rain_picture(run, step))


class RadarFrames(APIView):
    @extend_schema(
        parameters=[
            HOURS,
            OpenApiParameter("radar", str, description="only this radar or mosaic"),
            OpenApiParameter("product", str, description="only this product: CR, R, …"),
        ],
        responses={200: shapes.RadarFrames, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """Radar pictures of the last hours by radar, product and time; gaps are marked. Pictures at
        `radar/frames/{id}.png`, small ones at `radar/frames/{id}.thumb.png`."""
        _require_water(request)
        hours = asked.whole(request, "hours", 1, frames.MOST_HOURS, 2)
        as_of = water_clock(now()).replace(second=0, microsecond=0)  # so that most answers are a 304
        asked_for = request.query_params
        items = radar.frames(as_of, hours, asked_for.get("radar"), asked_for.get("product"))
        newest = max((datetime.fromisoformat(i["at"]) for i in items if not i["missing"]), default=None)
        return private(
            {
                "as_of": iso(as_of),
                "observed_at": iso(newest),
                "age_s": age_s(newest, as_of),
                "items": items,
            }
        )


class RadarFrame(APIView):
    @extend_schema(responses=PNG)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """One picture as its source drew it, over the list's bbox, north up."""
        _require_water(request)
        return _picture(request, _kept(radar.picture(pk)))


class RadarThumb(APIView):
    @extend_schema(responses=PNG)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """The same at most 160 pixels wide and high, over the same bbox."""
        _require_water(request)
        return _picture(request, _kept(radar.thumb(pk)))


def _kept(found: tuple[bytes, str] | None) -> frames.Picture | None:
    return found and frames.Picture(found[0], f'"{found[1][:20]}"')
