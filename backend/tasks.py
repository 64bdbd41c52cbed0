"""Every background job: its name gives its queue (backend/celery.py), its body is one call with `now`.

Tasks are idempotent and short; what is due stands in the tables, so a task may be lost, doubled or killed.
"""

import logging
from collections.abc import Callable
from functools import partial
from threading import Lock

from celery import shared_task
from django.conf import settings

from alerts import (
    drill_frames,
    drill_watch,
    endings,
    feedwatch,
    follows,
    grounds,
    orders,
    releases,
    stages,
    watch,
)
from backend.doors import forget_answers
from escalation import audit, climb, starts
from foundation import clock
from foundation.months import months_from
from hazards import feedback, ground, reminders
from hydrology import ingest, live, storage
from hydrology.feeds import questions, telegrams
from hydrology.sources import polls
from monitoring import samples, seals, watchman
from notifications import canaries, centre, delivery, dispatch, drills, months, nights, reports, telephony
from officers import auth, oidc

log = logging.getLogger(__name__)


@shared_task(name="watch.assess")
def assess() -> None:
    watch.assess_due(now=clock.now())
    endings.expire_due(now=clock.now())


@shared_task(name="watch.feeds")
def watch_feeds() -> None:
    feedwatch.watch_feeds(now=clock.now())


@shared_task(name="watch.levels")
def watch_levels() -> None:
    stages.assess_levels(now=clock.now())
    follows.tell_followers(now=clock.now())


@shared_task(name="watch.drills")
def watch_drills() -> None:
    drill_watch.assess_due(now=clock.now())


@shared_task(name="live.refresh")
def refresh_live() -> None:
    live.refresh(now=clock.now())


class Alone:
    """A job that runs once at a time in this process. Who calls it meanwhile does not wait: it runs once more then.

    In a storm each answer nudges a sweep: they held all threads, each at the same work, and nothing else got one.
    """

    def __init__(self, job: Callable[[], None]) -> None:
        self._job, self._busy, self._again = job, Lock(), False

    def __call__(self) -> None:
        self._again = True
        while self._again and self._busy.acquire(blocking=False):
            try:
                self._again = False
                self._job()
            finally:
                self._busy.release()


@Alone
def _dispatch() -> None:
    dispatch.take_up(now=clock.now())
    drills.stop_resting(now=clock.now())  # what is real goes first


@shared_task(name="dispatch.sweep")
def sweep_dispatch() -> None:
    _dispatch()


@shared_task(name="dispatch.release")
def release() -> None:
    orders.release_due(now=clock.now())
    releases.release_due(now=clock.now())


@shared_task(name="delivery.send")
def send_deliveries() -> None:
    delivery.send_due(clock=clock.now)


@shared_task(name="delivery.telephone")
def telephone() -> None:
    centre.keep_bound(clock=clock.now)
    telephony.send_due(clock=clock.now)


@Alone
def _escalate() -> None:
    climb.sweep(now=clock.now())


@shared_task(name="escalation.sweep")
def sweep_escalation() -> None:
    _escalate()


@Alone
def _take_in() -> None:
    starts.take_in(now=clock.now())


@shared_task(name="escalation.newcomers")
def take_in_newcomers() -> None:
    _take_in()


@Alone
def _audit() -> None:
    audit.audit(now=clock.now())


@shared_task(name="escalation.audit")
def audit_escalation() -> None:
    _audit()


@shared_task(name="monitor.sweep")
def monitor() -> None:
    watchman.sweep(clock=clock.now)


@shared_task(name="routine.poll")
def poll_sources() -> None:
    """Starts the polls and does not wait for them: a source that hangs holds no thread of the queue."""
    polls.poll_due(clock=clock.now)


@shared_task(name="routine.coverage")
def prove_coverage() -> None:
    nights.prove(now=clock.now())


@shared_task(name="routine.forms")
def take_forms() -> None:
    feedback.take_forms(now=clock.now())


@shared_task(name="routine.remind")
def remind() -> None:
    reminders.remind(now=clock.now())


@shared_task(name="routine.seal")
def seal_logs() -> None:
    seals.seal(now=clock.now())


@shared_task(name="routine.tidy")
def tidy() -> None:
    """Room for the months to come; what is old goes. Whole months last: a long reader may hold them up."""
    now, days = clock.now(), settings.KEEP_DAYS
    _each(
        partial(storage.make_room, months_from(now)),
        partial(auth.forget_expired, now=now),
        partial(oidc.forget_flows, now),
        partial(forget_answers, now),
        partial(canaries.forget_old, now=now, keep_days=days["canaries"]),
        partial(samples.forget_old, now=now, keep_days=days["samples"]),
        partial(reports.forget_old, now=now, keep_days=days["reports"]),
        partial(ground.forget_photos, now=now, keep_days=days["photos"]),
        partial(telegrams.forget_old, now=now, keep_days=days["telegrams"]),
        partial(questions.forget_old, now=now, keep_days=days["telegrams"]),
        partial(ingest.forget_raw, now=now, keep_days=days["raw"]),
        partial(ingest.forget_parts, now=now),
        *(
            partial(
                ingest.forget_runs,
                now=now,
                product=product,
                keep_days=days[product],
                named=grounds.runs_named,
            )
            for product in ("observed", "nowcast")
        ),
        partial(ingest.forget_pictures, now=now, keep_days=days["radar"]),
        partial(drill_frames.forget_frames, now=now, keep_days=days["drills"]),
        partial(ingest.forget_blobs),
        partial(
            storage.let_go,
            now=now,
            keep_days=days["observations"],
            archive_days=days["archive"],
            rested_on=grounds.months_named,
        ),
        partial(ingest.forget_posts),
        partial(seals.watch, now=now),
        partial(delivery.end_left, now=now),
        partial(climb.end_left, now=now),
        partial(months.tidy, now=now, keep_days=days["ledger"], archive_days=days["archive"]),
    )


def _each(*parts: partial[object]) -> None:
    """Every part by itself: one that fails keeps no other from being done; the first fault is raised at the end."""
    faults: list[Exception] = []
    for part in parts:
        try:
            part()
        except Exception as fault:
            log.exception("tidy.part_failed part=%s.%s", part.func.__module__, part.func.__name__)
            faults.append(fault)
    if faults:
        raise faults[0]
