"""Live levels: one snapshot of every reservoir and river, encoded once, served as bytes.

Owns the snapshot in Redis and this process's copy of it. Woken by the task live.refresh (a nudge after levels came in,
and a sweep) and by a GET that finds it missing or old; leaves the snapshot and a hint "levels" with what changed, by
region. Redis may be emptied or away at any time: then the answer is built from Latest. Statuses: standing.py; which
items an answer shows, and ETags: shelf.py.

Times are told by the water's clock (feeds/clock.py). `age_s` is relative to `as_of`, so the bytes stay as they are
between two snapshots.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import orjson
import redis

from foundation.clock import age_s, iso, local
from foundation.wire import hint, wire
from hydrology.feeds.clock import water_clock
from hydrology.models import Latest, SeasonLimit, Station
from hydrology.science.quality import Quality
from hydrology.science.readings import Element
from hydrology.shelf import Answer, Asked, Shelf, lasting, row_of
from hydrology.standing import Item, item_of, limits_of, season_limits

KEY = "live:water"  # hash: built_at, as_of, and rows: [[region path, item], …] in order of code
REBUILD_AFTER = timedelta(seconds=30)  # the sweep comes every 10 s; a GET helps out when it does not
Placed = list[tuple[str, Item]]  # region path and item

_held: tuple[bytes, Shelf] | None = None  # built_at and the shelf made of what Redis kept then


def refresh(now: datetime) -> None:
    """Build and keep the snapshot and hint what changed. Builders take turns, so an older one never wins."""
    try:
        with wire().lock(f"{KEY}:lock", timeout=10, blocking_timeout=5):
            _rebuild(now)
    except redis.RedisError:
        return  # away, or held up: the next sweep or GET does it


def shelf(now: datetime) -> Shelf:
    """The newest snapshot: Redis' while it is young, else built here and now. Never raises for Redis' sake."""
    lock = wire().lock(f"{KEY}:lock", timeout=10, blocking=False)
    try:
        if kept := _young(now):
            return kept
        if lock.acquire():
            try:
                return _rebuild(now)
            finally:
                lock.release()
    except redis.RedisError:
        pass  # PostgreSQL alone must be able to answer
    as_of = water_clock(now)
    return _shelved(level_rows(as_of), str(iso(as_of)))


def snapshot(paths: tuple[str, ...], now: datetime) -> Answer:
    """The levels at or below these paths, in order of code."""
    return shelf(now).answer(Asked(paths))


def level_rows(now: datetime) -> Placed:
    """Every level post as (region path, item), in order of code, with ages at `now`; two queries."""
    season_m = season_limits(list(SeasonLimit.objects.all()), local(now).date())
    return [
        (post["region__path"], item_of(post, season_m.get(post["code"]), now))
        for post in Station.objects.level_posts()
    ]


def detail(code: str, now: datetime) -> dict[str, Any]:
    """`{as_of, rain, level, limits, feed}` of one station: its newest rain, its level as an item, its limits from the
    lowest up, and the feed that spoke last; None where it has none. With the first feed silent, a worse-ranked one is
    named here."""
    as_of = water_clock(now)
    post = Station.objects.level_posts().filter(pk=code).first()
    season_m = season_limits(list(SeasonLimit.objects.filter(reservoir=code)), local(as_of).date()).get(code)
    rain = Latest.objects.filter(station=code, element=Element.RAIN).first()
    newest = (
        Latest.objects.filter(station=code).select_related("feed").order_by("-observed_at", "element").first()
    )
    speaks = newest and newest.feed
    return {
        "as_of": iso(as_of),
        "feed": speaks and {"name": speaks.name, "rank": speaks.rank},
        "rain": rain
        and {
            "observed_at": iso(rain.observed_at),
            "age_s": age_s(rain.observed_at, as_of),
            "rain_mm": rain.value,
            "quality": Quality(rain.quality).name.lower(),
        },
        "level": post and item_of(post, season_m, as_of),
        "limits": [
            {"kind": limit.kind.value, "limit_m": limit.limit_m}
            for limit in (limits_of(post, season_m) if post else [])
        ],
    }


def _young(now: datetime) -> Shelf | None:
    """What Redis keeps, if it is young enough; decoded once a process."""
    global _held
    built_at = wire().hget(KEY, "built_at")
    if built_at is None or abs(now.timestamp() - float(built_at)) >= REBUILD_AFTER.total_seconds():
        return None
    if _held is not None and _held[0] == built_at:
        return _held[1]
    built_at, as_of, rows = wire().hmget(KEY, ["built_at", "as_of", "rows"])
    if rows is None:
        return None
    _held = built_at, _shelved(orjson.loads(rows), as_of.decode())
    return _held[1]


def _rebuild(now: datetime) -> Shelf:
    as_of = water_clock(now)
    rows, told = level_rows(as_of), str(iso(as_of))
    before = {item["station"]: lasting(item) for _, item in orjson.loads(wire().hget(KEY, "rows") or b"[]")}
    kept = {"built_at": repr(now.timestamp()), "as_of": told, "rows": orjson.dumps(rows)}
    wire().hset(KEY, mapping=kept)
    changes: defaultdict[str, list[Item]] = defaultdict(list)
    for path, item in rows:
        if lasting(item) != before.get(item["station"]):
            changes[path].append(item)
    if changes:
        hint("levels", as_of=told, changes=changes)
    return _shelved(rows, told)


def _shelved(rows: Placed, as_of: str) -> Shelf:
    placed = (row_of(path, item["station"], item, item["kind"], item["status"]) for path, item in rows)
    return Shelf({"as_of": as_of}, placed)
