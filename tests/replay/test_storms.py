"""The two storms: what the folder reader refuses and lists, what the rebuilt one owes to the figures."""

import csv
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import quantise
from replay.ground import cells_under, rain_at, tip
from replay.storm_2023 import DISTRICTS, LAT, LON, rain_2023, reconstruct_2023, slot
from replay.storms import STEP, Frame, NoStorm, Storm, read_folder

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
Floats = NDArray[np.float64]

# Section 6 of the domain figures: records of 2023-09-08 15:00; Ailian from the evening's bulletin.
PUBLISHED_MAXIMA = [
    ("正坑", 2, 195.8),
    ("正坑", 3, 246.8),
    ("东门", 6, 355.2),
    ("小梧桐", 12, 465.5),
    ("小梧桐", 24, 559.6),
    ("小梧桐", 48, 615.4),
    ("小梧桐", 72, 616.4),
    ("爱联", 1, 93.4),
    ("爱联", 0.5, 52.2),
]
PUBLISHED_SUMS = [
    ("正坑", 19, 20, 51.0),
    ("正坑", 20, 21, 98.9),
    ("正坑", 21, 22, 96.9),
    ("爱联", 18 + 1 / 3, 21.75, 234.9),
]
# Hours and mm that no gauge exceeded that night; the hour is the record of 2019.
RECORDS = [(1, 136.5), (2, 195.8), (3, 246.8), (6, 355.2), (12, 465.5), (24, 559.6)]
PUBLISHED_MEANS = {code: mean_mm for code, mean_mm, _ in DISTRICTS}


def largest(rain_mm: NDArray[np.floating], hours: float) -> Floats:
    """The largest sum over all sliding windows of that length, per column."""
    sums = np.concatenate([np.zeros((1, *rain_mm.shape[1:])), np.cumsum(rain_mm, axis=0, dtype=np.float64)])
    steps = round(hours * 12)
    return np.asarray((sums[steps:] - sums[:-steps]).max(axis=0))


def gauged(fields: NDArray[np.floating], lat: Floats, lon: Floats) -> Floats:
    """What tipping buckets at these points report, (step, gauge) mm."""
    cells = cells_under(LAT, LON, lat, lon)
    carry = np.zeros(len(lat))
    reports = []
    for field in fields:
        reported, carry = tip(rain_at(field, cells), carry)
        reports.append(reported)
    return np.array(reports)


@pytest.fixture(scope="module")
def storm() -> Storm:
    return reconstruct_2023()


@pytest.fixture(scope="module")
def fields() -> NDArray[np.float32]:
    """All fields in the hundredths that a file carries."""
    return quantise(rain_2023())


@pytest.fixture(scope="module")
def reports(storm: Storm, fields: NDArray[np.float32]) -> dict[str, Floats]:
    lat = np.array([station.lat for station in storm.stations])
    lon = np.array([station.lon for station in storm.stations])
    return dict(zip((s.name_zh for s in storm.stations), gauged(fields, lat, lon).T, strict=True))


@pytest.mark.parametrize(("station", "hours", "mm"), PUBLISHED_MAXIMA)
def test_the_gauge_of_a_pinned_station_reports_its_published_maximum(
    reports: dict[str, Floats], station: str, hours: float, mm: float
) -> None:
    assert largest(reports[station], hours) == pytest.approx(mm, abs=1e-6)


@pytest.mark.parametrize(("station", "from_hour", "to_hour", "mm"), PUBLISHED_SUMS)
def test_published_sums_between_two_times_hold(
    reports: dict[str, Floats], station: str, from_hour: float, to_hour: float, mm: float
) -> None:
    assert reports[station][slot(from_hour) : slot(to_hour)].sum() == pytest.approx(mm, abs=1e-6)


def test_windows_up_to_a_day_lie_inside_the_core(storm: Storm, reports: dict[str, Floats]) -> None:
    for station, hours, mm in PUBLISHED_MAXIMA:
        if hours < 24:
            assert largest(reports[station][storm.core], hours) == pytest.approx(mm, abs=1e-6)
    assert reports["小梧桐"][storm.core].sum() == pytest.approx(559.6, abs=1e-6)


@pytest.mark.parametrize(("hours", "mm"), RECORDS)
def test_no_cell_breaks_a_record_that_held(fields: NDArray[np.float32], hours: float, mm: float) -> None:
    assert largest(fields, hours).max() <= mm + 0.05


def test_no_step_exceeds_what_quality_control_calls_suspect(fields: NDArray[np.float32]) -> None:
    assert fields.min() >= 0 and fields.max() < 30


def test_no_total_of_the_night_exceeds_the_published_highest(fields: NDArray[np.float32]) -> None:
    assert fields[slot(17) : slot(30)].sum(axis=0).max() <= 469.0 + 0.05


def test_district_means_of_the_night_are_the_published_ones(fields: NDArray[np.float32]) -> None:
    """Measured as the product would: by gauges at the street centres of the register."""
    register = SHARED / "regions.csv"
    if not register.exists():
        pytest.skip(f"{register} is not here")
    with register.open(encoding="utf-8") as lines:
        streets = [row for row in csv.DictReader(lines) if row["level"] == "street"]
    lat, lon = (np.array([float(row[axis]) for row in streets]) for axis in ("lat", "lon"))
    sums = gauged(fields[slot(17) : slot(30)], lat, lon).sum(axis=0)
    for code, mean_mm in PUBLISHED_MEANS.items():
        mine = [total for row, total in zip(streets, sums, strict=True) if row["parent"] == code]
        assert np.mean(mine) == pytest.approx(mean_mm, rel=0.03), code


def test_the_same_storm_comes_out_every_time(fields: NDArray[np.float32]) -> None:
    assert np.array_equal(quantise(rain_2023()), fields)


def test_the_files_of_a_frame_carry_its_field(storm: Storm, fields: NDArray[np.float32]) -> None:
    for n in (slot(20), slot(26)):
        frame = storm.frames[n]
        assert frame.observed is not None and frame.rain_mm is not None
        assert cf_netcdf.decode(frame.observed()) == frame.rain_mm()
        assert frame.rain_mm().valid_at == (frame.at,)
        assert np.array_equal(frame.rain_mm().rain_mm[0], fields[n])
        assert frame.observed() == frame.observed()


def test_frames_come_every_five_minutes_until_the_records_were_published(storm: Storm) -> None:
    times = [frame.at for frame in storm.frames]
    assert {later - earlier for earlier, later in pairwise(times)} == {STEP}
    assert times[-1] == datetime(2023, 9, 8, 7, 0, tzinfo=UTC)
    assert storm.frames[storm.core][0].at == datetime(2023, 9, 7, 8, 5, tzinfo=UTC)


def test_the_reconstruction_says_that_it_is_one(storm: Storm) -> None:
    assert storm.synthetic and "重建" in storm.title_zh and "reconstruction" in storm.title_en


def test_a_nowcast_follows_its_frame_and_beats_a_dry_one(storm: Storm, fields: NDArray[np.float32]) -> None:
    errors, amounts = [], []
    for n in range(slot(18), slot(29), 12):
        body = storm.frames[n].nowcast
        assert body is not None
        ahead = cf_netcdf.decode(body())
        assert ahead.issued_at == storm.frames[n].at
        assert list(ahead.valid_at) == [storm.frames[n].at + k * STEP for k in range(1, 25)]
        observed = fields[n + 1 : n + 13].sum(axis=0)
        errors.append(np.abs(ahead.rain_mm[:12].sum(axis=0) - observed).mean())
        amounts.append(observed.mean())
    assert np.mean(errors) < 0.7 * np.mean(amounts)


def test_the_given_storm_is_read_lazily_and_without_gaps() -> None:
    folder = SHARED / "storm"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    storm = read_folder(folder)
    assert (len(storm.frames), storm.missing, storm.synthetic) == (126, (), False)
    last = storm.frames[-1]
    assert last.rain_mm is not None and last.nowcast is not None
    grid = last.rain_mm()
    assert grid.valid_at == (last.at,) and grid.rain_mm.shape == (1, 60, 160)
    assert cf_netcdf.decode(last.nowcast()).rain_mm.shape == (24, 60, 160)


def test_a_missing_file_is_a_gap_and_is_listed(tmp_path: Path) -> None:
    for name in ("obs_202309071000.nc", "nowcast_202309071000.nc", "obs_202309071010.nc", "README.md"):
        (tmp_path / name).write_bytes(name.encode())
    storm = read_folder(tmp_path)
    first, gap, last = storm.frames
    assert first.observed is not None and first.observed() == b"obs_202309071000.nc"
    assert gap == Frame(datetime(2023, 9, 7, 10, 5, tzinfo=UTC), None, None, None)
    assert last.nowcast is None
    assert storm.missing == ("obs_202309071005.nc", "nowcast_202309071005.nc", "nowcast_202309071010.nc")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), "holds no obs_"),
        (("photo.nc", "nowcast_202309071000.nc"), "holds no obs_"),
        (("obs_202309071000.nc", "obs_202309071003.nc"), "obs_202309071003.nc is not on the 5-minute steps"),
        (("obs_202399071000.nc",), "holds no date"),
    ],
)
def test_an_empty_or_foreign_folder_is_refused(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(NoStorm, match=says):
        read_folder(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoStorm, match="is not a folder"):
        read_folder(tmp_path / "nowhere")
