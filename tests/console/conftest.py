"""The wet city for the duty room, and callers with any posts' scope."""

from types import SimpleNamespace
from typing import Protocol

import pytest
from rest_framework.test import APIClient

from foundation.scope import Scope
from hydrology.models import Region, StationKind
from officers.models import Officer
from tests.hydrology.factories import make_regions, make_reservoir, make_river, make_station


class ClientFor(Protocol):
    def __call__(self, *paths: str, desk: tuple[str, ...] = ()) -> APIClient: ...


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def city(regions: dict[str, Region]) -> dict[str, Region]:
    make_reservoir("reservoir", "440303001")
    make_river("river", "440304001")
    make_station("tide", StationKind.TIDE, "440303002")
    make_station("gauge", StationKind.RAIN, "440304001")
    return regions


@pytest.fixture
def client_for() -> ClientFor:
    def client(*paths: str, desk: tuple[str, ...] = ()) -> APIClient:
        api = APIClient()
        scope = Scope(paths=paths, desk_paths=desk)
        api.force_authenticate(Officer(pk=1), token=SimpleNamespace(scope=scope))
        return api

    return client
