"""CF NetCDF in and out: meaning from attributes, END of the step, and no bytes that can hurt."""

import io
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import pyproj
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.formats import hdf5
from hydrology.science.formats.cf_netcdf import decode, encode, read
from hydrology.science.formats.hdf5 import MAX_BYTES
from hydrology.science.grids import BadGrid, Grid, Product, make_grid
from hydrology.science.rainfall import SLOT

STORM = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"
needs_storm = pytest.mark.skipif(not STORM.is_dir(), reason="no ../shared/data/storm beside us")

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
LAT = np.array([22.62, 22.61, 22.60])
LON = np.array([114.10, 114.11, 114.12, 114.13])
amounts = st.integers(0, 15_000).map(lambda n: n / 100) | st.just(np.nan)
Change = Callable[[h5netcdf.File], None]


def grid_of(rain_mm: NDArray[np.float64], product: Product = "nowcast") -> Grid:
    ends = [AT + step * SLOT for step in range(1, len(rain_mm) + 1)]
    return make_grid(product, AT if product == "nowcast" else ends[-1], ends, LAT, LON, rain_mm)


RAIN_MM = np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 4
BODY = encode(grid_of(RAIN_MM))


def changed(change: Callable[[h5py.File], object], body: bytes = BODY) -> bytes:
    buffer = io.BytesIO(body)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def written(
    rain: NDArray[np.generic],
    attributes: dict[str, object],
    *,
    dimensions: tuple[str, ...] = ("time", "latitude", "longitude"),
    time: tuple[str, list[float]] = ("minutes since 2023-09-07 20:00 +08:00", [5, 10]),
) -> bytes:
    """A file as another producer would write it: other names, no bounds, no packing."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {"time": len(time[1]), "latitude": 3, "longitude": 4}
        clock = file.create_variable("time", ("time",), data=np.array(time[1], dtype=np.float64))
        clock.attrs.update({"units": time[0], "standard_name": "time"})
        file.create_variable("latitude", ("latitude",), data=LAT).attrs["units"] = "degrees_north"
        file.create_variable("longitude", ("longitude",), data=LON).attrs["units"] = "degrees_east"
        file.create_variable("tp", dimensions, data=rain).attrs.update(attributes)
    return buffer.getvalue()


def refusal(body: bytes) -> BadGrid:
    with pytest.raises(BadGrid) as caught:
        decode(body)
    assert caught.value.reason
    assert caught.value.what_to_do
    return caught.value


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (2, 3, 4), elements=amounts), st.sampled_from(["observed", "nowcast"]))
def test_what_is_written_is_read_back(rain_mm: NDArray[np.float64], product: Product) -> None:
    grid = grid_of(rain_mm, product)
    assert decode(encode(grid)) == grid


def test_the_file_says_in_cf_words_what_it_is() -> None:
    with h5netcdf.File(io.BytesIO(BODY)) as file:
        rain = file["rainfall_amount"]
        assert rain.dimensions == ("time", "lat", "lon")
        assert (rain.attrs["units"], rain.attrs["standard_name"]) == ("mm", "rainfall_amount")
        assert rain.dtype == np.int16
        assert rain.attrs["scale_factor"] == 0.01
        np.testing.assert_array_equal(file["time_bnds"][:, 1], file["time"][:])


def test_depth_of_water_in_metres_is_read_in_millimetres() -> None:
    attributes = {"standard_name": "lwe_thickness_of_precipitation_amount", "units": "m"}
    grid = decode(written(RAIN_MM / 1000, attributes))
    assert grid == grid_of(RAIN_MM, "observed")


def test_kilograms_per_square_metre_are_millimetres_even_without_a_standard_name() -> None:
    assert decode(written(RAIN_MM, {"units": "kg m-2"})) == grid_of(RAIN_MM, "observed")


def test_axes_are_found_by_their_dimension_and_not_by_their_order() -> None:
    turned = RAIN_MM.transpose(2, 0, 1)
    body = written(turned, {"units": "mm"}, dimensions=("longitude", "time", "latitude"))
    assert decode(body) == grid_of(RAIN_MM, "observed")


def test_one_step_may_come_without_a_time_axis() -> None:
    clock = ("hours since 2023-09-07", [12 + 1 / 12])
    body = written(RAIN_MM[0], {"units": "mm"}, dimensions=("latitude", "longitude"), time=clock)
    assert decode(body) == grid_of(RAIN_MM[:1], "observed")


def test_fill_values_are_missing_and_never_zero() -> None:
    rain = RAIN_MM.astype(np.float32)
    rain[0, 0, 0], rain[0, 0, 1] = -9999.9, 9.96921e36
    grid = decode(written(rain, {"units": "mm", "missing_value": np.float32(-9999.9)}))
    assert np.isnan(grid.rain_mm[0, 0, :2]).all()
    assert grid.dropped == 1  # netCDF's own fill, not declared


def test_packing_is_undone_with_scale_and_offset() -> None:
    packed = (RAIN_MM * 4 - 10).astype(np.int8)
    body = written(packed, {"units": "mm", "scale_factor": 0.25, "add_offset": 2.5})
    assert decode(body) == grid_of(RAIN_MM, "observed")


def test_a_step_is_named_by_its_end_wherever_in_its_bounds_the_time_lies() -> None:
    def to_starts(file: h5py.File) -> None:
        file["time"][...] -= 300

    assert decode(changed(to_starts)).valid_at == (AT + SLOT, AT + 2 * SLOT)


@pytest.mark.parametrize(
    ("units", "numbers"),
    [
        ("seconds since 1970-01-01 00:00:00 UTC", [AT.timestamp() + 300, AT.timestamp() + 600]),
        ("days since 2023-09-07T00:00:00Z", [0.5 + 5 / 1440, 0.5 + 10 / 1440]),
        ("hours since 2023-9-7 20:00:00.0 +0800", [5 / 60, 10 / 60]),
        ("minutes since 2023-09-07 04:00 -8", [5, 10]),
    ],
)
def test_time_is_read_in_any_unit_and_zone(units: str, numbers: list[float]) -> None:
    assert decode(written(RAIN_MM, {"units": "mm"}, time=(units, numbers))).valid_at == (
        AT + SLOT,
        AT + 2 * SLOT,
    )


def _attribute(variable: str, name: str, value: object) -> Callable[[h5py.File], object]:
    return lambda file: file[variable].attrs.__setitem__(name, value)


def _add(name: str, array: NDArray[np.generic], **attributes: object) -> Callable[[h5py.File], object]:
    return lambda file: file.create_dataset(name, data=array).attrs.update(attributes)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("rainfall_amount", _attribute("rainfall_amount", "units", "inches")),
        ("rainfall_amount", _attribute("rainfall_amount", "standard_name", "rainfall_rate")),
        ("rainfall_amount", _attribute("rainfall_amount", "standard_name", "air_temperature")),
        ("rainfall_amount", _attribute("rainfall_amount", "scale_factor", "a lot")),
        ("rainfall_amount", _add("again", RAIN_MM, standard_name="rainfall_amount", units="mm")),
        ("time", _attribute("time", "units", "fortnights since 1970-01-01")),
        ("time", _attribute("time", "units", "seconds since 1870-01-01")),
        ("time", _attribute("time", "calendar", "360_day")),
        ("time", _attribute("time", "standard_name", "")),
        ("time_bnds", lambda file: file["time_bnds"].write_direct(file["time_bnds"][...] * [[0, 1]])),
        ("lon", _attribute("lon", "standard_name", "latitude")),
        ("lat", lambda file: file["lat"].write_direct(np.array([22.6, 22.7, 22.9]))),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_by_field(field: str, change: Change) -> None:
    problem = refusal(changed(change))
    # Two latitudes are as much a fault of lat as the missing longitude is of lon.
    assert problem.field in (
        {"lat", "lon"} if field == "lon" else {"time", field} if field == "time_bnds" else {field}
    )


def test_ten_minute_sums_are_spread_and_say_so() -> None:
    grid = decode(written(RAIN_MM, {"units": "mm"}, time=("minutes since 2023-09-07", [730, 740])))
    assert grid.valid_at == tuple(AT + n * SLOT for n in (1, 2, 3, 4))
    assert grid.spread
    np.testing.assert_allclose(grid.rain_mm.sum(axis=0), RAIN_MM.sum(axis=0), atol=1e-4)
    assert not decode(BODY).spread


def test_sums_that_overlap_by_their_bounds_are_refused() -> None:
    def widen(file: h5py.File) -> None:
        file["time_bnds"][:, 0] -= 300

    assert refusal(changed(widen)).field == "time"


def test_uneven_times_without_bounds_are_refused() -> None:
    assert (
        refusal(written(RAIN_MM, {"units": "mm"}, time=("minutes since 2023-09-07", [10, 10]))).field
        == "time"
    )


def test_a_single_sum_that_does_not_say_its_length_has_the_one_of_its_sender() -> None:
    clock = ("minutes since 2023-09-07 12:00", [10])
    body = written(RAIN_MM[0], {"units": "mm"}, dimensions=("latitude", "longitude"), time=clock)
    with hdf5.opened(body) as file:
        ten = read(file, timedelta(minutes=10)).grid()
    assert ten.valid_at == (AT + SLOT, AT + 2 * SLOT)
    assert decode(body).valid_at == (AT + 2 * SLOT,)


def test_a_mean_rate_counts_for_its_bounds_and_an_instant_one_is_refused() -> None:
    def rate(cell_methods: str) -> Change:
        def change(file: h5py.File) -> None:
            said = {"standard_name": "rainfall_flux", "units": "kg m-2 s-1", "scale_factor": 0.01 / 300}
            file["rainfall_amount"].attrs.update({**said, "cell_methods": cell_methods})

        return change

    assert decode(changed(rate("time: mean"))) == decode(BODY)
    assert "interval" in refusal(changed(rate("time: point"))).reason


PLANES: dict[str, dict[str, object]] = {
    "+proj=lcc +lat_0=22.6 +lon_0=114.1 +lat_1=20 +lat_2=25 +ellps=WGS84": {
        "grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [20.0, 25.0],
        "latitude_of_projection_origin": 22.6, "longitude_of_central_meridian": 114.1,
    },
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=114.1 +R=6370000": {
        "grid_mapping_name": "polar_stereographic", "standard_parallel": 60.0, "earth_radius": 6370000.0,
        "latitude_of_projection_origin": 90.0, "straight_vertical_longitude_from_pole": 114.1,
    },
    "+proj=merc +lat_ts=20 +lon_0=114.1 +a=6378137 +b=6356752.3": {
        "grid_mapping_name": "mercator", "standard_parallel": 20.0, "longitude_of_projection_origin": 114.1,
        "semi_major_axis": 6378137.0, "semi_minor_axis": 6356752.3,
    },
    "+proj=laea +lat_0=22.6 +lon_0=114.1 +x_0=200000 +y_0=100000 +ellps=WGS84": {
        "grid_mapping_name": "lambert_azimuthal_equal_area", "false_easting": 200.0, "false_northing": 100.0,
        "latitude_of_projection_origin": 22.6, "longitude_of_projection_origin": 114.1,
    },
}  # fmt: skip


def projected(proj: str, attributes: dict[str, object], *, by_cell: bool = False, units: str = "km") -> bytes:
    """RAIN_MM on 4 x 3 cells of 1 km around 114.1 E 22.6 N, rows from the south."""
    onto = pyproj.Proj(proj)
    x0, y0 = (value / 1000 for value in onto(114.1, 22.6))
    x, y = x0 + np.arange(4), y0 + np.arange(3)
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {"time": 2, "y": 3, "x": 4}
        clock = file.create_variable("time", ("time",), data=np.array([725.0, 730.0]))
        clock.attrs.update({"units": "minutes since 2023-09-07", "standard_name": "time"})
        if by_cell:
            lon, lat = onto(*(axis * 1000 for axis in np.meshgrid(x, y)), inverse=True)
            file.create_variable("nav_lat", ("y", "x"), data=lat).attrs["units"] = "degrees_north"
            file.create_variable("nav_lon", ("y", "x"), data=lon).attrs["units"] = "degrees_east"
        else:
            for name, axis in (("x", x), ("y", y)):
                said = {"standard_name": f"projection_{name}_coordinate", "units": units}
                file.create_variable(name, (name,), data=axis).attrs.update(said)
        file.create_variable("crs", (), data=np.int32(0)).attrs.update(attributes)
        rain = file.create_variable("tp", ("time", "y", "x"), data=RAIN_MM)
        rain.attrs.update({"standard_name": "rainfall_amount", "units": "mm", "grid_mapping": "crs"})
    return buffer.getvalue()


@pytest.mark.parametrize("by_cell", [False, True])
@pytest.mark.parametrize("proj", list(PLANES))
def test_a_projected_grid_is_laid_on_latitude_and_longitude(proj: str, by_cell: bool) -> None:
    grid = decode(projected(proj, PLANES[proj], by_cell=by_cell))
    assert grid.valid_at == (AT + SLOT, AT + 2 * SLOT)
    known = ~np.isnan(grid.rain_mm)
    assert known.any()
    assert set(grid.rain_mm[known]) == set(RAIN_MM.ravel())
    southwest = np.abs(grid.lat - 22.6).argmin(), np.abs(grid.lon - 114.1).argmin()
    assert grid.rain_mm[0][southwest] == RAIN_MM[0, 0, 0]
    assert grid.lat[0] > grid.lat[-1] > 22.58


@pytest.mark.parametrize(
    ("field", "attributes", "units"),
    [
        ("grid_mapping", {"grid_mapping_name": "vertical_perspective"}, "m"),
        ("grid_mapping", {"grid_mapping_name": "lambert_conformal_conic"}, "m"),
        ("x, y", {"grid_mapping_name": "mercator", "standard_parallel": 20.0}, "degrees"),
        ("grid_mapping", {"grid_mapping_name": "mercator", "standard_parallel": np.inf}, "km"),
        ("grid_mapping", {"grid_mapping_name": "mercator", "standard_parallel": 90.0}, "km"),
    ],
)
def test_an_unknown_or_unusable_projection_is_refused_by_field(
    field: str, attributes: dict[str, object], units: str
) -> None:
    assert refusal(projected("+proj=merc +lon_0=114.1", attributes, units=units)).field == field


@pytest.mark.parametrize(
    "body", [b"", b"CDF\x01" + bytes(100), b"GRIB", b"\x89HDF\r\n\x1a\n", bytes(MAX_BYTES + 1)]
)
def test_what_is_no_netcdf_4_file_is_refused(body: bytes) -> None:
    assert refusal(body).field == "file"


def test_a_field_larger_than_any_city_is_refused_before_it_is_read() -> None:
    def grow(file: h5py.File) -> None:
        del file["lat"], file["rainfall_amount"]
        lat = file.create_dataset("lat", shape=(10**9,), dtype="f4", chunks=(1000,))
        lat.attrs["standard_name"] = "latitude"
        rain = file.create_dataset("rainfall_amount", shape=(2, 10**9, 4), dtype="f4", chunks=(1, 100, 4))
        rain.attrs.update({"standard_name": "rainfall_amount", "units": "mm"})

    assert "too large" in refusal(changed(grow)).reason


def test_a_chunk_that_inflates_beyond_its_size_is_refused() -> None:
    def arm(file: h5py.File) -> None:
        file["rainfall_amount"].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(10**7)))

    assert "inflates" in refusal(changed(arm)).reason


def test_no_other_file_of_this_machine_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.nc").write_bytes(BODY)

    def link(file: h5py.File) -> None:
        del file["rainfall_amount"]
        file["rainfall_amount"] = h5py.ExternalLink(str(tmp_path / "secret.nc"), "rainfall_amount")

    def store_outside(file: h5py.File) -> None:
        attributes = dict(file["rainfall_amount"].attrs)
        del file["rainfall_amount"]
        place = [(str(tmp_path / "secret.nc"), 0, 48)]
        rain = file.create_dataset("rainfall_amount", shape=(2, 3, 4), dtype="i2", external=place)
        rain.attrs.update({name: attributes[name] for name in ("units", "standard_name")})

    assert refusal(changed(link)).reason == "found none"
    assert refusal(changed(store_outside)).reason == "lies in another file"


def test_a_heap_whose_walk_would_never_end_is_refused() -> None:
    """The damage HDF5 2.0 loops on for ever: an object's length leads the walk into zeros."""
    heap = BODY.index(b"GCOL\x01")
    damaged = bytearray(BODY)
    damaged[heap + 24 : heap + 32] = (2000).to_bytes(8, "little")
    assert refusal(bytes(damaged)).reason == "is damaged (heap)"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_bytes_are_a_grid_or_a_refusal_and_nothing_else(draw: st.DataObject) -> None:
    body = bytearray(draw.draw(st.sampled_from(_bodies()), label="body"))
    for at, byte in draw.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
    ):
        body[at] = byte
    cut = draw.draw(st.just(len(body)) | st.integers(0, len(body)), label="cut")
    try:
        grid = decode(bytes(body[:cut]))
    except BadGrid:
        return
    assert grid.rain_mm.shape == (len(grid.valid_at), grid.lat.size, grid.lon.size)
    assert not (grid.rain_mm < 0).any()


@cache
def _bodies() -> list[bytes]:
    given_files = [min(STORM.glob("obs_*.nc"))] if STORM.is_dir() else []
    proj = next(iter(PLANES))
    planes = [projected(proj, PLANES[proj], by_cell=by_cell) for by_cell in (False, True)]
    return [BODY, *planes, *(path.read_bytes() for path in given_files)]


@needs_storm
def test_the_given_observations_are_one_step_each_ending_at_the_time_in_their_name() -> None:
    for path in sorted(STORM.glob("obs_*.nc"))[::25]:
        grid = decode(path.read_bytes())
        end = datetime.strptime(path.stem[4:], "%Y%m%d%H%M").replace(tzinfo=UTC)
        assert (grid.product, grid.issued_at, grid.valid_at) == ("observed", end, (end,))
        assert grid.rain_mm.shape == (1, 60, 160)
        assert grid.dropped == 0
        assert decode(encode(grid)) == grid


@needs_storm
def test_the_given_frames_are_bit_for_bit_what_their_files_say() -> None:
    for path in sorted(STORM.glob("*.nc"))[::7]:
        with h5py.File(path) as file:
            raw = file["rainfall_amount"][()]
            upright = raw[:, ::-1] if file["lat"][0] < file["lat"][-1] else raw
        mm = np.where(upright == -1, np.nan, upright / 100.0).astype(np.float32)
        assert decode(path.read_bytes()).rain_mm.tobytes() == mm.tobytes()


@needs_storm
def test_the_given_nowcasts_reach_two_hours_beyond_their_issue() -> None:
    for path in sorted(STORM.glob("nowcast_*.nc"))[::25]:
        grid = decode(path.read_bytes())
        issued_at = datetime.strptime(path.stem[8:], "%Y%m%d%H%M").replace(tzinfo=UTC)
        assert (grid.product, grid.issued_at) == ("nowcast", issued_at)
        assert grid.valid_at[0] == issued_at + SLOT
        assert grid.valid_at[-1] == issued_at + timedelta(hours=2)
        assert decode(encode(grid)) == grid
