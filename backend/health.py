"""Liveness, readiness and what matters at 3 a.m.: age of each feed, oldest unsent delivery, workers."""

from django.db import connection
from django.http import HttpRequest, JsonResponse

from escalation.models import Climb
from foundation.clock import iso, now
from foundation.wire import wire
from hydrology.feeds.health import standings
from hydrology.science.feed_states import FeedState
from notifications.models import Delivery

LATE_DELIVERY_S = 30


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"ok": True})


def ready(request: HttpRequest) -> JsonResponse:
    """503 unless the database, Redis and the senders do their work; says which does not."""
    at = now()
    parts: dict[str, object] = {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        oldest = Delivery.objects.due(at).order_by("due_at").values_list("due_at", flat=True).first()
        climb = (
            Climb.objects.filter(state="climbing", due_at__lte=at).order_by("due_at").values("due_at").first()
        )
        parts["database"] = True
        parts["oldest_unsent_s"] = round((at - oldest).total_seconds(), 1) if oldest else 0
        parts["oldest_climb_s"] = round((at - climb["due_at"]).total_seconds(), 1) if climb else 0
        parts["feeds"] = [
            {
                "feed": standing.feed.pk,
                "state": standing.health.state,
                "why": standing.health.doubt,
                "age_s": mark and round((at - mark.received_at).total_seconds()),
                "observed_at": iso(mark and mark.observed_at),
                "late": standing.health.state in (FeedState.LATE, FeedState.SILENT),
            }
            for standing in standings(at)
            for mark in (standing.mark,)
        ]
    except Exception as error:  # readiness reports the fault instead of failing itself
        parts["database"] = False
        parts["database_fault"] = type(error).__name__
    try:
        parts["redis"] = bool(wire().ping())
    except Exception as error:
        parts["redis"] = False
        parts["redis_fault"] = type(error).__name__
    unsent = parts.get("oldest_unsent_s", 0)
    good = bool(parts["database"] and parts["redis"] and float(unsent) < LATE_DELIVERY_S)  # type: ignore[arg-type]
    return JsonResponse({"ok": good, **parts}, status=200 if good else 503)
