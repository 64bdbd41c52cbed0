"""Looking at all places at once says what looking at each says; a street takes the gravest of its communities."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import watch
from alerts.assessment import rules
from alerts.assessment.rules import WINDOWS, Figure, Level
from alerts.figures import Cells, Figures, GaugeSums
from alerts.models import RuleTable, Storm, Warning, WarningEvent
from alerts.rain import RainPicture, picture
from alerts.verdicts import Verdicts
from hydrology import ingest
from hydrology.models import Feed, Region
from hydrology.models import Level as RegionLevel
from hydrology.science.formats.cf_netcdf import encode
from hydrology.science.grids import make_grid
from hydrology.zones import members_of, places_in_streets
from tests.alerts.conftest import LAT, LON, SENT, SLOT, A, B, C
from tests.hydrology.factories import NOW, make_station

TABLE = rules.Table("t", rules.DEFAULT_ROWS)
PLACES = ("a", "b", "c", "d")
OBSERVED, AHEAD = list(WINDOWS[:5]), list(WINDOWS[5:])
EAST, WEST = f"{A}001", f"{A}002"

mm = st.one_of(st.just(np.nan), st.just(0.0), st.floats(0, 120).map(lambda value: round(value, 2)))
share = st.sampled_from([0.0, 1 / 3, 0.5, 1.0])


def arrays(draw: Any, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    size = rows * columns
    values = draw(st.lists(mm, min_size=size, max_size=size))
    shares = draw(st.lists(share, min_size=size, max_size=size))
    return np.array(values).reshape(rows, columns), np.array(shares).reshape(rows, columns)


@st.composite
def some_figures(draw: Any) -> Figures:
    """Cells of a 3 x 3 grid, two a place, a nowcast, three gauges, now and then something doubted."""
    found = Figures()
    axis = np.arange(3) * 0.01
    for windows in (OBSERVED, AHEAD):
        sums, shares = arrays(draw, len(windows), 9)
        top = draw(st.lists(st.integers(-1, 8), min_size=8 * len(windows), max_size=8 * len(windows)))
        tops = np.array(top, dtype=np.intp).reshape(2, len(windows), 4)
        found.cells.append(Cells(windows, PLACES, tops, sums, shares, 22.5 + axis, 114.0 + axis))
    sums, shares = arrays(draw, len(OBSERVED), 3)
    stands = draw(st.lists(st.sampled_from(PLACES), min_size=3, max_size=3))
    found.gauges = GaugeSums(OBSERVED, ["1", "2", "3"], stands, sums, shares)
    if draw(st.booleans()):
        found.doubted["a"] = [
            Figure("rain_5min", draw(st.floats(0, 40)), "station:9", 1.0, 5.0, doubted=True)
        ]
    return found


@given(some_figures())
def test_all_at_once_reaches_and_holds_what_each_by_itself_does(figures: Figures) -> None:
    marks = figures.marks(TABLE)
    for place in PLACES:
        its = figures.get(place)
        if its is None:
            assert place not in marks.reached
        elif place not in marks.unclear:
            assert marks.reached[place] == rules.assess(place, its, TABLE).level
            held = Level.EMERGENCY if place in marks.absent else marks.held[place]
            assert held == rules.low_water(its, TABLE)


@given(some_figures())
def test_a_street_that_is_its_own_place_gets_what_the_rules_say(figures: Figures) -> None:
    seen = RainPicture(slot_at=NOW, figures=figures)
    verdicts = Verdicts(seen, TABLE)
    for street in PLACES:
        its = figures.get(street)
        found, held = verdicts.of(street)
        if its is None:
            assert (found, held) == (None, 0)
            continue
        assert found == rules.assess(street, its, TABLE)
        assert held == rules.low_water(its, TABLE)
        assert verdicts.may_warn(street) or not found.level


class InOneStreet(RainPicture):
    def places_of(self, street: str) -> tuple[str, ...]:
        return PLACES


@given(some_figures())
def test_a_street_takes_the_gravest_of_its_places_and_what_is_sure_of_any(figures: Figures) -> None:
    found, held = Verdicts(InOneStreet(slot_at=NOW, figures=figures), TABLE).of("street")
    each = [rules.assess(place, its, TABLE) for place in PLACES if (its := figures.get(place))]
    known = [its for place in PLACES if (its := figures.get(place)) and rules.present(its)]
    if not each:
        assert found is None
        return
    assert found is not None
    assert found.level == max(one.level for one in each)
    assert found.sure == max(one.sure for one in each)
    assert found.corroborated == (bool(found.level) and found.sure == found.level)
    assert held == max((rules.low_water(its, TABLE) for its in known), default=Level.EMERGENCY)
    if found.level:
        assert found.place == "street"
        assert found.reasons == rules.assess(found.at, figures[found.at], TABLE).reasons


@pytest.fixture
def communities(regions: dict[str, Region]) -> None:
    """Street A has two communities, east and west of its centre; B and C have none."""
    street = regions[A]
    for code, east in ((EAST, 0.02), (WEST, -0.02)):
        Region.objects.create(
            code=code, name=code, level="community", parent=street, path=f"{street.path}{code}/",
            lon=street.lon + east, lat=street.lat,
        )  # fmt: skip


def test_a_street_without_communities_is_a_place_among_them(communities: None) -> None:
    assert places_in_streets(RegionLevel.COMMUNITY) == {A: (EAST, WEST), B: (B,), C: (C,)}
    make_station("gauge-east", "PP", A, lon=114.139)
    make_station("gauge-west", "PP", WEST)
    make_station("gauge-b", "PP", B)
    assert members_of(RegionLevel.COMMUNITY) == {
        EAST: ("gauge-east",),
        WEST: ("gauge-west",),
        B: ("gauge-b",),
    }


def fell_on(feed: Feed, end: datetime, lon: float, lat: float, mm: float) -> None:
    """A frame with rain on the nine cells around a point, assessed when its grace is over."""
    field = np.zeros((1, LAT.size, LON.size))
    field[0][np.ix_(abs(LAT - lat) < 0.011, abs(LON - lon) < 0.011)] = mm
    ingest.take_grid(feed, encode(make_grid("observed", end, (end,), LAT, LON, field)), end + SENT)
    watch.assess_due(now=end + SENT + watch.GRACE)


def test_a_watch_over_communities_warns_streets_and_names_the_community(
    feed: Feed, communities: None
) -> None:
    RuleTable.objects.create(
        version="by-community", valid_from=NOW - SLOT, rows=dict(rules.DEFAULT_ROWS), watch_level="community"
    )
    for n, mm in enumerate((0.0, 13.0)):
        fell_on(feed, NOW + n * SLOT, 114.10, 22.55, mm)
    warning = Warning.objects.get()
    assert list(warning.streets.values_list("region_id", "level")) == [(A, 3)]
    reasons = WarningEvent.objects.get().reasons
    assert (reasons["watched"], reasons["rule_version"]) == ("community", "by-community")
    assert reasons["streets"][A]["community"] == WEST
    assert Storm.objects.get().streets == [A]
    seen = picture(NOW + SLOT, level=RegionLevel.COMMUNITY)
    assert max(f.value_mm for f in seen.figures[WEST] if f.window == "rain_5min") == 13.0
    assert max(f.value_mm for f in seen.figures[EAST] if f.window == "rain_5min") == 0.0
