"""The signed doors feeds post to. A feed signs instead of a bearer; the body is taken as it comes."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.bodies import read_at_most
from foundation.clock import now
from hydrology import ingest, shapes
from hydrology.doors import asked
from hydrology.feeds.signing import KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER, verify
from hydrology.models import Feed

MOST_READINGS_BYTES = 4 * 1024 * 1024  # 10,000 rows are about 1.3 MB
MOST_GRID_BYTES = 32 * 1024 * 1024
MOST_RADAR_BYTES = 12 * 1024 * 1024  # 8 MB in base64, and what stands beside it
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
        self,
        request: Request,
        most_bytes: int,
        store: Callable[[Feed, bytes, datetime], ingest.Answer],
        *,
        drill: bool = False,
    ) -> Response:
        body = read_at_most(request, most_bytes)
        at = now()
        answer = store(verify(request.headers, body, at, drill=drill), body, at)
        language = asked.language(request)
        rejected = [
            {"index": r["index"], "code": r["code"], "message": r[language]} for r in answer["rejected"]
        ]
        return Response({**answer, "rejected": rejected})


class IngestReadings(FeedDoor):
    @extend_schema(parameters=SIGNED, request=shapes.ReadingsIn, responses=ANSWERS, auth=[])
    def post(self, request: Request) -> Response:
        """Up to 10,000 readings; one bad row never loses the good ones.

        The same signed post again: the same answer. The same body signed anew is a post of its own: its rows are
        duplicates, unless they put back what was corrected in between.
        """
        take = partial(ingest.take_readings, signed_at=request.headers.get(TIME_HEADER, ""))
        return self.take(request, MOST_READINGS_BYTES, take)


class IngestGrids(FeedDoor):
    @extend_schema(
        parameters=SIGNED,
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses=ANSWERS,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Observed fields of 1 to 30 minutes or one nowcast run, told by the content: CF NetCDF, GRIB2, ODIM HDF5,
        MICAPS 4 or HKO CSV, on latitude-longitude or a projection. `accepted` counts the sums of an observation."""
        return self.take(request, MOST_GRID_BYTES, ingest.take_grid)


class IngestRadar(FeedDoor):
    @extend_schema(
        parameters=SIGNED,
        request={"application/json": shapes.RadarIn, "image/png": OpenApiTypes.BINARY},
        responses=ANSWERS,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """One radar picture: JSON with the PNG in base64, or the PNG alone with the same words as text chunks
        (tEXt or iTXt; bbox, scale and cadence_s as JSON)."""
        return self.take(request, MOST_RADAR_BYTES, ingest.take_radar)
