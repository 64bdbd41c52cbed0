"""Rain pictures at their doors: what a pixel says, what a gap looks like, who may look."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation.clock import iso, now
from hydrology import frames, ingest
from hydrology.models import Feed, Product
from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import make_grid
from hydrology.science.rainfall import SLOT, slot_end
from tests.hydrology.conftest import ClientFor

pytestmark = [pytest.mark.urls("hydrology.urls"), pytest.mark.usefixtures("empty_wire")]
LAT, LON = np.array([22.6, 22.5, 22.4]), np.array([113.9, 114.0, 114.1, 114.2])


def field(product: Product, issued_at: Any, rain_mm: Any) -> bytes:
    rain = np.asarray(rain_mm, dtype=np.float32)
    first = issued_at if product == Product.OBSERVED else issued_at + SLOT
    ends = [first + SLOT * n for n in range(len(rain))]
    return cf_netcdf.encode(make_grid(product.value, issued_at, ends, LAT, LON, rain))


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA"))


def shown(colour: str, alpha: int) -> list[int]:
    return [*bytes.fromhex(colour[1:]), alpha]


def test_a_pixel_is_a_cell_dry_is_transparent_and_missing_is_grey(feed: Feed, client_for: ClientFor) -> None:
    at = slot_end(now()) - SLOT
    rain = np.zeros((1, 3, 4))
    rain[0, 0, 0], rain[0, 2, 3], rain[0, 1, 1] = 10.0, 0.05, np.nan  # 120 mm/h in the north-west corner
    ingest.take_grid(feed, field(Product.OBSERVED, at, rain), at)
    client = client_for("4403/")
    listed = client.get("/rain/frames?hours=1").json()
    newest = listed["items"][-1]
    assert (listed["as_of"], listed["observed_at"], listed["age_s"]) == (iso(at), iso(at), 0)
    assert newest["bbox"] == [113.85, 22.35, 114.25, 22.65]
    assert (newest["at"], newest["kind"], newest["missing"]) == (iso(at), "observed", False)
    answer = client.get(f"/rain/frames/{newest['id']}.png")
    assert answer["Content-Type"] == "image/png"
    assert "immutable" in answer["Cache-Control"]
    seen = pixels(answer.content)
    assert seen.shape == (3, 4, 4)
    assert seen[0, 0].tolist() == shown(frames.SCALE[-1][1], 200)
    assert seen[1, 1].tolist() == shown(frames.MISSING_COLOUR, 90)
    assert seen[2, 3].tolist() == shown(frames.SCALE[0][1], 200)
    assert seen[0, 1, 3] == 0
    again = client.get(f"/rain/frames/{newest['id']}.png", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_step_that_never_came_is_marked_and_the_nowcast_follows(feed: Feed, client_for: ClientFor) -> None:
    at = slot_end(now()) - SLOT
    for ends in (at, at - 2 * SLOT):
        ingest.take_grid(feed, field(Product.OBSERVED, ends, np.ones((1, 3, 4))), at)
    ingest.take_grid(feed, field(Product.NOWCAST, at - SLOT, np.ones((3, 3, 4))), at)
    items = client_for("4403/").get("/rain/frames?hours=1").json()["items"]
    assert [item["kind"] for item in items] == ["observed"] * 12 + ["nowcast"] * 2
    assert [item["missing"] for item in items[9:12]] == [False, True, False]
    assert items[10]["id"] is None
    assert [item["at"] for item in items[12:]] == [iso(at + SLOT), iso(at + 2 * SLOT)]
    assert {item["issued_at"] for item in items[12:]} == {iso(at - SLOT)}


def test_nobody_without_a_post_and_no_step_that_is_not_there(feed: Feed, client_for: ClientFor) -> None:
    at = slot_end(now()) - SLOT
    ingest.take_grid(feed, field(Product.OBSERVED, at, np.ones((1, 3, 4))), at)
    path = f"/rain/frames/{client_for('4403/').get('/rain/frames').json()['items'][-1]['id']}.png"
    assert client_for("4403/440304/").get(path).status_code == 200
    assert client_for().get(path).status_code == 404
    assert client_for().get("/rain/frames").status_code == 404
    assert client_for("4403/").get(path.replace("-0.png", "-1.png")).status_code == 404
    assert client_for("4403/").get("/rain/frames?hours=0").json()["code"] == "invalid"
    assert client_for("4403/").get("/rain/frames?hours=999").status_code == 400


def test_two_hours_are_listed_when_nothing_is_asked(feed: Feed, client_for: ClientFor) -> None:
    listed = client_for("4403/").get("/rain/frames").json()
    assert len(listed["items"]) == timedelta(hours=2) / SLOT
    assert all(item["missing"] for item in listed["items"])
    assert (listed["observed_at"], listed["age_s"]) == (None, None)
