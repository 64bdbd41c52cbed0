"""What Huawei and JPush themselves post when a push has come: whether it is theirs, and what it says. No clock, no rows.

Owns the vendors' own words; docs/vendors.md says which of them are documented, and where. Each push carries our id for
it (Huawei's `bi_tag`, JPush's `callback.params`). The door is doors/providers.py, what a report means reports.py.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from foundation.signatures import WINDOW
from notifications.reports import Report, Said

HUAWEI_HEADER = "X-HUAWEI-CALLBACK-ID"
ARRIVED = 0  # Huawei's only receipt code of success; any other is kept as the reason
FIELDS = {
    "id": "params.id",
    "state": "type",
    "at": "itime",
}  # JPush tells the real names to its customers only
STATES = {
    "1": Said.DELIVERED,
    "2": Said.SHOWN,
}  # types of JPush's receipts; who clicks it has it on the screen
NAME_CHARS = 64
_NOBODY = "no such account"  # keeps the work the same where there is none


def huawei_signature(secret: bytes, timestamp: str, nonce: str, user: str) -> str:
    """Base64 of HMAC-SHA256 over the three; it does not cover the body."""
    return b64encode(hmac.digest(secret, f"{timestamp}{nonce}{user}".encode(), "sha256")).decode()


def from_huawei(header: str, user: str, secret: str, now: datetime) -> bool:
    """Whether `timestamp=…; nonce=…; value=…` was made with this account within the last minutes; never raises.

    Old accounts' secrets are the key as they are, newer ones' are its Base64: either will do.
    """
    parts = {name.strip(): word for name, _, word in (part.partition("=") for part in header.split(";"))}
    stamp, nonce, value = (parts.get(name, "").strip() for name in ("timestamp", "nonce", "value"))
    keys = [(secret or _NOBODY).encode()]
    with suppress(ValueError):  # binascii's own error is one
        keys.append(b64decode(secret, validate=True))
    made = [huawei_signature(key, stamp, nonce, user) for key in keys]
    good = [hmac.compare_digest(one.encode(), value.encode(errors="replace")) for one in made]
    sent_at = _instant(stamp)
    return bool(user and secret) and any(good) and sent_at is not None and abs(now - sent_at) <= WINDOW


def from_jpush(header: str, app_key: str, master_secret: str) -> bool:
    """Whether it is the HTTP Basic by which we call JPush; never raises."""
    pair = b64encode(f"{app_key}:{master_secret or _NOBODY}".encode())
    good = hmac.compare_digest(b"Basic " + pair, header.encode(errors="replace"))
    return bool(app_key and master_secret) and good


def huawei_reports(body: bytes, now: datetime) -> list[Report]:
    """Of receipts V1 (`status`) and V2 (`deliveryStatus`); a row that cannot be read is left out.

    Raises ValueError, KeyError or TypeError when the body is no list of `statuses`.
    """
    return list(_huawei(_rows(orjson.loads(body)["statuses"]), now))


def _huawei(rows: list[object], now: datetime) -> Iterator[Report]:
    for row in rows:
        if not isinstance(row, dict):
            continue
        told = row.get("deliveryStatus")
        code, stamp = (
            (told.get("result"), told.get("timestamp"))
            if isinstance(told, dict)
            else (row.get("status"), row.get("timestamp"))
        )
        name = _name(row.get("biTag")) or _name(row.get("requestId"))
        if name and isinstance(code, int) and not isinstance(code, bool):
            state = Said.DELIVERED if code == ARRIVED else Said.FAILED
            word = "" if code == ARRIVED else f"huawei {code}"
            yield Report(name, state, _instant(stamp) or now, word)


def jpush_reports(
    body: bytes, now: datetime, fields: Mapping[str, str], states: Mapping[str, str]
) -> list[Report]:
    """Of JPush's receipts: one, a list, or an object that holds the list; what says nothing to us is left out.

    `fields`: where id, state and time stand, a dot leads inwards; `states`: what the state's values mean. Raises
    ValueError or TypeError when the body is neither.
    """
    said = orjson.loads(body)
    lists = (
        [value for value in said.values() if isinstance(value, list)] if isinstance(said, dict) else [said]
    )
    places, meanings = {**FIELDS, **fields}, {**STATES, **states}
    found = []
    for row in _rows(lists[0] if lists else [said]):
        name, state, stamp = (_at(row, places[field]) for field in ("id", "state", "at"))
        meant = meanings.get(str(state))
        if (name := _name(name)) and meant is not None:
            word = f"jpush {state}" if meant == Said.FAILED else ""
            found.append(Report(name, Said(meant), _instant(stamp) or now, word))
    return found


def _rows(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError("no list of receipts")
    return given


def _at(row: object, path: str) -> Any:
    """The value at a dotted path; None where it leads nowhere."""
    for step in path.split("."):
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _name(given: object) -> str:
    """What the push is called there, as text; empty when it has no name that could be kept."""
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    return text.encode(errors="replace").decode().replace("\0", "")[:NAME_CHARS]


def _instant(given: object) -> datetime | None:
    """An instant of this century from unix milliseconds or seconds, as number or digits; else None."""
    digits = str(given)
    if isinstance(given, bool) or not (digits.isascii() and digits.isdecimal() and len(digits) in (10, 13)):
        return None
    return datetime.fromtimestamp(int(digits) / (1000 if len(digits) == 13 else 1), UTC)
