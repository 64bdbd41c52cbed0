"""The wet city on real PostgreSQL and Valkey, and a caller with any scope."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from rest_framework.test import APIClient

from foundation.scope import Scope
from foundation.wire import wire
from hydrology.models import Feed, Region, StationKind
from hydrology.rain import HELD
from officers.models import Officer
from tests.hydrology.factories import make_feed, make_regions, make_reservoir, make_river, make_station

ClientFor = Callable[..., APIClient]


@pytest.fixture
def city(db: None) -> dict[str, Region]:
    regions = make_regions()
    for n, street in enumerate(["440303001", "440303002", "440304001"], start=1):
        make_station(f"rain-{n}", StationKind.RAIN, street)
    make_reservoir("gated", "440303001")
    make_reservoir("ungated", "440303002", gated=False)
    make_river("river", "440304001")
    return regions


@pytest.fixture
def feed(city: dict[str, Region]) -> Feed:
    return make_feed()


@pytest.fixture
def empty_wire() -> Iterator[None]:
    """Nothing is kept of another test's water, neither in Redis nor in this process."""
    wire().flushdb()
    HELD.clear()
    yield
    wire().flushdb()


@pytest.fixture
def client_for() -> ClientFor:
    """An API client of an officer whose posts lie in these region paths."""

    def client(*paths: str) -> APIClient:
        api = APIClient()
        api.force_authenticate(Officer(pk=1), token=SimpleNamespace(scope=Scope(paths=paths)))
        return api

    return client
