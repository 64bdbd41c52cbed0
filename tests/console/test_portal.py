"""The way through the city's portal on the pages: offered only where there is one, nothing of it told on."""

import re

import pytest
from django.test import Client
from pytest_django import Settings

from console.views import CONTENT_POLICY
from tests.console.test_page import PAGES

CALLBACK = "/api/v1/auth/oidc/callback"


@pytest.fixture
def with_portal(settings: Settings) -> None:
    settings.OIDC_ISSUER = "https://portal.example"


@pytest.mark.parametrize("address", PAGES)
def test_every_page_offers_the_portal_where_there_is_one(address: str, with_portal: None) -> None:
    html = Client().get(address).content.decode()
    assert re.search(r'<button id="portal" type="button" data-word="portal_sign_in">通过圳应急登录<', html)


@pytest.mark.parametrize("address", PAGES)
def test_no_page_offers_a_portal_that_is_not_there(address: str) -> None:
    assert 'id="portal"' not in Client().get(address).content.decode()


def test_the_page_the_portal_sends_to_tells_nobody_the_code(with_portal: None) -> None:
    answer = Client().get(CALLBACK, {"code": "c0de", "state": "st4te"})
    assert answer.status_code == 200
    assert "c0de" not in answer.content.decode()
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Security-Policy"] == CONTENT_POLICY
    assert Client().post(CALLBACK).status_code == 405


def test_without_a_portal_nobody_comes_back_from_it() -> None:
    answer = Client().get(CALLBACK, {"code": "c0de", "state": "st4te"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
