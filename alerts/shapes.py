"""What goes in and out of the alerts doors, for the OpenAPI document and the checks of what comes in."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts import checks
from alerts.models import (
    Check,
    CheckAnswer,
    ResponseLevel,
    Warning,
    WarningEvent,
    WarningLevel,
    WarningStreet,
)
from foundation.clock import SHENZHEN
from hydrology.models import Station, StationKind
from hydrology.standing import KINDS

LEVEL_CODES = {level.value: level.code for level in ResponseLevel}


class At(serializers.DateTimeField):
    """An instant, ISO 8601 with +08:00."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(default_timezone=SHENZHEN, **kwargs)


class CodeField(serializers.ChoiceField):
    """An integer column spoken as its stable code."""

    def __init__(self, codes: dict[int, str], **kwargs: object) -> None:
        self.to_code = codes
        super().__init__(choices=[(code, code) for code in codes.values()], **kwargs)

    def to_representation(self, value: int) -> str:
        return self.to_code[value]

    def to_internal_value(self, data: object) -> int:
        code = super().to_internal_value(data)
        return next(value for value, its in self.to_code.items() if its == code)


LEVEL_CHOICES = [(code, code) for code in LEVEL_CODES.values()]
WARNING_CODES = {level.value: level.name.lower() for level in WarningLevel}
WARNING_CHOICES = [(code, code) for code in WARNING_CODES.values()]


class NamedRegion(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()


class StreetOut(serializers.ModelSerializer[WarningStreet]):
    code = serializers.CharField(source="region_id")
    name = serializers.CharField(source="region.name")
    level = CodeField(WARNING_CODES)

    class Meta:
        model = WarningStreet
        fields = ["code", "name", "level"]


class WarningEventOut(serializers.ModelSerializer[WarningEvent]):
    level = CodeField(WARNING_CODES)
    at = At()
    created_at = At()
    reasons = serializers.JSONField(
        help_text="rule version, fields, nowcast run, share missing, per street the rain"
    )

    class Meta:
        model = WarningEvent
        fields = ["action", "level", "at", "created_at", "areas", "reasons"]


class BulletinOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    level = serializers.CharField()
    title = serializers.CharField(source="title_zh")
    title_en = serializers.CharField()
    push = serializers.CharField(source="push_zh")
    body = serializers.CharField(source="body_zh")
    issued_at = At()
    valid_until = At()
    areas = serializers.ListField(child=serializers.CharField())


class NamedStation(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=list(KINDS.values())))
    def get_kind(self, station: Station) -> str:
        return KINDS[StationKind(station.kind)]


class WarningOut(serializers.ModelSerializer[Warning]):
    level = CodeField(WARNING_CODES)
    peak_level = CodeField(WARNING_CODES)
    region = NamedRegion(help_text="the district; of a level notice the street")
    station = NamedStation(allow_null=True, help_text="level notices: whose level it is")
    streets = StreetOut(many=True)
    raised_at = At()
    ended_at = At(allow_null=True)
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = Warning
        fields = [
            "id", "hazard", "level", "peak_level", "region", "station", "streets", "raised_at",
            "ended_at", "drill", "reasons",
        ]  # fmt: skip

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_reasons(self, warning: Warning) -> dict[str, object]:
        """The last event's reasons: what the present level rests on."""
        events = list(warning.events.all())
        return events[-1].reasons if events else {}


class WarningWhole(WarningOut):
    events = WarningEventOut(many=True)
    bulletins = BulletinOut(many=True)

    class Meta(WarningOut.Meta):
        fields = [*WarningOut.Meta.fields, "events", "bulletins"]


class CheckOut(serializers.ModelSerializer[Check]):
    station = serializers.CharField(source="station_id")
    station_name = serializers.CharField(source="station.name")
    region = serializers.CharField(source="station.region_id")
    observed_at = At(help_text="END of the slot that raised it")
    value_mm = serializers.FloatField(help_text="the highest doubted 5-minute value since")
    raised_at = At()
    answer = serializers.ChoiceField(choices=[*CheckAnswer.values, ""], help_text="empty while it is open")
    answered_at = At(allow_null=True)
    excluded_until = At(allow_null=True, help_text="broken: until then the station is left out")

    class Meta:
        model = Check
        fields = [
            "id", "station", "station_name", "region", "observed_at", "value_mm", "why", "raised_at", "answer",
            "answered_at", "excluded_until",
        ]  # fmt: skip


class ChecksOut(serializers.Serializer[object]):
    items = CheckOut(many=True)


class CheckAnswerIn(serializers.Serializer[object]):
    answer = serializers.ChoiceField(choices=CheckAnswer.values)
    hours = serializers.IntegerField(
        min_value=checks.LEAST_HOURS, max_value=checks.MOST_HOURS, default=checks.DEFAULT_HOURS,
        help_text="broken: how long the station is left out",
    )  # fmt: skip


class NoteIn(serializers.Serializer[object]):
    note = serializers.CharField(max_length=200, default="", allow_blank=True)
