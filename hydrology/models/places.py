"""Places as rows: the duty tree of regions, stations and their limits. Names and meanings follow SL 323.

Written by the imports (hydrology/region_import.py, hydrology/registers.py for the field's own lists, replay/city.py for
the demo). Levels are comparable only within one datum, which is stored and never converted.
"""

from typing import Any, Self

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import FilteredRelation, Q

from hydrology.science.readings import Element


class Level(models.TextChoices):
    """The five levels of the duty chain."""

    CITY = "city", "市"
    DISTRICT = "district", "区"
    STREET = "street", "街道"
    COMMUNITY = "community", "社区"
    FRONTLINE = "frontline", "前端末梢"


class RegionQuerySet(models.QuerySet["Region"]):
    def within(self, *paths: str) -> Self:
        """The regions with these paths and everything below them; no path, no region."""
        return self.filter(path_filter("path", paths))


def path_filter(field: str, paths: tuple[str, ...]) -> Q:
    """`field` lies at or below one of the paths. No path matches nothing: deny by default."""
    matches = Q(pk__in=[])
    for path in paths:
        matches |= Q(**{f"{field}__startswith": path})
    return matches


class Region(models.Model):
    """A node of the administrative-duty tree. Codes are opaque: two districts have no GB/T 2260 code."""

    code = models.CharField(primary_key=True, max_length=32)
    name = models.CharField(max_length=64)
    level = models.CharField(max_length=16, choices=Level)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    path = models.CharField(
        max_length=160, unique=True, help_text="codes from the city down, each ended by /"
    )
    gb_code = models.CharField(max_length=16, null=True)
    lon = models.FloatField(help_text="degrees east, approximate centre")
    lat = models.FloatField(help_text="degrees north, approximate centre")

    objects = RegionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(OpClass("path", "text_pattern_ops"), name="region_path_prefix")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class StationKind(models.TextChoices):
    """What stands there (SL 323 STTP)."""

    RAIN = "PP", "雨量站"
    RESERVOIR = "RR", "水库站"
    RIVER = "ZZ", "河道水位站"
    TIDE = "TT", "潮位站"
    HAZARD = "HP", "隐患点"  # waterlogging, slope, dam: no SL 323 station, but somebody answers for it


LEVEL_KINDS = (StationKind.RESERVOIR, StationKind.RIVER, StationKind.TIDE)


class StationQuerySet(models.QuerySet["Station"]):
    def within(self, *paths: str) -> Self:
        """Stations that stand in the regions with these paths or below; no path, no station."""
        return self.filter(path_filter("region__path", paths))

    def level_posts(self) -> "models.QuerySet[Station, dict[str, Any]]":
        """Reservoirs, rivers and tide posts with their limits and newest trusted stage, as plain rows in order of code."""
        return (
            self.filter(kind__in=LEVEL_KINDS)
            .annotate(stage=FilteredRelation("latest", condition=Q(latest__element=Element.STAGE)))
            .order_by("code")
            .values(
                "code", "name", "kind", "region_id", "region__path", "datum",
                "stage__value", "stage__observed_at", "stage__quality", "stage__rate_m_per_h",
                "reservoir__gated", "reservoir__normal_m", "reservoir__design_m", "reservoir__check_m",
                "reservoir__crest_m", "river__warning_m", "river__guarantee_m", "river__highest_m",
            )
        )  # fmt: skip


class Station(models.Model):
    """A gauge. The code is opaque (STCD, up to 32 characters); levels are comparable only within one datum."""

    code = models.CharField(primary_key=True, max_length=32)
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=2, choices=StationKind)
    region = models.ForeignKey(Region, models.PROTECT, related_name="stations")
    lon = models.FloatField()
    lat = models.FloatField()
    datum = models.CharField(max_length=16, default="85高程", help_text="DTMNM; stored, never converted")
    datum_elevation_m = models.FloatField(null=True, help_text="DTMEL 基面高程")
    datum_correction_m = models.FloatField(null=True, help_text="DTPR 基面修正值")
    synthetic = models.BooleanField(default=False, help_text="made for the demo city; shown as such")

    objects = StationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["kind", "region"], name="station_kind_region")]


class Reservoir(models.Model):
    """Flood indicators of a reservoir (ST_RSVRFCCH_B), metres in the station's datum; null is not known."""

    station = models.OneToOneField(Station, models.CASCADE, primary_key=True)
    gated = models.BooleanField(null=True, help_text="has gates; an ungated crest overflows by design")
    dead_m = models.FloatField(null=True, help_text="DDZ 死水位")
    normal_m = models.FloatField(null=True, help_text="NORMZ 正常高水位")
    design_m = models.FloatField(null=True, help_text="DSFLZ 设计洪水位")
    check_m = models.FloatField(null=True, help_text="CKFLZ 校核洪水位")
    crest_m = models.FloatField(null=True, help_text="DAMEL 坝顶高程")


class SeasonLimit(models.Model):
    """汛限水位 by season (ST_RSVRFSR_B); days are MMDD, inclusive, and may wrap the year end.

    An empty `end_mmdd` (EDMD null) means until the next season begins; which one holds: science.stages.season_in_force.
    """

    reservoir = models.ForeignKey(Reservoir, models.CASCADE, related_name="season_limits")
    begin_mmdd = models.CharField(max_length=4)
    end_mmdd = models.CharField(max_length=4)
    limit_m = models.FloatField(help_text="FSLTDZ 汛限水位")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reservoir", "begin_mmdd"], name="season_limit_once")]


class River(models.Model):
    """Flood indicators of a river or tide post (ST_RVFCCH_B), metres in the station's datum; null is not known."""

    station = models.OneToOneField(Station, models.CASCADE, primary_key=True)
    warning_m = models.FloatField(null=True, help_text="WRZ 警戒水位")
    guarantee_m = models.FloatField(null=True, help_text="GRZ 保证水位")
    highest_m = models.FloatField(null=True, help_text="OBHTZ 实测最高水位")
    bed_m = models.FloatField(null=True, help_text="river bed; a stage below bed - 2 m is impossible")
