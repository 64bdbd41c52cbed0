"""Orders and their people: heads counted before, nobody told twice, each his own tasks, papers for whom it was delivered to."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from alerts import orders
from alerts.assessment.paper import PDF
from alerts.models import Bulletin, Drill, DrillState, OrderEvent, ResponseOrder
from foundation.clock import now
from hydrology.models import Region
from notifications import dispatch, frames
from notifications.models import Delivery, State
from notifications.reach import reach_of
from officers.models import AuditEntry, Duty, Officer, Post
from tests.alerts.conftest import DISTRICT, A, B, C, signed_in
from tests.console.factories import make_officer
from tests.notifications.conftest import give_phone

CITY = "4403"
Regions = dict[str, Region]
PAPER = b"%PDF-1.7\n1 0 obj\n%%EOF\n"


class Desks:
    """Desk and command of every authority, through their doors."""

    def __init__(self, regions: Regions) -> None:
        self.desk = signed_in((regions[CITY], Duty.DESK))
        self.head = signed_in((regions[CITY], Duty.COMMAND))

    def draft(self, authority: str, *areas: str, **said: Any) -> int:
        body = {
            "authority": authority, "areas": areas, "level": "II", "duties": ["flood"], "title_zh": "巡查",
            "text_zh": "请巡查。", "valid_until": (now() + timedelta(hours=3)).isoformat(),
        } | said  # fmt: skip
        answer = self.desk.post("/api/v1/orders", body, format="json")
        assert answer.status_code == 201, answer.content
        return int(answer.json()["id"])

    def act(self, pk: int, verb: str, **said: Any) -> Any:
        who = self.head if verb == "approve" else self.desk
        return who.post(f"/api/v1/orders/{pk}/{verb}", said, format="json")

    def ready(self, authority: str, *areas: str, **said: Any) -> int:
        pk = self.draft(authority, *areas, **said)
        for verb in ("submit", "approve"):
            assert self.act(pk, verb).status_code == 200
        return pk

    def issued(self, authority: str, *areas: str, **said: Any) -> int:
        pk = self.ready(authority, *areas, **said)
        assert self.act(pk, "issue").status_code == 200
        dispatch.take_up(now=now())
        return pk


@pytest.fixture
def desks(regions: Regions) -> Desks:
    return Desks(regions)


def rows() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (ResponseOrder, OrderEvent, Bulletin)]


def heads(regions: Regions, person: Callable[..., Officer], *codes: str) -> list[Officer]:
    return [person(regions[code]) for code in codes]


def test_the_typed_count_must_be_the_present_one(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    heads(regions, person, A, A, B)
    pk = desks.ready(DISTRICT, A, B)
    shown = desks.desk.post(
        "/api/v1/orders/preview", {"areas": [A, B], "duties": ["flood"], "level": "II"}, format="json"
    ).json()["officers"]
    assert shown == 4  # and the city's desk
    before = rows()
    wrong = desks.act(pk, "issue", officers=3)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["fields"]) == (
        409, "head_count", {"officers": "4"}
    )  # fmt: skip
    assert rows() == before
    right = desks.act(pk, "issue", officers=shown)
    assert (right.status_code, right.json()["head_count"], right.json()["status"]) == (200, 4, "issued")
    assert right.json()["undo_until"] is None and right.json()["released_at"]


def test_an_order_nobody_would_hear_is_not_issued(regions: Regions, desks: Desks) -> None:
    pk = desks.ready(DISTRICT, A)
    Post.objects.filter(duty=Duty.DESK).update(valid_to=now() - timedelta(hours=1))
    desks.desk = signed_in((regions[CITY], Duty.DESK))
    Post.objects.filter(officer=desks.desk.officer).update(station=None)
    stranger = signed_in((regions[CITY], Duty.DESK))
    Drill.objects.create(
        name="d", authority=regions[CITY], areas=[CITY], duties=["flood"], state=DrillState.RUNNING,
        officers=[], created_at=now(), created_by=stranger.officer,
    )  # fmt: skip
    inside = desks.ready(DISTRICT, A, drill_of=Drill.objects.get().pk)
    before = rows()
    for said in ({}, {"officers": 0}, {"officers": 5}):
        answer = desks.act(inside, "issue", **said)
        assert (answer.status_code, answer.json()["code"]) == (409, "nobody")
    assert rows() == before
    assert desks.act(pk, "issue").status_code == 200, "outside the drill there is the desk"


def test_a_drills_count_is_of_who_takes_part(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    one, _ = heads(regions, person, A, A)
    drill = Drill.objects.create(
        name="d", authority=regions[CITY], areas=[CITY], duties=["flood"], state=DrillState.RUNNING,
        officers=[one.pk], created_at=now(), created_by=one,
    )  # fmt: skip
    pk = desks.ready(DISTRICT, A, drill_of=drill.pk)
    assert desks.act(pk, "issue", officers=1).status_code == 200


def test_an_undo_window_is_shown_and_used_through_the_door(desks: Desks) -> None:
    pk = desks.ready(DISTRICT, A)
    waiting = desks.act(pk, "issue", undo_s=10).json()
    assert (waiting["status"], waiting["released_at"]) == ("issued", None)
    assert waiting["undo_until"] == waiting["release_at"]
    taken_back = desks.act(pk, "undo", note="范围有误").json()
    assert (taken_back["status"], taken_back["undo_until"]) == ("approved", None)
    assert desks.act(pk, "issue", undo_s=61).status_code == 400
    assert desks.act(pk, "issue").json()["released_at"]
    late = desks.act(pk, "undo")
    assert (late.status_code, late.json()["code"]) == (409, "already_released")


def said_to(officer: Officer) -> list[tuple[str, bool]]:
    """What he was told, oldest first: (title, quiet)."""
    lines = Delivery.objects.filter(officer=officer).order_by("id")
    return list(lines.values_list("dispatch__bulletin__requires", "quiet"))


def test_who_the_new_order_leaves_out_is_called_off_and_nobody_hears_both(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    stays, leaves, reporter = person(regions[A]), person(regions[B]), person(regions[A], duty=Duty.REPORTER)
    moved = person(regions[B])  # holds a post in both
    Post.objects.create(
        officer=moved, duty=Duty.FLOOD, region=regions[A], valid_from=now() - timedelta(days=1)
    )
    first = desks.issued(DISTRICT, A, B, duties=["flood", "reporter"])
    second = desks.issued(DISTRICT, A, level="III", replaces=first)
    dispatch.take_up(now=now())
    for gone in (leaves, reporter):
        assert said_to(gone) == [("confirm", False), ("open", False)]
    for kept in (stays, moved, desks.desk.officer):
        assert said_to(kept) == [("confirm", False), ("confirm", False)]
    off = Bulletin.objects.get(requires="open")
    assert (off.order_id, sorted(off.officers)) == (first, sorted([leaves.pk, reporter.pk]))
    assert off.body_zh.startswith("【终止】新指令不再包含您的责任区或岗位。")
    told = desks.desk.get(f"/api/v1/orders/{first}").json()
    assert (told["status"], told["replaced_by"], told["ended_at"]) == (
        "superseded", second, desks.desk.get(f"/api/v1/orders/{second}").json()["released_at"]
    )  # fmt: skip
    assert "Update" in desks.desk.get(f"/api/v1/orders/{second}.cap").content.decode()
    assert "Cancel" not in desks.desk.get(f"/api/v1/orders/{first}.cap").content.decode(), (
        "said to some by name"
    )


def test_a_districts_order_reaches_anew_only_who_has_not_the_citys(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    both, new = person(regions[A]), person(regions[B])
    city = desks.issued(CITY, A, level="II", tasks=[{"text_zh": "市任务"}])
    desks.issued(DISTRICT, A, B, level="II", under=city, tasks=[{"text_zh": "区任务", "due_min": 30}])
    assert said_to(both) == [("confirm", False), ("confirm", True)]
    assert said_to(new) == [("confirm", False)]
    quiet = Delivery.objects.get(officer=both, quiet=True)
    assert quiet.root == Delivery.objects.get(officer=both, quiet=False)


def test_a_graver_order_of_the_district_rings_again(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    officer = person(regions[A])
    city = desks.issued(CITY, A, level="IV")
    desks.issued(DISTRICT, A, level="II", under=city)
    assert said_to(officer) == [("confirm", False)] * 2


def test_what_was_called_off_since_renews_nothing(
    desks: Desks, regions: Regions, person: Callable[..., Officer]
) -> None:
    officer = person(regions[A])
    city = desks.issued(CITY, A, level="II")
    added = desks.ready(DISTRICT, A, level="II", under=city)
    desks.act(city, "end")
    dispatch.take_up(now=now())
    desks.act(added, "issue")
    dispatch.take_up(now=now())
    assert said_to(officer) == [("confirm", False), ("open", False), ("confirm", False)]


def inbox(api: APIClient) -> list[dict[str, Any]]:
    return list(api.get("/api/v1/inbox").json()["items"])


def phone(region: Region, *more: tuple[Region, Duty], duty: Duty = Duty.FLOOD) -> APIClient:
    api = signed_in((region, duty), *more)
    give_phone(api.officer)
    return api


TASKS = [
    {"text_zh": "人人", "text_en": "everybody"},
    {"duty": "flood", "level": "street", "text_zh": "街道三防", "text_en": "street flood", "due_min": 30},
    {"duty": "flood", "level": "district", "text_zh": "区三防", "text_en": "district flood"},
    {"duty": "reporter", "text_zh": "信息员", "text_en": "reporter"},
    {"duty": "desk", "text_zh": "值班", "text_en": "desk"},
]


def test_each_sees_his_own_tasks_by_duty_and_level_of_his_post(desks: Desks, regions: Regions) -> None:
    street, district = phone(regions[A]), phone(regions[DISTRICT])
    reporter = phone(regions[A], duty=Duty.REPORTER)
    both = phone(regions[A], (regions[B], Duty.REPORTER))
    desk, above = phone(regions[DISTRICT], duty=Duty.DESK), desks.desk
    pk = desks.issued(CITY, DISTRICT, duties=["flood", "reporter"], tasks=TASKS)
    seen = {
        name: [task["text"] for task in inbox(api)[0]["tasks"]]
        for name, api in {
            "street": street, "district": district, "reporter": reporter, "both": both, "desk": desk, "above": above
        }.items()
    }  # fmt: skip
    assert seen == {
        "street": ["人人", "街道三防"],
        "district": ["人人", "区三防"],
        "reporter": ["人人", "信息员"],
        "both": ["人人", "街道三防", "信息员"],
        "desk": ["值班"],
        "above": [],  # the desk above hears of it; nothing in it is his to do
    }
    item = inbox(street)[0]
    assert (item["thread"], item["quiet"], item["ref"]) == (f"order/{pk}", False, f"order/{pk}")
    released_at = ResponseOrder.objects.get(pk=pk).released_at
    assert released_at is not None
    due = [task["due_at"] for task in item["tasks"]]
    assert due[0] is None and due[1].endswith("+08:00")
    assert item["tasks"][0]["state"] is None


def test_added_tasks_stand_beside_the_citys_in_the_first_message_and_leave_with_their_order(
    desks: Desks, regions: Regions
) -> None:
    here, there = phone(regions[A]), phone(regions[C])
    city = desks.issued(CITY, DISTRICT, "440304", tasks=[{"text_zh": "市"}])
    added = desks.issued(DISTRICT, A, under=city, tasks=[{"text_zh": "区"}])
    street = desks.issued(A, A, under=added, tasks=[{"text_zh": "街道"}])
    assert [[task["text"] for task in item["tasks"]] for item in inbox(here)] == [["市", "区", "街道"]] * 3
    assert [item["quiet"] for item in inbox(here)] == [False, True, True]
    assert [[task["text"] for task in item["tasks"]] for item in inbox(there)] == [["市"]]
    desks.act(added, "end")
    assert [task["text"] for task in inbox(here)[0]["tasks"]] == ["市", "街道"]
    desks.act(street, "withdraw")
    desks.act(city, "end")
    dispatch.take_up(now=now())
    assert {len(item["tasks"]) for item in inbox(here)} == {0}


def test_a_page_of_items_costs_the_same_queries_however_many_orders_it_has(
    desks: Desks, regions: Regions, django_assert_num_queries: Any
) -> None:
    api = phone(regions[A])
    desks.issued(DISTRICT, A, duties=["flood", "reporter"], tasks=TASKS)
    inbox(api)
    with django_assert_num_queries(
        8
    ):  # who he is, where the ledger begins, the page, thread, tasks, posts and reports, the papers
        assert len(inbox(api)) == 1
    for _ in range(4):
        desks.issued(DISTRICT, A, duties=["flood", "reporter"], tasks=TASKS)
    with django_assert_num_queries(8):
        assert len(inbox(api)) == 5


def said_in(frame: bytes) -> Any:
    """The text of one frame of RFC 6455, as a server sends it."""
    return json.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


def test_the_socket_says_what_the_inbox_says_in_as_many_queries_for_all(
    desks: Desks, regions: Regions, django_assert_num_queries: Any
) -> None:
    apis = [phone(regions[A]) for _ in range(3)] + [phone(regions[B], duty=Duty.REPORTER)]
    apis[1].officer.language = "en"
    apis[1].officer.save()
    desks.issued(DISTRICT, A, B, duties=["flood", "reporter"], tasks=TASKS)
    newest = frames.ledger().newest
    with django_assert_num_queries(7):
        told = frames.told(0, newest, [api.officer.pk for api in apis], now())
    said = {item.officer: said_in(item.frame) for item in told}
    for api in apis:
        frame = said[api.officer.pk]
        assert frame.pop("type") == "inbox"
        assert frame == inbox(api)[0]


def test_what_he_reported_of_a_task_shows_in_his_item_and_in_nobody_elses(
    desks: Desks, regions: Regions
) -> None:
    api, other = phone(regions[A]), phone(regions[A])
    pk = desks.issued(DISTRICT, A, duties=["flood", "reporter"], tasks=TASKS)
    task = inbox(api)[0]["tasks"][1]["id"]
    for state in ("doing", "done"):
        body = {"state": state, "at": now().isoformat()}
        said = api.post(f"/api/v1/orders/{pk}/tasks/{task}/reports", body, format="json")
        assert said.status_code in (200, 201), said.content
    assert [one["state"] for one in inbox(api)[0]["tasks"]] == [None, "done"]
    assert [one["state"] for one in inbox(other)[0]["tasks"]] == [None, None]
    [item] = frames.told(0, frames.ledger().newest, [api.officer.pk], now())
    assert said_in(item.frame)["tasks"][1]["state"] == "done"


def attach(api: APIClient, pk: int, body: bytes = PAPER, name: str = "通知.pdf") -> Any:
    return api.post(f"/api/v1/orders/{pk}/attachments", {"file": SimpleUploadedFile(name, body)})


def test_a_paper_is_given_to_whom_the_order_was_delivered_to_and_to_nobody_else(
    desks: Desks, regions: Regions
) -> None:
    here, there = phone(regions[A]), phone(regions[C])
    pk = desks.draft(DISTRICT, A)
    made = attach(desks.desk, pk)
    assert made.status_code == 201
    path = f"/api/v1/orders/{pk}/attachments/{made.json()['id']}"
    assert here.get(path).status_code == 404, "nothing was delivered yet"
    for verb in ("submit", "approve", "issue"):
        desks.act(pk, verb)
    dispatch.take_up(now=now())
    shown = inbox(here)[0]["attachments"]
    assert shown == [{"id": made.json()["id"], "name": "通知.pdf", "media_type": PDF, "size": len(PAPER)}]
    got = here.get(path)
    assert (got.status_code, got.content, got["Content-Type"]) == (200, PAPER, PDF)
    assert got["X-Content-Type-Options"] == "nosniff"
    assert got["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    again = here.get(path, HTTP_IF_NONE_MATCH=got["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert there.get(path).status_code == 404
    assert there.get(f"/api/v1/orders/{pk + 1}/attachments/{made.json()['id']}").status_code == 404
    assert desks.desk.get(path).status_code == 200


def test_a_paper_sent_twice_with_one_key_is_added_once(desks: Desks) -> None:
    pk = desks.draft(DISTRICT, A)
    path, key = f"/api/v1/orders/{pk}/attachments", {"HTTP_IDEMPOTENCY_KEY": "once"}
    answers = []
    for mark in (b"x", b"y"):  # a client that sends again draws another boundary
        head = b'\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        body = b"--" + mark + head + PAPER + b"\r\n--" + mark + b"--\r\n"
        form = f"multipart/form-data; boundary={mark.decode()}"
        answers.append(desks.desk.generic("POST", path, body, content_type=form, **key))
    assert [answer.status_code for answer in answers] == [201, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_papers_are_frozen_with_the_order(desks: Desks) -> None:
    pk = desks.draft(DISTRICT, A)
    paper = attach(desks.desk, pk).json()
    assert attach(desks.desk, pk, name="same.pdf").status_code == 200, "the same content is one paper"
    other = attach(desks.desk, pk, PAPER + b" ", "b.pdf").json()
    path = f"/api/v1/orders/{pk}/attachments"
    assert desks.desk.delete(f"{path}/{other['id']}").status_code == 204
    assert desks.desk.delete(f"{path}/{other['id']}").status_code == 404
    [entry] = AuditEntry.objects.filter(act="order.detach")
    assert (entry.actor_id, entry.object) == (desks.desk.officer.pk, f"order:{pk}")
    sha256 = hashlib.sha256(PAPER + b" ").hexdigest()
    assert entry.detail == {"paper": other["id"], "sha256": sha256, "added_by": desks.desk.officer.pk}
    desks.act(pk, "submit")
    for refused in (attach(desks.desk, pk, PAPER + b"x%%EOF"), desks.desk.delete(f"{path}/{paper['id']}")):
        assert (refused.status_code, refused.json()["code"]) == (409, "order_closed")
    order = desks.desk.get(f"/api/v1/orders/{pk}").json()
    assert [one["id"] for one in order["attachments"]] == [paper["id"]]


def test_release_tells_the_paper_count(desks: Desks, regions: Regions) -> None:
    pk = desks.draft(DISTRICT, A)
    attach(desks.desk, pk)
    for verb in ("submit", "approve"):
        desks.act(pk, verb)
    desks.act(pk, "issue", undo_s=1)
    assert orders.release_due(now=now() + timedelta(seconds=2)) == 1
    assert "附件1份。" in Bulletin.objects.get().body_zh


def test_an_orders_reach_names_the_dispatch_by_which_its_people_are_found(
    desks: Desks, regions: Regions
) -> None:
    phone(regions[A])
    reach = desks.desk.get(f"/api/v1/orders/{desks.issued(CITY, A)}/reach").json()
    people = desks.desk.get(f"/api/v1/dispatches/{reach['dispatch']}/people").json()["items"]
    assert (reach["total"], reach["acting"]) == (len(people), 0)
    assert A in {person["region"] for person in people}


def test_the_unanswered_of_an_order_come_in_pages(
    desks: Desks, regions: Regions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        phone(regions[A])
    path = f"/api/v1/orders/{desks.issued(CITY, A)}/reach"
    everybody = desks.desk.get(path).json()["unanswered"]
    monkeypatch.setattr(reach_of, "__kwdefaults__", {**reach_of.__kwdefaults__, "limit": 2})
    seen, after = [], 0
    while after is not None:
        page = desks.desk.get(path, {"after": after}).json()
        seen += page["unanswered"]
        after = page["next"]
    assert seen == everybody and len(seen) > 2
    assert desks.desk.get(path, {"after": "x"}).status_code == 400


def test_an_orders_reach_stays_its_own_after_it_is_called_off(desks: Desks, regions: Regions) -> None:
    """Who went still counts, whether or not the news that it is over has been dispatched."""
    phone(regions[A])
    pk = desks.issued(CITY, A)
    Delivery.objects.update(state=State.CONFIRMED)
    before = desks.desk.get(f"/api/v1/orders/{pk}/reach").json()
    assert desks.act(pk, "end").status_code == 200
    at_once = desks.desk.get(f"/api/v1/orders/{pk}/reach").json()
    dispatch.take_up(now=now())
    later = desks.desk.get(f"/api/v1/orders/{pk}/reach").json()
    assert before["confirmed"] == before["total"] > 0
    assert before == at_once == later


def test_whom_an_order_was_delivered_to_may_read_it(desks: Desks, regions: Regions) -> None:
    told, other = signed_in((regions[A], Duty.FLOOD)), signed_in((regions[B], Duty.FLOOD))
    pk = desks.issued(CITY, A)
    read = told.get(f"/api/v1/orders/{pk}")
    assert (read.status_code, read.json()["id"]) == (200, pk)
    assert other.get(f"/api/v1/orders/{pk}").status_code == 404
    assert told.post(f"/api/v1/orders/{pk}/end", {}, format="json").status_code == 404


def test_a_preview_counts_each_person_once_by_the_duty_he_is_addressed_for(
    desks: Desks, regions: Regions
) -> None:
    both = make_officer(regions[A], Duty.FLOOD)
    Post.objects.create(
        officer=both, region=regions[A], duty=Duty.REPORTER, valid_from=now() - timedelta(days=1)
    )
    make_officer(regions[B], Duty.REPORTER)
    body = {"areas": [A, B], "duties": ["flood", "reporter"], "level": "II"}
    shown = desks.desk.post("/api/v1/orders/preview", body, format="json").json()
    assert {row["duty"]: row["officers"] for row in shown["duties"]} == {"desk": 1, "flood": 1, "reporter": 1}
    assert shown["officers"] == 3


def test_a_warnings_preview_takes_what_a_warning_takes(desks: Desks, regions: Regions) -> None:
    make_officer(regions[A], Duty.FLOOD)
    make_officer(regions[B], Duty.FLOOD)
    path, warning = "/api/v1/warnings/preview", {"hazard": "rainstorm", "level": "alert", "note": "雷达"}
    shown = desks.desk.post(path, warning | {"streets": [A]}, format="json").json()
    assert {row["duty"]: row["officers"] for row in shown["duties"]} == {"desk": 1, "flood": 1}
    answer = desks.desk.post(path, warning, format="json")
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {"streets"})


@pytest.mark.parametrize(
    ("said", "faulty"),
    [({"duties": ["mayor"]}, "duties"), ({"under": 10**30}, "under"), ({"drill_of": -1}, "drill_of")],
)
def test_a_preview_refuses_what_an_order_would_refuse(
    desks: Desks, said: dict[str, Any], faulty: str
) -> None:
    body = {"areas": [A], "duties": ["flood"]} | said
    answer = desks.desk.post("/api/v1/orders/preview", body, format="json")
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {faulty})
