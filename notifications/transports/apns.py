"""Apple Push Notification service, spoken to directly: HTTP/2, one request a device, a signed token as proof.

Owns what a bulletin looks like on an iPhone and Apple's error words. A life-safety bulletin asks for the critical level
(rings through mute and Focus), which Apple grants an app by an entitlement; without it `critical=False` sends
time-sensitive, which a capability of the app allows. Source: Apple, "Sending notification requests to APNs",
"Establishing a token-based connection to APNs", "Handling notification responses from APNs".
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .base import Capabilities, Message, Outcome, OutcomeKind, Push
from .carrier import Bearer, BulkTransport, Letter

ENDPOINT = "https://api.push.apple.com"  # api.sandbox.push.apple.com for builds from Xcode
RATE_PER_S = 5000.0  # Apple states no number; a burst to everybody is spread over some seconds
LIFE_S, EARLY_S, LEAST_S = (
    3600.0,
    900.0,
    1200.0,
)  # Apple: no older than an hour, no newer than every 20 minutes
QUOTA_RETRY_S = 30.0

# Apple's words about this device or this message. What is not listed (our key, our topic, Apple's servers) may be
# mended: TEMPORARY. A token of another app or environment is no dead one: a wrong setting would retire every iPhone.
_KINDS = {
    "Unregistered": OutcomeKind.DEAD_TOKEN,
    "ExpiredToken": OutcomeKind.DEAD_TOKEN,
    "BadDeviceToken": OutcomeKind.DEAD_TOKEN,
    "MissingDeviceToken": OutcomeKind.DEAD_TOKEN,
    "DeviceTokenNotForTopic": OutcomeKind.PERMANENT,
    "BadCollapseId": OutcomeKind.PERMANENT,
    "BadExpirationDate": OutcomeKind.PERMANENT,
    "BadMessageId": OutcomeKind.PERMANENT,
    "BadPriority": OutcomeKind.PERMANENT,
    "DuplicateHeaders": OutcomeKind.PERMANENT,
    "InvalidPushType": OutcomeKind.PERMANENT,
    "PayloadEmpty": OutcomeKind.PERMANENT,
    "PayloadTooLarge": OutcomeKind.PERMANENT,
}
_ID = "d5d0c1ef6c4b45b0a4a7b7f5d2a3e9c1"  # a place-holder nobody writes into a bulletin


def payload(message: Message, message_id: str, *, critical: bool) -> dict[str, Any]:
    """The notification as an iPhone reads it; `critical`: the app has Apple's entitlement."""
    rings = message.critical and critical
    file = "drill.caf" if message.drill else "default"
    aps: dict[str, Any] = {
        "alert": {"title": message.headline, "body": message.body},
        "interruption-level": "passive"
        if message.quiet
        else "critical"
        if rings and not message.drill
        else "time-sensitive",
    }
    if not message.quiet:
        loud = {"critical": 1, "name": file, "volume": 1.0}
        aps["sound"] = loud if aps["interruption-level"] == "critical" else file
    if message.thread:
        aps["thread-id"] = message.thread
    return {**message.fields, "id": message_id, "aps": aps}


def verdict(key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
    """What Apple's answer means for one push; any bytes are one."""
    if status == 200:
        return Outcome(key, OutcomeKind.SENT)
    try:
        reason = str(orjson.loads(body)["reason"])
        if not reason.isidentifier():
            raise ValueError("not one of Apple's words")
    except (ValueError, KeyError, TypeError):  # a proxy's page, or cut short
        return Outcome(key, OutcomeKind.TEMPORARY, f"UNREADABLE {status}", retry_after_s=retry_after_s)
    kind = _KINDS.get(reason, OutcomeKind.TEMPORARY)
    if kind is not OutcomeKind.TEMPORARY:
        return Outcome(key, kind, reason[:64])
    ours = reason == "TooManyRequests"  # to this very device
    if ours and retry_after_s is None:
        retry_after_s = QUOTA_RETRY_S
    return Outcome(key, kind, reason[:64], retry_after_s=retry_after_s, ours=ours)


def provider_token(key_file: str, key_id: str, team_id: str) -> Bearer:
    """The signed proof of who we are, made anew every 45 minutes. Raises OSError, ValueError or TypeError on a bad file."""
    key = load_pem_private_key(Path(key_file).read_bytes(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError(
            f"{key_file} holds no key of an elliptic curve: take the .p8 file that Apple gave out"
        )

    def ask() -> tuple[str, float]:
        claims = {"iss": team_id, "iat": int(time.time())}
        token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": key_id})
        return f"authorization: bearer {token}", LIFE_S

    return Bearer(ask, early_s=EARLY_S, least_s=LEAST_S)


class ApnsTransport(BulkTransport):
    """Pushes through Apple."""

    name = "apns"
    capabilities = Capabilities(receipts=False, ttl_max_s=30 * 24 * 3600)
    stale = frozenset({"ExpiredProviderToken"})

    def __init__(
        self,
        bearer: Bearer,
        *,
        topic: str,
        critical: bool = True,
        endpoint: str = ENDPOINT,
        rate_per_s: float = RATE_PER_S,
        concurrency: int = 500,
        **carried: Any,
    ) -> None:
        """`topic`: the app's bundle id; `critical`: it has Apple's entitlement for critical alerts."""
        self._critical = critical
        self.headers = (f"apns-topic: {topic}", "apns-push-type: alert")
        super().__init__(
            endpoint.rstrip("/"),
            bearer,
            rate_per_s=rate_per_s,
            concurrency=concurrency,
            **carried,
        )

    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        text = orjson.dumps(payload(message, _ID, critical=self._critical)).replace(b"%", b"%%")
        text = text.replace(b'"%b"' % _ID.encode(), b"%b")
        ends_s = int(message.expires_at.timestamp())
        common = (f"apns-expiration: {ends_s}", f"apns-priority: {5 if message.quiet else 10}")

        def letter(push: Push) -> Letter:
            if not push.token.isalnum() or not push.token.isascii():
                raise ValueError("no device token of Apple's")  # it becomes a part of the address
            place = push.tag or push.message_id
            if not (place.isascii() and place.isprintable()):
                raise ValueError("a header's value is plain ASCII")
            path, collapse = f"/3/device/{push.token}", f"apns-collapse-id: {place}"
            return Letter(text % orjson.dumps(push.message_id), path, (*common, collapse))

        return letter

    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        return verdict(key, status, body, retry_after_s)
