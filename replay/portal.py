"""What the local stand-in for the city's portal (圳应急) remembers and how it misbehaves: an OpenID provider in small.

Knows no network and no clock. SYNTHETIC: whoever types a staff code is that person, there is no password, so it listens on
this machine only (portal_server.py). Checks what a real one checks: client, redirect address, PKCE, each code once.
"""

import base64
import hashlib
import hmac
import secrets
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from .vendors.desk import changed

CODE_LIFE_S, TOKEN_LIFE_S = 60, 300
# what an ID token may have wrong with it
WRONG = frozenset(
    {"", "nonce", "aud", "iss", "azp", "expired", "early", "none", "hs256", "forged", "unnamed", "nameless"}
)


@dataclass(frozen=True, slots=True)
class Faults:
    """How the portal behaves; all off: well."""

    down: bool = False  # everything 503
    token_down: bool = False  # the token endpoint only: 503
    refuse: bool = False  # every code: 400 invalid_grant
    garbled: bool = False  # every document is a page, not JSON
    other_issuer: bool = False  # the discovery document is somebody else's
    post_only: bool = False  # wants the client's secret in the body
    hidden_key: bool = False  # the newest key signs but is not published
    wrong: str = ""  # of an ID token; one of WRONG


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: JSON from a mapping, a page from a text; `location` sends the browser on."""

    status: int
    body: Mapping[str, object] | str
    location: str = ""


@dataclass(frozen=True, slots=True)
class _Grant:
    asked: Mapping[str, str]
    staff_code: str
    until_s: float


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    algorithm: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class CityPortal:
    """The provider: its client, keys, codes under way. Several threads may ask at once."""

    def __init__(self, issuer: str, client_id: str, secret: str, redirect_uri: str) -> None:
        self.issuer, self.client_id, self.secret, self.redirect_uri = issuer, client_id, secret, redirect_uri
        self.faults = Faults()
        self._lock = threading.Lock()
        self._keys: list[_Key] = []
        self._made = 0
        self.rotate()
        self.forget()

    def misbehave(self, wishes: Mapping[str, Any], *, only: bool = False) -> None:
        """Change these faults, or with `only` have these and no others; ValueError on a wrong one."""
        faults = changed(Faults() if only else self.faults, dict(wishes))
        if faults.wrong not in WRONG:
            raise ValueError(f"wrong: one of {sorted(WRONG)}")
        self.faults = faults

    def forget(self) -> None:
        """Drop the counters and the codes under way; the keys stay."""
        self.asked: Counter[str] = Counter()
        self._grants: dict[str, _Grant] = {}

    def rotate(self) -> None:
        """Sign with a new key from now on, RS256 and ES256 by turns; the former ones stay published."""
        self._made += 1
        kid = f"key-{self._made}"
        new: _Key
        if self._made % 2 == 0:
            new = _Key(kid, "ES256", ec.generate_private_key(ec.SECP256R1()))
        else:
            new = _Key(kid, "RS256", _rsa())
        self._keys.append(new)

    def retire(self) -> None:
        """Publish only the key that signs."""
        self._keys = self._keys[-1:]

    def counters(self) -> dict[str, object]:
        return {"asked": dict(self.asked), "keys": len(self._keys), "faults": asdict(self.faults)}

    def discovery(self) -> Reply:
        return self._document(
            "discovery",
            {
                "issuer": "https://elsewhere.example" if self.faults.other_issuer else self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post" if self.faults.post_only else "client_secret_basic"
                ],
            },
        )

    def keys(self) -> Reply:
        published = self._keys[:-1] if self.faults.hidden_key else self._keys
        return self._document("keys", {"keys": [_public(key) for key in published]})

    def page(self, asked: Mapping[str, str]) -> Reply:
        """The form where somebody says who he is."""
        if wrong := self._unwelcome(asked):
            return wrong
        kept = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in asked.items()
        )
        return Reply(
            200,
            "<!DOCTYPE html><html lang='zh-CN'><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'><title>圳应急【模拟】</title>"
            "<h1>圳应急【模拟】 City portal (stand-in)</h1><form method='post'>"
            f"{kept}<label>工号 Staff code <input name='staff_code' required autofocus></label> "
            "<button>登录 Sign in</button> <button name='deny' value='1' formnovalidate>拒绝 Deny</button></form>",
        )

    def authorize(self, asked: Mapping[str, str], now_s: float) -> Reply:
        """The form came back: on to the client with a code."""
        if wrong := self._unwelcome(asked):
            return wrong
        back = {"state": asked.get("state", ""), "iss": self.issuer}
        if asked.get("deny") or not asked.get("staff_code"):
            back |= {"error": "access_denied"}
        else:
            code = secrets.token_urlsafe(24)
            self._grants[code] = _Grant(dict(asked), asked["staff_code"], now_s + CODE_LIFE_S)
            back |= {"code": code}
        return Reply(303, "", f"{self.redirect_uri}?{urlencode(back)}")

    def token(self, authorization: str, form: Mapping[str, str], now_s: float) -> Reply:
        """An ID token for a code, once; `authorization` is the header, empty when there is none."""
        self.asked["token"] += 1
        if self.faults.down or self.faults.token_down:
            return Reply(503, {"error": "temporarily_unavailable"})
        if not self._is_client(authorization, form):
            return Reply(401, {"error": "invalid_client"})
        with self._lock:
            grant = self._grants.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            grant is None
            or self.faults.refuse
            or now_s >= grant.until_s
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != self.redirect_uri
            or challenge.rstrip(b"=").decode() != grant.asked["code_challenge"]
        ):
            return Reply(400, {"error": "invalid_grant"})
        signed = self._id_token(grant, int(now_s))
        return Reply(
            200, {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "id_token": signed}
        )

    def _unwelcome(self, asked: Mapping[str, str]) -> Reply | None:
        """Never sends a browser to an address that is not the client's."""
        self.asked["authorize"] += 1
        if self.faults.down:
            return Reply(503, "圳应急【模拟】维护中 down")
        wanted = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge_method": "S256",
        }
        wrong = [name for name, value in wanted.items() if asked.get(name) != value]
        wrong += [name for name in ("code_challenge", "state", "nonce") if not asked.get(name)]
        wrong += [] if "openid" in asked.get("scope", "").split() else ["scope"]
        return Reply(400, f"wrong: {', '.join(wrong)}") if wrong else None

    def _document(self, name: str, body: Mapping[str, object]) -> Reply:
        self.asked[name] += 1
        if self.faults.down:
            return Reply(503, {"error": "temporarily_unavailable"})
        return Reply(200, "<html>maintenance</html>" if self.faults.garbled else body)

    def _is_client(self, authorization: str, form: Mapping[str, str]) -> bool:
        if self.faults.post_only:
            said = form.get("client_id", ""), form.get("client_secret", "")
        else:
            try:
                login = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            except ValueError:
                return False
            user, _, password = login.partition(":")
            said = unquote_plus(user), unquote_plus(password)
        return said[0] == self.client_id and hmac.compare_digest(said[1].encode(), self.secret.encode())

    def _id_token(self, grant: _Grant, now_s: int) -> str:
        key, wrong = self._keys[-1], self.faults.wrong
        claims: dict[str, object] = {
            "iss": "https://elsewhere.example" if wrong == "iss" else self.issuer,
            "sub": grant.staff_code,
            "aud": "somebody-else" if wrong == "aud" else self.client_id,
            "iat": now_s + 3600 if wrong == "early" else now_s,
            "exp": now_s - TOKEN_LIFE_S if wrong == "expired" else now_s + TOKEN_LIFE_S,
            "nonce": "another" if wrong == "nonce" else grant.asked["nonce"],
            "employee_number": grant.staff_code,
        }
        if wrong == "azp":
            claims |= {"aud": [self.client_id, "somebody-else"], "azp": "somebody-else"}
        if wrong == "nameless":
            claims["sub"] = ""
        if wrong == "none":
            return f"{_b64(orjson.dumps({'alg': 'none', 'kid': key.kid}))}.{_b64(orjson.dumps(claims))}."
        if wrong == "hs256":
            return _signed_with_public_key(claims, key)
        signer = key.private
        if wrong == "forged":  # the right name, somebody else's key
            rs256 = key.algorithm == "RS256"
            signer = _rsa() if rs256 else ec.generate_private_key(ec.SECP256R1())
        headers = {} if wrong == "unnamed" else {"kid": key.kid}
        return jwt.encode(claims, signer, algorithm=key.algorithm, headers=headers)


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _public(key: _Key) -> dict[str, object]:
    public = key.private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    return jwk | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _signed_with_public_key(claims: Mapping[str, object], key: _Key) -> str:
    """HS256 with our public key for a secret: believed by whoever lets the token choose the algorithm."""
    secret = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _b64(orjson.dumps({"alg": "HS256", "typ": "JWT", "kid": key.kid}))
    body = _b64(orjson.dumps(claims))
    return f"{head}.{body}.{_b64(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
