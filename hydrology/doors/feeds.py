"""Doors of the duty engineer: what came in and was not taken. The feeds themselves: alerts/doors/feeds.py, with alarms."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.clock import iso, now
from foundation.errors import not_found
from hydrology.doors import asked
from hydrology.feeds import refused
from hydrology.feeds.telegrams import read_again
from hydrology.models import Feed, Level, Region, Telegram, Verdict

MOST_ID = 2**63 - 1


class TelegramOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    feed = serializers.CharField()
    received_at = serializers.DateTimeField()
    peer = serializers.CharField(help_text="address it came from")
    rtu = serializers.CharField(help_text="empty for noise")
    function = serializers.CharField(allow_null=True, help_text="two hex digits")
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    reason = serializers.CharField()
    raw = serializers.CharField(help_text="hex, the first 512 bytes")
    raw_bytes = serializers.IntegerField(help_text="how many there are")


class Telegrams(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = TelegramOut(many=True, help_text="newest first")


class RejectionOut(serializers.Serializer[object]):
    index = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class RefusedOut(serializers.Serializer[object]):
    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField()  # type: ignore[assignment]  # the contract's word


class PostOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    feed = serializers.CharField()
    kind = serializers.CharField(help_text="readings, grid or radar")
    received_at = serializers.DateTimeField()
    size_bytes = serializers.IntegerField(help_text="0 once the raw bytes were let go")
    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField()
    rejected = serializers.IntegerField()
    refused = RefusedOut(allow_null=True, help_text="why nothing of it could be looked at")
    first = RejectionOut(many=True, help_text="the first 5 rejections")


class Posts(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = PostOut(many=True, help_text="newest first")


FEED = OpenApiParameter("feed", str, description="key of one feed; all when left out")


def admit(request: Request) -> None:
    """Raises Refusal 403 unless the caller is the city's duty engineer or staffs its desk: feeds are the city's."""
    city = Region.objects.filter(level=Level.CITY).order_by("path").first()
    request.auth.scope.require_feeds(city.path if city else "")


def _feed(request: Request) -> str | None:
    key = request.query_params.get("feed")
    if key and not Feed.objects.filter(pk=key[:64]).exists():
        raise not_found("数据源", "feed")
    return key or None


class TelegramList(APIView):
    @extend_schema(
        parameters=[FEED, OpenApiParameter("doubtful", bool, description="only those not wholly taken")],
        responses=Telegrams,
    )
    def get(self, request: Request) -> Response:
        """The newest 100 SL 651 telegrams with verdict, reason and bytes. Duty engineer and city desk only."""
        admit(request)
        items = refused.telegrams(feed=_feed(request), doubtful=bool(asked.flag(request, "doubtful")))
        return Response({"as_of": iso(now()), "items": items})


class TelegramAgain(APIView):
    @extend_schema(request=None, responses=TelegramOut)
    def post(self, request: Request, pk: int) -> Response:
        """Read a telegram once more, after a decoder was mended or a station registered; answers what became of it."""
        admit(request)
        if pk > MOST_ID or not read_again([pk], now=now()):
            raise not_found("报文", "telegram")
        return Response(refused.telegram(Telegram.objects.get(pk=pk)))


class PostList(APIView):
    @extend_schema(
        parameters=[
            FEED,
            OpenApiParameter("refused", bool, description="only those of which something was not taken"),
        ],
        responses=Posts,
    )
    def get(self, request: Request) -> Response:
        """The newest 100 posts of the last 7 days with their first rejections, never their bodies."""
        admit(request)
        at = now()
        items = refused.posts(
            feed=_feed(request),
            refused=bool(asked.flag(request, "refused")),
            now=at,
            language=asked.language(request),
        )
        return Response({"as_of": iso(at), "items": items})
