"""Answers kept for `Idempotency-Key`; written only by backend/doors.py."""

from django.db import models


class KeptAnswer(models.Model):
    owner = models.CharField(max_length=64, help_text="digest of the caller")
    key = models.CharField(max_length=128)
    digest = models.CharField(max_length=64, help_text="SHA-256 of path and body")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, help_text="null while the first call is running")
    body = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="kept_answer_once")]
