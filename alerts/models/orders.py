"""Response orders as rows: a level for an area, decided by two people, with tasks, measures and papers.

Single writers: orders.py (ResponseOrder, OrderEvent), plans.py (PlanTable), papers.py (Attachment); tasks and measures
are written with their draft by drafts.py and never change afterwards.
"""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Prefetch, Q

from alerts.models.dangers import Hazard
from alerts.models.drills import Drill, DrillState
from hydrology.models import Level, Region


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


class OrderStatus(models.TextChoices):
    DRAFT = "draft", "草稿"
    SUBMITTED = "submitted", "待审"
    APPROVED = "approved", "已批准"
    REJECTED = "rejected", "已退回"
    ISSUED = "issued", "已发布"
    WITHDRAWN = "withdrawn", "已撤回"
    ENDED = "ended", "已结束"
    SUPERSEDED = "superseded", "已被取代"  # another order of the authority took its place


class OrderAction(models.TextChoices):
    """What the order does to the response in force; ending it is a verb, not an order."""

    START = "start", "启动"
    UPGRADE = "upgrade", "升级"
    DOWNGRADE = "downgrade", "降级"
    CONVERT = "convert", "转换"  # another hazard, or other duties at the same level


class PlanTable(models.Model):
    """Templates of orders as data with history; in force is the one with the newest valid_from, else the defaults."""

    version = models.CharField(primary_key=True, max_length=32)
    valid_from = models.DateTimeField()
    rows = models.JSONField(help_text="alerts/assessment/plans.py says what it looks like")
    note = models.CharField(max_length=200, blank=True)


class ResponseOrderQuerySet(models.QuerySet["ResponseOrder"]):
    def in_force(self) -> Self:
        """Released and neither ended nor superseded."""
        return self.filter(status=OrderStatus.ISSUED, released_at__isnull=False)

    def whole(self) -> Self:
        """With everything the doors show of an order; papers without their bodies."""
        return self.select_related("authority").prefetch_related(
            Prefetch("events", OrderEvent.objects.select_related("actor").order_by("id")),
            Prefetch("tasks", OrderTask.objects.order_by("number")),
            Prefetch("measures", OrderMeasure.objects.order_by("sector")),
            Prefetch("attachments", Attachment.objects.defer("body").order_by("id")),
            Prefetch("replaced_by", ResponseOrder.objects.only("replaces", "released_at").order_by("id")),
            Prefetch("adds", ResponseOrder.objects.only("under", "released_at").order_by("id")),
        )

    def to_release(self, now: datetime) -> Self:
        """Issued, and the moment of their release has come; a drill's wait while it is paused."""
        at_rest = Q(drill_of__isnull=False) & ~Q(drill_of__state=DrillState.RUNNING)
        return self.filter(status=OrderStatus.ISSUED, released_at=None, release_at__lte=now).filter(
            ~at_rest | Q(valid_until__lte=now)
        )


class ResponseOrder(models.Model):
    """防汛应急响应防御部署指令: a response level for an area, decided by people, two of them."""

    hazard = models.CharField(max_length=16, choices=Hazard, default=Hazard.FLOOD)
    action = models.CharField(max_length=16, choices=OrderAction, default=OrderAction.START)
    replaces = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="replaced_by",
        help_text="the order in force whose place it takes when it is released",
    )
    under = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="adds",
        help_text="the superior authority's order whose thread it joins",
    )
    thread = models.CharField(
        max_length=32,
        blank=True,
        help_text="order/ID of the first order of its thread: what it replaces or is under, else itself",
    )
    plan = models.CharField(max_length=64, blank=True, help_text="the template it was drafted from")
    level = models.PositiveSmallIntegerField(choices=ResponseLevel)
    authority = models.ForeignKey(Region, models.PROTECT, help_text="city, district or street that orders")
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes at or below the authority")
    duties = ArrayField(models.CharField(max_length=16))
    title_zh = models.CharField(max_length=80)
    title_en = models.CharField(max_length=160)
    text_zh = models.TextField()
    text_en = models.TextField(blank=True)
    deadline_at = models.DateTimeField(null=True, help_text="receipt wanted by")
    deadline_min = models.PositiveIntegerField(
        null=True, help_text="minutes after the release: deadline_at is set then"
    )
    valid_until = models.DateTimeField()
    effective_at = models.DateTimeField(null=True, help_text="it is released then; null: when issued")
    report_every_h = models.PositiveSmallIntegerField(
        null=True, help_text="the feedback form is wanted so often; null: not at all"
    )
    drill = models.BooleanField(default=False)
    drill_of = models.ForeignKey(Drill, models.PROTECT, null=True, related_name="orders")
    status = models.CharField(max_length=16, choices=OrderStatus, default=OrderStatus.DRAFT)
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    head_count = models.PositiveIntegerField(
        null=True, help_text="people addressed, as typed by who issued it"
    )
    release_at = models.DateTimeField(
        null=True, help_text="issued: the first push goes then; it can be undone before"
    )
    released_at = models.DateTimeField(null=True, help_text="when its bulletin was made")
    ended_at = models.DateTimeField(null=True)

    objects = ResponseOrderQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["release_at"],
                condition=Q(status="issued", released_at=None),
                name="order_to_release",
            ),
            models.Index(
                fields=["thread"],
                condition=Q(status="issued", released_at__isnull=False),
                name="order_in_force_thread",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(drill_of=None) | Q(drill=True), name="order_of_a_drill_is_a_drill"
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=models.F("drafted_by")),
                name="order_second_person",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "issued", "ended", "superseded"])
                | Q(approved_by__isnull=False),
                name="order_approved_before_issue",
            ),
        ]

    @property
    def is_in_force(self) -> bool:
        """Released and neither ended nor superseded."""
        return self.status == OrderStatus.ISSUED and self.released_at is not None


class OrderEvent(models.Model):
    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    before = models.CharField(max_length=16, choices=OrderStatus, blank=True)
    after = models.CharField(max_length=16, choices=OrderStatus)
    note = models.CharField(max_length=200, blank=True)


class OrderTask(models.Model):
    """One duty's task of an order: whoever holds that duty at that level of the areas sees it as his own."""

    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="tasks")
    number = models.PositiveSmallIntegerField()
    duty = models.CharField(max_length=16, blank=True, help_text="empty: every duty addressed")
    level = models.CharField(max_length=16, choices=Level, blank=True, help_text="of his post; empty: any")
    text_zh = models.CharField(max_length=400)
    text_en = models.CharField(max_length=800, blank=True)
    due_min = models.PositiveIntegerField(null=True, help_text="minutes after the release; null: none")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="order_task_once")]


class Sector(models.TextChoices):
    """五停: what is stopped."""

    SCHOOL = "school", "停课"
    WORK = "work", "停工"
    PRODUCTION = "production", "停产"
    TRANSPORT = "transport", "停运"
    BUSINESS = "business", "停业"


class OrderMeasure(models.Model):
    """One sector stopped in some of the order's areas; in force while the order is."""

    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="measures")
    sector = models.CharField(max_length=16, choices=Sector)
    areas = ArrayField(models.CharField(max_length=32))
    starts_at = models.DateTimeField(null=True, help_text="null: with the order")
    ends_at = models.DateTimeField(null=True, help_text="null: with the order")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "sector"], name="order_measure_once")]

    def in_force_at(self, at: datetime) -> bool:
        """Its order is in force, and the instant lies in [starts_at, ends_at)."""
        begun = self.starts_at is None or self.starts_at <= at
        return self.order.is_in_force and begun and (self.ends_at is None or at < self.ends_at)


class Attachment(models.Model):
    """A paper that goes with an order."""

    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="bytes")
    body = models.BinaryField()
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "sha256"], name="attachment_once")]
