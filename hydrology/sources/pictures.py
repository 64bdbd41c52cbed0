"""A bare radar picture into the body of `POST radar`: what it shows stands in the mapping, when in its name.

Owns the mapping's key `picture` (docs/sources.md). Looks into no picture: ingest does. Dry.
"""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from hydrology.science.formats.radar_png import MAGIC
from hydrology.sources.fetched import fault
from hydrology.sources.payload import zone_of

_KEYS: Final = {"radar", "product", "bbox", "scale", "cadence_s"}
_STAMP: Final = re.compile(r"(?<!\d)(20\d{10})(\d{2})?(?!\d)")  # 202309071820, also with seconds


@dataclass(frozen=True, slots=True)
class Look:
    """What every picture of a source shows; `zone` of the times in their names."""

    said: dict[str, Any]
    zone: ZoneInfo


def look_of(mapping: object) -> Look:
    """Raises Refusal naming the faulty key; what bbox and scale may be is checked with each picture."""
    if not isinstance(mapping, dict) or not {"radar", "product", "bbox"} <= set(mapping) <= _KEYS | {"zone"}:
        raise fault(
            "mapping.picture",
            "mapping.picture 须含 radar、product、bbox，可含 scale、cadence_s、zone。",
            "mapping.picture needs radar, product and bbox, and may have scale, cadence_s and zone.",
        )
    return Look({key: mapping[key] for key in _KEYS & set(mapping)}, zone_of(mapping, "picture"))


def as_posted(look: Look, body: bytes, name: str) -> bytes:
    """The picture with its words; what is no PNG stays as it is. Without a time in its name ingest refuses and keeps it."""
    if not body.startswith(MAGIC):
        return body
    observed_at = _seen_at(look, name) or f"no time like 202309071820 in its name: {name}"
    png = base64.b64encode(body).decode()
    return orjson.dumps({**look.said, "observed_at": observed_at, "png": png})


def _seen_at(look: Look, name: str) -> datetime | None:
    for minute, second in reversed(_STAMP.findall(name)):
        with suppress(ValueError):
            return datetime.strptime(minute + (second or "00"), "%Y%m%d%H%M%S").replace(tzinfo=look.zone)
    return None
