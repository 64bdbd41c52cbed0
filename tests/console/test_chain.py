"""One person's chain: six steps with time and source, what was tried, whose eyes may see it, and who has looked."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from rest_framework.test import APIClient

from console import chain
from foundation.clock import iso, now
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology.models import Region
from notifications import dispatch, receipts
from notifications.models import Delivery, Errand, ReceiptState, State
from officers.models import AuditEntry, Officer
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions

CITY, STREET = "4403", "440303001"


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def line(regions: dict[str, Region]) -> Delivery:
    """A person who was rung by the app, then by text message."""
    at = now()
    make_officer(regions[STREET])
    told = make_bulletin(areas=[STREET], issued_at=at, caused_at=at, valid_until=at + timedelta(hours=1))
    dispatch.take_up(now=at)
    first = Delivery.objects.get()
    Delivery.objects.update(state=State.SENT, sent_at=at, reason="")
    dispatch.run_errand(
        told, Errand.REPEAT, now=at + timedelta(minutes=2), unanswered=[first.pk], transport="sms"
    )
    return Delivery.objects.get(pk=first.pk)


def read(line: Delivery, reader: Officer, path: str = f"{CITY}/") -> dict[str, object]:
    return chain.chain(Scope((path,)), line.dispatch_id, line.officer_id, reader.pk, now=now())


def test_each_step_has_its_time_its_source_and_the_phones_clock(
    line: Delivery, regions: dict[str, Region]
) -> None:
    reader, at = make_officer(regions[CITY]), now()
    shown = receipts.Answer(line.pk, ReceiptState.SHOWN, at + timedelta(minutes=7))
    receipts.take(line.officer_id, [shown], source="socket", now=at + timedelta(seconds=1), skew_s=420.0)
    arrived = receipts.Answer(line.pk, ReceiptState.ARRIVED, at + timedelta(seconds=9))
    receipts.take(line.officer_id, [arrived], source="http", now=at + timedelta(seconds=9))
    told = read(line, reader)
    steps = {row["step"]: row for row in told["steps"]}  # type: ignore[attr-defined]
    assert list(steps) == ["accepted", "delivered", "shown", "opened", "confirmed", "acting"]
    assert (steps["accepted"]["at"], steps["accepted"]["source"]) == (iso(line.sent_at), "fcm")
    assert (steps["delivered"]["at"], steps["delivered"]["implied"]) == (None, True)
    assert (steps["shown"]["source"], steps["shown"]["true_at"]) == ("socket", iso(at))
    assert [steps[step]["implied"] for step in ("opened", "confirmed", "acting")] == [True, True, False]
    assert steps["acting"]["source"] == "http"
    assert [(one["errand"], one["transport"]) for one in told["tries"]] == [
        ("first", "fcm"),
        ("repeat", "sms"),
    ]  # type: ignore[attr-defined]


def test_what_did_not_happen_is_not_implied(line: Delivery, regions: dict[str, Region]) -> None:
    steps = read(line, make_officer(regions[CITY]))["steps"]
    assert [(row["step"], bool(row["at"]), row["implied"]) for row in steps][:2] == [  # type: ignore[attr-defined]
        ("accepted", True, False), ("delivered", False, False),
    ]  # fmt: skip


def test_only_his_own_regions_may_look_and_every_look_is_kept(
    line: Delivery, regions: dict[str, Region]
) -> None:
    reader = make_officer(regions[CITY])
    for path in (f"{CITY}/440304/", "9999/"):
        with pytest.raises(Refusal) as refused:
            read(line, reader, path)
        assert refused.value.status == 404
    assert not AuditEntry.objects.filter(act="chain.read").exists()
    read(line, reader, regions[STREET].path)
    [entry] = AuditEntry.objects.filter(act="chain.read")
    assert (entry.actor_id, entry.object, entry.detail) == (
        reader.pk, f"delivery:{line.pk}", {"officer": line.officer_id},
    )  # fmt: skip


def test_the_door_says_the_same(line: Delivery, regions: dict[str, Region]) -> None:
    api = APIClient()
    api.force_authenticate(make_officer(regions[CITY]), token=SimpleNamespace(scope=Scope((f"{CITY}/",))))
    path = f"/api/v1/dispatches/{line.dispatch_id}/people/"
    told = api.get(f"{path}{line.officer_id}").json()
    assert (told["delivery"], told["steps"][0]["step"]) == (line.pk, "accepted")
    assert "****" in told["masked_phone"]
    assert api.get(f"{path}{line.officer_id + 999}").status_code == 404


def test_a_try_says_why_it_went_by_text_message(line: Delivery, regions: dict[str, Region]) -> None:
    Delivery.objects.filter(transport="sms").update(rerouted="huawei_paused")
    tries = read(line, make_officer(regions[CITY]))["tries"]
    assert [one["rerouted"] for one in tries] == ["", "huawei_paused"]  # type: ignore[attr-defined]


def test_everybody_told_is_found_the_answered_too_below_ones_own_regions(
    line: Delivery, regions: dict[str, Region]
) -> None:
    receipts.take(
        line.officer_id, [receipts.Answer(line.pk, ReceiptState.ARRIVED, now())], source="http", now=now()
    )
    api, path = APIClient(), f"/api/v1/dispatches/{line.dispatch_id}/people"

    def found(words: str = "", scope: str = f"{CITY}/") -> list[dict[str, object]]:
        api.force_authenticate(make_officer(regions[CITY]), token=SimpleNamespace(scope=Scope((scope,))))
        answer = api.get(path, {"q": words})
        assert answer.status_code == 200, answer.content
        return list(answer.json()["items"])

    [person] = found()
    assert (person["dispatch"], person["officer"]) == (line.dispatch_id, line.officer_id)
    assert (person["state"], person["acting"], person["errand"]) == ("confirmed", True, "first")
    name, number = line.officer.name, line.officer.masked_phone
    for words in (name, name[1:], number[-4:], line.region.name):
        assert [one["officer"] for one in found(words)] == [line.officer_id], words
    assert found("nobody such") == [] == found(number[:-1])
    assert [one["officer"] for one in found(scope=regions[STREET].path)] == [line.officer_id]
    api.force_authenticate(line.officer, token=SimpleNamespace(scope=Scope((f"{CITY}/440304/",))))
    assert api.get(path).status_code == 404
