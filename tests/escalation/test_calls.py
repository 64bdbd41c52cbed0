"""The call-out desk's doors: who sees whom, one caller at a time, numbers only for him and on the record."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from escalation import climb
from escalation.api import GravestFirst
from escalation.models import CallTask, Climb, ClimbState
from foundation.clock import now
from foundation.scope import Scope
from hydrology.models import Region
from notifications import dispatch, receipts
from notifications.models import Delivery, Receipt, ReceiptState
from officers.models import AuditEntry, Duty
from tests.console.factories import HOUR, make_bulletin
from tests.escalation.test_climb import STREET, Regions, person
from tests.hydrology.factories import make_regions

DOOR = "/api/v1/calls"
ELSEWHERE = "440304001"


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


Desk = Callable[..., APIClient]


@pytest.fixture
def desk(regions: Regions) -> Desk:
    def make(path: str = "4403/", *, staffs: bool = True) -> APIClient:
        api = APIClient()
        officer = person(regions["4403"], duty=Duty.DESK)
        scope = Scope(paths=(path,), desk_paths=(path,) if staffs else ())
        api.force_authenticate(officer, token=SimpleNamespace(scope=scope))
        return api

    return make


def call(region: Region, **fields: Any) -> CallTask:
    """Somebody of the region whom every rung before has asked in vain."""
    officer = person(region)
    at = now() - HOUR
    given = {
        "areas": [region.pk],
        "urgency": 4,
        "issued_at": at,
        "caused_at": at,
        "valid_until": now() + HOUR,
    }
    make_bulletin(**given | fields)
    dispatch.take_up(now=at)
    line = Delivery.objects.get(officer=officer)
    for step in range(4):
        climb.sweep(now=at + (step + 1) * HOUR / 6)
    return CallTask.objects.get(climb__delivery=line)


def test_the_list_shows_who_was_asked_in_vain_and_no_number(regions: Regions, desk: Desk) -> None:
    task = call(regions[STREET])
    officer = task.climb.delivery.officer
    answer = desk().get(DOOR)
    assert answer.status_code == 200, answer.content
    [row] = answer.json()["results"]
    assert (row["id"], row["name"], row["masked_phone"]) == (task.pk, officer.name, officer.masked_phone)
    assert (row["dispatch"], row["officer"]) == (task.climb.delivery.dispatch_id, officer.pk)
    assert (row["duty"], row["region"], row["urgency"], row["claimed_by"]) == ("flood", STREET, 4, None)
    assert [tried["errand"] for tried in row["tried"]] == ["repeat", "deputy", "superior", "desk"]
    assert officer.masked_phone.replace("*", "") not in answer.content.decode().replace(
        officer.masked_phone, ""
    )


def test_the_gravest_come_first_then_who_has_waited_longest(regions: Regions, desk: Desk) -> None:
    mild = call(regions[STREET], urgency=3)
    graves = [call(regions["440303002"]), call(regions[ELSEWHERE])]
    told = [task.pk for task in sorted(graves, key=lambda task: task.climb.delivery.dispatch.created_at)]
    assert [row["id"] for row in desk().get(DOOR).json()["results"]] == [*told, mild.pk]


def test_a_desk_sees_its_own_regions_and_who_is_no_desk_sees_nothing(regions: Regions, desk: Desk) -> None:
    task = call(regions[STREET])
    other = desk("4403/440304/")
    assert other.get(DOOR).json()["results"] == []
    assert other.post(f"{DOOR}/{task.pk}/claim").status_code == 404
    nobody = desk(staffs=False)
    refused = [
        nobody.get(DOOR),
        *(nobody.post(f"{DOOR}/{task.pk}/{act}") for act in ("claim", "phone", "release")),
    ]
    assert {answer.status_code for answer in refused} == {403}


def test_one_caller_at_a_time(regions: Regions, desk: Desk) -> None:
    task = call(regions[STREET])
    mine, yours = desk(), desk()
    assert mine.post(f"{DOOR}/{task.pk}/claim").json()["mine"] is True
    assert mine.post(f"{DOOR}/{task.pk}/claim").status_code == 200
    for act, body in (("claim", {}), ("phone", {}), ("release", {}), ("result", {"result": "answered"})):
        refused = yours.post(f"{DOOR}/{task.pk}/{act}", body, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "call_claimed")
    mine.post(f"{DOOR}/{task.pk}/release")
    assert yours.post(f"{DOOR}/{task.pk}/claim").json()["mine"] is True


def test_the_number_is_told_to_the_caller_only_and_every_look_is_on_record(
    regions: Regions, desk: Desk
) -> None:
    task = call(regions[STREET])
    caller = desk()
    refused = caller.post(f"{DOOR}/{task.pk}/phone")
    assert (refused.status_code, refused.json()["code"]) == (409, "call_not_claimed")
    caller.post(f"{DOOR}/{task.pk}/claim")
    for _ in range(2):
        number = caller.post(f"{DOOR}/{task.pk}/phone").json()["phone"]
    assert number.startswith("+86138") and number[-4:] == task.climb.delivery.officer.masked_phone[-4:]
    looks = AuditEntry.objects.filter(act="call.phone", object=f"call:{task.pk}")
    assert looks.count() == 2
    assert number[3:] not in str(list(AuditEntry.objects.values()))


def test_an_answer_by_telephone_ends_the_climb_and_is_a_receipt(regions: Regions, desk: Desk) -> None:
    task = call(regions[STREET])
    caller = desk()
    caller.post(f"{DOOR}/{task.pk}/claim")
    done = caller.post(f"{DOOR}/{task.pk}/result", {"result": "answered", "note": "已出发"}, format="json")
    assert (done.status_code, done.json()["result"]) == (200, "answered")
    ended = Climb.objects.get(pk=task.climb_id)
    assert (ended.state, ended.why) == (ClimbState.ANSWERED, "by call")
    assert Receipt.objects.get().source == "call"
    again = caller.post(f"{DOOR}/{task.pk}/result", {"result": "no_answer"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "call_done")
    assert caller.get(DOOR).json()["results"] == []
    assert [row["id"] for row in caller.get(DOOR, {"open": "0"}).json()["results"]] == [task.pk]
    acts = list(AuditEntry.objects.order_by("id").values_list("act", flat=True))
    assert acts == ["call.claim", "call.result"]


@pytest.mark.parametrize("result", ["no_answer", "wrong_number", "other", "cannot"])
def test_other_results_leave_him_unanswered(regions: Regions, desk: Desk, result: str) -> None:
    task = call(regions[STREET])
    caller = desk()
    caller.post(f"{DOOR}/{task.pk}/claim")
    assert caller.post(f"{DOOR}/{task.pk}/result", {"result": result}, format="json").status_code == 200
    climb.sweep(now=now())
    assert Climb.objects.get(pk=task.climb_id).state != ClimbState.ANSWERED


@pytest.mark.parametrize(
    "body", [{}, {"result": "gone"}, {"result": "other", "note": "x" * 501}, []], ids=str
)
def test_what_is_no_result_is_refused(regions: Regions, desk: Desk, body: Any) -> None:
    task = call(regions[STREET])
    caller = desk()
    caller.post(f"{DOOR}/{task.pk}/claim")
    refused = caller.post(f"{DOOR}/{task.pk}/result", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert CallTask.objects.get().done_at is None


def test_who_answers_meanwhile_is_off_the_list_and_needs_no_call(regions: Regions, desk: Desk) -> None:
    task = call(regions[STREET])
    line = task.climb.delivery
    said = receipts.Answer(line.pk, ReceiptState.CONFIRMED, now())
    receipts.take(line.officer_id, [said], source="http", now=now())
    caller = desk()
    assert caller.get(DOOR).json()["results"] == []
    climb.sweep(now=now())
    refused = caller.post(f"{DOOR}/{task.pk}/claim")
    assert (refused.status_code, refused.json()["code"]) == (409, "call_over")


@pytest.mark.parametrize("act", ["claim", "release"])
def test_a_forgotten_claim_is_free_for_others(regions: Regions, desk: Desk, act: str) -> None:
    task = call(regions[STREET])
    mine, yours = desk(), desk()
    mine.post(f"{DOOR}/{task.pk}/claim")
    assert yours.post(f"{DOOR}/{task.pk}/{act}").status_code == 409
    CallTask.objects.update(claimed_at=now() - timedelta(minutes=6))
    taken = yours.post(f"{DOOR}/{task.pk}/{act}")
    assert (taken.status_code, taken.json()["mine"]) == (200, act == "claim")
    last = AuditEntry.objects.order_by("id").last()
    assert last is not None and last.act == f"call.{act}" and last.detail["from"]
    assert mine.post(f"{DOOR}/{task.pk}/phone").status_code == 409


def test_every_call_is_on_one_page_and_a_broken_cursor_is_refused(
    regions: Regions, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GravestFirst, "page_size", 1)
    tasks = [call(regions[code]) for code in (STREET, "440303002", ELSEWHERE)]
    caller, url, seen = desk(), DOOR, []
    while url and len(seen) < 9:
        page = caller.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == [task.pk for task in tasks]
    for cursor in ("x", "cD1hYmM="):  # the second says p=abc
        assert caller.get(DOOR, {"cursor": cursor}).status_code in {400, 404}
