"""From a bulletin to its ledger: one Dispatch, one Delivery a person, one INSERT … SELECT.

Woken by a nudge after a bulletin and by a sweep; an escalation's errands come many at once (`run_errands`). Leaves
PENDING deliveries due now. Inserts take one advisory lock, so delivery ids (the inbox's seq) become visible in order.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import connection, transaction

from alerts.models import Bulletin
from foundation.nudge import nudge
from foundation.wire import hint, hints
from notifications import months
from notifications.audience import ERRANDS, audience
from notifications.drills import stop_reason
from notifications.leavers import call_off_leavers
from notifications.models import LANE, Dispatch, Errand
from notifications.months import SEQ_LOCK
from notifications.threads import hanging, told
from officers.models import has_live_device

log = logging.getLogger(__name__)

SENDERS = 2  # tasks started at once: one talks to the database while the other talks to the vendor

PUSH = "fcm"  # the transport of what goes by the app, whichever vendor's; sms and voice need no device

_LIVE = f"CROSS JOIN LATERAL (SELECT {has_live_device('a')} AS live) device"
# `told`: what he has already of the bulletin's thread, when the bulletin renews it and is no graver. OFFSET 0: by the
# officer's own index and no further back than the thread; without statistics the planner would read all deliveries for
# each officer. Who renews nothing does not look at all: the first order after an import took 11 s.
_TOLD = """
LEFT JOIN LATERAL (
    SELECT coalesce(d.root_id, d.id) AS id
    FROM (
        SELECT * FROM notifications_delivery WHERE officer_id = a.officer_id AND id >= %(since)s ORDER BY id OFFSET 0
    ) d  -- read in order, so no further than the first that counts
    WHERE d.dispatch_id = ANY(%(thread)s) AND (d.state <> 'failed_perm' OR NOT live)
    ORDER BY d.id LIMIT 1
) told ON true
"""
_NOBODY_TOLD = "CROSS JOIN (SELECT NULL::bigint AS id) told"
_INSERT = """
INSERT INTO notifications_delivery
    (dispatch_id, officer_id, region_id, root_id, quiet, lane, transport, state, reason, attempts, due_at,
     accepted_devices)
SELECT %(dispatch)s, a.officer_id, a.region_id, told.id, told.id IS NOT NULL, urgent.lane, 'fcm',
       CASE WHEN live AND %(stopped)s = '' THEN 'pending' ELSE 'failed_perm' END,
       CASE WHEN %(stopped)s <> '' THEN %(stopped)s WHEN live THEN '' ELSE 'no_live_device' END,
       0, %(now)s, '{{}}'
FROM ({audience}) a
CROSS JOIN (SELECT {lane} AS lane FROM alerts_bulletin b WHERE b.id = %(bulletin)s) urgent
{live}
{told}
WHERE (%(drill_of)s::bigint IS NULL  -- nobody but who takes part in the exercise
       OR a.officer_id = ANY(ARRAY(SELECT unnest(officers) FROM alerts_drill WHERE id = %(drill_of)s)))
  AND (%(only)s::bigint[] IS NULL OR a.officer_id = ANY(%(only)s))
  AND a.officer_id NOT IN (  -- he has his line already, maybe in a month before: no unique key reaches there
       SELECT officer_id FROM notifications_delivery WHERE id >= %(first)s AND dispatch_id = %(dispatch)s)
ON CONFLICT DO NOTHING
"""

# looked at once more: it renews what still stands, or nothing. Locked in the order of ids, as receipts do
_ANEW = f"""
WITH lines AS MATERIALIZED (
    SELECT id, officer_id FROM notifications_delivery
    WHERE id = ANY(%(lines)s) AND quiet AND state <> 'confirmed' ORDER BY id FOR NO KEY UPDATE
), anew AS MATERIALIZED (
    SELECT a.id, told.id AS root FROM lines a {_LIVE} {{told}}
)
UPDATE notifications_delivery d SET root_id = anew.root, quiet = anew.root IS NOT NULL
FROM anew WHERE d.id = anew.id AND d.id = ANY(%(lines)s)
"""

# Many dispatches at once. %(first)s: no line for which they speak, nor of what was first said, has a lower id.
# A drill stays with who takes part in it, or was told at first that it is one.
_INSERT_ERRANDS = f"""
WITH made AS (
    INSERT INTO notifications_delivery (dispatch_id, officer_id, region_id, root_id, quiet, lane, transport, state,
                                        reason, attempts, due_at, accepted_devices)
    SELECT a.dispatch_id, a.officer_id, a.region_id, a.root_id, false, {LANE}, ask.transport,
           CASE WHEN there THEN 'pending' ELSE 'failed_perm' END,
           CASE WHEN there THEN '' ELSE 'no_live_device' END,
           0, %(now)s, '{{}}'
    FROM ({ERRANDS}) a
    JOIN unnest(%(made)s::bigint[], %(transport)s::text[]) AS ask(id, transport) ON ask.id = a.dispatch_id
    JOIN notifications_dispatch s ON s.id = a.dispatch_id
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN alerts_drill g ON g.id = b.drill_of_id
    {_LIVE}
    CROSS JOIN LATERAL (SELECT live OR ask.transport <> 'fcm' AS there) ear
    WHERE NOT b.drill OR CASE
        WHEN g.id IS NOT NULL THEN a.officer_id = ANY(g.officers)
        ELSE EXISTS (
            SELECT 1 FROM notifications_dispatch f
            JOIN notifications_delivery d ON d.dispatch_id = f.id AND d.id >= %(first)s
            WHERE f.bulletin_id = b.id AND f.errand = 'first' AND d.officer_id = a.officer_id) END
    ORDER BY a.root_id, a.dispatch_id, a.officer_id
    RETURNING dispatch_id
)
UPDATE notifications_dispatch s SET recipients = counted.people
FROM (SELECT dispatch_id, count(*) AS people FROM made GROUP BY dispatch_id) counted
WHERE s.id = counted.dispatch_id RETURNING s.id, s.recipients
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One errand of an escalation: for whom it speaks (delivery ids), how, and what is said before the words (zh, en)."""

    bulletin: Bulletin
    errand: Errand
    unanswered: Sequence[int]
    lead: tuple[str, str] = ("", "")
    transport: str = PUSH


def take_up(*, now: datetime) -> int:
    """Dispatch every valid bulletin that has none; returns how many. Safe to run anywhere.

    The gravest first, so that it is what rings of a storm (ADR 13); of one warning what was said earlier, so that the last a
    phone is told is the latest. One that fails holds up no other; the first such fault is raised when all others are done.
    """
    waiting = list(Bulletin.objects.unsent(now).only("urgency", "warning"))
    gravest: dict[int, int] = {}
    for bulletin in waiting:
        gravest[_matter(bulletin)] = max(bulletin.urgency, gravest.get(_matter(bulletin), 0))
    waiting.sort(key=lambda bulletin: (-gravest[_matter(bulletin)], bulletin.pk))
    earlier: defaultdict[int, list[int]] = defaultdict(list)
    done, faults = 0, list[Exception]()
    for bulletin in waiting:
        of_it = earlier[_matter(bulletin)]
        try:
            done += _take_one(bulletin.pk, of_it, now)
        except Exception as fault:
            log.exception("dispatch.failed bulletin=%s", bulletin.pk)
            faults.append(fault)
        of_it.append(bulletin.pk)
    if faults:
        raise faults[0]
    return done


def _matter(bulletin: Bulletin) -> int:
    """Its warning; what is of none is a matter of its own."""
    return bulletin.warning_id or -bulletin.pk


@transaction.atomic
def _take_one(pk: int, earlier: Sequence[int], now: datetime) -> bool:
    """Dispatch it unless another worker has it or had it; waits for one who is at what was said `earlier`."""
    rows = Bulletin.objects.order_by("pk").values_list("pk")
    if not rows.select_for_update(skip_locked=True, no_key=True).filter(pk=pk).first():
        return False
    list(rows.select_for_update(no_key=True).filter(pk__in=earlier))
    # asked again under the lock: the row itself does not change when it is taken up
    bulletin = Bulletin.objects.unsent(now).filter(pk=pk).first()
    if bulletin is None:
        return False
    call_off_leavers(run_errand(bulletin, Errand.FIRST, now=now), now=now)
    return True


def run_errand(
    bulletin: Bulletin,
    errand: Errand,
    *,
    now: datetime,
    unanswered: Sequence[int] = (),
    lead: tuple[str, str] = ("", ""),
    transport: str = PUSH,
) -> Dispatch:
    """One dispatch of the bulletin to the errand's audience; call inside a transaction."""
    if errand is not Errand.FIRST:
        return run_errands([Ask(bulletin, errand, unanswered, lead, transport)], now=now)[0]
    dispatch = _dispatch(Ask(bulletin, errand, ()), now, take_turn(now))
    dispatch.save()
    dispatch.recipients = _fill(dispatch, now)
    dispatch.save(update_fields=["recipients"])
    _wake()
    transaction.on_commit(partial(hint, "dispatch", dispatch=dispatch.pk))
    log.info("dispatch.made id=%s errand=%s recipients=%s", dispatch.pk, errand, dispatch.recipients)
    return dispatch


def run_errands(asks: Sequence[Ask], *, now: datetime) -> list[Dispatch]:
    """A dispatch for each, filled together whatever their number; call inside a transaction. Not for FIRST."""
    first_line = take_turn(now)
    dispatches = Dispatch.objects.bulk_create([_dispatch(ask, now, first_line) for ask in asks])
    made = list(zip(dispatches, asks, strict=True))
    spoken_for = [(dispatch.pk, pk) for dispatch, ask in made for pk in ask.unanswered]
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_ERRANDS,
            {
                "made": [dispatch.pk for dispatch in dispatches],
                "transport": [ask.transport for ask in asks],
                "dispatch": [dispatch for dispatch, _ in spoken_for],
                "unanswered": [pk for _, pk in spoken_for],
                "first": min([months.open_since(now), *(pk for _, pk in spoken_for)]),
                "now": now,
            },
        )
        recipients = dict(cursor.fetchall())
    for dispatch in dispatches:
        dispatch.recipients = recipients.get(dispatch.pk, 0)
    channels = {ask.transport for ask in asks}
    if PUSH in channels:
        _wake()
    for _ in channels - {PUSH}:  # a sender each
        nudge("delivery.telephone")
    # a repeat rings again but is no new item of the inbox: only the boards want to know
    for kind, repeats in (("board", True), ("dispatch", False)):
        told = [dispatch.pk for dispatch, ask in made if (ask.errand is Errand.REPEAT) is repeats]
        transaction.on_commit(partial(hints, kind, "dispatch", told))
    log.info("dispatch.errands n=%s recipients=%s", len(dispatches), sum(recipients.values()))
    return dispatches


def own_what_hangs(among: Sequence[int], *, now: datetime) -> int:
    """Of these first dispatches, which ask and may ring: who has one only in place of what is over has it for itself from
    now on, and owes its answer, unless something else that stands has rung him. Returns how many lines; call inside a
    transaction."""
    hang = defaultdict[int, list[int]](list)
    for dispatch, line in hanging(among, at=now):
        hang[dispatch].append(line)
    dispatches = Dispatch.objects.select_related("bulletin").in_bulk(hang)
    with connection.cursor() as cursor:
        for pk, lines in hang.items():  # in order: what was said first may ring for what was said later
            thread = [other for other in told(dispatches[pk], now) if other < pk and other in among]
            given = {"lines": lines, "thread": thread, "since": months.since_of(pk__in=thread)}
            cursor.execute(_ANEW.format(told=_TOLD if thread else _NOBODY_TOLD), given)
    if hang:
        log.info("dispatch.hanging dispatches=%s lines=%s", len(hang), sum(map(len, hang.values())))
    return sum(map(len, hang.values()))


def _dispatch(ask: Ask, now: datetime, first_line: int) -> Dispatch:
    return Dispatch(
        bulletin=ask.bulletin,
        errand=ask.errand,
        drill=ask.bulletin.drill,
        lead_zh=ask.lead[0],
        lead_en=ask.lead[1],
        created_at=now,
        expires_at=ask.bulletin.valid_until,
        first_line=first_line,
    )


def _wake() -> None:
    for _ in range(SENDERS):
        nudge("delivery.send")


@transaction.atomic
def refill(pk: int, *, now: datetime, only: Sequence[int] | None = None) -> int:
    """Write the lines that a dispatch should have and has not; returns how many. For the audit (escalation/audit.py), and
    for those `only` who came after it (newcomers.py).

    A first dispatch asks its audience anew. Of an errand's rung it is not known any more for whom it spoke: what is
    left of it is taken as it is, and its climbs go on to the next rung.
    """
    dispatch = (
        Dispatch.objects.select_for_update(no_key=True, of=("self",)).select_related("bulletin").get(pk=pk)
    )
    lines = dispatch.deliveries.filter(id__gte=dispatch.first_line).count()
    added = 0
    if dispatch.errand == Errand.FIRST:
        take_turn(now)
        added = _fill(dispatch, now, only)
    if lines + added != dispatch.recipients:
        dispatch.recipients = lines + added
        dispatch.save(update_fields=["recipients"])
    if added:
        _wake()
        transaction.on_commit(partial(hint, "dispatch", dispatch=pk))
    (log.info if only else log.warning)("dispatch.refilled id=%s lines=%s added=%s", pk, lines, added)
    return added


def _fill(dispatch: Dispatch, now: datetime, only: Sequence[int] | None = None) -> int:
    """A first dispatch's lines, one a person (of these), when the turn is taken; returns how many were new."""
    bulletin = dispatch.bulletin
    text, parameters = audience(bulletin, now)
    with connection.cursor() as cursor:
        thread = told(dispatch, now)
        cursor.execute(
            _INSERT.format(audience=text, live=_LIVE, lane=LANE, told=_TOLD if thread else _NOBODY_TOLD),
            {
                **parameters,
                "dispatch": dispatch.pk,
                "bulletin": bulletin.pk,
                "drill_of": bulletin.drill_of_id,
                "stopped": stop_reason(bulletin),
                "thread": thread,
                "since": months.since_of(pk__in=thread),
                "first": dispatch.first_line,
                "only": only,
            },
        )
        return int(cursor.rowcount)


def take_turn(now: datetime) -> int:
    """Until the commit nobody else writes lines, so their ids become visible in order; an id below which none will be."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEQ_LOCK])
    return months.turn(now)
