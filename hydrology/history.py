"""What a station said over time, in even steps. Reads observations; the newest revision of an instant counts.

A step is (at - step, at] and is named by its END; days are hydrological days and start at 08:00 Shenzhen time, which
is midnight UTC. Steps without a value are left out; wrong values are never summed.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from foundation.clock import iso
from foundation.errors import Refusal
from hydrology.science.quality import Quality
from hydrology.science.readings import Element

STEPS = {"5min": timedelta(minutes=5), "1h": timedelta(hours=1), "day": timedelta(days=1)}
MOST_STEPS = 5000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def series(
    station: str, element: Element, since: datetime, until: datetime, step: timedelta
) -> list[dict[str, Any]]:
    """[{at, value, quality, share}], oldest first; value in the element's unit, share 0..1 for rain, null for levels.

    `since` and `until` are widened to whole steps. Raises Refusal 400 beyond 5,000 steps, or when not since < until.
    """
    first = since - (since - _EPOCH) % step
    last = until + (_EPOCH - until) % step
    if not first < last or (last - first) // step > MOST_STEPS:
        raise Refusal(
            "bad_span",
            zh=f"from 须早于 to，且不超过 {MOST_STEPS} 个步长。请缩短时段或加大 step。",
            en=f"from must lie before to, at most {MOST_STEPS} steps apart. Ask for less, or for a longer step.",
            fields={"from": str(iso(since)), "to": str(iso(until))},
        )
    asked = {
        "station": station, "element": element.value, "since": first, "until": last, "step": step,
        "epoch": _EPOCH, "wrong": Quality.WRONG.value, "rain": element is Element.RAIN,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, asked)
        rows = cursor.fetchall()
    return [
        {
            "at": iso(at),
            "value": None if value is None else round(value, 3),
            "quality": Quality(worst).name.lower(),
            "share": min(1.0, round((covered_s or 0) / step.total_seconds(), 3))
            if element is Element.RAIN
            else None,
        }
        for at, value, worst, covered_s in rows
    ]


_SERIES = """
WITH newest AS (
    SELECT DISTINCT ON (observed_at) observed_at, value, quality, duration_s
    FROM hydrology_observation
    WHERE station_id = %(station)s AND element = %(element)s
      AND observed_at > %(since)s AND observed_at <= %(until)s
    ORDER BY observed_at, revision DESC
)
SELECT date_bin(%(step)s, observed_at - interval '1 microsecond', %(epoch)s) + %(step)s,
       CASE WHEN %(rain)s THEN sum(value) FILTER (WHERE quality < %(wrong)s)
            ELSE (array_agg(value ORDER BY observed_at DESC) FILTER (WHERE quality < %(wrong)s))[1] END,
       max(quality), sum(duration_s) FILTER (WHERE quality < %(wrong)s)
FROM newest GROUP BY 1 ORDER BY 1
"""
