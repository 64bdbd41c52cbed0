"""ODIM composites: corners, nodata and undetect, times; and the one door that knows formats by their content."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hydrology.science.formats import cf_netcdf, hko_csv, micaps4, sniff
from hydrology.science.formats.odim_hdf5 import decode
from hydrology.science.grids import BadGrid, Grid, Product, make_grid
from hydrology.science.rainfall import SLOT
from tests.hydrology import test_hko_csv, test_micaps4

AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
LAT = np.array([22.62, 22.61, 22.60])
LON = np.array([114.10, 114.11, 114.12, 114.13])
RAIN_MM = np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 4
NODATA, UNDETECT = 65535, 65534
amounts = st.integers(0, 15_000).map(lambda n: n / 100) | st.just(np.nan)
Change = Callable[[h5py.File], object]


def encode(
    rain: NDArray[np.float64],
    nominal_at: datetime,
    ends: list[datetime],
    quantity: str = "ACRR",
    minutes: int = 5,
) -> bytes:
    """A composite as OPERA lays it out; dry cells are `undetect`, missing ones `nodata`."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_2")
        what = {
            "object": "COMP",
            "version": "H5rad 2.2",
            "date": f"{nominal_at:%Y%m%d}",
            "time": f"{nominal_at:%H%M%S}",
        }
        file.create_group("what").attrs.update({name: np.bytes_(text) for name, text in what.items()})
        where = {
            "xsize": 4,
            "ysize": 3,
            "LL_lon": 114.095,
            "LL_lat": 22.595,
            "UR_lon": 114.135,
            "UR_lat": 22.625,
        }
        file.create_group("where").attrs.update({"projdef": "+proj=longlat +datum=WGS84 +no_defs", **where})
        for n, (end, mm) in enumerate(zip(ends, rain, strict=True), start=1):
            start = end - timedelta(minutes=minutes)
            times = {"startdate": f"{start:%Y%m%d}", "starttime": f"{start:%H%M%S}",
                     "enddate": f"{end:%Y%m%d}", "endtime": f"{end:%H%M%S}"}  # fmt: skip
            file.create_group(f"dataset{n}/what").attrs.update(times)
            data = file.create_group(f"dataset{n}/data1")
            packing = {"gain": 0.01, "offset": 0.0, "nodata": float(NODATA), "undetect": float(UNDETECT)}
            data.create_group("what").attrs.update({"quantity": quantity, **packing})
            raw = np.where(np.isnan(mm), NODATA, np.where(mm == 0, UNDETECT, np.rint(mm * 100)))
            data.create_dataset("data", data=raw.astype("u2"), compression="gzip")
    return buffer.getvalue()


def ends_of(rain: NDArray[np.float64]) -> list[datetime]:
    return [AT + step * SLOT for step in range(1, len(rain) + 1)]


def grid_of(rain_mm: NDArray[np.float64], product: Product = "nowcast") -> Grid:
    ends = ends_of(rain_mm)
    return make_grid(product, AT if product == "nowcast" else ends[-1], ends, LAT, LON, rain_mm)


BODY = encode(RAIN_MM, AT, ends_of(RAIN_MM))
OBSERVED = encode(RAIN_MM[:1], AT + SLOT, ends_of(RAIN_MM[:1]))


def changed(change: Change, body: bytes = BODY) -> bytes:
    buffer = io.BytesIO(body)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def refusal(body: bytes) -> BadGrid:
    with pytest.raises(BadGrid) as caught:
        decode(body)
    assert caught.value.what_to_do
    return caught.value


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (2, 3, 4), elements=amounts), st.sampled_from(["observed", "nowcast"]))
def test_what_is_written_is_read_back(rain_mm: NDArray[np.float64], product: Product) -> None:
    nominal_at = AT if product == "nowcast" else AT + 2 * SLOT
    assert decode(encode(rain_mm, nominal_at, ends_of(rain_mm))) == grid_of(rain_mm, product)


def test_one_observed_field_is_named_by_its_end() -> None:
    assert decode(OBSERVED) == grid_of(RAIN_MM[:1], "observed")


def test_undetect_is_dry_and_nodata_is_missing() -> None:
    rain_mm = RAIN_MM.copy()
    rain_mm[0, 1, 1] = np.nan
    grid = decode(encode(rain_mm, AT, ends_of(rain_mm)))
    assert grid.rain_mm[0, 0, 0] == 0
    assert np.isnan(grid.rain_mm[0, 1, 1])
    assert grid.dropped == 0


def test_a_rate_counts_for_its_interval() -> None:
    body = encode(RAIN_MM * 12, AT, ends_of(RAIN_MM), "RATE")
    assert decode(body) == grid_of(RAIN_MM)


def test_an_amount_goes_before_a_rate() -> None:
    def add(file: h5py.File) -> None:
        rate = file.create_group("dataset1/data2")
        rate.create_group("what").attrs["quantity"] = "RATE"
        rate.create_dataset("data", data=np.ones((3, 4)))

    assert decode(changed(add)) == grid_of(RAIN_MM)


def test_packing_may_stand_with_the_dataset_and_the_nearer_goes_first() -> None:
    def move(file: h5py.File) -> None:
        for n in (1, 2):
            near, far = file[f"dataset{n}/data1/what"], file[f"dataset{n}/what"]
            far.attrs.update(
                {"gain": 0.01, "nodata": float(NODATA), "undetect": float(UNDETECT), "offset": 7.0}
            )
            for name in ("gain", "nodata", "undetect"):
                del near.attrs[name]

    assert decode(changed(move)) == grid_of(RAIN_MM)


def test_the_last_second_of_a_sum_may_be_named_as_its_end() -> None:
    def name(file: h5py.File) -> None:
        file["dataset1/what"].attrs["endtime"] = "120459"

    assert decode(changed(name)) == grid_of(RAIN_MM)


def test_ten_minute_sums_become_five_minute_steps_of_the_same_total() -> None:
    grid = decode(encode(RAIN_MM, AT, [AT + 2 * SLOT, AT + 4 * SLOT], minutes=10))
    assert grid.valid_at == tuple(AT + n * SLOT for n in range(1, 5))
    np.testing.assert_allclose(grid.rain_mm.sum(axis=0), RAIN_MM.sum(axis=0), atol=1e-4)


def _attribute(group: str, name: str, value: object) -> Change:
    return lambda file: file[group].attrs.__setitem__(name, value)


def _drop(group: str, name: str) -> Change:
    return lambda file: file[group].attrs.__delitem__(name)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("what/object", _attribute("what", "object", "PVOL")),
        ("what/quantity", lambda file: [_attribute(f"dataset{n}/data1/what", "quantity", "DBZH")(file) for n in (1, 2)]),
        ("what/time", _attribute("what", "time", "120500")),
        ("what/date", _attribute("what", "date", "20231307")),
        ("what/date", _attribute("what", "date", "18990907")),
        ("what/startdate", _drop("dataset1/what", "startdate")),
        ("time", _attribute("dataset2/what", "starttime", "120000")),
        ("time", _attribute("dataset1/what", "endtime", "120000")),
        ("where/xscale", _attribute("where", "projdef", "+proj=laea +lat_0=55 +lon_0=10")),
        ("where/projdef", _attribute("where", "projdef", "+proj=geos +h=35785831")),
        ("where/projdef", _drop("where", "projdef")),
        ("where/LL_lon", _drop("where", "LL_lon")),
        ("where", _attribute("where", "LL_lon", 114.2)),
        ("where", _attribute("where", "LL_lon", np.nan)),
        ("where", _attribute("where", "xsize", 1e12)),
        ("where", _attribute("where", "xsize", "many")),
        ("data", _attribute("where", "xsize", 5)),
        ("data", lambda file: file["dataset1/data1"].__delitem__("data")),
        ("dataset1/data1/what", _attribute("dataset1/data1/what", "gain", "a lot")),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_refused_by_field(field: str, change: Change) -> None:
    assert refusal(changed(change)).field == field


LAEA = "+proj=laea +lat_0=22.6 +lon_0=114.1 +ellps=WGS84"


def on_plane(projdef: str = LAEA, **more: float) -> Change:
    """The same 4 x 3 numbers as pixels of 1 km, the lower left corner at the projection's origin."""

    def change(file: h5py.File) -> None:
        where = file["where"].attrs
        for corner in ("LL_lon", "LL_lat", "UR_lon", "UR_lat"):
            del where[corner]
        where.update(
            {"projdef": projdef, "LL_lon": 114.1, "LL_lat": 22.6, "xscale": 1000.0, "yscale": 1000.0, **more}
        )

    return change


@pytest.mark.parametrize(
    "projdef",
    [
        LAEA,
        "+proj=aeqd +lat_0=22.6 +lon_0=114.1 +datum=WGS84",
        "+proj=stere +lat_0=22.6 +lon_0=114.1 +x_0=0 +y_0=0 +a=6378137 +b=6356752",
        "+proj=merc +lat_ts=22.6 +lon_0=114.1",
    ],
)
def test_pixels_on_a_projection_lie_north_and_east_of_their_corner(projdef: str) -> None:
    grid = decode(changed(on_plane(projdef)))
    assert (grid.product, grid.valid_at) == ("nowcast", (AT + SLOT, AT + 2 * SLOT))
    for step in (0, 1):
        assert set(np.unique(grid.rain_mm[step][~np.isnan(grid.rain_mm[step])])) == set(RAIN_MM[step].ravel())
        corners = {
            (22.6045, 114.1049): RAIN_MM[step, 2, 0], (22.6045, 114.134): RAIN_MM[step, 2, 3],
            (22.6226, 114.1049): RAIN_MM[step, 0, 0], (22.6226, 114.134): RAIN_MM[step, 0, 3],
        }  # fmt: skip
        for (lat, lon), mm in corners.items():
            row, column = np.abs(grid.lat - lat).argmin(), np.abs(grid.lon - lon).argmin()
            assert grid.rain_mm[step, row, column] == mm


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("where", {"xscale": -1000.0}),
        ("where", {"LL_lat": np.nan}),
        ("where", {"UR_lon": 114.5, "UR_lat": 22.9}),
        ("x, y", {"xscale": 1e7, "yscale": 1e7}),
    ],
)
def test_pixels_that_lie_nowhere_are_refused_by_field(field: str, more: dict[str, float]) -> None:
    assert refusal(changed(on_plane(**more))).field == field


def test_one_field_named_by_its_start_is_not_taken_for_a_nowcast() -> None:
    assert refusal(encode(RAIN_MM[:1], AT, [AT + SLOT])).field == "what/time"


def test_a_snapshot_of_the_rate_is_no_amount() -> None:
    assert refusal(encode(RAIN_MM, AT, ends_of(RAIN_MM), "RATE", minutes=0)).field == "time"


def test_no_other_file_of_this_machine_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.h5").write_bytes(BODY)

    def link(file: h5py.File) -> None:
        for n in (1, 2):
            del file[f"dataset{n}"]
            file[f"dataset{n}"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), f"dataset{n}")

    assert refusal(changed(link)).reason == "found none"


def test_a_text_that_claims_gigabytes_is_refused_before_they_are_asked_for() -> None:
    heap = BODY.index(b"GCOL\x01").to_bytes(8, "little")
    text = BODY.index((4).to_bytes(4, "little") + heap)
    body = bytearray(BODY)
    body[text + 3] = 0xFF
    assert refusal(bytes(body)).reason == "is damaged (heap)"


def test_packed_values_that_have_lost_their_filter_are_refused() -> None:
    body = bytearray(BODY)
    body[BODY.index(b"deflate\0") - 23] = 0xFF  # the message that names the filters is no longer one
    assert refusal(bytes(body)).field == "dataset1/data1/data"


def test_an_attribute_whose_type_is_damaged_does_not_end_the_process() -> None:
    kind = BODY.index(b"\x19\x01\x01\x00\x10", BODY.index(b"startdate\0"))  # a text of any length
    body = bytearray(BODY)
    body[kind + 1] = 0x0A  # neither text nor list
    assert refusal(bytes(body)).field == "what/startdate"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_bytes_are_a_grid_or_a_refusal_and_nothing_else(draw: st.DataObject) -> None:
    body = bytearray(draw.draw(st.sampled_from([BODY, changed(on_plane())]), label="body"))
    for at, byte in draw.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=8)
    ):
        body[at] = byte
    cut = draw.draw(st.just(len(body)) | st.integers(0, len(body)), label="cut")
    try:
        grid = sniff.decode(bytes(body[:cut]))
    except BadGrid:
        return
    assert grid.rain_mm.shape == (len(grid.valid_at), grid.lat.size, grid.lon.size)
    assert not (grid.rain_mm < 0).any()


def test_each_format_is_known_by_its_content() -> None:
    micaps, hko = test_micaps4.encode(grid_of(RAIN_MM)), test_hko_csv.encode()
    assert sniff.decode(BODY) == sniff.decode(cf_netcdf.encode(grid_of(RAIN_MM))) == grid_of(RAIN_MM)
    assert sniff.decode(micaps) == micaps4.decode(micaps) == grid_of(RAIN_MM)
    assert sniff.decode(hko) == hko_csv.decode(hko)


def test_a_netcdf_that_only_mentions_odim_is_still_netcdf() -> None:
    def mention(file: h5py.File) -> None:
        file.attrs["history"] = "converted from ODIM_H5/V2_2"

    assert sniff.decode(changed(mention, cf_netcdf.encode(grid_of(RAIN_MM)))) == grid_of(RAIN_MM)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"GRIB\x00\x00\x00\x02", "GRIB edition 2"),
        (b"CDF\x01", "nccopy"),
        (b"\x1f\x8b\x08", "unpacked"),
        (b"PK\x03\x04", "inside"),
        (b"diamond 3 stations", "type 4"),
        (b"<html>", "MICAPS diamond 4"),
        (b"", "HKO nowcast CSV"),
    ],
)
def test_what_is_no_grid_is_refused_with_what_to_send(body: bytes, said: str) -> None:
    with pytest.raises(BadGrid) as caught:
        sniff.decode(body)
    assert caught.value.field == "file"
    assert said in caught.value.what_to_do


@given(st.binary(max_size=200))
def test_any_bytes_at_the_door_are_refused_and_nothing_else(body: bytes) -> None:
    with pytest.raises(BadGrid):
        sniff.decode(body)
