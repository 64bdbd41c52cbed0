"""What the forms amount to, against an oracle that adds them up one by one; nobody sees what is not his."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alerts.models import ResponseOrder
from foundation.clock import now
from foundation.errors import Refusal
from hazards.forms import COUNTS, none_of_it
from hazards.models import Feedback
from hazards.rollup import roll_up
from hydrology.models import Level, Region
from notifications import months
from notifications.models import Delivery, Dispatch
from officers.models import Duty, Officer
from tests.console.factories import HOUR
from tests.hazards.conftest import (
    A1,
    A2,
    B1,
    C1,
    CELL,
    CITY,
    EAST,
    FIGURES,
    WEST,
    A,
    B,
    C,
    person,
    phone,
    released,
)
from tests.hydrology.factories import MINUTE, NOW

Regions = dict[str, Region]
CODES = [CITY, EAST, WEST, A, B, C, A1, A2, B1, C1, CELL]
NUMBER = st.integers(0, 1000)
FIGURE = st.fixed_dictionaries(
    {
        **dict.fromkeys(COUNTS, NUMBER),
        "inspected": st.dictionaries(st.sampled_from(["slope", "river", "pond"]), NUMBER, max_size=2),
    }
)
# few regions and instants: of one region often several forms, at the very ends of periods, phones that were late
FORMS = st.lists(
    st.tuples(
        st.sampled_from([A, A1, CELL, B1, EAST, C1]),
        st.integers(0, 2),
        st.sampled_from([1, 119, 120, 121, 240, 241]),
        FIGURE,
    ),
    min_size=2,
    max_size=10,
)
ZERO = none_of_it()


def added(figures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    whole, inspected = Counter[str](), Counter[str]()
    for one in figures:
        whole.update({key: one[key] for key in COUNTS})
        inspected.update(one["inspected"])
    return {key: whole[key] for key in COUNTS} | {"inspected": dict(inspected)}


def place(region: Region) -> str:
    """Where a region reports: a cell with its community."""
    return str(region.parent_id) if region.level == Level.FRONTLINE else region.pk


@pytest.fixture
def people(regions: Regions) -> dict[str, Officer]:
    return {code: person(regions[code], Duty.REPORTER) for code in CODES}


@pytest.fixture
def order(people: dict[str, Officer]) -> ResponseOrder:
    """Released to nobody yet; forms every two hours."""
    return released(at=NOW)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    areas=st.sets(st.sampled_from(CODES), min_size=1, max_size=3),
    addressed=st.sets(st.sampled_from(CODES)),
    forms=FORMS,
    top=st.sampled_from([CITY, EAST, A, A1, CELL, C]),
)
@example(
    areas={CITY}, addressed={A1}, top=CITY, forms=[(A1, 2, 1, ZERO | {"people": 1}), (A1, 1, 2, ZERO)]
).via("the form of a late phone comes in last")
@example(areas={CITY}, addressed={A1}, top=CITY, forms=[(A1, 1, 120, ZERO)]).via("at the end of the first")
@example(areas={CITY}, addressed={A1}, top=CITY, forms=[(A1, 1, 240, ZERO)]).via("at the end of the second")
@example(areas={CELL}, addressed={CELL}, top=CITY, forms=[]).via("a cell alone expects no community")
@example(areas={CITY}, addressed={CITY, EAST}, top=CITY, forms=[]).via("the city itself owes no form")
def test_the_roll_up_is_what_adding_one_by_one_gives(
    regions: Regions,
    people: dict[str, Officer],
    order: ResponseOrder,
    areas: set[str],
    addressed: set[str],
    forms: list[tuple[str, int, int, dict[str, Any]]],
    top: str,
) -> None:
    Feedback.objects.all().delete()
    Delivery.objects.all().delete()
    order.areas = sorted(areas)
    first = Dispatch.objects.get(bulletin__order=order)
    months.turn(NOW)
    Delivery.objects.bulk_create(
        Delivery(dispatch=first, officer=people[code], region=regions[code], due_at=NOW) for code in addressed
    )
    rows = Feedback.objects.bulk_create(
        Feedback(
            order=order, region=regions[code], officer=people[code], at=NOW + at * MINUTE,
            received_at=NOW + received * MINUTE, zero=False, figures=figures,
        )
        for code, at, received, figures in forms
    )  # fmt: skip
    got = roll_up(order, regions[top], number=None, now=NOW + 230 * MINUTE)  # in the second period

    newest: dict[str, Feedback] = {}
    for row in sorted(rows, key=lambda row: (row.at, row.pk)):
        newest[row.region_id] = row
    inside = {code for code in CODES if areas & set(regions[code].path.split("/"))}
    below = {code for code in CODES if regions[code].path.startswith(regions[top].path)}
    asked = {place(regions[code]) for code in addressed & inside} & inside & below - {CITY, CELL}
    spoken = {
        place(row.region) for row in rows if NOW + 2 * HOUR < row.received_at <= NOW + 4 * HOUR
        if row.region_id in inside
    }  # fmt: skip

    assert got["total"] == added(row.figures for code, row in newest.items() if code in below)
    assert got["own"] == newest.get(top)
    assert {one.code for one in got["missing"]} == asked - spoken
    assert (got["expected"], got["reported"]) == (len(asked), len(asked & spoken))
    for child in got["children"]:
        under = {code for code in below if regions[code].path.startswith(child["region"].path)}
        share, own = child["share"], newest.get(child["region"].pk)
        assert child["region"].parent_id == top
        assert share.total == added(row.figures for code, row in newest.items() if code in under)
        assert share.own == (own and own.figures)
        assert (share.expected, share.reported) == (len(asked & under), len(asked & spoken & under))
        assert share.last_at == max((newest[code].at for code in under & set(newest)), default=None)
    covered = {child["region"].pk for child in got["children"]} | {top}
    assert all(
        covered & set(regions[code].path.split("/")) - {top} or code == top for code in below & set(newest)
    )


def filed(order: ResponseOrder, region: Region, officer: Officer, minutes: int, **figures: int) -> None:
    Feedback.objects.create(
        order=order, region=region, officer=officer, at=NOW + minutes * MINUTE, zero=not figures,
        received_at=NOW + minutes * MINUTE, figures=none_of_it() | figures,
    )  # fmt: skip


def test_who_reported_is_asked_per_period_and_figures_stay(regions: Regions) -> None:
    officer, other = person(regions[A1]), person(regions[B1])
    order = released()
    filed(order, regions[A1], officer, 30, people=7)
    filed(order, regions[B1], other, 150, people=1)
    first = roll_up(order, regions[CITY], number=1, now=NOW + 150 * MINUTE)
    present = roll_up(order, regions[CITY], number=None, now=NOW + 151 * MINUTE)
    assert [one.code for one in first["missing"]] == [B1]
    assert [one.code for one in present["missing"]] == [A1]
    assert first["total"]["people"] == present["total"]["people"] == 8
    assert present["due_at"] == NOW + 4 * HOUR
    assert present["zero_due_at"] == NOW + 24 * HOUR
    with pytest.raises(Refusal) as caught:
        roll_up(order, regions[CITY], number=3, now=NOW + 150 * MINUTE)
    assert caught.value.code == "no_such_period"


def test_a_zero_report_is_a_report(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released()
    filed(order, regions[A1], officer, 30)
    got = roll_up(order, regions[CITY], number=None, now=NOW + HOUR)
    assert (got["expected"], got["reported"], got["own"]) == (1, 1, None)


def test_a_cells_people_report_with_their_community(regions: Regions) -> None:
    cell = person(regions[CELL])
    order = released()
    assert [one.code for one in roll_up(order, regions[A], number=None, now=NOW + HOUR)["missing"]] == [A1]
    filed(order, regions[CELL], cell, 90, people=3)
    got = roll_up(order, regions[A], number=None, now=NOW + 2 * HOUR)
    assert (got["missing"], got["total"]["people"]) == ([], 3)


def test_after_the_end_latecomers_count_and_nothing_is_due(regions: Regions) -> None:
    officer = person(regions[A1])
    order = released(status="ended", ended_at=NOW + HOUR)
    filed(order, regions[A1], officer, 180, people=1)
    got = roll_up(order, regions[CITY], number=None, now=NOW + 4 * HOUR)
    assert (got["reported"], got["due_at"], got["zero_due_at"]) == (1, None, None)
    assert got["period"].number == 1


def test_each_sees_his_own_regions_only(regions: Regions) -> None:
    street, other = person(regions[A]), person(regions[B1])
    order = released(at=now() - HOUR)
    door = f"/api/v1/orders/{order.pk}/feedback"
    for officer, count in ((street, 1), (other, 10)):
        phone(officer).post(door, {"figures": FIGURES | {"people": count}}, format="json")
    own = phone(street).get(door).json()
    assert (own["region"]["code"], own["total"]["people"], own["expected"]) == (A, 1, 1)
    district = phone(person(regions[EAST], Duty.DESK)).get(door).json()
    assert (district["region"]["code"], district["total"]["people"]) == (EAST, 11)
    assert [child["code"] for child in district["children"]] == [A, B]
    for code in (EAST, B, C, "nowhere"):
        assert phone(street).get(door, {"region": code}).status_code == 404
    assert phone(person(regions[EAST], Duty.DESK)).get(door, {"region": B}).json()["total"]["people"] == 10
    assert (
        phone(person(regions[C])).get(f"/api/v1/orders/{released(EAST, at=now()).pk}/feedback").status_code
        == 404
    )


def test_the_door_says_what_is_wrong_with_a_period(regions: Regions) -> None:
    order = released(at=now() - HOUR)
    desk = phone(person(regions[CITY], Duty.DESK))
    door = f"/api/v1/orders/{order.pk}/feedback"
    wrong = {
        "x": "invalid",
        "-1": "invalid",
        "0": "no_such_period",
        "99": "no_such_period",
        "9" * 30: "invalid",
    }
    for asked, code in wrong.items():
        answer = desk.get(door, {"period": asked})
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    waiting = released(at=now(), released_at=None)
    assert desk.get(f"/api/v1/orders/{waiting.pk}/feedback").json()["code"] == "not_released"


def test_the_city_costs_as_many_queries_as_a_street(regions: Regions) -> None:
    officers = {code: person(regions[code]) for code in (A, A1, A2, B1, C1)}
    order = released()
    counts = []
    for code, officer in officers.items():
        filed(order, regions[code], officer, 30, people=1)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            roll_up(order, regions[CITY], number=None, now=NOW + timedelta(hours=1))
        counts.append(len(queries))
    assert len(set(counts)) == 1
