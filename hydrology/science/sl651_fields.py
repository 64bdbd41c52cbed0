"""SL 651-2014 fields: numbers, times, addresses, status bits, and what they are worth.

Owns how one value is written and read, and the verdicts on a station's clock and rain counter. Does not know
where in a text a field stands (sl651_elements.py). Missing is None with a reason, never zero.
Source: SL 651-2014, data types of the element annex; sentinels as seen in real frames (all F, all A, all 9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from typing import Final

SHENZHEN: Final = timezone(
    timedelta(hours=8)
)  # every clock of the standard shows Beijing time, without its zone
DRIFT_ALLOWED: Final = timedelta(minutes=5)
LOST_AHEAD: Final = timedelta(days=1)
LOST_BEHIND: Final = timedelta(days=30)
RAIN_CAP_MM: Final = 25.4  # FE; what fell beyond it is carried into the next 5 minutes
_RAIN_MISSING: Final = 0xFF
_STAGE_MISSING: Final = 0xFFFF


# Numbers


def number(raw: bytes, decimals: int) -> tuple[float | None, str]:
    """A BCD number, negative when it begins with FF; None with the reason when there is no number."""
    digits = raw.hex()
    if digits.isdecimal():
        if _all_nines(digits):
            return None, f"sentinel {digits}"
        return int(digits) / 10**decimals, ""
    if not digits.strip("f"):
        return None, "missing"
    if not digits.strip("a"):
        return None, f"sentinel {digits.upper()}"
    if digits.startswith("ff") and digits[2:].isdecimal():
        if _all_nines(digits[2:]):
            return None, f"sentinel {digits.upper()}"
        return -int(digits[2:]) / 10**decimals, ""
    return None, f"not BCD: {digits.upper()}" if digits else "no bytes"


def _all_nines(digits: str) -> bool:
    """9999 or longer, or 099999 or longer; 99 % and 9.99 V are measured values."""
    if digits.strip("9"):
        return len(digits) >= 6 and digits[0] == "0" and not digits[1:].strip("9")
    return len(digits) >= 4


def bcd(value: float | None, width: int, decimals: int) -> bytes:
    """A number as `width` bytes of BCD with `decimals` places, None as all F. Raises ValueError when it does not fit."""
    if value is None:
        return b"\xff" * width
    digits = str(round(abs(value) * 10**decimals))
    sign = "ff" if value < 0 else ""
    if len(sign) + len(digits) > 2 * width:
        raise ValueError(f"{value} does not fit {width} bytes with {decimals} decimals")
    return bytes.fromhex(sign + digits.zfill(2 * width - len(sign)))


def rain_slots(raw: bytes) -> tuple[float | None, ...]:
    """F4: mm of rain, a byte each in 0.1 mm. A slot at RAIN_CAP_MM is at least that; the next holds its excess too."""
    return tuple(None if tenths == _RAIN_MISSING else tenths / 10 for tenths in raw)


def rain_bytes(slots_mm: Sequence[float | None]) -> tuple[bytes, float]:
    """The bytes of `rain_slots` and the mm that did not fit any more: the next hour's report must carry them."""
    written, carried = bytearray(), 0
    for mm in slots_mm:
        if mm is None:
            written.append(_RAIN_MISSING)
            continue
        tenths = round(mm * 10) + carried
        carried = max(0, tenths - 0xFE)
        written.append(tenths - carried)
    return bytes(written), carried / 10


def stage_slots(raw: bytes) -> tuple[float | None, ...]:
    """F5 to FC: metres above the station's base value, two bytes each in 0.01 m."""
    pairs = (raw[at] << 8 | raw[at + 1] for at in range(0, len(raw) - 1, 2))
    return tuple(None if pair == _STAGE_MISSING else pair / 100 for pair in pairs)


def stage_bytes(slots_m: Sequence[float | None]) -> bytes:
    """The bytes of `stage_slots`. Raises OverflowError outside 0 to 655.34 m."""
    pairs = (_STAGE_MISSING if m is None else round(m * 100) for m in slots_m)
    return b"".join(pair.to_bytes(2, "big") for pair in pairs)


def true_stages(slots_m: Sequence[float | None], base_m: float) -> tuple[float | None, ...]:
    """Stages in the station's datum from relative ones and its base value (parameters 28 to 2F), to the mm."""
    return tuple(None if m is None else round(base_m + m, 3) for m in slots_m)


# Times


@lru_cache(maxsize=4096)
def instant(digits: str) -> datetime | None:
    """UTC of YYMMDDHHmm or YYMMDDHHmmSS in Beijing time, years 2000 to 2099; None when no calendar has it."""
    if len(digits) not in (10, 12) or not (digits.isascii() and digits.isdecimal()):
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2] or 0) for at in range(0, 12, 2))
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=SHENZHEN).astimezone(UTC)
    except ValueError:
        return None


def digits_of(at: datetime) -> str:
    """YYMMDDHHmmSS in Beijing time of an aware instant."""
    return f"{at.astimezone(SHENZHEN):%y%m%d%H%M%S}"


class ClockState(StrEnum):
    """What a station's clock is worth."""

    RIGHT = "right"
    """Within 5 minutes of ours."""
    FAST = "fast"
    """Ahead by more: set it, its times lie in the future."""
    SLOW = "slow"
    """Behind by more: set it, unless the report is an old one sent late."""
    LOST = "lost"
    """No date, or so far off that no time it writes means anything."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The verdict on the time a frame says it was sent; `drift_s` is positive when the station is ahead."""

    state: ClockState
    drift_s: float | None


def clock(sent_at: datetime | None, now: datetime) -> Clock:
    """Hold the sent time of a frame received at `now` (both aware) against our clock."""
    if sent_at is None:
        return Clock(ClockState.LOST, None)
    drift = sent_at - now
    state = ClockState.RIGHT
    if drift > LOST_AHEAD or drift < -LOST_BEHIND:
        state = ClockState.LOST
    elif drift > DRIFT_ALLOWED:
        state = ClockState.FAST
    elif drift < -DRIFT_ALLOWED:
        state = ClockState.SLOW
    return Clock(state, drift.total_seconds())


# Addresses


class AddressKind(StrEnum):
    """Which of the two ways an RTU address is made."""

    HYDROLOGICAL = "hydrological"
    """00 and the 8 digits of a hydrological station code."""
    ADMINISTRATIVE = "administrative"
    """6 digits of GB/T 2260 and a number 1 to 60000."""
    RELAY = "relay"
    """6 digits and a number 60001 to 65534: no station, it passes on."""
    BROADCAST = "broadcast"
    """6 digits and 65535: everybody."""
    IRREGULAR = "irregular"
    """Neither: the number is 0, or a digit is none."""


@dataclass(frozen=True, slots=True)
class Address:
    """`code` is what a register of stations lists it by; `number` counts within the 6 digits, None when hydrological."""

    kind: AddressKind
    code: str
    number: int | None


def address(rtu: str) -> Address:
    """Read the 10 characters of an RTU address."""
    if rtu.startswith("00"):
        kind = AddressKind.HYDROLOGICAL if rtu.isdecimal() and rtu.strip("0") else AddressKind.IRREGULAR
        return Address(kind, rtu[2:], None)
    number = int(rtu[6:], 16)
    if number == 0 or not rtu[:6].isdecimal():
        kind = AddressKind.IRREGULAR
    elif number <= 60_000:
        kind = AddressKind.ADMINISTRATIVE
    else:
        kind = AddressKind.RELAY if number < 0xFFFF else AddressKind.BROADCAST
    return Address(kind, rtu, number)


# Running total and status


@dataclass(frozen=True, slots=True)
class Fallen:
    """Rain between two readings of the running total, None when it cannot be known; `why` says how it was found."""

    mm: float | None
    why: str


def fallen(
    before_at: datetime, before_mm: float, at: datetime, mm: float, *, wraps_at_mm: float = 10_000.0
) -> Fallen:
    """The difference of two PT readings, over 1 January, the counter's end (`wraps_at_mm`) and an exchanged RTU."""
    if at <= before_at:
        return Fallen(None, "not later than the reading before")
    if mm >= before_mm:
        return Fallen(round(mm - before_mm, 3), "difference")
    if at.astimezone(SHENZHEN).year > before_at.astimezone(SHENZHEN).year:
        return Fallen(mm, "counted from 1 January")
    if before_mm >= 0.98 * wraps_at_mm and mm <= 0.02 * wraps_at_mm:
        return Fallen(round(mm + wraps_at_mm - before_mm, 3), "the counter began again")
    return Fallen(None, "the counter was reset or exchanged")


STATUS_BITS: Final = (
    "mains_failed",
    "battery_low",
    "stage_over_limit",
    "flow_over_limit",
    "quality_over_limit",
    "flow_meter_failed",
    "stage_meter_failed",
    "box_door_closed",
    "memory_failed",
    "card_valid",
    "pump_stopped",
    "water_quota_used",
)


def status_of(bits: int) -> tuple[str, ...]:
    """The names of the ZT bits that are set; a bit without a name is called by its number."""
    named = dict(enumerate(STATUS_BITS))
    return tuple(named.get(at, f"bit_{at}") for at in range(bits.bit_length()) if bits >> at & 1)
