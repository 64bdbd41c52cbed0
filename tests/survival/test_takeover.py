"""The first PostgreSQL and the first Redis die for good under an order, and the second ones take over."""

from collections.abc import Iterator

import pytest

from tests.survival.stack import CITY, running
from tests.survival.takeover import OFFICERS, Doubled

TAKEN_OVER_S, LEASE_S = 60.0, 30.0


@pytest.fixture(scope="module")
def doubled() -> Iterator[Doubled]:
    with running(Doubled, "--officers", str(OFFICERS)) as stack:
        yield stack


@pytest.mark.timeout(900)
def test_the_second_redis_and_the_standby_take_over_and_everybody_hears_it_once(doubled: Doubled) -> None:
    doubled.phones.behave(latency_ms=1500)
    working = doubled.pids()

    # Redis: its sentinels make the replica the primary
    bulletin = doubled.issue(CITY)
    doubled.wait(lambda: doubled.tally(bulletin).sent > 0, "a first push")
    assert doubled.tally(bulletin).unsent > 0
    doubled.kill_server(doubled.valkey)
    doubled.wait(lambda: doubled.all_settled(bulletin), "the rest of the order", LEASE_S + 120)
    assert doubled.prove_everyone_heard(bulletin, CITY) == set()
    doubled.wait(lambda: doubled.primary_port() == doubled.replica.port, "the takeover", TAKEN_OVER_S)
    assert doubled.pids() == working  # nobody died with it, and nobody was told of a new address

    # an order goes as ever over the new one; then PostgreSQL: what was committed is on the standby
    bulletin = doubled.issue(CITY)
    doubled.wait(lambda: doubled.tally(bulletin).sent > 0, "a first push")
    assert doubled.tally(bulletin).unsent > 0
    doubled.lose_postgres()
    doubled.wait(lambda: doubled.all_settled(bulletin), "the rest of the order", LEASE_S + 120)
    # the sender kept what it had still to write
    assert doubled.prove_everyone_heard(bulletin, CITY) == set()
