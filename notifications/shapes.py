"""What goes in and out of the notifications doors, for the OpenAPI document and the checks of what comes in."""

import json

from rest_framework import serializers

from alerts import warnings
from alerts.order_shapes import DUTY_CHOICES
from alerts.shapes import LEVEL_CODES, CodeField, WarningWhole
from foundation.clock import SHENZHEN
from foundation.texts import UNKEEPABLE, storable
from notifications import receipts
from notifications.coverage import DARK, FAULTS
from notifications.models import Errand, ReceiptState, State

FORM_CHARS = 20_000
MOST_ID = 2**63 - 1
TAKEN = ["accepted", "repeated", "unknown", "invalid"]  # what became of one receipt or report


class InboxTask(serializers.Serializer[object]):
    id = serializers.IntegerField()
    text = serializers.CharField()
    due_at = serializers.DateTimeField(allow_null=True)
    state = serializers.CharField(allow_null=True, help_text="what he said of it last")


class InboxPaper(serializers.Serializer[object]):
    id = serializers.IntegerField(help_text="GET orders/{order}/attachments/{id}")
    name = serializers.CharField()
    media_type = serializers.CharField()
    size = serializers.IntegerField()


class InboxItem(serializers.Serializer[object]):
    seq = serializers.IntegerField()
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["warning", "order", "level", "message"])
    level = serializers.CharField()
    title = serializers.CharField()
    body = serializers.CharField()
    drill = serializers.BooleanField()
    requires = serializers.ChoiceField(choices=["none", "open", "confirm", "report"])
    deadline_at = serializers.DateTimeField(allow_null=True)
    sent_at = serializers.DateTimeField()
    ref = serializers.CharField()
    state = serializers.ChoiceField(choices=State.choices, help_text="where this delivery stands")
    thread = serializers.CharField(help_text="what belongs together, e.g. order/12; empty: stands alone")
    quiet = serializers.BooleanField(
        help_text="renews what he has of the thread: shown in place, rings nobody"
    )
    tasks = InboxTask(many=True, help_text="his own, of the orders in force of the thread")
    attachments = InboxPaper(many=True, help_text="of the order")


class InboxPage(serializers.Serializer[object]):
    items = InboxItem(many=True)
    next = serializers.IntegerField(help_text="pass as `since` next time")
    gap = serializers.BooleanField(
        help_text="what follows `since` is not all here: older lines are archived, or the ledger is older than the phone"
    )


class ReceiptIn(serializers.Serializer[object]):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=ReceiptState.choices)
    at = serializers.DateTimeField(default_timezone=SHENZHEN)
    lon = serializers.FloatField(min_value=-180, max_value=180, default=None, allow_null=True)
    lat = serializers.FloatField(min_value=-90, max_value=90, default=None, allow_null=True)
    note = serializers.CharField(
        max_length=500, default="", allow_blank=True, help_text="needed for `cannot`: the reason"
    )
    form = serializers.DictField(default=None, allow_null=True)

    def validate_id(self, value: int) -> int:
        if abs(value) >= 2**63:
            raise serializers.ValidationError("不是消息编号 / not the id of a message")
        return value

    def validate_form(self, value: dict[str, object] | None) -> dict[str, object] | None:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            raise serializers.ValidationError("嵌套过深 / nested too deeply") from None
        if not storable(text.replace("\\\\", "").replace("\\u0000", "\x00")):  # an escaped backslash is none
            raise serializers.ValidationError(UNKEEPABLE)
        if len(text) > FORM_CHARS:
            raise serializers.ValidationError(f"须少于 {FORM_CHARS} 字 / at most {FORM_CHARS} characters")
        return value

    def validate(self, values: dict[str, object]) -> dict[str, object]:
        if values["state"] == ReceiptState.CANNOT and not values["note"]:
            raise serializers.ValidationError({"note": "无法到岗须说明原因 / say why you cannot go"})
        return values

    def answer(self, values: dict[str, object]) -> receipts.Answer:
        return receipts.Answer(**{**values, "state": ReceiptState(values["state"])})  # type: ignore[arg-type]


class ReceiptsIn(serializers.Serializer[object]):
    receipts = ReceiptIn(many=True)
    clock = serializers.DateTimeField(
        required=False,
        default_timezone=SHENZHEN,
        help_text="the phone's clock as it sends: its skew is kept with the receipts; one that cannot be read is left out",
    )


class ReceiptOut(serializers.Serializer[object]):
    """`id` and `state` as they were sent, null where they are neither number nor text."""

    id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(allow_null=True)
    result = serializers.ChoiceField(choices=TAKEN)
    fields = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="of an invalid one: what is wrong"
    )


class ReceiptsOut(serializers.Serializer[object]):
    results = ReceiptOut(many=True, help_text="in the order in which they were sent")


class PreviewIn(serializers.Serializer[object]):
    areas = serializers.ListField(child=serializers.CharField(max_length=32), min_length=1, max_length=1000)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=DUTY_CHOICES), min_length=1, max_length=10
    )
    under = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=MOST_ID, help_text="the order it would join"
    )
    drill_of = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=MOST_ID,
        help_text="the drill under way it belongs to",
    )
    level = CodeField(LEVEL_CODES, default=None, allow_null=True, help_text="of the order")


class WarningPreviewIn(serializers.Serializer[object]):
    """As for POST warnings; `areas` of any level will do, and what else stands in the body is not looked at."""

    streets = serializers.ListField(child=serializers.CharField(max_length=32), max_length=1000, default=list)
    areas = serializers.ListField(child=serializers.CharField(max_length=32), max_length=1000, default=list)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=DUTY_CHOICES),
        max_length=10,
        default=list,
        help_text="empty: a warning's own",
    )
    drill_of = serializers.IntegerField(default=None, allow_null=True, min_value=1, max_value=MOST_ID)

    def validate(self, values: dict[str, object]) -> dict[str, object]:
        areas = values.pop("streets") or values["areas"]
        if not areas:
            raise serializers.ValidationError({"streets": "请选择街道 / name at least one street"})
        return {
            **values,
            "areas": areas,
            "duties": values["duties"] or warnings.DUTIES,
            "under": None,
            "level": None,
        }


class CountsOut(serializers.Serializer[object]):
    """People; `pushed` counts everybody a vendor accepted, however far he came since."""

    total = serializers.IntegerField()
    waiting = serializers.IntegerField()
    failed = serializers.IntegerField()
    pushed = serializers.IntegerField()
    delivered = serializers.IntegerField()
    shown = serializers.IntegerField(help_text="on his screen, or further")
    opened = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    acting = serializers.IntegerField(help_text="of the confirmed: is there, or has said how his task stands")


class DistrictReachOut(CountsOut):
    code = serializers.CharField()
    name = serializers.CharField()
    answered = serializers.IntegerField(help_text="of those first called")
    covered = serializers.IntegerField(help_text="with deputies' answers")
    no_device = serializers.IntegerField(help_text="of those first called, without a phone that lives")


class StreetReachOut(DistrictReachOut):
    district = serializers.CharField()


class RingOut(serializers.Serializer[object]):
    channel = serializers.ChoiceField(choices=["sms", "voice"])
    state = serializers.ChoiceField(choices=State.choices)
    reason = serializers.CharField(help_text="busy, no_answer, …")


class UnansweredOut(serializers.Serializer[object]):
    id = serializers.IntegerField(help_text="the delivery")
    dispatch = serializers.IntegerField(
        help_text="GET dispatches/{dispatch}/people/{officer} tells his whole chain"
    )
    officer = serializers.IntegerField()
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    duty = serializers.CharField(allow_null=True)
    region = serializers.CharField()
    region_name = serializers.CharField()
    street = serializers.CharField()
    state = serializers.ChoiceField(choices=State.choices)
    reason = serializers.CharField()
    rerouted = serializers.CharField(help_text="why it went by text message instead of by app; else empty")
    rings = RingOut(many=True, help_text="what else was tried for him, oldest first")
    bulletin = serializers.IntegerField()


class PersonOut(UnansweredOut):
    errand = serializers.ChoiceField(choices=Errand.choices, help_text="why he was told")
    acting = serializers.BooleanField(help_text="is there, or has said how his task stands")


class PeopleOut(serializers.Serializer[object]):
    items = PersonOut(many=True, help_text="at most 50, oldest line first")
    next = serializers.IntegerField(allow_null=True)


class WarningCounts(CountsOut):
    """Of what asked for an answer, below the caller's regions; each person by the newest of it."""

    no_device = serializers.IntegerField()
    unanswered_total = serializers.IntegerField()


class WarningReached(WarningWhole):
    reach = WarningCounts(help_text="GET warnings/{id}/reach tells where, and who")

    class Meta(WarningWhole.Meta):
        fields = [*WarningWhole.Meta.fields, "reach"]


class ReachOut(WarningCounts):
    dispatch = serializers.IntegerField(
        allow_null=True,
        help_text="GET dispatches/{dispatch}/people names everybody told; null: not yet dispatched",
    )
    states = serializers.DictField(child=serializers.IntegerField())
    districts = DistrictReachOut(many=True)
    streets = StreetReachOut(many=True, help_text="the smallest share of answers first")
    nobody = StreetReachOut(many=True, help_text="streets where nobody has answered")
    unanswered = UnansweredOut(many=True)
    next = serializers.IntegerField(allow_null=True)


class PreviewRegionOut(serializers.Serializer[object]):
    code = serializers.CharField()
    name = serializers.CharField()
    level = serializers.CharField()
    officers = serializers.IntegerField()
    no_live_device = serializers.IntegerField()
    quiet = serializers.IntegerField(help_text="have the message it joins; are not rung again")


class PreviewDutyOut(serializers.Serializer[object]):
    duty = serializers.ChoiceField(choices=DUTY_CHOICES, help_text="for which he is addressed")
    officers = serializers.IntegerField()
    no_live_device = serializers.IntegerField()
    quiet = serializers.IntegerField()


class CoverageItem(serializers.Serializer[object]):
    kind = serializers.ChoiceField(choices=["street", "reservoir", "river", "tide", "hazard"])
    code = serializers.CharField()
    name = serializers.CharField()
    region = serializers.CharField(help_text="the street")
    responders = serializers.IntegerField(help_text="A posts in force")
    deputies = serializers.IntegerField(help_text="B posts in force")
    reachable = serializers.IntegerField(help_text="of both, with a live device")
    tapped_at = serializers.DateTimeField(allow_null=True, help_text="when one of them last opened a message")
    faults = serializers.ListField(child=serializers.ChoiceField(choices=FAULTS))


class RedListOut(serializers.Serializer[object]):
    places = serializers.IntegerField()
    faulty = serializers.IntegerField()
    worst = CoverageItem(many=True, help_text="at most 20")


class PreviewOut(serializers.Serializer[object]):
    officers = serializers.IntegerField()
    no_live_device = serializers.IntegerField()
    quiet = serializers.IntegerField()
    regions = PreviewRegionOut(many=True)
    duties = PreviewDutyOut(many=True)
    coverage = RedListOut()


class NightOut(serializers.Serializer[object]):
    day = serializers.DateField()
    made_at = serializers.DateTimeField(default_timezone=SHENZHEN)
    places = serializers.IntegerField(help_text="of the whole city")
    faulty = serializers.IntegerField(help_text="of the caller's regions")
    faults = serializers.DictField(child=serializers.IntegerField())


class NightsOut(serializers.Serializer[object]):
    items = NightOut(many=True, help_text="the newest first")


class ProbeIn(serializers.Serializer[object]):
    areas = serializers.ListField(child=serializers.CharField(max_length=32), min_length=1, max_length=200)
    duties = serializers.ListField(
        child=serializers.ChoiceField(choices=["command", "desk", "flood", "reporter", "forest"]),
        min_length=1,
    )
    text = serializers.CharField(max_length=200, default="", allow_blank=True)


class ProbeOut(serializers.Serializer[object]):
    id = serializers.IntegerField(help_text="the bulletin")
    areas = serializers.ListField(child=serializers.CharField())
    duties = serializers.ListField(child=serializers.CharField())
    issued_at = serializers.DateTimeField()
    deadline_at = serializers.DateTimeField()
    total = serializers.IntegerField()
    delivered = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    failed = serializers.IntegerField()


class ProbesOut(serializers.Serializer[object]):
    items = ProbeOut(many=True, help_text="the newest first, with the caller's people")


class DarkPersonOut(serializers.Serializer[object]):
    officer = serializers.IntegerField()
    name = serializers.CharField()
    masked_phone = serializers.CharField()
    duty = serializers.CharField()
    region = serializers.CharField()
    region_name = serializers.CharField()
    reason = serializers.ChoiceField(
        choices=DARK, help_text="never had a phone, brought no token, or it was retired"
    )
    detail = serializers.CharField(help_text="why the last phone was retired, in the vendor's word")
    since = serializers.DateTimeField(allow_null=True)


class DarkOut(serializers.Serializer[object]):
    total = serializers.IntegerField()
    people = DarkPersonOut(many=True, help_text="at most 300, the newest losses first")


class CoverageOut(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    days = serializers.IntegerField(help_text="how recent a tap must be")
    places = serializers.IntegerField()
    faulty = serializers.IntegerField()
    items = CoverageItem(many=True, help_text="the worst first")
    dark = DarkOut(help_text="people with a post and no phone that could be rung")
