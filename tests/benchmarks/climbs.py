"""Simultaneous climbs: what one sweep of the escalation costs when everybody's next step is due at the same instant.

`python -m tests.benchmarks.climbs [CLIMBS]` ends with one JSON line. In the demo city of 45,000 officers, on a
PostgreSQL with fsync as in `make run`, CLIMBS people (1,000) each silent on a bulletin of their own are swept rung by
rung up the default ladder: by the app, by text message, by call, deputy, superior, desk, end.
  sweep_s     the worst of these sweeps; must stay under 1; rungs_s each of them
  shared_s    the same with the people on a tenth as many bulletins, and shared_one_s on a single one
  broken_s    with one climb among them that is no ladder: it is left out, the others are taken
  answers_s   the sweep after half of them have answered
  idle_s      a sweep that finds nothing to do: an order to all 45,000 is open and nobody has answered
  first_s     the first dispatch of that order; start_s the sweep that starts its climbs, whole_s their first rungs
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import connection

import backend.celery  # noqa: F401  nudges go through the app's broker
from alerts.models import Bulletin
from escalation import climb
from escalation.models import Climb, ClimbState
from foundation.clock import now
from notifications import dispatch
from notifications.models import Delivery, Dispatch, Errand, State
from officers.models import Duty, Officer, Rank
from tests.benchmarks.ledger import words
from tests.benchmarks.stack import result, say
from tests.benchmarks.storage import servers

CLIMBS, OFFICERS = 1000, 45_000
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def timed_s(do: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    do()
    return time.perf_counter() - began_s


def tell(people: list[int], each: int, at: datetime) -> list[Bulletin]:
    """Bulletins of urgency 4 to these people by name, `each` to so many, dispatched."""
    told = Bulletin.objects.bulk_create(
        Bulletin(
            kind="order", urgency=4, level="III", areas=[], duties=[Duty.FLOOD], officers=people[n : n + each],
            requires="confirm", valid_until=at + timedelta(hours=3), caused_at=at, issued_at=at, **words(),
        )
        for n in range(0, len(people), each)
    )  # fmt: skip
    dispatch.take_up(now=at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does within the minute before the first rung
    return told


def rungs_s(people: list[int], each: int) -> dict[str, float]:
    """Seconds of each sweep of their way up, by the rung it takes. Everybody's step is due at once."""
    at = now()
    tell(people, each, at)
    took: dict[str, float] = {}
    climbing = Climb.objects.filter(state=ClimbState.CLIMBING)
    at += timedelta(seconds=60)
    while climbing.exists() or not took:
        took_s = timed_s(lambda at=at: climb.sweep(now=at))
        where = Climb.objects.order_by("-id").first()
        assert where is not None and not climbing.exclude(rung=where.rung).exists()
        number = len(took)
        name = f"{where.rungs[number]} {where.channels[number]}" if number < len(where.rungs) else "end"
        took[name] = round(took_s, 3)
        at = max([at, *climbing.order_by("-due_at").values_list("due_at", flat=True)[:1]])
    end(at)
    return took


def broken_s(people: list[int]) -> float:
    """One row among them cannot be read."""
    at = now()
    told = tell(people, 1, at)
    climb.start_climbs(now=at + timedelta(seconds=60))
    Climb.objects.filter(delivery__dispatch__bulletin=told[len(told) // 3]).update(waits_s=[])

    def sweep() -> None:
        with suppress(ValueError):
            climb.sweep(now=at + timedelta(seconds=60))

    took_s = timed_s(sweep)
    assert Climb.objects.filter(rung=1, state=ClimbState.CLIMBING).count() == len(people) - 1
    Climb.objects.filter(waits_s=[]).delete()
    end(at)
    return took_s


def answers_s(people: list[int]) -> float:
    at = now()
    tell(people, 1, at)
    climb.sweep(now=at + timedelta(seconds=60))
    Delivery.objects.filter(officer__in=people[::2]).update(state=State.CONFIRMED)
    took_s = timed_s(lambda: climb.sweep(now=at + timedelta(seconds=70)))
    assert Climb.objects.filter(state=ClimbState.ANSWERED, why="confirmed").count() == len(people[::2])
    end(at)
    return took_s


def of_everybody() -> dict[str, float]:
    """An order to the whole city, and nobody answers."""
    at = now()
    told = Bulletin.objects.create(
        kind="order", urgency=4, level="III", areas=["4403"], duties=[duty.value for duty in Duty], requires="confirm",
        valid_until=at + timedelta(hours=3), caused_at=at, issued_at=at, **words(),
    )  # fmt: skip
    first_s = timed_s(lambda: dispatch.take_up(now=at))
    people = told.dispatches.get(errand=Errand.FIRST).recipients
    assert people > 0.9 * OFFICERS
    start_s = timed_s(lambda: climb.start_climbs(now=at + timedelta(seconds=60)))
    whole_s = timed_s(lambda: climb.sweep(now=at + timedelta(seconds=60)))
    idle_s = timed_s(lambda: climb.sweep(now=at + timedelta(seconds=65)))
    assert Climb.objects.filter(state=ClimbState.CLIMBING, rung=1).count() == people
    end(at)
    return {"first_s": first_s, "start_s": start_s, "whole_s": whole_s, "idle_s": idle_s, "people": people}


def end(at: datetime) -> None:
    """Everything said so far is over."""
    climb.sweep(now=at + timedelta(hours=4))
    assert not Climb.objects.filter(state=ClimbState.CLIMBING).exists()
    Dispatch.objects.update(expires_at=at - timedelta(days=1))  # sooner than the next ones are made
    Climb.objects.all().delete()


def main(climbs: int) -> None:
    with servers(OFFICERS, **DURABLE):
        flood = Officer.objects.filter(posts__duty=Duty.FLOOD, posts__rank=Rank.A).order_by("id").distinct()
        people = list(flood.values_list("id", flat=True)[: climbs * 7 : 7])
        assert len(people) == climbs
        alone = rungs_s(people, 1)
        say(f"{climbs} bulletins {alone}")
        shared = rungs_s(people, 10)
        say(f"{climbs // 10} bulletins {shared}")
        one = rungs_s(people, climbs)
        say(f"1 bulletin {one}")
        broken, answers = broken_s(people), answers_s(people)
        everybody = of_everybody()
    result(
        {
            "climbs": climbs,
            "bulletins": climbs,
            "sweep_s": max(alone.values()),
            "rungs_s": alone,
            "shared_s": max(shared.values()),
            "shared_one_s": max(one.values()),
            "broken_s": round(broken, 3),
            "answers_s": round(answers, 3),
            **{name: round(value, 3) for name, value in everybody.items()},
            "load": round(os.getloadavg()[0], 1),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CLIMBS)
