"""Does it rain anywhere? Told by the newest word of the gauges and by the grids; decides how often we ask.

Reads only. Any rain counts: asking too often costs a request, asking too rarely the first minutes of a storm.
"""

from datetime import datetime, timedelta
from functools import lru_cache

from hydrology.feeds.clock import water_clock
from hydrology.fields import field_of
from hydrology.models import GridRun, Latest
from hydrology.science.readings import AHEAD_ALLOWED, Element

RECENT = timedelta(minutes=30)
WET_MM = 0.1  # in one step of one cell; below it a field is noise


def wet(now: datetime) -> bool:
    """A gauge's newest reading has rain, or the nowcast in force or the newest field does; none older than 30 min."""
    at = water_clock(now)
    gauges = Latest.objects.filter(
        element=Element.RAIN, value__gt=0, observed_at__gt=at - RECENT, observed_at__lte=at + AHEAD_ALLOWED
    )
    if gauges.exists():
        return True
    runs = [GridRun.objects.newest_nowcast(at), *GridRun.objects.observed_between(at - RECENT, at)]
    return any(_rains(run.pk) for run in runs[:1] + runs[1:][-1:] if run)


@lru_cache(maxsize=16)
def _rains(run_id: int) -> bool:
    """Runs never change: each is unpacked once a process, not every five seconds."""
    field = field_of(GridRun.objects.get(pk=run_id))
    return bool((field >= WET_MM).any())  # NaN compares false
