"""One storm is one message: what belongs together, from streets that touch to the threads of bulletins."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import storms
from alerts.assessment.cells import MEMORY, Cell, Followed, follow
from alerts.models import Bulletin, Hazard, Storm, Warning
from hydrology.models import Feed, Region
from hydrology.zones import touching_streets
from tests.alerts.conftest import SLOT, A, B, C, play
from tests.hydrology.factories import NOW

DRY: dict[str, float] = {}
NOTICE, ALERT = 6.0, 13.0  # mm in one slot, by the built-in table
# a row of streets, each touching the next
ROW = {name: frozenset(other for other in "abcdef" if abs(ord(other) - ord(name)) == 1) for name in "abcdef"}


def walk(*slots: str, start: datetime = NOW) -> list[Followed]:
    """The storms after each of these slots, numbered as they begin; every letter a street in warning."""
    found: list[Followed] = []
    number = 0
    for n, warned in enumerate(slots):
        under_way = [one.cell for one in found if one.warned]
        found = []
        for one in follow(under_way, set(warned), ROW, start + n * SLOT):
            cell = one.cell
            if cell.number is None:
                number += 1
                cell = Cell(cell.began_at, cell.lately, number)
            found.append(Followed(cell, one.warned, one.absorbed))
    return found


def standing(found: list[Followed]) -> dict[int | None, str]:
    return {one.cell.number: "".join(sorted(one.warned)) for one in found}


def test_streets_that_touch_are_one_storm_and_others_another() -> None:
    assert standing(walk("abd")) == {1: "ab", 2: "d"}


def test_a_street_joins_the_storm_that_touches_it() -> None:
    assert standing(walk("a", "ab", "abc")) == {1: "abc"}


def test_a_storm_that_moves_on_keeps_its_name_though_no_street_stayed() -> None:
    assert standing(walk("a", "ab", "b", "bc", "c", "d")) == {1: "d"}


def test_the_ground_of_the_last_hour_still_belongs_to_it_and_older_ground_does_not() -> None:
    slots_of_memory = MEMORY // SLOT
    left_b = ["bd", *["d"] * (slots_of_memory - 1)]
    assert standing(walk("bcd", *left_b, "ad")) == {1: "ad"}
    assert standing(walk("bcd", *left_b, "d", "d", "ad")) == {1: "d", 2: "a"}


def test_two_storms_that_grow_together_become_the_older_one() -> None:
    [grown] = walk("f", "fc", "fcd", "fcde")
    assert (grown.cell.number, grown.absorbed, grown.cell.began_at) == (1, (2,), NOW)
    assert grown.warned == frozenset("cdef")


def test_a_storm_without_a_street_in_warning_is_over_and_the_next_one_is_new() -> None:
    assert standing(walk("ab", "")) == {1: ""}
    assert standing(walk("ab", "", "a")) == {2: "a"}


def test_a_storm_does_not_split() -> None:
    assert standing(walk("abc", "ac")) == {1: "ac"}


@given(st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=1, max_size=12), st.randoms())
def test_every_street_in_warning_is_in_one_storm_whatever_the_order(
    slots: list[frozenset[str]], random: object
) -> None:
    for n in range(1, len(slots) + 1):
        found = walk(*("".join(sorted(warned)) for warned in slots[:n]))
        told = [street for one in found for street in one.warned]
        assert sorted(told) == sorted(slots[n - 1])
        for one in found:
            for street in one.warned:
                assert ROW[street] & slots[n - 1] <= one.warned  # what touches is told together
    under_way = [one.cell for one in found]
    shuffled = list(reversed(under_way))
    at = NOW + len(slots) * SLOT
    assert follow(shuffled, slots[0], ROW, at) == follow(under_way, slots[0], ROW, at)


def test_streets_touch_where_their_zones_have_a_border(regions: dict[str, Region]) -> None:
    touching = touching_streets()
    assert touching == {A: {B, C}, B: {A}, C: {A}}
    Region.objects.filter(pk=C).update(lon=113.80)
    assert touching_streets()[A] == {B}  # too far away to have a border


def test_neighbours_in_two_districts_are_told_in_one_thread(feed: Feed) -> None:
    play(feed, [DRY, {A: NOTICE}, {A: NOTICE, C: NOTICE}])
    storm = Storm.objects.get()
    assert storm.streets == [A, C]
    assert {b.thread for b in Bulletin.objects.all()} == {storm.thread}
    assert all(b.renews for b in Bulletin.objects.all())
    assert Warning.objects.count() == 2


def test_streets_that_do_not_touch_are_two_storms_until_the_street_between_joins_them(feed: Feed) -> None:
    play(feed, [DRY, {B: ALERT}, {B: ALERT, C: ALERT}, {A: ALERT}])
    first, second = Storm.objects.order_by("pk")
    assert (first.ended_at, first.streets) == (None, [A, B, C])
    assert (second.into, second.ended_at) == (first, NOW + 3 * SLOT)
    threads = {tuple(areas): thread for areas, thread in Bulletin.objects.values_list("areas", "thread")}
    assert threads == {(B,): first.thread, (C,): second.thread, (A,): first.thread}
    both = [first.thread, second.thread]
    assert storms.threads_of(first.thread) == storms.threads_of(second.thread) == both
    assert storms.threads_of("order/3") == ["order/3"]


def test_a_storm_ends_with_its_last_street_and_the_end_belongs_to_its_thread(feed: Feed) -> None:
    play(feed, [DRY, {A: NOTICE}, *[DRY] * 24])
    storm = Storm.objects.get()
    assert storm.ended_at == Warning.objects.get().ended_at
    assert [b.thread for b in Bulletin.objects.order_by("pk")] == [storm.thread] * 2
    play(feed, [{A: NOTICE}], storm.ended_at + timedelta(hours=2))
    assert Storm.objects.count() == 2


def test_a_street_that_stayed_in_warning_is_ground_until_it_left(feed: Feed) -> None:
    """Nothing changes for longer than an hour: the last change is not the last time it was in warning."""
    at = play(feed, [DRY, *[{A: NOTICE}] * 16])
    play(feed, [{A: NOTICE, B: NOTICE}], at + SLOT)
    assert Storm.objects.get().streets == [A, B]


@pytest.mark.parametrize("hazard", [Hazard.FLOOD])
def test_another_hazard_is_another_storm(feed: Feed, hazard: Hazard) -> None:
    play(feed, [DRY, {A: NOTICE}])
    assert storms.follow([], hazard=hazard, at=NOW, drill_of=None) == {}
    assert Storm.objects.get().ended_at is None
