"""An ID token, believed or not: signature, whose, for whom, of which flow, of now (OpenID Connect Core 1.0, 3.1.3.7).

Functions of the token, the keys and `now`: no network, no settings. Keys are those of a JWKS (RFC 7517). The portal's
network is in portal.py.
"""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import jwt

# asymmetric only (RFC 8725, 3.1): with HS256 whoever knows a public key, or our secret, could sign
ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}  # and the type of their keys
LEEWAY_S = 60  # between the portal's clock and ours

Key = dict[str, Any]
KeyFor = Callable[[str | None, str], Key | None]  # by its name, if the token says one, and algorithm


class Unproven(Exception):
    """What the portal sent proves nobody; the text says why in a word and holds nothing that was sent."""


def verified(
    token: str, key_for: KeyFor, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> dict[str, Any]:
    """The claims of a token that is genuine, for us, of this flow and of now; raises Unproven."""
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Unproven("algorithm")
        key = key_for(header.get("kid"), algorithm)
        if key is None:
            raise Unproven("key")
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm),
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            options={
                "require": ["iss", "sub", "aud", "exp", "iat"],
                "enforce_minimum_key_length": True,
                # against `now`, below
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as error:
        raise Unproven(type(error).__name__) from error
    _require_now(claims, now.timestamp())
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise Unproven("azp")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise Unproven("nonce")
    return claims


def chosen(keys: Sequence[Key], kid: str | None, algorithm: str) -> Key | None:
    """The key of that name for that algorithm; without a name the only one that fits."""
    fitting = [
        key
        for key in keys
        if key.get("kty") == ALGORITHMS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _require_now(claims: dict[str, Any], now_s: float) -> None:
    instants = {name: claims.get(name, now_s) for name in ("exp", "iat", "nbf")}
    if not all(type(at) in (int, float) for at in instants.values()):
        raise Unproven("times")
    if now_s - LEEWAY_S >= instants["exp"]:
        raise Unproven("expired")
    if max(instants["iat"], instants["nbf"]) > now_s + LEEWAY_S:
        raise Unproven("not_yet")
