"""Radar pictures: a PNG and what it shows, in bytes; out, a checked `Picture` with its thumbnail.

Owns the two ways of saying what a picture shows: JSON with the PNG in base64, or the PNG alone with the same words in
its text chunks (tEXt, iTXt). The source's own bytes are kept, nothing is encoded again, unless their plain background
would hide the map. What a colour means is what the source says in `scale`; no picture is ever read back as rain.
"""

import base64
import binascii
import json
import re
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Final

import numpy as np
from PIL import Image, PngImagePlugin

from hydrology.science.grids import BadGrid

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_PIXELS: Final = 4096 * 4096
THUMB_PX: Final = 160
USUAL_CADENCE_S: Final = 360  # volume scans of 6 minutes
MAX_COLOURS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-\u4e00-\u9fff]{1,32}")
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?")
_SAID: Final = ("radar", "product", "observed_at", "bbox", "scale", "cadence_s")
_JSON: Final = frozenset({"bbox", "scale", "cadence_s"})
Box = tuple[float, float, float, float]


class BadPicture(BadGrid):
    """A picture that cannot be used: which field, why, and what the sender should do."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture over `bbox` (west, south, east, north, degrees), north up; `png` as it came, its background transparent."""

    radar: str
    product: str
    observed_at: datetime
    bbox: Box
    scale: tuple[tuple[float, str], ...]
    cadence_s: int
    png: bytes
    thumb: bytes
    width: int
    height: int


def read(body: bytes) -> Picture:
    """The picture in JSON `{radar, product, observed_at, bbox, scale?, cadence_s?, png}`, or a PNG that says it itself.

    Raises BadPicture and nothing else.
    """
    if body.startswith(MAGIC):
        png, image = body, _opened(body)
        said = _said_inside(image)
    else:
        said = _object(body)
        png = _base64(said.get("png"))
        image = _opened(png)
    scale = _scale(said.get("scale") or [])
    png, image = _see_through(png, image, scale)
    return Picture(
        radar=_name("radar", said.get("radar"), 32),
        product=_name("product", said.get("product"), 16),
        observed_at=_instant(said.get("observed_at")),
        bbox=_box(said.get("bbox")),
        scale=scale,
        cadence_s=_cadence(said.get("cadence_s", USUAL_CADENCE_S)),
        png=png,
        thumb=_thumb(image),
        width=image.width,
        height=image.height,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPicture(
            "body", "is neither PNG nor UTF-8 JSON", "send a PNG, or JSON with it in base64"
        ) from error
    if not isinstance(said, dict):
        raise BadPicture("body", "is no JSON object", "send {radar, product, observed_at, bbox, png}")
    return said


def _base64(text: object) -> bytes:
    try:
        if not isinstance(text, str):
            raise TypeError
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadPicture("png", "is not base64", "send the bytes of the PNG in base64") from error


def _opened(png: bytes) -> Image.Image:
    """The picture with all its pixels; lengths are looked at before anything is inflated."""
    if not png.startswith(MAGIC):
        raise BadPicture("png", "is not PNG", "send PNG")
    if len(png) > MAX_BYTES:
        raise BadPicture("png", f"has {len(png)} bytes", f"send at most {MAX_BYTES} bytes")
    try:
        image = PngImagePlugin.PngImageFile(BytesIO(png))
        if image.width * image.height > MAX_PIXELS or not image.width or not image.height:
            raise BadPicture("png", f"is {image.width} x {image.height}", f"send 1 to {MAX_PIXELS} pixels")
        # Pillow takes a text named bbox for the box of an animation's frame.
        image.tile = [tile._replace(extents=(0, 0, *image.size)) for tile in image.tile]
        image.load()
    except BadPicture:
        raise
    except _DAMAGE as error:
        raise BadPicture(
            "png", f"is damaged or cut ({type(error).__name__})", "send the file again"
        ) from error
    return image


# what Pillow raises on damaged chunks, found by mutation
_DAMAGE: Final = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
    AssertionError, AttributeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def _said_inside(image: Image.Image) -> dict[str, Any]:
    """The words of the text chunks; those that are lists or numbers are JSON."""
    texts = {key.lower(): str(value) for key, value in getattr(image, "text", {}).items()}
    said: dict[str, Any] = {key: texts[key] for key in _SAID if key in texts}
    for key in _JSON & said.keys():
        try:
            said[key] = json.loads(said[key])
        except (ValueError, RecursionError) as error:
            raise BadPicture(key, f"{_shown(said[key], 40)} is no JSON", f"write {key} as JSON") from error
    return said


def _shown(given: object, most: int) -> str:
    """What was sent, as the sender wrote it."""
    if given is None:
        return "(not given)"
    return f"“{given[:most]}”" if isinstance(given, str) else str(given)[:most]


def _name(field: str, given: object, most: int) -> str:
    if not isinstance(given, str) or not _NAME.fullmatch(given) or len(given) > most:
        raise BadPicture(field, f"{_shown(given, 40)} is no name", f"send 1 to {most} letters, digits, _ . -")
    return given


def _instant(given: object) -> datetime:
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else None
        if at is None or at.tzinfo is None or not 2000 <= at.year < 2100:
            raise ValueError(given)
        return at.replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise BadPicture(
            "observed_at", f"{_shown(given, 40)} is no time with a zone", "send 2026-09-07T20:06:00+08:00"
        ) from error


def _box(given: object) -> Box:
    numbers = given if isinstance(given, list) and len(given) == 4 and all(map(_is_number, given)) else None
    if numbers is None:
        raise BadPicture(
            "bbox", f"{_shown(given, 60)} is no box", "send [west, south, east, north] in degrees"
        )
    west, south, east, north = (float(value) for value in numbers)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise BadPicture(
            "bbox", f"{west:g}..{east:g}, {south:g}..{north:g} is no area", "send [west, south, east, north]"
        )
    return west, south, east, north


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _scale(given: object) -> tuple[tuple[float, str], ...]:
    """[[dBZ from, colour], …], rising."""
    rows = given if isinstance(given, list) and len(given) <= MAX_COLOURS else [None]
    pairs = [row for row in rows if isinstance(row, list) and len(row) == 2]
    if len(pairs) != len(rows) or not all(
        _is_number(dbz) and isinstance(colour, str) and _COLOUR.fullmatch(colour) for dbz, colour in pairs
    ):
        raise BadPicture("scale", f"{_shown(given, 60)} is no scale", 'send [[10, "#0000ff"], …], at most 64')
    return tuple(sorted((float(dbz), str(colour).lower()) for dbz, colour in pairs))


def _cadence(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 60 <= given <= 86_400:
        raise BadPicture("cadence_s", f"{_shown(given, 20)} is no period", "send 60 to 86400 seconds")
    return given


def _see_through(
    png: bytes, image: Image.Image, scale: tuple[tuple[float, str], ...]
) -> tuple[bytes, Image.Image]:
    """The picture with its background transparent: the colour of all four corners, where the scale does not have it.

    As it came when it has transparency of its own, no scale to tell echoes from background, or no one background.
    """
    if image.has_transparency_data or not scale:
        return png, image
    colours = image.convert("RGB")
    right, bottom = image.width - 1, image.height - 1
    corners = {colours.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom), (right, bottom))}
    pixels = np.asarray(colours)
    background = pixels[0, 0]
    if len(corners) > 1 or f"#{background.tobytes().hex()}" in {colour[:7] for _, colour in scale}:
        return png, image
    alpha = np.where((pixels == background).all(axis=2), 0, 255).astype(np.uint8)
    clear = Image.fromarray(np.dstack([pixels, alpha]))
    buffer = BytesIO()
    clear.save(buffer, "PNG")
    return buffer.getvalue(), clear


def _thumb(image: Image.Image) -> bytes:
    """At most 160 px either way, as PNG; transparency is kept."""
    small = image.convert("RGBA")
    small.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
