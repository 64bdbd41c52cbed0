"""From kept telegrams to observations: the only writer of Telegram and RainTotal.

Woken by a line that kept one and by the listener's sweep; leaves a verdict with its reason, and the readings by way
of ingest.py, one post a batch. Whatever was not taken can be listed and read again (`manage.py telegrams`), once a
decoder was mended or a station registered. Reading the same telegram twice stores nothing twice. Opens no socket.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import orjson
from django.db import InterfaceError, OperationalError, transaction

from hydrology import ingest
from hydrology.feeds import questions
from hydrology.models import RainTotal, Rtu, Station, Telegram, Verdict
from hydrology.science.readings import MAX_ROWS, Reading
from hydrology.science.sl651 import Direction, Frame, Function, Noise, Receiver
from hydrology.science.sl651_elements import Malformed, Report, decode
from hydrology.science.sl651_fields import address
from hydrology.science.sl651_talk import ANSWERS, Assembler
from hydrology.science.sl651_water import Totals, water_of
from hydrology.storage import delete_in_batches

log = logging.getLogger(__name__)
BATCH = 200
Register = dict[str, Rtu]


def keep(feed_key: str, peer: str, frame: Frame, now: datetime) -> None:
    """Queue a whole report: once this returns it may be confirmed. An answer closes its question."""
    with transaction.atomic():
        Telegram.objects.create(
            feed_id=feed_key,
            peer=peer,
            rtu=frame.rtu,
            function=frame.function,
            raw=frame.raw,
            received_at=now,
        )
        if frame.function in ANSWERS:
            questions.answered(feed_key, frame.rtu, frame.function, now)


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
    """Delete telegrams received more than `keep_days` ago (0: none). Returns how many."""
    return delete_in_batches(_OLD, [now - timedelta(days=keep_days)]) if keep_days else 0


@dataclass(slots=True)
class _Looked:
    """A telegram that was looked at. Without `verdict` its readings decide; `remarks` are told and decide nothing."""

    telegram: Telegram
    verdict: Verdict | None = None
    reasons: list[str] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()

    def conclude(self, refused: Sequence[str] = ()) -> None:
        """`refused`: why readings were refused, one each."""
        self.reasons += dict.fromkeys(refused)
        if len(refused) == len(self.readings):
            self.verdict = Verdict.QUARANTINED if self.reasons else Verdict.NOTHING
        else:
            self.verdict = Verdict.PARTLY if self.reasons else Verdict.STORED


def _read(telegrams: Iterable[Telegram], now: datetime) -> int:
    """Look at all, store what they say in one post a feed, remember the totals, then give each its verdict."""
    waiting = list(telegrams)
    if not waiting:
        return 0
    totals = {
        code: (at, mm) for code, at, mm in RainTotal.objects.values_list("station", "observed_at", "total_mm")
    }
    known = dict(totals)
    listed = _listed({telegram.feed_id for telegram in waiting})
    batch = [
        _safely(_look, _Looked(telegram), now, totals, listed.get(telegram.feed_id)) for telegram in waiting
    ]
    for feed_key in dict.fromkeys(looked.telegram.feed_id for looked in batch):
        _store(
            [looked for looked in batch if looked.telegram.feed_id == feed_key and not looked.verdict], now
        )
    RainTotal.objects.bulk_create(
        [
            RainTotal(station_id=code, observed_at=at, total_mm=mm)
            for code, (at, mm) in totals.items()
            if known.get(code) != (at, mm)
        ],
        update_conflicts=True,
        unique_fields=["station"],
        update_fields=["observed_at", "total_mm"],
    )
    for looked in batch:
        Telegram.objects.filter(pk=looked.telegram.pk).update(
            handled_at=now, verdict=looked.verdict, reason="; ".join([*looked.reasons, *looked.remarks])[:400]
        )
    counts = Counter(str(looked.verdict) for looked in batch)
    log.info("telegram.read %s", " ".join(f"{verdict}={n}" for verdict, n in sorted(counts.items())))
    return len(batch)


def _safely(do: Callable[..., None], looked: _Looked, *args: object) -> _Looked:
    """One telegram must not stop the line: whatever goes wrong with it becomes its reason."""
    try:
        do(looked, *args)
    except (OperationalError, InterfaceError):
        raise  # the database is away: all wait
    except Exception as error:
        log.exception("telegram.failed id=%s", looked.telegram.pk)
        looked.verdict, looked.reasons = Verdict.QUARANTINED, [f"our own fault: {error!r}"]
    return looked


def _look(looked: _Looked, now: datetime, totals: Totals, listed: Register | None) -> None:
    frame = _whole(bytes(looked.telegram.raw), now)
    if isinstance(frame, str):
        looked.verdict, looked.reasons = Verdict.QUARANTINED, [frame]
        return
    if frame.direction is Direction.DOWN:
        looked.verdict, looked.reasons = Verdict.QUARANTINED, ["a frame of a centre, not of a station"]
        return
    if listed is not None and (why := _stranger(frame, looked.telegram.peer, listed.get(frame.rtu))):
        looked.verdict, looked.reasons = Verdict.QUARANTINED, [why]
        return
    if frame.function == Function.TEST:
        looked.verdict = Verdict.TEST
        return
    try:
        report = decode(frame)
    except Malformed as malformed:
        looked.verdict, looked.reasons = Verdict.QUARANTINED, [str(malformed)]
        return
    codes = _codes(report, listed)
    bases_m = {codes[rtu]: row.base_stage_m for rtu, row in (listed or {}).items() if rtu in codes}
    water = water_of(report, codes, looked.telegram.received_at, totals, bases_m)
    looked.reasons = [
        f"{flaw.where} at byte {flaw.offset}: {flaw.why} ({flaw.fault})" for flaw in report.flaws
    ]
    looked.reasons += water.left_out
    looked.remarks = water.states
    looked.readings = water.readings


def _store(batch: list[_Looked], now: datetime) -> None:
    """All readings in one post; in halves when they are too many, or when one of them breaks the rest."""
    if sum(len(looked.readings) for looked in batch) > MAX_ROWS and len(batch) > 1:
        _store_halves(batch, now)
        return
    if len(batch) == 1:
        _safely(lambda looked: _post([looked], now), batch[0])
        return
    try:
        _post(batch, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("telegram.batch_failed telegrams=%s", len(batch))
        _store_halves(batch, now)


def _store_halves(batch: list[_Looked], now: datetime) -> None:
    middle = len(batch) // 2
    _store(batch[:middle], now)
    _store(batch[middle:], now)


def _post(batch: list[_Looked], now: datetime) -> None:
    owners = [looked for looked in batch for _ in looked.readings]
    refused: dict[int, list[str]] = {}
    if owners:
        answer = ingest.take_readings(batch[0].telegram.feed, _body(batch, now), now)
        for rejection in answer["rejected"]:
            refused.setdefault(owners[rejection["index"]].telegram.pk, []).append(rejection["en"])
    for looked in batch:
        looked.conclude(refused.get(looked.telegram.pk, ()))


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


def _listed(feeds: set[str]) -> dict[str, Register]:
    """The stations each feed may speak for; a feed without a list is not here and may speak for any."""
    listed: dict[str, Register] = {}
    for row in Rtu.objects.filter(feed__in=feeds):
        listed.setdefault(row.feed_id, {})[row.address] = row
    return listed


def _stranger(frame: Frame, peer: str, row: Rtu | None) -> str:
    """Why this station's word is not taken; empty when it is. Listed later, the telegram can be read again."""
    if row is None:
        return f"station {frame.rtu} is not on the list of this feed"
    if row.password is not None and row.password != frame.password:
        return f"station {frame.rtu} gave another password"
    if row.network and ip_address(peer) not in ip_network(row.network):
        return f"station {frame.rtu} called from {peer}, not from {row.network}"
    return ""


def _codes(report: Report, listed: Register | None) -> dict[str, str]:
    """Station code by RTU address: as listed, or by its 10 characters, or the 8 of a hydrological address."""
    rtus = {measure.station for measure in report.measures}
    if listed is not None:
        return {rtu: str(row.station_id) for rtu in rtus if (row := listed.get(rtu)) and row.station_id}
    wanted = {rtu: {rtu, address(rtu).code} for rtu in rtus}
    known = Station.objects.filter(pk__in=set().union(*wanted.values())).values_list("code", flat=True)
    return {rtu: code for code in known for rtu in rtus if code in wanted[rtu]}


def _body(batch: Iterable[_Looked], now: datetime) -> bytes:
    """A body of its own each time: the same one again would get its first answer, and its refusals."""
    rows = [
        {
            "station": reading.station,
            "element": reading.element,
            "observed_at": reading.observed_at,
            "value": reading.value,
            "duration_s": reading.duration_s,
            "doubt": reading.doubt,
            "telegram": looked.telegram.pk,
        }
        for looked in batch
        for reading in looked.readings
    ]
    return orjson.dumps({"read_at": now, "readings": rows})


_OLD = """
DELETE FROM hydrology_telegram WHERE id IN (
    SELECT id FROM hydrology_telegram WHERE received_at < %s ORDER BY received_at LIMIT %s)
"""
