"""Socket tickets: one use, one minute, no database."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from pytest_django import Settings

from foundation.errors import Refusal
from foundation.scope import Scope
from foundation.wire import wire
from officers import auth
from officers.auth import Grant

GRANT = Grant(7, uuid4(), 9, Scope(("4403/440303/",), ("4403/440303/",), ()))


def test_a_ticket_brings_back_the_grant_it_was_issued_for() -> None:
    assert auth.redeem_ticket(auth.issue_ticket(GRANT)) == GRANT


def test_a_ticket_is_good_for_one_use() -> None:
    ticket = auth.issue_ticket(GRANT)
    with ThreadPoolExecutor(4) as pool:
        redeemed = list(pool.map(auth.redeem_ticket, [ticket] * 8))
    assert redeemed.count(GRANT) == 1
    assert redeemed.count(None) == 7


def test_a_ticket_nobody_issued_opens_nothing() -> None:
    for ticket in ("", "x", "é", "*"):
        assert auth.redeem_ticket(ticket) is None


def test_a_ticket_is_kept_for_a_minute_and_not_under_its_own_name() -> None:
    ticket = auth.issue_ticket(GRANT)
    assert 0 < wire().ttl(auth._ticket_key(ticket)) <= auth.TICKET_LIFE_S
    assert ticket not in auth._ticket_key(ticket)


@pytest.mark.django_db(transaction=True)
def test_a_consumer_can_redeem_a_ticket() -> None:
    redeem = async_to_sync(database_sync_to_async(auth.redeem_ticket))
    assert redeem(auth.issue_ticket(GRANT)) == GRANT


def test_without_redis_the_answer_is_try_again(settings: Settings) -> None:
    settings.REDIS_DATA_URL = "unix:///nowhere.sock"
    wire.cache_clear()
    try:
        for call in (lambda: auth.issue_ticket(GRANT), lambda: auth.redeem_ticket("x")):
            with pytest.raises(Refusal) as refusal:
                call()
            assert (refusal.value.code, refusal.value.status) == ("try_again", 503)
    finally:
        wire.cache_clear()
