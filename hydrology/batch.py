"""A batch of readings held against what is stored: new, repeated, corrected or refused, each with its verdict.

Owns the order of judging (by observation, so a batch out of order judges like one in order). Reads four things in
four queries whatever the size of the batch; writes nothing: that is ingest.py.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from hydrology.course import Row, courses_of
from hydrology.models import Station
from hydrology.nearby import rain_nearby
from hydrology.science.quality import Limits, Quality, default_limits, judge, stage_limits
from hydrology.science.readings import Element, Reading, Rejection

FRESH = timedelta(minutes=15)  # neighbours are asked only about the newest readings of a batch
ABOVE_RECORD_M = 2.0  # a river may rise over its highest mark; a stage this far above it is suspect


class Fresh(NamedTuple):
    """One row to be written."""

    reading: Reading
    row: Row
    why: str


class Place(NamedTuple):
    """A station as quality control sees it; degrees, metres in its own datum."""

    lat: float
    lon: float
    stage: Limits


@dataclass(slots=True)
class Batch:
    """`newest`: per station and element the last trusted row, with its rate for levels (m/h)."""

    fresh: list[Fresh] = field(default_factory=list)
    newest: dict[tuple[str, Element], tuple[Fresh, float | None]] = field(default_factory=dict)
    duplicate: int = 0
    refused: list[Rejection] = field(default_factory=list)


def sort_out(rows: list[tuple[int, Reading]]) -> Batch:
    """Same value again: duplicate. Another value: the next revision. Another duration, or no such station: refused."""
    places = _places({reading.station for _, reading in rows})
    batch = Batch(
        refused=[_unknown(index, reading) for index, reading in rows if reading.station not in places]
    )
    known = sorted((row for row in rows if row[1].station in places), key=lambda row: row[1].observed_at)
    if not known:
        return batch
    courses = courses_of(reading for _, reading in known)
    newest_at = known[-1][1].observed_at
    around = rain_nearby(newest_at)
    for index, reading in known:
        key, at = (reading.station, reading.element), reading.observed_at
        course, place = courses[key], places[reading.station]
        before = course.rows.get(at)
        if before and before.duration_s != reading.duration_s:
            batch.refused.append(_other_duration(index, reading, before))
            continue
        if before and before.value == reading.value:
            batch.duplicate += 1
            continue
        gauged = reading.element in (Element.RAIN, Element.STAGE)  # rain says nothing against a flow
        close_mm = around(*key, place.lat, place.lon) if gauged and newest_at - at < FRESH else None
        is_stage = reading.element is Element.STAGE
        limits = place.stage if is_stage else _limits(reading.element, reading.duration_s)
        verdict = judge(reading, course.before(at), limits, rain_nearby_mm=close_mm)
        row = Row(before.revision + 1 if before else 0, reading.value, reading.duration_s, verdict.quality)
        course.put(at, row)
        batch.fresh.append(fresh := Fresh(reading, row, verdict.why))
        if verdict.quality is not Quality.WRONG:
            batch.newest[key] = (fresh, course.rate_m_per_h(at) if is_stage else None)
    return batch


_limits = lru_cache(maxsize=256)(default_limits)


def _places(codes: set[str]) -> dict[str, Place]:
    rows = Station.objects.filter(pk__in=codes).values_list(
        "code", "lat", "lon", "reservoir__dead_m", "reservoir__crest_m",
        "river__bed_m", "river__highest_m", "river__guarantee_m",
    )  # fmt: skip
    places = {}
    for code, lat, lon, dead_m, crest_m, bed_m, *highest in rows:
        marks = [mark_m for mark_m in highest if mark_m is not None]
        top_m = max(marks) + ABOVE_RECORD_M if marks else crest_m
        places[code] = Place(lat, lon, stage_limits(dead_m if bed_m is None else bed_m, top_m))
    return places


def _unknown(index: int, reading: Reading) -> Rejection:
    return Rejection(
        index,
        "unknown_station",
        f"测站 {reading.station} 未登记，请核对站码或先登记测站",
        f"station {reading.station} is not registered: check the code, or register it first",
    )


def _other_duration(index: int, reading: Reading, before: Row) -> Rejection:
    return Rejection(
        index,
        "other_duration",
        f"该站该时刻已有 {before.duration_s} 秒的累计值，请按相同 duration_s 上报",
        f"a sum over {before.duration_s} s is already stored for this instant: send the same duration_s",
    )
