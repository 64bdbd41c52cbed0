"""Sessions: what an access token grants, how refresh tokens rotate, where push tokens live."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from foundation import clock
from foundation.errors import Refusal
from officers import auth, devices, roster
from officers.devices import DeviceClaim
from officers.models import AuditEntry, Device, Officer, Platform, Post, Session
from tests.officers.conftest import ANDROID, NOW, PHONE, STRANGER, SignIn

MINUTE = timedelta(minutes=1)


def refusal_of_access(access: str, now: datetime = NOW) -> tuple[str, int]:
    with pytest.raises(Refusal) as refusal:
        auth.grant_of(access, now)
    return refusal.value.code, refusal.value.status


def refusal_of_refresh(token: str, now: datetime = NOW) -> tuple[str, int]:
    with pytest.raises(Refusal) as refusal:
        auth.refresh(token, now)
    return refusal.value.code, refusal.value.status


def test_an_access_token_grants_officer_device_and_scope(signed_in: SignIn, street_post: Post) -> None:
    grant = auth.grant_of(signed_in().tokens.access, NOW)
    session = Session.objects.get()
    assert (grant.officer_id, grant.session_id, grant.device_id) == (
        street_post.officer_id,
        session.pk,
        session.device_id,
    )
    assert grant.scope.paths == (street_post.region.path,)


def test_every_request_costs_one_query_however_many_posts(
    signed_in: SignIn, street_post: Post, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    access = signed_in().tokens.access
    city = street_post.region.parent.parent
    roster.appoint([Post(officer=street_post.officer, duty="desk", region=city, valid_from=NOW)])
    with django_assert_num_queries(1):
        grant = auth.grant_of(access, NOW)
    assert grant.scope.desk_paths == (city.path,)


def test_a_post_that_ends_takes_the_scope_but_not_the_session(signed_in: SignIn, street_post: Post) -> None:
    access = signed_in().tokens.access
    Post.objects.update(valid_to=NOW + MINUTE)
    assert auth.grant_of(access, NOW).scope.paths
    assert auth.grant_of(access, NOW + MINUTE).scope.paths == ()


def test_an_access_token_lasts_fifteen_minutes(signed_in: SignIn) -> None:
    access = signed_in().tokens.access
    auth.grant_of(access, NOW + timedelta(minutes=14, seconds=59))
    assert refusal_of_access(access, NOW + timedelta(minutes=15)) == ("access_expired", 401)


def test_a_forged_access_token_is_refused(signed_in: SignIn) -> None:
    tokens = signed_in().tokens
    other = roster.enrol([roster.officer_row("officer 2", STRANGER)])[0]
    named = f".{Officer.objects.get(phone_digest=roster.digest('+86' + PHONE)).pk}."
    for forged in ("", "x", "a.b.c~d", tokens.refresh, tokens.access.replace(named, f".{other.pk}9."), "é~é"):
        assert refusal_of_access(forged) == ("signed_out", 401)


def test_an_officer_who_leaves_is_signed_out_at_once(signed_in: SignIn) -> None:
    access = signed_in().tokens.access
    Officer.objects.update(is_active=False)
    assert refusal_of_access(access) == ("signed_out", 401)


def test_a_refresh_brings_the_next_pair(signed_in: SignIn) -> None:
    first = signed_in().tokens
    second = auth.refresh(first.refresh, NOW + MINUTE)
    third = auth.refresh(second.refresh, NOW + 2 * MINUTE)
    assert len({first.refresh, second.refresh, third.refresh}) == 3
    assert auth.grant_of(third.access, NOW + timedelta(minutes=16)).session_id == Session.objects.get().pk


def test_reuse_of_an_old_refresh_token_ends_the_whole_family(signed_in: SignIn) -> None:
    first = signed_in().tokens
    second = auth.refresh(first.refresh, NOW)
    assert refusal_of_refresh(first.refresh, NOW + 2 * MINUTE) == ("signed_out", 401)
    assert refusal_of_refresh(second.refresh) == ("signed_out", 401)
    assert refusal_of_access(second.access) == ("signed_out", 401)
    assert Session.objects.get().revoked_reason == "refresh reused"


def test_whose_answer_was_lost_asks_again_and_stays_signed_in(signed_in: SignIn) -> None:
    first = signed_in().tokens
    lost = auth.refresh(first.refresh, NOW)  # the server dies before the phone has it
    again = auth.refresh(first.refresh, NOW + MINUTE / 2)
    assert again.refresh == lost.refresh
    auth.grant_of(again.access, NOW + MINUTE / 2)
    auth.refresh(again.refresh, NOW + MINUTE)


def test_the_former_token_ends_the_family_once_the_new_one_was_used(signed_in: SignIn) -> None:
    first = signed_in().tokens
    second = auth.refresh(first.refresh, NOW)
    auth.refresh(second.refresh, NOW)
    assert refusal_of_refresh(first.refresh) == ("signed_out", 401)
    assert Session.objects.get().revoked_reason == "refresh reused"


def test_a_refresh_token_nobody_issued_ends_nothing(signed_in: SignIn) -> None:
    tokens = signed_in().tokens
    forged = f"{Session.objects.get().pk.hex}.{'x' * 43}~{tokens.refresh.split('~')[1]}"
    for token in (forged, f"{uuid4().hex}.x", tokens.access, "x"):
        assert refusal_of_refresh(token) == ("signed_out", 401)
    auth.refresh(tokens.refresh, NOW)


def test_a_session_ends_thirty_days_after_its_last_refresh(signed_in: SignIn) -> None:
    first = signed_in().tokens
    later = NOW + auth.SESSION_LIFE - MINUTE
    second = auth.refresh(first.refresh, later)
    assert refusal_of_refresh(second.refresh, later + auth.SESSION_LIFE) == ("signed_out", 401)


def test_refresh_tokens_are_stored_digested(signed_in: SignIn) -> None:
    token = signed_in().tokens.refresh
    assert Session.objects.get().refresh_digest not in token


def test_signing_out_ends_the_session_and_silences_the_device(signed_in: SignIn) -> None:
    tokens = signed_in().tokens
    auth.sign_out(auth.grant_of(tokens.access, NOW), NOW)
    assert refusal_of_access(tokens.access) == ("signed_out", 401)
    assert refusal_of_refresh(tokens.refresh) == ("signed_out", 401)
    assert Device.objects.get().retired_reason == "signed out"


def test_a_lost_phone_is_removed_from_another_device(signed_in: SignIn) -> None:
    lost = signed_in().tokens
    browser = signed_in(now=NOW + MINUTE, claim=DeviceClaim(Platform.WEB)).tokens
    phone, own = (auth.grant_of(each.access, NOW + MINUTE) for each in (lost, browser))
    auth.refresh(lost.refresh, NOW + 3 * MINUTE)
    assert [
        (one.device.pk, one.last_used_at, one.current) for one in auth.signed_in_on(own, NOW + 3 * MINUTE)
    ] == [
        (phone.device_id, NOW + 3 * MINUTE, False),
        (own.device_id, NOW + MINUTE, True),
    ]
    auth.remove_device(own, phone.device_id, NOW + 4 * MINUTE)
    assert refusal_of_access(lost.access) == ("signed_out", 401)
    assert refusal_of_refresh(lost.refresh) == ("signed_out", 401)
    assert not Device.objects.live()
    assert [one.device.pk for one in auth.signed_in_on(own, NOW + 4 * MINUTE)] == [own.device_id]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor_id, entry.act, entry.object) == (
        own.officer_id,
        "device.remove",
        f"device:{phone.device_id}",
    )


@pytest.mark.parametrize("who", ["S-17", PHONE])
def test_who_lost_his_phone_is_signed_out_everywhere_and_comes_back_as_new(
    signed_in: SignIn, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    now = clock.now()
    other = roster.enrol([roster.officer_row("officer 2", STRANGER)])[0]
    untouched = signed_in(STRANGER, now, DeviceClaim(Platform.ANDROID, "", "fcm", "token-2")).tokens
    lost = [signed_in(now=now).tokens]
    lost.append(signed_in(now=now + MINUTE, claim=DeviceClaim(Platform.WEB)).tokens)
    officer = Officer.objects.get(phone_digest=roster.digest("+86" + PHONE))
    Officer.objects.filter(pk=officer.pk).update(staff_code="S-17")
    capsys.readouterr()
    call_command("sign_out", who)
    assert "signed out 2, 不再呼叫 rung no more 2" in capsys.readouterr().out
    for tokens in lost:
        assert refusal_of_access(tokens.access, now) == ("signed_out", 401)
        assert refusal_of_refresh(tokens.refresh, now) == ("signed_out", 401)
    assert auth.grant_of(untouched.access, now).officer_id == other.pk
    assert [device.officer_id for device in Device.objects.live()] == [other.pk]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.object) == (None, f"officer:{officer.pk}")
    assert entry.detail == {"sessions": 2, "devices": 2}
    auth.grant_of(signed_in(now=now + 2 * MINUTE).tokens.access, now)
    assert Device.objects.live().filter(officer=officer).count() == 1


def test_who_is_off_the_roster_does_not_come_back_on_his_lost_phone(signed_in: SignIn) -> None:
    lost = signed_in()
    his = [lost.officer.pk]
    Officer.objects.update(is_active=False)
    devices.retire_of(his, NOW)
    assert auth.sign_out_everywhere(lost.officer.pk, NOW) == (1, 1)
    Officer.objects.update(is_active=True)
    devices.revive_of(his)
    assert refusal_of_refresh(lost.tokens.refresh) == ("signed_out", 401)
    assert not Device.objects.live()


def test_nobody_is_signed_out_under_a_number_that_is_not_on_the_roster(officer: Officer) -> None:
    for who in (STRANGER, "S-17", ""):
        with pytest.raises(CommandError, match="没有该工号"):
            call_command("sign_out", who)


def test_signing_in_again_on_the_same_phone_ends_the_session_before(signed_in: SignIn) -> None:
    before = signed_in().tokens
    after = signed_in(now=NOW + MINUTE).tokens
    assert Device.objects.count() == 1
    assert refusal_of_access(before.access, NOW + MINUTE) == ("signed_out", 401)
    auth.grant_of(after.access, NOW + MINUTE)


def test_two_devices_of_one_officer_live_side_by_side(signed_in: SignIn) -> None:
    phone = signed_in().tokens
    browser = signed_in(now=NOW + MINUTE, claim=DeviceClaim(Platform.WEB)).tokens
    granted = {auth.grant_of(each.access, NOW + MINUTE).device_id for each in (phone, browser)}
    assert len(granted) == 2


def test_a_push_token_moves_with_the_phone_to_its_next_officer(signed_in: SignIn) -> None:
    first = signed_in().officer
    roster.enrol([roster.officer_row("officer 2", STRANGER)])
    second = signed_in(STRANGER).officer
    assert Device.objects.get(officer=first).retired_reason == devices.MOVED
    assert Device.objects.live().get(provider="fcm", token="token-1").officer == second


def test_a_new_push_token_is_taken_from_the_device_that_had_it(signed_in: SignIn) -> None:
    signed_in()
    browser = auth.grant_of(signed_in(now=NOW + MINUTE, claim=DeviceClaim(Platform.WEB)).tokens.access, NOW)
    devices.give_token(browser.device_id, browser.officer_id, "fcm", "token-1", NOW + MINUTE)
    assert Device.objects.live().get(provider="fcm", token="token-1").pk == browser.device_id
    assert Device.objects.filter(retired_reason=devices.MOVED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_token_brought_by_many_devices_at_once_ends_on_one() -> None:
    officers = roster.enrol([roster.officer_row(f"officer {i}", f"1370000000{i}") for i in range(8)])

    def bring(officer: Officer) -> None:
        try:
            with transaction.atomic():
                devices.register(officer.pk, ANDROID, NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bring, officers))
    assert Device.objects.live().filter(provider="fcm", token="token-1").count() == 1
    assert Device.objects.filter(retired_reason=devices.MOVED).count() == 7


def test_a_phone_that_signs_in_again_writes_only_what_it_says_of_itself(signed_in: SignIn) -> None:
    """The rest may have changed since the row was read."""
    signed_in()
    device = Device.objects.live().get(provider="fcm", token="token-1")
    with CaptureQueriesContext(connection) as asked:
        devices.register(device.officer_id, ANDROID, NOW + MINUTE)
    saved = next(query["sql"] for query in asked if query["sql"].startswith('UPDATE "officers_device"'))
    assert re.findall(r'"(\w+)" = ', saved.partition(" WHERE ")[0]) == ["platform", "name", "registered_at"]


def test_a_retired_device_lives_again_with_its_next_token(signed_in: SignIn) -> None:
    grant = auth.grant_of(signed_in().tokens.access, NOW)
    assert devices.retire_tokens("fcm", ["token-1"], "unregistered", NOW) == 1
    devices.give_token(grant.device_id, grant.officer_id, "fcm", "token-2", NOW)
    assert Device.objects.live().get(provider="fcm", token="token-2").retired_reason == ""


def test_a_dead_token_does_not_silence_a_phone_that_has_a_fresh_one(signed_in: SignIn) -> None:
    grant = auth.grant_of(signed_in().tokens.access, NOW)
    devices.give_token(grant.device_id, grant.officer_id, "fcm", "token-2", NOW)
    assert devices.retire_tokens("fcm", ["token-1", ""], "unregistered", NOW) == 0
    assert Device.objects.get().retired_at is None


def test_devices_without_a_push_token_do_not_displace_each_other(signed_in: SignIn) -> None:
    signed_in(claim=DeviceClaim(Platform.WEB))
    signed_in(now=NOW + MINUTE, claim=DeviceClaim(Platform.WEB))
    assert Device.objects.filter(retired_at=None).count() == 2
    assert devices.retire_tokens("", [""], "unregistered", NOW) == 0


def test_callers_are_told_apart_by_officer_only_while_the_token_is_good(signed_in: SignIn) -> None:
    now = clock.now()
    old = f"Bearer {signed_in(now=now - auth.ACCESS_LIFE).tokens.access}"
    fresh = f"Bearer {signed_in(now=now).tokens.access}"
    assert auth.subject_of(fresh) == f"officer:{Officer.objects.get().pk}"
    for other in ("", "Bearer x", "Basic eDp5", fresh + "x", old):
        assert auth.subject_of(other) is None


def test_ended_sessions_are_forgotten_and_live_ones_kept(signed_in: SignIn) -> None:
    signed_in()
    auth.forget_expired(NOW + auth.SESSION_LIFE - MINUTE)
    assert Session.objects.count() == 1
    auth.forget_expired(NOW + auth.SESSION_LIFE)
    assert Session.objects.count() == 0
    assert Device.objects.filter(retired_at=None).count() == 1, "its phone is still rung"
    assert ANDROID.token == Device.objects.get().token
