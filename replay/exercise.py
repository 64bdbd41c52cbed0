"""Plays a storm as a drill: its fields go to the drill's own door and nowhere else.

Owns the pace and the waiting; writes no row. No gauges, levels or pictures: a drill has fields alone. While the drill
rests the player waits, for a real storm goes first; when it ends, so does the play.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil

import httpx
from django.db import connection

from alerts.models import Drill, DrillState, Warning
from replay.player import DAY, KEEP_UP_S, SAY_EVERY_S, Door, Report, moved
from replay.storms import Storm

REST_S = 1.0  # between two looks at a drill that rests


class DrillOver(Exception):
    """The drill does not run and will not: it has not begun, or has ended."""


def play(
    storm: Storm,
    door: Door,
    drill_id: int,
    *,
    speed: float,
    say: Callable[[str], object],
    limit: int | None = None,
) -> Report:
    """Post every field of the storm's core; `speed`: storm seconds a second while a warning of the drill is open.

    0: as fast as the system keeps up. A drill that has seen a storm sees this one whole days later. Raises DrillOver
    when it does not run from the beginning.
    """
    drill = Drill.objects.filter(pk=drill_id).first()
    if drill is None or drill.state != DrillState.RUNNING:
        state = f"drill {drill_id} is {drill.state}" if drill else f"there is no drill {drill_id}"
        raise DrillOver(f"{state}: only a running drill has a storm, begin one first")
    frames = storm.frames[storm.core][:limit]
    shift = _shift(drill, frames[0].at)
    report, said_s = Report(), time.monotonic()
    for frame in frames:
        began = time.monotonic()
        try:
            for product, body in (("nowcast", frame.nowcast), ("observed", frame.observed)):
                if body is not None:
                    _post(door, drill_id, product, moved(body(), shift), say)
        except DrillOver as over:
            say(str(over))
            return report
        report.frames += 1
        spoke = frame.observed is not None or frame.nowcast is not None
        if spoke and not _worked_off(drill_id, frame.at + shift):
            report.late_frames += 1
        if speed and Warning.objects.open().filter(drill_of=drill_id).exists():
            time.sleep(max(0.0, 300 / speed - (time.monotonic() - began)))
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            open_now = Warning.objects.open().filter(drill_of=drill_id).count()
            say(f"演练 drill  storm time {(frame.at + shift).astimezone():%m-%d %H:%M}  frames {report.frames}  "
                f"warnings open {open_now}")  # fmt: skip
    return report


def _shift(drill: Drill, first: datetime) -> timedelta:
    """Whole days by which the storm must be moved to come after what the drill has seen."""
    seen = drill.slot_at
    return DAY * max(0, ceil((seen - first + timedelta(seconds=1)) / DAY)) if seen else timedelta(0)


def _post(door: Door, drill_id: int, product: str, body: bytes, say: Callable[[str], object]) -> None:
    waited = False
    while True:
        try:
            door.post(f"drills/{drill_id}", body, headers={"X-Product": product})
            return
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code != HTTPStatus.CONFLICT:
                raise
            state = Drill.objects.values_list("state", flat=True).get(pk=drill_id)
            if state not in (DrillState.PAUSED, DrillState.RUNNING):
                raise DrillOver(f"drill {drill_id} is {state}: the play ends here") from refused
            if state == DrillState.RUNNING and refused.response.json().get("code") != "drill_not_running":
                raise
            if not waited:
                say("The drill rests; the storm waits until somebody resumes it. 演练暂停，等待恢复。")
            waited = True
            time.sleep(REST_S)


def _worked_off(drill_id: int, slot_at: datetime) -> bool:
    """Wait until the slot is judged and no push of the drill is still to be sent; False when patience ends."""
    until = time.monotonic() + KEEP_UP_S
    while time.monotonic() < until:
        drill = Drill.objects.only("state", "slot_at").get(pk=drill_id)
        if drill.state != DrillState.RUNNING:
            return True  # it rests: nothing is judged, nothing goes out
        if drill.slot_at and drill.slot_at >= slot_at and not _unsent(drill_id):
            return True
        time.sleep(0.02)
    return False


def _unsent(drill_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UNSENT, {"drill": drill_id})
        return bool(cursor.fetchone()[0])


_UNSENT = """
SELECT EXISTS (
    SELECT 1 FROM alerts_bulletin b LEFT JOIN notifications_dispatch s ON s.bulletin_id = b.id
    WHERE b.drill_of_id = %(drill)s AND b.valid_until > now() AND (s.id IS NULL OR EXISTS (
        SELECT 1 FROM notifications_delivery d
        WHERE d.dispatch_id = s.id AND d.state IN ('pending', 'sending') AND d.transport = 'fcm')))
"""
