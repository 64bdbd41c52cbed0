"""Text messages and calls from the ledger to the gateway: once each, whatever dies. Real PostgreSQL, a real stand-in."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from alerts.assessment.wording import PUSH_EN, PUSH_ZH
from alerts.models import Bulletin, OrderStatus, ResponseOrder
from foundation.clock import now
from foundation.gateway import LINES
from hydrology.models import Region
from notifications import delivery, dispatch, receipts, telephony
from notifications.models import Delivery, ReceiptState, State
from notifications.transports import gateway, sms, voice
from notifications.transports.base import Message, Transport
from officers import roster
from officers.models import Officer
from replay.switchboard import Switchboard
from tests.notifications.switchboard import first_line, rung, running_switchboard, switchboard

__all__ = ["running_switchboard", "switchboard"]  # fixtures

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
STREET = "440303001"
LATER = timedelta(seconds=31)


@pytest.fixture
def root(db: None, regions: dict[str, Region], person: Person, bulletin: Bulletins) -> Delivery:
    """A person who has been told by the app and has not answered."""
    person(regions[STREET])
    told = bulletin(STREET, push_zh="福田街道暴雨紧急，请立即到岗", push_en="Futian: emergency, go now")
    dispatch.take_up(now=now())
    return first_line(told)


def send(at: datetime | None = None) -> int:
    return telephony.send_due(clock=lambda: at or now())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines that are let go after a second and a half."""
    monkeypatch.setattr(gateway, "WITHIN_S", 1.5)
    telephony._transport.cache_clear()
    yield
    telephony._transport.cache_clear()


def transport(channel: str) -> Transport:
    there = telephony.account(channel)
    assert there is not None
    return telephony._transport(channel, there, 1000)


def number_of(row: Delivery) -> str:
    return roster.unseal(row.officer.sealed_phone)


def test_a_channel_is_there_when_it_has_a_gateway(switchboard: Switchboard, settings: Settings) -> None:
    assert telephony.configured() == {"sms", "voice"}
    settings.VOICE_ENDPOINT = ""
    assert telephony.configured() == {"sms"}


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_a_rung_reaches_the_gateway_once_with_number_and_words(
    root: Delivery, switchboard: Switchboard, channel: str
) -> None:
    row = rung(root, channel)
    assert send() == 1
    assert send() == 0
    (taken,) = switchboard.taken
    words = str(taken["text"] if channel == "sms" else taken["speech"])
    assert taken["to"] == number_of(row)
    assert words.startswith("【再次提醒】福田街道暴雨紧急，请立即到岗")
    row.refresh_from_db()
    assert (row.state, row.attempts, row.reason) == (State.SENT, 1, "")
    assert row.sent_at is not None


def test_who_reads_english_is_told_in_english(root: Delivery, switchboard: Switchboard) -> None:
    Officer.objects.filter(pk=root.officer_id).update(language="en")
    rung(root, "voice")
    send()
    assert str(switchboard.taken[0]["speech"]).startswith("[Reminder] Futian")
    assert switchboard.taken[0]["language"] == "en-GB"


def test_the_number_is_in_no_log(
    root: Delivery, switchboard: Switchboard, caplog: pytest.LogCaptureFixture
) -> None:
    row = rung(root, "sms")
    with caplog.at_level(logging.DEBUG):
        send()
    assert "unsealed=1" in caplog.text
    assert number_of(row)[-8:] not in caplog.text


def test_pushes_and_calls_are_claimed_apart(root: Delivery, switchboard: Switchboard) -> None:
    call = rung(root, "voice")
    assert [one.id for one in delivery.claim(now())] == [root.pk]
    assert [one.id for one in telephony.claim("voice", now(), here=True)] == [call.pk]
    assert telephony.claim("sms", now(), here=True) == []


def test_a_sender_killed_after_sending_sends_again_under_the_same_id_and_nobody_is_rung_twice(
    root: Delivery, switchboard: Switchboard
) -> None:
    call = rung(root, "voice")
    at = now()
    shift = telephony._Shift("voice", clock=lambda: at)
    with closing(transport("voice").stream()) as stream:
        shift._take_on(stream, 1)
        while stream.waiting:
            stream.landed(1.0)  # and here it dies, before the ledger knows
    assert send(at + timedelta(seconds=29)) == 0
    assert send(at + LATER) == 1
    assert [(one["id"], one["posts"]) for one in switchboard.taken] == [
        (telephony.message_id("voice", call.pk), 2)
    ]
    call.refresh_from_db()
    assert (call.state, call.attempts) == (State.SENT, 2)


def test_a_sender_that_lost_its_lease_writes_nothing(root: Delivery, switchboard: Switchboard) -> None:
    call = rung(root, "voice")
    at = now()
    slow = telephony.claim("voice", at, here=True)
    assert send(at + LATER) == 1
    telephony.settle("voice", [(one, None) for one in slow], at + LATER)
    call.refresh_from_db()
    assert call.state == State.SENT


def test_an_answer_lost_on_the_way_is_no_second_call(
    root: Delivery, switchboard: Switchboard, impatient: None
) -> None:
    switchboard.misbehave({"lost_share": 1.0})
    call = rung(root, "voice")
    send()
    call.refresh_from_db()
    assert (call.state, call.reason) == (State.FAILED_TEMP, "TIMEOUT")
    switchboard.misbehave({}, only=True)
    send(call.due_at)
    call.refresh_from_db()
    assert call.state == State.SENT
    assert [one["posts"] for one in switchboard.taken] == [2]


def test_the_gravest_is_called_first(
    root: Delivery, switchboard: Switchboard, regions: dict[str, Region], bulletin: Bulletins, person: Person
) -> None:
    grave = bulletin("440303002", urgency=4)
    person(regions["440303002"])
    dispatch.take_up(now=now())
    earlier, graver = rung(root, "voice"), rung(first_line(grave), "voice")
    claimed = [telephony.claim("voice", now(), here=True, most=1)[0].id for _ in range(2)]
    assert claimed == [graver.pk, earlier.pk]


def test_one_line_that_hangs_holds_up_no_other(
    root: Delivery, switchboard: Switchboard, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    """More rungs than lines, one never answered: all others are in the ledger while it is still out."""
    rows = [rung(root, "voice") for _ in range(2 * LINES)]
    switchboard.misbehave({"silent_ids": [telephony.message_id("voice", rows[0].pk)]})
    with caplog.at_level(logging.INFO, "notifications.telephony"):
        assert send() == len(rows)
    states = Counter(Delivery.objects.filter(root=root).values_list("state", flat=True))
    assert states == {State.SENT: len(rows) - 1, State.FAILED_TEMP: 1}
    assert "n=1 unsealed=1 sent=0" in caplog.messages[-1]


def test_a_shift_that_ends_calls_the_next(
    root: Delivery, switchboard: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    nudged: list[str] = []
    monkeypatch.setattr(telephony, "nudge", nudged.append)
    rung(root, "voice")
    assert send() == 1
    assert nudged == []
    monkeypatch.setattr(telephony, "SHIFT_S", 0.0)
    rung(root, "voice")
    assert send() == 0
    assert nudged == ["delivery.telephone"] * len(telephony.CHANNELS)


def test_every_rung_is_a_call_of_its_own(root: Delivery, switchboard: Switchboard) -> None:
    rung(root, "voice")
    send()
    rung(root, "voice")
    send()
    assert len({one["id"] for one in switchboard.taken}) == 2


@pytest.mark.parametrize("state", [ReceiptState.CONFIRMED, ReceiptState.CANNOT])
def test_who_has_answered_is_not_called_any_more(
    root: Delivery, switchboard: Switchboard, state: ReceiptState
) -> None:
    receipts.take(root.officer_id, [receipts.Answer(root.pk, state, now())], source="http", now=now())
    call = rung(root, "voice")  # the ladder had not seen it yet
    send()
    assert switchboard.taken == []
    call.refresh_from_db()
    assert (call.state, call.reason) == (State.FAILED_PERM, "answered")


def test_an_expired_message_is_never_sent(root: Delivery, switchboard: Switchboard) -> None:
    row = rung(root, "sms")
    send(root.dispatch.expires_at)
    assert switchboard.taken == []
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.FAILED_PERM, "expired")


def test_nobody_is_called_to_an_order_that_is_over(
    root: Delivery, switchboard: Switchboard, regions: dict[str, Region], bulletin: Bulletins, person: Person
) -> None:
    order = ResponseOrder.objects.create(
        hazard="rainstorm", level=2, authority=regions["440303"], areas=[STREET], duties=["flood"], title_zh="x",
        title_en="x", text_zh="x", text_en="x", status=OrderStatus.DRAFT,
        drafted_by=person(regions["440303"]), created_at=now(), valid_until=now() + timedelta(hours=1),
    )  # fmt: skip
    told = bulletin(STREET, order=order)
    dispatch.take_up(now=now())
    ResponseOrder.objects.update(status=OrderStatus.WITHDRAWN)
    row = rung(first_line(told), "voice")
    send()
    assert switchboard.taken == []
    row.refresh_from_db()
    assert row.reason == "over"


def test_invented_people_are_called_on_this_machine_only(root: Delivery, switchboard: Switchboard) -> None:
    Officer.objects.filter(pk=root.officer_id).update(synthetic=True)
    rung(root, "sms")
    (one,) = telephony.claim("sms", now(), here=False)
    assert one.why == "synthetic_number"
    send(now() + LATER)
    assert len(switchboard.taken) == 1


def test_without_a_gateway_it_waits_visibly_and_goes_when_there_is_one(
    root: Delivery, switchboard: Switchboard, settings: Settings
) -> None:
    row, there = rung(root, "sms"), settings.SMS_ENDPOINT
    settings.SMS_ENDPOINT = ""
    send()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.FAILED_TEMP, "sms_not_configured")
    settings.SMS_ENDPOINT = there
    assert send() == 0
    assert send(row.due_at) == 1
    row.refresh_from_db()
    assert row.state == State.SENT


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        ({"down": True, "retry_after_s": 40}, State.FAILED_TEMP, "503 unavailable"),
        ({"quota_share": 1.0, "retry_after_s": 40}, State.FAILED_TEMP, "429 too_many"),
        ({"unknown_share": 1.0}, State.FAILED_PERM, "no_such_number"),
    ],
)
def test_what_the_gateway_says_decides_whether_it_goes_again(
    root: Delivery, switchboard: Switchboard, fault: dict[str, object], state: State, reason: str
) -> None:
    switchboard.misbehave(fault)
    row, at = rung(root, "sms"), now()
    send(at)
    row.refresh_from_db()
    assert (row.state, row.reason) == (state, reason)
    if state is State.FAILED_TEMP:
        assert row.due_at >= at + timedelta(seconds=40)


def test_a_wrong_secret_is_mended_and_loses_nobody(
    root: Delivery, switchboard: Switchboard, settings: Settings
) -> None:
    row, secret = rung(root, "sms"), settings.SMS_SECRET
    settings.SMS_SECRET = "another"
    send()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.FAILED_TEMP, "401 bad_signature")
    settings.SMS_SECRET = secret
    send(row.due_at)
    row.refresh_from_db()
    assert row.state == State.SENT


def test_a_gateway_that_is_away_does_not_hold_up_the_other_channel(
    root: Delivery, switchboard: Switchboard, settings: Settings
) -> None:
    settings.SMS_ENDPOINT = "http://127.0.0.1:9/sms"  # nobody listens there
    text, call = rung(root, "sms"), rung(root, "voice")
    send()
    text.refresh_from_db()
    call.refresh_from_db()
    assert (text.state, text.reason.split()[0]) == (State.FAILED_TEMP, "CONNECTION")
    assert call.state == State.SENT


def test_a_channel_that_fails_does_not_stop_the_other(
    root: Delivery, switchboard: Switchboard, settings: Settings
) -> None:
    settings.SMPP_HOST = "127.0.0.1"  # and nobody has bound to it
    rung(root, "sms")
    call = rung(root, "voice")
    with pytest.raises(AssertionError, match="keep_bound"):
        send()
    call.refresh_from_db()
    assert call.state == State.SENT


def test_ids_belong_to_one_channel_and_cannot_be_guessed(root: Delivery) -> None:
    call = rung(root, "voice")
    named = telephony.message_id("voice", call.pk)
    assert telephony.delivery_of("voice", named) == call.pk
    assert telephony.delivery_of("sms", named) is None
    assert telephony.delivery_of("voice", f"{call.pk + 1}-{named.split('-')[1]}") is None


def message(body: str, **fields: Any) -> Message:
    return Message(
        id="1", title="t", body=body, level="alert", kind="warning", ref="", expires_at=now(), critical=True,
        **{"drill": False, "asks": True} | fields,
    )  # fmt: skip


@given(
    body=st.text("暴雨请立即到岗演练，。abc 12", min_size=1, max_size=170),
    lead=st.sampled_from(["", "【再次提醒】请立即确认。"]),
    language=st.sampled_from(["zh", "en"]),
    drill=st.booleans(),
    asks=st.booleans(),
)
def test_a_text_message_has_room_for_its_signature_says_drill_and_how_to_answer(
    body: str, lead: str, language: str, drill: bool, asks: bool
) -> None:
    said = message(body, lead=lead, language=language, drill=drill, asks=asks)
    text = sms.text(said)
    most = 70 if language == "zh" else 306 if text.isascii() else 134
    assert len(text) <= most - sms.SIGNATURE_CHARS
    assert text.endswith((sms.REPLY_ZH, sms.REPLY_EN)) is asks
    if drill and "演练" not in body:
        assert "【演练】" in text or "[DRILL]" in text
    assert bool(voice.fields(said)["keys"]) is asks


def test_what_is_to_be_done_is_never_cut_off() -> None:
    """A push has 50 汉字 at most and ends with what is to be done; why it comes again gives way."""
    words, lead = "雨" * (PUSH_ZH - 7) + "请立即到岗巡查", "【再次提醒】请立即确认。"
    assert sms.text(message(words, lead=lead)) == words + sms.REPLY_ZH
    assert sms.text(message("请立即到岗巡查", lead=lead)) == f"{lead}请立即到岗巡查{sms.REPLY_ZH}"
    letters = "r" * (PUSH_EN - 3) + "go."
    assert sms.text(message(letters, language="en")) == letters + sms.REPLY_EN
    assert voice.fields(message(words, lead=lead))["speech"] == lead + words
