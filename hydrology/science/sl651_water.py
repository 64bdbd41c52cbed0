"""From an SL 651 report to readings: which elements are rain and stage, and what is left out and why.

Owns the choice: rain from DRP, PN05 and differences of the running total PT, all on whole 5 minutes; stage from ZU, Z
and, where the register or one of them gives its base value, the relative DRZ1. Sums over hours and days (P1, PJ …)
overlap those slots and are not taken, but held against them (sl651_sums.py): what disagrees is doubted, and so is the
stage of a station whose status (ZT) says that its stage meter has failed. Does not judge plausibility (quality.py).
Source: SL 651-2014; times mark the END of a period.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from hydrology.science.consistency import SUM, SUM_TOLERANCE_MM
from hydrology.science.rainfall import SLOT, SLOT_S, slot_end
from hydrology.science.readings import AHEAD_ALLOWED, Element, Reading
from hydrology.science.sl651_elements import Measure, Report
from hydrology.science.sl651_fields import ClockState, clock, fallen, status_of, true_stages
from hydrology.science.sl651_sums import doubted_slots

_RAIN = ("DRP", "PN05")
_STAGE = ("ZU", "Z")  # the first that is there counts: one post has one stage
_RELATIVE = "DRZ1"
_TOTAL = "PT"
_STATUS, _METER_FAILED = "ZT", "stage_meter_failed"

NO_BASES: Final[Mapping[str, float | None]] = MappingProxyType({})
Totals = MutableMapping[str, tuple[datetime, float]]
"""Station code to the newest running total and its instant, mm."""


@dataclass(frozen=True, slots=True)
class Water:
    """`left_out` says, once each, what concerns water and was not taken; `states` what stations say of themselves."""

    readings: tuple[Reading, ...]
    left_out: tuple[str, ...]
    states: tuple[str, ...] = ()


def water_of(
    report: Report,
    codes: Mapping[str, str],
    received_at: datetime,
    totals: Totals,
    bases_m: Mapping[str, float | None] = NO_BASES,
) -> Water:
    """Rain and stage of a report received at the aware `received_at`.

    `codes` gives the register's station code by RTU address; a station without one is left out, and so is what
    has no time, a time ahead of ours, or the clock of a station that lost it. A missing value gives no reading.
    `bases_m` gives base values by station code; where it has none, a true stage in the same report tells it.
    `totals` is brought up to date; a running total gives a reading when the one before is 5 minutes old.
    """
    if clock(report.sent_at, received_at).state is ClockState.LOST:
        return Water((), (f"the station's clock is lost, it says {report.sent}",))
    found: dict[tuple[str, Element, datetime], float] = {}
    doubted: dict[tuple[str, datetime], str] = {}
    left_out: list[str] = []
    for measure in _in_order_of_trust(report):
        code = codes.get(measure.station)
        if code is None:
            left_out.append(f"station {measure.station} is not in the register")
            continue
        if measure.why.startswith("not BCD"):
            left_out.append(f"{measure.code} is {measure.why}")
        element = Element.RAIN if measure.code in (*_RAIN, _TOTAL) else Element.STAGE
        try:
            for at, value in _values(report, measure, element, bases_m.get(code)):
                if at > received_at + AHEAD_ALLOWED:
                    raise _LeftOut(f"{measure.code} is ahead of our clock")
                said = _difference(totals, code, at, value) if measure.code == _TOTAL else value
                if said is None:
                    continue
                first = found.setdefault((code, element, at), said)
                if element is Element.RAIN and abs(said - first) > SUM_TOLERANCE_MM + 1e-9:
                    doubted[code, at] = f"{SUM}: {first:g} mm, by {measure.code} {said:g} mm"
        except _LeftOut as reason:
            left_out.append(str(reason))
    doubted = _sums_against(report, codes, found) | doubted
    left_out += [f"station {code}: {why}" for (code, _), why in doubted.items()]
    states = _states(report)
    failed = {codes.get(station) for station, bits in states.items() if _METER_FAILED in bits}
    readings = tuple(
        Reading(code, element, at, value, SLOT_S, doubted.get((code, at), ""))
        if element is Element.RAIN
        else Reading(code, element, at, value, 0, f"status: {_METER_FAILED}" if code in failed else "")
        for (code, element, at), value in sorted(found.items(), key=lambda item: item[0][2])
    )
    told = tuple(f"station {station} status: {', '.join(bits)}" for station, bits in states.items() if bits)
    return Water(readings, tuple(dict.fromkeys(left_out)), told)


def _states(report: Report) -> dict[str, tuple[str, ...]]:
    """The status bits that are set, by RTU address."""
    return {
        measure.station: status_of(int(measure.values[0]))
        for measure in report.measures
        if measure.code == _STATUS and measure.values and measure.values[0] is not None
    }


def _sums_against(
    report: Report, codes: Mapping[str, str], found: Mapping[tuple[str, Element, datetime], float]
) -> dict[tuple[str, datetime], str]:
    slots: dict[str, dict[datetime, float]] = {}
    for (code, element, at), value in found.items():
        if element is Element.RAIN:
            slots.setdefault(code, {})[at] = value
    doubted = doubted_slots(report, codes, slots)
    return {(code, at): why for code, whys in doubted.items() for at, why in whys.items()}


class _LeftOut(Exception):
    """Why (the rest of) a measure was not taken."""


def _in_order_of_trust(report: Report) -> list[Measure]:
    """What is water; of two values for one instant the first counts: slots before PN05 before PT, ZU before Z."""
    order = (*_RAIN, _TOTAL, *_STAGE, _RELATIVE)
    return sorted((m for m in report.measures if m.code in order), key=lambda m: order.index(m.code))


def _values(
    report: Report, measure: Measure, element: Element, base_m: float | None
) -> Iterator[tuple[datetime, float]]:
    values = measure.values
    if measure.code == _RELATIVE:
        if all(value is None for value in values):
            return
        values = true_stages(values, _base_m(report, measure) if base_m is None else base_m)
    if element is Element.RAIN and measure.step_s not in (0, SLOT_S):
        raise _LeftOut(f"{measure.code} every {measure.step_s} s is not a sum of 5 minutes each")
    for index, value in enumerate(values):
        at = measure.at(index)
        if value is None:
            continue
        if at is None:
            raise _LeftOut(f"{measure.code} has no time")
        if element is Element.RAIN and slot_end(at) != at:
            if measure.code == _TOTAL:
                return  # between slots, as events bring it: the next one on a slot holds this rain too
            raise _LeftOut(f"{measure.code} does not end on whole 5 minutes")
        yield at, value


def _difference(totals: Totals, code: str, at: datetime, total_mm: float) -> float | None:
    """Rain since the total 5 minutes before, None when the last one known is another; remembers the newest."""
    before = totals.get(code)
    if before and at <= before[0]:
        return None
    totals[code] = at, total_mm
    if before is None or at - before[0] != SLOT:
        return None
    rain = fallen(*before, at, total_mm)
    if rain.mm is None:
        raise _LeftOut(f"{_TOTAL}: {rain.why}, {before[1]} to {total_mm} mm")
    return rain.mm


def _base_m(report: Report, relative: Measure) -> float:
    """The base value, from a true stage of the same station at an instant the relative ones name too; to 0.01 m."""
    by_instant = {relative.at(index): value for index, value in enumerate(relative.values)}
    for measure in report.measures:
        if measure.code in _STAGE and measure.station == relative.station and measure.values:
            above_m, true_m = by_instant.get(measure.observed_at), measure.values[0]
            if above_m is not None and true_m is not None and measure.observed_at is not None:
                return round(true_m - above_m, 2)
    raise _LeftOut(f"{relative.code} has no base value")
