"""Danger and orders as rows: rule tables, warnings with their events, response orders, bulletins.

Three separate life cycles: Warning (ours, computed or raised by hand), ResponseOrder (a person's decision) and
Bulletin (what was actually said to people: immutable, guarded by a trigger). Single writers: watch.py (Warning,
WarningStreet, WarningEvent), orders.py (ResponseOrder, OrderEvent), bulletins.py (Bulletin).
"""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from hydrology.models import Feed, Region, Station


class Hazard(models.TextChoices):
    RAINSTORM = "rainstorm", "强降雨"
    FLOOD = "flood", "防汛"
    RESERVOIR = "reservoir", "水库水位"
    RIVER = "river", "河道水位"
    TIDE = "tide", "潮位"


class WarningLevel(models.IntegerChoices):
    """Levels of our own short-term warning; the two highest are chased (叫应)."""

    NONE = 0, "无"
    NOTICE = 1, "提示"
    ATTENTION = 2, "关注"
    ALERT = 3, "警示"
    EMERGENCY = 4, "紧急"


class ResponseLevel(models.IntegerChoices):
    """Response levels; a larger number is graver."""

    WATCH = 1, "关注级"
    IV = 2, "Ⅳ级"
    III = 3, "Ⅲ级"
    II = 4, "Ⅱ级"
    I = 5, "Ⅰ级"  # noqa: E741  the field's own numeral

    @property
    def code(self) -> str:
        """As it is spoken at the doors and in bulletins: watch, IV, III, II, I."""
        return "watch" if self is ResponseLevel.WATCH else self.name


class RuleTable(models.Model):
    """Thresholds as data with history: the table in force of a hazard is the one with the newest valid_from."""

    hazard = models.CharField(
        max_length=16, choices=Hazard, default=Hazard.RAINSTORM, help_text="reservoir, river and tide: levels"
    )
    version = models.CharField(primary_key=True, max_length=32)
    valid_from = models.DateTimeField()
    rows = models.JSONField(
        help_text="rain: {window: [notice, attention, alert, emergency] in mm}; levels: assessment/stages.py"
    )
    note = models.CharField(max_length=200, blank=True)


class WatchMark(models.Model):
    """How far the watch has come, one row a hazard: the last 5-minute slot assessed, and where each street or,
    for levels, each station stands in its life cycle (assessment.lifecycle.PlaceState by code)."""

    hazard = models.CharField(primary_key=True, max_length=16, choices=Hazard)
    slot_at = models.DateTimeField(null=True, help_text="END of the slot; null before the first")
    states = models.JSONField(default=dict)


class WarningQuerySet(models.QuerySet["Warning"]):
    def open(self) -> Self:
        return self.filter(ended_at=None)


class Warning(models.Model):
    """强降雨风险提示 for one district, or a level notice for one station; open from raise to cancel.

    A rain warning's streets carry their own levels; a level notice has a station and no streets.
    """

    hazard = models.CharField(max_length=16, choices=Hazard)
    region = models.ForeignKey(Region, models.PROTECT, help_text="the district; a station's street")
    station = models.ForeignKey(
        Station, models.PROTECT, null=True, help_text="level notices: whose level it is"
    )
    level = models.PositiveSmallIntegerField(choices=WarningLevel, help_text="highest of its streets now")
    peak_level = models.PositiveSmallIntegerField(choices=WarningLevel)
    raised_at = models.DateTimeField(help_text="END of the slot that raised it (data time)")
    ended_at = models.DateTimeField(null=True)
    drill = models.BooleanField(default=False)

    objects = WarningQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hazard", "region", "station"],
                condition=Q(ended_at=None),
                name="warning_one_open",
                nulls_distinct=False,
            )
        ]


class WarningStreet(models.Model):
    """A street inside a warning and its present level."""

    warning = models.ForeignKey(Warning, models.CASCADE, related_name="streets")
    region = models.ForeignKey(Region, models.PROTECT)
    level = models.PositiveSmallIntegerField(choices=WarningLevel)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["warning", "region"], name="warning_street_once")]


class WarningAction(models.TextChoices):
    RAISE = "raise", "发布"
    EXTEND = "extend", "扩展"
    UPGRADE = "upgrade", "升级"
    DOWNGRADE = "downgrade", "降级"
    CANCEL = "cancel", "解除"
    SILENT = "silent", "失联"  # levels: nothing is heard of the station any more; the notice stays


class WarningEvent(models.Model):
    """One step of a warning's life, with the assessment that caused it."""

    warning = models.ForeignKey(Warning, models.CASCADE, related_name="events")
    at = models.DateTimeField(help_text="END of the slot (data time)")
    created_at = models.DateTimeField()
    action = models.CharField(max_length=16, choices=WarningAction)
    level = models.PositiveSmallIntegerField(choices=WarningLevel)
    areas = ArrayField(models.CharField(max_length=32), help_text="street codes that changed")
    reasons = models.JSONField(help_text="rule version, nowcast run, share missing, per street the rain")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["warning", "at", "action"], name="warning_event_once")]


class OrderStatus(models.TextChoices):
    DRAFT = "draft", "草稿"
    SUBMITTED = "submitted", "待审"
    APPROVED = "approved", "已批准"
    REJECTED = "rejected", "已退回"
    ISSUED = "issued", "已发布"
    WITHDRAWN = "withdrawn", "已撤回"
    ENDED = "ended", "已结束"


class ResponseOrder(models.Model):
    """防汛应急响应防御部署指令: a response level for an area, decided by people, two of them."""

    hazard = models.CharField(max_length=16, choices=Hazard, default=Hazard.FLOOD)
    level = models.PositiveSmallIntegerField(choices=ResponseLevel)
    authority = models.ForeignKey(Region, models.PROTECT, help_text="city or district that orders")
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes at or below the authority")
    duties = ArrayField(models.CharField(max_length=16))
    title_zh = models.CharField(max_length=80)
    title_en = models.CharField(max_length=160)
    text_zh = models.TextField()
    text_en = models.TextField(blank=True)
    deadline_at = models.DateTimeField(null=True, help_text="receipt wanted by")
    valid_until = models.DateTimeField()
    drill = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=OrderStatus, default=OrderStatus.DRAFT)
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=models.F("drafted_by")),
                name="order_second_person",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "issued", "ended"]) | Q(approved_by__isnull=False),
                name="order_approved_before_issue",
            ),
        ]


class OrderEvent(models.Model):
    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    before = models.CharField(max_length=16, choices=OrderStatus, blank=True)
    after = models.CharField(max_length=16, choices=OrderStatus)
    note = models.CharField(max_length=200, blank=True)


class BulletinKind(models.TextChoices):
    WARNING = "warning", "预警"
    ORDER = "order", "指令"
    LEVEL = "level", "水情"
    MESSAGE = "message", "通知"


class Requires(models.TextChoices):
    """What the reader owes in return."""

    NONE = "none"
    OPEN = "open"
    CONFIRM = "confirm"
    REPORT = "report"


class BulletinQuerySet(models.QuerySet["Bulletin"]):
    def unsent(self, now: datetime) -> Self:
        """Valid bulletins that no dispatch has taken up yet: the outbox of this room."""
        return self.filter(valid_until__gt=now, dispatches=None).order_by("-urgency", "issued_at", "id")


class Bulletin(models.Model):
    """What was actually said to people. Frozen: a change is a new bulletin that refers to the old one."""

    kind = models.CharField(max_length=16, choices=BulletinKind)
    urgency = models.PositiveSmallIntegerField(help_text="0 routine … 4 life safety; 3 and above are chased")
    level = models.CharField(max_length=16, help_text="the level's stable code, e.g. alert, III")
    title_zh = models.CharField(max_length=80)
    title_en = models.CharField(max_length=160)
    push_zh = models.CharField(max_length=50, help_text="stands alone in 50 汉字")
    push_en = models.CharField(max_length=160)
    body_zh = models.TextField()
    body_en = models.TextField()
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes addressed")
    duties = ArrayField(models.CharField(max_length=16), help_text="duties addressed in the areas")
    stations = ArrayField(
        models.CharField(max_length=32),
        default=list,
        help_text="whose own posts are addressed, whatever the duty",
    )
    officers = ArrayField(
        models.BigIntegerField(), default=list, help_text="persons addressed by name; then nobody else is"
    )
    about = models.CharField(max_length=64, blank=True, help_text="what a message speaks of, e.g. feed/KEY")
    reasons = models.JSONField(default=dict)
    requires = models.CharField(max_length=16, choices=Requires)
    deadline_at = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(help_text="vendors drop it after this; also the push's TTL")
    drill = models.BooleanField(default=False)
    caused_at = models.DateTimeField(help_text="when the frame that raised it, or the person's word, came in")
    issued_at = models.DateTimeField()
    warning = models.ForeignKey(Warning, models.PROTECT, null=True, related_name="bulletins")
    order = models.ForeignKey(ResponseOrder, models.PROTECT, null=True, related_name="bulletins")
    supersedes = models.ForeignKey("self", models.PROTECT, null=True)

    objects = BulletinQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["valid_until"], name="bulletin_valid_until")]

    @property
    def ref(self) -> str:
        """What it is about, as the phone shows and opens it."""
        if self.about:
            return self.about
        return f"warning/{self.warning_id}" if self.warning_id else f"order/{self.order_id}"


class FeedAlarm(models.Model):
    """A feed fell silent: from the moment it was noticed until it spoke again. One open alarm a feed."""

    feed = models.ForeignKey(Feed, models.PROTECT)
    silent_since = models.DateTimeField(help_text="when it last spoke")
    raised_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feed"], condition=Q(ended_at=None), name="feed_alarm_one_open")
        ]


class CheckAnswer(models.TextChoices):
    """What the duty desk found out about a doubtful value."""

    REAL = "real", "属实"
    BROKEN = "broken", "设备故障"  # the station's values are left out until `excluded_until`


class CheckQuerySet(models.QuerySet["Check"]):
    def open(self) -> Self:
        return self.filter(answered_at=None)


class Check(models.Model):
    """核实: a value heavy enough for a warning that quality control doubts; a person looks at it."""

    station = models.ForeignKey(Station, models.PROTECT)
    observed_at = models.DateTimeField(help_text="END of the slot that first raised it")
    value_mm = models.FloatField(help_text="the highest doubted 5-minute value since")
    why = models.CharField(max_length=200)
    raised_at = models.DateTimeField()
    answer = models.CharField(max_length=16, choices=CheckAnswer, blank=True)
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    excluded_until = models.DateTimeField(null=True)

    objects = CheckQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["station"], condition=Q(answered_at=None), name="check_one_open")
        ]


class Follow(models.Model):
    """An officer wants to hear of one station's level at a threshold of his own."""

    officer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    station = models.ForeignKey(Station, models.CASCADE)
    threshold_m = models.FloatField(null=True, help_text="in the station's datum; null: only shown first")
    told_at = models.DateTimeField(
        null=True, help_text="instant of the reading he was told of; null below it"
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["officer", "station"], name="follow_once")]
