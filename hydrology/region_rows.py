"""One line of somebody's list of regions to what we keep of a region, with every fault named.

Owns the names of the columns and the words for the levels. Knows no rows of ours (region_import.py) and no files
(sheets.py). The columns are our own, those of the list the demo city is made from.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from hydrology.models import Level
from hydrology.science.register_cells import BadCell, Cell, number, text, words_of
from hydrology.science.register_rows import Fault, Line, Record, misplaced, read_cells
from hydrology.sheets import heads_of

TABLE: Final = "regions"
HEADS: Final[Mapping[str, tuple[str, ...]]] = {
    "code": ("区划编码", "区划代码", "区域编码"),
    "name": ("名称", "区域名称", "区划名称"),
    "level": ("级别", "层级", "行政级别"),
    "parent": ("上级编码", "上级区划编码", "上级代码", "上级"),
    "gb_code": ("国标码", "国标代码", "GB码", "行政区划代码", "统计用区划代码"),
    "lon": ("经度", "东经"),
    "lat": ("纬度", "北纬"),
}
"""Our name of a column, which a file may use as well, and what people write above it."""
FIELD_OF: Final = {name: name for name in HEADS if name != "code"} | {"parent": "parent_id"}
"""A column to our field."""
column_of: Final = heads_of(HEADS)
_LEVELS: Final = {word: level for level in Level for word in (level.value, level.label)} | {
    "区县": Level.DISTRICT, "县": Level.DISTRICT, "镇": Level.STREET, "街镇": Level.STREET, "镇街": Level.STREET,
    "村": Level.COMMUNITY, "网格": Level.FRONTLINE,
}  # fmt: skip
# it stands in paths, addresses and topics: five of them and their slashes fill Region.path
_CODE: Final = re.compile(r"[0-9A-Za-z-]{1,31}")


def read_line(line: Line) -> tuple[Record | None, list[Fault]]:
    """(what the line states, its faults); a line with a fault states nothing, an empty cell only that there is no GB code."""
    read, faults = read_cells(TABLE, line, _READS)
    faults += [
        Fault(TABLE, line.number, "lon", f"{read['lon']} {read['lat']}", *words)
        for words in misplaced(read.get("lon"), read.get("lat"))
    ]
    if faults:
        return None, faults
    stated = {
        field: read[name]
        for name, field in FIELD_OF.items()
        if name in line.cells and (read[name] is not None or name == "gb_code")
    }
    return Record(line.number, str(read["code"]), stated), []


def _code(cell: Cell) -> str | None:
    words = words_of(cell)
    if not words or _CODE.fullmatch(words):
        return words or None
    raise BadCell("只能含 1 至 31 个字母、数字或连字符", "may have 1 to 31 letters, digits and hyphens only")


def _own_code(cell: Cell) -> str:
    if code := _code(cell):
        return code
    raise BadCell("为空，请填写编码", "is empty: give the region's code")


def _level(cell: Cell) -> Level | None:
    words = words_of(cell).lower()
    if not words:
        return None
    if level := _LEVELS.get(words):
        return level
    raise BadCell(
        f"不是级别，请填 {'、'.join(level.label for level in Level)}",
        f"is no level: write {', '.join(Level)}",
    )


_READS: Final[Mapping[str, Callable[[Cell], object]]] = {
    "code": _own_code, "name": text(64), "level": _level, "parent": _code, "gb_code": text(16), "lon": number,
    "lat": number,
}  # fmt: skip
