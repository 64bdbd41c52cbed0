"""`manage.py plans show | check FILE.json | set FILE.json --version V --note N`: the table of plans in force, or another.

`show` prints it as JSON, ready to be edited. `check` says what a file would change. `set` puts it in force from now on:
orders drafted before keep what they were made of.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts import plans
from alerts.assessment.plans import BadPlan, Plan, parse_plans
from alerts.models import PlanTable
from foundation.clock import now
from foundation.management.tables import read_json


class Command(BaseCommand):
    help = "Show the plans (预案) that orders are drafted from, or set them from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("show", help="print the table in force as JSON")
        for verb, says in (("check", "what a file would change"), ("set", "put a file in force from now on")):
            one = verbs.add_parser(verb, help=says)
            one.add_argument("file", type=Path, help="JSON, as `show` prints it")
            if verb == "set":
                one.add_argument(
                    "--version", required=True, dest="named", help="its name, at most 32 characters"
                )
                one.add_argument("--note", required=True, help="why, kept with the table")

    def handle(self, *args: object, **options: object) -> None:
        at, file = now(), options.get("file")
        version, rows = plans.rows_in_force(at)
        if not isinstance(file, Path):
            self.stderr.write(f"in force: {version or 'the defaults'}")
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        wanted = read_json(file)
        try:
            changes = _changes(parse_plans(rows), parse_plans(wanted))
        except BadPlan as bad:
            raise CommandError(f"{file.name}: {bad}. Nothing was changed.") from None
        self.stdout.write("\n".join(changes) or "nothing differs from the table in force")
        if options["verb"] == "check":
            return
        name = str(options["named"]).strip()
        if not 0 < len(name) <= 32 or PlanTable.objects.filter(pk=name).exists():
            raise CommandError(
                f"--version {name!r:.40}: 1 to 32 characters that no table has yet. Nothing was changed."
            )
        made = plans.put_in_force(wanted, version=name, note=str(options["note"])[:200], now=at)
        self.stdout.write(f"{len(changes)} changed; in force from now on: {made.version}")


def _changes(before: Mapping[str, Plan], after: Mapping[str, Plan]) -> list[str]:
    lines = []
    for key in sorted(before.keys() | after.keys()):
        was, will = before.get(key), after.get(key)
        if was is None or will is None:
            lines.append(f"{key}: {'added' if was is None else 'no longer there'}")
        elif was != will:
            fields = [name for name in Plan.__slots__ if getattr(was, name) != getattr(will, name)]
            lines.append(f"{key}: {', '.join(fields)}")
    return lines
