"""Live rain: what fell and what is coming, per region and at a point.

Owns the two answers of the contract; reads observations and gridded fields, decides nothing, leaves only a copy in
Redis and in this process until the next data comes. Windows are (as_of - w, as_of]; `as_of` is the END of the newest
5-minute slot with data, or of the present one when data stopped: then the shares fall and `age_s` (up to `as_of`)
grows, the sums do not pretend. Missing is null. Gauges with wrong values and sums longer than a slot are left out.
Where a gauge's values (of two feeds, or of two durations) together cover more than the slot their middles lie in, their
sum is reduced to the slot's own seconds: the same minutes never count twice.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
import redis
from django.db import connection
from django.db.models import Max, QuerySet, Sum
from numpy.typing import NDArray

from foundation.clock import age_s, iso
from foundation.wire import wire
from hydrology.asof import LOOK_BACK, known_by
from hydrology.feeds.clock import water_clock
from hydrology.fields import field_of
from hydrology.models import FeedMark, GridRun, Latest, Level, Observation, Product, Region
from hydrology.science.grids import Zones
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S, lay_slots, sliding_sums, slot_end
from hydrology.science.readings import Element
from hydrology.shelf import Shelf, row_of
from hydrology.zones import axes_of, district_zones, street_zones

WINDOWS_MIN = (5, 10, 30, 60, 180, 1440)
AHEAD_MIN = (60, 120)
SLOTS = max(WINDOWS_MIN) * 60 // SLOT_S
POINT_STEPS = 24
WAIT = timedelta(minutes=15)  # data older than this has stopped; until then the newest slot is awaited
KEEP_S = 600
Floats = NDArray[np.float64]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Then:
    """When an answer is for: the present, or an instant `past`, known from what was `received_by` (None: whenever)."""

    past: bool = False
    received_by: datetime | None = None


PRESENT = Then()
HELD: dict[Level, tuple[str, Shelf]] = {}  # this process's copy, under the key that names its data


def shelf(level: Level, now: datetime) -> Shelf:
    """`GET live/rain` of every district or street; encoded again only when something new was accepted."""
    at = water_clock(now)
    as_of = newest_slot(at)
    # grows with every commit that brought anything, whatever the order of the commits
    accepted = FeedMark.objects.aggregate(n=Sum("accepted"))["n"]
    key = f"live:rain:{level}:{as_of.timestamp():.0f}:{accepted}"
    held = HELD.get(level)
    if held is None or held[0] != key:
        held = HELD[level] = key, _shelved(_table(level, as_of, at, key))
    return held[1]


def shelf_then(level: Level, asked_at: datetime, now: datetime) -> Shelf:
    """As `shelf`, at an earlier instant and from what had been received by then (see asof.py); kept nowhere."""
    at, then = _then(asked_at, now)
    return _shelved(_computed(level, newest_slot(at, then), at, then))


def at_point(lat: float, lon: float, now: datetime, asked_at: datetime | None = None) -> Answer:
    """`GET rain/point`: 24 observed and 24 coming steps of the cell under the point, null where missing."""
    at, then = (water_clock(now), PRESENT) if asked_at is None else _then(asked_at, now)
    as_of = newest_slot(at, then)
    known = GridRun.objects.received_by(then.received_by)
    ends = [as_of - SLOT * back for back in range(POINT_STEPS)][::-1]
    fallen: dict[datetime, float | None] = {}
    for run in known.observed_between(as_of - SLOT * POINT_STEPS, as_of):
        fallen[run.issued_at] = _cell(run, lat, lon)[0]
    nowcast = known.newest_nowcast(as_of)
    coming: dict[datetime, float | None] = {}
    if nowcast:
        steps = _cell(nowcast, lat, lon)
        coming = {nowcast.issued_at + SLOT * (n + 1): mm for n, mm in enumerate(steps)}
    return {
        **_age(as_of, at, then),
        "lat": lat,
        "lon": lon,
        "step_s": SLOT_S,
        "observed": [{"at": iso(end), "rain_mm": fallen.get(end)} for end in ends],
        "nowcast_issued_at": iso(nowcast.issued_at) if nowcast else None,
        "nowcast": [
            {"at": iso(end), "rain_mm": coming.get(end)}
            for end in (as_of + SLOT * (n + 1) for n in range(POINT_STEPS))
        ],
    }


def _then(asked_at: datetime, now: datetime) -> tuple[datetime, Then]:
    """The instant asked about, by the water's clock and never in the future, and what had been received by it."""
    _, received_by = known_by(asked_at, now)
    return min(asked_at, water_clock(now)), Then(past=True, received_by=received_by)


def newest_slot(at: datetime, then: Then = PRESENT) -> datetime:
    """END of the newest slot with rain data up to `at`, UTC; the slot just ended when data is older than 15 min."""
    ended = slot_end(at + timedelta(microseconds=1)) - SLOT  # at or before `at`
    newest = max((min(slot_end(each), ended) for each in _newest(at, then) if each), default=None)
    return newest if newest and at - newest <= WAIT else ended


def _newest(at: datetime, then: Then) -> tuple[datetime | None, datetime | None]:
    """The newest gauge value and the newest observed frame up to `at`."""
    gauges: QuerySet[Any] = Latest.objects.filter(element=Element.RAIN, observed_at__lte=at)
    if then.past:  # what is latest now was not then
        gauges = Observation.objects.filter(
            element=Element.RAIN,
            observed_at__gt=at - LOOK_BACK,
            observed_at__lte=at,
            quality__lt=Quality.WRONG,
        )
        gauges = gauges.filter(received_at__lte=then.received_by) if then.received_by else gauges
    known = GridRun.objects.received_by(then.received_by)
    grids = known.filter(product=Product.OBSERVED, issued_at__lte=at)
    return gauges.aggregate(at=Max("observed_at"))["at"], grids.aggregate(at=Max("issued_at"))["at"]


def _shelved(table: Answer) -> Shelf:
    head = {name: value for name, value in table.items() if name != "items"}
    rows = (row_of(path, item["region"], item) for path, item in table["items"])
    return Shelf(head, rows, seal=orjson.dumps(head))


def _table(level: Level, as_of: datetime, at: datetime, key: str) -> Answer:
    """The answer for all regions of a level, each item with its region's path; from Redis when another made it."""
    try:
        if kept := wire().get(key):
            return orjson.loads(kept)
    except redis.RedisError:
        pass  # PostgreSQL alone must be able to answer
    table = _computed(level, as_of, at, PRESENT)
    with suppress(redis.RedisError):
        wire().set(key, orjson.dumps(table), ex=KEEP_S)
    return table


def _computed(level: Level, as_of: datetime, at: datetime, then: Then) -> Answer:
    regions = list(Region.objects.filter(level=level).order_by("code").values_list("code", "name", "path"))
    gauges = _gauge_sums(as_of, then)
    means = _area_sums(level, as_of, then)
    nowcast = GridRun.objects.received_by(then.received_by).newest_nowcast(as_of)
    ahead = _ahead(level, nowcast, as_of) if nowcast else {}
    return {
        **_age(as_of, at, then),
        "nowcast_issued_at": iso(nowcast.issued_at) if nowcast else None,
        "level": level,
        "items": [(path, _item(code, name, path, gauges, means, ahead)) for code, name, path in regions],
    }


def _item(
    code: str,
    name: str,
    path: str,
    gauges: "list[Gauge]",
    means: dict[str, list[Answer]],
    ahead: dict[str, list[Answer]],
) -> Answer:
    nothing = {"mean_mm": None, "mean_share": 0.0}
    inside = [gauge for gauge in gauges if gauge[1].startswith(path)]
    return {
        "region": code,
        "name": name,
        "observed": [
            {
                "minutes": minutes,
                **_highest(inside, w),
                **(means[code][w] if code in means else nothing),
            }
            for w, minutes in enumerate(WINDOWS_MIN)
        ],
        "nowcast": ahead.get(code)
        or [{"minutes": m, "mean_mm": None, "max_mm": None, "share": 0.0} for m in AHEAD_MIN],
    }


def _age(as_of: datetime, at: datetime, then: Then) -> Answer:
    """`as_of`, and the newest gauge value or frame up to `at` with its age then; null when there never was one."""
    newest = max((each for each in _newest(at, then) if each), default=None)
    return {"as_of": iso(as_of), "observed_at": iso(newest), "age_s": age_s(newest, as_of)}


Gauge = tuple[str, str, list[float | None], list[float]]  # code, region path, sums mm, seconds covered


def _gauge_sums(as_of: datetime, then: Then) -> list[Gauge]:
    with connection.cursor() as cursor:
        cursor.execute(
            _GAUGE_SUMS,
            {
                "as_of": as_of,
                "received_by": then.received_by,
                "rain": Element.RAIN.value,
                "wrong": Quality.WRONG.value,
                "since": as_of - timedelta(minutes=max(WINDOWS_MIN)),
                **{f"after{minutes}": as_of - timedelta(minutes=minutes) for minutes in WINDOWS_MIN},
            },
        )
        return cursor.fetchall()


def _highest(inside: list[Gauge], w: int) -> Answer:
    """The wettest of these gauges in window `w`, and the share of their slots present."""
    top = max(((g[2][w], g[0]) for g in inside if g[2][w] is not None), default=(None, None))
    covered = sum(min(1.0, (g[3][w] or 0) / (WINDOWS_MIN[w] * 60)) for g in inside)
    return {
        "station_max_mm": None if top[0] is None else round(top[0], 2),
        "station": top[1],
        "station_share": round(covered / len(inside), 3) if inside else 0.0,
    }


def _area_sums(level: Level, as_of: datetime, then: Then) -> dict[str, list[Answer]]:
    """Areal means per region code and window; frames on another grid than the newest count as missing."""
    known = GridRun.objects.received_by(then.received_by)
    runs = list(known.observed_between(as_of - SLOT * SLOTS, as_of))
    if not runs:
        return {}
    geometry = runs[-1].geometry
    zones = _zones(level, geometry)
    shape = {"last_end": as_of, "slots": SLOTS, "places": len(zones.codes)}
    rows = {run.issued_at: _frame(run, zones) for run in runs if run.geometry == geometry}
    sums, _ = sliding_sums(lay_slots({end: row[0] for end, row in rows.items()}, **shape), WINDOWS_MIN)
    shares = np.nan_to_num(lay_slots({end: row[1] for end, row in rows.items()}, **shape))
    share = [shares[-minutes * 60 // SLOT_S :].mean(axis=0) for minutes in WINDOWS_MIN]
    return {
        code: [
            {"mean_mm": _mm(sums[w, place]), "mean_share": round(float(share[w][place]), 3)}
            for w in range(len(WINDOWS_MIN))
        ]
        for place, code in enumerate(zones.codes)
    }


def _ahead(level: Level, nowcast: GridRun, as_of: datetime) -> dict[str, list[Answer]]:
    """The coming hours from the steps of the run that end after `as_of`."""
    zones = _zones(level, nowcast.geometry)
    steps = field_of(nowcast)[(as_of - nowcast.issued_at) // SLOT :]
    answers: dict[str, list[Answer]] = {code: [] for code in zones.codes}
    for minutes in AHEAD_MIN:
        wanted = minutes * 60 // SLOT_S
        part = steps[:wanted].astype(np.float64)
        present = ~np.isnan(part)
        cells = np.where(present.any(axis=0), np.nansum(part, axis=0), np.nan)
        mean, highest = zones.mean(cells), zones.maximum(cells)
        share = zones.mean(present.sum(axis=0) / wanted)
        for place, code in enumerate(zones.codes):
            answers[code].append(
                {
                    "minutes": minutes,
                    "mean_mm": _mm(mean[place]),
                    "max_mm": _mm(highest[place]),
                    "share": round(float(np.nan_to_num(share[place])), 3),
                }
            )
    return answers


def _zones(level: Level, geometry: str) -> Zones:
    lat, lon = axes_of(geometry)
    return street_zones(lat, lon) if level == Level.STREET else district_zones(lat, lon)


_frames: dict[tuple[int, tuple[str, ...]], tuple[Floats, Floats]] = {}


def _frame(run: GridRun, zones: Zones) -> tuple[Floats, Floats]:
    """(mean mm, share present) per zone of one observed frame."""
    key = (run.pk, zones.codes)
    if key not in _frames:
        if len(_frames) > 4 * SLOTS:
            _frames.clear()
        field = field_of(run)[0]
        _frames[key] = zones.mean(field), zones.share(field)
    return _frames[key]


def _cell(run: GridRun, lat: float, lon: float) -> list[float | None]:
    """The values of the cell whose centre is nearest, one a step; null outside the grid."""
    lats, lons = axes_of(run.geometry)
    row, column = int(np.abs(lats - lat).argmin()), int(np.abs(lons - lon).argmin())
    if abs(lats[row] - lat) > abs(lats[1] - lats[0]) or abs(lons[column] - lon) > abs(lons[1] - lons[0]):
        return [None] * run.steps
    values = field_of(run)[:, row * lons.size + column]
    return [_mm(mm) for mm in values]


def _mm(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 2)


_WINDOW_SUMS = ", ".join(
    f"sum(o.{column}) FILTER (WHERE o.observed_at > %(after{minutes})s) AS {column}{minutes}"
    for column in ("value", "duration_s")
    for minutes in WINDOWS_MIN
)
_MM, _COVERED_S = (
    ", ".join(f"{column}{minutes}" for minutes in WINDOWS_MIN) for column in ("value", "duration_s")
)
# What a gauge's values `o` of one slot say together, for whoever groups them by SLOT_BEGINS. The middle of a value, not
# its end, tells its slot: a clock some seconds late puts no two values in one.
SLOT_BEGINS = "date_bin(interval '5 minutes', o.observed_at - o.duration_s * interval '0.5 s', timestamptz '2000-01-01 00:00Z')"
SLOT_MM = f"sum(o.value) * ({SLOT_S}::float8 / greatest(sum(o.duration_s), {SLOT_S}))"
SLOT_COVERED_S = f"least(sum(o.duration_s), {SLOT_S})::integer"
# Only instants with a correction are looked at for their newest revision: sorting a day of all gauges takes longer than
# summing it.
_GAUGE_SUMS = f"""
WITH corrected AS (
    SELECT station_id, observed_at, max(revision) AS revision
    FROM hydrology_observation
    WHERE element = %(rain)s AND observed_at > %(since)s AND observed_at <= %(as_of)s AND revision > 0
      AND (%(received_by)s::timestamptz IS NULL OR received_at <= %(received_by)s)
    GROUP BY station_id, observed_at
), slots AS (
    SELECT o.station_id, max(o.observed_at) AS observed_at, {SLOT_MM} AS value, {SLOT_COVERED_S} AS duration_s
    FROM hydrology_observation o LEFT JOIN corrected c USING (station_id, observed_at)
    WHERE o.element = %(rain)s AND o.observed_at > %(since)s AND o.observed_at <= %(as_of)s
      AND o.quality < %(wrong)s AND o.duration_s <= {SLOT_S} AND (c.revision > o.revision) IS NOT TRUE
      AND (%(received_by)s::timestamptz IS NULL OR o.received_at <= %(received_by)s)
    GROUP BY o.station_id, {SLOT_BEGINS}
), sums AS (
    SELECT o.station_id, {_WINDOW_SUMS} FROM slots o GROUP BY o.station_id
)
SELECT s.code, r.path, ARRAY[{_MM}], ARRAY[{_COVERED_S}]
FROM hydrology_station s JOIN hydrology_region r ON r.code = s.region_id
LEFT JOIN sums ON sums.station_id = s.code
WHERE s.kind = 'PP'
"""
