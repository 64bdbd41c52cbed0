"""From a ticket to a socket that knows what it missed: hundreds of hellos in a handful of round trips.

One pipeline to Redis for the tickets, one query each for their sessions, the regions of their topics, where their replay
begins, and what they missed. Runs in a thread; leaves nothing behind but spent tickets.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from foundation.scope import Scope, below
from hydrology.models import Region
from notifications import frames
from notifications.frames import Item, Since
from officers.tickets import Admission, redeem_tickets

MOST_REPLAYED: Final = 500  # items a hello; who missed more reads the older ones from the inbox
NOT_SIGNED_IN, TOPIC_OUTSIDE = 4401, 4403


class Hello(NamedTuple):
    """What a phone says first; `topics` are well formed, `since` fits a bigint."""

    ticket: str
    since: int
    topics: tuple[str, ...]


class Entry(NamedTuple):
    """Who has come in and what he is told first."""

    admission: Admission
    inbox: bool
    board: bool
    level_paths: tuple[str, ...]
    seq: int  # what follows begins after this
    gap: bool  # what lies between his `since` and `seq` does not follow: he reads it from the inbox
    items: list[Item]
    newest: int  # the newest seq of all when `items` were read


def enter(hellos: Sequence[Hello], now: datetime, *, page: int) -> list[Entry | int]:
    """An Entry with the first `page` items, or the code the socket is closed with. Raises Refusal 503."""
    admissions = redeem_tickets([hello.ticket for hello in hellos], now)
    places = _places({code for hello in hellos for _, code in map(_split, hello.topics) if code})
    oldest, newest = frames.ledger()
    answers: list[Entry | int] = []
    for hello, admission in zip(hellos, admissions, strict=True):
        if admission is None:
            answers.append(NOT_SIGNED_IN)
            continue
        paths = level_paths(hello.topics, admission.grant.scope, places)
        if paths is None:
            answers.append(TOPIC_OUTSIDE)
            continue
        inbox = "inbox" in hello.topics or not hello.topics
        board = any(topic.startswith("board:") for topic in hello.topics)
        seq = replayed_from(hello.since, oldest, newest)
        answers.append(Entry(admission, inbox, board, _same(paths), seq, seq != hello.since, [], newest))
    return _with_items(answers, newest, now, page)


def replayed_from(since: int, oldest: int, newest: int) -> int:
    """Where replay can begin: later where older rows are gone, earlier where the phone knows what we never said.

    The latter is a ledger brought back from a backup: its next messages have numbers the phone takes for known.
    """
    if since > newest:
        return newest
    return max(since, oldest - 1) if since else since


def level_paths(topics: Sequence[str], scope: Scope, places: dict[str, str]) -> tuple[str, ...] | None:
    """The region paths of the level topics; None when a topic lies outside the scope or is unknown."""
    paths = []
    for topic in topics:
        kind, code = _split(topic)
        if topic == "inbox":
            continue
        allowed = {"levels": scope.water_paths, "board": scope.paths}.get(kind, ())
        place = places.get(code)
        if place is None or not below(place, allowed):
            return None
        if kind == "levels":
            paths.append(place)
    return tuple(sorted(paths))


def _with_items(answers: list[Entry | int], newest: int, now: datetime, page: int) -> list[Entry | int]:
    asking = [place for place, entry in enumerate(answers) if isinstance(entry, Entry) and entry.inbox]
    entries = [entry for place in asking if isinstance(entry := answers[place], Entry)]
    wanted = [Since(entry.admission.grant.officer_id, entry.seq) for entry in entries]
    starts = frames.left_out(wanted, newest, most=MOST_REPLAYED)
    wanted = [Since(since.officer, start) for since, start in zip(wanted, starts, strict=True)]
    items = frames.missed(wanted, newest, now, most=page)
    for place, entry, since, theirs in zip(asking, entries, wanted, items, strict=True):
        gap = entry.gap or since.seq != entry.seq
        answers[place] = entry._replace(seq=since.seq, gap=gap, items=theirs)
    return answers


def _split(topic: str) -> tuple[str, str]:
    kind, _, code = topic.partition(":")
    return kind, code


def _places(codes: set[str]) -> dict[str, str]:
    return dict(Region.objects.filter(code__in=codes).values_list("code", "path")) if codes else {}


@lru_cache(maxsize=4096)
def _same(paths: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for equal ones: most sockets of a district share theirs."""
    return paths
