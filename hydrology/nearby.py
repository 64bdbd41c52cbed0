"""How much it lately rained around a point: what lets a jump of water be believed and a dead gauge be seen.

Owns the neighbours of quality control. Middle values, so that one broken gauge cannot speak for the others.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
from django.db import connection

from hydrology.science.quality import Quality
from hydrology.science.readings import Element

REACH_KM = 8.0
LEAST_NEIGHBOURS = 3
KM_PER_DEGREE = 111.2

RainNearby = Callable[[str, Element, float, float], float | None]


def rain_nearby(at: datetime) -> RainNearby:
    """A function (station, element, lat, lon) -> mm, or None where fewer than three gauges stand within 8 km.

    For rain the middle 1-hour sum of the others up to `at`, for a level the middle 3-hour sum. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, {"at": at, "rain": Element.RAIN.value, "wrong": Quality.WRONG.value})
        rows = cursor.fetchall()
    codes = np.array([row[0] for row in rows])
    places = np.array([row[1:3] for row in rows], dtype=np.float64).reshape(-1, 2)
    sums_mm = {
        Element.RAIN: np.array([row[3] for row in rows], dtype=np.float64),
        Element.STAGE: np.array([row[4] for row in rows], dtype=np.float64),
    }

    def around(station: str, element: Element, lat: float, lon: float) -> float | None:
        north, east = (places - (lat, lon)).T * ((KM_PER_DEGREE,), (KM_PER_DEGREE * np.cos(np.radians(lat)),))
        near = (np.hypot(north, east) <= REACH_KM) & (codes != station)
        return float(np.median(sums_mm[element][near])) if near.sum() >= LEAST_NEIGHBOURS else None

    return around


_SUMS = """
SELECT o.station_id, s.lat, s.lon,
       coalesce(sum(o.value) FILTER (WHERE o.observed_at > %(at)s - interval '1 hour'), 0), sum(o.value)
FROM (
    SELECT DISTINCT ON (station_id, observed_at) station_id, observed_at, value, quality
    FROM hydrology_observation
    WHERE element = %(rain)s AND observed_at > %(at)s - interval '3 hours' AND observed_at <= %(at)s
      AND duration_s <= 3600
    ORDER BY station_id, observed_at, revision DESC
) o JOIN hydrology_station s ON s.code = o.station_id
WHERE o.quality < %(wrong)s
GROUP BY o.station_id, s.lat, s.lon
"""
