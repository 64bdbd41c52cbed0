"""What gateways and push vendors report of messages and calls: kept as it was said, then carried into the ledger.

Owns ProviderReport. Reports come late, twice and out of order: each is kept once, and what it means may be done again
without harm (receipts only move forward, a failure only what has not arrived). An answer (a pressed key, a reply)
belongs to the first delivery of the person, so that every chase of him ends; an arrival or a failure to the one text
message or call it speaks of. A push vendor speaks of one phone of a person: that it has or shows the message counts for
him; that it failed is only kept, another phone may ring. Woken by the gateway's post.
"""

import logging
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Q

from notifications import receipts, telephony
from notifications.dispatch import PUSH
from notifications.models import Delivery, ProviderReport, ReceiptState
from notifications.receipts import Answer
from officers.models import PushVendor

log = logging.getLogger(__name__)

KEPT_TEXT = 200
_NUMBERS = re.compile(r"\d{7,}")  # of telephones, in what people reply


class Said(StrEnum):
    """What a gateway can say of one text message or one call."""

    DELIVERED = "delivered"  # the text message is on the phone
    REPLY = "reply"  # he answered it; `word` is his text
    RINGING = "ringing"
    ANSWERED = "answered"  # somebody or something has picked up
    KEYPRESS = "keypress"  # `word` is the key
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"  # it never arrived; `word` says why
    SHOWN = "shown"  # the push stands on the screen


PUSH_VENDORS = tuple(PushVendor.values)
SPEAKS = {
    **dict.fromkeys(PUSH_VENDORS, frozenset({Said.DELIVERED, Said.SHOWN, Said.FAILED})),
    "sms": frozenset({Said.DELIVERED, Said.REPLY, Said.FAILED}),
    "voice": frozenset({Said.RINGING, Said.ANSWERED, Said.KEYPRESS, Said.NO_ANSWER, Said.BUSY, Said.FAILED}),
}
ANSWERS = {"1": ReceiptState.CONFIRMED, "9": ReceiptState.CANNOT}


@dataclass(frozen=True, slots=True)
class Report:
    """One report, read and in order; `at` is the gateway's clock, aware."""

    id: str
    state: Said
    at: datetime
    word: str = ""

    @property
    def kept(self) -> str:
        """The word as it may be kept: no telephone numbers, no NUL."""
        return _NUMBERS.sub("***", self.word.replace("\0", ""))[:KEPT_TEXT]

    @property
    def answer(self) -> ReceiptState | None:
        """What his key or his reply means; None when it means nothing."""
        if self.state not in (Said.KEYPRESS, Said.REPLY):
            return None
        return ANSWERS.get(unicodedata.normalize("NFKC", self.word).strip())


def take(provider: str, reports: list[Report], *, now: datetime) -> list[str]:
    """Keep the reports and carry them into the ledger; per report `accepted`, `repeated` or `unknown`."""
    push = provider in PUSH_VENDORS
    claimed = {report.id: _delivery_of(provider, report.id) for report in reports}
    # a push nobody knew the fate of may have come after all, though a text message was sent for it since
    by_it = Q(transport=PUSH) | ~Q(rerouted="") if push else Q(transport=provider)
    named = [pk for pk in claimed.values() if pk]
    sent = {row.pk: row for row in Delivery.objects.filter(by_it, pk__in=named, attempts__gt=0)}
    by_id = {name: sent.get(pk or 0) for name, pk in claimed.items()}
    results = _keep(provider, reports, by_id, now)
    # those said before too: this process may have died between keeping and doing
    said = [(report, delivery) for report in reports if (delivery := by_id[report.id])]
    _carry(provider, said, now)
    log.info("reports.taken provider=%s %s", provider, dict(Counter(results)))
    return results


def _delivery_of(provider: str, named: str) -> int | None:
    """The delivery known to the provider by this name; to push vendors it is the data's `id`, the inbox's seq."""
    if provider in PUSH_VENDORS:
        return int(named) if named.isascii() and named.isdecimal() and len(named) < 19 else None
    return telephony.delivery_of(provider, named)


def forget_old(*, now: datetime, keep_days: int) -> int:
    """Drop reports older than this, 0 keeps for ever; returns how many. What they meant stands in the ledger."""
    if not keep_days:
        return 0
    return ProviderReport.objects.filter(received_at__lt=now - timedelta(days=keep_days)).delete()[0]


def let_go(lines: list[int]) -> None:
    """These lines are about to go. What was said of them stays for its own days."""
    ProviderReport.objects.filter(delivery__in=lines).update(delivery=None)


def _keep(
    provider: str, reports: list[Report], by_id: dict[str, Delivery | None], now: datetime
) -> list[str]:
    kept = ProviderReport.objects.filter(provider=provider, message__in=by_id)
    before = set(kept.values_list("message", "state", "word", "at"))
    results, fresh = [], []
    for report in reports:
        said = (report.id, report.state.value, report.kept, report.at)
        results.append(
            "unknown" if by_id[report.id] is None else "repeated" if said in before else "accepted"
        )
        if said not in before:
            before.add(said)
            fresh.append(
                ProviderReport(
                    provider=provider,
                    message=report.id,
                    delivery=by_id[report.id],
                    state=report.state,
                    word=report.kept,
                    at=report.at,
                    received_at=now,
                )
            )
    ProviderReport.objects.bulk_create(fresh, ignore_conflicts=True)  # another request may have said it too
    return results


def _carry(provider: str, said: list[tuple[Report, Delivery]], now: datetime) -> None:
    """Into the ledger: forward only, so order and repetition do not matter."""
    arrived: dict[int, datetime] = {}
    shown: dict[int, datetime] = {}
    failed: dict[int, str] = {}
    for report, delivery in said:
        if report.answer is not None:
            answer = Answer(delivery.root_id or delivery.pk, report.answer, report.at)
            receipts.take(delivery.officer_id, [answer], source=provider, now=now)
        elif report.state in (Said.DELIVERED, Said.ANSWERED):
            arrived[delivery.pk] = report.at
        elif report.state is Said.SHOWN:
            shown[delivery.pk] = report.at
        elif report.state in (Said.NO_ANSWER, Said.BUSY):
            failed[delivery.pk] = report.state
        elif report.state is Said.FAILED and provider not in PUSH_VENDORS:
            failed[delivery.pk] = f"failed {report.kept}".strip()
    receipts.arrived(arrived, source=provider, now=now)
    receipts.arrived(shown, source=provider, now=now, state=ReceiptState.SHOWN)
    telephony.failed(failed)
