"""The local JPush v3: `POST /v3/push/batch/regid/single` and `GET /v3/push/cid`, with HTTP Basic.

Fields, limits and codes after docs.jiguang.cn, "Push API v3", "批量单推 API", "推送唯一标识符 cid". A cid that has gone out
before gets the first answer again and is not pushed again.
"""

import secrets
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import orjson

from .desk import BROKEN, Desk, Reply, Taken
from .identity import PROJECT, Identity

MOST_CIDS = 1000
ANDROID_BYTES, IOS_BYTES = 4000, 2000
KNOWN = frozenset(("platform", "target", "notification", "message", "sms_message", "options", "callback"))
REMEMBERED = 100_000
# the table of codes: HTTP status and words
CODES = {
    "1000": (500, "Internal error"),
    "1001": (405, "Only POST is supported"),
    "1002": (400, "A required parameter is missing"),
    "1003": (400, "A parameter is invalid: registration_id"),
    "1004": (401, "Authen failed"),
    "1005": (400, "The message is too large"),
    "1008": (400, "The app_key is invalid"),
    "1009": (400, "A key of the message is not supported"),
    "1011": (400, "cannot find user by this audience"),
    "1012": (400, "Too many slow pushes"),
    "1020": (404, "Only HTTPS is supported"),
    "1030": (503, "Internal service timeout"),
    "2002": (429, "Rate limit exceeded"),
    "2003": (403, "This app_key is blocked"),
    "2004": (403, "This IP is not allowed"),
    "2005": (403, "Too many messages to these users"),
    "2006": (403, "For VIP only"),
    "2007": (403, "No right to this interface"),
}
OF_ONE = frozenset(("1002", "1003", "1005", "1009", "1011", "1012"))  # said of one push of a batch


def _error(code: str) -> dict[str, object]:
    return {"error": {"code": int(code), "message": CODES[code][1]}}


def _of(code: str) -> Reply:
    return Reply.of(_error(code), CODES[code][0])


class Jpush(Desk):
    name, path = "jpush", "/v3/push/batch/regid/single"
    refusals = {
        "unregistered": _of("1011"),
        "mismatch": _of("1003"),
        "internal": _of("1000"),
        "quota": _of("2002"),
        "unavailable": _of("1030"),
    }

    def __init__(self, taken: Taken, identity: Identity) -> None:
        super().__init__(taken)
        pair = b64encode(f"{PROJECT}:{identity.secret}".encode()).decode()
        self._basic = f"Basic {pair}"
        self._given: set[str] = set()  # cids
        self._results: dict[str, dict[str, object]] = {}  # of cids that have been pushed

    def _answer(self, path: str, headers: Any, body: bytes) -> Reply:
        if self.faults.refuse_bearers or headers.get("authorization") != self._basic:
            return _of("1004")
        try:
            pushes = orjson.loads(body)["pushlist"]
            first = next(iter(pushes))
        except (ValueError, KeyError, TypeError, StopIteration):
            return _of("1002")
        if len(pushes) > MOST_CIDS:
            return _of("1003")
        # what befalls the whole request is drawn once, by its first push
        word = self._moment() or self._drawn(str(pushes[first].get("target")), first)
        if word not in ("", "lost"):
            return self._refuse(word)
        results = {}
        for cid, push in pushes.items():
            result = self._results.get(cid) or self._one(cid, push)
            code = str(result.get("error", {}).get("code", ""))  # type: ignore[attr-defined]
            if code and code not in OF_ONE:
                return _of(code)
            results[cid] = result
        return BROKEN if word else Reply.of(results)

    def _one(self, cid: str, push: dict[str, Any]) -> dict[str, object]:
        target = str(push.get("target") or "")
        words = push.get("notification") or push.get("message")
        if not target or not words or not push.get("platform") or cid not in self._given:
            return _error("1002")
        if not KNOWN.issuperset(push):
            return _error("1009")
        android, ios = words.get("android", words), words.get("ios")
        if len(orjson.dumps(android)) > ANDROID_BYTES or (ios and len(orjson.dumps(ios)) > IOS_BYTES):
            return _error("1005")
        word = self._of_token(target)
        if word:
            return _error({"unregistered": "1011", "mismatch": "1003"}.get(word, word))
        extras = android.get("extras", {})
        self.taken.take(self.name, target, str(extras.get("id", "")), extras)
        if wish := push.get("callback"):
            self.taken.receipts.took(self.name, target, str(wish.get("params", {}).get("id", "")))
        if len(self._results) > REMEMBERED:
            self._results.clear()
        result = self._results[cid] = {"msg_id": str(secrets.randbits(53))}
        return result

    def _coded(self, code: str) -> Reply | None:
        return _of(code)

    def other(self, method: str, path: str, query: str, headers: Any, body: bytes) -> Reply | None:
        if (method, path) != ("GET", "/v3/push/cid"):
            return None
        if self.faults.refuse_assertions or headers.get("authorization") != self._basic:
            return _of("1004")
        count = int(parse_qs(query).get("count", ["1"])[0])
        if not 0 < count <= MOST_CIDS:
            return _of("1003")
        fresh = [f"{PROJECT}-{uuid4()}" for _ in range(count)]
        if len(self._given) > REMEMBERED:
            self._given.clear()
        self._given.update(fresh)
        self.bearers_issued += 1
        return Reply.of({"cidlist": fresh})
