"""From a signed post to rows: the only writer of FeedPost, Observation, Latest, FeedMark and GridRun.

Woken by a POST; leaves the rows behind in one transaction a post and nudges the watch and the live snapshot. The raw
bytes are kept with the answer, also those that could not be read, so that a repeat gets the same answer. Posts of one
kind take turns (an advisory lock), so revisions and Latest never race and a plain INSERT is enough; the unique
constraints guard it. Decoding and judging are dry (hydrology/science). Late data is stored and is history.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import orjson
from django.db import connection, transaction

from foundation.clock import iso
from foundation.errors import Refusal
from foundation.nudge import nudge
from hydrology.batch import Fresh, sort_out
from hydrology.feeds.clock import water_clock
from hydrology.models import Feed, FeedPost, GridRun
from hydrology.science.formats import sniff
from hydrology.science.grids import BadGrid, Grid, pack, quantise
from hydrology.science.rainfall import SLOT
from hydrology.science.readings import (
    AHEAD_ALLOWED,
    Element,
    MalformedBody,
    Reading,
    Rejection,
    parse_readings,
)

log = logging.getLogger(__name__)
Answer = dict[str, Any]
Store = Callable[[int], Answer]
_LOCKS = {"readings": 0x48594452, "grid": 0x48594447}


def take_readings(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store a batch: `{accepted, duplicate, rejected: [{index, code, zh, en}]}`.

    Raises Refusal 400 `malformed` when no row could be looked at; the bytes are kept all the same.
    """
    return _take(feed, "readings", body, now, _read_readings)


def take_grid(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store one observed field or one nowcast run; answers and raises like `take_readings`."""
    return _take(feed, "grid", body, now, _read_grid)


def forget_raw(*, now: datetime, keep_days: int) -> int:
    """Empty the raw bytes of posts older than `keep_days`; digests and answers stay. Returns how many."""
    old = FeedPost.objects.filter(received_at__lt=now - timedelta(days=keep_days)).exclude(body=b"")
    return old.update(body=b"")


def _take(
    feed: Feed, kind: str, body: bytes, now: datetime, read: Callable[[Feed, bytes, datetime], Store]
) -> Answer:
    """Decode before the transaction; then post, rows and answer in one."""
    try:
        store = read(feed, body, now)
    except Refusal as refusal:
        store = partial(_store_refusal, feed, now, refusal)
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_POST, [feed.pk, kind, digest, body, now])
        row = cursor.fetchone()
        if row is None:  # a repeat; its twin has committed by now
            first = FeedPost.objects.select_for_update().get(feed=feed, kind=kind, digest=digest)
            answer, post_id = first.answer, first.pk
        else:
            answer, post_id = None, row[0]
        if answer is None or "refused" in answer:  # what was refused may be right by now: a clock, a decoder
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCKS[kind]])
            answer = store(post_id)
            FeedPost.objects.filter(pk=post_id).update(answer=answer)
    if "refused" in answer:
        raise Refusal(**answer["refused"])
    return answer


def _store_refusal(feed: Feed, now: datetime, refusal: Refusal, post_id: int) -> Answer:
    _mark(feed, now, None, 1)
    log.warning("ingest.refused feed=%s post=%s code=%s", feed.pk, post_id, refusal.code)
    return {
        "refused": {
            "code": refusal.code,
            "zh": refusal.zh,
            "en": refusal.en,
            "status": refusal.status,
            "fields": refusal.fields,
        }
    }


def _malformed(field: str, zh: str, en: str) -> Refusal:
    return Refusal(
        "malformed",
        zh=f"无法读取：{field} {zh}。原文已留存，请更正后重发。",
        en=f"Cannot be read: {field} {en}. The bytes have been kept; mend them and send again.",
        fields={field: en},
    )


def _answer(accepted: int, duplicate: int, refused: Iterable[Rejection] = ()) -> Answer:
    rejected = [{"index": r.index, "code": r.code, "zh": r.message_zh, "en": r.message_en} for r in refused]
    return {"accepted": accepted, "duplicate": duplicate, "rejected": rejected}


def _mark(feed: Feed, now: datetime, observed_at: datetime | None, rejected: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FEED_MARK, [feed.pk, now, observed_at, rejected])


# Readings: rows in JSON


def _read_readings(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        rows, refused = parse_readings(orjson.loads(body), now=now)
    except orjson.JSONDecodeError as error:
        raise _malformed("body", f"不是 UTF-8 JSON（{error}）", f"is not UTF-8 JSON ({error})") from error
    except MalformedBody as error:
        raise _malformed(error.field, error.reason_zh, error.reason) from error
    return partial(_store_readings, feed, now, rows, refused)


def _store_readings(
    feed: Feed, now: datetime, rows: list[tuple[int, Reading]], refused: list[Rejection], post_id: int
) -> Answer:
    batch = sort_out(rows)
    refused = sorted((*refused, *batch.refused), key=lambda rejection: rejection.index)
    if batch.fresh:
        _insert(batch.fresh, now, post_id)
    if batch.newest:
        _raise_latest(batch.newest.values())
    _mark(feed, now, max((fresh.reading.observed_at for fresh in batch.fresh), default=None), len(refused))
    oldest = water_clock(now) - timedelta(seconds=feed.max_age_s)
    if any(f.reading.element is Element.RAIN and f.reading.observed_at >= oldest for f in batch.fresh):
        nudge("watch.assess")
    if any(element is Element.STAGE for _, element in batch.newest):
        nudge("live.refresh")
    log.info(
        "ingest.readings feed=%s post=%s accepted=%s duplicate=%s rejected=%s",
        feed.pk, post_id, len(batch.fresh), batch.duplicate, len(refused),
    )  # fmt: skip
    return _answer(len(batch.fresh), batch.duplicate, refused)


def _insert(fresh: Sequence[Fresh], now: datetime, post_id: int) -> None:
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


def _raise_latest(newest: Iterable[tuple[Fresh, float | None]]) -> None:
    rows = [
        (fresh.reading.station, fresh.reading.element.value, fresh.reading.observed_at, fresh.reading.value,
         int(fresh.row.quality), rate)
        for fresh, rate in newest
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [list(column) for column in zip(*rows, strict=True)])


# Grids: one field or one run a body


def _read_grid(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        grid = sniff.decode(body)
    except BadGrid as error:
        raise _malformed(
            error.field, f"有误（{error.reason}）", f"{error.reason}; {error.what_to_do}"
        ) from error
    if grid.issued_at > now + AHEAD_ALLOWED:
        raise _malformed(
            "time",
            f"{iso(grid.issued_at)} 晚于当前时间 5 分钟以上，请校准时钟",
            f"{iso(grid.issued_at)} is more than 5 minutes ahead: set the clock",
        )
    observed = grid.product == "observed"
    if grid.valid_at[0] != grid.issued_at + (timedelta(0) if observed else SLOT) or (
        observed and len(grid.valid_at) > 1
    ):
        raise _malformed(
            "time",
            "须为一个 5 分钟实况时次，或起报时间后 5 分钟起的临近预报",
            "must be one observed 5-minute step, or a nowcast whose first step ends 5 minutes after its issue",
        )
    return partial(_store_grid, feed, now, grid)


def _store_grid(feed: Feed, now: datetime, grid: Grid, post_id: int) -> Answer:
    """The same content again is a duplicate; other content for the same instant is the next revision."""
    content = f"{grid.geometry} {len(grid.valid_at)} ".encode() + quantise(grid.rain_mm).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    runs = GridRun.objects.filter(product=grid.product, issued_at=grid.issued_at).order_by("-revision")
    newest = runs.values("revision", "digest").first()
    repeated = newest is not None and newest["digest"] == digest
    if not repeated:
        GridRun.objects.create(
            product=grid.product,
            issued_at=grid.issued_at,
            revision=newest["revision"] + 1 if newest else 0,
            steps=len(grid.valid_at),
            geometry=grid.geometry,
            field=pack(grid.rain_mm),
            digest=digest,
            missing_share=round(float(np.isnan(grid.rain_mm).mean()), 6),
            received_at=now,
            post_id=post_id,
        )
        nudge("watch.assess")
    _mark(feed, now, grid.issued_at, 0)
    log.info(
        "ingest.grid feed=%s post=%s product=%s issued_at=%s repeated=%s dropped=%s",
        feed.pk, post_id, grid.product, grid.issued_at, repeated, grid.dropped,
    )  # fmt: skip
    return _answer(int(not repeated), int(repeated))


_POST = """
INSERT INTO hydrology_feedpost (feed_id, kind, digest, body, received_at, answer)
VALUES (%s, %s, %s, %s, %s, '{}') ON CONFLICT (feed_id, kind, digest) DO NOTHING RETURNING id
"""
_OBSERVATIONS = """
INSERT INTO hydrology_observation
    (received_at, post_id, station_id, element, observed_at, revision, value, duration_s, quality, why)
SELECT %s, %s, * FROM unnest(
    %s::text[], %s::text[], %s::timestamptz[], %s::int[], %s::float8[], %s::int[], %s::int[], %s::text[])
"""
_LATEST = """
INSERT INTO hydrology_latest (station_id, element, observed_at, value, quality, rate_m_per_h)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::int[], %s::float8[])
ON CONFLICT (station_id, element) DO UPDATE SET observed_at = EXCLUDED.observed_at, value = EXCLUDED.value,
    quality = EXCLUDED.quality, rate_m_per_h = EXCLUDED.rate_m_per_h
WHERE hydrology_latest.observed_at <= EXCLUDED.observed_at
"""
_FEED_MARK = """
INSERT INTO hydrology_feedmark AS mark (feed_id, received_at, observed_at, rejected) VALUES (%s, %s, %s, %s)
ON CONFLICT (feed_id) DO UPDATE SET received_at = greatest(mark.received_at, EXCLUDED.received_at),
    observed_at = greatest(mark.observed_at, EXCLUDED.observed_at), rejected = mark.rejected + EXCLUDED.rejected
"""
