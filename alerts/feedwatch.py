"""The dead-man alarm: a feed that falls silent is told of within two of its cadences, and again when it is back.

Owns FeedAlarm. Woken by its sweep every 10 s; leaves a Bulletin of kind message for the duty engineer, through the
ordinary ledger, in the alarm's own transaction. What silent means: hydrology/science/feed_states.py. Only live feeds
are watched; a replay ends when its storm does. A feed alone is told of (urgency 2); the one with whose silence the city
is blind is chased (urgency 3, 叫应), until somebody confirms or it is back.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count

from alerts.assessment.feed_words import Silence, recovery_words, silence_words
from alerts.assessment.wording import Words
from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, FeedAlarm, Requires
from hydrology.feeds.health import Standing, back_for_good, standings
from hydrology.models import Feed, GridRun, Latest, Level, RadarFrame, Region, StationKind
from hydrology.science.feed_states import FeedState

log = logging.getLogger(__name__)

VALIDITY = timedelta(hours=6)
CONFIRM_WITHIN = timedelta(minutes=10)
SERVED_WITHIN = timedelta(hours=24)  # grids and pictures of the last day say what a feed brings
DUTIES = ["engineer"]
TOLD, CHASED = 2, 3  # Bulletin.urgency
ABOUT_CHARS = 64
_STATIONS = {
    StationKind.RAIN: "rain",
    StationKind.RESERVOIR: "reservoir",
    StationKind.RIVER: "river",
    StationKind.TIDE: "tide",
}


def watch_feeds(*, now: datetime) -> int:
    """Raise and end what is due; returns how many alarms moved. Any number of sweeps at once raise one alarm."""
    found = standings(now)
    alarmed = set(FeedAlarm.objects.filter(ended_at=None).values_list("feed_id", flat=True))
    live = [standing for standing in found if not standing.feed.replayed]
    blind = not any(standing.health.state in (FeedState.GOOD, FeedState.LATE) for standing in live)
    moved = 0
    for standing in found:
        key = standing.feed.pk
        if key in alarmed:
            moved += _end(key, now)
        elif standing in live and standing.health.alarming and _raise(key, now, blind=blind):
            moved += 1
            blind = False  # of several that fell silent together one is chased
    return moved


def about(feed_key: str) -> str:
    """What an alarm's bulletins speak of."""
    return f"feed/{feed_key}"[:ABOUT_CHARS]


@transaction.atomic
def _raise(key: str, now: datetime, *, blind: bool) -> bool:
    standing = _locked(key, now)
    if standing is None or not standing.health.alarming:
        return False
    if FeedAlarm.objects.filter(feed=key, ended_at=None).exists():
        return False
    since = standing.health.since
    FeedAlarm.objects.create(feed_id=key, silent_since=since or now, raised_at=now)
    words = silence_words(_silence(standing, now, blind=blind), now)
    _tell(key, words, now, urgency=CHASED if blind else TOLD)
    log.warning("feed.silent feed=%s why=%s since=%s blind=%s", key, standing.health.doubt, since, blind)
    return True


@transaction.atomic
def _end(key: str, now: datetime) -> bool:
    """End the alarm of a feed that is steady again, with an all-clear; of one switched off, without a word."""
    standing = _locked(key, now)
    alarm = FeedAlarm.objects.filter(feed=key, ended_at=None).first()
    if standing is None or alarm is None or standing.health.alarming:
        return False
    back = standing.feed.enabled
    if back and not back_for_good(standing.feed, alarm.raised_at):
        return False
    alarm.ended_at = now
    alarm.save(update_fields=["ended_at"])
    if back:
        words = recovery_words(key, standing.feed.name, alarm.silent_since, now)
        _tell(key, words, now, urgency=0)
    log.warning("feed.%s feed=%s", "back" if back else "switched_off", key)
    return True


def _locked(key: str, now: datetime) -> Standing | None:
    """The feed's standing under its row's lock; None while another sweep has it. Posts are not held up."""
    if not Feed.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=key).exists():
        return None
    return standings(now, feed=key)[0]


def _tell(key: str, words: Words, now: datetime, *, urgency: int) -> None:
    chased, clear = urgency >= CHASED, urgency == 0
    issue(
        words,
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=urgency,
        level="clear" if clear else "silent",
        areas=list(Region.objects.filter(level=Level.CITY).order_by("code").values_list("code", flat=True)),
        duties=DUTIES,
        about=about(key),
        requires=Requires.NONE if clear else Requires.CONFIRM if chased else Requires.OPEN,
        deadline_at=now + CONFIRM_WITHIN if chased else None,
        valid_until=now + VALIDITY,
        drill=False,
        caused_at=now,
        supersedes=Bulletin.objects.filter(about=about(key), level="silent").order_by("-id").first()
        if clear
        else None,
    )


def _silence(standing: Standing, now: datetime, *, blind: bool) -> Silence:
    feed, mark = standing.feed, standing.mark
    return Silence(
        key=feed.pk,
        name=feed.name,
        doubt=standing.health.doubt,
        since=standing.health.since,
        good_at=mark and mark.good_at,
        observed_at=mark and mark.observed_at,
        falls_out=_served(feed, (mark and mark.observed_at) or now),
        faults=[(source.key, source.fault) for source in standing.sources if source.enabled and source.fault],
        blind=blind,
    )


def _served(feed: Feed, until: datetime) -> dict[str, int]:
    """What rests on the feed: stations by kind whose newest word is its own, and the products it brought of late."""
    kinds = dict(
        Latest.objects.filter(feed=feed)
        .values_list("station__kind")
        .annotate(stations=Count("station", distinct=True))
        .order_by()
    )
    since = until - SERVED_WITHIN
    grids = (
        GridRun.objects.filter(post__feed=feed, issued_at__gt=since)
        .values_list("product", flat=True)
        .distinct()
    )
    served = {name: kinds[kind] for kind, name in _STATIONS.items() if kind in kinds}
    served |= dict.fromkeys(sorted(grids.order_by(), reverse=True), 0)
    if RadarFrame.objects.filter(post__feed=feed, observed_at__gt=since).exists():
        served["radar"] = 0
    return served
