"""`manage.py import_roster FILE.csv|FILE.xlsx [--within REGION] [--apply] [--end-missing N]`: people and posts.

Without --apply it only says what would change. Bad lines are told with line, column, reason and remedy; good lines go in
all the same. `--undo N` takes the last import back, `--history` lists them, `--columns` prints the head of such a file.
"""

from collections.abc import Iterable
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import iso, now
from foundation.errors import Refusal
from hydrology.models import Region
from hydrology.sheets import sheets_of
from hydrology.told import fault_said, listed
from officers.models import RosterImport
from officers.roster_comparison import Change, Difference, compare
from officers.roster_import import bring_in, undo
from officers.roster_rows import HEADS, column_of


class Command(BaseCommand):
    help = "Compare a roster of officers and posts with ours; --apply writes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="CSV (UTF-8, GBK) or XLSX, one line a post")
        parser.add_argument("--within", metavar="REGION", help="code of the region it speaks of; the city")
        parser.add_argument("--apply", action="store_true", help="write; without it nothing changes")
        parser.add_argument(
            "--end-missing", type=int, metavar="N", help="end the N posts of the region that it leaves out"
        )
        parser.add_argument("--undo", type=int, metavar="ID", help="take the last import back")
        parser.add_argument("--history", action="store_true", help="the last 20 imports")
        parser.add_argument("--columns", action="store_true", help="the head line of such a file")

    def handle(self, *args: object, **options: object) -> None:
        try:
            if options["columns"]:
                self.stdout.write(",".join(heads[0] for heads in HEADS.values()))
            elif options["history"]:
                self._history()
            elif isinstance(number := options["undo"], int):
                undo(number, actor=None, now=now())
                self.stdout.write(f"已撤销第 {number} 次导入。 Import {number} is undone.")
            elif isinstance(file := options["file"], Path):
                self._import(
                    file, str(options["within"] or ""), bool(options["apply"]), options["end_missing"]
                )
            else:
                raise CommandError("请给出文件。 Name a file: --columns prints its head line.")
        except Refusal as refusal:
            raise CommandError(f"{refusal.zh} {refusal.en}") from refusal

    def _import(self, file: Path, code: str, apply: bool, gone: object) -> None:
        sheets, digest = sheets_of(file, column_of, key="phone", key_zh="手机")
        within = self._region(code)
        if len(sheets) > 1:
            names = "、".join(sheet.name for sheet in sheets)
            raise CommandError(f"有多张名册（{names}），请分开导入。 Several rosters: import one at a time.")
        lines, unknown = sheets[0].lines, sheets[0].unknown
        if apply:
            ended = gone if isinstance(gone, int) else None
            found, done = bring_in(lines, within, file=(file.name, digest), gone=ended, actor=None, now=now())
        else:
            found, done = compare(lines, within, now()), None
        self._tell(found, unknown)
        if done:
            self.stdout.write(
                f"已写入，编号 {done.pk}。 Written as import {done.pk}: --undo {done.pk} takes it back."
            )
        elif apply:
            self.stdout.write("没有变化。 Nothing to write.")
        else:
            ending = f" --end-missing {len(found.gone)}" if found.gone and not found.faults else ""
            self.stdout.write(
                f"未写入；核对后加 --apply{' 及' + ending if ending else ''}。 Nothing written: look, then --apply{ending}."
            )

    def _region(self, code: str) -> Region:
        found = Region.objects.filter(code=code) if code else Region.objects.filter(parent=None)
        region = found.order_by("code").first()
        if region is None:
            raise CommandError(f"没有区域 {code!r}。 There is no region {code!r}.")
        return region

    def _history(self) -> None:
        for done in RosterImport.objects.order_by("-pk")[:20]:
            counts = ", ".join(f"{name} {count}" for name, count in done.counts.items() if count)
            undone = f" 已撤销 undone {iso(done.undone_at)}" if done.undone_at else ""
            self.stdout.write(f"{done.pk} {iso(done.at)} {done.name} ({done.within_id}): {counts}{undone}")

    def _tell(self, found: Difference, unknown: Iterable[str]) -> None:
        if names := "、".join(unknown):
            self.stdout.write(f"未使用的列：{names}\ncolumns not used: {names}")
        self._lines("人员 person", (
            f"{'新增 new' if one.id is None else '变更 changed'} {one.name}"
            + "".join(f"; {name} {_said(name, old)} -> {_said(name, new)}" for name, (old, new) in one.changes.items())
            for one in found.people
        ))  # fmt: skip
        self._lines("新增岗位 new post", (_post(change) for _, change in found.new))
        self._lines("变更岗位 changed post", (_post(change) for _, change in found.changed))
        self._lines("名册未列 gone", map(_post, found.gone))
        self._lines("错误 bad", map(fault_said, found.faults))
        self.stdout.write(
            "人员 people: 新增 new {new_people}, 变更 changed {changed_people}; 岗位 posts: 新增 new {new}, 变更 changed "
            "{changed}, 未变 unchanged {unchanged}, 名册未列 gone {gone}; 错误 bad {bad}".format(
                **found.counts()
            )
        )

    def _lines(self, head: str, lines: Iterable[str]) -> None:
        self.stdout.writelines(listed(head, lines))


def _said(name: str, value: object) -> str:
    return "***" if name == "phone_digest" else "–" if value in (None, "") else str(value)


def _post(change: Change) -> str:
    place = change.place
    terms = " -> ".join(
        f"{term.rank}{term.position and f' {term.position}'}{f' {iso(term.valid_to)} 止' if term.valid_to else ''}"
        for term in (change.was, change.now)
        if term
    )
    station = f" {place.station}" if place.station else ""
    return f"{change.person} {change.phone} {place.duty} {place.region}{station} {terms}"
