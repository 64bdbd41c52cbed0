"""Tables that stand in one partition a (UTC) month: made before the rows come, let go when they are old.

Knows which months of a table exist and moves whole months; writes no rows, chooses no keep times. Two rooms have such
tables (ADR 10, ADR 16). Source: PostgreSQL 18, 5.12 Table Partitioning. A month is made apart and then attached, which
hinders neither readers nor writers; there is no DEFAULT partition, because attaching would then have to scan it.
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction

log = logging.getLogger(__name__)
MONTHS_AHEAD = 3  # this one and the next two
PATIENCE = "5s"  # a long reader holds up the letting go until the next hour, not readers behind it


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


@dataclass(frozen=True)
class ByMonth:
    """Tables partitioned alike; the first is the one that the others speak of, and is attached first, detached last.

    `bound`: where a month begins, as PostgreSQL reads it. `own`: by table what each of its months has and the whole
    cannot have (a unique key without the partition's), with {month} for the month's table. `locks`: of those who make
    months, who take turns, and of who lets go, one at a time.
    """

    tables: tuple[str, ...]
    bound: Callable[[datetime], str]
    locks: tuple[int, int]
    own: tuple[tuple[str, str], ...] = ()

    def months(self, *, attached: bool = True) -> list[datetime]:
        """The months that are readable, or those let go and not yet dropped; oldest first."""
        with connection.cursor() as cursor:
            names = f"^({'|'.join(self.tables)})_[0-9]{{4}}_[0-9]{{2}}$"
            cursor.execute(_MONTHS, [self.tables[0], names])
            found = [month for month, is_attached in cursor.fetchall() if is_attached is attached]
        return [datetime.strptime(month, "%Y_%m").replace(tzinfo=UTC) for month in found]

    def tables_of(self, month: datetime) -> dict[str, str]:
        """By table the name of its month."""
        return {table: f"{table}_{month:%Y_%m}" for table in self.tables}

    def make_room(self, instants: Iterable[datetime]) -> int:
        """See that the months of these instants (aware) exist; returns how many were not there.

        One query when nothing is missing. What it makes stands or falls with the transaction around it; others who
        need the same month wait for that. A month that was let go but not yet dropped comes back with its rows.
        """
        wanted = {month_of(at) for at in instants}
        if not wanted or not self._missing(wanted):
            return 0
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [self.locks[0]])
            missing = self._missing(wanted)  # whoever had the lock before may have made them
            for (month, table), half_gone in sorted(missing.items(), key=self._first_first):
                name = self.tables_of(month)[table]
                if half_gone:
                    cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
                cursor.execute("SELECT to_regclass(%s) IS NULL", [name])
                if cursor.fetchone()[0]:
                    cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
                    for _, index in (own for own in self.own if own[0] == table):
                        cursor.execute(index.format(month=name))
                cursor.execute(f"COMMENT ON TABLE {name} IS NULL")
                bounds = f"FROM ({self.bound(month)}) TO ({self.bound(next_month(month))})"
                cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}")
        return len({month for month, _ in missing})

    def let_go(
        self,
        *,
        now: datetime,
        keep_days: int,
        archive_days: int,
        young: Callable[[datetime, datetime], bool],
        stays: Callable[[], Container[datetime]] = tuple,
    ) -> list[str]:
        """Take months out of reach when they are old, drop them later. Not in a transaction.

        Old: ended `keep_days` ago, and not `young` (of a month, seen from that instant). Dropped `archive_days` after
        that was seen, except those that `stays` names. 0 days: kept for ever. Returns the tables it moved.
        A reader that does not end holds a month back until the next call; killed half-way, the next call ends it.
        """
        moved: list[str] = []
        with self._alone() as alone, connection.cursor() as cursor:
            if not alone or not keep_days:
                return moved
            cursor.execute(_PENDING, [list(self.tables)])
            for table, name in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
            before = now - timedelta(days=keep_days)
            for month in self.months():
                if next_month(month) <= before and not young(month, before):
                    moved += self._detach(month)
            gone = {month: self._gone_at(month, now) for month in self.months(attached=False)}
            due = {month for month, at in gone.items() if at <= now - timedelta(days=archive_days)}
            if archive_days and due:
                staying = stays()
                for month in sorted(month for month in due if month not in staying):
                    moved += self._drop(month)
        if moved:
            log.info("months.let_go tables=%s", ",".join(moved))
        return moved

    def _first_first(self, missing: tuple[tuple[datetime, str], bool]) -> tuple[datetime, int]:
        (month, table), _ = missing
        return month, self.tables.index(table)

    def _missing(self, wanted: set[datetime]) -> dict[tuple[datetime, str], bool]:
        """What of the months is not there, by month and table, and whether a letting go of it was begun and not ended."""
        places = {name: (month, table) for month in wanted for table, name in self.tables_of(month).items()}
        with connection.cursor() as cursor:
            cursor.execute(_THERE, [list(self.tables), list(places)])
            there = {places[name]: pending for name, pending in cursor.fetchall()}
        return {place: there.get(place, False) for place in places.values() if there.get(place, True)}

    def _detach(self, month: datetime) -> list[str]:
        names = self.tables_of(month)
        with connection.cursor() as cursor:
            cursor.execute(_THERE, [list(self.tables), list(names.values())])
            there = {name for name, _ in cursor.fetchall()}
            going = [(table, name) for table, name in reversed(names.items()) if name in there]
            for table, name in going:
                cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY")
        return [name for _, name in going]

    def _gone_at(self, month: datetime, now: datetime) -> datetime:
        """When the month was first seen out of reach: noted on its first table."""
        name = self.tables_of(month)[self.tables[0]]
        with connection.cursor() as cursor:
            cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", [name])
            if noted := cursor.fetchone()[0]:
                return datetime.fromisoformat(noted)
            cursor.execute(f"COMMENT ON TABLE {name} IS %s", [now.isoformat()])
            return now

    def _drop(self, month: datetime) -> list[str]:
        """Drop the month, unless it was brought back since it was looked at."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [self.locks[0]])
            if month not in self.months(attached=False):
                return []
            names = list(self.tables_of(month).values())
            cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)}")
        return names

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else lets go; waits for locks only so long: what could not be locked waits for the next time."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [self.locks[1]])
            alone = cursor.fetchone()[0]
            cursor.execute(f"SET lock_timeout = '{PATIENCE}'")
            try:
                yield alone
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                log.warning("months.held_up reason=%s", error)
            finally:
                cursor.execute("RESET lock_timeout")
                if alone:
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [self.locks[1]])


_THERE = """
SELECT c.relname, i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = ANY(%s::regclass[]) AND c.relname = ANY(%s)
"""
_PENDING = """
SELECT p.relname, c.relname FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE i.inhparent = ANY(%s::regclass[]) AND i.inhdetachpending
"""
# a month is readable as long as any table of it is; one half let go is neither
_MONTHS = """
SELECT right(c.relname, 7) AS month, bool_or(i.inhparent IS NOT NULL)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %s::regclass)
  AND c.relname ~ %s
GROUP BY month HAVING NOT coalesce(bool_or(i.inhdetachpending), false) ORDER BY month
"""
