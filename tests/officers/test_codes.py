"""One-time codes: alike for every number, hard to guess, never in a log."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from foundation.errors import Refusal
from officers import auth, codes, roster
from officers.models import Officer, OneTimeCode
from tests.officers.conftest import ANDROID, NOW, PHONE, STRANGER, CodeFor

SECOND = timedelta(seconds=1)


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def refused(phone: str, code: str, now: datetime = NOW) -> str:
    with pytest.raises(Refusal) as refusal:
        auth.sign_in(phone, code, ANDROID, now)
    return refusal.value.code


def too_soon(phone: str, now: datetime) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        codes.request_code(phone, now)
    assert (refusal.value.code, refusal.value.status) == ("too_many_codes", 429)
    return refusal.value


def test_an_unknown_number_costs_the_same_work_and_the_same_rows(officer: Officer) -> None:
    asked = []
    for phone in (PHONE, STRANGER):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            codes.request_code(phone, NOW)
        asked.append([query["sql"].split()[0] for query in queries])
    assert asked[0] == asked[1]
    assert OneTimeCode.objects.count() == 2


def test_an_unknown_number_is_limited_and_refused_in_the_same_words(officer: Officer) -> None:
    for phone in (PHONE, STRANGER):
        codes.request_code(phone, NOW)
    known, unknown = (too_soon(phone, NOW + SECOND) for phone in (PHONE, STRANGER))
    assert (known.zh, known.en) == (unknown.zh, unknown.en)
    assert "59" in known.en
    assert refused(PHONE, "000000") == refused(STRANGER, "000000") == "wrong_code"


def test_a_code_may_be_asked_for_once_a_minute(officer: Officer) -> None:
    codes.request_code(PHONE, NOW)
    too_soon(PHONE, NOW + 59 * SECOND)
    codes.request_code(PHONE, NOW + 60 * SECOND)


def test_a_number_gets_ten_codes_an_hour(officer: Officer) -> None:
    for minute in range(codes.HOURLY):
        codes.request_code(PHONE, NOW + timedelta(minutes=minute))
    too_soon(PHONE, NOW + timedelta(minutes=59))
    codes.request_code(PHONE, NOW + timedelta(minutes=60))
    too_soon(PHONE, NOW + timedelta(minutes=60, seconds=59))
    codes.request_code(PHONE, NOW + timedelta(minutes=61))


def test_a_code_is_printed_only_by_the_console_transport(
    officer: Officer, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.OTP_TRANSPORT = "none"
    codes.request_code(PHONE, NOW)
    assert capsys.readouterr().out == ""
    settings.OTP_TRANSPORT = "console"
    codes.request_code(PHONE, NOW + timedelta(minutes=1))
    printed = capsys.readouterr().out
    assert printed.startswith("otp.code phone=138****1234 code=")
    assert PHONE not in printed


def test_nothing_is_printed_for_an_unknown_number(
    officer: Officer, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.OTP_TRANSPORT = "console"
    codes.request_code(STRANGER, NOW)
    assert capsys.readouterr().out == ""


def test_neither_number_nor_code_reaches_the_log(
    officer: Officer, code_for: CodeFor, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        code = code_for()
        refused(PHONE, other_than(code))
        auth.sign_in(PHONE, code, ANDROID, NOW)
        settings.OTP_TRANSPORT = "none"
        codes.request_code(PHONE, NOW + timedelta(minutes=1))
    assert "otp.unsent transport=none" in caplog.text
    assert PHONE not in caplog.text
    assert code not in caplog.text


def test_codes_are_stored_digested(officer: Officer, code_for: CodeFor) -> None:
    code = code_for()
    assert code not in OneTimeCode.objects.get().code_digest


def test_after_five_wrong_tries_the_right_code_is_refused(officer: Officer, code_for: CodeFor) -> None:
    code = code_for()
    for _ in range(codes.TRIES):
        assert refused(PHONE, other_than(code)) == "wrong_code"
    assert refused(PHONE, code) == "wrong_code"


def test_after_four_wrong_tries_the_right_code_still_opens(officer: Officer, code_for: CodeFor) -> None:
    code = code_for()
    for _ in range(codes.TRIES - 1):
        refused(PHONE, other_than(code))
    assert auth.sign_in(PHONE, code, ANDROID, NOW).officer == officer


def test_a_code_opens_once(officer: Officer, code_for: CodeFor) -> None:
    code = code_for()
    auth.sign_in(PHONE, code, ANDROID, NOW)
    assert refused(PHONE, code) == "wrong_code"


def test_a_code_is_dead_after_five_minutes(officer: Officer, code_for: CodeFor) -> None:
    assert refused(PHONE, code_for(), NOW + codes.LIFE) == "wrong_code"


def test_a_new_code_ends_the_one_before(officer: Officer, code_for: CodeFor) -> None:
    first = code_for()
    second = code_for(now=NOW + timedelta(minutes=1))
    assert first == second or refused(PHONE, first, NOW + timedelta(minutes=1)) == "wrong_code"
    assert auth.sign_in(PHONE, second, ANDROID, NOW + timedelta(minutes=1)).officer == officer


def test_a_code_of_one_number_does_not_open_another(officer: Officer, code_for: CodeFor) -> None:
    roster.enrol([roster.officer_row("officer 2", STRANGER)])
    first, second = code_for(PHONE), code_for(STRANGER)
    assert first == second or refused(STRANGER, first) == "wrong_code"
    assert auth.sign_in(STRANGER, second, ANDROID, NOW).officer != officer


def test_an_inactive_officer_gets_no_code_and_no_session(
    officer: Officer, code_for: CodeFor, capsys: pytest.CaptureFixture[str]
) -> None:
    code = code_for()
    Officer.objects.update(is_active=False)
    assert refused(PHONE, code) == "wrong_code"
    codes.request_code(PHONE, NOW + timedelta(minutes=1))
    assert capsys.readouterr().out == ""


def test_codes_are_forgotten_once_they_count_towards_nothing(officer: Officer) -> None:
    codes.request_code(PHONE, NOW)
    assert codes.forget_codes(NOW + timedelta(minutes=60)) == 0
    assert codes.forget_codes(NOW + timedelta(minutes=65)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_at_once_one_code_is_made() -> None:
    def ask(_: int) -> bool:
        try:
            codes.request_code(PHONE, NOW)
            return True
        except Refusal:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(8))) == 1
    assert OneTimeCode.objects.count() == 1
