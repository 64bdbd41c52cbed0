"""A CAP 1.2 message as values, valid when constructed or an error that names the element.

Owns the elements with their words and cardinality. Does not own XML (xml.py), who is told, or our own levels.
Source: CAP 1.2 (OASIS, 2010-07-01), sections 3.2.1 to 3.2.4; the identifier's form is the national profile's
(GB/T 35965.1): 6 digits of region, 3 of agency, 3 of unit, 2 of extension, entry time, serial 0 to 9.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from foundation.clock import local

_UNSAID: Final = re.compile(r"[\s,<&]")  # in identifier and sender
_LANGUAGE: Final = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_UNIT: Final = re.compile(r"[0-9A-Z]{14}")
PER_SECOND: Final = 10  # the serial at the end of a national identifier has one digit


class BadCap(Exception):
    """A message that cannot be used: which element, why, and what its sender should do."""

    def __init__(self, element: str, reason: str, what_to_do: str) -> None:
        super().__init__(f"{element}: {reason}; {what_to_do}")
        self.element = element
        self.reason = reason
        self.what_to_do = what_to_do


class Status(StrEnum):
    """Whether anybody should act on it."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    """For those named in `note` only: a drill."""
    SYSTEM = "System"
    TEST = "Test"
    """To be ignored by everybody."""
    DRAFT = "Draft"


class MsgType(StrEnum):
    ALERT = "Alert"
    UPDATE = "Update"
    """Takes the place of the messages it refers to."""
    CANCEL = "Cancel"
    """Ends the messages it refers to."""
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    """For those who fulfil `restriction`."""
    PRIVATE = "Private"
    """For `addresses` only."""


class Category(StrEnum):
    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class ResponseType(StrEnum):
    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Reference:
    """An earlier message, as Update and Cancel name it."""

    sender: str
    identifier: str
    sent: datetime

    def __post_init__(self) -> None:
        _named("references", self.sender, self.identifier)
        _zoned("references", self.sent)


@dataclass(frozen=True, slots=True)
class Area:
    """Where. Points are (lat, lon) in degrees; a polygon is closed: its last point is its first."""

    description: str
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    circles: tuple[tuple[float, float, float], ...] = ()
    geocodes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _said("areaDesc", self.description)
        for ring in self.polygons:
            if len(ring) < 4 or ring[0] != ring[-1]:
                raise BadCap(
                    "polygon", "is not closed or has fewer than 4 points", "repeat the first point last"
                )
        for lat, lon in (
            *(point for ring in self.polygons for point in ring),
            *((c[0], c[1]) for c in self.circles),
        ):
            if not (-90 <= lat <= 90 and -180 <= lon <= 180):
                raise BadCap("area", f"{lat},{lon} is no place on earth", "write latitude first, in degrees")


@dataclass(frozen=True, slots=True)
class Info:
    """What it says, in one language. The order of the fields is the standard's."""

    language: str
    categories: tuple[Category, ...]
    event: str
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    response_types: tuple[ResponseType, ...] = ()
    audience: str = ""
    event_codes: tuple[tuple[str, str], ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    areas: tuple[Area, ...] = ()

    def __post_init__(self) -> None:
        _said("event", self.event)
        if not self.categories:
            raise BadCap("category", "is missing", "give at least one")
        if not _LANGUAGE.fullmatch(self.language):
            raise BadCap("language", f"{self.language[:20]!r} is no language code", "write zh-CN or en-US")
        for name in ("effective", "onset", "expires"):
            if (at := getattr(self, name)) is not None:
                _zoned(name, at)


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. `infos` say the same in several languages."""

    identifier: str
    sender: str
    sent: datetime
    status: Status
    msg_type: MsgType
    scope: Scope
    source: str = ""
    restriction: str = ""
    addresses: str = ""
    codes: tuple[str, ...] = ()
    note: str = ""
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()

    def __post_init__(self) -> None:
        _named("identifier", self.identifier)
        _named("sender", self.sender)
        _zoned("sent", self.sent)
        if self.scope is Scope.RESTRICTED and not self.restriction:
            raise BadCap("restriction", "is missing", "say who may read a Restricted message")
        if self.scope is Scope.PRIVATE and not self.addresses:
            raise BadCap("addresses", "is missing", "name the readers of a Private message")
        if self.msg_type in (MsgType.UPDATE, MsgType.CANCEL) and not self.references:
            raise BadCap("references", "is missing", f"name the messages this {self.msg_type} speaks of")

    @property
    def reference(self) -> Reference:
        """How a later message names this one."""
        return Reference(self.sender, self.identifier, self.sent)


def identifier(unit: str, entered_at: datetime, place: int) -> str:
    """The national identifier of the message that was entered `place`-th (from 0) within its minute.

    `unit` is the 14 characters of the sending unit. One second has room for ten serials, so the seconds count the
    tens within the minute; the true instant is `sent`. Raises ValueError beyond 600 messages a minute.
    """
    if not _UNIT.fullmatch(unit):
        raise ValueError(f"a unit is 14 digits or capitals: {unit!r}")
    second, serial = divmod(place, PER_SECOND)
    if not 0 <= second < 60:
        raise ValueError(f"message {place} of one minute")
    return f"{unit}_{local(entered_at):%Y%m%d%H%M}{second:02d}_{serial}"


def _said(element: str, text: str) -> None:
    if not text.strip():
        raise BadCap(element, "is empty", "fill it in")


def _named(element: str, *names: str) -> None:
    for name in names:
        if not name or _UNSAID.search(name):
            raise BadCap(
                element, f"{name[:60]!r} is empty or has a space, comma, < or &", "use none of these"
            )


def _zoned(element: str, at: datetime) -> None:
    if at.tzinfo is None:
        raise BadCap(element, "has no time zone", "write +08:00")
