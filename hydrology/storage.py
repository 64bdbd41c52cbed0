"""Room for observations: one partition a (UTC) month, made before the rows come, let go when they are old.

Owns which months of `hydrology_observation` exist. Does not write rows (ingest/readings.py) nor choose how long they
are kept (keeping.py). Source: PostgreSQL 18, 5.12 Table Partitioning. A month is made apart and then attached, which
hinders neither readers nor writers; there is no DEFAULT partition, because attaching would then have to scan it.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.db import connection, transaction

PARENT = "hydrology_observation"
MONTHS_AHEAD = 3  # this one and the next two
_LOCK = 0x4859444D  # makers of months take turns


def month_of(at: datetime) -> datetime:
    """The first instant of the (UTC) month `at` lies in."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def months_from(at: datetime, count: int = MONTHS_AHEAD) -> Iterator[datetime]:
    """The month of `at` and those after it, `count` in all."""
    month = month_of(at)
    for _ in range(count):
        yield month
        month = next_month(month)


def table_of(month: datetime) -> str:
    return f"{PARENT}_{month:%Y_%m}"


def make_room(instants: Iterable[datetime]) -> int:
    """See that the months of these instants (aware) exist; returns how many were not there.

    One query when nothing is missing. What it makes stands or falls with the transaction around it; others who need
    the same month wait for that. A month that was let go but not yet dropped comes back with its rows.
    """
    months = {month_of(at) for at in instants}
    if not months or not (missing := _missing(months)):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        missing = _missing(missing)  # whoever had the lock before may have made them
        for month in sorted(missing):
            table, bounds = table_of(month), [month, next_month(month)]
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (LIKE {PARENT} INCLUDING ALL)")
            cursor.execute(
                f"ALTER TABLE {PARENT} ATTACH PARTITION {table} FOR VALUES FROM (%s) TO (%s)", bounds
            )
    return len(missing)


def _missing(months: set[datetime]) -> set[datetime]:
    tables = {table_of(month): month for month in months}
    with connection.cursor() as cursor:
        cursor.execute(_ATTACHED, [PARENT, list(tables)])
        return months - {tables[table] for (table,) in cursor.fetchall()}


_ATTACHED = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND c.relname = ANY(%s) AND NOT i.inhdetachpending
"""
