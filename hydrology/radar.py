"""Radar pictures as they are read: the list to animate with its gaps, and the bytes.

Owns what counts as a gap; reads RadarFrame, leaves nothing behind. A picture's id names a row that never changes.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Max, Min

from foundation.clock import iso
from hydrology.feeds.clock import water_clock
from hydrology.models import Blob, RadarFrame

KNOWN = timedelta(days=7)  # a radar silent for longer is no longer expected
Item = dict[str, Any]


def frames(now: datetime, hours: int, radar: str | None = None, product: str | None = None) -> list[Item]:
    """Pictures of the last hours by radar, product and time, each expected time without one as `missing: true`.

    A picture: `{id, radar, product, at, bbox, width, height, scale, cadence_s, missing: false}`; a gap:
    `{id: null, radar, product, at, missing: true}`. Times are expected every cadence_s from the picture before on,
    the newest once it is a whole cadence late; a radar that fell silent within the last week is all gaps.
    """
    until = water_clock(now)
    since = until - timedelta(hours=hours)
    wanted = {name: value for name, value in (("radar", radar), ("product", product)) if value}
    seen: dict[tuple[str, str], list[RadarFrame]] = defaultdict(list)
    for frame in RadarFrame.objects.between(since, until).filter(**wanted):
        seen[frame.radar, frame.product].append(frame)
    known = (
        RadarFrame.objects.filter(observed_at__gt=until - KNOWN, observed_at__lte=until, **wanted)
        .values("radar", "product")
        .annotate(first_at=Min("observed_at"), last_at=Max("observed_at"), cadence_s=Max("cadence_s"))
        .order_by("radar", "product")
    )
    return [
        item
        for series in known
        for item in _series(series, seen[series["radar"], series["product"]], since, until)
    ]


def picture(pk: int) -> tuple[bytes, str] | None:
    """PNG as it came and its digest (an ETag for good); None when there is no such picture."""
    return _bytes(pk, "picture")


def thumb(pk: int) -> tuple[bytes, str] | None:
    """PNG of at most 160 px and its digest; None when there is no such picture."""
    return _bytes(pk, "thumb")


def _bytes(pk: int, which: str) -> tuple[bytes, str] | None:
    digest = RadarFrame.objects.filter(pk=pk).values_list(F(f"{which}_id"), flat=True).first()
    content = Blob.objects.filter(pk=digest).values_list("content", flat=True).first()
    return None if digest is None or content is None else (bytes(content), digest)


def _series(series: Item, pictures: list[RadarFrame], since: datetime, until: datetime) -> Iterator[Item]:
    """The pictures of one radar and product in (since, until] with the gaps between, before and after them."""
    names = {"radar": series["radar"], "product": series["product"]}
    usual = timedelta(seconds=pictures[-1].cadence_s if pictures else series["cadence_s"])
    if not pictures:
        yield from _gaps(names, series["last_at"], until - usual / 2, usual, since)
        return
    if series["first_at"] < pictures[0].observed_at:  # it spoke before: what is missing at the front is a gap
        back = (pictures[0].observed_at - since) // usual
        yield from _gaps(
            names, pictures[0].observed_at - (back + 1) * usual, pictures[0].observed_at, usual, since
        )
    for before, after in zip(pictures, [*pictures[1:], None], strict=True):
        yield _item(before, names)
        cadence = timedelta(seconds=before.cadence_s)
        end = after.observed_at if after else until - cadence / 2
        yield from _gaps(names, before.observed_at, end, cadence, since)


def _gaps(
    names: Item, after: datetime, before: datetime, usual: timedelta, since: datetime
) -> Iterator[Item]:
    """Expected times after the first instant and at least half a cadence before the second."""
    at = max(after, after + ((since - after) // usual) * usual) + usual
    while at + usual / 2 <= before:
        if at > since:
            yield {"id": None, **names, "at": iso(at), "missing": True}
        at += usual


def _item(frame: RadarFrame, names: Item) -> Item:
    return {
        "id": frame.pk,
        **names,
        "at": iso(frame.observed_at),
        "missing": False,
        "bbox": [frame.west, frame.south, frame.east, frame.north],
        "width": frame.width,
        "height": frame.height,
        "scale": frame.scale,
        "cadence_s": frame.cadence_s,
    }
