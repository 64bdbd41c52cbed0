"""Who posted this? The signature of a feed's request, checked and made.

Owns the three headers and what a stranger is told; the signature itself stands in foundation/signatures.py. Does not
store posts: that a repeat inside the window does no harm is the work of ingest.py. Source: the outside contract,
"Feeds in".
"""

from collections.abc import Mapping
from datetime import datetime

from foundation.clock import iso
from foundation.errors import Refusal
from foundation.seals import unseal
from foundation.signatures import WINDOW, genuine, instant, sign
from hydrology.models import Feed

KEY_HEADER = "X-Feed-Key"
TIME_HEADER = "X-Feed-Time"
SIGNATURE_HEADER = "X-Feed-Signature"
_NOBODY = "no such feed"  # keeps the work the same for an unknown key


def signed_headers(feed_key: str, secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers a sender puts on a post at the aware instant `at`."""
    time = at.isoformat(timespec="seconds")
    return {KEY_HEADER: feed_key, TIME_HEADER: time, SIGNATURE_HEADER: sign(secret, time, body)}


def verify(headers: Mapping[str, str], body: bytes, now: datetime, *, drill: bool = False) -> Feed:
    """The feed that signed this body. Raises Refusal 401 `bad_signature` or `clock_skew`, 403 as `require_kind` does.

    An unknown key, a disabled feed and a wrong signature answer alike. The time is looked at only once the
    signature holds, so the server's clock is told to feeds alone.
    """
    time = headers.get(TIME_HEADER, "")
    feed = Feed.objects.filter(pk=headers.get(KEY_HEADER, "")[:64], enabled=True).first()
    secret = unseal(feed.sealed_secret) if feed else _NOBODY
    signed = genuine(secret, time, body, headers.get(SIGNATURE_HEADER, ""))
    if feed is None or not signed:
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
    require_kind(feed, drill=drill)
    return feed


def require_kind(feed: Feed, *, drill: bool) -> None:
    """Raises Refusal 403: a drill's feed speaks to drills only, and no other feed to a drill."""
    if feed.drill and not drill:
        raise Refusal(
            "drill_feed",
            zh=f"数据源 {feed.pk} 仅用于演练，不能写入实况。请改报 ingest/drills/演练编号。",
            en=f"Feed {feed.pk} is for drills only and reaches no live table. Post to ingest/drills/ID.",
            status=403,
            fields={KEY_HEADER: feed.pk},
        )
    if drill and not feed.drill:
        raise Refusal(
            "live_feed",
            zh=f"数据源 {feed.pk} 是实况数据源，不能写入演练。请用演练专用数据源。",
            en=f"Feed {feed.pk} is a live feed and does not speak to drills. Use a feed made for drills.",
            status=403,
            fields={KEY_HEADER: feed.pk},
        )
