"""The local FCM: as strict as the real one, as honest about what it took, and gone when its parent is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import messaging
from hypothesis import given
from hypothesis import strategies as st

from notifications.transports.fcm import FcmTransport
from replay.phones import Standin, start_standin
from replay.vendors.desk import Faults, Taken
from replay.vendors.fcm import GRANT, Fcm
from replay.vendors.fcm_v1 import PAYLOAD_BYTES, Fault, check_request
from tests.fcm import pushes

ROOT = Path(__file__).resolve().parent.parent.parent
SEND = "/v1/projects/standin/messages:send"


def assertion(standin: Standin, **changes: Any) -> str:
    """A service account's request for a bearer, signed, with these claims changed."""
    account = orjson.loads(Path(standin.credentials).read_bytes())
    now = datetime.now(UTC)
    claims = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "iat": now,
        "exp": now + timedelta(hours=1),
        **changes,
    }
    return jwt.encode(claims, account["private_key"], algorithm="RS256")


def bearer(standin: Standin, signed: str, grant: str = GRANT) -> requests.Response:
    form = {"grant_type": grant, "assertion": signed}
    return requests.post(standin.endpoint + "/token", data=form, verify=standin.ca_file, timeout=10)


@pytest.fixture
def door(standin: Standin) -> Iterator[Any]:
    """Posts one raw request over HTTP/1.1 with a good bearer."""
    with requests.Session() as session:
        session.headers["authorization"] = (
            f"Bearer {bearer(standin, assertion(standin)).json()['access_token']}"
        )

        def post(body: Any, path: str = SEND) -> requests.Response:
            raw = body if isinstance(body, bytes) else orjson.dumps(body)
            return session.post(standin.endpoint + path, data=raw, verify=standin.ca_file, timeout=10)

        yield post


def test_an_assertion_signed_by_the_account_buys_a_bearer(standin: Standin, door: Any) -> None:
    answer = door({"message": {"token": "t1", "data": {"id": "m1"}}})
    assert answer.status_code == 200
    assert answer.json()["name"].startswith("projects/standin/messages/")
    assert standin.counters()["http"] == {"1.1": 1}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "stranger@example.org"}, "invalid_grant"),
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"exp": datetime.now(UTC) - timedelta(minutes=1)}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/datastore"}, "invalid_scope"),
    ],
)
def test_a_wrong_assertion_buys_nothing(standin: Standin, changes: dict[str, Any], error: str) -> None:
    answer = bearer(standin, assertion(standin, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_forged_signature_buys_nothing(standin: Standin) -> None:
    claims = jwt.decode(assertion(standin), options={"verify_signature": False})
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = bearer(standin, jwt.encode(claims, forger, algorithm="RS256"))
    assert answer.json()["error"] == "invalid_grant"
    assert bearer(standin, assertion(standin), "password").json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer made-up"}])
def test_without_a_good_bearer_nothing_is_taken(standin: Standin, header: dict[str, str]) -> None:
    answer = requests.post(
        standin.endpoint + SEND,
        json={"message": {"token": "t"}},
        headers=header,
        verify=standin.ca_file,
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert standin.counters()["accepted"] == 0


def test_another_project_is_not_found(door: Any) -> None:
    assert door({"message": {"token": "t"}}, "/v1/projects/other/messages:send").status_code == 404


WRONG: list[tuple[Any, str]] = [
    ({}, "message"),
    ([], ""),
    ({"message": {}}, "message"),
    ({"message": {"data": {}}}, "message.token"),
    ({"message": {"token": ""}}, "message.token"),
    ({"message": {"token": "a b"}}, "message.token"),
    ({"message": {"token": 5}}, "message.token"),
    ({"message": {"token": "t", "topic": "x"}}, "message"),
    ({"message": {"topic": "/topics/x"}}, "message.topic"),
    ({"message": {"token": "t", "sound": "x"}}, "message"),
    ({"message": {"token": "t"}, "dry_run": True}, ""),
    ({"message": {"token": "t"}, "validate_only": "yes"}, "validate_only"),
    ({"message": {"token": "t", "data": {"n": 1}}}, "message.data.n"),
    ({"message": {"token": "t", "data": {"from": "x"}}}, "message.data.from"),
    ({"message": {"token": "t", "data": {"google.x": "x"}}}, "message.data.google.x"),
    ({"message": {"token": "t", "data": ["x"]}}, "message.data"),
    ({"message": {"token": "t", "notification": {"title": 1}}}, "message.notification.title"),
    ({"message": {"token": "t", "notification": {"sound": "x"}}}, "message.notification"),
    ({"message": {"token": "t", "android": {"ttl": "1h"}}}, "message.android.ttl"),
    ({"message": {"token": "t", "android": {"ttl": 3600}}}, "message.android.ttl"),
    ({"message": {"token": "t", "android": {"priority": "urgent"}}}, "message.android.priority"),
    (
        {"message": {"token": "t", "android": {"notification": {"channel": "x"}}}},
        "message.android.notification",
    ),
    (
        {"message": {"token": "t", "android": {"notification": {"vibrate_timings": ["1"]}}}},
        "message.android.notification.vibrate_timings",
    ),
    (
        {"message": {"token": "t", "android": {"notification": {"notification_priority": "MAX"}}}},
        "message.android.notification.notification_priority",
    ),
    (
        {"message": {"token": "t", "apns": {"headers": {"apns-priority": 10}}}},
        "message.apns.headers.apns-priority",
    ),
    (
        {"message": {"token": "t", "apns": {"headers": {"apns-priority": "7"}}}},
        "message.apns.headers.apns-priority",
    ),
    (
        {"message": {"token": "t", "apns": {"headers": {"apns-collapse-id": "x" * 65}}}},
        "message.apns.headers.apns-collapse-id",
    ),
    (
        {"message": {"token": "t", "apns": {"payload": {"aps": {"interruption-level": "loud"}}}}},
        "message.apns.payload.aps.interruption-level",
    ),
    ({"message": {"token": "t", "webpush": {"headers": {"TTL": "soon"}}}}, "message.webpush.headers.TTL"),
    (
        {"message": {"token": "t", "fcm_options": {"analytics_label": "ü"}}},
        "message.fcm_options.analytics_label",
    ),
    ({"message": {"token": "t", "notification": {"body": "x" * PAYLOAD_BYTES}}}, "message"),
    (b"{", "message"),
    (b"\xff", "message"),
]


@pytest.mark.parametrize(("request_", "field"), WRONG)
def test_a_wrong_field_is_refused_by_name(standin: Standin, door: Any, request_: Any, field: str) -> None:
    answer = door(request_)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    violations = [v["field"] for detail in error["details"] for v in detail.get("fieldViolations", ())]
    assert violations == [field]
    assert standin.counters()["accepted"] == 0


@pytest.mark.parametrize(
    "message",
    [
        {
            "token": "t",
            "android": {"collapseKey": "k", "notification": {"channelId": "c", "clickAction": None}},
        },
        {"topic": "flood"},
        {"condition": "'a' in topics"},
        {"token": "t", "apns": {"payload": {"aps": {"alert": {"title": "x"}}, "own": [1]}}},
        {"token": "t", "android": {"ttl": "3.5s", "priority": "HIGH"}},
        {"token": "t", "notification": {"body": "x" * (PAYLOAD_BYTES - len('{"body":""}'))}},
    ],
)
def test_what_fcm_allows_is_taken(standin: Standin, door: Any, message: dict[str, Any]) -> None:
    assert door({"message": message}).status_code == 200
    assert standin.counters()["accepted"] == 1


def test_validate_only_is_answered_but_not_taken(standin: Standin, door: Any) -> None:
    assert door({"message": {"token": "t"}, "validate_only": True}).status_code == 200
    assert standin.counters()["accepted"] == 0


def test_everything_firebase_admin_can_say_is_right() -> None:
    android = messaging.AndroidNotification(
        title="t", body="b", icon="i", color="#aabbcc", sound="s", tag="g", click_action="c", body_loc_key="k",
        body_loc_args=["1"], title_loc_key="k", title_loc_args=["1"], channel_id="c", image="https://x.example/i",
        ticker="t", sticky=True, event_timestamp=datetime.now(UTC), local_only=True, priority="max",
        vibrate_timings_millis=[100, 2500], default_vibrate_timings=False, default_sound=False,
        light_settings=messaging.LightSettings("#aabbcc", 200, 300), default_light_settings=False,
        visibility="secret", notification_count=3, proxy="if_priority_lowered",
    )  # fmt: skip
    message = messaging.Message(
        topic="flood",
        data={"a": "b"},
        notification=messaging.Notification("t", "b", "https://x.example/i"),
        android=messaging.AndroidConfig(
            "k",
            "normal",
            timedelta(seconds=1.5),
            "cn.gov.sz",
            {"a": "b"},
            android,
            messaging.AndroidFCMOptions("label"),
            direct_boot_ok=True,
        ),  # fmt: skip
        webpush=messaging.WebpushConfig(
            {"Urgency": "high", "TTL": "5"},
            {"a": "b"},
            messaging.WebpushNotification("t", "b", vibrate=[1]),
            messaging.WebpushFCMOptions("https://x.example/"),
        ),  # fmt: skip
        apns=messaging.APNSConfig(
            {"apns-priority": "10", "apns-expiration": "0"},
            messaging.APNSPayload(
                messaging.Aps(
                    messaging.ApsAlert("t", "s", "b"),
                    3,
                    messaging.CriticalSound("x", True, 1.0),
                    True,
                    "c",
                    custom_data={"interruption-level": "critical"},
                ),
                own={"a": 1},
            ),
            messaging.APNSFCMOptions("label", "https://x.example/i"),
        ),  # fmt: skip
        fcm_options=messaging.FCMOptions("label"),
    )
    encoded = orjson.loads(str(message))
    assert check_request({"message": encoded}, 0) == encoded


NAMES = [
    *("message", "validate_only", "token", "topic", "data", "from", "notification", "title", "android"),
    *("ttl", "priority", "apns", "headers", "payload", "aps"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values, st.integers(0, 10_000))
def test_any_json_is_a_message_or_a_fault(value: Any, size_bytes: int) -> None:
    try:
        message = check_request(value, size_bytes)
    except Fault as fault:
        assert fault.why
    else:
        assert isinstance(message, dict)
        assert message


def test_an_unknown_fault_is_refused_and_changes_nothing(standin: Standin) -> None:
    standin.control(latency_ms=1)
    for wrong in ({"latency": 5}, {"down": 1}, {"quota_share": "much"}, {"retry_after_s": True}):
        with pytest.raises(requests.HTTPError):
            standin.control(**wrong)
    faults = standin.control(retry_after_s=3)["faults"]
    assert (faults["latency_ms"], faults["retry_after_s"], faults["down"]) == (1.0, 3, False)
    assert standin.behave()["faults"]["latency_ms"] == 0


def ask(phones: Fcm, token: str, message_id: str) -> int:
    phones.bearers["Bearer good"] = time.monotonic() + 60
    body = orjson.dumps({"message": {"token": token, "data": {"id": message_id, "bulletin": "b"}}})
    return phones.answer(Fcm.path, {"authorization": "Bearer good"}, body).status


def test_shares_of_tokens_and_of_attempts_are_kept() -> None:
    phones = Fcm(Taken())
    phones.misbehave(Faults(unregistered_share=0.1))
    dead = {n for n in range(5000) if ask(phones, f"phone-{n}", "1") == 404}
    assert 400 < len(dead) < 600
    assert dead == {n for n in range(5000) if ask(phones, f"phone-{n}", "2") == 404}
    phones.misbehave(Faults(quota_share=0.1, unavailable_share=0.2))
    first = [ask(phones, f"phone-{n}", "3") for n in range(5000)]
    assert 400 < first.count(429) < 600
    assert 850 < first.count(503) < 1150
    second = [ask(phones, f"phone-{n}", "3") for n in range(5000) if first[n] == 503]
    assert 0.6 < second.count(200) / len(second) < 0.8


def test_a_push_taken_twice_is_counted_and_named() -> None:
    phones = Fcm(Taken())
    for token, message_id in (("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("a", "1")):
        ask(phones, token, message_id)
    counters = phones.taken.counters()
    assert (counters["accepted"], counters["distinct"], counters["repeated"], counters["extra"]) == (
        5,
        3,
        1,
        2,
    )
    assert counters["by_bulletin"] == {"b": 5}
    assert phones.taken.repeats() == [{"token": "a", "id": "1", "times": 3}]
    phones.taken.forget()
    assert (phones.taken.counters()["accepted"], phones.taken.repeats()) == (0, [])


def test_a_memory_that_is_full_keeps_the_newest_and_counts_all() -> None:
    phones = Fcm(Taken(ring=3))
    for n in range(1, 6):
        ask(phones, "t", f"m{n}")

    def numbers(after: int, limit: int) -> list[tuple[int, str]]:
        return [(item["n"], item["id"]) for item in phones.taken.accepted(after, limit)]

    assert numbers(0, 10) == [(3, "m3"), (4, "m4"), (5, "m5")]
    assert numbers(3, 1) == [(4, "m4")]
    assert numbers(5, 10) == []


def test_the_feed_of_taken_pushes_can_be_followed(standin: Standin, door: Any) -> None:
    for n in range(5):
        door({"message": {"token": f"t{n}", "data": {"id": f"m{n}", "kind": "order"}}})
    first = standin.accepted(limit=2)
    rest = standin.accepted(after=first[-1]["n"])
    assert [item["id"] for item in first + rest] == ["m0", "m1", "m2", "m3", "m4"]
    assert rest[-1]["data"] == {"kind": "order"}
    assert standin.counters()["first_at"] <= rest[-1]["at"] <= standin.counters()["last_at"]


def test_above_its_quota_it_says_429_with_a_wait(standin: Standin, door: Any) -> None:
    standin.behave(quota_per_s=2, retry_after_s=9)
    answers = [door({"message": {"token": "t"}}) for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"9"}
    assert standin.counters()["accepted"] == 60 - len(refused)


def test_killed_and_back_at_the_same_port_it_is_the_same_to_its_senders(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with start_standin(tmp_path) as standin:
        port = int(standin.endpoint.rpartition(":")[2])
        transport = FcmTransport(standin.credentials, endpoint=standin.endpoint, ca_file=standin.ca_file)
        assert [o.kind for o in transport.send(pushes(3), now)] == ["sent"] * 3
        os.kill(standin.pid, signal.SIGKILL)
    assert [o.kind for o in transport.send(pushes(3), now)] == ["temporary"] * 3
    with start_standin(tmp_path, port) as standin:
        assert [o.kind for o in transport.send(pushes(3), now)] == ["sent"] * 3
        assert standin.counters()["accepted"] == 3


def gone(pid: int, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                return True
            os.kill(pid, 0)
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks a process up in /proc")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from replay.phones import start_standin\n"
        "with start_standin(Path(sys.argv[1])) as standin: print(standin.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(pid)


def test_the_command_serves_without_a_database_until_a_signal(tmp_path: Path) -> None:
    nowhere = {
        **os.environ,
        "SECRET_KEY": "x" * 50,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    command = [sys.executable, "manage.py", "phones", "--dir", str(tmp_path), "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, env=nowhere)
    try:
        while not (tmp_path / "ready.json").exists():
            assert server.poll() is None
            time.sleep(0.05)
        standin = Standin.at(tmp_path)
        assert standin.pid == server.pid
        assert standin.counters()["accepted"] == 0
    finally:
        server.terminate()
    assert server.wait(timeout=20) == 0
