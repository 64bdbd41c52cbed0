"""JPush (极光), REST v3: one aggregator in front of the channels of Xiaomi, OPPO, vivo, Honor, Meizu and the rest.

Owns what a bulletin looks like there and its error codes. It goes by the batch of single pushes (批量单推), each with a
payload and an answer of its own, because the person's id must reach the phone and every push needs its own result; an
account must have it enabled (else 2006, 2007). Each push is named by a cid that JPush hands out beforehand. Android
cannot replace by a name of ours, so what only renews goes as a message to the app, which redraws its own line.
Source: docs.jiguang.cn, "Push API v3", "批量单推 API", "推送唯一标识符 cid".
"""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any

import certifi
import orjson
import pycurl

from .base import Capabilities, Message, Outcome, OutcomeKind, Push, left_s
from .carrier import Bearer, BulkTransport, Letter, NoBearer
from .courier import Answer

ENDPOINT = "https://api.jpush.cn"
RATE_PER_S = 400 / 60  # requests: an app has 600 a minute, and every second one costs another for cids
BATCH = 500  # they take 1,000; half of it keeps a request below a megabyte
CIDS_AT_ONCE = 1000
CIDS_WITHIN_S = 3.0  # nothing else of the sender goes on meanwhile: see carrier.py's HELD_UP_S
CIDS_KEPT_S = 12 * 3600.0  # they are good for a day
QUOTA_RETRY_S = 6.0
SYSTEM = 1  # classification: 系统消息; 0 is 运营消息, which vendors count and hold back
FOREVER_S = 1e9

# JPush's codes about this device or this message. What is not listed (our account, its rights, their servers) may be
# mended: TEMPORARY.
_KINDS = {
    "1011": OutcomeKind.DEAD_TOKEN,  # nobody has this registration id
    "1002": OutcomeKind.PERMANENT,  # a parameter is missing
    "1005": OutcomeKind.PERMANENT,  # too large
    "1009": OutcomeKind.PERMANENT,  # a key it does not know
    "1012": OutcomeKind.PERMANENT,  # more slow pushes than allowed
}
_TOO_FAST = "2002"
CAME_AND_CLICKED = 3  # kinds of receipts, added up: 1 delivered, 2 clicked, 8 pushed
_TARGET, _ID, _TAG = "6a1f8e7d5b3c4f20", "0d9c8b7a6f5e4d31", "c3b2a190f8e7d6c5"


def payload(
    message: Message,
    target: str,
    message_id: str,
    tag: str,
    ttl_s: int,
    channels: Mapping[str, str],
    production: bool,
    receipts: bool = False,
) -> dict[str, Any]:
    """One push of a batch; `channels`: channel ids that the phones' makers have granted, by maker. With `receipts` JPush
    is asked to say back what came and what was clicked, with the person's id."""
    fields = {**message.fields, "id": message_id}
    loud = "critical" if message.critical and not message.drill else "time-sensitive"
    android = {
        "title": message.headline,
        "alert": message.body,
        "channel_id": message.channel,
        "priority": 2,
        "category": "alarm",
        "extras": fields,
    }
    ios = {
        "alert": {"title": message.headline, "body": message.body},
        "sound": "drill.caf" if message.drill else "default",
        "interruption-level": loud,
        "thread-id": message.thread or "bulletin",
        "extras": fields,
    }
    harmony = {"title": message.headline, "alert": message.body, "category": "WORK", "extras": fields}
    makers: dict[str, dict[str, object]] = {
        "huawei": {"importance": "NORMAL", "category": "WORK"},
        "honor": {"importance": "NORMAL"},
        "vivo": {"classification": SYSTEM, "category": "TODO"},
        "oppo": {"category": "TODO", "notify_level": 16},
    }
    for maker, channel in channels.items():
        makers.setdefault(maker, {})["channel_id"] = channel
    words: dict[str, object] = {"notification": {"android": android, "ios": ios, "hmos": harmony}}
    if message.quiet:
        words = {"message": {"title": message.headline, "msg_content": message.body, "extras": fields}}
    wish = {"callback": {"params": {"id": message_id}, "type": CAME_AND_CLICKED}} if receipts else {}
    return {
        "platform": "all",
        "target": target,
        **words,
        **wish,
        "options": {
            "time_to_live": ttl_s,
            "apns_production": production,
            "apns_collapse_id": tag,
            "classification": SYSTEM,
            "third_party_channel": makers,
        },
    }


def verdict(key: int, status: int, said: object, retry_after_s: float | None) -> Outcome:
    """What JPush's word about one push means; anything is one. `said`: that push's part of the answer, or the whole."""
    error = said.get("error") if isinstance(said, dict) else None
    if error is None:
        if status == 200 and isinstance(said, dict) and "msg_id" in said:
            return Outcome(key, OutcomeKind.SENT, vendor_id=str(said["msg_id"])[:64])
        return Outcome(key, OutcomeKind.TEMPORARY, f"UNREADABLE {status}", retry_after_s=retry_after_s)
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    if not (code.isdecimal() and code.isascii()):
        return Outcome(key, OutcomeKind.TEMPORARY, f"UNREADABLE {status}", retry_after_s=retry_after_s)
    kind = _KINDS.get(code, OutcomeKind.TEMPORARY)
    if code == "1003":  # a value is wrong: the registration id when it says so, else our message
        about_id = "registration" in str(error.get("message", "")).lower() or error.get("illegal_rids")
        kind = OutcomeKind.DEAD_TOKEN if about_id else OutcomeKind.PERMANENT
    if code == _TOO_FAST and retry_after_s is None:
        retry_after_s = QUOTA_RETRY_S
    return Outcome(key, kind, code[:64], retry_after_s=retry_after_s, ours=code == _TOO_FAST)


class Cids:
    """Names for pushes, handed out by JPush beforehand, shared by all threads."""

    def __init__(self, endpoint: str, header: str, ca_file: str | None) -> None:
        self._curl = pycurl.Curl()
        self._curl.setopt(pycurl.URL, f"{endpoint.rstrip('/')}/v3/push/cid?count={CIDS_AT_ONCE}&type=push")
        self._curl.setopt(pycurl.HTTPHEADER, [header])
        self._curl.setopt(pycurl.CAINFO, ca_file or certifi.where())
        self._curl.setopt(pycurl.PROXY, "")
        self._curl.setopt(pycurl.NOSIGNAL, 1)  # threads
        self._lock, self._kept, self._got_s = Lock(), list[str](), 0.0

    def take(self, number: int) -> list[str]:
        """So many fresh ones, at most CIDS_AT_ONCE, within CIDS_WITHIN_S. Raises NoBearer."""
        until_s = time.monotonic() + CIDS_WITHIN_S
        if not self._lock.acquire(timeout=CIDS_WITHIN_S):
            raise NoBearer("cids are being asked for")
        try:
            if time.monotonic() - self._got_s > CIDS_KEPT_S:
                self._kept.clear()
            if len(self._kept) < number:
                self._kept += self._more(until_s - time.monotonic())
                self._got_s = time.monotonic()
            taken, self._kept = self._kept[:number], self._kept[number:]
            if len(taken) < number:
                raise NoBearer("fewer cids than asked for")
            return taken
        finally:
            self._lock.release()

    def _more(self, within_s: float) -> list[str]:
        """`within_s` bounds it to the last byte: a read time-out would begin anew with each."""
        self._curl.setopt(pycurl.TIMEOUT_MS, max(1, int(within_s * 1000)))  # 0 would be without end
        try:
            body = self._curl.perform_rb()
            return [str(cid) for cid in orjson.loads(body)["cidlist"]]
        except pycurl.error as fault:
            raise NoBearer(f"libcurl {fault.args[0]}") from None
        except (KeyError, TypeError, ValueError):
            raise NoBearer(f"{self._curl.getinfo(pycurl.RESPONSE_CODE)} without cids") from None


class JpushTransport(BulkTransport):
    """Pushes through JPush."""

    name = "jpush"
    capabilities = Capabilities(receipts=False, ttl_max_s=10 * 24 * 3600, batch=BATCH)

    def __init__(
        self,
        app_key: str,
        master_secret: str,
        *,
        channels: Mapping[str, str] | None = None,
        production: bool = True,
        receipts: bool = False,
        endpoint: str = ENDPOINT,
        ca_file: str | None = None,
        rate_per_s: float = RATE_PER_S,
        concurrency: int = 8,
        timeout_s: float = 15.0,
        **carried: Any,
    ) -> None:
        """`channels`: channel ids granted by phone makers, e.g. {"xiaomi": "134567"}; `production`: Apple's, not sandbox."""
        self._channels, self._production, self._receipts = dict(channels or {}), production, receipts
        header = f"authorization: Basic {b64encode(f'{app_key}:{master_secret}'.encode()).decode()}"
        self._cids = Cids(endpoint, header, ca_file)
        super().__init__(
            f"{endpoint.rstrip('/')}/v3/push/batch/regid/single",
            Bearer(lambda: (header, FOREVER_S), early_s=0.0),
            ca_file=ca_file,
            rate_per_s=rate_per_s,
            concurrency=concurrency,
            timeout_s=timeout_s,
            **carried,
        )

    def template(self, message: Message, now: datetime) -> Callable[[Push], Letter]:
        ttl_s = left_s(message, now, self.capabilities.ttl_max_s)
        made = payload(message, _TARGET, _ID, _TAG, ttl_s, self._channels, self._production, self._receipts)
        text = orjson.dumps(made).replace(b"%", b"%%")
        for word, place in ((_TARGET, b"%(target)b"), (_ID, b"%(id)b"), (_TAG, b"%(tag)b")):
            text = text.replace(b'"%b"' % word.encode(), place)
        return lambda push: Letter(
            text
            % {
                b"target": orjson.dumps(push.token),
                b"id": orjson.dumps(push.message_id),
                b"tag": orjson.dumps(push.tag or push.message_id),
            }
        )

    def parcel(self, letters: Sequence[Letter]) -> tuple[bytes, Sequence[str]]:
        cids = self._cids.take(len(letters))
        pushes = (
            b"%b:%b" % (orjson.dumps(cid), letter.body) for cid, letter in zip(cids, letters, strict=True)
        )
        return b'{"pushlist":{%b}}' % b",".join(pushes), cids

    def verdicts(self, keys: Sequence[int], names: Sequence[str], answer: Answer) -> list[Outcome]:
        try:
            said = orjson.loads(answer.body)
        except ValueError:
            said = None
        of_all = not isinstance(said, dict) or answer.status != 200 or "error" in said
        return [
            verdict(key, answer.status, said if of_all else said.get(cid), answer.retry_after_s)
            for key, cid in zip(keys, names, strict=True)
        ]

    def verdict(self, key: int, status: int, body: bytes, retry_after_s: float | None) -> Outcome:
        """Of an answer that speaks of one push."""
        return self.verdicts([key], [""], Answer(0, "", status, body, retry_after_s))[0]
