"""What becomes of a report: one table of steps, who may take them, who is told, and a trace of each."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import Bulletin
from foundation.clock import now
from foundation.errors import Refusal
from hazards import ground_acts, ground_words
from hazards.ground_acts import Move
from hazards.models import CloseReason, GroundEvent, GroundKind, GroundReport, GroundSeverity
from notifications import dispatch
from notifications.models import Delivery
from officers.directory import scope_of
from officers.models import AuditEntry, Duty, Officer, Post
from tests.hazards.conftest import A1, A2, B1, C1, CELL, CITY, EAST, WEST, A, B, also, person, phone, regions
from tests.hazards.ground import DOOR, Regions, act, city, desk, reported, told
from tests.hydrology.factories import make_regions

__all__ = ["city", "regions"]

STATUSES = ("received", "assigned", "in_progress", "closed")
LEGAL = {  # (verb, status before): status after; anything else is refused
    ("assign", "received"): "assigned",
    ("assign", "assigned"): "assigned",
    ("assign", "in_progress"): "assigned",
    ("progress", "assigned"): "in_progress",
    ("progress", "in_progress"): "in_progress",
    ("close", "received"): "closed",
    ("close", "assigned"): "closed",
    ("close", "in_progress"): "closed",
}
HANDLED = {"reason": "handled", "note": "已抽排"}


def brought_to(status: str, report: GroundReport, chief: Officer, worker: Officer) -> GroundReport:
    steps = [("assign", {"officer": worker.pk}), ("progress", {}), ("close", HANDLED)]
    for verb, move in steps[: STATUSES.index(status)]:
        assert act(chief, report, verb, **move).status_code == 200
    report.refresh_from_db()
    return report


def fields_of(answer: Any) -> set[str]:
    assert answer.json()["code"] == "move", answer.content
    return set(answer.json()["fields"])


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("verb", ["assign", "progress", "close"])
def test_only_the_steps_of_the_table_are_taken_and_each_leaves_its_trace(
    city: Regions, verb: str, status: str
) -> None:
    chief, worker = desk(city[EAST]), person(city[A1])
    report = brought_to(status, reported(person(city[A1])), chief, worker)
    before = GroundEvent.objects.count(), AuditEntry.objects.count(), Bulletin.objects.count()
    move = {"assign": {"officer": worker.pk}, "progress": {"note": "水泵已到"}, "close": HANDLED}[verb]
    answer = act(chief, report, verb, **move)
    if after := LEGAL.get((verb, status)):
        assert (answer.status_code, answer.json()["status"]) == (200, after)
        event = GroundEvent.objects.latest("pk")
        assert (event.before, event.after, event.actor) == (status, after, chief)
        assert event.note == move.get("note", "")
        assert answer.json()["events"][-1]["after"] == after
        entry = AuditEntry.objects.latest("pk")
        assert (entry.act, entry.object, entry.actor) == (f"hazard.{verb}", f"hazard:{report.pk}", chief)
        assert (GroundEvent.objects.count(), AuditEntry.objects.count()) == (before[0] + 1, before[1] + 1)
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
        report.refresh_from_db()
        assert report.status == status
        assert (GroundEvent.objects.count(), AuditEntry.objects.count(), Bulletin.objects.count()) == before


@pytest.mark.parametrize("status", STATUSES)
def test_what_may_be_done_is_said_with_the_report(city: Regions, status: str) -> None:
    chief, worker, reporter = desk(city[EAST]), person(city[A1]), person(city[A1])
    report = brought_to(status, reported(reporter), chief, worker)
    legal = [verb for verb in ("assign", "progress", "close") if (verb, status) in LEGAL]
    his = [verb for verb in legal if verb == "progress"]
    for officer, may in ((chief, legal), (worker, his), (reporter, [])):
        assert phone(officer).get(f"{DOOR}/{report.pk}").json()["acts"] == may


def test_desks_and_commands_of_the_place_and_above_send_and_close_others_do_not(city: Regions) -> None:
    worker = person(city[A1])
    may = [desk(city[A]), desk(city[CITY]), person(city[EAST], Duty.COMMAND)]
    seeing, outside = [person(city[A1]), person(city[EAST], Duty.ENGINEER)], [desk(city[B]), desk(city[WEST])]
    reporter = person(city[C1])
    for officer, status, code in [
        *((officer, 200, None) for officer in may),
        *((officer, 403, "desk_only") for officer in [*seeing, reporter]),
        *((officer, 404, "not_found") for officer in outside),
    ]:
        report = reported(reporter)
        sent = act(officer, report, "assign", officer=worker.pk)
        closed = act(officer, report, "close", **HANDLED)
        listed = phone(officer).get(f"{DOOR}/{report.pk}/people")
        assert [sent.status_code, closed.status_code, listed.status_code] == [status] * 3
        if code:
            assert sent.json()["code"] == code
            report.refresh_from_db()
            assert (report.status, report.assignee) == ("received", None)


def test_who_was_sent_says_how_it_goes_and_nobody_else_but_the_desk(city: Regions) -> None:
    chief, worker, other = desk(city[EAST]), person(city[A2]), person(city[A1])
    report = reported(person(city[A1]))
    act(chief, report, "assign", officer=worker.pk)
    assert phone(worker).get(f"{DOOR}/{report.pk}").status_code == 200  # it lies outside his regions
    assert act(other, report, "progress").status_code == 403
    assert act(worker, report, "progress", note="已到场").json()["status"] == "in_progress"
    assert act(worker, report, "close", **HANDLED).status_code == 403
    act(chief, report, "assign", officer=other.pk)
    assert act(worker, report, "progress").status_code == 404  # called off


def test_people_who_can_be_sent_are_those_with_a_post_there_nearest_first(city: Regions) -> None:
    here, cell, street = person(city[A1]), person(city[CELL]), person(city[A])
    beside, district, chief = person(city[A2]), person(city[EAST]), desk(city[CITY])
    also(here, city[CITY])
    person(city[B1]), person(city[WEST])
    gone, former = person(city[A1]), person(city[A1])
    Officer.objects.filter(pk=gone.pk).update(is_active=False)
    Post.objects.filter(officer=former).update(valid_to=now() - timedelta(hours=1))
    person(city[A1], Duty.CANARY)
    report = reported(here)
    door = f"{DOOR}/{report.pk}/people"
    items = phone(chief).get(door).json()["items"]
    assert [one["id"] for one in items] == [
        officer.pk for officer in (here, street, cell, beside, district, chief)
    ]
    assert (items[0]["region"], items[0]["masked_phone"]) == (A1, here.masked_phone)
    assert [one["id"] for one in phone(chief).get(door, {"q": beside.name}).json()["items"]] == [beside.pk]
    assert [one["id"] for one in phone(chief).get(door, {"q": "%"}).json()["items"]] == []
    for stranger in (gone, former, person(city[WEST])):
        assert fields_of(act(chief, report, "assign", officer=stranger.pk)) == {"officer"}
    assert fields_of(act(chief, report, "assign")) == {"officer"}
    assert act(chief, report, "assign", officer=district.pk).status_code == 200


def test_who_is_sent_is_told_who_was_sent_before_is_called_off_and_who_saw_it_hears_the_end(
    city: Regions,
) -> None:
    chief, worker, other = desk(city[EAST]), person(city[A1]), person(city[A1])
    reporter = person(city[C1], Duty.REPORTER)
    report = reported(reporter, severity="severe")
    assert told() == []
    about = f"hazard/{report.pk}"
    act(chief, report, "assign", officer=worker.pk, note="带水泵")
    go = Bulletin.objects.get()
    assert (go.officers, go.urgency, go.requires) == ([worker.pk], 3, "confirm")  # chased until he answers
    assert "带水泵" in go.body_zh
    act(chief, report, "assign", officer=worker.pk)
    act(chief, report, "assign", officer=other.pk)
    act(other, report, "progress")
    act(chief, report, "close", **HANDLED)
    assert told()[1:] == [
        (about, "【险情处置】", [worker.pk]),
        (about, "【险情处置】", [other.pk]),
        (about, "【改派】", [worker.pk]),
        (
            about,
            "【上报办结】",
            [other.pk, reporter.pk] if other.pk < reporter.pk else [reporter.pk, other.pk],
        ),
    ]
    last = Bulletin.objects.latest("pk")
    assert (last.requires, last.urgency) == ("open", 1)
    assert "已处置" in last.push_zh and "已抽排" in last.body_zh
    dispatch.take_up(now=now())
    heard = Delivery.objects.filter(dispatch__bulletin=last).values_list("officer", flat=True)
    assert set(heard) == {other.pk, reporter.pk}
    assert phone(reporter).get("/api/v1/inbox").json()["items"][-1]["ref"] == about


def test_a_desk_that_closes_its_own_report_tells_nobody(city: Regions) -> None:
    chief = desk(city[EAST])
    act(chief, reported(chief), "close", **HANDLED)
    assert told() == []


@pytest.mark.parametrize(
    ("move", "faulty"),
    [
        ({}, {"reason"}),
        ({"reason": "handled"}, {"note"}),
        ({"reason": "false_alarm", "note": " "}, {"note"}),
        ({"reason": "duplicate"}, {"duplicate_of"}),
        ({"reason": "duplicate", "duplicate_of": "self"}, {"duplicate_of"}),
        ({"reason": "duplicate", "duplicate_of": "hidden"}, {"duplicate_of"}),
        ({"reason": "duplicate", "duplicate_of": "second"}, {"duplicate_of"}),
        ({"reason": "handled", "note": "x", "duplicate_of": "first"}, {"duplicate_of"}),
    ],
)
def test_a_report_is_closed_for_a_reason_that_can_be_followed(
    city: Regions, move: dict[str, Any], faulty: set[str]
) -> None:
    chief, officer = desk(city[EAST]), person(city[A1])
    rows = {"self": reported(officer), "first": reported(officer), "second": reported(officer)}
    rows["hidden"] = reported(person(city[C1]), C1)
    duplicate = {"reason": "duplicate", "duplicate_of": rows["first"].pk}
    assert act(chief, rows["second"], "close", **duplicate).status_code == 200
    if "duplicate_of" in move:
        move = move | {"duplicate_of": rows[move["duplicate_of"]].pk}
    assert fields_of(act(chief, rows["self"], "close", **move)) == faulty
    rows["self"].refresh_from_db()
    assert (rows["self"].status, rows["self"].closed_at) == ("received", None)
    assert act(chief, rows["self"], "close", **duplicate).json()["duplicate_of"] == rows["first"].pk


def test_what_was_a_duplicate_of_a_duplicate_is_one_of_the_original(city: Regions) -> None:
    chief, officer = desk(city[EAST]), person(city[A1])
    one, two, original = (reported(officer) for _ in range(3))
    act(chief, one, "close", reason="duplicate", duplicate_of=two.pk)
    assert act(chief, two, "close", reason="duplicate", duplicate_of=original.pk).status_code == 200
    one.refresh_from_db()
    assert one.duplicate_of_id == original.pk


@pytest.mark.django_db(transaction=True)
def test_two_reports_are_never_duplicates_of_each_other() -> None:
    city = make_regions()
    chief = desk(city[EAST])
    scope = scope_of(chief.pk, now())
    officer = person(city[A])
    pairs = [(reported(officer).pk, reported(officer).pk) for _ in range(4)]

    def work(pair: tuple[int, int]) -> str:
        move = Move(reason=CloseReason.DUPLICATE, duplicate_of=pair[1])
        try:
            return ground_acts.act(pair[0], "close", chief.pk, scope, move, now=now()).status
        except Refusal as refused:
            return refused.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as workers:
        for one, other in pairs:
            assert sorted(workers.map(work, [(one, other), (other, one)])) == ["closed", "move"]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "closed", "closed_at": now()},
        {"close_reason": "handled"},
        {"status": "assigned"},
        {"status": "closed", "close_reason": "duplicate", "closed_at": now()},
    ],
)
def test_the_database_knows_no_half_state(city: Regions, fields: dict[str, Any]) -> None:
    reported(person(city[A1]))
    with pytest.raises(DatabaseError), transaction.atomic():
        GroundReport.objects.update(**fields)


LINE = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))


@given(
    kind=st.sampled_from(GroundKind),
    severity=st.sampled_from(GroundSeverity),
    place=LINE,
    text=LINE,
    reason=st.sampled_from(CloseReason),
)
def test_every_message_fits_its_line_and_a_push_ends_with_what_to_do(
    kind: GroundKind, severity: GroundSeverity, place: str, text: str, reason: CloseReason
) -> None:
    seen = ground_words.Danger(kind, severity, place, 114.0, 22.5, text, now(), {})
    for words, act_zh in (
        (ground_words.told_at_once(seen), "请立即处置"),
        (ground_words.go_there(seen, text), "请立即前往"),
        (ground_words.go_no_more(seen), "已改派，您无需前往"),
        (ground_words.closed(seen, reason, text, 7), f"办结：{reason.label}"),
    ):
        assert words.push_zh.endswith(act_zh)
        assert kind.label in words.push_zh and severity.label in words.push_zh
