"""Live levels: one snapshot of every reservoir and river, encoded once, served as bytes.

Owns the snapshot in Redis. Woken by the task live.refresh (a nudge after levels came in, and a sweep) and by a GET
that finds it missing or old; leaves the snapshot and a hint "levels" with what changed. Redis may be emptied or away
at any time: then the answer is built from Latest. Statuses: standing.py.

Times are told by the water's clock (feeds/clock.py). `age_s` is relative to `as_of`, so the bytes stay as they are
between two snapshots; the ETag is that of the content without ages, so a client with the same content gets 304.
"""

import gzip
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import redis

from foundation.clock import iso, local
from foundation.scope import below
from foundation.wire import hint, wire
from hydrology.feeds.clock import water_clock
from hydrology.models import Latest, SeasonLimit, Station
from hydrology.science.quality import Quality
from hydrology.science.readings import Element
from hydrology.standing import Item, item_of, season_limits

KEY = "live:levels"  # hash: built_at, as_of, and per path (city, districts) its body, its gzipped body, its ETag
REBUILD_AFTER = timedelta(seconds=30)  # the sweep comes every 10 s; a GET helps out when it does not
Kept = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """JSON bytes, the same gzipped where kept, and a weak ETag."""

    body: bytes
    zipped: bytes | None
    etag: str


def refresh(now: datetime) -> None:
    """Build and keep the snapshot and hint what changed. Builders take turns, so an older one never wins."""
    try:
        with wire().lock(f"{KEY}:lock", timeout=10, blocking_timeout=5):
            _rebuild(now)
    except redis.RedisError:
        return  # away, or held up: the next sweep or GET does it


def snapshot(paths: tuple[str, ...], now: datetime) -> Snapshot:
    """The levels at or below these paths (city or district). Never raises for Redis' sake."""
    roots = [path for path in paths if not below(path, [other for other in paths if other != path])]
    kept = _fresh_kept(roots, now)
    if len(roots) == 1 and roots[0] in kept:
        return Snapshot(kept[roots[0]], kept[f"{roots[0]}.gz"], kept[f"{roots[0]}.etag"].decode())
    items = [item for path in roots if path in kept for item in orjson.loads(kept[path])["items"]]
    as_of = kept["as_of"].decode()
    return Snapshot(_body(items, as_of), None, _etag(items))


def level_items(now: datetime) -> dict[str, list[Item]]:
    """Items of every reservoir and river by district path, in order of code, with ages at `now`; two queries."""
    season_m = season_limits(list(SeasonLimit.objects.all()), local(now).date())
    items: defaultdict[str, list[Item]] = defaultdict(list)
    for post in Station.objects.level_posts():
        items[district_of(post["region__path"])].append(item_of(post, season_m.get(post["code"]), now))
    return items


def detail(code: str, now: datetime) -> dict[str, Any]:
    """`{rain, level}` of one station: its newest rain, and its level as an item; None where it has none."""
    as_of = water_clock(now)
    post = Station.objects.level_posts().filter(pk=code).first()
    season_m = season_limits(list(SeasonLimit.objects.filter(reservoir=code)), local(as_of).date())
    rain = Latest.objects.filter(station=code, element=Element.RAIN).first()
    return {
        "rain": rain
        and {
            "observed_at": iso(rain.observed_at),
            "rain_mm": rain.value,
            "quality": Quality(rain.quality).name.lower(),
        },
        "level": post and item_of(post, season_m.get(code), as_of),
    }


def district_of(path: str) -> str:
    """The district's part of a region path ("4403/440303/…" -> "4403/440303/"); the city stays the city."""
    return "".join(f"{code}/" for code in path.split("/")[:2] if code)


def _fresh_kept(roots: list[str], now: datetime) -> Kept:
    """What Redis keeps for these paths if it is young enough, else built here and now."""
    fields = [
        "built_at",
        "as_of",
        *(field for path in roots for field in (path, f"{path}.gz", f"{path}.etag")),
    ]
    lock = wire().lock(f"{KEY}:lock", timeout=10, blocking=False)
    try:
        values = wire().hmget(KEY, fields)
        kept = {field: value for field, value in zip(fields, values, strict=True) if value is not None}
        if abs(now.timestamp() - float(kept.get("built_at", 0))) < REBUILD_AFTER.total_seconds():
            return kept
        if lock.acquire():
            try:
                return _rebuild(now)
            finally:
                lock.release()
    except redis.RedisError:
        pass  # PostgreSQL alone must be able to answer
    as_of = water_clock(now)
    return _encoded(level_items(as_of), as_of, now)


def _rebuild(now: datetime) -> Kept:
    as_of = water_clock(now)
    items = level_items(as_of)
    kept = _encoded(items, as_of, now)
    bodies = wire().hmget(KEY, list({_city(path) for path in items})) if items else []
    before = {
        item["station"]: _lasting(item) for body in bodies if body for item in orjson.loads(body)["items"]
    }
    with wire().pipeline() as pipe:
        pipe.delete(KEY)
        pipe.hset(KEY, mapping=kept)
        pipe.execute()
    changed = {
        path: [i for i in rows if _lasting(i) != before.get(i["station"])] for path, rows in items.items()
    }
    if any(changed.values()):
        hint("levels", as_of=iso(as_of), changes={path: rows for path, rows in changed.items() if rows})
    return kept


def _encoded(items: dict[str, list[Item]], as_of: datetime, now: datetime) -> Kept:
    """Bodies per district path and per city path."""
    told = str(iso(as_of))
    bodies = defaultdict(list, {path: list(rows) for path, rows in items.items()})
    for path, rows in items.items():
        if _city(path) != path:
            bodies[_city(path)] += rows
    kept = {"built_at": str(now.timestamp()).encode(), "as_of": told.encode()}
    for path, rows in bodies.items():
        body = _body(rows, told)
        kept |= {
            path: body,
            f"{path}.gz": gzip.compress(body, 6, mtime=0),
            f"{path}.etag": _etag(rows).encode(),
        }
    return kept


def _city(path: str) -> str:
    return path.partition("/")[0] + "/"


def _body(items: list[Item], as_of: str) -> bytes:
    return orjson.dumps({"as_of": as_of, "items": items})


def _etag(items: list[Item]) -> str:
    return f'W/"{hashlib.sha256(orjson.dumps([_lasting(item) for item in items])).hexdigest()[:20]}"'


def _lasting(item: Item) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "age_s"}
