"""Climbs: who has not answered, which rung he is on, when the next rung is due. Single writer: climb.py."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from notifications.models import Delivery


class ClimbState(models.TextChoices):
    CLIMBING = "climbing", "叫应中"  # the next rung is due at due_at
    ANSWERED = "answered", "已应答"  # an answer stopped it
    EXHAUSTED = "exhausted", "无人应答"  # every rung was taken; the desk's call-out list has it
    STOPPED = "stopped", "已停止"  # the bulletin ended before an answer


class Climb(models.Model):
    """One unanswered delivery on its way up the ladder; the ladder is frozen here at the start."""

    delivery = models.OneToOneField(Delivery, models.PROTECT, related_name="climb")
    rungs = ArrayField(models.CharField(max_length=16), help_text="errands in order, frozen")
    waits_s = ArrayField(models.PositiveIntegerField(), help_text="wait before each rung, and after the last")
    rung = models.PositiveSmallIntegerField(default=0, help_text="rungs already taken")
    state = models.CharField(max_length=16, choices=ClimbState, default=ClimbState.CLIMBING)
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(state="climbing"), name="climb_due")]


class Rung(models.Model):
    """One rung taken: which dispatch it caused. Unique, so no rung is ever taken twice."""

    climb = models.ForeignKey(Climb, models.CASCADE, related_name="taken")
    number = models.PositiveSmallIntegerField()
    errand = models.CharField(max_length=16)
    due_at = models.DateTimeField()
    taken_at = models.DateTimeField()
    reached = models.PositiveSmallIntegerField(help_text="how many people it addressed; 0 is a finding")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["climb", "number"], name="rung_once")]
