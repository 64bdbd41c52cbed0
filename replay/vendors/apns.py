"""The local Apple Push Notification service: `POST /3/device/TOKEN` with a signed provider token.

Headers, limits and reasons after Apple's "Sending notification requests to APNs" and "Handling notification responses".
"""

import time
from typing import Any

import jwt
import orjson

from .desk import Desk, Reply, Taken
from .identity import TOPIC, Identity

KEY_ID, TEAM_ID = "STANDINKEY", "STANDTEAM1"
PAYLOAD_BYTES, COLLAPSE_BYTES = 4096, 64
OLDEST_S = 3600
PUSH_TYPES = frozenset(
    (
        *("alert", "background", "location", "voip", "complication"),
        *("fileprovider", "mdm", "liveactivity", "pushtotalk"),
    )
)
# the table of reasons
REASONS = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}


def _of(reason: str) -> Reply:
    words = {"reason": reason, **({"timestamp": 1_760_000_000_000} if REASONS[reason] == 410 else {})}
    return Reply.of(words, REASONS[reason])


class Apns(Desk):
    name, path = "apns", "/3/device/"
    refusals = {
        "unregistered": _of("Unregistered"),
        "mismatch": _of("DeviceTokenNotForTopic"),
        "internal": _of("InternalServerError"),
        "quota": _of("TooManyRequests"),
        "unavailable": _of("ServiceUnavailable"),
    }

    def __init__(self, taken: Taken, identity: Identity) -> None:
        super().__init__(taken)
        self._identity = identity

    def _answer(self, path: str, headers: Any, body: bytes) -> Reply:
        token = path.removeprefix(self.path)
        wrong = self._wrong_proof(headers.get("authorization") or "") or _wrong_headers(headers, token, body)
        if wrong:
            return _of(wrong)
        try:
            words = orjson.loads(body)
            alert = words["aps"]["alert"]
            data = {name: text for name, text in words.items() if name != "aps"}
        except (ValueError, KeyError, TypeError):
            return _of("PayloadEmpty")
        return self._push(token, data, Reply(200, b"")) if alert else _of("PayloadEmpty")

    def _wrong_proof(self, authorization: str) -> str:
        """The reason that speaks against the provider token; empty when it is good. A good one is read once."""
        if self.faults.refuse_bearers:
            return "ExpiredProviderToken"
        ends_s = self.bearers.get(authorization)
        if ends_s is None:
            kind, _, signed = authorization.partition(" ")
            if kind != "bearer" or not signed:
                return "MissingProviderToken"
            try:
                known = jwt.get_unverified_header(signed).get("kid") == KEY_ID
                claims = jwt.decode(
                    signed,
                    self._identity.apns_key,
                    algorithms=["ES256"],
                    issuer=TEAM_ID,
                    options={"require": ["iat", "iss"]},
                )
            except jwt.InvalidTokenError:
                return "InvalidProviderToken"
            if not known:
                return "InvalidProviderToken"
            life_s = min(OLDEST_S, self.faults.bearer_life_s)
            ends_s = self.bearers[authorization] = time.monotonic() + claims["iat"] + life_s - time.time()
            self.bearers_issued += 1
        return "" if ends_s >= time.monotonic() else "ExpiredProviderToken"

    def _coded(self, code: str) -> Reply | None:
        return _of(code)


def _wrong_headers(headers: Any, token: str, body: bytes) -> str:
    if not token:
        return "MissingDeviceToken"
    if headers.get("apns-topic") != TOPIC:
        return "BadTopic" if headers.get("apns-topic") else "MissingTopic"
    if headers.get("apns-push-type", "alert") not in PUSH_TYPES:
        return "InvalidPushType"
    if headers.get("apns-priority", "10") not in ("1", "5", "10"):
        return "BadPriority"
    if not (headers.get("apns-expiration") or "0").isdecimal():
        return "BadExpirationDate"
    if len((headers.get("apns-collapse-id") or "").encode()) > COLLAPSE_BYTES:
        return "BadCollapseId"
    return "PayloadTooLarge" if len(body) > PAYLOAD_BYTES else ""
