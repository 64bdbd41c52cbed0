"""Bringing our register of stations and limits in line with somebody's: what is new, changed, gone or wrong.

Owns the comparison and, when asked, its writing: all good rows in one transaction. The same register twice changes
nothing. Nothing is ever deleted: what the register no longer names is told as gone. The seasons of one reservoir are one
value and are replaced together. Datums are kept as stated, never converted; a change of datum is told first of all.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection, transaction

from foundation.nudge import nudge
from hydrology.models import LEVEL_KINDS, Reservoir, River, SeasonLimit, Station, StationKind
from hydrology.register_places import Places
from hydrology.register_tables import Options, RegisterTable
from hydrology.science.register_cells import BadCell, code_of
from hydrology.science.register_rows import (
    COLUMN_OF,
    TABLES,
    Fault,
    Fields,
    Record,
    Register,
    level_faults,
    read_line,
    season_notes,
)

_LOCK = 0x48594452_02
FIELDS: Final = {
    Register.STATIONS: (
        "name", "kind", "region_id", "lon", "lat", "datum", "datum_elevation_m", "datum_correction_m",
    ),
    Register.RESERVOIRS: ("gated", "dead_m", "normal_m", "design_m", "check_m", "crest_m"),
    Register.RIVERS: ("warning_m", "guarantee_m", "highest_m", "bed_m"),
    Register.SEASONS: ("seasons",),
}  # fmt: skip
_NEVER_EMPTIED: Final = ("name", "kind", "lon", "lat", "datum")
_KINDS_OF: Final = {
    Register.RESERVOIRS: (StationKind.RESERVOIR,),
    Register.RIVERS: (StationKind.RIVER, StationKind.TIDE),
    Register.SEASONS: (StationKind.RESERVOIR,),
}
Changes = dict[str, tuple[object, object]]


@dataclass(slots=True)
class Part:
    """What one table of the register means for ours. `notes`: (zh, en), the gravest first."""

    register: Register
    name: str
    new: dict[str, Fields] = field(default_factory=dict)
    changed: dict[str, Changes] = field(default_factory=dict)
    unchanged: int = 0
    gone: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """For the audit log and the last line of the report."""
        return {
            "new": len(self.new), "changed": len(self.changed), "unchanged": self.unchanged,
            "gone": len(self.gone), "bad": len(self.faults),
        }  # fmt: skip


def bring_in(tables: Sequence[RegisterTable], options: Options, *, apply: bool) -> list[Part]:
    """Compare, and write the good rows when `apply`. Run it inside a transaction to add an audit entry to it."""
    with transaction.atomic():
        if apply:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        compared = _Comparison(options)
        parts = [compared.part(each) for each in tables]
        if apply:
            for part in parts:
                _write(part)
            nudge("live.refresh")
    return parts


class _Comparison:
    """Our register as it is, and as it will be after each table: later tables are held against earlier ones."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.places = Places()
        self.ours: dict[Register, dict[str, Fields]] = {
            Register.STATIONS: _rows(Station, Register.STATIONS, "code"),
            Register.RESERVOIRS: _rows(Reservoir, Register.RESERVOIRS, "pk"),
            Register.RIVERS: _rows(River, Register.RIVERS, "pk"),
            Register.SEASONS: _seasons(),
        }

    def part(self, table: RegisterTable) -> Part:
        part = Part(table.register, table.name)
        if table.unknown:
            names = "、".join(table.unknown[:12])
            part.notes.append((f"未使用的列：{names}", f"columns not used: {names}"))
        records = self._read(table, part)
        seen = set()
        for record in records:
            seen.add(record.code)
            fields = self._wanted(record, part)
            if fields is not None:
                self._compare(record, fields, part)
        bad = {fault.line for fault in part.faults}
        spoken_of = seen | {code for line in table.lines if line.number in bad and (code := self._code(line))}
        part.gone = sorted(set(self._peers(table.register, seen)) - spoken_of)
        return part

    def _read(self, table: RegisterTable, part: Part) -> list[Record]:
        records: list[Record] = []
        held: dict[str, int] = {}
        for line in table.lines:
            record, faults = read_line(table.register, line, self.options.station, self.options.kinds)
            part.faults += faults
            if record:
                records.append(record)
            elif faults and (code := self._code(line)):
                held.setdefault(code, line.number)
        if table.register is Register.SEASONS:
            return _whole_years(records, held, part)
        return _once(records, part)

    def _code(self, line: Any) -> str:
        try:
            return code_of(line.cells.get("STCD"), self.options.station)
        except BadCell:
            return ""

    def _wanted(self, record: Record, part: Part) -> Fields | None:
        """The fields as they shall be; None and a fault when they cannot."""
        before = self.ours[part.register].get(record.code)
        if part.register is Register.STATIONS:
            fields = self._station(record, before, part)
        elif self._stands(record, part):
            fields = dict(record.fields)
        else:
            return None
        if fields is None:
            return None
        wrong = list(self._order(record.code, fields, part.register))
        for column, zh, en in wrong:
            _blame(part, record, column, "", zh, en)
        return None if wrong else fields

    def _station(self, record: Record, before: Fields | None, part: Part) -> Fields | None:
        fields = {
            name: value
            for name, value in record.fields.items()
            if name not in ("area", "region") and not (value is None and name in _NEVER_EMPTIED)
        }
        if before is None:
            fields.setdefault("datum", "")
            if missing := [name for name in ("name", "kind", "lon", "lat") if name not in fields]:
                column = COLUMN_OF[missing[0]]
                _blame(
                    part, record, column, "", "新测站缺少此项，请补全", "a new station needs it: fill it in"
                )
                return None
        try:
            region, note = self.places.region_of(record.fields, before)
        except BadCell as bad:
            zh, en = bad.args
            _blame(part, record, "REGION", str(record.fields.get("region") or ""), zh, en)
            return None
        if note:
            part.notes.append((f"{record.code} {note[0]}", f"{record.code} {note[1]}"))
        return fields | {"region_id": region}

    def _stands(self, record: Record, part: Part) -> bool:
        """Whether the object is a station of the right kind."""
        station = self.ours[Register.STATIONS].get(record.code)
        kinds = _KINDS_OF[part.register]
        if station is None:
            zh, en = "测站未登记，请先导入测站名录", "no such station: import the register of stations first"
        elif station["kind"] not in kinds:
            zh = f"测站的站类为 {station['kind']}，应为 {'、'.join(kinds)}，请核对站类或编码"
            en = f"the station is of kind {station['kind']}, not {' or '.join(kinds)}: check kind or code"
        elif part.register is Register.SEASONS and record.code not in self.ours[Register.RESERVOIRS]:
            zh, en = "水库防洪指标未登记，请先导入", "the reservoir has no levels yet: import those first"
        else:
            return True
        _blame(part, record, "STCD", record.code, zh, en)
        return False

    def _order(self, code: str, fields: Fields, register: Register) -> Iterable[tuple[str, str, str]]:
        """What is wrong with the order of levels, as they will be."""
        if register is Register.SEASONS:
            levels = _by_column(self.ours[Register.RESERVOIRS][code])
            seasons: Any = fields["seasons"]
            for limit_m in sorted({limit for _, _, limit in seasons}):
                yield from level_faults(levels | {"FSLTDZ": limit_m})
        elif register is not Register.STATIONS:
            yield from level_faults(_by_column(self.ours[register].get(code, {}) | fields))

    def _compare(self, record: Record, fields: Fields, part: Part) -> None:
        ours = self.ours[part.register]
        before = ours.get(record.code)
        if before is None:
            part.new[record.code] = fields
        else:
            changes = {name: (before[name], new) for name, new in fields.items() if before[name] != new}
            if changes:
                part.changed[record.code] = changes
                _warn(record.code, changes, part)
            else:
                part.unchanged += 1
        ours[record.code] = dict.fromkeys(FIELDS[part.register]) | (before or {}) | fields

    def _peers(self, register: Register, seen: set[str]) -> Iterable[str]:
        """Ours that this table might have named: for stations those of the kinds it has, as a list may be of gauges only."""
        if register is not Register.STATIONS:
            return self.ours[register]
        stations = self.ours[register]
        kinds = {stations[code]["kind"] for code in seen if code in stations}
        return [code for code, station in stations.items() if station["kind"] in kinds]


def _once(records: list[Record], part: Part) -> list[Record]:
    """One record a code. A row repeated word for word counts once; of one station twice its level kind counts."""
    by_code: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if all(record.fields != other.fields for other in by_code[record.code]):
            by_code[record.code].append(record)
    kept = []
    for code, same in by_code.items():
        levels = [record for record in same if record.fields.get("kind") in LEVEL_KINDS]
        if len(same) == 1:
            kept += same
        elif len(levels) == 1 and all(_but_kind(each) == _but_kind(same[0]) for each in same):
            kept += levels
            part.notes.append(
                (f"{code} 登记了多种站类，取水位站类", f"{code} has several kinds: its level kind counts")
            )
        else:
            lines = ", ".join(str(each.line) for each in same)
            for each in same:
                _blame(part, each, "STCD", code, f"编码重复且内容不同（第 {lines} 行），请只保留一行",
                       f"stands there more than once and differs (lines {lines}): keep one")  # fmt: skip
    return kept


def _whole_years(records: list[Record], held: dict[str, int], part: Part) -> list[Record]:
    """One record a reservoir with all its seasons; when one of them is bad, none is taken."""
    by_code: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_code[record.code].append(record)
    whole = []
    for code, same in by_code.items():
        seasons = sorted(
            {
                (str(r.fields["begin_mmdd"]), str(r.fields.get("end_mmdd") or ""), r.fields["limit_m"])
                for r in same
            },
            key=str,
        )
        begins = [begin for begin, _, _ in seasons]
        if code in held or len(set(begins)) < len(begins):
            line = held.get(code)
            zh = (
                f"同一水库第 {line} 行有误，整库暂不导入"
                if line
                else "同一水库有两个相同的开始月日，请只保留一个"
            )
            en = (
                f"line {line} of the same reservoir is bad: none of it is taken"
                if line
                else "begins twice: keep one"
            )
            for each in same:
                _blame(part, each, "BGMD", str(each.fields["begin_mmdd"]), zh, en)
            continue
        part.notes += [(f"{code} {zh}", f"{code} {en}") for zh, en in season_notes(seasons)]  # type: ignore[arg-type]
        whole.append(Record(same[0].line, code, {"seasons": tuple(seasons)}))
    return whole


def _warn(code: str, changes: Changes, part: Part) -> None:
    """What changes the meaning of every level of a station comes before all other notes."""
    for name in ("datum", "datum_elevation_m", "datum_correction_m", "kind"):
        if name in changes and not (name == "datum" and not changes[name][0]):
            old, new = changes[name]
            part.notes.insert(0, (
                f"!! {code} {name} 由 {old} 改为 {new}：此前的水位与限值不可与此后相比，请一并核对限值",
                f"!! {code} {name} {old} -> {new}: levels and limits before and after cannot be compared",
            ))  # fmt: skip


def _write(part: Part) -> None:
    if part.register is Register.SEASONS:
        codes = [*part.new, *part.changed]
        wanted = {**{code: fields["seasons"] for code, fields in part.new.items()},
                  **{code: changes["seasons"][1] for code, changes in part.changed.items()}}  # fmt: skip
        SeasonLimit.objects.filter(reservoir__in=codes).delete()
        SeasonLimit.objects.bulk_create(
            SeasonLimit(reservoir_id=code, begin_mmdd=begin, end_mmdd=end, limit_m=limit_m)
            for code, seasons in wanted.items()
            for begin, end, limit_m in seasons  # type: ignore[attr-defined]
        )
        return
    model: Any = {Register.STATIONS: Station, Register.RESERVOIRS: Reservoir, Register.RIVERS: River}[
        part.register
    ]
    model.objects.bulk_create(
        [model(pk=code, **fields) for code, fields in part.new.items()], batch_size=1000
    )
    rows = model.objects.select_for_update().in_bulk(list(part.changed))
    for code, changes in part.changed.items():
        for name, (_, new) in changes.items():
            setattr(rows[code], name, new)
    names = sorted({name for changes in part.changed.values() for name in changes})
    if names:
        model.objects.bulk_update(rows.values(), names, batch_size=1000)


def _rows(model: Any, register: Register, key: str) -> dict[str, Fields]:
    names = FIELDS[register]
    return {code: dict(zip(names, row, strict=True)) for code, *row in model.objects.values_list(key, *names)}


def _seasons() -> dict[str, Fields]:
    seasons: defaultdict[str, list[tuple[str, str, float]]] = defaultdict(list)
    for row in SeasonLimit.objects.order_by("reservoir", "begin_mmdd"):
        seasons[row.reservoir_id].append((row.begin_mmdd, row.end_mmdd, row.limit_m))
    return {code: {"seasons": tuple(sorted(its, key=str))} for code, its in seasons.items()}


def _by_column(fields: Fields) -> Fields:
    return {COLUMN_OF[name]: value for name, value in fields.items()}


def _but_kind(record: Record) -> Fields:
    return {name: value for name, value in record.fields.items() if name != "kind"}


def _blame(part: Part, record: Record, column: str, shown: str, zh: str, en: str) -> None:
    part.faults.append(Fault(TABLES[part.register], record.line, column, shown[:40], zh, en))
