"""When a report is wanted: equal periods counted from the release of an order. Dry; the sweep is reminders.py.

A period is (from_at, until_at]: what comes in at its very end is in time. Numbers begin with 1.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

DAY_H = 24  # within each of these every region must have spoken, be it to say that there is nothing (零报告)


@dataclass(frozen=True, slots=True)
class Period:
    """One period of an order's reports."""

    number: int
    from_at: datetime
    until_at: datetime


def period(released_at: datetime, every_h: int, number: int) -> Period:
    """The period of this number; raises ValueError below 1."""
    if number < 1 or every_h < 1:
        raise ValueError("periods begin with 1 and last an hour at least")
    every = timedelta(hours=every_h)
    return Period(number, released_at + (number - 1) * every, released_at + number * every)


def running(released_at: datetime, every_h: int, at: datetime) -> Period:
    """The period the instant falls into; before the release the first."""
    past = -((released_at - at) // timedelta(hours=every_h))  # rounded up: the end belongs to its period
    return period(released_at, every_h, max(1, past))
