"""GRIB2 rain: intervals, bitmaps, scans, projections; and a reader that may die without harm."""

import ast
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hydrology.science.formats import grib2, sniff
from hydrology.science.formats.grib2 import decode
from hydrology.science.grids import BadGrid, Grid, Product, make_grid
from hydrology.science.rainfall import SLOT

ROOT = Path(__file__).resolve().parents[2]
WRITER = str(Path(__file__).with_name("grib2_writer.py"))
AT = datetime(2023, 9, 7, 12, 0, tzinfo=UTC)
LAT = np.array([22.62, 22.61, 22.60])
LON = np.array([114.10, 114.11, 114.12, 114.13])
RAIN_MM = np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 4
HOLE = 9999.0
Keys = dict[str, Any]
Message = tuple[str, list[tuple[str, Any]], NDArray[np.float64] | None]

REGULAR: Keys = {
    "gridType": "regular_ll", "Ni": 4, "Nj": 3,
    "latitudeOfFirstGridPointInDegrees": 22.62, "longitudeOfFirstGridPointInDegrees": 114.10,
    "latitudeOfLastGridPointInDegrees": 22.60, "longitudeOfLastGridPointInDegrees": 114.13,
    "iDirectionIncrementInDegrees": 0.01, "jDirectionIncrementInDegrees": 0.01,
}  # fmt: skip


def message(
    mm: NDArray[np.float64], start_at: datetime, end_at: datetime, grid: Keys = REGULAR, **more: Any
) -> Message:
    """One field: an accumulation of total precipitation in a nowcast issued at AT, unless `more` says otherwise."""
    reference_at: datetime = more.pop("reference_at", AT)
    time: Keys = {
        "productDefinitionTemplateNumber": 8,
        "year": reference_at.year, "month": reference_at.month, "day": reference_at.day,
        "hour": reference_at.hour, "minute": reference_at.minute, "second": 0,
        "significanceOfReferenceTime": 1, "typeOfProcessedData": 1, "typeOfGeneratingProcess": 2,
        "parameterCategory": 1, "parameterNumber": 8, "typeOfStatisticalProcessing": 1,
        "indicatorOfUnitOfTimeRange": 0, "forecastTime": int((start_at - reference_at) / timedelta(minutes=1)),
        "indicatorOfUnitForTimeRange": 0, "lengthOfTimeRange": int((end_at - start_at) / timedelta(minutes=1)),
        **{f"{part}OfEndOfOverallTimeInterval": getattr(end_at, part)
           for part in ("year", "month", "day", "hour", "minute", "second")},
        "packingType": "grid_simple", "bitsPerValue": 24,
    }  # fmt: skip
    holes = {"bitmapPresent": 1, "missingValue": HOLE} if np.isnan(mm).any() else {}
    keys = {"discipline": 0, **grid, **time, **more, **holes}
    return "GRIB2", list(keys.items()), np.where(np.isnan(mm), HOLE, mm).ravel()


@lru_cache(maxsize=64)
def _bytes(wanted: bytes, *how: str) -> bytes:
    ran = subprocess.run([sys.executable, "-I", WRITER, *how], input=wanted, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


def written(*messages: Message, how: tuple[str, ...] = ()) -> bytes:
    return _bytes(pickle.dumps(list(messages)), *how)


def nowcast(rain: NDArray[np.float64] = RAIN_MM, minutes: int = 5, **more: Any) -> bytes:
    length = timedelta(minutes=minutes)
    return written(
        *(message(mm, AT + n * length, AT + (n + 1) * length, **more) for n, mm in enumerate(rain))
    )


def observed(mm: NDArray[np.float64] = RAIN_MM[0], **more: Any) -> bytes:
    return written(message(mm, AT - SLOT, AT, **{"typeOfGeneratingProcess": 8, **more}))


def grid_of(rain_mm: NDArray[np.float64], product: Product = "nowcast", end_at: datetime = AT + SLOT) -> Grid:
    ends = [end_at + step * SLOT for step in range(len(rain_mm))]
    return make_grid(product, AT if product == "nowcast" else ends[-1], ends, LAT, LON, rain_mm)


def refusal(body: bytes) -> BadGrid:
    with pytest.raises(BadGrid) as caught:
        decode(body)
    assert caught.value.reason
    assert caught.value.what_to_do
    return caught.value


def test_accumulations_of_several_messages_are_one_nowcast() -> None:
    assert decode(nowcast()) == sniff.decode(nowcast()) == grid_of(RAIN_MM)


def test_one_message_may_hold_several_fields() -> None:
    fields = [message(mm, AT + n * SLOT, AT + (n + 1) * SLOT) for n, mm in enumerate(RAIN_MM)]
    body = written(*fields, how=("together",))
    assert body.count(b"7777") == 1
    assert decode(body) == grid_of(RAIN_MM)


@pytest.mark.parametrize("packing", ["grid_ccsds", "grid_jpeg", "grid_complex", "grid_ieee"])
def test_every_usual_packing_is_read(packing: str) -> None:
    assert decode(nowcast(packingType=packing)) == grid_of(RAIN_MM)


def test_messages_may_come_in_any_order() -> None:
    late, early = (message(RAIN_MM[n], AT + n * SLOT, AT + (n + 1) * SLOT) for n in (1, 0))
    assert decode(written(late, early)) == grid_of(RAIN_MM)


def test_an_observation_may_count_from_its_start_or_its_end() -> None:
    expected = grid_of(RAIN_MM[:1], "observed", AT)
    assert decode(observed()) == expected
    assert decode(observed(reference_at=AT - SLOT)) == expected
    assert decode(observed(typeOfGeneratingProcess=0)) == expected


def test_one_field_ahead_that_does_not_say_what_it_is_is_refused() -> None:
    body = written(message(RAIN_MM[0], AT, AT + SLOT, typeOfGeneratingProcess=0))
    assert refusal(body).field == "time"
    assert decode(written(message(RAIN_MM[0], AT, AT + SLOT))) == grid_of(RAIN_MM[:1])


def test_cells_without_a_bit_are_missing_and_dry_ones_are_dry() -> None:
    rain_mm = RAIN_MM.copy()
    rain_mm[0, 1, 1], rain_mm[1] = np.nan, 0.0
    grid = decode(nowcast(rain_mm))
    assert grid == grid_of(rain_mm)
    assert grid.dropped == 0


def test_a_mean_rate_counts_for_its_interval() -> None:
    rate: Keys = {"parameterNumber": 52, "typeOfStatisticalProcessing": 0, "bitsPerValue": 32}
    assert decode(nowcast(RAIN_MM / 300, **rate)) == grid_of(RAIN_MM)


def test_an_amount_goes_before_a_rate_and_other_parameters_are_passed_over() -> None:
    rate: Keys = {"parameterNumber": 7, "typeOfStatisticalProcessing": 0}
    temperature: Keys = {"parameterCategory": 0, "parameterNumber": 0, "typeOfStatisticalProcessing": 0}
    body = written(
        message(RAIN_MM[0], AT, AT + SLOT, **rate),
        message(RAIN_MM[0], AT, AT + SLOT),
        message(RAIN_MM[0], AT, AT + SLOT, **temperature),
        message(RAIN_MM[1], AT + SLOT, AT + 2 * SLOT),
    )
    assert decode(body) == grid_of(RAIN_MM)


def test_totals_since_the_issue_become_what_falls_between() -> None:
    totals = RAIN_MM.cumsum(axis=0)
    body = written(*(message(mm, AT, AT + (n + 1) * SLOT) for n, mm in enumerate(totals)))
    assert decode(body) == grid_of(RAIN_MM)


def test_ten_minute_sums_are_spread() -> None:
    grid = decode(nowcast(minutes=10))
    assert grid.spread
    assert grid.valid_at == tuple(AT + n * SLOT for n in range(1, 5))
    np.testing.assert_allclose(grid.rain_mm.sum(axis=0), RAIN_MM.sum(axis=0), atol=1e-4)


@pytest.mark.parametrize(
    ("scan", "turned"),
    [
        ({"jScansPositively": 1, "latitudeOfFirstGridPointInDegrees": 22.60, "latitudeOfLastGridPointInDegrees": 22.62},
         RAIN_MM[:, ::-1]),
        ({"iScansNegatively": 1, "longitudeOfFirstGridPointInDegrees": 114.13, "longitudeOfLastGridPointInDegrees": 114.10},
         RAIN_MM[:, :, ::-1]),
        ({"jPointsAreConsecutive": 1}, RAIN_MM.transpose(0, 2, 1)),
    ],
)  # fmt: skip
def test_cells_may_be_scanned_in_any_direction(scan: Keys, turned: NDArray[np.float64]) -> None:
    assert decode(nowcast(turned, **scan)) == grid_of(RAIN_MM)


def test_rows_may_run_to_and_fro() -> None:
    turned = RAIN_MM.copy()
    turned[:, 1::2] = turned[:, 1::2, ::-1]
    assert decode(nowcast(turned, alternativeRowScanning=1)) == grid_of(RAIN_MM)


PLANES: dict[str, Keys] = {
    "+proj=lcc +lat_0=25 +lat_1=25 +lat_2=25 +lon_0=110 +R=6371229": {
        "gridType": "lambert", "LaDInDegrees": 25.0, "LoVInDegrees": 110.0, "Latin1InDegrees": 25.0,
        "Latin2InDegrees": 25.0, "DxInMetres": 1000, "DyInMetres": 1000,
    },
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=110 +R=6371229": {
        "gridType": "polar_stereographic", "LaDInDegrees": 60.0, "orientationOfTheGridInDegrees": 110.0,
        "DxInMetres": 1000, "DyInMetres": 1000,
    },
    "+proj=merc +lat_ts=20 +R=6371229": {
        "gridType": "mercator", "LaDInDegrees": 20.0, "DiInMetres": 1000, "DjInMetres": 1000,
        "latitudeOfLastGridPointInDegrees": 22.62, "longitudeOfLastGridPointInDegrees": 114.13,
    },
}  # fmt: skip


@pytest.mark.parametrize("proj", list(PLANES))
def test_a_projected_grid_is_laid_on_latitude_and_longitude(proj: str) -> None:
    """12 x 10 cells of 1 km, the first at 114.1 E 22.6 N in the south-west."""
    rain_mm = np.random.default_rng(3).integers(0, 4000, (1, 10, 12)) / 100
    plane: Keys = {**PLANES[proj], "Nx" if "merc" not in proj else "Ni": 12, "Ny" if "merc" not in proj else "Nj": 10,
                   "shapeOfTheEarth": 6, "jScansPositively": 1,
                   "latitudeOfFirstGridPointInDegrees": 22.6, "longitudeOfFirstGridPointInDegrees": 114.1}  # fmt: skip
    grid = decode(nowcast(rain_mm, grid=plane))
    known = ~np.isnan(grid.rain_mm[0])
    assert {*np.unique(grid.rain_mm[0][known])} == {*np.unique(rain_mm.astype(np.float32))}
    onto = pyproj.Proj(proj)
    x0, y0 = onto(114.1, 22.6)
    x, y = onto(*np.meshgrid(grid.lon, grid.lat))
    rows, columns = (np.floor((here - first) / 1000 + 0.5) for here, first in ((y, y0), (x, x0)))
    inside = (rows >= 0) & (rows < 10) & (columns >= 0) & (columns < 12)
    assert (inside != known).mean() < 0.02  # centres on a rim
    both = inside & known
    expected = rain_mm[0][rows[both].astype(int), columns[both].astype(int)]
    assert (grid.rain_mm[0][both] != expected.astype(np.float32)).mean() < 0.02


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("parameter", {"parameterNumber": 10}),
        ("parameter", {"parameterCategory": 0, "parameterNumber": 0}),
        ("time", {"productDefinitionTemplateNumber": 0}),
        ("time", {"typeOfStatisticalProcessing": 2}),
        ("time", {"parameterNumber": 52}),
        ("time", {"indicatorOfUnitOfTimeRange": 2, "forecastTime": 0}),
        ("time", {"dayOfEndOfOverallTimeInterval": 31}),
        ("time", {"yearOfEndOfOverallTimeInterval": 2024}),
        ("grid", {"gridType": "rotated_ll"}),
    ],
)
def test_what_cannot_be_understood_is_refused_by_field(field: str, more: Keys) -> None:
    late = {key: more[key] for key in more if key != "gridType"}
    grid = {**REGULAR, **{key: more[key] for key in more if key == "gridType"}}
    made = message(RAIN_MM[0], AT, AT + SLOT, grid=grid)
    kept = [(key, value) for key, value in made[1] if not (late.get("productDefinitionTemplateNumber") == 0 and (
        "Interval" in key or "Range" in key or key in ("typeOfStatisticalProcessing", "forecastTime")
    ))]  # fmt: skip
    assert refusal(written((made[0], [*kept, *late.items()], made[2]))).field == field


def test_different_cells_and_different_issues_do_not_mix() -> None:
    first = message(RAIN_MM[0], AT, AT + SLOT)
    moved = message(
        RAIN_MM[1], AT + SLOT, AT + 2 * SLOT, {**REGULAR, "longitudeOfFirstGridPointInDegrees": 114.0}
    )
    later = message(RAIN_MM[1], AT + SLOT, AT + 2 * SLOT, reference_at=AT + SLOT)
    assert refusal(written(first, moved)).field == "grid"
    assert refusal(written(first, later)).field == "time"


def test_members_of_an_ensemble_are_not_added_up() -> None:
    first = message(RAIN_MM[0], AT, AT + SLOT)
    assert refusal(written(first, first)).field == "time"


def test_edition_1_is_refused_by_name() -> None:
    assert refusal(written(("GRIB1", [], None))).reason == "is GRIB edition 1"


def test_a_body_cut_short_is_refused() -> None:
    assert refusal(nowcast()[:-20]).field == "file"
    assert refusal(b"GRIB").field == "file"


def test_a_reader_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = tmp_path / "killed.py"
    killed.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(grib2, "_CHILD", str(killed))
    assert "ended its reader" in refusal(nowcast()).reason


def test_a_reader_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grib2, "WAIT_S", 0.0)
    assert "was not read within" in refusal(nowcast()).reason


def test_more_than_we_take_is_refused_by_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_SUMS", "MAX_CELLS", "MAX_VALUES"):
        with monkeypatch.context() as patch:
            patch.setattr(grib2, limit, 1)
            assert refusal(nowcast()).field in ("file", "grid")


@settings(max_examples=25)
@given(st.data())
def test_damaged_bytes_are_a_grid_or_a_refusal_and_nothing_else(draw: st.DataObject) -> None:
    body = bytearray(nowcast())
    places = st.integers(16, len(body) - 1)
    for at, byte in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8)):
        body[at] = byte
    cut = draw.draw(st.just(len(body)) | st.integers(4, len(body)), label="cut")
    try:
        grid = sniff.decode(bytes(body[:cut]))
    except BadGrid:
        return
    assert grid.rain_mm.shape == (len(grid.valid_at), grid.lat.size, grid.lon.size)
    assert not (grid.rain_mm < 0).any()


def test_eccodes_is_loaded_nowhere_but_in_its_own_process() -> None:
    """In one process with PROJ it ends both."""
    alone = {"hydrology/science/formats/grib2_child.py", "tests/hydrology/grib2_writer.py"}
    loading = set()
    for path in (
        path for room in ROOT.iterdir() if (room / "__init__.py").exists() for path in room.rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(alias.name for alias in node.names)]
            if any(
                name.split(".")[0] == "eccodes" or name.split(".")[-1] in ("grib2_child", "grib2_writer")
                for name in names
            ):
                loading.add(path.relative_to(ROOT).as_posix())
    assert loading == alone
