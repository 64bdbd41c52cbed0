"""Firebase Cloud Messaging: 45,000 pushes in seconds instead of minutes.

firebase-admin owns the service account, the encoding of a message and the error words; carrier.py carries the bytes.
`messaging.send_each` spends a thread and a connection per message; here a message is encoded once and the device's
token and id are spliced into the bytes. Source: FCM HTTP v1, `projects.messages:send` and its error codes.
"""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import certifi
import orjson
import requests
from firebase_admin import credentials, exceptions, messaging
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from .base import Capabilities, Message, Outcome, OutcomeKind, Push, left_s
from .carrier import Bearer, BulkTransport, Letter, NoBearer

ENDPOINT = "https://fcm.googleapis.com"
QUOTA_PER_S = 10_000.0  # FCM's default quota is 600,000 messages a minute
QUOTA_RETRY_S = 60.0  # FCM: a 429 without Retry-After means a minute
BEARER_TIMEOUT_S, BEARER_EARLY_S = 5.0, 225.0

# FCM's error words. What is not listed (our project, its keys, FCM's servers) may be mended: TEMPORARY.
# SENDER_ID_MISMATCH is not a dead token: one wrong credential file would otherwise retire every device.
_KINDS = {
    "UNREGISTERED": OutcomeKind.DEAD_TOKEN,
    "SENDER_ID_MISMATCH": OutcomeKind.PERMANENT,
    exceptions.INVALID_ARGUMENT: OutcomeKind.PERMANENT,
}
# place-holders nobody can have written into a bulletin
_TOKEN, _ID, _TAG = uuid.uuid4().hex, uuid.uuid4().hex, uuid.uuid4().hex


class Template:
    """One message as FCM's JSON, encoded once by firebase-admin, with the device's places left open."""

    def __init__(self, message: Message, now: datetime) -> None:
        """Raises ValueError or TypeError when firebase-admin or JSON cannot express the message."""
        encoded = orjson.loads(
            str(sdk_message(message, _TOKEN, _ID, now, _TAG))
        )  # str() is the SDK's public encoder
        text = orjson.dumps({"message": encoded}).replace(b"%", b"%%")
        for word, place in ((_TOKEN, b"%(token)b"), (_ID, b"%(id)b"), (_TAG, b"%(tag)b")):
            text = text.replace(b'"%b"' % word.encode(), place)
        self._text = text

    def body(self, push: Push) -> bytes:
        """The request body for one device; raises TypeError on a token that UTF-8 cannot carry."""
        return self.letter(push).body

    def letter(self, push: Push) -> Letter:
        return Letter(
            self._text
            % {
                b"token": orjson.dumps(push.token),
                b"id": orjson.dumps(push.message_id),
                b"tag": orjson.dumps(push.tag or push.message_id),
            }
        )


def sdk_message(
    message: Message, token: str, message_id: str, now: datetime, tag: str = ""
) -> messaging.Message:
    """The bulletin in firebase-admin's words; the vendors stop trying when it expires.

    `tag` (else the message_id) is its place on the screen. On Android that and what may be dropped for a newer one while
    the phone is away (collapse_key) are two things: a quiet one never takes the place of a ring that has not come yet.
    Apple has one id for both; there it is the chase that sees to it that he hears.
    """
    place = tag or message_id
    ttl_s = left_s(message, now, FcmTransport.capabilities.ttl_max_s)
    encodable = messaging.Message(
        notification=messaging.Notification(title=message.headline, body=message.body),
        data={**message.fields, "id": message_id},
        android=messaging.AndroidConfig(
            priority="normal" if message.quiet else "high",
            ttl=ttl_s,
            # the vendor keeps four keys a phone that is away: quiet ones share one, and push out no ring
            collapse_key=f"quiet/{message.thread}" if message.quiet else message_id,
            notification=messaging.AndroidNotification(
                tag=place,  # what follows replaces the first on the screen instead of standing beside it
                channel_id=message.channel,
                priority="low" if message.quiet else "max" if message.critical else "high",
                visibility="public",
            ),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-priority": "5" if message.quiet else "10",
                "apns-push-type": "alert",
                "apns-collapse-id": place,
                "apns-expiration": str(int(message.expires_at.timestamp())),
            },
            payload=messaging.APNSPayload(
                messaging.Aps(
                    sound=None if message.quiet else "drill.caf" if message.drill else "default",
                    custom_data={"interruption-level": "passive" if message.quiet else "time-sensitive"},
                )
            ),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": str(ttl_s), "Urgency": "normal" if message.quiet else "high"}
        ),
    )
    encodable.token = (
        token  # phones register tokens; the constructor's argument warns that installation ids exist
    )
    return encodable


def verdict(key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
    """What FCM's answer means for one push; any bytes are one. `retry_after_s` is the Retry-After header."""
    try:
        answer = orjson.loads(body)
        if status == 200:
            return Outcome(key, OutcomeKind.SENT, vendor_id=str(answer["name"]))
        error = answer["error"]
        details = [d for d in error.get("details", ()) if isinstance(d, dict)]
        code = str(next((d["errorCode"] for d in details if "errorCode" in d), error["status"]))
        if not code.isidentifier():
            raise ValueError("not one of FCM's words")
        fields = [str(v["field"]) for d in details for v in d.get("fieldViolations", ()) if "field" in v]
        about_token = "message.token" in fields or "registration token" in str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):  # not FCM's words: a proxy, or cut short
        return Outcome(key, OutcomeKind.TEMPORARY, f"UNREADABLE {status}", retry_after_s=retry_after_s)
    kind = _KINDS.get(code, OutcomeKind.TEMPORARY)
    if code == exceptions.INVALID_ARGUMENT and about_token:
        kind = OutcomeKind.DEAD_TOKEN
    if kind is not OutcomeKind.TEMPORARY:
        return Outcome(key, kind, f"{code} {fields[0]}"[:64] if fields else code[:64])
    if status == 429 and retry_after_s is None:
        retry_after_s = QUOTA_RETRY_S
    return Outcome(key, kind, code[:64], retry_after_s=retry_after_s, ours=status == 429)


def account(credentials_file: str, ca_file: str | None) -> tuple[str, Bearer]:
    """The project of a service account and its OAuth bearer; OSError or ValueError when the file is none of one."""
    certificate = credentials.Certificate(credentials_file)
    google: Any = certificate.get_credential()
    # `verify` goes with every call: REQUESTS_CA_BUNDLE in the environment would override the session's.
    request = partial(
        Request(requests.Session()), timeout=BEARER_TIMEOUT_S, verify=ca_file or certifi.where()
    )

    def ask() -> tuple[str, float]:
        try:
            google.refresh(request)
        except GoogleAuthError as refused:
            raise NoBearer(str(refused)) from refused
        life_s = google.expiry.replace(tzinfo=UTC).timestamp() - time.time()
        return f"authorization: Bearer {google.token}", life_s

    return certificate.project_id, Bearer(ask, early_s=BEARER_EARLY_S)


class FcmTransport(BulkTransport):
    """Pushes through FCM."""

    name = "fcm"
    capabilities = Capabilities(receipts=False, ttl_max_s=28 * 24 * 3600)
    headers = ("content-type: application/json", "x-goog-api-format-version: 2")
    stale = frozenset({exceptions.UNAUTHENTICATED})

    def __init__(
        self,
        credentials_file: str,
        *,
        endpoint: str = ENDPOINT,
        ca_file: str | None = None,
        rate_per_s: float = QUOTA_PER_S,
        concurrency: int = 1000,
        **carried: Any,
    ) -> None:
        """Raises OSError or ValueError when the credentials file is missing or is no service account's."""
        project, bearer = account(credentials_file, ca_file)
        super().__init__(
            f"{endpoint.rstrip('/')}/v1/projects/{project}/messages:send",
            bearer,
            ca_file=ca_file,
            rate_per_s=rate_per_s,
            concurrency=concurrency,
            **carried,
        )

    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        return Template(message, now).letter

    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        return verdict(key, status, body, retry_after_s)
