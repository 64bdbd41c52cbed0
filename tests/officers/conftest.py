"""A small roster: one city, two districts, one street; officers are numbered, never named."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from hydrology.models import Level, Region
from officers import auth, codes, roster
from officers.devices import DeviceClaim
from officers.models import Duty, Officer, Platform, Post

NOW = datetime(2026, 9, 7, 12, tzinfo=UTC)
PHONE = "13800001234"
STRANGER = "13900005678"
ANDROID = DeviceClaim(Platform.ANDROID, "phone 1", "fcm", "token-1")

CodeFor = Callable[..., str]
SignIn = Callable[..., auth.SignedIn]


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    rows = [
        ("4403", Level.CITY, None),
        ("440303", Level.DISTRICT, "4403"),
        ("440304", Level.DISTRICT, "4403"),
        ("440303001", Level.STREET, "440303"),
    ]
    made: dict[str, Region] = {}
    for code, level, parent in rows:
        above = made[parent].path if parent else ""
        made[code] = Region.objects.create(
            code=code,
            name=f"region {code}",
            level=level,
            parent_id=parent,
            path=f"{above}{code}/",
            lon=114.0,
            lat=22.5,
        )
    return made


@pytest.fixture
def officer(db: None) -> Officer:
    return roster.enrol([roster.officer_row("officer 1", PHONE)])[0]


@pytest.fixture
def street_post(officer: Officer, regions: dict[str, Region]) -> Post:
    post = Post(officer=officer, duty=Duty.FLOOD, region=regions["440303001"], valid_from=NOW)
    return roster.appoint([post])[0]


@pytest.fixture
def code_for(settings: Settings, capsys: pytest.CaptureFixture[str]) -> CodeFor:
    """Asks for a code and reads it off the console transport."""
    settings.OTP_TRANSPORT = "console"

    def ask(phone: str = PHONE, now: datetime = NOW) -> str:
        codes.request_code(phone, now)
        printed = re.search(r"code=(\d{6})", capsys.readouterr().out)
        assert printed, "no code was printed"
        return printed[1]

    return ask


@pytest.fixture
def signed_in(officer: Officer, code_for: CodeFor) -> SignIn:
    """Signs the officer in; each call needs its own minute, or its own phone."""

    def open_session(phone: str = PHONE, now: datetime = NOW, claim: DeviceClaim = ANDROID) -> auth.SignedIn:
        return auth.sign_in(phone, code_for(phone, now), claim, now)

    return open_session


@pytest.fixture
def client() -> APIClient:
    return APIClient()
