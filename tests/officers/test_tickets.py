"""Socket tickets: one use, one minute, no database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
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
from tests.officers.conftest import NOW

GRANT = Grant(7, uuid4(), 9, Scope(("4403/440303/",), ("4403/440303/",), ()))


def test_a_ticket_brings_back_the_grant_it_was_issued_for() -> None:
    assert auth.redeem_ticket(auth.issue_ticket(GRANT, NOW), NOW) == GRANT


def test_a_ticket_is_good_for_one_use() -> None:
    ticket = auth.issue_ticket(GRANT, NOW)
    with ThreadPoolExecutor(4) as pool:
        redeemed = list(pool.map(auth.redeem_ticket, [ticket] * 8, [NOW] * 8))
    assert redeemed.count(GRANT) == 1
    assert redeemed.count(None) == 7


def test_a_ticket_nobody_issued_opens_nothing() -> None:
    for ticket in ("", "x", "é", "*"):
        assert auth.redeem_ticket(ticket, NOW) is None


@pytest.mark.parametrize(("age", "grant"), [(timedelta(seconds=59), GRANT), (auth.TICKET_LIFE, None)])
def test_a_ticket_is_good_for_a_minute(age: timedelta, grant: Grant | None) -> None:
    assert auth.redeem_ticket(auth.issue_ticket(GRANT, NOW), NOW + age) == grant


def test_a_ticket_nobody_redeems_leaves_redis_by_itself_and_is_not_kept_in_the_clear() -> None:
    ticket = auth.issue_ticket(GRANT, NOW)
    assert 0 < wire().ttl(auth._ticket_key(ticket)) <= auth.TICKET_LIFE.total_seconds()
    assert ticket not in auth._ticket_key(ticket)


@pytest.mark.django_db(transaction=True)
def test_a_consumer_can_redeem_a_ticket() -> None:
    redeem = async_to_sync(database_sync_to_async(auth.redeem_ticket))
    assert redeem(auth.issue_ticket(GRANT, NOW), NOW) == GRANT


def test_without_redis_the_answer_is_try_again(settings: Settings) -> None:
    settings.REDIS_DATA_URL = "unix:///nowhere.sock"
    wire.cache_clear()
    try:
        for call in (lambda: auth.issue_ticket(GRANT, NOW), lambda: auth.redeem_ticket("x", NOW)):
            with pytest.raises(Refusal) as refusal:
                call()
            assert (refusal.value.code, refusal.value.status) == ("try_again", 503)
    finally:
        wire.cache_clear()
