"""The stand-in for the city's portal as the one of the settings, and a browser that signs in there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from pytest_django import Settings

from foundation import clock
from officers import auth, oidc, portal, roster
from officers.devices import DeviceClaim
from officers.models import Officer
from replay.portal import CityPortal
from replay.portal_server import run_portal
from tests.officers.conftest import ANDROID, PHONE

STAFF_CODE = "SZ-001"
RETURN = "https://duty.example/api/v1/auth/oidc/callback"


@pytest.fixture(scope="session")
def running_portal() -> Iterator[CityPortal]:
    with run_portal("duty", "a secret: with+marks", RETURN) as running:
        yield running


@pytest.fixture
def city_portal(running_portal: CityPortal, settings: Settings) -> CityPortal:
    """Well behaved, with empty counters; nothing is remembered of it."""
    running_portal.misbehave({}, only=True)
    running_portal.forget()
    portal._portal.cache_clear()
    settings.OIDC_ISSUER = running_portal.issuer
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = running_portal.client_id, running_portal.secret
    settings.OIDC_REDIRECT_URI = running_portal.redirect_uri
    settings.OIDC_CLAIM, settings.OIDC_SCOPE, settings.OIDC_CA_FILE = "sub", "openid", None
    return running_portal


@pytest.fixture
def staff(db: None) -> Officer:
    return roster.enrol([roster.officer_row("officer 1", PHONE, staff_code=STAFF_CODE)])[0]


@dataclass(frozen=True, slots=True)
class Back:
    """What a browser brings home."""

    flow: str
    said: dict[str, str]

    def sign_in(self, now: datetime) -> auth.SignedIn:
        return oidc.sign_in(self.flow, self.said["code"], self.said["state"], self.said["iss"], now)


def browse(authorize_url: str, **typed: str) -> dict[str, str]:
    """Types this on the portal's page; what stands in the address it sends the browser to."""
    assert httpx.get(authorize_url).status_code == 200
    answer = httpx.post(authorize_url, data=typed)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].split("?")[0] == RETURN
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def visit(staff_code: str = STAFF_CODE, claim: DeviceClaim = ANDROID, now: datetime | None = None) -> Back:
    """From the app to the portal and back."""
    begun = oidc.begin(claim, now or clock.now())
    return Back(begun.flow, browse(begun.authorize_url, staff_code=staff_code))
