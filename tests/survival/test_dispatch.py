"""An order on its way to the phones, while what carries it dies. Ledger: one line an officer, nobody left out."""

import redis

from tests.survival.stack import CITY, Stack

DISTRICT = "440306"
LEASE_S = 30.0  # a dead sender's lines are anybody's after this long
OUTAGE_S = 30.0


def send_until(stack: Stack, bulletin: int, sent: int) -> None:
    """Wait until so many are sent and see that the order is still under way."""
    stack.wait(lambda: stack.tally(bulletin).sent >= sent, f"{sent} sent")
    assert stack.tally(bulletin).unsent > 0


def test_a_killed_sender_is_replaced_and_repeats_only_what_it_held(stack: Stack) -> None:
    stack.phones.behave(latency_ms=300)
    bulletin = stack.issue(CITY)
    send_until(stack, bulletin, 5_000)
    stack.kill("urgent")
    held = stack.in_flight(bulletin)
    assert stack.tally(bulletin).unsent > len(held)
    stack.wait(lambda: stack.all_settled(bulletin), "the rest of the order", LEASE_S + 120)
    tally = stack.tally(bulletin)
    assert tally.rows == tally.officers >= 45_000
    assert stack.prove_everyone_heard(bulletin, CITY) <= held


def test_a_flushed_then_killed_redis_loses_nobody_and_repeats_nothing(stack: Stack) -> None:
    stack.phones.behave(latency_ms=300)
    bulletin = stack.issue(CITY)
    send_until(stack, bulletin, 3_000)
    working = stack.pids()
    redis.from_url(stack.valkey.url).flushall()
    send_until(stack, bulletin, 15_000)
    stack.kill_server(stack.valkey)
    stack.wait(lambda: stack.all_settled(bulletin), "the rest of the order", 120)
    assert stack.prove_everyone_heard(bulletin, CITY) == set()
    assert stack.pids() == working  # nobody died with it


def test_thirty_seconds_of_503_delay_the_order_and_retries_stay_few(stack: Stack) -> None:
    stack.phones.behave(down=True)
    bulletin = stack.issue(DISTRICT)
    stack.wait(lambda: stack.tally(bulletin).attempts > 0, "a first attempt")
    stack.let_pass(OUTAGE_S)
    assert stack.tally(bulletin).sent == 0
    stack.phones.behave()
    stack.wait(lambda: stack.all_settled(bulletin), "the order", 90)
    # pauses of 2, 4, 8, 15 and 30 s, a quarter shorter at most
    assert stack.tally(bulletin).attempts <= 7
    assert stack.prove_everyone_heard(bulletin, DISTRICT) == set()


def test_a_killed_database_comes_back_and_nobody_is_rung_twice(stack: Stack) -> None:
    stack.phones.behave(latency_ms=1500)
    bulletin = stack.issue(DISTRICT)
    send_until(stack, bulletin, 1)
    stack.kill_server(stack.postgres)
    stack.wait(lambda: stack.all_settled(bulletin), "the rest of the order", LEASE_S + 60)
    assert (
        stack.prove_everyone_heard(bulletin, DISTRICT) == set()
    )  # the sender kept what it had still to write
