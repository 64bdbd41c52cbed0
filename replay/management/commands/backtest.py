"""`manage.py backtest TABLE.json [--since --until | --storm DIR]`: other rain thresholds against the present ones.

Runs both over stored slots (data time) or over a folder of storm files and prints what each would have said, then one
JSON line. Writes nothing, sends nothing.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alerts.assessment import rules
from alerts.rain import RainPicture
from alerts.watch import table_in_force
from foundation.clock import SHENZHEN, now
from replay import backtest
from replay.storm_2023 import reconstruct_2023
from replay.storms import NoStorm, Storm, read_folder

LINES = (  # label, path into a result
    *(
        (f"warnings: {level.name.lower()}", ("warnings", level.name.lower()))
        for level in rules.Level
        if level
    ),
    ("bulletins", ("bulletins",)),
    ("streets that came to ALERT", ("lead", "streets")),
    ("  of them warned before", ("lead", "before")),
    ("  of them never warned", ("lead", "missed")),
    ("lead, mean min", ("lead", "mean_min")),
    ("lead, median min", ("lead", "median_min")),
    ("people called", ("messages", "people")),
    ("messages", ("messages", "messages")),
    ("messages a person, mean", ("messages", "each")),
    ("messages a person, p95", ("messages", "p95")),
    ("messages a person, most", ("messages", "most")),
)


class Command(BaseCommand):
    help = "Compare a rain rule table with the present one over stored slots or a folder of storm files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "table", type=Path, help='{"version": …, "rows": {"rain_60min": [20, 30, 50, 80], …}}'
        )
        parser.add_argument("--since", help="data time, ISO 8601; without a zone it is Beijing time")
        parser.add_argument("--until", help="data time, ISO 8601; without a zone it is Beijing time")
        parser.add_argument("--storm", help="folder of obs_*.nc and nowcast_*.nc, or demo")
        parser.add_argument("--json", action="store_true", help="print only the closing JSON line")

    def handle(self, *args: object, **options: object) -> None:
        proposed = _table(Path(str(options["table"])))
        say = (lambda line: None) if options["json"] else self.stdout.write
        present_at, pictures = self._rain(options)
        present = table_in_force(present_at)
        results = backtest.compare([present, proposed], pictures, present, now())
        say(f"{'':34}{present.version:>18}{proposed.version:>18}")
        for label, path in LINES:
            say(f"{label:34}" + "".join(f"{_at(result, path)!s:>18}" for result in results))
        say("lead by street, min")
        leads = [result["lead"]["by_street"] for result in results]
        for street in leads[0]:
            say(
                f"  {street:32}"
                + "".join(f"{'never' if lead[street] is None else lead[street]!s:>18}" for lead in leads)
            )
        self.stdout.write(json.dumps({"present": results[0], "proposed": results[1]}))

    def _rain(self, options: dict[str, object]) -> tuple[datetime, Iterator[RainPicture]]:
        """(the instant whose table counts as present, the pictures)."""
        spans = [options["since"], options["until"]]
        if options["storm"] and not any(spans):
            storm = _storm(str(options["storm"]))
            return now(), backtest.of_storm(storm)
        if options["storm"] or not all(spans):
            raise CommandError("Say either --since and --until, or --storm DIR.")
        since, until = (_instant(str(text)) for text in spans)
        if not since < until:
            raise CommandError("--since must lie before --until.")
        return now(), backtest.stored(since, until)


def _table(path: Path) -> rules.Table:
    try:
        given = json.loads(path.read_text("utf-8"))
        return rules.Table(str(given.get("version") or path.stem), given["rows"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CommandError(
            f'{path}: not a rule table ({error}). It holds {{"version": "…", "rows": {{"rain_60min": [20, 30, 50, 80]}}}}.'
        ) from error


def _storm(name: str) -> Storm:
    try:
        return reconstruct_2023() if name == "demo" else read_folder(Path(name))
    except NoStorm as error:
        raise CommandError(str(error)) from error


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no ISO 8601 time, like 2023-09-07T18:00") from error
    return at if at.tzinfo else at.replace(tzinfo=SHENZHEN)


def _at(found: object, path: tuple[str, ...]) -> object:
    for key in path:
        found = found[key]  # type: ignore[index]
    return found
