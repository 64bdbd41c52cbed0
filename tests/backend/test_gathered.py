"""Who asks while others are served is served together with all who wait, by what is read after he asked."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from foundation.gathered import Gathered


def test_who_waits_is_served_by_one_piece_of_work_that_began_after_he_asked() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[set[int]]()

    def work(wanted: set[int]) -> dict[int, int]:
        done.append(set(wanted))
        if len(done) == 1:
            begun.set()
            assert go_on.wait(20)
        return {one: len(done) for one in wanted}

    gathered = Gathered(work)
    with ThreadPoolExecutor(5) as people:
        first = people.submit(gathered, {1})
        assert begun.wait(20)
        others = [people.submit(gathered, {one}) for one in (1, 2, 2, 3)]
        while gathered._next.wanted != {1, 2, 3}:
            threading.Event().wait(0.001)
        go_on.set()
        assert first.result(20) == {1: 1}
        assert [one.result(20) for one in others] == [{1: 2, 2: 2, 3: 2}] * 4
    assert done == [{1}, {1, 2, 3}]


def test_a_fault_is_told_to_whose_work_it_was_and_the_next_try_again() -> None:
    faults = [RuntimeError("away")]

    def work(wanted: set[str]) -> set[str]:
        if faults:
            raise faults.pop()
        return set(wanted)

    gathered = Gathered(work)
    with pytest.raises(RuntimeError, match="away"):
        gathered({"a"})
    assert gathered({"b"}) == {"b"}
