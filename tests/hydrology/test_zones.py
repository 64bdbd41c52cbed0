"""Which cells and gauges belong to which street."""

from typing import Any

import numpy as np
import pytest

from hydrology.models import Region
from hydrology.science.grids import make_grid
from hydrology.zones import axes_of, district_zones, place_at, street_members, street_zones
from tests.hydrology.factories import NOW, make_station

LAT, LON = np.linspace(22.65, 22.46, 20), np.linspace(114.00, 114.24, 25)


def test_each_street_takes_the_cells_nearest_to_its_centre(city: Any) -> None:
    zones = street_zones(LAT, LON)
    assert zones.codes == ("440303001", "440303002", "440304001")
    field = np.zeros((LAT.size, LON.size))
    field[10, 12] = 7.0  # 22.55, 114.12: the first street's centre
    assert list(zones.maximum(field.ravel())) == [7.0, 0.0, 0.0]


def test_a_district_is_its_streets_together(city: Any) -> None:
    streets, districts = street_zones(LAT, LON), district_zones(LAT, LON)
    assert districts.codes == ("440303", "440304")
    assert list(districts.sizes) == [streets.sizes[0] + streets.sizes[1], streets.sizes[2]]


def test_a_street_that_moved_moves_its_zone(city: Any) -> None:
    before = street_zones(LAT, LON)
    assert street_zones(LAT, LON) is before
    Region.objects.filter(pk="440304001").update(lon=114.22)
    assert not np.array_equal(street_zones(LAT, LON).cells, before.cells)


def test_a_gauge_of_a_community_belongs_to_its_street(city: Any) -> None:
    street = Region.objects.get(pk="440303001")
    Region.objects.create(
        code="440303001007", name="community", level="community", parent=street,
        path=f"{street.path}440303001007/", lon=street.lon, lat=street.lat,
    )  # fmt: skip
    make_station("rain-9", "PP", "440303001007")
    make_station("rain-of-the-city", "PP", "4403")
    assert street_members() == {
        "440303001": ("rain-1", "rain-9"), "440303002": ("rain-2",), "440304001": ("rain-3",),
    }  # fmt: skip


def test_the_axes_come_back_from_a_geometry() -> None:
    grid = make_grid("observed", NOW, [NOW], LAT, LON, np.zeros((1, 20, 25)))
    lat, lon = axes_of(grid.geometry)
    assert np.allclose(lat, grid.lat, atol=1e-4) and np.allclose(lon, grid.lon, atol=1e-4)
    with pytest.raises(ValueError, match="not a grid geometry"):
        axes_of("rubbish,1x2")


def test_a_point_lies_in_the_place_whose_centre_is_nearest_and_far_out_in_none(city: Any) -> None:
    street = Region.objects.get(pk="440303001")
    Region.objects.create(
        code="440303001007", name="community", level="community", parent=street,
        path=street.path + "440303001007/", lon=114.13, lat=22.55,
    )  # fmt: skip
    assert place_at(114.12, 22.55) == "440303001007"  # its street's own centre: the community comes first
    assert place_at(114.18, 22.59) == "440303002"
    assert (place_at(114.05, 22.53 - 0.053), place_at(114.05, 22.53 - 0.055)) == ("440304001", None)
    assert place_at(22.55, 114.12) is None
