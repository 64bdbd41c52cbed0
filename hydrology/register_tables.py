"""Where register tables come from: a file, or the registers of a database source. Reads only.

Owns the options of an import (`--mapping FILE.json`) and which register a table holds. Cells are not looked at here
(science/register_rows.py), nothing is compared (registers.py).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import column, select, table

from foundation.errors import Refusal
from hydrology.models import Source, SourceKind, StationKind
from hydrology.science.register_rows import (
    OWN_COLUMNS,
    TABLES,
    Line,
    Register,
    column_of,
    columns,
    registers_in,
)
from hydrology.science.sl323_mapping import BadMapping, StationCodes, database_mapping
from hydrology.sheets import sheets_of
from hydrology.sources.database import engine_of, mapping_of, rows_of

MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Options:
    """How this file differs: heads by standard name, kinds of station by their words, station codes."""

    columns: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    station: StationCodes = StationCodes()


@dataclass(frozen=True, slots=True)
class RegisterTable:
    """One register as it came. `columns`: what it states at all; `unknown`: heads nobody knows."""

    register: Register
    name: str
    columns: frozenset[str]
    lines: tuple[Line, ...]
    unknown: tuple[str, ...] = ()


def options_of(given: object) -> Options:
    """Read the JSON of `--mapping`: {"columns": {"STCD": "站点"}, "kinds": {"DD": "ZZ"}, "station": {…}}. Raises Refusal."""
    if not isinstance(given, dict) or (strange := set(given) - {"columns", "kinds", "station"}):
        raise _bad_options(
            "须为对象，可含 columns、kinds、station", "must be an object of columns, kinds, station"
        )
    heads, kinds = given.get("columns", {}), given.get("kinds", {})
    known = {name for register in Register for name in columns(register)}
    if not isinstance(heads, dict) or not all(isinstance(head, str) for head in heads.values()):
        raise _bad_options('columns 须为对象，如 {"STCD": "站点"}', 'columns must be like {"STCD": "站点"}')
    if strange := sorted(set(heads) - known):
        raise _bad_options(
            f"columns.{strange[0]} 不是标准列名", f"columns.{strange[0]} is no standard column"
        )
    if not isinstance(kinds, dict) or not set(map(str, kinds.values())) <= set(StationKind.values):
        kinds_en = ", ".join(StationKind.values)
        raise _bad_options(f"kinds 的值须为 {kinds_en}", f"kinds must map to {kinds_en}")
    try:
        station = database_mapping({"station": given.get("station", {}), "tables": {"ST_PPTN_R": {}}}).station
    except BadMapping as error:
        raise _bad_options(f"{error.field} {error.zh}", f"{error.field} {error.en}") from error
    return Options(heads, {str(key).upper(): str(kind) for key, kind in kinds.items()}, station)


def from_file(file: Path, options: Options, only: Register | None) -> tuple[list[RegisterTable], str]:
    """The registers in a file, in the order of import, and the digest of its bytes. Raises Refusal."""
    theirs = {head.strip(): standard for standard, head in options.columns.items()}

    def named(head: str) -> str | None:
        """A column the mapping names under another standard name is no longer what its head says."""
        standard = column_of(head)
        return theirs.get(head) or (None if standard in options.columns else standard)

    sheets, digest = sheets_of(file, named, key="STCD", key_zh="测站编码")
    found = [
        RegisterTable(register, sheet.name, sheet.columns & {*columns(register)}, sheet.lines, sheet.unknown)
        for sheet in sheets
        for register in ([only] if only else registers_in(set(sheet.columns)))
    ]
    if not found:
        raise Refusal(
            "bad_file",
            zh=f"{file.name} 的列不足以判断是哪种名录，请用 --kind 指明，或补全列名。",
            en=f"The columns of {file.name} do not tell which register it is: say so with --kind.",
        )
    return _in_order(found), digest


def from_source(source: Source, only: Register | None) -> tuple[list[RegisterTable], Options, str]:
    """The registers the mapping of a database source names, its station codes, and a digest of the rows."""
    mapping = mapping_of(source) if source.kind == SourceKind.DATABASE else None
    by_table = {name: register for register, name in TABLES.items()}
    wanted = {
        by_table[name]: each
        for name, each in (mapping.registers if mapping else {}).items()
        if name in by_table and (only is None or by_table[name] is only)
    }
    if mapping is None or not wanted:
        names = ", ".join(TABLES.values())
        raise Refusal(
            "no_registers",
            zh=f"来源 {source.pk} 的映射 registers 未列出名录表，请写明 {names} 中要导入的表。",
            en=f"The mapping of {source.pk} names no register: list those of {names} under registers.",
        )
    engine = engine_of(source, mapping)
    found, digest = [], hashlib.sha256()
    try:
        for register, each in wanted.items():
            theirs = {
                name: each.columns.get(name, name.lower() if mapping.lower else name)
                for name in columns(register)
                if name in each.columns or name not in OWN_COLUMNS
            }
            labels = [column(own).label(name) for name, own in theirs.items() if own]
            rows = rows_of(
                engine,
                mapping,
                select(*labels)
                .select_from(table(each.table, schema=mapping.schema or None))
                .order_by(column(theirs["STCD"]))
                .limit(MOST_ROWS),
            )
            digest.update(json.dumps(rows, default=str, ensure_ascii=False).encode())
            lines = tuple(Line(number, row) for number, row in enumerate(rows, start=1))
            stated = frozenset(name for name, own in theirs.items() if own)
            found.append(RegisterTable(register, each.table, stated, lines))
    finally:
        engine.dispose()
    return _in_order(found), Options(station=mapping.station), digest.hexdigest()


def _in_order(found: list[RegisterTable]) -> list[RegisterTable]:
    order = list(Register)
    return sorted(found, key=lambda each: order.index(each.register))


def _bad_options(zh: str, en: str) -> Refusal:
    return Refusal("bad_mapping", zh=f"映射文件有误：{zh}。", en=f"The mapping file is wrong: {en}.")
