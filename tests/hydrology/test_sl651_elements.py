"""SL 651-2014 texts: elements by their definition byte, times, sentinels, clocks, counters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrology.science.sl651 import Coding, Direction, End, Fault, Frame, Function, Receiver
from hydrology.science.sl651_elements import CATEGORIES, CODES, Flaw, Malformed, Measure, Report, decode
from hydrology.science.sl651_fields import (
    RAIN_CAP_MM,
    Address,
    AddressKind,
    ClockState,
    Fallen,
    address,
    bcd,
    clock,
    fallen,
    instant,
    number,
    rain_bytes,
    rain_slots,
    stage_bytes,
    stage_slots,
    status_of,
    true_stages,
)
from tests.hydrology.sl651_writer import encode_text

VECTORS = [
    bytes.fromhex(line)
    for line in (Path(__file__).parent / "sl651_vectors.txt").read_text().splitlines()
    if line.startswith("  ")
]
HEAD = "0001 230907220005"
AT = datetime(2023, 9, 7, 14, 0, tzinfo=UTC)
STATION = "F1F1 4403030001 50 F0F0 2309072200"


def report_of(vector: bytes) -> Report:
    (frame,) = Receiver().feed(vector)
    assert isinstance(frame, Frame)
    return decode(frame)


def read(text: str, function: int = Function.TIMED, head: str = HEAD) -> Report:
    raw = bytes.fromhex(head + text)
    return decode(Frame(Coding.HEX, Direction.UP, 1, "4403030001", 0, function, raw, End.ETX))


def read_ascii(text: str, function: int = Function.TIMED) -> Report:
    raw = b"006A230907220001" + text.encode()
    return decode(Frame(Coding.ASCII, Direction.UP, 1, "4403030001", 0, function, raw, End.ETX))


def only(report: Report) -> Measure:
    assert report.flaws == ()
    (measure,) = report.measures
    return measure


def single_values(report: Report) -> dict[str, float | None]:
    assert report.flaws == ()
    return {measure.code: measure.values[0] for measure in report.measures if len(measure.values) == 1}


# The standard's own reports


def test_uniform_report_has_a_value_every_step_and_keeps_the_hole() -> None:
    rain = only(report_of(VECTORS[0]))
    assert (rain.station, rain.category, rain.code) == ("4403030001", "P", "PN05")
    assert rain.values == (8.5, 11.2, 13.4, None, 15.8, 12.1)
    assert rain.at(0) == datetime(2023, 9, 7, 13, 5, tzinfo=UTC)
    assert rain.at(5) == datetime(2023, 9, 7, 13, 30, tzinfo=UTC)


def test_hourly_report_has_two_times_and_twelve_slots() -> None:
    report = report_of(VECTORS[1])
    rain = report.measures[0]
    assert round(sum(mm or 0 for mm in rain.values), 1) == 112.7
    assert (rain.at(0), rain.at(11)) == (AT - timedelta(minutes=55), AT)
    assert single_values(report) == {"PT": 1234.5, "ZU": 26.435, "VT": 12.68}
    assert {measure.observed_at for measure in report.measures[1:]} == {AT}


def test_event_and_tide_reports() -> None:
    assert single_values(report_of(VECTORS[2])) == {"PN05": 15.8, "P1": 95.4, "PT": 1220.0, "VT": 12.55}
    assert single_values(report_of(VECTORS[3])) == {"Z": -0.37, "VT": 12.5}


def test_ascii_report() -> None:
    report = report_of(VECTORS[11])
    assert (report.serial, report.sent_at) == (0x6A, AT + timedelta(seconds=1))
    assert single_values(report) == {"PN05": 15.8, "PJ": 187.5, "PT": 1234.5, "VT": 12.68}
    assert {measure.category for measure in report.measures} == {"P"}


# Elements


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("391A 001049", 10.49),
        ("3923 00010490", 10.49),
        ("392B 0000010490", 10.49),
        ("762A FF00000172", -1.72),
        ("3923 FF000021", -0.021),
        ("3812 0999", 9.99),
        ("1808 99", 99.0),
    ],
)
def test_width_and_decimals_come_from_the_definition_byte(element: str, value: float) -> None:
    assert only(read(STATION + element)).values == (value,)


@pytest.mark.parametrize(
    ("element", "why"),
    [
        ("3923 FFFFFFFF", "missing"),
        ("3923 AAAAAAAA", "sentinel AAAAAAAA"),
        ("3923 09999999", "sentinel 09999999"),
        ("3923 99999999", "sentinel 99999999"),
        ("3923 FF999999", "sentinel FF999999"),
        ("3923 0001B490", "not BCD: 0001B490"),
        ("091A 000555", ""),
        ("0912 0555", ""),
        ("0910 0444", "closed"),
    ],
)
def test_what_is_no_number_is_missing_with_its_reason(element: str, why: str) -> None:
    measure = only(read(STATION + element))
    assert measure.why == why
    assert (measure.values == (None,)) is bool(why)


def test_two_times_and_two_stations_in_one_body_each_keep_their_elements() -> None:
    report = read(
        "F1F1 4403030001 50 F0F0 2309072155 2019 000040 F0F0 2309072200 2019 000055"
        "F1F1 0044030021 4B F0F0 2309072200 3B23 00026435"
    )
    earlier = AT - timedelta(minutes=5)
    assert [(m.station, m.category, m.observed_at, m.values) for m in report.measures] == [
        ("4403030001", "P", earlier, (4.0,)),
        ("4403030001", "P", AT, (5.5,)),
        ("0044030021", "K", AT, (26.435,)),
    ]


def test_a_station_without_a_time_does_not_take_the_one_before() -> None:
    report = read(f"{STATION} 2019 000040 F1F1 0044030021 4B 3B23 00026435")
    assert report.measures[1].observed_at is None


def test_step_code_repeats_the_element_until_the_next_group() -> None:
    report = read(f"{STATION} 0418 000100 1A19 000010 000020 FFFFFF F0F0 2309072200 3812 1250")
    hourly, battery = report.measures
    assert (hourly.values, hourly.step_s) == ((1.0, 2.0, None), 3600)
    assert (battery.code, battery.values) == ("VT", (12.5,))


def test_slots_of_24_mm_twice_are_not_taken_for_a_time() -> None:
    rain = only(read("F1F1 4403030001 50 F0F0 2309071805 0418 000005 F460" + "F0" * 24, Function.PERIOD))
    assert rain.values == (24.0,) * 24


def test_zero_step_leaves_the_twelve_slots_their_five_minutes() -> None:
    rain = only(read("F1F1 4403030001 50 F0F0 2309072105 0418 000000 F460 0500000014FFFFFFFFFF0000"))
    assert (rain.step_s, rain.values) == (300, (0.5, 0, 0, 0, 2.0, None, None, None, None, None, 0, 0))


def test_relative_stages_become_true_with_the_base_value() -> None:
    stages = only(read("F1F1 4403030001 48 F0F0 2309072105 F5C0 000C 0031 FFFF" + "FFFF" * 9))
    assert true_stages(stages.values[:3], 10.0) == (10.12, 10.49, None)


def test_slots_that_would_end_after_the_report_was_sent_have_no_time() -> None:
    report = read(f"{STATION} F460 000000000000FFFFFFFFFFFF 2619 002345")
    slots, total = report.measures
    assert (slots.observed_at, total.observed_at) == (None, AT)
    assert [(flaw.where, flaw.fault) for flaw in report.flaws] == [("DRP", Fault.STATION)]


def test_status_names_its_bits_and_has_no_class() -> None:
    state = only(read("F1F1 0011223344 4520 00000440", Function.STATUS))
    assert (state.station, state.category) == ("0011223344", "")
    assert status_of(int(state.values[0] or 0)) == ("stage_meter_failed", "pump_stopped")


def test_user_extensions_pictures_and_manual_text_are_kept_raw() -> None:
    extension, battery = read(f"{STATION} FF11 23 00000008 3812 1244").measures
    assert (extension.code, extension.raw, extension.values) == ("FF11", b"\0\0\0\x08", ())
    assert battery.values == (12.44,)
    assert only(read("F2F2 2050204A", Function.MANUAL)).raw == b" P J"
    picture = only(read(f"{STATION} F3F3 FFD8F1F1F0F0", Function.PICTURE))
    assert (picture.code, picture.raw, picture.observed_at) == ("PIC", b"\xff\xd8\xf1\xf1\xf0\xf0", AT)


def test_parameters_of_other_functions_are_not_taken_for_water() -> None:
    report = read("F1F1 0011223344 2001 2105", 0x42)
    assert report.measures == ()
    assert report.rest == bytes.fromhex("F1F1 0011223344 2001 2105")


def test_a_flaw_names_offset_field_and_fault_and_loses_nothing_before_it() -> None:
    report = read(f"{STATION} 2019 000040 3923 0001")
    assert single_values(replace(report, flaws=())) == {"PJ": 4.0}
    assert report.flaws == (Flaw(28, "Z", "needs 4 bytes, 2 are left", Fault.STATION),)
    assert report.rest == bytes.fromhex("3923 0001")


def test_a_time_in_no_calendar_is_told_and_its_elements_have_none() -> None:
    report = read("F1F1 4403030001 50 F0F0 2309312200 2019 000040")
    assert [(flaw.offset, flaw.where) for flaw in report.flaws] == [(16, "observed_at")]
    assert report.measures[0].observed_at is None


def test_a_text_without_a_head_is_malformed() -> None:
    with pytest.raises(Malformed, match=r"serial at byte 0: .*\(station\)"):
        decode(Frame(Coding.HEX, Direction.UP, 1, "4403030001", 0, 0x32, b"\0\1", End.ETX))


def test_ascii_missing_negative_steps_and_slots() -> None:
    report = read_ascii(
        "ST 4403030001 H TT 2309072105 DRP 550000000014FFFFFFFF0000 DRN05 PN05 1.5 M 2.0 "
        "TT 2309072200 Z -0.37 ZB M ZU 9999.999 ZT 00000440"
    )
    assert [(m.code, m.values, m.step_s) for m in report.measures[:2]] == [
        ("DRP", (8.5, 0, 0, 0, 0, 2.0, None, None, None, None, 0, 0), 300),
        ("PN05", (1.5, None, 2.0), 300),
    ]
    assert single_values(report) == {"Z": -0.37, "ZB": None, "ZU": None, "ZT": 0x440}


def test_a_bad_word_in_ascii_costs_only_itself() -> None:
    report = read_ascii("ST 4403030001 P TT 2309072200 PJ x PT 1234.5 ?? VT 12.68")
    assert {measure.code: measure.values for measure in report.measures} == {"PT": (1234.5,), "VT": (12.68,)}
    assert [(flaw.offset, flaw.where) for flaw in report.flaws] == [
        (46, "PJ"),
        (49, "element"),
        (61, "element"),
    ]


# Any text


single_codes = st.sampled_from(
    sorted(set(CODES.values()) - {"ZT", "GH"} - {f"DRZ{n}" for n in range(1, 9)} - {"DRP"})
)
instants = st.integers(0, 60 * 24 * 365).map(lambda n: AT - timedelta(minutes=n))
rtus = st.from_regex(r"[0-9]{6}[0-9A-F]{4}", fullmatch=True)


@st.composite
def measures(draw: st.DrawFn) -> Measure:
    place = (draw(rtus), draw(st.sampled_from(sorted(CATEGORIES.values()))), draw(instants))
    if draw(st.booleans()):
        slots = draw(
            st.lists(st.none() | st.integers(0, 254).map(lambda n: n / 10), min_size=12, max_size=12)
        )
        sent_before = place[2] - timedelta(hours=1)
        why = "missing" if None in slots else ""
        return Measure(*place[:2], sent_before, "DRP", 0x60, tuple(slots), 300, why, rain_bytes(slots)[0])
    width, decimals = draw(st.integers(3, 6)), draw(st.integers(0, 7))
    value = draw(st.none() | st.integers(-8000, 80_000).map(lambda n: n / 10**decimals))
    raw = bcd(value, width, decimals)
    return Measure(
        *place,
        draw(single_codes),
        width << 3 | decimals,
        (value,),
        0,
        "" if value is not None else "missing",
        raw,
    )


@given(st.lists(measures(), max_size=6), st.integers(0, 0xFFFF))
def test_a_written_report_is_read_as_it_was(written: list[Measure], serial: int) -> None:
    report = Report(0x32, Direction.UP, "4403030001", serial, "230907220005", tuple(written))
    text = encode_text(report)
    frame = Frame(Coding.HEX, Direction.UP, 1, "4403030001", 0, 0x32, text, End.ETX)
    assert decode(frame) == report


@given(st.binary(max_size=80), st.sampled_from(Coding), st.sampled_from([0x30, 0x31, 0x35, 0x38, 0x46]))
@example(b"\xff", Coding.HEX, 0x32)
@example(b"\x04\x18\x00\x00\x05\xf4\x00", Coding.HEX, 0x38)
def test_any_text_is_read_and_no_byte_of_it_is_read_twice(text: bytes, coding: Coding, function: int) -> None:
    head = b"006A230907220001" if coding is Coding.ASCII else bytes.fromhex("006A230907220001")
    report = decode(Frame(coding, Direction.UP, 1, "4403030001", 0, function, head + text, End.ETX))
    assert sum(len(measure.raw) for measure in report.measures) + len(report.rest) <= len(text)
    assert report.rest == b"" or report.flaws


# Fields


@given(st.integers(3, 8), st.integers(0, 7), st.integers(-8000, 90_000))
def test_a_number_is_read_as_written(width: int, decimals: int, digits: int) -> None:
    value = digits / 10**decimals
    assert number(bcd(value, width, decimals), decimals) == (value, "")


def test_a_number_that_does_not_fit_is_not_cut() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        bcd(-1234.5, 3, 1)


@given(st.lists(st.integers(0, 900).map(lambda n: n / 10), min_size=12, max_size=12))
def test_rain_beyond_the_cap_is_carried_and_no_drop_is_lost(slots_mm: list[float]) -> None:
    raw, over_mm = rain_bytes(slots_mm)
    read_mm = [mm for mm in rain_slots(raw) if mm is not None]
    assert max(read_mm) <= RAIN_CAP_MM
    assert round(sum(read_mm) + over_mm, 1) == round(sum(slots_mm), 1)


def test_carried_rain_stands_in_the_next_slot() -> None:
    assert rain_bytes([30.0, 0.5, None, 26.0]) == (bytes([0xFE, 51, 0xFF, 0xFE]), 0.6)


@given(st.lists(st.none() | st.integers(0, 0xFFFE).map(lambda n: n / 100)))
def test_relative_stages_are_read_as_written(slots_m: list[float | None]) -> None:
    assert stage_slots(stage_bytes(slots_m)) == tuple(slots_m)


@pytest.mark.parametrize(
    ("digits", "utc"),
    [
        ("2309072200", AT),
        ("230907220005", AT + timedelta(seconds=5)),
        ("2402290000", datetime(2024, 2, 28, 16, tzinfo=UTC)),
        ("2302290000", None),
        ("2309072400", None),
        ("23090722aa", None),
        ("", None),
    ],
)
def test_times_are_beijing_time(digits: str, utc: datetime | None) -> None:
    assert instant(digits) == utc


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        ("230907220000", ClockState.RIGHT),
        ("230907220500", ClockState.RIGHT),
        ("230907220501", ClockState.FAST),
        ("230907215459", ClockState.SLOW),
        ("591011155111", ClockState.LOST),
        ("230709220000", ClockState.LOST),
        ("000000000000", ClockState.LOST),
    ],
)
def test_a_clock_more_than_five_minutes_off_is_told(sent: str, state: ClockState) -> None:
    assert clock(instant(sent), AT).state is state


@pytest.mark.parametrize(
    ("rtu", "kind", "code", "number_in_district"),
    [
        ("0044030021", AddressKind.HYDROLOGICAL, "44030021", None),
        ("0000000000", AddressKind.IRREGULAR, "00000000", None),
        ("00440300AB", AddressKind.IRREGULAR, "440300AB", None),
        ("40590235C2", AddressKind.ADMINISTRATIVE, "40590235C2", 0x35C2),
        ("4403030000", AddressKind.IRREGULAR, "4403030000", 0),
        ("440303EA61", AddressKind.RELAY, "440303EA61", 60_001),
        ("440303FFFF", AddressKind.BROADCAST, "440303FFFF", 65_535),
    ],
)
def test_both_kinds_of_address(
    rtu: str, kind: AddressKind, code: str, number_in_district: int | None
) -> None:
    assert address(rtu) == Address(kind, code, number_in_district)


NEW_YEAR = datetime(2023, 12, 31, 16, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("at", "before_mm", "mm", "verdict"),
    [
        (AT, 1220.0, 1234.5, Fallen(14.5, "difference")),
        (NEW_YEAR, 2100.0, 0.5, Fallen(0.5, "counted from 1 January")),
        (AT, 9998.5, 1.0, Fallen(2.5, "the counter began again")),
        (AT, 1220.0, 3.0, Fallen(None, "the counter was reset or exchanged")),
    ],
)
def test_running_total_is_differenced_over_its_resets(
    at: datetime, before_mm: float, mm: float, verdict: Fallen
) -> None:
    assert fallen(at - FIVE, before_mm, at, mm) == verdict


def test_running_totals_out_of_order_say_nothing() -> None:
    assert fallen(AT, 10.0, AT, 11.0).mm is None
