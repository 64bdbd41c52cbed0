"""Street zones: every point of a zone is nearest to its own centre. Runs the page's own module under node."""

import json
from math import dist
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.console import scripts

REACH_KM = 6.0
pytestmark = scripts.needs_node

Point = tuple[float, float]
coordinates = st.integers(-300, 300).map(lambda tenth: tenth / 10)
centres = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12, unique=True)


def run(expression: str) -> Any:
    return scripts.run("zones.js", expression)


@given(points=centres)
@settings(max_examples=10, deadline=None)
def test_a_zone_is_nearest_to_its_own_centre_and_within_reach(points: list[Point]) -> None:
    zones = run(f"module.cells({json.dumps(points)}, {REACH_KM})")
    for own, corners in zip(points, zones, strict=True):
        assert len(corners) >= 3
        for corner in corners:
            at = (corner["x"], corner["y"])
            assert dist(at, own) <= REACH_KM + 1e-6
            assert all(dist(at, own) <= dist(at, other) + 1e-6 for other in points)


def test_an_edge_names_the_neighbour_across_it() -> None:
    west, east = run("module.cells([[0, 0], [4, 0]], 6)")
    assert {corner["by"] for corner in west} == {-1, 1}
    assert {corner["by"] for corner in east} == {-1, 0}


def test_a_wide_gap_is_closed_and_said_to_be_broken() -> None:
    moved = run(
        "(({move, breaks}) => [[0, 10, 60].map(move), breaks])(module.closeGaps([0, 10, 60], 25, 14))"
    )
    assert moved == [[0, 10, 24], [17]]
