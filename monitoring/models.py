"""Readings of our own indicators, kept so that a share of the last days can be told.

Single writer: samples.py. A row is small and there are few: one a minute, one a round of canaries and one a message.
"""

from django.db import models


class Sample(models.Model):
    """What was read at one instant, of one source, by indicator (targets.py); null: it did not come to pass."""

    of = models.CharField(max_length=48, unique=True, help_text="minute/…, message/DISPATCH, canary/BULLETIN")
    at = models.DateTimeField(db_index=True, help_text="what it speaks of began then")
    readings = models.JSONField(help_text="{indicator: number or null}")
