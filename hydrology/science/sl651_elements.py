"""What an SL 651-2014 text says: serial, times, stations, elements.

Owns the element table and the walk over a text, in both codings, of the functions that carry water (30 to 3A) and
state (46), and reads one text in one pass; it is longer than most files because both codings share table and walk.
Every width comes from the definition byte, never from the table. Other functions, pictures, manual
text and user extensions are kept raw. Does not judge plausibility (quality.py) and knows no register of stations.
Source: SL 651-2014, text structure and element annex.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from hydrology.science.sl651 import Coding, Direction, Fault, Frame, Function
from hydrology.science.sl651_fields import DRIFT_ALLOWED, instant, number, rain_slots, stage_slots

Values = tuple[float | None, ...]
SLOT_S: Final = 300
CATEGORIES: Final = {
    0x50: "P", 0x48: "H", 0x4B: "K", 0x5A: "Z", 0x44: "D", 0x54: "T",
    0x4D: "M", 0x47: "G", 0x51: "Q", 0x49: "I", 0x4F: "O",
}  # fmt: skip
_TABLE: Final = """
01 AC m2|02 AI degC|03 C degC|05 DT HH.mm|08 FL hPa|09 GH m|0A GN -|0B GS -|0C GT -|0F HW m|18 MST %|19 NS -
1A P1 mm|1B P2 mm|1C P3 mm|1D P6 mm|1E P12 mm|1F PD mm|20 PJ mm|21 PN01 mm|22 PN05 mm|23 PN10 mm|24 PN30 mm
25 PR mm|26 PT mm|27 Q m3/s|28 Q1 m3/s|29 Q2 m3/s|2A Q3 m3/s|2B Q4 m3/s|2C Q5 m3/s|2D Q6 m3/s|2E Q7 m3/s
2F Q8 m3/s|30 QA m3/s|31 QZ m3/s|33 UC -|34 UE -|35 US m/s|36 VA m/s|37 VJ m/s|38 VT V|39 Z m|3A ZB m|3B ZU m
3C Z1 m|3D Z2 m|3E Z3 m|3F Z4 m|40 Z5 m|41 Z6 m|42 Z7 m|43 Z8 m|45 ZT bits|F4 DRP mm
F5 DRZ1 m|F6 DRZ2 m|F7 DRZ3 m|F8 DRZ4 m|F9 DRZ5 m|FA DRZ6 m|FB DRZ7 m|FC DRZ8 m
"""
_ROWS: Final = [row.split() for row in _TABLE.replace("\n", "|").split("|") if row]
CODES: Final = {int(lead, 16): code for lead, code, _ in _ROWS}
"""Lead byte to the element's letters."""
UNITS: Final = {code: unit for _, code, unit in _ROWS}
_LEADS: Final = {code: lead for lead, code in CODES.items()}
_GATES: Final[dict[float | None, str]] = {
    555: "no gate",
    444: "closed",
    999: "fully open",
    888: "out of the water",
}
_STATION: Final = b"\xf1\xf1"
_OBSERVED: Final = b"\xf0\xf0"
_STEP: Final = 0x04
_RAIN: Final = 0xF4
_STAGES: Final = range(0xF5, 0xFD)
_RAW: Final = {0xF2: "RGZS", 0xF3: "PIC", 0xFD: "DATA"}
_STATUS: Final = 0x45
_EXTENSION: Final = 0xFF
_TOKEN: Final = re.compile(rb"[^ ]+")
_ASCII_VALUE: Final = re.compile(r"M|-?\d{1,12}(\.\d{1,6})?", re.ASCII)
_ASCII_STEP: Final = re.compile(r"DR([DHN])(\d\d)", re.ASCII)
_ASCII_CODE: Final = re.compile(r"(?!M$)[A-Z][A-Z0-9]{0,7}", re.ASCII)
_STEP_S: Final = {"D": 86_400, "H": 3_600, "N": 60}


@dataclass(frozen=True, slots=True)
class Flaw:
    """What could not be read: where in the text (byte), which field, why, and who has to mend it."""

    offset: int
    where: str
    why: str
    fault: Fault


class Malformed(Exception):
    """The text has not even a serial and a time, so nothing in it can be believed."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.where} at byte {flaw.offset}: {flaw.why} ({flaw.fault})")
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Measure:
    """One element of one station: `values[i]` belongs to `observed_at` + i * `step_s`; a period ENDS there.

    `code` is the element's letters, or its lead bytes in hex when the table has none. A missing value is None and
    `why` says so. Stages DRZ are metres above the station's base value. ZT is the number its bits make.
    `observed_at` is None where no time is given, none can be read, or it cannot be true.
    `definition` is 0 in ASCII coding; `raw` is the data as they came, without lead and definition bytes.
    """

    station: str
    category: str
    observed_at: datetime | None
    code: str
    definition: int
    values: Values
    step_s: int = 0
    why: str = ""
    raw: bytes = b""

    def at(self, index: int) -> datetime | None:
        """The instant of `values[index]`, UTC; None when the station's time could not be read."""
        return self.observed_at and self.observed_at + timedelta(seconds=index * self.step_s)


@dataclass(frozen=True, slots=True)
class Report:
    """One text. `sent` is its time as written; `rest` what is kept raw, because of its function or after a flaw."""

    function: int
    direction: Direction
    rtu: str
    serial: int
    sent: str
    measures: tuple[Measure, ...] = ()
    rest: bytes = b""
    flaws: tuple[Flaw, ...] = ()

    @property
    def sent_at(self) -> datetime | None:
        """UTC; None when no calendar has it."""
        return instant(self.sent)


def decode(frame: Frame) -> Report:
    """Read the text of a frame. What follows a flaw is kept raw, what stands before it is given.

    Raises Malformed when there is no serial and time, and ValueError for one packet of several.
    """
    if frame.fragment:
        raise ValueError("a packet means nothing before the others are there")
    text, ascii_coded = frame.text, frame.coding is Coding.ASCII
    head = 16 if ascii_coded else 8
    written = text[:head].decode("latin-1") if ascii_coded else text[:head].hex()
    if len(text) < head or not set(written[:4]) <= _HEX:
        raise Malformed(Flaw(0, "serial", "no serial and time at the head of the text", Fault.STATION))
    walk = _Walk(frame.rtu, frame.function, instant(written[4:]))
    if walk.sent_at is None:
        walk.flaws.append(Flaw(head - 6, "sent_at", f"{written[4:]} is in no calendar", Fault.STATION))
    if frame.direction is Direction.UP and _carries_elements(frame.function):
        (_walk_ascii if ascii_coded else _walk_hex)(walk, text, head)
    else:
        walk.rest = text[head:]
    return Report(
        frame.function,
        frame.direction,
        frame.rtu,
        int(written[:4], 16),
        written[4:],
        tuple(walk.measures),
        walk.rest,
        tuple(walk.flaws),
    )


_HEX: Final = frozenset("0123456789abcdefABCDEF")


def _carries_elements(function: int) -> bool:
    return Function.TEST <= function <= Function.NAMED or function == Function.STATUS


@dataclass(slots=True)
class _Walk:
    """Where the walk stands: station, its class and time hold for the elements after them."""

    station: str
    function: int
    sent_at: datetime | None
    category: str = ""
    observed_at: datetime | None = None
    step_s: int | None = None  # told by DRxnn for the next element, which then fills the text
    measures: list[Measure] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    rest: bytes = b""

    @property
    def has_category(self) -> bool:
        """Only reports of water name a class after the address; a status (46) does not."""
        return self.function <= Function.NAMED

    def flaw(self, offset: int, where: str, why: str) -> None:
        self.flaws.append(Flaw(offset, where, why, Fault.STATION))

    def observe(self, offset: int, digits: str) -> None:
        self.observed_at = instant(digits)
        if self.observed_at is None:
            self.flaw(offset, "observed_at", f"{digits} is in no calendar")

    def add(
        self,
        offset: int,
        code: str,
        definition: int,
        values: Values,
        raw: bytes,
        why: str = "",
        step_s: int = 0,
    ) -> None:
        measure = Measure(
            self.station, self.category, self.observed_at, code, definition, values, step_s, why, raw
        )
        if step_s and self._ends_after_sent(measure):
            # seen: 34 sent at :30 with its own time in front of slots that began at :05
            self.flaw(
                offset, code, "values end after the report was sent, so its time is not the first one's"
            )
            measure = replace(measure, observed_at=None)
        self.measures.append(measure)
        self.step_s = None

    def _ends_after_sent(self, measure: Measure) -> bool:
        spoken = [index for index, value in enumerate(measure.values) if value is not None]
        last_at = measure.at(spoken[-1]) if spoken else None
        if last_at is None or self.sent_at is None:
            return False
        return last_at > self.sent_at + DRIFT_ALLOWED


# HEX and BCD


def _walk_hex(walk: _Walk, text: bytes, at: int) -> None:
    while at < len(text):
        pair = text[at : at + 2]
        if pair in (_STATION, _OBSERVED):
            after = _group(walk, text, at)
        elif pair[0] in _RAW:
            walk.add(at, _RAW[pair[0]], pair[-1], (), text[at + 2 :])
            return
        else:
            after = _element(walk, text, at)
        if after is None:
            walk.rest = text[at:]
            return
        at = after


def _group(walk: _Walk, text: bytes, at: int) -> int | None:
    """F1F1 address and class, or F0F0 and time; None when it is cut off."""
    where = "station" if text[at] == _STATION[0] else "observed_at"
    after = at + 7
    if len(text) < after:
        walk.flaw(at, where, f"needs 5 bytes, {len(text) - at - 2} are left")
        return None
    written = text[at + 2 : after].hex()
    if where == "observed_at":
        walk.observe(at, written)
        return after
    walk.station, walk.category, walk.observed_at = written.upper(), "", None
    if walk.has_category and len(text) > after and text[after] < 0xF0:
        walk.category = CATEGORIES.get(text[after], f"{text[after]:02X}")
        after += 1
    return after


def _element(walk: _Walk, text: bytes, at: int) -> int | None:
    """One element, or a step code and nothing else; None when it is cut off."""
    lead = text[at]
    opens = 3 if lead == _EXTENSION else 2
    code = (
        f"FF{text[at + 1 : at + 2].hex().upper()}" if lead == _EXTENSION else CODES.get(lead, f"{lead:02X}")
    )
    if len(text) < at + opens:
        walk.flaw(at, code, "its definition byte is missing")
        return None
    definition = text[at + opens - 1]
    width, start = definition >> 3, at + opens
    if len(text) < start + width:
        walk.flaw(at, code, f"needs {width} bytes, {len(text) - start} are left")
        return None
    if lead == _STEP:
        walk.step_s = _step_s(walk, at, text[start : start + width])
        return start + width
    if walk.step_s:
        return _series(walk, text, start, lead, code, definition)
    raw = text[start : start + width]
    values, why = _values(lead, raw, definition)
    if code == "GH" and (gate := _GATES.get(values[0])):
        values, why = (None,), gate
    walk.add(at, code, definition, values, raw, why, SLOT_S if _is_slots(lead) else 0)
    return start + width


def _step_s(walk: _Walk, at: int, raw: bytes) -> int | None:
    """Days, hours and minutes; 000000 says that the element's own 5 minutes hold."""
    written = raw.hex()
    if len(written) != 6 or not written.isdecimal():
        walk.flaw(at, "DRxnn", f"{written.upper()} is no step of days, hours and minutes")
        return None
    days, hours, minutes = int(written[:2]), int(written[2:4]), int(written[4:])
    return (days * 1440 + hours * 60 + minutes) * 60 or None


def _series(walk: _Walk, text: bytes, start: int, lead: int, code: str, definition: int) -> int | None:
    """After a step code the data repeat to the end of the text, or to the next group. None when nothing repeats."""
    width, step_s, after = definition >> 3, walk.step_s or 0, start
    values: list[float | None] = []
    why = ""
    while width and len(text) >= after + width and not _opens_group(text, after):
        slots, reason = _values(lead, text[after : after + width], definition)
        values += slots
        why = why or reason
        after += width
    walk.add(start, code, definition, tuple(values), text[start:after], why, step_s)
    if after < len(text) and not _opens_group(text, after):
        walk.flaw(after, code, f"{len(text) - after} bytes are left over, a value has {width}")
        return None
    return after


def _opens_group(text: bytes, at: int) -> bool:
    """F0F0 and a time, or F1F1 and an address. Two slots of 24.0 mm are F0F0 too, but no calendar has what follows."""
    pair = text[at : at + 2]
    if pair == _OBSERVED:
        return instant(text[at + 2 : at + 7].hex()) is not None
    return pair == _STATION and len(text) >= at + 7


def _is_slots(lead: int) -> bool:
    return lead == _RAIN or lead in _STAGES


def _values(lead: int, raw: bytes, definition: int) -> tuple[Values, str]:
    if _is_slots(lead):
        slots = rain_slots(raw) if lead == _RAIN else stage_slots(raw)
        return slots, "missing" if None in slots else ""
    if lead == _STATUS:
        return (float(int.from_bytes(raw, "big")),), ""
    if lead == _EXTENSION:
        return (), ""
    value, why = number(raw, definition & 7)
    return (value,), why


# ASCII


def _walk_ascii(walk: _Walk, text: bytes, at: int) -> None:
    """Words between spaces: a code, then its value, or its values after a step code. One bad word is one flaw."""
    words = [(token.start(), token.group().decode("latin-1")) for token in _TOKEN.finditer(text, at)]
    words.reverse()
    while words:
        offset, word = words.pop()
        if word in _RAW.values():
            walk.add(offset, word, 0, (), text[offset + len(word) + 1 :])
            return
        if word == "ST":
            _ascii_station(walk, offset, words)
        elif word == "TT":
            walk.observe(offset, words.pop()[1] if words else "")
        elif step := _ASCII_STEP.fullmatch(word):
            walk.step_s = int(step[2]) * _STEP_S[step[1]] or None
        elif _ASCII_CODE.fullmatch(word):
            _ascii_element(walk, offset, word, words)
        else:
            walk.flaw(offset, "element", f"{word[:16]!r} is no element")


def _ascii_station(walk: _Walk, offset: int, words: list[tuple[int, str]]) -> None:
    written = words.pop()[1].upper() if words else ""
    if len(written) != 10 or not set(written) <= _HEX:
        walk.flaw(offset, "station", f"{written[:16]!r} is no RTU address")
    walk.station, walk.category, walk.observed_at = written[:10], "", None
    if walk.has_category and words and words[-1][1] in CATEGORIES.values():
        walk.category = words.pop()[1]


def _ascii_element(walk: _Walk, offset: int, code: str, words: list[tuple[int, str]]) -> None:
    lead, step_s = _LEADS.get(code, 0), walk.step_s or 0
    values: list[float | None] = []
    raw: list[str] = []
    why = ""
    while words and (step_s or not raw):
        read = _ascii_values(lead, words[-1][1])
        if read is None:
            break
        raw.append(words.pop()[1])
        values += read[0]
        why = why or read[1]
    if not raw:
        walk.flaw(offset, code, "has no value after it")
        return
    text = " ".join(raw).encode("latin-1")
    walk.add(offset, code, 0, tuple(values), text, why, step_s or (SLOT_S if _is_slots(lead) else 0))


def _ascii_values(lead: int, word: str) -> tuple[Values, str] | None:
    """The values of a word, None when it is no value. Slots and status are written as the characters of their bytes."""
    if word != "M" and (_is_slots(lead) or lead == _STATUS):
        if len(word) % 2 or not set(word) <= _HEX:
            return None
        return _values(lead, bytes.fromhex(word), 0)
    if not _ASCII_VALUE.fullmatch(word):
        return None
    if word == "M":
        return (None,), "missing"
    if len(digits := word.replace(".", "").lstrip("-0")) >= 4 and not digits.strip("9"):
        return (None,), f"sentinel {word}"
    return (float(word),), ""
