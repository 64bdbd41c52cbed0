"""From a post of one radar picture to a row: the only writer of RadarFrame.

Leaves the frame behind, picture and thumbnail kept once by content. What a body may look like and what is checked is
science/formats/radar_png.py's. Pictures are shown and never assessed, so nobody is nudged.
"""

import hashlib
import logging
from datetime import UTC, datetime
from functools import partial

from foundation.clock import iso
from hydrology.ingest.posts import Answer, Store, answered, malformed, mark, take
from hydrology.models import Blob, Feed, RadarFrame
from hydrology.science.formats import radar_png
from hydrology.science.formats.radar_png import BadPicture, Picture
from hydrology.science.readings import AHEAD_ALLOWED

log = logging.getLogger(__name__)


def take_radar(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store one picture (JSON with a PNG, or a PNG with text chunks); answers and raises like `posts.take`."""
    return take(feed, "radar", body, now, _read)


def _read(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        picture = radar_png.read(body)
    except BadPicture as error:
        raise malformed(
            error.field, f"有误（{error.reason}）", f"{error.reason}; {error.what_to_do}"
        ) from error
    if picture.observed_at > now + AHEAD_ALLOWED:
        said_at = iso(picture.observed_at)
        raise malformed(
            "observed_at",
            f"{said_at} 晚于当前时间 5 分钟以上，请校准时钟",
            f"{said_at} is more than 5 minutes ahead: set the clock",
        )
    return partial(_store, feed, now, picture)


def _store(feed: Feed, now: datetime, picture: Picture, post_id: int) -> Answer:
    """The same picture of the same box again is a duplicate; another for the same instant is the next revision."""
    west, south, east, north = picture.bbox
    says = {
        "west": west, "south": south, "east": east, "north": north, "width": picture.width,
        "height": picture.height, "scale": [list(row) for row in picture.scale],
        "cadence_s": picture.cadence_s, "picture_id": hashlib.sha256(picture.png).hexdigest(),
    }  # fmt: skip
    observed_at = picture.observed_at.astimezone(UTC)
    newest = (
        RadarFrame.objects.filter(radar=picture.radar, product=picture.product, observed_at=observed_at)
        .order_by("-revision")
        .values("revision", *says)
        .first()
    )
    repeated = newest is not None and all(newest[name] == value for name, value in says.items())
    if not repeated:
        _kept(picture.png)
        RadarFrame.objects.create(
            radar=picture.radar,
            product=picture.product,
            observed_at=observed_at,
            revision=newest["revision"] + 1 if newest else 0,
            thumb_id=_kept(picture.thumb),
            received_at=now,
            post_id=post_id,
            **says,
        )
    mark(feed, now, observed_at, int(not repeated), 0)
    log.info(
        "ingest.radar feed=%s post=%s radar=%s product=%s observed_at=%s repeated=%s",
        feed.pk, post_id, picture.radar, picture.product, observed_at, repeated,
    )  # fmt: skip
    return answered(int(not repeated), int(repeated))


def _kept(content: bytes) -> str:
    """The digest under which the bytes are stored, once."""
    digest = hashlib.sha256(content).hexdigest()
    Blob.objects.get_or_create(digest=digest, defaults={"content": content})
    return digest
