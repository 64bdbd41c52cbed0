"""When each source is asked, and what becomes of what it brings: the only writer of Source while it is polled.

Woken by the job `routine.poll` every few seconds. Claims what is due by a lease (due_at moves on, and is the token of
whoever holds it), then asks every source in a thread of its own, so that one that hangs delays no other. Takes,
settles, remembers, one body after another; leaves rows by way of ingest, and mark, fault and next due time in the
Source. How to ask stands in one file a kind. Network and files are touched outside any transaction.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock, Thread

from django.db import InterfaceError, OperationalError, connections
from django.db.models import QuerySet

from foundation.errors import Refusal
from foundation.texts import printable
from hydrology import ingest
from hydrology.models import Feed, Source, SourceKind
from hydrology.science.formats.micaps4 import titled
from hydrology.sources import folder, sl323, url
from hydrology.sources.fetched import Fetched, Fetcher, fault
from hydrology.sources.named import length_of
from hydrology.sources.payload import as_posted, shape_of
from hydrology.sources.pictures import as_posted as as_picture
from hydrology.sources.pictures import look_of
from hydrology.sources.wet import wet

log = logging.getLogger(__name__)
POLL_S = 60.0  # then a poll leaves the rest to the next one
HANGING_S = 75.0  # then it is said to hang; before the lease ends, which then would be somebody else's
LEASE = timedelta(seconds=90)
MOST_AT_ONCE = 8  # a process has 16 connections to the database
PATIENCE = 3  # polls in a row that may end at the same body by a fault of ours, before it is left behind

FETCHERS: dict[str, Fetcher] = {
    SourceKind.URL: url.fetch,
    SourceKind.FOLDER: folder.fetch,
    SourceKind.DATABASE: sl323.fetch,
}
DOORS: dict[str, Callable[[Feed, bytes, datetime], ingest.Answer]] = {
    "readings": ingest.take_readings,
    "grid": ingest.take_grid,
    "radar": ingest.take_radar,
}
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Came:
    """What one body became. `refused` says why nothing of it was taken."""

    name: str
    size_bytes: int
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Poll:
    thread: Thread
    source: Source
    began_s: float
    said_to_hang: bool = False


_under_way: dict[str, _Poll] = {}
_turn = Lock()


def poll_due(*, clock: Clock) -> list[Thread]:
    """Start a poll of every source that is due; returns their threads, which nobody has to wait for."""
    with _turn:
        _look_after_those_under_way(clock)
        room = MOST_AT_ONCE - sum(not poll.said_to_hang for poll in _under_way.values())
        now = clock()
        raining = wet(now)
        due = Source.objects.due(now, raining=raining).exclude(pk__in=list(_under_way)).select_related("feed")
        started = []
        for source in due[: max(room, 0)]:
            if not claim(source, now):
                continue
            thread = Thread(
                target=_poll_apart, args=(source, raining, clock), name=f"poll {source.pk}", daemon=True
            )
            _under_way[source.pk] = _Poll(thread, source, time.monotonic())
            thread.start()
            started.append(thread)
        return started


def claim(source: Source, now: datetime) -> bool:
    """Take the source for the length of the lease, unless somebody was quicker; `source` then bears the token."""
    lease = now + LEASE
    won = Source.objects.filter(pk=source.pk, due_at=source.due_at).update(due_at=lease)
    source.due_at = lease
    return bool(won)


def poll(source: Source, *, raining: bool, clock: Clock) -> list[Came]:
    """Ask a claimed source and take what it brings, until there is no more or the time is over."""
    began_s = time.monotonic()
    came: list[Came] = []
    problem, note = "", ""
    in_time, ours = True, False
    try:
        fetch, worded = _fetcher(source), _worded(source)
        for fetched in fetch(source, clock()):
            problem = _take(source, fetched, worded, clock(), came) or problem
            note = fetched.note or note
            if not _mine(source).update(mark=fetched.mark):
                log.warning("source.lease_lost source=%s", source.pk)
                return came
            in_time = time.monotonic() - began_s < POLL_S
            if not in_time:
                break
    except Refusal as refusal:
        problem = _both(refusal)
    except (OperationalError, InterfaceError):
        raise  # the database is away: nothing can be remembered, the lease ends by itself
    except Exception as error:
        log.error("source.failed source=%s error=%s", source.pk, _without_words(error))
        problem = f"系统内部错误，请联系运维。Our own fault, see the log: {type(error).__name__}"
        ours = True  # however much was taken before it: PATIENCE counts these
    taken = [each for each in came if not each.refused]
    good = not problem or (
        bool(taken) and not ours
    )  # one bad file among good ones is a remark, not a failure
    _conclude(source, good, problem or note, raining, clock(), again_at_once=good and not in_time)
    log.info(
        "source.polled source=%s good=%s bodies=%s accepted=%s fault=%r",
        source.pk, good, len(came), sum(each.accepted for each in came), problem,
    )  # fmt: skip
    return came


def next_due(source: Source, failures: int, raining: bool, now: datetime) -> datetime:
    """Every `every_s`, or `wet_every_s` while it rains; after failures soon, then ever later, at most 4 * every_s."""
    soon_s = max(1, min(source.wet_every_s, source.every_s))
    if failures:
        wait_s = min(soon_s * 2 ** min(failures - 1, 20), max(1, source.every_s * 4))
    else:
        wait_s = soon_s if raining else max(1, source.every_s)
    return now + timedelta(seconds=wait_s)


def _poll_apart(source: Source, raining: bool, clock: Clock) -> None:
    try:
        poll(source, raining=raining, clock=clock)
    except (OperationalError, InterfaceError) as error:
        log.warning("source.waits source=%s error=%r", source.pk, error)
    finally:
        connections.close_all()


def _look_after_those_under_way(clock: Clock) -> None:
    """Forget those that ended; of those that hang say so. A thread cannot be ended: its source waits for it here."""
    for key, under_way in list(_under_way.items()):
        if not under_way.thread.is_alive():
            del _under_way[key]
        elif not under_way.said_to_hang and time.monotonic() - under_way.began_s > HANGING_S:
            under_way.said_to_hang = True
            refusal = fault(
                "address",
                f"{HANGING_S:.0f} 秒内没有应答，请检查来源或共享文件夹；恢复前本进程不再询问。",
                f"no answer within {HANGING_S:.0f} s: look at the source or the mount; this process waits for it.",
            )
            _conclude(under_way.source, False, _both(refusal), False, clock())


def _fetcher(source: Source) -> Fetcher:
    if source.kind in FETCHERS and source.door in DOORS:
        return FETCHERS[source.kind]
    raise fault(
        "kind",
        f"类型 {source.kind} 或数据种类 {source.door} 不能轮询，请更正。",
        f"a source of kind {source.kind} for the door {source.door} cannot be polled: correct it.",
    )


def _worded(source: Source) -> Callable[[Fetched, datetime], bytes]:
    """How a body becomes what its door takes: by the mapping, where it is not so already. Raises Refusal."""
    if "payload" in source.mapping and source.door == "readings":
        shape = shape_of(source.mapping["payload"])
        return lambda fetched, now: as_posted(shape, fetched.body, fetched.name, now)
    if "picture" in source.mapping and source.door == "radar":
        look = look_of(source.mapping["picture"])
        return lambda fetched, now: as_picture(look, fetched.body, fetched.name)
    if "field" in source.mapping and source.door == "grid":
        length_min = length_of(source.mapping["field"])
        return lambda fetched, now: titled(fetched.body, fetched.name, length_min)
    return lambda fetched, now: fetched.body


def _take(
    source: Source,
    fetched: Fetched,
    worded: Callable[[Fetched, datetime], bytes],
    now: datetime,
    came: list[Came],
) -> str:
    """Give the body to its door and settle it; returns what went wrong, if anything did."""
    if not fetched.body:
        return ""
    problem, name, size_bytes = "", fetched.name or source.pk, len(fetched.body)
    try:
        answer = DOORS[fetched.door](source.feed, worded(fetched, now), now)
        counts = {"accepted": answer["accepted"], "duplicate": answer["duplicate"]}
        came.append(Came(name, size_bytes, **counts, rejected=len(answer["rejected"])))
    except Refusal as refusal:
        problem = f"{name}: {_both(refusal)}"
        came.append(Came(name, size_bytes, refused=problem))
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if source.failures < PATIENCE:
            raise  # it may pass; the body stays where it is
        log.error("source.left_behind source=%s name=%s error=%s", source.pk, name, _without_words(error))
        kind = type(error).__name__
        problem = f"{name}: 多次无法入库，已跳过。Left behind after {PATIENCE} polls, our own fault: {kind}"
        came.append(Came(name, size_bytes, refused=problem))
    try:
        if fetched.settle:
            fetched.settle(not problem)
    except Refusal as refusal:
        problem = problem or _both(refusal)
    return problem


def _mine(source: Source) -> QuerySet[Source]:
    """The row, as long as nobody else has claimed it since."""
    return Source.objects.filter(pk=source.pk, due_at=source.due_at)


def _conclude(
    source: Source, good: bool, text: str, raining: bool, now: datetime, *, again_at_once: bool = False
) -> None:
    failures = 0 if good else source.failures + 1
    due_at = now if again_at_once else next_due(source, failures, raining, now)
    said: Mapping[str, object] = {"good_at": now} if good else {}
    _mine(source).update(due_at=due_at, failures=failures, fault=printable(text, 400), **said)


def _without_words(error: Exception) -> str:
    """Its kind and where it arose; its words may quote a secret: a header, an address."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def _both(refusal: Refusal) -> str:
    return f"{refusal.zh} {refusal.en}"
