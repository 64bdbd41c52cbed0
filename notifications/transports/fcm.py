"""Firebase Cloud Messaging: 45,000 pushes in seconds instead of minutes.

firebase-admin owns the service account, the encoding of a message and the error words; this file only
carries the bytes. `messaging.send_each` spends a thread and a connection per message; here a message is
encoded once, the device's token and id are spliced into the bytes, and courier.py multiplexes them over a
few HTTP/2 connections. It tries once (twice after a stale bearer): delivery.py tries again, from the ledger.
Build it after a fork. Source: FCM HTTP v1, `projects.messages:send` and its error codes.
"""

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakSet

import certifi
import orjson
import requests
from firebase_admin import credentials, exceptions, messaging
from google.auth.credentials import TokenState
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from foundation.clock import iso

from .base import Capabilities, Message, Outcome, OutcomeKind, Push
from .courier import Answer, Courier, TokenBucket

log = logging.getLogger(__name__)

ENDPOINT = "https://fcm.googleapis.com"
QUOTA_PER_S = 10_000.0  # FCM's default quota is 600,000 messages a minute
TTL_MAX_S = 28 * 24 * 3600
QUOTA_RETRY_S = 60.0  # FCM: a 429 without Retry-After means a minute
BEARER_TIMEOUT_S = 5.0
BEARER_PAUSE_S = 2.0  # between two failed requests for a bearer
PATIENCE_S = 0.01  # between two looks at the rate cap

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
        return self._text % {
            b"token": orjson.dumps(push.token),
            b"id": orjson.dumps(push.message_id),
            b"tag": orjson.dumps(push.tag or push.message_id),
        }


def sdk_message(
    message: Message, token: str, message_id: str, now: datetime, tag: str = ""
) -> messaging.Message:
    """The bulletin in firebase-admin's words; the vendors stop trying when it expires.

    `tag` (else the message_id) is its place on the screen. On Android that and what may be dropped for a newer one while
    the phone is away (collapse_key) are two things: a quiet one never takes the place of a ring that has not come yet.
    Apple has one id for both; there it is the chase that sees to it that he hears.
    """
    place = tag or message_id
    marks = {"thread": message.thread, "quiet": "1" if message.quiet else ""}
    left_s = min(max(math.floor((message.expires_at - now).total_seconds()), 0), TTL_MAX_S)
    fields = {
        "bulletin": message.id,
        "kind": message.kind,
        "level": message.level,
        "ref": message.ref,
        "drill": "true" if message.drill else "false",
        "expires_at": iso(message.expires_at) or "",
        "id": message_id,
    }
    ring = "critical" if message.critical else "notice"
    encodable = messaging.Message(
        notification=messaging.Notification(title=message.headline, body=message.body),
        data={**message.data, **fields, **{name: word for name, word in marks.items() if word}},
        android=messaging.AndroidConfig(
            priority="normal" if message.quiet else "high",
            ttl=left_s,
            # the vendor keeps four keys a phone that is away: quiet ones share one, and push out no ring
            collapse_key=f"quiet/{message.thread}" if message.quiet else message_id,
            notification=messaging.AndroidNotification(
                tag=place,  # what follows replaces the first on the screen instead of standing beside it
                channel_id="quiet" if message.quiet else "drill" if message.drill else ring,
                priority="low" if message.quiet else "max" if message.critical else "high",
                visibility="public",
            ),
        ),
        apns=messaging.APNSConfig(
            headers={
                "apns-priority": "5" if message.quiet else "10",
                "apns-push-type": "alert",
                "apns-collapse-id": place,
                "apns-expiration": str(math.floor(message.expires_at.timestamp())),
            },
            payload=messaging.APNSPayload(
                messaging.Aps(
                    sound=None if message.quiet else "drill.caf" if message.drill else "default",
                    custom_data={"interruption-level": "passive" if message.quiet else "time-sensitive"},
                )
            ),
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": str(left_s), "Urgency": "normal" if message.quiet else "high"}
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
    return Outcome(key, kind, code[:64], retry_after_s=retry_after_s)


class Bearer:
    """The OAuth bearer of one service account, shared by all threads, renewed before it runs out."""

    def __init__(self, credentials_file: str, ca_file: str | None) -> None:
        """Raises OSError or ValueError when the file is missing or no service account's."""
        certificate = credentials.Certificate(credentials_file)
        self.project_id: str = certificate.project_id
        self._google: Any = certificate.get_credential()
        # `verify` goes with every call: REQUESTS_CA_BUNDLE in the environment would override the session's.
        self._request = partial(
            Request(requests.Session()), timeout=BEARER_TIMEOUT_S, verify=ca_file or certifi.where()
        )
        self._lock = threading.Lock()
        self._fault: GoogleAuthError | None = None
        self._again_at_s = -math.inf

    def header(self) -> str:
        """The Authorization header; raises GoogleAuthError when there is none and the old has run out."""
        with self._lock:
            if self._google.token_state is not TokenState.FRESH:
                try:
                    self._renew()
                except GoogleAuthError:
                    if self._google.token_state is TokenState.INVALID:
                        raise
            return f"authorization: Bearer {self._google.token}"

    def renewed(self, refused: str) -> str:
        """A header that is not the refused one: renewed once, however many threads were refused."""
        with self._lock:
            if refused == f"authorization: Bearer {self._google.token}":
                self._renew()
        return self.header()

    def _renew(self) -> None:
        """Ask Google; after a failure nobody asks again for a moment, or every thread would wait its turn."""
        if self._fault and time.monotonic() < self._again_at_s:
            raise GoogleAuthError(str(self._fault)) from self._fault  # type: ignore[no-untyped-call]
        try:
            self._google.refresh(self._request)
        except GoogleAuthError as fault:
            self._fault, self._again_at_s = fault, time.monotonic() + BEARER_PAUSE_S
            raise
        self._fault = None


class FcmTransport:
    """Pushes through FCM. One instance a process; every thread gets its own connections."""

    name = "fcm"
    capabilities = Capabilities(receipts=False, ttl=True, max_body_chars=50)

    def __init__(
        self,
        credentials_file: str,
        *,
        endpoint: str = ENDPOINT,
        ca_file: str | None = None,
        rate_per_s: float = QUOTA_PER_S,
        concurrency: int = 1000,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rate_per_s` caps this process, `concurrency` each thread, `timeout_s` each request.

        Raises OSError or ValueError when the credentials file is missing or is no service account's.
        """
        self._bearer = Bearer(credentials_file, ca_file)
        self._new_courier = partial(
            Courier,
            f"{endpoint.rstrip('/')}/v1/projects/{self._bearer.project_id}/messages:send",
            ca_file=ca_file,
            timeout_s=timeout_s,
            concurrency=concurrency,
        )
        self._bucket = TokenBucket(rate_per_s)
        self._clock = clock
        self._own = threading.local()
        self._couriers: WeakSet[Courier] = WeakSet()

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in order, within number / rate + 2 time-outs per `concurrency` pushes."""
        outcomes: dict[int, Outcome] = {}
        with closing(self.stream()) as stream:
            stream.add(pushes, now)
            while stream.waiting:
                outcomes |= stream.landed(1.0)
        return [outcomes[index] for index in range(len(pushes))]

    def stream(self) -> "Stream":
        """Pushes in flight from this thread; one at a time a thread."""
        return Stream(self._bearer, self._courier(), self._bucket, self._clock)

    def close(self) -> None:
        """Close every thread's connections; no thread may be sending."""
        for courier in list(self._couriers):
            courier.close()

    def _courier(self) -> Courier:
        courier: Courier | None = getattr(self._own, "courier", None)
        if courier is None:
            courier = self._own.courier = self._new_courier()
            self._couriers.add(courier)
        return courier


@dataclass(slots=True)
class _Aloft:
    """One push on its way."""

    key: int
    body: bytes
    bearer: str = ""  # the header it went with
    renewed: bool = False


class Stream:
    """One thread's pushes in flight: more are added while stragglers are still out, so that a vendor who leaves a
    few requests unanswered holds up these few and nobody else. Pushes are numbered in the order they were added.
    """

    def __init__(
        self, bearer: Bearer, courier: Courier, bucket: TokenBucket, clock: Callable[[], float]
    ) -> None:
        self._bearer, self._courier, self._bucket, self._clock = bearer, courier, bucket, clock
        self._number = 0
        self._aloft: dict[int, _Aloft] = {}
        self._queue: deque[int] = deque()
        self._settled: dict[int, Outcome] = {}

    @property
    def waiting(self) -> int:
        """Pushes whose outcome has not been handed out yet."""
        return len(self._aloft) + len(self._settled)

    def add(self, pushes: Sequence[Push], now: datetime) -> None:
        """Take pushes on; what can never go is settled at once."""
        templates: dict[int, Template] = {}  # by id(): the pushes hold the messages alive
        for push in pushes:
            number, self._number = self._number, self._number + 1
            if push.message.expires_at <= now:
                self._settled[number] = Outcome(push.key, OutcomeKind.PERMANENT, "EXPIRED")
                continue
            try:
                template = templates.get(id(push.message))
                if template is None:
                    template = templates[id(push.message)] = Template(push.message, now)
                self._aloft[number] = _Aloft(push.key, template.body(push))
                self._queue.append(number)
            except (ValueError, TypeError):
                self._settled[number] = Outcome(push.key, OutcomeKind.PERMANENT, "UNENCODABLE")

    def landed(self, patience_s: float) -> dict[int, Outcome]:
        """Move bytes for about `patience_s` at most; outcomes by number, possibly none."""
        if self._queue:
            self._start()
        if self._courier.flying:
            for answer in self._courier.landed(PATIENCE_S if self._queue else patience_s):
                self._take(answer)
        elif self._queue:
            time.sleep(PATIENCE_S)  # the rate cap
        settled, self._settled = self._settled, {}
        return settled

    def close(self) -> None:
        """Drop what is still in flight; whether it arrived is unknown."""
        self._courier.abandon()

    def _start(self) -> None:
        """Put as many of the queue on the wire as there is room and rate for."""
        try:
            bearer = self._bearer.header()
        except GoogleAuthError as refused:
            log.error("fcm.credential n=%d error=%s", len(self._queue), refused)
            while self._queue:
                number = self._queue.popleft()
                self._settle(number, Outcome(self._aloft[number].key, OutcomeKind.TEMPORARY, "CREDENTIAL"))
            return
        headers = (bearer, "content-type: application/json", "x-goog-api-format-version: 2")
        wanted = min(len(self._queue), self._courier.room)
        for _ in range(self._bucket.grant(wanted, self._clock()) if wanted else 0):
            number = self._queue.popleft()
            self._aloft[number].bearer = bearer
            self._courier.start(number, self._aloft[number].body, headers)

    def _take(self, answer: Answer) -> None:
        """Settle one answer; a refused bearer is renewed once and the push goes again."""
        push = self._aloft[answer.index]
        outcome = _outcome(push.key, answer)
        if outcome.reason == exceptions.UNAUTHENTICATED and not push.renewed:
            push.renewed = True
            try:
                self._bearer.renewed(push.bearer)
            except GoogleAuthError as refused:
                log.error("fcm.credential error=%s", refused)
            else:
                self._queue.append(answer.index)
                return
        self._settle(answer.index, outcome)

    def _settle(self, number: int, outcome: Outcome) -> None:
        del self._aloft[number]
        self._settled[number] = outcome


def _outcome(key: int, answer: Answer) -> Outcome:
    if answer.fault:
        return Outcome(key, OutcomeKind.TEMPORARY, answer.fault)
    return verdict(key, answer.status, answer.body, answer.retry_after_s)
