"""The local Firebase Cloud Messaging: `POST /v1/projects/standin/messages:send`, and `POST /token` for a bearer.

Which request is right stands in fcm_v1.py.
"""

import secrets
import time
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson

from . import fcm_v1
from .desk import Desk, Reply, Taken
from .identity import PROJECT, Identity

GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"  # google-auth claims it whatever token_uri says
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = {f"https://www.googleapis.com/auth/{word}" for word in ("firebase.messaging", "cloud-platform")}

_UNAUTHENTICATED = Reply(
    401, fcm_v1.refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
)
_CODES = {
    "THIRD_PARTY_AUTH_ERROR": Reply(
        401, fcm_v1.refusal(401, "UNAUTHENTICATED", "Auth error from APNS", "THIRD_PARTY_AUTH_ERROR")
    )
}
_NAME = b'{"name":"projects/%b/messages/%%b"}' % PROJECT.encode()


class Fcm(Desk):
    name, path = "fcm", f"/v1/projects/{PROJECT}/messages:send"
    refusals = {
        "unregistered": Reply(
            404, fcm_v1.refusal(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
        ),
        "mismatch": Reply(
            403, fcm_v1.refusal(403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH")
        ),
        "internal": Reply(500, fcm_v1.refusal(500, "INTERNAL", "Internal error encountered.", "INTERNAL")),
        "quota": Reply(
            429,
            fcm_v1.refusal(
                429, "RESOURCE_EXHAUSTED", "Quota exceeded for messages per minute.", "QUOTA_EXCEEDED"
            ),
        ),
        "unavailable": Reply(
            503, fcm_v1.refusal(503, "UNAVAILABLE", "The service is unavailable.", "UNAVAILABLE")
        ),
    }

    def __init__(self, taken: Taken, identity: Identity | None = None) -> None:
        super().__init__(taken)
        self._identity = identity

    def _answer(self, path: str, headers: Any, body: bytes) -> Reply:
        if not self._admits(headers.get("authorization")):
            return _UNAUTHENTICATED
        try:
            request = orjson.loads(body)
            message = fcm_v1.check_request(request, len(body))
        except orjson.JSONDecodeError:
            return Reply(
                400, fcm_v1.bad_request(fcm_v1.Fault("Invalid JSON payload received", path="message"))
            )
        except fcm_v1.Fault as fault:
            return Reply(400, fcm_v1.bad_request(fault))
        if request.get("validate_only") or request.get("validateOnly"):
            return Reply(200, _NAME % b"fake_message_id")
        token = str(next(message[name] for name in fcm_v1.TARGETS if message.get(name) is not None))
        return self._push(
            token, message.get("data") or {}, Reply(200, _NAME % b"0:%d" % (self.taken.number + 1))
        )

    def _coded(self, code: str) -> Reply | None:
        return _CODES.get(code)

    def other(self, method: str, path: str, query: str, headers: Any, body: bytes) -> Reply | None:
        return self._token(body) if (method, path) == ("POST", "/token") else None

    def _token(self, body: bytes) -> Reply:
        """Google's token endpoint: a signed assertion for a bearer of limited life."""
        assert self._identity is not None
        if self.faults.refuse_assertions:
            return Reply.of({"error": "invalid_grant", "error_description": "Account not found"}, 400)
        form = parse_qs(body.decode("latin-1"))
        if form.get("grant_type") != [GRANT]:
            return Reply.of(
                {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400
            )
        try:
            claims = jwt.decode(
                form.get("assertion", [""])[0],
                self._identity.public_key,
                algorithms=["RS256"],
                audience=[self._identity.token_uri, GOOGLE_AUDIENCE],
                issuer=self._identity.client_email,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as wrong:
            return Reply.of({"error": "invalid_grant", "error_description": f"Invalid JWT: {wrong}"}, 400)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return Reply.of({"error": "invalid_scope", "error_description": "No messaging scope"}, 400)
        bearer, life_s = secrets.token_urlsafe(24), self.faults.bearer_life_s
        self.bearers_issued += 1
        self.bearers[f"Bearer {bearer}"] = time.monotonic() + life_s
        return Reply.of({"access_token": bearer, "expires_in": life_s, "token_type": "Bearer"})
