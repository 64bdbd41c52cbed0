"""Which feed is believed where several bring the same station and element.

A reading of a worse-ranked feed is set aside while a better one speaks, that is while it has said something in the two
of its own cadences up to the reading's instant; where the better one is silent the worse counts. What the better one
says later of the same instants is the next revision. Reads what stands (two queries at most); writes nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from hydrology.course import Course
from hydrology.models import Feed, FeedPost, Latest
from hydrology.science.quality import Quality
from hydrology.science.readings import Element

Key = tuple[str, Element]
HOLDS_CADENCES = 2


class Standing(NamedTuple):
    """The newest trusted reading of a station's element, and whose it is (rank 0: nobody's)."""

    observed_at: datetime
    value: float
    unchanged_since: datetime
    rank: int
    holds: timedelta


def standings(codes: Iterable[str]) -> dict[Key, Standing]:
    """What stands for these stations; one query."""
    rows = Latest.objects.filter(station__in=codes).values_list(
        "station_id", "element", "observed_at", "value", "unchanged_since", "feed__rank", "feed__cadence_s"
    )
    return {
        (code, Element(element)): Standing(at, value, since or at, rank or 0, _holds(cadence_s or 0))
        for code, element, at, value, since, rank, cadence_s in rows
    }


class Precedence:
    """Whether a better feed than `feed` speaks; one query, none for a feed that nobody outranks."""

    def __init__(self, feed: Feed, standing: Mapping[Key, Standing], courses: Mapping[Key, Course]) -> None:
        self._rank = feed.rank
        self._standing = standing
        self._courses = courses
        self._holds: dict[int, timedelta] = {}
        if feed.rank > 1:
            posts = {row.post_id for course in courses.values() for row in course.rows.values()}
            better = FeedPost.objects.filter(pk__in=posts, feed__rank__lt=feed.rank)
            self._holds = {pk: _holds(s) for pk, s in better.values_list("pk", "feed__cadence_s")}

    def better_spoke(self, key: Key, at: datetime) -> bool:
        """Whether a better feed said something usable at `at` or shortly before it."""
        newest = self._standing.get(key)
        if (
            newest
            and 0 < newest.rank < self._rank
            and timedelta(0) <= at - newest.observed_at <= newest.holds
        ):
            return True
        if not self._holds or key not in self._courses:
            return False
        course, longest = self._courses[key], max(self._holds.values())
        for time in reversed(course.times[: bisect_right(course.times, at)]):
            if at - time > longest:
                return False
            row = course.rows[time]
            if row.quality < Quality.WRONG and at - time <= self._holds.get(row.post_id, timedelta(-1)):
                return True
        return False


def _holds(cadence_s: int) -> timedelta:
    return timedelta(seconds=HOLDS_CADENCES * cadence_s)
