"""The rain curve of a report: per 5-minute slot the areal mean and the highest cell or gauge below some paths.

Reads stored fields and observations in a fixed number of queries. Slots are named by their END; a slot in which
nothing came is null, never zero. A replayed storm keeps its own dates: where no field lies in the span, the fields
that came in during it are taken.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from foundation.clock import iso
from foundation.scope import below
from hydrology.models import Blob, GridRun, Level, Product, Region
from hydrology.science.grids import unpack
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S, slot_end
from hydrology.science.readings import Element
from hydrology.zones import axes_of, street_zones

LONGEST = timedelta(hours=72)
Curve = dict[str, Any]
Floats = NDArray[np.float64]


def rain_curve(since: datetime, until: datetime, paths: tuple[str, ...]) -> Curve | None:
    """{step_s, since, until, replayed, slots: [{at, mean_mm, highest_mm, where}], mean_total_mm, share}; mm per slot.

    `where` says whether a cell or a gauge was highest, `share` how many slots had a field. None for spans beyond
    72 h, without a street in scope, or without rain data.
    """
    if until - since > LONGEST:
        return None
    first, last, replayed = _span(since, until)
    streets = _streets(paths)
    runs = list(GridRun.objects.observed_between(first, last).defer("post"))
    gauges = _gauges(first, last, paths)
    if not streets or not (runs or gauges):
        return None
    fields = _fields(runs, streets)
    ends = [first + SLOT * n for n in range(1, (last - first) // SLOT + 1)]
    slots = [_slot(end, fields.get(end), gauges.get(end)) for end in ends]
    means = [slot["mean_mm"] for slot in slots if slot["mean_mm"] is not None]
    return {
        "step_s": SLOT_S,
        "since": iso(first),
        "until": iso(last),
        "replayed": replayed,
        "mean_total_mm": round(sum(means), 1),
        "share": round(len(means) / len(slots), 3) if slots else 0.0,
        "slots": slots,
    }


def _span(since: datetime, until: datetime) -> tuple[datetime, datetime, bool]:
    """(first, last] in whole slots, the span's own (False) or those of what came in during it (True)."""
    observed = GridRun.objects.filter(product=Product.OBSERVED)
    if not observed.filter(issued_at__gt=since, issued_at__lte=until).exists():
        came = observed.filter(received_at__gt=since, received_at__lte=until).values_list(
            "issued_at", flat=True
        )
        ends = list(came.order_by("-issued_at")[: LONGEST // SLOT])
        if ends:
            last = slot_end(ends[0])
            return max(slot_end(ends[-1]) - SLOT, last - LONGEST), last, True
    return slot_end(since + timedelta(microseconds=1)) - SLOT, slot_end(until), False


def _streets(paths: tuple[str, ...]) -> set[str]:
    """Codes of the streets in scope; whoever answers for a part of a street sees its rain."""
    rows = Region.objects.filter(level=Level.STREET).order_by("code").values_list("code", "path")
    return {code for code, path in rows if below(path, paths) or any(p.startswith(path) for p in paths)}


def _fields(runs: list[GridRun], streets: set[str]) -> dict[datetime, tuple[float, float]]:
    """(mean, highest) mm of each frame over these streets; frames where nothing is known are left out."""
    by_digest: dict[str, list[GridRun]] = {}
    for run in runs:
        by_digest.setdefault(run.blob_id, []).append(run)
    zones = {
        geometry: (zone := street_zones(*axes_of(geometry))).merged(
            ["in" if code in streets else "out" for code in zone.codes]
        )
        for geometry in {run.geometry for run in runs}
    }
    found = {}
    blobs = Blob.objects.filter(pk__in=by_digest).order_by("pk").values_list("digest", "content")
    for digest, content in blobs.iterator(chunk_size=64):
        for run in by_digest[digest]:
            lat, lon = axes_of(run.geometry)
            zone = zones[run.geometry]
            field = unpack(bytes(content), (run.steps, lat.size * lon.size))[0]
            mean, highest = (
                float(values[zone.codes.index("in")]) for values in (zone.mean(field), zone.maximum(field))
            )
            if not np.isnan(mean):
                found[run.issued_at] = mean, highest
    return found


def _gauges(first: datetime, last: datetime, paths: tuple[str, ...]) -> dict[datetime, float]:
    """The highest 5-minute value (mm) per slot of the gauges below these paths; wrong values do not count."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GAUGES,
            {"rain": Element.RAIN.value, "first": first, "last": last, "slot_s": SLOT_S, "paths": list(paths),
             "wrong": Quality.WRONG.value},
        )  # fmt: skip
        highest: dict[datetime, float] = {}
        for at, mm in cursor.fetchall():
            end = slot_end(at)
            highest[end] = max(mm, highest.get(end, 0.0))
        return highest


def _slot(end: datetime, field: tuple[float, float] | None, gauge_mm: float | None) -> Curve:
    cell_mm = field and field[1]
    candidates = [(mm, where) for mm, where in ((cell_mm, "cell"), (gauge_mm, "gauge")) if mm is not None]
    highest_mm, where = max(candidates, default=(None, None))
    return {
        "at": iso(end),
        "mean_mm": None if field is None else round(field[0], 2),
        "highest_mm": None if highest_mm is None else round(highest_mm, 2),
        "where": where,
    }


_GAUGES = """
WITH newest AS (
    SELECT DISTINCT ON (o.station_id, o.observed_at) o.observed_at, o.value, o.quality
    FROM hydrology_observation o
    JOIN hydrology_station s ON s.code = o.station_id
    JOIN hydrology_region r ON r.code = s.region_id
    WHERE o.element = %(rain)s AND o.observed_at > %(first)s AND o.observed_at <= %(last)s
      AND o.duration_s BETWEEN 1 AND %(slot_s)s
      AND EXISTS (SELECT 1 FROM unnest(%(paths)s::text[]) p WHERE starts_with(r.path, p))
    ORDER BY o.station_id, o.observed_at, o.revision DESC
)
SELECT observed_at, max(value) FROM newest WHERE quality < %(wrong)s GROUP BY observed_at
"""
