"""Danger as rows: rule tables, how far the watches have come, warnings with their events, storms.

Single writers: warnings.py (rain) and notices.py (levels; its marks: stages.py), each of its own hazards.
"""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from alerts.models.drills import Drill
from hydrology.models import Region, Station


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


class WatchLevel(models.TextChoices):
    """The places the rain watch looks at; of a street watched by community the gravest community counts."""

    STREET = "street", "街道"
    COMMUNITY = "community", "社区"


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
    watch_level = models.CharField(
        max_length=16,
        choices=WatchLevel,
        default=WatchLevel.STREET,
        help_text="rain: whose figures are held against the marks; warnings are of streets either way",
    )


class WatchMark(models.Model):
    """How far the watch has come, one row a hazard: the last 5-minute slot assessed, and where each street or,
    for levels, each station stands in its life cycle (assessment.lifecycle.PlaceState by code)."""

    hazard = models.CharField(primary_key=True, max_length=16, choices=Hazard)
    slot_at = models.DateTimeField(null=True, help_text="END of the slot; null before the first")
    states = models.JSONField(default=dict)


class Storm(models.Model):
    """One storm cell as people hear of it: streets in warning that touch, over time. One message a person and storm."""

    hazard = models.CharField(max_length=16, choices=Hazard, default=Hazard.RAINSTORM)
    streets = ArrayField(models.CharField(max_length=32), help_text="every street it has touched")
    began_at = models.DateTimeField(help_text="END of the slot (data time)")
    last_at = models.DateTimeField(help_text="END of the slot in which it last moved")
    ended_at = models.DateTimeField(null=True)
    lately = models.JSONField(
        default=dict, help_text="by street the END of the last slot in which it was in warning, an hour back"
    )
    into = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="+", help_text="the older storm it grew together with"
    )
    drill_of = models.ForeignKey(Drill, models.PROTECT, null=True, related_name="+")

    @property
    def thread(self) -> str:
        """What its bulletins have in common."""
        return f"storm/{self.pk}"


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
    drill_of = models.ForeignKey(Drill, models.PROTECT, null=True, related_name="warnings")

    objects = WarningQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hazard", "region", "station", "drill_of"],
                condition=Q(ended_at=None),
                name="warning_one_open",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(drill_of=None) | Q(drill=True), name="warning_of_a_drill_is_a_drill"
            ),
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
    HOLD = "hold", "维持"  # a person keeps the level
    EXPIRE = "expire", "失效"  # nothing was heard any more, or the time a person set is over
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
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="null: the watch"
    )
    note = models.CharField(max_length=200, blank=True, help_text="of who did it by hand")

    class Meta:
        constraints = [
            models.UniqueConstraint(  # a person may do the same twice within a slot of a replayed storm
                fields=["warning", "at", "action"], condition=Q(actor=None), name="warning_event_once"
            )
        ]
