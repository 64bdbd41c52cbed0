"""What gateways report: signed, kept once, in any order, and an answer ends the chase."""

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import permutations

import orjson
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from escalation import climb
from escalation.models import Climb, ClimbState, Rung
from foundation.clock import now
from foundation.signatures import sign
from notifications import reports, telephony
from notifications.models import Delivery, ProviderReport, Receipt, State
from notifications.reach import reach_of
from replay.switchboard import Switchboard
from replay.switchboard_server import signed
from tests.notifications.switchboard import rung, running_switchboard, switchboard, tell

__all__ = ["running_switchboard", "switchboard"]  # fixtures

Row = dict[str, object]


@pytest.fixture
def root(db: None) -> Delivery:
    return tell()


def sent(root: Delivery, channel: str) -> Delivery:
    row = rung(root, channel)
    telephony.send_due(clock=now)
    row.refresh_from_db()
    assert row.state == State.SENT
    return row


def said(row: Delivery, state: str, after_s: float = 0, **words: str) -> Row:
    at = now() + timedelta(seconds=after_s)
    return {"id": telephony.message_id(row.transport, row.pk), "state": state, "at": at.isoformat(), **words}


def post(
    board: Switchboard, channel: str, *rows: Row, at: datetime | None = None, tongue: str = "zh"
) -> list[Row]:
    headers, body = signed(board, list(rows), at or now())
    headers |= {"Accept-Language": tongue}
    answer = Client().post(
        f"/api/v1/providers/{channel}/reports", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def state_of(row: Delivery) -> tuple[str, str]:
    row.refresh_from_db()
    return row.state, row.reason


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_call_ends_confirmed_in_whatever_order_it_is_reported(
    root: Delivery, switchboard: Switchboard, order: tuple[int, ...]
) -> None:
    call = sent(root, "voice")
    rows = [said(call, "ringing", 1), said(call, "answered", 5), said(call, "keypress", 9, key="1")]
    for place in order:
        post(switchboard, "voice", rows[place], rows[place])
    assert state_of(call)[0] == state_of(root)[0] == State.CONFIRMED
    (receipt,) = Receipt.objects.filter(delivery=root)
    assert (receipt.state, receipt.source) == ("confirmed", "voice")
    assert receipt.at == datetime.fromisoformat(str(rows[2]["at"]))
    assert ProviderReport.objects.count() == 3


def test_key_9_says_that_he_cannot_go(root: Delivery, switchboard: Switchboard) -> None:
    post(switchboard, "voice", said(sent(root, "voice"), "keypress", key="9"))
    assert Receipt.objects.get(delivery=root).state == "cannot"


@pytest.mark.parametrize("text", ["1", " 1 ", "１"])
def test_a_reply_of_1_confirms(root: Delivery, switchboard: Switchboard, text: str) -> None:
    post(switchboard, "sms", said(sent(root, "sms"), "reply", text=text))
    assert state_of(root)[0] == State.CONFIRMED
    assert Receipt.objects.get(delivery=root).source == "sms"


def test_another_reply_is_kept_without_telephone_numbers_and_means_nothing(
    root: Delivery, switchboard: Switchboard
) -> None:
    post(switchboard, "sms", said(sent(root, "sms"), "reply", text="什么事？打我13800001111"))
    assert ProviderReport.objects.get().word == "什么事？打我***"
    assert state_of(root)[0] == State.PENDING


@pytest.mark.parametrize("order", list(permutations(["delivered", "failed"])))
def test_what_has_arrived_has_not_failed(
    root: Delivery, switchboard: Switchboard, order: tuple[str, ...]
) -> None:
    text = sent(root, "sms")
    for state in order:
        post(switchboard, "sms", said(text, state))
    assert state_of(text)[0] == State.DELIVERED
    assert state_of(root)[0] == State.PENDING  # of the push nothing is known by that


@pytest.mark.parametrize("state", ["busy", "no_answer"])
def test_a_call_nobody_took_is_failed_with_its_reason(
    root: Delivery, switchboard: Switchboard, state: str
) -> None:
    call = sent(root, "voice")
    post(switchboard, "voice", said(call, state))
    assert state_of(call) == (State.FAILED_PERM, state)


def test_a_report_before_the_ledger_knows_of_the_sending_is_not_lost(
    root: Delivery, switchboard: Switchboard
) -> None:
    call, at = rung(root, "voice"), now()
    claims = telephony.claim("voice", at, here=True)
    post(switchboard, "voice", said(call, "busy"))
    telephony.settle("voice", [(one, None) for one in claims], at)
    assert state_of(call) == (State.FAILED_PERM, "busy")


def test_many_arrivals_and_failures_cost_no_more_queries_than_few(
    root: Delivery, switchboard: Switchboard
) -> None:
    counts = []
    for many in (2, 20):
        texts = [sent(root, "sms") for _ in range(many)]
        rows = [said(row, "delivered" if n % 2 else "failed") for n, row in enumerate(texts)]
        with CaptureQueriesContext(connection) as queries:
            post(switchboard, "sms", *rows)
        counts.append(len(queries))
        states = [state_of(row)[0] for row in texts]
        assert states == [State.FAILED_PERM, State.DELIVERED] * (many // 2)
    assert counts[0] == counts[1]


def test_each_report_has_its_own_result(root: Delivery, switchboard: Switchboard) -> None:
    call, unsent = sent(root, "voice"), rung(root, "voice")
    ring = said(call, "ringing")
    rows = [
        ring,
        said(unsent, "ringing"),
        {**ring, "id": "77-0123456789abcdef"},
        {**ring, "at": "yesterday"},
        said(call, "reply", text="1"),
        said(call, "keypress"),
        said(call, "ringing", 3600),
    ]
    results = [one["result"] for one in post(switchboard, "voice", *rows)]
    assert results == ["accepted", "unknown", "unknown", "invalid", "invalid", "invalid", "invalid"]
    assert [one["result"] for one in post(switchboard, "voice", ring)] == ["repeated"]
    assert ProviderReport.objects.filter(delivery=None).count() == 2


@pytest.mark.parametrize("tongue", ["zh", "en"])
def test_what_is_wrong_with_a_report_is_said_by_field_in_the_gateways_language(
    root: Delivery, switchboard: Switchboard, tongue: str
) -> None:
    call = sent(root, "voice")
    rows = [said(call, "ringing", 3600), said(call, "delivered"), said(call, "keypress"), {}, "no report"]
    rows += [said(call, "keypress", key="\0")]
    results = post(switchboard, "voice", *rows, tongue=tongue)  # type: ignore[arg-type]
    fields = [{name: str(why) for name, why in one["fields"].items()} for one in results]  # type: ignore[attr-defined]
    assert [set(one) for one in fields] == [
        {"at"}, {"state"}, {"key"}, {"id", "state", "at"}, {"body"}, {"key"},
    ]  # fmt: skip
    for why in (why for one in fields for why in one.values()):
        assert bool(re.search("[\u4e00-\u9fff]", why)) is (tongue == "zh"), why
        assert " / " not in why


def test_what_was_kept_by_a_process_that_died_is_carried_on_by_the_repeat(
    root: Delivery, switchboard: Switchboard
) -> None:
    call = sent(root, "voice")
    pressed = said(call, "keypress", key="1")
    ProviderReport.objects.create(
        provider="voice", message=str(pressed["id"]), delivery=call, state="keypress", word="1",
        at=datetime.fromisoformat(str(pressed["at"])), received_at=now(),
    )  # fmt: skip
    assert [one["result"] for one in post(switchboard, "voice", pressed)] == ["repeated"]
    assert state_of(root)[0] == State.CONFIRMED


@pytest.mark.parametrize("wrong", ["secret", "key", "time", "body", "channel", "nothing"])
def test_who_does_not_sign_changes_nothing(
    root: Delivery, switchboard: Switchboard, settings: Settings, wrong: str
) -> None:
    row = said(sent(root, "voice"), "keypress", key="1")
    headers, body = signed(switchboard, [row], now() - timedelta(minutes=6 if wrong == "time" else 0))
    if wrong == "secret":
        headers["X-Gateway-Signature"] = sign("guess", headers["X-Gateway-Time"], body)
    elif wrong == "key":
        headers["X-Gateway-Key"] = "stranger"
    elif wrong == "body":
        body = body.replace(b'"1"', b'"9"')
    elif wrong == "channel":
        settings.VOICE_ENDPOINT = ""
    elif wrong == "nothing":
        headers = {}
    answer = Client().post(
        "/api/v1/providers/voice/reports", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 401
    assert answer.json()["code"] == ("clock_skew" if wrong == "time" else "bad_signature")
    assert not ProviderReport.objects.exists()
    assert state_of(root)[0] == State.PENDING


@pytest.mark.parametrize("body", [b"", b"[]", b'{"reports": 1}', orjson.dumps({"reports": [{}] * 201})])
def test_a_body_that_is_no_list_of_reports_is_refused_by_name(
    db: None, switchboard: Switchboard, body: bytes
) -> None:
    stamp = now().isoformat(timespec="seconds")
    headers = {
        "X-Gateway-Key": switchboard.key,
        "X-Gateway-Time": stamp,
        "X-Gateway-Signature": sign(switchboard.secret, stamp, body),
    }
    answer = Client().post(
        "/api/v1/providers/sms/reports", body, content_type="application/json", headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_pressed_key_ends_the_climb_at_the_next_sweep(root: Delivery, switchboard: Switchboard) -> None:
    at = root.dispatch.created_at
    climb.sweep(now=at + timedelta(seconds=61))
    assert Climb.objects.get().state == ClimbState.CLIMBING
    taken = Rung.objects.count()
    post(switchboard, "voice", said(sent(root, "voice"), "keypress", key="1"))
    climb.sweep(now=at + timedelta(minutes=30))
    assert (Climb.objects.get().state, Rung.objects.count()) == (ClimbState.ANSWERED, taken)


def test_reach_shows_what_else_was_tried(root: Delivery, switchboard: Switchboard) -> None:
    post(switchboard, "voice", said(sent(root, "voice"), "busy"))
    rung(root, "sms")
    (line,) = reach_of(root.dispatch.bulletin_id, ["4403/"])["unanswered"]
    assert [(ring["channel"], ring["state"], ring["reason"]) for ring in line["rings"]] == [
        ("voice", "failed_perm", "busy"),
        ("sms", "pending", ""),
    ]


def test_reports_are_kept_for_their_days_and_then_go(root: Delivery, switchboard: Switchboard) -> None:
    post(switchboard, "voice", said(sent(root, "voice"), "ringing"))
    assert reports.forget_old(now=now() + timedelta(days=199), keep_days=200) == 0
    assert reports.forget_old(now=now() + timedelta(days=999), keep_days=0) == 0
    assert reports.forget_old(now=now() + timedelta(days=201), keep_days=200) == 1


@pytest.mark.django_db(transaction=True)
def test_people_answer_through_the_gateways_own_reports_twice_said_and_last_first(
    live_server: LiveServer, switchboard: Switchboard, settings: Settings
) -> None:
    settings.VOICE_CALLBACK_URL = f"{live_server.url}/api/v1/providers/voice/reports"
    switchboard.misbehave(
        {"press_share": 1.0, "duplicate_share": 1.0, "reordered_share": 1.0, "speed": 100.0}
    )
    root = tell()
    call = sent(root, "voice")
    until_s = time.monotonic() + 20
    while ProviderReport.objects.count() < 3 and time.monotonic() < until_s:
        time.sleep(0.05)
    assert state_of(root)[0] == state_of(call)[0] == State.CONFIRMED
    assert switchboard.due(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) == {}


def post_push(settings: Settings, vendor: str, *rows: Row, secret: str = "s" * 20) -> tuple[int, list[Row]]:
    settings.PUSH_REPORT_KEY, settings.PUSH_REPORT_SECRET = "relay", "s" * 20
    body, at = orjson.dumps({"reports": list(rows)}), now().isoformat(timespec="seconds")
    headers = {"X-Gateway-Key": "relay", "X-Gateway-Time": at, "X-Gateway-Signature": sign(secret, at, body)}
    answer = Client().post(
        f"/api/v1/providers/{vendor}/reports", body, content_type="application/json", headers=headers
    )
    return answer.status_code, answer.json().get("results", [])


def push_said(row: Delivery, state: str, **words: str) -> Row:
    return {"id": str(row.pk), "state": state, "at": now().isoformat(), **words}


@pytest.mark.parametrize("order", list(permutations(("delivered", "shown", "failed"))))
def test_a_push_vendors_word_moves_the_line_forward_in_any_order_and_never_back(
    root: Delivery, settings: Settings, order: tuple[str, ...]
) -> None:
    Delivery.objects.update(state=State.SENT, attempts=1)
    for state in order:
        words = {"reason": "no_memory"} if state == "failed" else {}
        row = push_said(root, state, **words)
        assert [one["result"] for one in post_push(settings, "huawei", row)[1]] == ["accepted"]
        assert [one["result"] for one in post_push(settings, "huawei", row)[1]] == ["repeated"]
    root.refresh_from_db()
    assert root.state == State.SHOWN
    assert None not in (root.delivered_at, root.shown_at)
    assert set(Receipt.objects.values_list("state", "source")) == {
        ("delivered", "huawei"),
        ("shown", "huawei"),
    }
    assert ProviderReport.objects.count() == 3


def test_a_push_that_came_after_all_is_believed_though_a_text_message_was_sent_for_it(
    root: Delivery, settings: Settings
) -> None:
    Delivery.objects.update(state=State.PENDING, attempts=1, transport="sms", rerouted="huawei_paused")
    assert [one["result"] for one in post_push(settings, "huawei", push_said(root, "shown"))[1]] == [
        "accepted"
    ]
    root.refresh_from_db()
    assert root.state == State.SHOWN


def test_nobody_else_reports_a_push(root: Delivery, settings: Settings) -> None:
    Delivery.objects.update(state=State.SENT, attempts=1)
    assert post_push(settings, "jpush", push_said(root, "shown"), secret="x" * 20)[0] == 401
    settings.PUSH_REPORT_KEY = ""
    assert (
        Client().post("/api/v1/providers/jpush/reports", b"{}", content_type="application/json").status_code
        == 401
    )
    status, [unknown, wrong] = post_push(
        settings, "jpush", {**push_said(root, "shown"), "id": "12-ab"}, push_said(root, "keypress", key="1")
    )
    assert (status, unknown["result"], wrong["result"]) == (200, "unknown", "invalid")
