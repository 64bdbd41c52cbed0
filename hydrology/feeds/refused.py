"""What came in and was not taken: doubtful telegrams and refused posts, as an engineer looks at them. Reads only.

Never the body of a post: it may be 32 MB. The bytes of a telegram are its evidence and are shown, cut where noise is
long.
"""

from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection

from foundation.clock import iso
from hydrology.models import Telegram

NEWEST = 100
LOOK_BACK = timedelta(days=7)  # refused posts older than this are history
RAW_BYTES = 512
FIRST_REJECTIONS = 5

# (feed, received) are few against the answers' bytes: the rejections of 10,000 rows are megabytes
_POSTS = f"""
SELECT id, feed_id, kind, received_at, octet_length(body), answer -> 'refused',
       (answer ->> 'accepted')::int, (answer ->> 'duplicate')::int,
       CASE WHEN answer ? 'rejected' THEN jsonb_array_length(answer -> 'rejected') ELSE 0 END,
       jsonb_path_query_array(answer, 'lax $.rejected[0 to {FIRST_REJECTIONS - 1}]')
FROM hydrology_feedpost
WHERE received_at > %(since)s AND received_at <= %(now)s AND (%(feed)s::text IS NULL OR feed_id = %(feed)s)
  AND (NOT %(refused)s OR answer ? 'refused' OR jsonb_array_length(coalesce(answer -> 'rejected', '[]')) > 0)
ORDER BY received_at DESC, id DESC LIMIT {NEWEST}
"""


def telegrams(*, feed: str | None, doubtful: bool) -> list[dict[str, Any]]:
    """The newest telegrams, of one feed or all."""
    rows = Telegram.objects.doubtful() if doubtful else Telegram.objects.order_by("-id")
    return [telegram(row) for row in (rows if feed is None else rows.filter(feed=feed))[:NEWEST]]


def telegram(row: Telegram) -> dict[str, Any]:
    """One telegram: `function` as two hex digits, `raw` the first bytes in hex, `raw_bytes` how many there are."""
    raw = bytes(row.raw)
    return {
        "id": row.pk,
        "feed": row.feed_id,
        "received_at": iso(row.received_at),
        "peer": row.peer,
        "rtu": row.rtu,
        "function": None if row.function is None else f"{row.function:02X}",
        "verdict": row.verdict,
        "reason": row.reason,
        "raw": raw[:RAW_BYTES].hex().upper(),
        "raw_bytes": len(raw),
    }


def posts(*, feed: str | None, refused: bool, now: datetime, language: str) -> list[dict[str, Any]]:
    """The newest posts of the last days; `refused`: only those of which something was not taken."""
    asked = {"feed": feed, "refused": refused, "since": now - LOOK_BACK, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_POSTS, asked)
        rows = cursor.fetchall()
    return [_post(*row, language) for row in rows]


def _post(
    post_id: int,
    feed: str,
    kind: str,
    received_at: datetime,
    size: int,
    refused: str | None,
    accepted: int | None,
    duplicate: int | None,
    rejected: int,
    first: str,
    language: str,
) -> dict[str, Any]:
    whole = _json(refused)
    return {
        "id": post_id,
        "feed": feed,
        "kind": kind,
        "received_at": iso(received_at),
        "size_bytes": size,
        "accepted": accepted or 0,
        "duplicate": duplicate or 0,
        "rejected": rejected,
        "refused": whole and {"code": whole["code"], "message": whole[language], "fields": whole["fields"]},
        "first": [
            {"index": row["index"], "code": row["code"], "message": row[language]} for row in _json(first)
        ],
    }


def _json(column: Any) -> Any:
    """A jsonb column of a raw query comes as text."""
    return orjson.loads(column) if isinstance(column, str | bytes) else column
