"""Feeds as rows: who may speak, where we fetch, what came as it came, and what became of it.

Single writers: hydrology/ingest (FeedPost, FeedMark), hydrology/feeds/telegrams.py (Telegram, RainTotal),
hydrology/feeds/questions.py (Question), hydrology/sources (Source's mark and due time).
"""

from datetime import datetime, timedelta
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Q, Value

from hydrology.models.places import Station


class PostKind(models.TextChoices):
    """What a post may be; each has a door of its own under ingest/."""

    READINGS = "readings", "gauges' readings, telegrams too"
    GRID = "grid", "observed fields and nowcasts; its door is ingest/grids"
    RADAR = "radar", "radar pictures"
    SIGNAL = "signal", "official signals; its door is ingest/signals"


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
    rank = models.PositiveSmallIntegerField(
        default=1, help_text="1 is believed first; a worse rank counts where every better one is silent"
    )
    drill = models.BooleanField(
        default=False,
        help_text="speaks to drills only: its posts reach no live table, and no other feed's a drill",
    )
    kinds = ArrayField(
        models.CharField(max_length=16, choices=PostKind),
        default=list,
        help_text="what it may bring; empty: anything",
    )
    replayed = models.BooleanField(
        default=False, help_text="plays a storm of another day: its newest frame is the water's clock"
    )


class FeedMark(models.Model):
    """What a feed last said; one row a feed."""

    feed = models.OneToOneField(Feed, models.CASCADE, primary_key=True)
    received_at = models.DateTimeField()
    observed_at = models.DateTimeField(null=True, help_text="newest instant it has reported")
    accepted = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    good_at = models.DateTimeField(null=True, help_text="when something of it was last accepted")
    lag_s = models.FloatField(null=True, help_text="newest instant of the last accepted post to its receipt")


class FeedPost(models.Model):
    """One signed post as it came: raw bytes kept, answer kept, so that a repeat gets the same answer."""

    feed = models.ForeignKey(Feed, models.PROTECT)
    kind = models.CharField(max_length=16, help_text="readings, grid or radar")
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


class Rtu(models.Model):
    """An SL 651 station as its line names it. A feed with rows here takes telegrams of these stations only."""

    feed = models.ForeignKey(Feed, models.CASCADE, related_name="rtus")
    address = models.CharField(max_length=10, help_text="10 characters 0-9A-F, as on the line")
    station = models.ForeignKey(
        Station,
        models.PROTECT,
        null=True,
        related_name="rtus",
        help_text="null: a relay, it speaks for others",
    )
    base_stage_m = models.FloatField(
        null=True, help_text="水位基值, parameters 28-2F: relative stages stand on it"
    )
    password = models.PositiveIntegerField(
        null=True, help_text="two bytes of the frame; weak, null: not looked at"
    )
    network = models.CharField(
        max_length=64, blank=True, help_text="where it may call from; empty: any let in"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "address"], name="rtu_once")]


class Question(models.Model):
    """What an SL 651 station is asked for (mode M4): sent when it is on the line, three times at most."""

    feed = models.ForeignKey(Feed, models.CASCADE)
    rtu = models.CharField(max_length=10, help_text="10 characters 0-9A-F, as on the line")
    function = models.PositiveSmallIntegerField(help_text="0x37 present values, 0x38 a period")
    wanted = models.BinaryField(help_text="what stands in the frame behind serial and time")
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="not sent before; after the last time the answer is overdue then")
    tries = models.PositiveSmallIntegerField(default=0, help_text="how often it was sent")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["feed", "rtu"], condition=Q(answered_at=None), name="question_open"),
        ]


class SourceKind(models.TextChoices):
    """How we fetch from those who do not post."""

    URL = "url", "a file at an address, fetched again and again"
    FOLDER = "folder", "files that appear in a folder of this machine"
    DATABASE = "database", "tables of SL 323, read only"
    MQTT = "mqtt", "messages of a broker; kept by the command listen_mqtt"


class SourceQuerySet(models.QuerySet["Source"]):
    def due(self, now: datetime, *, raining: bool = False) -> Self:
        """Sources to be polled now, the longest waiting first; MQTT is never polled.

        When it begins to rain, what a good poll in the dry put off by `every_s` need not wait so long. A source
        under lease never looks like that: its due_at is not good_at + every_s.
        """
        waiting = Q(due_at__lte=now)
        if raining:
            second = Value(timedelta(seconds=1), models.DurationField())
            waiting |= Q(
                due_at=_instant(F("good_at") + F("every_s") * second),
                good_at__lte=_instant(Value(now, models.DateTimeField()) - F("wet_every_s") * second),
            )
        return (
            self.filter(waiting, enabled=True, feed__enabled=True)
            .exclude(kind=SourceKind.MQTT)
            .order_by("due_at", "key")
        )


def _instant(expression: Any) -> ExpressionWrapper:
    return ExpressionWrapper(expression, models.DateTimeField())


class Source(models.Model):
    """One place we fetch from, on behalf of a feed. No secret stands here: `secret_env` names the variable."""

    key = models.CharField(primary_key=True, max_length=64)
    feed = models.ForeignKey(Feed, models.PROTECT, related_name="sources")
    kind = models.CharField(max_length=16, choices=SourceKind)
    address = models.CharField(max_length=400, blank=True, help_text="URL, folder or topic; no password")
    secret_env = models.CharField(max_length=64, blank=True, help_text="environment variable with the secret")
    door = models.CharField(
        max_length=16, default="readings", help_text="what it brings: readings, grid or radar"
    )
    mapping = models.JSONField(default=dict, help_text="units, codes and columns of this source")
    every_s = models.PositiveIntegerField(default=300)
    wet_every_s = models.PositiveIntegerField(default=60, help_text="period while it rains anywhere")
    due_at = models.DateTimeField()
    mark = models.JSONField(default=dict, help_text="how far it has been read: times, names, ETag")
    good_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    fault = models.CharField(
        max_length=400, blank=True, help_text="why the last poll failed; empty when it did not"
    )
    enabled = models.BooleanField(default=True)

    objects = SourceQuerySet.as_manager()
