"""Pictures out: rain frames and radar frames, as lists to animate and as PNG. For whoever may see any water."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import now
from foundation.errors import not_found
from hydrology import frames, shapes
from hydrology.doors import asked

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
    @extend_schema(parameters=[HOURS], responses=shapes.RainFrames)
    def get(self, request: Request) -> Response:
        """Rain of the last hours and of the nowcast, step by step; gaps are marked. Pictures at `rain/frames/{id}.png`."""
        _require_water(request)
        return Response(frames.rain_frames(asked.whole(request, "hours", 1, frames.MOST_HOURS, 2), now()))


class RainFrame(APIView):
    @extend_schema(responses=PNG)
    def get(self, request: Request, run: int, step: int) -> HttpResponse:
        """One step as a transparent PNG over the list's bbox, north up, one pixel a cell."""
        _require_water(request)
        return _picture(request, frames.rain_picture(run, step))
