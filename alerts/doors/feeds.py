"""How every feed stands, with its alarm and its sources: the duty engineer's list."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.models import FeedAlarm
from foundation.clock import age_s, iso, now
from hydrology.doors.feeds import admit
from hydrology.feeds.health import Standing, standings, without_secrets
from hydrology.science.feed_states import Doubt, FeedState


class AlarmOut(serializers.Serializer[object]):
    raised_at = serializers.DateTimeField()
    silent_since = serializers.DateTimeField()


class SourceOut(serializers.Serializer[object]):
    key = serializers.CharField()
    kind = serializers.CharField(help_text="url, folder, database or mqtt")
    address = serializers.CharField(help_text="without secrets")
    every_s = serializers.IntegerField()
    due_at = serializers.DateTimeField()
    good_at = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField(help_text="in a row")
    fault = serializers.CharField(help_text="empty when the last poll went well")
    enabled = serializers.BooleanField()


class FeedOut(serializers.Serializer[object]):
    feed = serializers.CharField()
    name = serializers.CharField()
    rank = serializers.IntegerField(help_text="1 is believed first")
    enabled = serializers.BooleanField()
    replayed = serializers.BooleanField(help_text="plays a storm of another day; raises no alarm")
    cadence_s = serializers.IntegerField()
    max_age_s = serializers.IntegerField()
    received_at = serializers.DateTimeField(allow_null=True)
    age_s = serializers.IntegerField(allow_null=True, help_text="since the last post")
    good_at = serializers.DateTimeField(allow_null=True, help_text="the last post with something accepted")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest instant it reported")
    lag_s = serializers.FloatField(allow_null=True, help_text="that instant to its receipt")
    accepted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[state.value for state in FeedState])
    why = serializers.ChoiceField(choices=[doubt.value for doubt in Doubt])
    alarm = AlarmOut(allow_null=True)
    sources = SourceOut(many=True)


class FeedsOut(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = FeedOut(many=True, help_text="by rank and key")


class Feeds(APIView):
    @extend_schema(operation_id="v1_feeds_list", responses=FeedsOut)
    def get(self, request: Request) -> Response:
        """Every feed with its age, lag, counts, sources and open alarm. Duty engineer and city desk only."""
        admit(request)
        at = now()
        alarms = {alarm.feed_id: alarm for alarm in FeedAlarm.objects.filter(ended_at=None)}
        items = [_item(standing, alarms.get(standing.feed.pk), at) for standing in standings(at)]
        return Response({"as_of": iso(at), "items": items})


def _item(standing: Standing, alarm: FeedAlarm | None, at: datetime) -> dict[str, Any]:
    feed, mark = standing.feed, standing.mark
    return {
        "feed": feed.pk,
        "name": feed.name,
        "rank": feed.rank,
        "enabled": feed.enabled,
        "replayed": feed.replayed,
        "cadence_s": feed.cadence_s,
        "max_age_s": feed.max_age_s,
        "received_at": iso(mark and mark.received_at),
        "age_s": age_s(mark and mark.received_at, at),
        "good_at": iso(mark and mark.good_at),
        "observed_at": iso(mark and mark.observed_at),
        "lag_s": mark and mark.lag_s,
        "accepted": mark.accepted if mark else 0,
        "rejected": mark.rejected if mark else 0,
        "state": standing.health.state,
        "why": standing.health.doubt,
        "alarm": alarm and {"raised_at": iso(alarm.raised_at), "silent_since": iso(alarm.silent_since)},
        "sources": [
            {
                "key": source.pk,
                "kind": source.kind,
                "address": without_secrets(source.address),
                "every_s": source.every_s,
                "due_at": iso(source.due_at),
                "good_at": iso(source.good_at),
                "failures": source.failures,
                "fault": without_secrets(source.fault),
                "enabled": source.enabled,
            }
            for source in standing.sources
        ],
    }
