"""`manage.py rtus FEED [FILE.csv] [--apply]`: the SL 651 stations a feed may speak for.

The file has a head line with `address` and `station` (empty: a relay) and, as wanted, `base_stage_m`, `password` (four
hex digits), `network`. Without --apply it only says what would change. Stations left out of the file stay listed.
"""

import csv
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from hydrology.models import Feed, Rtu, Station

FIELDS = ("station_id", "base_stage_m", "password", "network")


@dataclass(frozen=True, slots=True)
class BadLine(Exception):
    """A line that is not taken: which column and why."""

    column: str
    why: str


class Command(BaseCommand):
    help = "List the SL 651 stations of a feed, or bring the list in line with a CSV file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("feed")
        parser.add_argument("file", nargs="?", type=Path, help="CSV, UTF-8, with a head line")
        parser.add_argument("--apply", action="store_true", help="write; without it nothing changes")

    def handle(self, *args: object, **options: object) -> None:
        feed = Feed.objects.filter(pk=options["feed"]).first()
        if feed is None:
            raise CommandError(f"There is no feed {options['feed']!r}: register it first.")
        if isinstance(options["file"], Path):
            self._take(feed, options["file"], bool(options["apply"]))
            return
        for row in feed.rtus.order_by("address"):
            self.stdout.write(_shown(row))

    def _take(self, feed: Feed, file: Path, apply: bool) -> None:
        known = {row.address: row for row in feed.rtus.all()}
        stations = set(Station.objects.values_list("pk", flat=True))
        wanted: list[Rtu] = []
        refused = 0
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            if not {"address", "station"} <= set(reader.fieldnames or ()):
                raise CommandError(f"{file.name}: the head line needs the columns address and station.")
            for number, line in enumerate(reader, start=2):
                try:
                    wanted.append(_rtu(feed, line, stations))
                except BadLine as bad:
                    refused += 1
                    self.stderr.write(f"line {number}, {bad.column}: {bad.why}; not taken")
        changed = [row for row in wanted if _facts(row) != _facts(known.get(row.address))]
        for row in changed:
            before = known.get(row.address)
            self.stdout.write(f"{'changed' if before else 'new'} {_shown(row)}")
        if apply:
            with transaction.atomic():
                Rtu.objects.bulk_create(
                    changed, update_conflicts=True, unique_fields=["feed", "address"], update_fields=FIELDS
                )
        done = "written" if apply else "would change; write with --apply"
        self.stdout.write(
            f"{len(changed)} {done}, {len(wanted) - len(changed)} as they were, {refused} refused"
        )


def _rtu(feed: Feed, line: dict[str, str], stations: set[str]) -> Rtu:
    given = {name: (line.get(name) or "").strip() for name in ("address", "station", *FIELDS[1:])}
    address = given["address"].upper()
    if len(address) != 10 or address.strip("0123456789ABCDEF"):
        raise BadLine("address", f"{address!r} is not 10 characters 0-9A-F")
    if given["station"] and given["station"] not in stations:
        raise BadLine("station", f"{given['station']!r} is not in the register of stations")
    try:
        base_m = float(given["base_stage_m"]) if given["base_stage_m"] else None
    except ValueError:
        raise BadLine("base_stage_m", f"{given['base_stage_m']!r} is not a number of metres") from None
    try:
        password = int(given["password"], 16) if given["password"] else None
    except ValueError:
        password = -1
    if password is not None and not 0 <= password <= 0xFFFF:
        raise BadLine("password", "is not four hex digits")
    try:
        network = str(ip_network(given["network"])) if given["network"] else ""
    except ValueError as error:
        raise BadLine("network", str(error)) from None
    return Rtu(
        feed=feed,
        address=address,
        station_id=given["station"] or None,
        base_stage_m=base_m,
        password=password,
        network=network,
    )


def _facts(row: Rtu | None) -> list[object] | None:
    return row and [getattr(row, name) for name in FIELDS]


def _shown(row: Rtu) -> str:
    """A line for an engineer; a password is only said to be there."""
    base = "" if row.base_stage_m is None else f" base {row.base_stage_m:g} m"
    secret = "" if row.password is None else " password"
    return f"{row.address} {row.station_id or 'relay'}{base}{secret} {row.network}".rstrip()
