"""A table of rules with its history, on the command line: shown as JSON, compared with a file, put in force."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import now


def read_json(file: Path) -> object:
    """What stands in the file. Raises CommandError."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file.name}: is no JSON: {error}. Nothing was changed.") from None


class TableCommand(BaseCommand):
    """`[FILE.json] [--apply] [--note WHY]`: only --apply changes anything, from now on."""

    put: Callable[..., Any]  # (rows, *, version, note, now), returns the row

    def in_force(self, at: datetime) -> tuple[str, object]:
        """(version, rows); version "" with the defaults."""
        raise NotImplementedError

    def changes(self, rows: object, wanted: object) -> Sequence[str]:
        """From the rows in force to those of the file, a line each. Raises ValueError for what is no table."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="JSON, as the command prints it")
        parser.add_argument(
            "--apply", action="store_true", help="put it in force; without it nothing changes"
        )
        parser.add_argument("--note", default="", help="why, kept with the table")

    def handle(self, *args: object, **options: object) -> None:
        at, file = now(), options["file"]
        version, rows = self.in_force(at)
        if not isinstance(file, Path):
            self.stderr.write(f"in force: {version or 'the defaults'}")
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        wanted = read_json(file)
        try:
            changes = self.changes(rows, wanted)
        except ValueError as bad:
            raise CommandError(f"{file.name}: {bad}. Nothing was changed.") from None
        self.stdout.write("\n".join(changes) or "nothing differs from the table in force")
        if not changes:
            return
        if not options["apply"]:
            self.stdout.write(f"{len(changes)} would change; put in force with --apply")
            return
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:8]
        made = self.put(
            wanted, version=f"{at:%Y%m%dT%H%M%SZ}-{digest}", note=str(options["note"])[:200], now=at
        )
        self.stdout.write(f"{len(changes)} changed; in force from now on: {made.version}")
