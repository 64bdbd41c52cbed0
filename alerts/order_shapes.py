"""What goes in and out of the doors of orders: for the OpenAPI document and the checks of what comes in."""

from datetime import timedelta

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.assessment.plans import DUTIES, MOST_MINUTES, MOST_TASKS, SECTORS
from alerts.models import (
    Attachment,
    Hazard,
    OrderEvent,
    OrderMeasure,
    OrderStatus,
    OrderTask,
    ResponseOrder,
    Sector,
)
from alerts.shapes import LEVEL_CODES, At, CodeField, NamedRegion
from hydrology.models import Level

MOST_UNDO_S = 60
DUTY_CHOICES = [(duty, duty) for duty in DUTIES]


class AreasField(serializers.ListField):
    """Region codes."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(child=serializers.CharField(max_length=32), min_length=1, max_length=1000, **kwargs)


class TaskIn(serializers.Serializer[object]):
    duty = serializers.ChoiceField(
        choices=DUTIES, allow_blank=True, default="", help_text="empty: every duty addressed"
    )
    level = serializers.ChoiceField(
        choices=Level.choices, allow_blank=True, default="", help_text="of the post; empty: any"
    )
    text_zh = serializers.CharField(max_length=400)
    text_en = serializers.CharField(max_length=800, default="", allow_blank=True)
    due_min = serializers.IntegerField(
        min_value=1,
        max_value=MOST_MINUTES,
        default=None,
        allow_null=True,
        help_text="minutes after the release",
    )


class MeasureIn(serializers.Serializer[object]):
    sector = serializers.ChoiceField(choices=Sector.choices)
    areas = AreasField(required=False, help_text="left out: all areas of the order")
    starts_at = At(default=None, allow_null=True, help_text="null: with the order")
    ends_at = At(default=None, allow_null=True, help_text="null: with the order")
    note = serializers.CharField(max_length=200, default="", allow_blank=True)


class OrderIn(serializers.Serializer[object]):
    """With a plan, what is left out is taken from it; without one the contract's fields are needed."""

    plan = serializers.CharField(max_length=64, required=False, help_text="key, see GET plans")
    proposal = serializers.IntegerField(required=False, min_value=1, help_text="taken with the draft")
    replaces = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="order in force whose place it takes"
    )
    under = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        help_text="superior's order in force whose thread it joins",
    )
    hazard = serializers.ChoiceField(
        choices=Hazard.choices, required=False, help_text="else the plan's, or flood"
    )
    level = CodeField(LEVEL_CODES, required=False)
    authority = serializers.CharField(max_length=32, required=False)
    areas = AreasField(required=False)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=DUTY_CHOICES), min_length=1, required=False
    )
    title_zh = serializers.CharField(max_length=80, required=False)
    title_en = serializers.CharField(max_length=160, required=False, allow_blank=True)
    text_zh = serializers.CharField(max_length=4000, required=False)
    text_en = serializers.CharField(max_length=8000, required=False, allow_blank=True)
    deadline_at = At(required=False, allow_null=True)
    deadline_min = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_MINUTES,
        help_text="minutes after the release",
    )
    valid_until = At(required=False)
    effective_at = At(required=False, allow_null=True, help_text="released then; null: when it is issued")
    report_every_h = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=24)
    drill = serializers.BooleanField(default=False)
    drill_of = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    tasks = TaskIn(many=True, required=False, max_length=MOST_TASKS)
    measures = MeasureIn(many=True, required=False, max_length=len(SECTORS))


class OrderEventOut(serializers.ModelSerializer[OrderEvent]):
    at = At()
    actor = serializers.CharField(source="actor.name")

    class Meta:
        model = OrderEvent
        fields = ["at", "actor", "before", "after", "note"]


class OrderTaskOut(serializers.ModelSerializer[OrderTask]):
    due_at = serializers.SerializerMethodField()

    class Meta:
        model = OrderTask
        fields = ["id", "number", "duty", "level", "text_zh", "text_en", "due_min", "due_at"]

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_due_at(self, task: OrderTask) -> object:
        """Null before the order is released, and without a limit."""
        released_at = task.order.released_at
        if released_at is None or task.due_min is None:
            return None
        return At().to_representation(released_at + timedelta(minutes=task.due_min))


class OrderMeasureOut(serializers.ModelSerializer[OrderMeasure]):
    sector_name = serializers.CharField(source="get_sector_display")
    starts_at, ends_at = At(allow_null=True), At(allow_null=True)
    in_force = serializers.SerializerMethodField()

    class Meta:
        model = OrderMeasure
        fields = ["id", "sector", "sector_name", "areas", "starts_at", "ends_at", "note", "in_force"]

    def get_in_force(self, measure: OrderMeasure) -> bool:
        return measure.in_force_at(self.context["now"])


class AttachmentOut(serializers.ModelSerializer[Attachment]):
    added_at = At()

    class Meta:
        model = Attachment
        fields = ["id", "name", "media_type", "size", "sha256", "added_at"]


class OrderOut(serializers.ModelSerializer[ResponseOrder]):
    """Needs `now` in its context, and what `ResponseOrder.objects.whole()` loads."""

    level = CodeField(LEVEL_CODES)
    authority = NamedRegion()
    drafted_by = serializers.IntegerField(source="drafted_by_id")
    approved_by = serializers.IntegerField(source="approved_by_id", allow_null=True)
    replaces = serializers.IntegerField(source="replaces_id", allow_null=True)
    replaced_by = serializers.SerializerMethodField()
    under = serializers.IntegerField(source="under_id", allow_null=True)
    adds = serializers.SerializerMethodField(help_text="orders added under it, once released")
    drill_of = serializers.IntegerField(source="drill_of_id", allow_null=True)
    undo_until = serializers.SerializerMethodField()
    deadline_at, valid_until, created_at = At(allow_null=True), At(), At()
    effective_at, release_at, released_at, ended_at = (At(allow_null=True) for _ in range(4))
    tasks = OrderTaskOut(many=True)
    measures = OrderMeasureOut(many=True)
    attachments = AttachmentOut(many=True)
    events = OrderEventOut(many=True)

    class Meta:
        model = ResponseOrder
        fields = [
            "id", "status", "hazard", "level", "action", "authority", "areas", "duties", "title_zh", "title_en",
            "text_zh", "text_en", "deadline_at", "deadline_min", "valid_until", "effective_at", "report_every_h",
            "drill", "drill_of", "plan", "thread", "replaces", "replaced_by", "under", "adds", "drafted_by",
            "approved_by", "head_count", "created_at", "release_at", "released_at", "undo_until", "ended_at", "tasks",
            "measures", "attachments", "events",
        ]  # fmt: skip

    def get_replaced_by(self, order: ResponseOrder) -> int | None:
        """The order that took its place, once released."""
        return next((one.pk for one in order.replaced_by.all() if one.released_at), None)

    @extend_schema_field({"type": "array", "items": {"type": "integer"}})
    def get_adds(self, order: ResponseOrder) -> list[int]:
        return [one.pk for one in order.adds.all() if one.released_at]

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_undo_until(self, order: ResponseOrder) -> object:
        """Null when its issue cannot be undone (any more)."""
        pending = order.status == OrderStatus.ISSUED and order.released_at is None
        return At().to_representation(order.release_at) if pending and order.release_at else None


class PlanOut(serializers.Serializer[object]):
    key = serializers.CharField()
    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    hazard = serializers.CharField()
    level = serializers.CharField()
    authority_level = serializers.CharField()
    title_zh = serializers.CharField(help_text="{authority}, {level}, {action} are filled when drafting")
    title_en = serializers.CharField()
    text_zh = serializers.CharField(help_text="the same, and {areas}")
    text_en = serializers.CharField()
    duties = serializers.ListField(child=serializers.CharField())
    deadline_min = serializers.IntegerField(allow_null=True)
    valid_h = serializers.IntegerField()
    report_every_h = serializers.IntegerField(allow_null=True)
    tasks = TaskIn(many=True)
    measures = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    note = serializers.CharField()


class PlansOut(serializers.Serializer[object]):
    version = serializers.CharField(help_text="empty: the defaults")
    items = PlanOut(many=True)


class ResponseItem(serializers.Serializer[object]):
    authority = NamedRegion()
    hazard = serializers.CharField()
    level = serializers.CharField()
    since = serializers.DateTimeField(help_text="when this level was released")
    order = serializers.IntegerField()
    areas = NamedRegion(many=True)


class ResponsesOut(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = ResponseItem(many=True, help_text="the highest authority first")


class MeasureItem(serializers.Serializer[object]):
    sector = serializers.ChoiceField(choices=Sector.choices)
    sector_name = serializers.CharField()
    areas = NamedRegion(many=True)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="null: with the order")
    order = serializers.IntegerField()
    authority = NamedRegion()


class MeasuresOut(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = MeasureItem(many=True)
