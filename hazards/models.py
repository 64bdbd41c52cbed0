"""What comes back from the ground about an order: forms that roll up, reports on tasks, reminders that were sent.

Single writers: feedback.py (Feedback, UnreadForm), tasks.py (TaskReport), reminders.py (Reminder). "Newest" is by `at`:
the phone's clock, kept within the time since the release and the receipt.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from alerts.models import OrderTask, ResponseOrder
from hydrology.models import Region
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
