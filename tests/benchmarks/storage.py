"""Five years of observations at a tenth, in their months: what reads cost then, and what a row weighs.

`python -m tests.benchmarks.storage [YEARS]` ends with one JSON line. Every tenth gauge and level of the demo city has
said something every 5 minutes for five years, one in a hundred values was corrected an hour later; the last 25 hours
are those of all objects, so reads of the whole city are as broad as ever. Rows are made by SQL in the order in which
they would have come, through the partitioned table with its indexes, into a PostgreSQL of its own (shared_buffers
128 MB as in `make run`, no fsync). Reads are the product's own functions without its caches, at instants spread
over the years. Takes about 5 GB of disk and 4 minutes on two idle cores; gone afterwards.
  reads_ms         by read: median and worst of N after a first one that is not counted, in ms
  slowest_ms       the largest of the medians of what a phone waits for (latest, series, as-of); must stay under 50.
                   `rain_by_street` is computed once a change and kept, `course_of_a_batch` is a part of taking readings
  bytes_per_row    with indexes; heap_bytes_per_row without; total_gb of the table
  month_ms         to make the next month, to let the oldest one go (detach), to drop it
  fill_rows_per_s  on the way in; wall_s all in all
"""

import gc
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from backend.embedded import THROW_AWAY_SETTINGS, Postgres, Valkey
from foundation.months import month_of, months_from, next_month
from foundation.wire import wire
from hydrology import asof, history, ingest, live, rain
from hydrology.course import courses_of
from hydrology.models import LEVEL_KINDS, Feed, Level, Station, StationKind
from hydrology.models.places import StationQuerySet
from hydrology.science.readings import Element, Reading
from hydrology.storage import let_go, make_room, months
from replay import city
from tests.benchmarks.stack import median, result, say

YEARS, TENTH, TIMES, SEED = 5, 10, 60, 20260615
UNTIL = datetime(2026, 6, 15, 12, tzinfo=UTC)
SLOT, BROAD = timedelta(minutes=5), timedelta(hours=25)
DAY = timedelta(days=1)
NOT_READ = ("rain_by_street", "course_of_a_batch")

FILL = """
INSERT INTO hydrology_observation
    (station_id, element, observed_at, revision, value, duration_s, quality, why, received_at, post_id)
SELECT s.code, CASE WHEN s.kind = 'PP' THEN 'rain_mm' ELSE 'stage_m' END, at, revision,
       CASE WHEN s.kind <> 'PP' THEN round((20 + sin(extract(epoch FROM at) / 86400.0))::numeric, 2)
            WHEN random() < 0.1 THEN round((random() * 3)::numeric, 1) ELSE 0 END,
       CASE WHEN s.kind = 'PP' THEN 300 ELSE 0 END, 0, '',
       at + interval '40 seconds' + revision * interval '1 hour', extract(epoch FROM at) / 300
FROM generate_series(%(since)s::timestamptz, %(until)s::timestamptz, interval '5 minutes') at
CROSS JOIN LATERAL (
    SELECT code, kind, revision FROM hydrology_station, generate_series(0, 1) revision
    WHERE code = ANY(%(codes)s) AND (revision = 0 OR random() < 0.01) AND at IS NOT NULL
    ORDER BY code, revision
) s
"""
LATEST = """
INSERT INTO hydrology_latest (station_id, element, observed_at, value, quality)
SELECT DISTINCT ON (station_id, element) station_id, element, observed_at, value, 0 FROM hydrology_observation
WHERE observed_at > %s ORDER BY station_id, element, observed_at DESC, revision DESC
"""
SIZE = """
SELECT sum(pg_relation_size(inhrelid)), sum(pg_indexes_size(inhrelid)), sum(pg_total_relation_size(inhrelid))
FROM pg_inherits WHERE inhparent = 'hydrology_observation'::regclass
"""


@contextmanager
def servers(officers: int = 300, **given: str) -> Iterator[None]:
    """PostgreSQL (with these settings) and Valkey of their own with the demo city; gone afterwards."""
    run_dir = Path(settings.RUN_DIR)
    run_dir.mkdir(mode=0o711)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    as_in_make_run = {"shared_buffers": "128MB"}
    started = [
        Postgres(run_dir / "pg", **THROW_AWAY_SETTINGS | as_in_make_run | given),
        Valkey(run_dir / "valkey"),
    ]
    try:
        for server in started:
            server.start()
        call_command("migrate", verbosity=0)
        with transaction.atomic():
            city.build(UNTIL, say=lambda line: None, officers=officers)
        Feed.objects.update(replayed=False)
        yield
    finally:
        connection.close()
        for server in reversed(started):
            server.stop()
        shutil.rmtree(run_dir, ignore_errors=True)


def reporting() -> StationQuerySet:
    """Gauges and levels; a hazard point says nothing by itself."""
    return Station.objects.exclude(kind=StationKind.HAZARD).order_by("code")


def fill(years: int) -> tuple[int, float]:
    """A tenth since `years` before UNTIL, everybody over the last 25 hours; (rows, seconds)."""
    everybody = list(reporting().values_list("code", flat=True))
    some = everybody[::TENTH]
    broad_from = UNTIL - BROAD
    began_s, rows = time.perf_counter(), 0
    month = month_of(UNTIL - years * 365 * DAY)
    while month < UNTIL:
        make_room([month])
        last = min(next_month(month) - SLOT, UNTIL)
        with connection.cursor() as cursor:
            cursor.execute(FILL, {"since": month, "until": min(last, broad_from), "codes": some})
            rows += cursor.rowcount
            if last > broad_from:
                cursor.execute(FILL, {"since": broad_from + SLOT, "until": last, "codes": everybody})
                rows += cursor.rowcount
        if month.month in (1, 7):
            say(f"{month:%Y-%m}  {rows:,} rows  {time.perf_counter() - began_s:.0f} s")
        month = next_month(month)
    took_s = time.perf_counter() - began_s
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [UNTIL - BROAD])
        cursor.execute("VACUUM (ANALYZE) hydrology_observation")  # as autovacuum does, month by month
    return rows, took_s


def reads(years: int) -> dict[str, Callable[[], object]]:
    """Each call asks for another station or another instant."""
    pick = random.Random(SEED)
    gauges = list(
        Station.objects.filter(kind=StationKind.RAIN).order_by("code").values_list("code", flat=True)
    )
    levels = list(
        Station.objects.filter(kind__in=LEVEL_KINDS).order_by("code").values_list("code", flat=True)
    )
    codes = sorted((*gauges, *levels))
    long_known = codes[::TENTH]
    rains = set(gauges)

    def instant() -> datetime:
        return UNTIL - SLOT * pick.randrange(2 * 288, years * 365 * 288)

    def series(as_of: bool) -> object:
        code, at = pick.choice(long_known), instant()
        element = Element.RAIN if code in rains else Element.STAGE
        known = history.known_at(at, UNTIL) if as_of else history.EVERYTHING
        found, _ = history.series(code, element, at - DAY, at, history.STEPS["5min"], known)
        assert len(found) > 280, (code, at, len(found))
        return found

    def rain_of_all_streets() -> object:
        rain.HELD.clear()
        wire().flushdb()
        return rain.shelf(Level.STREET, UNTIL + timedelta(minutes=1))

    batch = [
        Reading(code, Element.RAIN, UNTIL + SLOT, 1.0, 300) if code in rains
        else Reading(code, Element.STAGE, UNTIL + SLOT, 20.0, 0)
        for code in codes
    ]  # fmt: skip
    return {
        "latest": lambda: live.level_rows(UNTIL),
        "series_24h": lambda: series(False),
        "series_24h_as_of": lambda: series(True),
        "levels_as_of": lambda: asof.level_rows(instant(), UNTIL),
        "levels_as_of_whole_city": lambda: asof.level_rows(
            UNTIL - SLOT * pick.randrange(1, 12), UNTIL + timedelta(minutes=1)
        ),
        "rain_by_street": rain_of_all_streets,
        "course_of_a_batch": lambda: courses_of(batch),
    }


def timed_ms(read: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    read()
    return (time.perf_counter() - began_s) * 1000


def post_ms(count: int) -> list[float]:
    """Whole posts of every object, stored after all the rest."""
    feed, took = Feed.objects.get(key="replay"), []
    stations = reporting().values_list("code", "kind")
    for n in range(1, count + 1):
        at = (UNTIL + n * SLOT).isoformat()
        rows = ",".join(
            f'{{"station":"{code}","element":"rain_mm","observed_at":"{at}","value":{n % 3},"duration_s":300}}'
            if kind == StationKind.RAIN
            else f'{{"station":"{code}","element":"stage_m","observed_at":"{at}","value":20.5}}'
            for code, kind in stations
        )
        body = f'{{"readings":[{rows}]}}'.encode()
        took.append(timed_ms(lambda body=body, n=n: ingest.take_readings(feed, body, UNTIL + (n + 1) * SLOT)))
    return took


def month_ms(years: int) -> dict[str, float]:
    """Making the next month; letting the oldest go; dropping it."""
    oldest = months()[0]
    now = next_month(oldest) + DAY * 2
    tidy = {"keep_days": 1, "archive_days": 1, "rested_on": tuple}
    return {
        "make": round(timed_ms(lambda: make_room(months_from(UNTIL, 2))), 1),
        "let_go": round(timed_ms(lambda: let_go(now=now, **tidy)), 1),
        "drop": round(timed_ms(lambda: let_go(now=now + DAY, **tidy)), 1),
    }


def main(years: int) -> None:
    began_s = time.perf_counter()
    with servers():
        rows, fill_s = fill(years)
        with connection.cursor() as cursor:
            cursor.execute(SIZE)
            heap, indexes, total = (int(size) for size in cursor.fetchone())
        say(f"{rows:,} rows in {fill_s:.0f} s, {total / 1e9:.2f} GB")
        gc.collect()
        gc.freeze()  # what built the city is no part of a server's heap
        took = {name: [timed_ms(read) for _ in range(TIMES + 1)][1:] for name, read in reads(years).items()}
        told = {
            name: {"median": median(ms, 1), "worst": round(max(ms), 1), "n": len(ms)}
            for name, ms in took.items()
        }
        for name, figures in told.items():
            say(f"{name:24} {figures}")
        posts = post_ms(12)
        of_months = month_ms(years)
    result(
        {
            "slowest_ms": max(
                figures["median"] or 0.0 for name, figures in told.items() if name not in NOT_READ
            ),
            "worst_ms": max(figures["worst"] or 0.0 for figures in told.values()),
            "reads_ms": told,
            "rows": rows,
            "years": years,
            "months": years * 12 + 1,
            "bytes_per_row": round((heap + indexes) / rows, 1),
            "heap_bytes_per_row": round(heap / rows, 1),
            "total_gb": round(total / 1e9, 2),
            "month_ms": of_months,
            "post_of_all_ms": median(posts, 1),
            "fill_rows_per_s": round(rows / fill_s),
            "wall_s": round(time.perf_counter() - began_s, 1),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else YEARS)
