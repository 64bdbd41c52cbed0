"""Forms from the ground: whose region they count for, what is refused and changes nothing, forms that came with receipts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections
from rest_framework.response import Response

from alerts.models import Bulletin, OrderStatus, ResponseOrder
from foundation.clock import now
from hazards import feedback
from hazards.models import Feedback, UnreadForm
from hydrology.models import Region
from notifications import dispatch, receipts
from notifications.models import Delivery, Receipt, ReceiptState, State
from officers.models import Duty, Officer
from tests.console.factories import HOUR, make_bulletin
from tests.hazards.conftest import (
    A1,
    A2,
    B1,
    CELL,
    EAST,
    FIGURES,
    A,
    B,
    C,
    also,
    line,
    person,
    phone,
    released,
)
from tests.hydrology.factories import MINUTE, NOW, make_regions

Regions = dict[str, Region]
FORM = {"figures": FIGURES}


def file(officer: Officer, order: ResponseOrder, **form: Any) -> Response:
    return phone(officer).post(f"/api/v1/orders/{order.pk}/feedback", FORM | form, format="json")


def refused(officer: Officer, order: ResponseOrder, **form: Any) -> tuple[int, str]:
    """Status and code of the refusal, which kept nothing."""
    answer = file(officer, order, **form)
    assert not Feedback.objects.exists()
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


def reported(officer: Officer, order: ResponseOrder, form: object, at: datetime, **fields: Any) -> Receipt:
    """He answers the order with a receipt that brings this form."""
    said = receipts.Answer(line(officer, order).pk, ReceiptState.REPORTED, at, form=form, **fields)  # type: ignore[arg-type]
    [result] = receipts.take(officer.pk, [said], source="http", now=at)
    assert result["result"] == "accepted"
    return Receipt.objects.get(delivery__officer=officer, state=ReceiptState.REPORTED)


def test_a_form_counts_for_the_nearest_of_his_posts_inside_the_order(regions: Regions) -> None:
    officer = person(regions[A])
    also(officer, regions[A1])
    also(officer, regions[CELL].parent or regions[A2], Duty.REPORTER)
    also(officer, regions[C])
    order = released(EAST, at=now() - HOUR)
    answer = file(officer, order, note="水已退")
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert (row["region"], row["officer"], row["zero"], row["note"]) == (A1, officer.name, False, "水已退")
    assert row["figures"] == FIGURES
    assert Feedback.objects.get().pk == row["id"]


def test_he_may_name_another_region_of_his(regions: Regions) -> None:
    officer = person(regions[A])
    also(officer, regions[A1])
    order = released(at=now() - HOUR)
    assert file(officer, order, region=A).json()["region"] == A


def test_a_correction_is_a_new_row(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released(at=now() - HOUR)
    for people in (1, 2):
        file(officer, order, figures=FIGURES | {"people": people})
    assert Feedback.objects.count() == 2
    assert phone(officer).get(f"/api/v1/orders/{order.pk}/feedback").json()["own"]["figures"]["people"] == 2


def test_who_may_not_report_is_told_why(regions: Regions) -> None:
    order = released(EAST, at=now() - HOUR)
    both = person(regions[A1])
    also(both, regions[C])
    assert refused(both, order, region=A2) == (403, "region_not_yours")
    assert refused(both, order, region=C) == (400, "region_outside")
    assert refused(person(regions["4403"], Duty.DESK), order) == (403, "no_post_inside")
    assert refused(person(regions[C]), order) == (404, "not_found")
    assert refused(both, order, figures={"people": -1}) == (400, "form")
    assert refused(both, order, zero=True) == (400, "form")
    assert phone(both).post("/api/v1/orders/0/feedback", FORM, format="json").status_code == 404


@pytest.mark.parametrize(
    ("ended_h", "status"), [(None, OrderStatus.ISSUED), (23, OrderStatus.ENDED), (1, OrderStatus.SUPERSEDED)]
)
def test_forms_are_taken_in_force_and_a_day_after_the_end(
    regions: Regions, ended_h: int | None, status: OrderStatus
) -> None:
    officer = person(regions[A1])
    ended_at = None if ended_h is None else now() - ended_h * HOUR
    order = released(at=now() - 48 * HOUR, status=status, ended_at=ended_at)
    assert file(officer, order).status_code == 201


def test_forms_are_not_taken_before_the_release_nor_later_than_a_day_after_the_end(regions: Regions) -> None:
    officer = person(regions[A1])
    waiting = released(at=now(), released_at=None)
    assert refused(officer, waiting) == (409, "not_released")
    over = released(at=now() - 48 * HOUR, status=OrderStatus.ENDED, ended_at=now() - 25 * HOUR)
    assert refused(officer, over) == (409, "reports_closed")


def test_a_wrong_clock_neither_wins_for_good_nor_falls_before_the_release(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released(at=now() - HOUR)
    file(officer, order, at=(now() + 300 * HOUR).isoformat())
    file(officer, order, at=(now() - 300 * HOUR).isoformat())
    ahead, behind = Feedback.objects.order_by("pk")
    assert ahead.at == ahead.received_at
    assert behind.at == order.released_at


def test_a_late_form_of_a_phone_does_not_replace_a_newer_one(regions: Regions) -> None:
    first, second = person(regions[A1]), person(regions[A1])
    order = released(at=now() - 3 * HOUR)
    file(first, order, figures=FIGURES | {"people": 9}, at=(now() - HOUR).isoformat())
    file(second, order, figures=FIGURES | {"people": 1}, at=(now() - 2 * HOUR).isoformat())
    assert phone(first).get(f"/api/v1/orders/{order.pk}/feedback").json()["own"]["figures"]["people"] == 9


def test_a_drills_forms_stay_with_the_drill(regions: Regions) -> None:
    officer = person(regions[A1])
    real, drill = released(at=now() - HOUR), released(at=now() - HOUR, drill=True)
    file(officer, drill)
    door = "/api/v1/orders/{}/feedback"
    rolled = phone(officer).get(door.format(drill.pk)).json()
    assert (rolled["drill"], rolled["total"]["people"]) == (True, 12)
    rolled = phone(officer).get(door.format(real.pk)).json()
    assert (rolled["drill"], rolled["total"]["people"], rolled["own"]) == (False, 0, None)


def test_a_form_that_came_with_a_receipt_is_taken_up_once(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released()
    receipt = reported(officer, order, FORM, NOW + MINUTE)
    assert [feedback.take_forms(now=NOW + n * MINUTE) for n in (2, 3)] == [1, 0]
    row = Feedback.objects.get()
    assert (row.receipt, row.region_id, row.at) == (receipt, A1, NOW + MINUTE)
    assert row.received_at == receipt.received_at
    assert row.figures["people"] == 12


def test_a_receipt_wakes_the_job(regions: Regions, django_capture_on_commit_callbacks: Any) -> None:
    officer = person(regions[A1])
    order = released()
    with django_capture_on_commit_callbacks() as woken:
        reported(officer, order, FORM, NOW + MINUTE)
    assert "routine.forms" in [call.args[0] for call in woken if isinstance(call, partial)]


def test_a_form_that_cannot_be_read_is_kept_and_its_officer_told_which_field(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released()
    receipt = reported(officer, order, {"figures": {"people": "many"}}, NOW + MINUTE)
    for n in (2, 3):
        feedback.take_forms(now=NOW + n * MINUTE)
    assert not Feedback.objects.exists()
    assert Receipt.objects.get(pk=receipt.pk).form == {"figures": {"people": "many"}}
    assert list(UnreadForm.objects.get().fields) == ["figures.people"]
    told = Bulletin.objects.get(about=f"form/{receipt.pk}")
    assert told.officers == [officer.pk]
    assert "figures.people" in told.body_zh and "figures.people" in told.body_en
    dispatch.take_up(now=NOW + 4 * MINUTE)
    assert Delivery.objects.get(dispatch__bulletin=told).officer == officer


def test_a_form_for_an_order_long_over_is_told_to_be_late(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released(status=OrderStatus.ENDED, ended_at=NOW + HOUR)
    reported(officer, order, FORM, NOW + 26 * HOUR)
    feedback.take_forms(now=NOW + 26 * HOUR)
    assert UnreadForm.objects.get().code == "reports_closed"
    assert not Feedback.objects.exists()


def test_a_form_on_what_renewed_a_message_counts_for_its_own_order(regions: Regions) -> None:
    officer = person(regions[A1])
    city = released()
    district = released(EAST, at=NOW + MINUTE, thread=city.thread)
    quiet = line(officer, district)
    Delivery.objects.filter(pk=quiet.pk).update(quiet=True, root=line(officer, city))
    for order in (district, city):
        said = receipts.Answer(line(officer, order).pk, ReceiptState.REPORTED, NOW + HOUR, form=FORM)
        receipts.take(officer.pk, [said], source="http", now=NOW + HOUR)
        assert set(Delivery.objects.values_list("state", flat=True)) == {State.CONFIRMED}
    feedback.take_forms(now=NOW + HOUR)
    assert set(Feedback.objects.values_list("order", flat=True)) == {city.pk, district.pk}


def test_a_reminder_may_be_answered_with_the_form(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released()
    about = f"feedback/{order.pk}/1"
    told = make_bulletin(
        kind="message", about=about, officers=[officer.pk], issued_at=NOW, valid_until=NOW + HOUR
    )
    dispatch.take_up(now=NOW)
    reminder = Delivery.objects.get(dispatch__bulletin=told)
    said = receipts.Answer(reminder.pk, ReceiptState.REPORTED, NOW + MINUTE, form=FORM)
    receipts.take(officer.pk, [said], source="http", now=NOW + MINUTE)
    feedback.take_forms(now=NOW + MINUTE)
    assert Feedback.objects.get().order == order


def test_one_bad_form_holds_up_no_other(regions: Regions) -> None:
    good, bad = person(regions[A1]), person(regions[B1])
    order = released()
    reported(bad, order, {"figures": None}, NOW + MINUTE)
    reported(good, order, FORM, NOW + 2 * MINUTE)
    assert feedback.take_forms(now=NOW + 3 * MINUTE) == 2
    assert (Feedback.objects.get().region_id, UnreadForm.objects.count()) == (A1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_a_form_up_once() -> None:
    street = make_regions()[A]
    people = [person(street) for _ in range(20)]
    order = released(at=NOW)
    for officer in people:
        reported(officer, order, FORM, NOW + MINUTE)

    def work(_: int) -> None:
        try:
            feedback.take_forms(now=NOW + 2 * MINUTE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(work, range(4)))
    assert Feedback.objects.count() == len(people)


def test_an_arrival_is_kept_with_its_place_and_counted(regions: Regions) -> None:
    placed, unplaced = person(regions[A1]), person(regions[B])
    order = released(at=now() - HOUR)
    door = "/api/v1/inbox/receipts"
    said = {"state": "arrived", "at": now().isoformat()}
    where = {"lon": 114.12, "lat": 22.55}
    phone(placed).post(door, {"receipts": [{"id": line(placed, order).pk} | said | where]}, format="json")
    phone(unplaced).post(door, {"receipts": [{"id": line(unplaced, order).pk} | said]}, format="json")
    kept = Receipt.objects.get(delivery__officer=placed)
    assert (kept.lon, kept.lat) == (114.12, 22.55)
    desk = phone(person(regions[EAST], Duty.DESK))
    rolled = desk.get(f"/api/v1/orders/{order.pk}/feedback").json()
    assert (rolled["arrived"], rolled["arrived_with_place"]) == (2, 1)
    by_street = {
        child["code"]: (child["arrived"], child["arrived_with_place"]) for child in rolled["children"]
    }
    assert by_street == {A: (1, 1), B: (1, 0)}


def test_unread_forms_are_counted_for_the_desk(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released(at=now() - HOUR)
    reported(officer, order, {"figures": 3}, now() - timedelta(minutes=5))
    feedback.take_forms(now=now())
    desk = phone(person(regions[EAST], Duty.DESK))
    assert desk.get(f"/api/v1/orders/{order.pk}/feedback").json()["unread"] == 1
