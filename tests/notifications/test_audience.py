"""Who hears a bulletin: areas and duties, keepers of stations, persons by name, and their deputies. On real rows."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from alerts.models import Bulletin, BulletinKind
from foundation.clock import now
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery, Errand
from notifications.preview import preview
from officers.models import Duty, Officer, Post, Rank
from tests.hydrology.factories import make_reservoir

A, B, DISTRICT, CITY = "440303001", "440303002", "440303", "4403"
Regions = dict[str, Region]
Make = Callable[..., Bulletin]
Person = Callable[..., Officer]


@pytest.fixture
def lake(regions: Regions) -> str:
    make_reservoir("other", A)
    return make_reservoir("lake", A).pk


def heard(
    bulletin: Bulletin, errand: Errand = Errand.FIRST, unanswered: list[int] | None = None
) -> dict[int, str]:
    """Region by which each officer of the errand is addressed."""
    made = dispatch.run_errand(bulletin, errand, now=now(), unanswered=unanswered)
    return dict(made.deliveries.values_list("officer", "region"))


def test_below_alert_a_level_notice_reaches_the_keepers_and_the_desks_above(
    lake: str, regions: Regions, person: Person, bulletin: Make
) -> None:
    keepers = [person(regions[A], station_id=lake, rank=rank) for rank in Rank]
    engineer = person(regions[A], duty=Duty.ENGINEER, station_id=lake)
    desks = [person(regions[code], duty=Duty.DESK) for code in (A, DISTRICT, CITY)]
    for code in (A, B):
        person(regions[code])
    person(regions[A], station_id="other")
    person(regions[B], duty=Duty.DESK)
    expected = {officer.pk for officer in (*keepers, engineer, *desks)}
    assert set(heard(bulletin(A, kind=BulletinKind.LEVEL, duties=[], stations=[lake]))) == expected


def test_from_alert_on_the_street_hears_it_as_well_and_each_person_once(
    lake: str, regions: Regions, person: Person, bulletin: Make
) -> None:
    keeper = person(regions[A], station_id=lake)
    Post.objects.create(
        officer=keeper, duty=Duty.FLOOD, region=regions[A], valid_from=now() - timedelta(days=1)
    )
    afar = person(regions[B], station_id=lake)  # a keeper whose post is counted in the next street
    flood, reporter = person(regions[A]), person(regions[A], duty=Duty.REPORTER)
    person(regions[A], duty=Duty.FOREST)
    person(regions[B])
    found = heard(bulletin(A, kind=BulletinKind.LEVEL, duties=["flood", "reporter"], stations=[lake]))
    assert found == {keeper.pk: A, afar.pk: B, flood.pk: A, reporter.pk: A}


def test_keepers_whose_term_is_over_or_who_left_are_not_addressed(
    lake: str, regions: Regions, person: Person, bulletin: Make
) -> None:
    person(regions[A], station_id=lake, valid_to=now() - timedelta(hours=1))
    gone = person(regions[A], station_id=lake)
    Officer.objects.filter(pk=gone.pk).update(is_active=False)
    assert heard(bulletin(A, kind=BulletinKind.LEVEL, duties=[], stations=[lake])) == {}


def test_persons_by_name_are_the_only_ones_each_by_his_nearest_post(
    regions: Regions, person: Person, bulletin: Make
) -> None:
    named = person(regions[DISTRICT])
    Post.objects.create(
        officer=named, duty=Duty.FLOOD, region=regions[B], valid_from=now() - timedelta(days=1)
    )
    person(regions[A]), person(regions[CITY], duty=Duty.DESK)
    without_post = person(regions[A], valid_to=now() - timedelta(hours=1))
    asked = bulletin(A, kind=BulletinKind.LEVEL, officers=[named.pk, without_post.pk])
    assert heard(asked) == {named.pk: B}


def test_the_silent_keepers_deputy_is_the_b_post_of_his_station(
    lake: str, regions: Regions, person: Person, bulletin: Make
) -> None:
    keeper, deputy = (person(regions[A], station_id=lake, rank=rank) for rank in Rank)
    flood, street_deputy = person(regions[A]), person(regions[A], rank=Rank.B)
    person(regions[A], station_id="other", rank=Rank.B)
    level = bulletin(A, kind=BulletinKind.LEVEL, duties=["flood"], stations=[lake])
    heard(level)
    line = dict(Delivery.objects.values_list("officer", "id"))
    assert heard(level, Errand.DEPUTY, [line[keeper.pk]]) == {deputy.pk: A}
    assert heard(level, Errand.DEPUTY, [line[flood.pk]]) == {street_deputy.pk: A}
    assert set(heard(level, Errand.DEPUTY, [line[keeper.pk], line[flood.pk]])) == {
        deputy.pk,
        street_deputy.pk,
    }


def test_the_deputy_of_a_position_is_of_the_same_duty_and_in_force(
    regions: Regions, person: Person, bulletin: Make
) -> None:
    silent = person(regions[A], position="1")
    asked = bulletin(A, duties=["flood", "reporter"])
    heard(asked)
    line = Delivery.objects.get(officer=silent).pk
    person(regions[B], rank=Rank.B, position="1")
    reporter = person(regions[A], duty=Duty.REPORTER, rank=Rank.B, position="1")
    over, left = (person(regions[A], rank=Rank.B, position="1") for _ in range(2))
    other = person(regions[A], rank=Rank.B, position="2")
    assert set(heard(asked, Errand.DEPUTY, [line])) == {over.pk, left.pk}
    Post.objects.filter(officer=over).update(valid_to=now() - timedelta(hours=1))
    Officer.objects.filter(pk=left.pk).update(is_active=False)
    assert set(heard(asked, Errand.DEPUTY, [line])) == {reporter.pk, other.pk}  # all of the region, as ever


def test_a_station_without_a_b_post_falls_back_to_the_streets(
    lake: str, regions: Regions, person: Person, bulletin: Make
) -> None:
    keeper = person(regions[A], station_id=lake)
    street_deputy = person(regions[A], rank=Rank.B)
    level = bulletin(A, kind=BulletinKind.LEVEL, duties=["flood"], stations=[lake])
    heard(level)
    line = Delivery.objects.get(officer=keeper).pk
    assert heard(level, Errand.DEPUTY, [line]) == {street_deputy.pk: A}


def test_a_preview_counts_areas_and_duties_as_ever(regions: Regions, person: Person) -> None:
    person(regions[A]), person(regions[A], duty=Duty.REPORTER), person(regions[CITY], duty=Duty.DESK)
    assert preview([A], ["flood"], now())["officers"] == 2
