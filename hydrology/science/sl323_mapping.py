"""How one source's SL 323 tables differ from the standard's: names, units, codes, as an engineer wrote them down.

Owns the reading of `Source.mapping` of a database and every error in it, said at the door. Reads no row (sl323.py),
knows no network. Sources: SL 323-2011 names and units; the deviations are those seen in public schemas (project
domain notes 3.1): 万m³ for 10⁶ m³, intervals in minutes or hours instead of HH.mm, `invt`, `dr`, 水势 4 and 5 swapped,
STCD widened.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from hydrology.science.readings import LONGEST_S, SENTINELS, Element

_NAME: Final = re.compile(r"\w[\w$#]{0,127}")
_SCHEMA: Final = re.compile(r"\w[\w$#]{0,127}(\.\w[\w$#]{0,127})?")  # SQL Server: database.schema


class BadMapping(Exception):
    """The mapping cannot be used: `field` is the path to what is wrong, the texts say why and what to write."""

    def __init__(self, field: str, zh: str, en: str) -> None:
        super().__init__(f"{field}: {en}")
        self.field = field
        self.zh = zh
        self.en = en


class Table(StrEnum):
    """The tables of readings, by their SL 323 names."""

    RAIN = "ST_PPTN_R"
    """降水: DRP over INTV ending at TM."""
    RESERVOIR = "ST_RSVR_R"
    """水库: RZ, INQ, OTQ, W at TM."""
    RIVER = "ST_RIVER_R"
    """河道: Z, Q at TM."""
    TIDE = "ST_TIDE_R"
    """潮位: TDZ at TM."""


class Trend(StrEnum):
    """水势: what the source says the water does."""

    FALLING = "falling"
    """落."""
    RISING = "rising"
    """涨."""
    STEADY = "steady"
    """平."""


VALUES: Final[Mapping[Table, Mapping[str, Element]]] = {
    Table.RAIN: {"DRP": Element.RAIN},
    Table.RESERVOIR: {
        "RZ": Element.STAGE,
        "INQ": Element.INFLOW,
        "OTQ": Element.OUTFLOW,
        "W": Element.STORAGE,
    },
    Table.RIVER: {"Z": Element.STAGE, "Q": Element.FLOW},
    Table.TIDE: {"TDZ": Element.STAGE},
}
TREND_COLUMN: Final = {Table.RESERVOIR: "RWPTN", Table.RIVER: "WPTN", Table.TIDE: "TDPTN"}
_LEVEL: Final = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_FLOW: Final = {"m3/s": 1.0, "L/s": 0.001}
UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "DRP": {"mm": 1.0, "0.1 mm": 0.1},
    "RZ": _LEVEL, "Z": _LEVEL, "TDZ": _LEVEL,
    "INQ": _FLOW, "OTQ": _FLOW, "Q": _FLOW,
    "W": {"10^6 m3": 1e6, "10^4 m3": 1e4, "m3": 1.0},
}  # fmt: skip
"""What one unit of the column is in the unit of our element; the first is the standard's."""
INTERVALS: Final = ("HH.mm", "h", "min")
"""How INTV may be written; HH.mm: 0.05 is 5 minutes, 1.30 is an hour and a half."""
_STANDARD_TREND: Final = {"4": Trend.FALLING, "5": Trend.RISING, "6": Trend.STEADY}
_KEYS: Final = (
    "schema", "names", "zone", "overlap_s", "first_s", "poll_rows", "timeout_s", "station", "sentinels", "tables",
    "registers",
)  # fmt: skip
_TABLE_KEYS: Final = ("table", "columns", "units", "interval_min", "intervals_min", "trend", "modified")
_STATION_KEYS: Final = ("strip", "prefix", "width", "codes")


@dataclass(frozen=True, slots=True)
class StationCodes:
    """From a source's STCD to our code: listed ones first, else strip, widen with zeros, prefix."""

    strip: str = ""
    prefix: str = ""
    width: int = 0
    codes: Mapping[str, str] = field(default_factory=dict)

    def ours(self, stcd: str) -> str:
        """Our code of a trimmed STCD."""
        if stcd in self.codes:
            return self.codes[stcd]
        return self.prefix + stcd.removeprefix(self.strip).zfill(self.width)


@dataclass(frozen=True, slots=True)
class TableMapping:
    """One table of readings: `columns` maps each SL 323 name we read to the source's own."""

    kind: Table
    table: str
    columns: Mapping[str, str]
    factors: Mapping[str, float]
    interval: str = "HH.mm"
    default_interval_s: int | None = None
    intervals_s: frozenset[int] = frozenset()
    trend: Mapping[str, Trend] = field(default_factory=dict)
    modified: str = ""

    @property
    def values(self) -> list[tuple[str, Element]]:
        """The columns with a value, and what each measures."""
        return [(name, element) for name, element in VALUES[self.kind].items() if name in self.columns]


@dataclass(frozen=True, slots=True)
class RegisterMapping:
    """One register table; `columns` maps SL 323 names to the source's own, "" where it has no such column."""

    table: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatabaseMapping:
    """A whole source. Seconds; `overlap_s`: how far behind the newest row late ones are still looked for."""

    tables: tuple[TableMapping, ...]
    registers: Mapping[str, RegisterMapping]
    station: StationCodes = StationCodes()
    schema: str = ""
    lower: bool = False
    zone: ZoneInfo = ZoneInfo("Asia/Shanghai")
    overlap_s: int = 7200
    first_s: int = 86_400
    poll_rows: int = 50_000
    timeout_s: int = 20
    sentinels: frozenset[float] = SENTINELS


def database_mapping(given: object) -> DatabaseMapping:
    """Read `Source.mapping` of a database. Raises BadMapping naming the first fault."""
    root = _object(given, "mapping", _KEYS)
    station = _object(root.get("station", {}), "station", _STATION_KEYS)
    codes = _object(station.get("codes", {}), "station.codes")
    tables = _object(root.get("tables", {}), "tables", tuple(Table))
    registers = _object(root.get("registers", {}), "registers")
    if not tables and not registers:
        raise BadMapping(
            "tables",
            '未列出任何表，请写明要读取的表，例如 {"ST_PPTN_R": {}}',
            'names no table: say which to read, e.g. {"ST_PPTN_R": {}}',
        )
    zone = _text(root.get("zone", "Asia/Shanghai"), "zone")
    try:
        local = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise BadMapping("zone", f"没有时区 {zone!r}，请写 Asia/Shanghai 或 UTC",
                         f"no such zone {zone!r}: write Asia/Shanghai or UTC") from None  # fmt: skip
    lower = _one_of(root.get("names", "upper"), "names", ("upper", "lower")) == "lower"
    return DatabaseMapping(
        tables=tuple(_table(Table(name), each, lower) for name, each in tables.items()),
        registers={name: _register(name, each, lower) for name, each in registers.items()},
        station=StationCodes(
            strip=_text(station.get("strip", ""), "station.strip"),
            prefix=_text(station.get("prefix", ""), "station.prefix"),
            width=_whole(station.get("width", 0), "station.width", 0, 32),
            codes={key: _text(code, f"station.codes.{key}") for key, code in codes.items()},
        ),
        schema=_matched(root.get("schema", ""), "schema", _SCHEMA) if root.get("schema") else "",
        lower=lower,
        zone=local,
        overlap_s=_whole(root.get("overlap_s", 7200), "overlap_s", 0, 7 * 86_400),
        first_s=_whole(root.get("first_s", 86_400), "first_s", 60, 31 * 86_400),
        poll_rows=_whole(root.get("poll_rows", 50_000), "poll_rows", 100, 200_000),
        timeout_s=_whole(root.get("timeout_s", 20), "timeout_s", 1, 120),
        sentinels=SENTINELS | {_number(each, "sentinels") for each in _list(root.get("sentinels", []), "sentinels")},
    )  # fmt: skip


def _table(kind: Table, given: object, lower: bool) -> TableMapping:
    at = f"tables.{kind}"
    table = _object(given, at, _TABLE_KEYS)
    wanted = ["STCD", "TM", *VALUES[kind], *(["INTV"] if kind is Table.RAIN else [])]
    if kind in TREND_COLUMN:
        wanted.append(TREND_COLUMN[kind])
    renamed = _object(table.get("columns", {}), f"{at}.columns", tuple(wanted))
    columns = {
        name: _matched(renamed[name], f"{at}.columns.{name}", _NAME)
        if name in renamed
        else _cased(name, lower)
        for name in wanted
        if renamed.get(name, name) is not None
    }
    interval_min = table.get("interval_min")
    required = {"STCD", "TM", next(iter(VALUES[kind])), *({"INTV"} if kind is Table.RAIN else ())}
    if interval_min is not None:
        required.discard("INTV")
    for name in sorted(required - set(columns)):
        remedy = "or give interval_min" if name == "INTV" else "it has to be read"
        raise BadMapping(f"{at}.columns.{name}", "不能为 null：该列必须读取" + ("，或写明 interval_min" * (name == "INTV")),
                         f"cannot be null: {remedy}")  # fmt: skip
    units = _object(table.get("units", {}), f"{at}.units", tuple(columns))
    trends = _object(table.get("trend", dict(_STANDARD_TREND)), f"{at}.trend")
    modified = table.get("modified", "")
    return TableMapping(
        kind=kind,
        table=_matched(table.get("table", _cased(kind.value, lower)), f"{at}.table", _NAME),
        columns=columns,
        factors={name: _unit(name, units.get(name), at) for name in columns if name in UNITS},
        interval=_one_of(units.get("INTV", "HH.mm"), f"{at}.units.INTV", INTERVALS),
        default_interval_s=None if interval_min is None else _minutes(interval_min, f"{at}.interval_min"),
        intervals_s=frozenset(
            _minutes(each, f"{at}.intervals_min")
            for each in _list(table.get("intervals_min", []), f"{at}.intervals_min")
        ),
        trend={
            code.strip(): Trend(_one_of(word, f"{at}.trend.{code}", tuple(Trend))) for code, word in trends.items()
        },
        modified=_matched(modified, f"{at}.modified", _NAME) if modified else "",
    )  # fmt: skip


def _register(name: str, given: object, lower: bool) -> RegisterMapping:
    register = _object(given, f"registers.{name}", ("table", "columns"))
    columns = _object(register.get("columns", {}), f"registers.{name}.columns")
    return RegisterMapping(
        table=_matched(register.get("table", _cased(name, lower)), f"registers.{name}.table", _NAME),
        columns={
            key: "" if each is None else _matched(each, f"registers.{name}.columns.{key}", _NAME)
            for key, each in columns.items()
        },
    )


def _cased(name: str, lower: bool) -> str:
    return name.lower() if lower else name


def _unit(name: str, given: object, at: str) -> float:
    known = UNITS[name]
    return known[next(iter(known)) if given is None else _one_of(given, f"{at}.units.{name}", tuple(known))]


def _object(given: object, at: str, known: tuple[str, ...] = ()) -> dict[str, object]:
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise BadMapping(
            at, f"须为 JSON 对象，现为 {given!r:.60}", f"must be a JSON object, not {given!r:.60}"
        )
    for key in given:
        if known and key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.4)
            hint_zh, hint_en = (f"，是否为 {near[0]}？", f"; did you mean {near[0]}?") if near else ("", "")
            raise BadMapping(f"{at}.{key}", f"不认识的名称，可用：{'、'.join(known)}{hint_zh}",
                             f"is not known: use one of {', '.join(known)}{hint_en}")  # fmt: skip
    return given


def _list(given: object, at: str) -> list[object]:
    if isinstance(given, list):
        return given
    raise BadMapping(at, f"须为列表，现为 {given!r:.60}", f"must be a list, not {given!r:.60}")


def _text(given: object, at: str) -> str:
    if isinstance(given, str) and len(given) <= 64 and (not given or given.isprintable()):
        return given
    raise BadMapping(at, f"须为文本，现为 {given!r:.60}", f"must be text, not {given!r:.60}")


def _matched(given: object, at: str, pattern: re.Pattern[str]) -> str:
    if isinstance(given, str) and pattern.fullmatch(given):
        return given
    raise BadMapping(at, f"{given!r:.60} 不是表名或列名", f"{given!r:.60} is no name of a table or column")


def _whole(given: object, at: str, least: int, most: int) -> int:
    if type(given) is int and least <= given <= most:
        return given
    raise BadMapping(at, f"须为 {least} 至 {most} 的整数，现为 {given!r:.60}",
                     f"must be a whole number from {least} to {most}, not {given!r:.60}")  # fmt: skip


def _number(given: object, at: str) -> float:
    if type(given) is int or type(given) is float:
        return float(given)
    raise BadMapping(at, f"须为数值，现为 {given!r:.60}", f"must be a number, not {given!r:.60}")


def _minutes(given: object, at: str) -> int:
    return 60 * _whole(given, at, 1, LONGEST_S // 60)


_Text = TypeVar("_Text", bound=str)


def _one_of(given: object, at: str, known: tuple[_Text, ...]) -> _Text:
    for each in known:
        if given == each:
            return each
    raise BadMapping(at, f"{given!r:.60} 不可用，请写 {'、'.join(known)} 之一",
                     f"{given!r:.60} will not do: write one of {', '.join(known)}")  # fmt: skip
