"""A door of its own for socket tickets: `POST /api/v1/auth/tickets`, answered many at once, before Django.

When a network comes back, 45,000 phones each ask for a ticket first; through Django that is 4 to 5 ms each, more than the
socket itself. Here those who ask at about the same time are admitted by one query and get their tickets in one round
trip. Nothing is remembered: the database is asked about everybody. As with the quick door (ADR 8) Django's view stays the
definition, and whatever is not plain, and everybody who is not admitted, goes there.
"""

import logging
from typing import Final

import orjson

from backend.quick import App, Headers, Message, Receive, Send, is_ours, secured, spoken_language, takes_json
from foundation.clock import now
from foundation.errors import Refusal
from foundation.together import Together
from officers.auth import Claim, claim_of, grants_of
from officers.tickets import TICKET_LIFE, issue_tickets

TICKETS: Final = "/api/v1/auth/tickets"
MOST_TOGETHER: Final = 250
log = logging.getLogger(__name__)


class TicketDoor:
    """An ASGI application in front of another one, for http scopes."""

    def __init__(self, full: App) -> None:
        self._full = full
        self._issue = Together(_issued, most=MOST_TOGETHER)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        ticket = None
        if scope["path"] == TICKETS and scope["method"] == "POST" and not scope["query_string"]:
            headers: Headers = dict(scope["headers"])
            if len(headers) == len(scope["headers"]) and _plain(headers):
                ticket = await self._ticket(headers[b"authorization"])
        if ticket is None:
            return await self._full(scope, receive, send)
        body = orjson.dumps({"ticket": ticket, "expires_in_s": int(TICKET_LIFE.total_seconds())})
        told = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Content-Language", spoken_language(headers.get(b"accept-language", b""))),
            (b"Allow", b"POST, OPTIONS"),
            (b"Vary", b"Accept-Language"),
            *secured(scope["scheme"]),
        ]
        await send({"type": "http.response.start", "status": 201, "headers": told})
        return await send({"type": "http.response.body", "body": body})

    async def _ticket(self, authorization: bytes) -> str | None:
        try:
            return await self._issue.ask(claim_of(authorization.decode("latin-1"), now()))
        except Refusal:  # the full door says why
            return None
        except Exception as fault:
            log.warning("tickets.passed_on error=%s", type(fault).__name__)
            return None


def _issued(claims: list[Claim]) -> list[str | None]:
    """A ticket for everybody who is admitted at this instant. Raises Refusal 503 while Redis is away."""
    at = now()
    granted = grants_of(claims, at)
    admitted = [claim for claim in claims if claim in granted]
    tickets = iter(issue_tickets([granted[claim] for claim in admitted], at))
    return [next(tickets) if claim in granted else None for claim in claims]


def _plain(headers: Headers) -> bool:
    """A body may be announced, of `{}` at most: the view reads none."""
    return (
        b"authorization" in headers
        and headers.get(b"content-length", b"0") in {b"0", b"2"}
        and headers.get(b"content-type", b"application/json").startswith(b"application/json")
        and not {b"cookie", b"transfer-encoding", b"expect"} & headers.keys()
        and is_ours(headers.get(b"host", b""))
        and takes_json(headers.get(b"accept", b"*/*"))
    )
