"""What we have said, as CAP 1.2: each bulletin of a warning or an order is one message, and their Atom feed.

Owns the mapping of our levels to CAP's words. Reads bulletins, which are frozen, so the same bulletin is the same
message for good; writes nothing. Our warnings and orders are for officers, never for the public: their scope is
Restricted and their event is our own name, no official signal's. A drill is an Exercise.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models import Q
from lxml import etree

from alerts.cap.signature import sign
from alerts.cap.values import (
    PER_SECOND,
    Alert,
    Area,
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
    identifier,
)
from alerts.cap.xml import write
from alerts.models import Bulletin, BulletinKind, Hazard, Requires
from foundation.clock import local
from foundation.errors import Refusal
from hydrology.models import Region

log = logging.getLogger(__name__)
ATOM: Final = "http://www.w3.org/2005/Atom"
_SEVERITY: Final = {  # by the bulletin's urgency, 0 to 4
    4: Severity.EXTREME,
    3: Severity.SEVERE,
    2: Severity.MODERATE,
    1: Severity.MINOR,
    0: Severity.UNKNOWN,
}
_EVENT: Final = {
    BulletinKind.WARNING: ("强降雨风险提示", "Heavy rain notice for officers"),
    BulletinKind.LEVEL: ("水情提示", "Water level notice for officers"),
    BulletinKind.ORDER: ("防汛应急响应防御部署指令", "Flood response order"),
}
_FLOOD: Final = ("内涝洪水风险提示", "Flood notice for officers")
ABOUT_ONE: Final = Q(warning__isnull=False) | Q(order__isnull=False)
FOR_WHOM: Final = "深圳市三防责任人 Shenzhen flood-control officers"


def message_of(bulletin: Bulletin) -> Alert:
    """The bulletin as a CAP message, zh-CN and en. It needs a warning or an order. Three queries at most."""
    ends = _ends(bulletin)
    if bulletin.supersedes_id is None:
        msg_type = MsgType.ALERT
    else:
        # streets that a person ended while others stay in it cancel nothing
        msg_type = MsgType.CANCEL if ends and not bulletin.reasons.get("goes_on") else MsgType.UPDATE
    return Alert(
        identifier=identifier_of(bulletin),
        sender=settings.CAP_UNIT,
        sent=bulletin.issued_at,
        status=Status.EXERCISE if bulletin.drill else Status.ACTUAL,
        msg_type=msg_type,
        scope=Scope.RESTRICTED,
        restriction=FOR_WHOM,
        note="演练 drill" if bulletin.drill else "",
        references=tuple(_references(bulletin)),
        infos=(_info(bulletin, "zh-CN", ends), _info(bulletin, "en-US", ends)),
    )


def cap_of(bulletin: Bulletin) -> bytes:
    """The message as XML, signed when a key is configured. Raises Refusal like `identifier_of`."""
    return _signed(write(message_of(bulletin)))


def atom_of(bulletins: Iterable[Bulletin], address: str, now: datetime) -> bytes:
    """An Atom feed of these bulletins, newest first; each entry links to its CAP at `address`/warnings/ID.cap.

    A bulletin that has no national identifier is left out and logged: the others are told all the same.
    """
    root = etree.Element(f"{{{ATOM}}}feed", nsmap={None: ATOM})

    def put(into: etree._Element, name: str, text: str = "", **attributes: str) -> etree._Element:
        element = etree.SubElement(into, f"{{{ATOM}}}{name}", attributes)
        element.text = text or None
        return element

    put(root, "id", f"urn:cap:{settings.CAP_UNIT}")
    put(root, "title", "一键通 强降雨与水情提示 / Yijiantong notices")
    put(root, "updated", local(now).isoformat(timespec="seconds"))
    put(root, "link", rel="self", href=f"{address}/warnings.atom")
    for bulletin in bulletins:
        try:
            name = identifier_of(bulletin)
        except Refusal as refusal:
            log.warning("cap.left_out bulletin=%s code=%s", bulletin.pk, refusal.code)
            continue
        entry = put(root, "entry")
        put(entry, "id", f"urn:cap:{name}")
        put(entry, "title", bulletin.title_zh)
        put(entry, "updated", local(bulletin.issued_at).isoformat(timespec="seconds"))
        put(put(entry, "author"), "name", settings.CAP_UNIT)
        put(entry, "summary", bulletin.push_zh)
        href = f"{address}/warnings/{bulletin.warning_id}.cap?bulletin={bulletin.pk}"
        put(entry, "link", rel="alternate", type="application/cap+xml", href=href)
    return _signed(bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8")))


def identifier_of(bulletin: Bulletin) -> str:
    """The national identifier: the place within the minute tells messages of one second apart.

    Only what becomes a message takes a place. Raises Refusal 409 `too_many_messages` beyond 600 in a minute.
    """
    minute = bulletin.issued_at.astimezone(UTC).replace(second=0, microsecond=0)
    before = Bulletin.objects.filter(
        ABOUT_ONE, issued_at__gte=minute, issued_at__lt=minute + timedelta(minutes=1), pk__lt=bulletin.pk
    )
    place = before.count()
    if place >= 60 * PER_SECOND:
        raise Refusal(
            "too_many_messages",
            zh="该消息同一分钟内已有 600 条消息，国家编码无法为其编号。请在系统内查看该消息。",
            en="600 messages of its minute came before this one: it has no national identifier. Read it in the app.",
            status=409,
        )
    return identifier(settings.CAP_UNIT, bulletin.issued_at, place)


def _ends(bulletin: Bulletin) -> bool:
    """Whether it says that what it speaks of is over: an order in force asks for a confirmation, a warning for more
    than routine."""
    if bulletin.order_id is not None:
        return bulletin.requires != Requires.CONFIRM
    return bulletin.urgency == 0


def _references(bulletin: Bulletin) -> Iterable[Reference]:
    """The message this one takes the place of; that one names its own forerunner."""
    if bulletin.supersedes is not None:
        before = bulletin.supersedes
        yield Reference(settings.CAP_UNIT, identifier_of(before), before.issued_at)


def _info(bulletin: Bulletin, language: str, ends: bool) -> Info:
    zh = language == "zh-CN"
    by_name = (
        _FLOOD if bulletin.reasons.get("hazard") == Hazard.FLOOD else _EVENT[BulletinKind(bulletin.kind)]
    )
    event = by_name[0 if zh else 1]
    ordered = bulletin.order_id is not None
    body = bulletin.body_zh if zh else bulletin.body_en
    return Info(
        language=language,
        categories=(Category.MET,) if bulletin.kind == BulletinKind.WARNING else (Category.SAFETY,),
        event=event,
        response_types=(_response(bulletin, ends),),
        urgency=Urgency.PAST if ends else Urgency.IMMEDIATE if bulletin.urgency >= 3 else Urgency.EXPECTED,
        severity=Severity.MINOR if ends else _SEVERITY[bulletin.urgency],
        certainty=Certainty.OBSERVED if ordered or _observed(bulletin) else Certainty.LIKELY,
        audience=", ".join(bulletin.duties),
        event_codes=(("yijiantong", bulletin.kind),),
        effective=bulletin.issued_at,
        expires=bulletin.valid_until,
        sender_name="深圳市三防责任人一键通" if zh else "Shenzhen flood control, Yijiantong",
        headline=bulletin.title_zh if zh else bulletin.title_en,
        description=body,
        parameters=(("level", bulletin.level), ("bulletin", str(bulletin.pk))),
        areas=tuple(_areas(bulletin.areas)),
    )


def _response(bulletin: Bulletin, ends: bool) -> ResponseType:
    if bulletin.reasons.get("expired"):
        return ResponseType.MONITOR  # nobody knows that it is over
    return ResponseType.ALL_CLEAR if ends else ResponseType.EXECUTE


def _observed(bulletin: Bulletin) -> bool:
    """Whether something that has fallen, and not only a nowcast, stands among the reasons."""
    streets = bulletin.reasons.get("streets", {})
    windows = [r["window"] for street in streets.values() for r in street.get("reasons", ())]
    return bulletin.kind == BulletinKind.LEVEL or any(window.startswith("rain_") for window in windows)


def _areas(codes: list[str]) -> Iterable[Area]:
    names = dict(Region.objects.filter(pk__in=codes).values_list("code", "name"))
    for code in codes:
        yield Area(names.get(code, code), geocodes=(("GB/T 2260", code),))


def _signed(message: bytes) -> bytes:
    if not (settings.CAP_KEY_FILE and settings.CAP_CERTIFICATE_FILE):
        return message
    key, certificate = Path(settings.CAP_KEY_FILE), Path(settings.CAP_CERTIFICATE_FILE)
    return sign(message, key.read_bytes(), certificate.read_bytes())
