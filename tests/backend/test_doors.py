"""What all doors share: how an error is said, and that a POST sent twice is done once."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import get_resolver
from rest_framework.test import APIClient

from alerts.models import ResponseOrder
from backend.doors import ABANDONED, SameAnswerTwice, forget_answers
from backend.models import KeptAnswer
from foundation.bodies import MOST_JSON_BYTES
from foundation.clock import now
from foundation.errors import in_one
from hydrology.feeds.signing import signed_headers
from hydrology.models import Feed, Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, A, signed_in
from tests.hydrology.factories import SECRET, body, make_feed, make_regions

KEY = {"HTTP_IDEMPOTENCY_KEY": "key 1"}
ORDERS = "/api/v1/orders"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


def order(**fields: Any) -> dict[str, Any]:
    return {
        "level": "II", "authority": DISTRICT, "areas": [A], "duties": ["flood"], "title_zh": "巡查", "text_zh": "请巡查。",
        "valid_until": (now() + timedelta(hours=3)).isoformat(),
    } | fields  # fmt: skip


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def desk(regions: dict[str, Region]) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


@pytest.fixture
def feed(regions: dict[str, Region]) -> Feed:
    return make_feed()


def test_the_same_key_and_body_gets_the_same_answer_and_is_done_once(desk: APIClient) -> None:
    asked = order()
    first, again = [desk.post(ORDERS, asked, format="json", **KEY) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert ResponseOrder.objects.count() == 1


def test_who_has_signed_out_is_not_told_the_answer_again(desk: APIClient) -> None:
    asked = order()
    assert desk.post(ORDERS, asked, format="json", **KEY).status_code == 201
    assert desk.delete("/api/v1/auth/sessions/current").status_code == 204
    assert desk.post(ORDERS, asked, format="json", **KEY).status_code == 401


def test_an_address_with_one_form_is_not_argued_with_about_it(desk: APIClient) -> None:
    for path, form in (("warnings.atom", "application/atom+xml"), ("orders", "text/html")):
        assert desk.get(f"/api/v1/{path}", HTTP_ACCEPT=form).status_code == 200


def test_what_a_door_answers_is_what_the_document_says_of_it(desk: APIClient) -> None:
    """The outermost names of every address without a parameter, as a city's whole staff may ask for them."""
    document = yaml.safe_load(DOCUMENT.read_text())
    shapes, looked_at = document["components"]["schemas"], []
    for path, does in document["paths"].items():
        said = (
            does.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json")
        )
        answer = desk.get(path) if said and "{" not in path else None
        if answer is None or answer.status_code != 200:
            continue
        shape = said["schema"]
        shape = shapes[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        told = answer.json()
        assert isinstance(told, list) == (shape.get("type") == "array"), path
        if shape.get("properties"):
            assert set(shape.get("required", ())) <= set(told) <= set(shape["properties"]), path
            looked_at.append(path)
    assert len(looked_at) > 20, looked_at


def test_the_same_key_with_another_body_is_refused_and_does_nothing(desk: APIClient) -> None:
    desk.post(ORDERS, order(), format="json", **KEY)
    answer = desk.post(ORDERS, order(title_zh="转移"), format="json", **KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")
    assert ResponseOrder.objects.count() == 1


def test_the_same_key_at_another_door_is_another_request(desk: APIClient) -> None:
    made = desk.post(ORDERS, order(), format="json", **KEY).json()
    answer = desk.post(f"{ORDERS}/{made['id']}/submit", order(), format="json", **KEY)
    assert answer.json()["code"] == "key_reused"


def test_a_key_belongs_to_one_person_across_his_tokens(desk: APIClient, regions: dict[str, Region]) -> None:
    asked = order()
    other = signed_in((regions[DISTRICT], Duty.DESK))
    mine, his = [api.post(ORDERS, asked, format="json", **KEY).json()["id"] for api in (desk, other)]
    assert mine != his


def test_without_a_key_every_post_counts(desk: APIClient) -> None:
    asked = order()
    for _ in range(2):
        desk.post(ORDERS, asked, format="json")
    assert ResponseOrder.objects.count() == 2
    assert not KeptAnswer.objects.exists()


def test_a_refused_request_gets_its_refusal_again(desk: APIClient) -> None:
    asked = order(areas=["nowhere"])
    first, again = [desk.post(ORDERS, asked, format="json", **KEY) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.json()["code"] == "area_outside"


def test_a_refused_request_leaves_its_key_to_the_mended_one(desk: APIClient) -> None:
    assert desk.post(ORDERS, order(areas=["nowhere"]), format="json", **KEY).status_code == 400
    assert desk.post(ORDERS, order(), format="json", **KEY).status_code == 201
    assert ResponseOrder.objects.count() == 1


def test_what_may_pass_is_not_kept(desk: APIClient) -> None:
    """403 and 404 change when a post is given; the next try with the same key must be a real one."""
    assert desk.post(f"{ORDERS}/999/submit", {}, format="json", **KEY).status_code == 404
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize("door", ["otp", "sessions", "refresh", "tickets"])
def test_answers_that_may_carry_tokens_are_never_kept(desk: APIClient, door: str) -> None:
    desk.post(f"/api/v1/auth/{door}", {"phone": "13800001234"}, format="json", **KEY)
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize("bearer", ["Bearer x", "Bearer x~y", "Basic eDp5", "x"])
def test_for_whom_we_have_not_signed_nothing_is_kept(db: None, bearer: str) -> None:
    kept: list[int] = []

    def answer(request: HttpRequest) -> HttpResponse:
        kept.append(KeptAnswer.objects.count())  # the row is made before the view runs
        return HttpResponse(status=401)

    SameAnswerTwice(answer)(RequestFactory().post(ORDERS, headers={"Authorization": bearer}, **KEY))
    assert kept == [0]


def test_two_tickets_asked_with_one_key_are_two_tickets(desk: APIClient) -> None:
    tickets = {desk.post("/api/v1/auth/tickets", **KEY).json()["ticket"] for _ in range(2)}
    assert len(tickets) == 2


def test_two_feeds_may_use_the_same_key(feed: Feed) -> None:
    make_feed("other")
    for key, raw in (("gauges", body()), ("other", body({}))):
        headers = signed_headers(key, SECRET, raw, now())
        answer = APIClient().post(
            "/api/v1/ingest/readings", raw, content_type="application/json", headers=headers, **KEY
        )
        assert answer.status_code == 200, answer.content


@pytest.mark.parametrize(("age", "runs"), [(timedelta(0), False), (ABANDONED, True)])
def test_a_request_whose_process_died_may_be_run_again_after_a_minute(
    desk: APIClient, age: timedelta, runs: bool
) -> None:
    asked = order()
    desk.post(ORDERS, asked, format="json", **KEY)
    KeptAnswer.objects.update(status=None, body=None, at=now() - age)  # as a killed process leaves it
    answer = desk.post(ORDERS, asked, format="json", **KEY)
    assert (answer.status_code == 201) is runs
    assert runs or answer.json()["code"] == "in_progress"
    assert ResponseOrder.objects.count() == 1 + runs


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("abandoned", [False, True])
def test_of_several_at_once_one_is_done(abandoned: bool) -> None:
    desk = signed_in((make_regions()[DISTRICT], Duty.DESK))
    asked = order()
    if abandoned:
        desk.post(ORDERS, asked, format="json", **KEY)
        ResponseOrder.objects.all().delete()
        KeptAnswer.objects.update(status=None, body=None, at=now() - ABANDONED)

    def post(_: int) -> int:
        api = APIClient()
        api._credentials = desk._credentials
        try:
            return api.post(ORDERS, asked, format="json", **KEY).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, range(4)))
    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert ResponseOrder.objects.count() == 1


CASES: dict[str, Callable[[APIClient], Any]] = {
    "invalid": lambda api: api.post(ORDERS, {}, format="json"),
    "parse_error": lambda api: api.post(ORDERS, "{", content_type="application/json"),
    "not_found": lambda api: api.get(f"{ORDERS}/999"),
    "signed_out": lambda api: APIClient().get(ORDERS, headers={"Authorization": "Bearer nonsense"}),
    "not_authenticated": lambda api: APIClient().get(ORDERS),
    "method_not_allowed": lambda api: api.delete(ORDERS),
    "unsupported_media_type": lambda api: api.post(ORDERS, "x", content_type="text/plain"),
}
STATUS = {
    "invalid": 400,
    "parse_error": 400,
    "not_found": 404,
    "signed_out": 401,
    "not_authenticated": 401,
    "method_not_allowed": 405,
    "unsupported_media_type": 415,
}


@pytest.mark.parametrize("code", CASES)
def test_every_error_has_one_shape(desk: APIClient, code: str) -> None:
    answer = CASES[code](desk)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (STATUS[code], code)
    assert set(said) == {"code", "message", "fields"}
    assert isinstance(said["fields"], dict)


@pytest.mark.parametrize(
    ("asked", "chinese"),
    [("", True), ("zh-CN,zh;q=0.9,en;q=0.8", True), ("en-GB,en;q=0.9", False), ("fr", True)]
    + [("en;q=0.1,zh", True), ("fr,en;q=0.5", False), ("en;q=0,zh;q=0.1", True), ("x" * 9000, True)],
)
@pytest.mark.parametrize("code", ["invalid", "not_found", "method_not_allowed"])
def test_errors_are_said_in_the_callers_language(
    desk: APIClient, asked: str, chinese: bool, code: str
) -> None:
    desk.defaults["HTTP_ACCEPT_LANGUAGE"] = asked
    said = CASES[code](desk).json()
    assert bool(re.search(r"[\u4e00-\u9fff]", said["message"])) is chinese


def test_faulty_fields_are_named(desk: APIClient) -> None:
    said = desk.post(ORDERS, order(level="VI", areas=[]), format="json").json()
    assert set(said["fields"]) == {"level", "areas"}


def test_an_unknown_address_answers_in_the_shape_of_all_errors(client: Client) -> None:
    answer = client.get("/api/v1/no-such-door", headers={"Accept-Language": "en"})
    assert answer.status_code == 404
    assert answer.json() == {"code": "not_found", "message": "Not found. Check the number.", "fields": {}}


def test_answers_are_forgotten_after_a_week(db: None) -> None:
    KeptAnswer.objects.create(owner="a", key="old", digest="", at=now() - timedelta(days=8))
    KeptAnswer.objects.create(owner="a", key="new", digest="", at=now())
    assert forget_answers(now()) == 1
    assert [kept.key for kept in KeptAnswer.objects.all()] == ["new"]


@pytest.mark.parametrize(
    "address",
    ["live/levels?region=%00", "stations?region=a%00b", "stations/%00", "radar/frames?radar=%00"]
    + ["coverage?region=%00", "warnings?region=%00"],
)
def test_a_nul_in_an_address_is_refused_at_every_door(address: str, desk: APIClient) -> None:
    answer = desk.get(f"/api/v1/{address}", HTTP_ACCEPT_LANGUAGE="en")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "NUL" in answer.json()["message"]


@pytest.mark.parametrize(
    ("door", "cursor"),
    [(door, cursor) for door in ("signals", "proposals", "calls") for cursor in ("p=\0\n", "p=abc")]
    + [("stations", "p=\0\n")],
)
def test_a_cursor_that_is_not_ours_is_refused_by_name(door: str, cursor: str, desk: APIClient) -> None:
    answer = desk.get(f"/api/v1/{door}", {"cursor": b64encode(cursor.encode()).decode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["fields"] == {"cursor": "invalid"}


DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize("body", [DEEP, "[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100])
@pytest.mark.parametrize("door", ["auth/otp", "auth/sessions", "orders", "inbox/receipts", "hazards"])
def test_a_body_nested_without_end_is_refused_at_every_door(
    desk: APIClient, client: Client, door: str, body: str
) -> None:
    api = client if door.startswith("auth/") else desk
    answer = api.post(f"/api/v1/{door}", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


def test_a_huge_body_is_refused_before_it_is_read_as_json(client: Client, db: None) -> None:
    """It is not even JSON: nobody has looked."""
    answer = client.post("/api/v1/auth/otp", b"[" * (MOST_JSON_BYTES + 1), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert set(answer.json()) == {"code", "message", "fields"}


def test_a_body_beyond_what_any_door_takes_is_too_large_everywhere(desk: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = desk.post(ORDERS, order(text_zh="长" * 1000), format="json", **KEY)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_host_that_is_not_ours_is_refused_in_the_shape_of_all_errors(client: Client) -> None:
    answer = client.get("/api/v1/orders", headers={"Host": "elsewhere.example", "Accept-Language": "en"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_an_unknown_verb_is_refused_in_the_shape_of_all_errors(client: Client) -> None:
    answer = client.generic("BREW", "/api/v1/auth/otp")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_fault_of_ours_is_said_in_the_shape_of_all_errors(rf: RequestFactory) -> None:
    fault = get_resolver().resolve_error_handler(500)
    answer = fault(rf.get("/api/v1/orders"))
    assert (answer.status_code, set(json.loads(answer.content))) == (500, {"code", "message", "fields"})


@pytest.mark.parametrize(
    ("address", "field"),
    [("warnings?level=zz", "level"), ("warnings?hazard=zz", "hazard"), ("warnings?active=maybe", "active")]
    + [
        ("hazards?open=x", "open"),
        ("plans?hazard=x", "hazard"),
        ("drills?state=x", "state"),
        ("checks?open=2", "open"),
    ]
    + [("signals?active=x", "active"), ("proposals?open=x", "open"), ("releases?open=x", "open")]
    + [
        ("calls?open=maybe", "open"),
        ("storms?active=x", "active"),
        ("orders?limit=abc", "limit"),
        ("stations?limit=-1", "limit"),
    ]
    + [("stations?limit=0", "limit"), ("warnings?limit=1e9", "limit")],
)
def test_a_filter_with_a_typo_is_named_instead_of_reading_as_all_clear(
    desk: APIClient, address: str, field: str
) -> None:
    answer = desk.get(f"/api/v1/{address}")
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {field})


def test_a_warning_filter_for_a_region_that_is_not_there_is_no_all_clear(desk: APIClient) -> None:
    assert desk.get("/api/v1/warnings?region=44030300l").status_code == 404


def test_a_list_has_as_many_rows_a_page_as_asked(desk: APIClient) -> None:
    for _ in range(3):
        desk.post(ORDERS, order(), format="json")
    page = desk.get(f"{ORDERS}?limit=2").json()
    assert len(page["results"]) == 2
    assert len(desk.get(page["next"]).json()["results"]) == 1


@pytest.mark.parametrize("tongue", ["zh", "en"])
def test_every_field_has_one_text_in_the_callers_language(desk: APIClient, tongue: str) -> None:
    cases = [
        (ORDERS, order(areas=["\0"], tasks=[{"duty": "mayor", "text_zh": "x"}], level="VI")),
        (ORDERS, order(title_zh="a\0b")),
        (ORDERS, None),
        ("/api/v1/hazards", {"kind": "x"}),
    ]
    for door, said in cases:
        answer = desk.post(
            door, json.dumps(said), content_type="application/json", HTTP_ACCEPT_LANGUAGE=tongue
        )
        fields = answer.json()["fields"]
        assert answer.status_code == 400 and fields, answer.content
        for name, why in fields.items():
            assert isinstance(why, str) and name != "non_field_errors"
            assert bool(re.search("[\u4e00-\u9fff]", why)) is (tongue == "zh"), (name, why)


def test_what_lies_deeper_is_named_by_its_place_in_the_field(desk: APIClient) -> None:
    said = order(tasks=[{"text_zh": "x"}, {"duty": "mayor", "text_zh": "x"}])
    fields = desk.post(ORDERS, said, format="json", HTTP_ACCEPT_LANGUAGE="en").json()["fields"]
    assert set(fields) == {"tasks"} and fields["tasks"].startswith("1.duty: ")


def test_a_text_in_both_languages_is_read_in_one() -> None:
    assert [in_one("须填写 / must be given", tongue) for tongue in ("zh", "en")] == [
        "须填写",
        "must be given",
    ]
    assert in_one("either / or", "zh") == "either / or"
    assert in_one("须填写", "en") == "须填写"
