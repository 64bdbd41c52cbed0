"""What goes out on officers' sockets, ready for the line: frames of RFC 6455, each text encoded once.

Owns the reading of the ledger for sockets, for hundreds of people in one query: what each has missed since his seq,
and what is new to those who are connected. Ids of deliveries become visible in order (ADR 7), so "up to the newest
id" is a promise: nothing at or below it can appear later. Runs in threads; knows no socket.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Max, Min

from notifications.inbox import asking, common, papers_of
from notifications.models import STOPPED_REASONS, Delivery, Dispatch, Errand
from notifications.own_tasks import Line, own_tasks, spoken

TEXT_FRAME = 0x81  # RFC 6455, 5.2: FIN and opcode 1; a server's frames are not masked
Row = tuple[int, int, int, str, str, bool]  # delivery, officer, dispatch, language, state, quiet

_MISSED = """
    SELECT d.id, w.officer, d.dispatch_id, o.language, d.state, d.quiet, w.place
    FROM unnest(%(officers)s::bigint[], %(since)s::bigint[]) WITH ORDINALITY w (officer, since, place)
    JOIN officers_officer o ON o.id = w.officer
    CROSS JOIN LATERAL (
        SELECT d.id, d.dispatch_id, d.state, d.quiet
        FROM notifications_delivery d JOIN notifications_dispatch p ON p.id = d.dispatch_id
        WHERE d.officer_id = w.officer AND d.id > w.since AND d.id > %(lowest)s AND d.id <= %(newest)s
            AND p.errand <> %(repeat)s AND d.reason <> ALL(%(stopped)s)
        ORDER BY d.id LIMIT %(most)s) d
    ORDER BY w.place, d.id"""

# the newest one that is left out when only `most` are sent
_LEFT_OUT = """
    SELECT w.place, d.id
    FROM unnest(%(officers)s::bigint[], %(since)s::bigint[]) WITH ORDINALITY w (officer, since, place)
    CROSS JOIN LATERAL (
        SELECT d.id
        FROM notifications_delivery d JOIN notifications_dispatch p ON p.id = d.dispatch_id
        WHERE d.officer_id = w.officer AND d.id > w.since AND d.id > %(lowest)s AND d.id <= %(newest)s
            AND p.errand <> %(repeat)s AND d.reason <> ALL(%(stopped)s)
        ORDER BY d.id DESC OFFSET %(most)s LIMIT 1) d"""


class Since(NamedTuple):
    """An officer who has everything up to this seq."""

    officer: int
    seq: int


class Item(NamedTuple):
    """One person's item, framed."""

    seq: int
    officer: int
    dispatch: int
    frame: bytes


class Ledger(NamedTuple):
    """The oldest and newest seq there are; (0, 0) when there are none."""

    oldest: int
    newest: int


def text(payload: bytes) -> bytes:
    """One unfragmented text frame as a server sends it, no extension in use."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", TEXT_FRAME, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", TEXT_FRAME, 126, size) + payload
    return struct.pack("!BBQ", TEXT_FRAME, 127, size) + payload


def framed(**fields: object) -> bytes:
    return text(orjson.dumps(fields))


def ledger() -> Ledger:
    found = Delivery.objects.aggregate(oldest=Min("id"), newest=Max("id"))
    return Ledger(found["oldest"] or 0, found["newest"] or 0)


def left_out(wanted: Sequence[Since], newest: int, *, most: int) -> list[int]:
    """By place in `wanted`: from which seq on the newest `most` items stand; his own seq when nothing is left out."""
    found = {place - 1: seq for place, seq in _read(_LEFT_OUT, wanted, newest, most)}
    return [found.get(place, since.seq) for place, since in enumerate(wanted)]


def missed(wanted: Sequence[Since], newest: int, now: datetime, *, most: int) -> list[list[Item]]:
    """By place in `wanted`: the first `most` items after his seq and not beyond `newest`, oldest first."""
    rows = _read(_MISSED, wanted, newest, most)
    theirs: list[list[Item]] = [[] for _ in wanted]
    for row, item in zip(rows, _framed([row[:6] for row in rows], now), strict=True):
        theirs[row[6] - 1].append(item)
    return theirs


def step(since: int, newest: int, most: int) -> int:
    """Up to which seq `most` lines after `since` go, not beyond `newest`. Between two months a billion seqs are none."""
    if newest - since <= most:
        return newest
    lines = Delivery.objects.filter(id__gt=since, id__lte=newest).order_by("id").values_list("id", flat=True)
    return next(iter(lines[most - 1 : most]), newest)


def told(since: int, newest: int, officers: list[int], now: datetime) -> list[Item]:
    """Every item in (since, newest] of these officers, in the order of seq."""
    rows = (
        Delivery.objects.filter(id__gt=since, id__lte=newest, officer_id__in=officers)
        .exclude(dispatch__errand=Errand.REPEAT)
        .exclude(reason__in=STOPPED_REASONS)
        .order_by("id")
        .values_list("id", "officer_id", "dispatch_id", "officer__language", "state", "quiet")
    )
    return _framed(list(rows), now)


def _read(query: str, wanted: Sequence[Since], newest: int, most: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            query,
            {
                "officers": [since.officer for since in wanted],
                "since": [since.seq for since in wanted],
                "lowest": min(
                    (since.seq for since in wanted), default=newest
                ),  # months before it are not looked into
                "newest": newest,
                "most": most,
                "repeat": Errand.REPEAT,
                "stopped": list(STOPPED_REASONS),
            },
        )
        return cursor.fetchall()


def _framed(rows: list[Row], now: datetime) -> list[Item]:
    """What all items of a dispatch share is encoded once a language, a set of tasks likewise."""
    if not rows:
        return []
    dispatches = Dispatch.objects.select_related("bulletin").in_bulk({row[2] for row in rows})
    orders = {pk: order for pk, dispatch in dispatches.items() if (order := asking(dispatch))}
    lines = [Line(row[0], row[1], orders[row[2]]) for row in rows if row[2] in orders]
    tasks = own_tasks(lines, now=now) if lines else {}
    tail, own = _tails(dispatches), _task_lists()
    return [
        Item(
            pk,
            officer,
            dispatch,
            text(
                b'{"type":"inbox","seq":%d,"id":%d,"state":"%b","quiet":%b,%b,"tasks":%b}'
                % (
                    pk,
                    pk,
                    state.encode(),
                    b"true" if quiet else b"false",
                    tail(dispatch, language),
                    own(tasks.get(pk, ()), language),
                )
            ),
        )
        for pk, officer, dispatch, language, state, quiet in rows
    ]


def _tails(dispatches: dict[int, Dispatch]) -> Callable[[int, str], bytes]:
    papers = papers_of(dispatch.bulletin.order_id for dispatch in dispatches.values())
    encoded: dict[tuple[int, str], bytes] = {}

    def tail(pk: int, language: str) -> bytes:
        if (pk, language) not in encoded:
            dispatch = dispatches[pk]
            shared = common(dispatch, language) | {
                "attachments": papers.get(dispatch.bulletin.order_id or 0, [])
            }
            encoded[pk, language] = orjson.dumps(shared)[1:-1]
        return encoded[pk, language]

    return tail


def _task_lists() -> Callable[[Sequence[dict[str, Any]], str], bytes]:
    encoded: dict[tuple[str, tuple[object, ...]], bytes] = {}

    def own(theirs: Sequence[dict[str, Any]], language: str) -> bytes:
        if not theirs:
            return b"[]"
        key = (language, tuple((task["id"], task["state"]) for task in theirs))
        if key not in encoded:
            encoded[key] = orjson.dumps([spoken(task, language) for task in theirs])
        return encoded[key]

    return own
