"""What goes in and out of the hazards doors, for the OpenAPI document. What a form must look like: forms.py."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.shapes import At
from hazards.forms import COUNTS, INSPECTED, MOST, NOTE_CHARS
from hazards.models import Feedback, TaskReport, TaskState
from hydrology.models import Level


def _count(label: str) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=0, max_value=MOST, default=0, help_text=label)


class InspectedOut(serializers.Serializer[object]):
    """Objects inspected by kind; a kind that nobody counted is left out."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {kind: _count(label) for kind, label in INSPECTED.items()}


class FiguresOut(serializers.Serializer[object]):
    inspected = InspectedOut(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**{key: _count(label) for key, label in COUNTS.items()}, **super().get_fields()}


@extend_schema_field(FiguresOut)
class FiguresField(serializers.JSONField):
    """Figures as they are kept: checked when they came in."""


class FeedbackIn(serializers.Serializer[object]):
    """Only drawn in the OpenAPI document: one reader serves this door and the receipts' forms (forms.py)."""

    region = serializers.CharField(required=False, help_text="of a post of his; left out: his nearest")
    at = serializers.DateTimeField(required=False, help_text="the phone's clock; left out: now")
    zero = serializers.BooleanField(default=False, help_text="零报告: nothing to report; every figure is 0")
    figures = FiguresOut(required=False, help_text="may be left out of a zero report")
    note = serializers.CharField(max_length=NOTE_CHARS, default="", allow_blank=True)


class FeedbackOut(serializers.ModelSerializer[Feedback]):
    order = serializers.IntegerField(source="order_id")
    region = serializers.CharField(source="region_id")
    region_name = serializers.CharField(source="region.name")
    officer = serializers.CharField(source="officer.name")
    at, received_at = At(), At()
    figures = FiguresField()

    class Meta:
        model = Feedback
        fields = [
            "id",
            "order",
            "region",
            "region_name",
            "officer",
            "at",
            "received_at",
            "zero",
            "figures",
            "note",
        ]


class PlaceOut(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.ChoiceField(choices=Level.choices)


class ChildOut(serializers.Serializer[object]):
    """What a child region reported itself and with all below it; counts are of places that are to report."""

    code = serializers.CharField(source="region.pk")
    name = serializers.CharField(source="region.name")
    level = serializers.ChoiceField(choices=Level.choices, source="region.level")
    own = FiguresField(source="share.own", allow_null=True)
    total = FiguresField(source="share.total")
    expected = serializers.IntegerField(source="share.expected")
    reported = serializers.IntegerField(source="share.reported", help_text="within the period")
    last_at = At(source="share.last_at", allow_null=True)
    arrived = serializers.IntegerField(source="share.arrived", help_text="people who said so")
    arrived_with_place = serializers.IntegerField(source="share.placed")


class PeriodOut(serializers.Serializer[object]):
    number = serializers.IntegerField()
    from_at, until_at = At(), At(help_text="END, inclusive")


class RollUpOut(serializers.Serializer[object]):
    order = serializers.IntegerField()
    drill = serializers.BooleanField()
    region = PlaceOut()
    as_of = At()
    period = PeriodOut(
        help_text="`reported` and `missing` speak of it; days where no form is wanted more often"
    )
    own = FeedbackOut(allow_null=True, help_text="the region's own newest form")
    total = FiguresField()
    children = ChildOut(many=True)
    expected = serializers.IntegerField(help_text="places with somebody the order addressed")
    reported = serializers.IntegerField()
    missing = PlaceOut(many=True)
    arrived = serializers.IntegerField()
    arrived_with_place = serializers.IntegerField()
    unread = serializers.IntegerField(help_text="forms on receipts that could not be counted")
    due_at = At(allow_null=True, help_text="end of the period now running; null: no form is wanted")
    zero_due_at = At(allow_null=True, help_text="by then every place must have spoken")


class TaskReportIn(serializers.Serializer[object]):
    state = serializers.ChoiceField(choices=TaskState.choices)
    at = At(required=False, help_text="the phone's clock; left out: now")
    note = serializers.CharField(
        max_length=NOTE_CHARS, default="", allow_blank=True, help_text="blocked: why"
    )
    lon = serializers.FloatField(min_value=-180, max_value=180, default=None, allow_null=True)
    lat = serializers.FloatField(min_value=-90, max_value=90, default=None, allow_null=True)


class TaskReportOut(serializers.ModelSerializer[TaskReport]):
    task = serializers.IntegerField(source="task_id")
    region = serializers.CharField(source="region_id")
    at, received_at = At(), At()

    class Meta:
        model = TaskReport
        fields = ["id", "task", "region", "state", "at", "received_at", "note", "lon", "lat"]


class TaskOut(serializers.Serializer[object]):
    id = serializers.IntegerField(source="task.pk")
    number = serializers.IntegerField(source="task.number")
    duty = serializers.CharField(source="task.duty", help_text="empty: every duty addressed")
    level = serializers.CharField(source="task.level", help_text="of the post; empty: any")
    text_zh = serializers.CharField(source="task.text_zh")
    text_en = serializers.CharField(source="task.text_en")
    due_at = At(allow_null=True)


class MyTaskOut(TaskOut):
    order = serializers.IntegerField()
    text = serializers.SerializerMethodField(help_text="in the caller's language")
    region = serializers.CharField(help_text="of the post by which it is mine")
    state = serializers.ChoiceField(
        choices=TaskState.choices, allow_null=True, help_text="null: not a word yet"
    )
    at = At(allow_null=True)
    note = serializers.CharField(allow_null=True)
    overdue = serializers.BooleanField()

    def get_text(self, item: dict[str, Any]) -> str:
        task = item["task"]
        return (
            str(task.text_en or task.text_zh) if self.context.get("language") == "en" else str(task.text_zh)
        )


class MineOut(serializers.Serializer[object]):
    items = MyTaskOut(many=True)


class TaskRegionOut(serializers.Serializer[object]):
    code = serializers.CharField(source="region.pk")
    name = serializers.CharField(source="region.name")
    people = serializers.IntegerField(source="standing.people")
    doing = serializers.IntegerField(source="standing.doing")
    done = serializers.IntegerField(source="standing.done")
    blocked = serializers.IntegerField(source="standing.blocked")
    silent = serializers.IntegerField(source="standing.silent")


class BlockedNoteOut(serializers.Serializer[object]):
    name = serializers.CharField(help_text="of the officer")
    region = serializers.CharField()
    note = serializers.CharField()
    at = At()


class StandingOut(TaskOut):
    people = serializers.IntegerField(source="standing.people")
    doing = serializers.IntegerField(source="standing.doing")
    done = serializers.IntegerField(source="standing.done")
    blocked = serializers.IntegerField(source="standing.blocked")
    silent = serializers.IntegerField(source="standing.silent")
    late = serializers.IntegerField(help_text="not done and past the time")
    regions = TaskRegionOut(many=True, help_text="the next level below the region looked at")
    blocked_notes = BlockedNoteOut(many=True, help_text="the newest first")


class StandingsOut(serializers.Serializer[object]):
    order = serializers.IntegerField()
    region = PlaceOut()
    as_of = At()
    items = StandingOut(many=True)
