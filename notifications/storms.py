"""What storms came to: their streets and warnings, and how many people heard how many messages and were rung how often.

Reads only. Storms are seen with one's water, people are counted below one's own regions (as in reach.py). Only what was
first said counts, by the thread of the storm and of those it took in; an escalation's rings are not here.
"""

from collections import defaultdict
from typing import Any

from django.db.models import Case, Count, IntegerField, Q, Value, When

from alerts.models import Bulletin, Storm
from alerts.storms import storm_of
from foundation.clock import iso
from foundation.scope import Scope
from hydrology.models import Region, path_filter
from notifications import months
from notifications.models import Delivery, Errand

MOST = 50


def listed(scope: Scope, *, active: bool) -> list[dict[str, Any]]:
    """The newest storms over the caller's water, at most 50; of those that became one the older. Four queries."""
    seen = Region.objects.filter(path_filter("path", scope.water_paths), level="street")
    names = dict(seen.values_list("code", "name"))
    rows = Storm.objects.filter(into=None, streets__overlap=list(names)).order_by("-began_at", "-pk")
    storms = list((rows.filter(ended_at=None) if active else rows)[:MOST])
    parts = {storm.pk: storm.pk for storm in storms}
    parts |= dict(Storm.objects.filter(into__in=list(parts)).values_list("pk", "into"))
    threads = _threads(list(parts))
    heard = _heard(scope, threads, parts)
    return [
        {
            "id": storm.pk,
            "hazard": storm.hazard,
            "drill": storm.drill_of_id is not None,
            "began_at": iso(storm.began_at),
            "last_at": iso(storm.last_at),
            "ended_at": iso(storm.ended_at),
            "streets": [{"code": code, "name": names[code]} for code in storm.streets if code in names],
            **heard[storm.pk],
        }
        for storm in storms
    ]


def _threads(numbers: list[int]) -> list[str]:
    """As they were said: a drill's begin with the drill."""
    named = Storm.objects.filter(pk__in=numbers).only("pk", "drill_of")
    heads = {storm.pk: f"drill/{storm.drill_of_id}/" if storm.drill_of_id else "" for storm in named}
    return [f"{heads[number]}storm/{number}" for number in numbers]


def _heard(scope: Scope, threads: list[str], parts: dict[int, int]) -> dict[int, dict[str, Any]]:
    """By storm its warnings, and below the caller's regions people, messages and rings."""
    found: dict[int, dict[str, Any]] = defaultdict(
        lambda: {"warnings": [], "people": 0, "messages": 0, "rung": 0}
    )
    if not threads:
        return found
    storm = _storm("thread", threads, parts)
    said = Bulletin.objects.filter(
        path_filter("warning__region__path", scope.water_paths), thread__in=threads
    )
    for number, warning in said.annotate(storm=storm).values_list("storm", "warning").order_by().distinct():
        found[number]["warnings"].append(warning)
    lines = Delivery.objects.filter(
        path_filter("region__path", scope.paths),
        id__gte=months.since_of(bulletin__thread__in=threads),
        dispatch__errand=Errand.FIRST,
        dispatch__bulletin__thread__in=threads,
    )
    counted = lines.values(storm=_storm("dispatch__bulletin__thread", threads, parts)).annotate(
        people=Count("officer", distinct=True), messages=Count("id"), rung=Count("id", filter=Q(quiet=False))
    )
    for row in counted.order_by():
        found[row.pop("storm")] |= row
    for its in found.values():
        its["warnings"].sort()
    return found


def _storm(thread: str, threads: list[str], parts: dict[int, int]) -> Case:
    """The storm a thread belongs to by now."""
    whens = [When(**{thread: name}, then=Value(parts[storm_of(name) or 0])) for name in threads]
    return Case(*whens, output_field=IntegerField())
