"""Huawei Push Kit, REST v1: phones with HMS (HarmonyOS up to 4.x and EMUI), one request a device.

Owns what a bulletin looks like there and Huawei's error codes. One request could carry 1,000 tokens, but then all of
them the same data: the person's id would not reach the phone. `category` is what lets a message ring on a locked phone
("service and communication"); Huawei grants it on application (自分类权益), WORK for duty. Phones with HarmonyOS NEXT are
reached by v3, which is not spoken here. Source: HMS Core, "https-send-api" and its tables of codes, OAuth 2.0 client mode.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import certifi
import orjson
import requests

from .base import Capabilities, Message, Outcome, OutcomeKind, Push, left_s
from .carrier import Bearer, BulkTransport, Letter, NoBearer

ENDPOINT, AUTH_ENDPOINT = "https://push-api.cloud.huawei.com", "https://oauth-login.cloud.huawei.com"
RATE_PER_S = 1000.0  # the app's own QPS stands in AppGallery Connect; above it 503
CATEGORY = "WORK"
BEARER_TIMEOUT_S, BEARER_EARLY_S = 5.0, 300.0
QUOTA_RETRY_S = 2.0
SUCCESS = "80000000"

# Huawei's codes about this device or this message. What is not listed (our account, its rights, their servers) may be
# mended: TEMPORARY.
_KINDS = {
    "80300007": OutcomeKind.DEAD_TOKEN,  # all tokens are invalid; there was one
    "80100000": OutcomeKind.DEAD_TOKEN,  # some were; there was one
    "80100001": OutcomeKind.PERMANENT,  # a parameter
    "80100003": OutcomeKind.PERMANENT,  # the structure
    "80100004": OutcomeKind.PERMANENT,  # it has expired
    "80100013": OutcomeKind.PERMANENT,  # the collapse key
    "80100016": OutcomeKind.PERMANENT,  # sensitive words
    "80100018": OutcomeKind.PERMANENT,  # a third party's review does not match
    "80300008": OutcomeKind.PERMANENT,  # more than 4096 bytes
    "80300010": OutcomeKind.PERMANENT,  # too many tokens, or none
}
_TOKEN, _ID, _TAG = "b4c7b0a8f1d94d4f", "3f0f9a6de5c14be9", "91c2a7e03b5d4c68"  # noqa: S105 - place-holders
_BI_TAG = "5d0e6f1b7a2c4839"


def body(
    message: Message, token: str, message_id: str, tag: str, ttl_s: int, category: str, bi_tag: str = ""
) -> dict[str, Any]:
    """The request for one device. `data` is a text of its own in it, of what the app reads beside the words.

    `bi_tag` comes back in Huawei's receipts: the person's id once more. Phones that are away get everything later
    (collapse_key -1): what replaces what on the screen says the tag. No `urgency`: it is for data messages, and HIGH
    without a right of its own is refused (80300011).
    """
    notification = {
        "title": message.headline,
        "body": message.body,
        "click_action": {"type": 3},
        "tag": tag,
        "channel_id": message.channel,
        "importance": "LOW" if message.quiet else "NORMAL",
        "visibility": "PUBLIC",
        "foreground_show": True,
    }
    android = {
        "collapse_key": -1,
        "bi_tag": bi_tag or message_id,
        "ttl": f"{ttl_s}s",
        "notification": notification,
    } | ({} if message.quiet else {"category": category})
    data = orjson.dumps({**message.fields, "id": message_id}).decode()
    return {"validate_only": False, "message": {"data": data, "android": android, "token": [token]}}


def verdict(key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
    """What Huawei's answer means for one push; any bytes are one."""
    try:
        answer = orjson.loads(body)
        code = str(answer["code"])
        if not (code.isdecimal() and code.isascii()):
            raise ValueError("not one of Huawei's codes")
    except (ValueError, KeyError, TypeError):  # 502, 503 and proxies answer in other words
        busy = status == 503
        wait_s = QUOTA_RETRY_S if busy and retry_after_s is None else retry_after_s
        reason = "FLOW_CONTROL" if busy else f"UNREADABLE {status}"
        return Outcome(key, OutcomeKind.TEMPORARY, reason, retry_after_s=wait_s, ours=busy)
    if code == SUCCESS:
        return Outcome(key, OutcomeKind.SENT, vendor_id=str(answer.get("requestId", ""))[:64])
    return Outcome(key, _KINDS.get(code, OutcomeKind.TEMPORARY), code[:64], retry_after_s=retry_after_s)


def access_token(endpoint: str, app_id: str, app_secret: str, ca_file: str | None) -> Bearer:
    """The OAuth access token of the app, by its secret (client credentials)."""
    session = requests.Session()
    session.trust_env = False
    form = {"grant_type": "client_credentials", "client_id": app_id, "client_secret": app_secret}

    def ask() -> tuple[str, float]:
        try:
            answer = session.post(
                f"{endpoint.rstrip('/')}/oauth2/v3/token",
                data=form,
                timeout=BEARER_TIMEOUT_S,
                verify=ca_file or certifi.where(),
                allow_redirects=False,
            )
            said = answer.json()
            return f"authorization: Bearer {said['access_token']}", float(said["expires_in"])
        except requests.RequestException as fault:  # a body that is no JSON is one too
            raise NoBearer(type(fault).__name__) from None
        except (KeyError, TypeError, ValueError):
            raise NoBearer(f"{answer.status_code} without a token") from None

    return Bearer(ask, early_s=BEARER_EARLY_S)


class HuaweiTransport(BulkTransport):
    """Pushes through Huawei."""

    name = "huawei"
    capabilities = Capabilities(receipts=False, ttl_max_s=15 * 24 * 3600)
    headers = ("content-type: application/json;charset=UTF-8",)
    stale = frozenset({"80200001", "80200003"})

    def __init__(
        self,
        app_id: str,
        bearer: Bearer,
        *,
        category: str = CATEGORY,
        endpoint: str = ENDPOINT,
        rate_per_s: float = RATE_PER_S,
        **carried: Any,
    ) -> None:
        """`category`: the message class that Huawei has granted the app."""
        self._category = category
        super().__init__(
            f"{endpoint.rstrip('/')}/v1/{app_id}/messages:send",
            bearer,
            rate_per_s=rate_per_s,
            **carried,
        )

    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        ttl_s = max(left_s(message, now, self.capabilities.ttl_max_s), 1)
        text = orjson.dumps(body(message, _TOKEN, _ID, _TAG, ttl_s, self._category, _BI_TAG)).replace(
            b"%", b"%%"
        )
        for word, place in ((_TOKEN, b"%(token)b"), (_TAG, b"%(tag)b"), (_BI_TAG, b"%(bi_tag)b")):
            text = text.replace(b'"%b"' % word.encode(), place)
        text = text.replace(_ID.encode(), b"%(id)b")

        def letter(push: Push) -> Letter:
            # the id stands in a JSON text inside a JSON text
            inner = orjson.dumps(orjson.dumps(push.message_id).decode()[1:-1])[1:-1]
            places = {
                b"token": orjson.dumps(push.token),
                b"id": inner,
                b"bi_tag": orjson.dumps(push.message_id),
                b"tag": orjson.dumps(push.tag or push.message_id),
            }
            return Letter(text % places)

        return letter

    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        return verdict(key, status, body, retry_after_s)
