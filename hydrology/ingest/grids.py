"""From a post of gridded rain to rows: the only writer of GridRun.

Leaves the run behind, its field kept once by content, and nudges the watch. Formats are told by their content
(science/formats).
"""

import hashlib
import logging
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from foundation.clock import iso
from foundation.nudge import nudge
from hydrology.ingest.posts import Answer, Store, answered, malformed, mark, take
from hydrology.models import Blob, Feed, GridRun
from hydrology.science.formats import sniff
from hydrology.science.grids import BadGrid, Grid, pack, quantise
from hydrology.science.rainfall import SLOT
from hydrology.science.readings import AHEAD_ALLOWED

log = logging.getLogger(__name__)


def take_grid(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store one observed field or one nowcast run; answers and raises like `posts.take`."""
    return take(feed, "grid", body, now, _read)


def _read(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        grid = sniff.decode(body)
    except BadGrid as error:
        raise malformed(
            error.field, f"有误（{error.reason}）", f"{error.reason}; {error.what_to_do}"
        ) from error
    if grid.issued_at > now + AHEAD_ALLOWED:
        raise malformed(
            "time",
            f"{iso(grid.issued_at)} 晚于当前时间 5 分钟以上，请校准时钟",
            f"{iso(grid.issued_at)} is more than 5 minutes ahead: set the clock",
        )
    observed = grid.product == "observed"
    if grid.valid_at[0] != grid.issued_at + (timedelta(0) if observed else SLOT) or (
        observed and len(grid.valid_at) > 1
    ):
        raise malformed(
            "time",
            "须为一个 5 分钟实况时次，或起报时间后 5 分钟起的临近预报",
            "must be one observed 5-minute step, or a nowcast whose first step ends 5 minutes after its issue",
        )
    return partial(_store, feed, now, grid)


def _store(feed: Feed, now: datetime, grid: Grid, post_id: int) -> Answer:
    """The same content again is a duplicate; other content for the same instant is the next revision."""
    content = f"{grid.geometry} {len(grid.valid_at)} ".encode() + quantise(grid.rain_mm).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    runs = GridRun.objects.filter(product=grid.product, issued_at=grid.issued_at).order_by("-revision")
    newest = runs.values("revision", "blob_id").first()
    same = runs.filter(rank=feed.rank).values_list("blob_id", flat=True).first()
    repeated = same == digest
    if not repeated:
        GridRun.objects.create(
            product=grid.product,
            issued_at=grid.issued_at,
            revision=newest["revision"] + 1 if newest else 0,
            steps=len(grid.valid_at),
            geometry=grid.geometry,
            blob=_kept(digest, grid),
            rank=feed.rank,
            missing_share=round(float(np.isnan(grid.rain_mm).mean()), 6),
            received_at=now,
            post_id=post_id,
        )
        nudge("watch.assess")
    mark(feed, now, grid.issued_at, int(not repeated), 0)
    log.info(
        "ingest.grid feed=%s post=%s product=%s issued_at=%s repeated=%s dropped=%s",
        feed.pk, post_id, grid.product, grid.issued_at, repeated, grid.dropped,
    )  # fmt: skip
    return answered(int(not repeated), int(repeated))


def _kept(digest: str, grid: Grid) -> Blob:
    """The packed field, stored once: dry frames are all the same one."""
    return Blob.objects.get_or_create(digest=digest, defaults={"content": pack(grid.rain_mm)})[0]
