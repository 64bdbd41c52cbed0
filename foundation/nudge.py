"""Nudges: after the commit, tell the next stage that there is work. Only ever a hint.

A nudge may be lost (broker gone, worker killed); the stage's sweep finds the same row seconds later.
So a failure here is logged and swallowed: the row is already committed. After one, this process does not nudge for
a moment: a Redis that hangs then costs it one time-out, not one a request.
"""

import logging
import time
from functools import partial

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)

PAUSE_S = 5.0
_again_s = 0.0  # time.monotonic() of the end of the pause


def nudge(task: str, **ids: object) -> None:
    """Send `task` with keyword ids once the present transaction has committed."""
    transaction.on_commit(partial(_send, task, ids))


def _send(task: str, ids: dict[str, object]) -> None:
    global _again_s
    if time.monotonic() < _again_s:
        return
    try:
        current_app.send_task(task, kwargs=ids, ignore_result=True, retry=False)
    except Exception as error:  # the sweep is the safety net; any broker fault is only a delay
        _again_s = time.monotonic() + PAUSE_S
        log.warning("nudge.lost task=%s error=%s", task, type(error).__name__)
