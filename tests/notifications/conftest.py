"""A street with people who carry phones, a bulletin for them, and a local FCM."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pytest_django import Settings

from alerts.models import Bulletin
from foundation.clock import now
from hydrology.models import Region
from notifications import delivery
from officers.models import Device, Officer, Platform, Post
from replay.phones import Standin
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions

_tokens = count(1)


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def vendor(standin: Standin, settings: Settings) -> Iterator[Standin]:
    """The stand-in as this process's FCM, well behaved and with empty counters."""
    settings.FCM_ENDPOINT, settings.FCM_CA_FILE = standin.endpoint, standin.ca_file
    settings.FIREBASE_CREDENTIALS = standin.credentials
    delivery._transport.cache_clear()
    yield standin
    delivery._transport.cache_clear()


def give_phone(officer: Officer, token: str = "") -> Device:
    return Device.objects.create(
        officer=officer,
        platform=Platform.ANDROID,
        provider="fcm",
        token=token or f"token-{next(_tokens)}",
        registered_at=now(),
    )


@pytest.fixture
def person() -> Callable[..., Officer]:
    """An officer of the region with `phones` devices; his post began long ago."""

    def make(region: Region, *, phones: int = 1, **post: Any) -> Officer:
        officer = make_officer(region, **{k: v for k, v in post.items() if k == "duty"})
        Post.objects.filter(officer=officer).update(valid_from=now() - timedelta(days=1), **post)
        for _ in range(phones):
            give_phone(officer)
        return officer

    return make


@pytest.fixture
def bulletin() -> Callable[..., Bulletin]:
    """A bulletin that is valid now for the given areas."""

    def make(*areas: str, **fields: Any) -> Bulletin:
        at = now()
        return make_bulletin(
            **{"areas": list(areas), "valid_until": at + timedelta(hours=1), "issued_at": at, "caused_at": at}
            | fields
        )

    return make
