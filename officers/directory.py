"""What an officer answers for right now: his posts in force, and the scope that follows from them.

Reads only. Who is to hear a bulletin is asked in notifications/audience.py, not here.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from foundation.scope import Scope, below
from officers.models import Duty, Post, PostQuerySet


def posts_of(officer_id: int, now: datetime) -> PostQuerySet:
    """Posts in force, with region and station, from the top of the tree down."""
    return (
        Post.objects.active(now)
        .filter(officer_id=officer_id)
        .select_related("region", "station")
        .order_by("region__path", "duty", "id")
    )


def scope_of(officer_id: int, now: datetime) -> Scope:
    """The scope of an officer's active posts; empty when he has none or is no longer active."""
    return scopes_of([officer_id], now).get(officer_id, Scope())


def scopes_of(officer_ids: Collection[int], now: datetime) -> dict[int, Scope]:
    """Of each who has a post in force, in one query."""
    rows = (
        Post.objects.active(now)
        .filter(officer_id__in=officer_ids)
        .order_by("officer_id", "id")
        .values_list("officer_id", "duty", "region__path", "station_id")
    )
    return {
        officer_id: scope_from(row[1:] for row in posts) for officer_id, posts in groupby(rows, itemgetter(0))
    }


def scope_from(posts: Iterable[tuple[str, str, str | None]]) -> Scope:
    """The scope that (duty, region path, station code or None) amount to."""
    held = [post for post in posts if post[0] != Duty.CANARY]

    def paths_of(wanted: Duty) -> tuple[str, ...]:
        return _outermost(path for duty, path, _ in held if duty == wanted)

    return Scope(
        paths=_outermost(path for _, path, _ in held),
        desk_paths=paths_of(Duty.DESK),
        command_paths=paths_of(Duty.COMMAND),
        engineer_paths=paths_of(Duty.ENGINEER),
        stations=tuple(sorted({station for *_, station in held if station})),
    )


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths without those that lie under another one: fewer conditions in every query."""
    outermost: list[str] = []
    for path in sorted(paths):  # a prefix sorts before what it contains
        if not below(path, outermost[-1:]):
            outermost.append(path)
    return tuple(outermost)
