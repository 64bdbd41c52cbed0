"""Tables in files as people keep them: CSV in UTF-8 or GBK, XLSX; the head may stand below a title.

Owns bytes to rows of cells with their line numbers, columns by their standard names. Knows no register's meaning
(science/register_rows.py), no rows of ours. Raises Refusal for a file that cannot be looked at.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from foundation.errors import Refusal
from hydrology.science.register_rows import Line, column_of

MOST_BYTES = 20_000_000
MOST_ROWS = 100_000
HEAD_WITHIN = 10  # titles and notes stand above the head
SUFFIXES = (".csv", ".txt", ".xlsx")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: its name, its known columns by standard name, its lines; heads nobody knows are told."""

    name: str
    columns: frozenset[str]
    lines: tuple[Line, ...]
    unknown: tuple[str, ...] = ()


def sheets_of(file: Path, body: bytes, renamed: Mapping[str, str]) -> list[Sheet]:
    """The tables of a file; `renamed` says what the file calls a column, by standard name. Raises Refusal `bad_file`."""
    if len(body) > MOST_BYTES:
        raise _bad(
            file,
            f"超过 {MOST_BYTES} 字节，请分开导入",
            f"is larger than {MOST_BYTES} bytes: import it in parts",
        )
    if file.suffix.lower() == ".xlsx":
        tables = _workbook(file, body)
    else:
        tables = [(file.name, _csv(file, body))]
    found = [sheet for name, rows in tables if (sheet := _sheet(name, rows, renamed))]
    if found:
        return found
    raise _bad(
        file,
        "没有找到表头：需要一行含 STCD（测站编码）的列名",
        "has no head line: one line must name the columns, STCD (测站编码) among them",
    )


def _csv(file: Path, body: bytes) -> list[list[object]]:
    words = _decoded(file, body)
    delimiter = max(",\t;", key=words[:4000].count)
    return [list(row) for row in islice(csv.reader(io.StringIO(words), delimiter=delimiter), MOST_ROWS)]


def _decoded(file: Path, body: bytes) -> str:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _bad(file, "既非 UTF-8 也非 GBK，请另存为 UTF-8", "is neither UTF-8 nor GBK: save it as UTF-8")


def _workbook(file: Path, body: bytes) -> list[tuple[str, list[list[object]]]]:
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(body))
        return [
            (
                name,
                [
                    list(row)
                    for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=MOST_ROWS)
                ],
            )
            for name in book.sheet_names
        ]
    except CalamineError as error:
        raise _bad(
            file, f"不是可读的 XLSX（{error}）", f"is no readable XLSX ({error}): save it again as XLSX"
        ) from error


def _sheet(name: str, rows: list[list[object]], renamed: Mapping[str, str]) -> Sheet | None:
    theirs = {head.strip(): standard for standard, head in renamed.items()}
    for number, row in enumerate(rows[:HEAD_WITHIN], start=1):
        heads = ["" if cell is None else str(cell).strip() for cell in row]
        # a column the mapping names under another standard name is no longer what its head says
        known = [
            theirs.get(head) or (None if column_of(head) in renamed else column_of(head)) for head in heads
        ]
        if "STCD" in known:
            unknown = tuple(head for head, each in zip(heads, known, strict=True) if head and each is None)
            lines = tuple(_lines(rows[number:], number + 1, known))
            return Sheet(name, frozenset(each for each in known if each), lines, unknown)
    return None


def _lines(rows: list[list[object]], first: int, known: list[str | None]) -> Iterable[Line]:
    for number, row in enumerate(rows, start=first):
        if any(cell not in (None, "") for cell in row):
            cells = dict.fromkeys((name for name in known if name), None) | {
                name: cell for name, cell in zip(known, row, strict=False) if name
            }
            yield Line(number, cells)


def _bad(file: Path, zh: str, en: str) -> Refusal:
    return Refusal("bad_file", zh=f"{file.name} {zh}。", en=f"{file.name} {en}.", fields={"file": en})
