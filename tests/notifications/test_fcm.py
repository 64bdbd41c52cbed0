"""The FCM transport against a real local FCM: real sockets, TLS and HTTP/2, every error FCM knows."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from firebase_admin import messaging
from hypothesis import given
from hypothesis import strategies as st

from notifications.transports.base import Outcome, OutcomeKind, Push, fits_lock_screen
from notifications.transports.courier import TokenBucket
from notifications.transports.fcm import FcmTransport, Template, sdk_message, verdict
from replay.phones import Standin, start_standin
from tests.fcm import sdk_app
from tests.notifications.messages import MESSAGE, NOW, push


def transport_to(standin: Standin, **wishes: Any) -> FcmTransport:
    settings = {"rate_per_s": 1e6, "timeout_s": 5.0, **wishes}
    return FcmTransport(standin.credentials, endpoint=standin.endpoint, ca_file=standin.ca_file, **settings)


@pytest.fixture
def transport(standin: Standin) -> Iterator[FcmTransport]:
    transport = transport_to(standin)
    yield transport
    transport.close()


def test_every_push_arrives_once_with_its_own_token_and_id(standin: Standin, transport: FcmTransport) -> None:
    pushes = [push(key) for key in range(2500)]
    outcomes = transport.send(pushes, NOW)
    assert [o.key for o in outcomes] == list(range(2500))
    assert {o.kind for o in outcomes} == {OutcomeKind.SENT}
    assert len({o.vendor_id for o in outcomes}) == 2500
    taken = standin.accepted(limit=5000)
    assert {(item["token"], item["id"]) for item in taken} == {(p.token, p.message_id) for p in pushes}
    assert standin.counters()["repeated"] == 0


def test_pushes_share_a_few_http2_connections(standin: Standin, transport: FcmTransport) -> None:
    transport.send([push(key) for key in range(50)], NOW)
    assert standin.counters()["http"] == {"2": 50}


def test_the_phone_gets_bulletin_drill_and_end_and_nothing_can_replace_its_id(
    standin: Standin, transport: FcmTransport
) -> None:
    message = replace(
        MESSAGE, data={"id": "another", "map": "m1"}, expires_at=datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    transport.send([push(1, message=message)], NOW)
    [item] = standin.accepted()
    assert (item["token"], item["id"]) == ("phone1", "b1:1")
    assert item["data"] == {
        "bulletin": "b1",
        "kind": "warning",
        "level": "red",
        "ref": "warnings/1",
        "drill": "false",
        "map": "m1",
        "expires_at": "2099-01-02T11:04:05+08:00",
    }


def test_a_drill_says_so_first_even_if_its_author_forgot() -> None:
    assert replace(MESSAGE, drill=True).headline == "【演练】暴雨红色预警"
    assert replace(MESSAGE, drill=True, title="[DRILL] Red rainstorm").headline == "[DRILL] Red rainstorm"
    assert MESSAGE.headline == MESSAGE.title
    encoded = Template(replace(MESSAGE, drill=True), NOW).body(push(1)).decode()
    assert "【演练】暴雨红色预警" in encoded


def test_fifty_characters_fit_a_lock_screen_and_fifty_one_do_not() -> None:
    assert fits_lock_screen("雨" * 50)
    assert not fits_lock_screen("雨" * 51)
    assert fits_lock_screen("r" * 100)
    assert not fits_lock_screen("雨" * 50 + "r")


def test_an_id_too_long_for_apple_is_refused_when_made() -> None:
    Push(1, "t", MESSAGE, "x" * 64)
    with pytest.raises(ValueError, match="64"):
        Push(1, "t", MESSAGE, "雨" * 22)


def test_every_vendor_is_told_to_stop_when_the_message_expires() -> None:
    sent_at = MESSAGE.expires_at - timedelta(seconds=90, milliseconds=-400)
    message = orjson.loads(Template(MESSAGE, sent_at).body(push(7)))["message"]
    assert message["android"]["ttl"] == "89s"
    assert message["webpush"]["headers"]["TTL"] == "89"
    assert message["apns"]["headers"]["apns-expiration"] == str(int(MESSAGE.expires_at.timestamp()))
    assert message["android"]["priority"] == "high"
    assert message["apns"]["payload"]["aps"]["interruption-level"] == "time-sensitive"


def test_an_expired_message_is_never_sent(standin: Standin, transport: FcmTransport) -> None:
    ended = replace(MESSAGE, expires_at=NOW)
    outcomes = transport.send([push(1), push(2, message=ended), push(3)], NOW)
    assert [o.kind for o in outcomes] == [OutcomeKind.SENT, OutcomeKind.PERMANENT, OutcomeKind.SENT]
    assert outcomes[1].reason == "EXPIRED"
    assert {item["token"] for item in standin.accepted()} == {"phone1", "phone3"}


texts = st.text(max_size=40)
ids = st.text(min_size=1, max_size=16)


@given(title=texts, body=texts, token=st.text(min_size=1), message_id=ids, data=st.dictionaries(ids, texts))
def test_splicing_gives_what_firebase_admin_would_have_encoded(
    title: str, body: str, token: str, message_id: str, data: dict[str, str]
) -> None:
    message = replace(MESSAGE, title=title, body=body, data=data)
    spliced = orjson.loads(Template(message, NOW).body(Push(1, token, message, message_id)))
    assert spliced == {"message": orjson.loads(str(sdk_message(message, token, message_id, NOW)))}


WORDS: list[tuple[dict[str, Any], str, str, OutcomeKind, str]] = [
    ({"unregistered_prefix": "gone"}, "gone-1", "UnregisteredError", OutcomeKind.DEAD_TOKEN, "UNREGISTERED"),
    ({}, "no token!", "InvalidArgumentError", OutcomeKind.DEAD_TOKEN, "INVALID_ARGUMENT message.token"),
    (
        {"mismatch_prefix": "other"},
        "other-1",
        "SenderIdMismatchError",
        OutcomeKind.PERMANENT,
        "SENDER_ID_MISMATCH",
    ),
    ({"quota_share": 1.0}, "phone", "QuotaExceededError", OutcomeKind.TEMPORARY, "QUOTA_EXCEEDED"),
    (
        {"refused_prefix": "apple-"},
        "apple-THIRD_PARTY_AUTH_ERROR-1",
        "ThirdPartyAuthError",
        OutcomeKind.TEMPORARY,
        "THIRD_PARTY_AUTH_ERROR",
    ),
]


@pytest.mark.parametrize(("faults", "token", "sdk_error", "kind", "reason"), WORDS)
def test_fcm_errors_mean_the_same_to_us_and_to_firebase_admin(
    standin: Standin,
    transport: FcmTransport,
    faults: dict[str, Any],
    token: str,
    sdk_error: str,
    kind: OutcomeKind,
    reason: str,
) -> None:
    standin.behave(**faults)
    [outcome] = transport.send([push(1, token)], NOW)
    assert (outcome.kind, outcome.reason) == (kind, reason)
    with sdk_app(standin) as app:
        response = messaging.send_each([sdk_message(MESSAGE, token, "b1:1", NOW)], app=app).responses[0]
    assert type(response.exception).__name__ == sdk_error
    assert standin.counters()["accepted"] == 0


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"internal_share": 1.0}, "INTERNAL"),
        ({"unavailable_share": 1.0}, "UNAVAILABLE"),
        ({"down": True}, "UNAVAILABLE"),
        ({"quota_per_s": 1, "quota_share": 1.0}, "QUOTA_EXCEEDED"),
    ],
)
def test_what_may_be_mended_is_temporary(
    standin: Standin, transport: FcmTransport, faults: dict[str, Any], reason: str
) -> None:
    standin.behave(**faults)
    [outcome] = transport.send([push(1)], NOW)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.TEMPORARY, reason)
    standin.behave()
    [outcome] = transport.send([push(1)], NOW)
    assert outcome.kind is OutcomeKind.SENT


@pytest.mark.parametrize("fault", ["quota_share", "unavailable_share"])
def test_the_vendors_wish_to_wait_is_handed_on(standin: Standin, transport: FcmTransport, fault: str) -> None:
    standin.behave(**{fault: 1.0}, retry_after_s=17)
    assert transport.send([push(1)], NOW)[0].retry_after_s == 17.0


def test_without_retry_after_a_quota_waits_a_minute_and_an_outage_says_nothing(
    standin: Standin, transport: FcmTransport
) -> None:
    standin.behave(quota_share=1.0)
    assert transport.send([push(1)], NOW)[0].retry_after_s == 60.0
    standin.behave(unavailable_share=1.0)
    assert transport.send([push(1)], NOW)[0].retry_after_s is None


def test_a_bearer_gone_stale_is_renewed_once_for_all_who_were_refused(
    standin: Standin, transport: FcmTransport
) -> None:
    transport.send([push(0)], NOW)
    issued = standin.counters()["bearers_issued"]
    standin.revoke()
    outcomes = transport.send([push(key) for key in range(1, 300)], NOW)
    assert {o.kind for o in outcomes} == {OutcomeKind.SENT}
    counters = standin.counters()
    assert counters["bearers_issued"] == issued + 1
    assert (counters["accepted"], counters["repeated"]) == (300, 0)
    assert counters["answers"]["401"] > 0


def test_a_bearer_refused_twice_is_left_for_later(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(refuse_bearers=True)
    outcomes = transport.send([push(key) for key in range(100)], NOW)
    assert {(o.kind, o.reason) for o in outcomes} == {(OutcomeKind.TEMPORARY, "UNAUTHENTICATED")}
    assert standin.counters()["answers"] == {"401": 200}
    assert standin.counters()["bearers_issued"] == 2


def test_a_bearer_near_its_end_is_renewed_before_it_is_refused(standin: Standin) -> None:
    standin.behave(bearer_life_s=60)  # google-auth calls the last 225 s stale
    transport = transport_to(standin)
    for key in range(3):
        assert transport.send([push(key)], NOW)[0].kind is OutcomeKind.SENT
    assert standin.counters()["bearers_issued"] == 3
    assert standin.counters()["answers"] == {"200": 3}


def test_a_stale_bearer_still_serves_while_google_gives_no_new_one(standin: Standin) -> None:
    standin.behave(bearer_life_s=60)
    transport = transport_to(standin)
    transport.send([push(1)], NOW)
    standin.behave(refuse_assertions=True)
    assert transport.send([push(2)], NOW)[0].kind is OutcomeKind.SENT


def test_no_credential_leaves_every_push_for_later(standin: Standin, tmp_path: Path) -> None:
    account = orjson.loads(Path(standin.credentials).read_bytes())
    stranger = tmp_path / "stranger.json"
    stranger.write_bytes(orjson.dumps({**account, "client_email": "nobody@example.org"}))
    transport = FcmTransport(str(stranger), endpoint=standin.endpoint, ca_file=standin.ca_file)
    outcomes = transport.send([push(1), push(2)], NOW)
    assert {(o.kind, o.reason) for o in outcomes} == {(OutcomeKind.TEMPORARY, "CREDENTIAL")}
    assert standin.counters()["answers"] == {}


def test_nobody_listening_is_temporary(standin: Standin) -> None:
    transport = FcmTransport(standin.credentials, endpoint="https://127.0.0.1:1", ca_file=standin.ca_file)
    [outcome] = transport.send([push(1)], NOW)
    assert outcome.kind is OutcomeKind.TEMPORARY
    assert outcome.reason.startswith("CONNECTION")


def test_a_server_that_is_not_googles_gets_no_push(standin: Standin, tmp_path: Path) -> None:
    with start_standin(tmp_path) as impostor:
        transport = FcmTransport(standin.credentials, endpoint=impostor.endpoint, ca_file=standin.ca_file)
        [outcome] = transport.send([push(1)], NOW)
        assert outcome.kind is OutcomeKind.TEMPORARY
        assert impostor.counters()["http"] == {}


def test_a_broken_answer_is_temporary(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(broken_share=1.0)
    outcomes = transport.send([push(key) for key in range(20)], NOW)
    assert {o.kind for o in outcomes} == {OutcomeKind.TEMPORARY}
    assert standin.counters()["accepted"] == 0


def test_a_lost_answer_is_tried_again_under_the_same_id(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(lost_share=1.0)
    assert transport.send([push(1)], NOW)[0].kind is OutcomeKind.TEMPORARY
    standin.behave()
    assert transport.send([push(1)], NOW)[0].kind is OutcomeKind.SENT
    assert standin.repeats() == [{"token": "phone1", "id": "b1:1", "times": 2}]


def test_silence_ends_with_the_time_out(standin: Standin) -> None:
    transport = transport_to(standin, timeout_s=0.5)
    standin.behave(silent_share=1.0)
    outcomes = transport.send([push(key) for key in range(20)], NOW)
    assert {(o.kind, o.reason) for o in outcomes} == {(OutcomeKind.TEMPORARY, "TIMEOUT")}
    standin.behave()
    assert transport.send([push(1)], NOW)[0].kind is OutcomeKind.SENT


def test_connections_cut_in_flight_lose_no_push(standin: Standin) -> None:
    transport, pushes = transport_to(standin, timeout_s=20.0), [push(key) for key in range(50)]
    standin.behave(latency_ms=10_000)
    outcomes: list[Outcome] = []
    sender = threading.Thread(target=lambda: outcomes.extend(transport.send(pushes, NOW)))
    sender.start()
    while standin.counters()["accepted"] < 50:
        assert sender.is_alive()
    standin.cut()
    standin.behave()
    sender.join()
    later = [o.key for o in outcomes if o.kind is OutcomeKind.TEMPORARY]
    again = [o.key for o in outcomes if o.kind is OutcomeKind.SENT]  # libcurl itself has asked anew
    assert sorted(later + again) == list(range(50))
    assert standin.counters()["repeated"] == len(again)
    assert {o.kind for o in transport.send([pushes[key] for key in later], NOW)} <= {OutcomeKind.SENT}
    assert standin.counters()["distinct"] == 50


def test_one_bad_message_does_not_hold_up_the_others(standin: Standin, transport: FcmTransport) -> None:
    reserved = replace(MESSAGE, id="b2", data={"from": "x"})
    endless = replace(MESSAGE, id="b3", data={"map": "x" * 5000})
    wordless = replace(MESSAGE, id="b4", data={"count": 3})  # type: ignore[dict-item]
    outcomes = transport.send(
        [push(1, message=reserved), push(2, message=endless), push(3, message=wordless), push(4)], NOW
    )
    assert [(o.kind, o.reason) for o in outcomes] == [
        (OutcomeKind.PERMANENT, "INVALID_ARGUMENT message.data.from"),
        (OutcomeKind.PERMANENT, "INVALID_ARGUMENT message"),
        (OutcomeKind.PERMANENT, "UNENCODABLE"),
        (OutcomeKind.SENT, ""),
    ]


def test_the_order_of_sending_changes_nothing(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(
        unregistered_share=0.1, quota_share=0.1, unavailable_share=0.1, broken_share=0.1, lost_share=0.1
    )
    pushes = [push(key) for key in range(400)]

    def meet(order: list[Push]) -> dict[int, tuple[OutcomeKind, str]]:
        standin.forget()
        return {o.key: (o.kind, o.reason) for o in transport.send(order, NOW)}

    forwards = meet(pushes)
    assert forwards == meet(pushes[::-1]) == meet(pushes[200:] + pushes[:200])
    assert set(Counter(kind for kind, _ in forwards.values())) == {
        OutcomeKind.SENT,
        OutcomeKind.TEMPORARY,
        OutcomeKind.DEAD_TOKEN,
    }


def test_retries_under_faults_reach_every_living_phone(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(unregistered_share=0.1, unavailable_share=0.2, internal_share=0.1, broken_share=0.1)
    waiting, ends = [push(key) for key in range(500)], Counter[OutcomeKind]()
    while waiting:
        outcomes = {o.key: o.kind for o in transport.send(waiting, NOW)}
        ends.update(kind for kind in outcomes.values() if kind is not OutcomeKind.TEMPORARY)
        waiting = [p for p in waiting if outcomes[p.key] is OutcomeKind.TEMPORARY]
    counters = standin.counters()
    assert ends[OutcomeKind.SENT] + ends[OutcomeKind.DEAD_TOKEN] == 500
    assert ends[OutcomeKind.DEAD_TOKEN] > 0
    assert (counters["accepted"], counters["repeated"]) == (ends[OutcomeKind.SENT], 0)


def test_threads_share_one_transport(standin: Standin, transport: FcmTransport) -> None:
    kinds: list[OutcomeKind] = []

    def send(first: int) -> None:
        kinds.extend(o.kind for o in transport.send([push(first + n) for n in range(300)], NOW))

    threads = [threading.Thread(target=send, args=(n * 300,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == [OutcomeKind.SENT] * 1200
    counters = standin.counters()
    assert (counters["accepted"], counters["distinct"], counters["bearers_issued"]) == (1200, 1200, 1)


@given(
    rate=st.floats(1, 1e5),
    looks=st.lists(st.tuples(st.integers(0, 500_000), st.floats(-1, 20)), max_size=50),
)
def test_no_minute_sees_more_than_the_quota_of_a_minute(rate: float, looks: list[tuple[int, float]]) -> None:
    bucket, at_s, furthest_s = TokenBucket(rate), 0.0, 0.0
    bucket.grant(0, 0.0)
    given: list[tuple[float, int]] = []
    for wanted, step_s in looks:
        at_s += step_s
        furthest_s = max(furthest_s, at_s)
        granted = bucket.grant(wanted, at_s)
        assert 0 <= granted <= wanted
        given.append((furthest_s, granted))
        minute = sum(count for when, count in given if when > furthest_s - 60)
        assert minute <= 60 * rate * (1 + 1e-9)


def test_a_burst_goes_at_once_and_the_rest_at_what_is_left_of_the_minute() -> None:
    bucket = TokenBucket(100)
    assert bucket.grant(1000, 0.0) == 500
    assert bucket.grant(1000, 0.0) == 0
    assert bucket.grant(1000, 1.2) == 110
    assert bucket.grant(1000, 60.0) == 500


def test_the_transport_sends_no_faster_than_its_rate(standin: Standin) -> None:
    looks: list[float] = []

    def clock() -> float:  # a tenth of a second passes whenever the transport looks
        looks.append(len(looks) / 10)
        return looks[-1]

    transport = transport_to(standin, rate_per_s=50.0, clock=clock)
    outcomes = transport.send([push(key) for key in range(500)], NOW)
    assert {o.kind for o in outcomes} == {OutcomeKind.SENT}
    assert looks[-1] >= (500 - 5 * 50) / 50.0


@given(status=st.integers(100, 599), body=st.binary(max_size=200), retry=st.none() | st.floats(0, 1e6))
def test_any_bytes_are_an_answer(status: int, body: bytes, retry: float | None) -> None:
    outcome = verdict(1, status, body, retry)
    assert outcome.kind is OutcomeKind.TEMPORARY
    assert len(outcome.reason) <= 64


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "status", "details", "errorCode", "fieldViolations", "field"]), inner
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(400, 599), error=json_values)
def test_any_json_is_an_answer(status: int, error: Any) -> None:
    outcome = verdict(1, status, orjson.dumps({"error": error}), None)
    assert outcome.kind is not OutcomeKind.SENT
    assert 0 < len(outcome.reason) <= 64


def test_a_push_that_is_never_answered_holds_up_nobody(standin: Standin, transport: FcmTransport) -> None:
    standin.behave(silent_share=1.0)
    with closing(transport.stream()) as stream:
        stream.add([push(0)], NOW)
        for _ in range(5):
            assert stream.landed(0.2) == {}
        standin.behave()
        stream.add([push(key) for key in range(1, 51)], NOW)
        landed: dict[int, Outcome] = {}
        while len(landed) < 50:
            landed |= stream.landed(0.2)
        assert set(landed) == set(range(1, 51))
        assert {outcome.kind for outcome in landed.values()} == {OutcomeKind.SENT}
        assert stream.waiting == 1  # the unanswered one, still out
