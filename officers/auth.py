"""Signing in and staying signed in: sessions, access and refresh tokens.

Owns Session. One session is one family of refresh tokens on one device; each refresh brings the next token,
and an old one that turns up again ends the session (RFC 9700, 4.14.2). An access token only names the
session: every request asks the database, in one query, whether it still stands and what its officer answers
for. Only live water is read with an answer of up to five minutes ago (grants.py, ADR 8); a session that ends is
hinted as "signed_out".
"""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID, uuid4

from django.core import signing
from django.db import transaction
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from foundation import clock, seals
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from foundation.wire import hint
from officers import audit, codes, devices, directory, roster
from officers.codes import Verdict
from officers.devices import DeviceClaim
from officers.models import Device, Officer, Session, SessionQuerySet

ACCESS_LIFE = timedelta(minutes=15)
SESSION_LIFE = timedelta(days=30)  # since the last refresh
LOST_FOR = timedelta(minutes=1)  # an answer that was lost may be asked for again


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is asking, on which device, and what he may see and do: `request.auth`."""

    officer_id: int
    session_id: UUID
    device_id: int
    scope: Scope


class Claim(NamedTuple):
    """What an access token of ours says; whether the session still stands it does not know."""

    session_id: UUID
    officer_id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    """access is sent with every request; refresh is used once, for the next pair."""

    access: str
    refresh: str


class InUse(NamedTuple):
    """A device that is signed in."""

    device: Device
    last_used_at: datetime  # it came for tokens; a device that asks anything comes every 15 minutes
    current: bool  # it is the one that asks


@dataclass(frozen=True, slots=True)
class SignedIn:
    officer: Officer
    tokens: Tokens


def sign_in(phone: str, code: str, claim: DeviceClaim, now: datetime, source: str = "") -> SignedIn:
    """Spend the code, take note of the device and open a session on it.

    Raises Refusal `bad_phone`, 429 `too_many_tries`, or 401 `wrong_code`, which says nothing about whether the number is
    known.
    """
    phone_digest = roster.digest(roster.normalise(phone))
    codes.require_few_wrong(source, now)
    with transaction.atomic():  # a wrong try must be counted, so the refusal waits for the commit
        signed_in = _try_code(phone_digest, code, claim, now, source)
    if signed_in is None:
        raise Refusal(
            "wrong_code",
            zh="验证码不正确或已失效。请核对后重试，或重新获取验证码。",
            en="The code is wrong or no longer valid. Check it, or ask for a new one.",
            status=401,
        )
    return signed_in


def let_in(officer: Officer, claim: DeviceClaim, by: str, now: datetime) -> SignedIn:
    """Take note of the device and open a session on it; call inside a transaction, once he has proved who he is.

    `by` says how, for the audit log: "code" or "portal".
    """
    device = devices.register(officer.pk, claim, now)
    session, tokens = _open_session(device, now)
    detail = {"device": device.pk, "platform": claim.platform, "by": by}
    audit.record(officer.pk, "auth.sign_in", f"session:{session.pk}", detail, now)
    return SignedIn(officer, tokens)


@transaction.atomic
def admit(device_id: int, now: datetime) -> Tokens:
    """Open a session on a device that is already on the roster, without a code: for the replay and for tests.

    No door leads here. The audit log names no actor, for the officer himself did nothing. Raises
    Device.DoesNotExist when the device is unknown or retired, or its officer is no longer active.
    """
    device = Device.objects.get(pk=device_id, retired_at=None, officer__is_active=True)
    session, tokens = _open_session(device, now)
    detail = {"device": device.pk, "officer": device.officer_id}
    audit.record(None, "session.admit", f"session:{session.pk}", detail, now)
    return tokens


def refresh(token: str, now: datetime) -> Tokens:
    """The next pair of tokens. Raises Refusal 401 `signed_out`; an old token ends the session as well.

    But for the one just spent: whose answer was lost asks again with it, and gets the same refresh token.
    """
    session_id = UUID(_opened("refresh", token)[0])
    with transaction.atomic():  # the end of a session must be kept, so the refusal waits for the commit
        session = Session.objects.live(now).select_for_update(of=("self",)).filter(pk=session_id).first()
        tokens = _next_tokens(session, token, now) if session else None
    if tokens is None:
        raise _signed_out()
    return tokens


@transaction.atomic
def sign_out(grant: Grant, now: datetime) -> None:
    """End the session and stop ringing its device."""
    _end(Session.objects.filter(pk=grant.session_id), "signed out", now)
    devices.retire(grant.device_id, "signed out", now)
    audit.record(grant.officer_id, "auth.sign_out", f"session:{grant.session_id}", {}, now)


def signed_in_on(grant: Grant, now: datetime) -> list[InUse]:
    """The officer's devices that are signed in, the one that was used last first."""
    sessions = Session.objects.live(now).filter(officer_id=grant.officer_id).select_related("device")
    return [
        InUse(session.device, session.expires_at - SESSION_LIFE, session.device_id == grant.device_id)
        for session in sessions.order_by("-expires_at", "pk")
    ]


@transaction.atomic
def remove_device(grant: Grant, device_id: int, now: datetime) -> None:
    """End what is signed in on a device of the officer's and stop ringing it. Raises Refusal 404 when it is not his."""
    if not Device.objects.filter(pk=device_id, officer_id=grant.officer_id).exists():
        raise not_found("设备", "device")
    _end(Session.objects.filter(device=device_id), "removed", now)
    devices.retire(device_id, "removed", now)
    audit.record(grant.officer_id, "device.remove", f"device:{device_id}", {}, now)


@transaction.atomic
def sign_out_everywhere(officer_id: int, now: datetime) -> tuple[int, int]:
    """End all sessions of somebody who has lost his phone and stop ringing his devices; how many of each.

    Also of who is not active: with the roster he would be back on all of them. The audit log names no actor.
    """
    sessions = _end(Session.objects.filter(officer=officer_id), "signed out by command", now)
    phones = devices.retire_lost(officer_id, now)
    detail = {"sessions": sessions, "devices": phones}
    audit.record(None, "auth.sign_out_everywhere", f"officer:{officer_id}", detail, now)
    return sessions, phones


def grant_of(access: str, now: datetime) -> Grant:
    """What an access token grants at this instant. Raises Refusal 401 `access_expired` or `signed_out`."""
    return _admitted(access, now)[1]


def claim_of(authorization: str, now: datetime) -> Claim:
    """What the bearer of this header claims. Asks the signature only. Raises Refusal 401."""
    return _opened_access(_bearer(authorization) or "", now)


def grants_of(claims: Collection[Claim], now: datetime) -> dict[Claim, Grant]:
    """What these claims grant at this instant, in one query; those that grant nothing are left out."""
    rows = (
        Session.objects.with_posts(now)
        .filter(pk__in=[claim.session_id for claim in claims])
        .order_by("id", "post__id")
        .values_list("id", "officer_id", "device_id", "duty", "path", "station")
    )
    standing = {
        key: directory.scope_from(row[3:] for row in posts if row[4])
        for key, posts in groupby(rows, itemgetter(0, 1, 2))
    }
    by_claim = {(key[0], key[1]): Grant(key[1], key[0], key[2], scope) for key, scope in standing.items()}
    found = ((claim, by_claim.get((claim.session_id, claim.officer_id))) for claim in claims)
    return {claim: grant for claim, grant in found if grant}


def subject_of(authorization: str) -> str | None:
    """A stable name for the officer of an unexpired access token that we signed; None for anything else.

    Only the signature is asked, not the database: it tells callers apart, it admits nobody.
    """
    try:
        return f"officer:{claim_of(authorization, clock.now()).officer_id}"
    except Refusal:
        return None


def admits(authorization: str) -> bool:
    """Whether the bearer of this header is still signed in."""
    at = clock.now()
    try:
        return bool(grants_of([claim_of(authorization, at)], at))
    except Refusal:
        return False


def forget_expired(now: datetime) -> None:
    """Delete sessions that nobody can continue and codes that nobody can use."""
    codes.forget_codes(now)
    Session.objects.filter(expires_at__lte=now).delete()


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access>` -> `request.user` (Officer), `request.auth` (Grant)."""

    def authenticate(self, request: Request) -> tuple[Officer, Grant] | None:
        token = _bearer(get_authorization_header(request).decode("latin-1"))
        return None if token is None else _admitted(token, clock.now())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _try_code(
    phone_digest: str, code: str, claim: DeviceClaim, now: datetime, source: str
) -> SignedIn | None:
    verdict = codes.spend(phone_digest, code, now, source)
    officer = Officer.objects.known(phone_digest).first()
    if verdict is Verdict.WRONG:  # ABSENT leaves no entry: anybody could fill the log with it
        detail = {"why": "wrong code", "known": officer is not None}
        audit.record(None, "auth.sign_in_failed", f"number:{phone_digest[:16]}", detail, now)
    if verdict is not Verdict.RIGHT or officer is None:
        return None
    return let_in(officer, claim, "code", now)


def _open_session(device: Device, now: datetime) -> tuple[Session, Tokens]:
    """A new session; it replaces the device's former one."""
    former = Session.objects.live(now).filter(device=device)
    if former.update(revoked_at=now, revoked_reason="signed in again"):
        _tell_ended()
    session = Session(id=uuid4(), officer_id=device.officer_id, device=device)
    return session, _issue_tokens(session, now)


def _next_tokens(session: Session, token: str, now: datetime) -> Tokens | None:
    if hmac.compare_digest(session.refresh_digest, _refresh_digest(token)):
        return _issue_tokens(session, now, after=token)
    issued_at, lost = session.expires_at - SESSION_LIFE, _refresh_token(session, after=token)
    if now - issued_at <= LOST_FOR and hmac.compare_digest(session.refresh_digest, _refresh_digest(lost)):
        return Tokens(_access_token(session, now), lost)
    session.revoked_at, session.revoked_reason = now, "refresh reused"
    session.save(update_fields=["revoked_at", "revoked_reason"])
    _tell_ended()
    audit.record(session.officer_id, "auth.refresh_reuse", f"session:{session.pk}", {}, now)
    return None


def _issue_tokens(session: Session, now: datetime, after: str = "") -> Tokens:
    token = _refresh_token(session, after or secrets.token_urlsafe(32))
    session.refresh_digest, session.expires_at = _refresh_digest(token), now + SESSION_LIFE
    session.save()
    return Tokens(_access_token(session, now), token)


def _access_token(session: Session, now: datetime) -> str:
    expires_s = int((now + ACCESS_LIFE).timestamp())
    return _signer("access").sign(f"{session.pk.hex}.{session.officer_id}.{expires_s}")


def _refresh_token(session: Session, after: str) -> str:
    """The one that follows `after`, always the same: only our key makes it of that."""
    return _signer("refresh").sign(f"{session.pk.hex}.{seals.keyed_digest(after, 'refresh after')}")


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _admitted(access: str, now: datetime) -> tuple[Officer, Grant]:
    claim = _opened_access(access, now)
    rows = list(Session.objects.admitted(claim.session_id, claim.officer_id, now))
    if not rows:
        raise _signed_out()
    session = rows[0]
    scope = directory.scope_from((row.duty, row.path, row.station) for row in rows if row.path)
    return session.officer, Grant(session.officer_id, session.pk, session.device_id, scope)


def _opened_access(access: str, now: datetime) -> Claim:
    """What an access token that we signed says; raises Refusal 401."""
    session_hex, officer_id, expires_s = _opened("access", access)
    claim = Claim(UUID(session_hex), int(officer_id), datetime.fromtimestamp(int(expires_s), UTC))
    if now >= claim.expires_at:
        raise Refusal(
            "access_expired",
            zh="访问令牌已过期。请用刷新令牌换取新的令牌。",
            en="The access token has expired. Use the refresh token to get the next one.",
            status=401,
        )
    return claim


def _end(sessions: SessionQuerySet, why: str, now: datetime) -> int:
    """End those of the sessions that were not ended before; how many."""
    ended = sessions.filter(revoked_at=None, expires_at__gt=now).update(revoked_at=now, revoked_reason=why)
    _tell_ended()
    return ended


def _tell_ended() -> None:
    """The servers look at once for sessions that ended; without the hint they do so every second."""
    transaction.on_commit(partial(hint, "signed_out"))


def _signer(kind: str) -> signing.Signer:
    return signing.Signer(salt=f"officers.{kind}", sep="~")  # ":" may not stand in a bearer token (RFC 6750)


def _opened(kind: str, token: str) -> list[str]:
    """The parts of a token that we signed; raises Refusal 401."""
    try:
        return _signer(kind).unsign(token).split(".")
    except signing.BadSignature:
        raise _signed_out() from None


def _refresh_digest(token: str) -> str:
    return seals.keyed_digest(token, "refresh token")


def _signed_out() -> Refusal:
    return Refusal(
        "signed_out",
        zh="登录已失效。请重新登录。",
        en="You are no longer signed in. Sign in again.",
        status=401,
    )
