"""演练: an exercise with an audience of its own; nothing of it can turn real.

Single writers: drills.py (Drill), drill_watch.py (its slot_at and states), drill_frames.py (DrillFrame).
"""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from hydrology.models import Region


class DrillState(models.TextChoices):
    PLANNED = "planned", "计划中"
    RUNNING = "running", "演练中"
    PAUSED = "paused", "已暂停"  # by a person, or by a real storm
    ENDED = "ended", "已结束"


class DrillQuerySet(models.QuerySet["Drill"]):
    def under_way(self) -> Self:
        return self.filter(state__in=[DrillState.RUNNING, DrillState.PAUSED])


class Drill(models.Model):
    """One exercise: who takes part is fixed when it begins, and nobody else ever hears of it."""

    name = models.CharField(max_length=80)
    authority = models.ForeignKey(Region, models.PROTECT)
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes at or below the authority")
    duties = ArrayField(models.CharField(max_length=16))
    officers = ArrayField(
        models.BigIntegerField(), default=list, help_text="who takes part; frozen when it begins"
    )
    state = models.CharField(max_length=16, choices=DrillState, default=DrillState.PLANNED)
    why = models.CharField(max_length=200, blank=True, help_text="of the newest pause or end")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    slot_at = models.DateTimeField(null=True, help_text="END of the last slot of its storm that was assessed")
    states = models.JSONField(default=dict, help_text="as WatchMark.states, of its own storm")

    objects = DrillQuerySet.as_manager()


class DrillFrame(models.Model):
    """One field of a drill's storm, as it was posted; never near the live tables."""

    drill = models.ForeignKey(Drill, models.CASCADE, related_name="frames")
    product = models.CharField(max_length=16, help_text="observed or nowcast")
    issued_at = models.DateTimeField(help_text="END of the step; of a nowcast its issue")
    body = models.BinaryField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["drill", "product", "issued_at"], name="drill_frame_once")
        ]
