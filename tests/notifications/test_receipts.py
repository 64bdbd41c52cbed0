"""What comes back from the phones: forward only, whatever order, doubled or broken; nobody answers for another."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from alerts.models import Bulletin
from foundation.clock import now
from foundation.scope import Scope
from hydrology.models import Region
from notifications import delivery, dispatch, months, receipts, telephony
from notifications.models import ONCE, RANK, Delivery, Dispatch, Errand, Receipt, ReceiptState, State
from officers.models import Duty, Officer
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
Regions = dict[str, Region]
STREET = "440303001"
DOOR = "/api/v1/inbox/receipts"


@pytest.fixture
def line(regions: Regions, person: Person, bulletin: Bulletins) -> Delivery:
    """One person's delivery, not sent yet."""
    person(regions[STREET])
    bulletin(STREET)
    dispatch.take_up(now=now())
    return Delivery.objects.select_related("officer").get()


@pytest.fixture
def phone(line: Delivery) -> APIClient:
    api = APIClient()
    api.force_authenticate(line.officer, token=SimpleNamespace(scope=Scope()))
    return api


def take(line: Delivery, *states: ReceiptState, at: datetime | None = None) -> list[str]:
    answers = [receipts.Answer(line.pk, state, at or now()) for state in states]
    results = receipts.take(line.officer_id, answers, source="http", now=at or now())
    return [str(result["result"]) for result in results]


def row(pk: int, state: str = "confirmed", **fields: Any) -> dict[str, Any]:
    return {"id": pk, "state": state, "at": "2026-09-07T20:00:00+08:00"} | fields


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(order=st.lists(st.lists(st.sampled_from(ReceiptState), min_size=1, max_size=4), max_size=6))
def test_states_only_move_forward_in_any_order_and_grouping(
    line: Delivery, order: list[list[ReceiptState]]
) -> None:
    Receipt.objects.all().delete()
    Delivery.objects.update(state=State.SENT, delivered_at=None, opened_at=None, confirmed_at=None)
    best, seen = State.SENT, set()
    for n, batch in enumerate(order):
        at = datetime(2026, 9, 7, 12, n, tzinfo=UTC)
        said = seen & {*ONCE}  # a person's words may come again at another instant
        wanted = ["repeated" if s in said or s in batch[:i] else "accepted" for i, s in enumerate(batch)]
        assert take(line, *batch, at=at) == wanted
        seen.update(batch)
        best = max([best, *(receipts.MEANS[state] for state in batch)], key=RANK.__getitem__)
        line.refresh_from_db()
        assert line.state == best
    assert set(Receipt.objects.values_list("state", flat=True)) == {str(state) for state in seen}
    told = (line.delivered_at, line.opened_at, line.confirmed_at)
    reached = sum(RANK[best] >= RANK[state] for state in (State.DELIVERED, State.OPENED, State.CONFIRMED))
    assert [instant is not None for instant in told] == [n < reached for n in range(3)]
    assert list(filter(None, told)) == sorted(filter(None, told))


@pytest.mark.parametrize(
    "state", [ReceiptState.CONFIRMED, ReceiptState.ARRIVED, ReceiptState.REPORTED, ReceiptState.CANNOT]
)
def test_who_has_arrived_or_reported_has_confirmed(line: Delivery, state: ReceiptState) -> None:
    take(line, state)
    line.refresh_from_db()
    assert line.state == State.CONFIRMED
    assert line.confirmed_at is not None
    assert Receipt.objects.get().state == state


def test_a_late_receipt_keeps_the_first_instants(line: Delivery) -> None:
    early = now()
    take(line, ReceiptState.CONFIRMED, at=early)
    take(line, ReceiptState.OPENED, ReceiptState.DELIVERED, at=early + timedelta(hours=1))
    line.refresh_from_db()
    assert (line.opened_at, line.confirmed_at) == (early, early)
    assert Receipt.objects.count() == 3


def test_a_confirmation_before_the_push_was_sent_counts_and_nothing_is_sent(line: Delivery) -> None:
    assert line.state == State.PENDING
    take(line, ReceiptState.CONFIRMED)
    assert delivery.claim(now()) == []
    line.refresh_from_db()
    assert (line.state, line.sent_at) == (State.CONFIRMED, None)


def test_a_confirmation_while_the_push_is_being_sent_is_not_undone_by_its_outcome(line: Delivery) -> None:
    claims = delivery.claim(now())
    take(line, ReceiptState.OPENED)
    delivery.settle(claims, {}, now())
    line.refresh_from_db()
    assert line.state == State.OPENED


def test_a_receipt_for_what_failed_proves_that_it_was_seen_after_all(line: Delivery) -> None:
    Delivery.objects.update(
        state=State.FAILED_PERM, reason="no_live_device"
    )  # read in the inbox, without a push
    take(line, ReceiptState.OPENED)
    line.refresh_from_db()
    assert line.state == State.OPENED


def test_nobody_answers_for_another_officer(line: Delivery, regions: Regions, person: Person) -> None:
    stranger = person(regions[STREET])
    before = Delivery.objects.values().get()
    answers = [
        receipts.Answer(pk, ReceiptState.CONFIRMED, now()) for pk in (line.pk, line.pk + 1, 0, -1, 10**30)
    ]
    results = receipts.take(stranger.pk, answers, source="http", now=now())
    assert {result["result"] for result in results} == {"unknown"}
    assert Delivery.objects.values().get() == before
    assert not Receipt.objects.exists()


def test_an_answer_settles_the_repeats_of_the_same_message(line: Delivery) -> None:
    told = line.dispatch.bulletin
    dispatch.run_errand(told, Errand.REPEAT, now=now(), unanswered=[line.pk])
    take(line, ReceiptState.CONFIRMED)
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.CONFIRMED}


def test_a_call_for_help_tells_the_desk_above_once_and_pushes_nothing_personal(
    line: Delivery, regions: Regions, person: Person
) -> None:
    city, district = (person(regions[code], duty=Duty.DESK) for code in ("4403", "440303"))
    answer = receipts.Answer(line.pk, ReceiptState.HELP, now(), note="需要冲锋舟")
    for _ in range(2):
        receipts.take(line.officer_id, [answer], source="http", now=now())
    told = Bulletin.objects.get(kind="message")
    assert (told.about, told.officers, told.requires) == (f"help/{line.pk}", [district.pk], "confirm")
    assert "需要冲锋舟" in told.body_zh and line.officer.name in told.body_en
    for push in (told.push_zh, told.push_en, told.title_zh, told.title_en):
        assert line.officer.name not in push and "冲锋舟" not in push
    dispatch.take_up(now=now())
    assert Delivery.objects.filter(officer=district, dispatch__bulletin=told).exists()
    assert not Delivery.objects.filter(officer=city).exists()


def test_one_call_for_help_is_open_at_a_time_and_none_for_what_is_long_over(
    line: Delivery, regions: Regions, person: Person, bulletin: Bulletins
) -> None:
    person(regions["440303"], duty=Duty.DESK)
    bulletin(STREET)
    dispatch.take_up(now=now())
    lines = list(Delivery.objects.filter(officer=line.officer).order_by("id").values_list("id", flat=True))
    said = [receipts.Answer(pk, ReceiptState.HELP, now() - timedelta(minutes=11)) for pk in lines]
    receipts.take(line.officer_id, said[:1], source="http", now=now() + timedelta(days=40))
    assert not Bulletin.objects.filter(kind="message").exists()
    Receipt.objects.all().delete()
    for answer in said:
        receipts.take(line.officer_id, [answer], source="http", now=now())
    told = Bulletin.objects.get(kind="message")
    assert "手机时间" in told.body_zh and "phone's time" in told.body_en
    assert Receipt.objects.filter(state=ReceiptState.HELP).count() == len(lines) == 2


def test_who_needs_help_again_after_the_desk_has_heard_is_heard_again(
    line: Delivery, regions: Regions, person: Person
) -> None:
    desk = person(regions["440303"], duty=Duty.DESK)

    def calls(minutes: int, note: str) -> tuple[object, int]:
        """(what he is answered, how many messages the desk has then)"""
        at = now() + timedelta(minutes=minutes)
        answer = receipts.Answer(line.pk, ReceiptState.HELP, at, note=note)
        [result] = receipts.take(line.officer_id, [answer], source="http", now=at)
        dispatch.take_up(now=at)
        return result["result"], Delivery.objects.filter(officer=desk).count()

    first = calls(0, "积水过膝")
    assert first == ("accepted", 1)
    assert calls(1, "水还在涨") == ("accepted", 1), "kept; the desk is chased for the first one"
    told = Delivery.objects.get(officer=desk)
    heard = receipts.Answer(told.pk, ReceiptState.CONFIRMED, now())
    receipts.take(desk.pk, [heard], source="http", now=now() + timedelta(minutes=2))
    assert calls(30, "又一处塌方") == ("accepted", 2)
    assert "又一处塌方" in Bulletin.objects.filter(kind="message").latest("id").body_zh
    again = Receipt.objects.filter(state=ReceiptState.HELP).latest("at")
    repeat = receipts.Answer(line.pk, ReceiptState.HELP, again.at, note="又一处塌方")
    [result] = receipts.take(line.officer_id, [repeat], source="http", now=again.at)
    assert result["result"] == "repeated"
    assert Receipt.objects.filter(state=ReceiptState.HELP).count() == 3


def test_who_cannot_go_says_why(line: Delivery, phone: APIClient) -> None:
    for note in ("", "  "):
        asked = {"receipts": [row(line.pk, "cannot", note=note)]}
        [refused] = phone.post(DOOR, asked, format="json").json()["results"]
        assert (refused["result"], set(refused["fields"])) == ("invalid", {"note"})
    assert not Receipt.objects.exists()
    asked = {"receipts": [row(line.pk, "cannot", note="车辆被困")]}
    assert phone.post(DOOR, asked, format="json").json()["results"][0]["result"] == "accepted"


def test_a_call_for_help_in_a_drill_is_a_drill(regions: Regions, person: Person, bulletin: Bulletins) -> None:
    officer = person(regions[STREET])
    person(regions["440303"], duty=Duty.DESK)
    bulletin(STREET, drill=True)
    dispatch.take_up(now=now())
    row = Delivery.objects.get(officer=officer)
    receipts.take(officer.pk, [receipts.Answer(row.pk, ReceiptState.HELP, now())], source="http", now=now())
    told = Bulletin.objects.get(kind="message")
    assert told.drill and told.push_zh.startswith("【演练】")


NOT_RECEIPTS: list[Any] = [
    None,
    7,
    "confirmed",
    [],
    {},
    {"id": "x", "state": "confirmed", "at": "2026-09-07T20:00:00+08:00"},
    row("\ud800"),  # type: ignore[arg-type]
    row(2**63),
    row(1, "sent"),
    row(1, "\ud800"),
    row(1, at="yesterday"),
    row(1, at="9999-12-31T23:59:59-12:00"),
    row(1, at="0001-01-01T00:00:00+08:00"),
    row(1, lon=181),
    row(1, lat="north"),
    row(1, note="x" * 501),
    row(1, note="a\x00b"),
    row(1, note="\ud800"),
    row(1, form="text"),
    row(1, form={"people": "a\x00b"}),
    row(1, form={"\x00": 1}),
    row(1, form={"people": "\ud800"}),
    row(1, form={"people": "x" * 20_001}),
]


@pytest.mark.parametrize("bad", NOT_RECEIPTS, ids=lambda bad: ascii(bad)[:60])
def test_one_bad_receipt_does_not_lose_the_good_ones(line: Delivery, phone: APIClient, bad: Any) -> None:
    if isinstance(bad, dict) and bad.get("id") == 1:
        bad = bad | {"id": line.pk}
    body = json.dumps({"receipts": [bad, row(line.pk, "opened")]})
    answer = phone.post(DOOR, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert [result["result"] for result in answer.json()["results"]] == ["invalid", "accepted"]
    line.refresh_from_db()
    assert line.state == State.OPENED


@pytest.mark.parametrize(
    "body", [{}, {"receipts": {}}, {"receipts": None}, [], {"receipts": [{}] * 501}], ids=str
)
def test_what_is_no_list_of_receipts_is_refused_as_a_whole(phone: APIClient, body: Any) -> None:
    answer = phone.post(DOOR, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_what_the_phone_sends_along_is_kept_as_it_came(line: Delivery, phone: APIClient) -> None:
    form = {"people": 3, "where": "桥下 \\u0000", "nested": {"list": [1, 2.5, None]}}
    sent = row(line.pk, "reported", lon=114.1, lat=22.5, note="已转移三人", form=form)
    phone.post(DOOR, {"receipts": [sent]}, format="json")
    kept = Receipt.objects.get()
    assert (kept.lon, kept.lat, kept.note, kept.form) == (114.1, 22.5, "已转移三人", form)
    assert kept.at == datetime(2026, 9, 7, 12, tzinfo=UTC)
    assert kept.source == "http"


def test_the_inbox_shows_the_state_the_receipts_left(line: Delivery, phone: APIClient) -> None:
    phone.post(DOOR, {"receipts": [row(line.pk, "opened")]}, format="json")
    item = phone.get("/api/v1/inbox").json()["items"][0]
    assert (item["id"], item["state"], item["requires"]) == (line.pk, "opened", "confirm")
    assert phone.get(f"/api/v1/inbox?since={line.pk}").json() == {
        "items": [], "next": line.pk, "gap": False,
    }  # fmt: skip


def test_a_phone_that_knows_more_than_the_ledger_is_told_of_the_gap_and_hears_what_comes(
    line: Delivery, phone: APIClient
) -> None:
    ahead = phone.get(f"/api/v1/inbox?since={line.pk + 1000}").json()
    assert ahead == {"items": [], "next": line.pk, "gap": True}


def test_a_phone_that_was_last_here_before_the_oldest_line_is_told_of_the_gap(
    line: Delivery, phone: APIClient
) -> None:
    old = phone.get(f"/api/v1/inbox?since={line.pk - 10}").json()
    assert ([item["id"] for item in old["items"]], old["gap"]) == ([line.pk], True)
    assert phone.get("/api/v1/inbox").json()["gap"] is False


@pytest.mark.parametrize("since", ["-1", "²", "1.5", "x", "9" * 5000])
def test_a_since_that_is_no_number_is_refused(phone: APIClient, since: str) -> None:
    answer = phone.get("/api/v1/inbox", {"since": since})
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {"since"})


@pytest.mark.django_db(transaction=True)
def test_the_same_receipts_at_once_from_several_connections_are_kept_once() -> None:
    regions = make_regions()
    officer = make_officer(regions[STREET])
    later = now() + timedelta(hours=1)
    told = [make_bulletin(areas=[STREET], valid_until=later) for _ in range(5)]
    officer.posts.update(valid_from=now() - timedelta(days=1))
    assert dispatch.take_up(now=now()) == len(told)
    ids = list(Delivery.objects.values_list("id", flat=True))

    at = now()

    def answer(backwards: bool) -> list[str]:
        order = ids[::-1] if backwards else ids
        answers = [receipts.Answer(pk, ReceiptState.CONFIRMED, at) for pk in order]
        try:
            return [str(r["result"]) for r in receipts.take(officer.pk, answers, source="http", now=now())]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        results = sum(pool.map(answer, [False, True] * 2), [])
    assert results.count("accepted") == len(ids)
    assert Receipt.objects.count() == len(ids)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("writer", ["settled", "failed"])
@pytest.mark.parametrize("answers", ["vendor", "person"])
def test_what_a_sender_writes_and_what_is_answered_do_not_wait_for_each_other(
    writer: str, answers: str
) -> None:
    regions, at = make_regions(), now()
    officer = make_officer(regions[STREET])
    told = make_bulletin(areas=[STREET], valid_until=at + timedelta(hours=1))
    months.turn(at)
    again = Dispatch(
        bulletin=told, errand=Errand.REPEAT, drill=False, created_at=at, expires_at=told.valid_until
    )
    dispatches = Dispatch.objects.bulk_create([copy(again) for _ in range(1500)])
    line = Delivery(officer=officer, region=regions[STREET], state=State.SENDING, attempts=1, due_at=at)
    lines = []
    for one in dispatches:
        line.dispatch = one
        lines.append(copy(line))
    ids = [one.pk for one in Delivery.objects.bulk_create(lines)]
    old, repeats, new = ids[:500], ids[500:1000], ids[1000:]
    if answers == "person":  # of the old the repeats are being sent, of which he does not know
        for pk, root in zip(repeats, old, strict=True):
            Delivery.objects.filter(pk=pk).update(root=root)
    sending = ids if answers == "vendor" else repeats + new
    verdict = {"attempt": 1, "state": "sent", "due_at": at, "reason": "", "accepted": [], "sent_at": at}
    together = Barrier(2, timeout=60)

    def write() -> None:
        """As the answers landed: in no order."""
        if writer == "failed":
            telephony.failed(dict.fromkeys(reversed(sending), "no answer"))
        else:
            with transaction.atomic():
                delivery.write([{"id": pk, **verdict} for pk in reversed(sending)])

    def arrive() -> None:
        if answers == "vendor":
            receipts.arrived(dict.fromkeys(ids, at), source="sms", now=at)
        else:
            said = [receipts.Answer(pk, ReceiptState.CONFIRMED, now()) for pk in old + new]
            receipts.take(officer.pk, said, source="http", now=at)

    def work(what: Callable[[], None]) -> None:
        try:
            together.wait()
            what()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            Delivery.objects.update(state=State.SENDING)
            list(pool.map(work, [write, arrive]))  # a deadlock is an OperationalError
    assert set(Delivery.objects.exclude(delivered_at=None).values_list("id", flat=True)) == set(ids)


def test_six_things_have_six_times_in_any_order(line: Delivery) -> None:
    at = now()
    for n, state in enumerate(
        (ReceiptState.ARRIVED, ReceiptState.OPENED, ReceiptState.SHOWN, ReceiptState.DELIVERED)
    ):
        take(line, state, at=at + timedelta(seconds=n))
    line.refresh_from_db()
    assert line.state == State.CONFIRMED
    assert (line.acting_at, line.shown_at) == (at, at + timedelta(seconds=2))
    assert (line.delivered_at, line.opened_at, line.confirmed_at) == (at, at, at)


def test_that_it_stands_on_the_screen_is_no_answer_and_implies_that_it_came(line: Delivery) -> None:
    take(line, ReceiptState.SHOWN)
    line.refresh_from_db()
    assert line.state == State.SHOWN
    assert line.delivered_at is not None
    assert (line.opened_at, line.confirmed_at, line.acting_at) == (None, None, None)
    take(line, ReceiptState.DELIVERED)
    line.refresh_from_db()
    assert line.state == State.SHOWN


@pytest.mark.parametrize(
    ("clock", "known"),
    [(lambda at: (at + timedelta(minutes=7)).isoformat(), True), (lambda at: "tomorrow", False),
     (lambda at: 7, False), (None, False)],
)  # fmt: skip
def test_how_wrong_the_phones_clock_is_stands_with_its_receipt(
    phone: APIClient, line: Delivery, clock: Any, known: bool
) -> None:
    said = {"receipts": [row(line.pk, "shown")]} | ({"clock": clock(now())} if clock else {})
    assert phone.post(DOOR, said, format="json").json()["results"][0]["result"] == "accepted"
    skew_s = Receipt.objects.get().skew_s
    assert (skew_s is not None) == known
    if known:
        assert skew_s == pytest.approx(420, abs=60)
