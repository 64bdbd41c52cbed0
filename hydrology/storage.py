"""Room for observations: one partition a (UTC) month, made before the rows come, let go when they are old.

Owns which months of `hydrology_observation` exist. Does not write rows (ingest/readings.py) nor choose how long they
are kept (keeping.py). How months are made and moved: foundation/months.py.
"""

from collections.abc import Callable, Container, Sequence
from datetime import datetime

from django.db import connection

from foundation.months import ByMonth

PARENT = "hydrology_observation"
BATCH = 1000  # rows of a delete
OBSERVATIONS = ByMonth((PARENT,), lambda month: f"'{month.isoformat()}'", locks=(0x4859444D, 0x4859444E))
make_room, months = OBSERVATIONS.make_room, OBSERVATIONS.months


def table_of(month: datetime) -> str:
    return OBSERVATIONS.tables_of(month)[PARENT]


def let_go(
    *, now: datetime, keep_days: int, archive_days: int, rested_on: Callable[[], Container[datetime]]
) -> list[str]:
    """As ByMonth.let_go: old is what was observed and received more than `keep_days` ago, and the months `rested_on`,
    by which a stored warning can be computed again, are never dropped."""
    return OBSERVATIONS.let_go(
        now=now, keep_days=keep_days, archive_days=archive_days, young=_got_rows, stays=rested_on
    )


def _got_rows(month: datetime, since: datetime) -> bool:
    """Whether the month got a row since; the look at the rows stops at the first."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {table_of(month)} WHERE received_at > %s)", [since])
        return bool(cursor.fetchone()[0])


def delete_in_batches(sql: str, params: Sequence[object] = (), most: int = BATCH) -> int:
    """Run a DELETE or UPDATE that ends in `LIMIT %s` of its subquery until it finds less; returns how many rows."""
    total = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [*params, most])
            total += cursor.rowcount
            if cursor.rowcount < most:
                return total
