"""Signing in through the city's portal: who is let in, on which device, and what is refused."""

import json
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from foundation import clock
from foundation.errors import Refusal
from officers import auth, oidc, portal, roster
from officers.devices import DeviceClaim
from officers.models import AuditEntry, Device, Officer, Platform, Session, SpentFlow
from replay.portal import CityPortal, Reply
from tests.officers.conftest import ANDROID, PHONE, STRANGER, CodeFor
from tests.officers.portal import STAFF_CODE, Back, browse, city_portal, running_portal, staff, visit

__all__ = ["city_portal", "running_portal", "staff"]  # fixtures
MINUTE = timedelta(minutes=1)
DEVICE = {"platform": "harmony", "name": "phone 1", "push": {"provider": "huawei", "token": "token-9"}}


def refusal(back: Back, **changed: object) -> tuple[str, int]:
    now = clock.now() + changed.pop("after", timedelta())  # type: ignore[operator]
    with pytest.raises(Refusal) as refused:
        replace(back, **changed).sign_in(now)  # type: ignore[arg-type]
    return refused.value.code, refused.value.status


def test_the_officer_with_that_staff_code_is_signed_in_on_the_device_that_began(
    client: APIClient, city_portal: CityPortal, staff: Officer
) -> None:
    begun = client.post("/api/v1/auth/oidc/start", {"device": DEVICE}, format="json")
    assert (begun.status_code, begun.json()["expires_in_s"]) == (201, 600)
    said = browse(begun.json()["authorize_url"], staff_code=STAFF_CODE)
    answer = client.post("/api/v1/auth/oidc/sessions", {"flow": begun.json()["flow"]} | said, format="json")
    assert answer.status_code == 201
    assert answer.json()["officer"]["id"] == staff.pk
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")
    assert client.get("/api/v1/me").json()["officer"]["phone"] == "138****1234"
    device = Device.objects.get()
    assert (device.officer, device.platform, device.token) == (staff, "harmony", "token-9")
    assert auth.refresh(answer.json()["refresh"], clock.now()).access


def test_signing_in_by_portal_ends_the_former_session_of_the_phone_as_a_code_does(
    city_portal: CityPortal, staff: Officer, code_for: CodeFor
) -> None:
    now = clock.now()
    former = auth.sign_in(PHONE, code_for(PHONE, now), ANDROID, now)
    visit().sign_in(clock.now())
    assert Device.objects.count() == 1
    with pytest.raises(Refusal):
        auth.grant_of(former.tokens.access, clock.now())


def test_what_the_browser_is_sent_away_with_holds_no_secret(
    client: APIClient, city_portal: CityPortal, staff: Officer
) -> None:
    begun = oidc.begin(ANDROID, clock.now())
    asked = dict(parse_qsl(urlsplit(begun.authorize_url).query))
    assert set(asked) == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert asked["code_challenge_method"] == "S256"
    assert city_portal.secret not in begun.authorize_url + begun.flow
    assert ANDROID.token not in begun.authorize_url + begun.flow
    assert asked["state"] not in begun.flow
    other = dict(parse_qsl(urlsplit(oidc.begin(ANDROID, clock.now()).authorize_url).query))
    assert all(asked[name] != other[name] for name in ("state", "nonce", "code_challenge"))


def test_a_state_of_another_flow_is_refused_and_the_code_is_not_redeemed(
    city_portal: CityPortal, staff: Officer
) -> None:
    ours, theirs = visit(), visit()
    assert refusal(ours, said=theirs.said) == ("flow_over", 401)
    assert refusal(ours, said=ours.said | {"state": "é"}) == ("flow_over", 401)
    assert city_portal.asked["token"] == 0
    ours.sign_in(clock.now())


def test_a_code_taken_from_an_address_opens_nothing_in_another_flow(
    city_portal: CityPortal, staff: Officer
) -> None:
    taken, own = visit(), visit("SZ-002")
    assert refusal(own, said=own.said | {"code": taken.said["code"]}) == ("portal_refused", 401), "PKCE"


def test_an_answer_in_the_name_of_another_portal_is_refused(city_portal: CityPortal, staff: Officer) -> None:
    back = visit()
    assert refusal(back, said=back.said | {"iss": "https://elsewhere.example"}) == ("flow_over", 401)


@pytest.mark.parametrize("flow", ["", "x", "é", "gAAAA"])
def test_a_flow_nobody_began_is_refused(city_portal: CityPortal, staff: Officer, flow: str) -> None:
    assert refusal(visit(), flow=flow) == ("flow_over", 401)


def test_what_was_sealed_for_another_purpose_is_no_flow(city_portal: CityPortal, staff: Officer) -> None:
    assert refusal(visit(), flow=bytes(staff.sealed_phone).decode()) == ("flow_over", 401)


def test_a_flow_is_used_once(city_portal: CityPortal, staff: Officer) -> None:
    back = visit()
    back.sign_in(clock.now())
    assert refusal(back) == ("flow_over", 401)
    assert city_portal.asked["token"] == 1
    assert Session.objects.count() == 1


def test_a_flow_lives_ten_minutes_and_is_then_forgotten(city_portal: CityPortal, staff: Officer) -> None:
    now = clock.now()
    late = visit(now=now)
    assert refusal(late, after=oidc.LIFE) == ("flow_over", 401)
    visit(now=now).sign_in(clock.now())
    assert oidc.forget_flows(now + oidc.LIFE - MINUTE) == 0
    assert oidc.forget_flows(now + oidc.LIFE) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_bring_the_same_flow_at_once_one_is_let_in(
    city_portal: CityPortal, staff: Officer
) -> None:
    back = visit()

    def bring(_: int) -> str:
        try:
            return str(back.sign_in(clock.now()).officer.pk)
        except Refusal as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        ends = sorted(pool.map(bring, range(8)))
    assert ends == sorted([str(staff.pk)] + ["flow_over"] * 7)
    assert city_portal.asked["token"] == 1


@pytest.mark.django_db(transaction=True)
def test_the_portal_is_never_asked_inside_a_transaction_nor_with_a_connection_held(
    city_portal: CityPortal, staff: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[str]]] = []

    def look(reply: Reply) -> Reply:
        with psycopg.connect(django_settings.DATABASE_URL, dbname=connection.settings_dict["NAME"]) as other:
            within = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            seen.append([row for row in other.execute(within).fetchall() if row[0] != "idle"])
        return reply

    real = city_portal.token
    monkeypatch.setattr(city_portal, "token", lambda *given: look(real(*given)))
    held: list[object] = []
    named = portal.Portal.named

    def watched(self: portal.Portal, *given: object) -> str:
        held.append(connection.connection)
        return named(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(portal.Portal, "named", watched)
    visit().sign_in(clock.now())
    assert seen == [[]]
    assert held == [None]


def test_somebody_unknown_and_somebody_who_left_are_refused_alike_and_audited(
    client: APIClient, city_portal: CityPortal, staff: Officer
) -> None:
    roster.enrol([roster.officer_row("officer 2", STRANGER, staff_code="SZ-002")])
    Officer.objects.filter(staff_code="SZ-002").update(is_active=False)
    answers = []
    for staff_code in ("SZ-002", "SZ-003"):
        back = visit(staff_code)
        answers.append(
            client.post("/api/v1/auth/oidc/sessions", {"flow": back.flow} | back.said, format="json")
        )
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["code"] == "not_on_roster"
    entries = AuditEntry.objects.order_by("id")
    assert [(entry.actor, entry.act) for entry in entries] == [(None, "auth.sign_in_failed")] * 2
    assert [entry.detail["known"] for entry in entries] == [True, False]
    assert not Device.objects.exists()
    assert not Session.objects.exists()


def test_an_officer_without_a_staff_code_is_nobody_at_the_portal(
    city_portal: CityPortal, officer: Officer
) -> None:
    assert refusal(visit("None")) == ("not_on_roster", 403)


def test_nothing_of_a_flow_stands_in_audit_or_log(
    city_portal: CityPortal, staff: Officer, caplog: pytest.LogCaptureFixture
) -> None:
    good, stranger, broken = visit(), visit("SZ-003"), visit()
    with caplog.at_level(logging.DEBUG):
        good.sign_in(clock.now())
        assert refusal(stranger) == ("not_on_roster", 403)
        city_portal.misbehave({"wrong": "nonce"})
        assert refusal(broken) == ("portal_refused", 401)
    entries = list(AuditEntry.objects.order_by("id").values("act", "object", "detail"))
    assert entries[0]["detail"] == {"device": Device.objects.get().pk, "platform": "android", "by": "portal"}
    assert [entry["act"] for entry in entries] == ["auth.sign_in", "auth.sign_in_failed"]
    kept = f"{entries} {caplog.text}"
    assert "oidc.refused why=nonce" in kept
    for back in (good, stranger, broken):
        for secret in (back.flow, *back.said.values()):
            assert secret not in kept or secret == city_portal.issuer
    for secret in (city_portal.secret, STAFF_CODE, "SZ-003", ANDROID.token, PHONE):
        assert secret not in kept


def test_spent_flows_are_stored_digested(city_portal: CityPortal, staff: Officer) -> None:
    back = visit()
    back.sign_in(clock.now())
    assert back.said["state"] not in SpentFlow.objects.get().state_digest


def test_a_browser_signs_in_without_a_push_token(city_portal: CityPortal, staff: Officer) -> None:
    visit(claim=DeviceClaim(Platform.WEB, "console")).sign_in(clock.now())
    assert (Device.objects.get().platform, Device.objects.get().token) == ("web", "")


def test_somebody_who_says_no_at_the_portal_comes_back_without_a_code(
    city_portal: CityPortal, staff: Officer
) -> None:
    said = browse(oidc.begin(ANDROID, clock.now()).authorize_url, deny="1")
    assert (said["error"], "code" in said) == ("access_denied", False)


@pytest.mark.parametrize("path", ["start", "sessions"])
def test_without_a_portal_the_doors_say_so(client: APIClient, db: None, path: str) -> None:
    body = {"device": DEVICE, "flow": "f", "code": "c", "state": "s"}
    for language, word in (("zh", "验证码"), ("en", "one-time code")):
        answer = client.post(f"/api/v1/auth/oidc/{path}", body, format="json", HTTP_ACCEPT_LANGUAGE=language)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_portal")
        assert word in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("start", {}, "device"),
        ("start", {"device": {"platform": "toaster"}}, "device"),
        ("sessions", {"code": "c", "state": "s"}, "flow"),
        ("sessions", {"flow": "f", "state": "s", "code": "\ud800"}, "code"),
    ],
)
def test_a_faulty_body_names_the_field(
    client: APIClient, city_portal: CityPortal, db: None, path: str, body: dict[str, object], field: str
) -> None:
    asked = json.dumps(body)  # escapes what is no character
    answer = client.post(f"/api/v1/auth/oidc/{path}", asked, content_type="application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_while_the_portal_is_down_a_one_time_code_still_signs_in(
    client: APIClient, city_portal: CityPortal, staff: Officer, code_for: CodeFor
) -> None:
    back = visit()
    city_portal.misbehave({"down": True})
    portal._portal.cache_clear()
    answer = client.post("/api/v1/auth/oidc/start", {"device": DEVICE}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "portal_away")
    assert refusal(back) == ("portal_away", 503)
    now = clock.now()
    assert auth.sign_in(PHONE, code_for(PHONE, now), ANDROID, now).officer == staff


def test_a_portal_that_does_not_listen_is_away(city_portal: CityPortal, settings: Settings) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    with pytest.raises(Refusal, match="portal_away"):
        oidc.begin(ANDROID, clock.now())


def test_a_broken_ca_file_is_said_as_the_portal_being_away(settings: Settings, tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    settings.OIDC_ISSUER, settings.OIDC_CA_FILE = "https://portal.example", str(broken)
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=broken)
    with pytest.raises(Refusal, match="portal_away"):
        oidc.begin(ANDROID, clock.now())
