"""What stored warnings rest on, and what therefore is not thrown away. Reads; the tidy job asks.

An event's reasons name its grid runs; its gauges are the observations of its instant and the day before.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection

REACH = timedelta(days=1)  # no rule looks further back


def runs_named() -> set[int]:
    """The grid runs named by any warning's event."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMED)
        return {run for (run,) in cursor.fetchall()}


def months_named() -> set[datetime]:
    """The first instants of the (UTC) months whose observations a warning rests on."""
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, [REACH])
        return {month.replace(tzinfo=UTC) for (month,) in cursor.fetchall()}


# lax paths: reasons without grids, or of another shape, name nothing
_NAMED = """
SELECT DISTINCT run::bigint FROM alerts_warningevent, LATERAL (
    SELECT jsonb_path_query(reasons, '$.grids[*] ? (@.type() == "number")')
    UNION ALL SELECT jsonb_path_query(reasons, '$.nowcast.id ? (@.type() == "number")')
) AS named(run)
"""
_MONTHS = """
SELECT DISTINCT date_trunc('month', instant AT TIME ZONE 'UTC')
FROM alerts_warningevent, LATERAL (VALUES (at), (at - %s)) AS spoken(instant)
"""
