"""What a centre says to SL 651-2014 stations, and one report out of many packets (modes M1 to M4).

Owns confirmations, the clock command 4A, questions (M4) and `Assembler` (M3: packets, repair, giving up). M1 wants no
answer and M4 answers a question, so neither is confirmed; M2 is confirmed frame by frame, M3 once for all packets. Does
not send: the listener does. Source: SL 651-2014, modes M1 to M4; at most 2 repeats, the third silence ends a talk.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from hydrology.science.sl651 import Coding, Direction, End, Frame, Function, Packet
from hydrology.science.sl651_fields import digits_of, instant

PATIENCE: Final = timedelta(seconds=10)
REMEMBERED: Final = timedelta(minutes=10)  # as long as a station stays on the line after ESC
REPEATS: Final = 2
ANSWERS: Final = frozenset({Function.REALTIME, Function.PERIOD})
"""What a station sends only when asked, as far as we ask: 37 and 38."""
SERIES: Final = {"rain": "F460", "stage": "F5C0"}
"""What can be asked for over a period: 12 values of 5 minutes an hour, rain or stages above the base value."""
_EVERY_5_MIN: Final = "0418000005"


def expects_answer(frame: Frame) -> bool:
    """Whether a station waits for a confirmation: after its own reports, not after heartbeats and answers."""
    return frame.direction is Direction.UP and Function.TEST <= frame.function <= Function.PICTURE


def sent_at(frame: Frame) -> datetime | None:
    """When the station says it sent this, UTC; None when there is no date. Packets after the first have none."""
    text = frame.text
    return instant(text[4:16].decode("latin-1") if frame.coding is Coding.ASCII else text[2:8].hex())


def confirm(frame: Frame, now: datetime, end: End, *, seq: int | None = None) -> Frame:
    """The answer to an uplink frame: its serial and the centre's time (aware `now`), closed by `end`.

    An answer to packets names packet `seq`: the missing one after NAK, else the last. Raises ValueError for a
    heartbeat or a downlink frame, which are never answered.
    """
    if frame.direction is Direction.DOWN or frame.function == Function.HEARTBEAT:
        raise ValueError("heartbeats and downlink frames are not answered")
    packet = frame.packet and Packet(frame.packet.total, seq or frame.packet.total)
    return _said(frame, frame.function, frame.serial, now, end, packet)


def set_clock(frame: Frame, now: datetime) -> Frame:
    """Command 4A to the station that sent `frame`: take the aware `now` as the time. Serial 0: the centre begins."""
    return _said(frame, Function.SET_CLOCK, 0, now, End.ENQ, None)


def question(heard: Frame, function: int, wanted: bytes, now: datetime) -> Frame:
    """Ask the station that sent `heard`: 37 for its present values (`wanted` is empty), 38 for a `period`. Serial 0.

    Raises ValueError for a period of an ASCII station: how it is written there is known of no real frame.
    """
    if wanted and heard.coding is Coding.ASCII:
        raise ValueError("periods are asked for in HEX only")
    asked = _said(heard, function, 0, now, End.ENQ, None)
    return replace(asked, text=asked.text + wanted)


def period(since: datetime, until: datetime, series: str) -> bytes:
    """What function 38 asks for: the `series` (see SERIES) in 5 minutes over (since, until], both on whole hours."""
    hours = "".join(digits_of(at)[:8] for at in (since, until))
    return bytes.fromhex(hours + _EVERY_5_MIN + SERIES[series])


def _said(frame: Frame, function: int, serial: int, now: datetime, end: End, packet: Packet | None) -> Frame:
    digits = f"{serial:04X}{digits_of(now)}"
    return replace(
        frame,
        direction=Direction.DOWN,
        function=function,
        text=digits.encode() if frame.coding is Coding.ASCII else bytes.fromhex(digits),
        end=end,
        packet=packet,
        raw=b"",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What came of a packet: the whole report, a request to repeat one, packets given up (and why), or nothing yet."""

    whole: Frame | None = None
    repair: Frame | None = None
    lost: tuple[Frame, ...] = ()
    why: str = ""


_Key = tuple[Coding, str, int, int, int]


@dataclass(slots=True)
class _Report:
    """The packets of one report so far. `closed`: its last packet was heard; `tries`: requests without an effect."""

    total: int
    heard_at: datetime
    packets: dict[int, Frame] = field(default_factory=dict)
    closed: bool = False
    tries: int = 0
    size: int = 0

    @property
    def is_whole(self) -> bool:
        return len(self.packets) == self.total

    @property
    def missing(self) -> int:
        """The first packet that is missing; only asked while one is."""
        return next(seq for seq in range(1, self.total + 1) if seq not in self.packets)

    def whole(self) -> Frame:
        frames = [frame for _, frame in sorted(self.packets.items())]
        return replace(
            frames[0],
            text=b"".join(frame.text for frame in frames),
            end=End.ETX,
            packet=Packet(len(frames), 0),
            raw=b"".join(frame.raw for frame in frames),
        )


class Assembler:
    """Puts the packets of one connection together, in whatever order they come.

    Once the last packet was heard, or nothing for `patience`, the first missing one is asked for again, one at a
    time. A whole report whose confirmation was lost is given once more. A report is given up when 2 requests in
    a row had no effect, when it passes `most_bytes`, or when more than `most_open` reports are open.
    """

    def __init__(
        self, *, patience: timedelta = PATIENCE, most_bytes: int = 4 << 20, most_open: int = 8
    ) -> None:
        self._patience = patience
        self._most_bytes = most_bytes
        self._most_open = most_open
        self._reports: dict[_Key, _Report] = {}

    def take(self, frame: Frame, now: datetime) -> Step:
        """What this uplink frame completes. A frame without packets is whole by itself."""
        if frame.packet is None or not frame.fragment:
            return Step(whole=frame)
        key, seq = _key(frame), frame.packet.seq
        report = self._reports.get(key)
        lost: tuple[Frame, ...] = ()
        if report is None or _begins_another(report, frame):
            lost = self._forget(key) + self._make_room()
            report = self._reports[key] = _Report(frame.packet.total, now)
        elif seq in report.packets:
            return self._heard_again(key, report, frame, now)
        report.packets[seq] = frame
        report.size += len(frame.text)
        report.heard_at, report.tries = now, 0
        report.closed = report.closed or seq == frame.packet.total
        if report.size > self._most_bytes:
            return Step(lost=lost + self._forget(key), why=f"more than {self._most_bytes} bytes in packets")
        why = "another report began before this one was whole" if lost else ""
        if report.is_whole:
            return Step(whole=report.whole(), lost=lost, why=why)
        return Step(repair=_repair(report, now) if report.closed else None, lost=lost, why=why)

    def stalled(self, now: datetime) -> list[Step]:
        """Requests for packets that have been missing too long, and reports given up."""
        steps = []
        for key, report in list(self._reports.items()):
            silent = now - report.heard_at
            if report.is_whole:
                if silent >= REMEMBERED:
                    del self._reports[key]
            elif silent >= self._patience:
                steps.append(self._ask_again(key, report, now))
        return steps

    def give_up(self, why: str) -> Step:
        """The line is gone: all packets of reports that are not whole."""
        lost = [frame for key in list(self._reports) for frame in self._forget(key)]
        return Step(lost=tuple(lost), why=why)

    def _heard_again(self, key: _Key, report: _Report, frame: Frame, now: datetime) -> Step:
        last = frame.packet is not None and frame.packet.seq == frame.packet.total
        if report.is_whole:
            return Step(whole=report.whole() if last else None)
        return self._ask_again(key, report, now) if last else Step()

    def _ask_again(self, key: _Key, report: _Report, now: datetime) -> Step:
        if report.tries >= REPEATS:
            return Step(lost=self._forget(key), why=f"packet {report.missing} never came")
        report.tries += 1
        report.heard_at = now
        return Step(repair=_repair(report, now))

    def _forget(self, key: _Key) -> tuple[Frame, ...]:
        """The packets of a report that will never be whole."""
        report = self._reports.pop(key, None)
        return tuple(report.packets.values()) if report and not report.is_whole else ()

    def _make_room(self) -> tuple[Frame, ...]:
        if len(self._reports) < self._most_open:
            return ()
        return self._forget(min(self._reports, key=lambda key: self._reports[key].heard_at))


def _key(frame: Frame) -> _Key:
    total = frame.packet.total if frame.packet else 0
    return frame.coding, frame.rtu, frame.centre, frame.function, total


def _begins_another(report: _Report, frame: Frame) -> bool:
    """Whether the packet belongs to another report than those held: other serial, or other text under its number."""
    seq = frame.packet.seq if frame.packet else 0
    held = report.packets.get(seq)
    if held is None:
        return report.is_whole
    return held.serial != frame.serial if seq == 1 else held.text != frame.text


def _repair(report: _Report, now: datetime) -> Frame:
    known = report.packets.get(1) or next(iter(report.packets.values()))
    return confirm(known, now, End.NAK, seq=report.missing)
