"""What goes in and out of the doors of reports from the ground. What a report must look like: ground_form.py."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.shapes import At
from hazards.ground_acts import acts_open_to
from hazards.ground_form import CLIENT_CHARS, MOST_PHOTOS, TEXT_CHARS
from hazards.models import (
    CloseReason,
    GroundEvent,
    GroundKind,
    GroundPhoto,
    GroundReport,
    GroundSeverity,
    GroundStatus,
)
from hydrology.models import Level
from officers.models import Duty, Rank


class GroundIn(serializers.Serializer[object]):
    """Only drawn in the OpenAPI document: one reader checks every field, and names every fault at once."""

    kind = serializers.ChoiceField(choices=GroundKind.choices)
    severity = serializers.ChoiceField(choices=GroundSeverity.choices)
    lon = serializers.FloatField(
        help_text="degrees, WGS 84 (phones in China may give GCJ-02: convert), in the city"
    )
    lat = serializers.FloatField(help_text="degrees, WGS 84")
    text = serializers.CharField(
        max_length=TEXT_CHARS, default="", allow_blank=True, help_text="other: what it is"
    )
    at = serializers.DateTimeField(required=False, help_text="the phone's clock; left out: now")
    client_id = serializers.CharField(
        max_length=CLIENT_CHARS,
        required=False,
        help_text="of this report, the same each time it is sent; left out: the Idempotency-Key",
    )
    photos = serializers.ListField(
        child=serializers.FileField(),
        required=False,
        max_length=MOST_PHOTOS,
        help_text="JPEG, PNG, WebP or HEIC by content, at most 10 MB each; kept byte for byte",
    )


class GroundPersonOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    synthetic = serializers.BooleanField()


class SpotOut(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.ChoiceField(choices=Level.choices)


class StampGaugeOut(serializers.Serializer[object]):
    station = serializers.CharField()
    name = serializers.CharField()
    distance_km = serializers.FloatField()
    rain_60min_mm = serializers.FloatField(allow_null=True)
    share = serializers.FloatField()


class StampOut(serializers.Serializer[object]):
    """The water around it when it came in; never changed. Empty where it could not be read then."""

    as_of = serializers.DateTimeField(required=False)
    gauge = StampGaugeOut(required=False, allow_null=True, help_text="the nearest one's last hour")
    street = serializers.DictField(
        required=False, allow_null=True, help_text="the last hour, as in live/rain"
    )
    levels = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="the nearest reservoir and river: an item of live/levels with its limit, and distance_km",
    )


@extend_schema_field(StampOut)
class StampField(serializers.JSONField):
    """As it is kept."""


class PhotoOut(serializers.ModelSerializer[GroundPhoto]):
    class Meta:
        model = GroundPhoto
        fields = ["number", "media_type", "size"]


class NearOut(serializers.Serializer[object]):
    count = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.IntegerField())


class GroundOut(serializers.ModelSerializer[GroundReport]):
    """Context: `near`, `places` (ground.py), `officer` and `scope` of the caller."""

    region = SpotOut()
    place = serializers.SerializerMethodField(help_text="names from the district down")
    officer = GroundPersonOut(help_text="who saw it")
    assignee = GroundPersonOut(allow_null=True, help_text="who was sent")
    at, received_at, closed_at = At(), At(), At(allow_null=True)
    status = serializers.ChoiceField(choices=GroundStatus.choices)
    stamp = StampField()
    photos = PhotoOut(many=True)
    near = serializers.SerializerMethodField(
        help_text="others of its kind within 150 m and 2 h: maybe the same"
    )
    grave = serializers.BooleanField(help_text="the desks were told at once")
    duplicate_of = serializers.IntegerField(source="duplicate_of_id", allow_null=True)
    acts = serializers.SerializerMethodField(help_text="what the caller may do with it now")

    class Meta:
        model = GroundReport
        fields = [
            "id", "client_id", "kind", "severity", "grave", "lon", "lat", "region", "place", "text", "at",
            "received_at", "officer", "status", "assignee", "close_reason", "duplicate_of", "closed_at", "stamp",
            "photos", "near", "acts",
        ]  # fmt: skip

    def get_place(self, made: GroundReport) -> str:
        return str(self.context["places"][made.region_id])

    @extend_schema_field(NearOut)
    def get_near(self, made: GroundReport) -> dict[str, Any]:
        ids = self.context["near"].get(made.pk, [])
        return {"count": len(ids), "ids": ids}

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_acts(self, made: GroundReport) -> list[str]:
        return acts_open_to(made, self.context["officer"], self.context["scope"])


class GroundEventOut(serializers.ModelSerializer[GroundEvent]):
    at = At()
    actor = serializers.CharField(source="actor.name")
    assignee = serializers.CharField(source="assignee.name", allow_null=True, default=None)

    class Meta:
        model = GroundEvent
        fields = ["at", "actor", "before", "after", "assignee", "note"]


class GroundWholeOut(GroundOut):
    events = GroundEventOut(many=True)

    class Meta(GroundOut.Meta):
        fields = [*GroundOut.Meta.fields, "events"]


class MoveIn(serializers.Serializer[object]):
    note = serializers.CharField(
        max_length=TEXT_CHARS, default="", allow_blank=True, help_text="close: what was done or found"
    )
    officer = serializers.IntegerField(required=False, help_text="assign: whom to send, one of `people`")
    reason = serializers.ChoiceField(choices=CloseReason.choices, required=False, help_text="close: why")
    duplicate_of = serializers.IntegerField(required=False, help_text="close as duplicate: of which report")


class SendableOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    duty = serializers.ChoiceField(choices=Duty.choices)
    rank = serializers.ChoiceField(choices=Rank.choices)
    position = serializers.CharField(help_text="岗位编号, may be empty")
    region = serializers.CharField()
    region_name = serializers.CharField()


class SendablesOut(serializers.Serializer[object]):
    items = SendableOut(many=True)
