"""Signing in through the city's portal: authorization code with PKCE, state and nonce (RFC 9700, 2.1.1).

Owns SpentFlow. What a flow must remember (state, nonce, verifier, device) is sealed into `flow`, which only the one who
began it holds: beginning writes nothing, any process can go on, and a code that somebody else brings, or takes from an
address or a log, opens nothing. Who is let in stands on the roster; the session is made in auth.py, as for a code.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db import connection, transaction

from foundation import seals
from foundation.errors import Refusal
from officers import audit, auth
from officers.auth import SignedIn
from officers.devices import DeviceClaim
from officers.models import Officer, Platform, SpentFlow
from officers.portal import portal

LIFE = timedelta(minutes=10)
_PURPOSE = "portal flow"


@dataclass(frozen=True, slots=True)
class Begun:
    """`authorize_url` is for the browser; `flow` stays with who asked, until the portal has sent him back."""

    authorize_url: str
    flow: str


@dataclass(frozen=True, slots=True)
class _Flow:
    """What is sealed."""

    state: str
    nonce: str
    verifier: str
    device: DeviceClaim
    expires_at: datetime


def begin(claim: DeviceClaim, now: datetime) -> Begun:
    """A flow for this device, for LIFE. Raises Refusal 404 `no_portal`, 503 `portal_away`."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    flow = _Flow(state, nonce, verifier, claim, now + LIFE)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=")
    address = portal().authorize_url(flow.state, flow.nonce, challenge.decode(), now)
    return Begun(address, seals.seal(orjson.dumps(flow).decode(), _PURPOSE).decode())


def sign_in(sealed: str, code: str, state: str, issuer: str | None, now: datetime) -> SignedIn:
    """Spend the flow, ask the portal whose code this is, and open a session for the officer with that staff code.

    `issuer` is what came back with the code, if anything (RFC 9207). Raises Refusal 401 `flow_over` or `portal_refused`,
    403 `not_on_roster`, 404 `no_portal`, 503 `portal_away`. The flow is spent whatever the portal says.
    """
    there, flow = portal(), _opened(sealed, now)
    ours = hmac.compare_digest(flow.state.encode(), state.encode())
    if not ours or (issuer or there.account.issuer) != there.account.issuer:
        raise _over()
    _spend(flow)
    staff_code = there.named(code, flow.verifier, flow.nonce, now)
    with transaction.atomic():  # who was turned away must be kept, so the refusal waits for the commit
        officer = Officer.objects.of_staff(staff_code).first()
        if officer and officer.is_active:
            return auth.let_in(officer, flow.device, "portal", now)
        detail = {"why": "not on the roster", "known": officer is not None, "by": "portal"}
        named = f"staff:{seals.keyed_digest(staff_code, 'staff code')[:16]}"
        audit.record(None, "auth.sign_in_failed", named, detail, now)
    raise Refusal(
        "not_on_roster",
        zh="圳应急已确认您的身份，但您不是本系统的在册责任人。请联系本单位的三防值班员。",
        en="The city portal knows you, but you are not an officer on this roster. Ask your duty desk.",
        status=403,
    )


def forget_flows(now: datetime) -> int:
    """Delete what no longer needs to be remembered; returns how many."""
    return SpentFlow.objects.filter(expires_at__lte=now).delete()[0]


def _opened(sealed: str, now: datetime) -> _Flow:
    try:
        kept = orjson.loads(seals.unseal(sealed.encode(), _PURPOSE))
    except seals.BrokenSeal:
        raise _over() from None
    device = kept.pop("device")
    expires_at = datetime.fromisoformat(kept.pop("expires_at"))
    if now >= expires_at:
        raise _over()
    claim = DeviceClaim(**device | {"platform": Platform(device["platform"])})
    return _Flow(**kept, device=claim, expires_at=expires_at)


def _spend(flow: _Flow) -> None:
    """Committed before the portal is asked, so that of two who bring the same flow one is heard."""
    digest = seals.keyed_digest(flow.state, "portal state")
    _, first = SpentFlow.objects.get_or_create(state_digest=digest, defaults={"expires_at": flow.expires_at})
    if not first:
        raise _over()
    if not connection.in_atomic_block:  # as in tests
        connection.close()  # back to the pool: a portal that hangs holds none of it


def _over() -> Refusal:
    return Refusal(
        "flow_over",
        zh="这次登录已失效或已使用。请重新登录。",
        en="This sign-in has expired or was used already. Begin again.",
        status=401,
    )
