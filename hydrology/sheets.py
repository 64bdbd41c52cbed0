"""Tables in files as people keep them: CSV in UTF-8 or GBK, XLSX; the head may stand below a title.

Owns bytes to rows of cells with their line numbers, columns by their standard names. Knows no meaning of a register
(science/register_rows.py, officers/roster_rows.py), no rows of ours. Raises Refusal for a file that cannot be looked at.
"""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from foundation.errors import Refusal
from hydrology.science.register_rows import Line

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


def heads_of(heads: Mapping[str, Sequence[str]]) -> Callable[[str], str | None]:
    """Our name of a column head, from our names and what people write for them: `手机号码`, `phone`; None when unknown."""
    names = {_plain(head): name for name, theirs in heads.items() for head in (name, *theirs)}
    return lambda head: names.get(_plain(head))


def _plain(head: str) -> str:
    return re.sub(r"[\s_()*:]", "", unicodedata.normalize("NFKC", head)).lower()


def sheets_of(
    file: Path, column_of: Callable[[str], str | None], *, key: str, key_zh: str
) -> tuple[list[Sheet], str]:
    """The tables of a file and the SHA-256 of its bytes. Raises Refusal `bad_file`.

    `column_of`: the standard name of a head; a line with `key` is a head.
    """
    try:
        body = file.read_bytes()
    except OSError as error:
        raise _bad(
            file, f"无法读取（{error.strerror}）", f"cannot be read ({error.strerror}): check name and rights"
        ) from error
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
    found = [sheet for name, rows in tables if (sheet := _sheet(name, rows, column_of, key))]
    if found:
        return found, hashlib.sha256(body).hexdigest()
    raise _bad(
        file,
        f"没有找到表头：需要一行含 {key}（{key_zh}）的列名",
        f"has no head line: one line must name the columns, {key} ({key_zh}) among them",
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


def _sheet(
    name: str, rows: list[list[object]], column_of: Callable[[str], str | None], key: str
) -> Sheet | None:
    for number, row in enumerate(rows[:HEAD_WITHIN], start=1):
        heads = ["" if cell is None else str(cell).strip() for cell in row]
        known = [column_of(head) for head in heads]
        if key in known:
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
