"""Each phone through its own vendor; a vendor that fails is left alone, and who depends on him is told another way."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from alerts.models import Bulletin, Requires
from foundation.clock import now
from hydrology.models import Region
from notifications import delivery, dispatch, health, providers, receipts, reports, telephony
from notifications.health import Tally
from notifications.models import Delivery, Provider, ReceiptState, State
from notifications.reports import Report, Said
from officers.models import Device, Officer
from replay.phones import Standin
from replay.switchboard import Switchboard
from tests.notifications.conftest import give_phone
from tests.notifications.switchboard import first_line, running_switchboard, switchboard

__all__ = ["running_switchboard", "switchboard"]  # fixtures

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
Regions = dict[str, Region]
STREET = "440303001"


def send(at: datetime | None = None) -> int:
    return delivery.send_due(clock=lambda: at or now())


def told(bulletin: Bulletin) -> Delivery:
    dispatch.take_up(now=now())
    send()
    return first_line(bulletin)


def rest(provider: str, at: datetime) -> None:
    """The vendor fails more than anybody could bear."""
    health.note({provider: Tally(failed=50)}, at)


def state(provider: str) -> str:
    return Provider.objects.get(name=provider).state


def test_every_phone_is_rung_through_its_own_vendor(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET], phones=0)
    phones = {give_phone(officer, provider=name).token: name for name in providers.PROVIDERS}
    row = told(bulletin(STREET))
    assert row.state == State.SENT
    assert {push["token"]: push["provider"] for push in vendor.accepted()} == phones
    assert {push["id"] for push in vendor.accepted()} == {str(row.pk)}
    assert len(row.accepted_devices) == 4


def test_a_dead_token_is_retired_at_its_own_vendor_only(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET], phones=0)
    for name in ("huawei", "jpush"):
        give_phone(officer, "same", name)
    vendor.behave("huawei", unregistered_tokens=["same"])
    assert told(bulletin(STREET)).state == State.SENT
    retired = Device.objects.exclude(retired_at=None).get()
    assert (retired.provider, retired.retired_reason) == ("huawei", "80300007")


def test_a_vendor_without_settings_is_named_and_the_others_go(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, settings: Settings
) -> None:
    settings.JPUSH_APP_KEY = ""
    only, both = person(regions[STREET], phones=0), person(regions[STREET], phones=1)
    give_phone(only, provider="jpush")
    give_phone(both, provider="jpush")
    told_ = bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    rows = {row.officer_id: row for row in Delivery.objects.filter(dispatch__bulletin=told_)}
    assert (rows[only.pk].state, rows[only.pk].reason) == (State.FAILED_TEMP, "jpush_not_configured")
    assert rows[both.pk].state == State.SENT


def test_a_key_that_cannot_be_read_leaves_out_one_vendor(vendor: Standin, settings: Settings) -> None:
    settings.APNS_KEY_FILE = "/nowhere/key.p8"
    assert set(providers.transports()) == {"fcm", "huawei", "jpush"}


def test_a_vendor_that_fails_rests_and_one_probe_brings_him_back(db: None) -> None:
    at = now()
    health.note({"huawei": Tally(sent=4, failed=9)}, at)
    assert state("huawei") == "well"  # too few to say
    health.note({"huawei": Tally(failed=5)}, at)
    assert health.paused(at) == {"huawei": health.PAUSE_S}
    over = at + timedelta(seconds=health.PAUSE_S)
    assert health.paused(over) == {"huawei": None}  # this one probes
    assert health.paused(over) == {"huawei": health.PROBE_S}  # nobody else does
    health.note({"huawei": Tally(failed=1)}, over)
    assert health.paused(over) == {"huawei": 2 * health.PAUSE_S}  # longer than the first time
    again = over + timedelta(seconds=2 * health.PAUSE_S)
    assert health.paused(again) == {"huawei": None}
    health.note({"huawei": Tally(sent=1)}, again)
    assert (health.paused(again), state("huawei")) == ({}, "well")


def test_a_sender_that_dies_while_it_probes_is_followed_by_another(db: None) -> None:
    at = now()
    rest("apns", at)
    over = at + timedelta(seconds=health.PAUSE_S)
    assert health.paused(over) == {"apns": None}
    assert health.paused(over + timedelta(seconds=health.PROBE_S)) == {"apns": None}


def test_old_failures_fade(db: None) -> None:
    at = now()
    health.note({"fcm": Tally(sent=20, failed=9)}, at)
    health.note({"fcm": Tally(failed=2)}, at + timedelta(seconds=20 * health.HALF_LIFE_S))
    assert state("fcm") == "well"
    [standing] = health.standings({"fcm": False}, at + timedelta(seconds=20 * health.HALF_LIFE_S))
    assert standing.failed_share == pytest.approx(1.0, abs=0.01)
    assert standing.last_ok_at == at


def test_who_was_never_tried_stands_well_and_says_nothing(db: None) -> None:
    [standing] = health.standings({"jpush": False}, now())
    assert (standing.state, standing.failed_share, standing.last_ok_at) == ("well", None, None)


def test_a_full_vendor_is_not_a_sick_one(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    for _ in range(15):
        person(regions[STREET])
    vendor.behave(quota_share=1.0)
    told_ = bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    assert {row.state for row in Delivery.objects.filter(dispatch__bulletin=told_)} == {State.FAILED_TEMP}
    assert Provider.objects.filter(name="fcm", state="well").exists()


def test_a_vendor_that_calls_everybody_dead_is_not_believed(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    people = [person(regions[STREET], phones=0) for _ in range(15)]
    for officer in people:
        give_phone(officer, provider="huawei")
    vendor.behave("huawei", unregistered_share=1.0)
    bulletin(STREET)
    dispatch.take_up(now=now())
    send()
    assert Device.objects.filter(retired_at=None).count() == 15
    assert state("huawei") == "paused"
    assert set(Delivery.objects.values_list("state", "reason")) == {(State.FAILED_TEMP, "huawei_doubted")}


def test_nor_is_he_believed_by_those_who_try_whether_he_is_well_again(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    for _ in range(12):
        give_phone(person(regions[STREET], phones=0), provider="huawei")
    vendor.behave("huawei", unregistered_share=1.0)
    bulletin(STREET)
    at = now()
    dispatch.take_up(now=at)
    for _ in range(4):
        send(at)
        at = max(Delivery.objects.values_list("due_at", flat=True)) + timedelta(
            seconds=health.LONGEST_PAUSE_S
        )
    assert vendor.counters("huawei")["answers"] == {"400": 12 + 3 * providers.PROBES}
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.FAILED_TEMP}
    assert Device.objects.filter(retired_at=None).count() == 12
    vendor.behave("huawei")
    send(at)
    assert state("huawei") == "well"


def test_whom_a_vendor_wrongly_calls_gone_gets_a_text_message_when_it_is_grave(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    for _ in range(12):
        give_phone(person(regions[STREET], phones=0), provider="huawei")
    vendor.behave("huawei", unregistered_share=1.0)
    bulletin(STREET, requires=Requires.CONFIRM)
    dispatch.take_up(now=now())
    send()
    assert set(Delivery.objects.values_list("transport", "rerouted")) == {("sms", "huawei_doubted")}


def test_while_his_vendor_rests_nothing_is_tried_and_the_reason_is_said(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET], phones=0)
    give_phone(officer, provider="huawei")
    rest("huawei", now())
    row = told(bulletin(STREET))
    assert (row.state, row.reason) == (State.FAILED_TEMP, "huawei_paused")
    assert row.due_at > now()
    assert vendor.counters("huawei")["answers"] == {}
    send(row.due_at + timedelta(seconds=health.PAUSE_S))  # the rest is over: he is the probe
    row.refresh_from_db()
    assert (row.state, state("huawei")) == (State.SENT, "well")


def test_another_phone_of_his_serves_him_at_once(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    officer = person(regions[STREET], phones=1)
    give_phone(officer, provider="huawei")
    rest("huawei", now())
    row = told(bulletin(STREET))
    assert row.state == State.SENT
    assert [push["provider"] for push in vendor.accepted()] == ["fcm"]


def test_a_probe_is_a_few_pushes_not_everybody(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin
) -> None:
    for _ in range(12):
        give_phone(person(regions[STREET], phones=0), provider="huawei")
    at = now()
    rest("huawei", at - timedelta(seconds=60))
    vendor.behave("huawei", down=True)
    bulletin(STREET)
    dispatch.take_up(now=at)
    send(at)
    assert vendor.counters("huawei")["answers"] == {"502": providers.PROBES}
    assert Delivery.objects.filter(reason="huawei_paused").count() == 12 - providers.PROBES


@pytest.mark.parametrize(
    ("requires", "urgency", "by_text"), [("confirm", 1, True), ("open", 3, True), ("open", 1, False)]
)
def test_whom_no_vendor_reaches_gets_a_text_message_when_it_is_grave(
    regions: Regions,
    person: Person,
    bulletin: Bulletins,
    vendor: Standin,
    switchboard: Switchboard,
    requires: str,
    urgency: int,
    by_text: bool,
) -> None:
    give_phone(person(regions[STREET], phones=0), provider="huawei")
    rest("huawei", now())
    row = told(bulletin(STREET, requires=Requires(requires), urgency=urgency))
    if not by_text:
        assert (row.transport, row.state, row.rerouted) == ("fcm", State.FAILED_TEMP, "")
        return
    assert (row.transport, row.state, row.rerouted) == ("sms", State.PENDING, "huawei_paused")
    assert telephony.send_due(clock=now) == 1
    row.refresh_from_db()
    assert (row.state, row.rerouted) == (State.SENT, "huawei_paused")  # the ledger keeps why
    assert len(switchboard.taken) == 1


def test_no_more_become_text_messages_than_go_out_while_the_vendor_rests(
    regions: Regions,
    person: Person,
    bulletin: Bulletins,
    vendor: Standin,
    switchboard: Switchboard,
    settings: Settings,
) -> None:
    """The others wait for the vendor: it may be well again long before their text's turn would come."""
    settings.SMS_RATE_PER_S = 1
    for _ in range(12):
        give_phone(person(regions[STREET], phones=0), provider="huawei")
    at = now()
    rest("huawei", at)
    bulletin(STREET, requires=Requires.CONFIRM)
    dispatch.take_up(now=at)
    send(at)
    ways = Counter(Delivery.objects.values_list("transport", flat=True))
    assert ways == {"sms": health.PAUSE_S, "fcm": 12 - health.PAUSE_S}
    send(at + timedelta(seconds=health.PAUSE_S - 1))  # those texts wait still, and the rest is nearly over
    assert Counter(Delivery.objects.values_list("transport", flat=True)) == ways


def test_a_reply_to_that_text_message_answers_the_line_itself(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    give_phone(person(regions[STREET], phones=0), provider="huawei")
    rest("huawei", now())
    row = told(bulletin(STREET, requires=Requires.CONFIRM))
    telephony.send_due(clock=now)
    name = telephony.message_id("sms", row.pk)
    assert reports.take("sms", [Report(name, Said.REPLY, now(), "1")], now=now()) == ["accepted"]
    row.refresh_from_db()
    assert row.state == State.CONFIRMED


def test_without_a_gateway_that_works_he_waits_for_his_vendor(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    give_phone(person(regions[STREET], phones=0), provider="huawei")
    rest("huawei", now())
    rest("sms", now())
    row = told(bulletin(STREET, requires=Requires.CONFIRM))
    assert (row.transport, row.reason) == ("fcm", "huawei_paused")


def test_a_gateway_whose_rest_is_over_is_tried_by_the_next_text_message(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    give_phone(person(regions[STREET], phones=0), provider="huawei")
    at = now()
    rest("sms", at - timedelta(hours=1))
    rest("huawei", at)
    row = told(bulletin(STREET, requires=Requires.CONFIRM))
    assert (row.transport, state("sms")) == ("sms", "paused")
    assert telephony.send_due(clock=now) == 1
    row.refresh_from_db()
    assert (row.state, state("sms")) == (State.SENT, "well")


def test_a_gateway_that_fails_after_its_rest_rests_for_longer(db: None) -> None:
    at = now()
    rest("sms", at)
    health.note({"sms": Tally(failed=1)}, at)  # begun before it rested
    assert health.paused(at, ("sms",), probe=False) == {"sms": health.PAUSE_S}
    over = at + timedelta(seconds=health.PAUSE_S)
    health.note({"sms": Tally(failed=1)}, over)
    assert health.paused(over, ("sms",), probe=False) == {"sms": 2 * health.PAUSE_S}


def test_a_text_message_is_not_sent_to_who_has_answered_on_another_way(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    officer = person(regions[STREET], phones=0)
    give_phone(officer, provider="huawei")
    rest("huawei", now())
    row = told(bulletin(STREET, requires=Requires.CONFIRM))
    receipts.take(
        officer.pk, [receipts.Answer(row.pk, ReceiptState.CONFIRMED, now())], source="http", now=now()
    )
    assert telephony.send_due(clock=now) == 0
    assert switchboard.taken == []


def test_gateways_have_a_standing_too(
    regions: Regions, person: Person, bulletin: Bulletins, vendor: Standin, switchboard: Switchboard
) -> None:
    give_phone(person(regions[STREET], phones=0), provider="huawei")
    rest("huawei", now())
    told(bulletin(STREET, requires=Requires.CONFIRM))
    telephony.send_due(clock=now)
    [standing] = health.standings({"sms": True}, now())
    assert (standing.state, standing.failed_share) == ("well", 0.0)


def test_whoever_is_there_has_a_standing(vendor: Standin, switchboard: Switchboard, db: None) -> None:
    rest("apns", now())
    found = {one.provider: (one.state, one.reports) for one in providers.standings(now())}
    assert found == {
        "fcm": ("well", False),
        "huawei": ("well", False),
        "apns": ("paused", False),
        "jpush": ("well", False),
        "sms": ("well", True),
        "voice": ("well", True),
    }
