"""The heaviest two hours of a storm, gauge by gauge: nothing true is refused or wrong, and next to nothing doubted."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from hydrology import ingest
from hydrology.models import Feed, Observation
from hydrology.science.quality import Quality
from hydrology.science.readings import Element
from replay import city
from replay.player import Objects
from replay.storm_2023 import reconstruct_2023, slot
from replay.storms import Frame, read_folder

GIVEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"


def built_in() -> list[Frame]:
    """20:00 to 22:00 of 7 September 2023, the records among them."""
    return list(reconstruct_2023().frames[slot(20) : slot(22)])


def given() -> list[Frame]:
    if not GIVEN.is_dir():
        pytest.skip("../shared/data/storm is not there: the given storm was not judged")
    return list(read_folder(GIVEN).frames)[38:62]


@pytest.mark.parametrize("storm", [built_in, given])
@pytest.mark.parametrize("unlike_the_field", [0.0, 0.3])
def test_no_true_extreme_is_wrong_and_hardly_one_is_doubted(
    db: None, storm: Any, unlike_the_field: float
) -> None:
    frames, rng = storm(), np.random.default_rng(0)
    city.build(frames[0].at - timedelta(days=1), say=lambda line: None, officers=1500)
    feed, objects, sent = Feed.objects.get(key="replay"), Objects(frames[0].at.date()), 0
    for frame in frames:
        rows = objects.readings(frame.rain_mm(), frame.at)
        for row in rows:
            if row["element"] == Element.RAIN:
                row["value"] = round(
                    float(row["value"]) * float(np.exp(rng.normal(0.0, unlike_the_field))), 1
                )
        answer = ingest.take_readings(feed, orjson.dumps({"readings": rows}), frame.at + timedelta(seconds=2))
        assert answer["rejected"] == []
        sent += len(rows)
        ingest.take_grid(feed, frame.observed(), frame.at + timedelta(seconds=2))
    stored = Observation.objects.filter(
        observed_at__gt=frames[0].at - timedelta(hours=1), observed_at__lte=frames[-1].at
    )
    assert stored.count() == sent
    heavy = stored.filter(element=Element.RAIN, value__gte=5)
    assert heavy.count() > 50
    assert not stored.filter(quality=Quality.WRONG).exists()
    assert heavy.filter(quality=Quality.SUSPECT).count() <= heavy.count() // 100
    assert stored.filter(quality=Quality.SUSPECT).count() <= sent // 1000
