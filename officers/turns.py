"""One at a time: a named lock held until the present transaction ends.

For facts that have no row to lock yet (the first code of a number, a push token that nobody holds).
"""

from django.db import connection


def in_turn(name: str) -> None:
    """Wait for every other transaction that holds `name`; call inside `transaction.atomic`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
