"""Socket tickets: one use, one minute, many in one round trip and one query, and only for a session that stands."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from pytest_django import Settings

from foundation.errors import Refusal
from foundation.scope import Scope
from foundation.wire import wire
from officers import auth, tickets
from officers.auth import Grant
from officers.models import Device, Officer, Platform, Session
from officers.tickets import Admission, issue_ticket, issue_tickets, redeem_tickets
from tests.officers.conftest import NOW

SCOPE = Scope(("4403/440303/",), ("4403/440303/",), ())
pytestmark = pytest.mark.django_db(transaction=True)


def signed_in() -> Grant:
    officer = Officer.objects.create(phone_digest=uuid4().hex, sealed_phone=b"", name="x")
    device = Device.objects.create(officer=officer, platform=Platform.ANDROID, registered_at=NOW)
    session = Session.objects.create(
        id=uuid4(), officer=officer, device=device, refresh_digest="", expires_at=NOW + timedelta(days=1)
    )
    return Grant(officer.pk, session.pk, device.pk, SCOPE)


def redeem_ticket(ticket: str, now: Any = NOW) -> Grant | None:
    [admission] = redeem_tickets([ticket], now)
    return admission.grant if admission else None


def in_a_thread(ticket: str) -> Grant | None:
    try:
        return redeem_ticket(ticket)
    finally:
        connection.close()


def test_a_ticket_brings_back_the_grant_it_was_issued_for_and_when() -> None:
    grant = signed_in()
    assert redeem_tickets([issue_ticket(grant, NOW)], NOW) == [Admission(grant, NOW)]


def test_many_cost_one_query_and_each_brings_its_own(django_assert_num_queries: Any) -> None:
    grants = [signed_in() for _ in range(5)]
    issued = issue_tickets(grants, NOW)
    with django_assert_num_queries(1):
        found = redeem_tickets([issued[3], "unknown", *issued[:2], issued[3]], NOW)
    assert [one and one.grant for one in found] == [grants[3], None, grants[0], grants[1], None]


def test_a_ticket_is_good_for_one_use() -> None:
    grant = signed_in()
    ticket = issue_ticket(grant, NOW)
    with ThreadPoolExecutor(4) as pool:
        redeemed = list(pool.map(in_a_thread, [ticket] * 8))
    assert redeemed.count(grant) == 1
    assert redeemed.count(None) == 7


def test_a_ticket_nobody_issued_opens_nothing() -> None:
    assert redeem_tickets(["", "x", "é", "*"], NOW) == [None] * 4


@pytest.mark.parametrize(("age", "good"), [(timedelta(seconds=59), True), (tickets.TICKET_LIFE, False)])
def test_a_ticket_is_good_for_a_minute(age: timedelta, good: bool) -> None:
    assert bool(redeem_ticket(issue_ticket(signed_in(), NOW), NOW + age)) is good


def test_a_session_that_ended_meanwhile_opens_nothing() -> None:
    grant = signed_in()
    ticket = issue_ticket(grant, NOW)
    auth.sign_out(grant, NOW)
    assert redeem_ticket(ticket) is None


def test_a_ticket_nobody_redeems_leaves_redis_by_itself_and_is_not_kept_in_the_clear() -> None:
    ticket = issue_ticket(signed_in(), NOW)
    assert 0 < wire().ttl(tickets._key(ticket)) <= tickets.TICKET_LIFE.total_seconds()
    assert ticket not in tickets._key(ticket)


def test_without_redis_the_answer_is_try_again(settings: Settings) -> None:
    grant = signed_in()
    settings.REDIS_DATA_URL = "unix:///nowhere.sock"
    wire.cache_clear()
    try:
        for call in (lambda: issue_ticket(grant, NOW), lambda: redeem_ticket("x")):
            with pytest.raises(Refusal) as refusal:
                call()
            assert (refusal.value.code, refusal.value.status) == ("try_again", 503)
    finally:
        wire.cache_clear()
