"""From a post of readings to rows: the only writer of Observation and Latest.

Leaves the rows behind and nudges the watch and the live snapshot. Parsing and judging are dry (hydrology/science),
the comparison with what is stored is batch.py. Late data is stored and is history.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import orjson
from django.db import connection

from foundation.nudge import nudge
from hydrology.batch import Fresh, Newest, sort_out
from hydrology.feeds.clock import water_clock
from hydrology.ingest.posts import Answer, Store, answered, malformed, mark, take
from hydrology.models import Feed
from hydrology.science.readings import Element, MalformedBody, Reading, Rejection, parse_readings
from hydrology.storage import make_room

log = logging.getLogger(__name__)


def take_readings(feed: Feed, body: bytes, now: datetime, *, signed_at: str = "") -> Answer:
    """Store a batch of up to 10,000 readings (JSON); answers and raises like `posts.take`."""
    return take(feed, "readings", body, now, _read, signed_at=signed_at)


def _read(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        rows, refused = parse_readings(_decoded(body), now=now)
    except MalformedBody as error:
        raise malformed(error.field, error.reason_zh, error.reason) from error
    return partial(_store, feed, now, rows, refused)


def _decoded(body: bytes) -> object:
    """What the JSON says. Half a character or a number beyond all numbers spoils its own row only."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            zh, en = f"不是 UTF-8 JSON（{error}）", f"is not UTF-8 JSON ({error})"
            raise malformed("body", zh, en) from error


def _store(
    feed: Feed, now: datetime, rows: list[tuple[int, Reading]], refused: list[Rejection], post_id: int
) -> Answer:
    batch = sort_out(rows, feed)
    refused = sorted((*refused, *batch.refused), key=lambda rejection: rejection.index)
    if batch.fresh:
        _insert(batch.fresh, now, post_id)
    if batch.newest:
        _raise_latest(feed, batch.newest.values())
    newest_at = max((fresh.reading.observed_at for fresh in batch.fresh), default=None)
    mark(feed, now, newest_at, len(batch.fresh), len(refused))
    oldest = water_clock(now) - timedelta(seconds=feed.max_age_s)
    if any(f.reading.element is Element.RAIN and f.reading.observed_at >= oldest for f in batch.fresh):
        nudge("watch.assess")
    if any(element is Element.STAGE for _, element in batch.newest):
        nudge("live.refresh")
        nudge("watch.levels")
    log.info(
        "ingest.readings feed=%s post=%s accepted=%s duplicate=%s rejected=%s",
        feed.pk, post_id, len(batch.fresh), batch.duplicate, len(refused),
    )  # fmt: skip
    return answered(len(batch.fresh), batch.duplicate, refused)


def _insert(fresh: Sequence[Fresh], now: datetime, post_id: int) -> None:
    make_room(row.reading.observed_at for row in fresh)
    rows = [
        (
            r.station,
            r.element.value,
            r.observed_at,
            row.revision,
            r.value,
            r.duration_s,
            int(row.quality),
            why[:120],
        )
        for r, row, why in fresh
    ]
    with connection.cursor() as cursor:
        cursor.execute(_OBSERVATIONS, [now, post_id, *(list(column) for column in zip(*rows, strict=True))])


def _raise_latest(feed: Feed, newest: Iterable[Newest]) -> None:
    rows = [
        (fresh.reading.station, fresh.reading.element.value, fresh.reading.observed_at, fresh.reading.value,
         int(fresh.row.quality), rate, since)
        for fresh, rate, since in newest
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [feed.pk, *(list(column) for column in zip(*rows, strict=True))])


_OBSERVATIONS = """
INSERT INTO hydrology_observation
    (received_at, post_id, station_id, element, observed_at, revision, value, duration_s, quality, why)
SELECT %s, %s, * FROM unnest(
    %s::text[], %s::text[], %s::timestamptz[], %s::int[], %s::float8[], %s::int[], %s::int[], %s::text[])
"""
_LATEST = """
INSERT INTO hydrology_latest (station_id, element, observed_at, value, quality, rate_m_per_h, unchanged_since,
    feed_id)
SELECT reading.*, %s FROM unnest(
    %s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::int[], %s::float8[], %s::timestamptz[]) AS reading
ON CONFLICT (station_id, element) DO UPDATE SET observed_at = EXCLUDED.observed_at, value = EXCLUDED.value,
    quality = EXCLUDED.quality, rate_m_per_h = EXCLUDED.rate_m_per_h,
    unchanged_since = EXCLUDED.unchanged_since, feed_id = EXCLUDED.feed_id
WHERE hydrology_latest.observed_at <= EXCLUDED.observed_at
"""
