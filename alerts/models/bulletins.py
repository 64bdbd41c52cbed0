"""What was actually said to people: immutable, guarded by a trigger. Single writer: bulletins.py."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from alerts.models.dangers import Warning
from alerts.models.drills import Drill
from alerts.models.orders import OrderStatus, ResponseOrder

OVER = (OrderStatus.WITHDRAWN, OrderStatus.ENDED, OrderStatus.SUPERSEDED)


class BulletinKind(models.TextChoices):
    WARNING = "warning", "预警"
    ORDER = "order", "指令"
    LEVEL = "level", "水情"
    MESSAGE = "message", "通知"
    CANARY = (
        "canary",
        "自检",
    )  # to a phone on a shelf (notifications/canaries.py): no person sees it, nothing counts it


class Requires(models.TextChoices):
    """What the reader owes in return."""

    NONE = "none"
    OPEN = "open"
    CONFIRM = "confirm"
    REPORT = "report"


OWED = (Requires.CONFIRM, Requires.REPORT)
"""What asks for an answer."""


class BulletinQuerySet(models.QuerySet["Bulletin"]):
    def unsent(self, now: datetime) -> Self:
        """Valid bulletins that no dispatch has taken up yet: the outbox of this room.

        What asks people to go for an order that is over by now is said to nobody any more.
        """
        over = Q(order__status__in=OVER, requires__in=OWED)
        waiting = self.filter(~over, valid_until__gt=now, dispatches=None)
        return waiting.order_by("-urgency", "issued_at", "id")


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
    thread = models.CharField(
        max_length=32,
        blank=True,
        help_text="what belongs together, e.g. storm/7, order/12",
    )
    renews = models.BooleanField(
        default=False,
        help_text="who has something as grave of this thread is not rung again: it is renewed in place",
    )
    drill = models.BooleanField(default=False)
    drill_of = models.ForeignKey(Drill, models.PROTECT, null=True, related_name="bulletins")
    caused_at = models.DateTimeField(help_text="when the frame that raised it, or the person's word, came in")
    issued_at = models.DateTimeField()
    warning = models.ForeignKey(Warning, models.PROTECT, null=True, related_name="bulletins")
    order = models.ForeignKey(ResponseOrder, models.PROTECT, null=True, related_name="bulletins")
    supersedes = models.ForeignKey("self", models.PROTECT, null=True)

    objects = BulletinQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["valid_until"], name="bulletin_valid_until"),
            models.Index(fields=["thread"], condition=~Q(thread=""), name="bulletin_thread"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(drill_of=None) | Q(drill=True), name="bulletin_of_a_drill_is_a_drill"
            )
        ]

    @property
    def ref(self) -> str:
        """What it is about, as the phone shows and opens it."""
        head = f"drill/{self.drill_of_id}"
        if self.about:
            said = self.about
        else:
            said = f"warning/{self.warning_id}" if self.warning_id else f"order/{self.order_id}"
        return f"{head}/{said}" if self.drill_of_id and said != head else said
