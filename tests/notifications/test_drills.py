"""A drill among people: never a line outside its audience, nothing goes out while it rests, and a grade by its rule."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import drills as life
from alerts.assessment.drill_words import Act
from alerts.models import Bulletin, Drill, Requires
from foundation.clock import now
from foundation.scope import Scope
from hydrology.models import Region
from notifications import delivery, dispatch, drills, receipts, telephony
from notifications.coverage import coverage
from notifications.dispatch import Ask
from notifications.help import call_for_help
from notifications.models import Delivery, Errand, ReceiptState, State
from notifications.transports.base import Message
from notifications.transports.fcm import sdk_message
from officers.models import Duty, Officer, Rank
from replay.phones import Standin

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
Regions = dict[str, Region]
A, B, C, DISTRICT = "440303001", "440303002", "440304001", "440303"
ALL = Scope(("",), ("",), ("",))
MINUTE = timedelta(minutes=1)


class Town:
    """People everywhere, a drill in one street, a command to begin it."""

    def __init__(self, regions: Regions, person: Person, bulletin: Bulletins) -> None:
        self.regions, self.bulletin = regions, bulletin
        self.inside = [person(regions[A]).pk for _ in range(2)]
        self.deputy = person(regions[A], rank=Rank.B).pk
        self.desks = [person(regions[code], duty=Duty.DESK).pk for code in (DISTRICT, "4403")]
        self.planner = person(regions["4403"], duty=Duty.ENGINEER)
        self.commander = person(regions["4403"], duty=Duty.COMMAND)
        self.outside = [person(regions[code]).pk for code in (B, C, DISTRICT, "4403")]
        self.outside += [person(regions[B], rank=Rank.B).pk, person(regions["440304"], duty=Duty.DESK).pk]

    @property
    def audience(self) -> set[int]:
        return {*self.inside, self.deputy, *self.desks}

    def plan(self, **fields: Any) -> Drill:
        values = {"name": "点名", "authority": DISTRICT, "areas": [A], "duties": ["flood"]} | fields
        return life.plan(self.planner.pk, ALL, values, now=now())

    def act(self, drill: Drill, *verbs: Act) -> Drill:
        for verb in verbs:
            drill = life.act(drill.pk, verb, self.commander.pk, ALL, now=now(), invite=drills.invited)
        return drill

    def running(self, **fields: Any) -> Drill:
        return self.act(self.plan(**fields), Act.BEGIN)

    def said(self, drill: Drill, *areas: str, **fields: Any) -> Bulletin:
        """A warning or order of the drill, for whatever areas."""
        return self.bulletin(*areas, drill=True, drill_of=drill, **fields)


@pytest.fixture
def town(regions: Regions, person: Person, bulletin: Bulletins) -> Town:
    return Town(regions, person, bulletin)


def told(drill: Drill) -> set[int]:
    lines = Delivery.objects.filter(dispatch__bulletin__drill_of=drill)
    return set(lines.values_list("officer", flat=True))


def answer(line: Delivery, state: ReceiptState = ReceiptState.CONFIRMED, at: datetime | None = None) -> None:
    at = at or now()
    receipts.take(line.officer_id, [receipts.Answer(line.pk, state, at)], source="http", now=at)


# --- who hears of it


def test_who_takes_part_is_whom_an_order_for_the_same_would_reach(town: Town) -> None:
    drill = town.running()
    assert set(drill.officers) == town.audience
    town.bulletin(A, kind="order")
    dispatch.take_up(now=now())
    real = Delivery.objects.filter(dispatch__bulletin__drill=False)
    assert set(real.values_list("officer", flat=True)) == town.audience
    assert told(drill) == town.audience  # by its first message


def test_who_comes_to_the_street_after_it_began_takes_no_part(town: Town, person: Person) -> None:
    drill = town.running()
    late = person(town.regions[A]).pk
    town.said(drill, A)
    dispatch.take_up(now=now())
    assert late not in told(drill)
    assert told(drill) == town.audience


WHOM: list[dict[str, Any]] = [
    {}, {"kind": "order"}, {"kind": "message", "about": "help/1"}, {"kind": "level", "stations": ["none"]}
]  # fmt: skip
AREAS = [("4403",), (DISTRICT,), (A,), (B, C), (A, B, C)]


@pytest.mark.parametrize(("whom", "areas"), list(product(WHOM, AREAS)))
def test_no_errand_of_any_bulletin_ever_reaches_anybody_outside(
    town: Town, whom: dict[str, Any], areas: tuple[str, ...]
) -> None:
    drill = town.running()
    duties = [duty.value for duty in Duty]
    said = town.said(drill, *areas, duties=duties, **whom)
    named = town.said(drill, *areas, officers=[*town.outside, *town.inside])
    dispatch.take_up(now=now())
    for told_of in (said, named):
        first = list(Delivery.objects.filter(dispatch__bulletin=told_of).values_list("pk", flat=True))
        asks = [
            Ask(told_of, errand, first, transport=transport)
            for errand in (Errand.REPEAT, Errand.DEPUTY, Errand.SUPERIOR)
            for transport in ("fcm", "sms", "voice")
        ]
        dispatch.run_errands(asks, now=now())
        dispatch.refill(told_of.dispatches.get(errand=Errand.FIRST).pk, now=now())
    assert told(drill) <= town.audience
    assert told(drill) & set(town.inside)
    assert not set(town.outside) & set(Delivery.objects.values_list("officer", flat=True))


def test_a_call_for_help_out_of_a_drill_stays_in_it(town: Town) -> None:
    drill = town.running()
    town.said(drill, A)
    dispatch.take_up(now=now())
    line = Delivery.objects.filter(officer=town.inside[0]).order_by("-id")[0]
    call_for_help(line.officer_id, {line.pk: ("演练求助", now())}, now=now())
    call = Bulletin.objects.get(level="help")
    assert (call.drill, call.drill_of_id, call.ref) == (True, drill.pk, f"drill/{drill.pk}/help/{line.pk}")
    dispatch.take_up(now=now())
    heard = set(Delivery.objects.filter(dispatch__bulletin=call).values_list("officer", flat=True))
    assert heard == {town.desks[0]}


def test_the_phone_hears_that_it_is_a_drill_by_mark_channel_and_field(town: Town, vendor: Standin) -> None:
    drill = town.running()
    dispatch.take_up(now=now())
    delivery.send_due(clock=now)
    assert {push["id"] for push in vendor.accepted()} == {str(line.pk) for line in Delivery.objects.all()}
    [said] = life.record(drill.pk)
    for critical in (True, False):
        message = Message(
            str(said.pk), said.title_zh, said.push_zh, said.level, said.kind, said.ref, said.drill, said.valid_until, critical
        )  # fmt: skip
        sent = orjson.loads(str(sdk_message(message, "token", "id", now())))
        assert sent["data"]["drill"] == "true"
        assert sent["data"]["ref"] == f"drill/{drill.pk}"
        assert sent["notification"]["title"].startswith("【演练】")
        assert sent["android"]["notification"]["channel_id"] == "drill"
        assert sent["apns"]["payload"]["aps"]["sound"] == "drill.caf"


# --- while it rests


@pytest.mark.parametrize(("verb", "reason"), [(Act.PAUSE, "drill_paused"), (Act.END, "drill_ended")])
def test_what_is_on_its_way_or_not_dispatched_yet_is_stopped_by_name_and_the_word_of_it_goes_out(
    town: Town, verb: Act, reason: str
) -> None:
    drill = town.running()
    sent, waiting = town.said(drill, A), town.said(drill, A, kind="order")
    real = town.bulletin(A)
    dispatch.take_up(now=now())
    Delivery.objects.filter(dispatch__bulletin=sent).update(state=State.SENT)
    Delivery.objects.filter(dispatch__bulletin=waiting, officer=town.inside[0]).update(
        state=State.FAILED_TEMP
    )
    undispatched = town.said(drill, A)
    town.act(drill, verb)
    dispatch.take_up(now=now())
    assert drills.stop_resting(now=now()) == len(town.audience)
    assert drills.stop_resting(now=now()) == 0

    def states(said: Bulletin) -> set[tuple[str, str]]:
        return set(Delivery.objects.filter(dispatch__bulletin=said).values_list("state", "reason"))

    assert states(sent) == {("sent", "")}
    assert states(waiting) == states(undispatched) == {("failed_perm", reason)}
    assert states(real) == {("pending", "")}
    for said in life.record(drill.pk):
        assert states(said) == {("pending", "")}
    inbox = Delivery.objects.inbox(town.inside[0], 0).values_list("dispatch__bulletin", flat=True)
    assert not {waiting.pk, undispatched.pk} & set(inbox)
    assert {sent.pk, real.pk} <= set(inbox)


def test_a_line_in_a_senders_hand_is_left_to_him_until_his_lease_is_over(town: Town) -> None:
    drill = town.running()
    said = town.said(drill, A)
    dispatch.take_up(now=now())
    at = now()
    Delivery.objects.filter(dispatch__bulletin=said).update(state=State.SENDING, due_at=at + MINUTE)
    town.act(drill, Act.PAUSE)
    assert drills.stop_resting(now=at) == 0
    assert drills.stop_resting(now=at + 2 * MINUTE) == len(town.audience)


@pytest.mark.parametrize(("verb", "reason"), [(Act.PAUSE, "drill_paused"), (Act.END, "drill_ended")])
@pytest.mark.parametrize("transport", ["fcm", "sms"])
def test_what_is_claimed_of_a_drill_that_rests_or_is_over_goes_to_nobody(
    town: Town, verb: Act, reason: str, transport: str
) -> None:
    drill = town.running()
    dispatch.take_up(now=now())
    Delivery.objects.update(state=State.SENT)
    said = town.said(drill, A)
    dispatch.take_up(now=now())
    Delivery.objects.filter(dispatch__bulletin=said).update(transport=transport)
    town.act(drill, verb)
    dispatch.take_up(now=now())  # the word of it
    claims = delivery.claim(now()) if transport == "fcm" else telephony.claim("sms", now(), here=True)
    of_drill = set(Delivery.objects.filter(dispatch__bulletin=said).values_list("pk", flat=True))
    assert {one.why for one in claims if one.id in of_drill} == {reason}
    assert all(one.why == "" for one in claims if one.id not in of_drill)


def test_what_is_said_after_it_goes_on_goes_out(town: Town) -> None:
    drill = town.act(town.running(), Act.PAUSE, Act.RESUME)
    said = town.said(drill, A)
    dispatch.take_up(now=now())
    assert drills.stop_resting(now=now()) == 0
    assert set(Delivery.objects.filter(dispatch__bulletin=said).values_list("state", flat=True)) == {
        "pending"
    }


# --- the grade


class Exam:
    """A drill whose clock the test sets: `minutes` after it began."""

    def __init__(self, town: Town, *areas: str) -> None:
        self.town = town
        self.began_at = now() - timedelta(hours=1)
        drill = town.plan(areas=list(areas), duties=["flood"])
        self.drill = life.act(
            drill.pk, Act.BEGIN, town.commander.pk, ALL, now=self.began_at, invite=drills.invited
        )

    def at(self, minutes: float) -> datetime:
        return self.began_at + minutes * MINUTE

    def act(self, verb: Act, minutes: float) -> None:
        self.drill = life.act(self.drill.pk, verb, self.town.commander.pk, ALL, now=self.at(minutes))

    def say(self, minutes: float, *areas: str, requires: Requires = Requires.CONFIRM) -> dict[int, Delivery]:
        at = self.at(minutes)
        said = self.town.said(
            self.drill, *areas, requires=requires, issued_at=at, valid_until=at + 2 * 60 * MINUTE
        )
        dispatch.take_up(now=at)
        return {line.officer_id: line for line in Delivery.objects.filter(dispatch__bulletin=said)}

    def grade(self, minutes: float) -> dict[str, Any]:
        return drills.grade(Drill.objects.get(pk=self.drill.pk), self.at(minutes))


def street(found: dict[str, Any], code: str) -> dict[str, Any]:
    return next(row for row in found["streets"] if row["code"] == code)


def test_the_grade_counts_what_was_delivered_and_confirmed_in_five_minutes_by_street(
    town: Town, person: Person
) -> None:
    person(town.regions[B])
    exam = Exam(town, DISTRICT)
    lines = exam.say(0, A, B)
    in_a = [*town.inside, town.deputy]
    answer(lines[in_a[0]], at=exam.at(1))
    answer(lines[in_a[1]], at=exam.at(9))
    answer(lines[in_a[2]], ReceiptState.OPENED, at=exam.at(2))
    found = exam.grade(30)
    assert found["people"] == found["messages"] == len(lines)
    assert found["delivered_share"] == pytest.approx(3 / len(lines), abs=1e-4)
    assert found["confirmed_in_5min_share"] == pytest.approx(1 / len(lines), abs=1e-4)
    here = street(found, A)
    assert (here["people"], here["nobody"], here["median_confirm_s"]) == (3, False, 300)
    assert here["confirmed_in_5min_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert street(found, B)["nobody"] is True
    assert (found["nobody"], found["grade"], found["bulletins"]) == (1, "D", 1)
    assert [row["code"] for row in found["streets"]] == [A, B]  # C was never addressed


def test_a_street_of_the_area_without_anybody_is_one_with_nobody(town: Town) -> None:
    Officer.objects.filter(posts__region=B).update(is_active=False)
    exam = Exam(town, DISTRICT)
    for line in exam.say(0, DISTRICT).values():
        answer(line, at=exam.at(1))
    found = exam.grade(30)
    assert street(found, B) == {
        "code": B, "name": "region 440303002", "people": 0, "messages": 0, "nobody": True, "delivered_share": None,
        "confirmed_in_5min_share": None, "median_confirm_s": None,
    }  # fmt: skip
    assert found["confirmed_in_5min_share"] == 1.0
    assert found["grade"] == "D"  # half the streets


def test_the_clock_stands_while_the_drill_rests(town: Town) -> None:
    exam = Exam(town, A)
    lines = exam.say(0, A)
    exam.act(Act.PAUSE, 2)
    exam.act(Act.RESUME, 22)
    for line in lines.values():
        answer(line, at=exam.at(24))  # four minutes of the drill
    found = exam.grade(40)
    assert (found["paused_s"], found["confirmed_in_5min_share"]) == (20 * 60, 1.0)
    assert (found["median_confirm_s"], found["grade"]) == (240, "A")


def test_what_had_no_five_minutes_counts_for_nobody_and_stopped_lines_are_in_no_share(town: Town) -> None:
    exam = Exam(town, A)
    first = exam.say(0, A)
    for line in first.values():
        answer(line, at=exam.at(1))
    exam.act(Act.PAUSE, 3)
    stopped = exam.say(4, A)
    found = exam.grade(30)
    assert (found["confirmed_in_5min_share"], found["median_confirm_s"]) == (None, 60)
    assert (found["stopped"], found["messages"]) == (len(stopped), len(first))
    exam.act(Act.RESUME, 40)
    assert exam.grade(41)["confirmed_in_5min_share"] is None
    assert exam.grade(42)["confirmed_in_5min_share"] == 1.0
    exam.act(Act.END, 41)
    assert exam.grade(1000)["confirmed_in_5min_share"] is None


def test_nothing_said_has_no_grade_and_messages_of_the_drill_itself_are_not_graded(town: Town) -> None:
    exam = Exam(town, A)
    dispatch.take_up(now=exam.at(0))
    found = exam.grade(10)
    assert (found["messages"], found["delivered_share"], found["grade"], found["streets"]) == (
        0,
        None,
        None,
        [],
    )
    assert found["audience"] == len(town.audience)


def test_where_nothing_wants_a_confirmation_delivery_alone_is_graded(town: Town) -> None:
    exam = Exam(town, A)
    for line in exam.say(0, A, requires=Requires.OPEN).values():
        answer(line, ReceiptState.OPENED, at=exam.at(20))
    found = exam.grade(30)
    assert (found["delivered_share"], found["confirmed_in_5min_share"], found["grade"]) == (1.0, None, "A")


@pytest.mark.parametrize(
    ("delivered", "confirmed", "silent", "letter"),
    [
        (1.0, 0.95, 0.0, "A"), (0.98, 0.90, 0.0, "A"), (1.0, 0.95, 0.04, "B"), (0.979, 0.95, 0.0, "B"),
        (0.95, 0.80, 0.05, "B"), (0.95, 0.79, 0.0, "C"), (0.90, 0.60, 0.10, "C"), (0.89, 1.0, 0.0, "D"),
        (1.0, 0.59, 0.0, "D"), (1.0, 1.0, 0.2, "D"), (None, None, 0.0, None),
    ],
)  # fmt: skip
def test_the_letter_follows_the_stated_rule(
    delivered: float | None, confirmed: float | None, silent: float, letter: str | None
) -> None:
    assert (
        drills._letter({"delivered_share": delivered, "confirmed_in_5min_share": confirmed}, silent) == letter
    )


def test_grading_costs_the_same_queries_for_any_audience(town: Town, person: Person) -> None:
    counts = []
    for people in (1, 20):
        for _ in range(people):
            person(town.regions[A])
        exam = Exam(town, A)
        exam.say(0, A)
        with CaptureQueriesContext(connection) as queries:
            exam.grade(30)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def test_a_drills_tap_proves_that_a_person_answers(town: Town) -> None:
    exam = Exam(town, A)
    answer(exam.say(0, A)[town.inside[0]], ReceiptState.OPENED)
    [place] = [item for item in coverage([town.regions[A].path], now())["items"] if item["code"] == A]
    assert place["tapped_at"] is not None
