"""Room for observations: one partition a (UTC) month, made before the rows come, let go when they are old.

Owns which months of `hydrology_observation` exist. Does not write rows (ingest/readings.py) nor choose how long they
are kept (keeping.py). Source: PostgreSQL 18, 5.12 Table Partitioning. A month is made apart and then attached, which
hinders neither readers nor writers; there is no DEFAULT partition, because attaching would then have to scan it.
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction

log = logging.getLogger(__name__)
PARENT = "hydrology_observation"
MONTHS_AHEAD = 3  # this one and the next two
BATCH = 1000  # rows of a delete
_MAKING, _LETTING_GO = 0x4859444D, 0x4859444E  # makers of months take turns; one at a time lets go
_PATIENCE = "5s"  # a long reader holds up the letting go until the next hour, not readers behind it


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


def months(*, attached: bool = True) -> list[datetime]:
    """The months that are readable, or those let go and not yet dropped; oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, [PARENT, f"^{PARENT}_[0-9]{{4}}_[0-9]{{2}}$"])
        found = [table for table, is_attached in cursor.fetchall() if is_attached is attached]
    return [datetime.strptime(table[-7:], "%Y_%m").replace(tzinfo=UTC) for table in sorted(found)]


def make_room(instants: Iterable[datetime]) -> int:
    """See that the months of these instants (aware) exist; returns how many were not there.

    One query when nothing is missing. What it makes stands or falls with the transaction around it; others who need
    the same month wait for that. A month that was let go but not yet dropped comes back with its rows.
    """
    wanted = {month_of(at) for at in instants}
    if not wanted or not _missing(wanted):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
        missing = _missing(wanted)  # whoever had the lock before may have made them
        for month, half_gone in sorted(missing.items()):
            table, bounds = table_of(month), [month, next_month(month)]
            if half_gone:
                cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {table} FINALIZE")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (LIKE {PARENT} INCLUDING ALL)")
            cursor.execute(f"COMMENT ON TABLE {table} IS NULL")
            cursor.execute(
                f"ALTER TABLE {PARENT} ATTACH PARTITION {table} FOR VALUES FROM (%s) TO (%s)", bounds
            )
    return len(missing)


def let_go(
    *, now: datetime, keep_days: int, archive_days: int, rested_on: Callable[[], Container[datetime]]
) -> list[str]:
    """Take months out of reach when all their rows are old, drop them later. Not in a transaction.

    Old: observed and received more than `keep_days` ago; dropped `archive_days` after that was seen, except the months
    `rested_on`, by which a stored warning can be computed again. 0 days: kept for ever. Returns the tables it moved.
    A reader that does not end holds a month back until the next call; killed half-way, the next call ends it.
    """
    moved: list[str] = []
    with _alone() as alone, connection.cursor() as cursor:
        if not alone or not keep_days:
            return moved
        cursor.execute(_PENDING, [PARENT])
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {table} FINALIZE")
        for month in _older(months(), now - timedelta(days=keep_days)):
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {table_of(month)} CONCURRENTLY")
            moved.append(table_of(month))
        gone = {month: _gone_at(month, now) for month in months(attached=False)}
        due = {month for month, at in gone.items() if at <= now - timedelta(days=archive_days)}
        if archive_days and due:
            rested = rested_on()
            for month in sorted(month for month in due if month not in rested):
                if _dropped(month):
                    moved.append(table_of(month))
    if moved:
        log.info("storage.let_go tables=%s", ",".join(moved))
    return moved


def delete_in_batches(sql: str, params: Sequence[object] = (), most: int = BATCH) -> int:
    """Run a DELETE or UPDATE that ends in `LIMIT %s` of its subquery until it finds less; returns how many rows."""
    total = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [*params, most])
            total += cursor.rowcount
            if cursor.rowcount < most:
                return total


def _missing(wanted: set[datetime]) -> dict[datetime, bool]:
    """Those of the months that are not there, and whether a letting go of them was begun and not ended."""
    tables = {table_of(month): month for month in wanted}
    with connection.cursor() as cursor:
        cursor.execute(_THERE, [PARENT, list(tables)])
        there = {tables[table]: pending for table, pending in cursor.fetchall()}
    return {month: there.get(month, False) for month in wanted if there.get(month, True)}


def _gone_at(month: datetime, now: datetime) -> datetime:
    """When the month was first seen out of reach: noted on its table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regclass, 'pg_class')", [table_of(month)])
        if noted := cursor.fetchone()[0]:
            return datetime.fromisoformat(noted)
        cursor.execute(f"COMMENT ON TABLE {table_of(month)} IS %s", [now.isoformat()])
        return now


def _dropped(month: datetime) -> bool:
    """Drop the month, unless late rows have brought it back since it was looked at."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
        still_gone = month in months(attached=False)
        if still_gone:
            cursor.execute(f"DROP TABLE {table_of(month)}")
    return still_gone


def _older(candidates: Iterable[datetime], before: datetime) -> Iterator[datetime]:
    """Months that ended by `before` and got no row since; the look at the rows stops at the first young one."""
    for month in candidates:
        if next_month(month) <= before:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT EXISTS (SELECT 1 FROM {table_of(month)} WHERE received_at > %s)", [before]
                )
                if not cursor.fetchone()[0]:
                    yield month


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether nobody else lets go; waits for locks only so long, and what could not be locked waits for the next time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LETTING_GO])
        alone = cursor.fetchone()[0]
        cursor.execute(f"SET lock_timeout = '{_PATIENCE}'")
        try:
            yield alone
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
                raise
            log.warning("storage.held_up reason=%s", error)
        finally:
            cursor.execute("RESET lock_timeout")
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LETTING_GO])


_THERE = """
SELECT c.relname, i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND c.relname = ANY(%s)
"""
_PENDING = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND i.inhdetachpending
"""
_MONTHS = """
SELECT c.relname, i.inhparent IS NOT NULL FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %s::regclass)
  AND c.relname ~ %s AND NOT coalesce(i.inhdetachpending, false)
"""
