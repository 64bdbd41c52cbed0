"""`manage.py import_regions FILE.csv|FILE.xlsx [--apply]`: the tree of regions, city to front-line cell.

Without --apply it only says what would change. Bad lines are told with line, column, reason and remedy; good lines go in
all the same, in one transaction with the audit entry. `--columns` prints the head of such a file.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from alerts.models import WarningStreet, WatchMark
from foundation.clock import now
from foundation.errors import Refusal
from hydrology.models import Station, path_filter
from hydrology.region_import import Difference, Move, bring_in
from hydrology.region_rows import HEADS, column_of
from hydrology.sheets import sheets_of
from hydrology.told import fault_said, listed
from officers import audit
from officers.models import Post


class Command(BaseCommand):
    help = "Compare a list of regions with ours; --apply writes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="CSV (UTF-8, GBK) or XLSX, one line a region")
        parser.add_argument("--apply", action="store_true", help="write; without it nothing changes")
        parser.add_argument("--columns", action="store_true", help="the head line of such a file")

    def handle(self, *args: object, **options: object) -> None:
        file, apply = options["file"], bool(options["apply"])
        if options["columns"]:
            self.stdout.write(",".join(heads[0] for heads in HEADS.values()))
        elif isinstance(file, Path):
            try:
                self._import(file, apply)
            except Refusal as refusal:
                raise CommandError(f"{refusal.zh} {refusal.en}") from refusal
        else:
            raise CommandError("请给出文件。 Name a file: --columns prints its head line.")

    def _import(self, file: Path, apply: bool) -> None:
        sheets, digest = sheets_of(file, column_of, key="code", key_zh="区划编码")
        lines = [line for sheet in sheets for line in sheet.lines]
        with transaction.atomic():
            if apply:
                _none_in_warning(bring_in(lines, apply=False).moved)
            found = bring_in(lines, apply=apply)
            # counted while the paths may still be either
            moves = [self._moved(move, move.new if apply else move.old) for move in found.moved]
            if apply and (found.new or found.changed):
                detail = {"from": file.name, "sha256": digest, **found.counts()}
                moved = {move.code: [move.old, move.new] for move in found.moved}
                audit.record(
                    None, "regions.import", f"regions:{digest[:16]}", detail | {"moves": moved}, now()
                )
        self._tell(found, moves, [head for sheet in sheets for head in sheet.unknown])
        self.stdout.write(
            "已写入。 Written."
            if apply
            else "未写入；核对后加 --apply 写入。 Nothing written: look, then --apply."
        )

    def _tell(self, found: Difference, moves: Iterable[str], unknown: Iterable[str]) -> None:
        if names := "、".join(unknown):
            self.stdout.write(f"未使用的列：{names}\ncolumns not used: {names}")
        self._lines("!!", moves)
        self._lines(
            "新增 new", (f"{found.paths[code]} {fields['name']}" for code, fields in found.new.items())
        )
        self._lines("变更 changed", (
            f"{code} " + "; ".join(f"{name} {_said(old)} -> {_said(new)}" for name, (old, new) in changes.items())
            for code, changes in found.changed.items()
        ))  # fmt: skip
        self._lines("名单未列 gone (kept)", found.gone)
        self._lines("错误 bad", map(fault_said, found.faults))
        self.stdout.write(
            "区域 regions: 新增 new {new}, 变更 changed {changed}, 其中改属 moved {moved}, 未变 unchanged {unchanged}, "
            "名单未列 gone {gone}, 错误 bad {bad}".format(**found.counts())
        )

    def _moved(self, move: Move, path: str) -> str:
        """What a move means for people, said before anything else."""
        posts = Post.objects.active(now()).filter(region__path__startswith=path).count()
        stations = Station.objects.within(path).count()
        return (
            f"改属 {move.old} -> {move.new}：连同其下 {move.below} 个区域、{stations} 个测站、{posts} 个岗位，"
            "今后由新的上级查看、接收预警、叫应和下达指令，原上级不再负责；已发出的预警与指令不变。请在无在办指令时执行；街道在预警中不能改属。\n"
            f"      moved: with {move.below} regions, {stations} stations and {posts} posts below it; those above it "
            "now see it, are warned, called and may order, those above it before no longer. What was sent stays. Do it "
            "while no order is open; a street in warning cannot be moved."
        )

    def _lines(self, head: str, lines: Iterable[str]) -> None:
        self.stdout.writelines(listed(head, lines))


def _none_in_warning(moves: Sequence[Move]) -> None:
    """Raises Refusal 409 when a street that moves is in warning: the district it leaves could no longer end that.

    The marks are locked as the watch and a person's word lock them, so none is raised meanwhile.
    """
    if not moves:
        return
    list(WatchMark.objects.select_for_update().order_by("hazard"))
    inside = path_filter("region__path", tuple(move.old for move in moves))
    held = WarningStreet.objects.filter(inside, level__gt=0, warning__ended_at=None).order_by(
        "region", "warning"
    )
    if told := ", ".join(
        f"{street} ({warning})" for street, warning in held.values_list("region", "warning")
    ):
        raise Refusal(
            "in_warning",
            zh=f"要改属的街道正在预警中：{told}（括号内为预警编号）。未写入；请待预警解除后再导入。",
            en=f"Streets that would move are in warning: {told}, the warning in brackets. Nothing was written: "
            "import again when it has ended.",
            status=409,
        )


def _said(value: object) -> str:
    return "–" if value in (None, "") else str(value)
