"""Storms as rows: what belongs together is told as one message a person, updated in place. Single writer of Storm.

Owns which storm a street in warning belongs to and the thread its bulletins carry. Called by warnings.py inside the
transaction of a slot's changes. Which streets belong together is assessment/cells.py's; who is rung and who is only
renewed is notifications/dispatch.py's.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from alerts.assessment import cells
from alerts.assessment.lifecycle import Change
from alerts.models import Hazard, Storm, WarningStreet
from hydrology.zones import touching_streets

log = logging.getLogger(__name__)

PREFIX = "storm/"


def follow(
    changes: Sequence[Change], *, hazard: Hazard, at: datetime, drill_of: int | None
) -> dict[str, str]:
    """The thread of every changed street. Moves the open storms on; call before the changes are in WarningStreet."""
    rows = {
        storm.pk: storm
        for storm in Storm.objects.select_for_update().filter(hazard=hazard, ended_at=None, drill_of=drill_of)
    }
    before = set(
        WarningStreet.objects.filter(
            warning__hazard=hazard, warning__drill_of=drill_of, warning__ended_at=None, level__gt=0
        ).values_list("region_id", flat=True)
    )
    moved = {change.place for change in changes}
    warned = before - moved | {change.place for change in changes if change.after}
    under_way = [cells.Cell(row.began_at, _lately(row, before, at), row.pk) for row in rows.values()]
    threads: dict[str, str] = {}
    for found in cells.follow(under_way, warned, touching_streets(), at):
        ground = found.cell.lately.keys()
        storm = rows.get(found.cell.number or 0)
        if storm is None:
            storm = Storm(hazard=hazard, began_at=at, streets=[], drill_of_id=drill_of)
        taken_in = [rows[number] for number in found.absorbed]
        _move(storm, found, moved & ground, taken_in, at)
        threads |= dict.fromkeys(moved & ground, storm.thread)
    return threads


def _lately(row: Storm, before: Iterable[str], at: datetime) -> dict[str, datetime]:
    """Its ground; a street that was in warning until now was so all the time since it was last looked at."""
    seen = {street: datetime.fromisoformat(end) for street, end in row.lately.items()}
    return seen | dict.fromkeys(seen.keys() & set(before), at)


def _move(
    storm: Storm, found: cells.Followed, moved: Iterable[str], taken_in: Sequence[Storm], at: datetime
) -> None:
    kept = {street for row in (storm, *taken_in) for street in row.streets}
    storm.streets = sorted(kept | found.warned)
    storm.lately = {street: end.isoformat() for street, end in sorted(found.cell.lately.items())}
    storm.last_at = at if moved or storm.pk is None else storm.last_at
    storm.ended_at = None if found.warned else at
    storm.save()
    if taken_in:
        numbers = [row.pk for row in taken_in]
        Storm.objects.filter(into__in=numbers).update(into=storm)
        Storm.objects.filter(pk__in=numbers).update(into=storm, ended_at=at, last_at=at)
    if taken_in or storm.ended_at:
        log.info("storm.moved id=%s at=%s streets=%s took_in=%s ended=%s", storm.pk, at, len(storm.streets),
                 [row.pk for row in taken_in], storm.ended_at)  # fmt: skip


def storm_of(thread: str) -> int | None:
    """The number in a storm's thread."""
    _, mark, number = thread.rpartition(PREFIX)  # a drill's thread begins with the drill
    return int(number) if mark and number.isdecimal() else None


def threads_of(thread: str) -> list[str]:
    """This thread and those of the storms that are one with it by now; other threads stand alone."""
    storm = Storm.objects.filter(pk=storm_of(thread)).first()
    if storm is None:
        return [thread]
    head = thread.rpartition(PREFIX)[0]
    root = storm.into_id or storm.pk
    others = Storm.objects.filter(into=root).order_by("pk").values_list("pk", flat=True)
    return [f"{head}{PREFIX}{pk}" for pk in (root, *others)]
