"""SL 651-2014 telemetry on the line: bytes in, frames and noise out.

Owns the frame (HEX/BCD and ASCII coding, both directions), its check sum and `Receiver` (resync on noise). Does
not know who answers what (sl651_talk.py) nor what a text says (sl651_elements.py); opens no socket.
Source: SL 651-2014, frame structure, functions and end characters.
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

LONGEST: Final = 0xFFFF  # bytes of text; 0x0FFF but in uplink packets, whose length has no direction in it
NOISE_RUN: Final = 1024  # noise is given away in runs of at most so many bytes
_SYNC: Final = b"\x7e\x7e"
_SOH: Final = 0x01
_STX: Final = 0x02
_SYN: Final = 0x16
_HEX_DIGITS: Final = b"0123456789ABCDEFabcdef"
_START: Final = re.compile(rb"[\x01\x7e]")


class Fault(StrEnum):
    """Who has to mend it."""

    LINE = "line"
    """Bytes were lost, added or changed on the way."""
    STATION = "station"
    """The bytes came as they were sent, and the station sent something the standard does not allow."""


class Coding(StrEnum):
    """How a frame writes its fields."""

    HEX = "hex"
    """Binary and BCD between 7E7E and a binary check sum."""
    ASCII = "ascii"
    """Characters between SOH and a check sum of four characters."""


class Direction(IntEnum):
    """The first half byte of the length field."""

    UP = 0
    """Station to centre."""
    DOWN = 8
    """Centre to station: the two addresses change places."""


class Function(IntEnum):
    """The functions this product acts on; a frame may carry any other number, which is kept raw."""

    HEARTBEAT = 0x2F
    """The line is up; never answered."""
    TEST = 0x30
    """A trial of the line: what it says is not water and reaches no live table."""
    UNIFORM = 0x31
    TIMED = 0x32
    EVENT = 0x33
    HOURLY = 0x34
    MANUAL = 0x35
    PICTURE = 0x36
    REALTIME = 0x37
    PERIOD = 0x38
    MANUAL_ANSWER = 0x39
    NAMED = 0x3A
    STATUS = 0x46
    SET_CLOCK = 0x4A


class End(IntEnum):
    """The character that closes the text and says how the talk goes on."""

    ETX = 0x03
    """Up: nothing more follows."""
    ETB = 0x17
    """Up: more follows."""
    ENQ = 0x05
    """Down: a question or command."""
    ACK = 0x06
    """Down: taken, go on."""
    NAK = 0x15
    """Down: send the packet named here again."""
    EOT = 0x04
    """Down: done, hang up."""
    ESC = 0x1B
    """Down: done, stay on the line for 10 minutes."""


_ENDS: Final = {end.value: end for end in End}


@dataclass(frozen=True, slots=True)
class Packet:
    """Number `seq` of `total` packets of one report, counted from 1; 0 is all of them put together."""

    total: int
    seq: int

    def __post_init__(self) -> None:
        if not (1 <= self.total <= 0xFFF and 0 <= self.seq <= self.total):
            raise ValueError(f"packet {self.seq} of {self.total}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose check sum holds. `text` stands between STX (or the packet field) and the end character.

    `rtu` is 10 characters 0-9A-F, `centre` and `password` are numbers; `raw` is the frame as it came and
    does not count when frames are compared. Raises ValueError when it could not be written.
    """

    coding: Coding
    direction: Direction
    centre: int
    rtu: str
    password: int
    function: int
    text: bytes
    end: End
    packet: Packet | None = None
    raw: bytes = field(default=b"", compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.rtu) != 10 or self.rtu.strip("0123456789ABCDEF"):
            raise ValueError(f"an RTU address is 10 characters 0-9A-F: {self.rtu!r}")
        if not (0 <= self.centre <= 0xFF and 0 <= self.password <= 0xFFFF and 0 <= self.function <= 0xFF):
            raise ValueError(f"out of range: centre {self.centre}, password, function {self.function}")

    @property
    def fragment(self) -> bool:
        """Whether this is one packet of several, which means nothing before the others are there."""
        return self.packet is not None and self.packet.seq > 0

    @property
    def serial(self) -> int:
        """The serial number at the head of the text; 0 where there is none, as in later packets of a report."""
        if self.direction is Direction.UP and self.packet is not None and self.packet.seq > 1:
            return 0
        try:
            ascii_coded = self.coding is Coding.ASCII
            head = bytes.fromhex(self.text[:4].decode("ascii")) if ascii_coded else self.text[:2]
        except ValueError:
            return 0
        return int.from_bytes(head, "big")


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no frame. `offset` counts from the first byte ever fed; `where` names the field that fails."""

    offset: int
    raw: bytes
    where: str
    why: str
    fault: Fault


def crc16(of: bytes | bytearray | memoryview) -> int:
    """CRC-16/MODBUS: reflected 8005, start FFFF. The standard sends its high byte first."""
    crc = 0xFFFF
    for byte in of:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def _crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


_CRC: Final = tuple(map(_crc_of_byte, range(256)))


def encode(frame: Frame) -> bytes:
    """The frame as bytes on the line. Raises ValueError when its length field cannot hold it."""
    ascii_coded = frame.coding is Coding.ASCII
    packet = b""
    if frame.packet is not None:
        if frame.packet.seq == 0:
            raise ValueError("packets put together are not sent as one frame")
        packet = _wide(frame.packet.total << 12 | frame.packet.seq, 3, ascii_coded)
    length = len(packet) + len(frame.text)
    roomy = frame.packet is not None and frame.direction is Direction.UP and length >> 12 != Direction.DOWN
    if length > (LONGEST if roomy else 0x0FFF):
        raise ValueError(f"{length} bytes of text do not fit one frame")
    centre, rtu = _wide(frame.centre, 1, ascii_coded), _wide(int(frame.rtu, 16), 5, ascii_coded)
    body = b"".join(
        (
            b"\x01" if ascii_coded else _SYNC,
            *((centre, rtu) if frame.direction is Direction.UP else (rtu, centre)),
            _wide(frame.password << 8 | frame.function, 3, ascii_coded),
            _wide(frame.direction << 12 | length, 2, ascii_coded),
            bytes([_SYN if packet else _STX]),
            packet,
            frame.text,
            bytes([frame.end]),
        )
    )
    return body + _wide(crc16(body), 2, ascii_coded)


def _wide(number: int, size: int, ascii_coded: bool) -> bytes:
    return b"%0*X" % (2 * size, number) if ascii_coded else number.to_bytes(size, "big")


@dataclass(frozen=True, slots=True)
class _Header:
    """A frame that seems to begin here. `opens` bytes stand before the text, `closes` after it, the CRC with it."""

    coding: Coding
    direction: Direction
    packet: Packet | None
    opens: int
    size: int


class Receiver:
    """Cuts a stream into frames and noise. Feeding it in other chunks changes nothing; no bytes raise.

    Every byte fed comes out again in exactly one event's `raw`, in order. A start that promises a frame is
    believed only when end character and check sum hold: otherwise the search goes on one byte later, so a
    frame behind or inside a broken one is found. `longest` caps the text a frame may claim. A frame cut short
    holds back what follows until enough bytes came or `end` is called (line idle or closed).
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._offset = 0  # of the buffer's first byte
        self._noise = 0  # bytes at the head of the buffer that are noise already
        self._run = NOISE_RUN  # noise is given away when it is that long
        self._blame = ("", "")  # the field that fails, and why

    def feed(self, received: bytes) -> list[Frame | Noise]:
        """The events these bytes completed, in order of the stream."""
        self._buffer += received
        return self._events(ended=False)

    def end(self) -> list[Frame | Noise]:
        """Give up on what is not complete; nothing is held back after this."""
        events = self._events(ended=True)
        if self._noise:
            events.append(self._take_noise())
        return events

    def _events(self, *, ended: bool) -> list[Frame | Noise]:
        events: list[Frame | Noise] = []
        while self._noise < len(self._buffer):
            if self._noise >= self._run:
                events.append(self._take_noise())
            header = _header(self._buffer, self._noise, self._longest, ended)
            if header is None:
                break
            if isinstance(header, str):
                self._skip(header)
                continue
            if self._noise:
                events.append(self._take_noise())
            if len(self._buffer) < header.size:
                if not ended:
                    break
                self._blame = ("length", f"cut short: {len(self._buffer)} of {header.size} bytes came")
                self._noise, self._run = 1, len(self._buffer)
                continue
            frame = _frame(bytes(self._buffer[: header.size]), header)
            if isinstance(frame, Frame):
                events.append(frame)
                self._drop(header.size)
            else:
                self._blame = frame
                self._noise, self._run = 1, header.size
        if self._noise >= self._run:
            events.append(self._take_noise())
        return events

    def _skip(self, where: str) -> None:
        """One byte is noise, and so is all up to the next byte that may begin a frame."""
        if not self._noise:
            self._blame = (where, "no frame begins here")
        start = _START.search(self._buffer, self._noise + 1, self._run)
        self._noise = start.start() if start else min(self._run, len(self._buffer))

    def _take_noise(self) -> Noise:
        where, why = self._blame
        noise = Noise(self._offset, bytes(self._buffer[: self._noise]), where, why, Fault.LINE)
        self._drop(self._noise)
        self._noise, self._run = 0, NOISE_RUN
        return noise

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size


def _header(buffer: bytearray, at: int, longest: int, ended: bool) -> _Header | str | None:
    """What begins at `at`: a header, the name of the field that says none does, or None while it cannot be told."""
    ascii_coded = buffer[at] == _SOH
    opens = 24 if ascii_coded else 14
    head = bytes(buffer[at : at + opens + 6])
    if ascii_coded:
        if head[1:23].translate(None, _HEX_DIGITS):
            return "header"
    elif not _SYNC.startswith(head[:2]):
        return "start"
    if len(head) < opens:
        return "header" if ended else None
    word = int(head[19:23], 16) if ascii_coded else head[11] << 8 | head[12]
    length, direction, packet = word & 0x0FFF, word >> 12, None
    start = head[opens - 1]
    if start == _SYN:
        wide = 6 if ascii_coded else 3
        if len(head) < opens + wide:
            return "packet" if ended else None
        number = head[opens : opens + wide]
        if ascii_coded and number.translate(None, _HEX_DIGITS):
            return "packet"
        total, seq = divmod(int(number, 16) if ascii_coded else int.from_bytes(number, "big"), 0x1000)
        if direction != Direction.DOWN:
            length, direction = word, Direction.UP
        if not 1 <= seq <= total or length < wide:
            return "packet"
        packet, opens, length = Packet(total, seq), opens + wide, length - wide
    if start not in (_STX, _SYN) or direction not in (Direction.UP, Direction.DOWN):
        return "header"
    if length > longest:
        return "length"
    coding = Coding.ASCII if ascii_coded else Coding.HEX
    return _Header(coding, Direction(direction), packet, opens, opens + length + (5 if ascii_coded else 3))


def _frame(raw: bytes, header: _Header) -> Frame | tuple[str, str]:
    """The frame, or the field that fails and why. The cheap test comes first."""
    ascii_coded = header.coding is Coding.ASCII
    close = len(raw) - (5 if ascii_coded else 3)
    end = _ENDS.get(raw[close])
    if end is None:
        return "end", f"{raw[close]:02X} is no end character"
    crc = b"%04X" % (summed := crc16(memoryview(raw)[: close + 1]))
    given = raw[close + 1 :].upper() if ascii_coded else raw[close + 1 :].hex().upper().encode()
    if given != crc:
        return "crc", f"{given.decode('latin-1')!r} should be {summed:04X}"
    head = raw[1:19].decode().upper() if ascii_coded else raw[2:11].hex().upper()
    up = header.direction is Direction.UP
    return Frame(
        header.coding,
        header.direction,
        int(head[:2] if up else head[10:12], 16),
        head[2:12] if up else head[:10],
        int(head[12:16], 16),
        int(head[16:18], 16),
        raw[header.opens : close],
        end,
        header.packet,
        raw,
    )
