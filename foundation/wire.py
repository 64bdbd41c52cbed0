"""Redis as a wire: hints between processes and snapshots that PostgreSQL can rebuild at any time.

Owns the connections and the names on the wire. Nothing that is stored only here may matter. After a fault hints and signs
of life are dropped for a moment (pause.py).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

import orjson
import redis
import redis.asyncio.sentinel
import redis.sentinel
from django.conf import settings

from foundation.pause import Pause

DATA = 1  # the database of the data; 0 is the broker's
Client = TypeVar("Client", redis.Redis, redis.asyncio.Redis)
pause = Pause()
HINTS = "hints"  # the one pub/sub channel every server process subscribes to


@cache
def wire() -> redis.Redis:
    """This process's pool of connections, with short timeouts: a dead Redis must not hold up a request."""
    return client(redis.Redis, socket_timeout=2, socket_connect_timeout=1, health_check_interval=30)


def client(kind: type[Client], **options: float) -> Client:
    """A client of the data, with a pool of its own. Behind sentinels each new connection asks who is the primary."""
    watched = settings.REDIS_SENTINELS
    if watched is None:
        return kind.from_url(settings.REDIS_DATA_URL, **options)
    room = redis.asyncio.sentinel if issubclass(kind, redis.asyncio.Redis) else redis.sentinel
    sentinels = room.Sentinel(watched["hosts"], sentinel_kwargs=watched["sentinel"])
    return sentinels.master_for(watched["name"], kind, db=DATA, **watched["login"], **options)


def _lossy(ask: Callable[[redis.Redis], object]) -> None:
    """Ask for what may be lost: faults are swallowed, and after one it is lost unasked for a moment."""
    if not pause.lasts:
        try:
            ask(wire())
        except redis.RedisError:
            pause.begin()


def hint(kind: str, **fields: object) -> None:
    """Publish `{"kind": …}` to every server process; a lost hint costs seconds."""
    _lossy(lambda there: there.publish(HINTS, orjson.dumps({"kind": kind, **fields})))


def hints(kind: str, field: str, values: Iterable[int]) -> None:
    """A hint each, in one round trip."""

    def publish(there: redis.Redis) -> None:
        with there.pipeline(transaction=False) as together:
            for value in values:
                together.publish(HINTS, orjson.dumps({"kind": kind, field: value}))
            together.execute()

    _lossy(publish)


def beat(what: str, who: str, at: datetime, value: int = 0) -> None:
    """A sign of life for whoever asks; a lost one costs nothing."""
    _lossy(lambda there: there.hset(f"beats/{what}", who, f"{at.timestamp():.1f} {value}"))


def beats(what: str) -> dict[str, tuple[datetime, int]]:
    """By who beats: when last, and with which value. Empty when Redis is away or has forgotten."""
    try:
        said: dict[bytes, bytes] = wire().hgetall(f"beats/{what}")  # type: ignore[assignment]
    except redis.RedisError:
        return {}
    heard = {who.decode(): text.decode().split() for who, text in said.items()}
    return {
        who: (datetime.fromtimestamp(float(at_s), UTC), int(value)) for who, (at_s, value) in heard.items()
    }


def beats_no_more(what: str, who: Iterable[str]) -> None:
    """They are gone for good."""
    if gone := list(who):
        _lossy(lambda there: there.hdel(f"beats/{what}", *gone))
