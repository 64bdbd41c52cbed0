"""`manage.py import_register SOURCE_KEY|FILE.csv|FILE.xlsx [--apply]`: stations and limits from somebody's register.

Without --apply it only says what would change. Bad rows are told with line, column, reason and remedy; good rows go in
all the same, in one transaction with the audit entry.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from foundation.clock import now
from foundation.errors import Refusal
from hydrology.models import Source
from hydrology.register_tables import Options, RegisterTable, from_file, from_source, options_of
from hydrology.registers import Part, bring_in
from hydrology.science.register_rows import COLUMN_OF, Register
from hydrology.sheets import SUFFIXES
from hydrology.told import fault_said, listed
from officers import audit


class Command(BaseCommand):
    help = "Compare a register of stations, levels and 汛限 with ours; --apply writes it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("register", help="key of a database source, or a file: CSV (UTF-8, GBK), XLSX")
        parser.add_argument("--apply", action="store_true", help="write; without it nothing changes")
        parser.add_argument(
            "--kind", choices=[each.value for each in Register], help="unless the columns tell"
        )
        parser.add_argument("--mapping", type=Path, help="JSON: columns, kinds, station; for files")

    def handle(self, *args: object, **options: object) -> None:
        kind = Register(str(options["kind"])) if options["kind"] else None
        try:
            tables, how, digest = self._tables(str(options["register"]), options["mapping"], kind)
            apply = bool(options["apply"])
            with transaction.atomic():
                parts = bring_in(tables, how, apply=apply)
                if apply:
                    self._keep(str(options["register"]), digest, parts)
        except Refusal as refusal:
            raise CommandError(f"{refusal.zh} {refusal.en}") from refusal
        for part in parts:
            self._tell(part)
        self.stdout.write(
            "已写入。 Written."
            if apply
            else "未写入；核对后加 --apply 写入。 Nothing written: look, then --apply."
        )

    def _tables(
        self, given: str, mapping: object, kind: Register | None
    ) -> tuple[list[RegisterTable], Options, str]:
        file = Path(given)
        if file.suffix.lower() in SUFFIXES:
            how = self._options(mapping) if isinstance(mapping, Path) else Options()
            tables, digest = from_file(file, how, kind)
            return tables, how, digest
        source = Source.objects.filter(pk=given).first()
        if source is None:
            raise CommandError(
                f"没有来源 {given!r}，文件须以 {', '.join(SUFFIXES)} 结尾。 There is no source {given!r}; "
                f"a file ends in one of {', '.join(SUFFIXES)}."
            )
        return from_source(source, kind)

    def _options(self, file: Path) -> Options:
        try:
            return options_of(json.loads(file.read_text(encoding="utf-8-sig")))
        except (OSError, ValueError) as error:
            raise CommandError(
                f"映射文件 {file.name} 不是可读的 JSON。 Not readable as JSON: {error}"
            ) from error

    def _keep(self, given: str, digest: str, parts: list[Part]) -> None:
        detail = {
            "from": Path(given).name,
            "sha256": digest,
            "registers": [{"register": part.register, "table": part.name, **part.counts()} for part in parts],
        }
        audit.record(None, "register.import", f"register:{digest[:16]}", detail, now())

    def _tell(self, part: Part) -> None:
        self.stdout.write(f"== {part.name} ({part.register})")
        self._lines("", (f"注意 {zh}\n     note {en}" for zh, en in part.notes))
        self._lines("新增 new", (f"{code} {_stated(fields)}" for code, fields in part.new.items()))
        self._lines(
            "变更 changed",
            (
                f"{code} "
                + "; ".join(
                    f"{_name(name)} {_said(old)} -> {_said(new)}" for name, (old, new) in changes.items()
                )
                for code, changes in part.changed.items()
            ),
        )
        self._lines("名录中已无 gone (kept)", part.gone)
        self._lines("错误 bad", map(fault_said, part.faults))
        counts = part.counts()
        self.stdout.write(
            "   新增 new {new}, 变更 changed {changed}, 未变 unchanged {unchanged}, 名录中已无 gone {gone}, "
            "错误 bad {bad}".format(**counts)
        )

    def _lines(self, head: str, lines: Iterable[str]) -> None:
        self.stdout.writelines(listed(head, lines))


def _name(field: str) -> str:
    return f"{field} ({COLUMN_OF[field]})" if field in COLUMN_OF else field


def _stated(fields: dict[str, object]) -> str:
    return ", ".join(f"{name} {_said(value)}" for name, value in fields.items() if value is not None)


def _said(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, tuple):  # seasons
        return " ".join(f"{begin}-{end or '…'}:{limit:g}" for begin, end, limit in value)
    return str(value)
