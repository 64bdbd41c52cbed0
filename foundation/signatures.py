"""A shared secret on a body: the signature of a feed or of a gateway, made and compared.

Owns HMAC-SHA256 (RFC 2104) over the time as sent, a newline and the raw body, and how such a time is read. Does not
know who signs, nor which headers carry it.
"""

import hmac
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(minutes=5)  # how far the signed time may lie from the clock


def sign(secret: str, time: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the time header exactly as sent, a newline, and the raw body."""
    return hmac.new(secret.encode(), time.encode() + b"\n" + body, "sha256").hexdigest()


def genuine(secret: str, time: str, body: bytes, given: str) -> bool:
    """Whether `given` is that signature, in constant time; never raises."""
    wanted = sign(secret, time.encode(errors="replace").decode(), body)
    return hmac.compare_digest(wanted.encode(), given.strip().lower().encode(errors="replace"))


def instant(text: str) -> datetime | None:
    """An aware instant from ISO 8601 with a zone or from unix seconds; None when it is neither."""
    try:
        if text.replace(".", "", 1).isdecimal():
            return datetime.fromtimestamp(float(text), UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else None
