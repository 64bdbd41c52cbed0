"""A street with people and phones, an engineer at the city, a local FCM and a local gateway; no signs of life left over."""

from collections.abc import Iterator

import pytest

from foundation.wire import wire
from hydrology.models import Region
from monitoring.jobs import BEATS, WATCHED
from notifications.hub import SOCKETS
from officers.models import Duty, Officer
from tests.notifications.conftest import bulletin, person, regions, vendor
from tests.notifications.switchboard import running_switchboard, switchboard

__all__ = ["bulletin", "person", "regions", "running_switchboard", "switchboard", "vendor"]  # fixtures

CITY, STREET = "4403", "440303001"


@pytest.fixture(autouse=True)
def nobody_beats() -> Iterator[None]:
    left = [f"beats/{what}" for what in (BEATS, WATCHED, SOCKETS)]
    wire().delete(*left)
    yield
    wire().delete(*left)


@pytest.fixture
def engineer(regions: dict[str, Region], person: object) -> Officer:
    return person(regions[CITY], duty=Duty.ENGINEER)  # type: ignore[operator]
