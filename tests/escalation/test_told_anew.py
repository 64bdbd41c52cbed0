"""Who is chased for a later message is chased for the earlier one again once the later one is called off."""

import pytest

from alerts.models import BulletinKind, OrderStatus
from escalation.models import Climb, ClimbState
from notifications.models import ReceiptState
from tests.escalation import test_climb
from tests.escalation.test_climb import DISTRICT, STREET, Regions, at, person, says, sweep_until, tell
from tests.escalation.test_endings import order_of

regions = test_climb.regions


def climb_of(bulletin: int) -> Climb:
    return Climb.objects.get(delivery__dispatch__bulletin=bulletin, delivery__dispatch__errand="first")


@pytest.mark.parametrize("status", [OrderStatus.WITHDRAWN, OrderStatus.ENDED])
def test_a_later_message_that_is_called_off_leaves_the_former_chased(
    regions: Regions, status: OrderStatus
) -> None:
    person(regions[STREET])
    city, own = order_of(regions["4403"]), order_of(regions[DISTRICT])
    one = tell(STREET, kind=BulletinKind.ORDER, order=city, thread="order/1", urgency=3)
    two = tell(
        STREET,
        kind=BulletinKind.ORDER,
        order=own,
        thread="order/1",
        urgency=4,
        issued_at=at(200),
        caused_at=at(200),
    )
    sweep_until(300, 20)
    assert climb_of(one.pk).why == "told anew"
    assert climb_of(two.pk).state == ClimbState.CLIMBING
    own.status = status
    own.save()
    sweep_until(1200, 60, since_s=305)
    assert climb_of(two.pk).state == ClimbState.STOPPED
    assert climb_of(one.pk).why != "told anew"


def test_both_called_off_at_once_chase_nobody(regions: Regions) -> None:
    person(regions[STREET])
    city, own = order_of(regions["4403"]), order_of(regions[DISTRICT])
    one = tell(STREET, kind=BulletinKind.ORDER, order=city, thread="order/1", urgency=3)
    tell(
        STREET,
        kind=BulletinKind.ORDER,
        order=own,
        thread="order/1",
        urgency=4,
        issued_at=at(200),
        caused_at=at(200),
    )
    sweep_until(300, 20)
    for order in (city, own):
        order.status = OrderStatus.WITHDRAWN
        order.save()
    sweep_until(1200, 60, since_s=305)
    assert climb_of(one.pk).state == ClimbState.STOPPED


def test_who_answered_the_former_is_not_chased_for_it_again(regions: Regions) -> None:
    officer = person(regions[STREET])
    city, own = order_of(regions["4403"]), order_of(regions[DISTRICT])
    one = tell(STREET, kind=BulletinKind.ORDER, order=city, thread="order/1", urgency=3)
    sweep_until(200, 20)
    says(officer, ReceiptState.CONFIRMED, 201)
    tell(
        STREET,
        kind=BulletinKind.ORDER,
        order=own,
        thread="order/1",
        urgency=4,
        issued_at=at(210),
        caused_at=at(210),
    )
    sweep_until(300, since_s=205)
    own.status = OrderStatus.WITHDRAWN
    own.save()
    sweep_until(1200, 60, since_s=305)
    assert climb_of(one.pk).state == ClimbState.ANSWERED
