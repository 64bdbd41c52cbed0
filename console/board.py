"""What the duty room looks at: the map's fixed part, recent dispatches with their reach, feeds. Reads only.

Every function takes the caller's Scope. Water facts (map, stations) follow `scope.water_paths`, people and
reach follow `scope.paths`. Set-based: the number of queries never grows with people or dispatches.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q

from escalation.models import Climb, ClimbState
from foundation.clock import age_s, iso
from foundation.errors import not_found
from foundation.gathered import Gathered
from foundation.scope import Scope
from hydrology.feeds.health import Standing, standings
from hydrology.models import LEVEL_KINDS, Feed, Level, Region, Station, path_filter
from hydrology.science.feed_states import FeedState
from notifications.models import Delivery, Dispatch, Errand, State
from notifications.reach import UNANSWERED_LIMIT, people_of, reach_of, told_of

WORST = (FeedState.SILENT, FeedState.NEVER, FeedState.LATE, FeedState.GOOD)


def map_of(scope: Scope) -> dict[str, Any]:
    """Places that do not move, the topics to listen to, and what the officer may do. Degrees WGS 84."""
    regions = Region.objects.within(*scope.water_paths).filter(level__in=[Level.DISTRICT, Level.STREET])
    places = list(regions.order_by("code").values("code", "name", "level", "parent", "path", "lon", "lat"))
    stations = list(
        Station.objects.filter(
            path_filter("region__path", scope.water_paths),
            kind__in=LEVEL_KINDS,
        )
        .order_by("code")
        .values("code", "name", "kind", "region", "lon", "lat", "synthetic")
    )
    return {
        "districts": [_place(row) for row in places if row["level"] == Level.DISTRICT],
        "streets": [
            {**_place(row), "district": row["parent"], "people": scope.sees(row["path"])}
            for row in places
            if row["level"] == Level.STREET
        ],
        "stations": stations,
        "synthetic": {
            "stations": any(row["synthetic"] for row in stations),
            "replay": Feed.objects.filter(enabled=True, replayed=True).exists(),
        },
        "topics": [
            *(f"levels:{code}" for code in _roots(scope.water_paths)),
            *(f"board:{code}" for code in _roots(scope.paths)),
        ],
        "desk": _names(scope.desk_paths),
        "command": _names(scope.command_paths),
    }


def recent_dispatches(scope: Scope, limit: int) -> list[dict[str, Any]]:
    """The newest first dispatches that address somebody in scope, each with the figures in scope."""
    addressed = Delivery.objects.filter(path_filter("region__path", scope.paths), dispatch=OuterRef("pk"))
    dispatches = list(
        Dispatch.objects.to_people()
        .filter(Exists(addressed), errand=Errand.FIRST)
        .select_related("bulletin")
        .order_by("-id")[:limit]
    )
    climbs = _climbs(
        scope,
        [dispatch.pk for dispatch in dispatches],
        min((dispatch.first_line for dispatch in dispatches), default=0),
    )
    told = told_of([dispatch.bulletin_id for dispatch in dispatches], scope.paths)
    items = []
    for dispatch in dispatches:
        people, silent = told[dispatch.bulletin_id]
        items.append({**_heading(dispatch), **people, **climbs[dispatch.pk], "nobody": silent})
    return items


def reach(scope: Scope, dispatch_id: int, *, after: int = 0) -> dict[str, Any]:
    """One dispatch in full: figures by district and street, who has not answered and his rung. Raises as `_first`."""
    dispatch = _first(scope, dispatch_id)
    found = reach_of([dispatch.bulletin_id], scope.paths, after=after)
    _add_rungs(found["unanswered"])
    climbs = _climbs(scope, [dispatch_id], dispatch.first_line)
    return {**_heading(dispatch), **found, **climbs[dispatch_id]}


def people(scope: Scope, dispatch_id: int, *, words: str = "", after: int = 0) -> dict[str, Any]:
    """Everybody told of its message, in scope, the answered too; `words` as in `people_of`. Raises as `_first`."""
    return people_of(_first(scope, dispatch_id).bulletin_id, scope.paths, words=words, after=after)


def _first(scope: Scope, dispatch_id: int) -> Dispatch:
    """The first dispatch of a bulletin; raises Refusal 404 where it addresses nobody in scope."""
    dispatch = (
        Dispatch.objects.filter(
            Exists(
                Delivery.objects.filter(path_filter("region__path", scope.paths), dispatch=OuterRef("pk"))
            ),
            pk=dispatch_id,
            errand=Errand.FIRST,
        )
        .select_related("bulletin")
        .first()
    )
    if dispatch is None:
        raise not_found("发送批次", "dispatch")
    return dispatch


def region_reach(scope: Scope, code: str, now: datetime, *, after: int = 0) -> dict[str, Any]:
    """All real bulletins still in force, for the people of one region. Raises Refusal 404 outside the scope."""
    region = Region.objects.within(*scope.paths).filter(pk=code).first()
    if region is None:
        raise not_found("区域", "region")
    in_force = Dispatch.objects.to_people().filter(errand=Errand.FIRST, expires_at__gt=now, drill=False)
    bulletins = list(in_force.order_by("bulletin").values_list("bulletin", flat=True))
    found = reach_of(bulletins, (region.path,), after=after, limit=UNANSWERED_LIMIT)
    _add_rungs(found["unanswered"])
    return found


def feeds(now: datetime) -> list[dict[str, Any]]:
    """Every enabled feed, worst first: `status` and `why` as hydrology/science/feed_states.py defines them."""
    rows = [_feed(standing, now) for standing in standings(now) if standing.feed.enabled]
    return sorted(rows, key=lambda row: (WORST.index(row["status"]), row["name"]))


def _feed(standing: Standing, now: datetime) -> dict[str, Any]:
    feed, mark = standing.feed, standing.mark
    return {
        "name": feed.name,
        "status": standing.health.state,
        "why": standing.health.doubt,
        "age_s": age_s(mark and mark.received_at, now),
        "cadence_s": feed.cadence_s,
        "received_at": iso(mark and mark.received_at),
        "observed_at": iso(mark and mark.observed_at),
        "rejected": mark.rejected if mark else 0,
        "replayed": feed.replayed,
    }


def _heading(dispatch: Dispatch) -> dict[str, Any]:
    bulletin = dispatch.bulletin
    return {
        "id": dispatch.pk,
        "bulletin": bulletin.pk,
        "kind": bulletin.kind,
        "level": bulletin.level,
        "urgency": bulletin.urgency,
        "title_zh": bulletin.title_zh,
        "title_en": bulletin.title_en,
        "requires": bulletin.requires,
        "ref": bulletin.ref,
        "drill": dispatch.drill,
        "sent_at": iso(dispatch.created_at),
        "deadline_at": iso(bulletin.deadline_at),
        "expires_at": iso(dispatch.expires_at),
    }


def _climbs(scope: Scope, dispatch_ids: list[int], since: int) -> dict[int, dict[str, int]]:
    """Per dispatch: people for whom at least one rung was taken, and those still silent after every rung."""
    found = {pk: {"escalated": 0, "exhausted": 0} for pk in dispatch_ids}
    for pk, path, escalated, exhausted in _climbed(
        {(pk, path, since) for pk in found for path in scope.paths}
    ):
        if pk in found and scope.sees(path):
            found[pk]["escalated"] += escalated
            found[pk]["exhausted"] += exhausted
    return found


@Gathered
def _climbed(wanted: set[tuple[int, str, int]]) -> list[tuple[int, str, int, int]]:
    """(dispatch, region's path, people with a rung, of them silent after the last) by dispatch, path and a first line."""
    silent = Q(climb__state=ClimbState.EXHAUSTED) & ~Q(state=State.CONFIRMED)
    return list(
        Delivery.objects.filter(
            path_filter("region__path", {path for _, path, _ in wanted}),
            id__gte=min((first for _, _, first in wanted), default=0),
            dispatch__in={pk for pk, _, _ in wanted},
            climb__rung__gt=0,
        )
        .values("dispatch", "region__path")
        .annotate(escalated=Count("id"), exhausted=Count("id", filter=silent))
        .values_list("dispatch", "region__path", "escalated", "exhausted")
        .order_by()
    )


def _add_rungs(unanswered: list[dict[str, Any]]) -> None:
    """Write onto each line how far its climb has come; None where nothing climbs."""
    climbs = Climb.objects.filter(delivery__in=[line["id"] for line in unanswered]).in_bulk(
        field_name="delivery_id"
    )
    for line in unanswered:
        climb = climbs.get(line["id"])
        line["climb"] = climb and {
            "rung": climb.rung,
            "rungs": climb.rungs,
            "state": climb.state,
            "due_at": iso(climb.due_at) if climb.state == ClimbState.CLIMBING else None,
        }


def _place(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("code", "name", "lon", "lat")}


def _roots(paths: Iterable[str]) -> list[str]:
    """The code of each path's own region."""
    return [path.rstrip("/").rpartition("/")[2] for path in paths]


def _names(paths: tuple[str, ...]) -> list[dict[str, str]]:
    """Code, name and level of the regions at these paths, from the city down."""
    return list(Region.objects.filter(path__in=paths).order_by("path").values("code", "name", "level"))
