"""Official signals as rows, received and never computed, and the response levels they suggest to people.

Single writer: signals.py. A signal has no end of its own: it holds in `held` until another one takes that away.
"""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from alerts.assessment.signals import Colour, Event, SignalAction
from alerts.cap.values import Status
from alerts.models.dangers import Hazard
from alerts.models.orders import ResponseLevel, ResponseOrder
from hydrology.models import FeedPost, Region


class SignalQuerySet(models.QuerySet["Signal"]):
    def in_force(self) -> Self:
        """Real signals that still hold somewhere, the newest first."""
        return self.filter(ended_at=None, status=Status.ACTUAL).order_by("-issued_at", "-id")


class Signal(models.Model):
    """One official signal: one colour for its zones, as it came."""

    identifier = models.CharField(max_length=110, unique=True)
    sender = models.CharField(max_length=100)
    status = models.CharField(max_length=16, choices=[(s.value, s.value) for s in Status])
    event = models.CharField(max_length=24, choices=[(e.value, e.value) for e in Event])
    colour = models.CharField(max_length=8, choices=[(c.value, c.value) for c in Colour])
    action = models.CharField(max_length=16, choices=[(a.value, a.value) for a in SignalAction])
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes it was issued for")
    held = ArrayField(models.CharField(max_length=32), help_text="region codes where it still holds")
    sea = ArrayField(models.CharField(max_length=32), help_text="sea zones, as named")
    unknown = ArrayField(
        models.CharField(max_length=64), help_text="places nobody knows: a person looks at them"
    )
    text = models.TextField()
    issued_at = models.DateTimeField()
    effective_at = models.DateTimeField(null=True)
    expected_until = models.DateTimeField(null=True, help_text="advisory: it does not end it")
    references = ArrayField(models.CharField(max_length=110))
    received_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    post = models.ForeignKey(FeedPost, models.PROTECT)

    objects = SignalQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["event"], condition=Q(ended_at=None), name="signal_in_force")]


class ProposalState(models.TextChoices):
    OPEN = "open", "待处理"  # a person has not looked yet
    TAKEN = "taken", "已采纳"  # an order was drafted from it
    DECLINED = "declined", "不采纳"
    OVERTAKEN = "overtaken", "已被取代"  # the signals changed before anybody decided


class Proposal(models.Model):
    """拟启动响应: a response level that signals suggest to an authority. Only a person acts on it."""

    hazard = models.CharField(max_length=16, choices=Hazard)
    authority = models.ForeignKey(Region, models.PROTECT)
    level = models.PositiveSmallIntegerField(
        choices=[(0, "结束"), *ResponseLevel.choices], help_text="0: end the response in force"
    )
    areas = ArrayField(models.CharField(max_length=32))
    why = models.CharField(max_length=400)
    made_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=ProposalState, default=ProposalState.OPEN)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    note = models.CharField(max_length=200, blank=True)
    order = models.OneToOneField(ResponseOrder, models.PROTECT, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hazard", "authority"], condition=Q(state="open"), name="proposal_one_open"
            )
        ]
