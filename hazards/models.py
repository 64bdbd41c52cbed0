"""What comes back from the ground: forms that roll up, reports on tasks, reminders of an order; dangers seen out there.

Single writers: feedback.py (Feedback, UnreadForm), tasks.py (TaskReport), reminders.py (Reminder), ground.py
(GroundReport, GroundPhoto, GroundEvent). "Newest" is by `at`: the phone's clock, kept within the time since the release
and the receipt.
"""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from alerts.models import OrderTask, ResponseOrder
from foundation.scope import Scope
from hydrology.models import Region, path_filter
from notifications.models import Receipt


class Feedback(models.Model):
    """反馈表 of one region's own people for one order. A correction is a new row; the newest counts."""

    order = models.ForeignKey(ResponseOrder, models.PROTECT, related_name="feedback")
    region = models.ForeignKey(Region, models.PROTECT, help_text="whose own people and places it counts")
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(help_text="the phone's clock; of a region's rows the newest counts")
    received_at = models.DateTimeField(help_text="says for which period it was in time")
    zero = models.BooleanField(help_text="零报告: nothing to report, said so")
    figures = models.JSONField(
        help_text="{people, vehicles, inspected: {kind: n}, evacuees, waterlogging, incidents}, whole numbers"
    )
    note = models.CharField(max_length=500, blank=True)
    receipt = models.OneToOneField(
        Receipt, models.PROTECT, null=True, db_constraint=False, help_text="where it came with a receipt"
    )

    class Meta:
        indexes = [models.Index(fields=["order", "region", "-at", "-id"], name="feedback_newest")]


class UnreadForm(models.Model):
    """A receipt whose form cannot be counted. The form stays with the receipt; its officer was told why."""

    receipt = models.OneToOneField(
        Receipt, models.PROTECT, primary_key=True, db_constraint=False, related_name="+"
    )
    found_at = models.DateTimeField()
    code = models.CharField(max_length=32, help_text="of the refusal")
    fields = models.JSONField(help_text="faulty field to its reason")


class TaskState(models.TextChoices):
    DOING = "doing", "进行中"
    DONE = "done", "已完成"
    BLOCKED = "blocked", "有困难"  # the note says why; the duty desk sees it first


class TaskReport(models.Model):
    """What one officer says of one of his tasks; the newest counts."""

    task = models.ForeignKey(OrderTask, models.PROTECT, related_name="reports")
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    region = models.ForeignKey(Region, models.PROTECT, help_text="of the post by which the task is his")
    state = models.CharField(max_length=16, choices=TaskState)
    at = models.DateTimeField(help_text="the phone's clock")
    received_at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    lon = models.FloatField(null=True)
    lat = models.FloatField(null=True)

    class Meta:
        indexes = [models.Index(fields=["task", "officer", "-at", "-id"], name="task_report_newest")]


class ReminderKind(models.TextChoices):
    FORM = "form", "催报"  # the form of a period is missing
    ZERO = "zero", "零报告"  # nothing at all for 24 hours
    TASK = "task", "任务超时"


class Told(models.TextChoices):
    """Whom a reminder speaks to."""

    PEOPLE = "people", "责任人"  # who owes it
    DESK = "desk", "上级值班"  # the duty desks above, when it has not come


class Reminder(models.Model):
    """A reminder that was sent, so that it is sent once: what of, for which period, for how many regions.

    None missing is a row as well: the period was looked at.
    """

    order = models.ForeignKey(ResponseOrder, models.PROTECT, related_name="reminders")
    kind = models.CharField(max_length=16, choices=ReminderKind)
    told = models.CharField(max_length=16, choices=Told)
    task = models.ForeignKey(OrderTask, models.PROTECT, null=True)
    period = models.PositiveIntegerField(help_text="number of the period since the release, from 1")
    sent_at = models.DateTimeField()
    regions = models.PositiveIntegerField(help_text="from which something was missing")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order", "kind", "told", "task", "period"],
                name="reminder_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=~Q(kind="task") | Q(task__isnull=False), name="reminder_of_a_task"
            ),
        ]


class GroundKind(models.TextChoices):
    """What somebody sees before him."""

    WATERLOGGING = "waterlogging", "内涝积水"
    LANDSLIDE = "landslide", "滑坡（边坡）"
    RESERVOIR = "reservoir", "水库山塘险情"
    RIVER = "river", "河道堤防险情"
    BUILDING = "building", "房屋险情"
    TREE = "tree", "倒树"
    TRAPPED = "trapped", "人员被困"  # told to the desks at once, however grave he calls it
    OTHER = "other", "其他"  # the text says what


class GroundSeverity(models.TextChoices):
    """How grave it looks from where he stands; the steps of CAP 1.2."""

    MINOR = "minor", "轻微"  # can wait
    MODERATE = "moderate", "一般"  # hinders: a lane under water, a tree across a path
    SEVERE = "severe", "严重"  # people or works may come to harm
    EXTREME = "extreme", "危急"  # lives are in danger now; told to the desks at once


class GroundStatus(models.TextChoices):
    RECEIVED = "received", "待处置"  # nobody has been sent
    ASSIGNED = "assigned", "已指派"  # somebody has been told to go
    IN_PROGRESS = "in_progress", "处置中"  # he, or the desk for him, says that work is under way
    CLOSED = "closed", "已办结"  # for good, with a reason


class CloseReason(models.TextChoices):
    HANDLED = "handled", "已处置"
    FALSE_ALARM = "false_alarm", "不属实"
    DUPLICATE = "duplicate", "重复上报"  # of another report, where it goes on


class GroundReportQuerySet(models.QuerySet["GroundReport"]):
    def seen_by(self, officer_id: int, scope: Scope) -> Self:
        """Of his regions, wherever he himself reported, and what he was sent to."""
        own = Q(officer=officer_id) | Q(assignee=officer_id)
        return self.filter(path_filter("region__path", scope.paths) | own)

    def open(self) -> Self:
        return self.exclude(status=GroundStatus.CLOSED)

    def whole(self) -> Self:
        """With what a door shows, in a fixed number of queries; of photos all but the bytes."""
        photos = models.Prefetch("photos", GroundPhoto.objects.defer("body").order_by("number"))
        return self.select_related("region", "officer", "assignee").prefetch_related(photos)


class GroundReport(models.Model):
    """灾情险情上报: what an officer saw, where, and the water there at that moment. Only its life cycle ever changes
    (a trigger)."""

    officer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    client_id = models.CharField(max_length=128, help_text="the phone's: sent again, it is the same report")
    digest = models.CharField(max_length=64, help_text="of what was sent: other content is another report")
    kind = models.CharField(max_length=16, choices=GroundKind)
    severity = models.CharField(max_length=16, choices=GroundSeverity)
    lon = models.FloatField(help_text="degrees east, WGS 84")
    lat = models.FloatField(help_text="degrees north, WGS 84")
    region = models.ForeignKey(Region, models.PROTECT, help_text="where it lies: community, else street")
    text = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(help_text="the phone's clock, within the three days before the receipt")
    received_at = models.DateTimeField()
    stamp = models.JSONField(help_text="rain and levels around it when it came in: ground_stamp.py")
    status = models.CharField(max_length=16, choices=GroundStatus, default=GroundStatus.RECEIVED)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    close_reason = models.CharField(max_length=16, choices=CloseReason, blank=True)
    duplicate_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="duplicates")
    closed_at = models.DateTimeField(null=True)

    objects = GroundReportQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["kind", "at"], name="ground_near")]
        constraints = [
            models.UniqueConstraint(fields=["officer", "client_id"], name="ground_once"),
            models.CheckConstraint(
                condition=Q(status="closed", closed_at__isnull=False) & ~Q(close_reason="")
                | ~Q(status="closed") & Q(closed_at=None, close_reason=""),
                name="ground_closed_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(close_reason="duplicate", duplicate_of__isnull=False) & ~Q(duplicate_of=F("id"))
                | ~Q(close_reason="duplicate") & Q(duplicate_of=None),
                name="ground_duplicate_of_another",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["assigned", "in_progress"]) | Q(assignee__isnull=False),
                name="ground_assigned_to_somebody",
            ),
        ]

    @property
    def grave(self) -> bool:
        """Whether the desks are told of it at once."""
        return self.kind == GroundKind.TRAPPED or self.severity == GroundSeverity.EXTREME


class GroundPhoto(models.Model):
    """A photo as it came, byte for byte. Never changed (a trigger)."""

    report = models.ForeignKey(GroundReport, models.CASCADE, related_name="photos")
    number = models.PositiveSmallIntegerField(help_text="from 1, as sent")
    media_type = models.CharField(max_length=16)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="bytes")
    body = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report", "number"], name="ground_photo_once")]


class GroundEvent(models.Model):
    """One step of a report's life."""

    report = models.ForeignKey(GroundReport, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    before = models.CharField(max_length=16, choices=GroundStatus, blank=True, help_text="empty: it came in")
    after = models.CharField(max_length=16, choices=GroundStatus)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    note = models.CharField(max_length=500, blank=True)
