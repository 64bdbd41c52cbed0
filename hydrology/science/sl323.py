"""Rows of SL 323 tables of readings, as a database gives them, to readings of ours.

Owns the meaning of the columns: TM, INTV, units, sentinels, 水势. Rows are plain mappings keyed by the standard's
names, whatever the source calls them (sl323_mapping.py). Knows no database, no stations of ours, does not judge whether
a value is believable (quality.py). Source: SL 323-2011, with the deviations of sl323_mapping.py; TM is the END of the
interval and Beijing time without a zone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final
from zoneinfo import ZoneInfo

from hydrology.science.readings import AHEAD_ALLOWED, EARLIEST, LONGEST_S, MAX_CODE_CHARS, Element, Reading
from hydrology.science.sl323_mapping import TREND_COLUMN, DatabaseMapping, Table, TableMapping, Trend

STEADY_M: Final = 0.01  # a float moves this much in a ripple: no 涨, no 落
LEAST_TRENDS: Final = 10  # fewer moves say nothing about the codes of a whole source
_MINUTE: Final = timedelta(minutes=1)
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that could not be read, with its place in the source, why, and what to do."""

    table: str
    stcd: str
    tm: str
    column: str
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.table} {self.stcd} {self.tm} {self.column}: {self.zh} {self.en}"


@dataclass(slots=True)
class RowRead:
    """What one row says. `missing`: values that are null or stand for a missing one; no fault of anybody."""

    readings: list[Reading] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    missing: int = 0
    trend: Trend | None = None
    skipped: bool = False
    """Rain over an interval the mapping does not want."""


class _Fault(Exception):
    """One column cannot be read; args are (column, zh, en)."""


def read_row(row: Row, table: TableMapping, mapping: DatabaseMapping, now: datetime) -> RowRead:
    """Read one row; never raises. A bad value loses only itself, a bad STCD, TM or INTV the whole row.

    Rain is put on the nearest whole minute: a TM of 08:05:03 is the sum up to 08:05. Levels keep their seconds.
    """
    read = RowRead()
    try:
        station = _station(row.get("STCD"), mapping)
        at = _instant(row.get("TM"), mapping.zone)
        _in_time(at, row.get("TM"), now)
        duration_s = 0
        if table.kind is Table.RAIN:
            at = _whole_minute(at)
            duration_s = interval_s(row.get("INTV"), table)
            if table.intervals_s and duration_s not in table.intervals_s:
                read.skipped = True
                return read
    except _Fault as fault:
        read.unread.append(_unread(row, table, *fault.args))
        return read
    for column, element in table.values:
        try:
            value = _value(row.get(column), column, table.factors[column], mapping.sentinels)
        except _Fault as fault:
            read.unread.append(_unread(row, table, *fault.args))
            continue
        if value is None:
            read.missing += 1
        else:
            read.readings.append(Reading(station, element, at, value, duration_s))
    if (code := row.get(TREND_COLUMN.get(table.kind, ""))) is not None:
        read.trend = table.trend.get(str(code).strip())
    return read


def interval_s(given: object, table: TableMapping) -> int:
    """Seconds of an INTV, as the mapping says it is written; null is the mapping's `interval_min`.

    HH.mm is read as it is printed: 0.5 is 0.50, fifty minutes. Raises _Fault when it is none of 1 s to 72 h.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        if table.default_interval_s is not None:
            return table.default_interval_s
        raise _Fault(
            "INTV", "时段长为空，请在映射中写明 interval_min", "is null: give interval_min in the mapping"
        )
    number = _decimal(given)
    if number is None:
        raise _Fault("INTV", f"{given!r:.40} 不是数值", f"{given!r:.40} is not a number")
    if table.interval == "HH.mm":
        hours, minutes = divmod(number.quantize(Decimal("0.01")) * 100, 100)
        if minutes >= 60:
            raise _Fault(
                "INTV",
                f"{given} 不是 时.分（分须小于 60），请在映射 units.INTV 写 h 或 min",
                f"{given} is no HH.mm (minutes under 60): if it is hours or minutes, say so in units.INTV",
            )
        seconds = hours * 3600 + minutes * 60
    else:
        seconds = number * (3600 if table.interval == "h" else 60)
    if not 1 <= seconds <= LONGEST_S or seconds != int(seconds):
        raise _Fault("INTV", f"{given} 不在 1 秒至 72 小时之间", f"{given} is not between 1 s and 72 h")
    return int(seconds)


def _station(given: object, mapping: DatabaseMapping) -> str:
    stcd = "" if given is None else str(given).strip()
    code = mapping.station.ours(stcd) if stcd else ""
    if 0 < len(code) <= MAX_CODE_CHARS and code.isprintable():
        return code
    raise _Fault(
        "STCD", f"不是 1 至 {MAX_CODE_CHARS} 个字符的站码", f"is no code of 1 to {MAX_CODE_CHARS} characters"
    )


def _instant(given: object, zone: ZoneInfo) -> datetime:
    at = given
    if isinstance(given, str):
        try:
            at = datetime.fromisoformat(given.strip().replace("/", "-"))
        except ValueError:
            at = None
    if not isinstance(at, datetime):
        raise _Fault(
            "TM",
            "不是日期时间，请按 2026-09-07 18:20:00 存储",
            "is no date and time like 2026-09-07 18:20:00",
        )
    try:
        return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)
    except OverflowError:
        raise _Fault("TM", "超出可表示的时间", "lies outside the calendar") from None


def _whole_minute(at: datetime) -> datetime:
    return (at + _MINUTE / 2).replace(second=0, microsecond=0)


def _in_time(at: datetime, given: object, now: datetime) -> None:
    if at > now + AHEAD_ALLOWED:
        raise _Fault(
            "TM",
            f"{given} 晚于当前时间 5 分钟以上，请校准测站时钟，或核对映射 zone",
            f"{given} is more than 5 minutes ahead: set the station's clock, or check zone in the mapping",
        )
    if at < EARLIEST:
        raise _Fault(
            "TM", f"{given} 早于 2000 年，请校准测站时钟", f"{given} is before 2000: set the station's clock"
        )


def _value(given: object, column: str, factor: float, sentinels: frozenset[float]) -> float | None:
    """In our unit; None when it is missing. Sentinels are compared as they stand in the table."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    number = _decimal(given)
    if number is None:
        raise _Fault(column, f"{given!r:.40} 不是有限的数值", f"{given!r:.40} is not a finite number")
    if float(number) in sentinels:
        return None
    value = float(number * Decimal(str(factor)))
    if not isfinite(value):
        raise _Fault(column, f"{given!r:.40} 过大", f"{given!r:.40} is too large")
    return value


def _decimal(given: object) -> Decimal | None:
    """A number as it is printed, so that 0.05 is 0.05; None when it is none."""
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal | str):
        return None
    try:
        number = Decimal(str(given).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < 10**15 else None


def _unread(row: Row, table: TableMapping, column: str, zh: str, en: str) -> Unread:
    stcd, tm = (str(row.get(name)).strip()[:32] for name in ("STCD", "TM"))
    return Unread(table.table, stcd, tm, table.columns.get(column, column), zh, en)


@dataclass(slots=True)
class TrendCheck:
    """水势 as coded, held against the levels themselves: a source may have 4 and 5 the other way round.

    Levels are what counts; the codes are never stored. Rows come in any order, each station's in order of time count.
    """

    same: int = 0
    opposite: int = 0
    first: str = ""
    _levels: dict[str, tuple[datetime, float]] = field(default_factory=dict)

    def look(self, read: RowRead) -> None:
        """Take note of a row that was read."""
        stage = next((each for each in read.readings if each.element is Element.STAGE), None)
        if stage is None:
            return
        before = self._levels.get(stage.station)
        if before and before[0] >= stage.observed_at:
            return
        self._levels[stage.station] = (stage.observed_at, stage.value)
        if before is None or read.trend in (None, Trend.STEADY) or abs(stage.value - before[1]) <= STEADY_M:
            return
        if (stage.value > before[1]) is (read.trend is Trend.RISING):
            self.same += 1
            return
        self.opposite += 1
        self.first = self.first or f"{stage.station} {before[1]:g} -> {stage.value:g} m {read.trend}"

    def note(self) -> str:
        """What to tell an engineer; empty when the codes agree with the levels, or too few can be compared."""
        moves = self.same + self.opposite
        if moves < LEAST_TRENDS or 2 * self.opposite <= moves:
            return ""
        return (
            f"水势与水位变化相反 {self.opposite}/{moves}，请核对映射 trend 中 4、5 的含义。 "
            f"水势 contradicts the levels in {self.opposite} of {moves} moves, e.g. {self.first}: "
            "check codes 4 and 5 under trend in the mapping."
        )
