"""Our own protocol for text messages and calls: small volumes, one signed JSON POST a person (docs/telephony.md).

Owns the pace, the lines in use at once and what the gateway's answers mean. What is said is sms.py's and voice.py's;
connections and signature are foundation/gateway.py. A number is in memory for the length of its request only.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from foundation.clock import iso
from foundation.gateway import LINES, Gateway, Reply

from .base import Capabilities, Message, Outcome, OutcomeKind, Push
from .courier import TokenBucket

PATIENCE_S = 0.02  # between two looks at the rate cap
QUOTA_RETRY_S = 5.0
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
    return Outcome(key, kind, f"{reply.status} {reply.code}".strip(), retry_after_s=wait_s)


class GatewayTransport:
    """One channel through one gateway. One instance a process."""

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        *,
        says: Callable[[Message], dict[str, object]],
        max_body_chars: int,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`says`: the channel's own fields of a request."""
        self.name = name
        self.capabilities = Capabilities(receipts=True, ttl=True, max_body_chars=max_body_chars)
        self._gateway, self._says = gateway, says
        self._bucket, self._clock = TokenBucket(rate_per_s), clock
        self._lines = ThreadPoolExecutor(LINES, thread_name_prefix=name)

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in order, within number / rate + 7 s a line's turn. Vendor faults never raise."""
        outcomes: list[Outcome | Future[Outcome]] = []
        waiting = list(pushes)
        while waiting:
            if waiting[0].message.expires_at <= now:
                outcomes.append(Outcome(waiting.pop(0).key, OutcomeKind.PERMANENT, "EXPIRED"))
            elif self._bucket.grant(1, self._clock()):
                outcomes.append(self._lines.submit(self._post, waiting.pop(0), now))
            else:
                time.sleep(PATIENCE_S)
        return [one if isinstance(one, Outcome) else one.result() for one in outcomes]

    def close(self) -> None:
        self._lines.shutdown()
        self._gateway.close()

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
