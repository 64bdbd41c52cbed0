"""Nudges: after the commit, tell the next stage that there is work. Only ever a hint.

A nudge may be lost (broker gone, worker killed); the stage's sweep finds the same row seconds later.
So a failure here is logged and swallowed: the row is already committed.
"""

import logging
from functools import partial

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)


def nudge(task: str, **ids: object) -> None:
    """Send `task` with keyword ids once the present transaction has committed."""
    transaction.on_commit(partial(_send, task, ids))


def _send(task: str, ids: dict[str, object]) -> None:
    try:
        current_app.send_task(task, kwargs=ids, ignore_result=True, retry=False)
    except Exception as error:  # the sweep is the safety net; any broker fault is only a delay
        log.warning("nudge.lost task=%s error=%s", task, type(error).__name__)
