"""What every vendor of push, text or voice must offer, and the plain values that pass between.

Owns the interface and the words for what can become of one push. Knows no vendor, no ledger and no Django:
delivery.py writes the ledger from the outcomes. Lengths after the vendors' own limits (vivo: 50 汉字 a body).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Protocol
from unicodedata import east_asian_width

from foundation.clock import iso

LOCK_SCREEN_COLUMNS = 100  # 50 汉字; a Latin letter takes half the width of one
NOT_BEGUN = (
    "NOT_BEGUN"  # reason: it never went out, others took all the time there was; it may go again at once
)
COLLAPSE_ID_BYTES = 64  # Apple's limit, the shortest of all vendors


class OutcomeKind(StrEnum):
    """What the world looks like after one attempt to reach one device."""

    SENT = "sent"  # the vendor has taken it; whether the phone rang is the receipt's business
    TEMPORARY = "temporary"  # not taken, or nobody knows; try again after `retry_after_s` or with back-off
    PERMANENT = "permanent"  # this message can never reach this device; the token itself may be good
    DEAD_TOKEN = "dead_token"  # noqa: S105 - the device is gone (app removed, token replaced): retire it


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a vendor can do, so that nobody has to ask which vendor it is."""

    receipts: bool  # the vendor itself reports that the phone has it; False: only the phone does
    ttl_max_s: int  # the vendor stops trying by itself when the message expires, or after this long
    body_columns: int = LOCK_SCREEN_COLUMNS  # what is longer is cut before it goes
    batch: int = 1  # pushes in one request, each with an answer of its own


@dataclass(frozen=True, slots=True)
class Message:
    """What is common to all recipients of one bulletin. No personal data. The body must stand alone."""

    id: str  # the bulletin's id
    title: str
    body: str
    level: str
    kind: str  # warning, order, level, message
    ref: str
    drill: bool
    expires_at: datetime  # aware; from this instant on it is never sent
    critical: bool  # rings and shows on a locked phone
    data: dict[str, str] = field(default_factory=dict)  # more fields for the app, opaque here
    language: str = "zh"
    asks: bool = False  # he owes an answer
    lead: str = ""  # why it comes again or to him, said first where there is room for it
    thread: str = ""  # what belongs together, e.g. storm/7
    quiet: bool = False  # renews what the phone shows of the thread, without a sound

    def __post_init__(self) -> None:
        if self.expires_at.utcoffset() is None:
            raise ValueError("expires_at must be aware")

    @property
    def headline(self) -> str:
        """The title as the phone shows it: a drill says so first, even if its author forgot."""
        marked = not self.drill or "演练" in self.title or "drill" in self.title.lower()
        return self.title if marked else f"【演练】{self.title}"

    @property
    def fields(self) -> dict[str, str]:
        """What every vendor hands to the app beside the words; the push's own `id` comes with it."""
        marks = {"thread": self.thread, "quiet": "1" if self.quiet else ""}
        own = {
            "bulletin": self.id,
            "kind": self.kind,
            "level": self.level,
            "ref": self.ref,
            "drill": "true" if self.drill else "false",
            "expires_at": iso(self.expires_at) or "",
        }
        return {**self.data, **own, **{name: word for name, word in marks.items() if word}}

    @property
    def channel(self) -> str:
        """The app's notification channel: how loud it is, set up by the app under this name."""
        loud = "critical" if self.critical else "notice"
        return "quiet" if self.quiet else "drill" if self.drill else loud

    @property
    def alone(self) -> str:
        """The body where no title stands above it: a drill says so first."""
        marked = not self.drill or "演练" in self.body or "drill" in self.body.lower()
        return self.body if marked else f"{'[DRILL] ' if self.language == 'en' else '【演练】'}{self.body}"


@dataclass(frozen=True, slots=True)
class Push:
    """One device to reach. `message_id` is stable, so that the phone or the gateway drops repeats by it.

    `tag` names the place on the screen: what has the same one replaces the former there. Empty: the message_id.
    """

    key: int  # the caller's own, returned in the outcome
    token: str  # its push token, or its number in E.164
    message: Message
    message_id: str  # at most 64 bytes of UTF-8
    tag: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.message_id.encode()) <= COLLAPSE_ID_BYTES:
            raise ValueError(f"message_id must have 1 to {COLLAPSE_ID_BYTES} bytes")
        if len(self.tag.encode()) > COLLAPSE_ID_BYTES:
            raise ValueError(f"tag must have at most {COLLAPSE_ID_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one push. `reason` is a stable word of at most 64 characters without tokens or names."""

    key: int
    kind: OutcomeKind
    reason: str = ""
    vendor_id: str = ""  # the vendor's name for an accepted message
    retry_after_s: float | None = None  # the vendor's wish; None: it has none, back off as you like
    ours: bool = (
        False  # not taken for a reason of ours (pace, settings): says nothing against the vendor's health
    )


class Stream(Protocol):
    """Pushes in flight from one thread, numbered 0, 1, … in the order they were added; close it when done."""

    @property
    def waiting(self) -> int:
        """Pushes whose outcome has not been handed out yet."""

    def add(self, pushes: Sequence[Push], now: datetime) -> None: ...

    def landed(self, patience_s: float) -> dict[int, Outcome]:
        """Outcomes by number, as they come; none after about `patience_s`. Vendor faults never raise."""

    def close(self) -> None:
        """Drop what is still in flight; whether it arrived is unknown."""


class Transport(Protocol):
    """One vendor. `send` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The word in `Delivery.transport` and `Device.provider`."""

    @property
    def capabilities(self) -> Capabilities: ...

    def send(self, pushes: Sequence[Push], now: datetime) -> list[Outcome]:
        """One outcome per push, in the order of `pushes`, within a bounded time; vendor faults never raise.

        A push may have reached the phone although its outcome is TEMPORARY (the answer was lost): repeat it
        with the same `message_id`.
        """

    def stream(self) -> Stream:
        """The same for more pushes than one wants to wait for together: a straggler holds up nobody."""

    def close(self) -> None:
        """Give back connections; the transport must not be used afterwards."""


def fits_lock_screen(text: str) -> bool:
    """Whether the text can be read whole on every vendor's lock screen: 50 汉字 or 100 Latin letters."""
    return cut(text, LOCK_SCREEN_COLUMNS) == text


def cut(text: str, columns: int) -> str:
    """As much of the text as has room in so many columns; 汉字 take two, Latin letters one."""
    if 2 * len(text) <= columns:
        return text
    for end, taken in enumerate(accumulate(2 if east_asian_width(c) in "WFA" else 1 for c in text)):
        if taken > columns:
            return text[:end]
    return text


def left_s(message: Message, now: datetime, most_s: int) -> int:
    """For how long a vendor may still try: whole seconds until the message expires, at most `most_s`."""
    return min(max(math.floor((message.expires_at - now).total_seconds()), 0), most_s)
