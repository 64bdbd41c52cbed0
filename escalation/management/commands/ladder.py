"""`manage.py ladder [FILE.json] [--apply]`: the table of ladders in force, or what a file would change in it.

Without a file the table is printed as JSON, ready to be edited. With one it is checked and compared; only --apply puts
it in force, from now on: climbs under way keep the ladder they began with.
"""

import hashlib
import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from escalation import in_force
from escalation.ladder import Ladder
from escalation.ladder_table import DEFAULT_ROWS, BadTable, Table, parse_table
from escalation.models import LadderTable
from foundation.clock import now


class Command(BaseCommand):
    help = "Show the ladders of 叫应, or set them from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="JSON, as the command prints it")
        parser.add_argument(
            "--apply", action="store_true", help="put it in force; without it nothing changes"
        )
        parser.add_argument("--note", default="", help="why, kept with the table")

    def handle(self, *args: object, **options: object) -> None:
        at = now()
        version, table = in_force.table_at(at)
        file = options["file"]
        if not isinstance(file, Path):
            row = LadderTable.objects.filter(pk=version).first()
            self.stderr.write(f"in force: {version or 'the defaults'}")
            self.stdout.write(json.dumps(row.rows if row else DEFAULT_ROWS, ensure_ascii=False, indent=2))
            return
        rows = _read(file)
        try:
            wanted = parse_table(rows)
        except BadTable as bad:
            raise CommandError(f"{file.name}: {bad}. Nothing was changed.") from None
        changes = list(_changes(table, wanted))
        self.stdout.write("\n".join(changes) or "nothing differs from the table in force")
        if not changes:
            return
        if not options["apply"]:
            self.stdout.write(f"{len(changes)} would change; put in force with --apply")
            return
        digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:8]
        made = in_force.put(
            rows, version=f"{at:%Y%m%dT%H%M%SZ}-{digest}", note=str(options["note"])[:200], now=at
        )
        self.stdout.write(f"{len(changes)} changed; in force from now on: {made.version}")


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file.name}: is no JSON: {error}. Nothing was changed.") from None


def _changes(before: Table, after: Table) -> list[str]:
    lines = []
    for kind, urgency in sorted(before.ladders.keys() | after.ladders.keys()):
        was, will = before.ladders.get((kind, urgency)), after.ladders.get((kind, urgency))
        if was != will:
            lines.append(f"{kind} {urgency}: {_said(was)} -> {_said(will)}")
    nights = [f"{sorted(table.night_hours)} x {table.night_factor}" for table in (before, after)]
    if nights[0] != nights[1]:
        lines.append(f"night: {nights[0]} -> {nights[1]}")
    return lines


def _said(ladder: Ladder | None) -> str:
    if ladder is None:
        return "none"
    rungs = ", ".join(
        f"{wait_s} s {errand}/{ladder.channel(n)}"
        for n, (wait_s, errand) in enumerate(zip(ladder.waits_s, ladder.rungs, strict=False))
    )
    needs = f"{ladder.of_group} of the group" if ladder.of_group else "each"
    return f"{rungs}, end after {ladder.waits_s[-1]} s, needs {needs}"
