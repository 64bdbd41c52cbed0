"""Keeps what was read, and says how much of it was good. Owns Sample.

A minute's readings once a minute; a message's when its longest limit is over; a canary's when its flight is over. Each
has a name, so that any number of processes keep it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from alerts import watch
from monitoring import paces, readings
from monitoring.models import Sample
from monitoring.targets import BY_KEY, MATURE_AFTER
from notifications import canaries

BACK = timedelta(hours=24)  # messages and canaries older than this are not looked for any more
MESSAGES_AT_ONCE = 5
BUCKET = timedelta(minutes=15)

_SHARES = """
SELECT r.key, count(*), count(*) FILTER (WHERE r.worth::float8 <= t.most),
       count(*) FILTER (WHERE s.at > %(day)s), count(*) FILTER (WHERE s.at > %(day)s AND r.worth::float8 <= t.most)
FROM monitoring_sample s CROSS JOIN LATERAL jsonb_each_text(s.readings) r(key, worth)
JOIN unnest(%(keys)s::text[], %(most)s::float8[]) t(key, most) ON t.key = split_part(r.key, '/', 1)
WHERE s.at > %(week)s GROUP BY r.key
"""
_NEWEST = """
SELECT DISTINCT ON (r.key) r.key, r.worth::float8, s.at
FROM monitoring_sample s CROSS JOIN LATERAL jsonb_each_text(s.readings) r(key, worth)
WHERE s.at > %(since)s ORDER BY r.key, s.at DESC
"""
_PLOT = """
SELECT r.key, date_bin(%(bucket)s, s.at, %(since)s), max(r.worth::float8), bool_or(r.worth IS NULL)
FROM monitoring_sample s CROSS JOIN LATERAL jsonb_each_text(s.readings) r(key, worth)
WHERE s.at > %(since)s GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one indicator: readings and good ones in the last 24 hours and 7 days."""

    week: int
    week_good: int
    day: int
    day_good: int


@dataclass(frozen=True, slots=True)
class Point:
    """The worst reading of one quarter of an hour; `missed`: one of them never came to pass."""

    at: datetime
    worst: float | None
    missed: bool


def take(*, now: datetime) -> int:
    """Keep what is due; returns how many were new."""
    found = [*_minute(now), *_messages(now), *_flights(now)]
    before = set(Sample.objects.filter(of__in=[one.of for one in found]).values_list("of", flat=True))
    fresh = [one for one in found if one.of not in before]
    Sample.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def now_read(now: datetime) -> dict[str, float | None]:
    """The indicators of the machine itself at this instant."""
    waiting = readings.waiting(now)
    read = {
        "rule_lag_s": round(readings.rule_lag_s(watch.progress(now), now), 1),
        "oldest_unsent_s": round(readings.oldest_unsent_s(waiting, now), 1),
        "queue_lines": float(sum(one.lines for one in waiting)),
    }
    lag_s = readings.ingest_lag_s(readings.feeds(now))
    return read if lag_s is None else {"ingest_lag_s": round(lag_s, 1), **read}


def _minute(now: datetime) -> list[Sample]:
    name = f"minute/{now:%Y%m%dT%H%M}"
    if Sample.objects.filter(of=name).exists():
        return []
    return [Sample(of=name, at=now, readings=now_read(now))]


def _messages(now: datetime) -> list[Sample]:
    """Of messages whose times are final, a few at a time, the oldest first."""
    ripe = paces.told().filter(
        bulletin__issued_at__gt=now - BACK, bulletin__issued_at__lte=now - MATURE_AFTER
    )
    kept = Sample.objects.filter(at__gt=now - BACK, of__startswith="message/").values_list("of", flat=True)
    done = {int(of.partition("/")[2]) for of in kept}
    wanted = [pk for pk in ripe.order_by("pk").values_list("pk", flat=True) if pk not in done]
    return [
        Sample(of=f"message/{pace.dispatch}", at=pace.issued_at, readings=pace.readings)
        for pace in paces.paces(wanted[:MESSAGES_AT_ONCE])
    ]


def _flights(now: datetime) -> list[Sample]:
    """One a canary and round that is over."""
    return [
        Sample(
            of=f"canary/{one.bulletin}/{one.officer}",
            at=one.told_at,
            readings={f"canary_s/{one.provider or 'none'}": one.trip_s},
        )
        for one in canaries.flights(now - timedelta(hours=1))
        if one.over(now)
    ]


def shares(now: datetime) -> dict[str, Kept]:
    """By indicator, over the last 24 hours and 7 days."""
    asked = {
        "keys": list(BY_KEY),
        "most": [target.limit for target in BY_KEY.values()],
        "week": now - timedelta(days=7),
        "day": now - timedelta(days=1),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SHARES, asked)
        return {key: Kept(*counts) for key, *counts in cursor.fetchall()}


def newest(now: datetime) -> dict[str, tuple[float | None, datetime]]:
    """By indicator the newest reading that was kept in the last 24 hours, and of when it is."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, {"since": now - timedelta(days=1)})
        return {key: (worth, at) for key, worth, at in cursor.fetchall()}


def plot(now: datetime) -> Mapping[str, list[Point]]:
    """By indicator the last 24 hours in quarters of an hour, oldest first."""
    points: dict[str, list[Point]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_PLOT, {"since": now - timedelta(days=1), "bucket": BUCKET})
        for key, *point in cursor.fetchall():
            points.setdefault(key, []).append(Point(*point))
    return points


def forget_old(*, now: datetime, keep_days: int) -> int:
    """Drop samples older than this, 0 keeps for ever; returns how many."""
    if not keep_days:
        return 0
    return Sample.objects.filter(at__lt=now - timedelta(days=keep_days)).delete()[0]
