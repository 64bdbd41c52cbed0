"""From a post of gridded rain to rows: the only writer of GridRun and GridPart.

Leaves one run for every observed slot or nowcast behind, its field kept once by content, and nudges the watch. Formats
are told by their content (science/formats), cutting sums into slots is science/cadence.py's.

Observations come one at a time, late, twice or in reverse. So each sum's part in each slot is kept (GridPart), and a
slot is what its parts say together, whatever their order; a slot not covered for all of its 300 s is missing: no run.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from foundation.clock import iso
from foundation.nudge import nudge
from hydrology.feeds.clock import water_clock
from hydrology.fields import field_of
from hydrology.ingest.posts import Answer, Store, answered, malformed, mark, take
from hydrology.models import Blob, Feed, GridPart, GridRun
from hydrology.science.cadence import MAX_LENGTH, Piece, cover, is_split, pieces
from hydrology.science.formats import sniff
from hydrology.science.grids import BadGrid, Grid, make_grid, pack, quantise, unpack
from hydrology.science.rainfall import SLOT
from hydrology.science.readings import AHEAD_ALLOWED
from hydrology.zones import axes_of

log = logging.getLogger(__name__)
KEEP_PARTS = timedelta(days=2)  # a neighbour later than this finds its slot missing for good
Span = tuple[datetime, datetime]


def take_grid(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store observed fields of any cadence or one nowcast run; answers and raises like `posts.take`.

    `accepted` and `duplicate` count the sums of an observation; a nowcast is one.
    """
    return take(feed, "grid", body, now, _read)


def forget_parts(*, now: datetime) -> int:
    """Delete parts whose neighbours are no longer waited for; returns how many."""
    return GridPart.objects.filter(slot_at__lt=water_clock(now) - KEEP_PARTS).delete()[0]


def _read(feed: Feed, body: bytes, now: datetime) -> Store:
    try:
        run = sniff.read(body, _usual_length(feed))
        nowcast = run.product == "nowcast"
        found = run.grid() if nowcast else pieces(run)
    except BadGrid as error:
        raise malformed(
            error.field, f"有误（{error.reason}）", f"{error.reason}; {error.what_to_do}"
        ) from error
    said_at = run.issued_at if nowcast else max(given.end_at for given in run.sums)
    if said_at > now + AHEAD_ALLOWED:
        raise malformed(
            "time",
            f"{iso(said_at)} 晚于当前时间 5 分钟以上，请校准时钟",
            f"{iso(said_at)} is more than 5 minutes ahead: set the clock",
        )
    if isinstance(found, Grid):
        return partial(_store_nowcast, feed, now, found)
    return partial(_store_observed, feed, now, found)


def _usual_length(feed: Feed) -> timedelta:
    """How long a field of this feed is when it does not say: its cadence, or a slot where that cannot be."""
    cadence = timedelta(seconds=feed.cadence_s)
    return cadence if timedelta(0) < cadence <= MAX_LENGTH else SLOT


def _store_nowcast(feed: Feed, now: datetime, grid: Grid, post_id: int) -> Answer:
    fresh = _store_run(feed, now, _joined(feed, grid), post_id)
    mark(feed, now, grid.issued_at, int(fresh), 0)
    return answered(int(fresh), int(not fresh))


def _joined(feed: Feed, grid: Grid) -> Grid:
    """The run with the steps this feed has sent of it before, where the body is silent: some send a file a lead time."""
    runs = GridRun.objects.filter(
        product=grid.product, issued_at=grid.issued_at, geometry=grid.geometry, post__feed=feed
    )
    before = runs.order_by("-revision").first()
    told = ~np.isnan(grid.rain_mm).all(axis=(1, 2))
    if before is None or (told.all() and before.steps <= len(told)):
        return grid
    steps = max(before.steps, len(told))
    rain_mm = np.full((steps, *grid.rain_mm.shape[1:]), np.nan)
    rain_mm[: before.steps] = field_of(before).reshape(before.steps, *grid.rain_mm.shape[1:])
    rain_mm[: len(told)][told] = grid.rain_mm[told]
    ends = [grid.issued_at + (step + 1) * SLOT for step in range(steps)]
    whole = make_grid(grid.product, grid.issued_at, ends, grid.lat, grid.lon, rain_mm)
    return replace(whole, dropped=grid.dropped, spread=grid.spread or before.spread)


def _store_observed(feed: Feed, now: datetime, found: list[Piece], post_id: int) -> Answer:
    """Keep the parts that say something new, then lay every slot they touch."""
    kept = _kept_parts(feed, found)
    new = [piece for piece in found if kept[piece.slot_at].get(_span(piece)) != pack(piece.grid.rain_mm)]
    _keep_parts(feed, new)
    fresh: dict[datetime, bool] = {}
    for slot_at in sorted({piece.slot_at for piece in new}):
        here = [piece for piece in new if piece.slot_at == slot_at]
        grid = _slot(slot_at, here, kept[slot_at])
        # what waits for its neighbours is news too
        fresh[slot_at] = grid is None or _store_run(feed, now, grid, post_id)
        if grid is None:
            log.info("ingest.grid_waits feed=%s post=%s slot_at=%s", feed.pk, post_id, slot_at)
    sums = {_span(piece) for piece in found}
    accepted = {_span(piece) for piece in new if fresh[piece.slot_at]}
    mark(feed, now, max(end for _, end in sums), len(accepted), 0)
    return answered(len(accepted), len(sums) - len(accepted))


def _kept_parts(feed: Feed, found: list[Piece]) -> dict[datetime, dict[Span, bytes]]:
    """What is kept of the slots of these pieces: by slot and span, the packed field."""
    rows = GridPart.objects.filter(
        feed=feed,
        geometry=found[0].grid.geometry,
        slot_at__in={piece.slot_at for piece in found},
    ).values_list("slot_at", "start_at", "end_at", "field")
    kept: dict[datetime, dict[Span, bytes]] = defaultdict(dict)
    for slot_at, start_at, end_at, field in rows:
        kept[slot_at][start_at, end_at] = bytes(field)
    return kept


def _keep_parts(feed: Feed, new: Iterable[Piece]) -> None:
    parts = [
        GridPart(
            feed=feed,
            geometry=piece.grid.geometry,
            slot_at=piece.slot_at,
            start_at=piece.start_at,
            end_at=piece.end_at,
            field=pack(piece.grid.rain_mm),
        )
        for piece in new
    ]
    GridPart.objects.bulk_create(
        parts,
        update_conflicts=True,
        unique_fields=["feed", "geometry", "slot_at", "start_at", "end_at"],
        update_fields=["field"],
    )


def _slot(slot_at: datetime, new: list[Piece], kept: dict[Span, bytes]) -> Grid | None:
    """The field of a slot out of all its parts; None while they do not cover it."""
    fields = {_span(piece): piece.grid for piece in new}
    spans = list({**kept, **fields})
    chosen = cover(spans, slot_at)
    if chosen is None:
        return None
    used = [spans[index] for index in chosen]
    if len(used) == 1 and used[0] in fields:
        return fields[used[0]]
    lat, lon = axes_of(new[0].grid.geometry)
    shape = (1, lat.size, lon.size)
    rain_mm = sum(fields[span].rain_mm if span in fields else unpack(kept[span], shape) for span in used)
    grid = make_grid("observed", slot_at, [slot_at], lat, lon, np.asarray(rain_mm))
    return replace(grid, spread=any(is_split(*span) for span in used))


def _store_run(feed: Feed, now: datetime, grid: Grid, post_id: int) -> bool:
    """Whether it says anything new: the same content of the same rank again does not, other content is a revision."""
    content = f"{grid.geometry} {len(grid.valid_at)} ".encode() + quantise(grid.rain_mm).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    runs = GridRun.objects.filter(product=grid.product, issued_at=grid.issued_at).order_by("-revision")
    newest = runs.values_list("revision", flat=True).first()
    if runs.filter(rank=feed.rank).values_list("blob_id", flat=True).first() == digest:
        return False
    GridRun.objects.create(
        product=grid.product,
        issued_at=grid.issued_at,
        revision=0 if newest is None else newest + 1,
        steps=len(grid.valid_at),
        geometry=grid.geometry,
        blob=_kept(digest, grid),
        rank=feed.rank,
        spread=grid.spread,
        missing_share=round(float(np.isnan(grid.rain_mm).mean()), 6),
        received_at=now,
        post_id=post_id,
    )
    nudge("watch.assess")
    log.info(
        "ingest.grid feed=%s post=%s product=%s issued_at=%s spread=%s dropped=%s",
        feed.pk, post_id, grid.product, grid.issued_at, grid.spread, grid.dropped,
    )  # fmt: skip
    return True


def _kept(digest: str, grid: Grid) -> Blob:
    """The packed field, stored once: dry frames are all the same one."""
    return Blob.objects.get_or_create(digest=digest, defaults={"content": pack(grid.rain_mm)})[0]


def _span(piece: Piece) -> Span:
    return piece.start_at, piece.end_at
