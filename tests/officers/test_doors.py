"""The outside contract of sign-in and `me`, through HTTP."""

import re
from datetime import timedelta

import pytest
from django.urls.converters import IntConverter
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from foundation import clock
from officers import auth, codes, roster
from officers.models import Device, Officer, Post, Session
from officers.tickets import redeem_tickets
from officers.urls import urlpatterns
from tests.officers.conftest import NOW, PHONE, STRANGER

DEVICE = {"platform": "android", "name": "phone 1", "push": {"provider": "fcm", "token": "token-1"}}


@pytest.fixture
def console(settings: Settings) -> None:
    settings.OTP_TRANSPORT = "console"


@pytest.fixture
def session(
    client: APIClient, console: None, street_post: Post, capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """Signs in through the doors; the client then carries the access token."""
    assert client.post("/api/v1/auth/otp", {"phone": PHONE}, format="json").status_code == 202
    code = re.search(r"code=(\d{6})", capsys.readouterr().out)
    assert code
    body = {"phone": PHONE, "code": code[1], "device": DEVICE}
    answer = client.post("/api/v1/auth/sessions", body, format="json")
    assert answer.status_code == 201
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")
    return answer.json()


def test_asking_for_a_code_answers_202_alike_for_every_number(
    client: APIClient, officer: Officer, console: None
) -> None:
    answers = [client.post("/api/v1/auth/otp", {"phone": p}, format="json") for p in (PHONE, STRANGER)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert answers[0].headers == answers[1].headers


def test_a_second_code_within_a_minute_answers_429_alike_for_every_number(
    client: APIClient, officer: Officer
) -> None:
    for phone in (PHONE, STRANGER):
        client.post("/api/v1/auth/otp", {"phone": phone}, format="json")
        again = client.post("/api/v1/auth/otp", {"phone": phone}, format="json")
        assert (again.status_code, again.json()["code"]) == (429, "too_many_codes")
        assert 0 < int(again["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("proxies", "noted", "shared"),
    [
        (0, ["192.0.2.1", "192.0.2.2"], True),  # anybody may write it
        (1, ["192.0.2.1", "192.0.2.2"], False),
        (1, ["192.0.2.1, 192.0.2.9", "192.0.2.2, 192.0.2.9"], True),
        (2, ["192.0.2.1, 192.0.2.9", "192.0.2.2, 192.0.2.9"], False),
        (2, ["192.0.2.1", "192.0.2.2"], True),
    ],
)
def test_the_source_is_what_our_own_proxies_say(
    client: APIClient, officer: Officer, settings: Settings, proxies: int, noted: list[str], shared: bool
) -> None:
    settings.TRUSTED_PROXIES = proxies
    ask = [
        client.post("/api/v1/auth/otp", {"phone": PHONE}, format="json", HTTP_X_FORWARDED_FOR=one)
        for one in noted
    ]
    assert [one.status_code for one in ask] == ([202, 429] if shared else [202, 202])


def test_too_many_wrong_codes_answer_429_with_when_to_come_back(
    client: APIClient, officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MOST_WRONG", 1)
    client.post("/api/v1/auth/otp", {"phone": STRANGER}, format="json")
    body = {"phone": STRANGER, "code": "000000", "device": DEVICE}
    first, second = [client.post("/api/v1/auth/sessions", body, format="json") for _ in range(2)]
    assert (first.status_code, second.status_code, second.json()["code"]) == (401, 429, "too_many_tries")
    assert 0 < int(second["Retry-After"]) <= 3600
    client.post("/api/v1/auth/otp", {"phone": PHONE}, format="json", REMOTE_ADDR="192.0.2.1")
    there = client.post(
        "/api/v1/auth/sessions", body | {"phone": PHONE}, format="json", REMOTE_ADDR="192.0.2.1"
    )
    assert there.status_code == 401


def test_signing_in_answers_tokens_and_the_officer_with_a_masked_number(session: dict[str, object]) -> None:
    assert set(session) == {"access", "refresh", "officer"}
    officer = Officer.objects.get()
    assert session["officer"] == {
        "id": officer.pk,
        "name": "officer 1",
        "phone": "138****1234",
        "language": "zh",
    }


def test_a_wrong_code_says_what_to_do_in_the_callers_language(client: APIClient, officer: Officer) -> None:
    body = {"phone": PHONE, "code": "000000", "device": DEVICE}
    for language, word in (("zh-CN", "重新获取"), ("en", "ask for a new one")):
        answer = client.post("/api/v1/auth/sessions", body, format="json", HTTP_ACCEPT_LANGUAGE=language)
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_code")
        assert word in answer.json()["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "12345"}, "code"),
        ({"code": "１２３４５６"}, "code"),
        ({"device": {"platform": "toaster"}}, "device"),
        ({"device": {**DEVICE, "push": {"provider": "pager", "token": "t"}}}, "device"),
        ({"phone": "not a phone"}, "phone"),
    ],
)
def test_a_faulty_sign_in_names_the_field(
    client: APIClient, officer: Officer, change: dict[str, object], field: str
) -> None:
    body = {"phone": PHONE, "code": "000000", "device": DEVICE} | change
    answer = client.post("/api/v1/auth/sessions", body, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_a_browser_signs_in_without_a_push_token(
    client: APIClient, officer: Officer, console: None, capsys: pytest.CaptureFixture[str]
) -> None:
    client.post("/api/v1/auth/otp", {"phone": PHONE}, format="json")
    code = capsys.readouterr().out.strip()[-6:]
    body = {"phone": PHONE, "code": code, "device": {"platform": "web", "push": None}}
    assert client.post("/api/v1/auth/sessions", body, format="json").status_code == 201
    assert Device.objects.get().token == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/v1/me"),
        ("put", "/api/v1/me/device/push"),
        ("get", "/api/v1/me/devices"),
        ("delete", "/api/v1/me/devices/1"),
        ("post", "/api/v1/auth/tickets"),
        ("delete", "/api/v1/auth/sessions/current"),
    ],
)
def test_without_a_token_every_door_behind_sign_in_answers_401(
    client: APIClient, db: None, method: str, path: str
) -> None:
    for header in ({}, {"HTTP_AUTHORIZATION": "Bearer x"}, {"HTTP_AUTHORIZATION": "Bearer"}):
        answer = getattr(client, method)(path, {}, format="json", **header)
        assert answer.status_code == 401
        assert set(answer.json()) == {"code", "message", "fields"}


def test_me_tells_posts_regions_and_duty(
    client: APIClient, session: dict[str, str], street_post: Post
) -> None:
    region = {"code": "440303001", "name": "region 440303001", "level": "street"}
    me = client.get("/api/v1/me").json()
    assert me == {
        "officer": session["officer"],
        "posts": [
            {
                "duty": "flood",
                "rank": "A",
                "position": "",
                "region": region,
                "station": None,
                "valid_from": clock.iso(NOW),
                "valid_to": None,
            }
        ],
        "regions": [region],
        "duty": ["flood"],
    }
    assert me["posts"][0]["valid_from"].endswith("+08:00")


def test_me_costs_two_queries(
    client: APIClient, session: dict[str, str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):  # who asks, and his posts
        client.get("/api/v1/me")


def test_refreshing_answers_the_next_pair_and_an_old_token_401(
    client: APIClient, session: dict[str, str]
) -> None:
    body = {"refresh": session["refresh"]}
    first = client.post("/api/v1/auth/refresh", body, format="json")
    assert (first.status_code, set(first.json())) == (200, {"access", "refresh"})
    second = client.post("/api/v1/auth/refresh", {"refresh": first.json()["refresh"]}, format="json")
    assert second.status_code == 200
    again = client.post("/api/v1/auth/refresh", body, format="json")
    assert (again.status_code, again.json()["code"]) == (401, "signed_out")
    assert client.get("/api/v1/me").status_code == 401, "the family is revoked, access tokens included"


def test_signing_out_closes_every_door(client: APIClient, session: dict[str, str]) -> None:
    assert client.delete("/api/v1/auth/sessions/current").status_code == 204
    assert client.get("/api/v1/me").status_code == 401


def test_a_ticket_is_answered_with_its_life(client: APIClient, session: dict[str, str]) -> None:
    answer = client.post("/api/v1/auth/tickets").json()
    assert answer["expires_in_s"] == 60
    first, again = redeem_tickets([answer["ticket"]] * 2, clock.now())
    assert first and first.grant.officer_id == Officer.objects.get().pk
    assert again is None


def test_a_device_brings_its_next_push_token(client: APIClient, session: dict[str, str]) -> None:
    body = {"provider": "fcm", "token": "token-2"}
    assert client.put("/api/v1/me/device/push", body, format="json").status_code == 204
    assert Device.objects.get().token == "token-2"


def test_my_devices_are_told_without_tokens_and_only_mine_are_removed(
    client: APIClient, session: dict[str, str]
) -> None:
    mine = Device.objects.get()
    other = roster.enrol([roster.officer_row("officer 2", STRANGER)])[0]
    theirs = Device.objects.create(officer=other, platform="ios", registered_at=NOW)
    lost = Device.objects.create(officer=mine.officer, platform="ios", name="phone 2", registered_at=NOW)
    auth.admit(theirs.pk, clock.now())
    used_at = clock.now() - timedelta(days=1)
    auth.admit(lost.pk, used_at)
    items = client.get("/api/v1/me/devices").json()["items"]
    assert items[1] == {
        "id": lost.pk,
        "platform": "ios",
        "name": "phone 2",
        "registered_at": clock.iso(NOW),
        "last_used_at": clock.iso(used_at),
        "current": False,
    }
    assert [(one["id"], one["current"]) for one in items] == [(mine.pk, True), (lost.pk, False)]
    for unknown in (theirs.pk, lost.pk + 1, 10**30):
        answer = client.delete(f"/api/v1/me/devices/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.delete(f"/api/v1/me/devices/{lost.pk}").status_code == 204
    assert [one["id"] for one in client.get("/api/v1/me/devices").json()["items"]] == [mine.pk]
    assert client.delete(f"/api/v1/me/devices/{mine.pk}").status_code == 204
    assert client.get("/api/v1/me").status_code == 401
    assert Session.objects.live(clock.now()).get().officer == other


def test_no_door_reads_anything_but_an_id_from_its_address(client: APIClient, officer: Officer) -> None:
    read = [kind for pattern in urlpatterns for kind in pattern.pattern.converters.values()]
    assert read
    assert all(isinstance(kind, IntConverter) for kind in read)
    asked = client.post(f"/api/v1/auth/otp?phone={PHONE}", {}, format="json")
    assert (asked.status_code, list(asked.json()["fields"])) == (400, ["phone"])
