"""The door of `POST ingest/readings`: what comes through, what is refused, and how the refusal reads."""

import json
from datetime import UTC, datetime, timedelta, timezone
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrology.science.readings import (
    MAX_ROWS,
    SENTINELS,
    Element,
    MalformedBody,
    Reading,
    Rejection,
    parse_readings,
)

NOW = datetime(2023, 9, 7, 10, 25, tzinfo=UTC)
ROW = {"station": "81203455", "element": "rain_mm", "observed_at": "2023-09-07T18:20:00+08:00", "value": 8.5}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def parse_one(**changes: object) -> Reading | Rejection:
    good, refused = parse_readings({"readings": [ROW | changes]}, now=NOW)
    assert len(good) + len(refused) == 1
    return good[0][1] if good else refused[0]


def code_of(**changes: object) -> str:
    outcome = parse_one(**changes)
    assert isinstance(outcome, Rejection), outcome
    return outcome.code


def test_a_rain_reading_is_five_minutes_ending_at_its_time_in_utc() -> None:
    assert parse_one() == Reading(
        "81203455", Element.RAIN, datetime(2023, 9, 7, 10, 20, tzinfo=UTC), 8.5, 300
    )


def test_a_level_is_instantaneous() -> None:
    reading = parse_one(element="stage_m", value=-0.35)
    assert isinstance(reading, Reading)
    assert (reading.element, reading.value, reading.duration_s) == (Element.STAGE, -0.35, 0)


def test_an_hourly_sum_keeps_its_duration() -> None:
    reading = parse_one(duration_s=3600)
    assert isinstance(reading, Reading)
    assert reading.duration_s == 3600


@pytest.mark.parametrize(("text", "value"), [("12.35", 12.35), ("-0.5", -0.5), (" 7 ", 7.0), ("+1.0", 1.0)])
def test_a_number_sent_as_text_is_a_number(text: str, value: float) -> None:
    reading = parse_one(element="stage_m", value=text)
    assert isinstance(reading, Reading)
    assert reading.value == value


@pytest.mark.parametrize("value", [None, "", *sorted(SENTINELS), "9999.999", "-9999", 9999])
def test_a_value_that_stands_for_missing_is_refused(value: object) -> None:
    assert code_of(value=value) == "sentinel"


@pytest.mark.parametrize("value", [nan, float("inf"), "NaN", "abc", "1e3", "12,5", "١٢", True, [1], 10**400])
def test_what_is_no_plain_number_is_refused(value: object) -> None:
    assert code_of(value=value) == "not_a_number"


@pytest.mark.parametrize(
    "time", [None, 1694082000, "", "yesterday", "2023-13-01T00:00:00+08:00", "0001-01-01T00:00+08:00"]
)
def test_what_is_no_time_is_refused(time: object) -> None:
    assert code_of(observed_at=time) == "bad_time"


def test_a_time_without_zone_is_refused() -> None:
    assert code_of(observed_at="2023-09-07T18:20:00") == "no_zone"


def test_a_clock_up_to_five_minutes_ahead_is_forgiven_and_no_more() -> None:
    assert isinstance(parse_one(observed_at=(NOW + timedelta(minutes=5)).isoformat()), Reading)
    assert code_of(observed_at=(NOW + timedelta(minutes=5, seconds=1)).isoformat()) == "in_the_future"


def test_a_station_whose_clock_fell_back_to_1959_is_refused() -> None:
    assert code_of(observed_at="1959-09-07T18:20:00+08:00") == "too_old"


@pytest.mark.parametrize("station", [None, 81203455, "", "   ", "x" * 33, "8120\x003455", "8120\ud8003455"])
def test_a_station_code_that_could_not_be_stored_is_refused(station: object) -> None:
    assert code_of(station=station) == "bad_station"


@pytest.mark.parametrize("duration_s", [0, -300, 300.0, True, "300", 72 * 3600 + 1])
def test_a_duration_that_is_none_is_refused(duration_s: object) -> None:
    assert code_of(duration_s=duration_s) == "bad_duration"


def test_a_level_cannot_last() -> None:
    assert code_of(element="stage_m", duration_s=300) == "bad_duration"


@pytest.mark.parametrize("element", [None, "rain", "RAIN_MM", ["rain_mm"]])
def test_an_unknown_element_is_refused(element: object) -> None:
    assert code_of(element=element) == "unknown_element"


def test_one_bad_row_never_loses_the_good_ones() -> None:
    rows = [ROW, ROW | {"value": None}, "junk", ROW | {"station": "G2"}]
    good, refused = parse_readings({"readings": rows}, now=NOW)
    assert [(index, reading.station) for index, reading in good] == [(0, "81203455"), (3, "G2")]
    assert [(rejection.index, rejection.code) for rejection in refused] == [
        (1, "sentinel"),
        (2, "not_an_object"),
    ]


def test_a_refusal_names_field_and_value_and_what_to_do_in_both_languages() -> None:
    rejection = parse_one(value="9999.999")
    assert isinstance(rejection, Rejection)
    assert rejection.message_en == "value '9999.999' stands for a missing value: leave the row out"
    assert rejection.message_zh == "value '9999.999' 表示缺测,不是观测值,请不要上报该行"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([ROW], "body"),
        ({}, "readings"),
        ({"readings": {}}, "readings"),
        ({"readings": [ROW] * (MAX_ROWS + 1)}, "readings"),
    ],
)
def test_a_body_of_another_shape_is_malformed(body: object, field: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_readings(body, now=NOW)
    assert caught.value.field == field
    assert caught.value.reason


@given(rows=st.lists(json_values | st.fixed_dictionaries(dict.fromkeys(ROW, json_values)), max_size=5))
def test_every_row_of_any_json_is_either_taken_or_refused_in_few_words(rows: list[object]) -> None:
    good, refused = parse_readings({"readings": rows}, now=NOW)
    assert sorted([index for index, _ in good] + [r.index for r in refused]) == list(range(len(rows)))
    assert all(len(r.message_en) < 300 and len(r.message_zh) < 300 for r in refused)


@given(
    at=st.datetimes(datetime(2000, 1, 2), datetime(2023, 9, 6)),  # noqa: DTZ001 zone is drawn below
    zone_min=st.integers(-14 * 60, 14 * 60),
    value=st.floats(-500, 500).filter(lambda value: value not in SENTINELS),
)
def test_any_zone_is_the_same_instant_and_no_value_is_changed(
    at: datetime, zone_min: int, value: float
) -> None:
    zoned = at.replace(tzinfo=timezone(timedelta(minutes=zone_min)))
    reading = parse_one(**json.loads(json.dumps({"observed_at": zoned.isoformat(), "value": value})))
    assert isinstance(reading, Reading)
    assert (reading.observed_at, reading.value) == (zoned, value)
    assert reading.observed_at.tzinfo is UTC


@pytest.mark.parametrize(
    "broken",
    [
        {"station": ""},
        {"observed_at": datetime(2023, 9, 7)},
        {"observed_at": datetime(2023, 9, 7, tzinfo=timezone(timedelta(hours=8)))},
        {"value": nan},
        {"duration_s": 0},
        {"element": Element.STAGE},
    ],
)
def test_an_invalid_reading_cannot_exist(broken: dict[str, object]) -> None:
    valid = {"station": "G", "element": Element.RAIN, "observed_at": NOW, "value": 1.0, "duration_s": 300}
    with pytest.raises(ValueError, match=r"station|observed_at|value|last"):
        Reading(**(valid | broken))  # type: ignore[arg-type]
