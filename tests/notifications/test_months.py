"""The ledger in its months: ids that only grow, nobody told twice over the turn, old months let go and brought back."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from alerts.models import Bulletin
from backend import tasks
from escalation import audit, climb
from escalation.models import Climb, ClimbState
from foundation.months import month_of, months_from
from hydrology import storage
from hydrology.models import Region
from notifications import delivery, dispatch, frames, months, receipts, telephony
from notifications.frames import Since
from notifications.models import Delivery, Dispatch, Errand, Receipt, ReceiptState, State
from notifications.reach import reach_of
from officers.models import Officer, Post
from tests.conftest import OldCity
from tests.hydrology.factories import make_regions

Person = Callable[..., Officer]
Bulletins = Callable[..., Bulletin]
STREET, CITY = "440303001", ("4403/",)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
FEB = datetime(2031, 2, 1, tzinfo=UTC)  # the turn of a month, years ahead of whoever runs this
JAN, DEC, MAR = (
    datetime(2031, 1, 1, tzinfo=UTC),
    datetime(2030, 12, 1, tzinfo=UTC),
    datetime(2031, 3, 1, tzinfo=UTC),
)
BEFORE, AFTER = FEB - 10 * SECOND, FEB + 50 * SECOND


def drop(*gone: datetime) -> None:
    with connection.cursor() as cursor:
        for month in gone:
            cursor.execute(f"DROP TABLE IF EXISTS {', '.join(months.LEDGER.tables_of(month).values())}")


@pytest.fixture
def ledger(transactional_db: None) -> Iterator[None]:
    """No month but those a test makes, which are dropped after it; ids go on where they stood."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value, is_called FROM notifications_delivery_id_seq")
        stood = cursor.fetchone()
    drop(*months.LEDGER.months(), *months.LEDGER.months(attached=False))
    months.tidy(now=DEC, keep_days=0, archive_days=0)
    yield
    drop(*months.LEDGER.months(), *months.LEDGER.months(attached=False))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('notifications_delivery_id_seq', %s, %s)", stood)


@pytest.fixture
def regions(ledger: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def tell(regions: dict[str, Region], bulletin: Bulletins, person: Person) -> Callable[..., Dispatch]:
    """A warning to `people` new officers of the street, dispatched at `at`."""

    def say(at: datetime, people: int = 1, **fields: object) -> Dispatch:
        for _ in range(people):
            person(regions[STREET])
        told = bulletin(STREET, issued_at=at, caused_at=at, valid_until=at + timedelta(hours=2), **fields)
        dispatch.take_up(now=at)
        return Dispatch.objects.get(bulletin=told, errand=Errand.FIRST)

    return say


Tell = Callable[..., Dispatch]


def again(told: Dispatch, lines: list[int], at: datetime) -> Dispatch:
    with transaction.atomic():
        return dispatch.run_errand(told.bulletin, Errand.REPEAT, now=at, unanswered=lines)


def ids(**which: object) -> list[int]:
    return list(Delivery.objects.filter(**which).order_by("id").values_list("id", flat=True))


def month_of_id(pk: int) -> int:
    return pk // months.A_MONTH


def go(now: datetime, keep_days: int = 365) -> list[str]:
    return months.tidy(now=now, keep_days=keep_days, archive_days=90)


# Ids


def test_an_id_says_its_month_and_fits_a_phones_numbers(tell: Tell) -> None:
    for at, month in ((BEFORE, 203101), (FEB, 203102)):
        [line] = ids(dispatch=tell(at, people=1) if at == BEFORE else tell(at, people=0))[:1]
        assert month_of_id(line) == month
    assert months.base(datetime(9000, 12, 1, tzinfo=UTC)) < 2**53


def test_ids_grow_though_the_clock_jumps_back_and_lines_are_found_all_the_same(tell: Tell) -> None:
    ahead = tell(MAR, people=2)
    back = tell(JAN, people=0)
    assert max(ids(dispatch=ahead)) < min(ids(dispatch=back))
    assert {month_of_id(pk) for pk in ids(dispatch=back)} == {203103}
    assert min(ids(dispatch=back)) >= months.since(back.created_at)
    assert reach_of(back.bulletin_id, CITY)["total"] == 2
    assert {one.id for one in delivery.claim(JAN)} >= set(ids(dispatch=back))


def test_a_storm_of_long_ago_played_today_is_told_in_the_present_month(tell: Tell) -> None:
    tell(FEB)
    long_ago = datetime(2020, 10, 10, tzinfo=UTC)
    Post.objects.update(valid_from=long_ago)
    played = tell(long_ago, people=0)
    assert {month_of_id(pk) for pk in ids(dispatch=played)} == {203102}
    assert [one.dispatch for one in delivery.claim(played.created_at)] == [played.pk]


def test_a_turn_whose_transaction_failed_is_made_again(tell: Tell, bulletin: Bulletins) -> None:
    first = tell(DEC)
    with pytest.raises(RuntimeError), transaction.atomic():
        months.turn(MAR)
        raise RuntimeError
    assert MAR not in months.LEDGER.months()
    assert (
        month_of_id(ids(dispatch=tell(JAN, people=0))[0]) == 203103
    )  # ids stay where they are, and there is room
    assert MAR in months.LEDGER.months()
    assert month_of_id(ids(dispatch=first)[0]) == 203012


def test_a_dispatch_knows_from_which_line_on_its_own_stand(tell: Tell) -> None:
    before, told = tell(BEFORE, people=3), tell(AFTER, people=2)
    lines = ids(dispatch=told)
    repeat = again(told, lines, AFTER)
    for made, earlier in ((told, ids(dispatch=before)), (repeat, lines)):
        assert max(earlier) <= made.first_line <= min(ids(dispatch=made))
    assert months.since_of(bulletin=told.bulletin_id) == told.first_line
    assert months.open_since(AFTER) == before.first_line
    assert months.open_since(before.expires_at + months.LEFT) == told.first_line
    nobody = again(told, [], AFTER)
    assert (ids(dispatch=nobody), nobody.first_line) == ([], max(ids(dispatch=repeat)))


# Over the turn


def test_what_was_first_said_before_the_turn_is_repeated_and_answered_after_it(tell: Tell) -> None:
    first = tell(BEFORE)
    [root] = ids(dispatch=first)
    [repeat] = ids(dispatch=again(first, [root], AFTER))
    assert (month_of_id(root), month_of_id(repeat)) == (203101, 203102)
    officer = Delivery.objects.get(pk=root).officer_id
    answer = receipts.Answer(root, ReceiptState.CONFIRMED, AFTER)
    assert receipts.take(officer, [answer], source="http", now=AFTER)[0]["result"] == "accepted"
    assert receipts.take(officer, [answer], source="http", now=AFTER)[0]["result"] == "repeated"
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.CONFIRMED}
    assert reach_of(first.bulletin_id, CITY)["confirmed"] == 1


def test_a_chase_goes_on_over_the_turn(tell: Tell) -> None:
    told = tell(BEFORE, urgency=4, requires="confirm")
    assert climb.sweep(now=BEFORE + 61 * SECOND) == 1  # in February
    assert {month_of_id(pk) for pk in ids(dispatch__errand=Errand.REPEAT)} == {203102}
    assert audit.look(now=BEFORE + 65 * SECOND) == {}
    [line] = ids(dispatch=told)
    said = receipts.Answer(line, ReceiptState.CONFIRMED, AFTER)
    receipts.take(Delivery.objects.get(pk=line).officer_id, [said], source="http", now=AFTER)
    climb.sweep(now=AFTER + 20 * SECOND)
    assert Climb.objects.get().state == ClimbState.ANSWERED


def test_what_was_not_sent_before_the_turn_is_claimed_after_it(tell: Tell) -> None:
    lines = ids(dispatch=tell(BEFORE, people=3))
    assert sorted(one.id for one in delivery.claim(AFTER)) == lines
    [root, *_] = lines
    [call] = ids(dispatch=_call(Delivery.objects.get(pk=root), BEFORE))
    assert [one.id for one in telephony.claim("voice", AFTER, here=True)] == [call]


def _call(root: Delivery, at: datetime) -> Dispatch:
    with transaction.atomic():
        return dispatch.run_errand(
            root.dispatch.bulletin, Errand.REPEAT, now=at, unanswered=[root.pk], transport="voice"
        )


def test_who_has_his_line_from_before_the_turn_gets_no_other_after_it(tell: Tell, person: Person) -> None:
    told = tell(BEFORE, people=4)
    Delivery.objects.filter(pk=ids(dispatch=told)[1]).delete()
    assert dispatch.refill(told.pk, now=AFTER) == 1
    assert dispatch.refill(told.pk, now=AFTER) == 0
    officers = list(told.deliveries.values_list("officer", flat=True))
    assert len(officers) == len(set(officers)) == 4
    assert [month_of_id(pk) for pk in ids(dispatch=told)] == [203101] * 3 + [203102]


def test_one_line_a_dispatch_and_officer_whatever_writes_it(tell: Tell) -> None:
    line = Delivery.objects.get(dispatch=tell(FEB))
    with pytest.raises(IntegrityError), transaction.atomic():
        line.pk = None
        line.save(force_insert=True)


def test_many_at_the_turn_make_one_month_and_ids_in_order(tell: Tell) -> None:
    told = [tell(BEFORE, people=int(n == 0)) for n in range(4)]
    lines = {one.pk: ids(dispatch=one) for one in told}
    drop(FEB)  # nobody has made room ahead
    start, faults = threading.Barrier(4), []

    def work(one: Dispatch) -> None:
        try:
            start.wait()
            again(one, lines[one.pk], AFTER)
        except Exception as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(one,)) for one in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    made = ids(dispatch__errand=Errand.REPEAT)
    assert [pk - months.base(FEB) for pk in made] == list(range(4))
    assert months.LEDGER.months().count(FEB) == 1


# Since seq


def test_a_phone_that_knows_the_last_month_gets_all_of_this_one_and_a_seq_of_the_future_is_harmless(
    tell: Tell,
) -> None:
    [old], [new] = ids(dispatch=tell(BEFORE)), ids(dispatch=tell(AFTER, people=0))
    officer = Delivery.objects.get(pk=old).officer_id

    def missed(since: int) -> list[int]:
        [items] = frames.missed([Since(officer, since)], frames.ledger().newest, AFTER, most=50)
        assert [item.seq for item in items] == list(
            Delivery.objects.inbox(officer, since).values_list("id", flat=True)
        )
        return [item.seq for item in items]

    assert missed(0) == missed(17) == missed(old - 1) == [old, new]
    assert missed(old) == [new]
    assert missed(new) == missed(months.base(MAR)) == missed(2**62) == []


def test_sockets_are_told_line_by_line_and_not_seq_by_seq(tell: Tell) -> None:
    before, after = ids(dispatch=tell(BEFORE, people=3)), ids(dispatch=tell(AFTER, people=0))
    newest = after[-1]
    assert frames.step(before[0], newest, 100) == newest
    assert frames.step(before[0], newest, 3) == after[0]
    assert frames.step(before[0], newest, 5) == newest


# Old months


def test_an_old_month_is_let_go_with_its_receipts_brought_back_and_dropped_later(tell: Tell) -> None:
    [old], [new] = ids(dispatch=tell(JAN + DAY)), ids(dispatch=tell(MAR, people=0))
    officer = Delivery.objects.get(pk=old).officer_id
    receipts.take(officer, [receipts.Answer(old, ReceiptState.OPENED, JAN)], source="http", now=JAN + DAY)
    tables = ["notifications_receipt_2031_01", "notifications_delivery_2031_01"]
    go(MAR, keep_days=0)
    assert go(FEB + 364 * DAY) == ["notifications_receipt_2030_12", "notifications_delivery_2030_12"]
    gone = FEB + 366 * DAY
    assert go(gone) == tables
    assert (ids(), Receipt.objects.count(), months.LEDGER.months(attached=False)) == ([new], 0, [DEC, JAN])
    assert receipts.take(
        officer, [receipts.Answer(old, ReceiptState.OPENED, JAN)], source="http", now=gone
    ) == [{"id": old, "state": "opened", "result": "unknown"}]
    assert frames.ledger().oldest == new  # a phone that knew less is told that there is a gap
    assert months.bring_back(JAN)
    assert not months.bring_back(JAN)
    assert (ids(), Receipt.objects.get().delivery_id) == ([old, new], old)
    assert sorted(go(gone)) == sorted(tables)
    assert set(tables) <= set(go(gone + 91 * DAY))
    assert not months.bring_back(JAN)


def test_a_month_in_which_something_is_open_stays(tell: Tell) -> None:
    told = tell(JAN)
    Dispatch.objects.filter(pk=told.pk).update(expires_at=MAR + 400 * DAY)
    assert not [table for table in go(MAR + 399 * DAY) if table.endswith("2031_01")]
    assert [one.dispatch for one in delivery.claim(MAR + 399 * DAY)] == [told.pk]
    Dispatch.objects.filter(pk=told.pk).update(expires_at=MAR)
    assert len([table for table in go(MAR + 399 * DAY) if table.endswith("2031_01")]) == 2


def test_what_nobody_could_finish_for_a_day_is_given_up(tell: Tell) -> None:
    told = tell(BEFORE, urgency=4, requires="confirm")
    climb.start_climbs(now=BEFORE + 61 * SECOND)
    assert delivery.end_left(now=AFTER) == climb.end_left(now=AFTER) == 0
    late = FEB + 2 * DAY
    assert delivery.claim(late) == [] and climb.sweep(now=late) == 0
    assert (delivery.end_left(now=late), climb.end_left(now=late)) == (1, 1)
    line = told.deliveries.get()
    assert (line.state, line.reason) == (State.FAILED_PERM, "EXPIRED")
    assert Climb.objects.get().state == ClimbState.STOPPED


@pytest.fixture
def december(ledger: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hourly job's present; observations' months that it makes ahead are dropped as well."""
    monkeypatch.setattr("foundation.clock.now", lambda: DEC)
    yield
    with connection.cursor() as cursor:
        for month in filter(DEC.__le__, storage.months()):
            cursor.execute(f"DROP TABLE {storage.table_of(month)}")


def test_the_hourly_job_makes_the_months_ahead_and_lets_go_by_its_setting(december: None) -> None:
    tasks.tidy()
    assert set(months_from(DEC)) <= set(months.LEDGER.months())
    assert len([one for one in months.LEDGER.months() if one >= DEC]) == 3


def test_a_part_of_the_hourly_job_that_fails_keeps_no_other_from_being_done(
    december: None, settings: Settings
) -> None:
    settings.KEEP_DAYS = settings.KEEP_DAYS | {"samples": 10**9}  # before the year one
    drop(*months.LEDGER.months())
    with pytest.raises(OverflowError):
        tasks.tidy()
    assert len([one for one in months.LEDGER.months() if one >= DEC]) == 3


# No query looks into months it does not need


READS: dict[str, Callable[[Dispatch], object]] = {
    "a claim": lambda told: delivery.claim(AFTER),
    "a claim of calls": lambda told: telephony.claim("voice", AFTER, here=True),
    "an inbox": lambda told: list(Delivery.objects.inbox(1, months.base(JAN))),
    "a hello": lambda told: frames.missed(
        [Since(told.bulletin.officers[0], months.base(JAN))], frames.ledger().newest, AFTER, most=50
    ),
    "a sweep of the climbs": lambda told: climb.sweep(now=AFTER),
    "the audit": lambda told: audit.look(now=AFTER),
    "the reach": lambda told: reach_of(told.bulletin_id, CITY),
    "a dispatch": lambda told: dispatch.refill(told.pk, now=AFTER),
}


@pytest.mark.parametrize("what", READS)
def test_it_looks_into_the_open_months_alone(what: str, tell: Tell) -> None:
    with transaction.atomic():
        months.LEDGER.make_room(months_from(datetime(2030, 1, 1, tzinfo=UTC), 16))
    told = tell(BEFORE, people=2, urgency=4, requires="confirm")
    told.bulletin.officers = list(told.deliveries.values_list("officer", flat=True))
    with CaptureQueriesContext(connection) as asked:
        READS[what](told)
    looked = set[str]()
    for sql in (query["sql"] for query in asked):
        ends = 'MIN("notifications_delivery"' in sql  # of all months, each asked in turn until there is one
        if ends or not re.search(r"(?:FROM|JOIN|UPDATE|INTO) \"?notifications_(?:delivery|receipt)\b", sql):
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN ({'COSTS' if 'INSERT' in sql else 'ANALYZE, TIMING'} OFF) {sql}")
            plan = [line for (line,) in cursor.fetchall() if "never executed" not in line]
            transaction.set_rollback(True)
        touched = set(re.findall(r" on notifications_(?:delivery|receipt)_(\d{4}_\d{2})\b", "\n".join(plan)))
        assert touched <= {"2031_01", "2031_02", "2031_03", "2031_04"}, (sql, plan)
        looked |= touched
    assert looked


# What was there before


def rows(city: psycopg.Connection, table: str, many: int = 1, **given: str) -> None:
    """So many rows; `given` by column in SQL of `n` (from 1), whatever else must be there is empty."""
    empty = {
        "ARRAY": "'{}'",
        "jsonb": "'{}'",
        "boolean": "false",
        "timestamp with time zone": "now()",
        "bytea": "''",
    }
    wanted = city.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
        " AND column_default IS NULL AND is_identity = 'NO'",
        [table],
    )
    number = ("bigint", "integer", "smallint", "double precision")
    values = {name: empty.get(kind, "0" if kind in number else "''") for name, kind in wanted} | given
    city.execute(
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM generate_series(1, {many}) n"
    )


def fill(city: psycopg.Connection) -> None:
    """40 lines of two dispatches, half of them repeats; receipts, a climb, a report and a form that could not be read."""
    rows(city, "hydrology_region", code="'4403'", level="'city'", path="'4403/'")
    rows(city, "officers_officer", 20, phone_digest="n")
    rows(city, "alerts_bulletin", title_zh="'t'")
    rows(
        city,
        "notifications_dispatch",
        2,
        bulletin_id="1",
        errand="CASE n WHEN 1 THEN 'first' ELSE 'repeat' END",
    )
    line = {"officer_id": "(n - 1) % 20 + 1", "region_id": "'4403'", "transport": "'fcm'"}
    rows(
        city, "notifications_delivery", 40, dispatch_id="(n - 1) / 20 + 1",
        state="CASE WHEN n % 3 = 0 THEN 'pending' ELSE 'sent' END",
        root_id="CASE WHEN n > 20 THEN n - 20 END", vendor_id="CASE WHEN n = 7 THEN 'v' ELSE '' END", **line,
    )  # fmt: skip
    rows(city, "notifications_receipt", 20, delivery_id="n", state="'delivered'", at="now()")
    rows(
        city, "notifications_receipt", 10, delivery_id="n", form="'{}'",
        state="CASE WHEN n < 5 THEN 'help' ELSE 'cannot' END",
    )  # fmt: skip
    rows(city, "notifications_providerreport", delivery_id="3")
    rows(city, "escalation_climb", delivery_id="4")
    rows(city, "hazards_unreadform", receipt_id="25")


def contents(city: psycopg.Connection) -> list[tuple[object, ...]]:
    """What each table holds: (rows, digest, highest id); the ledger's first."""
    found = []
    for table, key in (
        ("notifications_delivery", "id"), ("notifications_receipt", "id"), ("notifications_providerreport", "id"),
        ("escalation_climb", "id"), ("hazards_unreadform", "receipt_id"),
    ):  # fmt: skip
        query = (
            f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t.{key})), max(t.{key}) FROM {table} t"
        )
        found.append(city.execute(query).fetchone())
    return found


def test_the_ledger_of_an_older_version_comes_through_and_back(old_city: OldCity) -> None:
    city, migrate = old_city
    for room, number in (("notifications", "0010"), ("escalation", "0002"), ("hazards", "0002")):
        migrate(room, number)
    fill(city)
    before = contents(city)
    assert before[0][0] == 40 and before[1][0] == 30
    migrate()
    assert contents(city) == before
    assert [row[0] for row in city.execute(PARTITIONS)] == [1, 1]
    assert city.execute(INDEXES).fetchall() == [("delivery", 6), ("receipt", 5)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        city.execute("INSERT INTO notifications_receipt SELECT * FROM notifications_receipt LIMIT 1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        city.execute(AGAIN)
    [(taken,)] = city.execute("SELECT nextval('notifications_delivery_id_seq')").fetchall()
    assert taken > before[0][2]
    [(first,)] = city.execute(FIRST).fetchall()
    assert month_of(datetime.strptime(str(first)[:6], "%Y%m").replace(tzinfo=UTC)) > datetime.now(UTC)
    migrate("notifications", "0010")
    migrate("escalation", "0002")
    assert contents(city) == before
    assert city.execute(FOREIGN).fetchone() == (6,)
    migrate()
    assert contents(city) == before


FIRST = "SELECT seqstart FROM pg_sequence WHERE seqrelid = 'notifications_delivery_id_seq'::regclass"
PARTITIONS = """
SELECT count(*) FROM pg_inherits JOIN pg_class p ON p.oid = inhparent
WHERE p.relname IN ('notifications_delivery', 'notifications_receipt') GROUP BY inhparent
"""
INDEXES = """
SELECT split_part(c.relname, '_', 2), count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_inherits h ON h.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relname ~ '^notifications_(delivery|receipt)_' GROUP BY 1 ORDER BY 1
"""
FOREIGN = """
SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND
    (conrelid IN ('notifications_delivery'::regclass, 'notifications_receipt'::regclass)
     OR confrelid = 'notifications_delivery'::regclass AND conrelid = 'escalation_climb'::regclass)
"""
AGAIN = """
INSERT INTO notifications_delivery
    (dispatch_id, officer_id, region_id, quiet, transport, state, attempts, due_at, accepted_devices, reason)
SELECT dispatch_id, officer_id, region_id, quiet, transport, state, attempts, due_at, accepted_devices, reason
FROM notifications_delivery LIMIT 1
"""
