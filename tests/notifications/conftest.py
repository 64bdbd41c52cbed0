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
from notifications import providers
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
    """The stand-ins as this process's vendors, well behaved and with empty counters."""
    settings.FIREBASE_CREDENTIALS = standin.credentials
    settings.HUAWEI_APP_ID, settings.HUAWEI_APP_SECRET = standin.app, standin.secret
    settings.HUAWEI_AUTH_ENDPOINT = standin.endpoint
    settings.JPUSH_APP_KEY, settings.JPUSH_MASTER_SECRET = standin.app, standin.secret
    for name, value in standin.apns.items():
        setattr(settings, f"APNS_{name.upper()}", value)
    for name in ("FCM", "HUAWEI", "APNS", "JPUSH"):
        setattr(settings, f"{name}_ENDPOINT", standin.endpoint)
        setattr(settings, f"{name}_CA_FILE", standin.ca_file)
    providers.transports.cache_clear()
    yield standin
    providers.transports.cache_clear()


def give_phone(officer: Officer, token: str = "", provider: str = "fcm") -> Device:
    return Device.objects.create(
        officer=officer,
        platform=Platform.ANDROID,
        provider=provider,
        token=token or f"token{next(_tokens)}",
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
