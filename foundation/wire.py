"""Redis as a wire: hints between processes and snapshots that PostgreSQL can rebuild at any time.

Owns the connections and the names on the wire. Nothing that is stored only here may matter.
"""

import contextlib
from collections.abc import Iterable
from functools import cache

import orjson
import redis
from django.conf import settings

HINTS = "hints"  # the one pub/sub channel every server process subscribes to


@cache
def wire() -> redis.Redis:
    """This process's pool of connections, with short timeouts: a dead Redis must not hold up a request."""
    return redis.Redis.from_url(
        settings.REDIS_DATA_URL, socket_timeout=2, socket_connect_timeout=1, health_check_interval=30
    )


def hint(kind: str, **fields: object) -> None:
    """Publish `{"kind": …}` to every server process; a lost hint costs seconds, so faults are swallowed."""
    with contextlib.suppress(redis.RedisError):
        wire().publish(HINTS, orjson.dumps({"kind": kind, **fields}))


def hints(kind: str, field: str, values: Iterable[int]) -> None:
    """A hint each, in one round trip."""
    with contextlib.suppress(redis.RedisError), wire().pipeline(transaction=False) as together:
        for value in values:
            together.publish(HINTS, orjson.dumps({"kind": kind, field: value}))
        together.execute()
