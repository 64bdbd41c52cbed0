"""Water as rows: what was observed, gridded rain, radar pictures. Single writer: hydrology/ingest.

Observations are never updated: a correction is a new row with the next revision.
"""

from datetime import datetime, timedelta
from typing import Self

from django.db import models

from hydrology.models.feeds import Feed, FeedPost
from hydrology.models.places import Station
from hydrology.science.quality import Quality
from hydrology.science.readings import Element


class ObservationQuerySet(models.QuerySet["Observation"]):
    def latest_revision(self) -> Self:
        """One row per station, element and instant: the newest revision."""
        return self.order_by("station_id", "element", "observed_at", "-revision").distinct(
            "station_id", "element", "observed_at"
        )


class Observation(models.Model):
    """One value of one element at one instant. Rain is the sum over duration_s ENDING at observed_at.

    One partition a (UTC) month, made by storage.py; no foreign keys in the database (ADR 10). A query that does not
    bound `observed_at` on both sides looks into every month there is.
    """

    pk = models.CompositePrimaryKey("station_id", "element", "observed_at", "revision")
    observed_at = models.DateTimeField()
    received_at = models.DateTimeField()
    value = models.FloatField()
    post = models.ForeignKey(FeedPost, models.PROTECT, db_index=False, db_constraint=False)
    duration_s = models.PositiveIntegerField(default=0)
    revision = models.PositiveSmallIntegerField(default=0)
    quality = models.PositiveSmallIntegerField(choices=[(q.value, q.name) for q in Quality])
    station = models.ForeignKey(Station, models.PROTECT, db_index=False, db_constraint=False)
    element = models.CharField(max_length=16, choices=[(e.value, e.value) for e in Element])
    why = models.CharField(max_length=120, blank=True, help_text="reason of the quality verdict")

    objects = ObservationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["element", "observed_at"], name="observation_element_time")]


class Latest(models.Model):
    """The newest trusted reading of a station's element: what live reads start from. Rebuildable."""

    station = models.ForeignKey(Station, models.CASCADE, db_index=False)
    element = models.CharField(max_length=16)
    observed_at = models.DateTimeField()
    value = models.FloatField()
    quality = models.PositiveSmallIntegerField()
    rate_m_per_h = models.FloatField(null=True, help_text="levels only: change over the last hour present")
    unchanged_since = models.DateTimeField(
        null=True, help_text="first of the unbroken run of this very value; null: not followed yet"
    )
    feed = models.ForeignKey(Feed, models.PROTECT, null=True, db_index=False, help_text="who said it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["station", "element"], name="latest_once")]


class Blob(models.Model):
    """Bytes kept once whatever number of rows refer to them: packed fields, pictures."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="SHA-256 of what the bytes say")
    content = models.BinaryField()


class Product(models.TextChoices):
    """What a gridded field says."""

    OBSERVED = "observed", "实况"
    NOWCAST = "nowcast", "临近预报"


class GridRunQuerySet(models.QuerySet["GridRun"]):
    def received_by(self, at: datetime | None) -> Self:
        """Those that had come by then; None: all."""
        return self if at is None else self.filter(received_at__lte=at)

    def observed_between(self, after: datetime, until: datetime) -> Self:
        """Observed frames whose END lies in (after, until], in time order.

        Of each the best rank's; of one rank what was measured for the slot before what was spread, then the newest.
        """
        return (
            self.filter(product=Product.OBSERVED, issued_at__gt=after, issued_at__lte=until)
            .order_by("issued_at", "rank", "spread", "-revision")
            .distinct("issued_at")
        )

    def newest_nowcast(self, at: datetime, horizon_s: int = 1800) -> "GridRun | None":
        """The nowcast in force at `at`, none older than `horizon_s`.

        The best rank's newest run while it is not older than two cadences of its feed, else the next rank's; when
        all are older, the newest of any.
        """
        runs = list(
            self.filter(
                product=Product.NOWCAST, issued_at__lte=at, issued_at__gte=at - timedelta(seconds=horizon_s)
            )
            .annotate(cadence_s=models.F("post__feed__cadence_s"))
            .order_by("rank", "-issued_at", "-revision")
            .distinct("rank")
        )
        timely = (run for run in runs if (at - run.issued_at).total_seconds() <= 2 * run.cadence_s)
        return next(timely, None) or max(runs, key=lambda run: (run.issued_at, -run.rank), default=None)


class GridRun(models.Model):
    """One observed field (issued_at = END of its step) or one nowcast run (issued_at + steps of step_s)."""

    product = models.CharField(max_length=16, choices=Product)
    issued_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0)
    steps = models.PositiveSmallIntegerField()
    step_s = models.PositiveIntegerField(default=300)
    geometry = models.CharField(max_length=120, help_text="science.grids.Grid.geometry")
    blob = models.ForeignKey(
        Blob, models.PROTECT, related_name="+", help_text="science.grids.pack of (step, lat, lon), mm"
    )
    rank = models.PositiveSmallIntegerField(default=1, help_text="of its feed when it came")
    spread = models.BooleanField(
        default=False, help_text="out of sums longer than a step, taken as even: a lower bound of its peaks"
    )
    missing_share = models.FloatField(help_text="share of cells without a value, 0..1")
    received_at = models.DateTimeField()
    post = models.ForeignKey(FeedPost, models.PROTECT)

    objects = GridRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "issued_at", "revision"], name="grid_run_once")
        ]


class GridPart(models.Model):
    """The part of one observed sum in one slot, for sums that are not just one slot: kept until its neighbours came."""

    feed = models.ForeignKey(Feed, models.CASCADE, db_index=False)
    geometry = models.CharField(max_length=120)
    slot_at = models.DateTimeField(help_text="END of the slot")
    start_at = models.DateTimeField(help_text="of the whole sum")
    end_at = models.DateTimeField(help_text="of the whole sum")
    field = models.BinaryField(help_text="science.grids.pack of (lat, lon): the mm of the sum in this slot")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feed", "geometry", "slot_at", "start_at", "end_at"], name="grid_part_once"
            )
        ]
        indexes = [models.Index(fields=["slot_at"], name="grid_part_slot")]


class RadarFrameQuerySet(models.QuerySet["RadarFrame"]):
    def between(self, after: datetime, until: datetime) -> Self:
        """Pictures observed in (after, until], newest revision of each, in order of radar, product and time."""
        return (
            self.filter(observed_at__gt=after, observed_at__lte=until)
            .order_by("radar", "product", "observed_at", "-revision")
            .distinct("radar", "product", "observed_at")
        )


class RadarFrame(models.Model):
    """One radar picture as a PNG over a box of degrees, with a thumbnail."""

    radar = models.CharField(max_length=32, help_text="a radar's or a mosaic's name")
    product = models.CharField(max_length=16, help_text="CR, R, …")
    observed_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0)
    west = models.FloatField()
    south = models.FloatField()
    east = models.FloatField()
    north = models.FloatField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    scale = models.JSONField(default=list, help_text="[[dBZ from, #rrggbb], …] as the source states it")
    cadence_s = models.PositiveIntegerField(default=360, help_text="volume scans of 6 minutes")
    picture = models.ForeignKey(Blob, models.PROTECT, related_name="+")
    thumb = models.ForeignKey(Blob, models.PROTECT, related_name="+")
    received_at = models.DateTimeField()
    post = models.ForeignKey(FeedPost, models.PROTECT)

    objects = RadarFrameQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["radar", "product", "observed_at", "revision"], name="radar_frame_once"
            )
        ]
        indexes = [models.Index(fields=["observed_at"], name="radar_frame_observed")]
