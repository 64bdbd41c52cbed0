"""What a station said over time, in even steps. Reads observations; the newest revision of an instant counts.

A step is (at - step, at] and is named by its END; days are hydrological days and start at 08:00 Shenzhen time, which
is midnight UTC. Steps without a value are left out; wrong values are never summed, nor is a rain sum longer than the
step. The same minutes are counted once, as in rain.py.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from foundation.clock import iso
from foundation.errors import Refusal
from hydrology.asof import known_by
from hydrology.rain import SLOT_BEGINS, SLOT_COVERED_S, SLOT_MM
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S, WINDOWS_MIN
from hydrology.science.readings import Element

STEPS = {"5min": timedelta(minutes=5), "1h": timedelta(hours=1), "day": timedelta(days=1)}
MOST_STEPS = 5000
MOST_MAXIMA = timedelta(days=92)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """Which rows count: those observed by `until` and received by `received_by` (None: whenever)."""

    until: datetime
    received_by: datetime | None = None


EVERYTHING = Known(datetime.max.replace(tzinfo=UTC))


def known_at(as_of: datetime, now: datetime) -> Known:
    """What was known at `as_of`; see asof.py."""
    return Known(*known_by(as_of, now))


def series(
    station: str,
    element: Element,
    since: datetime,
    until: datetime,
    step: timedelta,
    known: Known = EVERYTHING,
) -> tuple[list[dict[str, Any]], datetime | None]:
    """([{at, value, quality, share}], oldest first, and the newest instant among them); value in the element's unit,
    share 0..1 for rain, null for levels.

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
    rain = element is Element.RAIN
    asked = _asked(station, element, first, last, known, longest=step)
    with connection.cursor() as cursor:
        cursor.execute(_RAIN if rain else _VALUES, asked | {"step": step, "step_s": step.total_seconds()})
        rows = cursor.fetchall()
    items = [
        {
            "at": iso(at),
            "value": None if value is None else round(value, 3),
            "quality": Quality(worst).name.lower(),
            "share": round((covered_s or 0) / step.total_seconds(), 3) if rain else None,
        }
        for at, value, worst, covered_s, _ in rows
    ]
    return items, max((newest_at for *_, newest_at in rows), default=None)


def maxima(station: str, since: datetime, until: datetime, known: Known = EVERYTHING) -> list[dict[str, Any]]:
    """The highest rain of 5, 10, 30, 60 and 180 minutes that lie in (since, until]: [{minutes, rain_mm, at, share}].

    `at` is the END of the first such window, `share` how much of it was covered. Empty without 5-minute values.
    Raises Refusal 400 beyond 92 days.
    """
    if until - since > MOST_MAXIMA:
        raise Refusal(
            "bad_span",
            zh=f"最大时段雨量的查询时段不能超过 {MOST_MAXIMA.days} 天，请缩短时段。",
            en=f"Maxima are told for at most {MOST_MAXIMA.days} days. Ask for less.",
            fields={"from": str(iso(since)), "to": str(iso(until))},
        )
    with connection.cursor() as cursor:
        cursor.execute(_MAXIMA, _asked(station, Element.RAIN, since, until, known, longest=SLOT))
        return [
            {
                "minutes": minutes,
                "rain_mm": round(mm, 2),
                "at": iso(at),
                "share": round(covered_s / (minutes * 60), 3),
            }
            for minutes, mm, at, covered_s in cursor.fetchall()
        ]


def _asked(
    station: str, element: Element, since: datetime, until: datetime, known: Known, *, longest: timedelta
) -> dict[str, object]:
    """A clock that is late by less than half a slot puts the last value of the span behind its end."""
    return {
        "station": station, "element": element.value, "since": since, "until": until,
        "observed_by": min(until + SLOT / 2, known.until) if element is Element.RAIN else min(until, known.until),
        "received_by": known.received_by, "epoch": _EPOCH, "wrong": Quality.WRONG.value,
        "longest_s": longest.total_seconds(),
    }  # fmt: skip


_NEWEST = """
    SELECT DISTINCT ON (observed_at) observed_at, value, quality, duration_s
    FROM hydrology_observation
    WHERE station_id = %(station)s AND element = %(element)s
      AND observed_at > %(since)s AND observed_at <= %(observed_by)s AND duration_s <= %(longest_s)s
      AND (%(received_by)s::timestamptz IS NULL OR received_at <= %(received_by)s)
    ORDER BY observed_at, revision DESC
"""
_VALUES = f"""
WITH newest AS ({_NEWEST})
SELECT date_bin(%(step)s, observed_at - interval '1 microsecond', %(epoch)s) + %(step)s,
       (array_agg(value ORDER BY observed_at DESC) FILTER (WHERE quality < %(wrong)s))[1], max(quality), NULL,
       max(observed_at)
FROM newest GROUP BY 1 ORDER BY 1
"""
_SLOTS = f"""
    SELECT {SLOT_BEGINS} AS begins, {SLOT_MM} AS mm, {SLOT_COVERED_S} AS covered_s
    FROM newest o WHERE quality < %(wrong)s AND duration_s <= {SLOT_S} GROUP BY 1
"""
# a sum over more than a slot beside the slots it holds counts for no more than its step is long
_RAIN = f"""
WITH newest AS ({_NEWEST}), parts AS (
    {_SLOTS}
    UNION ALL
    SELECT observed_at - duration_s * interval '0.5 s', value, duration_s
    FROM newest WHERE quality < %(wrong)s AND duration_s > {SLOT_S}
), sums AS (
    SELECT date_bin(%(step)s, begins, %(epoch)s) + %(step)s AS at,
           sum(mm) * (%(step_s)s / greatest(sum(covered_s), %(step_s)s))::float8 AS mm,
           least(sum(covered_s), %(step_s)s)::float8 AS covered_s
    FROM parts GROUP BY 1
), seen AS (
    SELECT date_bin(%(step)s, observed_at - duration_s * interval '0.5 s', %(epoch)s) + %(step)s AS at,
           max(quality) AS worst, max(observed_at) AS newest_at
    FROM newest GROUP BY 1
)
SELECT at, mm, worst, covered_s, newest_at FROM seen LEFT JOIN sums USING (at)
WHERE at > %(since)s AND at <= %(until)s ORDER BY at
"""
_SLOT_SUMS = ", ".join(
    f"sum(mm) OVER w{minutes} AS mm{minutes}, sum(covered_s) OVER w{minutes} AS s{minutes}"
    for minutes in WINDOWS_MIN
)
_SPANS = ", ".join(
    f"w{minutes} AS (ORDER BY at RANGE BETWEEN interval '{minutes - 5} min' PRECEDING AND CURRENT ROW)"
    for minutes in WINDOWS_MIN
)
_MAXIMA = f"""
WITH newest AS ({_NEWEST}), bins AS ({_SLOTS}),
slots AS (
    SELECT begins + interval '{SLOT_S} s' AS at, mm, covered_s FROM bins
    WHERE begins >= %(since)s AND begins + interval '{SLOT_S} s' <= %(until)s
),
sums AS (SELECT at, {_SLOT_SUMS} FROM slots WINDOW {_SPANS})
SELECT DISTINCT ON (v.minutes) v.minutes, v.mm, sums.at, v.covered_s::float8
FROM sums CROSS JOIN LATERAL (
    VALUES {", ".join(f"({minutes}, mm{minutes}, s{minutes})" for minutes in WINDOWS_MIN)}
) AS v(minutes, mm, covered_s)
ORDER BY v.minutes, round(v.mm::numeric, 3) DESC, sums.at
"""
