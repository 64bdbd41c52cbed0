"""Secrets at rest: sealing of short texts and keyed digests, all derived from one root key.

Owns the derivation (HKDF-SHA256, one key per purpose, RFC 5869) and nothing about what is sealed. Sealing is
Fernet (AES-128-CBC + HMAC-SHA256); the same text seals differently each time, so look things up by digest.
"""

import base64
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class BrokenSeal(ValueError):
    """The bytes were sealed under another PHONE_KEY, or were changed since."""


def seal(text: str, purpose: str = "seal") -> bytes:
    """Encrypt a text under the purpose's key of PHONE_KEY: printable bytes, about 100 for a phone number."""
    return _fernet(settings.PHONE_KEY, purpose).encrypt(text.encode())


def unseal(sealed: bytes | memoryview, purpose: str = "seal") -> str:
    """The text that was sealed for this purpose; raises BrokenSeal."""
    try:
        return _fernet(settings.PHONE_KEY, purpose).decrypt(bytes(sealed)).decode()
    except InvalidToken:
        raise BrokenSeal("sealed under another PHONE_KEY, or changed since") from None


def keyed_digest(text: str, purpose: str) -> str:
    """HMAC-SHA256 in hex (64 characters) under the purpose's own key: equal texts, equal digests."""
    return hmac.digest(_key(settings.PHONE_KEY, purpose), text.encode(), "sha256").hex()


@lru_cache(maxsize=64)
def _key(root: str, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"yijiantong {purpose}".encode()).derive(root.encode())


@lru_cache(maxsize=8)
def _fernet(root: str, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_key(root, purpose)))
