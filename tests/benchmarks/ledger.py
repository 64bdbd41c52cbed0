"""Five years of deliveries and receipts in their months: what a claim, an inbox and a sweep cost, and what a line weighs.

`python -m tests.benchmarks.ledger [MONTHS]` ends with one JSON line. The demo city, and a month at a time LINES lines with a
receipt for each, made by SQL as they would have come. Timed with the present month alone, then with MONTHS (61), once
more with no query bounding its ids, and at last with BUSY lines more in the present month, as late in a rainy one. On a
PostgreSQL of its own as in `make run`, without fsync; about 4 minutes.
  reads_ms       by read: with one month, with all, with all unbounded, in the busy month; the median of N, in ms
  bytes          of a delivery and of a receipt: with indexes, and the row alone
  month_ms       to turn to the next month in a dispatch, to make one ahead, to let the oldest go
"""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from unittest.mock import patch

from django.db import connection, transaction

from alerts.models import Bulletin
from console.board import recent_dispatches
from escalation import audit, climb
from foundation.months import month_of, months_from, next_month
from foundation.scope import Scope
from monitoring import readings
from notifications import delivery, dispatch, frames, months, receipts
from notifications.frames import Since
from notifications.models import Delivery, Dispatch, ReceiptState
from notifications.reach import people_of, reach_of
from officers.models import Duty, Officer
from tests.benchmarks.stack import median, result, say
from tests.benchmarks.storage import DAY, UNTIL, servers, timed_ms

MONTHS, OFFICERS, LINES, EACH, TIMES = 61, 3000, 50_000, 1000, 30
BUSY = 2_000_000
CITY = ["4403/"]
SECOND = timedelta(seconds=1)
FILL = """
WITH people AS (
    SELECT p.officer_id, min(p.region_id) AS region_id, row_number() OVER (ORDER BY p.officer_id) - 1 AS n
    FROM officers_post p GROUP BY p.officer_id ORDER BY p.officer_id LIMIT %(each)s
), told AS (
    INSERT INTO notifications_dispatch
        (bulletin_id, errand, drill, lead_zh, lead_en, created_at, expires_at, recipients)
    SELECT %(bulletin)s, 'deputy', false, '', '', at, at + interval '2 hours', %(each)s
    FROM generate_series(%(since)s::timestamptz, %(since)s::timestamptz + interval '10 days',
                         interval '10 days' * %(each)s / %(lines)s) at
    LIMIT %(lines)s / %(each)s
    RETURNING id, created_at AS at
), lines AS (
    INSERT INTO notifications_delivery
        (id, dispatch_id, officer_id, region_id, quiet, lane, transport, state, attempts, due_at, accepted_devices,
         reason, sent_at, delivered_at, opened_at, confirmed_at)
    SELECT %(base)s + row_number() OVER (ORDER BY told.id, people.n), told.id, officer_id, region_id, false, 1, 'fcm',
           'confirmed', 1, at, '{1}', '', at, at, at, at
    FROM told CROSS JOIN people
    RETURNING id, due_at
)
INSERT INTO notifications_receipt (delivery_id, state, at, received_at, source, note)
SELECT id, 'confirmed', due_at, due_at, 'http', '' FROM lines
"""
SIZE = """
SELECT sum(pg_total_relation_size(inhrelid)), sum(pg_relation_size(inhrelid))
FROM pg_inherits WHERE inhparent = %s::regclass
"""


def words() -> dict[str, str]:
    return {name: name for name in ("title_zh", "title_en", "push_zh", "push_en", "body_zh", "body_en")}


def bulletin(**fields: object) -> Bulletin:
    given = {
        "areas": ["4403"], "duties": [duty.value for duty in Duty], "urgency": 4, "requires": "confirm", "kind": "order",
        "level": "III", "caused_at": UNTIL, "issued_at": UNTIL, "valid_until": UNTIL + timedelta(hours=2),
    }  # fmt: skip
    return Bulletin.objects.create(**words(), **given | fields)


def fill(count: int, told: Bulletin) -> None:
    """The `count` months up to the present one."""
    month = month_of(UNTIL - count * 30 * DAY)
    while month <= month_of(UNTIL):
        with transaction.atomic(), connection.cursor() as cursor:
            if months.LEDGER.make_room([month]) or month == month_of(UNTIL):
                asked = lines_of(told, month, LINES)
                if not Delivery.objects.filter(
                    id__gte=months.base(month), id__lt=months.base(next_month(month))
                ).exists():
                    cursor.execute(FILL, asked)
        month = next_month(month)
    with connection.cursor() as cursor:
        cursor.execute(
            "VACUUM (ANALYZE) notifications_delivery, notifications_receipt, notifications_dispatch"
        )


def lines_of(told: Bulletin, month: datetime, lines: int, after: int = 0) -> dict[str, object]:
    base = months.base(month) + after
    return {"bulletin": told.pk, "base": base, "since": month, "each": EACH, "lines": lines}


def reads() -> dict[str, Callable[[], object]]:
    """A grave order to everybody is under way and nobody has answered."""
    told = bulletin()
    dispatch.take_up(now=UNTIL)
    climb.sweep(now=UNTIL + 61 * SECOND)
    people = list(
        Officer.objects.filter(deliveries__dispatch__bulletin=told).values_list("pk", flat=True)[:250]
    )
    newest = frames.ledger().newest
    lines = iter(
        Delivery.objects.filter(dispatch__bulletin=told, root=None)
        .order_by("id")
        .values_list("id", "officer_id")
    )
    clock: Iterator[int] = iter(range(100, 10**6, 40))  # a lease is over each time

    def answer() -> object:
        line, officer = next(lines)
        said = receipts.Answer(line, ReceiptState.OPENED, UNTIL)
        return receipts.take(officer, [said], source="http", now=UNTIL + 62 * SECOND)

    return {
        "claim": lambda: delivery.claim(UNTIL + next(clock) * SECOND),
        "claim_of_nothing": lambda: delivery.claim(UNTIL - SECOND),
        "inbox": lambda: list(Delivery.objects.inbox(people[0], newest - 10_000)[:50]),
        "inbox_from_the_first": lambda: list(Delivery.objects.inbox(people[0], 0)[:50]),
        "hello_of_250": lambda: frames.missed(
            [Since(one, newest - 10_000) for one in people], frames.ledger().newest, UNTIL, most=50
        ),
        "newest_seq": frames.ledger,
        "receipt": answer,
        "sweep_of_climbs": lambda: climb.sweep(now=UNTIL + 62 * SECOND),
        "audit": lambda: audit.look(now=UNTIL + 62 * SECOND),
        "reach": lambda: reach_of(told.pk, CITY),
        "people": lambda: people_of(told.pk, CITY),
        "board": lambda: recent_dispatches(Scope(paths=tuple(CITY)), 20),
        "metrics": lambda: readings.lately(UNTIL),
    }


def timed(name: str) -> dict[str, float]:
    found = {}
    for read, do in reads().items():
        took = [timed_ms(do) for _ in range(TIMES + 1)][1:]
        found[read] = median(took, 1) or 0.0
    say(f"{name:12} {found}")
    Delivery.objects.filter(id__gte=months.base(UNTIL)).update(state="confirmed", confirmed_at=UNTIL)
    climb.sweep(now=UNTIL + DAY)
    Dispatch.objects.filter(expires_at__gt=UNTIL).update(expires_at=UNTIL - 2 * DAY)
    return found


def main(count: int) -> None:
    began_s = time.perf_counter()
    with (
        patch.object(months, "first", lambda: 0),  # the demo's clock may be behind the installation's
        servers(OFFICERS),
    ):
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval('notifications_delivery_id_seq', 1, false)")
        long_ago = bulletin(valid_until=UNTIL - DAY, issued_at=UNTIL - 2 * DAY)
        months.turn(UNTIL)
        fill(0, long_ago)
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval('notifications_delivery_id_seq', %s)", [months.base(UNTIL) + 10**8])
        one = timed("one month")
        filled_s = time.perf_counter()
        fill(count - 1, long_ago)
        say(f"{count} months in {time.perf_counter() - filled_s:.0f} s")
        bounded = timed("all")
        with (
            patch.object(months, "open_since", lambda now: 0),
            patch.object(months, "since", lambda at: 0),
            patch.object(months, "since_of", lambda **which: 0),
        ):
            unbounded = timed("unbounded")
        with connection.cursor() as cursor:
            cursor.execute(FILL, lines_of(long_ago, month_of(UNTIL), BUSY, after=10**7))
            cursor.execute("VACUUM (ANALYZE) notifications_delivery, notifications_dispatch")
        busy = timed("busy")
        weighs = {}
        for table in months.LEDGER.tables:
            with connection.cursor() as cursor:
                cursor.execute(SIZE, [table])
                whole, heap = map(int, cursor.fetchone())
                cursor.execute(f"SELECT count(*) FROM {table}")
                rows = cursor.fetchone()[0]
            weighs[table.removeprefix("notifications_")] = {
                "whole": round(whole / rows), "row": round(heap / rows), "rows": rows
            }  # fmt: skip
        ahead = next_month(month_of(UNTIL))

        def turn() -> None:
            with transaction.atomic():
                months.turn(ahead)

        of_months = {
            "turn": round(timed_ms(turn), 1),
            "turned": round(timed_ms(turn), 1),
            "make": round(timed_ms(lambda: months.LEDGER.make_room(months_from(next_month(ahead), 1))), 1),
            "let_go": round(
                timed_ms(lambda: months.tidy(now=UNTIL, keep_days=(count - 2) * 30, archive_days=90)), 1
            ),
        }
    result(
        {
            "months": count,
            "reads_ms": {
                name: {
                    "one": one[name],
                    "all": bounded[name],
                    "unbounded": unbounded[name],
                    "busy": busy[name],
                    "n": TIMES,
                }
                for name in one
            },
            "bytes": weighs,
            "month_ms": of_months,
            "wall_s": round(time.perf_counter() - began_s, 1),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MONTHS)
