"""Radar pictures at their doors: what is listed, what is sent, who may look, what a phone may keep."""

from datetime import datetime, timedelta
from io import BytesIO

import pytest
from PIL import Image

from foundation.clock import iso, now
from hydrology import ingest
from hydrology.models import Feed
from tests.hydrology.conftest import ClientFor
from tests.hydrology.test_radar import BOX, png, posted

pytestmark = [pytest.mark.urls("hydrology.urls"), pytest.mark.usefixtures("empty_wire")]
SIX = timedelta(minutes=6)


@pytest.fixture
def at(feed: Feed) -> datetime:
    """The time of the newest of two pictures with a gap between them."""
    newest = now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    for when in (newest - 2 * SIX, newest):
        ingest.take_radar(feed, posted(when), now())
    return newest


def test_pictures_are_listed_with_what_they_show_and_the_gap_between(
    at: datetime, client_for: ClientFor
) -> None:
    answer = client_for("4403/440304/").get("/radar/frames").json()
    first, gap, last = answer["items"]
    assert gap == {
        "id": None, "radar": "SZ", "product": "CR", "at": iso(at - SIX), "missing": True,
    }  # fmt: skip
    assert (first["missing"], last["missing"]) == (False, False)
    assert {name: last[name] for name in ("at", "bbox", "width", "height", "scale")} == {
        "at": iso(at), "bbox": BOX, "width": 400, "height": 320, "scale": [[10.0, "#0000ff"], [40.0, "#ff0000"]],
    }  # fmt: skip
    assert datetime.fromisoformat(answer["as_of"]) >= at


def test_a_picture_is_sent_as_it_came_and_may_be_kept_for_good(at: datetime, client_for: ClientFor) -> None:
    client = client_for("4403/")
    newest = client.get("/radar/frames").json()["items"][-1]["id"]
    whole, small = (client.get(f"/radar/frames/{newest}{end}") for end in (".png", ".thumb.png"))
    assert whole.content == png()
    assert Image.open(BytesIO(small.content)).size == (160, 128)
    for path, answer in ((".png", whole), (".thumb.png", small)):
        assert answer["Content-Type"] == "image/png"
        assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
        assert not answer["ETag"].startswith("W/")
        again = client.get(f"/radar/frames/{newest}{path}", headers={"If-None-Match": answer["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/radar/frames/{newest}.png", headers={"If-None-Match": small["ETag"]})
    assert other.status_code == 200


def test_one_radar_and_one_product_can_be_chosen(feed: Feed, at: datetime, client_for: ClientFor) -> None:
    ingest.take_radar(feed, posted(at, radar="HK", product="R"), now())
    client = client_for("4403/")

    def named(query: str) -> set[tuple[str, str]]:
        listed = client.get(f"/radar/frames?{query}").json()["items"]
        return {(item["radar"], item["product"]) for item in listed}

    assert named("") == {("HK", "R"), ("SZ", "CR")}
    assert named("radar=HK") == named("product=R") == {("HK", "R")}
    assert named("radar=nobody") == set()
    assert client.get("/radar/frames?hours=25").json()["code"] == "invalid"


def test_without_a_post_there_is_no_radar_and_an_unknown_picture_is_not_found(
    at: datetime, client_for: ClientFor
) -> None:
    newest = client_for("4403/").get("/radar/frames").json()["items"][-1]["id"]
    for path in ("", f"/{newest}.png", f"/{newest}.thumb.png"):
        assert client_for().get(f"/radar/frames{path}").status_code == 404
    assert client_for("4403/").get(f"/radar/frames/{newest + 1}.png").status_code == 404
    assert client_for("4403/").get(f"/radar/frames/{newest + 1}.thumb.png").status_code == 404


def test_a_list_that_did_not_change_costs_no_body(feed: Feed, at: datetime, client_for: ClientFor) -> None:
    Feed.objects.update(replayed=True)  # the water's clock stands at the newest picture
    client = client_for("4403/")
    before = client.get("/radar/frames")
    told = before.json()
    assert (told["as_of"], told["observed_at"], told["age_s"]) == (iso(at), iso(at), 0)
    again = client.get("/radar/frames", headers={"If-None-Match": before["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    ingest.take_radar(feed, posted(at + timedelta(minutes=1)), now())
    assert client.get("/radar/frames", headers={"If-None-Match": before["ETag"]}).status_code == 200
