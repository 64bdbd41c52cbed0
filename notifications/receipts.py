"""What comes back from the phones: forward only, set-based, from HTTP and socket alike.

Owns Receipt and Delivery from DELIVERED on. Late, repeated and out-of-order receipts are accepted; none moves a
state back. An answer also settles the repeats of the same delivery, so nothing more is sent for it, and wakes the
escalation so that its climb ends at once; that the first ring came, or was opened, cancels no call. Who answers what only
renewed a message answers that message.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q

from foundation.nudge import nudge, nudge_at_most
from foundation.wire import hint
from notifications.help import call_for_help
from notifications.models import (
    ACTS,
    CAME,
    ONCE,
    RANK,
    Delivery,
    Dispatch,
    Errand,
    Receipt,
    ReceiptState,
    State,
)

NUDGE_EVERY_S = 0.8  # of one process: 41,000 answers in ten minutes are about one sweep a second, not seventy

# what a receipt says about the delivery; having arrived, reported or called for help is more than a confirmation.
# Who cannot go has answered for himself: whether his place is answered for is the deputy's to say (escalation)
MEANS = {
    ReceiptState.DELIVERED: State.DELIVERED,
    ReceiptState.SHOWN: State.SHOWN,
    ReceiptState.OPENED: State.OPENED,
    ReceiptState.CONFIRMED: State.CONFIRMED,
    ReceiptState.ARRIVED: State.CONFIRMED,
    ReceiptState.REPORTED: State.CONFIRMED,
    ReceiptState.CANNOT: State.CONFIRMED,
    ReceiptState.HELP: State.CONFIRMED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One receipt as the phone sent it; `at` is the phone's clock, aware."""

    id: int
    state: ReceiptState
    at: datetime
    lon: float | None = None
    lat: float | None = None
    note: str = ""
    form: dict[str, object] | None = None


_FORWARD = """
UPDATE notifications_delivery d
SET state = CASE WHEN r.rank > array_position(%(order)s::text[], d.state::text) THEN r.state ELSE d.state END,
    delivered_at = coalesce(d.delivered_at, %(now)s),
    shown_at = CASE WHEN r.shown THEN coalesce(d.shown_at, %(now)s) ELSE d.shown_at END,
    opened_at = CASE WHEN r.rank >= %(opened)s THEN coalesce(d.opened_at, %(now)s) ELSE d.opened_at END,
    confirmed_at = CASE WHEN r.rank >= %(confirmed)s THEN coalesce(d.confirmed_at, %(now)s) ELSE d.confirmed_at END,
    acting_at = CASE WHEN r.acting THEN coalesce(d.acting_at, %(now)s) ELSE d.acting_at END
FROM unnest(%(id)s::bigint[], %(state)s::text[], %(rank)s::int[], %(shown)s::bool[], %(acting)s::bool[])
     AS r(id, state, rank, shown, acting)
WHERE (d.id = r.id OR d.root_id = r.id AND r.rank >= %(confirmed)s) AND d.id >= %(first)s AND d.officer_id = %(officer)s
RETURNING d.dispatch_id
"""


def take(
    officer_id: int, answers: list[Answer], *, source: str, now: datetime, skew_s: float | None = None
) -> list[dict[str, object]]:
    """Keep the receipts and move the deliveries forward; per item `accepted`, `repeated` or `unknown`.

    `skew_s`: the phone's clock minus ours as they came, where the phone has said it.
    """
    with transaction.atomic():
        renewed = _renewed(officer_id, answers)
        echoes = [answer.id for answer in answers]
        answers = [
            one if _of_its_own(one) else replace(one, id=renewed.get(one.id, one.id)) for one in answers
        ]
        asked = {answer.id for answer in answers} | set(renewed.values())
        # locked in id order with what repeats them, so neither two requests of one phone nor a sender who writes and an
        # answer can wait for each other
        own = set(
            Delivery.objects.select_for_update()
            .filter(Q(id__in=asked) | Q(root__in=asked), officer_id=officer_id, id__gte=min(asked, default=0))
            .order_by("id")
            .values_list("id", flat=True)
        )
        kept = Receipt.objects.filter(delivery_id__in=own).values_list("delivery_id", "state", "at")
        before = {_once(*receipt) for receipt in kept}
        fresh: dict[tuple[object, ...], Answer] = {}
        results = []
        for echo, answer in zip(echoes, answers, strict=True):
            key = _once(answer.id, answer.state, answer.at)
            if answer.id not in own:
                result = "unknown"
            elif key in before or key in fresh:
                result = "repeated"
            else:
                fresh[key] = answer
                result = "accepted"
            results.append({"id": echo, "state": answer.state.value, "result": result})
        Receipt.objects.bulk_create(
            [
                Receipt(
                    delivery_id=answer.id,
                    state=answer.state,
                    at=answer.at,
                    received_at=now,
                    source=source,
                    skew_s=skew_s,
                    lon=answer.lon,
                    lat=answer.lat,
                    note=answer.note,
                    form=answer.form,
                )
                for answer in fresh.values()
            ]
        )
        forms = [answer for answer in fresh.values() if answer.form is not None]
        for_both = [replace(one, id=renewed[one.id]) for one in forms if one.id in renewed]
        moved = _move(officer_id, [*fresh.values(), *for_both], now)
        if forms:
            nudge("routine.forms")
        if asked_help := {a.id: (a.note, a.at) for a in fresh.values() if a.state is ReceiptState.HELP}:
            call_for_help(officer_id, asked_help, now=now)
        if any(answer.state is ReceiptState.CANNOT for answer in fresh.values()):
            nudge("escalation.sweep")  # rare, and his deputy is to be called now
        elif any(MEANS[answer.state] is State.CONFIRMED for answer in fresh.values()):
            _wake_escalation(moved)
    for dispatch in moved:
        hint("board", dispatch=dispatch)
    return results


def _once(delivery: int, state: str, at: datetime) -> tuple[object, ...]:
    """What is kept once: that a line came, was shown, was opened; each word of a person, by its instant."""
    return (delivery, str(state), None if state in ONCE else at)


def _of_its_own(answer: Answer) -> bool:
    """It says that the line came, or brings a form about the very order of the line: it is not the renewed one's."""
    return answer.state in CAME or answer.form is not None


def arrived(
    at: dict[int, datetime], *, source: str, now: datetime, state: ReceiptState = ReceiptState.DELIVERED
) -> None:
    """Whosoever they are, these deliveries have come (or are `shown`), `at` by the clock of who says so; set-wise,
    forward only."""
    if not at:
        return
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(no_key=True).filter(id__in=at).order_by("id")
        dispatches = dict(rows.values_list("id", "dispatch"))
        Receipt.objects.bulk_create(
            [
                Receipt(delivery_id=pk, state=state, at=at[pk], received_at=now, source=source)
                for pk in dispatches
            ],
            ignore_conflicts=True,
        )
        means = MEANS[state]
        before = [other for other in State if RANK[other] < RANK[means]]
        rows.filter(delivered_at=None).update(delivered_at=now)
        if state is ReceiptState.SHOWN:
            rows.filter(shown_at=None).update(shown_at=now)
        rows.filter(state__in=before).update(state=means)
    for dispatch in {*dispatches.values()}:
        hint("board", dispatch=dispatch)


def _renewed(officer_id: int, answers: list[Answer]) -> dict[int, int]:
    """By quiet line the line it renews, of those among the answers that say more than that it came."""
    said = {answer.id for answer in answers if answer.state not in CAME}
    quiet = Delivery.objects.filter(officer_id=officer_id, id__in=said, quiet=True)
    return dict(quiet.values_list("id", "root_id"))


def _wake_escalation(dispatches: set[int]) -> None:
    """An answer to what is being chased is looked at within a second, not in five."""
    bulletins = Dispatch.objects.filter(id__in=dispatches).values("bulletin")
    if Dispatch.objects.filter(bulletin__in=bulletins).exclude(errand=Errand.FIRST).exists():
        nudge_at_most("escalation.sweep", NUDGE_EVERY_S)


def _move(officer_id: int, answers: Iterable[Answer], now: datetime) -> set[int]:
    """The gravest receipt of each delivery decides; returns the dispatches touched."""
    gravest: dict[int, State] = {}
    shown, acting = set[int](), set[int]()
    for answer in answers:
        shown |= {answer.id} if answer.state is ReceiptState.SHOWN else set()
        acting |= {answer.id} if answer.state in ACTS else set()
        means = MEANS[answer.state]
        if RANK[means] > RANK[gravest.get(answer.id, State.PENDING)]:
            gravest[answer.id] = means
    if not gravest:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _FORWARD,
            {
                "order": [state.value for state in State],
                "now": now,
                "opened": RANK[State.OPENED] + 1,
                "confirmed": RANK[State.CONFIRMED] + 1,
                "id": list(gravest),
                "first": min(gravest),  # what repeats a line comes after it
                "state": [state.value for state in gravest.values()],
                "rank": [RANK[state] + 1 for state in gravest.values()],  # array_position counts from 1
                "shown": [pk in shown for pk in gravest],
                "acting": [pk in acting for pk in gravest],
                "officer": officer_id,
            },
        )
        return {row[0] for row in cursor.fetchall()}
