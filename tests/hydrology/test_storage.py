"""Months come before their rows and go when they are old; what a warning rests on stays. On real PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from alerts import grounds, watch
from alerts.models import Hazard, WarningEvent, WarningLevel
from alerts.models import Warning as Notice
from backend import tasks
from foundation import months as by_month
from foundation.months import month_of, next_month
from hydrology import asof, history, ingest, rain, storage
from hydrology.models import Blob, Feed, FeedPost, GridRun, Latest, Level, Observation, StationKind
from hydrology.science.readings import Element
from hydrology.storage import let_go, make_room, months, table_of
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_regions, make_station, stage
from tests.hydrology.factories import rain as rain_row

DAY = timedelta(days=1)
LONG_AGO = NOW - 2000 * DAY


def taken(*rows: object, now: datetime = NOW) -> None:
    ingest.take_readings(Feed.objects.get(), body(*rows), now)


def seen() -> list[datetime]:
    return sorted(Observation.objects.values_list("observed_at", flat=True))


@pytest.fixture
def clean_months(transactional_db: None) -> Iterator[None]:
    """No month but those a test makes; whatever it leaves is dropped."""

    def drop_all() -> None:
        with connection.cursor() as cursor:
            for month in (*months(), *months(attached=False)):
                cursor.execute(f"DROP TABLE {table_of(month)}")

    drop_all()
    make_regions()
    make_station("rain-1", StationKind.RAIN, "440303001")
    make_station("river", StationKind.RIVER, "440304001")
    make_feed()
    yield
    drop_all()


@pytest.fixture
def other(clean_months: None) -> Iterator[psycopg.Connection]:
    """A second session in the tests' database."""
    with psycopg.connect(**connection.get_connection_params() | {"prepare_threshold": None}) as session:
        yield session


def go(now: datetime = NOW, *, named: tuple[datetime, ...] = ()) -> list[str]:
    return let_go(now=now, keep_days=365, archive_days=90, rested_on=lambda: named)


# Room


def test_a_month_is_utc_and_so_are_hydrological_days() -> None:
    assert month_of(datetime.fromisoformat("2026-03-01T07:59:00+08:00")) == datetime(2026, 2, 1, tzinfo=UTC)
    assert month_of(datetime.fromisoformat("2026-03-01T08:00:00+08:00")) == datetime(2026, 3, 1, tzinfo=UTC)
    assert next_month(datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("clean_months")
def test_readings_of_any_year_find_room() -> None:
    instants = [datetime(2000, 1, 1, 0, 5, tzinfo=UTC), datetime(2020, 10, 31, tzinfo=UTC), NOW]
    taken(*(rain_row("rain-1", at, 1.0) for at in instants))
    assert seen() == instants
    assert months() == [month_of(at) for at in instants]
    assert make_room(instants) == 0


@pytest.mark.usefixtures("clean_months")
def test_both_edges_of_a_month_lie_in_their_own() -> None:
    first = month_of(NOW)
    taken(rain_row("rain-1", first, 1.0), rain_row("rain-1", first - timedelta(microseconds=1), 2.0))
    with connection.cursor() as cursor:
        for month, mm in ((first, 1.0), (month_of(first - MINUTE), 2.0)):
            cursor.execute(f"SELECT value FROM {table_of(month)}")
            assert cursor.fetchall() == [(mm,)]


@pytest.mark.usefixtures("clean_months")
def test_room_taken_back_with_its_transaction_is_made_again() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        assert make_room([NOW]) == 1
        raise RuntimeError
    assert months() == []
    assert make_room([NOW]) == 1


def test_a_session_killed_while_it_makes_room_leaves_nothing_behind(other: psycopg.Connection) -> None:
    table, first = table_of(month_of(NOW)), month_of(NOW)
    other.execute("SELECT pg_advisory_xact_lock(%s)", [storage.OBSERVATIONS.locks[0]])
    other.execute(f"CREATE TABLE {table} (LIKE hydrology_observation INCLUDING ALL)")
    other.execute(
        f"ALTER TABLE hydrology_observation ATTACH PARTITION {table} "
        f"FOR VALUES FROM ('{first}') TO ('{next_month(first)}')"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
    taken(rain_row("rain-1", NOW, 1.0))
    assert (seen(), months()) == ([NOW], [first])
    with pytest.raises(psycopg.OperationalError):
        other.execute("SELECT 1")


@pytest.mark.usefixtures("clean_months")
def test_makers_of_the_same_month_wait_for_one_another() -> None:
    made, start = [], threading.Barrier(4)

    def maker() -> None:
        start.wait()
        made.append(make_room([NOW, LONG_AGO]))
        connections.close_all()

    threads = [threading.Thread(target=maker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, 0, 2]


def test_a_reader_is_not_held_up_while_room_is_made(other: psycopg.Connection) -> None:
    other.execute("SELECT count(*) FROM hydrology_observation").fetchone()  # its transaction stays open
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1ms'")
        assert make_room([NOW]) == 1
        cursor.execute("RESET lock_timeout")


# Letting go


@pytest.mark.usefixtures("clean_months")
def test_a_month_goes_when_all_of_it_is_old_and_is_dropped_later() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    taken(rain_row("rain-1", NOW, 2.0))
    old, ended = table_of(month_of(LONG_AGO)), next_month(month_of(LONG_AGO))
    assert go(ended + 364 * DAY) == []
    assert go(ended + 366 * DAY) == [old]
    assert (seen(), months(), months(attached=False)) == ([NOW], [month_of(NOW)], [month_of(LONG_AGO)])
    assert go(ended + (366 + 89) * DAY) == []
    assert go(ended + (366 + 90) * DAY) == [old]
    assert months(attached=False) == []


@pytest.mark.usefixtures("clean_months")
def test_an_old_storm_played_today_stays_as_long_as_today() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=NOW)
    assert go(NOW + 364 * DAY) == []
    assert go(NOW + 366 * DAY) == [table_of(month_of(LONG_AGO))]


@pytest.mark.usefixtures("clean_months")
def test_a_month_let_go_comes_back_with_its_rows_when_a_late_one_arrives() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    go()
    assert seen() == []
    taken(rain_row("rain-1", LONG_AGO + MINUTE, 2.0), now=NOW)
    assert seen() == [LONG_AGO, LONG_AGO + MINUTE]
    go(NOW + 366 * DAY)
    assert go(NOW + (366 + 89) * DAY) == []  # counted anew


@pytest.mark.usefixtures("clean_months")
def test_a_month_a_warning_rests_on_is_let_go_and_never_dropped() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    month = month_of(LONG_AGO)
    assert go() == [table_of(month)]
    assert go(NOW + 91 * DAY, named=(month,)) == []
    assert months(attached=False) == [month]


@pytest.mark.usefixtures("clean_months")
def test_zero_days_keep_for_ever() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    assert let_go(now=NOW, keep_days=0, archive_days=90, rested_on=tuple) == []
    assert len(let_go(now=NOW, keep_days=365, archive_days=0, rested_on=tuple)) == 1
    assert let_go(now=NOW + 4000 * DAY, keep_days=365, archive_days=0, rested_on=tuple) == []
    assert months(attached=False) == [month_of(LONG_AGO)]


def test_a_reader_that_does_not_end_holds_a_month_back_until_the_next_time(
    other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_month, "PATIENCE", "50ms")
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    other.execute("SELECT count(*) FROM hydrology_observation").fetchone()
    assert go(LONG_AGO + 420 * DAY) == []
    other.rollback()
    go(LONG_AGO + 420 * DAY)
    assert (months(), months(attached=False)) == ([], [month_of(LONG_AGO)])


def test_a_row_for_a_month_half_let_go_brings_it_back(
    other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_month, "PATIENCE", "50ms")
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    other.execute("SELECT count(*) FROM hydrology_observation").fetchone()
    assert go(LONG_AGO + 420 * DAY) == []
    other.rollback()
    assert seen() == []
    taken(rain_row("rain-1", LONG_AGO + MINUTE, 2.0), now=NOW)
    assert seen() == [LONG_AGO, LONG_AGO + MINUTE]


def test_only_one_lets_go_at_a_time(other: psycopg.Connection) -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    other.execute("SELECT pg_advisory_lock(%s)", [storage.OBSERVATIONS.locks[1]])
    assert go() == []
    other.execute("SELECT pg_advisory_unlock(%s)", [storage.OBSERVATIONS.locks[1]])
    assert go() == [table_of(month_of(LONG_AGO))]


# No query looks into months it does not need


@pytest.fixture
def years(db: None) -> Feed:
    """Three years of months, with two instants of rain and stage around the turn of the newest."""
    make_regions()
    for n in range(3):
        make_station(f"rain-{n}", StationKind.RAIN, "440303001")
    make_station("river", StationKind.RIVER, "440304001")
    feed = make_feed()
    make_room(NOW - n * 30 * DAY for n in range(36))
    for at in (NOW - 10 * MINUTE, NOW - 5 * MINUTE):
        taken(*(rain_row(f"rain-{n}", at, 1.0) for n in range(3)), stage("river", at, 3.0))
    return feed


READS: dict[str, Callable[[], object]] = {
    "a series of 24 hours": lambda: history.series(
        "rain-1", Element.RAIN, NOW - DAY, NOW, history.STEPS["5min"]
    ),
    "the same as it was known": lambda: history.series(
        "rain-1", Element.RAIN, NOW - DAY, NOW, history.STEPS["5min"], history.known_at(NOW, NOW)
    ),
    "maxima": lambda: history.maxima("rain-1", NOW - DAY, NOW),
    "levels as they were known": lambda: asof.levels(NOW, NOW + DAY),
    "rain by street": lambda: rain.shelf(Level.STREET, NOW),
    "a post of readings": lambda: taken(
        *(rain_row(f"rain-{n}", NOW, 30.0) for n in range(3)), stage("river", NOW, 3.1)
    ),
    "the watch's first look": lambda: watch.assess_due(now=NOW + watch.GRACE),
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.usefixtures("years", "empty_wire")
def test_it_looks_into_two_months_at_most(what: str) -> None:
    rain.HELD.clear()
    with CaptureQueriesContext(connection) as asked:
        READS[what]()
    selects = [
        query["sql"] for query in asked
        if "hydrology_observation" in query["sql"] and "pg_inherits" not in query["sql"]
        and query["sql"].lstrip().startswith(("SELECT", "WITH"))
    ]  # fmt: skip
    assert selects
    for sql in selects:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        touched = {word for word in plan.split() if word.startswith("hydrology_observation_2")}
        tables = {"_".join(word.split("_")[:4]) for word in touched}
        assert 1 <= len(tables) <= 2, plan


# What is forgotten beside observations


def run(issued_at: datetime, received_at: datetime, content: bytes, product: str = "nowcast") -> GridRun:
    post = FeedPost.objects.create(
        feed=Feed.objects.get(), kind="grid", digest=f"{issued_at}{received_at}", body=b"raw",
        received_at=received_at, answer={},
    )  # fmt: skip
    blob, _ = Blob.objects.get_or_create(digest=content.hex(), defaults={"content": content})
    return GridRun.objects.create(
        product=product, issued_at=issued_at, steps=1, geometry="", blob=blob, missing_share=0.0,
        received_at=received_at, post=post,
    )  # fmt: skip


def event(at: datetime, reasons: object) -> None:
    notice, _ = Notice.objects.get_or_create(
        hazard=Hazard.RAINSTORM, region_id="440303", level=2, peak_level=2, raised_at=NOW
    )
    WarningEvent.objects.create(
        warning=notice, at=at, created_at=at, action="raise", level=WarningLevel(2), areas=[], reasons=reasons
    )


@pytest.fixture
def quiet(db: None) -> Feed:
    make_regions()
    return make_feed()


@pytest.mark.usefixtures("quiet")
def test_old_runs_go_with_their_bytes_and_shared_bytes_stay() -> None:
    old, replayed = run(LONG_AGO, LONG_AGO, b"dry"), run(LONG_AGO + MINUTE, NOW, b"wet")
    young = run(NOW, NOW, b"dry")
    alone = run(LONG_AGO - MINUTE, LONG_AGO, b"alone")
    assert ingest.forget_runs(now=NOW, product="nowcast", keep_days=90) == 2
    assert set(GridRun.objects.all()) == {replayed, young}
    assert ingest.forget_blobs() == 1
    assert set(Blob.objects.values_list("pk", flat=True)) == {old.blob_id, replayed.blob_id}
    assert alone.blob_id not in {old.blob_id, replayed.blob_id}


@pytest.mark.usefixtures("quiet")
def test_runs_a_warning_names_stay_and_odd_reasons_name_nothing() -> None:
    first, second, ahead, unnamed = (run(LONG_AGO + n * MINUTE, LONG_AGO, b"wet") for n in range(4))
    event(LONG_AGO, {"grids": [first.pk, second.pk], "nowcast": {"id": ahead.pk}})
    event(LONG_AGO + MINUTE, {"grids": "none", "nowcast": None})
    event(LONG_AGO + 2 * MINUTE, {"proposal": 7})
    assert grounds.runs_named() == {first.pk, second.pk, ahead.pk}
    ingest.forget_runs(now=NOW, product="nowcast", keep_days=90, named=grounds.runs_named)
    assert not GridRun.objects.filter(pk=unnamed.pk).exists()
    assert GridRun.objects.count() == 3


@pytest.mark.usefixtures("quiet")
def test_a_warning_just_after_the_turn_of_a_month_rests_on_both() -> None:
    event(datetime(2026, 3, 1, 0, 5, tzinfo=UTC), {})
    event(datetime(2026, 5, 9, tzinfo=UTC), {})
    assert grounds.months_named() == {datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 5)}


@pytest.mark.usefixtures("clean_months")
def test_posts_older_than_every_month_go_unless_something_refers_to_them() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    named = run(LONG_AGO, LONG_AGO, b"wet").post_id
    taken(rain_row("rain-1", NOW, 1.0))
    newest = FeedPost.objects.latest("pk").pk
    assert ingest.forget_posts() == 0
    go(LONG_AGO + 420 * DAY)
    assert ingest.forget_posts() == 0  # it could still be brought back
    go(LONG_AGO + 520 * DAY)
    assert ingest.forget_posts() == 1
    assert set(FeedPost.objects.values_list("pk", flat=True)) == {named, newest}


@pytest.mark.usefixtures("quiet")
def test_deletes_go_batch_by_batch_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        run(LONG_AGO + n * MINUTE, LONG_AGO, bytes([n]))
    monkeypatch.setattr(storage.delete_in_batches, "__defaults__", ((), 3))
    with CaptureQueriesContext(connection) as asked:
        assert ingest.forget_runs(now=NOW, product="nowcast", keep_days=90) == 7
    assert sum("DELETE" in query["sql"] for query in asked) == 3


@pytest.mark.usefixtures("clean_months")
def test_the_hourly_job_makes_room_ahead_and_lets_old_things_go() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    run(LONG_AGO, LONG_AGO, b"wet")
    tasks.tidy()
    assert len(months()) == by_month.MONTHS_AHEAD
    assert (seen(), GridRun.objects.count(), Blob.objects.count()) == ([], 0, 0)
    assert not FeedPost.objects.exclude(body=b"").exists()
    assert Latest.objects.get().observed_at == LONG_AGO
    tasks.tidy()


@pytest.mark.usefixtures("clean_months")
def test_a_month_that_comes_back_while_it_is_to_be_dropped_stays() -> None:
    taken(rain_row("rain-1", LONG_AGO, 1.0), now=LONG_AGO)
    go()
    later = NOW + 100 * DAY

    def late_rows_come() -> tuple[datetime, ...]:
        taken(rain_row("rain-1", LONG_AGO + 5 * MINUTE, 7.0), now=later)
        return ()

    assert let_go(now=later, keep_days=365, archive_days=90, rested_on=late_rows_come) == []
    assert seen() == [LONG_AGO, LONG_AGO + 5 * MINUTE]
