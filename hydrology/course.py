"""The recent course of a station's element: what a new reading is compared with.

Owns the look-back at stored observations (one query a batch) and the order of instants. Judges nothing
(science/quality.py), writes nothing (ingest.py).
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection

from hydrology.known import EVERYTHING, Known
from hydrology.science.quality import Quality
from hydrology.science.readings import Element, Reading

LOOK_BACK = timedelta(minutes=75)  # an hour present, also where reports are not on the minute
RATE_SPAN = timedelta(hours=1)
RATE_LEAST = timedelta(minutes=10)  # a shorter rise is the noise of the float


class Row(NamedTuple):
    """The newest revision of one instant."""

    revision: int
    value: float
    duration_s: int
    quality: int
    post_id: int = 0  # 0: of the batch itself


@dataclass(slots=True)
class Course:
    """Newest revision per instant, in order of time."""

    rows: dict[datetime, Row] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)

    def put(self, at: datetime, row: Row) -> None:
        """Take note of a row; an older revision than the known one changes nothing, the same one is judged anew."""
        known = self.rows.get(at)
        if known is None:
            if not self.times or at > self.times[-1]:
                self.times.append(at)
            else:
                insort(self.times, at)
        if known is None or known.revision <= row.revision:
            self.rows[at] = row

    def before(
        self, at: datetime, span: timedelta = LOOK_BACK, worst: int = Quality.SUSPECT
    ) -> list[tuple[datetime, float]]:
        """(instant, value) in [at - span, at), oldest first, of rows no worse than `worst`."""
        times = self.times[bisect_left(self.times, at - span) : bisect_left(self.times, at)]
        return [(time, self.rows[time].value) for time in times if self.rows[time].quality <= worst]

    def parts(self, at: datetime, duration_s: int) -> dict[int, list[float]]:
        """Shorter rain sums inside (at - duration, at], mm by their length in seconds; none of them WRONG."""
        since = at - timedelta(seconds=duration_s)
        found: dict[int, list[float]] = defaultdict(list)
        for time in self.times[bisect_right(self.times, since) : bisect_right(self.times, at)]:
            row = self.rows[time]
            begins = time - timedelta(seconds=row.duration_s)
            if 0 < row.duration_s < duration_s and begins >= since and row.quality < Quality.WRONG:
                found[row.duration_s].append(row.value)
        return found

    def rate_m_per_h(self, at: datetime) -> float | None:
        """Change up to `at` over the last hour present, from good rows only; None when they say too little."""
        newest = self.rows[at]
        past = self.before(at, RATE_SPAN, Quality.GOOD)
        if newest.quality != Quality.GOOD or not past or at - past[0][0] < RATE_LEAST:
            return None
        return round((newest.value - past[0][1]) * 3600 / (at - past[0][0]).total_seconds(), 4)


def courses_of(readings: Iterable[Reading]) -> defaultdict[tuple[str, Element], Course]:
    """What is stored about these stations in the hour up to each reading, its own instant included."""
    times: dict[tuple[str, Element], list[datetime]] = defaultdict(list)
    for reading in readings:
        times[reading.station, reading.element].append(reading.observed_at)
    spans = [(*key, *span) for key, at in times.items() for span in _spans(sorted(at))]
    return courses_over(spans)


def courses_over(
    spans: Iterable[tuple[str, Element, datetime, datetime]], known: Known = EVERYTHING
) -> defaultdict[tuple[str, Element], Course]:
    """What is stored in these spans (station, element, since, until), both ends included. One query."""
    courses: defaultdict[tuple[str, Element], Course] = defaultdict(Course)
    columns = [list(column) for column in zip(*spans, strict=True)]
    if not columns:
        return courses
    keys = list(zip(*columns[:2], strict=True))
    instants: dict[float, datetime] = {}  # most stations report the same ones
    with connection.cursor() as cursor:
        names = ("stations", "elements", "since", "until")
        asked = dict(zip(names, columns, strict=True)) | {"first": min(columns[2]), "last": max(columns[3])}
        cursor.execute(_STORED.format(known=known.sql), {**asked, **known.parameters})
        for nth, at_s, *row in cursor.fetchall():
            at = instants.get(at_s)
            if at is None:
                at = instants[at_s] = datetime.fromtimestamp(at_s, UTC)
            courses[keys[nth - 1]].put(at, Row._make(row))
    return courses


def _spans(times: list[datetime]) -> list[tuple[datetime, datetime]]:
    """[at - LOOK_BACK, at] for every instant, joined where they touch: a batch of history stays one range scan."""
    joined: list[tuple[datetime, datetime]] = []
    for at in times:
        if joined and at - LOOK_BACK <= joined[-1][1]:
            joined[-1] = (joined[-1][0], at)
        else:
            joined.append((at - LOOK_BACK, at))
    return joined


# LATERAL with OFFSET 0 keeps it one index range a span, whatever the planner believes of a table that has just grown.
# An instant comes as seconds: exact to the microsecond, and ten times cheaper to read than a timestamp's text.
# The last two bounds are those of all spans: literals, by which the planner leaves the other months alone.
_STORED = """
SELECT span.nth, o.*
FROM unnest(%(stations)s::text[], %(elements)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[])
     WITH ORDINALITY AS span(station, element, since, until, nth)
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM observed_at)::float8, revision, value, duration_s, quality, post_id
    FROM hydrology_observation
    WHERE station_id = span.station AND element = span.element AND observed_at BETWEEN span.since AND span.until
      AND observed_at BETWEEN %(first)s AND %(last)s AND {known}
    ORDER BY observed_at, revision OFFSET 0
) o
"""
