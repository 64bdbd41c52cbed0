"""A signed JSON POST to one of our gateways for text messages and calls, and what came back.

Owns the signature, the time-outs and the reading of an answer (docs/telephony.md); a single post as well (`Gateway`).
Many at once go through notifications/transports/gateway.py. Does not know what is said to whom, nor what an answer means
for the ledger. Nothing of a body is ever logged.
"""

import ssl
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from urllib.parse import urlsplit

import certifi
import httpx
import orjson
from django.conf import settings

from foundation.signatures import sign

KEY_HEADER = "X-Gateway-Key"
TIME_HEADER = "X-Gateway-Time"
SIGNATURE_HEADER = "X-Gateway-Signature"
CONNECT_S, ANSWER_S = 2.0, 5.0
MOST_ANSWER_BYTES = 64 * 1024
WITHIN_S = CONNECT_S + ANSWER_S
LINES = 16  # requests at once to one gateway


@dataclass(frozen=True, slots=True)
class Account:
    """One channel's gateway: where it is, who we are there, the secret that signs both directions."""

    endpoint: str
    key: str
    secret: str
    ca_file: str | None
    callback_url: str  # where it is to report; empty: it was told so when the account was made

    @property
    def here(self) -> bool:
        """On this machine: a stand-in, no network of real telephones."""
        return urlsplit(self.endpoint).hostname in settings.LOOPBACK


def account(channel: str) -> Account | None:
    """The gateway of "sms" or "voice" from the settings; None when there is none."""
    name = channel.upper()
    given = [
        getattr(settings, f"{name}_{part}")
        for part in ("ENDPOINT", "KEY", "SECRET", "CA_FILE", "CALLBACK_URL")
    ]
    return Account(*given) if given[0] else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; with a `fault` (TIMEOUT, CONNECTION, UNREADABLE) nobody knows whether it was taken."""

    status: int = 0
    code: str = ""  # the gateway's own word for a refusal
    vendor_id: str = ""
    retry_after_s: float | None = None
    fault: str = ""


def signed(account: Account, fields: dict[str, object], at: datetime) -> tuple[bytes, dict[str, str]]:
    """The body of one post, and what proves beside KEY_HEADER that it is ours, as of the aware instant `at`."""
    body, stamp = orjson.dumps(fields), at.isoformat(timespec="seconds")
    return body, {TIME_HEADER: stamp, SIGNATURE_HEADER: sign(account.secret, stamp, body)}


class Gateway:
    """One gateway's connections; may be used by several threads at once."""

    def __init__(self, account: Account) -> None:
        """Raises OSError or ssl.SSLError when the CA file cannot be read."""
        self.account = account
        plain = account.endpoint.startswith("http:")
        self._client = httpx.Client(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            verify=True if plain else ssl.create_default_context(cafile=account.ca_file or certifi.where()),
            limits=httpx.Limits(
                max_connections=LINES + 4, max_keepalive_connections=LINES, keepalive_expiry=30
            ),
            follow_redirects=False,  # a signed body goes where it was meant to go
            trust_env=False,
        )

    def post(self, fields: dict[str, object], at: datetime) -> Reply:
        """One POST, signed at the aware instant `at`; answers or faults within about 7 s, never raises.

        A gateway that lets its answer drip is given up after 17 s at most.
        """
        body, proof = signed(self.account, fields, at)
        headers = {"content-type": "application/json", KEY_HEADER: self.account.key, **proof}
        until_s = time.monotonic() + WITHIN_S
        try:
            with self._client.stream("POST", self.account.endpoint, content=body, headers=headers) as answer:
                said = b""
                for part in answer.iter_bytes():
                    said += part
                    if time.monotonic() > until_s:
                        return Reply(fault="TIMEOUT")
                    if len(said) > MOST_ANSWER_BYTES:
                        return Reply(fault="UNREADABLE")
                after = answer.headers.get("retry-after", "")
                return read(
                    answer.status_code, said, float(after) if after.isdecimal() and len(after) < 8 else None
                )
        except httpx.TimeoutException:
            return Reply(fault="TIMEOUT")
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Reply(fault="CONNECTION")

    def close(self) -> None:
        self._client.close()


@cache
def gateway(account: Account) -> Gateway:
    """This process's connections to that gateway."""
    return Gateway(account)


def read(status: int, said: bytes, retry_after_s: float | None) -> Reply:
    """An answer in our own words; any bytes are one."""
    try:
        words = orjson.loads(said or b"{}")
        code, vendor_id = (str(words.get(name, ""))[:64] for name in ("code", "message_id"))
    except (ValueError, AttributeError):  # a proxy's page, or cut short
        code = vendor_id = ""
        if 200 <= status < 300:
            return Reply(status, fault="UNREADABLE")
    return Reply(status, code if code.isidentifier() else "", vendor_id, retry_after_s)
