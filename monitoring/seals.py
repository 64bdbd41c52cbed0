"""Seals: what was said, answered and done is closed minute by minute by digests, each of which holds the one before.

Owns Seal. The logs are append only: who changes, removes or slips in a row below the newest seal, or a seal, shows in
`broken`, and in an export wherever it lies (SHA-256 alone, no database). Who rewrites every seal from there on would need
the digests that have left the house: the report and `manage.py seals` name the newest. Rows are sealed whole, with the
columns of that day, SETTLED after they came. Receipts by the month of their line, so that a month that is let go leaves
its seals behind and breaks none. Nothing of the canaries is sealed: it goes.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction

from alerts.models import Bulletin, OrderEvent, WarningEvent
from foundation.clock import iso
from monitoring.models import Seal
from notifications import months
from notifications.models import Receipt
from officers.models import AuditEntry

log = logging.getLogger(__name__)

SEAL_LOCK = 0x5E9_000B  # any constant, used nowhere else
SETTLED = timedelta(minutes=2)  # whatever was being written then is committed or gone
AT_ONCE = 5_000  # rows a seal

_NO_CANARY = """NOT EXISTS (
    SELECT 1 FROM notifications_delivery d JOIN notifications_dispatch s ON s.id = d.dispatch_id
    JOIN alerts_bulletin b ON b.id = s.bulletin_id WHERE d.id = r.delivery_id AND b.kind = 'canary')"""


@dataclass(frozen=True, slots=True)
class Log:
    """An append-only table: when a row came, which rows count, and by what it is let go (0: never)."""

    model: type[models.Model]
    came: str
    counts: str = "true"
    month: str = "0"

    @property
    def table(self) -> str:
        return self.model._meta.db_table


LOGS = {
    "audit": Log(AuditEntry, "at"),
    "bulletin": Log(Bulletin, "issued_at", "kind <> 'canary'"),
    "order": Log(OrderEvent, "at"),
    "warning": Log(WarningEvent, "created_at"),
    "receipt": Log(Receipt, "received_at", _NO_CANARY, f"delivery_id / {months.A_MONTH}"),
}

_NEWEST = "SELECT id FROM {table} WHERE id > %(after)s AND {came} <= %(until)s ORDER BY id DESC LIMIT 1"
_LAST = "SELECT max(id) FROM (SELECT id FROM {table} WHERE id > %(after)s AND id <= %(newest)s ORDER BY id LIMIT %(most)s) r"
_MONTHS = (
    "SELECT DISTINCT {month} FROM {table} r WHERE id > %(after)s AND id <= %(last)s AND {counts} ORDER BY 1"
)
_TEXTS = """
SELECT id, jsonb_build_array({columns})::text AS text FROM {table} r
WHERE id >= %(first)s AND id <= %(last)s AND {month} = %(month)s AND {counts} ORDER BY id
"""
_DIGEST = f"""
SELECT count(*), encode(sha256(convert_to(%(before)s || coalesce(string_agg(E'\\n' || text, '' ORDER BY id), ''), 'UTF8')), 'hex')
FROM ({_TEXTS}) r
"""


def seal(*, now: datetime) -> int:
    """Seal what has settled since the last time; returns how many seals. One process at a time, others do nothing."""
    made = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        before = _head(Seal.objects.all())
        for name, which in LOGS.items():
            after = Seal.objects.filter(log=name).aggregate(last=models.Max("last"))["last"] or 0
            newest = _one(_NEWEST, which, after=after, until=now - SETTLED)
            while newest is not None and after < newest:
                last = _one(_LAST, which, after=after, newest=newest, most=AT_ONCE)
                for month in _all(_MONTHS, which, after=after, last=last):
                    fresh = Seal(
                        log=name, month=month, first=after + 1, last=last, made_at=now, before=before
                    )
                    fresh.columns = [field.column for field in which.model._meta.local_concrete_fields]
                    fresh.rows, fresh.digest = _digest(fresh)
                    fresh.save(force_insert=True)
                    before, made = fresh.digest, made + 1
                after = last
    return made


def broken(seals: models.QuerySet[Seal]) -> Iterator[tuple[Seal, str]]:
    """Those that do not hold, with why: `chain`, `rows WERE, ARE`, `content`. Months that were let go are passed over."""
    there = {month.year * 100 + month.month for month in months.LEDGER.months()}
    oldest = months.first() // months.A_MONTH
    before: str | None = None
    for one in seals.order_by("id").iterator():
        if before is None:
            before = _head(Seal.objects.filter(id__lt=one.pk))
        if one.before != before:
            yield one, "chain"
        before = one.digest
        rows, digest = _digest(one) if one.month < oldest or one.month in there else (0, "")
        if one.log == "receipt" and not rows and one.month not in there:
            continue
        if rows != one.rows:
            yield one, f"rows {one.rows}, {rows}"
        elif digest != one.digest:
            yield one, "content"


def exported(seals: models.QuerySet[Seal]) -> Iterator[dict[str, Any]]:
    """Each seal with the text of its rows, for somebody who has neither this database nor this program."""
    for one in seals.order_by("id").iterator():
        with connection.cursor() as cursor:
            cursor.execute(_sql(_TEXTS, LOGS[one.log], one.columns), _range(one))
            texts = [text for _, text in cursor]
        yield {
            "id": one.pk, "log": one.log, "made_at": iso(one.made_at), "columns": one.columns, "before": one.before,
            "digest": one.digest, "rows": texts,
        }  # fmt: skip


def checked(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Of an export the seals that do not hold: SHA-256 of `before` and each row behind a line break is `digest`."""
    before = None
    for line in lines:
        if before is not None and line["before"] != before:
            yield line["id"], "chain"
        before = line["digest"]
        text = line["before"] + "".join(f"\n{row}" for row in line["rows"])
        if hashlib.sha256(text.encode()).hexdigest() != line["digest"]:
            yield line["id"], "content"


def watch(*, now: datetime) -> None:
    """Look at what was sealed within a day. Raises RuntimeError with the seals that do not hold; the log has them all."""
    faults = [
        f"{one.pk} {why}" for one, why in broken(Seal.objects.filter(made_at__gt=now - timedelta(days=1)))
    ]
    if faults:
        log.error("seal.broken seals=%s", faults)
        raise RuntimeError(f"seals that do not hold: {', '.join(faults[:20])}")


def _head(seals: models.QuerySet[Seal]) -> str:
    """The digest of the newest of these; "" where the chain begins."""
    return seals.order_by("-id").values_list("digest", flat=True).first() or ""


def _digest(one: Seal) -> tuple[int, str]:
    with connection.cursor() as cursor:
        cursor.execute(_sql(_DIGEST, LOGS[one.log], one.columns), {**_range(one), "before": one.before})
        rows, digest = cursor.fetchone()
    return rows, digest


def _range(one: Seal) -> dict[str, object]:
    return {"first": one.first, "last": one.last, "month": one.month}


def _sql(text: str, which: Log, columns: Iterable[str] = ()) -> str:
    quoted = ", ".join(f"r.{connection.ops.quote_name(column)}" for column in columns)
    return text.format(
        table=which.table, came=which.came, counts=which.counts, month=which.month, columns=quoted
    )


def _all(text: str, which: Log, **asked: object) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_sql(text, which), asked)
        return [value for (value,) in cursor]


def _one(text: str, which: Log, **asked: object) -> int | None:
    return next(iter(_all(text, which, **asked)), None)
