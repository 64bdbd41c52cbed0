"""The local Huawei Push Kit v1: `POST /v1/standin/messages:send`, and `POST /oauth2/v3/token` for a bearer.

Field names, limits and codes after HMS Core's "https-send-api" and OAuth 2.0 client mode.
"""

import secrets
import time
from typing import Any
from urllib.parse import parse_qs

import orjson

from .desk import Desk, Reply, Taken
from .identity import PROJECT, Identity

PAYLOAD_BYTES = 4096  # without the tokens
MOST_TOKENS = 1000
LONGEST_TTL_S = 1_296_000
CATEGORIES = frozenset(
    (
        *("IM", "VOIP", "SUBSCRIPTION", "TRAVEL", "HEALTH", "WORK", "ACCOUNT"),
        *("EXPRESS", "FINANCE", "DEVICE_REMINDER", "MAIL", "PLAY_VOICE", "MARKETING"),
    )
)
# the table of codes: HTTP status and words
CODES = {
    "80000000": (200, "Success"),
    "80100000": (200, '{"success":0,"failure":1,"illegal_tokens":["…"]}'),
    "80100001": (400, "UnSupported svc"),
    "80100003": (400, "Illegal payload"),
    "80100004": (400, "Illegal expire time"),
    "80100013": (400, "Illegal collapse_key"),
    "80100016": (400, "Message contains sensitive information"),
    "80100017": (400, "Too many topic tasks"),
    "80100018": (400, "Review verification failed"),
    "80200001": (401, "Authentication error"),
    "80200003": (401, "Access token expired"),
    "80200005": (401, "JSON Web Token expired"),
    "80300002": (400, "No permission to send message to these tmIDs"),
    "80300007": (400, "All tokens are invalid"),
    "80300008": (400, "Message body size exceeds 4096 bytes"),
    "80300010": (400, "Illegal number of tokens"),
    "80300011": (400, "No permission to send high-priority notifications"),
    "80300013": (400, "Illegal receipt address"),
    "80600003": (500, "Failed to request the OAuth service"),
    "81000001": (500, "System inner error"),
}


def _of(code: str) -> Reply:
    status, words = CODES[code]
    return Reply.of({"code": code, "msg": words, "requestId": ""}, status)


class Huawei(Desk):
    name, path = "huawei", f"/v1/{PROJECT}/messages:send"
    refusals = {
        "unregistered": _of("80300007"),
        "mismatch": _of("80300002"),
        "internal": _of("81000001"),
        "quota": Reply(503, b"<html>flow control</html>", (("content-type", "text/html"),)),
        "unavailable": Reply(502, b"<html>Bad Gateway</html>", (("content-type", "text/html"),)),
    }

    def __init__(self, taken: Taken, identity: Identity) -> None:
        super().__init__(taken)
        self._identity = identity

    def _answer(self, path: str, headers: Any, body: bytes) -> Reply:
        authorization = headers.get("authorization")
        if not self._admits(authorization):
            return _of("80200003" if authorization in self.bearers else "80200001")
        try:
            message = orjson.loads(body)["message"]
            tokens, android = message["token"], message["android"]
            data = orjson.loads(message["data"])
            note = android["notification"]
            whole = note["title"] and note["body"] and note["click_action"]["type"] in (1, 2, 3)
        except (ValueError, KeyError, TypeError):
            return _of("80100003")
        if not isinstance(tokens, list) or not 0 < len(tokens) <= MOST_TOKENS:
            return _of("80300010")
        if len(body) - sum(len(token.encode()) for token in tokens) > PAYLOAD_BYTES:
            return _of("80300008")
        if not whole or android.get("category", "WORK") not in CATEGORIES:
            return _of("80100003")
        if android.get("collapse_key", -1) not in range(-1, 101):
            return _of("80100013")
        if not 0 < int(str(android.get("ttl", "86400s")).removesuffix("s")) <= LONGEST_TTL_S:
            return _of("80100004")
        success = Reply.of({"code": "80000000", "msg": "Success", "requestId": secrets.token_hex(8)})
        # the stand-in knows one a request
        return self._push(tokens[0], data, success, str(android.get("bi_tag", "")))

    def _coded(self, code: str) -> Reply | None:
        return _of(code)

    def other(self, method: str, path: str, query: str, headers: Any, body: bytes) -> Reply | None:
        if (method, path) != ("POST", "/oauth2/v3/token"):
            return None
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        wanted = {
            "grant_type": "client_credentials",
            "client_id": PROJECT,
            "client_secret": self._identity.secret,
        }
        if self.faults.refuse_assertions or form != wanted:
            return Reply.of({"error": 1101, "sub_error": 20001, "error_description": "invalid client"}, 400)
        bearer, life_s = secrets.token_urlsafe(24), self.faults.bearer_life_s
        self.bearers_issued += 1
        self.bearers[f"Bearer {bearer}"] = time.monotonic() + life_s
        return Reply.of({"access_token": bearer, "expires_in": life_s, "token_type": "Bearer"})
