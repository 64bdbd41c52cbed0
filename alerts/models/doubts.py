"""What a person is asked to look at, or asked to be told of: silent feeds, doubtful values, followed stations.

Single writers: feedwatch.py (FeedAlarm), checks.py (Check), follows.py (Follow).
"""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from hydrology.models import Feed, Station


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
