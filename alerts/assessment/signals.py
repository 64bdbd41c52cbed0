"""Official signals as values: received, never computed. What one says, out of CAP or JSON, and where it holds.

Owns the reading of a bulletin's words: event, colour, action, and its zones: whole districts, `district(streets…)` and
sea zones. Does not own who is told or which response follows (proposals.py). Zones are parts of one bulletin and may
name a place by code or by name; a name that is both a district and a street is the district, unless it stands in
brackets behind another. Source: project domain notes 1.1 (practice of bulletins) and 3.6 (event codes).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from alerts.cap.values import Alert, MsgType, Severity, Status


class Event(StrEnum):
    """What the weather service warns of; the codes of GB/T 35561 where the notes know them."""

    RAINSTORM = "rainstorm"
    TYPHOON = "typhoon"
    THUNDERSTORM_WIND = "thunderstorm_wind"
    LIGHTNING = "lightning"
    OTHER = "other"


class Colour(StrEnum):
    """How grave it is, the gravest last. Rain has no blue in Guangdong; other events have."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


class SignalAction(StrEnum):
    ISSUE = "issue"
    EXTEND = "extend"
    """The same colour for more zones."""
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CANCEL = "cancel"


class BadSignal(Exception):
    """A signal that cannot be used: which field, why, and what its sender should do."""

    def __init__(self, field: str, zh: str, en: str) -> None:
        super().__init__(f"{field}: {en}")
        self.field, self.zh, self.en = field, zh, en


@dataclass(frozen=True, slots=True)
class Place:
    """A region as names are looked up; `parent` is its district's or city's code."""

    code: str
    name: str
    level: str
    parent: str


@dataclass(frozen=True, slots=True)
class Zones:
    """Where a signal holds: region codes (the city, districts, streets), sea zones, and what nobody knows."""

    areas: tuple[str, ...] = ()
    sea: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    """One official signal, one colour for its zones. A bulletin with several actions is several of these.

    `expected_until` is advisory: a signal ends only by another one. `references` are identifiers of earlier ones.
    """

    identifier: str
    sender: str
    status: Status
    event: Event
    colour: Colour
    action: SignalAction
    zones: Zones
    issued_at: datetime
    text: str
    effective_at: datetime | None = None
    expected_until: datetime | None = None
    references: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for name, limit in (("identifier", 100), ("sender", 100), ("text", None)):
            _storable(name, getattr(self, name), limit)
        for name, texts in (
            ("areas", (*self.zones.sea, *self.zones.unknown)),
            ("references", self.references),
        ):
            for text in texts:
                _storable(name, text, 110 if name == "references" else None)
        for name in ("issued_at", "effective_at", "expected_until"):
            if (at := getattr(self, name)) is not None and not 2000 <= at.year <= 2100:
                raise BadSignal(name, "须在 2000 至 2100 年之间", "is not between the years 2000 and 2100")


GRAVITY: Final = {colour: rank for rank, colour in enumerate(Colour)}
EVENT_CODES: Final = {
    "11B01": Event.TYPHOON,
    "11B03": Event.RAINSTORM,
    "11B20": Event.THUNDERSTORM_WIND,
    "11B16": Event.THUNDERSTORM_WIND,
    "11B14": Event.LIGHTNING,
}
_EVENT_WORDS: Final = (
    ("台风", Event.TYPHOON),
    ("暴雨", Event.RAINSTORM),
    ("雷雨大风", Event.THUNDERSTORM_WIND),
    ("雷电", Event.LIGHTNING),
)
_COLOUR_WORDS: Final = {"红": Colour.RED, "橙": Colour.ORANGE, "黄": Colour.YELLOW, "蓝": Colour.BLUE}
_SEVERITIES: Final = {
    Severity.EXTREME: Colour.RED,
    Severity.SEVERE: Colour.ORANGE,
    Severity.MODERATE: Colour.YELLOW,
    Severity.MINOR: Colour.BLUE,
}
_ACTION_WORDS: Final = (
    ("降级", SignalAction.DOWNGRADE),
    ("降低", SignalAction.DOWNGRADE),
    ("升级", SignalAction.UPGRADE),
    ("扩展", SignalAction.EXTEND),
)
_CANCELLED: Final = re.compile("解除(?!之?前)")  # "until it is lifted" lifts nothing
_SEA: Final = re.compile(r"(?:珠江口|[^、，]*湾|[^、，]*海[区域])$")
_BRACKETS: Final = re.compile(r"([^、，；;,（(]+)[（(]([^）)]*)[）)]")
_LIST: Final = re.compile(r"[、，；;,\s]+")
_CITY_WORDS: Final = frozenset({"全市", "深圳市", "全市陆地", "全市陆地和海区"})


def from_cap(alert: Alert, places: Sequence[Place]) -> list[Signal]:
    """The signals of a CAP message, from its Chinese info where there is one. Raises BadSignal.

    A Cancel may say no more than what it ends: then there is no signal, and its references are all it says.
    """
    infos = [info for info in alert.infos if info.language.lower().startswith("zh")] or list(alert.infos[:1])
    if not infos and alert.msg_type is MsgType.CANCEL:
        return []
    if not infos:
        raise BadSignal(
            "info", "缺少 info，无法得知事件与区域", "has no info: neither event nor area is said"
        )
    signals = []
    for number, info in enumerate(infos):
        beginning = info.description[:200]
        said = [words for words in (info.headline, info.event) if _colours(words)] or [beginning]
        words = f"{info.headline} {info.event} {beginning}"
        signals.append(
            Signal(
                identifier=alert.identifier if number == 0 else f"{alert.identifier}.{number}",
                sender=alert.sender,
                status=alert.status,
                event=_event(dict(info.event_codes).values(), words),
                colour=_colour(said[0], info.severity),
                action=_action(alert.msg_type, info.headline, f"{info.event} {said[0]}"),
                zones=zones_of(
                    [(area.description, [code for _, code in area.geocodes]) for area in info.areas], places
                ),
                issued_at=alert.sent,
                text=info.description or info.headline,
                effective_at=info.effective,
                expected_until=info.expires,
                references=tuple(reference.identifier for reference in alert.references),
            )
        )
    return signals


def from_json(body: Any, places: Sequence[Place]) -> Signal:
    """One signal as plain fields. Raises BadSignal naming the field.

    `{identifier, sender, event, colour, action, areas: [code or name, …], text, issued_at, status?, effective_at?,
    expected_until?, references?}`
    """
    if not isinstance(body, Mapping):
        raise BadSignal("body", "须为 JSON 对象", "is not a JSON object")
    areas = body.get("areas")
    if not isinstance(areas, list) or not areas or not all(isinstance(area, str) for area in areas):
        raise BadSignal("areas", "须为区域编码或名称的数组", "is not a list of region codes or names")
    references = body.get("references") or []
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        raise BadSignal("references", "须为标识的数组", "is not a list of identifiers")
    return Signal(
        identifier=_word(body, "identifier"),
        sender=_word(body, "sender"),
        status=_choice(Status, body, "status", Status.ACTUAL),
        event=_choice(Event, body, "event"),
        colour=_choice(Colour, body, "colour"),
        action=_choice(SignalAction, body, "action"),
        zones=zones_of([("", [area]) if area.isascii() else (area, []) for area in areas], places),
        issued_at=_instant(body, "issued_at", needed=True),  # type: ignore[arg-type]
        text=str(body.get("text") or "")[:4000],
        effective_at=_instant(body, "effective_at"),
        expected_until=_instant(body, "expected_until"),
        references=tuple(references),
    )


def zones_of(areas: Iterable[tuple[str, Sequence[str]]], places: Sequence[Place]) -> Zones:
    """Where these (words, codes) point. Of an area with a code that is known only the sea is read from its words.

    A code that nobody knows, with no words beside it, is named as an unknown place.
    """
    by_code = {place.code: place for place in places}
    land: dict[str, None] = {}
    sea: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for words, codes in areas:
        known = [code for code in codes if code in by_code]
        land |= dict.fromkeys(known)
        names = list(_names(words))
        if not known and not names:
            unknown |= dict.fromkeys(codes)
        for name, within in names:
            found = _look_up(name, within, places)
            if not found and len(name) <= 32 and _SEA.search(name):
                sea[name] = None
            elif found and not known:
                land[found] = None
            elif not known:
                unknown[f"{within}{name}"] = None
    return Zones(tuple(land), tuple(sea), tuple(unknown))


def _names(text: str) -> Iterable[tuple[str, str]]:
    """(name, district it stands behind in brackets or ''), in order."""
    rest = text
    for found in _BRACKETS.finditer(text):
        district, inner = found.group(1).strip(), found.group(2)
        yield from ((name, district) for name in _LIST.split(inner) if name and name != "街道")
        rest = rest.replace(found.group(0), "、", 1)
    yield from ((name, "") for name in _LIST.split(rest) if name)


def _look_up(name: str, within: str, places: Sequence[Place]) -> str | None:
    """The code a name means: in brackets a street of that district, else city, district, street, in this order."""
    if within:
        district = _look_up(within, "", places)
        return next((p.code for p in places if p.parent == district and _called(p, name)), None)
    if name in _CITY_WORDS:
        return next((p.code for p in places if p.level == "city"), None)
    for level in ("district", "street"):
        found = [place.code for place in places if place.level == level and _called(place, name)]
        if len(found) == 1:
            return found[0]
    return None


def _called(place: Place, name: str) -> bool:
    """Whether a bulletin may call the place so: with or without what it is."""
    return _bare(place.name) == _bare(name)


def _bare(name: str) -> str:
    for ending in ("特别合作区", "街道办", "办事处", "街道", "新区", "区", "镇"):
        if len(name) > len(ending) + 1 and name.endswith(ending):
            return name.removesuffix(ending)
    return name


def _event(codes: Iterable[str], words: str) -> Event:
    for code in codes:
        if code in EVENT_CODES:
            return EVENT_CODES[code]
    return next((event for word, event in _EVENT_WORDS if word in words), Event.OTHER)


def _colours(words: str) -> list[tuple[int, Colour]]:
    """The colours these words name, each with where it stands last."""
    return [(words.rindex(f"{word}色"), c) for word, c in _COLOUR_WORDS.items() if f"{word}色" in words]


def _colour(words: str, severity: Severity) -> Colour:
    """The colour the bulletin says last (an upgrade names both), else the one its severity stands for."""
    if said := _colours(words):
        return max(said)[1]
    if severity in _SEVERITIES:
        return _SEVERITIES[severity]
    raise BadSignal("severity", "未说明预警颜色", "says no colour, and its severity is unknown")


def _action(msg_type: MsgType, headline: str, words: str) -> SignalAction:
    """What the headline says is done, else the words that name the colour. An Alert cancels by its headline only."""
    if msg_type is MsgType.CANCEL or _CANCELLED.search(headline):
        return SignalAction.CANCEL
    if msg_type is not MsgType.ALERT and _CANCELLED.search(words):
        return SignalAction.CANCEL
    both = f"{headline} {words}"
    return next((action for word, action in _ACTION_WORDS if word in both), SignalAction.ISSUE)


def _storable(name: str, text: str, limit: int | None) -> None:
    if "\0" in text:
        raise BadSignal(name, "含有空字符（NUL）", "has a NUL character")
    if limit is not None and len(text) > limit:
        raise BadSignal(name, f"超过 {limit} 个字符", f"is longer than {limit} characters")


def _word(body: Mapping[str, Any], name: str) -> str:
    given = body.get(name)
    if isinstance(given, str) and 0 < len(given) <= 100 and not re.search(r"[\s,<&]", given):
        return given
    raise BadSignal(name, "须为不含空格和逗号的短文本", "is not a short text without blanks and commas")


def _choice(choices: Any, body: Mapping[str, Any], name: str, default: Any = None) -> Any:
    given = body.get(name, default)
    try:
        return choices(given)
    except ValueError:
        listed = ", ".join(choices)
        raise BadSignal(name, f"只能是 {listed}", f"is none of {listed}") from None


def _instant(body: Mapping[str, Any], name: str, *, needed: bool = False) -> datetime | None:
    given = body.get(name)
    if given is None and not needed:
        return None
    try:
        at = datetime.fromisoformat(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        at = None
    if at is None or at.tzinfo is None:
        raise BadSignal(name, "须为带时区的 ISO 8601 时间", "is not an ISO 8601 time with its zone")
    return at
