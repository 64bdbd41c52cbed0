"""One signed post: its bytes kept, its answer kept, its rows and its mark in one transaction.

The only writer of FeedPost and FeedMark. The raw bytes are kept with the answer, also those that could not be read,
so that a repeat gets the same answer. Posts of one kind take turns (an advisory lock), so revisions and Latest never
race and a plain INSERT is enough; the unique constraints guard it.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from foundation.errors import Refusal
from foundation.texts import printable
from hydrology.feeds.signing import require_kind
from hydrology.models import Feed, FeedPost
from hydrology.science.readings import Rejection

log = logging.getLogger(__name__)
Answer = dict[str, Any]
Store = Callable[[int], Answer]
LOCKS = {"readings": 0x48594452, "grid": 0x48594447, "radar": 0x48594450, "signal": 0x48594453}


def take(
    feed: Feed,
    kind: str,
    body: bytes,
    now: datetime,
    read: Callable[[Feed, bytes, datetime], Store],
    *,
    signed_at: str = "",
) -> Answer:
    """Decode before the transaction; then post, rows and answer in one.

    The same body again is a repeat; where `signed_at` is said, the feed's own time as it signed it, only with the same
    one. Signed anew it is a post: a value may go back to what it was before a correction.

    Answers `{accepted, duplicate, rejected: [{index, code, zh, en}]}`. Raises Refusal 400 `malformed` when nothing
    could be looked at; the bytes are kept all the same. A drill's feed, and what a feed is not registered for, is refused
    here, however it came: 403, nothing kept.
    """
    require_kind(feed, drill=False)
    if feed.kinds and kind not in feed.kinds:
        raise Refusal(
            "not_of_this_feed",
            zh=f"数据源 {feed.pk} 只登记为报送 {'、'.join(feed.kinds)}，不收 {kind}。请联系系统值班核对登记。",
            en=f"Feed {feed.pk} is registered for {', '.join(feed.kinds)}, not for {kind}. Ask the duty engineer.",
            status=403,
        )
    try:
        store = read(feed, body, now)
    except Refusal as refusal:
        store = partial(_store_refusal, feed, now, refusal)
    signed = f"{signed_at}\n".encode() if signed_at else b""
    digest = hashlib.sha256(signed + body).hexdigest()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_POST, [feed.pk, kind, digest, body, now])
        row = cursor.fetchone()
        if row is None:  # a repeat; its twin has committed by now
            first = FeedPost.objects.select_for_update().get(feed=feed, kind=kind, digest=digest)
            answer, post_id = first.answer, first.pk
        else:
            answer, post_id = None, row[0]
        if answer is None or "refused" in answer:  # what was refused may be right by now: a clock, a decoder
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCKS[kind]])
            answer = store(post_id)
            FeedPost.objects.filter(pk=post_id).update(answer=answer)
    if "refused" in answer:
        raise Refusal(**answer["refused"])
    return answer


def _store_refusal(feed: Feed, now: datetime, refusal: Refusal, post_id: int) -> Answer:
    mark(feed, now, None, 0, 1)
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


def malformed(field: str, zh: str, en: str) -> Refusal:
    field, zh, en = map(printable, (field, zh, en))  # they may quote the body
    return Refusal(
        "malformed",
        zh=f"无法读取：{field} {zh}。原文已留存，请更正后重发。",
        en=f"Cannot be read: {field} {en}. The bytes have been kept; mend them and send again.",
        fields={field: en},
    )


def answered(accepted: int, duplicate: int, refused: Iterable[Rejection] = ()) -> Answer:
    rejected = [{"index": r.index, "code": r.code, "zh": r.message_zh, "en": r.message_en} for r in refused]
    return {"accepted": accepted, "duplicate": duplicate, "rejected": rejected}


def mark(feed: Feed, now: datetime, observed_at: datetime | None, accepted: int, rejected: int) -> None:
    """Take note that the feed spoke; `observed_at`: the newest instant of what was accepted, if anything was."""
    lag_s = None if observed_at is None else (now - observed_at).total_seconds()
    good_at = now if accepted else None
    with connection.cursor() as cursor:
        cursor.execute(_FEED_MARK, [feed.pk, now, observed_at, accepted, rejected, good_at, lag_s])


_POST = """
INSERT INTO hydrology_feedpost (feed_id, kind, digest, body, received_at, answer)
VALUES (%s, %s, %s, %s, %s, '{}') ON CONFLICT (feed_id, kind, digest) DO NOTHING RETURNING id
"""
_FEED_MARK = """
INSERT INTO hydrology_feedmark AS mark (feed_id, received_at, observed_at, accepted, rejected, good_at, lag_s)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (feed_id) DO UPDATE SET received_at = greatest(mark.received_at, EXCLUDED.received_at),
    observed_at = greatest(mark.observed_at, EXCLUDED.observed_at),
    accepted = mark.accepted + EXCLUDED.accepted, rejected = mark.rejected + EXCLUDED.rejected,
    good_at = greatest(mark.good_at, EXCLUDED.good_at), lag_s = coalesce(EXCLUDED.lag_s, mark.lag_s)
"""
