"""Grids are normalised once, packed without loss, and laid over places without a loop."""

import csv
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import BadGrid, Grid, Zones, make_grid, pack, quantise, unpack
from hydrology.science.rainfall import SLOT, lay_slots, sliding_maxima

GIVEN = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_storm = pytest.mark.skipif(not (GIVEN / "storm").is_dir(), reason="no ../shared/data/storm beside us")

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
LAT = np.array([22.62, 22.61, 22.60])
LON = np.array([114.10, 114.11, 114.12, 114.13])
amounts = st.integers(0, 15_000).map(lambda n: n / 100) | st.just(np.nan)
fields = arrays(np.float64, (2, 3, 4), elements=amounts)


def grid_of(
    rain_mm: NDArray[np.float64], lat: NDArray[np.float64] = LAT, lon: NDArray[np.float64] = LON
) -> Grid:
    ends = [AT + step * SLOT for step in range(len(rain_mm))]
    return make_grid("observed", ends[-1], ends, lat, lon, rain_mm)


@given(fields)
def test_a_grid_sent_upside_down_is_the_same_grid(rain_mm: NDArray[np.float64]) -> None:
    upright = grid_of(rain_mm)
    assert grid_of(rain_mm[:, ::-1], lat=LAT[::-1]) == upright
    assert grid_of(rain_mm[:, :, ::-1], lon=LON[::-1]) == upright
    assert (np.diff(upright.lat) < 0).all()
    assert (np.diff(upright.lon) > 0).all()


def test_grids_that_differ_in_one_cell_or_in_missing_differ() -> None:
    rain_mm = np.zeros((1, 3, 4))
    other, holed = rain_mm.copy(), rain_mm.copy()
    other[0, 1, 2], holed[0, 1, 2] = 0.01, np.nan
    assert grid_of(rain_mm) != grid_of(other)
    assert grid_of(rain_mm) != grid_of(holed)
    assert grid_of(holed) == grid_of(holed)


def test_impossible_values_become_missing_and_are_counted() -> None:
    rain_mm = np.zeros((1, 3, 4))
    rain_mm[0, 0] = [-0.01, 150.01, np.inf, np.nan]
    rain_mm[0, 1] = [-0.001, 150.0, 0.004, 0.006]
    grid = grid_of(rain_mm)
    assert np.isnan(grid.rain_mm[0, 0]).all()
    np.testing.assert_array_equal(grid.rain_mm[0, 1], np.float32([0, 150, 0, 0.01]))
    assert grid.dropped == 3


def test_geometry_is_one_key_for_single_and_double_precision() -> None:
    single = grid_of(np.zeros((1, 3, 4)), LAT.astype(np.float32), LON.astype(np.float32))
    assert single.geometry == grid_of(np.zeros((1, 3, 4))).geometry
    assert single.geometry == "22.62000-0.01000x3,114.10000+0.01000x4"
    assert grid_of(np.zeros((1, 3, 4)), LAT + 0.01).geometry != single.geometry


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("lat", {"lat": np.array([22.62, 22.61, 22.55])}),
        ("lat", {"lat": np.array([122.62, 122.61, 122.60])}),
        ("lat", {"lat": np.array([22.6])}),
        ("lon", {"lon": np.array([114.1, np.nan, 114.12, 114.13])}),
        ("lon", {"lon": np.full(4, 114.1)}),
        ("rain", {"rain_mm": np.zeros((1, 4, 3))}),
        ("rain", {"valid_at": [], "rain_mm": np.zeros((0, 3, 4))}),
        ("rain", {"valid_at": [AT + step * SLOT for step in range(49)], "rain_mm": np.zeros((49, 3, 4))}),
        ("time", {"valid_at": [AT.replace(tzinfo=None)]}),
        ("time", {"valid_at": [AT + timedelta(minutes=2)]}),
        ("time", {"valid_at": [AT, AT + 2 * SLOT], "rain_mm": np.zeros((2, 3, 4))}),
        ("time", {"product": "nowcast", "issued_at": AT + SLOT}),
    ],
)
def test_a_grid_that_cannot_be_placed_is_refused_by_field(field: str, changes: dict[str, object]) -> None:
    valid = {"product": "observed", "issued_at": AT, "valid_at": [AT], "lat": LAT, "lon": LON}
    with pytest.raises(BadGrid) as caught:
        make_grid(**(valid | {"rain_mm": np.zeros((1, 3, 4))} | changes))  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.reason
    assert caught.value.what_to_do


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 150) | st.just(np.nan)))
def test_packing_loses_nothing_of_quantised_rain(rain_mm: NDArray[np.float64]) -> None:
    quantised = quantise(rain_mm)
    unpacked = unpack(pack(rain_mm), (3, 5))
    assert unpacked.tobytes() == quantised.tobytes()
    assert quantise(quantised).tobytes() == quantised.tobytes()
    assert pack(quantised) == pack(rain_mm)
    np.testing.assert_allclose(quantised, rain_mm, atol=0.00501)


def test_fields_packed_before_differences_are_still_read() -> None:
    packed = zlib.compress(np.array([[0, 15_000, -1], [7, 0, 250]], "<i2").tobytes(), 1)
    expected = np.array([[0.0, 150.0, np.nan], [0.07, 0.0, 2.5]], np.float32)
    assert np.array_equal(unpack(packed, (2, 3)), expected, equal_nan=True)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"junk",
        b"\x01",
        b"\x01junk",
        pack(np.zeros((2, 2))),
        pack(np.zeros((3, 3)))[:-8],
        b"\x01\x04\x00\x00\x00" + pack(np.zeros((3, 3)))[5:],
        b"\x01\x00\x00\x00\x00" + pack(np.zeros((3, 3)))[5:],
        zlib.compress(bytes(10**7)),
        b"\x01\x03\x00\x00\x00" + zlib.compress(bytes(10**7)),
    ],
)
def test_bytes_of_another_shape_do_not_unpack(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed field"):
        unpack(packed, (3, 3))


pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11)), max_size=40, unique=True)


@given(pairs, arrays(np.float64, (2, 12), elements=amounts), amounts.filter(lambda mm: mm == mm))
def test_zones_reduce_like_a_loop_over_places(
    members: list[tuple[int, int]], field: NDArray[np.float64], threshold: float
) -> None:
    """Empty places among them: that is where reduceat would answer with a neighbour's cell."""
    zones = Zones.of("abcdef", np.array([p for p, _ in members], int), np.array([c for _, c in members], int))
    for place in range(6):
        cells = sorted(cell for owner, cell in members if owner == place)
        for step in range(2):
            inside = field[step, cells] if cells else np.array([])
            present = inside[~np.isnan(inside)]
            at = (step, place)
            assert zones.share(field)[at] == (len(present) / len(cells) if cells else 0.0)
            assert zones.count_at_least(field, threshold)[at] == (present >= threshold).sum()
            if len(present):
                assert zones.mean(field)[at] == pytest.approx(present.mean())
                assert zones.maximum(field)[at] == present.max()
                assert zones.argmax(field)[at] == next(c for c in cells if field[step, c] == present.max())
            else:
                assert np.isnan(zones.mean(field)[at])
                assert np.isnan(zones.maximum(field)[at])
                assert zones.argmax(field)[at] == -1


def test_a_single_field_reduces_without_a_step_axis() -> None:
    zones = Zones.of(["a", "b"], np.array([0, 0, 1]), np.array([0, 1, 2]))
    assert zones.maximum(np.array([1.0, 3.0, 2.0])).tolist() == [3.0, 2.0]


def test_each_cell_goes_to_the_nearest_centre_within_reach() -> None:
    centres = np.array([[114.10, 22.62], [114.13, 22.60]])
    zones = Zones.nearest(LAT, LON, ["west", "east"], centres, reach_km=1.2)
    assert zones.cells[: zones.starts[1]].tolist() == [0, 1, 4]  # itself, its right and its lower neighbour
    assert zones.cells[zones.starts[1] :].tolist() == [7, 10, 11]


def test_a_cell_between_two_equal_centres_goes_to_the_first() -> None:
    centres = np.array([[114.12, 22.61], [114.12, 22.61]])
    zones = Zones.nearest(LAT, LON, ["first", "second"], centres, reach_km=1.2)
    assert zones.starts.tolist() == [0, 5, 6]  # the second keeps only the cell under its centre


def test_a_degree_of_longitude_is_shorter_than_one_of_latitude() -> None:
    one = np.array([[114.11, 22.61]])
    # 0.01 degrees are 1.11 km northward and 1.03 km eastward here
    assert Zones.nearest(LAT, LON, ["a"], one, reach_km=1.05).cells.tolist() == [4, 5, 6]


def test_a_place_without_a_cell_of_its_own_gets_the_nearest_so_that_none_is_blind() -> None:
    centres = np.array([[114.10, 22.62], [114.101, 22.621]])
    zones = Zones.nearest(LAT, LON, ["first", "in its shadow"], centres, reach_km=0.05)
    assert zones.sizes.tolist() == [1, 1]
    assert zones.cells.tolist() == [0, 0]


def test_a_place_far_off_the_grid_is_missing_and_not_dry() -> None:
    zones = Zones.nearest(LAT, LON, ["here", "far"], np.array([[114.1, 22.6], [117.0, 24.0]]), reach_km=3.0)
    field = np.zeros(12)
    assert zones.sizes[1] == 0
    assert np.isnan(zones.mean(field)[1])
    assert zones.share(field)[1] == 0.0


def test_a_larger_place_holds_the_cells_of_its_parts_once() -> None:
    parts = Zones.of(["s1", "s2", "s3"], np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 5]))
    merged = parts.merged(["d2", "d2", "d1"])
    assert merged.codes == ("d1", "d2")
    assert merged.cells.tolist() == [5, 0, 1, 2]
    assert merged.starts.tolist() == [0, 1, 4]


@needs_storm
def test_the_given_storm_reaches_its_published_maxima_whatever_the_order_of_arrival() -> None:
    by_end: dict[datetime, NDArray[np.float32]] = {}
    paths = sorted(
        (GIVEN / "storm").glob("obs_*.nc"), key=lambda path: path.stem[::-1]
    )  # minutes first: shuffled
    for path in paths:
        grid = cf_netcdf.decode(path.read_bytes())
        by_end[grid.valid_at[0]] = grid.cells_mm[0]
    laid = lay_slots(by_end, last_end=max(by_end), slots=len(by_end), places=60 * 160)
    maxima = [sliding_maxima(laid, slots).max() for slots in (1, 12, 36)]
    assert maxima == [8.95, 63.58, 86.53]  # the README beside the files: 8.9, 63.6, 86.5


@needs_storm
def test_every_street_of_the_city_sees_the_given_storm() -> None:
    with (GIVEN / "regions.csv").open(encoding="utf-8") as lines:
        streets = [row for row in csv.DictReader(lines) if row["level"] in ("street", "town")]
    centres = np.array([[float(row["lon"]), float(row["lat"])] for row in streets])
    path = min((GIVEN / "storm").glob("nowcast_*.nc"))
    grid = cf_netcdf.decode(path.read_bytes())
    zones = Zones.nearest(grid.lat, grid.lon, [row["code"] for row in streets], centres, reach_km=5.0)
    assert len(zones.codes) == 78
    assert zones.sizes.min() >= 1
    maximum, mean = zones.maximum(grid.cells_mm), zones.mean(grid.cells_mm)
    present = zones.share(grid.cells_mm) > 0
    assert (mean[present] <= maximum[present] + 1e-9).all()
    deciding = zones.argmax(grid.cells_mm)
    at_deciding = np.take_along_axis(grid.cells_mm, np.maximum(deciding, 0), axis=1)
    np.testing.assert_array_equal(at_deciding[present], maximum[present].astype(np.float32))
