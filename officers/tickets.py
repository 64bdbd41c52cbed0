"""Tickets: one-use passes that open an officer's socket within a minute of being issued.

Kept in Redis only, under a keyed digest, and taken from there many at once, so that ten thousand phones coming back
cost one round trip and one query a few hundred. The scope is as old as the ticket; whether the session still stands
is asked when it is redeemed.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import orjson
import redis

from foundation import seals
from foundation.errors import Refusal
from foundation.scope import Scope
from foundation.wire import wire
from officers.auth import Grant
from officers.models import Session

TICKET_LIFE: Final = timedelta(minutes=1)


class Admission(NamedTuple):
    """What a redeemed ticket opens."""

    grant: Grant
    issued_at: datetime  # of two sockets of one device, the one with the later ticket stands


def issue_ticket(grant: Grant, now: datetime) -> str:
    """A one-use pass for the socket, good for TICKET_LIFE; raises Refusal 503 while Redis is away."""
    return issue_tickets([grant], now)[0]


def issue_tickets(grants: Sequence[Grant], now: datetime) -> list[str]:
    """One each, in one round trip. Raises Refusal 503 while Redis is away."""
    tickets = [secrets.token_urlsafe(24) for _ in grants]
    try:
        with wire().pipeline(transaction=False) as together:
            for ticket, grant in zip(tickets, grants, strict=True):
                kept = orjson.dumps({"grant": grant, "expires_at": now + TICKET_LIFE})
                together.set(_key(ticket), kept, nx=True, ex=TICKET_LIFE)
            together.execute()
    except redis.RedisError as error:
        raise _wire_down() from error
    return tickets


def redeem_tickets(tickets: Sequence[str], now: datetime) -> list[Admission | None]:
    """What each opens, once; None where it is unknown, used or too old, or its session has ended meanwhile.

    One round trip and one query for all. Raises Refusal 503 while Redis is away.
    """
    try:
        with wire().pipeline(transaction=False) as together:
            for ticket in tickets:
                together.getdel(_key(ticket))
            kept = together.execute()
    except redis.RedisError as error:
        raise _wire_down() from error
    found = [_opened(one, now) if isinstance(one, bytes) else None for one in kept]
    sessions = {one.grant.session_id for one in found if one}
    standing = set(Session.objects.live(now).filter(pk__in=sessions).values_list("pk", flat=True))
    return [one if one and one.grant.session_id in standing else None for one in found]


def _opened(kept: bytes, now: datetime) -> Admission | None:
    opened = orjson.loads(kept)
    expires_at = datetime.fromisoformat(opened["expires_at"])
    if now >= expires_at:
        return None
    fields = opened["grant"]
    scope = Scope(**{name: tuple(paths) for name, paths in fields["scope"].items()})
    grant = Grant(fields["officer_id"], UUID(fields["session_id"]), fields["device_id"], scope)
    return Admission(grant, expires_at - TICKET_LIFE)


def _key(ticket: str) -> str:
    return f"ticket:{seals.keyed_digest(ticket, 'socket ticket')}"


def _wire_down() -> Refusal:
    return Refusal(
        "try_again",
        zh="实时通道暂不可用。请稍后重试，收件箱不受影响。",
        en="The live channel is away. Try again shortly; the inbox is not affected.",
        status=503,
    )
