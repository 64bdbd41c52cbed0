"""When nobody answers: real rows, moved time, two sweeps at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from alerts.models import Bulletin, BulletinKind, Hazard, Requires, Warning
from escalation import audit, climb, in_force
from escalation.ladder_table import DEFAULT_ROWS
from escalation.models import CallTask, Climb, ClimbState, Rung
from hydrology.models import Region, StationKind
from notifications import dispatch, receipts
from notifications.models import Delivery, Errand, ReceiptState
from officers.models import Duty, Officer, Post, Rank
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions, make_reservoir, make_station
from tests.notifications.conftest import give_phone

NOON = datetime(2026, 9, 7, 4, tzinfo=UTC)  # in Shenzhen; nights are shorter
STREET, NEXT_STREET, DISTRICT = "440303001", "440303002", "440303"
# of urgency 4 since the dispatch, without gateways for text messages and calls
REPEAT_S, DEPUTY_S, SUPERIOR_S, DESK_S, END_S = (60, 150, 210, 390, 990)
Regions = dict[str, Region]


@pytest.fixture
def regions(db: None) -> Regions:
    return make_regions()


def person(
    region: Region, *, phones: int = 1, duty: Duty = Duty.FLOOD, rank: Rank = Rank.A, **post: Any
) -> Officer:
    officer = make_officer(region, duty)
    Post.objects.filter(officer=officer).update(
        **{"rank": rank, "valid_from": NOON - timedelta(days=1)} | post
    )
    for _ in range(phones):
        give_phone(officer)
    return officer


def tell(*areas: str, **fields: Any) -> Bulletin:
    """A bulletin of urgency 4 that asks for a confirmation, dispatched at noon."""
    given = {"urgency": 4, "areas": list(areas), "issued_at": NOON, "caused_at": NOON}
    told = make_bulletin(**given | {"valid_until": NOON + timedelta(hours=2)} | fields)
    dispatch.take_up(now=fields.get("issued_at", NOON))
    return told


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def sweep_until(seconds: int, every_s: int = 5, since_s: int = 0) -> int:
    return sum(climb.sweep(now=at(s)) for s in range(since_s, seconds + 1, every_s))


def rungs(officer: Officer) -> list[tuple[str, int]]:
    """The rungs taken for this officer's first delivery and how many people each one addressed."""
    taken = Rung.objects.filter(
        climb__delivery__officer=officer, climb__delivery__dispatch__errand=Errand.FIRST
    )
    return list(taken.order_by("climb_id", "number").values_list("errand", "reached"))


def heard(officer: Officer) -> list[str]:
    """Why he was addressed, in order."""
    return list(
        Delivery.objects.filter(officer=officer).order_by("id").values_list("dispatch__errand", flat=True)
    )


def answer(
    officer: Officer, errand: Errand, state: ReceiptState = ReceiptState.CONFIRMED, now: datetime = NOON
) -> None:
    row = Delivery.objects.get(officer=officer, dispatch__errand=errand)
    receipts.take(officer.pk, [receipts.Answer(row.pk, state, now)], source="http", now=now)


def state_of(officer: Officer) -> str:
    return Climb.objects.get(delivery__officer=officer).state


def test_nobody_answers_so_repeat_deputy_superior_and_the_list_of_the_silent(regions: Regions) -> None:
    first = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    desk = person(regions[DISTRICT], duty=Duty.DESK)
    for quiet in (deputy, desk):
        Post.objects.filter(officer=quiet).update(valid_from=at(1))  # they come on duty after the first call
    tell(STREET)
    assert sweep_until(REPEAT_S - 1) == 0
    assert sweep_until(REPEAT_S, since_s=REPEAT_S) == 1
    assert (heard(first), heard(deputy), heard(desk)) == (["first", "repeat"], [], [])
    sweep_until(DEPUTY_S, since_s=REPEAT_S + 5)
    assert (heard(deputy), heard(desk)) == (["deputy"], [])
    sweep_until(SUPERIOR_S + 10, since_s=DEPUTY_S + 5)
    assert heard(desk) == ["superior"]
    assert state_of(first) == ClimbState.CLIMBING
    sweep_until(END_S + 30, since_s=SUPERIOR_S + 15)
    assert state_of(first) == ClimbState.EXHAUSTED
    assert rungs(first) == [("repeat", 1), ("deputy", 1), ("superior", 1), ("desk", 1)]
    assert CallTask.objects.get().climb.delivery.officer == first
    assert climb.sweep(now=at(3600)) == 0


@pytest.mark.parametrize("since_s", [0, REPEAT_S, DEPUTY_S, SUPERIOR_S])
def test_an_answer_stops_it_at_any_rung(regions: Regions, since_s: int) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(since_s)
    before = rungs(officer)
    answer(officer, Errand.FIRST, now=at(since_s))
    assert sweep_until(END_S + 60, since_s=since_s) == 0
    assert rungs(officer) == before
    assert not Climb.objects.exclude(state=ClimbState.ANSWERED).exists()


def test_opening_is_not_an_answer(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    answer(officer, Errand.FIRST, ReceiptState.OPENED)
    assert climb.sweep(now=at(REPEAT_S)) == 1


def test_the_deputys_answer_stops_the_climb_at_once(regions: Regions) -> None:
    officer = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    sweep_until(DEPUTY_S)
    answer(deputy, Errand.DEPUTY, now=at(DEPUTY_S))
    climb.sweep(now=at(DEPUTY_S + 5))
    assert state_of(officer) == ClimbState.ANSWERED
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]


@pytest.mark.parametrize(
    ("silent", "deputies", "called", "ended"),
    [
        (["1", "2"], ["1", "2"], [1, 1], [0]),
        (["1", "1", "2"], ["1", "2", "2"], [1, 1, 2], [0, 1]),
        (["", ""], ["", ""], [2, 2], [0, 1]),
        (["1", ""], ["1", "2"], [1, 2], [0, 1]),
        (["1", "2", "3"], ["1", "2"], [1, 1, 2], [0, 2]),  # the third has no B: all are his, as before
        (["1", "2"], ["", ""], [2, 2], [0, 1]),
        (["1", ""], ["", "1"], [1, 2], [0, 1]),  # a B without a position is anybody's
    ],
)
def test_a_deputy_is_called_for_his_own_position_and_answers_for_it_alone(
    regions: Regions, silent: list[str], deputies: list[str], called: list[int], ended: list[int]
) -> None:
    """Positions of silent As and of Bs; how many are called for each A, and who is answered for by the first B."""
    people = [person(regions[STREET], position=position) for position in silent]
    theirs = [
        person(regions[STREET], rank=Rank.B, position=position, valid_from=at(1)) for position in deputies
    ]
    tell(STREET)
    for seconds in (REPEAT_S, DEPUTY_S):
        climb.sweep(now=at(seconds))
    assert [heard(deputy) for deputy in theirs] == [["deputy"]] * len(theirs)
    assert [rungs(officer)[-1] for officer in people] == [("deputy", count) for count in called]
    answer(theirs[0], Errand.DEPUTY, now=at(DEPUTY_S))
    climb.sweep(now=at(DEPUTY_S + 5))
    assert [n for n, officer in enumerate(people) if state_of(officer) == ClimbState.ANSWERED] == ended


@pytest.mark.parametrize("station", [False, True], ids=["position", "station"])
def test_a_term_that_ends_meanwhile_changes_nobodys_deputy(regions: Regions, station: bool) -> None:
    """At midnight, between the call and the deputy's rung; the deputy's own ends once he has answered."""
    lakes = [make_reservoir(code, STREET).pk for code in ("1", "2")]
    seats: list[dict[str, Any]] = [
        {"station_id": lake} if station else {"position": lake} for lake in lakes for _ in range(2)
    ]
    ranks = [Rank.A, Rank.B, Rank.A, Rank.B]
    first, his, second, other = (
        person(regions[STREET], rank=rank, **seat) for rank, seat in zip(ranks, seats, strict=True)
    )
    told = make_bulletin(
        kind=BulletinKind.ORDER, urgency=4, areas=[STREET], stations=lakes if station else [],
        issued_at=NOON, caused_at=NOON, valid_until=at(7200), officers=[first.pk, second.pk],
    )  # fmt: skip
    dispatch.take_up(now=NOON)
    assert told.dispatches.get().recipients == 2
    Post.objects.filter(officer__in=[first.pk, second.pk]).update(valid_to=at(REPEAT_S + 10))
    sweep_until(DEPUTY_S)
    assert [rungs(officer)[-1] for officer in (first, second)] == [("deputy", 1)] * 2
    answer(his, Errand.DEPUTY, now=at(DEPUTY_S + 1))
    Post.objects.filter(officer=his).update(valid_to=at(DEPUTY_S + 2))
    climb.sweep(now=at(DEPUTY_S + 5))
    assert (state_of(first), state_of(second)) == (ClimbState.ANSWERED, ClimbState.CLIMBING)


def test_the_only_b_of_a_position_has_no_deputy_but_the_superior(regions: Regions) -> None:
    dark = person(regions[STREET], phones=0, rank=Rank.B, position="1")
    other = person(regions[STREET], rank=Rank.B, position="2")
    answered = person(regions[STREET], position="1")
    tell(STREET)
    answer(answered, Errand.FIRST)
    climb.sweep(now=NOON)
    assert (rungs(dark), heard(other)) == ([("deputy", 0)], ["first"])


def test_a_keepers_deputy_answers_for_the_keeper_and_not_for_the_street(regions: Regions) -> None:
    """Keepers have posts of the street as well, of other positions."""
    lake = make_reservoir("lake", STREET).pk
    keeper, silent = person(regions[STREET], position="1"), person(regions[STREET], position="3")
    his, of_first, of_third = (
        person(regions[STREET], rank=Rank.B, position=position, valid_from=at(1)) for position in "213"
    )
    for officer, rank in ((keeper, Rank.A), (his, Rank.B)):
        Post.objects.create(
            officer=officer, duty=Duty.FLOOD, region=regions[STREET], station_id=lake, rank=rank,
            valid_from=at(1) if rank == Rank.B else NOON,
        )  # fmt: skip
    tell(STREET, kind=BulletinKind.LEVEL, stations=[lake])
    for seconds in (REPEAT_S, DEPUTY_S):
        climb.sweep(now=at(seconds))
    assert [heard(deputy) for deputy in (his, of_first, of_third)] == [["deputy"], [], ["deputy"]]
    answer(his, Errand.DEPUTY, now=at(DEPUTY_S))
    climb.sweep(now=at(DEPUTY_S + 5))
    assert Climb.objects.get(delivery__officer=keeper).why == "deputy confirmed"
    assert state_of(silent) == ClimbState.CLIMBING


def test_the_deputy_of_another_street_is_neither_called_nor_counted(regions: Regions) -> None:
    silent, there = person(regions[STREET]), person(regions[NEXT_STREET])
    deputy = person(regions[NEXT_STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET, NEXT_STREET)
    sweep_until(DEPUTY_S)
    assert rungs(silent)[-1] == ("deputy", 0)  # a finding: this street has no deputy
    assert rungs(there)[-1] == ("deputy", 1)
    answer(deputy, Errand.DEPUTY, now=at(DEPUTY_S))
    sweep_until(END_S - 5, since_s=DEPUTY_S)
    assert state_of(there) == ClimbState.ANSWERED
    assert state_of(silent) == ClimbState.CLIMBING


def test_who_has_no_live_device_has_his_deputy_called_at_once(regions: Regions) -> None:
    officer = person(regions[STREET], phones=0)
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=NOON - timedelta(days=1))
    tell(STREET)
    assert climb.sweep(now=NOON) == 1
    assert heard(deputy) == ["first", "deputy"]
    assert rungs(officer) == [("deputy", 1)]


def test_a_superior_gets_one_message_however_many_are_silent(regions: Regions) -> None:
    for street in (STREET, NEXT_STREET):
        for _ in range(3):
            person(regions[street])
    desk = person(regions[DISTRICT], duty=Duty.DESK)
    tell(STREET, NEXT_STREET)
    answer(desk, Errand.FIRST)
    sweep_until(SUPERIOR_S)
    assert Rung.objects.filter(errand="superior").count() == 6
    assert heard(desk).count("superior") == 1


def test_after_an_outage_the_deputy_hears_once_for_those_with_and_without_a_phone(regions: Regions) -> None:
    lit, dark = person(regions[STREET]), person(regions[STREET], phones=0)
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    climb.start_climbs(now=at(REPEAT_S))
    Climb.objects.filter(delivery__officer=lit).update(rung=1)  # its repeat was taken just before
    climb.sweep(now=at(REPEAT_S))
    assert heard(deputy) == ["deputy"]
    assert [rungs(officer)[0] for officer in (lit, dark)] == [("deputy", 1)] * 2
    assert sorted(Climb.objects.values_list("rung", flat=True)) == [1, 2]


def test_a_district_without_a_desk_is_answered_for_by_the_city(regions: Regions) -> None:
    officer = person(regions[STREET])
    desk = person(regions["4403"], duty=Duty.DESK)
    tell(STREET)
    answer(desk, Errand.FIRST)
    sweep_until(SUPERIOR_S)
    assert heard(desk) == ["first", "superior"]
    assert rungs(officer)[-1] == ("superior", 1)


def test_a_repeat_rings_again_but_is_no_second_item_in_the_inbox(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(REPEAT_S)
    assert heard(officer) == ["first", "repeat"]
    assert [row.dispatch.errand for row in Delivery.objects.inbox(officer.pk, 0)] == ["first"]
    again = Delivery.objects.get(dispatch__errand=Errand.REPEAT)
    assert again.root_id == Delivery.objects.get(dispatch__errand=Errand.FIRST).pk
    answer(officer, Errand.FIRST, now=at(REPEAT_S))
    assert set(Delivery.objects.values_list("state", flat=True)) == {"confirmed"}


def ended_warning(told: Bulletin) -> None:
    Warning.objects.filter(pk=told.warning_id).update(ended_at=at(REPEAT_S), level=0)


@pytest.mark.parametrize(
    ("fields", "end"),
    [({}, ended_warning), ({"valid_until": NOON + timedelta(seconds=REPEAT_S + 1)}, lambda told: None)],
    ids=["warning cancelled", "no longer valid"],
)
def test_what_no_longer_stands_is_not_chased(
    regions: Regions, fields: dict[str, Any], end: Callable[[Bulletin], None]
) -> None:
    officer = person(regions[STREET])
    warning = Warning.objects.create(
        hazard=Hazard.RAINSTORM, region=regions[DISTRICT], level=4, peak_level=4, raised_at=NOON
    )
    told = tell(STREET, warning=warning, **fields)
    sweep_until(REPEAT_S)
    end(told)
    climb.sweep(now=at(REPEAT_S + 5))
    assert state_of(officer) == ClimbState.STOPPED
    assert sweep_until(END_S, since_s=REPEAT_S + 5) == 0
    assert rungs(officer) == [("repeat", 1)]


@pytest.mark.parametrize(("urgency", "chased"), [(4, "told anew"), (3, "both")])
def test_a_person_told_again_by_the_same_warning_is_chased_for_the_later_message(
    regions: Regions, urgency: int, chased: str
) -> None:
    officer = person(regions[STREET])
    warning = Warning.objects.create(
        hazard=Hazard.RAINSTORM, region=regions[DISTRICT], level=4, peak_level=4, raised_at=NOON
    )
    earlier = tell(STREET, warning=warning)
    sweep_until(REPEAT_S)
    tell(STREET, warning=warning, urgency=urgency, supersedes=earlier, issued_at=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 5))
    stopped = Climb.objects.get(delivery__officer=officer).state == ClimbState.STOPPED
    assert stopped is (chased == "told anew")  # a milder message does not silence the graver one
    assert sweep_until(END_S, since_s=REPEAT_S + 5) > 0


@pytest.mark.parametrize("fields", [{"urgency": 2}, {"requires": Requires.OPEN}, {"requires": Requires.NONE}])
def test_what_is_not_grave_or_asks_for_nothing_is_not_chased(
    regions: Regions, fields: dict[str, Any]
) -> None:
    person(regions[STREET])
    tell(STREET, **fields)
    assert sweep_until(END_S, every_s=60) == 0
    assert not Climb.objects.exists()


def test_the_ladder_is_frozen_when_the_climb_starts(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(REPEAT_S)
    asks = {
        "rungs": [{"errand": "superior", "wait_s": 1}, {"errand": "deputy", "wait_s": 1}],
        "final_wait_s": 1,
    }
    rows = DEFAULT_ROWS | {"ladders": {"*": {"4": asks, "3": asks}}}
    in_force.put(rows, version="hasty", note="", now=at(REPEAT_S))
    assert climb.sweep(now=at(DEPUTY_S - 5)) == 0
    sweep_until(END_S, since_s=DEPUTY_S)
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy", "superior", "desk"]
    assert Climb.objects.get(delivery__officer=officer).version == ""


def test_a_climb_that_starts_later_goes_by_the_table_then_in_force(regions: Regions) -> None:
    officer = person(regions[STREET])
    asks = {
        "rungs": [{"errand": "superior", "wait_s": 1}, {"errand": "deputy", "wait_s": 1}],
        "final_wait_s": 1,
    }
    rows = DEFAULT_ROWS | {"ladders": {"*": {"4": asks, "3": asks}}}
    in_force.put(rows, version="hasty", note="", now=NOON)
    tell(STREET)
    sweep_until(30)
    assert [errand for errand, _ in rungs(officer)] == ["superior", "deputy"]
    assert Climb.objects.get(delivery__officer=officer).version == "hasty"


def test_a_sweep_that_comes_late_takes_one_rung_and_waits_again(regions: Regions) -> None:
    """After an outage nobody is to be called by three rungs in one minute."""
    officer = person(regions[STREET])
    tell(STREET)
    assert climb.sweep(now=at(1800)) == 1
    assert climb.sweep(now=at(1800 + DEPUTY_S - REPEAT_S - 1)) == 0
    assert climb.sweep(now=at(1800 + DEPUTY_S - REPEAT_S)) == 1
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]


def says(
    officer: Officer, state: ReceiptState, seconds: float, note: str = "", errand: Errand = Errand.FIRST
) -> None:
    row = Delivery.objects.get(officer=officer, dispatch__errand=errand)
    receipts.take(
        officer.pk, [receipts.Answer(row.pk, state, at(seconds), note=note)], source="http", now=at(seconds)
    )


@pytest.mark.parametrize("first_s", [0, REPEAT_S])
def test_who_cannot_go_has_his_deputy_called_at_once_and_is_not_rung_again(
    regions: Regions, first_s: int
) -> None:
    officer = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    sweep_until(first_s)
    before = [errand for errand, _ in rungs(officer)]
    says(officer, ReceiptState.CANNOT, first_s + 2, "车辆被困")
    assert climb.sweep(now=at(first_s + 2)) == 1
    assert rungs(officer) == [*[(errand, 1) for errand in before], ("deputy", 1)]
    assert climb.sweep(now=at(first_s + 3)) == 0
    answer(deputy, Errand.DEPUTY, now=at(first_s + 10))
    climb.sweep(now=at(first_s + 10))
    assert state_of(officer) == ClimbState.ANSWERED
    assert sweep_until(END_S + 60, since_s=first_s + 15) == 0


@pytest.mark.parametrize("urgency", [1, 2])
def test_who_cannot_go_has_his_deputy_called_although_the_message_is_not_chased(
    regions: Regions, urgency: int
) -> None:
    officer, silent = person(regions[STREET]), person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET, kind=BulletinKind.ORDER, urgency=urgency)
    assert sweep_until(END_S) == 0
    says(officer, ReceiptState.CANNOT, END_S + 2, "在外地")
    assert climb.sweep(now=at(END_S + 2)) == 1
    assert (rungs(officer), rungs(silent)) == ([("deputy", 1)], [])
    assert Rung.objects.get().due_at == at(END_S + 2), "due when he said it, not when he was told"
    assert audit.look(now=at(END_S + 60)) == {}
    answer(deputy, Errand.DEPUTY, now=at(END_S + 70))
    assert sweep_until(2 * END_S, since_s=END_S + 70) == 0
    assert state_of(officer) == ClimbState.ANSWERED


def test_the_auditor_misses_the_climb_of_who_cannot_go_and_of_nobody_else(regions: Regions) -> None:
    officer = person(regions[STREET])
    person(regions[STREET])
    tell(STREET, kind=BulletinKind.ORDER, urgency=1)
    says(officer, ReceiptState.CANNOT, 2, "在外地")
    assert audit.look(now=at(60)) == {"no_climb": 1}


def test_a_cannot_after_the_confirmation_calls_the_deputy_once(regions: Regions) -> None:
    officer = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    sweep_until(REPEAT_S)
    says(officer, ReceiptState.CONFIRMED, REPEAT_S + 1)
    climb.sweep(now=at(REPEAT_S + 1))
    assert state_of(officer) == ClimbState.ANSWERED
    says(officer, ReceiptState.CANNOT, REPEAT_S + 20)
    assert climb.sweep(now=at(REPEAT_S + 20)) == 1
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy"]
    answer(deputy, Errand.DEPUTY, now=at(REPEAT_S + 30))
    for seconds in (30, 35, 40):
        assert climb.sweep(now=at(REPEAT_S + seconds)) == 0
        assert state_of(officer) == ClimbState.ANSWERED


def test_who_goes_after_all_has_answered_however_late_his_first_word_comes(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(REPEAT_S)
    says(officer, ReceiptState.ARRIVED, REPEAT_S + 9)
    row = Delivery.objects.get(officer=officer, dispatch__errand=Errand.FIRST)
    late = receipts.Answer(row.pk, ReceiptState.CANNOT, at(REPEAT_S + 5))  # said before, came in after
    receipts.take(officer.pk, [late], source="http", now=at(REPEAT_S + 12))
    assert sweep_until(END_S, since_s=REPEAT_S + 12) == 0
    assert state_of(officer) == ClimbState.ANSWERED


def test_a_deputy_who_cannot_go_either_covers_nothing(regions: Regions) -> None:
    officer = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    sweep_until(DEPUTY_S)
    says(deputy, ReceiptState.CANNOT, DEPUTY_S + 1, errand=Errand.DEPUTY)
    sweep_until(SUPERIOR_S, since_s=DEPUTY_S + 5)
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy", "superior"]


def test_a_deputy_who_cannot_go_after_all_reopens_what_he_ended(regions: Regions) -> None:
    officer = person(regions[STREET])
    deputy = person(regions[STREET], rank=Rank.B)
    Post.objects.filter(officer=deputy).update(valid_from=at(1))
    tell(STREET)
    sweep_until(DEPUTY_S)
    answer(deputy, Errand.DEPUTY, now=at(DEPUTY_S + 5))
    climb.sweep(now=at(DEPUTY_S + 5))
    assert state_of(officer) == ClimbState.ANSWERED
    says(deputy, ReceiptState.CANNOT, DEPUTY_S + 20, errand=Errand.DEPUTY)
    assert climb.sweep(now=at(DEPUTY_S + 20)) == 1
    assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy", "superior"]


def keeper(region: Region, station: str) -> Officer:
    officer = person(region)
    Post.objects.filter(officer=officer).update(station=station)
    return officer


def test_of_a_stations_keepers_one_answer_does_for_all_and_for_nobody_else(regions: Regions) -> None:
    for code in ("mine", "other"):
        make_station(code, StationKind.RESERVOIR, STREET)
    one, two = (keeper(regions[STREET], "mine") for _ in range(2))
    both = keeper(regions[STREET], "mine")
    Post.objects.create(
        officer=both, duty=Duty.FLOOD, region=regions[STREET], station_id="other", valid_from=NOON
    )
    flood = person(regions[STREET])
    tell(STREET, kind=BulletinKind.LEVEL, stations=["mine", "other"])
    sweep_until(REPEAT_S)
    answer(one, Errand.FIRST, now=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 2))
    ended = dict(Climb.objects.values_list("delivery__officer", "why"))
    assert ended == {one.pk: "confirmed", two.pk: "enough of the group", both.pk: "", flood.pk: ""}


def test_a_keeper_who_cannot_go_after_a_repeat_answers_for_nobody(regions: Regions) -> None:
    make_station("mine", StationKind.RESERVOIR, STREET)
    one, two = (keeper(regions[STREET], "mine") for _ in range(2))
    tell(STREET, kind=BulletinKind.LEVEL, stations=["mine"])
    sweep_until(REPEAT_S)
    says(one, ReceiptState.CANNOT, REPEAT_S + 5)
    climb.sweep(now=at(REPEAT_S + 5))
    assert (state_of(one), state_of(two)) == (ClimbState.CLIMBING, ClimbState.CLIMBING)


def test_of_those_called_in_one_region_as_many_as_the_table_says_do_for_all(regions: Regions) -> None:
    rows = deepcopy(DEFAULT_ROWS)
    rows["ladders"]["order"] = {"4": rows["ladders"]["*"]["4"] | {"needs": {"of_group": 2}}}
    in_force.put(rows, version="two of a street", note="", now=at(-1))
    people = [person(regions[STREET]) for _ in range(3)]
    elsewhere = person(regions[NEXT_STREET])
    tell(STREET, NEXT_STREET, kind=BulletinKind.ORDER)
    sweep_until(REPEAT_S)
    answer(people[0], Errand.FIRST, now=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 1))
    assert state_of(people[2]) == ClimbState.CLIMBING
    answer(people[1], Errand.FIRST, now=at(REPEAT_S + 2))
    climb.sweep(now=at(REPEAT_S + 2))
    assert Climb.objects.get(delivery__officer=people[2]).why == "enough of the group"
    assert state_of(elsewhere) == ClimbState.CLIMBING


def test_a_warning_must_be_answered_by_each(regions: Regions) -> None:
    make_station("mine", StationKind.RESERVOIR, STREET)
    one, two = (keeper(regions[STREET], "mine") for _ in range(2))
    tell(STREET, stations=["mine"])
    sweep_until(REPEAT_S)
    answer(one, Errand.FIRST, now=at(REPEAT_S + 1))
    climb.sweep(now=at(REPEAT_S + 2))
    assert (state_of(one), state_of(two)) == (ClimbState.ANSWERED, ClimbState.CLIMBING)


def test_an_answer_after_the_last_rung_still_ends_it_while_the_call_is_open(regions: Regions) -> None:
    officer = person(regions[STREET])
    tell(STREET)
    sweep_until(END_S, every_s=30)
    assert state_of(officer) == ClimbState.EXHAUSTED
    answer(officer, Errand.FIRST, now=at(END_S + 60))
    climb.sweep(now=at(END_S + 60))
    assert state_of(officer) == ClimbState.ANSWERED


def test_a_drill_climbs_as_a_drill(regions: Regions) -> None:
    person(regions[STREET])
    tell(STREET, drill=True)
    sweep_until(REPEAT_S)
    assert set(Delivery.objects.values_list("dispatch__errand", "dispatch__drill")) == {
        ("first", True),
        ("repeat", True),
    }


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_take_each_rung_once() -> None:
    regions = make_regions()
    people = [person(regions[STREET]) for _ in range(20)]
    deputies = [person(regions[STREET], rank=Rank.B) for _ in range(2)]
    Post.objects.filter(officer__in=deputies).update(valid_from=at(1))
    desk = person(regions[DISTRICT], duty=Duty.DESK)
    Post.objects.filter(officer=desk).update(valid_from=at(1))
    tell(STREET)

    def sweep(seconds: int) -> int:
        try:
            return climb.sweep(now=at(seconds))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        for seconds in (REPEAT_S, DEPUTY_S, SUPERIOR_S):
            assert sum(pool.map(sweep, [seconds] * 4)) == len(people)
    for officer in people:
        assert [errand for errand, _ in rungs(officer)] == ["repeat", "deputy", "superior"]
        assert heard(officer) == ["first", "repeat"]
    assert [heard(officer) for officer in (*deputies, desk)] == [["deputy"], ["deputy"], ["superior"]]


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_is_being_written_while_a_sweep_looks_comes_before_the_rung() -> None:
    regions = make_regions()
    officer, other = person(regions[STREET]), person(regions[STREET])
    tell(STREET)
    climb.start_climbs(now=at(REPEAT_S))

    def sweep() -> int:
        try:
            return climb.sweep(now=at(REPEAT_S))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            answer(officer, Errand.FIRST, now=at(REPEAT_S))
            swept = pool.submit(sweep)
            while not waits_for_a_lock() and not swept.done():
                time.sleep(0.01)
        assert swept.result() == 1
    assert (heard(officer), heard(other)) == (["first"], ["first", "repeat"])
    climb.sweep(now=at(REPEAT_S))
    assert state_of(officer) == ClimbState.ANSWERED


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
