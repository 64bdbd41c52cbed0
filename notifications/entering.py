"""From a ticket to a socket that knows what it missed: hundreds of hellos in a handful of round trips.

One pipeline to Redis for the tickets, one query each for their sessions, the regions of their topics, where their replay
begins, and what they missed. Runs in a thread; leaves nothing behind but spent tickets.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from foundation.scope import Scope, below
from hydrology.models import Region
from notifications import frames
from notifications.frames import Item, Since
from officers.directory import scopes_of
from officers.tickets import Admission, redeem_tickets

MOST_REPLAYED: Final = 500  # items a hello; who missed more reads the older ones from the inbox
NOT_SIGNED_IN, TOPIC_OUTSIDE = 4401, 4403


class Hello(NamedTuple):
    """What a phone says first; `topics` are well formed, `since` fits a bigint."""

    ticket: str
    since: int
    topics: tuple[str, ...]


class Topics(NamedTuple):
    """The regions whose levels and whose board one listens to, as paths."""

    levels: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()

    def within(self, scope: Scope) -> bool:
        return all(below(path, scope.water_paths) for path in self.levels) and all(
            below(path, scope.paths) for path in self.boards
        )


class Entry(NamedTuple):
    """Who has come in and what he is told first."""

    admission: Admission
    inbox: bool
    topics: Topics
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
        topics = _topics(hello.topics, places)
        if topics is None or not topics.within(admission.grant.scope):
            answers.append(TOPIC_OUTSIDE)
            continue
        inbox = "inbox" in hello.topics or not hello.topics
        seq = replayed_from(hello.since, oldest, newest)
        answers.append(Entry(admission, inbox, _same(topics), seq, seq != hello.since, [], newest))
    return _with_items(answers, newest, now, page)


def replayed_from(since: int, oldest: int, newest: int) -> int:
    """Where replay can begin: later where older rows are gone, earlier where the phone knows what we never said.

    The latter is a ledger brought back from a backup: its next messages have numbers the phone takes for known.
    """
    if since > newest:
        return newest
    return max(since, oldest - 1) if since else since


def outside(heard: Collection[tuple[int, Topics]], now: datetime) -> set[tuple[int, Topics]]:
    """Of officers and what they listen to, what their posts of this instant no longer cover; one query."""
    scopes = scopes_of({officer for officer, _ in heard}, now)
    return {one for one in heard if not one[1].within(scopes.get(one[0], Scope()))}


def _topics(named: Sequence[str], places: dict[str, str]) -> Topics | None:
    """None when a place is unknown."""
    paths: dict[str, list[str]] = {"levels": [], "board": []}
    for kind, code in map(_split, named):
        if kind != "inbox":
            if code not in places:
                return None
            paths[kind].append(places[code])
    return Topics(tuple(sorted(paths["levels"])), tuple(sorted(paths["board"])))


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
def _same(topics: Topics) -> Topics:
    """One for equal ones: most sockets of a district share theirs."""
    return topics
