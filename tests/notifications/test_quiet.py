"""One message a person and storm: who is rung, who is only renewed, what the phone gets, what his answer counts for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from alerts.models import Bulletin, Hazard, Requires, Storm, Warning
from foundation.clock import now
from hydrology.models import Region
from notifications import delivery, dispatch, receipts
from notifications.models import Delivery, Errand, ReceiptState, State
from notifications.reach import reach_of
from notifications.receipts import Answer
from notifications.transports.base import Message, Push
from notifications.transports.fcm import Template
from officers.models import Device, Duty, Officer
from replay.phones import Standin
from replay.vendors import fcm_v1
from tests.alerts.conftest import signed_in

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
Regions = dict[str, Region]
A, B, C = "440303001", "440303002", "440304001"  # A and B in one district, C in another
NOTICE, ATTENTION, ALERT = 1, 2, 3
Tell = Callable[..., Bulletin]


@pytest.fixture
def storm(regions: Regions) -> Storm:
    return Storm.objects.create(streets=[A], began_at=now(), last_at=now())


def warning(region: str, level: int = ALERT) -> Warning:
    return Warning.objects.create(
        hazard=Hazard.RAINSTORM, region_id=region, level=level, peak_level=level, raised_at=now()
    )


@pytest.fixture
def tell(bulletin: Bulletins, storm: Storm) -> Tell:
    """A bulletin of the storm (or of `thread`), dispatched at once."""

    def make(about: Warning, *areas: str, urgency: int, thread: str = "", **fields: Any) -> Bulletin:
        if not urgency:
            Warning.objects.filter(pk=about.pk).update(ended_at=now(), level=0)
        said = bulletin(
            *areas, urgency=urgency, warning=about, thread=thread or storm.thread, renews=True, **fields
        )
        dispatch.take_up(now=now())
        return said

    return make


def rings(officer: Officer) -> list[tuple[int, bool]]:
    """(urgency, rung) of all that he was told, in order."""
    lines = Delivery.objects.filter(officer=officer).order_by("pk")
    return [
        (urgency, not quiet) for urgency, quiet in lines.values_list("dispatch__bulletin__urgency", "quiet")
    ]


def test_what_is_no_graver_rings_nobody_again_and_what_is_graver_does(
    regions: Regions, person: Person, tell: Tell
) -> None:
    desk, of_a, of_b = person(regions["4403"], duty=Duty.DESK), person(regions[A]), person(regions[B])
    district = warning("440303")
    tell(district, A, urgency=ATTENTION)
    tell(district, B, urgency=NOTICE)
    tell(district, A, B, urgency=ALERT)
    tell(warning("440304"), C, urgency=ALERT)
    assert rings(desk) == [(2, True), (1, False), (3, True), (3, False)]
    assert (rings(of_a), rings(of_b)) == ([(2, True), (3, True)], [(1, True), (3, True)])
    ring = Delivery.objects.get(officer=desk, dispatch__bulletin__urgency=ALERT, quiet=False)
    assert Delivery.objects.filter(officer=desk).order_by("-pk")[0].root == ring


def test_another_storm_rings(regions: Regions, person: Person, tell: Tell) -> None:
    desk = person(regions["4403"], duty=Duty.DESK)
    district = warning("440303")
    tell(district, A, urgency=ALERT)
    tell(district, B, urgency=ALERT, thread="storm/999999")
    assert rings(desk) == [(3, True), (3, True)]


def test_storms_that_became_one_are_one_thread(
    regions: Regions, person: Person, tell: Tell, storm: Storm
) -> None:
    desk = person(regions["4403"], duty=Duty.DESK)
    younger = Storm.objects.create(streets=[C], began_at=now(), last_at=now(), ended_at=now(), into=storm)
    district = warning("440304")
    tell(district, C, urgency=ALERT, thread=younger.thread)
    tell(district, C, urgency=ALERT)
    assert rings(desk) == [(3, True), (3, False)]


def test_what_has_lapsed_is_rung_again_and_what_was_renewed_has_not_lapsed(
    regions: Regions, person: Person, tell: Tell
) -> None:
    desk, at = person(regions["4403"], duty=Duty.DESK), now()
    district, other = warning("440303"), warning("440304")
    tell(district, A, urgency=ALERT, valid_until=at + timedelta(hours=1))
    renewing = tell(district, B, urgency=ALERT, valid_until=at + timedelta(hours=3))
    later = at + timedelta(hours=2)
    Bulletin.objects.create(
        **{field: getattr(renewing, field) for field in _COLUMNS},
        areas=[C], warning=other, urgency=ALERT, issued_at=later, caused_at=later, valid_until=later + timedelta(hours=2),
    )  # fmt: skip
    dispatch.take_up(now=later)
    assert rings(desk) == [(3, True), (3, False), (3, False)]
    assert Delivery.objects.filter(officer=desk, quiet=True).values("root").distinct().count() == 1


_COLUMNS = (
    *("title_zh", "title_en", "push_zh", "push_en", "body_zh", "body_en", "kind", "level", "duties"),
    *("requires", "thread", "renews"),
)


def test_after_everything_has_lapsed_the_phone_rings(regions: Regions, person: Person, tell: Tell) -> None:
    desk, district = person(regions["4403"], duty=Duty.DESK), warning("440303")
    tell(district, A, urgency=ALERT, valid_until=now() + timedelta(milliseconds=1))
    tell(district, A, urgency=ALERT)
    assert [rung for _, rung in rings(desk)][-1] is True


def test_the_end_of_one_district_is_quiet_for_whom_the_storm_lives_on_elsewhere(
    regions: Regions, person: Person, tell: Tell
) -> None:
    desk, of_a, of_c = person(regions["4403"], duty=Duty.DESK), person(regions[A]), person(regions[C])
    here, there = warning("440303"), warning("440304")
    tell(here, A, urgency=ALERT)
    tell(there, C, urgency=ALERT)
    tell(here, A, urgency=0)
    assert (rings(desk)[-1], rings(of_a)[-1]) == ((0, False), (0, True))
    tell(there, C, urgency=0)
    assert (rings(desk)[-1], rings(of_c)[-1]) == ((0, True), (0, True))


def test_districts_that_end_in_the_same_slot_ring_a_person_once(
    regions: Regions, person: Person, tell: Tell, bulletin: Bulletins, storm: Storm
) -> None:
    desk = person(regions["4403"], duty=Duty.DESK)
    here, there = warning("440303"), warning("440304")
    tell(here, A, urgency=ALERT)
    tell(there, C, urgency=ALERT)
    Warning.objects.update(ended_at=now(), level=0)
    at = now()
    for about, street in ((here, A), (there, C)):
        bulletin(street, urgency=0, warning=about, thread=storm.thread, renews=True, issued_at=at)
    dispatch.take_up(now=now())
    assert rings(desk)[2:] == [(0, True), (0, False)]


def test_who_was_told_that_it_is_over_is_rung_when_it_comes_back(
    regions: Regions, person: Person, tell: Tell
) -> None:
    of_a, first = person(regions[A]), warning("440303")
    tell(warning("440304"), C, urgency=ALERT)  # the storm lives on there
    tell(first, A, urgency=ALERT)
    tell(first, A, urgency=0)
    tell(warning("440303"), A, urgency=ALERT)
    assert rings(of_a) == [(3, True), (0, True), (3, True)]


def test_the_gravest_of_a_slot_rings_and_the_others_are_quiet_whatever_their_order(
    regions: Regions, person: Person, bulletin: Bulletins, storm: Storm
) -> None:
    desk = person(regions["4403"], duty=Duty.DESK)
    for region, street, urgency in (("440303", A, NOTICE), ("440304", C, ALERT)):
        bulletin(street, urgency=urgency, warning=warning(region), thread=storm.thread, renews=True)
    dispatch.take_up(now=now())
    assert rings(desk) == [(3, True), (1, False)]


def test_who_could_not_be_reached_before_is_rung_when_he_can_be(
    regions: Regions, person: Person, tell: Tell
) -> None:
    dark, district = person(regions[A], phones=0), warning("440303")
    tell(district, A, urgency=ALERT)
    tell(district, A, urgency=ALERT)
    assert rings(dark) == [(3, True), (3, False)]  # still dark: his one climb is enough
    Device.objects.create(officer=dark, platform="android", provider="fcm", token="new", registered_at=now())
    tell(district, A, urgency=ALERT)
    assert rings(dark)[-1] == (3, True)


def test_the_phone_shows_one_message_of_a_storm_and_the_renewal_makes_no_sound(
    regions: Regions, person: Person, tell: Tell, vendor: Standin, storm: Storm
) -> None:
    person(regions[A])
    district = warning("440303")
    tell(district, A, urgency=ALERT)
    tell(district, A, urgency=ATTENTION)
    delivery.send_due(clock=now)
    ring, quiet = sorted(vendor.accepted(), key=lambda push: int(push["id"]))
    lines = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    assert [int(push["id"]) for push in (ring, quiet)] == lines  # its own id: the phone does not drop it
    assert (ring["data"]["thread"], "quiet" in ring["data"]) == (storm.thread, False)
    assert (quiet["data"]["thread"], quiet["data"]["quiet"]) == (storm.thread, "1")
    counted = vendor.counters()
    assert (counted["rings"], counted["quiet"]) == ({storm.thread: 1}, {storm.thread: 1})


def payload(push: Push) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(Template(push.message, now()).body(push))["message"]
    return message


@pytest.mark.parametrize("quiet", [False, True])
def test_the_vendor_is_told_where_it_stands_on_the_screen_and_whether_it_sounds(quiet: bool) -> None:
    message = Message(
        id="7", title="强降雨警示", body="雨", level="alert", kind="warning", ref="warning/7", drill=False,
        expires_at=now() + timedelta(hours=1), critical=True, thread="storm/7", quiet=quiet,
    )  # fmt: skip
    sent = payload(Push(1, "token", message, "42", "storm/7"))
    android, apns = sent["android"], sent["apns"]
    assert (android["notification"]["tag"], apns["headers"]["apns-collapse-id"]) == ("storm/7", "storm/7")
    assert sent["data"]["id"] == "42"
    assert android["priority"] == ("normal" if quiet else "high")
    assert android["notification"]["channel_id"] == ("quiet" if quiet else "critical")
    assert ("sound" in apns["payload"]["aps"]) is not quiet
    assert apns["headers"]["apns-priority"] == ("5" if quiet else "10")
    # a ring that waits for the phone is never dropped for a renewal
    assert android["collapse_key"] == ("quiet/storm/7" if quiet else "42")
    fcm_v1.check_request({"message": sent}, 10_000)


def test_without_a_thread_a_push_has_its_own_place() -> None:
    message = Message(
        "7", "t", "b", "alert", "warning", "warning/7", False, now() + timedelta(hours=1), False
    )
    sent = payload(Push(1, "token", message, "42"))
    assert (sent["android"]["notification"]["tag"], "thread" in sent["data"]) == ("42", False)


def test_a_renewal_takes_the_place_of_the_message_that_rang_in_a_storm_since_absorbed(
    regions: Regions, person: Person, tell: Tell, storm: Storm
) -> None:
    person(regions[A])
    district = warning("440303")
    younger = Storm.objects.create(streets=[A], began_at=now(), last_at=now())
    tell(district, A, urgency=ALERT, thread=younger.thread)
    Storm.objects.filter(pk=younger.pk).update(into=storm)
    tell(district, A, urgency=ALERT)
    ring, quiet = sorted(delivery.claim(now()), key=lambda claim: claim.id)
    assert (ring.quiet, ring.tag, ring.message_id) == (False, "", str(ring.id))
    assert (quiet.quiet, quiet.tag, quiet.message_id) == (True, younger.thread, str(quiet.id))


def test_a_repeat_keeps_the_id_of_what_it_repeats(regions: Regions, person: Person, tell: Tell) -> None:
    person(regions[A])
    told = tell(warning("440303"), A, urgency=ALERT)
    first = Delivery.objects.get()
    dispatch.run_errand(told, Errand.REPEAT, now=now(), unanswered=[first.pk])
    assert {claim.message_id for claim in delivery.claim(now())} == {str(first.pk)}


def test_the_door_of_storms_counts_people_messages_and_rings(
    regions: Regions, person: Person, tell: Tell, storm: Storm
) -> None:
    desk = signed_in((regions["4403"], Duty.DESK))
    other = signed_in((regions["440304"], Duty.DESK))
    person(regions[A])
    district = warning("440303")
    younger = Storm.objects.create(streets=[A], began_at=now(), last_at=now(), ended_at=now(), into=storm)
    tell(district, A, urgency=ALERT, thread=younger.thread)
    tell(district, A, urgency=NOTICE)
    [item] = desk.get("/api/v1/storms?active=1").json()["items"]
    assert item["streets"] == [{"code": A, "name": f"region {A}"}]
    assert (item["id"], item["warnings"]) == (storm.pk, [district.pk])
    assert (item["people"], item["messages"], item["rung"]) == (2, 4, 2)
    assert other.get("/api/v1/storms").json()["items"] == []  # not his water
    shown = desk.get(f"/api/v1/warnings/{district.pk}").json()
    assert shown["storm"] == storm.pk
    Storm.objects.filter(pk=storm.pk).update(ended_at=now())
    assert desk.get("/api/v1/storms?active=1").json()["items"] == []
    assert len(desk.get("/api/v1/storms").json()["items"]) == 1


def answer(officer: Officer, line: Delivery, state: ReceiptState) -> dict[str, object]:
    [result] = receipts.take(officer.pk, [Answer(line.pk, state, now())], source="http", now=now())
    return result


def test_an_answer_to_the_renewed_message_answers_the_one_that_rang(
    regions: Regions, person: Person, tell: Tell
) -> None:
    officer, district = person(regions[A]), warning("440303")
    tell(district, A, urgency=ALERT)
    tell(district, A, urgency=ATTENTION, requires=Requires.OPEN)
    ring, quiet = Delivery.objects.order_by("pk")
    assert answer(officer, quiet, ReceiptState.DELIVERED)["result"] == "accepted"
    ring.refresh_from_db()
    assert ring.state == State.PENDING  # that the renewal came says nothing of the ring
    assert answer(officer, quiet, ReceiptState.CONFIRMED) == {
        "id": quiet.pk, "state": "confirmed", "result": "accepted",
    }  # fmt: skip
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.CONFIRMED}
    assert ring.receipts.get().state == ReceiptState.CONFIRMED


def test_a_renewed_line_counts_as_answered_when_what_it_renews_is(
    regions: Regions, person: Person, tell: Tell
) -> None:
    district, people = warning("440303"), [person(regions[A]) for _ in range(3)]
    tell(district, A, urgency=ALERT)
    answered, opened, _ = Delivery.objects.order_by("pk")
    for line, state in ((answered, ReceiptState.CONFIRMED), (opened, ReceiptState.OPENED)):
        answer(people[[p.pk for p in people].index(line.officer_id)], line, state)
    renewed = tell(district, A, urgency=ALERT)
    found = reach_of(renewed.pk, ["4403/"])
    assert (found["total"], found["confirmed"], found["opened"]) == (3, 1, 2)
    assert found["unanswered_total"] == 2
    assert [row["state"] for row in found["unanswered"]] == ["opened", "pending"]
    assert found["nobody"] == []
