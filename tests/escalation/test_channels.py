"""Rungs by text message and call: asked where somebody has set them up, and an answer by any way ends all of them."""

from collections.abc import Callable

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from escalation import climb
from escalation.models import Climb, ClimbState, Rung
from hydrology.models import Region
from notifications import receipts, reports, telephony
from notifications.models import Delivery, Errand, ReceiptState, State
from notifications.reports import Report, Said
from officers.models import Duty, Officer, Rank
from tests.escalation.test_climb import STREET, Regions, answer, at, heard, person, says, sweep_until, tell
from tests.hydrology.factories import make_regions

REPEAT_S, SMS_S, VOICE_S, DEPUTY_S = (60, 90, 150, 240)  # of urgency 4 since the dispatch
DARK_VOICE_S, DARK_DEPUTY_S = (60, 150)


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def gateways(settings: Settings) -> Callable[..., None]:
    """Sets up these channels, and no other."""

    def configure(*channels: str) -> None:
        for name in ("SMS", "VOICE"):
            there = name.lower() in channels
            setattr(settings, f"{name}_ENDPOINT", f"https://127.0.0.1:9/{name}" if there else "")
            setattr(settings, f"{name}_KEY", "key" if there else "")
            setattr(settings, f"{name}_SECRET", "s" * 32 if there else "")

    configure("sms", "voice")
    return configure


def taken(officer: Officer) -> list[tuple[str, str]]:
    rungs = Rung.objects.filter(climb__delivery__officer=officer, climb__delivery__root=None)
    return list(rungs.order_by("climb_id", "number").values_list("errand", "channel"))


def line(officer: Officer, transport: str) -> Delivery:
    return Delivery.objects.get(officer=officer, transport=transport)


def test_he_is_asked_by_the_app_by_text_message_and_by_call_before_anybody_else(
    regions: Regions, gateways: object
) -> None:
    officer, deputy = person(regions[STREET]), person(regions[STREET], rank=Rank.B)
    tell(STREET)
    answer(deputy, Errand.FIRST)
    sweep_until(VOICE_S)
    assert taken(officer) == [("repeat", "app"), ("repeat", "sms"), ("repeat", "voice")]
    root = Delivery.objects.get(officer=officer, dispatch__errand=Errand.FIRST)
    for channel in ("sms", "voice"):
        asked = line(officer, channel)
        assert (asked.state, asked.reason, asked.root_id) == (State.PENDING, "", root.pk)
    assert heard(deputy) == ["first"]
    sweep_until(DEPUTY_S, since_s=VOICE_S + 5)
    assert heard(deputy) == ["first", "deputy"]


def test_who_has_no_live_device_is_asked_by_what_needs_none_and_at_once(
    regions: Regions, gateways: object
) -> None:
    officer = person(regions[STREET], phones=0)
    tell(STREET)
    first = Delivery.objects.get(officer=officer)
    assert (first.state, first.reason) == (State.FAILED_PERM, "no_live_device")
    climb.sweep(now=at(0))
    assert taken(officer) == [("repeat", "sms")]
    assert line(officer, "sms").state == State.PENDING
    sweep_until(DARK_DEPUTY_S)
    assert taken(officer) == [("repeat", "sms"), ("repeat", "voice"), ("deputy", "app")]


def test_those_with_and_without_a_device_are_asked_in_one_sweep_each_his_way(
    regions: Regions, gateways: object
) -> None:
    lit, dark = person(regions[STREET]), person(regions[STREET], phones=0)
    tell(STREET)
    climb.sweep(now=at(0))
    assert climb.sweep(now=at(REPEAT_S)) == 2
    assert (taken(lit), taken(dark)[-1]) == ([("repeat", "app")], ("repeat", "voice"))
    people = Delivery.objects.filter(dispatch__errand=Errand.REPEAT, due_at=at(REPEAT_S))
    assert dict(people.values_list("officer", "transport")) == {lit.pk: "fcm", dark.pk: "voice"}


@pytest.mark.parametrize("there", [(), ("sms",), ("voice",)])
def test_a_channel_that_nobody_has_set_up_is_no_rung(
    regions: Regions, gateways: Callable[..., None], there: tuple[str, ...]
) -> None:
    gateways(*there)
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(DEPUTY_S + 60, every_s=10)
    assert [channel for errand, channel in taken(officer) if errand == "repeat"] == ["app", *there]
    assert set(Delivery.objects.values_list("transport", flat=True)) == {"fcm", *there}
    gateways("sms", "voice")  # what has begun stays as it began
    climb.sweep(now=at(DEPUTY_S + 120))
    assert {channel for _, channel in taken(officer)} <= {"app", "person", *there}


def by_key(officer: Officer, seconds: int) -> None:
    called = line(officer, "voice")
    Delivery.objects.filter(pk=called.pk).update(attempts=1, state=State.SENT)
    said = Report(telephony.message_id("voice", called.pk), Said.KEYPRESS, at(seconds), "1")
    assert reports.take("voice", [said], now=at(seconds)) == ["accepted"]


def by_reply(officer: Officer, seconds: int) -> None:
    asked = line(officer, "sms")
    Delivery.objects.filter(pk=asked.pk).update(attempts=1, state=State.SENT)
    said = Report(telephony.message_id("sms", asked.pk), Said.REPLY, at(seconds), "1")
    assert reports.take("sms", [said], now=at(seconds)) == ["accepted"]


def by_app(officer: Officer, seconds: int) -> None:
    says(officer, ReceiptState.CONFIRMED, seconds)


def on_the_telephone(officer: Officer, seconds: int) -> None:
    root = Delivery.objects.get(officer=officer, dispatch__errand=Errand.FIRST)
    said = receipts.Answer(root.pk, ReceiptState.CONFIRMED, at(seconds))
    receipts.take(officer.pk, [said], source="call", now=at(seconds))


@pytest.mark.parametrize("answers", [by_key, by_reply, by_app, on_the_telephone])
def test_an_answer_on_any_channel_wakes_the_sweep_and_ends_the_whole_ladder_of_that_person(
    regions: Regions,
    gateways: object,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    answers: Callable[[Officer, int], None],
) -> None:
    officer, other = person(regions[STREET]), person(regions[STREET])
    tell(STREET)
    sweep_until(VOICE_S)
    with django_capture_on_commit_callbacks() as woken:
        answers(officer, VOICE_S + 7)
    assert "escalation.sweep" in {callback.args[0] for callback in woken if hasattr(callback, "args")}
    # nothing of his is left to be sent, by whatever way, before any sweep has looked
    assert set(Delivery.objects.filter(officer=officer).values_list("state", flat=True)) == {State.CONFIRMED}
    climb.sweep(now=at(VOICE_S + 8))
    ended = Climb.objects.get(delivery__officer=officer)
    assert (ended.state, ended.why) == (ClimbState.ANSWERED, "confirmed")
    sweep_until(DEPUTY_S + 600, every_s=10, since_s=VOICE_S + 10)
    assert taken(officer) == [("repeat", "app"), ("repeat", "sms"), ("repeat", "voice")]
    assert len(taken(other)) > 3


def test_an_answer_that_comes_while_a_rung_is_due_is_before_that_rung(
    regions: Regions, gateways: object
) -> None:
    officer = person(regions[STREET])
    desk = person(regions["440303"], duty=Duty.DESK)
    tell(STREET)
    answer(desk, Errand.FIRST)
    sweep_until(VOICE_S)
    by_key(officer, DEPUTY_S)
    assert climb.sweep(now=at(DEPUTY_S)) == 0
