"""One cell of a register: text, number, level, day of the year, as sheets, files and databases write them.

Owns what a single cell may be and the words for what it may not. Knows no columns (register_rows.py).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from math import isfinite
from typing import Final

from hydrology.science.readings import MAX_CODE_CHARS, SENTINELS
from hydrology.science.sl323_mapping import StationCodes

Cell = object
LOWEST_M, HIGHEST_M = -50.0, 1000.0
KINDS: Final[Mapping[str, str]] = {
    "PP": "PP", "MM": "PP", "RR": "RR", "ZZ": "ZZ", "ZQ": "ZZ", "TT": "TT",
    "雨量站": "PP", "气象站": "PP", "水库站": "RR", "水库": "RR", "水库水文站": "RR", "河道站": "ZZ", "河道水位站": "ZZ",
    "河道水文站": "ZZ", "河道": "ZZ", "潮位站": "TT", "HP": "HP", "隐患点": "HP", "易涝点": "HP", "地灾点": "HP",
}  # fmt: skip
"""STTP, or what people write for it, to the kinds of station we have."""
_YES: Final = {"1": True, "Y": True, "有": True, "是": True, "0": False, "N": False, "无": False, "否": False}


class BadCell(Exception):
    """A cell that is not taken; args are (zh, en)."""


def is_empty(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def shown(cell: Cell) -> str:
    return "" if cell is None else str(cell)[:40]


def words_of(cell: Cell) -> str:
    """A cell as text: sheets keep a code 81001 as the number 81001.0."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else unicodedata.normalize("NFKC", str(cell)).strip()


def code_of(cell: Cell, codes: StationCodes) -> str:
    stcd = words_of(cell)
    code = codes.ours(stcd) if stcd else ""
    if 0 < len(code) <= MAX_CODE_CHARS and code.isprintable():
        return code
    raise BadCell(
        f"不是 1 至 {MAX_CODE_CHARS} 个字符的测站编码，请补全",
        f"is no code of 1 to {MAX_CODE_CHARS} characters",
    )


def text(most: int) -> Callable[[Cell], str | None]:
    def read(cell: Cell) -> str | None:
        words = words_of(cell)
        if len(words) > most or not (words.isprintable() or not words):
            raise BadCell(
                f"超过 {most} 个字符或含控制字符，请缩短", f"has more than {most} characters: shorten it"
            )
        return words or None

    return read


def required(most: int) -> Callable[[Cell], str]:
    of_cell = text(most)

    def read(cell: Cell) -> str:
        if words := of_cell(cell):
            return words
        raise BadCell("为空，请填写", "is empty: fill it in")

    return read


def kind_of(cell: Cell, kinds: Mapping[str, str]) -> str | None:
    words = words_of(cell).upper()
    if not words:
        return None
    if found := kinds.get(words, KINDS.get(words)):
        return found
    raise BadCell(
        f"站类不在可导入之列（{'、'.join(dict.fromkeys(KINDS))}），可在映射 kinds 中指定，或从文件中删去该行",
        f"is no kind of station we show ({', '.join(dict.fromkeys(KINDS.values()))}): map it under kinds, "
        "or leave the row out",
    )


def number(cell: Cell) -> float | None:
    if is_empty(cell):
        return None
    try:
        value = float(words_of(cell))
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise BadCell("不是数值，请更正", "is not a number: correct it")
    return value


def level(cell: Cell) -> float | None:
    """Metres; a sentinel is an unknown level."""
    value_m = number(cell)
    if value_m is None or value_m in SENTINELS:
        return None
    if LOWEST_M <= value_m <= HIGHEST_M:
        return value_m
    raise BadCell(
        f"不在 {LOWEST_M:g} 至 {HIGHEST_M:g} 米之间，请核对单位（应为米）",
        f"does not lie between {LOWEST_M:g} and {HIGHEST_M:g} m: check its unit",
    )


def gated(cell: Cell) -> bool | None:
    if is_empty(cell):
        return None
    words = {True: "1", False: "0"}[cell] if isinstance(cell, bool) else words_of(cell).upper()
    if words in _YES:
        return _YES[words]
    raise BadCell(
        "请写 有/无、是/否 或 1/0，未知留空", "write 1 or 0, or leave it empty when it is not known"
    )


def month_day(cell: Cell) -> str | None:
    """MMDD of 0415, 415, 4-15, 04/15, 4月15日 or a date; None when empty."""
    if isinstance(cell, date):
        return cell.strftime("%m%d")
    words = words_of(cell)
    if not words:
        return None
    parts = re.fullmatch(r"(\d{1,2})(?:[-/.月](\d{1,2})日?|(\d\d))", words)
    month, day = (int(parts[1]), int(parts[2] or parts[3])) if parts else (0, 0)
    try:
        return date(2024, month, day).strftime("%m%d")
    except ValueError:
        raise BadCell("不是月日，请按 0415 填写", "is no month and day: write it like 0415") from None


def begin(cell: Cell) -> str:
    if mmdd := month_day(cell):
        return mmdd
    raise BadCell("为空，请按 0415 填写开始月日", "is empty: write the day the season begins, like 0415")


def limit(cell: Cell) -> float:
    limit_m = level(cell)
    if limit_m is None:
        raise BadCell(
            "汛限水位为空，请补全或删去该行", "the season has no limit: give it, or leave the row out"
        )
    return limit_m
