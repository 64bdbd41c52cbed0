"""CAP 1.2 messages as XML: written in the standard's order, read only when nothing in it is hostile.

Owns the mapping of values.py to elements and the check against the schema (cap12.xsd, our own writing of the
standard's rules). An entity, a document type or a message over MOST_BYTES is refused before anything is looked at; the
parser never opens a network or a file. What a foreign message says beyond our values (resources, altitudes) is not
read: its bytes are kept by whoever received it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from lxml import etree

from alerts.cap.values import (
    Alert,
    Area,
    BadCap,
    Category,
    Certainty,
    Info,
    MsgType,
    Reference,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from foundation.clock import local

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
MOST_BYTES: Final = 1 << 20
T = TypeVar("T")
Element = Any  # lxml ships no types


def write(alert: Alert) -> bytes:
    """The message as XML, UTF-8, schema-valid. Raises BadCap when the schema refuses it."""
    root = etree.Element(f"{{{NAMESPACE}}}alert", nsmap={None: NAMESPACE})
    _put(root, "identifier", alert.identifier)
    _put(root, "sender", alert.sender)
    _put(root, "sent", _time(alert.sent))
    _put(root, "status", alert.status)
    _put(root, "msgType", alert.msg_type)
    _put(root, "source", alert.source)
    _put(root, "scope", alert.scope)
    _put(root, "restriction", alert.restriction)
    _put(root, "addresses", alert.addresses)
    for code in alert.codes:
        _put(root, "code", code)
    _put(root, "note", alert.note)
    _put(root, "references", " ".join(f"{r.sender},{r.identifier},{_time(r.sent)}" for r in alert.references))
    _put(root, "incidents", " ".join(alert.incidents))
    for info in alert.infos:
        _write_info(etree.SubElement(root, f"{{{NAMESPACE}}}info"), info)
    _check(root)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _write_info(into: Element, info: Info) -> None:
    _put(into, "language", info.language)
    for category in info.categories:
        _put(into, "category", category)
    _put(into, "event", info.event)
    for response in info.response_types:
        _put(into, "responseType", response)
    _put(into, "urgency", info.urgency)
    _put(into, "severity", info.severity)
    _put(into, "certainty", info.certainty)
    _put(into, "audience", info.audience)
    _put_named(into, "eventCode", info.event_codes)
    for name, at in (("effective", info.effective), ("onset", info.onset), ("expires", info.expires)):
        _put(into, name, _time(at) if at else "")
    _put(into, "senderName", info.sender_name)
    _put(into, "headline", info.headline)
    _put(into, "description", info.description)
    _put(into, "instruction", info.instruction)
    _put(into, "web", info.web)
    _put(into, "contact", info.contact)
    _put_named(into, "parameter", info.parameters)
    for area in info.areas:
        at = etree.SubElement(into, f"{{{NAMESPACE}}}area")
        _put(at, "areaDesc", area.description)
        for ring in area.polygons:
            _put(at, "polygon", " ".join(f"{lat:.6g},{lon:.7g}" for lat, lon in ring))
        for lat, lon, radius_km in area.circles:
            _put(at, "circle", f"{lat:.6g},{lon:.7g} {radius_km:g}")
        _put_named(at, "geocode", area.geocodes)


def read(raw: bytes) -> Alert:
    """The message in the bytes. Raises BadCap naming the element, the reason and the remedy."""
    root = parse(raw)
    _check(root)
    return Alert(
        identifier=_text(root, "identifier"),
        sender=_text(root, "sender"),
        sent=_instant(root, "sent"),
        status=Status(_text(root, "status")),
        msg_type=MsgType(_text(root, "msgType")),
        scope=Scope(_text(root, "scope")),
        source=_text(root, "source"),
        restriction=_text(root, "restriction"),
        addresses=_text(root, "addresses"),
        codes=_texts(root, "code"),
        note=_text(root, "note"),
        references=tuple(_reference(word) for word in _text(root, "references").split()),
        incidents=tuple(_text(root, "incidents").split()),
        infos=tuple(_read_info(info) for info in _all(root, "info")),
    )


def _read_info(info: Element) -> Info:
    return Info(
        language=_text(info, "language") or "en-US",
        categories=tuple(map(Category, _texts(info, "category"))),
        event=_text(info, "event"),
        urgency=Urgency(_text(info, "urgency")),
        severity=Severity(_text(info, "severity")),
        certainty=Certainty(_text(info, "certainty")),
        response_types=tuple(map(ResponseType, _texts(info, "responseType"))),
        audience=_text(info, "audience"),
        event_codes=_named(info, "eventCode"),
        effective=_instant(info, "effective") if _text(info, "effective") else None,
        onset=_instant(info, "onset") if _text(info, "onset") else None,
        expires=_instant(info, "expires") if _text(info, "expires") else None,
        sender_name=_text(info, "senderName"),
        headline=_text(info, "headline"),
        description=_text(info, "description"),
        instruction=_text(info, "instruction"),
        web=_text(info, "web"),
        contact=_text(info, "contact"),
        parameters=_named(info, "parameter"),
        areas=tuple(_read_area(area) for area in _all(info, "area")),
    )


def _read_area(area: Element) -> Area:
    def points(text: str) -> tuple[tuple[float, float], ...]:
        return tuple(_pair("polygon", word) for word in text.split())

    circles = []
    for text in _texts(area, "circle"):
        centre, _, radius = text.partition(" ")
        circles.append((*_pair("circle", centre), _number("circle", radius)))
    return Area(
        _text(area, "areaDesc"),
        tuple(points(text) for text in _texts(area, "polygon")),
        tuple(circles),
        _named(area, "geocode"),
    )


def parse(raw: bytes) -> Element:
    """The root of well-formed, harmless XML. Raises BadCap."""
    if len(raw) > MOST_BYTES:
        raise BadCap("alert", f"is larger than {MOST_BYTES} bytes", "send a smaller message")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise BadCap("alert", f"is not well-formed XML ({error})"[:200], "send a CAP 1.2 message") from error
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise BadCap("alert", "declares a document type or entities", "send plain CAP without them")
    return root


@cache
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(Path(__file__).with_name("cap12.xsd"))))


def _check(root: Element) -> None:
    if not _schema().validate(root):
        fault = _schema().error_log[0]
        reason = str(fault.message).replace(f"{{{NAMESPACE}}}", "")[:200]
        raise BadCap(
            reason.partition("'")[2].partition("'")[0] or "alert", reason, "see CAP 1.2, section 3.2"
        )


def _put(into: Element, name: str, text: str) -> None:
    """An element with this text; none when there is nothing to say."""
    if text:
        etree.SubElement(into, f"{{{NAMESPACE}}}{name}").text = str(text)


def _put_named(into: Element, name: str, pairs: Iterable[tuple[str, str]]) -> None:
    for value_name, value in pairs:
        pair = etree.SubElement(into, f"{{{NAMESPACE}}}{name}")
        etree.SubElement(pair, f"{{{NAMESPACE}}}valueName").text = value_name
        etree.SubElement(pair, f"{{{NAMESPACE}}}value").text = value


def _all(of: Element, name: str) -> list[Element]:
    return list(of.iterfind(f"{{{NAMESPACE}}}{name}"))


def _texts(of: Element, name: str) -> tuple[str, ...]:
    return tuple((one.text or "").strip() for one in _all(of, name))


def _text(of: Element, name: str) -> str:
    return next(iter(_texts(of, name)), "")


def _named(of: Element, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((_text(pair, "valueName"), _text(pair, "value")) for pair in _all(of, name))


def _instant(of: Element, name: str) -> datetime:
    return _said(name, datetime.fromisoformat, _text(of, name), "write a time like 2026-05-06T13:16:49+08:00")


def _reference(word: str) -> Reference:
    parts = word.split(",")
    if len(parts) != 3:
        raise BadCap(
            "references", f"{word[:80]!r} is not sender,identifier,sent", "write the three, comma between"
        )
    sent = _said("references", datetime.fromisoformat, parts[2], "end each with the time it was sent")
    return Reference(parts[0], parts[1], sent)


def _pair(element: str, word: str) -> tuple[float, float]:
    lat, comma, lon = word.partition(",")
    if not comma:
        raise BadCap(element, f"{word[:40]!r} is not lat,lon", "write latitude, comma, longitude")
    return _number(element, lat), _number(element, lon)


def _number(element: str, text: str) -> float:
    return _said(element, float, text, "write decimal numbers")


def _said(element: str, read_as: Callable[[str], T], text: str, what_to_do: str) -> T:
    try:
        return read_as(text)
    except ValueError as error:
        raise BadCap(element, f"{text[:40]!r} cannot be read", what_to_do) from error


def _time(at: datetime) -> str:
    """As CAP wants it: seconds, and an offset in digits, never Z."""
    return local(at).isoformat(timespec="seconds")
