"""What did we know then? Levels as they stood at an earlier instant, from the rows received by it.

Owns the reading of observations by their receipt: of every instant the newest revision received by `as_of`, the newest
trusted one at most 24 h old; writes nothing. Limits and seasons are those of the register today, the season that of
that day. A replayed storm comes in on another day than its own: there a reading counts as received when observed.
"""

from datetime import datetime, timedelta

from django.db import connection

from foundation.clock import iso, local
from hydrology.course import RATE_LEAST, RATE_SPAN
from hydrology.feeds.clock import water_clock
from hydrology.models import LEVEL_KINDS, Feed, SeasonLimit, Station
from hydrology.science.quality import Quality
from hydrology.science.readings import AHEAD_ALLOWED, Element
from hydrology.shelf import Shelf, row_of
from hydrology.standing import Item, item_of, season_limits

LOOK_BACK = timedelta(hours=24)


def known_by(as_of: datetime, now: datetime) -> tuple[datetime, datetime | None]:
    """(newest instant observed that may count, receipt by which; None: whatever the receipt, in a replay)."""
    if Feed.objects.filter(replayed=True, enabled=True, feedmark__isnull=False).exists():
        return min(as_of, water_clock(now)), None
    return as_of + AHEAD_ALLOWED, as_of


def level_rows(as_of: datetime, now: datetime) -> list[tuple[str, Item]]:
    """Every level post as (region path, item) in order of code, ages at `as_of`; a bounded look at each post."""
    until, received_by = known_by(as_of, now)
    with connection.cursor() as cursor:
        cursor.execute(
            _LEVELS,
            {
                "kinds": list(LEVEL_KINDS), "stage": Element.STAGE.value, "since": as_of - LOOK_BACK, "until": until,
                "earliest": as_of - LOOK_BACK - RATE_SPAN, "received_by": received_by,
                "good": Quality.GOOD.value, "wrong": Quality.WRONG.value, "span": RATE_SPAN, "least": RATE_LEAST,
            },
        )  # fmt: skip
        stood = {code: row for code, *row in cursor.fetchall()}
    seasons = season_limits(list(SeasonLimit.objects.all()), local(as_of).date())
    rows = []
    for post in Station.objects.level_posts():
        at, value, quality, rate = stood.get(post["code"], (None, None, None, None))
        then = post | {
            "stage__observed_at": at, "stage__value": value, "stage__quality": quality, "stage__rate_m_per_h": rate,
        }  # fmt: skip
        rows.append((post["region__path"], item_of(then, seasons.get(post["code"]), as_of)))
    return rows


def levels(as_of: datetime, now: datetime) -> Shelf:
    """As live.shelf, at an earlier instant; an instant to come is the present one."""
    as_of = min(as_of, water_clock(now))
    rows = level_rows(as_of, now)
    placed = (row_of(path, item["station"], item, item["kind"], item["status"]) for path, item in rows)
    return Shelf({"as_of": str(iso(as_of))}, placed)


# Walks each post's own index backwards and stops at the first row that counts: one whose instant the row above it does
# not have already. DISTINCT ON, or ordering once more outside, would read and sort the whole day of every post: ten
# times the time.
_LEVELS = """
SELECT s.code, newest.observed_at, newest.value, newest.quality,
       CASE WHEN newest.quality = %(good)s AND newest.observed_at - first.observed_at >= %(least)s
            THEN round(((newest.value - first.value) * 3600
                 / extract(epoch FROM newest.observed_at - first.observed_at))::numeric, 4)::float8 END
FROM hydrology_station s
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT observed_at, value, quality,
               lag(observed_at) OVER (ORDER BY observed_at DESC, revision DESC) AS above
        FROM hydrology_observation
        WHERE station_id = s.code AND element = %(stage)s AND observed_at > %(since)s AND observed_at <= %(until)s
          AND (%(received_by)s::timestamptz IS NULL OR received_at <= %(received_by)s)
        ORDER BY observed_at DESC, revision DESC
    ) known
    WHERE quality < %(wrong)s AND above IS DISTINCT FROM observed_at LIMIT 1
) newest
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT DISTINCT ON (observed_at) observed_at, value, quality
        FROM hydrology_observation
        WHERE station_id = s.code AND element = %(stage)s
          AND observed_at >= newest.observed_at - %(span)s AND observed_at < newest.observed_at
          AND observed_at > %(earliest)s AND observed_at <= %(until)s
          AND (%(received_by)s::timestamptz IS NULL OR received_at <= %(received_by)s)
        ORDER BY observed_at, revision DESC
    ) known
    WHERE quality = %(good)s ORDER BY observed_at LIMIT 1
) first ON true
WHERE s.kind = ANY(%(kinds)s)
"""
