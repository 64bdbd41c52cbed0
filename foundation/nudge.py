"""Nudges: after the commit, tell the next stage that there is work. Only ever a hint.

A nudge may be lost (broker gone, worker killed); the stage's sweep finds the same row seconds later.
So a failure here is logged and swallowed: the row is already committed. After one, this process does not nudge for
a moment (pause.py).
"""

import logging
import threading
import time
from functools import partial

from celery import current_app
from django.db import transaction

from foundation.pause import Pause

log = logging.getLogger(__name__)

pause = Pause()
# by task: time.monotonic() of the last nudge of `nudge_at_most`, or of the one to come
_next_s: dict[str, float] = {}


def nudge(task: str, **ids: object) -> None:
    """Send `task` with keyword ids once the present transaction has committed."""
    transaction.on_commit(partial(_send, task, ids))


def nudge_at_most(task: str, every_s: float) -> None:
    """As `nudge`, at most one every so many seconds of this process; the last of many comes late, it is not lost."""
    transaction.on_commit(partial(_send_at_most, task, every_s))


def _send_at_most(task: str, every_s: float) -> None:
    at_s = time.monotonic()
    next_s = _next_s.get(task, float("-inf"))
    if next_s > at_s:
        return  # one is about to go, and its task will see what has just been committed
    wait_s = max(0.0, next_s + every_s - at_s)
    _next_s[task] = at_s + wait_s
    if wait_s:
        later = threading.Timer(wait_s, _send, (task, {}))
        later.daemon = True
        later.start()
    else:
        _send(task, {})


def _send(task: str, ids: dict[str, object]) -> None:
    if pause.lasts:
        return
    try:
        current_app.send_task(task, kwargs=ids, ignore_result=True, retry=False)
    except Exception as error:  # the sweep is the safety net; any broker fault is only a delay
        pause.begin()
        log.warning("nudge.lost task=%s error=%s", task, type(error).__name__)
