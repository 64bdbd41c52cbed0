"""MICAPS diamond 4: rows, missing values and times as the title tells them, and no text that can hurt."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.formats.micaps4 import MAX_BYTES, decode
from hydrology.science.grids import BadGrid, Grid, Product, make_grid
from hydrology.science.rainfall import SLOT

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)  # 20:00 in Beijing
LAT = np.array([22.62, 22.61, 22.60])
LON = np.array([114.10, 114.11, 114.12, 114.13])
RAIN_MM = np.arange(12, dtype=np.float64).reshape(3, 4) / 4
amounts = st.integers(0, 15_000).map(lambda n: n / 100) | st.just(np.nan)


def written(
    title: str = "202309072005_5min",
    rain_mm: NDArray[np.float64] = RAIN_MM,
    *,
    when: str = "2023 09 07 20 0",
    rows: str = "22.62 22.60",
    steps: str = "0.01 -0.01",
    contours: str = "5 0 100 0 0",
    encoding: str = "utf-8",
) -> bytes:
    values = "\n".join(" ".join("9999.00" if np.isnan(v) else f"{v:.2f}" for v in row) for row in rain_mm)
    head = f"diamond 4 {title}\n{when} 0 {steps} 114.10 114.13 {rows}\n{rain_mm.shape[1]} {rain_mm.shape[0]} {contours}\n"
    return (head + values + "\n").encode(encoding)


def encode(grid: Grid) -> bytes:
    """The grid as a body of diamond 4 fields, one a step."""
    stamp_at = grid.issued_at + timedelta(hours=8)
    fields = []
    for end, rain_mm in zip(grid.valid_at, grid.rain_mm.astype(np.float64), strict=True):
        lead = f".{(end - grid.issued_at) // timedelta(minutes=1):03d}" if grid.product == "nowcast" else ""
        title = f"{stamp_at:%Y%m%d%H%M}{lead}_5分钟降水"
        fields.append(written(title, rain_mm, when=f"{stamp_at:%y %m %d %H} 0"))
    return b"".join(fields)


def grid_of(rain_mm: NDArray[np.float64], product: Product = "observed") -> Grid:
    ends = [AT + step * SLOT for step in range(1, len(rain_mm) + 1)]
    return make_grid(product, AT if product == "nowcast" else ends[-1], ends, LAT, LON, rain_mm)


ONE = grid_of(RAIN_MM[None])


def refusal(body: bytes) -> BadGrid:
    with pytest.raises(BadGrid) as caught:
        decode(body)
    assert caught.value.what_to_do
    return caught.value


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (3, 3, 4), elements=amounts))
def test_a_nowcast_joined_from_its_files_is_read_back(rain_mm: NDArray[np.float64]) -> None:
    grid = grid_of(rain_mm, "nowcast")
    assert decode(encode(grid)) == grid


@settings(max_examples=10, deadline=None)
@given(arrays(np.float64, (1, 3, 4), elements=amounts))
def test_an_observation_is_read_back(rain_mm: NDArray[np.float64]) -> None:
    assert decode(encode(grid_of(rain_mm))) == grid_of(rain_mm)


def test_rows_from_the_south_are_turned() -> None:
    body = written(rain_mm=RAIN_MM[::-1], rows="22.60 22.62", steps="0.01 0.01")
    assert decode(body) == ONE == decode(written())


def test_rows_from_the_north_are_known_by_their_ends_whatever_sign_the_spacing_has() -> None:
    assert decode(written(steps="0.01 0.01")) == ONE


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
def test_the_title_may_be_gbk_or_utf_8_with_or_without_a_mark(encoding: str) -> None:
    assert decode(written("深圳202309072005雨量5分钟", encoding=encoding)) == ONE


@pytest.mark.parametrize("when", ["23 09 07 20 0", "2023 9 7 20 000", "23 9 7 020 0"])
def test_years_may_have_two_digits_and_numbers_leading_zeros(when: str) -> None:
    assert decode(written(when=when)) == ONE


def test_hour_and_lead_may_be_swapped() -> None:
    grid = decode(written("202309072000.030_5min", when="2023 09 07 30 20"))
    assert (grid.product, grid.issued_at, grid.valid_at[-1]) == ("nowcast", AT, AT + 6 * SLOT)
    assert np.isnan(grid.rain_mm[:-1]).all()  # the leads that were not sent


def test_without_a_lead_in_the_title_the_hours_of_the_header_count() -> None:
    grid = decode(written("202309072000_5min", when="2023 09 07 20 1"))
    assert (grid.product, grid.valid_at[-1]) == ("nowcast", AT + timedelta(hours=1))


def test_a_length_is_not_taken_for_a_lead() -> None:
    assert decode(written("2309072005_005min")) == ONE


def test_commas_between_thousands_are_no_separators() -> None:
    body = written().replace(b"2.75", b"1,002.75")
    grid = decode(body)
    assert grid.dropped == 1
    assert np.isnan(grid.rain_mm[0, 2, 3])
    assert refusal(written().replace(b"2.75", b"2,75")).field == "rain"


def test_missing_is_9999_and_never_zero() -> None:
    grid = decode(written().replace(b"0.25 0.50", b"9999 9999.0"))
    np.testing.assert_array_equal(np.isnan(grid.rain_mm[0, 0]), [False, True, True, False])
    assert grid.dropped == 0


def test_six_minute_fields_become_five_minute_steps_of_the_same_total() -> None:
    body = b"".join(written(f"202309072000.{lead:03d}_6min", RAIN_MM) for lead in range(6, 31, 6))
    grid = decode(body)
    assert grid.valid_at == tuple(AT + n * SLOT for n in range(1, 7))
    np.testing.assert_allclose(grid.rain_mm.sum(axis=0), 5 * RAIN_MM, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("title", written("2023090720_003时效001小时降水预报场")),
        ("title", written("202309072005")),
        ("title", written("202309072105_5min")),
        ("title", written("202309072005_5min_60min")),
        ("title", written("202309072075_5min")),
        ("time", written("202309072005_60min")),
        ("time", written("202309072003_5min")),
        ("time", written(when="2023 13 07 20 0")),
        ("time", written("999912312359.999_5min", when="9999 12 31 23 0")),
        ("time", written(when="2023 1e8 07 20 0")),
        ("time", written("202309072000.010_5min") + written("202309072005.010_5min")),
        ("time", written("202309072000.010_5min") * 2),
        ("file", written("202309072005_5min") + written("202309072000.010_5min")),
        ("file", written("202309072000.005_5min") + written("202309072000.010_5min", RAIN_MM[:, ::-1], rows="22.72 22.70")),
        ("header", written("a title with spaces 202309072005_5min")),
        ("header", written(contours="5 0 -2 0 0")),
        ("header", b"diamond 4 title 2023 09 07"),
        ("header", written(when="nan 09 07 20 0")),
        ("header", written(when="2023 09 07 20 30")),
        ("lat", written(steps="0.01 -0.02")),
        ("lon", written().replace(b"\n4 3 ", b"\n4.5 3 ")),
        ("lon", written().replace(b"\n4 3 ", b"\n9999999 3 ")),
        ("rain", written() + b"1.0"),
        ("rain", written()[:-6]),
        ("rain", written().replace(b"2.75", b"2.7x")),
        ("file", written().replace(b"diamond 4", b"diamond 3")),
        ("file", b"preface " + written()),
        ("file", b""),
        ("file", bytes(MAX_BYTES + 1)),
        ("file", b"diamond 4 " * 300),
        ("file", b"diamond " + b"4" * 5000),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_understood_is_refused_by_field(field: str, body: bytes) -> None:
    assert refusal(body).field == field


BODIES = [
    encode(grid_of(np.stack((RAIN_MM, RAIN_MM)), "nowcast")),
    written("雨202309072005_5分钟", encoding="gb18030"),
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_a_grid_or_a_refusal_and_nothing_else(draw: st.DataObject) -> None:
    body = bytearray(draw.draw(st.sampled_from(BODIES), label="body"))
    digits = st.sampled_from(b"0123456789.-,en \n")
    places = st.integers(0, len(body) - 1)
    for at, byte in draw.draw(st.lists(st.tuples(places, digits | st.integers(0, 255)), max_size=8)):
        body[at] = byte
    cut = draw.draw(st.just(len(body)) | st.integers(0, len(body)), label="cut")
    try:
        grid = decode(bytes(body[:cut]))
    except BadGrid:
        return
    assert grid.rain_mm.shape == (len(grid.valid_at), grid.lat.size, grid.lon.size)
    assert not (grid.rain_mm < 0).any()
