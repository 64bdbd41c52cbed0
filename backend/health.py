"""Liveness, readiness and what matters at 3 a.m.: age of each feed, oldest unsent delivery, workers, what is wrong."""

from typing import Any

from django.http import HttpRequest, JsonResponse

from foundation.clock import iso, now
from foundation.wire import wire
from hydrology.feeds.health import standings
from hydrology.science.feed_states import FeedState
from monitoring import jobs, readings, watchman
from monitoring.api import may_read

LATE_DELIVERY_S = 30


def alive(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"ok": True})


def ready(request: HttpRequest) -> JsonResponse:
    """503 unless the database, Redis, the workers and the senders do their work; says which does not.

    What exactly is wrong is for who may read /metrics; others hear of each part only whether it is well.
    `workers` is null while nobody knows (just started, or Redis emptied); `faults` are those the watch over the machines
    would tell of, and `queues` the jobs that are late: both also when Celery itself is dead and can tell nobody.
    """
    at = now()
    parts: dict[str, Any] = {"database": True, "redis": True}
    try:
        parts |= _ledger(at)
    except Exception as error:  # readiness reports the fault instead of failing itself
        parts |= {"database": False, "database_fault": type(error).__name__}
    try:
        wire().ping()
        parts["workers"] = jobs.working(at)
        parts["queues"] = {one.job: round(one.missed_s) for one in jobs.heard(at) if one.late}
    except Exception as error:
        parts |= {"redis": False, "redis_fault": type(error).__name__}
    late = float(parts.get("oldest_unsent_s", 0)) >= LATE_DELIVERY_S
    good = parts["database"] and parts["redis"] and parts.get("workers") is not False and not late
    if not may_read(request):
        parts = _plainly(parts, late)
    return JsonResponse({"ok": good, **parts}, status=200 if good else 503)


def _plainly(parts: dict[str, Any], late: bool) -> dict[str, bool | None]:
    """Whether each part is well; None when nobody knows."""
    queues, feeds = parts.get("queues"), parts.get("feeds")
    return {
        **{name: parts.get(name) for name in ("database", "redis", "workers")},
        "queues": None if queues is None else not queues,
        "deliveries": None if feeds is None else not late,
        "feeds": None if feeds is None else not any(one["late"] for one in feeds),
    }


def _ledger(at: Any) -> dict[str, Any]:
    return {
        "oldest_unsent_s": round(readings.oldest_unsent_s(readings.waiting(at), at), 1),
        "oldest_climb_s": round(readings.climbs(at).oldest_s, 1),
        "faults": [{"kind": one.kind, "of": one.of, "count": one.count} for one in watchman.look(at)],
        "feeds": [
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
        ],
    }
