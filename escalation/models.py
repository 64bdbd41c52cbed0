"""Climbs: who has not answered, which rung he is on, when the next rung is due; calls by hand; what the audit found.

Single writers: in_force.py (LadderTable), starts.py (a Climb's beginning), climb.py (the rest of it, Rung, a CallTask's
beginning), calls.py (the rest of that), incidents.py (Incident).
"""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import BigIntegerField, Exists, ExpressionWrapper, F, OuterRef, Q, Subquery, Value

from hydrology.models import Region, path_filter
from notifications import months
from notifications.models import Delivery, Receipt, State
from officers.models import Post


class LadderTable(models.Model):
    """Ladders as data with history: the one in force is that with the newest valid_from; none: the defaults."""

    version = models.CharField(primary_key=True, max_length=32)
    valid_from = models.DateTimeField()
    rows = models.JSONField(help_text="escalation/ladder_table.py says what it looks like")
    note = models.CharField(max_length=200, blank=True)


class ClimbState(models.TextChoices):
    CLIMBING = "climbing", "叫应中"  # the next rung is due at due_at
    ANSWERED = "answered", "已应答"  # an answer stopped it
    EXHAUSTED = "exhausted", "无人应答"  # every rung was taken; a call that is still open may yet answer it
    STOPPED = "stopped", "已停止"  # the bulletin ended before an answer


class Climb(models.Model):
    """One unanswered delivery on its way up the ladder; the ladder is frozen here at the start."""

    delivery = models.OneToOneField(Delivery, models.PROTECT, related_name="climb", db_constraint=False)
    rungs = ArrayField(models.CharField(max_length=16), help_text="errands in order, frozen")
    waits_s = ArrayField(models.PositiveIntegerField(), help_text="wait before each rung, and after the last")
    channels = ArrayField(models.CharField(max_length=16), default=list, help_text="of each rung; empty: app")
    of_group = models.PositiveSmallIntegerField(
        null=True, help_text="so many answers of his group do for all of it; null: each must answer"
    )
    version = models.CharField(
        max_length=32, blank=True, help_text="of the ladder table; empty: the defaults"
    )
    rung = models.PositiveSmallIntegerField(
        default=0, help_text="where he stands: the number of the next rung"
    )
    state = models.CharField(max_length=16, choices=ClimbState, default=ClimbState.CLIMBING)
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=64, blank=True, help_text="what ended it")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="climbing"), name="climb_due"),
            # few; asked in every sweep whether they are back
            models.Index(
                fields=["id"], condition=Q(state="stopped", why="left the roster"), name="climb_left"
            ),
        ]


class Rung(models.Model):
    """One rung taken: which dispatch it caused. Unique, so no rung is ever taken twice."""

    climb = models.ForeignKey(Climb, models.CASCADE, related_name="taken")
    number = models.PositiveSmallIntegerField()
    errand = models.CharField(max_length=16)
    channel = models.CharField(max_length=16, default="app")
    due_at = models.DateTimeField()
    taken_at = models.DateTimeField()
    reached = models.PositiveSmallIntegerField(help_text="how many people it addressed; 0 is a finding")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["climb", "number"], name="rung_once")]


class CallResult(models.TextChoices):
    """What came of a call."""

    ANSWERED = "answered", "已应答"  # he has heard it and goes: his climb is answered
    CANNOT = "cannot", "无法到位"  # he has heard it and cannot go
    NO_ANSWER = "no_answer", "无人接听"
    WRONG_NUMBER = "wrong_number", "号码有误"
    OTHER = "other", "其他"


PLACES = 10**12  # more calls than there will ever be


class CallTaskQuerySet(models.QuerySet["CallTask"]):
    def below(self, paths: tuple[str, ...]) -> Self:
        """Tasks for people of these regions."""
        return self.filter(path_filter("region__path", paths))

    def open(self, at: datetime) -> Self:
        """Still to be called: not done, not answered otherwise, and the message still stands."""
        gone = Receipt.objects.refusals(months.open_since(at)).filter(delivery=OuterRef("climb__delivery"))
        return self.filter(
            ~Q(climb__delivery__state=State.CONFIRMED) | Exists(gone),
            done_at=None,
            climb__state__in=[ClimbState.CLIMBING, ClimbState.EXHAUSTED],
            climb__delivery__dispatch__bulletin__valid_until__gt=at,
        )

    def listed(self) -> Self:
        """With all that the list shows; the gravest first, then whose call was made first."""
        post = Post.objects.filter(
            officer=OuterRef("climb__delivery__officer"), region=OuterRef("region")
        ).order_by("rank", "id")
        return (
            self.select_related(
                "climb__delivery__officer", "climb__delivery__dispatch__bulletin", "region", "claimed_by"
            )
            .defer("climb__delivery__officer__sealed_phone", "claimed_by__sealed_phone")
            .annotate(
                duty=Subquery(post.values("duty")[:1]),
                urgency=F("climb__delivery__dispatch__bulletin__urgency"),
                # unique, for a page's cursor
                place=ExpressionWrapper(
                    F("id") - F("climb__delivery__dispatch__bulletin__urgency") * Value(PLACES),
                    output_field=BigIntegerField(),
                ),
            )
            .prefetch_related(models.Prefetch("climb__taken", Rung.objects.order_by("number")))
            .order_by("place")
        )


class CallTask(models.Model):
    """One person whom the duty desk is to call by telephone: everybody else was asked and nobody answered."""

    climb = models.OneToOneField(Climb, models.CASCADE, related_name="call")
    region = models.ForeignKey(Region, models.PROTECT, help_text="of the silent person's post")
    made_at = models.DateTimeField()
    claimed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    claimed_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=16, choices=CallResult, blank=True)
    note = models.CharField(max_length=500, blank=True)
    done_at = models.DateTimeField(null=True)

    objects = CallTaskQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["made_at"], condition=Q(done_at=None), name="call_open")]
        constraints = [
            models.CheckConstraint(
                condition=Q(done_at=None, result="") | Q(done_at__isnull=False) & ~Q(result=""),
                name="call_done_with_result",
            )
        ]


class Incident(models.Model):
    """Something of our own machinery was wrong: from the moment it was found until all was well again."""

    kind = models.CharField(max_length=32)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="when it was last found so")
    ended_at = models.DateTimeField(null=True)
    worst = models.PositiveIntegerField(help_text="how many at once at the most")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(ended_at=None), name="incident_one_open_a_kind"
            )
        ]
