"""What has become old is forgotten: raw bodies, grid runs, radar pictures, bytes nobody refers to, and posts.

Deletes only, in short statements of a thousand rows, whenever the hourly tidy job calls; killed anywhere it goes on the
next time. How long: keeping.py. Months of observations: storage.py. A replayed old storm counts from its receipt.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from django.db import connection, models, transaction

from hydrology.ingest.posts import LOCKS
from hydrology.models import Blob, FeedPost, GridRun
from hydrology.storage import BATCH, delete_in_batches, months


def forget_raw(*, now: datetime, keep_days: int) -> int:
    """Empty the raw bytes of posts older than `keep_days`; digests and answers stay. Returns how many."""
    return delete_in_batches(_RAW, [now - timedelta(days=keep_days)]) if keep_days else 0


def forget_runs(
    *, now: datetime, product: str, keep_days: int, named: Callable[[], Collection[int]] = tuple
) -> int:
    """Delete runs of a product issued and received more than `keep_days` ago, except those `named`."""
    before = now - timedelta(days=keep_days)
    old = GridRun.objects.filter(product=product, issued_at__lt=before, received_at__lt=before)
    if not keep_days or not old.exists():
        return 0
    return delete_in_batches(_RUNS, [product, before, before, list(named())])


def forget_pictures(*, now: datetime, keep_days: int) -> int:
    """Delete radar pictures observed and received more than `keep_days` ago."""
    before = now - timedelta(days=keep_days)
    return delete_in_batches(_PICTURES, [before, before]) if keep_days else 0


def forget_blobs() -> int:
    """Delete bytes nobody refers to. Looks first, then locks out the posts that might refer to them anew."""
    unused, total = _unused(Blob, "b.digest"), 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT digest FROM hydrology_blob b WHERE {unused} LIMIT %s", [BATCH])
            digests = [digest for (digest,) in cursor.fetchall()]
            if not digests:
                return total
            for kind in ("grid", "radar"):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCKS[kind]])
            cursor.execute(f"DELETE FROM hydrology_blob b WHERE digest = ANY(%s) AND {unused}", [digests])
            total += cursor.rowcount
        if len(digests) < BATCH:
            return total


def forget_posts() -> int:
    """Delete posts older than every month of observations there still is, readable or not, that nothing refers to.

    A post brings nothing observed after its receipt but for minutes, so none of its readings is left then.
    """
    oldest = min(months() + months(attached=False), default=None)
    if oldest is None:
        return 0
    unused = _unused(FeedPost, "p.id")
    return delete_in_batches(_POSTS.format(unused=unused), [oldest - timedelta(days=1)])


def _unused(model: type[models.Model], key: str) -> str:
    """The condition that no table refers to the row with this key in the database."""
    fields = [
        relation.field
        for relation in model._meta.get_fields(include_hidden=True)
        if isinstance(relation, models.ManyToOneRel) and relation.field.db_constraint
    ]
    return " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {field.model._meta.db_table} WHERE {field.column} = {key})"
        for field in fields
    )


_RAW = """
UPDATE hydrology_feedpost SET body = '' WHERE id IN (
    SELECT id FROM hydrology_feedpost WHERE received_at < %s AND body <> '' LIMIT %s)
"""
_RUNS = """
DELETE FROM hydrology_gridrun WHERE id IN (
    SELECT id FROM hydrology_gridrun
    WHERE product = %s AND issued_at < %s AND received_at < %s AND id <> ALL(%s::bigint[]) LIMIT %s)
"""
_PICTURES = """
DELETE FROM hydrology_radarframe WHERE id IN (
    SELECT id FROM hydrology_radarframe WHERE observed_at < %s AND received_at < %s LIMIT %s)
"""
_POSTS = """
DELETE FROM hydrology_feedpost WHERE id IN (
    SELECT id FROM hydrology_feedpost p WHERE received_at < %s AND {unused} LIMIT %s)
"""
