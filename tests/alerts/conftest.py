"""A wet city under a rain feed, frames as its producer would send them, and callers with any posts."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pytest
from rest_framework.test import APIClient

from alerts import watch
from foundation.clock import now
from hydrology import ingest
from hydrology.models import Feed, Region, StationKind
from hydrology.science.formats.cf_netcdf import encode
from hydrology.science.grids import make_grid
from officers.auth import admit
from officers.models import Device, Duty, Platform, Post
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW, PLACES, body, make_feed, make_regions, make_station, rain

SLOT = timedelta(minutes=5)
SENT = timedelta(seconds=2)  # a frame comes in this long after the END of its slot
A, B, C = "440303001", "440303002", "440304001"  # A and B in one district, C in another
DISTRICT = "440303"
PATH = "4403/440303/"
LAT = np.round(np.arange(22.65, 22.475, -0.01), 5)
LON = np.round(np.arange(114.0, 114.245, 0.01), 5)
_CENTRES = {code: (lon, lat) for code, _, _, lon, lat in PLACES}


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def feed(regions: dict[str, Region]) -> Feed:
    return make_feed("radar")


@pytest.fixture
def gauges(regions: dict[str, Region]) -> Feed:
    for street in (A, B, C):
        make_station(f"gauge-{street}", StationKind.RAIN, street)
    return make_feed("gauges")


def field_mm(mm: Mapping[str, float]) -> np.ndarray:
    """One step of rain: nine cells around the centre of each street, dry elsewhere."""
    field = np.zeros((LAT.size, LON.size))
    for street, value in mm.items():
        lon, lat = _CENTRES[street]
        field[np.ix_(abs(LAT - lat) < 0.011, abs(LON - lon) < 0.011)] = value
    return field


def frame(end: datetime, mm: Mapping[str, float]) -> bytes:
    """An observed frame whose slot ENDs at `end`."""
    return encode(make_grid("observed", end, (end,), LAT, LON, field_mm(mm)[None]))


def nowcast(issued_at: datetime, mm_per_step: Mapping[str, float], steps: int = 24) -> bytes:
    ends = [issued_at + SLOT * (n + 1) for n in range(steps)]
    field = np.repeat(field_mm(mm_per_step)[None], steps, axis=0)
    return encode(make_grid("nowcast", issued_at, ends, LAT, LON, field))


def fell(feed: Feed, end: datetime, mm: Mapping[str, float], *, after: timedelta = SENT) -> None:
    """The frame of this slot comes in `after` its END."""
    ingest.take_grid(feed, frame(end, mm), end + after)


def gauged(feed: Feed, end: datetime, mm: Mapping[str, float], *, after: timedelta = SENT) -> None:
    """The gauges of these streets report this slot."""
    rows = [rain(f"gauge-{street}", end, value) for street, value in mm.items()]
    ingest.take_readings(feed, body(*rows), end + after)


def play(feed: Feed, rains: list[Mapping[str, float] | None], start: datetime = NOW) -> datetime:
    """One slot after the other, each assessed when its grace is over; None: the frame never comes. Returns the last END."""
    end = start
    for n, mm in enumerate(rains):
        end = start + n * SLOT
        if mm is not None:
            fell(feed, end, mm)
        watch.assess_due(now=end + SENT + watch.GRACE)
    return end


def signed_in(*duties: tuple[Region, Duty]) -> APIClient:
    """The phone or browser of a new officer with these posts, signed in; `.officer` is he."""
    officer = make_officer(*duties[0])
    for region, duty in duties[1:]:
        Post.objects.create(officer=officer, duty=duty, region=region, valid_from=now())
    Post.objects.filter(officer=officer).update(valid_from=now() - timedelta(days=1))
    device = Device.objects.create(officer=officer, platform=Platform.WEB, registered_at=now())
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {admit(device.pk, now()).access}")
    api.officer = officer
    return api
