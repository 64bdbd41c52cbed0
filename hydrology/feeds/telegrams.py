"""From a kept telegram to observations: the only writer of Telegram.

Woken by a line that kept one and by the listener's sweep; leaves a verdict with its reason, and the readings by way
of ingest.py. Whatever was not taken can be listed and read again (`manage.py telegrams`): a decoder may have been
mended, a station registered. Reading the same telegram twice stores nothing twice. Opens no socket.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

import orjson
from django.db import InterfaceError, OperationalError

from hydrology import ingest
from hydrology.models import Station, Telegram, Verdict
from hydrology.science.readings import Reading
from hydrology.science.sl651 import Direction, Frame, Function, Noise, Receiver
from hydrology.science.sl651_elements import Malformed, Report, decode
from hydrology.science.sl651_fields import address
from hydrology.science.sl651_talk import Assembler
from hydrology.science.sl651_water import water_of

log = logging.getLogger(__name__)
BATCH = 200


def keep(feed_key: str, peer: str, frame: Frame, now: datetime) -> None:
    """Queue a whole report: once this returns it may be confirmed."""
    Telegram.objects.create(
        feed_id=feed_key,
        peer=peer,
        rtu=frame.rtu,
        function=frame.function,
        raw=frame.raw,
        received_at=now,
    )


def quarantine(feed_key: str, peer: str, raw: bytes, reason: str, now: datetime) -> None:
    """Keep bytes that are no report, with the reason."""
    Telegram.objects.create(
        feed_id=feed_key,
        peer=peer,
        raw=raw,
        received_at=now,
        handled_at=now,
        verdict=Verdict.QUARANTINED,
        reason=reason[:400],
    )


def take_up(*, now: datetime, most: int = BATCH) -> int:
    """Read up to `most` queued telegrams, oldest first; returns how many. Raises without a database."""
    return _read(Telegram.objects.queued()[:most], now)


def read_again(ids: Iterable[int], *, now: datetime) -> int:
    """Read telegrams once more, whatever became of them; returns how many there were."""
    return _read(Telegram.objects.filter(pk__in=ids).order_by("id"), now)


def forget_old(*, now: datetime, keep_days: int) -> int:
    """Delete telegrams received more than `keep_days` ago. Returns how many."""
    return Telegram.objects.filter(received_at__lt=now - timedelta(days=keep_days)).delete()[0]


def _read(telegrams: Iterable[Telegram], now: datetime) -> int:
    counts: dict[str, int] = {}
    for telegram in telegrams:
        try:
            verdict, reasons = _verdict(telegram, now)
        except (OperationalError, InterfaceError):
            raise  # the database is away: the rest waits
        except Exception as error:  # one telegram must not stop the line; it stays, with its reason
            log.exception("telegram.failed id=%s", telegram.pk)
            verdict, reasons = Verdict.QUARANTINED, [f"our own fault: {error!r}"]
        reason = "; ".join(reasons)[:400]
        Telegram.objects.filter(pk=telegram.pk).update(handled_at=now, verdict=verdict, reason=reason)
        counts[verdict] = counts.get(verdict, 0) + 1
    if counts:
        log.info("telegram.read %s", " ".join(f"{verdict}={n}" for verdict, n in sorted(counts.items())))
    return sum(counts.values())


def _verdict(telegram: Telegram, now: datetime) -> tuple[Verdict, list[str]]:
    frame = _whole(bytes(telegram.raw), now)
    if isinstance(frame, str):
        return Verdict.QUARANTINED, [frame]
    if frame.direction is Direction.DOWN:
        return Verdict.QUARANTINED, ["a frame of a centre, not of a station"]
    if frame.function == Function.TEST:
        return Verdict.TEST, []
    try:
        report = decode(frame)
    except Malformed as malformed:
        return Verdict.QUARANTINED, [str(malformed)]
    water = water_of(report, _codes(report), telegram.received_at)
    reasons = [f"{flaw.where} at byte {flaw.offset}: {flaw.why} ({flaw.fault})" for flaw in report.flaws]
    reasons += water.left_out
    taken = 0
    if water.readings:
        answer = ingest.take_readings(telegram.feed, _body(telegram, water.readings), now)
        taken = answer["accepted"] + answer["duplicate"]
        reasons += dict.fromkeys(rejection["en"] for rejection in answer["rejected"])
    if not reasons:
        return (Verdict.STORED if taken else Verdict.NOTHING), []
    return (Verdict.PARTLY if taken else Verdict.QUARANTINED), reasons


def _whole(raw: bytes, now: datetime) -> Frame | str:
    """The report in the bytes kept, or why there is none."""
    receiver, assembler = Receiver(), Assembler()
    why = "a packet is missing"
    for event in (*receiver.feed(raw), *receiver.end()):
        if isinstance(event, Noise):
            why = f"{event.where}: {event.why} ({event.fault})"
        elif whole := assembler.take(event, now).whole:
            return whole
    return why


def _codes(report: Report) -> dict[str, str]:
    """Station code by RTU address: its 10 characters, or the 8 of a hydrological address."""
    rtus = {measure.station for measure in report.measures}
    wanted = {rtu: {rtu, address(rtu).code} for rtu in rtus}
    known = Station.objects.filter(pk__in=set().union(*wanted.values())).values_list("code", flat=True)
    return {rtu: code for code in known for rtu in rtus if code in wanted[rtu]}


def _body(telegram: Telegram, readings: Iterable[Reading]) -> bytes:
    rows = [
        {
            "station": reading.station,
            "element": reading.element,
            "observed_at": reading.observed_at,
            "value": reading.value,
            "duration_s": reading.duration_s,
        }
        for reading in readings
    ]
    return orjson.dumps({"telegram": telegram.pk, "readings": rows})
