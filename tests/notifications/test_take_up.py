"""What waits for its dispatch: in which order it is taken up, and that one that fails holds up no other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from alerts.models import Bulletin, OrderStatus, ResponseOrder
from foundation.clock import now
from foundation.errors import Refusal
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery, Dispatch
from officers.models import Officer
from tests.hazards.conftest import EAST, WEST, A, C, released
from tests.hazards.conftest import person as of_street
from tests.notifications.test_quiet import warning

STREET = "440303001"


def test_of_one_warning_the_earlier_is_told_first_though_the_later_is_graver(
    regions: dict[str, Region], person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    person(regions[STREET])
    about = warning("440303")
    first = bulletin(STREET, urgency=2, warning=about)
    other = bulletin(STREET, urgency=3)
    second = bulletin(STREET, urgency=4, warning=about)
    dispatch.take_up(now=now())
    told = list(Dispatch.objects.order_by("id").values_list("bulletin", flat=True))
    assert told == [first.pk, second.pk, other.pk]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_take_each_up_once_and_in_order(
    regions: dict[str, Region], person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    person(regions[STREET])
    about = [warning(region) for region in ("4403", "440303", "440304")]
    told = [bulletin(STREET, urgency=1 + n % 4, warning=about[n % 3]) for n in range(12)]
    gate = Barrier(2)

    def work() -> int:
        try:
            connections["default"].ensure_connection()
            gate.wait()
            return dispatch.take_up(now=now())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        done = [job.result() for job in [pool.submit(work) for _ in range(2)]]
    assert sum(done) == len(told)
    at = dict(Delivery.objects.values_list("dispatch__bulletin", "id"))
    for one in about:
        lines = [at[said.pk] for said in told if said.warning_id == one.pk]
        assert lines == sorted(lines)


def test_one_that_cannot_be_told_holds_up_no_other(
    regions: dict[str, Region],
    person: Callable[..., Officer],
    bulletin: Callable[..., Bulletin],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person(regions[STREET])
    bad, good = bulletin(STREET, urgency=4), bulletin(STREET, urgency=1)
    run = dispatch.run_errand

    def failing(one: Bulletin, *args: object, **more: object) -> Dispatch:
        if one.pk == bad.pk:
            raise Refusal("x", zh="x", en="x")
        return run(one, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(dispatch, "run_errand", failing)
    with pytest.raises(Refusal):
        dispatch.take_up(now=now())
    assert list(Dispatch.objects.values_list("bulletin", flat=True)) == [good.pk]


def test_an_order_that_was_over_before_anybody_was_told_is_told_to_nobody(regions: dict[str, Region]) -> None:
    """The workers were away: released, replaced by a graver one, and found in that order."""
    officer = of_street(regions[A])
    first = released(EAST, at=now(), told=False)
    second = released(EAST, at=now(), replaces=first, thread=first.thread, told=False)
    ResponseOrder.objects.filter(pk=first.pk).update(status=OrderStatus.SUPERSEDED)
    dispatch.take_up(now=now())
    told = Delivery.objects.filter(officer=officer).values_list("dispatch__bulletin__order", flat=True)
    assert list(told) == [second.pk]


def test_an_order_is_called_off_though_one_of_its_areas_has_left_the_city(regions: dict[str, Region]) -> None:
    stays, left = of_street(regions[A]), of_street(regions[C])
    first = released(EAST, WEST, at=now())
    Region.objects.filter(pk=WEST).update(path="4499/440304/")
    first.status = OrderStatus.SUPERSEDED
    first.save(update_fields=["status"])
    released(EAST, at=now(), replaces=first, thread=first.thread)
    assert not Bulletin.objects.unsent(now()).filter(officers=[]).exists()
    assert [one.officers for one in Bulletin.objects.exclude(officers=[])] == [[left.pk]]
    assert Delivery.objects.filter(officer=stays).count() == 2
