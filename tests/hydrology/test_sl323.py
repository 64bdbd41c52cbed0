"""Rows of SL 323 tables to readings, and the mapping that says how a source differs from the standard."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.readings import SENTINELS, Element
from hydrology.science.sl323 import RowRead, TrendCheck, read_row
from hydrology.science.sl323_mapping import BadMapping, DatabaseMapping, Table, Trend, database_mapping

NOW = datetime(2026, 9, 7, 12, tzinfo=UTC)  # 20:00 in Shenzhen
TM = datetime(2026, 9, 7, 19, 55)
RAIN = {"STCD": "81001", "TM": TM, "DRP": Decimal("12.5"), "INTV": Decimal("0.05")}


def mapped(kind: str, table: dict[str, Any] | None = None, **root: Any) -> DatabaseMapping:
    return database_mapping({"tables": {kind: table or {}}, **root})


def read(kind: str, row: dict[str, Any], table: dict[str, Any] | None = None, **root: Any) -> RowRead:
    mapping = mapped(kind, table, **root)
    return read_row(row, mapping.tables[0], mapping, NOW)


def test_rain_is_the_sum_over_the_interval_that_ends_at_beijing_time() -> None:
    (reading,) = read("ST_PPTN_R", RAIN).readings
    assert reading.observed_at == datetime(2026, 9, 7, 11, 55, tzinfo=UTC)
    assert (reading.station, reading.element, reading.value) == ("81001", Element.RAIN, 12.5)
    assert reading.duration_s == 300


@pytest.mark.parametrize(
    ("unit", "given_interval", "seconds"),
    [
        ("HH.mm", Decimal("0.05"), 300),
        ("HH.mm", 0.05, 300),  # a binary fraction
        ("HH.mm", "0.30", 1800),
        ("HH.mm", 0.3, 1800),
        ("HH.mm", 1, 3600),
        ("HH.mm", Decimal("1.30"), 5400),
        ("HH.mm", Decimal("24.00"), 86_400),
        ("h", Decimal("0.5"), 1800),
        ("h", Decimal("1.00"), 3600),
        ("min", 5, 300),
        ("min", Decimal("60.00"), 3600),
    ],
)
def test_an_interval_is_read_as_the_source_writes_it(unit: str, given_interval: Any, seconds: int) -> None:
    found = read("ST_PPTN_R", RAIN | {"INTV": given_interval}, table={"units": {"INTV": unit}})
    assert [reading.duration_s for reading in found.readings] == [seconds]


@pytest.mark.parametrize(
    "given_interval", [Decimal("0.75"), "five", None, 0, Decimal("99.00"), True, float("nan")]
)
def test_an_interval_that_is_none_is_not_guessed(given_interval: Any) -> None:
    found = read("ST_PPTN_R", RAIN | {"INTV": given_interval})
    assert not found.readings
    (unread,) = found.unread
    assert (unread.table, unread.stcd, unread.column) == ("ST_PPTN_R", "81001", "INTV")
    assert "2026-09-07 19:55" in unread.tm and unread.zh and unread.en


def test_a_source_without_intervals_has_the_one_the_mapping_states() -> None:
    table = {"columns": {"INTV": None}, "interval_min": 5}
    row = {name: value for name, value in RAIN.items() if name != "INTV"}
    assert read("ST_PPTN_R", row, table=table).readings[0].duration_s == 300


def test_rows_over_other_intervals_can_be_left_out() -> None:
    hourly = read("ST_PPTN_R", RAIN | {"INTV": 1}, table={"intervals_min": [5]})
    assert hourly.skipped and not hourly.readings and not hourly.unread
    assert read("ST_PPTN_R", RAIN, table={"intervals_min": [5]}).readings


@pytest.mark.parametrize("value", [None, "", "  ", -9999, Decimal("9999.9"), *sorted(SENTINELS)])
def test_null_and_sentinels_are_missing_and_nobodys_fault(value: Any) -> None:
    found = read("ST_PPTN_R", RAIN | {"DRP": value})
    assert (found.readings, found.unread, found.missing) == ([], [], 1)


def test_a_source_may_have_a_sentinel_of_its_own() -> None:
    assert read("ST_PPTN_R", RAIN | {"DRP": -99}, sentinels=[-99]).missing == 1
    assert read("ST_PPTN_R", RAIN | {"DRP": -99}).readings[0].value == -99  # quality control says it is wrong


@pytest.mark.parametrize(
    ("unit", "stated"), [("10^6 m3", Decimal("1.204")), ("10^4 m3", Decimal("120.4")), ("m3", 1_204_000)]
)
def test_storage_is_cubic_metres_whatever_the_source_counts_in(unit: str, stated: Any) -> None:
    row = {
        "STCD": "R1",
        "TM": TM,
        "RZ": Decimal("27.310"),
        "W": stated,
        "INQ": None,
        "OTQ": "3.5",
        "RWPTN": "5",
    }
    found = read("ST_RSVR_R", row, table={"units": {"W": unit}})
    values = {reading.element: reading.value for reading in found.readings}
    assert values == {Element.STAGE: 27.31, Element.OUTFLOW: 3.5, Element.STORAGE: 1_204_000.0}
    assert found.missing == 1


def test_one_bad_value_loses_only_itself() -> None:
    found = read("ST_RIVER_R", {"STCD": "Z1", "TM": TM, "Z": Decimal("3.21"), "Q": "about 5"})
    assert [reading.value for reading in found.readings] == [3.21]
    assert [unread.column for unread in found.unread] == ["Q"]


def test_the_fault_names_the_column_as_the_source_calls_it() -> None:
    found = read("ST_PPTN_R", RAIN | {"INTV": "x"}, table={"table": "rain5", "columns": {"INTV": "invt"}})
    assert (found.unread[0].table, found.unread[0].column) == ("rain5", "invt")


@pytest.mark.parametrize(
    ("tm", "utc"),
    [
        (datetime(2026, 9, 7, 19, 55, 3), "11:55:00"),
        (datetime(2026, 9, 7, 19, 54, 58), "11:55:00"),
        ("2026-09-07 19:55", "11:55:00"),
        ("2026/09/07 19:55:00", "11:55:00"),
        (datetime(2026, 9, 7, 11, 55, tzinfo=UTC), "11:55:00"),
    ],
)
def test_rain_stands_on_the_nearest_whole_minute(tm: Any, utc: str) -> None:
    assert f"{read('ST_PPTN_R', RAIN | {'TM': tm}).readings[0].observed_at:%H:%M:%S}" == utc


def test_a_level_keeps_its_seconds() -> None:
    (reading,) = read("ST_TIDE_R", {"STCD": "T1", "TM": datetime(2026, 9, 7, 19, 55, 3), "TDZ": 0.5}).readings
    assert reading.observed_at.second == 3


@pytest.mark.parametrize(
    "tm",
    [
        None,
        "soon",
        20260907,
        datetime(1959, 1, 1),
        datetime(2026, 9, 8, 3, 55),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_an_impossible_time_loses_the_row_with_its_reason(tm: Any) -> None:
    found = read("ST_PPTN_R", RAIN | {"TM": tm})
    assert not found.readings and [unread.column for unread in found.unread] == ["TM"]


def test_a_source_in_utc_says_so() -> None:
    (reading,) = read("ST_PPTN_R", RAIN | {"TM": datetime(2026, 9, 7, 11, 55)}, zone="UTC").readings
    assert reading.observed_at == NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("stcd", "station", "ours"),
    [
        ("81001   ", {}, "81001"),
        (81001, {"width": 8}, "00081001"),
        ("MS1104403070000342", {"strip": "MS110"}, "4403070000342"),
        ("81001", {"prefix": "SZ-"}, "SZ-81001"),
        ("81001", {"prefix": "SZ-", "codes": {"81001": "SYG0001"}}, "SYG0001"),
    ],
)
def test_station_codes_are_trimmed_and_mapped(stcd: Any, station: dict[str, Any], ours: str) -> None:
    assert read("ST_PPTN_R", RAIN | {"STCD": stcd}, station=station).readings[0].station == ours


@pytest.mark.parametrize("stcd", [None, "   ", "x" * 33, "a\x00b"])
def test_a_row_without_a_code_is_said_to_have_none(stcd: Any) -> None:
    assert read("ST_PPTN_R", RAIN | {"STCD": stcd}).unread[0].column == "STCD"


anything = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.datetimes(),
    st.binary(),
    st.booleans(),
)


@given(st.sampled_from(Table), st.dictionaries(
    st.sampled_from(["STCD", "TM", "DRP", "INTV", "RZ", "W", "INQ", "RWPTN", "Z", "Q", "WPTN", "TDZ"]), anything
))  # fmt: skip
def test_no_row_crashes_the_reader_and_every_value_is_accounted_for(
    table: Table, row: dict[str, Any]
) -> None:
    mapping = mapped(table)
    found = read_row(row, mapping.tables[0], mapping, NOW)
    values = len(mapping.tables[0].values)
    assert len(found.readings) + found.missing + len(found.unread) == values or len(found.unread) == 1


def moves(levels: list[float], codes: list[str], **table: Any) -> TrendCheck:
    mapping = mapped("ST_RIVER_R", table=table)
    check = TrendCheck()
    for n, (level, code) in enumerate(zip(levels, codes, strict=True)):
        at = TM - timedelta(hours=5) + timedelta(minutes=5 * n)
        row = {"STCD": "Z1", "TM": at, "Z": level, "Q": None, "WPTN": code}
        check.look(read_row(row, mapping.tables[0], mapping, NOW))
    return check


RISING = [1 + n / 10 for n in range(12)]


def test_trend_codes_the_other_way_round_are_noticed_from_the_levels() -> None:
    check = moves(RISING, ["4"] * 12)
    assert (check.same, check.opposite) == (0, 11)
    assert "11/11" in check.note() and "Z1" in check.note()
    assert not moves(RISING, ["4"] * 12, trend={"4": "rising", "5": "falling", "6": "steady"}).note()


def test_trend_codes_that_agree_or_say_nothing_are_not_mentioned() -> None:
    assert not moves(RISING, ["5"] * 12).note()
    assert not moves(RISING, ["6"] * 12).note()
    assert not moves(RISING[:5], ["4"] * 5).note()  # too few to tell
    assert not moves([1.0, 1.005] * 6, ["4"] * 12).note()  # a ripple


def test_a_full_mapping_is_read() -> None:
    mapping = database_mapping(
        {
            "schema": "hydro", "names": "lower", "zone": "Asia/Shanghai", "overlap_s": 3600, "first_s": 7200,
            "poll_rows": 1000, "timeout_s": 10, "sentinels": [-99],
            "station": {"prefix": "SZ", "codes": {"1": "a"}},
            "tables": {
                "ST_PPTN_R": {"columns": {"INTV": "invt"}, "units": {"INTV": "min"}, "modified": "moditime"},
                "ST_RSVR_R": {"table": "ST_RSVR_R2", "columns": {"INQ": None}, "trend": {"4": "rising"}},
            },
            "registers": {"ST_STBPRP_B": {"columns": {"ADDVCD": None}}},
        }
    )  # fmt: skip
    rain, lake = mapping.tables
    assert (rain.table, rain.columns["DRP"], rain.columns["INTV"]) == ("st_pptn_r", "drp", "invt")
    assert (rain.interval, rain.modified) == ("min", "moditime")
    assert lake.table == "ST_RSVR_R2" and "INQ" not in lake.columns and lake.trend == {"4": Trend.RISING}
    assert mapping.registers["ST_STBPRP_B"].table == "st_stbprp_b"
    assert -99.0 in mapping.sentinels and mapping.overlap_s == 3600


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ([], "mapping"),
        ({}, "tables"),
        ({"tabels": {}}, "mapping.tabels"),
        ({"tables": {"ST_PPTN": {}}}, "tables.ST_PPTN"),
        ({"tables": {"ST_PPTN_R": []}}, "tables.ST_PPTN_R"),
        ({"tables": {"ST_PPTN_R": {"units": {"INTV": "HHmm"}}}}, "tables.ST_PPTN_R.units.INTV"),
        ({"tables": {"ST_RSVR_R": {"units": {"W": "万方"}}}}, "tables.ST_RSVR_R.units.W"),
        ({"tables": {"ST_PPTN_R": {"columns": {"INTV": None}}}}, "tables.ST_PPTN_R.columns.INTV"),
        ({"tables": {"ST_RIVER_R": {"columns": {"Z": None}}}}, "tables.ST_RIVER_R.columns.Z"),
        ({"tables": {"ST_RIVER_R": {"columns": {"ZZ": "z"}}}}, "tables.ST_RIVER_R.columns.ZZ"),
        ({"tables": {"ST_RIVER_R": {"table": "r; drop table x"}}}, "tables.ST_RIVER_R.table"),
        ({"tables": {"ST_RIVER_R": {"trend": {"4": "up"}}}}, "tables.ST_RIVER_R.trend.4"),
        ({"tables": {"ST_PPTN_R": {"interval_min": 0}}}, "tables.ST_PPTN_R.interval_min"),
        ({"tables": {"ST_PPTN_R": {}}, "zone": "Beijing"}, "zone"),
        ({"tables": {"ST_PPTN_R": {}}, "zone": "../etc/passwd"}, "zone"),
        ({"tables": {"ST_PPTN_R": {}}, "overlap_s": "2h"}, "overlap_s"),
        ({"tables": {"ST_PPTN_R": {}}, "station": {"code": {}}}, "station.code"),
        ({"tables": {"ST_PPTN_R": {}}, "schema": "a b"}, "schema"),
        ({"tables": {"ST_PPTN_R": {}}, "sentinels": ["-99"]}, "sentinels"),
        ({"tables": {"ST_PPTN_R": {}}, "names": "Lower"}, "names"),
    ],
)  # fmt: skip
def test_a_faulty_mapping_is_refused_with_the_field_and_a_remedy(mapping: Any, field: str) -> None:
    with pytest.raises(BadMapping) as error:
        database_mapping(mapping)
    assert error.value.field == field
    assert error.value.zh and error.value.en


def test_a_misspelt_name_is_answered_with_the_likely_one() -> None:
    with pytest.raises(BadMapping) as error:
        database_mapping({"tables": {"ST_PPTN_R": {"column": {}}}})
    assert "did you mean columns?" in error.value.en
