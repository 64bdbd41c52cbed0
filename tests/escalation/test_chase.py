"""The whole chase as a machine on real rows: several bulletins, people, deputies, channels, sweeps that meet and die.

What ladder.step decides is modelled in test_ladder.py; here it is what the sweep makes of it in the database, against an
oracle that only knows what happened and when.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models import QuerySet
from django.test import override_settings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from alerts.models import Bulletin, BulletinKind, OrderStatus, ResponseOrder
from escalation import audit, calls, climb
from escalation.ladder import REPEAT, Reach
from escalation.ladder_table import DEFAULT
from escalation.models import CallResult, CallTask, Climb, ClimbState, Rung
from foundation.clock import local
from foundation.scope import Scope
from notifications import dispatch, receipts, telephony
from notifications.models import Delivery, Errand, ReceiptState, State
from officers.models import Device, Duty, Officer, Post, Rank
from tests.console.factories import make_bulletin
from tests.escalation.test_climb import DISTRICT, NEXT_STREET, NOON, STREET, person
from tests.escalation.test_endings import order_of
from tests.hydrology.factories import make_regions
from tests.notifications.conftest import give_phone

GATEWAYS = {
    f"{name}_{part}": value
    for name in ("SMS", "VOICE")
    for part, value in (("ENDPOINT", "https://127.0.0.1:9"), ("KEY", "key"), ("SECRET", "s" * 32))
}
VALID = timedelta(hours=1)
passing = st.sampled_from([1, 30, 60, 90, 120, 300])
KILLED = RuntimeError("killed")
LEDGER = "escalation_climb, notifications_dispatch, alerts_bulletin, alerts_responseorder, officers_device"


@dataclass
class Town:
    people: list[Officer]  # by turns with a phone and without; the first two in the deputies' street
    deputies: list[Officer]
    desk: Officer


@dataclass
class Word:
    """What one person has said to one line, the last time each."""

    goes_at: datetime | None = None
    cannot_at: datetime | None = None

    @property
    def cannot(self) -> bool:
        return self.cannot_at is not None and not (self.goes_at and self.goes_at > self.cannot_at)

    @property
    def answered(self) -> bool:
        return self.goes_at is not None and not self.cannot


@dataclass
class Told:
    """One bulletin and what has been said to its lines, by delivery."""

    bulletin: Bulletin
    at: datetime
    first: list[Delivery]
    over: bool = False
    words: dict[int, Word] = field(default_factory=dict)
    hangs: dict[int, tuple["Told", Delivery]] = field(default_factory=dict)
    """By line, what rang him instead: it only renews that."""

    def word(self, line: int) -> Word:
        return self.words.setdefault(line, Word())

    @property
    def deputies(self) -> list[Delivery]:
        """The lines of those who were asked to take over so far."""
        return list(lines(self.bulletin, Errand.DEPUTY))


def lines(bulletin: Bulletin, errand: Errand) -> QuerySet[Delivery]:
    return Delivery.objects.filter(dispatch__bulletin=bulletin, dispatch__errand=errand).order_by("id")


class Chase(RuleBasedStateMachine):
    town: Town

    @initialize(
        gateways=st.booleans(),
        night=st.booleans(),
        positions=st.lists(st.sampled_from(["", "1", "2"]), min_size=4, max_size=4),
    )
    def begin(self, gateways: bool, night: bool, positions: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {LEDGER} CASCADE")
        for officer in self.town.people[::2] + self.town.deputies + [self.town.desk]:
            give_phone(officer)
        with_post = [officer.pk for officer in self.town.people[:2] + self.town.deputies]
        self.positions = dict(zip(with_post, positions, strict=True))
        for officer, position in self.positions.items():
            Post.objects.filter(officer=officer).update(position=position)
        self.settings = override_settings(**(GATEWAYS if gateways else {}))
        self.settings.enable()
        self.now = NOON + timedelta(hours=11 if night else 0)
        self.told: list[Told] = []

    def teardown(self) -> None:
        if hasattr(self, "settings"):
            self.settings.disable()

    # what happens

    @precondition(lambda self: len(self.told) < 5)
    @rule(
        street=st.sampled_from([STREET, NEXT_STREET]),
        urgency=st.sampled_from([3, 4]),
        thread=st.sampled_from(["storm/1", ""]),
        renews=st.booleans(),
    )
    def people_are_told(self, street: str, urgency: int, thread: str, renews: bool) -> None:
        self.passes(1)
        order = order_of(self.town.desk.posts.get().region)
        bulletin = make_bulletin(
            kind=BulletinKind.ORDER, order=order, urgency=urgency, thread=thread, renews=renews,
            areas=[street], issued_at=self.now, caused_at=self.now, valid_until=self.now + VALID,
        )  # fmt: skip
        dispatch.take_up(now=self.now)
        told = Told(bulletin, self.now, list(lines(bulletin, Errand.FIRST)))
        self.told.append(told)
        if renews and thread:
            for line in told.first:
                self.hangs_on_what_rang(told, line)
        quiet = lines(bulletin, Errand.FIRST).filter(quiet=True)
        assert set(told.hangs) == set(quiet.values_list("id", flat=True))

    def hangs_on_what_rang(self, told: Told, line: Delivery) -> None:
        """On the first message of the thread that he has, no less grave, that stands; on nothing where there is none."""
        told.hangs.pop(line.pk, None)
        for one in self.told[: self.told.index(told)]:
            mine = next((other for other in one.first if other.officer_id == line.officer_id), None)
            if mine and self.covers(one, told) and not self.is_over(one):
                told.hangs[line.pk] = one.hangs.get(mine.pk, (one, mine))
                return

    def what_is_over_lets_go(self) -> None:
        """What renewed it, and stands, is his own, unless he had said something to what rang him."""
        for told in self.told:
            for line in [one for one in told.first if one.pk in told.hangs and not self.is_over(told)]:
                rang, mine = told.hangs[line.pk]
                if self.is_over(rang) and rang.word(mine.pk) == Word():
                    self.hangs_on_what_rang(told, line)

    @staticmethod
    def covers(one: Told, told: Told) -> bool:
        same = one.bulletin.thread == told.bulletin.thread != ""
        return same and one.bulletin.urgency >= told.bulletin.urgency

    def is_over(self, told: Told) -> bool:
        return told.over or told.at + VALID <= self.now

    def passes(self, passed_s: int) -> None:
        self.now += timedelta(seconds=passed_s)

    @precondition(lambda self: self.told)
    @rule(
        draw=st.data(),
        state=st.sampled_from(["confirmed", "cannot", "arrived"]),
        source=st.sampled_from(["http", "voice"]),
    )
    def somebody_says(self, draw: st.DataObject, state: str, source: str) -> None:
        """A person to his first line, or a deputy to what he was asked to take over."""
        self.passes(1)
        told = draw.draw(st.sampled_from(self.told))
        self.says(told, draw.draw(st.sampled_from(told.deputies or told.first)), state, source)

    @precondition(lambda self: self.answered())
    @rule(draw=st.data())
    def somebody_thinks_again(self, draw: st.DataObject) -> None:
        self.passes(1)
        told, line = draw.draw(st.sampled_from(self.answered()))
        self.says(told, line, "cannot", "http")

    def answered(self) -> list[tuple[Told, Delivery]]:
        """The lines that are answered as it stands."""
        lines = [(told, line) for told in self.told for line in told.first + told.deputies]
        return [(told, line) for told, line in lines if told.word(line.pk).answered and not told.over]

    def says(self, told: Told, line: Delivery, state: str, source: str) -> None:
        said = receipts.Answer(line.pk, ReceiptState(state), self.now)
        receipts.take(line.officer_id, [said], source=source, now=self.now)
        rang, mine = told.hangs.get(line.pk, (told, line))
        word = rang.word(mine.pk)
        if state == "cannot":
            word.cannot_at = self.now
        else:
            word.goes_at = self.now

    @precondition(
        lambda self: CallTask.objects.filter(done_at=None, climb__state=ClimbState.EXHAUSTED).exists()
    )
    @rule(result=st.sampled_from([CallResult.ANSWERED, CallResult.NO_ANSWER]))
    def the_desk_calls(self, result: CallResult) -> None:
        self.passes(1)
        task = CallTask.objects.filter(done_at=None, climb__state=ClimbState.EXHAUSTED).order_by("id")[0]
        scope = Scope(paths=("4403/",), desk_paths=("4403/",))
        calls.claim(task.pk, scope, self.town.desk.pk, self.now)
        calls.finish(task.pk, scope, self.town.desk.pk, result, "", self.now)
        if result == CallResult.ANSWERED:
            told = next(
                one for one in self.told if one.bulletin.pk == task.climb.delivery.dispatch.bulletin_id
            )
            told.word(task.climb.delivery_id).goes_at = self.now

    @precondition(lambda self: len(self.told) > 1 and not any(told.over for told in self.told))
    @rule(draw=st.data(), status=st.sampled_from([OrderStatus.WITHDRAWN, OrderStatus.SUPERSEDED]))
    def an_order_ends(self, draw: st.DataObject, status: OrderStatus) -> None:
        self.passes(1)
        self.ends(draw.draw(st.sampled_from(self.told)), status)

    def ends(self, told: Told, status: OrderStatus) -> None:
        order = ResponseOrder.objects.filter(pk=told.bulletin.order_id)
        order.update(status=status, ended_at=self.now)
        told.over = True

    @precondition(lambda self: len(self.told) < 4 and not any(told.over for told in self.told))
    @rule(street=st.sampled_from([STREET, NEXT_STREET]))
    def what_rang_ends_while_what_renewed_it_stands(self, street: str) -> None:
        for renews in (False, True):
            self.people_are_told(street=street, urgency=4, thread="storm/1", renews=renews)
        self.ends(self.told[-2], OrderStatus.ENDED)

    @rule(draw=st.data())
    def a_phone_dies(self, draw: st.DataObject) -> None:
        officer = draw.draw(st.sampled_from(self.town.people))
        Device.objects.filter(officer=officer).update(retired_at=self.now)
        unsent = Delivery.objects.filter(officer=officer, state=State.PENDING, transport="fcm")
        unsent.update(state=State.FAILED_PERM, reason="no_live_device")

    # sweeps

    @rule(passed_s=passing)
    def a_sweep(self, passed_s: int) -> None:
        self.passes(passed_s)
        self.swept(lambda: climb.sweep(now=self.now))

    @rule(passed_s=passing)
    def two_sweeps_at_once(self, passed_s: int) -> None:
        def both() -> int:
            with ThreadPoolExecutor(2) as pool:
                return sum(pool.map(lambda _: elsewhere(self.now), range(2)))

        self.passes(passed_s)
        self.swept(both)

    @precondition(lambda self: self.told)
    @rule(times=st.integers(2, 6))
    def nobody_stirs(self, times: int) -> None:
        for _ in range(times):
            self.a_sweep(120)

    @rule(passed_s=passing)
    def a_sweep_that_is_killed_has_done_nothing(self, passed_s: int) -> None:
        self.passes(passed_s)
        before = self.rungs(), dict(Climb.objects.values_list("id", "state"))
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            climb.sweep(now=self.now)
            raise KILLED
        assert before == (self.rungs(), dict(Climb.objects.values_list("id", "state")))

    @precondition(lambda self: self.told)
    @rule(draw=st.data(), passed_s=passing)
    def a_sweep_leaves_to_another_what_that_one_holds(self, draw: st.DataObject, passed_s: int) -> None:
        self.passes(passed_s)
        held = draw.draw(st.sampled_from(self.told)).bulletin
        before = self.rungs()
        with transaction.atomic():
            assert climb._locked([held.pk]) == [held.pk]
            with ThreadPoolExecutor(1) as pool:
                pool.submit(elsewhere, self.now).result()
        fresh = Rung.objects.exclude(pk__in=before)
        assert not fresh.filter(climb__delivery__dispatch__bulletin=held).exists()
        self.swept(lambda: fresh.count() + climb.sweep(now=self.now), before)

    # what must hold

    def swept(self, sweep, before: set[int] | None = None) -> None:  # type: ignore[no-untyped-def]
        """Run it and compare every line with what happened to it."""
        before = self.rungs() if before is None else before
        due = dict(Climb.objects.filter(state=ClimbState.CLIMBING).values_list("id", "due_at"))
        count = sweep()
        self.what_is_over_lets_go()
        fresh = list(Rung.objects.exclude(pk__in=before).select_related("climb__delivery"))
        assert count == len(fresh) == len({rung.climb_id for rung in fresh}), "never two rungs at once"
        taken = {rung.climb.delivery_id: rung for rung in fresh}
        for told in self.told:
            for line in told.first:
                found = Climb.objects.filter(delivery=line).first()
                if not self.is_open(told, line):
                    assert line.pk not in taken, "never a rung after an answer, nor when it no longer stands"
                    assert found is None or found.state != ClimbState.CLIMBING
                elif found is None:
                    assert self.now < self.first_due_at(told, line), "he is chased"
                else:
                    self.is_chased(found, told, line, taken.get(line.pk), due.get(found.pk))
        assert audit.look(self.now) == {}, "the auditor finds nothing"

    def is_chased(
        self, found: Climb, told: Told, line: Delivery, rung: Rung | None, due_at: datetime | None
    ) -> None:
        if found.state == ClimbState.EXHAUSTED:
            assert found.rung == len(found.rungs) or told.word(line.pk).cannot
            assert CallTask.objects.filter(climb=found).exists(), "at its end a person is to call him"
        else:
            assert found.state == ClimbState.CLIMBING, "never silent before its end"
            assert self.now < found.due_at <= self.now + timedelta(seconds=max(found.waits_s))
        if due_at is not None and due_at <= self.now:
            assert rung or found.state == ClimbState.EXHAUSTED, "every due step has fired"
        if rung is None:
            return
        assert rung.errand != REPEAT or not told.word(line.pk).cannot
        if rung.errand == Errand.DEPUTY:
            assert rung.reached == len(self.deputies_of(line))
        assert rung.channel in {"app", "person"} | telephony.configured()
        if rung.errand == REPEAT:
            way = "fcm" if rung.channel == "app" else rung.channel
            again = Delivery.objects.get(root=line, transport=way, dispatch__created_at=self.now)
            assert (again.officer_id, again.dispatch.errand) == (line.officer_id, Errand.REPEAT)

    def is_open(self, told: Told, line: Delivery) -> bool:
        """What is said in answer, by himself or for him, and whether the message stands; from the record of events."""
        if (
            self.is_over(told)
            or line.pk in told.hangs
            or told.word(line.pk).answered
            or self.is_told_anew(told, line)
        ):
            return False
        return not any(
            told.word(deputy.pk).answered and self.stands_in(deputy.officer_id, line)
            for deputy in told.deputies
            if deputy.region_id == line.region_id
        )

    def deputies_of(self, line: Delivery) -> list[int]:
        """Who is called in his stead: the B posts of his position, all of them where it has none or he has none."""
        there = [officer.pk for officer in self.town.deputies if line.region_id == STREET]
        position = self.positions.get(line.officer_id, "")
        of_it = [pk for pk in there if position and self.positions[pk] == position]
        return [pk for pk in of_it or there if pk != line.officer_id]

    def stands_in(self, deputy: int, line: Delivery) -> bool:
        """Called or not, he answers for whose deputy he is; without a position for anybody."""
        return not self.positions[deputy] or deputy == line.officer_id or deputy in self.deputies_of(line)

    def is_told_anew(self, told: Told, line: Delivery) -> bool:
        """He is chased for a later message that stands, or has answered one."""
        later = self.told[self.told.index(told) + 1 :]
        return any(
            self.covers(one, told)
            and any(
                other.officer_id == line.officer_id
                and other.pk not in one.hangs
                and (one.word(other.pk).answered or not self.is_over(one))
                for other in one.first
            )
            for one in later
        )

    def first_due_at(self, told: Told, line: Delivery) -> datetime:
        line.refresh_from_db()
        reach = Reach.DARK if line.state == State.FAILED_PERM else Reach.RINGS
        reach = Reach.CANNOT if told.word(line.pk).cannot else reach
        ladder = DEFAULT.ladder_for(
            "order", told.bulletin.urgency, local(told.at), reach=reach, configured=telephony.configured()
        )
        assert ladder is not None
        return told.at + timedelta(seconds=ladder.waits_s[0])

    @staticmethod
    def rungs() -> set[int]:
        return set(Rung.objects.values_list("id", flat=True))


def elsewhere(now: datetime) -> int:
    """A sweep by another worker."""
    try:
        return climb.sweep(now=now)
    finally:
        connections.close_all()


@pytest.mark.timeout(1200)  # with the profile that searches
@pytest.mark.django_db(transaction=True)
def test_a_chase_is_never_silent_never_double_and_never_follows_an_answer() -> None:
    regions = make_regions()
    people = [person(regions[street], phones=0) for street in (STREET, NEXT_STREET) for _ in range(2)]
    deputies = [person(regions[STREET], phones=0, rank=Rank.B) for _ in range(2)]
    desk = person(regions[DISTRICT], phones=0, duty=Duty.DESK)
    Chase.town = Town(people, deputies, desk)
    run_state_machine_as_test(
        Chase, settings=settings(max_examples=settings.default.max_examples // 8, stateful_step_count=30)
    )
