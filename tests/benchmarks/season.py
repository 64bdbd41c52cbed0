"""The after-action report of a whole season: what it costs to count it and to put it on paper.

`python -m tests.benchmarks.season` ends with one JSON line. The bureau's season: 150 warnings to 3,300 people each and 129
orders to 1,550, spread over six months; 95 % accepted, 90 % delivered, 75 % opened, 70 % confirmed, each with its
receipt. Rows are made by SQL as they would have come, in a PostgreSQL of its own as in `make run`, without fsync.
  count_s     reports.report over the season, cold and again; html_s, pdf_s: `manage.py report` to a file, counting
              included; each must stay under 60
  lines, receipts, bytes of the two files; counters as the report states them
"""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from alerts.models import OrderEvent, OrderStatus, ResponseLevel, ResponseOrder, Warning, WarningEvent
from console import reports
from hydrology.models import Level, Region
from notifications import months
from notifications.models import Delivery, Dispatch, Receipt
from officers.models import Duty, Officer
from tests.benchmarks.ledger import bulletin
from tests.benchmarks.stack import result, say
from tests.benchmarks.storage import servers

FROM, DAYS = datetime(2026, 4, 1, tzinfo=UTC), 183
WARNINGS, TO_EACH, ORDERS, TO_ORDERED = 150, 3300, 129, 1550
LINES = """
INSERT INTO notifications_delivery
    (dispatch_id, officer_id, region_id, quiet, lane, transport, state, attempts, due_at, accepted_devices, reason,
     sent_at, delivered_at, opened_at, confirmed_at)
SELECT %(dispatch)s, officer_id, region_id, false, 1, 'fcm',
       CASE WHEN n %% 20 = 0 THEN 'failed_perm' WHEN n %% 20 = 1 THEN 'sent' WHEN n %% 20 < 5 THEN 'delivered'
            WHEN n %% 20 = 5 THEN 'opened' ELSE 'confirmed' END,
       1, %(at)s, '{}', CASE WHEN n %% 20 = 0 THEN 'no_live_device' ELSE '' END,
       CASE WHEN n %% 20 > 0 THEN %(at)s::timestamptz + n * interval '1 ms' END,
       CASE WHEN n %% 20 > 1 THEN %(at)s::timestamptz + n * interval '2 ms' END,
       CASE WHEN n %% 20 > 4 THEN %(at)s::timestamptz + n * interval '90 ms' END,
       CASE WHEN n %% 20 > 5 THEN %(at)s::timestamptz + n * interval '120 ms' END
FROM (SELECT officer_id, min(region_id) AS region_id, row_number() OVER (ORDER BY officer_id) AS n
      FROM officers_post WHERE duty = 'flood' GROUP BY officer_id ORDER BY officer_id
      LIMIT %(people)s OFFSET %(skip)s) people
"""
RECEIPTS = """
INSERT INTO notifications_receipt (delivery_id, state, at, received_at, source, note)
SELECT d.id, said.state, said.at, said.at, 'http', '' FROM notifications_delivery d
CROSS JOIN LATERAL (VALUES ('delivered', d.delivered_at), ('opened', d.opened_at), ('confirmed', d.confirmed_at))
    AS said(state, at)
WHERE said.at IS NOT NULL
"""


def warning(at: datetime, district: Region) -> dict[str, object]:
    """A warning of this district with its one step; the fields of its bulletin."""
    made = Warning.objects.create(
        hazard="rainstorm", region=district, level=3, peak_level=3, raised_at=at, ended_at=at + timedelta(hours=3)
    )  # fmt: skip
    WarningEvent.objects.create(
        warning=made, at=at, created_at=at, action="raise", level=3, areas=[district.code], reasons={}
    )
    return {"kind": "warning", "level": "alert", "urgency": 3, "warning": made, "areas": [district.code]}


def order(at: datetime, district: Region) -> dict[str, object]:
    """An order of this district by two people; the fields of its bulletin."""
    drafter, approver = Officer.objects.order_by("pk")[:2]
    made = ResponseOrder.objects.create(
        level=ResponseLevel.III, authority=district, areas=[district.code], duties=["flood"], title_zh="防汛Ⅲ级应急响应",
        title_en="Flood response III", text_zh="上岗到位", valid_until=at + timedelta(hours=6), status=OrderStatus.ENDED,
        drafted_by=drafter, approved_by=approver, created_at=at, released_at=at,
    )  # fmt: skip
    OrderEvent.objects.create(order=made, at=at, actor=approver, before="approved", after="issued")
    return {"kind": "order", "level": "III", "urgency": 2, "order": made, "areas": [district.code]}


def fill() -> None:
    districts = list(Region.objects.filter(level=Level.DISTRICT).order_by("code"))
    flood = Officer.objects.filter(posts__duty=Duty.FLOOD).distinct().count()
    told = [(n / WARNINGS, warning, TO_EACH) for n in range(WARNINGS)]
    told += [(n / ORDERS, order, TO_ORDERED) for n in range(ORDERS)]
    told.sort(key=lambda one: one[0])
    with connection.cursor() as cursor:
        for n, (share, make, people) in enumerate(told):
            at = FROM + timedelta(days=DAYS * share, hours=1)
            fields = make(at, districts[n % len(districts)])
            said = bulletin(caused_at=at, issued_at=at, valid_until=at + timedelta(hours=3), **fields)
            dispatch = Dispatch.objects.create(
                bulletin=said, errand="first", drill=False, created_at=at, expires_at=said.valid_until, recipients=people
            )  # fmt: skip
            months.turn(at)
            cursor.execute(
                LINES,
                {"dispatch": dispatch.pk, "at": at, "people": people, "skip": n * 997 % (flood - people)},
            )
        cursor.execute(RECEIPTS)
        cursor.execute("VACUUM (ANALYZE)")


def main() -> None:
    until = FROM + timedelta(days=DAYS + 1)
    city = ("4403/",)
    with servers(45_000), tempfile.TemporaryDirectory() as folder:
        fill()
        lines, receipts = Delivery.objects.count(), Receipt.objects.count()
        say(f"{lines:,} lines, {receipts:,} receipts")
        took: list[float] = []
        sizes = []
        found = {}
        for name in ("", "", "season.html", "season.pdf"):
            began_s = time.perf_counter()
            if name:
                out = Path(folder) / name
                call_command("report", since=FROM.isoformat(), until=until.isoformat(), out=out, verbosity=0)
                sizes.append(out.stat().st_size)
            else:
                found = reports.report(FROM, until, city, until)
            took.append(round(time.perf_counter() - began_s, 2))
            say(f"{name or 'counted'}: {took[-1]} s")
    result(
        {
            "count_s": took[:2],
            "html_s": took[2],
            "pdf_s": took[3],
            "lines": lines,
            "receipts": receipts,
            "bytes": sizes,
            "counters": found["counters"],
        }
    )


if __name__ == "__main__":
    main()
