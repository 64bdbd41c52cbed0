"""Other thresholds over stored rain: the dry run says what the watch says, writes nothing, and compares fairly."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from alerts.assessment import rules
from alerts.models import Bulletin, Warning
from hydrology.models import Feed, Region
from notifications import dispatch
from notifications.models import Delivery
from replay import backtest
from replay.storms import read_folder
from tests.alerts.conftest import SLOT, A, B, C, frame, nowcast, play
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW, make_feed, make_regions

DRY: dict[str, float] = {}
STORM = [DRY, {A: 6.0}, {A: 6.0, B: 6.0}, {A: 13.0, B: 6.0}, {A: 16.0, C: 9.0}, *[DRY] * 30]
PRESENT = rules.Table("default-1", rules.DEFAULT_ROWS)
DEAF = rules.Table("deaf", {"rain_5min": (100, 200, 300, 400)})
EARLY = rules.Table(
    "early", {window: tuple(mm / 2 for mm in row) for window, row in rules.DEFAULT_ROWS.items()}
)


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def feed(regions: dict[str, Region]) -> Feed:
    return make_feed("radar")


def compared(*tables: rules.Table, until: datetime, now: datetime | None = None) -> list[dict[str, Any]]:
    return backtest.compare(tables, backtest.stored(NOW - SLOT, until), PRESENT, now or until)


def counts() -> dict[str, int]:
    rooms = ("alerts", "hydrology", "notifications", "escalation", "officers")
    return {
        model.__name__: model.objects.count()
        for room in rooms
        for model in apps.get_app_config(room).get_models()
    }


def test_the_dry_run_says_what_the_watch_said(feed: Feed, regions: dict[str, Region]) -> None:
    for street in (A, A, B, C):
        make_officer(regions[street])
    end = play(feed, STORM)
    dispatch.take_up(now=NOW)  # none has expired
    trial = backtest.Trial(PRESENT)
    districts = {A: "440303", B: "440303", C: "440304"}
    for seen in backtest.stored(NOW - SLOT, end):
        trial.step(seen, districts)
    said = sorted((s.at.isoformat(), sorted(s.areas), rules.Level(s.level).name.lower()) for s in trial.said)
    assert len(said) > 4
    assert said == sorted((b.reasons["slot_at"], sorted(b.areas), b.level) for b in Bulletin.objects.all())
    assert sorted(trial.warnings.elements()) == sorted(Warning.objects.values_list("peak_level", flat=True))
    [found] = compared(PRESENT, until=end)
    assert found["messages"]["messages"] == Delivery.objects.count()
    assert found["messages"]["people"] == 4


def test_a_deaf_table_misses_and_an_eager_one_is_earlier_and_costs_more(
    feed: Feed, regions: dict[str, Region]
) -> None:
    for street in (A, B):
        make_officer(regions[street])
    end = play(feed, [DRY, {A: 3.0}, {A: 6.0}, {A: 13.0}, *[DRY] * 24])
    present, deaf, early = compared(PRESENT, DEAF, EARLY, until=end)
    assert present["lead"]["by_street"] == {A: 5.0}  # warned at 6 mm, ALERT a slot later
    assert early["lead"]["by_street"] == {A: 10.0}
    assert deaf["lead"]["by_street"] == {A: None}
    assert (deaf["lead"]["missed"], present["lead"]["missed"]) == (1, 0)
    assert deaf["bulletins"] == deaf["messages"]["messages"] == sum(deaf["warnings"].values()) == 0
    assert early["messages"]["messages"] >= present["messages"]["messages"] > 0
    assert present["warnings"]["alert"] == early["warnings"]["emergency"] == 1


def test_nothing_is_written(feed: Feed, regions: dict[str, Region], tmp_path: Path) -> None:
    make_officer(regions[A])
    end = play(feed, STORM[:8])
    before = counts()
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"version": "early", "rows": {"rain_5min": [1, 2, 3, 4]}}))
    call_command("backtest", table, since=(NOW - SLOT).isoformat(), until=end.isoformat())
    assert counts() == before


def test_a_folder_gives_the_pictures_of_the_same_frames_stored(
    feed: Feed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = STORM[:10]
    end = play(feed, list(storm))
    for n, mm in enumerate(storm):
        (tmp_path / f"obs_{NOW + n * SLOT:%Y%m%d%H%M}.nc").write_bytes(frame(NOW + n * SLOT, mm))
    stored = list(backtest.stored(NOW - SLOT, end))
    read = list(backtest.of_storm(read_folder(tmp_path)))
    assert [seen.slot_at for seen in read] == [seen.slot_at for seen in stored]
    assert [seen.figures for seen in read] == [seen.figures for seen in stored]
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"rows": {"rain_5min": [1, 2, 3, 4]}}))
    call_command("backtest", table, storm=str(tmp_path), json=True)
    line = json.loads(capsys.readouterr().out)
    assert line["present"]["warnings"] == compared(PRESENT, until=end)[0]["warnings"]
    assert line["proposed"]["table"] == "table"


def test_a_folders_nowcast_counts_until_it_is_half_an_hour_old(
    regions: dict[str, Region], tmp_path: Path
) -> None:
    (tmp_path / f"nowcast_{NOW:%Y%m%d%H%M}.nc").write_bytes(nowcast(NOW, {A: 2.0}))
    for n in range(9):
        (tmp_path / f"obs_{NOW + n * SLOT:%Y%m%d%H%M}.nc").write_bytes(frame(NOW + n * SLOT, DRY))
    seen = list(backtest.of_storm(read_folder(tmp_path)))
    hour = [[f.value_mm for f in each.figures[A] if f.window == "nowcast_60min"] for each in seen]
    assert hour == [[24.0]] * 7 + [[]] * 2


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("{", "not a rule table"),
        ('{"rows": {"rain_7min": [1, 2, 3, 4]}}', "unknown window"),
        ('{"rows": {"rain_5min": [4, 3, 2, 1]}}', "ascending"),
        ("[]", "not a rule table"),
        ('{"rows": {"rain_5min": [1, 2, 3, 4]}}', "either --since and --until"),
    ],
)
def test_a_wrong_table_is_refused_with_its_reason(db: None, tmp_path: Path, text: str, spoken: str) -> None:
    table = tmp_path / "table.json"
    table.write_text(text)
    with pytest.raises(CommandError, match=spoken):
        call_command("backtest", table)
