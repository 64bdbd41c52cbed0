"""What a short message service centre says of itself over SMPP: receipts and replies, into the same path as a gateway's.

Owns the placing only: a receipt by the id under which the centre took the message (`Delivery.vendor_id`), a reply by the
number it comes from, to the newest text message that asked this person. What they mean is reports.py's. Called from the
session's thread.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

from django.db import connection

from foundation.errors import Refusal
from notifications import months, reports, telephony
from notifications.models import Delivery
from notifications.reports import Report, Said
from notifications.transports.smpp import Heard, Listener, session
from officers import roster
from officers.models import Officer

log = logging.getLogger(__name__)

STATES = {
    "DELIVRD": Said.DELIVERED,
    "UNDELIV": Said.FAILED,
    "EXPIRED": Said.FAILED,
    "DELETED": Said.FAILED,
    "REJECTD": Said.FAILED,
}  # SMPP 3.4, appendix B; ACCEPTD, ENROUTE and UNKNOWN say nothing yet
REPLY_WITHIN = timedelta(hours=24)
LATEST = timedelta(days=31)  # of a message older than that no centre speaks


def keep_bound(*, clock: Callable[[], datetime]) -> None:
    """Bind to the centre in the settings, once a process; a session that is lost comes back by itself."""
    if centre := telephony.centre():
        session(centre, _listener(clock))


@cache
def _listener(clock: Callable[[], datetime]) -> Listener:
    def hear(said: list[Heard]) -> list[Heard]:
        try:
            return place(said, clock())
        finally:
            connection.close()

    return hear


def place(said: list[Heard], now: datetime) -> list[Heard]:
    """Carry what was said into the ledger; returns receipts of messages that are not in it yet."""
    receipts = {one.id: one for one in said if one.id}
    sent = Delivery.objects.filter(id__gte=months.since(now - LATEST), transport="sms")
    rows = sent.filter(vendor_id__in=list(receipts)) if receipts else ()
    known = {row.vendor_id: row for row in rows}
    found = [
        Report(telephony.message_id("sms", known[one.id].pk), STATES[one.word], now, one.word.lower())
        for one in receipts.values()
        if one.id in known and one.word in STATES
    ]
    for reply in (one for one in said if not one.id):
        asked = _asked(reply.phone, now)
        if asked is None:
            log.info("centre.stray_reply")
        else:
            found.append(Report(telephony.message_id("sms", asked), Said.REPLY, now, reply.word))
    if found:
        reports.take("sms", found, now=now)
    return [one for one in receipts.values() if one.id not in known]


def _asked(phone: str, now: datetime) -> int | None:
    """The newest text message that asked whoever has this number; centres write it with or without a +."""
    try:
        number = roster.normalise(phone if phone.startswith("+") or len(phone) <= 11 else f"+{phone}")
    except Refusal:
        return None
    officer = Officer.objects.filter(phone_digest=roster.digest(number)).first()
    if officer is None:
        return None
    rows = Delivery.objects.filter(
        id__gte=months.since(now - LATEST),
        officer=officer,
        transport="sms",
        sent_at__gte=now - REPLY_WITHIN,
        dispatch__bulletin__requires__in=("confirm", "report"),
    )
    return rows.order_by("-id").values_list("pk", flat=True).first()
