"""Our own protocol for text messages and calls: small volumes, one signed JSON POST a person (docs/telephony.md).

Owns the pace, the lines in use at once and what the gateway's answers mean. What is said is sms.py's and voice.py's;
connections and signature are foundation/gateway.py. A number is in memory for the length of its request only.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime

from foundation.clock import iso
from foundation.gateway import LINES, Gateway, Reply

from . import numbered
from .base import Capabilities, Message, Outcome, OutcomeKind, Push
from .courier import TokenBucket
from .numbered import Numbered

PATIENCE_S = 0.02  # between two looks at the rate cap
QUOTA_RETRY_S = 5.0
TTL_MAX_S = 24 * 3600
LONGEST_RETRY_S = 300.0  # what a gateway may wish for: beyond it the ladder has gone on

# what is not listed (our account, the gateway's servers) may be mended: TEMPORARY
_KINDS = {
    "no_such_number": OutcomeKind.DEAD_TOKEN,
    "refused_number": OutcomeKind.PERMANENT,  # on a list of those who are not to be disturbed
    "bad_request": OutcomeKind.PERMANENT,
    "expired": OutcomeKind.PERMANENT,
}


def verdict(key: int, reply: Reply) -> Outcome:
    """What the gateway's answer means for one person."""
    if reply.fault:
        return Outcome(key, OutcomeKind.TEMPORARY, reply.fault)
    if 200 <= reply.status < 300:
        return Outcome(key, OutcomeKind.SENT, vendor_id=reply.vendor_id)
    kind = _KINDS.get(reply.code, OutcomeKind.TEMPORARY) if reply.status < 500 else OutcomeKind.TEMPORARY
    if kind is not OutcomeKind.TEMPORARY:
        return Outcome(key, kind, reply.code)
    wait_s = QUOTA_RETRY_S if reply.status == 429 and reply.retry_after_s is None else reply.retry_after_s
    wait_s = None if wait_s is None else min(wait_s, LONGEST_RETRY_S)
    reason = f"{reply.status} {reply.code}".strip()
    return Outcome(key, kind, reason, retry_after_s=wait_s, ours=reply.status == 429)


class GatewayTransport:
    """One channel through one gateway. One instance a process."""

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        *,
        says: Callable[[Message], dict[str, object]],
        body_columns: int,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`says`: the channel's own fields of a request."""
        self.name = name
        self.capabilities = Capabilities(receipts=True, ttl_max_s=TTL_MAX_S, body_columns=body_columns)
        self._gateway, self._says = gateway, says
        self._bucket, self._clock = TokenBucket(rate_per_s), clock
        self._lines = ThreadPoolExecutor(LINES, thread_name_prefix=name)

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in order, within number / rate + 7 s a line's turn. Vendor faults never raise."""
        return numbered.send(self.stream, pushes, now)

    def stream(self) -> "Stream":
        return Stream(self)

    def close(self) -> None:
        self._lines.shutdown()
        self._gateway.close()

    def start(self, push: Push, now: datetime) -> Future[Outcome] | None:
        """Put one on its line; None while the rate does not let it."""
        granted = self._bucket.grant(1, self._clock())
        return self._lines.submit(self._post, push, now) if granted else None

    def _post(self, push: Push, now: datetime) -> Outcome:
        message = push.message
        fields = {
            "id": push.message_id,
            "to": push.token,
            "drill": message.drill,
            "expires_at": iso(message.expires_at),
            "expires_in_s": math.floor((message.expires_at - now).total_seconds()),
            "callback": self._gateway.account.callback_url,
            **self._says(message),
        }
        return verdict(push.key, self._gateway.post(fields, now))


class Stream(Numbered):
    """Text messages or calls in flight: who does not answer holds his own line and no other."""

    _flying: dict[Future[Outcome], int]

    def __init__(self, transport: GatewayTransport) -> None:
        super().__init__()
        self._transport = transport

    def landed(self, patience_s: float) -> dict[int, Outcome]:
        """Outcomes by number as they come; none after about `patience_s`."""
        while self._queue and len(self._flying) < LINES:
            number, push, now = self._queue[0]
            started = self._transport.start(push, now)
            if started is None:
                break
            self._queue.popleft()
            self._flying[started] = number
        if not self._settled and self._flying:
            patience_s = min(patience_s, PATIENCE_S) if self._queue else patience_s
            done, _ = wait(self._flying, timeout=patience_s, return_when=FIRST_COMPLETED)
            self._settled = {self._flying.pop(future): future.result() for future in done}
        elif self._queue:
            time.sleep(PATIENCE_S)  # the rate cap
        return self._handed_out()

    def close(self) -> None:
        """Drop what is still in flight; whether it arrived is unknown."""
        for future in self._flying:
            future.cancel()
        self._flying.clear()
        self._queue.clear()
