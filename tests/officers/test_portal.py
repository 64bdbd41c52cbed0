"""What the portal says, believed or not: ID tokens, keys that change, documents, being away."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from foundation import clock
from foundation.errors import Refusal
from officers import oidc, portal
from officers.models import Officer
from replay.portal import CityPortal
from tests.officers.conftest import ANDROID
from tests.officers.portal import STAFF_CODE, Back, city_portal, running_portal, staff, visit

__all__ = ["city_portal", "running_portal", "staff"]  # fixtures
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def refused(back: Back, now: datetime | None = None) -> str:
    with pytest.raises(Refusal) as refusal:
        back.sign_in(now or clock.now())
    return refusal.value.code


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("nonce", "nonce"),
        ("aud", "InvalidAudienceError"),
        ("iss", "InvalidIssuerError"),
        ("azp", "azp"),
        ("expired", "expired"),
        ("early", "not_yet"),
        ("none", "algorithm"),
        ("hs256", "algorithm"),
        ("forged", "InvalidSignatureError"),
        ("nameless", "claim"),
    ],
)
def test_an_id_token_with_anything_wrong_lets_nobody_in(
    city_portal: CityPortal, staff: Officer, caplog: pytest.LogCaptureFixture, wrong: str, why: str
) -> None:
    back = visit()
    city_portal.misbehave({"wrong": wrong})
    assert refused(back) == "portal_refused"
    assert f"oidc.refused why={why}" in caplog.text
    city_portal.misbehave({}, only=True)
    visit().sign_in(clock.now())


def test_an_id_token_ages_by_our_clock_with_a_minute_between_the_two(
    city_portal: CityPortal, staff: Officer, caplog: pytest.LogCaptureFixture
) -> None:
    visit().sign_in(clock.now() + 5 * MINUTE + 55 * SECOND)
    assert refused(visit(), clock.now() + 6 * MINUTE + SECOND) == "portal_refused"
    assert "why=expired" in caplog.text


def test_a_refused_code_is_refused_with_the_portals_word_in_the_log(
    city_portal: CityPortal, staff: Officer, caplog: pytest.LogCaptureFixture
) -> None:
    back = visit()
    city_portal.misbehave({"refuse": True})
    assert refused(back) == "portal_refused"
    assert "oidc.refused why=invalid_grant" in caplog.text


def test_another_claim_may_be_the_staff_code(
    city_portal: CityPortal, staff: Officer, settings: Settings
) -> None:
    settings.OIDC_CLAIM, settings.OIDC_SCOPE = "employee_number", "openid profile"
    assert visit().sign_in(clock.now()).officer == staff
    settings.OIDC_CLAIM = "absent"
    assert refused(visit()) == "portal_refused"


def test_a_portal_that_wants_our_secret_in_the_body_gets_it_there(
    city_portal: CityPortal, staff: Officer
) -> None:
    city_portal.misbehave({"post_only": True})
    assert visit().sign_in(clock.now()).officer == staff


def test_a_wrong_secret_of_ours_is_told_in_the_log(
    city_portal: CityPortal, staff: Officer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OIDC_CLIENT_SECRET = "another"
    assert refused(visit()) == "portal_refused"
    assert "oidc.refused why=invalid_client" in caplog.text


def test_documents_and_keys_are_asked_for_once_an_hour(city_portal: CityPortal, staff: Officer) -> None:
    now = clock.now()
    for _ in range(3):
        visit(now=now).sign_in(now)
    assert (city_portal.asked["discovery"], city_portal.asked["keys"]) == (1, 1)
    oidc.begin(ANDROID, now + portal.KEPT_FOR)
    assert (city_portal.asked["discovery"], city_portal.asked["keys"]) == (2, 1)


def test_keys_that_change_are_found_and_looked_for_at_most_once_a_minute(
    city_portal: CityPortal, staff: Officer
) -> None:
    now = clock.now()
    visit(now=now).sign_in(now)
    city_portal.rotate()
    assert refused(visit(now=now), now + 59 * SECOND) == "portal_refused"
    assert city_portal.asked["keys"] == 1
    assert visit(now=now).sign_in(now + MINUTE).officer == staff
    assert city_portal.asked["keys"] == 2
    city_portal.rotate()
    city_portal.misbehave({"hidden_key": True})
    for _ in range(3):
        assert refused(visit(now=now), now + 2 * MINUTE + SECOND) == "portal_refused"
    assert city_portal.asked["keys"] == 3


def test_a_former_key_that_is_still_published_does_not_confuse(
    city_portal: CityPortal, staff: Officer
) -> None:
    for _ in range(2):
        city_portal.rotate()
        portal._portal.cache_clear()
        assert visit().sign_in(clock.now()).officer == staff


def test_a_token_without_the_name_of_its_key_is_believed_only_when_one_key_fits(
    city_portal: CityPortal, staff: Officer, caplog: pytest.LogCaptureFixture
) -> None:
    city_portal.misbehave({"wrong": "unnamed"})
    city_portal.retire()
    assert visit().sign_in(clock.now()).officer == staff
    city_portal.rotate()
    city_portal.rotate()  # the first and the third are of one kind
    portal._portal.cache_clear()
    assert refused(visit()) == "portal_refused"
    assert "oidc.refused why=key" in caplog.text


@pytest.mark.parametrize("fault", ["other_issuer", "garbled", "down"])
def test_a_portal_whose_documents_cannot_be_believed_is_away(
    city_portal: CityPortal, db: None, fault: str
) -> None:
    city_portal.misbehave({fault: True})
    with pytest.raises(Refusal, match="portal_away"):
        oidc.begin(ANDROID, clock.now())
    with pytest.raises(Refusal, match="portal_away"):
        oidc.begin(ANDROID, clock.now())
    assert city_portal.asked["discovery"] == 1, "it is left alone for 5 s"


@pytest.mark.parametrize(
    ("name", "door"),
    [
        ("authorization_endpoint", "javascript:alert(1)"),
        ("token_endpoint", "http://portal.example/token"),
        ("jwks_uri", "http://127.0.0.1/keys"),
        ("jwks_uri", None),
        ("token_endpoint", "https://["),
        ("issuer", "https://portal.example/"),
    ],
)
def test_a_door_that_is_not_safe_is_not_used(name: str, door: str | None) -> None:
    said = {f"{kind}_endpoint": f"https://portal.example/{kind}" for kind in ("authorization", "token")}
    said |= {"jwks_uri": "https://portal.example/keys", "issuer": "https://portal.example"}
    assert portal._read_doors(said, "https://portal.example").basic
    with pytest.raises(ValueError, match=f"{name}|Invalid|another issuer"):
        portal._read_doors(said | {name: door}, "https://portal.example")


def test_while_it_is_down_only_one_in_five_seconds_waits_for_it(city_portal: CityPortal, db: None) -> None:
    now = clock.now()
    city_portal.misbehave({"down": True})
    for at in (now, now + SECOND, now + 4 * SECOND):
        with pytest.raises(Refusal, match="portal_away"):
            oidc.begin(ANDROID, at)
    assert city_portal.asked["discovery"] == 1
    city_portal.misbehave({"down": False})
    oidc.begin(ANDROID, now + 5 * SECOND)


def test_a_token_endpoint_that_is_down_is_away_and_spends_the_flow(
    city_portal: CityPortal, staff: Officer
) -> None:
    back = visit()
    city_portal.misbehave({"token_down": True})
    assert refused(back) == "portal_away"
    city_portal.misbehave({"token_down": False})
    assert refused(back) == "flow_over"
    assert visit(STAFF_CODE).sign_in(clock.now()).officer == staff


def test_who_finds_no_line_free_hears_that_the_portal_is_away(
    city_portal: CityPortal, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal, "TURN_S", 0.0)
    there = portal.portal()
    for _ in range(portal.LINES):
        there._lines.acquire()
    with pytest.raises(Refusal, match="portal_away"):
        oidc.begin(ANDROID, clock.now())
    there._lines.release()
    oidc.begin(ANDROID, clock.now())
