"""How every feed stands, from its row, its mark and its sources. The definition: science/feed_states.py. Reads only."""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Max, Min, OuterRef, Prefetch, Q, Subquery, When

from hydrology.models import Feed, FeedMark, FeedPost, Source
from hydrology.science.feed_states import Health, Heard, Polled, health, steady_again

_USER = re.compile(r"//[^/\s]*@")
_KEYS = re.compile(r"([?&;][^=&\s]*(?:key|token|secret|passw|pwd|sign|auth)[^=&\s]*=)[^&;\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Standing:
    """One feed: its row, what it last said (None: nothing), its sources in order of key, and its health."""

    feed: Feed
    mark: FeedMark | None
    sources: tuple[Source, ...]
    health: Health


def standings(now: datetime, *, feed: str | None = None) -> list[Standing]:
    """All live feeds, or the one of this key, by rank and key; a drill's feed is silent by design. Two queries, however
    many there are."""
    first_post = (
        FeedPost.objects.filter(feed=OuterRef("pk")).order_by("received_at").values("received_at")[:1]
    )
    never_good = Q(feedmark__isnull=False, feedmark__good_at=None)
    rows = (
        Feed.objects.filter(drill=False)
        .select_related("feedmark")
        .prefetch_related(Prefetch("sources", Source.objects.order_by("key")))
        .annotate(first_at=Case(When(never_good, then=Subquery(first_post))))
        .order_by("rank", "key")
    )
    return [_standing(row, now) for row in (rows if feed is None else rows.filter(pk=feed))]


def back_for_good(feed: Feed, since: datetime) -> bool:
    """Whether the feed has been good often enough after `since` to be believed again."""
    good = FeedPost.objects.filter(feed=feed, received_at__gt=since, answer__accepted__gt=0)
    spoke = good.aggregate(first=Min("received_at"), last=Max("received_at"))
    return steady_again(spoke["first"], spoke["last"], feed.cadence_s)


def _standing(feed: Feed, now: datetime) -> Standing:
    mark: FeedMark | None = getattr(feed, "feedmark", None)
    sources = tuple(feed.sources.all())
    heard = Heard(
        cadence_s=feed.cadence_s,
        max_age_s=feed.max_age_s,
        enabled=feed.enabled,
        replayed=feed.replayed,
        received_at=mark and mark.received_at,
        good_at=mark and mark.good_at,
        observed_at=mark and mark.observed_at,
        first_at=feed.first_at,
        polled=tuple(Polled(s.every_s, s.good_at, s.failures) for s in sources if s.enabled),
    )
    return Standing(feed, mark, sources, health(heard, now))


def without_secrets(text: str) -> str:
    """An address, or a fault that names one, without user, password and keys; none should stand there anyway."""
    return _KEYS.sub(r"\1…", _USER.sub("//", text))
