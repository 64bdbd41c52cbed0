"""Projected grids on our regular one: no value invented, no peak lost, totals kept, outside missing."""

from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hydrology.science.grids import BadGrid
from hydrology.science.projection import Sampling, is_lat_lon, of_curved, of_plane, projection

Floats = NDArray[np.float64]
ROWS, COLUMNS = 90, 110
KINDS = {
    "+proj=laea +lat_0=22.5 +lon_0=114 +ellps=WGS84": 1000.0,
    "+proj=aeqd +lat_0=22.3 +lon_0=113.8 +datum=WGS84 +units=km": 0.5,
    "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=25 +lon_0=110 +R=6371229": 1000.0,
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=20 +a=6378137 +b=6356752.3": 1000.0,
    "+proj=merc +lat_ts=20 +lon_0=114 +R=6371000": 2000.0,
    "EPSG:2326": 500.0,
}
kinds = pytest.mark.parametrize("text", list(KINDS))


def axes(text: str) -> tuple[Floats, Floats]:
    """Centres over Shenzhen, rows from the north."""
    onto, step = projection(text, "projdef"), KINDS[text]
    x, y = onto.xy(114.05, 22.55)
    columns, rows = np.arange(COLUMNS) - COLUMNS // 2, ROWS // 2 - np.arange(ROWS)
    return x / onto.metres + columns * step, y / onto.metres + rows * step


def sampling(text: str) -> Sampling:
    return of_plane(projection(text, "projdef"), *axes(text))


def centres(text: str) -> tuple[Floats, Floats]:
    """lat, lon of every source cell."""
    onto = projection(text, "projdef")
    x, y = np.meshgrid(*(axis * onto.metres for axis in axes(text)))
    lon, lat = onto.lon_lat(x, y)
    return lat, lon


def true_areas(text: str) -> Floats:
    """Of every source cell, up to one factor for all."""
    lat, lon = centres(text)
    return 1 / np.asarray(pyproj.Proj(text).get_factors(lon, lat).areal_scale)


@kinds
def test_every_source_cell_lies_on_the_earth_where_it_lay(text: str) -> None:
    lat, lon = centres(text)
    laid = sampling(text)
    there = laid.cells >= 0
    cells = laid.cells[there]
    lats, lons = np.broadcast_to(laid.lat[:, None], there.shape), np.broadcast_to(laid.lon, there.shape)
    half = 0.75 * np.hypot(np.ptp(lat) / ROWS, np.ptp(lon) / COLUMNS)
    assert np.hypot(lats[there] - lat.ravel()[cells], lons[there] - lon.ravel()[cells]).max() < half
    assert (np.diff(laid.lat) < 0).all()
    assert (np.diff(laid.lon) > 0).all()


@kinds
def test_no_peak_is_lost_and_none_is_made(text: str) -> None:
    laid = sampling(text)
    np.testing.assert_array_equal(np.unique(laid.cells[laid.cells >= 0]), np.arange(ROWS * COLUMNS))
    field = np.random.default_rng(7).gamma(0.3, 4.0, (ROWS, COLUMNS))
    field[5, 5] = np.nan
    there = laid.of(field)
    np.testing.assert_array_equal(np.unique(there[~np.isnan(there)]), np.unique(field[~np.isnan(field)]))


@kinds
def test_what_lies_outside_or_is_missing_stays_missing_and_never_zero(text: str) -> None:
    laid = sampling(text)
    field = np.ones((ROWS, COLUMNS))
    field[:10] = np.nan
    there = laid.of(field)
    assert np.isnan(there[laid.cells < 0]).all()
    assert np.isnan(there[(laid.cells >= 0) & (laid.cells < 10 * COLUMNS)]).all()
    assert not (there == 0).any()


def kept(text: str, field: Floats) -> float:
    """The total over the ground of the sampled field to that of the given one, on the same earth."""
    laid, areas = sampling(text), true_areas(text)
    ours = np.cos(np.radians(laid.lat))[:, None] * (laid.cells >= 0)
    given_mm = (field * areas).sum() / areas.sum()
    return float(np.nansum(laid.of(field) * ours) / ours.sum() / given_mm)


plain = st.sampled_from([text for text in KINDS if not text.startswith("EPSG")])


@given(plain, st.sampled_from([10, 30, 60]), st.data())
def test_the_total_of_a_block_is_kept_up_to_one_row_and_one_column(
    text: str, size: int, draw: st.DataObject
) -> None:
    top, left = draw.draw(st.integers(0, ROWS - size)), draw.draw(st.integers(0, COLUMNS - size))
    field = np.zeros((ROWS, COLUMNS))
    field[top : top + size, left : left + size] = 5.0
    assert kept(text, field) == pytest.approx(1, abs=2.2 / size)


@kinds
def test_the_total_of_single_cells_is_right_on_average(text: str) -> None:
    laid = sampling(text)
    times = np.bincount(laid.cells[laid.cells >= 0], minlength=ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    assert times.min() >= 1
    assert times.max() <= 4
    for part in (times[:45], times[45:], times[:, :55], times[:, 55:]):
        assert part.mean() == pytest.approx(times.mean(), rel=0.02)


@kinds
def test_cells_given_one_by_one_are_found_where_their_projection_has_them(text: str) -> None:
    laid, onto = of_curved(*centres(text)), projection(text, "projdef")
    x, y = onto.xy(*np.meshgrid(laid.lon, laid.lat))
    columns, rows = (
        np.floor((here / onto.metres - axis[0]) / (axis[1] - axis[0]) + 0.5)
        for here, axis in zip((x, y), axes(text), strict=True)
    )
    inside = (rows >= 0) & (rows < ROWS) & (columns >= 0) & (columns < COLUMNS)
    expected = np.where(inside, rows * COLUMNS + columns, -1)
    assert (laid.cells != expected).mean() < 0.002  # centres on a rim
    assert np.unique(laid.cells[laid.cells >= 0]).size == ROWS * COLUMNS


def test_a_regular_grid_given_cell_by_cell_stays_as_it_is() -> None:
    lat, lon = np.meshgrid(22.8 - np.arange(40) * 0.01, 113.7 + np.arange(60) * 0.01, indexing="ij")
    laid = of_curved(lat, lon)
    np.testing.assert_allclose(laid.lat, lat[:, 0], atol=1e-9)
    np.testing.assert_allclose(laid.lon, lon[0], atol=1e-9)
    np.testing.assert_array_equal(laid.cells.ravel(), np.arange(2400))


def test_the_same_axes_are_sampled_once() -> None:
    text = "+proj=laea +lat_0=22.5 +lon_0=114 +ellps=WGS84"
    assert sampling(text) is sampling(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+proj=geos +h=35785831",
        "+proj=lcc +lat_1=nan",
        "+proj=pipeline +step +proj=merc",
        "+proj=merc +nadgrids=/etc/passwd",
        "+init=epsg:3857",
        "+proj=merc +lat_ts=1e999",
        "+proj=merc +ellps=flat",
        "+proj=lcc +lat_1=30 +lat_2=-30",
        "EPSG:99999",
        "EPSG:4479",
        "PROJCRS[]",
        "+proj=merc\0",
    ],
)
def test_what_is_no_projection_we_understand_is_refused_by_field(text: str) -> None:
    with pytest.raises(BadGrid) as caught:
        projection(text, "where/projdef")
    assert caught.value.field == "where/projdef"
    assert "gdalwarp" in caught.value.what_to_do


@pytest.mark.parametrize(
    ("x", "y", "field"),
    [
        (np.arange(5) * 1000.0, np.array([0.0]), "y"),
        (np.array([0, 1000, 5000.0]), np.arange(5) * 1000.0, "x"),
        (np.array([0, np.nan, 2000.0]), np.arange(5) * 1000.0, "x"),
        (np.arange(5) * 1e9, np.arange(5) * 1000.0, "x"),
        (np.arange(5) * 0.1, np.arange(5) * 1000.0, "x"),
        (np.arange(2000) * 1000.0, np.arange(2000) * 1000.0, "rain"),
        (np.arange(300) * 1e5, np.arange(300) * 1e5, "x, y"),
    ],
)
def test_axes_that_cannot_be_laid_out_are_refused_by_field(x: Floats, y: Floats, field: str) -> None:
    with pytest.raises(BadGrid) as caught:
        of_plane(projection("+proj=laea +lat_0=22.5 +lon_0=114", "projdef"), x, y)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        (np.zeros((3, 3)), np.zeros((3, 3))),
        (np.full((3, 3), np.nan), np.zeros((3, 3))),
        (np.full((3, 3), 91.0), np.zeros((3, 3))),
        (np.zeros((3, 3)), np.zeros((3, 4))),
        (np.zeros(3), np.zeros(3)),
        (*np.random.default_rng(1).uniform(20, 24, (2, 30, 30)),),
    ],
)
def test_places_that_make_no_grid_are_refused(lat: Floats, lon: Floats) -> None:
    with pytest.raises(BadGrid):
        of_curved(lat, lon)


@given(
    st.text(max_size=60)
    | st.from_regex(r"(\+(proj|lat_0|a|R|k|units)=[a-z0-9.+-]{1,8} ?){1,5}", fullmatch=True)
)
def test_any_text_is_a_projection_or_a_refusal(text: str) -> None:
    try:
        onto: Any = projection(text, "projdef")
    except BadGrid:
        return
    assert onto.definition
    assert not is_lat_lon(text)
