"""An order in force over a small city with communities and cells, its people told of it, and their phones."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from alerts.models import BulletinKind, OrderStatus, OrderTask, ResponseLevel, ResponseOrder
from foundation.clock import now
from hydrology.models import Level, Region
from notifications import dispatch
from notifications.models import Delivery
from officers.directory import scope_of
from officers.models import Duty, Officer, Post
from tests.console.factories import HOUR, make_bulletin, make_officer
from tests.hydrology.factories import NOW, make_regions

CITY, EAST, WEST = "4403", "440303", "440304"
A, B, C = "440303001", "440303002", "440304001"  # streets, A and B in the east
A1, A2, B1, C1 = "440303001001", "440303001002", "440303002001", "440304001001"  # communities
CELL = "44030300100101"  # of A1
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FIGURES = {
    "people": 12,
    "vehicles": 2,
    "inspected": {"slope": 3},
    "evacuees": 5,
    "waterlogging": 1,
    "incidents": 0,
}


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    made = make_regions()
    for code, level, parent in [
        *((code, Level.COMMUNITY, code[:-3]) for code in (A1, A2, B1, C1)),
        (CELL, Level.FRONTLINE, A1),
    ]:
        made[code] = Region.objects.create(
            code=code, name=f"region {code}", level=level, parent_id=parent,
            path=f"{made[parent].path}{code}/", lon=114.1, lat=22.5,
        )  # fmt: skip
    return made


def person(region: Region, *duties: Duty) -> Officer:
    """An officer with these posts (flood) in the region, since long ago."""
    officer = make_officer(region, (duties or (Duty.FLOOD,))[0])
    for duty in duties[1:]:
        Post.objects.create(officer=officer, duty=duty, region=region, valid_from=LONG_AGO)
    Post.objects.filter(officer=officer).update(valid_from=LONG_AGO)
    return officer


def also(officer: Officer, region: Region, duty: Duty = Duty.FLOOD) -> None:
    Post.objects.create(officer=officer, duty=duty, region=region, valid_from=LONG_AGO)


def released(
    *areas: str, at: datetime = NOW, tasks: Iterable[dict[str, Any]] = (), told: bool = True, **fields: Any
) -> ResponseOrder:
    """An order released at that instant to whoever has one of its duties in its areas then."""
    city = Region.objects.get(pk=CITY)
    drafter, approver = person(city, Duty.COMMAND), person(city, Duty.COMMAND)
    order = ResponseOrder.objects.create(
        **{
            "level": ResponseLevel.II, "authority": city, "areas": list(areas or [CITY]), "duties": ["flood"],
            "title_zh": "巡查积水点", "title_en": "Inspect", "text_zh": "请巡查。", "valid_until": at + 72 * HOUR,
            "report_every_h": 2, "status": OrderStatus.ISSUED, "drafted_by": drafter, "approved_by": approver,
            "created_at": at, "released_at": at,
        } | fields | {"status": OrderStatus.ISSUED}
    )  # fmt: skip
    if not order.thread:
        order.thread = f"order/{order.pk}"
        order.save(update_fields=["thread"])
    for number, task in enumerate(tasks, start=1):
        OrderTask.objects.create(order=order, **{"number": number, "text_zh": f"任务{number}"} | task)
    make_bulletin(
        kind=BulletinKind.ORDER, order=order, areas=order.areas, duties=order.duties, thread=order.thread,
        drill=order.drill, drill_of=order.drill_of, issued_at=at, caused_at=at, valid_until=order.valid_until,
    )  # fmt: skip
    if told:
        dispatch.take_up(now=at)
    if over := fields.get("status"):  # what became of it since it was told
        order.status = over
        order.save(update_fields=["status"])
    return order


def line(officer: Officer, order: ResponseOrder) -> Delivery:
    """His line in the order's ledger."""
    return Delivery.objects.get(officer=officer, dispatch__bulletin__order=order)


def phone(officer: Officer) -> APIClient:
    """Signed in, with the scope of his own posts."""
    api = APIClient()
    api.force_authenticate(officer, token=SimpleNamespace(scope=scope_of(officer.pk, now())))
    return api
