"""Text messages by SMPP against a local centre: real TCP, real frames, receipts and replies into the ledger."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from alerts.models import Bulletin, Requires
from backend.children import die_with_parent
from foundation.clock import now
from foundation.gateway import LINES
from hydrology.models import Region
from notifications import centre, dispatch, telephony
from notifications.models import UNSENT, Delivery, State
from notifications.transports import smpp
from notifications.transports.base import Message, Outcome, OutcomeKind, Push
from notifications.transports.smpp import Centre, Heard, SmppCommandStatus, SmppTransport
from officers import roster
from officers.models import Officer
from replay.smsc import Smsc, run_smsc
from tests.hydrology.factories import make_regions
from tests.notifications import messages
from tests.notifications.messages import NOW
from tests.notifications.switchboard import first_line, rung

MESSAGE = replace(messages.MESSAGE, title="暴雨", body="福田街道暴雨紧急，请立即到岗", asks=True)
STREET = "440303001"
DEAD, NEVER, LATER = OutcomeKind.DEAD_TOKEN, OutcomeKind.PERMANENT, OutcomeKind.TEMPORARY
MEANS = {  # SMPP 3.4, 5.1.3; whatever else a centre says may be mended
    "ESME_RINVDSTADR": DEAD,
    "ESME_RINVMSGLEN": NEVER,
    "ESME_RINVDSTTON": NEVER,
    "ESME_RINVDSTNPI": NEVER,
    "ESME_RINVEXPIRY": NEVER,
    "ESME_RX_P_APPN": NEVER,
    "ESME_RINVPARLEN": NEVER,
    "ESME_RINVOPTPARAMVAL": NEVER,
}

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]


def push(key: int, message: Message = MESSAGE) -> Push:
    return Push(key, f"+86138{key:08d}", message, f"{key}-x")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Smsc, Centre, list[Heard]]]:
    """A centre and a bound session; what the session hears is kept."""
    heard: list[Heard] = []

    def hear(said: list[Heard]) -> list[Heard]:
        heard.extend(said)
        return []

    with run_smsc() as smsc:
        there = Centre("127.0.0.1", smsc.port, "duty", "secret", "10690001", here=True)
        session = smpp.session(there, hear)
        assert session is not None
        until(lambda: smsc.binds > 0)
        yield smsc, there, heard
        session.close()


def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    give_up_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


@pytest.fixture
def smsc(running: tuple[Smsc, Centre, list[Heard]]) -> Smsc:
    running[0].misbehave()
    running[0].forget()
    running[2].clear()
    return running[0]


@pytest.fixture
def transport(running: tuple[Smsc, Centre, list[Heard]], smsc: Smsc) -> SmppTransport:
    session = smpp.session(running[1])
    assert session is not None
    return SmppTransport(session, "10690001", rate_per_s=1000, answer_s=8.0)


def test_every_text_arrives_whole_with_the_centres_name_for_it(smsc: Smsc, transport: SmppTransport) -> None:
    outcomes = transport.send([push(key) for key in range(40)], NOW)
    assert {o.kind for o in outcomes} == {OutcomeKind.SENT}
    by_id = {one["id"]: one for one in smsc.taken}
    assert {by_id[o.vendor_id]["to"] for o in outcomes} == {push(key).token[1:] for key in range(40)}
    first = smsc.taken[0]
    assert (first["from"], first["encoding"], first["payload"]) == ("10690001", "ucs2", False)
    assert first["text"].startswith("福田街道暴雨紧急，请立即到岗")
    assert first["text"].endswith("回复1确认，9不能到岗")


def test_a_long_text_is_one_message_with_one_id(smsc: Smsc, transport: SmppTransport) -> None:
    english = replace(MESSAGE, language="en", body="Futian: red rainstorm – go to your post. " * 3)
    [outcome] = transport.send([push(1, english)], NOW)
    assert outcome.kind is OutcomeKind.SENT
    [taken] = smsc.taken
    assert taken["payload"]
    assert len(taken["text"]) > 70


def test_the_centre_is_told_to_stop_when_the_message_expires() -> None:
    message = smpp.submit_sm(push(1), "1069", NOW, "n1")
    assert message.validity_period == timedelta(hours=1)
    assert message.registered_delivery == 1


@pytest.mark.parametrize("status", [one.name for one in SmppCommandStatus if one.value])
def test_every_status_of_the_standard_has_its_meaning(status: str) -> None:
    outcome = smpp.verdict(1, SmppCommandStatus[status], "")
    assert outcome.kind is MEANS.get(status, LATER)
    assert outcome.reason == status.removeprefix("ESME_")
    assert outcome.ours == (status in {"ESME_RTHROTTLED", "ESME_RMSGQFUL"})


@pytest.mark.parametrize("status", ["ESME_RTHROTTLED", "ESME_RINVDSTADR", "ESME_RSYSERR"])
def test_a_refusal_comes_back_from_the_wire(smsc: Smsc, transport: SmppTransport, status: str) -> None:
    smsc.misbehave(status=status)
    [outcome] = transport.send([push(1)], NOW)
    assert (outcome.kind, outcome.reason) == (MEANS.get(status, LATER), status.removeprefix("ESME_"))


def test_silence_ends_with_the_time_out_and_a_late_answer_means_nothing(
    smsc: Smsc, transport: SmppTransport
) -> None:
    smsc.misbehave(silent=True)
    transport.answer_s = 0.5
    [outcome] = transport.send([push(1)], NOW)
    assert (outcome.kind, outcome.reason) == (LATER, "TIMEOUT")
    smsc.misbehave()
    transport.answer_s = 8.0
    assert transport.send([push(2)], NOW)[0].kind is OutcomeKind.SENT


def test_a_session_that_is_cut_binds_again_and_nothing_stale_is_sent(
    smsc: Smsc, transport: SmppTransport
) -> None:
    binds = smsc.binds
    smsc.misbehave(refuse_bind=True)
    smsc.cut()
    transport.answer_s = 0.5
    outcomes: list[Outcome] = transport.send([push(1)], NOW)
    assert outcomes[0].kind is LATER
    smsc.misbehave()
    until(lambda: smsc.binds > binds)
    transport.answer_s = 8.0
    assert transport.send([push(2)], NOW)[0].kind is OutcomeKind.SENT
    assert push(1).token[1:] not in {one["to"] for one in smsc.taken}


def test_a_receipt_and_a_reply_are_heard_once_acknowledged(
    running: tuple[Smsc, Centre, list[Heard]], smsc: Smsc, transport: SmppTransport
) -> None:
    [outcome] = transport.send([push(1)], NOW)
    smsc.reply("8613800000001", " １ ")
    until(lambda: smsc.unsaid == 0)
    assert set(running[2]) >= {
        Heard(outcome.vendor_id, "", "DELIVRD"),
        Heard("", "8613800000001", " １ "),
    }


@pytest.fixture
def there(running: tuple[Smsc, Centre, list[Heard]], smsc: Smsc, settings: Settings) -> Centre:
    """The centre, well behaved, in the settings."""
    there = running[1]
    settings.SMPP_HOST, settings.SMPP_PORT = there.host, there.port
    settings.SMPP_SYSTEM_ID, settings.SMPP_PASSWORD = there.system_id, there.password
    settings.SMPP_SOURCE, settings.SMPP_STANDIN = there.source, True
    settings.SMS_RATE_PER_S = 1000
    return there


@pytest.fixture
def told(there: Centre, regions: dict[str, Region], person: Person, bulletin: Bulletins) -> Delivery:
    """A person's text message on its way through the centre, the root of it unanswered."""
    person(regions[STREET])
    words = bulletin(STREET, requires=Requires.CONFIRM, push_zh="请立即到岗", push_en="Go now")
    dispatch.take_up(now=now())
    row = rung(first_line(words), "sms")
    assert telephony.send_due(clock=now) == 1
    row.refresh_from_db()
    return row


def phone(row: Delivery) -> str:
    return roster.unseal(row.officer.sealed_phone)


def test_the_ledger_sends_by_the_centre_and_keeps_its_name(told: Delivery, smsc: Smsc) -> None:
    assert told.state == State.SENT
    assert told.vendor_id == smsc.taken[0]["id"]
    assert smsc.taken[0]["to"] == phone(told)[1:]


def test_a_receipt_moves_the_line_it_speaks_of(told: Delivery) -> None:
    assert centre.place([Heard(told.vendor_id, "", "DELIVRD")], now()) == []
    told.refresh_from_db()
    assert (told.state, told.delivered_at is not None) == (State.DELIVERED, True)
    centre.place([Heard(told.vendor_id, "", "UNDELIV")], now())  # late and wrong: nothing moves back
    told.refresh_from_db()
    assert told.state == State.DELIVERED


def test_what_never_arrived_says_why(told: Delivery) -> None:
    centre.place([Heard(told.vendor_id, "", "REJECTD"), Heard(told.vendor_id, "", "ENROUTE")], now())
    centre.place([Heard(told.vendor_id, "", "REJECTD")], now())
    told.refresh_from_db()
    assert (told.state, told.reason) == (State.FAILED_PERM, "failed rejectd")


def test_a_receipt_of_a_message_not_in_the_ledger_yet_is_given_back(told: Delivery) -> None:
    early = Heard("0badcafe", "", "DELIVRD")
    assert centre.place([early], now()) == [early]


@pytest.mark.parametrize("shape", ["{plus}", "{bare}", "{local}"])
def test_a_reply_confirms_the_first_message_of_whoever_sends_it(told: Delivery, shape: str) -> None:
    number = phone(told)
    written = shape.format(plus=number, bare=number[1:], local=number[3:])
    assert centre.place([Heard("", written, "１")], now()) == []
    assert told.root is not None
    told.root.refresh_from_db()
    assert told.root.state == State.CONFIRMED


def test_a_strangers_reply_or_one_a_day_late_means_nothing(told: Delivery) -> None:
    centre.place([Heard("", "8613900009999", "1"), Heard("", "10086", "1")], now())
    centre.place([Heard("", phone(told), "1")], now() + timedelta(hours=25))
    assert told.root is not None
    told.root.refresh_from_db()
    assert told.root.state != State.CONFIRMED


@pytest.mark.django_db(transaction=True)
def test_a_sender_killed_in_the_middle_of_a_batch_loses_nothing_and_repeats_only_what_it_held(
    there: Centre, smsc: Smsc, person: Person, bulletin: Bulletins
) -> None:
    street = make_regions()[STREET]
    for _ in range(60):
        person(street, phones=0)
    words = bulletin(STREET, requires=Requires.CONFIRM, push_zh="请立即到岗", push_en="Go now")
    dispatch.take_up(now=now())
    lines = [rung(root, "sms") for root in Delivery.objects.filter(dispatch__bulletin=words)]
    texts = Delivery.objects.filter(pk__in=[line.pk for line in lines])
    own = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    account = {
        "SMPP_HOST": there.host,
        "SMPP_PORT": str(there.port),
        "SMPP_SYSTEM_ID": there.system_id,
        "SMPP_PASSWORD": there.password,
        "SMPP_SOURCE": there.source,
    }
    paced = {"SMPP_STANDIN": "1", "SMS_RATE_PER_S": "40", "DATABASE_URL": own}
    sender = subprocess.Popen(
        [sys.executable, "-m", "tests.notifications.smpp_sender"],
        env=os.environ | account | paced,
        preexec_fn=die_with_parent(15),
    )
    try:
        until(lambda: len(smsc.taken) >= 20, 60)
        smsc.misbehave(silent=True)  # takes, and the answer never reaches the sender

        def hangs() -> bool:
            """Nearly every line waits for an answer that will not come."""
            held = texts.filter(state=State.SENDING).count()
            unanswered = len(smsc.taken) - texts.exclude(vendor_id="").count()
            return LINES - telephony.FEW < held == unanswered <= LINES

        until(hangs)
    finally:
        sender.kill()
        sender.wait()
    held = {phone(line)[1:] for line in texts.filter(state=State.SENDING)}
    assert len(held) <= LINES
    assert texts.filter(state=State.PENDING).exists()
    smsc.misbehave()
    while texts.filter(state__in=UNSENT).exists():
        telephony.send_due(clock=lambda: now() + telephony.LEASE)
    taken = Counter(one["to"] for one in smsc.taken)
    assert set(taken) == {phone(line)[1:] for line in lines}
    assert {to for to, times in taken.items() if times > 1} <= held
    assert max(taken.values()) <= 2
    by_name = {one["id"]: one["to"] for one in smsc.taken}
    assert {by_name[line.vendor_id] for line in texts} == set(taken)
