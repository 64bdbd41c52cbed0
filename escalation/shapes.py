"""What goes in and out of the call-out desk's doors."""

from rest_framework import serializers

from escalation.models import CallResult, CallTask
from foundation.clock import iso

NOTE_CHARS = 500


class TriedOut(serializers.Serializer[object]):
    errand = serializers.CharField(help_text="repeat, deputy, superior, desk")
    channel = serializers.CharField()
    taken_at = serializers.DateTimeField()
    reached = serializers.IntegerField(help_text="how many people it addressed")


class CallOut(serializers.Serializer[object]):
    id = serializers.IntegerField()
    dispatch = serializers.IntegerField(
        help_text="GET dispatches/{dispatch}/people/{officer} tells his whole chain"
    )
    officer = serializers.IntegerField(help_text="the silent person")
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    duty = serializers.CharField(allow_null=True)
    region = serializers.CharField()
    region_name = serializers.CharField()
    bulletin = serializers.IntegerField()
    title = serializers.CharField()
    urgency = serializers.IntegerField()
    drill = serializers.BooleanField()
    told_at = serializers.DateTimeField(help_text="since when he has been asked")
    made_at = serializers.DateTimeField()
    tried = TriedOut(many=True, help_text="the rungs taken before, in order")
    claimed_by = serializers.CharField(allow_null=True, help_text="who calls him")
    claimed_at = serializers.DateTimeField(allow_null=True)
    mine = serializers.BooleanField(help_text="claimed by the caller")
    result = serializers.ChoiceField(choices=CallResult.choices, allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    done_at = serializers.DateTimeField(allow_null=True)


class CallResultIn(serializers.Serializer[object]):
    result = serializers.ChoiceField(choices=CallResult.choices)
    note = serializers.CharField(max_length=NOTE_CHARS, default="", allow_blank=True)


class PhoneOut(serializers.Serializer[object]):
    phone = serializers.CharField(help_text="E.164; only to dial it now, kept nowhere")


def call_shape(task: CallTask, language: str, caller: int) -> dict[str, object]:
    """One row of `listed()` as the desk sees it."""
    delivery = task.climb.delivery
    told = delivery.dispatch.bulletin
    return {
        "id": task.pk,
        "dispatch": delivery.dispatch_id,
        "officer": delivery.officer_id,
        "name": delivery.officer.name,
        "masked_phone": delivery.officer.masked_phone,
        "duty": task.duty,  # type: ignore[attr-defined]  annotated by listed()
        "region": task.region_id,
        "region_name": task.region.name,
        "bulletin": told.pk,
        "title": told.title_en if language == "en" else told.title_zh,
        "urgency": told.urgency,
        "drill": told.drill,
        "told_at": iso(delivery.dispatch.created_at),
        "made_at": iso(task.made_at),
        "tried": [
            {
                "errand": rung.errand,
                "channel": rung.channel,
                "taken_at": iso(rung.taken_at),
                "reached": rung.reached,
            }
            for rung in task.climb.taken.all()
        ],
        "claimed_by": task.claimed_by.name if task.claimed_by else None,
        "claimed_at": iso(task.claimed_at),
        "mine": task.claimed_by_id == caller,
        "result": task.result,
        "note": task.note,
        "done_at": iso(task.done_at),
    }
