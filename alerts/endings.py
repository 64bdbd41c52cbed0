"""失效: warnings that end because nobody knows any more: no slot was assessed for two hours, or a person's time is over.

Owns no rows: the states of the marks go, and warnings.py writes the end. Woken by `watch.assess` after the slots. As
long as a frame waits to be assessed nothing expires, so a replay at any speed does not outrun its own storm. Streets
under a person's word stay until its time. A flood, which no watch sees, ends with its time. A station: stages.py.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from alerts import warnings, watch
from alerts.assessment import lifecycle
from alerts.assessment.hand_words import HandStory, hand_words
from alerts.assessment.lifecycle import Change, PlaceState, Step
from alerts.assessment.wording import Words
from alerts.models import Hazard, WatchMark
from alerts.warnings import VALIDITY, Cause
from hydrology.feeds.clock import water_clock
from hydrology.science.rainfall import SLOT

log = logging.getLogger(__name__)

SILENT_AFTER = VALIDITY  # what was forecast when the last slot was assessed is over
LEFT_TO_THE_WATCH = 2 * SLOT  # a slot that ends a person's time comes in so long after it, if it comes


def expire_due(*, now: datetime) -> int:
    """End what nobody knows any more; returns how many streets. Call after the slots have been assessed."""
    as_of = water_clock(now)  # read before the frames: what moves it on is then seen to wait
    return _expire(Hazard.RAINSTORM, as_of, now) + _expire(Hazard.FLOOD, now, now)


def _expire(hazard: Hazard, as_of: datetime, now: datetime) -> int:
    mark = WatchMark.objects.filter(pk=hazard).first()
    if mark is None or not _over(mark, as_of):
        return 0
    with transaction.atomic():
        mark = WatchMark.objects.select_for_update().get(pk=hazard)
        if watched(hazard) and watch.waits(mark, now):
            return 0
        over = _over(mark, as_of)
        changes = [lifecycle.lapse(state, street) for street, state in over.items() if state.in_force]
        for street in over:
            del mark.states[street]
        mark.save(update_fields=["states"])
        _tell(changes, hazard, as_of, now, blind=_silent(mark, as_of))
    log.info("watch.expired hazard=%s streets=%s", hazard, sorted(over))
    return len(changes)


def watched(hazard: Hazard) -> bool:
    return hazard != Hazard.FLOOD


def _silent(mark: WatchMark, as_of: datetime) -> bool:
    return mark.slot_at is not None and as_of - mark.slot_at >= SILENT_AFTER


def _over(mark: WatchMark, as_of: datetime) -> dict[str, PlaceState]:
    """The streets of which nothing is known any more, by code."""
    silent = _silent(mark, as_of)
    left = LEFT_TO_THE_WATCH if watched(Hazard(mark.hazard)) else timedelta()
    states = {street: PlaceState.from_json(stored) for street, stored in sorted(mark.states.items())}
    over = {}
    for street, state in states.items():
        until = state.hand_until
        if until is not None and as_of < until:
            continue
        if silent or (until is not None and not state.level and as_of - until >= left):
            over[street] = state
    return over


def _tell(changes: Iterable[Change], hazard: Hazard, as_of: datetime, now: datetime, *, blind: bool) -> None:
    def tell(step: Step, district: str, streets: list[str], drill: bool) -> Words:
        return hand_words(
            HandStory(
                hazard=hazard,
                action=step.action,
                place=district,
                streets=tuple(streets),
                level=0,
                at=now,
                until=now + VALIDITY,
                blind=blind,
                drill=drill,
            )
        )

    cause = Cause(
        at=as_of,
        caused_at=now,
        reasons=lambda streets: {
            "expired": True,
            "blind": blind,
            "hazard": hazard.value,
            "slot_at": as_of.isoformat(),
        },  # fmt: skip
        hazard=hazard,
        tell=tell,
    )
    warnings.move(list(changes), warnings.streets_of_districts(), cause, now)
