"""The Hong Kong nowcast: its real layout and its real damage, half hours shared out, and no text that can hurt."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology import ingest
from hydrology.models import Feed, GridRun
from hydrology.science.formats.hko_csv import HALF_HOUR, MAX_BYTES, decode
from hydrology.science.grids import BadGrid, unpack
from hydrology.science.rainfall import SLOT

HEADER = (
    "Updated Date and Time (in Hong Kong Time),Ending Date and Time (in Hong Kong Time),Latitude (degree),"
    "Longitude (degree),Half-hourly Nowcast Accumulated Rainfall (mm)\n"
)
UPDATED = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)  # 20:00 in Hong Kong
LAT, LON = np.linspace(23.487, 21.328, 121)[40:52], np.linspace(112.956, 115.291, 121)[60:70]
SHAPE = (4, 12, 10)
amounts = st.integers(0, 30_000).map(lambda n: n / 100)
RAIN_MM = np.arange(480, dtype=np.float64).reshape(SHAPE) / 10


def encode(
    rain_mm: NDArray[np.float64] = RAIN_MM, updated_at: datetime = UPDATED, header: str = HEADER
) -> bytes:
    """The file as the Observatory writes it: half hour by half hour, northern row first, 3 and 2 decimals."""
    hkt = [f"{updated_at + timedelta(hours=8) + n * HALF_HOUR:%Y%m%d%H%M}" for n in range(5)]
    return (header + "".join(
        f"{hkt[0]},{hkt[n + 1]},{lat:.3f},{lon:.3f},{rain_mm[n, y, x]:.2f}\n"
        for n in range(4) for y, lat in enumerate(LAT) for x, lon in enumerate(LON)
    )).encode("utf-8-sig")  # fmt: skip


def refusal(body: bytes) -> BadGrid:
    with pytest.raises(BadGrid) as caught:
        decode(body)
    assert caught.value.what_to_do
    return caught.value


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, SHAPE, elements=amounts))
def test_every_half_hour_keeps_its_sum_to_the_hundredth(rain_mm: NDArray[np.float64]) -> None:
    grid = decode(encode(rain_mm))
    assert (grid.product, grid.issued_at, grid.dropped) == ("nowcast", UPDATED, 0)
    assert grid.valid_at == tuple(UPDATED + n * SLOT for n in range(1, 25))
    by_half_hour = np.rint(grid.rain_mm.astype(np.float64) * 100).reshape(4, 6, 12, 10).sum(axis=1)
    np.testing.assert_array_equal(by_half_hour, np.rint(rain_mm * 100))
    np.testing.assert_allclose(grid.lat, LAT, atol=0.0006)
    np.testing.assert_allclose(grid.lon, LON, atol=0.0006)


def test_an_update_between_two_steps_begins_with_the_first_whole_one() -> None:
    updated_at = UPDATED + timedelta(minutes=12)
    grid = decode(encode(np.full(SHAPE, 6.0), updated_at))
    assert grid.issued_at == UPDATED + timedelta(minutes=15)
    assert (grid.valid_at[0], grid.valid_at[-1]) == (grid.issued_at + SLOT, UPDATED + timedelta(minutes=130))
    np.testing.assert_array_equal(grid.rain_mm, np.ones((23, 12, 10), dtype=np.float32))


def test_the_language_of_the_header_does_not_matter() -> None:
    traditional = "更新日期及時間,結束日期及時間,緯度,經度,雨量\n"
    assert decode(encode(header=traditional)) == decode(encode()) == decode(encode().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    "damage", ["\n", "5.291,1.73\n", ",21.328,115.291,0.00\n", "202309072000,2023090720"]
)
def test_the_rest_of_a_longer_file_behind_the_rows_is_passed_over(damage: str) -> None:
    assert decode(encode() + damage.encode()) == decode(encode())


@pytest.mark.parametrize(
    ("row", "damaged"),
    [
        (b",0.10\n", b",0.100000\n"),
        (
            b"202309072000,202309072030,22.767,114.143,0.10",
            b"202309072000,202309072030,22.767,1202309072000,2023",
        ),
        (b"202309072000,202309072030,22.767,114.143,0.10", b"202309072000,202309072030,22.767,114.1433,0.10"),
        (b"202309072000,202309072030,22.767,114.143,0.10", b"202309072000,202309072030,22.76,114.143,0.10"),
        (b"202309072000,202309072030,22.767,114.143,0.10", b"202309072012,202309072042,22.767,114.143,0.10"),
        (b"202309072000,202309072030,22.767,114.143,0.10\n", b""),
    ],
)
def test_a_damaged_row_leaves_its_cell_missing_and_moves_no_other(row: bytes, damaged: bytes) -> None:
    assert encode().count(row) == 1
    grid, whole = decode(encode().replace(row, damaged)), decode(encode())
    assert np.isnan(grid.rain_mm[:6, 0, 1]).all()
    mended = grid.rain_mm.copy()
    mended[:6, 0, 1] = whole.rain_mm[:6, 0, 1]
    np.testing.assert_array_equal(mended, whole.rain_mm)
    assert grid.geometry == whole.geometry


def test_more_rain_than_the_world_has_seen_is_dropped_and_counted() -> None:
    rain_mm = RAIN_MM.copy()
    rain_mm[3, 2, 2] = 5406.92
    grid = decode(encode(rain_mm))
    assert grid.dropped == 1
    assert np.isnan(grid.rain_mm[18:, 2, 2]).all()
    assert not np.isnan(grid.rain_mm[:18]).any()


def test_a_post_of_it_becomes_a_nowcast_run(feed: Feed) -> None:
    body = encode(updated_at=UPDATED + timedelta(minutes=12))
    answer = ingest.take_grid(feed, body, UPDATED + timedelta(minutes=24))
    run = GridRun.objects.get()
    assert (answer["accepted"], run.product, run.steps) == (1, "nowcast", 23)
    assert run.issued_at == UPDATED + timedelta(minutes=15)
    np.testing.assert_array_equal(unpack(bytes(run.blob.content), (23, 12, 10)), decode(body).rain_mm)


LINES = encode().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("file", b""),
        ("file", HEADER.encode()),
        ("file", bytes(MAX_BYTES + 1)),
        ("rain", b"".join(LINES[:440])),  # cut in the last half hour
        ("rain", b"".join(LINES[:60])),  # cut in the first
        ("rain", b"".join(LINES[:100] + LINES[110:])),
        (
            "time",
            b"".join(LINES + encode(updated_at=UPDATED + timedelta(minutes=12)).splitlines(keepends=True)),
        ),
        ("time", encode().replace(b"202309072000,", b"202313072000,")),
        ("time", encode().replace(b"202309072000,", b"000109072000,")),
        ("lat", b"".join(line for line in LINES if b",22.731," not in line)),
        ("lat", LINES[1]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_field(field: str, body: bytes) -> None:
    assert refusal(body).field == field


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_a_grid_or_a_refusal_and_nothing_else(draw: st.DataObject) -> None:
    body = bytearray(encode())
    bytes_like = st.sampled_from(b"0123456789.-,en \n") | st.integers(0, 255)
    for at, byte in draw.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), bytes_like), max_size=8)):
        body[at] = byte
    cut = draw.draw(st.just(len(body)) | st.integers(0, len(body)), label="cut")
    try:
        grid = decode(bytes(body[:cut]))
    except BadGrid:
        return
    assert grid.rain_mm.shape[1:] == (grid.lat.size, grid.lon.size)
    assert not (grid.rain_mm < 0).any()
