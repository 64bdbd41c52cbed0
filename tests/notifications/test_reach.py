"""The reach counted by the database equals a plain recount of the rows, within the caller's regions only."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from alerts.models import Requires, Warning
from console.board import recent_dispatches
from foundation.scope import Scope
from hydrology.models import Region
from notifications.models import RANK, Delivery, Errand, Receipt, ReceiptState, State
from notifications.reach import figures, people_of, reach_of, told_of
from officers.models import Duty
from tests.alerts.conftest import signed_in
from tests.console.factories import make_bulletin, make_dispatch
from tests.hydrology.factories import NOW, make_regions

CITY, DISTRICT = ("4403/",), ("4403/440303/",)
STREETS = ("4403/440303/440303002/", "4403/440304/440304001/")
PLACES = ["4403", "440303", "440303001", "440303002", "440304001"]


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@given(lines=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(State)), max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_figures_equal_a_plain_recount(regions: dict[str, Region], lines: list[tuple[str, State]]) -> None:
    dispatch = make_dispatch([(regions[code], state) for code, state in lines])
    reach = reach_of(dispatch.bulletin_id, CITY)
    assert reach["states"] == {s.value: Counter(state for _, state in lines)[s] for s in State}
    for district in reach["districts"]:
        own = [RANK[state] for code, state in lines if code.startswith(district["code"])]
        assert district["total"] == len(own)
        assert district["pushed"] == sum(rank >= RANK[State.SENT] for rank in own)
        assert district["opened"] == sum(rank >= RANK[State.OPENED] for rank in own)
        assert district["confirmed"] == sum(rank == RANK[State.CONFIRMED] for rank in own)
    for paths in (CITY, DISTRICT, STREETS, ()):
        own_reach = reach_of(dispatch.bulletin_id, paths)
        nobody = sorted(row["code"] for row in own_reach["nobody"])
        assert told_of([dispatch.bulletin_id], paths)[dispatch.bulletin_id] == (counts(own_reach), nobody)
    called = {code for code, _ in lines if len(code) == 9}
    confirmed = {code for code, state in lines if state == State.CONFIRMED}
    assert {row["code"] for row in reach["nobody"]} == called - confirmed
    assert (
        len(reach["unanswered"]) == reach["unanswered_total"] == sum(s != State.CONFIRMED for _, s in lines)
    )


def test_a_failed_push_is_neither_waiting_nor_pushed() -> None:
    counted = figures({State.FAILED_PERM: 2, State.FAILED_TEMP: 1, State.OPENED: 4}, acting=0)
    assert counted == {
        "total": 7, "waiting": 1, "failed": 2, "pushed": 4, "delivered": 4, "shown": 4, "opened": 4, "confirmed": 0,
        "acting": 0,
    }  # fmt: skip


def test_other_districts_people_are_neither_counted_nor_named(regions: dict[str, Region]) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.SENT), (regions["440304001"], State.SENT)])
    reach = reach_of(dispatch.bulletin_id, DISTRICT)
    assert reach["total"] == 1
    assert [person["region"] for person in reach["unanswered"]] == ["440303001"]


def test_no_path_sees_nobody(regions: dict[str, Region]) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.SENT)])
    assert reach_of(dispatch.bulletin_id, ())["total"] == 0


def test_opening_is_the_answer_where_only_opening_is_required(regions: dict[str, Region]) -> None:
    street = regions["440303001"]
    bulletin = make_bulletin(Requires.OPEN)
    make_dispatch([(street, State.OPENED), (street, State.DELIVERED)], bulletin=bulletin)
    reach = reach_of(bulletin.pk, CITY)
    assert reach["unanswered_total"] == 1
    assert not reach["nobody"]


def counts(reach: dict[str, Any]) -> dict[str, int]:
    return {name: reach[name] for name in figures({}, 0)}


def test_a_deputys_answer_covers_his_street_without_adding_to_its_total(regions: dict[str, Region]) -> None:
    street, bulletin = regions["440303001"], make_bulletin()
    make_dispatch([(street, State.SENT)], bulletin=bulletin)
    assert told_of([bulletin.pk], CITY)[bulletin.pk][1] == ["440303001"]
    make_dispatch([(street, State.CONFIRMED)], bulletin=bulletin, errand=Errand.DEPUTY)
    reach = reach_of(bulletin.pk, CITY)
    assert (reach["total"], reach["confirmed"], reach["nobody"]) == (1, 0, [])
    assert told_of([bulletin.pk], CITY)[bulletin.pk] == (counts(reach), [])


def test_a_repeat_of_the_same_line_is_not_counted_again(regions: dict[str, Region]) -> None:
    street, bulletin = regions["440303001"], make_bulletin()
    first = make_dispatch([(street, State.SENT)], bulletin=bulletin)
    repeat = make_dispatch([(street, State.CONFIRMED)], bulletin=bulletin, errand=Errand.REPEAT)
    Delivery.objects.filter(dispatch=repeat).update(root=first.deliveries.get())
    reach = reach_of(bulletin.pk, CITY)
    assert (reach["total"], len(reach["nobody"])) == (1, 1)


def test_the_unanswered_come_in_pages_that_meet(regions: dict[str, Region]) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.SENT)] * 5)
    first = reach_of(dispatch.bulletin_id, CITY, limit=3)
    second = reach_of(dispatch.bulletin_id, CITY, after=first["next"], limit=3)
    ids = [person["id"] for page in (first, second) for person in page["unanswered"]]
    assert ids == sorted(dispatch.deliveries.values_list("id", flat=True))
    assert second["next"] is None


def test_the_unanswered_are_named_with_masked_phone_and_duty(regions: dict[str, Region]) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.FAILED_PERM)])
    [person] = reach_of(dispatch.bulletin_id, CITY)["unanswered"]
    officer = dispatch.deliveries.get().officer
    assert (person["officer"], person["name"]) == (officer.pk, officer.name)
    assert "****" in person["masked_phone"]
    assert (person["duty"], person["state"], person["street"]) == ("flood", "failed_perm", "440303001")


def test_queries_do_not_grow_with_people(
    regions: dict[str, Region], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    few = make_dispatch([(regions["440303001"], State.SENT)])
    many = make_dispatch([(regions[code], State.SENT) for code in PLACES] * 6)
    for dispatch in (few, many):
        with django_assert_num_queries(4):
            reach_of(dispatch.bulletin_id, CITY)


def test_a_street_whose_only_officer_cannot_go_has_nobody_until_he_goes_after_all(
    regions: dict[str, Region],
) -> None:
    dispatch = make_dispatch([(regions["440303001"], State.CONFIRMED)])
    line = dispatch.deliveries.get()
    said = {"delivery": line, "received_at": NOW, "source": "http"}
    Receipt.objects.create(state=ReceiptState.CANNOT, at=NOW, **said)
    reach = reach_of(dispatch.bulletin_id, CITY)
    assert [street["code"] for street in reach["nobody"]] == ["440303001"]
    assert [person["id"] for person in reach["unanswered"]] == [line.pk]
    assert told_of([dispatch.bulletin_id], CITY)[dispatch.bulletin_id] == (counts(reach), ["440303001"])
    Receipt.objects.create(state=ReceiptState.ARRIVED, at=NOW + timedelta(minutes=3), **said)
    assert reach_of(dispatch.bulletin_id, CITY)["nobody"] == []


def test_who_has_no_phone_that_lives_is_counted_by_street(regions: dict[str, Region]) -> None:
    dispatch = make_dispatch(
        [(regions["440303001"], State.FAILED_PERM)] * 3 + [(regions["440303001"], State.SENT)]
    )
    rows = list(Delivery.objects.filter(dispatch=dispatch, state=State.FAILED_PERM).order_by("pk"))
    for row, reason in zip(
        rows, ("no_live_device", "dead_token UNREGISTERED", "PayloadTooLarge"), strict=True
    ):
        Delivery.objects.filter(pk=row.pk).update(reason=reason)
    found = reach_of(dispatch.bulletin_id, ["4403/"])
    assert found["no_device"] == 2
    assert {row["code"]: row["no_device"] for row in found["streets"]} == {"440303001": 2}


def test_who_is_there_or_reports_is_counted_beside_the_states(regions: dict[str, Region]) -> None:
    street, bulletin = regions["440303001"], make_bulletin()
    dispatch = make_dispatch([(street, State.CONFIRMED)] * 3 + [(street, State.SENT)], bulletin=bulletin)
    there, *_ = Delivery.objects.filter(dispatch=dispatch, state=State.CONFIRMED).order_by("pk")
    Delivery.objects.filter(pk=there.pk).update(acting_at=NOW)
    deputy = make_dispatch([(street, State.CONFIRMED)], bulletin=bulletin, errand=Errand.DEPUTY)
    Delivery.objects.filter(dispatch=deputy).update(
        acting_at=NOW
    )  # adds to no total, as in every other count
    reach = reach_of(bulletin.pk, CITY)
    assert (reach["confirmed"], reach["acting"]) == (3, 1)
    assert [row["acting"] for row in (*reach["districts"], *reach["streets"])] == [1, 1]
    [card] = recent_dispatches(Scope(CITY), 5)
    assert (card["confirmed"], card["acting"]) == (3, 1)


def test_a_line_that_only_renews_acts_where_its_root_does(regions: dict[str, Region]) -> None:
    first = make_dispatch([(regions["440303001"], State.CONFIRMED)])
    root = first.deliveries.get()
    renewed = make_dispatch([(regions["440303001"], State.SENT)])
    Delivery.objects.filter(dispatch=renewed).update(quiet=True, root=root)
    assert reach_of(renewed.bulletin_id, CITY)["acting"] == 0
    Delivery.objects.filter(pk=root.pk).update(acting_at=NOW)
    assert reach_of(renewed.bulletin_id, CITY)["acting"] == 1
    assert [line["acting"] for line in people_of(renewed.bulletin_id, CITY)["items"]] == [True]


def test_a_warnings_reach_counts_each_person_by_the_newest_that_asked_him(regions: dict[str, Region]) -> None:
    """Raised in one street, then graver there and in another, then over; the last is not dispatched yet."""
    A, B = regions["440303001"], regions["440303002"]
    warning = Warning.objects.create(
        hazard="rainstorm", region=regions["440303"], level=4, peak_level=4, raised_at=NOW
    )
    raised, graver = (make_bulletin(warning=warning) for _ in range(2))
    one = make_dispatch([(A, State.CONFIRMED)], bulletin=raised).deliveries.get()
    second = make_dispatch([(A, State.OPENED), (B, State.CONFIRMED)], bulletin=graver)
    second.deliveries.filter(region=A).update(officer=one.officer)
    make_bulletin(Requires.OPEN, warning=warning, level="none")
    desk = signed_in((regions["440303"], Duty.DESK))
    reach = desk.get(f"/api/v1/warnings/{warning.pk}/reach").json()
    assert (reach["dispatch"], reach["total"], reach["confirmed"]) == (second.pk, 2, 1)
    assert [person["officer"] for person in reach["unanswered"]] == [one.officer_id]
    whole = desk.get(f"/api/v1/warnings/{warning.pk}").json()
    assert whole["reach"] == {name: reach[name] for name in whole["reach"]}
    assert (whole["reach"]["total"], whole["reach"]["unanswered_total"]) == (2, 1)


def test_a_warning_that_only_asks_to_be_opened_has_a_reach_as_well(regions: dict[str, Region]) -> None:
    street = regions["440303001"]
    warning = Warning.objects.create(hazard="reservoir", region=street, level=2, peak_level=2, raised_at=NOW)
    said = make_bulletin(Requires.OPEN, warning=warning, level="attention", kind="level")
    make_dispatch([(street, State.OPENED)], bulletin=said)
    desk = signed_in((regions["440303"], Duty.DESK))
    assert desk.get(f"/api/v1/warnings/{warning.pk}/reach").json()["opened"] == 1
