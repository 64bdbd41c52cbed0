"""The city's portal (圳应急) as an OpenID provider: where its doors are, its keys, whom it names for a code.

Owns the network of that sign-in (OpenID Connect Core 1.0, Discovery 1.0); what an ID token proves stands in id_tokens.py.
Knows no officer, no flow and no table. Call it outside of transactions; every answer has a bound in time and size. No
code, token or name is logged, only why one was not believed.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import certifi
import httpx
import orjson
from django.conf import settings

from foundation.errors import Refusal
from officers.id_tokens import Key, Unproven, chosen, verified

CONNECT_S, ANSWER_S = 2.0, 5.0
WITHIN_S = CONNECT_S + ANSWER_S
MOST_ANSWER_BYTES = 256 * 1024
MOST_KEYS = 50
# of one process at once; who finds no line free within 2 s hears that the portal is away
LINES, TURN_S = 16, 2.0
KEPT_FOR = timedelta(hours=1)  # its doors and its keys
KEYS_AGAIN = timedelta(minutes=1)  # an unknown key is looked for at most so often, whoever names one
DOWN_FOR = timedelta(seconds=5)  # while it is away only one in 5 s waits for it
MOST_CODE = 64  # characters of a staff code

Read = TypeVar("Read")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at the portal, and how it names an officer."""

    issuer: str
    client_id: str
    secret: str
    redirect_uri: str
    claim: str
    scope: str
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class Doors:
    """What we use of its discovery document."""

    authorize: str
    token: str
    keys: str
    basic: bool  # our secret goes in the header, not in the body


def account() -> Account | None:
    """The portal of the settings; None when there is none."""
    if not settings.OIDC_ISSUER:
        return None
    return Account(
        settings.OIDC_ISSUER,
        settings.OIDC_CLIENT_ID,
        settings.OIDC_CLIENT_SECRET,
        settings.OIDC_REDIRECT_URI,
        settings.OIDC_CLAIM,
        settings.OIDC_SCOPE,
        settings.OIDC_CA_FILE,
    )


def portal() -> "Portal":
    """This process's portal. Raises Refusal 404 `no_portal` when none is set up, 503 `portal_away`."""
    there = account()
    if there is None:
        raise Refusal(
            "no_portal",
            zh="本系统未启用圳应急登录。请用手机验证码登录。",
            en="Sign-in through the city portal is not set up here. Sign in by one-time code.",
            status=404,
        )
    try:
        return _portal(there)
    except OSError as error:  # its certificates cannot be read
        raise _away(f"ca_file_{type(error).__name__}") from error


@cache
def _portal(there: Account) -> "Portal":
    return Portal(there)


class Portal:
    """One provider: its connections, and what is remembered of it; may be used by several threads at once."""

    def __init__(self, there: Account) -> None:
        """Raises OSError or ssl.SSLError when the CA file cannot be read."""
        self.account = there
        plain = there.issuer.startswith("http:")
        self._client = httpx.Client(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            verify=True if plain else ssl.create_default_context(cafile=there.ca_file or certifi.where()),
            follow_redirects=False,  # a code and our secret go where they were meant to go
            trust_env=False,
        )
        self._lines = threading.BoundedSemaphore(LINES)
        self._lock = threading.Lock()  # one asks, the others wait for what he learns
        self._doors: tuple[datetime, Doors] | None = None
        self._keys: tuple[datetime, list[Key]] | None = None
        self._failed_at: datetime | None = None

    def authorize_url(self, state: str, nonce: str, challenge: str, now: datetime) -> str:
        """Where the officer's browser goes; `challenge` is S256. Raises Refusal 503 `portal_away`."""
        with self._line():
            address = self._known_doors(now).authorize
        asked = {
            "response_type": "code",
            "client_id": self.account.client_id,
            "redirect_uri": self.account.redirect_uri,
            "scope": self.account.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"

    def named(self, code: str, verifier: str, nonce: str, now: datetime) -> str:
        """The staff code of whom the portal signed in with this code. Network.

        Raises Refusal 503 `portal_away`, or 401 `portal_refused` when it names nobody we could believe in.
        """
        try:
            with self._line():
                return self._believed(self._redeemed(code, verifier, now), nonce, now)
        except Unproven as doubt:
            log.warning("oidc.refused why=%s", doubt)
            raise Refusal(
                "portal_refused",
                zh="圳应急未能确认您的身份。请重新登录，或改用手机验证码。",
                en="The city portal did not confirm who you are. Begin again, or sign in by one-time code.",
                status=401,
            ) from doubt

    @contextmanager
    def _line(self) -> Iterator[None]:
        """A portal that hangs holds no more than LINES of our threads."""
        if not self._lines.acquire(timeout=TURN_S):
            raise _away("crowded")
        try:
            yield
        finally:
            self._lines.release()

    def _redeemed(self, code: str, verifier: str, now: datetime) -> str:
        doors, ours = self._known_doors(now), self.account
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": ours.redirect_uri,
            "code_verifier": verifier,
        }
        login = None
        if doors.basic:  # each half is encoded as in a form (RFC 6749, 2.3.1)
            login = httpx.BasicAuth(quote_plus(ours.client_id), quote_plus(ours.secret))
        else:
            fields |= {"client_id": ours.client_id, "client_secret": ours.secret}
        status, said = self._ask("POST", doors.token, data=fields, auth=login)
        if status >= 500 or status == 429:
            raise _away(f"token_{status}")
        token = said.get("id_token")
        if status != 200 or not isinstance(token, str):
            word = said.get("error")
            raise Unproven(word[:40] if isinstance(word, str) and word.isidentifier() else f"token_{status}")
        return token

    def _believed(self, token: str, nonce: str, now: datetime) -> str:
        """The staff code a token names; raises Unproven."""
        ours = self.account
        claims = verified(
            token,
            lambda kid, algorithm: self._key(kid, algorithm, now),
            issuer=ours.issuer,
            client_id=ours.client_id,
            nonce=nonce,
            now=now,
        )
        code = claims.get(ours.claim)
        if not (isinstance(code, str) and 0 < len(code) <= MOST_CODE and code.isprintable()):
            raise Unproven("claim")
        return code

    def _key(self, kid: str | None, algorithm: str, now: datetime) -> Key | None:
        with self._lock:
            if self._keys is None or not _within(self._keys[0], KEPT_FOR, now):
                self._keys = self._fetch_keys(now)
            found = chosen(self._keys[1], kid, algorithm)
            if found is None and not _within(self._keys[0], KEYS_AGAIN, now):
                self._keys = self._fetch_keys(now)
                found = chosen(self._keys[1], kid, algorithm)
            return found

    def _fetch_keys(self, now: datetime) -> tuple[datetime, list[Key]]:
        """Call with the lock."""
        return now, self._fetch(self._doors_now(now).keys, _read_keys, now)

    def _known_doors(self, now: datetime) -> Doors:
        with self._lock:
            return self._doors_now(now)

    def _doors_now(self, now: datetime) -> Doors:
        """Call with the lock."""
        if self._doors is None or not _within(self._doors[0], KEPT_FOR, now):
            issuer = self.account.issuer
            address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            self._doors = now, self._fetch(address, lambda said: _read_doors(said, issuer), now)
        return self._doors[1]

    def _fetch(self, address: str, read: Callable[[dict[str, Any]], Read], now: datetime) -> Read:
        """One of its public documents, understood by `read` (ValueError: it is none); call with the lock."""
        if self._failed_at and _within(self._failed_at, DOWN_FOR, now):
            raise _away("still")
        self._failed_at = now
        status, said = self._ask("GET", address)
        try:
            understood = read(said)
        except ValueError as error:
            raise _away(f"document_{status}") from error
        self._failed_at = None
        return understood

    def _ask(self, method: str, address: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer, {} when it is none; raises Refusal 503 `portal_away`."""
        until_s = time.monotonic() + WITHIN_S
        headers = {"accept": "application/json"}
        try:
            with self._client.stream(method, address, headers=headers, **more) as answer:
                said = b""
                for part in answer.iter_bytes():
                    said += part
                    if time.monotonic() > until_s or len(said) > MOST_ANSWER_BYTES:
                        raise _away("endless")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _away(type(error).__name__) from error
        try:
            words = orjson.loads(said)
        except ValueError:  # a proxy's page, or cut short
            words = None
        return answer.status_code, words if isinstance(words, dict) else {}


def _read_doors(said: dict[str, Any], issuer: str) -> Doors:
    """Raises ValueError for a document of another issuer, or with doors that are not safe."""
    if said.get("issuer") != issuer:
        raise ValueError("of another issuer")
    here = urlsplit(issuer).hostname in settings.LOOPBACK

    def door(name: str) -> str:
        address = said.get(name)
        parts = urlsplit(address if isinstance(address, str) else "")
        plain = here and parts.scheme == "http" and parts.hostname in settings.LOOPBACK
        if not (parts.hostname and (parts.scheme == "https" or plain)):
            raise ValueError(name)
        return parts.geturl()

    ways = said.get("token_endpoint_auth_methods_supported")
    return Doors(
        door("authorization_endpoint"),
        door("token_endpoint"),
        door("jwks_uri"),
        basic=not isinstance(ways, list) or "client_secret_basic" in ways,
    )


def _read_keys(said: dict[str, Any]) -> list[Key]:
    keys = said.get("keys")
    if not isinstance(keys, list):
        raise ValueError("no list of keys")
    return [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]


def _within(at: datetime, span: timedelta, now: datetime) -> bool:
    return abs(now - at) < span


def _away(why: str) -> Refusal:
    log.warning("oidc.away why=%s", why)
    return Refusal(
        "portal_away",
        zh="圳应急暂时无法登录。请改用手机验证码登录，或稍后重试。",
        en="The city portal cannot be reached at present. Sign in by one-time code, or try again later.",
        status=503,
    )
