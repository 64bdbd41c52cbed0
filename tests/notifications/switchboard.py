"""A local gateway for text messages and calls, a person's root delivery, and rows for the other channels."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from alerts.models import Bulletin
from foundation.clock import now
from notifications import dispatch, months
from notifications.models import Delivery, Dispatch, Errand, State
from replay.switchboard import Switchboard
from replay.switchboard_server import Running, run_switchboard
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions
from tests.notifications.conftest import give_phone

STREET = "440303001"


@pytest.fixture(scope="session")
def running_switchboard() -> Iterator[Running]:
    with run_switchboard() as running:
        yield running


@pytest.fixture
def switchboard(running_switchboard: Running, settings: Settings) -> Switchboard:
    """The stand-in as both channels' gateway, well behaved, with nothing taken; it reports nowhere."""
    board = running_switchboard.board
    board.forget()
    board.misbehave({}, only=True)
    for channel in ("sms", "voice"):
        setattr(settings, f"{channel.upper()}_ENDPOINT", f"{running_switchboard.endpoint}/{channel}")
        setattr(settings, f"{channel.upper()}_KEY", board.key)
        setattr(settings, f"{channel.upper()}_SECRET", board.secret)
        setattr(settings, f"{channel.upper()}_RATE_PER_S", 1000)
    return board


def tell(provider: str = "fcm") -> Delivery:
    """One officer with a phone of this vendor has been told by the app of something grave; his first delivery."""
    officer = make_officer(make_regions()[STREET])
    give_phone(officer, provider=provider)
    at = now()
    told = make_bulletin(
        areas=[STREET], urgency=4, issued_at=at, caused_at=at, valid_until=at + timedelta(hours=1)
    )
    dispatch.take_up(now=at)
    return first_line(told)


def first_line(bulletin: Bulletin) -> Delivery:
    """The one delivery of the bulletin's first dispatch."""
    return Delivery.objects.get(dispatch__bulletin=bulletin, dispatch__errand=Errand.FIRST)


def rung(root: Delivery, channel: str, **fields: Any) -> Delivery:
    """A rung of the ladder for the same person, due now, as an escalation leaves it."""
    told, at = root.dispatch.bulletin, now()
    dispatch = Dispatch.objects.create(
        bulletin=told,
        errand=Errand.REPEAT,
        drill=told.drill,
        lead_zh="【再次提醒】",
        lead_en="[Reminder] ",
        created_at=at,
        expires_at=told.valid_until,
        recipients=1,
    )
    months.turn(at)
    return Delivery.objects.create(
        dispatch=dispatch,
        officer=root.officer,
        region=root.region,
        root=root,
        transport=channel,
        state=State.PENDING,
        due_at=at - timedelta(seconds=1),
        **fields,
    )
