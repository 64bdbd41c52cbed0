"""When an order goes out: at once, after its undo window, at its hour; once, and never when its time is over."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import orders
from alerts.models import Bulletin, OrderStatus, ResponseOrder
from hydrology.models import Region
from tests.alerts.conftest import DISTRICT, A
from tests.alerts.test_order_lineage import Command
from tests.alerts.test_orders import refused
from tests.console.factories import HOUR
from tests.hydrology.factories import MINUTE, NOW, make_regions

S = OrderStatus


@pytest.fixture
def command(regions: dict[str, Region]) -> Command:
    return Command(regions)


def ready(command: Command, **said: Any) -> ResponseOrder:
    return command.act(command.draft(DISTRICT, A, **said), "submit", "approve")


def test_without_a_window_it_goes_in_the_same_transaction(command: Command) -> None:
    order = command.act(ready(command), "issue")
    assert (order.released_at, order.release_at, order.is_in_force) == (NOW, NOW, True)
    assert Bulletin.objects.filter(order=order).count() == 1
    assert orders.release_due(now=NOW + HOUR) == 0


def test_within_the_window_nobody_is_told_and_it_can_be_taken_back(command: Command) -> None:
    order = command.act(ready(command), "issue", undo_s=10, head_count=7)
    assert (order.status, order.released_at, order.head_count) == (S.ISSUED, None, 7)
    assert orders.release_due(now=NOW + 9 * MINUTE / 60) == 0
    order = command.act(order, "undo", minutes=0.1)
    assert (order.status, order.release_at, order.head_count) == (S.APPROVED, None, None)
    assert orders.release_due(now=NOW + HOUR) == 0
    assert not Bulletin.objects.exists()
    assert command.act(order, "issue").is_in_force


def test_after_the_window_it_goes_once_and_cannot_be_taken_back(command: Command) -> None:
    order = command.act(ready(command), "issue", undo_s=10)
    assert [orders.release_due(now=NOW + n * MINUTE) for n in (1, 2)] == [1, 0]
    order.refresh_from_db()
    assert order.released_at == NOW + MINUTE
    assert Bulletin.objects.get().issued_at == NOW + MINUTE
    refusal = refused(lambda: command.act(order, "undo", minutes=2))
    assert (refusal.code, refusal.status) == ("already_released", 409)


def test_it_goes_at_its_hour_and_its_time_limit_counts_from_then(command: Command) -> None:
    order = command.act(ready(command, effective_at=NOW + HOUR, deadline_min=15), "issue", undo_s=10)
    assert order.release_at == NOW + HOUR
    assert orders.release_due(now=NOW + HOUR - MINUTE) == 0
    assert orders.release_due(now=NOW + HOUR) == 1
    assert Bulletin.objects.get().deadline_at == NOW + HOUR + 15 * MINUTE


def test_an_hour_that_came_while_it_was_being_approved_is_now(command: Command) -> None:
    order = ready(command, effective_at=NOW + MINUTE)
    assert command.act(order, "issue", minutes=5).released_at == NOW + 5 * MINUTE


def test_a_time_limit_never_reaches_beyond_the_validity(command: Command) -> None:
    order = ready(command, deadline_min=600, valid_until=NOW + HOUR)
    assert command.act(order, "issue").deadline_at == NOW + HOUR


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"effective_at": NOW + HOUR, "deadline_at": NOW + 2 * HOUR}, "deadline_passed"),
        ({"effective_at": NOW + HOUR, "valid_until": NOW + 2 * HOUR}, "expired"),
    ],
)
def test_what_could_only_go_too_late_is_not_issued(command: Command, said: dict[str, Any], code: str) -> None:
    order = ready(command, **said)
    assert refused(lambda: command.act(order, "issue", minutes=120)).code == code


def test_what_was_not_released_in_time_is_withdrawn_by_an_event_that_says_so(command: Command) -> None:
    order = command.act(ready(command, valid_until=NOW + HOUR), "issue", undo_s=10)
    assert orders.release_due(now=NOW + HOUR) == 1
    order.refresh_from_db()
    event = order.events.order_by("-id")[0]
    assert (order.status, order.released_at, event.note) == (S.WITHDRAWN, None, orders.LAPSED)
    assert not Bulletin.objects.exists()


def test_a_limit_that_passed_while_nothing_ran_is_not_asked_for(command: Command) -> None:
    command.act(ready(command, deadline_at=NOW + MINUTE), "issue", undo_s=10)
    orders.release_due(now=NOW + 2 * MINUTE)
    told = Bulletin.objects.get()
    assert told.deadline_at is None and told.push_zh.endswith("请立即签收")


def test_withdrawn_before_it_went_nobody_hears_of_it(command: Command) -> None:
    order = command.act(ready(command), "issue", undo_s=10)
    assert refused(lambda: command.act(order, "end")).code == "not_released"
    assert command.act(order, "withdraw").status == S.WITHDRAWN
    assert orders.release_due(now=NOW + HOUR) == 0
    assert not Bulletin.objects.exists()


def test_an_area_that_is_no_more_keeps_no_order_from_the_others(command: Command) -> None:
    order = command.act(ready(command), "issue", undo_s=10)
    ResponseOrder.objects.filter(pk=order.pk).update(areas=[A, "gone"])
    assert orders.release_due(now=NOW + MINUTE) == 1
    assert "gone" in Bulletin.objects.get().body_zh  # named as it was written


def test_one_that_cannot_be_said_stays_whole_and_does_not_hold_up_the_others(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (command.act(ready(command), "issue", undo_s=10) for _ in range(2))
    say = orders.say

    def refusing(order: ResponseOrder, *args: Any, **more: Any) -> Bulletin:
        if order.pk == bad.pk:
            raise orders.Refusal("x", zh="x", en="x")
        return say(order, *args, **more)

    monkeypatch.setattr(orders, "say", refusing)
    assert orders.release_due(now=NOW + MINUTE) == 1
    assert list(Bulletin.objects.values_list("order", flat=True)) == [good.pk]
    bad.refresh_from_db()
    assert bad.released_at is None, "neither half of the release may stay"
    monkeypatch.setattr(orders, "say", say)
    assert orders.release_due(now=NOW + 2 * MINUTE) == 1


@pytest.mark.django_db(transaction=True)
def test_many_sweeps_at_once_and_one_who_takes_back_release_it_once_or_not_at_all() -> None:
    command = Command(make_regions())
    waiting = [command.act(ready(command), "issue", undo_s=10) for _ in range(6)]

    def sweep(_: int) -> int:
        try:
            return orders.release_due(now=NOW + MINUTE)
        finally:
            connections.close_all()

    def undo(_: int) -> int:
        try:
            command.act(waiting[-1], "undo")
            return 1
        except orders.Refusal:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        undone = pool.submit(undo, 0)
        released = sum(pool.map(sweep, range(4)))
    assert released + undone.result() == len(waiting)
    assert Bulletin.objects.count() == released == ResponseOrder.objects.in_force().count()


@pytest.mark.django_db
@settings(max_examples=25)
@given(
    steps=st.lists(
        st.sampled_from(["issue", "issue 10", "undo", "withdraw", "end", "sweep", "wait"]),
        min_size=1,
        max_size=9,
    )
)
def test_whatever_people_do_one_bulletin_says_it_and_one_calls_it_off(steps: list[str]) -> None:
    if not Region.objects.exists():
        make_regions()
    order = ready(command := Command({region.pk: region for region in Region.objects.all()}))
    minutes = 0.0
    for step in steps:
        try:
            match step:
                case "sweep":
                    orders.release_due(now=NOW + minutes * MINUTE)
                case "wait":
                    minutes += 0.1
                case _:
                    verb, _, undo_s = step.partition(" ")
                    command.act(order, verb, minutes=minutes, undo_s=int(undo_s or 0))
        except orders.Refusal:
            pass
    order.refresh_from_db()
    said = list(Bulletin.objects.filter(order=order).order_by("id").values_list("requires", flat=True))
    over = order.status in (S.WITHDRAWN, S.ENDED)
    assert said == ["confirm", "open"][: 0 if order.released_at is None else 1 + over]
    assert order.is_in_force == (order.released_at is not None and not over)
