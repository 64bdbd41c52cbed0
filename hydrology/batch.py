"""A batch of readings held against what is stored: new, repeated, corrected or refused, each with its verdict.

Owns the order of judging: by observation, so a batch out of order judges like one in order, and after the whole batch
is known, so neighbours in the same post are seen. Reads in a handful of queries whatever the size of the batch; writes
nothing: that is ingest/readings.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from hydrology.course import Course, Row, courses_of
from hydrology.models import Feed, Station
from hydrology.nearby import Said, Surroundings
from hydrology.precedence import Key, Precedence, Standing, standings
from hydrology.science.consistency import common_instant, doubted_clock, doubted_sum
from hydrology.science.quality import Limits, Quality, asks_for_rain, default_limits, judge, stage_limits
from hydrology.science.rainfall import SLOT_S, slot_end
from hydrology.science.readings import Element, Reading, Rejection

FRESH = timedelta(minutes=15)  # neighbours are asked only about the newest readings of a batch
ABOVE_RECORD_M = 2.0  # a river may rise over its highest mark; a stage this far above it is suspect
LAKE_STEP_FACTOR = 1.5  # a lake is wide: rain lifts it hardly faster than it may rise anyhow
STILL_GAP = timedelta(hours=3)  # a longer silence breaks a run of the same value
SAME_VALUE = 0.0005


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


class Newest(NamedTuple):
    """The last trusted row of a station's element; levels with their rate (m/h)."""

    fresh: Fresh
    rate_m_per_h: float | None
    unchanged_since: datetime


@dataclass(slots=True)
class Batch:
    """What became of the readings; `newest` by station and element."""

    fresh: list[Fresh] = field(default_factory=list)
    newest: dict[Key, Newest] = field(default_factory=dict)
    duplicate: int = 0
    refused: list[Rejection] = field(default_factory=list)


def sort_out(rows: list[tuple[int, Reading]], feed: Feed) -> Batch:
    """Same value again, or a better feed has spoken: duplicate. Another value: the next revision. Another duration,
    or no such station: refused. Nothing is judged before the whole batch is known."""
    places = places_of({reading.station for _, reading in rows})
    batch = Batch(
        refused=[_unknown(index, reading) for index, reading in rows if reading.station not in places]
    )
    known = sorted((row for row in rows if row[1].station in places), key=_in_time)
    if not known:
        return batch
    courses = courses_of(reading for _, reading in known)
    standing = standings(places)
    new, sums = _told_apart(known, batch, courses, Precedence(feed, standing, courses))
    doubts = _Doubts(known, new, sums, courses, standing, places)
    batch.refused += doubts.refused
    still = dict(standing)
    for reading, before in new:
        key, at = (reading.station, reading.element), reading.observed_at
        course, place = courses[key], places[reading.station]
        since, past = _unmoved_since(still.get(key), reading), course.before(at)
        limits = (
            place.stage if reading.element is Element.STAGE else _limits(reading.element, reading.duration_s)
        )
        near_mm = (
            doubts.rain_nearby_mm(reading, place) if asks_for_rain(reading, past, limits, since) else None
        )
        verdict = judge(
            reading, past, limits, rain_nearby_mm=near_mm, unmoved_since=since, doubts=doubts.of(reading)
        )
        row = Row(before.revision + 1 if before else 0, reading.value, reading.duration_s, verdict.quality)
        course.put(at, row)
        batch.fresh.append(fresh := Fresh(reading, row, verdict.why))
        if verdict.quality is not Quality.WRONG:
            rate = course.rate_m_per_h(at) if reading.element is Element.STAGE else None
            batch.newest[key] = Newest(fresh, rate, since or at)
            if key not in still or still[key].observed_at <= at:
                still[key] = Standing(at, reading.value, since or at, 0, timedelta(0))
    return batch


def _in_time(row: tuple[int, Reading]) -> tuple[datetime, int]:
    """By instant; of two sums for one instant the shorter first: the longer one is held against it."""
    return row[1].observed_at, row[1].duration_s


def _told_apart(
    known: list[tuple[int, Reading]], batch: Batch, courses: Mapping[Key, Course], precedence: Precedence
) -> tuple[list[tuple[Reading, Row | None]], list[tuple[int, Reading, Row]]]:
    """(what is new with the row it corrects, sums for instants that have a row of another duration).

    New rows are put into the courses, by their own limits only: WRONG, or not yet judged.
    """
    new: list[tuple[Reading, Row | None]] = []
    sums: list[tuple[int, Reading, Row]] = []
    for index, reading in known:
        key, at = (reading.station, reading.element), reading.observed_at
        before = courses[key].rows.get(at)
        if before and before.duration_s != reading.duration_s:
            sums.append((index, reading, before))
        elif (before and before.value == reading.value) or precedence.better_spoke(key, at):
            batch.duplicate += 1
        else:
            new.append((reading, before))
            limits = _limits(Element.RAIN, reading.duration_s) if reading.element is Element.RAIN else None
            wrong = limits is not None and not limits.reject_low <= reading.value <= limits.reject_high
            revision = before.revision + 1 if before else 0
            quality = Quality.WRONG if wrong else Quality.GOOD
            courses[key].put(at, Row(revision, reading.value, reading.duration_s, quality))
    return new, sums


class _Doubts:
    """What speaks against the new readings of a batch besides their own past."""

    def __init__(
        self,
        known: list[tuple[int, Reading]],
        new: list[tuple[Reading, Row | None]],
        sums: list[tuple[int, Reading, Row]],
        courses: Mapping[Key, Course],
        standing: Mapping[Key, Standing],
        places: Mapping[str, Place],
    ) -> None:
        self.refused: list[Rejection] = []
        self._newest_at = known[-1][1].observed_at
        self._clocks = _clocks(known, standing, places)
        self._sums: dict[tuple[str, datetime], str] = {}
        self._hold_sums(new, sums, courses)
        self._around: Surroundings | None = None
        self._field: dict[tuple[str, datetime], str] = {}
        if any(reading.element in (Element.RAIN, Element.STAGE) for reading, _ in new):
            rain = [(reading, before) for reading, before in new if reading.element is Element.RAIN]
            self._around = Surroundings(
                self._newest_at, _said(rain, courses), {code: place[:2] for code, place in places.items()}
            )
            self._field = self._around.doubts() if rain else {}

    def rain_nearby_mm(self, reading: Reading, place: Place) -> float | None:
        """As quality.judge wants it; neighbours are asked only about the newest readings, and not about flows."""
        if self._around is None or reading.element not in (Element.RAIN, Element.STAGE):
            return None
        if self._newest_at - reading.observed_at >= FRESH:
            return None
        return self._around.rain_mm(reading.station, reading.element, place.lat, place.lon)

    def of(self, reading: Reading) -> list[str]:
        """Reasons, gravest first."""
        at = reading.observed_at
        whys = [reading.doubt, self._clocks.get(reading.station, "")]
        if reading.element is Element.RAIN:
            whys.append(self._sums.get((reading.station, at), ""))
            if reading.duration_s <= SLOT_S and self._newest_at - at < FRESH:
                whys.append(self._field.get((reading.station, slot_end(at)), ""))
        return [why for why in whys if why]

    def _hold_sums(
        self,
        new: list[tuple[Reading, Row | None]],
        sums: list[tuple[int, Reading, Row]],
        courses: Mapping[Key, Course],
    ) -> None:
        """A sum that contradicts the shorter values within it: these are doubted, or it, where it is stored itself."""
        for reading, _ in new:
            if reading.element is Element.RAIN and reading.duration_s > SLOT_S:
                self._doubt_sum(reading, courses, {reading.observed_at})
        by_station: dict[str, set[datetime]] = defaultdict(set)
        for reading, _ in new if sums else ():
            by_station[reading.station].add(reading.observed_at)
        for index, reading, before in sums:
            why = self._doubt_sum(reading, courses, by_station[reading.station])
            self.refused.append(
                _sum_disagrees(index, why) if why else _other_duration(index, reading, before)
            )

    def _doubt_sum(self, reading: Reading, courses: Mapping[Key, Course], at: set[datetime]) -> str:
        course = courses[reading.station, Element.RAIN]
        since = reading.observed_at - timedelta(seconds=reading.duration_s)
        for length_s, parts in course.parts(reading.observed_at, reading.duration_s).items():
            why = doubted_sum(reading.value, reading.duration_s, [(length_s, mm) for mm in parts])
            if why:
                self._sums |= {
                    (reading.station, one): why for one in at if since < one <= reading.observed_at
                }
                return why
        return ""


def _said(rain: Iterable[tuple[Reading, Row | None]], courses: Mapping[Key, Course]) -> Iterator[Said]:
    """The batch's own rain, as far as it is possible at all."""
    for reading, before in rain:
        if courses[reading.station, Element.RAIN].rows[reading.observed_at].quality < Quality.WRONG:
            replaces = before.value if before and before.quality < Quality.WRONG else 0.0
            yield Said(reading.station, reading.observed_at, reading.value, reading.duration_s, replaces)


def _clocks(
    known: list[tuple[int, Reading]], standing: Mapping[Key, Standing], places: Mapping[str, Place]
) -> dict[str, str]:
    """Doubted clocks by station. What a station brings late while it is up to date is history, not a wrong clock."""
    newest: dict[str, datetime] = {}
    element: dict[str, Element] = {}
    for _, reading in known:  # in order of time
        newest[reading.station], element[reading.station] = reading.observed_at, reading.element
    common = common_instant(newest.values())
    if common is None:
        return {}
    doubted = {}
    for station, at in newest.items():
        stands = standing.get((station, element[station]))
        if (why := doubted_clock(at, common)) and not (stands and stands.observed_at > common - FRESH):
            doubted[station] = why
    return doubted


def _unmoved_since(stands: Standing | None, reading: Reading) -> datetime | None:
    """First instant of the unbroken run of this very value, None when it does not continue one."""
    if stands is None or not timedelta(0) < reading.observed_at - stands.observed_at <= STILL_GAP:
        return None
    return stands.unchanged_since if abs(stands.value - reading.value) <= SAME_VALUE else None


_limits = lru_cache(maxsize=256)(default_limits)


def places_of(codes: set[str]) -> dict[str, Place]:
    """Where these stations stand and what their levels may be; one query, no entry for an unknown code."""
    rows = Station.objects.filter(pk__in=codes).values_list(
        "code", "lat", "lon", "reservoir__dead_m", "reservoir__crest_m",
        "river__bed_m", "river__highest_m", "river__guarantee_m",
    )  # fmt: skip
    places = {}
    for code, lat, lon, dead_m, crest_m, bed_m, *highest in rows:
        marks = [mark_m for mark_m in highest if mark_m is not None]
        top_m = max(marks) + ABOVE_RECORD_M if marks else crest_m
        if bed_m is not None:
            limits = stage_limits(bed_m, top_m)
        else:
            limits = stage_limits(dead_m, top_m, rain_step_factor=LAKE_STEP_FACTOR)
        places[code] = Place(lat, lon, limits)
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


def _sum_disagrees(index: int, why: str) -> Rejection:
    return Rejection(
        index,
        "sum_disagrees",
        f"累计值与该站分时段值不符（{why}），分时段值已标为可疑，请检查该站雨量计和采集程序",
        f"the sum does not agree with the station's shorter values ({why}), which are now suspect: check the gauge",
    )
