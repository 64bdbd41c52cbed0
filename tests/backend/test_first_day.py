"""The first day of an empty system: what an operator types until the first warning is on the first phone.

Every row comes by a command or through a door, as the README says; nothing is put into the tables here.
"""

import csv
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from pytest_django import Settings
from rest_framework.test import APIClient

from backend import tasks
from foundation.clock import now
from foundation.wire import wire
from hydrology.feeds.signing import signed_headers
from hydrology.models import Feed, Region, Station
from hydrology.rain import HELD
from officers.models import AuditEntry, Officer
from replay.phones import Standin
from tests.notifications.conftest import vendor

__all__ = ["vendor"]  # a fixture
API = "/api/v1"
REGIONS = [
    ["区划编码", "名称", "级别", "上级编码", "经度", "纬度"],
    ["1", "city 1", "市", "", "114.06", "22.62"],
    ["11", "district 1", "区", "1", "114.13", "22.56"],
    ["12", "district 2", "区", "1", "114.06", "22.53"],
    ["111", "street 1", "街道", "11", "114.12", "22.55"],
    ["112", "street 2", "街道", "11", "114.18", "22.59"],
    ["121", "street 3", "街道", "12", "114.05", "22.53"],
]
STATIONS = [
    ["STCD", "STNM", "STTP", "LGTD", "LTTD", "DTMNM"],
    ["R1", "reservoir 1", "RR", "114.121", "22.551", "珠基"],
    ["G1", "gauge 1", "PP", "114.121", "22.551", ""],
]
LEVELS = [["STCD", "DDZ", "NORMZ", "DSFLZ", "CKFLZ", "DAMEL", "GATED"], ["R1", 20, 30, 32, 33, 34, "有"]]
SEASONS = [["STCD", "BGMD", "EDMD", "FSLTDZ"], ["R1", "0101", "1231", "28"]]
DESK, ENGINEER, STREET, OTHER = "19910000001", "19910000002", "19910000003", "19910000004"
ROSTER = [
    ["姓名", "手机", "岗位", "区划编码"],
    ["officer 1", DESK, "值班", "1"],
    ["officer 2", ENGINEER, "系统值班", "1"],
    ["officer 3", STREET, "三防责任人", "111"],
    ["officer 4", OTHER, "三防责任人", "121"],
]
SignIn = Callable[..., APIClient]


@pytest.fixture
def sign_in(settings: Settings, capsys: pytest.CaptureFixture[str]) -> SignIn:
    """Signs somebody in as his phone does, with the code from the web process's own output."""
    settings.OTP_TRANSPORT = "console"

    def come(phone: str, push: dict[str, str] | None = None) -> APIClient:
        client = APIClient()
        assert client.post(f"{API}/auth/otp", {"phone": phone}, format="json").status_code == 202
        [code] = re.findall(r"code=(\d{6})", capsys.readouterr().out)
        device = {"platform": "android", "name": "phone", "push": push}
        asked = {"phone": phone, "code": code, "device": device}
        tokens = client.post(f"{API}/auth/sessions", asked, format="json").json()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
        return client

    return come


def typed(name: str, *arguments: object, **options: object) -> str:
    said = StringIO()
    call_command(name, *map(str, arguments), stdout=said, **options)
    return said.getvalue()


def inbox(client: APIClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(f"{API}/inbox").json()["items"]
    return items


@pytest.mark.django_db(transaction=True)
def test_from_an_empty_system_to_the_first_warning_on_the_first_phone(
    tmp_path: Path,
    sign_in: SignIn,
    vendor: Standin,  # noqa: F811
) -> None:
    wire().flushdb()
    HELD.clear()
    assert not (Region.objects.exists() or Station.objects.exists() or Officer.objects.exists())

    def imported(command: str, rows: Sequence[Sequence[object]]) -> str:
        file = tmp_path / "list.csv"
        with file.open("w", encoding="utf-8-sig", newline="") as lines:
            csv.writer(lines).writerows(rows)
        return typed(command, file, apply=True)

    assert "新增 new 6" in imported("import_regions", REGIONS)
    for register in (STATIONS, LEVELS, SEASONS):
        assert "错误 bad 0" in imported("import_register", register)
    assert "新增 new 4" in imported("import_roster", ROSTER)
    secret = typed("feeds", "add", "gauges", "feed 1", "--kinds", "readings").split()[-1]
    for command in (("plans", "show"), ("ladder",), ("releases",)):
        assert typed(*command)  # what is in force without anybody's having set it
    acts = {"regions.import", "register.import", "roster.import", "feed.add"}
    assert acts <= set(AuditEntry.objects.values_list("act", flat=True))

    desk = sign_in(DESK)
    officer = sign_in(STREET, {"provider": "fcm", "token": "token-1"})
    elsewhere = sign_in(OTHER)
    slot = now().replace(second=0, microsecond=0)
    stages = [
        {"station": "R1", "element": "stage_m", "observed_at": (slot - timedelta(minutes=ago)).isoformat()}
        | {"value": 28.9 - ago / 100}
        for ago in (15, 10, 5, 0)
    ]
    body = orjson.dumps({"readings": stages})
    taken = APIClient().post(
        f"{API}/ingest/readings",
        body,
        content_type="application/json",
        headers=signed_headers("gauges", secret, body, now()),
    )
    assert taken.json() == {"accepted": 4, "duplicate": 0, "rejected": []}
    tasks.refresh_live()
    [level] = officer.get(f"{API}/live/levels").json()["items"]
    assert (level["level_m"], level["limit_m"], level["status"]) == (28.9, 28.0, "over")
    assert elsewhere.get(f"{API}/live/levels").json()["items"] == []
    tasks.watch_levels()  # by the rules nobody has set

    asked = {"hazard": "rainstorm", "level": "alert", "streets": ["111"], "note": "first day", "hours": 2}
    raised = desk.post(f"{API}/warnings", asked, format="json")
    assert raised.status_code == 201, raised.content
    tasks.release()
    tasks.sweep_dispatch()
    tasks.send_deliveries()
    items = {item["kind"]: item for item in inbox(officer)}
    assert {kind: item["requires"] for kind, item in items.items()} == {
        "level": "confirm",
        "warning": "confirm",
    }
    assert not inbox(elsewhere)
    assert {each["id"] for each in vendor.accepted()} == {str(item["id"]) for item in items.values()}
    warned = items["warning"]["id"]
    receipt = {"id": warned, "state": "confirmed", "at": now().isoformat()}
    officer.post(f"{API}/inbox/receipts", {"receipts": [receipt]}, format="json")
    assert [item["state"] for item in inbox(officer) if item["id"] == warned] == ["confirmed"]
    assert Feed.objects.get().feedmark.accepted == 4  # type: ignore[attr-defined]
