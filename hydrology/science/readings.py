"""Point readings: what a gauge said, and the door a JSON batch of them comes in by.

Owns `Reading` (valid when constructed) and the parsing of the body of `POST ingest/readings`.
Does not judge whether a value is plausible (quality.py), does not know stations, stores nothing.
Sources: the outside contract ("Feeds in"); sentinels and text-for-number as seen in Shenzhen open data
and in telemetry frames (2 % null levels, 9999.999, RTU clocks in 1959).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Final

from foundation.texts import printable

MAX_ROWS: Final = 10_000
MAX_CODE_CHARS: Final = 32
MOST_DOUBT_CHARS: Final = 100
AHEAD_ALLOWED: Final = timedelta(minutes=5)
ZONE_FAULT_WITHIN: Final = timedelta(minutes=6)
"""A reading is sent within minutes of its instant; so near to whole hours ahead it is the zone that is wrong."""
_HOUR: Final = timedelta(hours=1)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LONGEST_S: Final = 72 * 3600
DEFAULT_DURATION_S: Final = 300
SENTINELS: Final = frozenset(
    {9999.0, 9999.9, 9999.99, 9999.999, 99999.0, 999999.0, -9999.0, -9999.999, -99999.0, -999.0, -888.0}
)
_DECIMAL: Final = re.compile(r"[+-]?\d{1,12}(\.\d{1,12})?", re.ASCII)


class Element(StrEnum):
    """What was measured; the name carries the unit."""

    RAIN = "rain_mm"
    """Rain that fell in the `duration_s` seconds ending at `observed_at`, mm."""
    STAGE = "stage_m"
    """Water level at `observed_at`, metres above the station's own datum (reservoir RZ or river Z)."""
    FLOW = "flow_m3s"
    """Flow of a river at `observed_at`, m³/s (SL 323 Q); below zero where a tide turns it."""
    INFLOW = "inflow_m3s"
    """Inflow of a reservoir, m³/s (INQ)."""
    OUTFLOW = "outflow_m3s"
    """Outflow of a reservoir, m³/s (OTQ)."""
    STORAGE = "storage_m3"
    """Water in a reservoir, m³ (W, which sources state in 10⁶ or 10⁴ m³)."""


_ELEMENTS: Final = {element.value: element for element in Element}


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one station. `duration_s` is the accumulation for rain and 0 for a level; `doubt` is why the
    source itself doubts it, empty when it does not.

    Raises ValueError when it could not be stored and compared: no code, naive or non-UTC time, no number.
    """

    station: str
    element: Element
    observed_at: datetime
    value: float
    duration_s: int
    doubt: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.station) <= MAX_CODE_CHARS:
            raise ValueError(f"station code must have 1 to {MAX_CODE_CHARS} characters: {self.station!r}")
        if self.observed_at.tzinfo is not UTC:
            raise ValueError(f"observed_at must be aware UTC: {self.observed_at!r}")
        if not isfinite(self.value):
            raise ValueError(f"value must be finite: {self.value!r}")
        if (self.duration_s > 0) is not (self.element is Element.RAIN):
            raise ValueError(f"{self.element} cannot last {self.duration_s} s")


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why row `index` was refused: a stable code, and what to do about it in both languages."""

    index: int
    code: str
    message_zh: str
    message_en: str


class MalformedBody(Exception):
    """The body is not `{"readings": [...]}` at all, so no row could be looked at."""

    def __init__(self, field: str, reason: str, reason_zh: str = "") -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.reason_zh = reason_zh or reason


class _Refused(Exception):
    """One row cannot be taken; args are (code, zh, en)."""


def parse_readings(rows: object, *, now: datetime) -> tuple[list[tuple[int, Reading]], list[Rejection]]:
    """Parse the decoded JSON body of `POST ingest/readings`; one bad row never loses the good ones.

    Returns the good rows with their index in the body, and the refused ones, both in body order. Repeats
    inside the body are returned as they are: whoever stores them knows what is a duplicate.
    Raises MalformedBody when the body is not an object with a list of at most 10,000 `readings`.
    """
    if not isinstance(rows, dict):
        raise MalformedBody("body", "must be an object with the field readings", "须为含 readings 字段的对象")
    entries = rows.get("readings")
    if not isinstance(entries, list):
        raise MalformedBody("readings", "must be a list of readings", "须为观测列表")
    if len(entries) > MAX_ROWS:
        raise MalformedBody(
            "readings",
            f"has {len(entries)} rows, at most {MAX_ROWS} are taken: send them in parts",
            f"共 {len(entries)} 行,一次最多 {MAX_ROWS} 行,请分批上报",
        )
    latest = now + AHEAD_ALLOWED
    good: list[tuple[int, Reading]] = []
    refused: list[Rejection] = []
    for index, entry in enumerate(entries):
        try:
            good.append((index, _reading(entry, latest)))
        except _Refused as refusal:
            refused.append(Rejection(index, *refusal.args))
    return good, refused


def _reading(entry: object, latest: datetime) -> Reading:
    if not isinstance(entry, dict):
        raise _Refused(
            "not_an_object",
            f"该行 {_shown(entry)} 不是对象,请按 station、element、observed_at、value 上报",
            f"row {_shown(entry)} is not an object: send station, element, observed_at and value",
        )
    get: Callable[[str], object] = entry.get
    if "unreadable" in entry:  # a source of ours could not turn what came into a reading, and says why
        why = printable(str(get("unreadable")), 300)
        raise _Refused(
            "unreadable", f"来源的内容无法读取：{why}", f"what the source sent cannot be read: {why}"
        )
    element = _element(get("element"))
    return Reading(
        _station(get("station")),
        element,
        _observed_at(get("observed_at"), latest),
        _value(get("value")),
        _duration_s(get("duration_s"), element),
        _doubt(get("doubt")),
    )


def _element(given: object) -> Element:
    element = _ELEMENTS.get(given) if isinstance(given, str) else None
    if element is None:
        known = ", ".join(_ELEMENTS)
        raise _Refused(
            "unknown_element",
            f"element {_shown(given)} 不在要素表中,请改为 {known}",
            f"element {_shown(given)} is not known: use one of {known}",
        )
    return element


def _station(given: object) -> str:
    code = given.strip() if isinstance(given, str) else ""
    # isprintable() also keeps out NUL and lone surrogates, which PostgreSQL cannot store.
    if not 0 < len(code) <= MAX_CODE_CHARS or not code.isprintable():
        raise _Refused(
            "bad_station",
            f"station {_shown(given)} 不是 1 至 {MAX_CODE_CHARS} 个字符的文本站码,请以文本上报(保留前导零)",
            f"station {_shown(given)} is not a code of 1 to {MAX_CODE_CHARS} characters: "
            "send it as text, with its leading zeros",
        )
    return code


def _observed_at(given: object, latest: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(given if isinstance(given, str) else "")
        zoned = at.tzinfo is not None
        at = at.astimezone(UTC) if zoned else at
    except (ValueError, OverflowError):
        raise _Refused(
            "bad_time",
            f"observed_at {_shown(given)} 不是 ISO 8601 时间,请按 2023-09-07T18:20:00+08:00 上报",
            f"observed_at {_shown(given)} is not an ISO 8601 time: send it like 2023-09-07T18:20:00+08:00",
        ) from None
    if not zoned:
        raise _Refused(
            "no_zone",
            f"observed_at {_shown(given)} 没有时区,请加上 +08:00",
            f"observed_at {_shown(given)} has no zone: add +08:00",
        )
    if at > latest:
        ahead = at - latest + AHEAD_ALLOWED
        hours = round(ahead / _HOUR)
        if hours and abs(ahead - hours * _HOUR) <= ZONE_FAULT_WITHIN:
            raise _Refused(
                "wrong_zone",
                f"observed_at {_shown(given)} 超前约 {hours} 小时,疑为时区错误,请按 +08:00 更正后补报",
                f"observed_at {_shown(given)} is {hours} h ahead, as a wrong zone makes it: send it with +08:00",
            )
        raise _Refused(
            "in_the_future",
            f"observed_at {_shown(given)} 晚于当前时间 5 分钟以上,请校准测站时钟后补报",
            f"observed_at {_shown(given)} is more than 5 minutes ahead: set the station's clock, send again",
        )
    if at < EARLIEST:
        raise _Refused(
            "too_old",
            f"observed_at {_shown(given)} 早于 2000 年,请校准测站时钟后补报",
            f"observed_at {_shown(given)} is before 2000: set the station's clock, send again",
        )
    return at


def _value(given: object) -> float:
    if given is None or given == "":
        raise _sentinel(given)
    number = None
    if type(given) is float or type(given) is int:
        number = _float(given)
    elif isinstance(given, str) and _DECIMAL.fullmatch(text := given.strip()):
        number = float(text)
    if number is None or not isfinite(number):
        raise _Refused(
            "not_a_number",
            f"value {_shown(given)} 不是有限的十进制数,请上报数值;缺测时不要上报该行",
            f"value {_shown(given)} is not a finite decimal number: send a number, or leave the row out",
        )
    if number in SENTINELS:
        raise _sentinel(given)
    return number


def _float(given: float) -> float | None:
    try:
        return float(given)
    except OverflowError:  # json reads integers of any length
        return None


def _sentinel(given: object) -> _Refused:
    return _Refused(
        "sentinel",
        f"value {_shown(given)} 表示缺测,不是观测值,请不要上报该行",
        f"value {_shown(given)} stands for a missing value: leave the row out",
    )


def _duration_s(given: object, element: Element) -> int:
    if given is None:
        return DEFAULT_DURATION_S if element is Element.RAIN else 0
    shortest_s, longest_s = (1, LONGEST_S) if element is Element.RAIN else (0, 0)
    if type(given) is int and shortest_s <= given <= longest_s:
        return given
    raise _Refused(
        "bad_duration",
        f"duration_s {_shown(given)} 不是 {shortest_s} 至 {longest_s} 的整数秒({element}),请更正或省略",
        f"duration_s {_shown(given)} is not whole seconds from {shortest_s} to {longest_s} "
        f"({element}): correct it or leave it out",
    )


def _doubt(given: object) -> str:
    """What the source says against its own value; anything unprintable is said in our words."""
    if not given:
        return ""
    text = given if isinstance(given, str) and given.isprintable() else "doubted"
    return f"source: {text}"[:MOST_DOUBT_CHARS]


def _shown(given: object) -> str:
    """What was sent, short enough for a message (a hostile row may be a megabyte, or nested deep)."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, str):
        return repr(given if len(given) <= 40 else given[:40] + "…")
    if isinstance(given, float):
        return repr(given)
    if isinstance(given, int):
        return repr(given) if abs(given) < 10**20 else "a huge integer"
    return {"list": "[…]", "dict": "{…}"}.get(type(given).__name__, "…")
