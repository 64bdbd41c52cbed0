"""The auditor: what did not fire is found, told once, redone; when all is well it is silent."""

from datetime import timedelta

import pytest
from django.db import connection

from alerts.models import Bulletin
from escalation import audit, climb
from escalation.models import Climb, Incident
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery, Dispatch, Errand, ReceiptState, State
from officers.models import Duty
from tests.escalation.test_climb import (
    DEPUTY_S,
    NOON,
    REPEAT_S,
    STREET,
    Regions,
    answer,
    at,
    heard,
    person,
    rungs,
    says,
    tell,
)
from tests.hydrology.factories import make_regions


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


def alarms() -> list[tuple[str, str]]:
    told = Bulletin.objects.filter(about__startswith="audit/").order_by("id")
    return list(told.values_list("about", "level"))


def test_it_is_silent_while_every_step_fires(regions: Regions) -> None:
    person(regions[STREET])
    tell(STREET)
    for seconds in range(0, 1300, 10):
        climb.sweep(now=at(seconds))
        assert audit.audit(now=at(seconds)) == {}
    assert not Incident.objects.exists()
    assert alarms() == []


def test_without_a_sweep_the_steps_are_told_of_and_redone(regions: Regions) -> None:
    officer = person(regions[STREET])
    engineer = person(regions["4403"], duty=Duty.ENGINEER)
    tell(STREET)
    climb.sweep(now=at(REPEAT_S))
    assert audit.audit(now=at(DEPUTY_S + 30)) == {}
    assert audit.audit(now=at(DEPUTY_S + 31)) == {"late_steps": 1}
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]
    dispatch.take_up(now=at(DEPUTY_S + 31))
    assert heard(engineer) == ["first"]
    assert alarms() == [("audit/late_steps", "late")]


def test_who_was_never_chased_is_found(regions: Regions) -> None:
    officer = person(regions[STREET])
    person(regions[STREET], phones=0)
    tell(STREET)
    assert audit.look(at(30)) == {}
    assert audit.look(at(31)) == {"no_climb": 1}  # he without a phone
    assert audit.audit(now=at(REPEAT_S + 31)) == {"no_climb": 2}
    assert Climb.objects.count() == 2
    assert [errand for errand, _ in rungs(officer)] == ["repeat"]


def test_what_happened_only_just_now_is_left_to_the_next_sweep(regions: Regions) -> None:
    gone, dark = person(regions[STREET]), person(regions[STREET])
    tell(STREET, urgency=3)
    says(gone, ReceiptState.CONFIRMED, 50)
    says(gone, ReceiptState.CANNOT, 100)
    Delivery.objects.filter(officer=dark).update(state=State.FAILED_PERM, reason="UNREGISTERED")
    assert audit.look(at(130)) == {}
    assert audit.look(at(131)) == {"no_climb": 1}
    climb.sweep(now=at(131))
    assert audit.look(at(162)) == {}


def test_a_climb_that_was_lost_starts_again(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    climb.start_climbs(now=at(REPEAT_S))
    Climb.objects.all().delete()
    assert audit.audit(now=at(REPEAT_S + 31)) == {"no_climb": 1}
    assert [errand for errand, _ in rungs(officer)] == ["repeat"]


def test_a_bulletin_that_nobody_took_up_is_dispatched(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM notifications_delivery")
        cursor.execute("DELETE FROM notifications_dispatch")
    assert audit.audit(now=at(31)) == {"no_dispatch": 1}
    assert heard(officer) == ["first"]


def test_lines_that_were_lost_are_written_again(regions: Regions) -> None:
    kept, lost = person(regions[STREET]), person(regions[STREET])
    tell(STREET)
    Delivery.objects.filter(officer=lost).delete()
    found = audit.audit(now=at(31))
    assert found == {"no_deliveries": 1}
    assert (heard(kept), heard(lost)) == (["first"], ["first"])
    assert audit.look(at(41)) == {}


def test_lost_lines_of_a_rung_are_told_of_once_and_the_climb_goes_on(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    climb.sweep(now=at(REPEAT_S))
    Delivery.objects.filter(dispatch__errand=Errand.REPEAT).delete()
    assert audit.audit(now=at(REPEAT_S + 31)) == {"no_deliveries": 1}
    assert audit.look(at(REPEAT_S + 41)) == {}
    climb.sweep(now=at(DEPUTY_S))
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]


def test_a_grave_message_for_nobody_is_told_of_and_reaches_who_comes(regions: Regions) -> None:
    tell(STREET)
    assert audit.audit(now=at(31)) == {"no_deliveries": 1}
    late = person(regions[STREET])
    audit.audit(now=at(41))
    assert heard(late) == ["first"]
    assert Dispatch.objects.get(bulletin__about="").recipients == 1
    assert alarms() == [("audit/no_deliveries", "late")]


def test_one_alarm_an_incident_and_an_all_clear_when_it_has_been_quiet(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET, valid_until=NOON + timedelta(hours=4))
    audit.audit(now=at(REPEAT_S + 31))
    audit.audit(now=at(DEPUTY_S + 100))  # late again: the same incident
    assert len([about for about, _ in alarms() if about == "audit/late_steps"]) == 1
    answer(officer, Errand.FIRST, now=at(DEPUTY_S + 101))
    climb.sweep(now=at(DEPUTY_S + 101))
    seen_s = (Incident.objects.get(kind="late_steps").seen_at - NOON).total_seconds()
    audit.audit(now=at(seen_s + 299))
    assert Incident.objects.filter(kind="late_steps", ended_at=None).exists()
    audit.audit(now=at(seen_s + 300))
    assert not Incident.objects.filter(kind="late_steps", ended_at=None).exists()
    assert [level for about, level in alarms() if about == "audit/late_steps"] == ["late", "clear"]


def test_one_broken_climb_holds_up_no_other_and_is_told_of(regions: Regions) -> None:
    broken, beside, whole = person(regions[STREET]), person(regions[STREET]), person(regions["440304001"])
    tell(STREET)
    tell("440304001")
    climb.start_climbs(now=at(REPEAT_S))
    Climb.objects.filter(delivery__officer=broken).update(waits_s=[])
    with pytest.raises(ValueError, match="wait"):
        climb.sweep(now=at(REPEAT_S))
    assert [[errand for errand, _ in rungs(one)] for one in (broken, beside, whole)] == [
        [],
        ["repeat"],
        ["repeat"],
    ]
    assert audit.audit(now=at(REPEAT_S + 31))["late_steps"] == 1
    assert ("audit/late_steps", "late") in alarms()
