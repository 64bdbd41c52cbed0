"""The water's clock: now, or, where a storm is being replayed, the instant of its newest frame.

Ages, seasons and "is this still news" are told by it, so a storm of another day plays as it did. A table holds
either live feeds or replayed ones; with both, the replay's clock would age the live readings wrongly.
"""

from datetime import datetime

from django.db.models import Max

from hydrology.models import FeedMark


def water_clock(now: datetime) -> datetime:
    """The newest instant the enabled replayed feeds have reported, `now` when there is none."""
    newest = FeedMark.objects.filter(feed__replayed=True, feed__enabled=True).aggregate(at=Max("observed_at"))
    return min(now, newest["at"]) if newest["at"] else now
