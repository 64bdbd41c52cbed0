"""The fields of a drill's own storm: taken from a drill feed, kept apart, read again. Owns DrillFrame.

They come by the same formats as live fields (science/formats) and are told by their content, but no row of hydrology is
touched: no post, no mark, no run. One grid for all fields of a drill; the first word about an instant counts.
"""

import logging
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import transaction

from alerts.models import Drill, DrillFrame, DrillState
from foundation.clock import iso
from foundation.errors import Refusal, not_found
from foundation.nudge import nudge
from hydrology.ingest import Answer
from hydrology.models import Feed, Product
from hydrology.science.formats import sniff
from hydrology.science.grids import BadGrid, Grid

log = logging.getLogger(__name__)
KEPT_IN_MIND = 96  # decoded fields a process: three hours and their nowcasts, some drills at once


def take_frame(feed: Feed, drill_id: int, product: str, body: bytes, now: datetime) -> Answer:
    """Keep one observed field or nowcast run; `{accepted, duplicate, rejected}`, each 0 or 1.

    `product` is what the sender says it is, or empty. Raises Refusal: `malformed`, `drill_not_running`, `other_grid`,
    `frame_differs`, 404; then nothing is kept.
    """
    grid = _decoded(body)
    if product and product != grid.product:
        raise _unreadable(
            "X-Product", f"says {product}, the content is {grid.product}", "send one of the two"
        )
    with transaction.atomic():
        drill = Drill.objects.select_for_update(no_key=True).filter(pk=drill_id).first()
        if drill is None:
            raise not_found("演练", "drill")
        _require_running(drill)
        newest = drill.frames.order_by("-pk").first()
        if newest is not None and grid_of(newest.pk).geometry != grid.geometry:
            raise Refusal(
                "other_grid",
                zh="与本演练已有场的格网不同。一次演练只用一种格网，请统一后重发。",
                en="Its cells differ from those of the drill's other fields; one grid a drill. Send it on that grid.",
                fields={"grid": grid.geometry},
            )
        frame, fresh = DrillFrame.objects.get_or_create(
            drill=drill,
            product=grid.product,
            issued_at=grid.issued_at,
            defaults={"body": body, "received_at": now},
        )
        if not fresh and bytes(frame.body) != body:
            raise Refusal(
                "frame_differs",
                zh=f"本演练已有 {iso(grid.issued_at)} 的另一份{Product(grid.product).label}场，以先到者为准。",
                en=f"The drill has another {grid.product} field for {iso(grid.issued_at)}; the first one counts.",
                status=409,
                fields={"time": str(iso(grid.issued_at))},
            )
        nudge("watch.drills")
    log.info("drill.frame feed=%s drill=%s product=%s at=%s", feed.pk, drill_id, grid.product, grid.issued_at)
    return {"accepted": int(fresh), "duplicate": int(not fresh), "rejected": []}


@lru_cache(maxsize=KEPT_IN_MIND)
def grid_of(frame_id: int) -> Grid:
    """The field of a kept frame; a frame never changes."""
    return sniff.decode(bytes(DrillFrame.objects.values_list("body", flat=True).get(pk=frame_id)))


def forget_frames(*, now: datetime, keep_days: int) -> int:
    """Delete the fields of drills that ended more than `keep_days` ago (0 keeps for ever); returns how many."""
    old = DrillFrame.objects.filter(drill__ended_at__lt=now - timedelta(days=keep_days))
    return old.delete()[0] if keep_days else 0


def _decoded(body: bytes) -> Grid:
    try:
        return sniff.decode(body)
    except BadGrid as error:
        raise _unreadable(error.field, error.reason, error.what_to_do) from error


def _unreadable(field: str, reason: str, what_to_do: str) -> Refusal:
    said = "".join(sign if sign.isprintable() else "?" for sign in f"{reason}; {what_to_do}")
    return Refusal(
        "malformed",
        zh=f"无法读取：{field} 有误（{said}）。请更正后重发。",
        en=f"Cannot be read: {field} {said}. Mend it and send again.",
        fields={field: said},
    )


def _require_running(drill: Drill) -> None:
    if drill.state != DrillState.RUNNING:
        raise Refusal(
            "drill_not_running",
            zh=f"演练“{drill.name}”当前为“{drill.get_state_display()}”，只在进行中接收数据。请在其开始或恢复后重发。",
            en=f"The drill is {drill.state}; it takes fields while it runs. Send again when it does.",
            status=409,
            fields={"state": drill.state},
        )
