"""The ledger's months: which one a line stands in (its id says so), and which of them there are.

`Delivery.id` is YYYYMM * 10**9 + n of the (UTC) month in which its dispatch was made, or of a later one where ids had
gone on already: they only ever grow, whatever a clock says. So the lines of a dispatch never stand before the month of
its `created_at`, and everything that may still be open stands in the last months. Receipts stand in the month of their
delivery. Owns the partitions of both tables and the sequence; rows are written by dispatch.py, under SEQ_LOCK, which
makers of months hold as well. How months are made and moved: foundation/months.py. Why: ADR 16.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

from django.db import connection, transaction
from django.db.models import Min

from foundation.months import ByMonth, month_of, months_from, next_month
from notifications.models import Dispatch

SEQ_LOCK = 0x5E9_0001  # any constant, used nowhere else
_LETTING_GO = 0x5E9_0009  # likewise
A_MONTH = 10**9  # ids
NOWHERE = 2**63 - 1  # no line has this id, nor a higher one
LEFT = timedelta(days=1)  # what is over for longer is open nowhere
_FIRST = "SELECT seqstart FROM pg_sequence WHERE seqrelid = 'notifications_delivery_id_seq'::regclass"
_TURN = """
SELECT CASE WHEN last_value < %(base)s AND %(base)s >= %(first)s
            THEN setval('notifications_delivery_id_seq', %(base)s, false) ELSE last_value END
FROM notifications_delivery_id_seq
"""


def base(at: datetime) -> int:
    """The lowest id of the month of `at`."""
    month = month_of(at)
    return (month.year * 100 + month.month) * A_MONTH


@cache
def first() -> int:
    """The base of the first month whose ids say it; what is older stands in one partition before it."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST)
        return int(cursor.fetchone()[0])


LEDGER = ByMonth(
    ("notifications_delivery", "notifications_receipt"),
    lambda month: str(base(month)) if base(month) >= first() else "MINVALUE",
    locks=(SEQ_LOCK, _LETTING_GO),
    own=(("notifications_delivery", "CREATE UNIQUE INDEX ON {month} (dispatch_id, officer_id)"),),
)


def since(at: datetime) -> int:
    """No line of a dispatch made at `at` or later has a lower id."""
    return base(at) if base(at) >= first() else 0


def since_of(**which: object) -> int:
    """No line of these dispatches has a lower id."""
    first_line = Dispatch.objects.filter(**which).aggregate(id=Min("first_line"))["id"]
    return NOWHERE if first_line is None else int(first_line)


def open_since(now: datetime) -> int:
    """No line with a lower id can still be sent, answered in time or chased: its dispatch is over for a day.

    Who looks for open lines bounds their ids by it, or reads this whole month, or looks into every month there is.
    """
    return min(since_of(expires_at__gt=now - LEFT), since(now))


def turn(now: datetime) -> int:
    """Before lines are written, in their transaction and under SEQ_LOCK: their ids are of this month, and there is room.

    Returns an id below which none of them will be. A sequence that stands in a later month already stays there; one that
    was moved by a transaction which then failed finds its month made again. Two short queries.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURN, {"base": base(now), "first": first()})
        at = int(cursor.fetchone()[0])
    if at >= first():
        LEDGER.make_room([_month(at)])
    return at


def tidy(*, now: datetime, keep_days: int, archive_days: int) -> list[str]:
    """Room for the months to come; months that are old and in which nothing is open are let go, then dropped.

    Returns the tables it moved. Not in a transaction.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        LEDGER.make_room(month for month in months_from(now) if base(month) >= first())
        # autovacuum counts months, never the whole: without that the planner takes every officer's lines for many
        only = "ONLY " if connection.pg_version >= 180000 else ""
        cursor.execute(f"ANALYZE {', '.join(only + table for table in LEDGER.tables)}")
    return LEDGER.let_go(
        now=now,
        keep_days=keep_days,
        archive_days=archive_days,
        young=lambda month, _: base(next_month(month)) > open_since(now),
    )


def bring_back(month: datetime) -> bool:
    """Make a month readable again that was let go and not yet dropped; False when there is none such."""
    return month_of(month) in LEDGER.months(attached=False) and LEDGER.make_room([month]) == 1


def _month(pk: int) -> datetime:
    year, month = divmod(pk // A_MONTH, 100)
    return datetime(year, month, 1, tzinfo=UTC)
