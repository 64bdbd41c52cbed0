"""Who posted this? The signature of a feed's request, checked and made.

Owns the three headers, the 5-minute window and the comparison. Does not store posts: that a repeat inside the window
does no harm is the work of ingest.py. Source: the outside contract, "Feeds in".
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from foundation.clock import iso
from foundation.errors import Refusal
from foundation.seals import unseal
from hydrology.models import Feed

KEY_HEADER = "X-Feed-Key"
TIME_HEADER = "X-Feed-Time"
SIGNATURE_HEADER = "X-Feed-Signature"
WINDOW = timedelta(minutes=5)
_NOBODY = "no such feed"  # keeps the work the same for an unknown key


def sign(secret: str, time: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the time header exactly as sent, a newline, and the raw body."""
    return hmac.new(secret.encode(), time.encode() + b"\n" + body, "sha256").hexdigest()


def signed_headers(feed_key: str, secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers a sender puts on a post at the aware instant `at`."""
    time = at.isoformat(timespec="seconds")
    return {KEY_HEADER: feed_key, TIME_HEADER: time, SIGNATURE_HEADER: sign(secret, time, body)}


def verify(headers: Mapping[str, str], body: bytes, now: datetime) -> Feed:
    """The feed that signed this body. Raises Refusal 401 `bad_signature` or `clock_skew`.

    An unknown key, a disabled feed and a wrong signature answer alike. The time is looked at only once the
    signature holds, so the server's clock is told to feeds alone.
    """
    time = headers.get(TIME_HEADER, "")
    feed = Feed.objects.filter(pk=headers.get(KEY_HEADER, "")[:64], enabled=True).first()
    secret = unseal(feed.sealed_secret) if feed else _NOBODY
    given = headers.get(SIGNATURE_HEADER, "").strip().lower()
    genuine = hmac.compare_digest(sign(secret, time, body).encode(), given.encode())
    if feed is None or not genuine:
        raise Refusal(
            "bad_signature",
            zh="数据源未登记或签名不符。请核对 X-Feed-Key 与密钥，对“X-Feed-Time + 换行 + 请求体原文”做 HMAC-SHA256。",
            en="Unknown feed or wrong signature. Check X-Feed-Key and its secret; sign X-Feed-Time, a newline and "
            "the raw body with HMAC-SHA256.",
            status=401,
        )
    sent_at = instant(time)
    if sent_at is None or abs(now - sent_at) > WINDOW:
        raise Refusal(
            "clock_skew",
            zh="X-Feed-Time 须为带时区的 ISO 8601 或 Unix 秒，且与服务器时间相差不超过 5 分钟。"
            f"服务器时间 {iso(now)}，请校时后重发。",
            en="X-Feed-Time must be ISO 8601 with its zone, or unix seconds, within 5 minutes of the server's clock. "
            f"The server's time is {iso(now)}: set your clock and send again.",
            status=401,
            fields={TIME_HEADER: time[:40], "server_time": str(iso(now))},
        )
    return feed


def instant(text: str) -> datetime | None:
    """An aware instant from ISO 8601 with a zone or from unix seconds; None when it is neither."""
    try:
        if text.replace(".", "", 1).isdecimal():
            return datetime.fromtimestamp(float(text), UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else None
