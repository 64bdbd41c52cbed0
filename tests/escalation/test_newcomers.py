"""Whose post begins while a message stands: he hears it, once, and is chased from then on."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts.models import BulletinKind, Hazard, OrderStatus, Requires, ResponseOrder, Warning
from escalation import audit, climb, starts
from escalation.models import Climb
from hydrology.models import Region, StationKind
from notifications.models import Delivery, Errand
from officers.models import Duty, Officer, Post
from tests.escalation.test_climb import (
    DISTRICT,
    NEXT_STREET,
    REPEAT_S,
    STREET,
    Regions,
    answer,
    at,
    heard,
    person,
    rungs,
    tell,
)
from tests.escalation.test_endings import drill_for, order_of
from tests.hydrology.factories import make_regions, make_station

BEGINS_S = 400  # long after the first rung


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


def successor(region: Region, **post: Any) -> Officer:
    return person(region, valid_from=at(BEGINS_S), **post)


def test_who_comes_after_it_is_told_by_the_same_dispatch_and_chased_from_then_on(regions: Regions) -> None:
    leaves, stays = person(regions[STREET], valid_to=at(BEGINS_S)), person(regions[STREET])
    told = tell(STREET)
    for officer in (leaves, stays):
        answer(officer, Errand.FIRST)
    climb.sweep(now=at(REPEAT_S))
    late = successor(regions[STREET])
    Post.objects.create(  # another post for who has heard it
        officer=stays, duty=Duty.FLOOD, region=regions[NEXT_STREET], valid_from=at(BEGINS_S)
    )
    assert starts.take_in(now=at(BEGINS_S - 1)) == 0
    assert starts.take_in(now=at(BEGINS_S + 20)) == 1
    dispatch = told.dispatches.get(errand="first")
    assert (heard(late), heard(stays), dispatch.recipients) == (["first"], ["first"], 3)
    assert audit.look(at(BEGINS_S + 21)) == {}
    assert (rungs(late), Climb.objects.get(delivery__officer=late).due_at) == (
        [],
        at(BEGINS_S + 20 + REPEAT_S),
    )
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert starts.take_in(now=at(BEGINS_S + 40)) == 0
    assert not [query for query in asked if "INSERT" in query["sql"] or "advisory" in query["sql"]]
    climb.sweep(now=at(BEGINS_S + 20 + REPEAT_S))
    assert heard(late) == ["first", "repeat"]


def test_it_costs_one_short_query_while_no_post_has_begun(
    regions: Regions, django_assert_num_queries: Any
) -> None:
    person(regions[STREET])
    tell(STREET)
    with django_assert_num_queries(4):  # the latest beginning, what was sent before it, a savepoint
        assert starts.take_in(now=at(BEGINS_S)) == 0


@pytest.mark.parametrize(
    ("post", "hears"),
    [
        ({"region": STREET, "duty": Duty.DESK}, True),
        ({"region": DISTRICT, "duty": Duty.DESK}, True),  # above it
        ({"region": DISTRICT}, False),
        ({"region": NEXT_STREET}, False),
        ({"region": STREET, "duty": Duty.FOREST}, False),
        ({"region": NEXT_STREET, "station_id": "lake"}, True),  # keeps what the message names
        ({"region": STREET, "valid_to": at(BEGINS_S + 10)}, False),
    ],
    ids=str,
)
def test_only_whom_it_addresses_hears_it(regions: Regions, post: dict[str, Any], hears: bool) -> None:
    make_station("lake", StationKind.RESERVOIR, STREET)
    person(regions[STREET])
    tell(STREET, kind=BulletinKind.LEVEL, stations=["lake"])
    late = successor(regions[post.pop("region")], **post)
    starts.take_in(now=at(BEGINS_S + 20))
    assert heard(late) == (["first"] if hears else [])


@pytest.mark.parametrize("case", ["order over", "asks nothing", "by name", "drill", "inactive"])
def test_what_stands_no_more_or_was_not_for_him_is_told_nobody_new(regions: Regions, case: str) -> None:
    officer, late = person(regions[STREET]), successor(regions[STREET])
    order = order_of(regions[DISTRICT])
    fields: dict[str, Any] = {
        "asks nothing": {"requires": Requires.OPEN},
        "by name": {"officers": [officer.pk]},
        "drill": {"drill": True, "drill_of": drill_for(regions[DISTRICT], officer, late)},
    }.get(case, {"order": order, "kind": BulletinKind.ORDER})
    tell(STREET, **fields)
    if case == "order over":
        ResponseOrder.objects.filter(pk=order.pk).update(status=OrderStatus.ENDED, ended_at=at(10))
    if case == "inactive":
        Officer.objects.filter(pk=late.pk).update(is_active=False)
    assert starts.take_in(now=at(BEGINS_S + 20)) == 0
    assert heard(late) == []


def test_of_a_storm_one_message_rings_him_and_of_a_warning_he_hears_the_newest(regions: Regions) -> None:
    officer, between = person(regions[STREET]), person(regions[STREET], valid_from=at(1.5))
    here, there = (
        Warning.objects.create(
            hazard=Hazard.RAINSTORM, region=regions[code], level=4, peak_level=4, raised_at=at(0)
        )
        for code in (DISTRICT, "440304")
    )
    said = [
        tell(STREET, warning=warning, thread="storm/7", renews=True, issued_at=at(n))
        for n, warning in enumerate([here, here, there])
    ]
    late = successor(regions[STREET])
    starts.take_in(now=at(BEGINS_S + 20))
    lines = Delivery.objects.filter(officer=late).order_by("id")
    assert list(lines.values_list("dispatch__bulletin", "quiet")) == [(said[1].pk, False), (said[2].pk, True)]
    lines_between = Delivery.objects.filter(officer=between).order_by(
        "id"
    )  # rung by the second warning already
    assert list(lines_between.values_list("dispatch__bulletin", "quiet")) == [
        (said[2].pk, False), (said[1].pk, True),
    ]  # fmt: skip
    newest = tell(STREET, warning=here, thread="storm/7", renews=True, issued_at=at(BEGINS_S + 30))
    starts.take_in(now=at(BEGINS_S + 40))
    assert lines.filter(dispatch__bulletin__warning=here).count() == 2
    assert lines.last().dispatch.bulletin == newest
    assert Delivery.objects.filter(officer=officer, dispatch__bulletin=newest).count() == 1
