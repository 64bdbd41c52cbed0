"""A job that runs once at a time in a process."""

from threading import Event, Thread

import pytest

from backend.tasks import Alone

PATIENCE_S = 10.0


def test_who_calls_meanwhile_does_not_wait_and_the_job_runs_once_more() -> None:
    begun, go = Event(), Event()
    runs = []

    def job() -> None:
        runs.append(1)
        begun.set()
        assert go.wait(PATIENCE_S)

    alone = Alone(job)
    first = Thread(target=alone)
    first.start()
    assert begun.wait(PATIENCE_S)
    for _ in range(3):
        alone()  # at once
    assert len(runs) == 1
    go.set()
    first.join(PATIENCE_S)
    assert len(runs) == 2


def test_a_job_that_fails_says_so_and_the_next_call_runs() -> None:
    faults = [ValueError("x")]
    runs = []

    def job() -> None:
        if faults:
            raise faults.pop()
        runs.append(1)

    alone = Alone(job)
    with pytest.raises(ValueError, match="x"):
        alone()
    alone()
    assert runs == [1]
