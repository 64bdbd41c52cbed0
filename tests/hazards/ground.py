"""A city whose communities lie apart, and officers who report from them."""

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from alerts.models import Bulletin, BulletinKind
from hazards.models import GroundReport
from hydrology.models import Region
from officers.models import Duty, Officer
from tests.hazards.conftest import A1, A2, B1, C1, person, phone

DOOR = "/api/v1/hazards"
SPOTS = {A1: (114.120, 22.550), A2: (114.135, 22.550), B1: (114.180, 22.590), C1: (114.050, 22.530)}
Regions = dict[str, Region]


def spread_out(regions: Regions) -> Regions:
    for code, (lon, lat) in SPOTS.items():
        Region.objects.filter(pk=code).update(lon=lon, lat=lat)
    return regions


@pytest.fixture
def city(regions: Regions) -> Regions:
    return spread_out(regions)


def photo(form: str = "JPEG", colour: str = "navy") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, form)
    return out.getvalue()


def files(*bodies: bytes) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile("x.exe", body, content_type="text/html") for body in bodies]


def said(spot: str = A1, **fields: Any) -> dict[str, Any]:
    lon, lat = SPOTS[spot]
    return {
        "kind": "waterlogging",
        "severity": "moderate",
        "lon": lon,
        "lat": lat,
        "text": "水深约40厘米",
    } | fields


def send(who: Officer | APIClient, spot: str = A1, **fields: Any) -> Any:
    """The answer of the door; headers in capitals go with the request."""
    api = who if isinstance(who, APIClient) else phone(who)
    headers = {name: fields.pop(name) for name in list(fields) if name.startswith("HTTP_")}
    return api.post(DOOR, said(spot, **fields), format="multipart", **headers)


def reported(who: Officer, spot: str = A1, **fields: Any) -> GroundReport:
    answer = send(who, spot, **fields)
    assert answer.status_code == 201, answer.content
    return GroundReport.objects.get(pk=answer.json()["id"])


def act(who: Officer, report: GroundReport, verb: str, **move: Any) -> Any:
    return phone(who).post(f"{DOOR}/{report.pk}/{verb}", move, format="json")


def told() -> list[tuple[str, str, list[int]]]:
    """(about, head of the title, persons named) of every message so far, in order."""
    rows = Bulletin.objects.filter(kind=BulletinKind.MESSAGE).order_by("pk")
    return [(row.about, row.title_zh.split("】")[0] + "】", row.officers) for row in rows]


def desk(region: Region) -> Officer:
    return person(region, Duty.DESK)
