"""Huawei, Apple and JPush against their stand-ins: real sockets, TLS and HTTP/2, every error in the vendors' tables."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.transports import apns, huawei, jpush
from notifications.transports.base import NOT_BEGUN, Message, Outcome, OutcomeKind, cut
from notifications.transports.carrier import Bearer, BulkTransport, NoBearer
from notifications.transports.courier import Answer
from replay.phones import Standin
from replay.vendors import apns as apple_desk
from replay.vendors import huawei as huawei_desk
from replay.vendors import jpush as jpush_desk
from tests.notifications import messages
from tests.notifications.messages import NOW

MESSAGE = replace(messages.MESSAGE, data={"requires": "confirm"}, thread="storm/7")
push = partial(messages.push, message=MESSAGE)
DEAD, NEVER, LATER = OutcomeKind.DEAD_TOKEN, OutcomeKind.PERMANENT, OutcomeKind.TEMPORARY
SENT = OutcomeKind.SENT

# what each code of the vendors' own tables means to us; the stand-ins hold the same tables with status and words
MEANS: dict[str, dict[str, OutcomeKind]] = {
    "huawei": {
        "80100000": DEAD,
        "80100001": NEVER,
        "80100003": NEVER,
        "80100004": NEVER,
        "80100013": NEVER,
        "80100016": NEVER,
        "80100017": LATER,
        "80100018": NEVER,
        "80200001": LATER,
        "80200003": LATER,
        "80200005": LATER,
        "80300002": LATER,
        "80300007": DEAD,
        "80300008": NEVER,
        "80300010": NEVER,
        "80300011": LATER,
        "80300013": LATER,
        "80600003": LATER,
        "81000001": LATER,
    },
    "apns": {
        "BadCollapseId": NEVER,
        "BadDeviceToken": DEAD,
        "BadExpirationDate": NEVER,
        "BadMessageId": NEVER,
        "BadPriority": NEVER,
        "BadTopic": LATER,
        "DeviceTokenNotForTopic": NEVER,
        "DuplicateHeaders": NEVER,
        "IdleTimeout": LATER,
        "InvalidPushType": NEVER,
        "MissingDeviceToken": DEAD,
        "MissingTopic": LATER,
        "PayloadEmpty": NEVER,
        "TopicDisallowed": LATER,
        "BadCertificate": LATER,
        "BadCertificateEnvironment": LATER,
        "BadEnvironmentKeyIdInToken": LATER,
        "ExpiredProviderToken": LATER,
        "Forbidden": LATER,
        "InvalidProviderToken": LATER,
        "MissingProviderToken": LATER,
        "UnrelatedKeyIdInToken": LATER,
        "BadPath": LATER,
        "MethodNotAllowed": LATER,
        "ExpiredToken": DEAD,
        "Unregistered": DEAD,
        "PayloadTooLarge": NEVER,
        "TooManyProviderTokenUpdates": LATER,
        "TooManyRequests": LATER,
        "InternalServerError": LATER,
        "ServiceUnavailable": LATER,
        "Shutdown": LATER,
    },
    "jpush": {
        "1000": LATER,
        "1001": LATER,
        "1002": NEVER,
        "1003": DEAD,
        "1004": LATER,
        "1005": NEVER,
        "1008": LATER,
        "1009": NEVER,
        "1011": DEAD,
        "1012": NEVER,
        "1020": LATER,
        "1030": LATER,
        "2002": LATER,
        "2003": LATER,
        "2004": LATER,
        "2005": LATER,
        "2006": LATER,
        "2007": LATER,
    },
}
VENDORS = sorted(MEANS)


def transport_to(standin: Standin, vendor: str, **wishes: Any) -> BulkTransport:
    there: dict[str, Any] = {
        "endpoint": standin.endpoint,
        "ca_file": standin.ca_file,
        "rate_per_s": 1e5,
        "timeout_s": 5.0,
    }
    there |= wishes
    match vendor:
        case "huawei":
            bearer = huawei.access_token(standin.endpoint, standin.app, standin.secret, standin.ca_file)
            return huawei.HuaweiTransport(standin.app, bearer, **there)
        case "apns":
            paper = standin.apns
            bearer = apns.provider_token(paper["key_file"], paper["key_id"], paper["team_id"])
            return apns.ApnsTransport(bearer, topic=paper["topic"], **there)
        case _:
            return jpush.JpushTransport(standin.app, standin.secret, **there)


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def transport(standin: Standin, vendor: str) -> Iterator[BulkTransport]:
    transport = transport_to(standin, vendor)
    yield transport
    transport.close()


def test_the_tables_of_codes_are_complete() -> None:
    assert set(MEANS["huawei"]) == set(huawei_desk.CODES) - {huawei.SUCCESS}
    assert set(MEANS["apns"]) == set(apple_desk.REASONS)
    assert set(MEANS["jpush"]) == set(jpush_desk.CODES)


def test_every_push_arrives_once_with_its_own_token_and_id(
    standin: Standin, transport: BulkTransport, vendor: str
) -> None:
    pushes = [push(key) for key in range(600)]
    outcomes = transport.send(pushes, NOW)
    assert [o.key for o in outcomes] == list(range(600))
    assert {o.kind for o in outcomes} == {SENT}
    taken = standin.accepted(limit=1000)
    assert {(item["provider"], item["token"], item["id"]) for item in taken} == {
        (vendor, p.token, p.message_id) for p in pushes
    }
    counters = standin.counters(vendor)
    assert (counters["repeated"], counters["by_provider"]) == (0, {vendor: 600})
    assert counters["http"] == {"2": 600 / transport.capabilities.batch if vendor != "jpush" else 2}


def test_the_app_gets_the_same_fields_from_every_vendor(standin: Standin, transport: BulkTransport) -> None:
    hostile = replace(MESSAGE, title='雨 "50%" \\ x', data={"id": "another", "map": 'm"1\\'})
    transport.send([push(1, message=hostile)], NOW)
    [item] = standin.accepted()
    assert (item["token"], item["id"]) == ("phone1", "b1:1")
    assert item["data"] == {name: text for name, text in hostile.fields.items() if name != "id"}


@pytest.mark.parametrize("code_vendor", VENDORS)
def test_every_documented_error_has_its_meaning(standin: Standin, code_vendor: str) -> None:
    standin.behave(code_vendor, refused_prefix="no")
    transport = transport_to(standin, code_vendor)
    mark = "" if code_vendor == "apns" else "-1"  # Apple's tokens are letters and digits
    seen: dict[str, OutcomeKind] = {}
    for n, code in enumerate(MEANS[code_vendor]):
        [outcome] = transport.send([push(n, f"no{code}{mark}")], NOW)
        assert outcome.reason == code
        seen[code] = outcome.kind
    assert seen == MEANS[code_vendor]
    assert standin.counters()["accepted"] == 0


def test_one_refused_push_does_not_touch_its_neighbours(standin: Standin, vendor: str) -> None:
    standin.behave(vendor, unregistered_prefix="gone")
    pushes = [push(1), push(2, "gone2"), push(3)]
    assert [o.kind for o in transport_to(standin, vendor).send(pushes, NOW)] == [SENT, DEAD, SENT]
    assert {item["token"] for item in standin.accepted()} == {"phone1", "phone3"}


def test_a_token_of_another_app_is_not_taken_for_dead(standin: Standin) -> None:
    """A wrong setting would otherwise retire everybody. JPush has no word of its own for it."""
    for vendor, kind in (("huawei", LATER), ("apns", NEVER)):
        standin.behave(vendor, mismatch_prefix="other")
        [outcome] = transport_to(standin, vendor).send([push(1, "other1")], NOW)
        assert outcome.kind is kind


@pytest.mark.parametrize(
    ("faults", "reasons"),
    [
        ({"down": True}, {"huawei": "UNREADABLE 502", "apns": "ServiceUnavailable", "jpush": "1030"}),
        (
            {"internal_share": 1.0},
            {"huawei": "81000001", "apns": "InternalServerError", "jpush": "1000"},
        ),
        (
            {"quota_share": 1.0},
            {"huawei": "FLOW_CONTROL", "apns": "TooManyRequests", "jpush": "2002"},
        ),
    ],
)
def test_what_may_be_mended_is_temporary(
    standin: Standin, transport: BulkTransport, vendor: str, faults: dict[str, Any], reasons: dict[str, str]
) -> None:
    standin.behave(vendor, **faults)
    [outcome] = transport.send([push(1)], NOW)
    assert (outcome.kind, outcome.reason) == (LATER, reasons[vendor])
    assert outcome.ours == ("quota_share" in faults)
    standin.behave(vendor, quota_share=1.0, retry_after_s=17)
    assert transport.send([push(2)], NOW)[0].retry_after_s == 17.0
    standin.behave(vendor)
    assert transport.send([push(1)], NOW)[0].kind is SENT


def test_a_lost_answer_and_silence_are_temporary(standin: Standin, vendor: str) -> None:
    transport = transport_to(standin, vendor, timeout_s=0.5)
    standin.behave(vendor, lost_share=1.0)
    assert transport.send([push(1)], NOW)[0].kind is LATER
    standin.behave(vendor, silent_share=1.0)
    assert transport.send([push(2)], NOW)[0].reason == "TIMEOUT"
    assert standin.counters()["accepted"] >= 1


@pytest.mark.parametrize("vendor", ["apns", "huawei"])
def test_what_has_no_turn_in_time_is_given_back_unsent(standin: Standin, vendor: str) -> None:
    at_s = 0.0
    transport = transport_to(standin, vendor, concurrency=2, clock=lambda: at_s)
    standin.behave(vendor, silent_share=1.0)
    with closing(transport), closing(transport.stream()) as stream:
        stream.add([push(key) for key in range(6)], NOW)
        at_s = transport.begin_within_s - 0.1
        assert stream.landed(0.01) == {}
        stream.add([push(6)], NOW)
        at_s = transport.begin_within_s
        given_back = stream.landed(0.01)
        assert set(given_back) == {2, 3, 4, 5}
        assert {(one.kind, one.reason, one.ours) for one in given_back.values()} == {(LATER, NOT_BEGUN, True)}
        assert stream.waiting == 3


def test_an_expired_message_is_never_sent(standin: Standin, transport: BulkTransport) -> None:
    [outcome] = transport.send([push(1, message=replace(MESSAGE, expires_at=NOW))], NOW)
    assert (outcome.kind, outcome.reason) == (NEVER, "EXPIRED")
    assert standin.counters()["accepted"] == 0


def test_a_body_too_long_for_the_lock_screen_is_cut(standin: Standin, transport: BulkTransport) -> None:
    assert transport.send([push(1, message=replace(MESSAGE, body="雨" * 500))], NOW)[0].kind is SENT


@given(st.text(max_size=200), st.integers(0, 120))
def test_what_is_cut_fits_and_is_the_beginning(text: str, columns: int) -> None:
    short = cut(text, columns)
    assert text.startswith(short)
    assert cut(short, columns) == short
    assert len(short) <= columns


def test_huaweis_bearer_is_renewed_once_for_all_who_were_refused(standin: Standin) -> None:
    transport = transport_to(standin, "huawei")
    transport.send([push(0)], NOW)
    standin.revoke()
    outcomes = transport.send([push(key) for key in range(1, 60)], NOW)
    assert {o.kind for o in outcomes} == {SENT}
    assert standin.counters("huawei")["bearers_issued"] == 2


@pytest.mark.parametrize("proofless", ["huawei", "jpush"])
def test_without_proof_everything_is_left_for_later(standin: Standin, proofless: str) -> None:
    standin.behave(proofless, refuse_assertions=True)
    outcomes = transport_to(standin, proofless).send([push(1), push(2)], NOW)
    assert {(o.kind, o.reason) for o in outcomes} == {(LATER, "CREDENTIAL")}
    assert standin.counters(proofless)["answers"] == {}


def test_apples_proof_names_key_and_team_and_is_made_once(standin: Standin) -> None:
    transport = transport_to(standin, "apns")
    transport.send([push(key) for key in range(30)], NOW)
    assert standin.counters("apns")["bearers_issued"] == 1
    signed = transport.bearer.header().rpartition(" ")[2]
    assert jwt.get_unverified_header(signed)["kid"] == standin.apns["key_id"]
    assert jwt.decode(signed, options={"verify_signature": False})["iss"] == standin.apns["team_id"]


def test_a_new_proof_that_apple_refuses_is_not_made_anew(standin: Standin) -> None:
    """Apple refuses more than one every 20 minutes; a clock that is wrong would have us make one a push."""
    standin.behave("apns", refuse_bearers=True)
    outcomes = transport_to(standin, "apns").send([push(key) for key in range(5)], NOW)
    assert {(o.kind, o.reason) for o in outcomes} == {(LATER, "ExpiredProviderToken")}
    assert standin.counters("apns")["answers"] == {"403": 5}


def test_a_bearer_is_asked_for_early_and_serves_to_its_end() -> None:
    clock, lives = [0.0], iter([100.0, 100.0])

    def ask() -> tuple[str, float]:
        life_s = next(lives, None)
        if life_s is None:
            raise NoBearer("away")
        return f"bearer {clock[0]}", life_s

    bearer = Bearer(ask, early_s=30.0, clock=lambda: clock[0])
    assert bearer.header() == "bearer 0.0"
    clock[0] = 69.0
    assert bearer.header() == "bearer 0.0"
    clock[0] = 70.0
    assert bearer.header() == "bearer 70.0"
    clock[0] = 150.0  # nobody gives a new one, the old one is good for 20 s more
    assert bearer.header() == "bearer 70.0"
    clock[0] = 170.0
    with pytest.raises(NoBearer):
        bearer.header()


@pytest.mark.parametrize(
    ("message", "level", "sound"),
    [
        (MESSAGE, "critical", {"critical": 1, "name": "default", "volume": 1.0}),
        (replace(MESSAGE, critical=False), "time-sensitive", "default"),
        (replace(MESSAGE, drill=True), "time-sensitive", "drill.caf"),
        (replace(MESSAGE, quiet=True), "passive", None),
    ],
)
def test_only_real_danger_breaks_through_a_muted_iphone(message: Message, level: str, sound: object) -> None:
    aps = apns.payload(message, "1", critical=True)["aps"]
    assert (aps["interruption-level"], aps.get("sound")) == (level, sound)
    without = apns.payload(message, "1", critical=False)["aps"]  # Apple has not granted it
    assert without["interruption-level"] == ("passive" if message.quiet else "time-sensitive")


def test_apples_headers_say_when_to_stop_and_what_it_replaces(standin: Standin) -> None:
    letter = transport_to(standin, "apns").template(MESSAGE, NOW)(push(7, tag="storm/7"))
    assert letter.path == "/3/device/phone7"
    assert set(letter.headers) == {
        f"apns-expiration: {int(MESSAGE.expires_at.timestamp())}",
        "apns-priority: 10",
        "apns-collapse-id: storm/7",
    }


def test_a_token_that_is_none_of_apples_never_becomes_an_address(standin: Standin) -> None:
    transport = transport_to(standin, "apns")
    outcomes = transport.send([push(1, "../../control?x="), push(2, "a b"), push(3)], NOW)
    assert [(o.kind, o.reason) for o in outcomes] == [
        (NEVER, "UNENCODABLE"),
        (NEVER, "UNENCODABLE"),
        (SENT, ""),
    ]


def test_huawei_gets_the_class_that_rings_on_a_locked_phone() -> None:
    android = huawei.body(MESSAGE, "t", "1", "1", 60, "WORK")["message"]["android"]
    assert (android["category"], android["ttl"], android["notification"]["importance"]) == (
        "WORK",
        "60s",
        "NORMAL",
    )
    quiet = huawei.body(replace(MESSAGE, quiet=True), "t", "1", "storm/7", 60, "WORK")["message"]["android"]
    assert "category" not in quiet
    assert (quiet["notification"]["tag"], quiet["notification"]["importance"]) == ("storm/7", "LOW")


def test_jpush_gets_the_system_class_and_the_makers_channels() -> None:
    options = jpush.payload(MESSAGE, "t", "1", "1", 60, {"xiaomi": "134567"}, True)["options"]
    assert (options["classification"], options["time_to_live"]) == (1, 60)
    assert options["third_party_channel"]["vivo"]["classification"] == 1
    assert options["third_party_channel"]["xiaomi"] == {"channel_id": "134567"}


def test_what_only_renews_goes_to_the_app_and_rings_nobody_through_jpush(standin: Standin) -> None:
    quiet = replace(MESSAGE, quiet=True)
    assert "notification" not in jpush.payload(quiet, "t", "1", "1", 60, {}, True)
    assert transport_to(standin, "jpush").send([push(1, message=quiet)], NOW)[0].kind is SENT
    [item] = standin.accepted()
    assert (item["id"], item["data"]["quiet"]) == ("b1:1", "1")


def test_a_batch_of_jpush_holds_as_many_as_allowed(standin: Standin) -> None:
    outcomes = transport_to(standin, "jpush").send([push(key) for key in range(1201)], NOW)
    assert {o.kind for o in outcomes} == {SENT}
    counters = standin.counters("jpush")
    assert (counters["answers"], counters["bearers_issued"]) == ({"200": 3}, 2)  # 2 x 1,000 cids


@pytest.mark.parametrize(("slow_s", "asked"), [(4.0, 2), (11.0, 1)])
def test_a_batch_whose_names_came_too_late_is_given_back_and_answers_are_seen_between_two(
    standin: Standin, slow_s: float, asked: int
) -> None:
    at_s = [0.0]
    transport = transport_to(standin, "jpush", timeout_s=15.0, clock=lambda: at_s[0])
    assert isinstance(transport, jpush.JpushTransport)
    more, rounds = transport._cids._more, list[float]()

    def slowly(within_s: float) -> list[str]:
        rounds.append(at_s[0])
        at_s[0] += slow_s
        return more(within_s)

    transport._cids._more = slowly  # type: ignore[method-assign]
    outcomes, asked_in_one_go = list[Outcome](), list[int]()
    with closing(transport.stream()) as flight:
        flight.add([push(key) for key in range(1500)], NOW)
        while flight.waiting:
            before = len(rounds)
            outcomes += flight.landed(1.0).values()
            asked_in_one_go.append(len(rounds) - before)
    sent = [o.kind for o in outcomes].count(SENT)
    late = [(o.reason, o.ours) for o in outcomes if o.kind is not SENT]
    assert (len(rounds), max(asked_in_one_go)) == (asked, 1)
    assert (sent, late) == ((1500, []) if asked == 2 else (0, [(NOT_BEGUN, True)] * 1500))
    assert standin.counters("jpush")["accepted"] == sent


@pytest.mark.parametrize("verdict", [huawei.verdict, apns.verdict])
@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_any_bytes_are_an_answer(
    verdict: Callable[[int, int, bytes, float | None], Outcome], status: int, body: bytes
) -> None:
    outcome = verdict(1, status, body, None)
    assert outcome.kind is LATER or (status == 200 and verdict is apns.verdict)
    assert len(outcome.reason) <= 64


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 3000) | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "message", "msg_id", "c1", "reason"]), inner)
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 599), said=json_values)
def test_any_json_is_an_answer(status: int, said: Any) -> None:
    body = orjson.dumps(said)
    outcomes = [huawei.verdict(1, status, body, None), apns.verdict(1, status, body, None)]
    batch = jpush.JpushTransport("a", "b").verdicts([1, 2], ["c1", "c2"], Answer(0, "", status, body))
    assert [o.key for o in batch] == [1, 2]
    assert all(len(o.reason) <= 64 for o in (*outcomes, *batch))
