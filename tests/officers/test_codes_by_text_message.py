"""One-time codes by text message: to who is on the roster, in one segment, and the door does not wait for it."""

import logging
import re
import time

import pytest
from pytest_django import Settings

from foundation.clock import now
from officers import auth, codes
from officers.models import Officer
from replay.switchboard import Switchboard
from tests.notifications.switchboard import running_switchboard, switchboard
from tests.officers.conftest import ANDROID, PHONE, STRANGER

__all__ = ["running_switchboard", "switchboard"]  # fixtures


def taken(board: Switchboard, wanted: int) -> list[dict[str, object]]:
    until_s = time.monotonic() + 20
    while len(board.taken) < wanted and time.monotonic() < until_s:
        time.sleep(0.02)
    return board.taken


@pytest.fixture
def by_text(switchboard: Switchboard, settings: Settings) -> Switchboard:
    settings.OTP_TRANSPORT = "sms"
    return switchboard


def test_the_code_that_arrives_signs_in(
    officer: Officer, by_text: Switchboard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        codes.request_code(STRANGER, now())
        codes.request_code(PHONE, now())
        (message,) = taken(by_text, 1)
    code = re.findall(r"\d{6}", str(message["text"]))[0]
    assert message["to"] == f"+86{PHONE}"
    assert len(str(message["text"])) <= 60
    assert auth.sign_in(PHONE, code, ANDROID, now()).officer == officer
    assert code not in caplog.text
    assert PHONE[-8:] not in caplog.text


def test_a_gateway_that_is_busy_is_asked_again(
    officer: Officer, by_text: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "AGAIN_S", (0, 0))
    by_text.misbehave({"down": True})
    codes.request_code(PHONE, now())
    until_s = time.monotonic() + 20
    while by_text.answers["503"] < 3 and time.monotonic() < until_s:
        time.sleep(0.02)
    assert by_text.answers == {"503": 3}


def test_an_invented_person_gets_no_code_over_a_real_gateway(
    officer: Officer, by_text: Switchboard, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    Officer.objects.filter(pk=officer.pk).update(synthetic=True)
    settings.LOOPBACK = frozenset()
    codes.request_code(PHONE, now())
    assert "otp.unsent" in caplog.text
