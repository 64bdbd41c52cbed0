"""Polling SL 323 databases: a real PostgreSQL with the deviations seen in the field; MySQL where MYSQL_TEST_URL is set."""

import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from django.db import connection
from psycopg import sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.dialects import mssql, mysql, postgresql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from foundation.clock import local
from foundation.errors import Refusal
from hydrology import ingest
from hydrology.models import Feed, FeedPost, Latest, Observation, Source, SourceKind
from hydrology.science.sl323_mapping import database_mapping
from hydrology.sources import database, polls, sl323
from hydrology.sources.fetched import Fetched
from tests.hydrology.factories import MINUTE, NOW

HERE = local(NOW).replace(tzinfo=None)  # how the source writes the present
TABLES = """
CREATE TABLE {s}.st_pptn_r (stcd varchar(20), tm timestamp NOT NULL, drp numeric(5,1), invt numeric(5,2));
CREATE TABLE {s}."ST_RSVR_R" ("STCD" char(20), "STTP" char(2), "TM" timestamp, "RZ" numeric(7,3), "INQ" numeric(9,3),
    "OTQ" numeric(9,3), "W" numeric(9,3), "RWPTN" char(1), "MODITIME" timestamp);
"""
MAPPING = {
    "names": "lower",
    "tables": {"ST_PPTN_R": {"columns": {"INTV": "invt"}, "units": {"INTV": "min"}}},
}
LAKES = {"tables": {"ST_RSVR_R": {"units": {"W": "10^4 m3"}, "modified": "MODITIME"}}}


@dataclass
class Theirs:
    """Somebody else's schema, and a hand that writes in it."""

    schema: str
    address: str
    hand: psycopg.Connection[Any]

    def rain(self, *rows: tuple[str, datetime, Any]) -> None:
        self.put("st_pptn_r", [(*row, 5) for row in rows])

    def put(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        rows = list(rows)
        marks = sql.SQL(",").join([sql.Placeholder()] * len(rows[0]))
        table = sql.Identifier(self.schema, name)
        with self.hand.cursor() as cursor:
            cursor.executemany(sql.SQL("INSERT INTO {} VALUES ({})").format(table, marks), rows)

    def say(self, statement: str) -> None:
        self.hand.execute(sql.SQL(statement.replace("{s}", self.schema)))


@pytest.fixture
def theirs(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Theirs]:
    at = connection.settings_dict
    schema = f"hydro_{secrets.token_hex(4)}"
    monkeypatch.setenv("SOURCE_PASSWORD", at["PASSWORD"] or "none")
    address = URL.create(
        "postgresql",
        at["USER"] or None,
        database=at["NAME"],
        port=int(at["PORT"]) if at["PORT"] else None,
        host="" if at["PORT"] else None,
        query={"host": at["HOST"]} if at["HOST"] else {},  # may be the folder of a socket
    ).render_as_string(hide_password=False)
    with psycopg.connect(
        dbname=at["NAME"], user=at["USER"] or None, password=at["PASSWORD"] or None, host=at["HOST"] or None,
        port=at["PORT"] or None, autocommit=True,
    ) as hand:  # fmt: skip
        hand.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        made = Theirs(schema, address, hand)
        made.say(TABLES)
        yield made
        hand.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def source_of(theirs: Theirs, feed: Feed, mapping: dict[str, Any] = MAPPING, **root: Any) -> Source:
    return Source.objects.create(
        key="water-bureau", feed=feed, kind=SourceKind.DATABASE, address=theirs.address,
        secret_env="SOURCE_PASSWORD", mapping=mapping | {"schema": theirs.schema} | root, due_at=NOW,
    )  # fmt: skip


def poll(source: Source, now: datetime = NOW) -> list[Fetched]:
    """As polls.py does it: take, then remember."""
    came = []
    for fetched in sl323.fetch(source, now):
        if fetched.body:
            ingest.take_readings(source.feed, fetched.body, now)
        source.mark = fetched.mark
        source.save()
        came.append(fetched)
    return came


def entries(came: list[Fetched]) -> list[dict[str, Any]]:
    return [entry for each in came if each.body for entry in orjson.loads(each.body)["readings"]]


def stored() -> set[tuple[str, datetime, float]]:
    rows = Observation.objects.latest_revision().values_list("station_id", "observed_at", "value")
    return {(code, local(at).replace(tzinfo=None), value) for code, at, value in rows}


def test_new_rows_become_observations_and_are_fetched_once(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2), ("rain-2", HERE - 5 * MINUTE, 0.4))
    source = source_of(theirs, feed)
    poll(source)
    assert stored() == {("rain-1", HERE, 1.2), ("rain-2", HERE - 5 * MINUTE, 0.4)}
    assert Observation.objects.get(station="rain-1").duration_s == 300
    assert poll(source) == []
    assert FeedPost.objects.count() == 1


def test_the_sweep_polls_it_and_shows_what_could_not_be_read(theirs: Theirs, feed: Feed) -> None:
    theirs.put("st_pptn_r", [("rain-1", HERE, 1.2, 5), ("rain-2", HERE, 0.7, None)])
    source = source_of(theirs, feed)
    assert polls.claim(source, NOW)
    (came,) = polls.poll(source, raining=False, clock=lambda: NOW)
    assert (came.accepted, came.rejected) == (1, 1)
    source.refresh_from_db()
    assert source.good_at == NOW and source.failures == 0 and "invt" in source.fault
    assert source.mark["tables"]["st_pptn_r"]["until"] == HERE.isoformat()


def test_a_late_row_inside_the_overlap_comes_in_and_only_that_row(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    source = source_of(theirs, feed)
    poll(source)
    theirs.rain(("rain-2", HERE - 100 * MINUTE, 3.0))
    (entry,) = entries(poll(source, NOW + MINUTE))
    assert (entry["station"], entry["value"]) == ("rain-2", 3.0)
    assert ("rain-2", HERE - 100 * MINUTE, 3.0) in stored()


def test_a_corrected_row_comes_again_as_a_revision(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    source = source_of(theirs, feed)
    poll(source)
    theirs.say("UPDATE {s}.st_pptn_r SET drp = 1.4")
    poll(source, NOW + MINUTE)
    assert stored() == {("rain-1", HERE, 1.4)} and Observation.objects.count() == 2


def test_a_row_another_feed_corrected_is_not_put_back(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    source = source_of(theirs, feed)
    poll(source)
    theirs.rain(("rain-2", HERE, 0.1))  # the same five minutes
    assert [entry["station"] for entry in entries(poll(source))] == ["rain-2"]


@pytest.mark.parametrize("stations", [1, 3])
def test_full_pages_lose_no_row(
    theirs: Theirs, feed: Feed, monkeypatch: pytest.MonkeyPatch, stations: int
) -> None:
    monkeypatch.setattr(sl323, "PAGE_ROWS", 4)
    rows = [(f"rain-{1 + k}", HERE - 5 * MINUTE * n, float(n)) for n in range(10) for k in range(stations)]
    theirs.rain(*rows)
    poll(source_of(theirs, feed))
    assert stored() == {(code, at, value) for code, at, value in rows}


def test_more_rows_of_one_key_than_a_page_do_not_stop_the_poll(
    theirs: Theirs, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a primary key the same station and instant stand there often."""
    monkeypatch.setattr(sl323, "PAGE_ROWS", 4)
    theirs.rain(*[("rain-1", HERE - 5 * MINUTE, 1.0)] * 30, ("rain-1", HERE, 2.0))
    poll(source_of(theirs, feed))
    assert stored() == {("rain-1", HERE - 5 * MINUTE, 1.0), ("rain-1", HERE, 2.0)}


def test_a_backlog_longer_than_a_poll_is_worked_off_by_the_next_ones(
    theirs: Theirs, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sl323, "PAGE_ROWS", 20)
    rows = [("rain-1", HERE - MINUTE * n, n / 10) for n in range(300)]
    theirs.rain(*rows)
    source = source_of(theirs, feed, poll_rows=100)
    sizes = [len(entries(poll(source))) for _ in range(4)]
    assert sum(sizes) == 300 and sizes[-1] == 0
    assert max(sizes) < 100 + sl323.PAGE_ROWS  # it ends with the page that fills it
    assert stored() == set(rows)


def test_killed_between_taking_and_remembering_nothing_is_lost_or_doubled(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    source = source_of(theirs, feed)
    (fetched,) = sl323.fetch(source, NOW)
    ingest.take_readings(feed, fetched.body, NOW)  # the mark is never stored
    poll(Source.objects.get())
    assert stored() == {("rain-1", HERE, 1.2)} and Observation.objects.count() == 1


def test_a_clock_ahead_does_not_carry_the_mark_along(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE + timedelta(days=900), 1.2), ("rain-2", HERE, 0.2))
    source = source_of(theirs, feed)
    (fetched,) = poll(source)
    assert "is more than 5 minutes ahead" in fetched.note
    theirs.rain(("rain-2", HERE + 5 * MINUTE, 0.4))
    poll(source, NOW + 5 * MINUTE)
    assert ("rain-2", HERE + 5 * MINUTE, 0.4) in stored()
    assert Feed.objects.get().feedmark.rejected == 1


def test_what_cannot_be_read_is_counted_kept_and_told_and_the_rest_goes_in(
    theirs: Theirs, feed: Feed
) -> None:
    theirs.put(
        "st_pptn_r", [("rain-1", HERE, 1.2, 5), ("rain-2", HERE, 0.7, None), ("rain-3", HERE, None, 5)]
    )
    source = source_of(theirs, feed)
    (fetched,) = poll(source)
    assert stored() == {("rain-1", HERE, 1.2)}
    post = FeedPost.objects.get()
    (rejected,) = post.answer["rejected"]
    assert rejected["code"] == "unreadable"
    assert all(word in rejected["en"] for word in ("st_pptn_r", "rain-2", "2026-09-07 20:00", "invt"))
    kept = orjson.loads(bytes(post.body))
    assert kept["missing"] == 1
    assert any(entry.get("row", {}).get("DRP") == "0.7" for entry in kept["readings"])
    assert source.mark["unread"]["values"] == 1 and "invt" in fetched.note
    assert poll(source) == []  # told once


def test_levels_flows_and_storage_by_time_of_change(theirs: Theirs, feed: Feed) -> None:
    def lake(at: datetime, level: float, changed: datetime) -> tuple[Any, ...]:
        return ("gated", "RR", at, level, 3.5, None, 120.4, "5", changed)

    theirs.put("ST_RSVR_R", [lake(HERE, 27.31, HERE)])
    source = source_of(theirs, feed, LAKES)
    poll(source)
    values = dict(Latest.objects.values_list("element", "value"))
    assert values == {"stage_m": 27.31, "inflow_m3s": 3.5, "storage_m3": 1_204_000.0}
    theirs.put(
        "ST_RSVR_R", [lake(HERE - timedelta(hours=20), 27.1, HERE + MINUTE)]
    )  # very late, but changed now
    poll(source, NOW + 2 * MINUTE)
    assert ("gated", HERE - timedelta(hours=20), 27.1) in stored()


def test_rows_without_a_time_of_change_are_not_lost_in_silence(theirs: Theirs, feed: Feed) -> None:
    theirs.put("ST_RSVR_R", [("gated", "RR", HERE, 27.3, None, None, None, None, None)])
    with pytest.raises(Refusal) as refusal:
        poll(source_of(theirs, feed, LAKES))
    assert "leave modified out" in refusal.value.en


def test_reversed_trend_codes_are_told_with_the_poll(theirs: Theirs, feed: Feed) -> None:
    rising = [
        ("gated", "RR", HERE - 5 * MINUTE * n, 28 - n / 10, None, None, None, "4", HERE) for n in range(12)
    ]
    theirs.put("ST_RSVR_R", rising)
    lakes = {"tables": {"ST_RSVR_R": {}}}
    source = source_of(theirs, feed, lakes)
    came = poll(source)
    assert "11/11" in came[-1].note and not came[-1].body
    assert "ST_RSVR_R" in source.mark["notes"]


def test_a_mended_mapping_reads_the_overlap_again(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("81001", HERE, 1.2))
    source = source_of(theirs, feed)
    poll(source)
    assert not stored()  # no such station
    source.mapping["station"] = {"codes": {"81001": "rain-1"}}
    poll(source, NOW + MINUTE)
    assert stored() == {("rain-1", HERE, 1.2)}


def test_a_missing_column_is_named_and_the_other_tables_are_read(theirs: Theirs, feed: Feed) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    mapping = {"names": "lower", "tables": {"ST_RIVER_R": {}, **MAPPING["tables"]}}  # type: ignore[dict-item]
    source = source_of(theirs, feed, mapping)
    with pytest.raises(Refusal) as refusal:
        poll(source)
    assert refusal.value.code == "source_fault" and "st_river_r" in refusal.value.en
    assert stored() == {("rain-1", HERE, 1.2)}


def test_nothing_can_be_written_through_the_reading_connection(theirs: Theirs, feed: Feed) -> None:
    source = source_of(theirs, feed)
    mapping = database.mapping_of(source)
    engine = database.engine_of(source, mapping)
    assert not_writable(engine, mapping, f"DELETE FROM {theirs.schema}.st_pptn_r")


def not_writable(engine: Engine, mapping: database.DatabaseMapping, statement: str) -> bool:
    with engine.connect() as reading:
        for said in database.opening(reading, mapping):
            reading.execute(text(said))
        with pytest.raises(DBAPIError, match=r"(?i)read.?only"):
            reading.execute(text(statement))
    return True


def test_a_slow_query_is_ended_by_the_source_itself(theirs: Theirs, feed: Feed) -> None:
    theirs.say("CREATE VIEW {s}.slow AS SELECT *, pg_sleep(60)::text AS nap FROM {s}.st_pptn_r")
    theirs.rain(("rain-1", HERE, 1.2))
    slow = {
        "ST_PPTN_R": {"table": "slow", "columns": {"STCD": "nap", "INTV": "invt"}, "units": {"INTV": "min"}}
    }
    source = source_of(theirs, feed, MAPPING | {"tables": slow}, timeout_s=1)
    with pytest.raises(Refusal, match="took too long"):
        poll(source)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://reader:hidden@127.0.0.1/x", "must not hold a password"),
        ("sqlite:///somewhere.db", "not supported"),
        ("mysql://reader@127.0.0.1/x?local_infile=1", "local_infile"),
        ("water bureau", "Not the address"),
        ("postgresql://reader@127.0.0.1:1/x", "does not answer"),
        ("mysql://reader@127.0.0.1:1/x", "does not answer"),
        ("mssql://reader@127.0.0.1:1/x", "does not answer"),
    ],
)
def test_a_wrong_address_is_refused_with_what_to_do(
    theirs: Theirs, feed: Feed, address: str, words: str
) -> None:
    source = source_of(theirs, feed)
    source.address = address
    if "127.0.0.1:1/" not in address:
        with pytest.raises(Refusal):
            database.check(source)
    with pytest.raises(Refusal) as refusal:
        poll(source)
    assert words in refusal.value.en and "hidden" not in str(refusal.value)


def test_the_variable_may_hold_the_whole_url(
    theirs: Theirs, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.rain(("rain-1", HERE, 1.2))
    source = source_of(theirs, feed)
    monkeypatch.setenv("SOURCE_URL", theirs.address)
    source.address, source.secret_env = "", "SOURCE_URL"
    poll(source)
    assert stored()


@pytest.mark.parametrize("dialect", [mssql.dialect(), mysql.dialect(), postgresql.dialect()])  # type: ignore[no-untyped-call]
def test_pages_compile_for_every_dialect_with_its_own_quotes(dialect: Any) -> None:
    """SQL Server is only compiled for: there is none to ask here."""
    mapping = database_mapping({"schema": "dbo", "tables": {"ST_PPTN_R": {"columns": {"INTV": "order"}}}})
    (each,) = mapping.tables
    first = str(sl323.page_of(mapping, each, HERE, None, 50).compile(dialect=dialect))
    start = {"STCD": "81001", "cursor_at": HERE}
    second = str(sl323.page_of(mapping, each, HERE, start, 50).compile(dialect=dialect))
    opened, closed = {"mssql": "[]", "mysql": "``", "postgresql": '""'}[dialect.name]
    assert f"{opened}order{closed}" in first and "ORDER BY" in first and "ST_PPTN_R" in first
    assert ("TOP" in first) == (dialect.name == "mssql")
    assert ">=" in second and " OR " in second
    assert first.startswith("SELECT") and second.startswith("SELECT")


@pytest.fixture
def mysql_url() -> str:
    url = os.environ.get("MYSQL_TEST_URL", "")
    if not url:
        pytest.skip("MYSQL_TEST_URL is not set: MySQL is not asked")
    return url


def test_mysql_is_polled_the_same_way(mysql_url: str, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sl323, "PAGE_ROWS", 3)
    monkeypatch.setenv("SOURCE_URL", mysql_url)
    hand = create_engine(mysql_url.replace("mysql://", "mysql+pymysql://", 1), isolation_level="AUTOCOMMIT")
    rows = [("rain-1", HERE - 5 * MINUTE * n, n / 10) for n in range(10)]
    with hand.connect() as writing:
        writing.execute(text("DROP TABLE IF EXISTS ST_PPTN_R"))
        writing.execute(
            text("CREATE TABLE ST_PPTN_R (STCD char(8), TM datetime, DRP decimal(5,1), INTV decimal(5,2))")
        )
        writing.execute(text("DROP TABLE IF EXISTS ST_RIVER_R"))
        writing.execute(text("CREATE TABLE ST_RIVER_R (STCD char(8), TM timestamp, Z decimal(7,3))"))
        writing.execute(
            text("SET SESSION time_zone = '+08:00'")
        )  # a TIMESTAMP is an instant, shown in this zone
        writing.execute(text("INSERT INTO ST_RIVER_R VALUES ('river', :at, 3.21)"), {"at": HERE})
        for code, at, mm in rows:
            values = {"code": code, "at": at, "mm": mm}
            writing.execute(text("INSERT INTO ST_PPTN_R VALUES (:code, :at, :mm, 0.05)"), values)
    source = Source.objects.create(
        key="mysql", feed=feed, kind=SourceKind.DATABASE, secret_env="SOURCE_URL", due_at=NOW,
        mapping={"tables": {"ST_PPTN_R": {}, "ST_RIVER_R": {"columns": {"Q": None, "WPTN": None}}}},
    )  # fmt: skip
    poll(source)
    assert stored() == {*rows, ("river", HERE, 3.21)}
    assert poll(source) == []
    mapping = database.mapping_of(source)
    assert not_writable(database.engine_of(source, mapping), mapping, "DELETE FROM ST_PPTN_R")
    hand.dispose()


def test_a_whole_url_that_cannot_be_read_is_a_fault_that_does_not_quote_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCE_URL", "postgresql://user:p@ss:Secret9@host/db")
    with pytest.raises(Refusal) as raised:
        database.url_of(Source(secret_env="SOURCE_URL"))
    assert raised.value.fields.keys() == {"secret_env"}
    assert "Secret9" not in raised.value.zh + raised.value.en
    assert raised.value.__suppress_context__
