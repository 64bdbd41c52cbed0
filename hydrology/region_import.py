"""Bringing our tree of regions in line with somebody's list: what is new, changed, moved, gone or wrong.

Owns the comparison and, when asked, its writing: all good lines in one transaction. The same list twice changes nothing.
Nothing is ever deleted: what the list no longer names is told as gone. Each level stands below the next higher one, as
zones and scopes count the steps of a path. Who is moved takes everything below along: its paths are written again in the
same transaction, and with them changes who sees it, hears of it and answers for it. Cells are read in region_rows.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from foundation.nudge import nudge
from hydrology.models import Level, Region
from hydrology.region_rows import TABLE, read_line
from hydrology.science.register_cells import words_of
from hydrology.science.register_rows import Fault, Fields, Line, Record

_REGIONS_LOCK = 0x48594452_03
_FIELDS: Final = ("name", "level", "parent_id", "gb_code", "lon", "lat")
_ABOVE: Final = {below: above for above, below in pairwise(Level)}
_ANALYZE_FROM: Final = 1000  # rows; below it PostgreSQL notices by itself
Blame = tuple[str, str, str]  # column, zh, en


class Move(NamedTuple):
    """A region that gets another parent, and what goes with it."""

    code: str
    old: str  # path, as it was
    new: str
    below: int  # regions under it


@dataclass(slots=True)
class Difference:
    """What a list means for ours. `changed`: our field to (old, new)."""

    new: dict[str, Fields] = field(default_factory=dict)
    changed: dict[str, dict[str, tuple[object, object]]] = field(default_factory=dict)
    moved: list[Move] = field(default_factory=list)
    unchanged: int = 0
    gone: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)  # paths of all regions, by code
    paths: dict[str, str] = field(default_factory=dict)  # as they will be

    def counts(self) -> dict[str, int]:
        """For the audit log and the last line of the report."""
        return {
            "new": len(self.new), "changed": len(self.changed), "moved": len(self.moved), "unchanged": self.unchanged,
            "gone": len(self.gone), "bad": len(self.faults),
        }  # fmt: skip


def bring_in(lines: Sequence[Line], *, apply: bool) -> Difference:
    """Compare, and write the good lines when `apply`. Run it inside a transaction to add an audit entry to it."""
    with transaction.atomic():
        if apply:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_REGIONS_LOCK])
        found = _Comparison(lines).found
        if apply:
            _write(found)
            nudge("live.refresh")
    return found


class _Comparison:
    """Our tree as it is, against lines."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.found = Difference()
        rows = Region.objects.order_by("path").values_list("code", "path", *_FIELDS)
        self.found.before = {code: path for code, path, *_ in rows}
        self.ours: dict[str, Fields] = {code: dict(zip(_FIELDS, row, strict=True)) for code, _, *row in rows}
        self.faulty: dict[str, int] = {}  # codes with the line that is not taken
        self.wanted = self._read(lines)
        named = {*self.wanted, *self.faulty}
        while blamed := dict(self._blamed(tree := self._tree())):
            for code, (column, zh, en) in blamed.items():
                self._blame(self.wanted.pop(code), column, zh, en)
        self._compare(tree)
        levels = {tree[code]["level"] for code in self.wanted}
        self.found.gone = [
            code for code in self.ours if code not in named and self.ours[code]["level"] in levels
        ]
        self.found.faults.sort(key=lambda fault: fault.line)

    def _read(self, lines: Sequence[Line]) -> dict[str, Record]:
        """One record a code; a line repeated word for word counts once."""
        by_code: defaultdict[str, list[Record]] = defaultdict(list)
        for line in lines:
            record, faults = read_line(line)
            self.found.faults += faults
            if record:
                by_code[record.code].append(record)
            elif not any(fault.column == "code" for fault in faults):
                self.faulty[words_of(line.cells["code"])] = line.number
        kept = {}
        for code, same in by_code.items():
            if all(record.fields == same[0].fields for record in same):
                kept[code] = same[0]
                continue
            numbers = ", ".join(str(record.line) for record in same)
            for record in same:
                self._blame(record, "code", f"编码重复且内容不同（第 {numbers} 行），请只保留一行",
                            f"stands there more than once and differs (lines {numbers}): keep one")  # fmt: skip
        return kept

    def _blame(self, record: Record, column: str, zh: str, en: str) -> None:
        self.faulty.setdefault(record.code, record.line)
        cell = record.fields.get("parent_id" if column == "parent" else column)
        shown = record.code if column == "code" else "" if cell is None else str(cell)
        self.found.faults.append(Fault(TABLE, record.line, column, shown[:40], zh, en))

    def _tree(self) -> dict[str, Fields]:
        """Ours with what the lines state."""
        nothing = dict.fromkeys(_FIELDS)
        return self.ours | {
            code: nothing | self.ours.get(code, {}) | record.fields for code, record in self.wanted.items()
        }

    def _blamed(self, tree: dict[str, Fields]) -> Iterator[tuple[str, Blame]]:
        """The lines that cannot stand in this tree; without them others may not either."""
        cities = (
            code for each in (self.ours, self.wanted) for code in each if _level(tree, code) == Level.CITY
        )
        city = next(cities, None)
        children: defaultdict[str, list[str]] = defaultdict(list)
        coded: dict[object, str] = {}
        for code, fields in tree.items():
            children[str(fields["parent_id"])].append(code)
            coded.setdefault(fields["gb_code"], code)
        for code in self.wanted:
            gb_code = tree[code]["gb_code"]
            stays = [each for each in children[code] if each not in self.wanted]
            if blame := self._misfit(tree, code, city):
                yield code, blame
            elif gb_code and coded[gb_code] != code:
                other = coded[gb_code]
                yield code, ("gb_code", f"国标码与 {other} 相同，请核对", f"is that of {other}: check both")
            elif wrong := [each for each in stays if _ABOVE.get(_level(tree, each)) != _level(tree, code)]:
                yield code, ("level", f"下级 {wrong[0]} 的级别不再相符，请在同一文件中一并更正",
                             f"does not fit {wrong[0]} below it: correct both in one file")  # fmt: skip

    def _misfit(self, tree: dict[str, Fields], code: str, city: str | None) -> Blame | None:
        """Why this line's region cannot stand where it says."""
        fields, level = tree[code], _level(tree, code)
        if missing := [name for name in ("name", "level", "lon", "lat") if fields[name] is None]:
            if missing[0] in ("lon", "lat"):
                return missing[0], "缺少中心点坐标，请填写", "a region needs its centre: fill it in"
            return missing[0], "新区域缺少此项，请填写", "a new region needs it: fill it in"
        parent = fields["parent_id"]
        if level == Level.CITY:
            if parent:
                return "parent", "市没有上级，请留空", "a city has none above it: leave it empty"
            if code != city:
                return (
                    "level",
                    f"已有市 {city}，本系统只管一个市",
                    f"there is the city {city}: this system is of one city",
                )
            return None
        above = _ABOVE[level]
        if not parent:
            return (
                "parent",
                f"缺少上级，请填所属{above.label}的编码",
                f"is empty: give the code of its {above}",
            )
        if parent not in tree:
            if line := self.faulty.get(str(parent)):
                return (
                    "parent",
                    f"上级见第 {line} 行，该行未导入，请先改正",
                    f"stands in line {line}, which is not taken: correct that one",
                )
            return (
                "parent",
                "没有此区域，请先列出上级或更正编码",
                "is no region: list it too, or correct the code",
            )
        if ring := _ring(tree, code):
            return (
                "parent",
                f"上级绕回自身（{ring}），请更正其中一处",
                f"leads back to itself ({ring}): correct one of them",
            )
        if (its := _level(tree, str(parent))) != above:
            return (
                "parent",
                f"{level.label}的上级须为{above.label}，{parent} 为{its.label if its else '未知'}",
                f"a {level} stands below a {above}, and {parent} is a {its}",
            )
        return None

    def _compare(self, tree: dict[str, Fields]) -> None:
        found = self.found
        for code in sorted(tree, key=lambda each: list(Level).index(_level(tree, each))):  # parents first
            parent = tree[code]["parent_id"]
            found.paths[code] = f"{found.paths[str(parent)] if parent else ''}{code}/"
        for code in self.wanted:
            before, fields = self.ours.get(code), tree[code]
            if before is None:
                found.new[code] = fields
            elif changes := {
                name: (before[name], fields[name]) for name in _FIELDS if before[name] != fields[name]
            }:
                found.changed[code] = changes
            else:
                found.unchanged += 1
        for code, changes in found.changed.items():
            if "parent_id" in changes:
                old = found.before[code]
                below = sum(path.startswith(old) for path in found.before.values()) - 1
                found.moved.append(Move(code, old, found.paths[code], below))


def _level(tree: dict[str, Fields], code: str) -> Any:
    level = tree[code]["level"]
    return level and Level(str(level))


def _ring(tree: dict[str, Fields], code: str) -> str:
    """The way up from the region, if it comes back to it."""
    way = [code]
    while (parent := tree[way[-1]]["parent_id"]) and str(parent) in tree:
        way.append(str(parent))
        if parent == code:
            return " > ".join(way)
        if len(way) > len(Level) + 1:
            break  # someone else's ring, or a step too deep: blamed where it is
    return ""


def _write(found: Difference) -> None:
    Region.objects.bulk_create(
        (Region(code=code, path=found.paths[code], **fields) for code, fields in found.new.items()),
        batch_size=2000,
    )
    moved = {code for code, path in found.paths.items() if path != found.before.get(code, path)}
    names = {name for changes in found.changed.values() for name in changes} | ({"path"} if moved else set())
    touched = Region.objects.select_for_update(no_key=True).in_bulk([*{*found.changed, *moved}])
    for code, row in touched.items():
        row.path = found.paths[code]
        for name, (_, new) in found.changed.get(code, {}).items():
            setattr(row, name, new)
    if names:
        Region.objects.bulk_update(touched.values(), sorted(names), batch_size=1000)
    if len(found.new) + len(touched) >= _ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE hydrology_region")
