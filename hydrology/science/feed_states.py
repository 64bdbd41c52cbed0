"""Is a feed well? The one definition of late and silent, for the alarm, the doors, the page and /readyz.

Owns the states, their reasons and their limits, as functions of (what was heard, now). Reads no table
(hydrology/feeds/health.py does), tells nobody (alerts/feedwatch.py does). Limits are a design guess after the issue's
"within two cadences": silent at one and a half, so that the message is out before the second is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

LATE_AFTER: Final = 1.2  # cadences
SILENT_AFTER: Final = 1.5  # cadences
FAILING_PERIODS: Final = 2  # of a source we fetch from


class FeedState(StrEnum):
    """How a feed stands."""

    GOOD = "good"
    """Something of it was accepted within its cadence, and is young."""
    LATE = "late"
    """Its next word is overdue, or one of its sources fails; not yet silent."""
    SILENT = "silent"
    """Nothing new and usable for more than SILENT_AFTER cadences."""
    NEVER = "never"
    """Nothing of it was ever accepted."""
    DISABLED = "disabled"
    """Switched off by a person."""


class Doubt(StrEnum):
    """Why a feed is not good."""

    NONE = ""
    NO_POSTS = "no_posts"
    """Nothing comes."""
    NOTHING_GOOD = "nothing_good"
    """Posts come, nothing in them is accepted."""
    STANDS_STILL = "stands_still"
    """Posts are accepted, but the instants they speak of are old."""
    SOURCE_FAILS = "source_fails"
    """We fetch it, and fetching has failed for more than two periods."""


@dataclass(frozen=True, slots=True)
class Polled:
    """A source we fetch from: how often, when it last went well, how often in a row it has failed since."""

    every_s: int
    good_at: datetime | None
    failures: int

    def fails(self, now: datetime) -> bool:
        """More than two periods without success; before the first success, two failures in a row."""
        if self.failures < FAILING_PERIODS:
            return False
        return self.good_at is None or now - self.good_at > FAILING_PERIODS * timedelta(seconds=self.every_s)


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a feed. received_at: its last post; good_at: the last with something accepted; observed_at:
    the newest instant it reported; first_at: its first post, needed only while good_at is None. A replayed feed's
    instants are another day's and not looked at. `polled`: its enabled sources."""

    cadence_s: int
    max_age_s: int
    enabled: bool = True
    replayed: bool = False
    received_at: datetime | None = None
    good_at: datetime | None = None
    observed_at: datetime | None = None
    first_at: datetime | None = None
    polled: Sequence[Polled] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """A state, its reason, since when (None: no instant is known), and whether somebody must be told."""

    state: FeedState
    doubt: Doubt = Doubt.NONE
    since: datetime | None = None
    alarming: bool = False


def health(heard: Heard, now: datetime) -> Health:
    """How the feed stands at `now`. A feed that never said a word alarms only where a source of it fails or where its
    posts are all refused: a feed may be registered long before its sender is connected."""
    if not heard.enabled:
        return Health(FeedState.DISABLED)
    cadence = timedelta(seconds=heard.cadence_s)
    failing = any(source.fails(now) for source in heard.polled)
    if heard.good_at is None:
        since = heard.first_at
        refused = since is not None and now - since > SILENT_AFTER * cadence
        doubt = Doubt.SOURCE_FAILS if failing else Doubt.NOTHING_GOOD if since else Doubt.NO_POSTS
        return Health(FeedState.NEVER, doubt, since, failing or refused)
    quiet = now - heard.good_at
    if quiet > SILENT_AFTER * cadence:
        comes = heard.received_at is not None and now - heard.received_at <= SILENT_AFTER * cadence
        doubt = Doubt.SOURCE_FAILS if failing else Doubt.NOTHING_GOOD if comes else Doubt.NO_POSTS
        return Health(FeedState.SILENT, doubt, heard.good_at, True)
    oldest = max(timedelta(seconds=heard.max_age_s), SILENT_AFTER * cadence)
    if not heard.replayed and heard.observed_at is not None and now - heard.observed_at > oldest:
        return Health(FeedState.SILENT, Doubt.STANDS_STILL, heard.observed_at, True)
    if failing:
        goods = [source.good_at for source in heard.polled if source.fails(now) and source.good_at]
        return Health(FeedState.LATE, Doubt.SOURCE_FAILS, min(goods, default=None), True)
    if quiet > LATE_AFTER * cadence:
        return Health(FeedState.LATE, Doubt.NO_POSTS, heard.good_at)
    return Health(FeedState.GOOD)


def steady_again(first_good_at: datetime | None, last_good_at: datetime | None, cadence_s: int) -> bool:
    """Whether a feed that was silent may count as back: it has been good twice since, at least half a cadence apart.
    One word, or a burst of what had piled up, does not end an alarm."""
    if first_good_at is None or last_good_at is None:
        return False
    return last_good_at - first_good_at >= timedelta(seconds=cadence_s) / 2
