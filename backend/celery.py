"""The Celery app: three queues and the beat table. Jobs themselves stand in backend/tasks.py.

urgent: dispatch, delivery, escalation. ingest: assessment and snapshots. routine: everything that can wait.
Every sweep is listed in PERIODS_S; a beat or a nudge that is lost costs at most one period.
"""

import os

from celery import Celery, Task
from celery.signals import worker_ready
from kombu.transport.redis import Channel

from backend.children import spare_the_collector
from foundation import clock
from foundation.wire import beat
from monitoring import jobs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

PERIODS_S = {
    "dispatch.sweep": 5.0,
    "dispatch.release": 2.0,
    "delivery.send": 2.0,
    "delivery.telephone": 2.0,
    "escalation.sweep": 5.0,
    "escalation.audit": 10.0,
    "escalation.newcomers": 20.0,
    "monitor.sweep": 10.0,
    "watch.assess": 10.0,
    "watch.feeds": 10.0,
    "watch.levels": 10.0,
    "watch.drills": 5.0,
    "live.refresh": 10.0,
    "routine.poll": 5.0,
    "routine.forms": 10.0,
    "routine.remind": 60.0,
    "routine.seal": 60.0,
    "routine.tidy": 3600.0,
    "routine.coverage": 900.0,
}
QUEUES = {
    "dispatch": "urgent",
    "delivery": "urgent",
    "escalation": "urgent",
    "watch": "ingest",
    "live": "ingest",
    "monitor": "ingest",  # not behind the senders it watches
}


class Job(Task):  # type: ignore[misc]
    """A task that leaves a sign of life when it has gone well."""

    def on_success(self, retval: object, task_id: str, args: object, kwargs: object) -> None:
        beat(jobs.BEATS, self.name, clock.now())


# kombu 5.7 puts tasks it has not begun back when Redis dies, over the connection it just lost: the worker died of it
Channel.do_restore = False
app = Celery("backend", task_cls=Job)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_routes = {f"{room}.*": {"queue": queue} for room, queue in QUEUES.items()}
app.conf.beat_schedule = {
    # a sweep that could not run in its period is dropped, not piled up
    name: {"task": name, "schedule": period, "options": {"expires": max(period, 5.0)}}
    for name, period in PERIODS_S.items()
}
app.autodiscover_tasks(["backend"])
jobs.know({name: (QUEUES.get(name.split(".")[0], "routine"), period) for name, period in PERIODS_S.items()})


@worker_ready.connect  # type: ignore[untyped-decorator]
def on_ready(**_: object) -> None:
    """Behind a long queue collections were a third of a sender."""
    spare_the_collector()
