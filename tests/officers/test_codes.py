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
from officers.models import Officer, OneTimeCode, WrongGuess
from tests.officers.conftest import ANDROID, NOW, PHONE, STRANGER, CodeFor

SECOND = timedelta(seconds=1)


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def refused(phone: str, code: str, now: datetime = NOW, source: str = "") -> str:
    with pytest.raises(Refusal) as refusal:
        auth.sign_in(phone, code, ANDROID, now, source)
    return refusal.value.code


def too_soon(phone: str, now: datetime, source: str = "") -> Refusal:
    with pytest.raises(Refusal) as refusal:
        codes.request_code(phone, now, source)
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


def test_the_newest_two_codes_count_and_the_right_one_ends_both(officer: Officer, code_for: CodeFor) -> None:
    first, second, third = asked = [code_for(now=NOW + timedelta(minutes=n)) for n in range(3)]
    at = NOW + timedelta(minutes=2)
    assert first in (second, third) or refused(PHONE, first, at) == "wrong_code"
    assert auth.sign_in(PHONE, second, ANDROID, at).officer == officer
    assert {refused(PHONE, code, at) for code in asked} == {"wrong_code"}


def test_a_stranger_who_asks_elsewhere_takes_nothing_of_the_owner(
    officer: Officer, code_for: CodeFor, capsys: pytest.CaptureFixture[str]
) -> None:
    for minute in range(codes.HOURLY):
        codes.request_code(PHONE, NOW + timedelta(minutes=minute), "elsewhere")
    capsys.readouterr()
    at = NOW + timedelta(minutes=codes.HOURLY)
    too_soon(PHONE, at, "elsewhere")
    own = code_for(now=at)
    for _ in range(2 * codes.TRIES):
        assert refused(PHONE, other_than(own), at, "elsewhere") == "wrong_code"
    assert refused(PHONE, own, at, "elsewhere") == "wrong_code"
    assert auth.sign_in(PHONE, own, ANDROID, at).officer == officer


def test_a_code_opens_elsewhere_too(officer: Officer, code_for: CodeFor) -> None:
    assert auth.sign_in(PHONE, code_for(), ANDROID, NOW, "elsewhere").officer == officer


def test_who_asks_elsewhere_within_a_minute_shares_the_code_until_its_tries_are_gone(
    officer: Officer, code_for: CodeFor, capsys: pytest.CaptureFixture[str]
) -> None:
    code = code_for()
    codes.request_code(PHONE, NOW + 59 * SECOND, "elsewhere")
    assert (OneTimeCode.objects.count(), capsys.readouterr().out) == (1, "")
    for _ in range(codes.TRIES):
        refused(PHONE, other_than(code), NOW, "elsewhere")
    codes.request_code(PHONE, NOW + 59 * SECOND, "elsewhere")
    assert OneTimeCode.objects.count() == 2


def test_one_source_gets_so_many_codes_for_whatever_numbers_and_no_row_more(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "FROM_ONE", 3)
    for n in range(3):
        codes.request_code(f"1390000000{n}", NOW + n * SECOND, "here")
    refusal = too_soon(STRANGER, NOW + 3 * SECOND, "here")
    assert (refusal.retry_after_s, OneTimeCode.objects.count()) == (3597, 3)
    codes.request_code(STRANGER, NOW + 3 * SECOND, "elsewhere")
    codes.request_code("13900000009", NOW + 3600 * SECOND, "here")


@pytest.mark.parametrize("together", [False, True])
def test_wrong_guesses_are_limited_by_source_and_for_all_together(
    officer: Officer, code_for: CodeFor, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(codes, "FEW_WRONG", 2)
    monkeypatch.setattr(codes, "MOST_WRONG", 3)
    monkeypatch.setattr(codes, "MANY_WRONG", 2 if together else 100)
    code = code_for()
    for n in range(2 if together else 3):
        assert refused(PHONE, other_than(code), NOW + n * SECOND, "guesser") == "wrong_code"
    assert refused(PHONE, code, NOW + 10 * SECOND, "guesser") == "too_many_tries"
    assert auth.sign_in(PHONE, code, ANDROID, NOW + 10 * SECOND, "home").officer == officer
    later = NOW + timedelta(hours=1)
    code = code_for(now=later)
    assert auth.sign_in(PHONE, code, ANDROID, later, "guesser").officer == officer
    codes.forget_codes(later + SECOND)
    assert WrongGuess.objects.filter(at__lte=later + SECOND - timedelta(hours=1)).count() == 0


def test_a_source_is_an_address_and_of_ipv6_one_line() -> None:
    one, same, other = map(codes.source_of, ("2001:db8:0:1::5", "2001:db8:0:ff::", "2001:db8:0:100::"))
    assert one == same != other
    assert codes.source_of("::ffff:192.0.2.1") == codes.source_of("192.0.2.1") != codes.source_of("192.0.2.2")


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
