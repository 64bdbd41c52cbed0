"""What was said, as others read it: the chain of a warning and of an order in CAP 1.2, signed when a key is there."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pytest_django import Settings
from rest_framework.test import APIClient

from alerts import watch
from alerts.cap.signature import verified
from alerts.cap.values import Alert, Certainty, MsgType, ResponseType, Severity, Status, Urgency
from alerts.cap.xml import read
from alerts.cap_out import ATOM
from alerts.models import Bulletin, Hazard, Warning
from foundation.clock import now
from hydrology.models import Feed, Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, SLOT, A, B, C, fell, play, signed_in
from tests.alerts.test_cap import a_certificate
from tests.alerts.test_doors import act, order
from tests.console.factories import make_bulletin
from tests.hydrology.factories import NOW

Regions = dict[str, Region]


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


def cap(api: APIClient, path: str) -> Alert:
    answer = api.get(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/cap+xml")
    return read(answer.content)


def test_a_warning_is_raised_upgraded_and_cancelled_as_a_chain_of_messages(
    feed: Feed, desk: APIClient
) -> None:
    play(feed, [{}, {A: 6.0}, {A: 13.0}, *[{}] * 60])
    warning = Warning.objects.get()
    said = list(Bulletin.objects.filter(warning=warning).order_by("id"))
    assert len(said) == 3
    first, second, last = (
        cap(desk, f"warnings/{warning.pk}.cap?bulletin={bulletin.pk}") for bulletin in said
    )
    assert (first.msg_type, first.references) == (MsgType.ALERT, ())
    assert (second.msg_type, second.references) == (MsgType.UPDATE, (first.reference,))
    assert (last.msg_type, last.references) == (MsgType.CANCEL, (second.reference,))
    assert len({first.identifier, second.identifier, last.identifier}) == 3
    zh, en = second.infos
    assert (zh.language, en.language) == ("zh-CN", "en-US")
    assert (zh.severity, zh.urgency, zh.certainty) == (Severity.SEVERE, Urgency.IMMEDIATE, Certainty.OBSERVED)
    assert [area.geocodes for area in zh.areas] == [(("GB/T 2260", A),)]
    assert zh.headline == said[1].title_zh
    assert {info.response_types for info in last.infos} == {(ResponseType.ALL_CLEAR,)}
    assert cap(desk, f"warnings/{warning.pk}.cap") == last
    assert {one.status for one in (first, second, last)} == {Status.ACTUAL}


def test_the_same_bulletin_is_the_same_message_whatever_was_said_since(feed: Feed, desk: APIClient) -> None:
    play(feed, [{}, {A: 6.0, C: 6.0}])
    path = f"warnings/{Warning.objects.get(region=DISTRICT).pk}.cap"
    before = cap(desk, path)
    for n, mm in enumerate([{A: 6.0, B: 6.0}, {B: 13.0}], start=2):
        fell(feed, NOW + n * SLOT, mm)
        watch.assess_due(now=NOW + n * SLOT + 2 * watch.GRACE)
    first = Bulletin.objects.filter(warning__region=DISTRICT).order_by("id")[0]
    assert cap(desk, f"{path}?bulletin={first.pk}") == before


def test_a_drill_order_is_an_exercise_and_its_end_cancels_it(desk: APIClient, regions: Regions) -> None:
    commander = signed_in((regions[DISTRICT], Duty.COMMAND))
    pk = desk.post("/api/v1/orders", order(drill=True), format="json").json()["id"]
    for who, verb in ((desk, "submit"), (commander, "approve"), (desk, "issue")):
        act(who, pk, verb)
    issued = cap(desk, f"orders/{pk}.cap")
    assert (issued.status, issued.msg_type) == (Status.EXERCISE, MsgType.ALERT)
    assert issued.infos[0].severity == Severity.SEVERE
    act(desk, pk, "end")
    ended = cap(desk, f"orders/{pk}.cap")
    assert (ended.status, ended.msg_type, ended.references) == (
        Status.EXERCISE,
        MsgType.CANCEL,
        (issued.reference,),
    )


def test_the_feed_lists_open_warnings_of_the_callers_districts_only(feed: Feed, regions: Regions) -> None:
    play(feed, [{}, {A: 6.0, C: 6.0}])

    def links(api: APIClient) -> list[Any]:
        answer = api.get("/api/v1/warnings.atom")
        assert answer["Content-Type"] == "application/atom+xml"
        root = etree.fromstring(answer.content)
        return root.findall(f"{{{ATOM}}}entry/{{{ATOM}}}link[@type='application/cap+xml']")

    city, district = (signed_in((regions[code], Duty.DESK)) for code in ("4403", DISTRICT))
    assert len(links(city)) == 2
    [link] = links(district)
    href = link.get("href").partition("/api/v1/")[2]
    assert cap(district, href).infos[0].areas[0].geocodes == (("GB/T 2260", A),)


def test_the_feed_shows_an_end_for_a_day(feed: Feed, regions: Regions, desk: APIClient) -> None:
    play(feed, [{}, {A: 6.0}])
    warning = Warning.objects.get()
    desk.post(f"/api/v1/warnings/{warning.pk}/cancel", {"note": "雨停"}, format="json")
    entries = etree.fromstring(desk.get("/api/v1/warnings.atom").content).findall(f"{{{ATOM}}}entry")
    [link] = entries[0].findall(f"{{{ATOM}}}link")
    shown = cap(desk, link.get("href").partition("/api/v1/")[2])
    assert (len(entries), shown.msg_type) == (1, MsgType.CANCEL)

    lately = Warning.objects.create(
        hazard=Hazard.FLOOD, region=regions[DISTRICT], level=0, peak_level=2, raised_at=NOW, ended_at=NOW
    )
    make_bulletin(warning=lately, issued_at=now() - timedelta(hours=25))
    assert desk.get("/api/v1/warnings.atom").content.count(b"<entry>") == 1


def test_the_601st_message_of_a_minute_is_refused_by_name_and_left_out_of_the_feed(
    desk: APIClient, regions: Regions
) -> None:
    first, last = (
        Warning.objects.create(hazard=hazard, region=regions[DISTRICT], level=2, peak_level=2, raised_at=NOW)
        for hazard in (Hazard.RAINSTORM, Hazard.FLOOD)
    )
    for _ in range(2):
        make_bulletin(kind="level")  # without a warning: takes no place
    for _ in range(600):
        make_bulletin(warning=first)
    assert cap(desk, f"warnings/{first.pk}.cap").identifier.endswith("59_9")
    make_bulletin(warning=last)
    refused = desk.get(f"/api/v1/warnings/{last.pk}.cap")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_messages")
    answer = desk.get("/api/v1/warnings.atom")
    assert len(etree.fromstring(answer.content).findall(f"{{{ATOM}}}entry")) == 1


def test_another_districts_message_is_not_there(feed: Feed, regions: Regions, desk: APIClient) -> None:
    play(feed, [{}, {C: 6.0}])
    assert desk.get(f"/api/v1/warnings/{Warning.objects.get().pk}.cap").status_code == 404
    assert desk.get("/api/v1/warnings/1.cap?bulletin=x").json()["code"] in {"invalid", "not_found"}
    assert APIClient().get("/api/v1/warnings.atom").status_code == 401


def test_messages_are_signed_when_a_key_is_configured(
    feed: Feed, desk: APIClient, settings: Settings, tmp_path: Path
) -> None:
    key, certificate = a_certificate("city")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    settings.CAP_KEY_FILE = str(tmp_path / "key.pem")
    settings.CAP_CERTIFICATE_FILE = str(tmp_path / "certificate.pem")
    play(feed, [{}, {A: 6.0}])
    answer = desk.get(f"/api/v1/warnings/{Warning.objects.get().pk}.cap")
    assert read(verified(answer.content, [certificate])).infos
    feed_answer = desk.get("/api/v1/warnings.atom")
    assert b"entry" in verified(feed_answer.content, [certificate])
