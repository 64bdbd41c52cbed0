"""Plays a storm through the front doors: signed posts of gauges, levels, observed fields, nowcasts and, of a
synthetic storm, radar pictures.

Owns the pace and the closing count. It reads the ledger to know when the system has kept up and to report; it
never writes a row. Gauges are sampled from the field, reservoirs and rivers answer the rain by a synthetic model
(ground.py). Times are the storm's own; a table that already holds later water shifts them by whole days.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import httpx
import numpy as np
import orjson
from django.db import connection
from django.db.models import Max, Q, Sum

from alerts.models import Hazard, Warning, WatchMark
from escalation.models import Rung
from hydrology.feeds.signing import sign
from hydrology.models import FeedMark, Reservoir, River, Station, StationKind
from hydrology.science.formats import cf_netcdf
from hydrology.science.grids import Grid
from hydrology.standing import season_limits
from notifications.models import UNSENT, Delivery, Dispatch, State
from replay import ground, radar
from replay.storms import Frame, Storm

DAY = timedelta(days=1)
SAY_EVERY_S = 10.0
KEEP_UP_S = 60.0  # how long the player waits for one frame to be worked off before it goes on, saying so


@dataclass(slots=True)
class Report:
    """What one replay did; times in seconds."""

    frames: int = 0
    readings: int = 0
    late_frames: int = 0


class Objects:
    """The gauges, reservoirs, rivers and tide posts of the table, and what they would show under a field."""

    def __init__(self, day: date) -> None:
        gauges = list(Station.objects.filter(kind=StationKind.RAIN).order_by("code"))
        lakes = list(
            Reservoir.objects.exclude(Q(dead_m=None) | Q(normal_m=None))
            .select_related("station")
            .prefetch_related("season_limits")
            .order_by("pk")
        )
        known = (
            River.objects.exclude(Q(bed_m=None) | Q(warning_m=None)).select_related("station").order_by("pk")
        )
        rivers = list(known.filter(station__kind=StationKind.RIVER))
        coast = list(known.filter(station__kind=StationKind.TIDE))
        self.gauge_codes = [gauge.code for gauge in gauges]
        self.level_codes = [post.station_id for post in (*lakes, *rivers)]
        self._gauges = gauges
        self._levels = [post.station for post in (*lakes, *rivers)]
        season_m = season_limits([row for lake in lakes for row in lake.season_limits.all()], day)
        limits = [season_m.get(lake.pk, lake.normal_m) for lake in lakes]
        self._lakes = ground.reservoirs(
            np.array(limits),
            np.array([lake.dead_m for lake in lakes]),
            np.array([lake.normal_m for lake in lakes]),
            np.array([bool(lake.gated) for lake in lakes]),
        )
        self._rivers = ground.rivers(
            np.array([river.warning_m for river in rivers]), np.array([river.bed_m for river in rivers])
        )
        self._tide_codes = [post.station_id for post in coast]
        self._tide_warning_m = np.array([post.warning_m for post in coast])
        self._water = [self._lakes.calm(), self._rivers.calm()]
        self._carry = np.zeros(len(gauges))
        self._split = len(lakes)

    def readings(self, grid: Grid, at: datetime) -> list[dict[str, object]]:
        """One 5-minute report of every object at `at` (END of the step)."""
        stamp = at.isoformat()
        rain, self._carry = ground.tip(
            ground.rain_at(grid.rain_mm[0], _under(grid, self._gauges)), self._carry
        )
        around = ground.rain_around(grid.rain_mm[0], _under(grid, self._levels))
        lakes, self._water[0] = self._lakes.levels(around[: self._split], self._water[0])
        rivers, self._water[1] = self._rivers.levels(around[self._split :], self._water[1])
        rows: list[dict[str, object]] = [
            {
                "station": code,
                "element": "rain_mm",
                "observed_at": stamp,
                "value": float(mm),
                "duration_s": 300,
            }
            for code, mm in zip(self.gauge_codes, rain, strict=True)
            if not math.isnan(mm)
        ]
        rows += [
            {"station": code, "element": "stage_m", "observed_at": stamp, "value": round(float(stage), 3)}
            for code, stage in zip(
                [*self.level_codes, *self._tide_codes],
                np.concatenate([lakes, rivers, ground.tide_m(self._tide_warning_m, at.timestamp())]),
                strict=True,
            )
        ]
        return rows


def _under(grid: Grid, stations: Sequence[Station]) -> ground.Cells:
    return ground.cells_under(grid.lat, grid.lon, [s.lat for s in stations], [s.lon for s in stations])


class Door:
    """Signed posts of one feed; a busy or restarting server is tried again, a refusal is an error."""

    def __init__(self, server: str, key: str, secret: str) -> None:
        self._client = httpx.Client(base_url=server, timeout=30)
        self._key, self._secret = key, secret

    def post(
        self, path: str, body: bytes, tries: int = 30, headers: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, object]:
        for attempt in range(tries):
            stamp = datetime.now(UTC).isoformat()
            signed = {
                **headers,
                "X-Feed-Key": self._key,
                "X-Feed-Time": stamp,
                "X-Feed-Signature": sign(self._secret, stamp, body),
                "Content-Type": "application/octet-stream",
            }
            try:
                answer = self._client.post(f"/api/v1/ingest/{path}", content=body, headers=signed)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                answer.raise_for_status()
                return dict(answer.json())
            time.sleep(min(2.0, 0.1 * 2**attempt))
        raise ConnectionError(f"the server did not take {path} after {tries} tries")


def shift_for(storm: Storm) -> timedelta:
    """Whole days by which the storm must be moved to come after the water the table already holds."""
    newest = max(
        (
            at
            for at in (
                FeedMark.objects.aggregate(at=Max("observed_at"))["at"],
                WatchMark.objects.aggregate(at=Max("slot_at"))["at"],
            )
            if at
        ),
        default=None,
    )
    first = storm.frames[storm.core][0].at
    return DAY * max(0, math.ceil((newest - first) / DAY)) if newest and newest >= first else timedelta(0)


def play(
    storm: Storm,
    door: Door,
    *,
    speed: float,
    say: Callable[[str], None],
    limit: int | None = None,
) -> Report:
    """Post every frame of the storm's core.

    speed: storm seconds a second while a rain warning is open; before and after, and with 0 always, as fast as the
    system keeps up. How far it is, is said after the first frame that ends SAY_EVERY_S or more after it was said last.
    """
    shift = shift_for(storm)
    frames = storm.frames[storm.core][:limit]
    if shift:
        say(f"The table already holds later water: the storm plays {shift.days} days after its own dates.")
    objects = Objects((frames[0].at + shift).date())
    report, said_s = Report(), time.monotonic()
    for frame in frames:
        began = time.monotonic()
        _post_frame(frame, shift, objects, door, report)
        if storm.synthetic and frame.rain_mm is not None:  # a storm that was given is played as it was given
            door.post("radar", radar.picture(frame.rain_mm(), frame.at + shift))
        if not worked_off(frame.at + shift, KEEP_UP_S, levels=frame.rain_mm is not None):
            report.late_frames += 1
        if (
            speed and Warning.objects.open().filter(hazard=Hazard.RAINSTORM).exists()
        ):  # nobody has to sit through the dry hours
            time.sleep(max(0.0, 300 / speed - (time.monotonic() - began)))
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            say(_line(frame.at + shift, report))
    return report


def _post_frame(frame: Frame, shift: timedelta, objects: Objects, door: Door, report: Report) -> None:
    at = frame.at + shift
    if frame.rain_mm is not None:
        rows = objects.readings(frame.rain_mm(), at)
        door.post("readings", orjson.dumps({"readings": rows}))
        report.readings += len(rows)
    for body in (frame.nowcast, frame.observed):
        if body is not None:
            door.post("grids", moved(body(), shift))
    report.frames += 1


def moved(body: bytes, shift: timedelta) -> bytes:
    """The same field on another day; untouched when nothing has to move."""
    if not shift:
        return body
    grid = cf_netcdf.decode(body)
    return cf_netcdf.encode(
        Grid(
            grid.product,
            grid.issued_at + shift,
            tuple(at + shift for at in grid.valid_at),
            grid.lat,
            grid.lon,
            grid.rain_mm,
        )
    )


def worked_off(slot_at: datetime, patience_s: float, *, levels: bool = False) -> bool:
    """Wait until the slot is assessed and nothing it caused is still to be sent; False when patience ends.

    levels: the water levels of that instant were posted as well and must have been read.
    """
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        marks = dict(WatchMark.objects.exclude(slot_at=None).values_list("hazard", "slot_at"))
        wanted = set(marks) | {Hazard.RAINSTORM} if levels else {Hazard.RAINSTORM}
        if all(hazard in marks and marks[hazard] >= slot_at for hazard in wanted) and not _unsent():
            return True
        time.sleep(0.02)
    return False


def _unsent() -> bool:
    """A bulletin without a dispatch, or a push nobody has tried yet. Text messages go at their gateway's own pace."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM alerts_bulletin b WHERE b.valid_until > now() AND NOT EXISTS"
            " (SELECT 1 FROM notifications_dispatch d WHERE d.bulletin_id = b.id))"
            " OR EXISTS (SELECT 1 FROM notifications_delivery WHERE state IN ('pending', 'sending')"
            " AND transport = 'fcm')"
        )
        return bool(cursor.fetchone()[0])


def _line(at: datetime, report: Report) -> str:
    rain, levels = (
        Warning.objects.open().filter(station__isnull=of_rain).count() for of_rain in (True, False)
    )
    when = at.astimezone().isoformat(timespec="minutes")
    return f"storm time {when}  frames {report.frames}  warnings open {rain}  level notices open {levels}"


def summary(report: Report, since_dispatch: int) -> dict[str, object]:
    """The closing line of the outside contract, counted from the ledger after `since_dispatch`."""
    dispatches = Dispatch.objects.to_people().filter(pk__gt=since_dispatch)
    deliveries = Delivery.objects.filter(dispatch__in=dispatches)
    percentiles = _storm_to_phone(since_dispatch)
    return {
        "frames": report.frames,
        "readings": report.readings,
        "late_frames": report.late_frames,
        "warnings": dispatches.exclude(bulletin__warning=None).values("bulletin__warning").distinct().count(),
        "dispatches": dispatches.count(),
        "deliveries": dispatches.aggregate(n=Sum("recipients"))["n"] or 0,
        "accepted": deliveries.exclude(sent_at=None).count(),
        "confirmed": deliveries.filter(state=State.CONFIRMED).count(),
        "escalated": Rung.objects.filter(climb__delivery__dispatch__in=dispatches).count(),
        "unsent": deliveries.filter(state__in=UNSENT).count(),
        "largest": dispatches.aggregate(n=Max("recipients"))["n"] or 0,
        "storm_to_phone_s": percentiles,
    }


def _storm_to_phone(since_dispatch: int) -> dict[str, float | None]:
    """Seconds from the arrival of the frame that raised a warning to each accepted push, over all of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (
                ORDER BY extract(epoch FROM d.sent_at - b.caused_at)::float8)
            FROM notifications_delivery d
            JOIN notifications_dispatch s ON s.id = d.dispatch_id
            JOIN alerts_bulletin b ON b.id = s.bulletin_id
            WHERE s.id > %s AND s.errand = 'first' AND b.warning_id IS NOT NULL AND d.sent_at IS NOT NULL
            """,
            [since_dispatch],
        )
        found = cursor.fetchone()[0] or (None, None, None)
    return {
        name: None if value is None else round(value, 3)
        for name, value in zip(("p50", "p99", "max"), found, strict=True)
    }
