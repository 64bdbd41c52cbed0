"""Text messages sent by a process of its own until it is killed: `python -m tests.notifications.smpp_sender`."""

import time

import django

django.setup()

from foundation.clock import now  # noqa: E402
from notifications import centre, telephony  # noqa: E402

if __name__ == "__main__":
    centre.keep_bound(clock=now)
    while True:
        telephony.send_due(clock=now)
        time.sleep(0.05)
