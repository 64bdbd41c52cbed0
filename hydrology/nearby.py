"""What it lately rained around a station: the other gauges, those of the same post included, and the fields.

Owns the surroundings of quality control: two queries a batch, and one for each field not seen before. Middle values,
so that one broken gauge cannot speak for the others. Judges nothing (science/consistency.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, isnan

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from hydrology.fields import field_of
from hydrology.known import EVERYTHING, Known
from hydrology.models import GridRun
from hydrology.science.consistency import LEAST_NEIGHBOURS, REACH_KM, Field, doubted_rain
from hydrology.science.grids import KM_PER_DEGREE
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S, lay_slots, slot_end
from hydrology.science.readings import Element
from hydrology.zones import axes_of

SLOTS = 8  # half an hour at 0, with the 15 minutes in which a reading of a batch counts as new
HOUR, THREE_HOURS = timedelta(hours=1), timedelta(hours=3)

Sums = dict[float, tuple[float, int]]
"""(mm, over so many seconds) by instant, seconds since 1970: exact to the microsecond, and cheap."""


@dataclass(slots=True)
class Gauge:
    """A rain gauge: where, its sum over three hours, and its single values of the last hour."""

    lat: float
    lon: float
    three_hours_mm: float
    values: Sums


@dataclass(frozen=True, slots=True)
class Said:
    """One rain value of the batch, and the value it replaces (0: none)."""

    station: str
    at: datetime
    value: float
    duration_s: int
    replaces: float


class Surroundings:
    """The rain up to `at`, with what the batch itself says of it (`said`, nothing WRONG)."""

    def __init__(
        self,
        at: datetime,
        said: Iterable[Said],
        places: Mapping[str, tuple[float, float]],
        known: Known = EVERYTHING,
    ) -> None:
        self._at = at
        gauges = _stored(at, known)
        for one in said:
            if not at - THREE_HOURS < one.at <= at or one.duration_s > HOUR.total_seconds():
                continue
            gauge = gauges.setdefault(one.station, Gauge(*places[one.station], 0.0, {}))
            gauge.three_hours_mm += one.value - one.replaces
            if one.at > at - HOUR:
                gauge.values[one.at.timestamp()] = one.value, one.duration_s
        self._gauges = gauges
        self._column = {code: n for n, code in enumerate(gauges)}
        self._lat = np.array([gauge.lat for gauge in gauges.values()])
        self._lon = np.array([gauge.lon for gauge in gauges.values()])
        self._sums_mm = {
            Element.RAIN: np.array([sum(mm for mm, _ in g.values.values()) for g in gauges.values()]),
            Element.STAGE: np.array([g.three_hours_mm for g in gauges.values()]),
        }

    def rain_mm(self, station: str, element: Element, lat: float, lon: float) -> float | None:
        """For rain the middle 1-hour sum of the others within 8 km, for a level the middle 3-hour sum; None: fewer
        than three gauges."""
        east = (self._lon - lon) * np.cos(np.radians(lat))
        near = KM_PER_DEGREE * np.hypot(self._lat - lat, east) <= REACH_KM
        if (column := self._column.get(station)) is not None:
            near[column] = False
        if np.count_nonzero(near) < LEAST_NEIGHBOURS:
            return None
        return float(np.median(self._sums_mm[element][near]))

    def doubts(self) -> dict[tuple[str, datetime], str]:
        """Why which 5-minute values are doubted by what is around them, by station and END of the slot."""
        last_end = slot_end(self._at)
        before_s = (last_end - SLOT * SLOTS).timestamp()
        mm = np.full((SLOTS, len(self._gauges)), np.nan)
        for column, gauge in enumerate(self._gauges.values()):
            for at_s, (value, duration_s) in gauge.values.items():
                n = ceil((at_s - before_s) / SLOT_S) - 1
                if 0 <= n < SLOTS and duration_s <= SLOT_S:
                    mm[n, column] = value if isnan(mm[n, column]) else mm[n, column] + value
        found = doubted_rain(mm, self._lat, self._lon, observed_field(last_end, SLOTS))
        codes = list(self._gauges)
        return {(codes[column], last_end - SLOT * (SLOTS - 1 - n)): why for (n, column), why in found.items()}


def observed_field(last_end: datetime, slots: int) -> Field | None:
    """The observed frames of the slots up to `last_end` on the newest one's cells; None where there is none.

    Frames made of longer sums are left out: their peaks are too low to be held against a gauge.
    """
    runs = [
        run for run in GridRun.objects.observed_between(last_end - SLOT * slots, last_end) if not run.spread
    ]
    if not runs:
        return None
    geometry = runs[-1].geometry
    lat, lon = axes_of(geometry)
    fields = {run.issued_at: field_of(run)[0] for run in runs if run.geometry == geometry}
    cells = lay_slots(fields, last_end=last_end, slots=slots, places=lat.size * lon.size)
    return field_on(cells, lat, lon)


def field_on(cells: NDArray[np.floating], lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Field:
    """(slot, cell) as a Field."""
    return Field(cells.reshape(len(cells), lat.size, lon.size), lat, lon)


def _stored(at: datetime, known: Known) -> dict[str, Gauge]:
    with connection.cursor() as cursor:
        asked = {
            "at": at,
            "since": at - THREE_HOURS,
            "rain": Element.RAIN.value,
            "wrong": Quality.WRONG.value,
            **known.parameters,
        }
        cursor.execute(_GAUGES.format(known=known.sql), asked)
        rows = cursor.fetchall()
    return {
        code: Gauge(
            lat, lon, sum_mm, dict(zip(at_s or (), zip(mm or (), length_s or (), strict=True), strict=True))
        )
        for code, lat, lon, sum_mm, at_s, mm, length_s in rows
    }


_GAUGES = """
SELECT o.station_id, s.lat, s.lon, sum(o.value),
       array_agg(extract(epoch FROM o.observed_at)::float8) FILTER (WHERE o.observed_at > %(at)s - interval '1 hour'),
       array_agg(o.value) FILTER (WHERE o.observed_at > %(at)s - interval '1 hour'),
       array_agg(o.duration_s) FILTER (WHERE o.observed_at > %(at)s - interval '1 hour')
FROM (
    SELECT DISTINCT ON (station_id, observed_at) station_id, observed_at, value, quality, duration_s
    FROM hydrology_observation
    WHERE element = %(rain)s AND observed_at > %(since)s AND observed_at <= %(at)s
      AND duration_s <= 3600 AND {known}
    ORDER BY station_id, observed_at, revision DESC
) o JOIN hydrology_station s ON s.code = o.station_id
WHERE o.quality < %(wrong)s
GROUP BY o.station_id, s.lat, s.lon
ORDER BY o.station_id
"""
