"""A phone on the shelf: pushed to every three minutes by the ordinary way, counted nowhere, kept for a day."""

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from alerts.models import Bulletin, BulletinKind
from console import board, report_ledger
from foundation import clock
from foundation.scope import Scope
from hydrology.models import Region
from notifications import canaries, delivery, dispatch, receipts, reports
from notifications.canaries import BACK_WITHIN, EVERY
from notifications.models import Delivery, Dispatch, ProviderReport, Receipt, ReceiptState, State
from notifications.receipts import Answer
from notifications.reports import Report, Said
from officers import roster
from officers.directory import scope_of
from officers.models import Device, Duty, Officer, Post
from replay import city
from replay.phones import Standin
from tests.notifications.conftest import give_phone

CITY, STREET = "4403", "440303001"
Regions = dict[str, Region]
People = Callable[..., Officer]


@pytest.fixture
def canary(regions: Regions, person: People) -> Officer:
    return person(regions[CITY], duty=Duty.CANARY)


def flown(at: datetime) -> Delivery:
    """One round up to the vendor."""
    assert canaries.fly(now=at) is not None
    dispatch.take_up(now=at)
    delivery.send_due(clock=lambda: at)
    return Delivery.objects.order_by("-id")[0]


def back(line: Delivery, at: datetime, source: str = "http") -> None:
    receipts.take(line.officer_id, [Answer(line.pk, ReceiptState.DELIVERED, at)], source=source, now=at)


def test_it_goes_to_the_vendor_by_the_ordinary_way_and_its_answer_ends_the_flight(
    canary: Officer, vendor: Standin
) -> None:
    at = clock.now()
    line = flown(at)
    [push] = vendor.accepted()
    assert (push["data"]["kind"], push["id"]) == ("canary", str(line.pk))
    [on_its_way] = canaries.flights(at - EVERY)
    assert (on_its_way.provider, on_its_way.accepted_at, on_its_way.back_at) == ("fcm", at, None)
    assert (on_its_way.over(at + BACK_WITHIN), on_its_way.over(at + 2 * BACK_WITHIN)) == (False, True)
    back(line, at + timedelta(seconds=4))
    [home] = canaries.flights(at - EVERY)
    assert (home.trip_s, home.over(at + timedelta(seconds=4))) == (4, True)


def test_a_round_is_flown_every_three_minutes_however_often_it_is_asked_for(canary: Officer) -> None:
    at = clock.now()
    asked = [canaries.fly(now=at + timedelta(seconds=s)) for s in (0, 15, 179, 180, 181, 360)]
    assert [bool(one) for one in asked] == [True, False, False, True, False, True]


def test_without_a_canary_nothing_is_flown(regions: Regions, person: People) -> None:
    person(regions[STREET])
    assert canaries.fly(now=clock.now()) is None


def test_a_vendor_who_says_it_is_delivered_does_not_prove_the_app(canary: Officer, vendor: Standin) -> None:
    at = clock.now()
    line = flown(at)
    receipts.arrived({line.pk: at}, source="fcm", now=at)
    assert canaries.flights(at - EVERY)[0].back_at is None


def test_a_dead_phone_says_so(canary: Officer, vendor: Standin) -> None:
    Device.objects.update(token="")
    [flight] = (flown(clock.now()), canaries.flights(clock.now() - EVERY))[1]
    assert (flight.accepted_at, flight.fault) == (None, "no_live_device")


def test_nobody_sees_it_and_no_figure_counts_it(canary: Officer, regions: Regions, vendor: Standin) -> None:
    at = clock.now()
    flown(at)
    paths = (regions[CITY].path,)
    scope = Scope(paths, paths)
    assert board.recent_dispatches(scope, 20) == []
    assert board.region_reach(scope, CITY, at)["total"] == 0
    span: tuple[Any, ...] = (at - timedelta(hours=1), at + timedelta(hours=1), paths)
    assert report_ledger.said(*span) == []
    assert report_ledger.late(*span, at)["sends"]["sent"] == 0
    assert report_ledger.fatigue(*span)["messages"] == 0
    assert not Delivery.objects.inbox(canary.pk, 0).exists()
    assert not Dispatch.objects.to_people().exists()
    assert scope_of(canary.pk, at) == Scope()


def test_after_a_day_its_rows_go_and_what_people_were_told_stays(
    canary: Officer, regions: Regions, person: People, bulletin: Callable[..., Bulletin], vendor: Standin
) -> None:
    person(regions[STREET])
    at = clock.now()
    told = bulletin(STREET, issued_at=at)
    back(flown(at), at)
    late = at + timedelta(hours=25)
    assert canaries.forget_old(now=late, keep_days=0) == 0
    assert canaries.forget_old(now=at + timedelta(hours=23), keep_days=1) == 0
    Dispatch.objects.update(created_at=at)
    assert canaries.forget_old(now=late, keep_days=1) == 1
    assert list(Bulletin.objects.all()) == [told]
    assert Delivery.objects.count() == 1
    assert not Receipt.objects.exists()
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        Bulletin.objects.filter(pk=told.pk).update(kind=BulletinKind.CANARY)
    with (
        pytest.raises(DatabaseError, match="frozen"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM alerts_bulletin WHERE id = %s", [told.pk])


def test_what_a_vendor_said_of_a_canary_outlives_its_rows(canary: Officer, vendor: Standin) -> None:
    at = clock.now()
    line = flown(at)
    reports.take("fcm", [Report(str(line.pk), Said.DELIVERED, at)], now=at)
    assert canaries.forget_old(now=at + timedelta(days=2), keep_days=1) == 1
    assert not Delivery.objects.exists()
    kept = ProviderReport.objects.get()
    assert (kept.message, kept.delivery_id) == (str(line.pk), None)


def canary_command(*words: str) -> str:
    said = StringIO()
    call_command("canary", *words, stdout=said)
    return said.getvalue()


def test_a_phone_is_put_on_the_shelf_and_taken_off_it(
    regions: Regions, person: People, vendor: Standin
) -> None:
    assert "without a canary" in canary_command()
    canary_command("add", "13912345678", "探测一号")
    officer = Officer.objects.get()
    assert "no push token" in canary_command("list")
    give_phone(officer)
    line = flown(clock.now())
    assert (line.officer_id, line.state) == (officer.pk, State.SENT)
    assert "139****5678" in canary_command("list")
    canary_command("remove", "13912345678")
    assert not canaries.posts(clock.now()).exists()
    canary_command("add", "13912345678", "探测一号")
    assert Post.objects.count() == 1


def test_a_person_with_a_post_is_no_canary(regions: Regions) -> None:
    phone = "13912345678"
    [officer] = roster.enrol([roster.officer_row("值班", phone)])
    Post.objects.create(officer=officer, duty=Duty.DESK, region=regions[CITY], valid_from=clock.now())
    for words in (("add", phone, "x"), ("remove", phone), ("add",), ("add", "12", "x")):
        with pytest.raises(CommandError):
            canary_command(*words)


@pytest.mark.django_db
@pytest.mark.parametrize(("mixed", "vendors"), [(True, ["apns", "fcm", "huawei", "jpush"]), (False, ["fcm"])])
def test_the_demo_has_a_canary_for_every_vendor_that_stands_in(mixed: bool, vendors: list[str]) -> None:
    at = clock.now()
    city.build(at, say=lambda line: None, officers=0, mixed=mixed)
    shelf = Device.objects.filter(officer__posts__in=canaries.posts(at))
    assert sorted(shelf.values_list("provider", flat=True)) == vendors
    assert canaries.fly(now=at) is not None
    dispatch.take_up(now=at)
    assert Delivery.objects.count() == len(vendors)
