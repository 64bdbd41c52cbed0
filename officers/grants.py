"""Who has lately been admitted: grants kept in the memory of a server process, for reading water only.

Owns how long an answer of the database about a bearer may be used again: KEPT_S at most, never past the token's own
end, and not for a session that was ended or an officer who left meanwhile: those are looked up every second
(LOOK_S), and without a look younger than LOOK_USABLE_S nobody is known. Who is not known is asked for in the
database, many in one query. What is traded for this: docs/adr/0008. Runs on the event loop.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from channels.db import database_sync_to_async

from foundation.errors import Refusal
from foundation.renewed import Renewed
from officers import auth
from officers.models import Officer, Session

KEPT_S: Final = 300.0
MOST_KEPT: Final = 50_000  # bearers a process; about 0.5 KB each
LOOK_S, LOOK_USABLE_S = 1.0, 2.0
LOOK_BACK: Final = timedelta(seconds=KEPT_S + 60)  # a minute for a slow commit or another machine's clock
MOST_AT_ONCE: Final = 500  # bearers a query
log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What reading water needs of a Grant."""

    until_s: float  # unix time
    session_id: UUID
    officer_id: int
    water_paths: tuple[str, ...]
    stations: tuple[str, ...]


class Ended(NamedTuple):
    """Who is no longer admitted, whatever was answered before."""

    sessions: frozenset[UUID]
    officers: frozenset[int]


class Grants:
    """The bearers this process knows, by their Authorization header."""

    def __init__(
        self, clock: Callable[[], datetime], elapsed_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, Known] = OrderedDict()  # the oldest answer first
        self._ended = Renewed(
            lambda: lately_ended(clock()),
            fresh_s=LOOK_S,
            usable_s=LOOK_USABLE_S,
            hints=("signed_out",),
            elapsed_s=elapsed_s,
        )
        self._asked: dict[bytes, tuple[auth.Claim, asyncio.Future[Known | None]]] = {}
        self._asking: asyncio.Task[None] | None = None

    def at_hand(self, authorization: bytes) -> Known | None:
        """The bearer if he is known. Never waits."""
        ended = self._ended.at_hand()
        known = self._known.get(authorization)
        if known is None or ended is None or self._clock().timestamp() >= known.until_s:
            return None
        if known.session_id in ended.sessions or known.officer_id in ended.officers:
            del self._known[authorization]
            return None
        return known

    async def ask(self, authorization: bytes) -> Known | None:
        """Ask the database about a bearer, together with all who wait; None for whoever is not admitted."""
        if authorization not in self._asked:
            try:
                claim = auth.claim_of(authorization.decode("latin-1"), self._clock())
            except Refusal:
                return None
            self._asked[authorization] = claim, asyncio.get_running_loop().create_future()
        answer = self._asked[authorization][1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask_all())
        return await asyncio.shield(answer)

    async def _ask_all(self) -> None:
        while self._asked:
            batch = {bearer: self._asked[bearer] for bearer in list(self._asked)[:MOST_AT_ONCE]}
            asked_at, granted = self._clock(), {}
            try:
                granted = await _granted([claim for claim, _ in batch.values()], asked_at)
            except Exception as fault:  # the full door asks again and says what is wrong
                log.warning("grants.not_asked n=%s error=%s", len(batch), type(fault).__name__)
            for bearer, (claim, answer) in batch.items():
                known = _known(claim, granted[claim], asked_at) if claim in granted else None
                if known:
                    self._keep(bearer, known, asked_at.timestamp())
                del self._asked[bearer]
                if not answer.done():
                    answer.set_result(known)

    def _keep(self, bearer: bytes, known: Known, at_s: float) -> None:
        self._known[bearer] = known
        self._known.move_to_end(bearer)
        while self._known and (
            len(self._known) > MOST_KEPT or next(iter(self._known.values())).until_s <= at_s
        ):
            self._known.popitem(last=False)


def lately_ended(now: datetime) -> Ended:
    """Sessions that we ended in the last LOOK_BACK, and everybody who is no longer active."""
    return Ended(
        frozenset(Session.objects.ended_since(now - LOOK_BACK).values_list("pk", flat=True)),
        frozenset(Officer.objects.filter(is_active=False).values_list("pk", flat=True)),
    )


_granted = database_sync_to_async(auth.grants_of, thread_sensitive=False)


def _known(claim: auth.Claim, grant: auth.Grant, asked_at: datetime) -> Known:
    until_s = min(claim.expires_at.timestamp(), asked_at.timestamp() + KEPT_S)
    scope = grant.scope
    return Known(until_s, grant.session_id, grant.officer_id, _same(scope.water_paths), _same(scope.stations))


@lru_cache(maxsize=4096)
def _same(codes: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for equal ones: most officers of a district share theirs."""
    return codes
