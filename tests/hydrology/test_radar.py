"""Radar pictures: taken as they are, known by what they say of themselves, listed with their gaps."""

import base64
import io
import zlib
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from rest_framework.test import APIClient

from foundation.clock import iso, now
from foundation.errors import Refusal
from hydrology import ingest, radar
from hydrology.feeds import signing
from hydrology.models import Blob, Feed, FeedMark, FeedPost, RadarFrame
from hydrology.science.formats import radar_png
from hydrology.science.formats.radar_png import BadPicture
from tests.hydrology.factories import MINUTE, NOW, SECRET, make_feed
from tests.hydrology.test_ingest import counts

BOX = [113.0, 21.8, 115.0, 23.4]
SCALE = [[10, "#0000ff"], [40, "#FF0000"]]


def png(colour: str = "#ff0000", size: tuple[int, int] = (400, 320), **texts: str) -> bytes:
    """A picture with a transparent left half; `texts` become its text chunks."""
    image = Image.new("RGBA", size, colour)
    image.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    words = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        (words.add_text if text.isascii() else words.add_itxt)(key, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=words)
    return buffer.getvalue()


def posted(at: datetime = NOW, picture: bytes | None = None, **more: Any) -> bytes:
    said = {"radar": "SZ", "product": "CR", "observed_at": iso(at), "bbox": BOX, "scale": SCALE}
    return orjson.dumps({**said, "png": base64.b64encode(picture or png()).decode(), **more})


def bare(at: datetime = NOW, **more: str) -> bytes:
    said = {"radar": "深圳", "product": "CR", "observed_at": str(iso(at)), "bbox": "[113, 21.8, 115, 23.4]"}
    return png(**{**said, **more})


@pytest.fixture
def feed(db: None) -> Feed:
    return make_feed("radar")


# What a picture says


def test_a_picture_in_json_is_known_by_its_words() -> None:
    picture = radar_png.read(posted())
    assert (picture.radar, picture.product, picture.observed_at) == ("SZ", "CR", NOW)
    assert picture.bbox == tuple(BOX)
    assert picture.scale == ((10, "#0000ff"), (40, "#ff0000"))
    assert (picture.width, picture.height, picture.cadence_s) == (400, 320, 360)
    assert picture.png == png()


def test_a_bare_png_says_the_same_in_its_text_chunks() -> None:
    body = bare(scale='[[10, "#0000ff"]]', cadence_s="300")
    picture = radar_png.read(body)
    assert (picture.radar, picture.cadence_s, picture.scale) == ("深圳", 300, ((10, "#0000ff"),))
    assert picture.png == body


def test_the_thumbnail_is_small_and_keeps_what_is_transparent() -> None:
    thumb = Image.open(io.BytesIO(radar_png.read(posted()).thumb))
    assert thumb.size == (160, 128)
    assert thumb.getpixel((10, 10))[3] == 0
    assert thumb.getpixel((150, 100)) == (255, 0, 0, 255)


def opaque(background: str, corner: str = "", mode: str = "RGB") -> bytes:
    """An echo on a plain background, without any transparency; `corner` is drawn into one corner."""
    image = Image.new("RGB", (40, 30), background)
    image.paste("#ff0000", (10, 10, 20, 20))
    if corner:
        image.putpixel((39, 29), tuple(bytes.fromhex(corner[1:])))
    buffer = io.BytesIO()
    image.convert(mode, **({"palette": Image.Palette.ADAPTIVE} if mode == "P" else {})).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "P"])
@pytest.mark.parametrize("background", ["#000000", "#ffffff"])
def test_a_plain_background_does_not_hide_the_map(background: str, mode: str) -> None:
    picture = radar_png.read(posted(picture=opaque(background, mode=mode)))
    for drawn in (picture.png, picture.thumb):
        shown = Image.open(io.BytesIO(drawn)).convert("RGBA")
        assert shown.getpixel((0, 0))[3] == shown.getpixel((30, 15))[3] == 0
        assert shown.getpixel((15, 15)) == (255, 0, 0, 255)


@pytest.mark.parametrize(
    ("picture", "scale"),
    [
        (opaque("#000000"), []),  # nobody says which colours are echoes
        (opaque("#0000ff"), SCALE),  # rain from edge to edge
        (opaque("#000000", corner="#123456"), SCALE),  # a map is drawn in it
    ],
)
def test_where_no_background_can_be_told_the_picture_stays_as_it_came(
    picture: bytes, scale: list[Any]
) -> None:
    assert radar_png.read(posted(picture=picture, scale=scale)).png == picture


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGB", "I;16", "LA"])
def test_every_kind_of_png_has_a_thumbnail(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (10, 8)).save(buffer, "PNG")
    assert Image.open(io.BytesIO(radar_png.read(posted(picture=buffer.getvalue())).thumb)).size == (10, 8)


def bomb() -> bytes:
    """A header that claims 30,000 x 30,000 pixels."""
    head = (30_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunk = b"IHDR" + head
    return radar_png.MAGIC + len(head).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("body", b"\xff"),
        ("body", b"[1]"),
        ("body", b"[" * 100_000),
        ("png", posted(png="not base64!")),
        ("png", posted(png=7)),
        ("png", posted(picture=b"GIF89a")),
        ("png", posted(picture=png()[:300])),
        ("png", posted(picture=bomb())),
        ("png", bomb()),
        ("png", posted(picture=png() + bytes(radar_png.MAX_BYTES))),
        ("radar", posted(radar="../etc")),
        ("radar", posted(radar="")),
        ("radar", png()),
        ("product", posted(product="x" * 17)),
        ("observed_at", posted(observed_at="2026-09-07 20:00")),
        ("observed_at", posted(observed_at=5)),
        ("observed_at", posted(observed_at="1999-09-07T20:00:00+08:00")),
        ("bbox", posted(bbox=[113, 22, 112, 23])),
        ("bbox", posted(bbox=[21.8, 113.0, 23.4, 115.0])),
        ("bbox", posted(bbox=[113, 22, 115])),
        ("bbox", posted(bbox=[113, 22, 115, True])),
        ("bbox", posted(bbox="113,22,115,23")),
        ("bbox", bare(bbox="113,22,115,23")),
        ("scale", posted(scale=[[10, "red"]])),
        ("scale", posted(scale={"10": "#ff0000"})),
        ("cadence_s", posted(cadence_s=5)),
        ("cadence_s", bare(cadence_s="six minutes")),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_by_field(field: str, body: bytes) -> None:
    with pytest.raises(BadPicture) as caught:
        radar_png.read(body)
    assert caught.value.field == field
    assert caught.value.what_to_do


WHOLE = bare(scale='[[10, "#0000ff"]]')


@given(
    st.lists(st.tuples(st.integers(8, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(8, len(WHOLE)),
)
def test_damaged_bytes_are_a_picture_or_a_refusal_and_nothing_else(
    changes: list[tuple[int, int]], cut: int
) -> None:
    body = bytearray(WHOLE)
    for at, byte in changes:
        body[at] = byte
    try:
        picture = radar_png.read(bytes(body[:cut]))
    except BadPicture:
        return
    assert picture.width * picture.height <= radar_png.MAX_PIXELS
    assert picture.thumb.startswith(radar_png.MAGIC)


# What is kept


def test_a_picture_is_kept_as_it_came_with_its_thumbnail(feed: Feed) -> None:
    assert counts(ingest.take_radar(feed, posted(), NOW)) == (1, 0, 0)
    frame = RadarFrame.objects.get()
    assert (frame.radar, frame.observed_at, frame.north, frame.scale) == (
        "SZ", NOW, 23.4, [[10.0, "#0000ff"], [40.0, "#ff0000"]],
    )  # fmt: skip
    assert radar.picture(frame.pk) == (png(), frame.picture_id)
    small = radar.thumb(frame.pk)
    assert small is not None
    assert Image.open(io.BytesIO(small[0])).size == (160, 128)
    assert radar.picture(frame.pk + 1) is None
    assert FeedMark.objects.get().observed_at == NOW


def test_the_same_picture_is_a_duplicate_and_another_is_the_next_revision(feed: Feed) -> None:
    ingest.take_radar(feed, posted(), NOW)
    assert counts(ingest.take_radar(feed, posted(note="the same in other bytes"), NOW)) == (0, 1, 0)
    assert counts(ingest.take_radar(feed, posted(picture=png("#00ff00")), NOW)) == (1, 0, 0)
    assert counts(
        ingest.take_radar(feed, posted(picture=png("#00ff00"), bbox=[112.0, 21, 115, 23]), NOW)
    ) == (1, 0, 0)
    assert RadarFrame.objects.between(NOW - MINUTE, NOW).get().revision == 2


def test_equal_pictures_of_different_times_are_kept_once(feed: Feed) -> None:
    for minutes in (0, 6):
        ingest.take_radar(feed, posted(NOW - minutes * MINUTE), NOW)
    assert (RadarFrame.objects.count(), Blob.objects.count()) == (2, 2)


def test_a_picture_of_the_future_is_refused_until_its_time_and_its_bytes_are_kept(feed: Feed) -> None:
    body = posted(NOW + 10 * MINUTE)
    with pytest.raises(Refusal, match="malformed"):
        ingest.take_radar(feed, body, NOW)
    assert bytes(FeedPost.objects.get().body) == body
    assert counts(ingest.take_radar(feed, body, NOW + 10 * MINUTE)) == (1, 0, 0)


def test_the_door_takes_json_and_bare_png(feed: Feed, settings: Any) -> None:
    settings.ROOT_URLCONF = "hydrology.urls"
    for body, kind in (
        (posted(now()), "application/json"),
        (bare(now()), "image/png"),
        (b"GIF89a", "image/gif"),
    ):
        answer = APIClient().post(
            "/ingest/radar", body, content_type=kind, headers=signing.signed_headers("radar", SECRET, body, now())
        )  # fmt: skip
        assert answer.status_code == (400 if kind == "image/gif" else 200)
    assert set(RadarFrame.objects.values_list("radar", flat=True)) == {"SZ", "深圳"}


# What is listed


def listed(hours: int = 1, **only: str) -> list[tuple[int, bool]]:
    """(minutes before NOW, missing) of every item."""
    return [
        (int((NOW - datetime.fromisoformat(item["at"])) / MINUTE), item["missing"])
        for item in radar.frames(NOW, hours, **only)
    ]


def put(feed: Feed, *minutes_ago: int, **more: Any) -> None:
    for minutes in minutes_ago:
        ingest.take_radar(feed, posted(NOW - minutes * MINUTE, **more), NOW)


def test_expected_times_without_a_picture_are_gaps(feed: Feed) -> None:
    put(feed, 18, 12, 36, 42)
    assert listed() == [(42, False), (36, False), (30, True), (24, True), (18, False), (12, False), (6, True)]


def test_a_picture_a_little_early_or_late_leaves_no_gap(feed: Feed) -> None:
    put(feed, 20, 13, 8, 2)
    assert all(not missing for _, missing in listed())


def test_a_radar_that_spoke_before_has_gaps_at_the_front_and_a_new_one_has_not(feed: Feed) -> None:
    put(feed, 48, 6)
    assert listed()[0] == (48, False)
    put(feed, 90)
    assert listed()[:3] == [(54, True), (48, False), (42, True)]


def test_a_silent_radar_is_all_gaps_for_a_week(feed: Feed) -> None:
    put(feed, 120)
    assert len(listed()) == 9
    assert all(missing for _, missing in listed())
    assert radar.frames(NOW + timedelta(days=8), 1) == []


def test_radars_and_products_are_listed_one_after_another_and_can_be_chosen(feed: Feed) -> None:
    put(feed, 6, 0)
    put(feed, 10, 0, radar="HK", product="R", cadence_s=600)
    assert [(item["radar"], item["product"]) for item in radar.frames(NOW, 1)] == [("HK", "R")] * 2 + [
        ("SZ", "CR")
    ] * 2
    assert len(radar.frames(NOW, 1, radar="HK")) == 2
    assert radar.frames(NOW, 1, product="VIL") == []


def test_only_the_newest_revision_is_listed(feed: Feed) -> None:
    put(feed, 0)
    put(feed, 0, bbox=[112.0, 21.0, 115.0, 23.0])
    (item,) = radar.frames(NOW, 1)
    assert item["bbox"] == [112.0, 21.0, 115.0, 23.0]
