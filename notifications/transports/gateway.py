"""Our own protocol for text messages and calls: small volumes, one signed JSON POST a person (docs/telephony.md).

Owns what the gateway's answers mean. What is said is sms.py's and voice.py's; the signature is foundation/gateway.py, the
pace and the lines are carrier.py's. A number is in memory for the length of its request only.
"""

import math
from collections.abc import Callable
from datetime import datetime

from foundation.clock import iso
from foundation.gateway import KEY_HEADER, LINES, WITHIN_S, Account, Reply, read, signed

from .base import Capabilities, Message, Outcome, OutcomeKind, Push
from .carrier import Bearer, BulkTransport, Letter

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


class GatewayTransport(BulkTransport):
    """One channel through one gateway. One instance a process."""

    def __init__(
        self,
        name: str,
        account: Account,
        *,
        says: Callable[[Message], dict[str, object]],
        body_columns: int,
        rate_per_s: float,
    ) -> None:
        """`says`: the channel's own fields of a request."""
        self.name = name
        self.capabilities = Capabilities(receipts=True, ttl_max_s=TTL_MAX_S, body_columns=body_columns)
        self._account, self._says = account, says
        super().__init__(
            account.endpoint,
            Bearer(lambda: (f"{KEY_HEADER}: {account.key}", math.inf), early_s=0.0),
            rate_per_s=rate_per_s,
            ca_file=account.ca_file,
            concurrency=LINES,
            connections=LINES,  # a gateway may well speak HTTP/1.1
            timeout_s=WITHIN_S,
        )

    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        common = {
            "drill": message.drill,
            "expires_at": iso(message.expires_at),
            "expires_in_s": math.floor((message.expires_at - now).total_seconds()),
            "callback": self._account.callback_url,
            **self._says(message),
        }

        def letter(push: Push) -> Letter:
            body, proof = signed(self._account, {"id": push.message_id, "to": push.token, **common}, now)
            return Letter(body, headers=tuple(f"{name}: {word}" for name, word in proof.items()))

        return letter

    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        return verdict(key, read(status, body, retry_after_s))
