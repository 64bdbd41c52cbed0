"""One line of somebody's roster to one post of one person, with every fault named.

Owns the names of the columns and the meaning of a cell. A person with several posts stands in several lines. Knows no
rows of ours (roster_import.py) and no files (hydrology/sheets.py). The columns are our own: no standard names any.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from foundation.clock import SHENZHEN
from foundation.errors import Refusal
from hydrology.science.register_cells import BadCell, Cell, required, shown, text, words_of
from hydrology.science.register_rows import Fault, Line, read_cells
from hydrology.sheets import heads_of
from officers.models import Duty, Rank
from officers.roster import normalise

TABLE: Final = "roster"
HEADS: Final[Mapping[str, tuple[str, ...]]] = {
    "staff_code": ("工号", "人员编号", "统一身份编号"),
    "name": ("姓名",),
    "phone": ("手机", "手机号", "手机号码", "移动电话", "联系电话"),
    "duty": ("岗位", "职责", "责任人类别", "人员类别", "类别"),
    "region": ("区划编码", "区划代码", "区域编码"),
    "district": ("区", "所属区"),
    "street": ("街道", "所属街道"),
    "community": ("社区", "所属社区"),
    "station": ("测站编码", "责任对象编码"),
    "rank": ("AB角", "A/B角", "角色"),
    "position": ("岗位编号", "席位", "AB角组"),
    "valid_from": ("任期起", "起始日期"),
    "valid_to": ("任期止", "截止日期"),
    "language": ("语言",),
}
"""Our name of a column, which a file may use as well, and what people write above it."""
column_of: Final = heads_of(HEADS)
_DUTIES: Final = {
    word: duty
    for duty in Duty
    if duty is not Duty.CANARY  # canaries are made by manage.py canary
    for word in (duty.value, duty.label)
} | {"三防": Duty.FLOOD, "防汛责任人": Duty.FLOOD, "值班员": Duty.DESK, "指挥长": Duty.COMMAND}


@dataclass(frozen=True, slots=True)
class Seat:
    """What one line states. `place`: a region's code, or its name below the names above it, the district first."""

    line: int
    staff_code: str | None
    name: str
    phone: str  # E.164
    duty: Duty
    place: tuple[str, ...]
    station: str | None
    rank: Rank
    position: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    language: str | None


def read_line(line: Line) -> tuple[Seat | None, list[Fault]]:
    """(what the line states, its faults); a line with a fault states nothing."""
    read, faults = read_cells(TABLE, line, _READS)
    place = tuple(
        words
        for words in ([read["region"]] if read.get("region") else _names(read))
        if isinstance(words, str)
    )
    if not place and not {fault.column for fault in faults} & {"region", "district", "street", "community"}:
        faults.append(Fault(
            TABLE, line.number, "region", "", "缺少责任区域，请填区划编码，或区、街道、社区名称",
            "names no region: give its code, or the names of district, street and community",
        ))  # fmt: skip
    starts, ends = read.get("valid_from"), read.get("valid_to")
    if isinstance(starts, datetime) and isinstance(ends, datetime) and ends <= starts:
        faults.append(Fault(
            TABLE, line.number, "valid_to", shown(line.cells.get("valid_to")), "早于任期起，请更正",
            "lies before the beginning: correct it",
        ))  # fmt: skip
    if faults:
        return None, faults
    kept = {name: read[name] for name in Seat.__slots__ if name in read}
    return Seat(line=line.number, place=place, **kept), []  # type: ignore[arg-type]


def _names(read: Mapping[str, object]) -> list[object]:
    return [read[name] for name in ("district", "street", "community") if read.get(name)]


def _phone(cell: Cell) -> str:
    try:
        return normalise(words_of(cell))
    except Refusal as refusal:
        raise BadCell(refusal.zh.rstrip("。"), refusal.en.rstrip(".")) from None


def _duty(cell: Cell) -> Duty:
    words = words_of(cell)
    if duty := _DUTIES.get(words) or _DUTIES.get(words.lower()):
        return duty
    raise BadCell(
        f"不是岗位，请填 {'、'.join(duty.label for duty in Duty if duty is not Duty.CANARY)}",
        f"is no duty: write {', '.join(duty for duty in Duty if duty is not Duty.CANARY)}",
    )


def _rank(cell: Cell) -> Rank:
    words = words_of(cell).upper().removesuffix("角") or "A"
    if words in Rank.values:
        return Rank(words)
    raise BadCell("请填 A 或 B，留空为 A", "write A or B; empty is A")


def _language(cell: Cell) -> str | None:
    words = words_of(cell).lower()
    if words in ("", "zh", "中文"):
        return "zh" if words else None
    if words in ("en", "英文", "english"):
        return "en"
    raise BadCell("请填 zh 或 en，可留空", "write zh or en, or leave it empty")


def _day(cell: Cell) -> date | None:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    words = words_of(cell).partition(" ")[0]  # sheets write 00:00:00 behind it
    if not words:
        return None
    parts = re.fullmatch(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?", words)
    try:
        return date(*map(int, parts.groups())) if parts else date.fromisoformat(words)
    except ValueError:
        raise BadCell("不是日期，请按 2026-04-15 填写", "is no date: write it like 2026-04-15") from None


def _begins(cell: Cell) -> datetime | None:
    """The beginning of the day, in Shenzhen."""
    day = _day(cell)
    return datetime.combine(day, time(), SHENZHEN) if day else None


def _ends(cell: Cell) -> datetime | None:
    """The end of the day: the last day of a term belongs to it."""
    begins = _begins(cell)
    return begins + timedelta(days=1) if begins else None


_READS: Final[Mapping[str, Callable[[Cell], object]]] = {
    "staff_code": text(64), "name": required(64), "phone": _phone, "duty": _duty, "region": text(32), "district": text(64),
    "street": text(64), "community": text(64), "station": text(32), "rank": _rank, "position": text(32),
    "valid_from": _begins, "valid_to": _ends, "language": _language,
}  # fmt: skip
