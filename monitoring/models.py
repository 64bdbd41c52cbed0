"""Readings of our own indicators, kept so that a share of the last days can be told.

Single writers: samples.py, seals.py (Seal). A sample is small and there are few: one a minute, one a round of canaries and one a
message.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Sample(models.Model):
    """What was read at one instant, of one source, by indicator (targets.py); null: it did not come to pass."""

    of = models.CharField(max_length=48, unique=True, help_text="minute/…, message/DISPATCH, canary/BULLETIN")
    at = models.DateTimeField(db_index=True, help_text="what it speaks of began then")
    readings = models.JSONField(help_text="{indicator: number or null}")


class Seal(models.Model):
    """A stretch of an append-only log, closed by a digest that holds the one before. Never changed (migration 0002).

    `digest` is SHA-256 of `before` and, behind a line break each, the rows `first` to `last` as JSON arrays of `columns`.
    """

    log = models.CharField(max_length=16, help_text="audit, bulletin, order, warning or receipt")
    month = models.IntegerField(help_text="YYYYMM of the lines whose receipts these are; 0: never let go")
    first, last = models.BigIntegerField(), models.BigIntegerField()
    rows = models.IntegerField()
    columns = ArrayField(models.CharField(max_length=64))
    made_at = models.DateTimeField(db_index=True)
    before = models.CharField(
        max_length=64, blank=True, help_text="the digest of the seal made before this one"
    )
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "month", "last"], name="seal_once"),
            models.UniqueConstraint(fields=["before"], name="seal_chain"),
        ]
        indexes = [models.Index(fields=["log", "-last"], name="seal_log")]
