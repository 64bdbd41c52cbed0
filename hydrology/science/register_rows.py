"""Rows of the SL 323 registers to what we keep of a station and its limits, with every fault named.

Owns the names of the columns (standard and Chinese), the meaning of a cell, the order of levels, MMDD. Rows come as
mappings from a standard name to a cell, from a database, a CSV or a sheet alike. Knows no regions, no rows of ours, no
files (hydrology/registers.py, sheets.py). Source: SL 323-2011 ST_STBPRP_B, ST_RSVRFCCH_B, ST_RVFCCH_B, ST_RSVRFSR_B;
GATED, BED and REGION are columns of ours that the standard has not.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import combinations, pairwise
from typing import Final

from hydrology.science.register_cells import (
    BadCell,
    Cell,
    begin,
    code_of,
    gated,
    is_empty,
    kind_of,
    level,
    limit,
    month_day,
    number,
    shown,
    text,
)
from hydrology.science.sl323_mapping import StationCodes

Fields = dict[str, object]
WEST, SOUTH, EAST, NORTH = 109.5, 20.0, 117.5, 25.6  # Guangdong and its sea


class Register(StrEnum):
    """What is imported, in this order: limits belong to stations, 汛限 to reservoirs."""

    STATIONS = "stations"
    """ST_STBPRP_B 测站基本属性."""
    RESERVOIRS = "reservoirs"
    """ST_RSVRFCCH_B 库(湖)站防洪指标."""
    RIVERS = "rivers"
    """ST_RVFCCH_B 河道站防洪指标, tide posts too."""
    SEASONS = "season-limits"
    """ST_RSVRFSR_B 库(湖)站汛限水位."""


TABLES: Final = {
    Register.STATIONS: "ST_STBPRP_B",
    Register.RESERVOIRS: "ST_RSVRFCCH_B",
    Register.RIVERS: "ST_RVFCCH_B",
    Register.SEASONS: "ST_RSVRFSR_B",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it came: its number in the file or table, cells by standard name."""

    number: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is not taken, and what to do; `line` 0 is the whole table."""

    table: str
    line: int
    column: str
    shown: str
    zh: str
    en: str


@dataclass(slots=True)
class Record:
    """What one row states, by the names of our fields; what the source has no column for is not among them."""

    line: int
    code: str
    fields: Fields = field(default_factory=dict)


def column_of(head: str) -> str | None:
    """The standard name of a column head: STCD, 测站编码, `汛限水位(m)`, `测站编码(STCD)`; None when unknown."""
    plain = unicodedata.normalize("NFKC", head).upper()
    parts = [re.sub(r"\s", "", part) for part in re.split(r"[()\[\]/]", plain)]
    whole = re.sub(r"[\s()\[\]]|\(.*?\)", "", plain)
    return next((_HEADS[part] for part in (*parts, whole) if part in _HEADS), None)


def registers_in(columns: set[str]) -> list[Register]:
    """Which registers a table with these columns holds, in the order of import; a flat sheet may hold several."""
    if "STCD" not in columns:
        return []
    telling = {
        Register.STATIONS: {"STNM", "STTP", "LGTD", "LTTD"} <= columns,
        Register.RESERVOIRS: bool({"DAMEL", "CKFLZ", "DSFLZ", "NORMZ"} & columns),
        Register.RIVERS: bool({"WRZ", "GRZ"} & columns),
        Register.SEASONS: {"FSLTDZ", "BGMD"} <= columns,
    }
    return [register for register, told in telling.items() if told]


def columns(register: Register) -> tuple[str, ...]:
    """The standard names of a register's columns, STCD first."""
    return ("STCD", *_COLUMNS[register])


def read_line(
    register: Register, line: Line, codes: StationCodes, kinds: Mapping[str, str]
) -> tuple[Record | None, list[Fault]]:
    """(what the row states, its faults); a row with a fault states nothing. An empty row is (None, [])."""
    faults: list[Fault] = []
    wanted = {name: each for name, each in _COLUMNS[register].items() if name in line.cells}
    if all(is_empty(line.cells[name]) for name in wanted):
        return None, []
    record = Record(line.number, "")
    for name in ("STCD", *wanted):
        cell = line.cells.get(name)
        try:
            if name == "STCD":
                record.code = code_of(cell, codes)
            elif name == "STTP":
                record.fields["kind"] = kind_of(cell, kinds)
            else:
                target, read = wanted[name]
                record.fields[target] = read(cell)
        except BadCell as bad:
            faults.append(Fault(TABLES[register], line.number, name, shown(cell), *bad.args))
    if not faults and register is Register.STATIONS:
        lon, lat = record.fields.get("lon"), record.fields.get("lat")
        for words in misplaced(lon, lat):
            faults.append(Fault(TABLES[register], line.number, "LGTD", f"{lon} {lat}", *words))
    return (None if faults else record), faults


def read_cells(
    table: str, line: Line, reads: Mapping[str, Callable[[Cell], object]]
) -> tuple[Fields, list[Fault]]:
    """(what the cells of a line say by the names of their columns, the faults of those that are not taken)."""
    read: Fields = {}
    faults: list[Fault] = []
    for name, of_cell in reads.items():
        cell = line.cells.get(name)
        try:
            read[name] = of_cell(cell)
        except BadCell as bad:
            faults.append(Fault(table, line.number, name, shown(cell), *bad.args))
    return read, faults


def level_faults(levels: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """(column, zh, en) for every pair of known levels, metres, that stands in the wrong order.

    DDZ < FSLTDZ <= NORMZ < DSFLZ < CKFLZ < DAMEL; BED < WRZ < GRZ. Unknown levels are passed over.
    """
    for order in (_LAKE_ORDER, _RIVER_ORDER):
        known = [(name, level) for name in order if isinstance(level := levels.get(name), float)]
        for (low, low_m), (high, high_m) in pairwise(known):
            if low_m < high_m or (low_m == high_m and (low, high) == ("FSLTDZ", "NORMZ")):
                continue
            yield (
                high,
                f"{_ZH[low]} {low_m:g} 应低于{_ZH[high]} {high_m:g}，请向数据来源核实两个水位及其基面",
                f"{low} {low_m:g} must lie below {high} {high_m:g}: have both levels and their datum checked",
            )


def season_notes(seasons: Sequence[tuple[str, str, float]]) -> Iterator[tuple[str, str]]:
    """(zh, en) about seasons (begin, end, limit) that overlap; gaps and the year's end are nothing unusual."""
    for one, other in combinations(sorted(set(seasons)), 2):
        if _days(one) & _days(other):
            yield (
                f"{one[0]}-{one[1]} 与 {other[0]}-{other[1]} 重叠，重叠期内以较低者为准",
                f"{one[0]}-{one[1]} and {other[0]}-{other[1]} overlap: there the lower limit counts",
            )


def _days(season: tuple[str, str, float]) -> set[str]:
    """The days of a season; none of one without an end, which lasts until the next and overlaps nothing."""
    begin, end, _ = season
    if not end:
        return set()
    if begin <= end:
        return {day for day in _YEAR if begin <= day <= end}
    return {day for day in _YEAR if day >= begin or day <= end}


_YEAR: Final = [date.fromordinal(date(2024, 1, 1).toordinal() + n).strftime("%m%d") for n in range(366)]


def misplaced(lon: object, lat: object) -> Iterator[tuple[str, str]]:
    """(zh, en) about a place outside Guangdong, degrees; nothing about one that is not known."""
    if not isinstance(lon, float) or not isinstance(lat, float):
        return
    if WEST <= lon <= EAST and SOUTH <= lat <= NORTH:
        return
    if WEST <= lat <= EAST and SOUTH <= lon <= NORTH:
        yield (
            "经纬度似乎颠倒，请互换两列（测站名录可在映射 columns 中互换）",
            "longitude and latitude seem swapped: exchange them (for a register of stations, under columns in the mapping)",
        )
    else:
        yield (
            f"不在广东范围（东经 {WEST}-{EAST}，北纬 {SOUTH}-{NORTH} 度），请核对，以十进制度填写",
            f"lies outside Guangdong ({WEST}-{EAST} E, {SOUTH}-{NORTH} N): check it; write decimal degrees",
        )


_Reads = Mapping[str, tuple[str, Callable[[Cell], object]]]
_COLUMNS: Final[Mapping[Register, _Reads]] = {
    Register.STATIONS: {
        "STNM": ("name", text(64)), "STTP": ("kind", text(16)), "LGTD": ("lon", number), "LTTD": ("lat", number),
        "ADDVCD": ("area", text(16)), "REGION": ("region", text(64)), "DTMNM": ("datum", text(16)),
        "DTMEL": ("datum_elevation_m", level), "DTPR": ("datum_correction_m", level),
    },
    Register.RESERVOIRS: {
        "DDZ": ("dead_m", level), "NORMZ": ("normal_m", level), "DSFLZ": ("design_m", level),
        "CKFLZ": ("check_m", level), "DAMEL": ("crest_m", level), "GATED": ("gated", gated),
    },
    Register.RIVERS: {
        "WRZ": ("warning_m", level), "GRZ": ("guarantee_m", level), "OBHTZ": ("highest_m", level),
        "BED": ("bed_m", level),
    },
    Register.SEASONS: {"BGMD": ("begin_mmdd", begin), "EDMD": ("end_mmdd", month_day), "FSLTDZ": ("limit_m", limit)},
}  # fmt: skip
OWN_COLUMNS: Final = frozenset({"GATED", "BED", "REGION"})
"""What the standard's tables do not have: read from a database only where the mapping names a column for it."""
_LAKE_ORDER: Final = ("DDZ", "FSLTDZ", "NORMZ", "DSFLZ", "CKFLZ", "DAMEL")
_RIVER_ORDER: Final = ("BED", "WRZ", "GRZ")
COLUMN_OF: Final = {target: name for each in _COLUMNS.values() for name, (target, _) in each.items()}
"""Our field to the standard's column."""
_ZH: Final = {
    "STCD": "测站编码", "STNM": "测站名称", "STTP": "站类", "LGTD": "经度", "LTTD": "纬度", "ADDVCD": "行政区划码",
    "REGION": "所属街道", "DTMNM": "基面名称", "DTMEL": "基面高程", "DTPR": "基面修正值", "DDZ": "死水位",
    "NORMZ": "正常高水位", "DSFLZ": "设计洪水位", "CKFLZ": "校核洪水位", "DAMEL": "坝顶高程", "GATED": "有无闸门",
    "WRZ": "警戒水位", "GRZ": "保证水位", "OBHTZ": "实测最高水位", "BED": "河底高程", "BGMD": "开始月日",
    "EDMD": "结束月日", "FSLTDZ": "汛限水位",
}  # fmt: skip
_ALSO: Final = {
    "站码": "STCD", "测站代码": "STCD", "站点编码": "STCD", "测站编号": "STCD", "站名": "STNM", "站点名称": "STNM",
    "测站类型": "STTP", "类型": "STTP", "行政区划": "ADDVCD", "行政区划代码": "ADDVCD", "街道": "REGION",
    "高程基面": "DTMNM", "基面": "DTMNM", "正常蓄水位": "NORMZ", "正常水位": "NORMZ", "设计水位": "DSFLZ",
    "校核水位": "CKFLZ", "坝顶": "DAMEL", "闸门": "GATED", "闸控": "GATED", "警戒潮位": "WRZ", "历史最高水位": "OBHTZ",
    "河床高程": "BED", "起始月日": "BGMD", "终止月日": "EDMD", "截止月日": "EDMD", "汛期限制水位": "FSLTDZ",
}  # fmt: skip
_HEADS: Final = {name: name for name in _ZH} | {zh: name for name, zh in _ZH.items()} | _ALSO
