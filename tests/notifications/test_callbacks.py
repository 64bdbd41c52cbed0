"""Huawei's and JPush's own receipts: their proof, their words, in any order; from the stand-ins through the door."""

import hmac
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import orjson
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from foundation.clock import now
from notifications import callbacks, delivery, providers
from notifications.models import Delivery, ProviderReport, Receipt, State
from notifications.reports import Said
from officers.models import Device
from replay.phones import Standin
from tests.notifications.switchboard import tell

USER, SECRET = "duty", "aGVsbG8gZHV0eSByb29t"  # the secret is Base64, too
NOW = datetime(2026, 11, 29, 1, tzinfo=UTC)
AT_MS = 1_796_000_000_000
Row = dict[str, Any]


@pytest.fixture
def line(db: None, settings: Settings) -> Delivery:
    settings.HUAWEI_RECEIPT_USER, settings.HUAWEI_RECEIPT_SECRET = USER, SECRET
    settings.JPUSH_APP_KEY, settings.JPUSH_MASTER_SECRET = "app", SECRET
    told = tell()
    Delivery.objects.update(state=State.SENT, attempts=1)
    return told


def proof(at: datetime, *, key: bytes = SECRET.encode(), user: str = USER, nonce: str = "n1") -> str:
    stamp = str(int(at.timestamp() * 1000))
    value = b64encode(hmac.digest(key, (stamp + nonce + user).encode(), "sha256")).decode()
    return f"timestamp={stamp}; nonce={nonce}; value={value}"


def v1(name: object, code: object = 0, at_ms: object = AT_MS) -> Row:
    return {
        "token": "t",
        "biTag": name,
        "status": code,
        "timestamp": at_ms,
        "appid": "1",
        "requestId": "r9",
    }


def v2(name: object, code: object = 0, at_ms: object = AT_MS) -> Row:
    told = {"result": code, "timestamp": at_ms}
    return {"token": "t", "biTag": name, "pushType": 0, "requestId": "r9", "deliveryStatus": told}


def jpush(name: object, kind: object = 1, at_s: object = AT_MS // 1000) -> Row:
    return {"type": kind, "registration_id": "t", "params": {"id": name}, "itime": at_s}


def post(vendor: str, body: object, **headers: str) -> Any:
    return Client().post(
        f"/api/v1/providers/{vendor}/reports",
        body if isinstance(body, bytes) else orjson.dumps(body),
        content_type="application/json",
        headers=headers,
    )


def from_huawei(*rows: Row) -> Any:
    return post("huawei", {"statuses": list(rows)}, **{callbacks.HUAWEI_HEADER: proof(now())})


def from_jpush(body: object, pair: str = f"app:{SECRET}") -> Any:
    return post("jpush", body, Authorization=f"Basic {b64encode(pair.encode()).decode()}")


@pytest.mark.parametrize("form", [v1, v2])
def test_huaweis_receipt_moves_the_line_once_however_often_it_comes(
    line: Delivery, form: Callable[..., Row]
) -> None:
    for _ in range(2):
        answer = from_huawei(form(str(line.pk)))
        assert answer.status_code == 200
        assert answer.json() == {"code": "0", "message": "success", "errno": "0", "errmsg": "success"}
    line.refresh_from_db()
    assert line.state == State.DELIVERED
    [receipt] = Receipt.objects.all()
    assert (receipt.state, receipt.source) == ("delivered", "huawei")
    assert receipt.at == datetime.fromtimestamp(AT_MS / 1000, UTC)
    assert ProviderReport.objects.count() == 1


@pytest.mark.parametrize("order", list(permutations((0, 6))))
def test_what_huawei_could_not_show_is_kept_and_takes_nothing_back(
    line: Delivery, order: tuple[int, ...]
) -> None:
    for code in order:
        from_huawei(v2(str(line.pk), code))
    line.refresh_from_db()
    assert line.state == State.DELIVERED
    assert set(ProviderReport.objects.values_list("state", "word")) == {
        ("delivered", ""),
        ("failed", "huawei 6"),
    }


def test_a_dead_phone_by_a_receipt_retires_no_token_for_its_proof_does_not_cover_the_body(
    line: Delivery,
) -> None:
    from_huawei(v2(str(line.pk), 2))
    line.refresh_from_db()
    assert (line.state, Device.objects.get().retired_at) == (State.SENT, None)


def test_one_bad_row_and_one_of_nobodys_never_lose_the_good(line: Delivery) -> None:
    rows = [v1("", 0), v2("999999"), {"biTag": str(line.pk)}, v1(str(line.pk), "0"), v2(str(line.pk), 0, "x")]
    assert from_huawei(*rows, v2("no\0number")).status_code == 200
    line.refresh_from_db()
    assert line.state == State.DELIVERED
    unknown = ProviderReport.objects.filter(delivery=None)
    assert set(unknown.values_list("message", flat=True)) == {"r9", "999999", "nonumber"}


@pytest.mark.parametrize("wrong", ["secret", "user", "late", "nothing", "unset", "vendor"])
def test_who_is_not_huawei_changes_nothing(line: Delivery, settings: Settings, wrong: str) -> None:
    header = {
        "secret": proof(now(), key=b"guess"),
        "user": proof(now(), user="other"),
        "late": proof(now() - timedelta(minutes=6)),
        "nothing": "timestamp=; nonce=; value=",
    }.get(wrong, proof(now()))
    if wrong == "unset":
        settings.HUAWEI_RECEIPT_USER = settings.HUAWEI_RECEIPT_SECRET = ""
        header = proof(now(), key=b"", user="")
    vendor = "jpush" if wrong == "vendor" else "huawei"
    answer = post(vendor, {"statuses": [v2(str(line.pk))]}, **{callbacks.HUAWEI_HEADER: header})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert not ProviderReport.objects.exists()


def test_an_older_secret_is_the_key_itself_a_newer_one_its_base64() -> None:
    for key in (SECRET.encode(), b"hello duty room"):
        header = proof(NOW, key=key)
        assert callbacks.from_huawei(header, USER, SECRET, NOW)
        assert callbacks.from_huawei(header.replace("; ", ";"), USER, SECRET, NOW)
        assert not callbacks.from_huawei(header, USER, SECRET + "x", NOW)
    assert callbacks.from_huawei(proof(NOW, key=b"plain !"), USER, "plain !", NOW)  # no Base64 at all


@given(header=st.text() | st.from_regex(r"timestamp=\S*; nonce=\S*; value=\S*"))
def test_no_header_breaks_the_check(header: str) -> None:
    assert not callbacks.from_huawei(header, USER, SECRET, NOW)
    assert not callbacks.from_jpush(header, "app", SECRET)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["biTag", "status", "deliveryStatus", "result", "timestamp", "type", "params", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(rows=st.lists(_JSON, max_size=4))
def test_any_rows_are_read_or_left_out(rows: list[Any]) -> None:
    try:
        body = orjson.dumps({"statuses": rows})
    except TypeError:  # no integer of JSON's
        return
    found = callbacks.huawei_reports(body, NOW) + callbacks.jpush_reports(body, NOW, {}, {})
    assert all(1 <= len(one.id) <= callbacks.NAME_CHARS for one in found)


def test_jpush_says_delivered_and_clicked_one_or_many_in_any_order(line: Delivery) -> None:
    name = str(line.pk)
    assert from_jpush([jpush(name, 2), jpush(name, 1), jpush(name, 8)]).json() == {"read": 2}
    for body in (jpush(name), {"data": [jpush(name)]}):
        assert from_jpush(body).json() == {"read": 1}
    line.refresh_from_db()
    assert line.state == State.SHOWN
    assert set(Receipt.objects.values_list("state", "source")) == {
        ("delivered", "jpush"),
        ("shown", "jpush"),
    }
    assert ProviderReport.objects.count() == 2
    for pair in (f"app:{SECRET}x", "", f"other:{SECRET}"):
        assert from_jpush(jpush(name), pair).status_code == 401


def test_the_real_names_of_jpushs_fields_are_settings(line: Delivery, settings: Settings) -> None:
    settings.JPUSH_RECEIPT_FIELDS = {"id": "ext.our", "state": "event", "at": "when.ms"}
    settings.JPUSH_RECEIPT_STATES = {"arrive": "delivered", "lost": "failed"}
    row = {"ext": {"our": line.pk}, "event": "arrive", "when": {"ms": AT_MS}}
    assert from_jpush([row, {**row, "event": "lost"}]).json() == {"read": 2}
    line.refresh_from_db()
    assert line.state == State.DELIVERED
    assert set(ProviderReport.objects.values_list("state", "word", "at")) == {
        (state, word, datetime.fromtimestamp(AT_MS / 1000, UTC))
        for state, word in (("delivered", ""), ("failed", "jpush lost"))
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"statuses": 1}', b'"x"'])
def test_a_body_that_is_no_list_is_refused_by_name(line: Delivery, body: bytes) -> None:
    answer = post("huawei", body, **{callbacks.HUAWEI_HEADER: proof(now())})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_jpushs_console_hears_its_word_again_and_nothing_else() -> None:
    door = "/api/v1/providers/{}/reports?echostr={}"
    answer = Client().get(door.format("jpush", "571fd1bf"))
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"571fd1bf", "text/plain")
    for vendor, word in (("jpush", "<b>"), ("jpush", ""), ("huawei", "571fd1bf")):
        assert Client().get(door.format(vendor, word)).status_code == 405


def _until(there: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 20
    while not there() and time.monotonic() < until_s:
        time.sleep(0.05)
    return there()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "wishes", "state"),
    [
        ("huawei", {"version": 1}, State.DELIVERED),
        ("huawei", {"version": 2, "key_in_base64": True}, State.DELIVERED),
        ("huawei", {"result": 6}, State.SENT),
        ("jpush", {"clicked": True}, State.SHOWN),
    ],
)
def test_a_vendor_sends_its_own_receipts_twice_and_last_first(
    live_server: LiveServer, vendor: Standin, settings: Settings, name: str, wishes: Row, state: State
) -> None:
    settings.HUAWEI_RECEIPT_USER, settings.HUAWEI_RECEIPT_SECRET = USER, SECRET
    settings.JPUSH_RECEIPTS = True
    providers.transports.cache_clear()
    account = (USER, SECRET) if name == "huawei" else (vendor.app, vendor.secret)
    vendor.report_to(
        name,
        f"{live_server.url}/api/v1/providers/{name}/reports",
        user=account[0], secret=account[1], twice=True, **wishes,
    )  # fmt: skip
    line = tell(name)
    delivery.send_due(clock=now)
    expected = 2 if wishes.get("clicked") else 1
    lines = Delivery.objects.filter(pk=line.pk, state=state)
    assert _until(lambda: ProviderReport.objects.filter(delivery__in=lines).count() == expected)
    vendor.forget()
    assert ProviderReport.objects.count() == expected
    assert vendor.counters()["unheard"] == 0
    said = {Said(one) for one in ProviderReport.objects.values_list("state", flat=True)}
    assert (Said.FAILED in said) == bool(wishes.get("result"))


def test_who_sends_receipts_is_said_to_report(vendor: Standin, settings: Settings, db: None) -> None:
    settings.HUAWEI_RECEIPT_USER, settings.JPUSH_RECEIPTS = "", False
    assert not any(one.reports for one in providers.standings(now()) if one.provider in ("huawei", "jpush"))
    settings.HUAWEI_RECEIPT_USER, settings.JPUSH_RECEIPTS = USER, True
    found = {one.provider: one.reports for one in providers.standings(now())}
    assert found["huawei"] and found["jpush"] and not found["apns"]
