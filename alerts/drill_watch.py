"""A storm as a drill: its fields are judged slot after slot by the rules of the day, apart from all live tables.

Owns the storm's part of Drill (`slot_at`, `states`). Woken by a nudge after each field and a sweep; leaves warnings of
the drill (warnings.py). Driven by slot time like watch.py: a slot is assessed once, in order, when every product that
has spoken in the last hour has spoken for it, or GRACE after its first field. Only streets inside the drill's areas are
judged. Fields alone: a drill has no gauges. What is computed before the lock is taken is thrown away when another
assessor was quicker.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import transaction
from django.db.models import QuerySet

from alerts import drills, warnings
from alerts.assessment.lifecycle import Action, Change, Step
from alerts.drill_frames import grid_of
from alerts.models import Drill, DrillFrame, DrillState, Hazard, Warning
from alerts.rain import RainPicture, picture_of_fields
from alerts.watch import GRACE, cause_of, judge, table_in_force
from foundation.scope import below
from hydrology.models import Product, Region
from hydrology.science.rainfall import SLOT, WINDOWS_MIN, slot_end

log = logging.getLogger(__name__)
LONGEST = max(WINDOWS_MIN) * timedelta(minutes=1)
LATELY = timedelta(hours=1)
NOWCAST_AGE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Slot:
    """The next slot of a drill's storm: its END, when its last field came in."""

    at: datetime
    caused_at: datetime


def assess_due(*, now: datetime) -> int:
    """Assess every slot of every running drill that is ready; returns how many. Ends the warnings of ended drills."""
    drills.give_way(now)
    done = 0
    for pk in Drill.objects.filter(state=DrillState.RUNNING).order_by("pk").values_list("pk", flat=True):
        while (judged := _assess_next(pk, now)) is not None:
            done += judged
    for warning in Warning.objects.open().filter(drill_of__state=DrillState.ENDED).order_by("pk"):
        _end(warning.pk, now)
    return done


def _assess_next(drill_id: int, now: datetime) -> bool | None:
    """Judge the next ready slot; False when another assessor was quicker, None when there is none."""
    drill = Drill.objects.get(pk=drill_id)
    slot = _next_slot(drill, now)
    if slot is None:
        return None
    seen = _picture(drill, slot.at)  # a body may take its time: not under the lock a real storm may want
    with transaction.atomic():
        locked = Drill.objects.select_for_update(no_key=True).get(pk=drill_id)
        if locked.state != DrillState.RUNNING:
            return None
        if locked.slot_at != drill.slot_at:
            return False
        _judge(locked, seen, slot, now)
    return True


def _judge(drill: Drill, seen: RainPicture, slot: Slot, now: datetime) -> None:
    table = table_in_force(now)
    everywhere = warnings.streets_of_districts()
    found, changes = judge(seen, table, drill.states, _inside(drill, everywhere))
    cause = cause_of(seen, found, table.version, slot.caused_at, drill_of=drill.pk)
    warnings.move(changes, everywhere, cause, now)
    drill.slot_at = slot.at
    drill.save(update_fields=["slot_at", "states"])
    log.info("drill.assessed id=%s slot=%s changes=%s", drill.pk, slot.at, len(changes))


@transaction.atomic
def _end(warning_id: int, now: datetime) -> None:
    """What an ended drill has left open ends with it, without a word: its end was said."""
    rows = Warning.objects.open().select_for_update(of=("self",)).select_related("region", "drill_of")
    warning = rows.filter(pk=warning_id).first()
    if warning is None or warning.drill_of is None:
        return
    standing = warning.streets.filter(level__gt=0).order_by("region_id").values_list("region_id", "level")
    changes = [Change(place, Action.EXPIRE, level, 0, "drill ended") for place, level in standing]
    places = tuple(change.place for change in changes)
    cause = warnings.Cause(
        at=max(warning.raised_at, warning.drill_of.slot_at or warning.raised_at),
        caused_at=now,
        reasons=lambda streets: {"drill": "ended"},
        hazard=Hazard(warning.hazard),
        drill=True,
        drill_of=warning.drill_of_id,
    )
    streets = warnings.streets_of_districts()
    step = Step(Action.EXPIRE, 0, places, speak=False)
    warnings.act(warning.region, changes, step, streets, cause, now)


def _inside(drill: Drill, streets: dict[str, tuple[str, str]]) -> list[str]:
    """The streets of the drill's areas, or in which these lie, in order of code."""
    areas = list(Region.objects.filter(code__in=drill.areas).values_list("path", flat=True))
    paths = Region.objects.filter(code__in=streets).order_by("code").values_list("code", "path")
    return [
        code for code, path in paths if below(path, areas) or any(area.startswith(path) for area in areas)
    ]


def _next_slot(drill: Drill, now: datetime) -> Slot | None:
    """The earliest slot not assessed yet of which a field has come, if it is ready."""
    frames = DrillFrame.objects.filter(drill=drill)
    if drill.slot_at is not None:
        frames = frames.filter(issued_at__gt=drill.slot_at)
    first = frames.order_by("issued_at").values_list("issued_at", flat=True).first()
    if first is None:
        return None
    at = slot_end(first)
    here = list(
        frames.filter(issued_at__gt=at - SLOT, issued_at__lte=at).values_list("product", "received_at")
    )
    lately = DrillFrame.objects.filter(
        drill=drill, issued_at__gt=at - LATELY, issued_at__lte=at - SLOT
    ).values_list("product", flat=True)
    wanted = {Product.OBSERVED.value, *lately.order_by().distinct()}
    before = drill.slot_at  # after an hour's silence nothing is missing between: another storm
    follows = before is None or at == before + SLOT or at > before + LATELY
    complete = follows and wanted <= {product for product, _ in here}
    if complete or now >= min(received_at for _, received_at in here) + GRACE:
        return Slot(at, max(received_at for _, received_at in here))
    return None


def _picture(drill: Drill, at: datetime) -> RainPicture:
    """The rain of the windows ending at the slot, and what the nowcast in force adds."""
    rows = DrillFrame.objects.filter(drill=drill, issued_at__gt=at - LONGEST, issued_at__lte=at)
    observed = [grid_of(pk) for pk in _newest_last(rows, Product.OBSERVED)]
    runs = rows.filter(issued_at__gte=at - NOWCAST_AGE)
    ahead = None
    axes = [(grid.lat, grid.lon) for grid in observed[-1:]]
    if nowcasts := _newest_last(runs, Product.NOWCAST):
        coming = grid_of(nowcasts[-1])
        axes.append((coming.lat, coming.lon))
        ahead = coming.cells_mm.astype(np.float64)[(at - coming.issued_at) // SLOT :]
    fields = {
        end: step.astype(np.float64)
        for grid in observed
        for end, step in zip(grid.valid_at, grid.cells_mm, strict=True)
        if at - LONGEST < end <= at
    }
    lat, lon = axes[0]
    return picture_of_fields(at, fields, ahead, lat, lon)


def _newest_last(rows: QuerySet[DrillFrame], product: Product) -> list[int]:
    return list(rows.filter(product=product).order_by("issued_at").values_list("pk", flat=True))
