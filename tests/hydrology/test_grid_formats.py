"""Every format through the one door: the same rain from each, and nothing lost of what cannot be read."""

import re
from pathlib import Path

import numpy as np
import pytest

from foundation.errors import Refusal
from hydrology import ingest
from hydrology.fields import field_of
from hydrology.models import Feed, FeedPost, GridRun, Product
from hydrology.science.formats import cf_netcdf, grib2
from hydrology.science.rainfall import SLOT
from hydrology.zones import axes_of
from tests.hydrology import test_cf_netcdf, test_grib2, test_micaps4, test_odim_hdf5
from tests.hydrology.factories import NOW, make_feed
from tests.hydrology.test_cf_netcdf import PLANES, STORM, needs_storm, projected
from tests.hydrology.test_ingest import counts

pytestmark = pytest.mark.django_db
AT = test_odim_hdf5.AT
RAIN_MM = test_odim_hdf5.RAIN_MM
GRID = test_odim_hdf5.grid_of(RAIN_MM)


@pytest.fixture
def feed(db: None) -> Feed:
    return make_feed("grids")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(test_cf_netcdf.BODY, id="CF NetCDF"),
        pytest.param(test_odim_hdf5.BODY, id="ODIM"),
        pytest.param(test_micaps4.encode(GRID), id="MICAPS 4"),
        pytest.param(None, id="GRIB2"),
    ],
)
def test_the_same_nowcast_in_any_format_is_the_same_run(feed: Feed, body: bytes | None) -> None:
    ingest.take_grid(feed, cf_netcdf.encode(GRID), NOW)
    ingest.take_grid(feed, body or test_grib2.nowcast(), NOW)
    run = GridRun.objects.get()  # the second was a duplicate, or the same bytes
    assert (run.product, run.issued_at, run.steps, run.spread) == (Product.NOWCAST, AT, 2, False)
    np.testing.assert_array_equal(field_of(run), GRID.cells_mm)


def test_a_projected_observation_is_stored_on_latitude_and_longitude(feed: Feed) -> None:
    proj = next(iter(PLANES))
    assert counts(ingest.take_grid(feed, projected(proj, PLANES[proj]), NOW)) == (2, 0, 0)
    runs = list(GridRun.objects.order_by("issued_at"))
    assert [run.issued_at for run in runs] == [AT + SLOT, AT + 2 * SLOT]
    lat, lon = axes_of(runs[0].geometry)
    assert field_of(runs[0]).shape == (1, lat.size * lon.size)
    assert lat[0] > lat[-1]
    assert np.isnan(field_of(runs[0])).any() == (runs[0].missing_share > 0)


def test_a_nowcast_that_comes_in_a_file_a_lead_time_is_one_run(feed: Feed) -> None:
    files = [part for part in re.split(rb"(?=diamond)", test_micaps4.encode(GRID)) if part]
    for part in reversed(files):
        assert counts(ingest.take_grid(feed, part, NOW)) == (1, 0, 0)
    run = GridRun.objects.order_by("-revision")[0]
    assert (run.steps, run.revision) == (2, 1)
    np.testing.assert_array_equal(field_of(run), GRID.cells_mm)
    corrected = GRID.rain_mm + 1
    ingest.take_grid(
        feed, re.split(rb"(?=diamond)", test_micaps4.encode(test_odim_hdf5.grid_of(corrected)))[1], NOW
    )
    newest = field_of(GridRun.objects.order_by("-revision")[0])
    np.testing.assert_array_equal(newest[0], corrected[0].ravel())
    np.testing.assert_array_equal(newest[1], GRID.cells_mm[1])


def test_files_of_another_issue_or_feed_are_not_joined(feed: Feed) -> None:
    one, other = (part for part in re.split(rb"(?=diamond)", test_micaps4.encode(GRID)) if part)
    ingest.take_grid(make_feed("another"), one, NOW)
    ingest.take_grid(feed, other, NOW)
    assert np.isnan(field_of(GridRun.objects.order_by("-revision")[0])[0]).all()


def test_a_body_that_ends_its_reader_is_kept_and_answered(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed.py"
    killed.write_text("import os\nos.abort()\n")
    with monkeypatch.context() as patch:
        patch.setattr(grib2, "_CHILD", str(killed))
        with pytest.raises(Refusal) as refused:
            ingest.take_grid(feed, test_grib2.nowcast(), NOW)
    assert "ended its reader" in refused.value.en
    assert bytes(FeedPost.objects.get().body) == test_grib2.nowcast()
    assert counts(ingest.take_grid(feed, test_grib2.nowcast(), NOW)) == (1, 0, 0)


@needs_storm
def test_the_given_frames_are_stored_bit_for_bit(feed: Feed) -> None:
    for path in [*sorted(STORM.glob("obs_2020103106*.nc")), *sorted(STORM.glob("nowcast_20201031060*.nc"))]:
        ingest.take_grid(feed, path.read_bytes(), NOW)
        sent = cf_netcdf.decode(path.read_bytes())
        run = GridRun.objects.get(product=sent.product, issued_at=sent.issued_at)
        assert field_of(run).tobytes() == sent.cells_mm.tobytes()
        assert not run.spread
