"""Street zones: every point of a zone is nearest to its own centre. Runs the page's own module under node."""

import json
import shutil
import subprocess
from math import dist
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NODE = shutil.which("node")
MODULE = Path(__file__).parents[2] / "console" / "static" / "console" / "zones.js"
REACH_KM = 6.0
CALL = "import('data:text/javascript,' + encodeURIComponent(require('fs').readFileSync({file}, 'utf8')))"
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; the page itself needs none")

Point = tuple[float, float]
coordinates = st.integers(-300, 300).map(lambda tenth: tenth / 10)
centres = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12, unique=True)


def run(expression: str) -> object:
    script = f"{CALL.format(file=json.dumps(str(MODULE)))}.then((zones) => console.log(JSON.stringify({expression})))"
    done = subprocess.run([str(NODE), "-e", script], capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout)


@given(points=centres)
@settings(max_examples=10, deadline=None)
def test_a_zone_is_nearest_to_its_own_centre_and_within_reach(points: list[Point]) -> None:
    zones = run(f"zones.cells({json.dumps(points)}, {REACH_KM})")
    for own, corners in zip(points, zones, strict=True):
        assert len(corners) >= 3
        for corner in corners:
            at = (corner["x"], corner["y"])
            assert dist(at, own) <= REACH_KM + 1e-6
            assert all(dist(at, own) <= dist(at, other) + 1e-6 for other in points)


def test_an_edge_names_the_neighbour_across_it() -> None:
    west, east = run("zones.cells([[0, 0], [4, 0]], 6)")
    assert {corner["by"] for corner in west} == {-1, 1}
    assert {corner["by"] for corner in east} == {-1, 0}


def test_a_wide_gap_is_closed_and_said_to_be_broken() -> None:
    moved = run("(({move, breaks}) => [[0, 10, 60].map(move), breaks])(zones.closeGaps([0, 10, 60], 25, 14))")
    assert moved == [[0, 10, 24], [17]]
