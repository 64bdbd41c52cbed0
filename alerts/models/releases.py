"""Which bulletins of the watches go out by themselves, and those that wait for a person. Single writer: releases.py."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from alerts.models.bulletins import Bulletin
from alerts.models.dangers import Warning


class ReleaseTable(models.Model):
    """The policy as data with history; in force is the one with the newest valid_from, else the defaults."""

    version = models.CharField(primary_key=True, max_length=32)
    valid_from = models.DateTimeField()
    rows = models.JSONField(help_text="alerts/assessment/policy.py says what it looks like")
    note = models.CharField(max_length=200, blank=True)


class HeldState(models.TextChoices):
    HELD = "held", "待发布"
    RELEASED = "released", "已发布"
    DROPPED = "dropped", "不发布"
    OVERTAKEN = "overtaken", "已被取代"  # the warning moved on before anybody decided


class HeldQuerySet(models.QuerySet["Held"]):
    def open(self) -> Self:
        return self.filter(state=HeldState.HELD)


class Held(models.Model):
    """Words about a warning that a person is to release, or that release themselves at `release_at`."""

    warning = models.ForeignKey(Warning, models.PROTECT, related_name="held")
    words = models.JSONField(help_text="title, push and body, zh and en")
    fields = models.JSONField(
        help_text="the other columns the bulletin will have; deadline_s counts from its release"
    )
    held_at = models.DateTimeField()
    release_at = models.DateTimeField(null=True, help_text="by itself then; null: only a person releases it")
    state = models.CharField(max_length=16, choices=HeldState, default=HeldState.HELD)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="null: the time limit",
    )
    note = models.CharField(max_length=200, blank=True)
    bulletin = models.OneToOneField(Bulletin, models.PROTECT, null=True)

    objects = HeldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["warning"], condition=Q(state="held"), name="held_one_open")
        ]
