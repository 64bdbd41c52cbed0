"""What goes in and out of the alerts doors, for the OpenAPI document and the checks of what comes in."""

import re
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts import checks, hand, hand_checks
from alerts.models import (
    Check,
    CheckAnswer,
    Held,
    ResponseLevel,
    Warning,
    WarningEvent,
    WarningLevel,
    WarningStreet,
)
from alerts.storms import storm_of, threads_of
from foundation.clock import SHENZHEN, iso
from hydrology.models import Station, StationKind
from hydrology.standing import KINDS

LEVEL_CODES = {level.value: level.code for level in ResponseLevel}


class At(serializers.DateTimeField):
    """An instant, ISO 8601 with +08:00."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(default_timezone=SHENZHEN, **kwargs)


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
_WATCHS_OWN = frozenset({"pending_slots", "hand_over", "below_peak"})


def reasons_out(kept: Any) -> Any:
    """Reasons as they are shown: instants with +08:00, without what only the watch counts by."""
    if isinstance(kept, dict):
        return {name: reasons_out(value) for name, value in kept.items() if name not in _WATCHS_OWN}
    if isinstance(kept, list):
        return [reasons_out(value) for value in kept]
    if isinstance(kept, str) and _INSTANT.fullmatch(kept):
        return iso(datetime.fromisoformat(kept))
    return kept


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
GRAVE_CODES = {level: code for level, code in WARNING_CODES.items() if level}
GRAVE_CHOICES = [(code, code) for code in GRAVE_CODES.values()]
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


class HandOut(serializers.Serializer[object]):
    """A person's word that holds: the watch neither lowers below it nor raises what he overrode."""

    level = CodeField(WARNING_CODES)
    until = At(help_text="data time")


class StreetWhole(StreetOut):
    hand = serializers.SerializerMethodField(help_text="null: the rules decide")

    class Meta(StreetOut.Meta):
        fields = [*StreetOut.Meta.fields, "hand"]

    @extend_schema_field(HandOut(allow_null=True))
    def get_hand(self, street: WarningStreet) -> object:
        return hand_of(self.context, street.region_id)


def hand_of(context: dict[str, Any], place: str | None) -> object:
    """`context["holds"]`: as hand.holds."""
    held = context.get("holds", {}).get(place)
    return HandOut(held).data if held else None


class WarningEventOut(serializers.ModelSerializer[WarningEvent]):
    level = CodeField(WARNING_CODES)
    at = At()
    created_at = At()
    actor = serializers.CharField(source="actor.name", allow_null=True, help_text="null: the watch")
    by_hand = serializers.SerializerMethodField()
    reasons = serializers.SerializerMethodField(
        help_text="rule version, fields, nowcast run, share missing, per street the rain"
    )

    class Meta:
        model = WarningEvent
        fields = ["id", "action", "level", "at", "created_at", "areas", "reasons", "actor", "by_hand", "note"]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_reasons(self, event: WarningEvent) -> object:
        return reasons_out(event.reasons)

    def get_by_hand(self, event: WarningEvent) -> bool:
        return event.actor_id is not None


class BulletinOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    level = serializers.CharField()
    title = serializers.CharField(source="title_zh")
    title_en = serializers.CharField()
    push = serializers.CharField(source="push_zh")
    push_en = serializers.CharField()
    body = serializers.CharField(source="body_zh")
    body_en = serializers.CharField()
    issued_at = At()
    valid_until = At()
    areas = serializers.ListField(child=serializers.CharField())
    supersedes = serializers.IntegerField(
        source="supersedes_id", allow_null=True, help_text="the message of the chain it takes the place of"
    )


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
    def get_reasons(self, warning: Warning) -> object:
        """The last event's reasons: what the present level rests on."""
        events = list(warning.events.all())
        return reasons_out(events[-1].reasons) if events else {}


class WarningWhole(WarningOut):
    streets = StreetWhole(many=True)
    hand = serializers.SerializerMethodField(help_text="level notices: a person's word about the station")
    storm = serializers.SerializerMethodField(
        help_text="the storm whose messages it shares; null: nothing was said"
    )
    events = WarningEventOut(many=True)
    bulletins = BulletinOut(many=True)

    class Meta(WarningOut.Meta):
        fields = [*WarningOut.Meta.fields, "hand", "storm", "events", "bulletins"]

    def get_storm(self, warning: Warning) -> int | None:
        said = [bulletin.thread for bulletin in warning.bulletins.all() if storm_of(bulletin.thread)]
        return storm_of(threads_of(said[-1])[0]) if said else None

    @extend_schema_field(HandOut(allow_null=True))
    def get_hand(self, warning: Warning) -> object:
        return hand_of(self.context, warning.station_id)


class _Decided(serializers.Serializer[object]):
    streets = serializers.ListField(
        child=serializers.CharField(max_length=32), max_length=hand_checks.MOST_STREETS, default=list,
        help_text="street codes; none: all that the verb can mean",
    )  # fmt: skip
    hours = serializers.IntegerField(
        min_value=hand_checks.LEAST_H, max_value=hand_checks.MOST_H, default=hand_checks.DEFAULT_H,
        help_text="how long his word holds; then the rules decide again, and a flood warning ends",
    )  # fmt: skip
    note = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="the grounds; needed"
    )


class WarningIn(_Decided):
    hazard = serializers.ChoiceField(choices=hand.RAISED)
    level = CodeField(GRAVE_CODES)
    drill = serializers.BooleanField(
        default=False, help_text="inside the drill that runs in these streets; rain only"
    )
    drill_of = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, help_text="which drill, where several run"
    )


class WarningActIn(_Decided):
    level = CodeField(GRAVE_CODES, default=None, allow_null=True, help_text="upgrade, downgrade, extend")


class HeldOut(serializers.ModelSerializer[Held]):
    title = serializers.CharField(source="words.title_zh")
    title_en = serializers.CharField(source="words.title_en")
    push = serializers.CharField(source="words.push_zh")
    push_en = serializers.CharField(source="words.push_en")
    body = serializers.CharField(source="words.body_zh")
    body_en = serializers.CharField(source="words.body_en")
    level = serializers.CharField(source="fields.level")
    areas = serializers.ListField(child=serializers.CharField(), source="fields.areas")
    drill = serializers.BooleanField(source="warning.drill")
    held_at, decided_at = At(), At(allow_null=True)
    release_at = At(allow_null=True, help_text="by itself then; null: only a person releases it")
    decided_by = serializers.CharField(
        source="decided_by.name", allow_null=True, help_text="null: the time limit, or the watch moved on"
    )

    class Meta:
        model = Held
        fields = [
            "id", "warning", "title", "title_en", "push", "push_en", "body", "body_en", "level", "areas", "drill",
            "held_at", "release_at", "state", "decided_at", "decided_by", "note", "bulletin",
        ]  # fmt: skip


class ReleasesOut(serializers.Serializer[object]):
    items = HeldOut(many=True)


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
