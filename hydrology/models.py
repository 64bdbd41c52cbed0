"""Water and places as rows: regions, stations and their limits, what was observed, gridded rain, feeds.

Names and meanings follow SL 323 (STCD, RZ, Z, FSLTDZ, WRZ, GRZ, DSFLZ, CKFLZ, DAMEL). Observations are never
updated: a correction is a new row with the next revision. Single writer of Observation, GridRun, FeedPost and
FeedMark: hydrology/ingest.py.
"""

from datetime import date, datetime
from typing import Any, Self

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import FilteredRelation, Q

from hydrology.science.quality import Quality
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


class StationQuerySet(models.QuerySet["Station"]):
    def within(self, *paths: str) -> Self:
        """Stations that stand in the regions with these paths or below; no path, no station."""
        return self.filter(path_filter("region__path", paths))

    def level_posts(self) -> "models.QuerySet[Station, dict[str, Any]]":
        """Reservoirs and rivers with their limits and newest trusted stage, as plain rows in order of code."""
        return (
            self.filter(kind__in=[StationKind.RESERVOIR, StationKind.RIVER])
            .annotate(stage=FilteredRelation("latest", condition=Q(latest__element=Element.STAGE)))
            .order_by("code")
            .values(
                "code", "name", "kind", "region_id", "region__path",
                "stage__value", "stage__observed_at", "stage__quality", "stage__rate_m_per_h",
                "reservoir__gated", "reservoir__normal_m", "reservoir__design_m", "reservoir__check_m",
                "river__warning_m", "river__guarantee_m",
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
    synthetic = models.BooleanField(default=False, help_text="made for the demo city; shown as such")

    objects = StationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["kind", "region"], name="station_kind_region")]


class Reservoir(models.Model):
    """Flood indicators of a reservoir (ST_RSVRFCCH_B), metres in the station's datum."""

    station = models.OneToOneField(Station, models.CASCADE, primary_key=True)
    gated = models.BooleanField(help_text="has gates; an ungated crest overflows by design")
    dead_m = models.FloatField(help_text="DDZ 死水位")
    normal_m = models.FloatField(help_text="NORMZ 正常高水位")
    design_m = models.FloatField(help_text="DSFLZ 设计洪水位")
    check_m = models.FloatField(help_text="CKFLZ 校核洪水位")
    crest_m = models.FloatField(help_text="DAMEL 坝顶高程")


class SeasonLimit(models.Model):
    """汛限水位 by season (ST_RSVRFSR_B); days are MMDD, inclusive, and may wrap the year end."""

    reservoir = models.ForeignKey(Reservoir, models.CASCADE, related_name="season_limits")
    begin_mmdd = models.CharField(max_length=4)
    end_mmdd = models.CharField(max_length=4)
    limit_m = models.FloatField(help_text="FSLTDZ 汛限水位")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reservoir", "begin_mmdd"], name="season_limit_once")]

    def covers(self, day: date) -> bool:
        """Whether the (local) day lies in this season."""
        mmdd = day.strftime("%m%d")
        if self.begin_mmdd <= self.end_mmdd:
            return self.begin_mmdd <= mmdd <= self.end_mmdd
        return mmdd >= self.begin_mmdd or mmdd <= self.end_mmdd


class River(models.Model):
    """Flood indicators of a river post (ST_RVFCCH_B), metres in the station's datum."""

    station = models.OneToOneField(Station, models.CASCADE, primary_key=True)
    warning_m = models.FloatField(help_text="WRZ 警戒水位")
    guarantee_m = models.FloatField(help_text="GRZ 保证水位")
    highest_m = models.FloatField(help_text="OBHTZ 实测最高水位")
    bed_m = models.FloatField(help_text="river bed; a stage below bed - 2 m is impossible")


class Feed(models.Model):
    """A source that may post: its key, its sealed secret, how often it should speak."""

    key = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=64)
    sealed_secret = models.BinaryField()
    cadence_s = models.PositiveIntegerField(default=300)
    max_age_s = models.PositiveIntegerField(
        default=1800, help_text="older data is history: kept and shown, never the cause of a warning"
    )
    enabled = models.BooleanField(default=True)
    replayed = models.BooleanField(
        default=False, help_text="plays a storm of another day: its newest frame is the water's clock"
    )


class FeedMark(models.Model):
    """What a feed last said; one row a feed."""

    feed = models.OneToOneField(Feed, models.CASCADE, primary_key=True)
    received_at = models.DateTimeField()
    observed_at = models.DateTimeField(null=True, help_text="newest instant it has reported")
    rejected = models.PositiveBigIntegerField(default=0)


class FeedPost(models.Model):
    """One signed post as it came: raw bytes kept, answer kept, so that a repeat gets the same answer."""

    feed = models.ForeignKey(Feed, models.PROTECT)
    kind = models.CharField(max_length=16, help_text="readings or grid")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the body")
    body = models.BinaryField()
    received_at = models.DateTimeField()
    answer = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "kind", "digest"], name="feed_post_once")]
        indexes = [models.Index(fields=["received_at"], name="feed_post_received")]


class Verdict(models.TextChoices):
    """What became of a telegram."""

    QUEUED = "queued", "kept, not yet read"
    STORED = "stored", "all its rain and stages are observations"
    NOTHING = "nothing", "readable, says nothing of rain or stage"
    TEST = "test", "a trial of the line (function 30): reaches no live table"
    PARTLY = "partly", "something in it was not taken, see reason"
    QUARANTINED = "quarantined", "nothing in it was taken, see reason"


class TelegramQuerySet(models.QuerySet["Telegram"]):
    def queued(self) -> Self:
        """Not yet read, in the order they came."""
        return self.filter(handled_at=None).order_by("id")

    def doubtful(self) -> Self:
        """What an engineer should look at, newest first."""
        return self.filter(verdict__in=[Verdict.PARTLY, Verdict.QUARANTINED]).order_by("-id")


class Telegram(models.Model):
    """One SL 651 report, or noise, as it came down a line. Kept before it is confirmed, read after."""

    feed = models.ForeignKey(Feed, models.PROTECT)
    peer = models.CharField(max_length=64, help_text="address it came from")
    rtu = models.CharField(max_length=10, blank=True, help_text="empty for noise")
    function = models.PositiveSmallIntegerField(null=True)
    raw = models.BinaryField(help_text="the frame; of a report in packets, all frames")
    received_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=16, choices=Verdict, default=Verdict.QUEUED)
    reason = models.CharField(max_length=400, blank=True)

    objects = TelegramQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(handled_at=None), name="telegram_queued"),
            models.Index(fields=["received_at"], name="telegram_received"),
        ]


class RainTotal(models.Model):
    """The newest running total (PT) of a station on whole 5 minutes: the next one is held against it."""

    station = models.OneToOneField(Station, models.CASCADE, primary_key=True)
    observed_at = models.DateTimeField()
    total_mm = models.FloatField()


class ObservationQuerySet(models.QuerySet["Observation"]):
    def latest_revision(self) -> Self:
        """One row per station, element and instant: the newest revision."""
        return self.order_by("station_id", "element", "observed_at", "-revision").distinct(
            "station_id", "element", "observed_at"
        )


class Observation(models.Model):
    """One value of one element at one instant. Rain is the sum over duration_s ENDING at observed_at."""

    station = models.ForeignKey(Station, models.PROTECT, db_index=False)
    element = models.CharField(max_length=16, choices=[(e.value, e.value) for e in Element])
    observed_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0)
    value = models.FloatField()
    duration_s = models.PositiveIntegerField(default=0)
    quality = models.PositiveSmallIntegerField(choices=[(q.value, q.name) for q in Quality])
    why = models.CharField(max_length=120, blank=True, help_text="reason of the quality verdict")
    received_at = models.DateTimeField()
    post = models.ForeignKey(FeedPost, models.PROTECT, db_index=False)

    objects = ObservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["station", "element", "observed_at", "revision"], name="observation_once"
            )
        ]
        indexes = [models.Index(fields=["element", "observed_at"], name="observation_element_time")]


class Latest(models.Model):
    """The newest trusted reading of a station's element: what live reads start from. Rebuildable."""

    station = models.ForeignKey(Station, models.CASCADE, db_index=False)
    element = models.CharField(max_length=16)
    observed_at = models.DateTimeField()
    value = models.FloatField()
    quality = models.PositiveSmallIntegerField()
    rate_m_per_h = models.FloatField(null=True, help_text="levels only: change over the last hour present")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["station", "element"], name="latest_once")]


class Product(models.TextChoices):
    """What a gridded field says."""

    OBSERVED = "observed", "实况"
    NOWCAST = "nowcast", "临近预报"


class GridRunQuerySet(models.QuerySet["GridRun"]):
    def observed_between(self, after: datetime, until: datetime) -> Self:
        """Observed frames whose END lies in (after, until], newest revision of each, in time order."""
        return (
            self.filter(product=Product.OBSERVED, issued_at__gt=after, issued_at__lte=until)
            .order_by("issued_at", "-revision")
            .distinct("issued_at")
        )

    def newest_nowcast(self, at: datetime, horizon_s: int = 1800) -> "GridRun | None":
        """The nowcast issued last at or before `at`, none older than `horizon_s`."""
        return (
            self.filter(product=Product.NOWCAST, issued_at__lte=at)
            .exclude(issued_at__lt=datetime.fromtimestamp(at.timestamp() - horizon_s, at.tzinfo))
            .order_by("-issued_at", "-revision")
            .first()
        )


class GridRun(models.Model):
    """One observed field (issued_at = END of its step) or one nowcast run (issued_at + steps of step_s)."""

    product = models.CharField(max_length=16, choices=Product)
    issued_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0)
    steps = models.PositiveSmallIntegerField()
    step_s = models.PositiveIntegerField(default=300)
    geometry = models.CharField(max_length=120, help_text="science.grids.Grid.geometry")
    field = models.BinaryField(help_text="science.grids.pack of (step, lat, lon), mm")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the unpacked, quantised field")
    missing_share = models.FloatField(help_text="share of cells without a value, 0..1")
    received_at = models.DateTimeField()
    post = models.ForeignKey(FeedPost, models.PROTECT)

    objects = GridRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "issued_at", "revision"], name="grid_run_once")
        ]
