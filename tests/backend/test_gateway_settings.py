"""What is wrong with the settings of gateways and vendors is said at the start, all at once."""

import os
import subprocess
import sys

import pytest

from tests.test_house import ROOT


def said_of(**environment: str) -> str:
    command = [
        sys.executable, "-c", "from django.conf import settings; print(settings.OTP_TRANSPORT)",
    ]  # fmt: skip
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SMS_", "VOICE_", "OTP_", "SMPP_", "HUAWEI_", "APNS_", "JPUSH_", "OIDC_"))
    }
    env = kept | {"DJANGO_SETTINGS_MODULE": "backend.settings", "SECRET_KEY": "x" * 40} | environment
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_half_a_gateway_is_refused_by_name() -> None:
    said = said_of(SMS_ENDPOINT="https://sms.example", VOICE_RATE_PER_S="0", OTP_TRANSPORT="pigeon")
    assert "SMS_ENDPOINT, SMS_KEY and SMS_SECRET belong together" in said
    assert "VOICE_RATE_PER_S must be at least 1" in said
    assert "OTP_TRANSPORT must be none, console or sms" in said


@pytest.mark.parametrize(
    ("endpoint", "right"),
    [("https://sms.example/v1", True), ("http://127.0.0.1:1/sms", True), ("http://sms.example/v1", False), ("sms", False)],
)  # fmt: skip
def test_numbers_go_over_no_network_in_the_clear(endpoint: str, right: bool) -> None:
    said = said_of(SMS_ENDPOINT=endpoint, SMS_KEY="k", SMS_SECRET="s")
    assert ("SMS_ENDPOINT must be" not in said) is right
    assert (said == "sms\n") is right  # with a gateway, one-time codes go by it


def test_half_a_vendor_is_refused_by_name() -> None:
    said = said_of(
        HUAWEI_APP_ID="1",
        APNS_KEY_FILE="k.p8",
        APNS_TOPIC="cn.example",
        JPUSH_ENDPOINT="http://api.jpush.cn",
        JPUSH_CHANNELS="xiaomi",
        HUAWEI_RATE_PER_S="0",
    )
    assert "HUAWEI_APP_ID, HUAWEI_APP_SECRET belong together; missing: HUAWEI_APP_SECRET" in said
    assert "missing: APNS_KEY_ID, APNS_TEAM_ID" in said
    assert "JPUSH_ENDPOINT must be an https:// address" in said
    assert "JPUSH_CHANNELS must be a list such as" in said
    assert "HUAWEI_RATE_PER_S must be at least 1" in said


@pytest.mark.parametrize(
    ("wishes", "wrong"),
    [
        ({}, ""),
        ({"SMPP_HOST": "smsc.example"}, "SMPP has no encryption"),
        ({"SMPP_HOST": "smsc.example", "SMPP_PRIVATE_LINE": "1"}, ""),
        ({"SMPP_PASSWORD": "nine chars"}, "SMPP_PASSWORD at most 8"),
        ({"SMPP_SOURCE": ""}, "missing: SMPP_SOURCE"),
    ],
)
def test_a_centre_is_spoken_to_in_private_or_not_at_all(wishes: dict[str, str], wrong: str) -> None:
    whole = {"SMPP_HOST": "127.0.0.1", "SMPP_SYSTEM_ID": "duty", "SMPP_PASSWORD": "p", "SMPP_SOURCE": "1069"}
    said = said_of(**(whole | wishes))
    assert (wrong in said) if wrong else said == "none\n"
