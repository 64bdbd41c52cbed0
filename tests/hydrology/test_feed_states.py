"""What good, late and silent mean: the one definition, at its edges."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.feed_states import Doubt, FeedState, Heard, Polled, health, steady_again
from tests.hydrology.factories import NOW

QUIET_S = [
    (0, FeedState.GOOD), (360, FeedState.GOOD), (361, FeedState.LATE), (450, FeedState.LATE), (451, FeedState.SILENT),
]  # fmt: skip


def ago(seconds: float) -> object:
    return NOW - timedelta(seconds=seconds)


def heard(quiet_s: float, **fields: object) -> Heard:
    """A 5-minute feed whose last good post came this long ago."""
    marks = {"received_at": ago(quiet_s), "good_at": ago(quiet_s), "observed_at": ago(quiet_s)}
    return Heard(**{"cadence_s": 300, "max_age_s": 1800, **marks, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("quiet_s", "state"), QUIET_S)
def test_a_feed_is_late_after_1_2_cadences_and_silent_after_1_5(quiet_s: int, state: FeedState) -> None:
    assert health(heard(quiet_s), NOW).state == state


def test_a_feed_switched_off_is_neither_late_nor_alarming() -> None:
    found = health(heard(86_400, enabled=False), NOW)
    assert (found.state, found.alarming) == (FeedState.DISABLED, False)


def test_refused_posts_do_not_count_as_speaking() -> None:
    found = health(heard(451, received_at=NOW), NOW)
    assert (found.state, found.doubt, found.since) == (FeedState.SILENT, Doubt.NOTHING_GOOD, ago(451))


def test_old_instants_are_silence_but_not_in_a_replay() -> None:
    stale = {"observed_at": ago(1801)}
    assert health(heard(0, **stale), NOW).doubt == Doubt.STANDS_STILL
    assert health(heard(0, replayed=True, **stale), NOW).state == FeedState.GOOD


def test_a_feed_slower_than_its_max_age_is_not_called_still() -> None:
    assert health(heard(0, cadence_s=3600, observed_at=ago(5000)), NOW).state == FeedState.GOOD


def test_a_feed_that_never_spoke_alarms_only_when_something_of_it_fails() -> None:
    new = Heard(cadence_s=300, max_age_s=1800)
    assert (health(new, NOW).state, health(new, NOW).alarming) == (FeedState.NEVER, False)
    failing = Heard(cadence_s=300, max_age_s=1800, polled=[Polled(300, None, 2)])
    assert health(failing, NOW).alarming
    refused = Heard(cadence_s=300, max_age_s=1800, received_at=NOW, first_at=ago(451))  # type: ignore[arg-type]
    assert (health(refused, NOW).doubt, health(refused, NOW).alarming) == (Doubt.NOTHING_GOOD, True)


@pytest.mark.parametrize(
    ("failures", "good_s", "fails"), [(1, 9999, False), (2, 600, False), (2, 601, True), (0, 9999, False)]
)
def test_a_source_fails_after_more_than_two_periods(failures: int, good_s: int, fails: bool) -> None:
    found = health(heard(0, polled=[Polled(300, ago(good_s), failures)]), NOW)  # type: ignore[arg-type]
    assert found.alarming is fails
    assert found.state == (FeedState.LATE if fails else FeedState.GOOD)


@given(st.integers(10, 86_400), st.floats(0, 1e6), st.floats(0, 1e6))
def test_silence_only_ends_by_speaking(cadence_s: int, quiet_s: float, more_s: float) -> None:
    early, late = (
        health(heard(quiet, cadence_s=cadence_s), NOW) for quiet in sorted((quiet_s, quiet_s + more_s))
    )
    order = [FeedState.GOOD, FeedState.LATE, FeedState.SILENT]
    assert order.index(early.state) <= order.index(late.state)


@pytest.mark.parametrize(("apart_s", "steady"), [(0, False), (149, False), (150, True), (300, True)])
def test_back_means_twice_half_a_cadence_apart(apart_s: int, steady: bool) -> None:
    assert steady_again(NOW, NOW + timedelta(seconds=apart_s), 300) is steady
    assert not steady_again(None, None, 300)
