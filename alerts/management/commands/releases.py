"""`manage.py releases [FILE.json] [--apply]`: which words of the watch wait for release, or what a file would change.

Without a file the table in force is printed as JSON, ready to be edited ({} is: everything at once). With one it is
checked and compared; only --apply puts it in force, from now on: what is held already keeps its limit.
"""

import hashlib
import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts import releases
from alerts.assessment.policy import DEFAULT_ROWS, BadPolicy, Policy, parse_policy
from alerts.models import ReleaseTable
from foundation.clock import now


class Command(BaseCommand):
    help = "Show the release policy of warnings, or set it from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="JSON, as the command prints it")
        parser.add_argument(
            "--apply", action="store_true", help="put it in force; without it nothing changes"
        )
        parser.add_argument("--note", default="", help="why, kept with the table")

    def handle(self, *args: object, **options: object) -> None:
        at = now()
        version, table = releases.in_force(at)
        file = options["file"]
        if not isinstance(file, Path):
            row = ReleaseTable.objects.filter(pk=version).first()
            self.stderr.write(f"in force: {version or 'the defaults'}")
            self.stdout.write(json.dumps(row.rows if row else DEFAULT_ROWS, ensure_ascii=False, indent=2))
            return
        rows = _read(file)
        try:
            wanted = parse_policy(rows)
        except BadPolicy as bad:
            raise CommandError(f"{file.name}: {bad}. Nothing was changed.") from None
        changes = _changes(table, wanted)
        self.stdout.write("\n".join(changes) or "nothing differs from the table in force")
        if not changes:
            return
        if not options["apply"]:
            self.stdout.write(f"{len(changes)} would change; put in force with --apply")
            return
        digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:8]
        made = releases.put_in_force(
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


def _changes(before: Policy, after: Policy) -> list[str]:
    return [
        f"{'.'.join(key)}: {_said(before.after_s(*key))} -> {_said(after.after_s(*key))}"
        for key in sorted(before.waits_s.keys() | after.waits_s.keys())
        if before.after_s(*key) != after.after_s(*key)
    ]


def _said(after_s: int | None) -> str:
    if after_s is None:
        return "only by a person"
    return f"by itself after {after_s} s" if after_s else "at once"
