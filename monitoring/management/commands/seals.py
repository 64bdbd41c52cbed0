"""`manage.py seals [--since DAY] [--export FILE | --check FILE]`: whether the append-only logs are as they were sealed."""

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import SHENZHEN, iso
from monitoring import seals
from monitoring.models import Seal


class Command(BaseCommand):
    help = "Compare audit entries, bulletins, events and receipts with their seals; or export them; or check an export."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=date.fromisoformat, help="only seals made since this day, in Shenzhen"
        )
        parser.add_argument(
            "--export", type=Path, metavar="FILE", help="write seals and rows, a JSON line a seal"
        )
        parser.add_argument(
            "--check", type=Path, metavar="FILE", help="look at an export alone; asks no database"
        )

    def handle(self, *args: object, **options: Any) -> None:
        if file := options["check"]:
            with file.open(encoding="utf-8") as lines:
                return self._end([f"seal {pk}: {why}" for pk, why in seals.checked(map(json.loads, lines))])
        which = Seal.objects.all()
        if since := options["since"]:
            which = which.filter(made_at__gte=datetime.combine(since, time(), SHENZHEN))
        if file := options["export"]:
            with file.open("w", encoding="utf-8") as lines:
                for one in seals.exported(which):
                    lines.write(json.dumps(one, ensure_ascii=False) + "\n")
        newest = which.order_by("-id").first()
        if newest:
            self.stdout.write(
                f"封存 {which.count()} seals; 最新 newest {newest.pk} {iso(newest.made_at)} {newest.digest}"
            )
        return self._end(
            [f"seal {one.pk} ({one.log} {one.first}-{one.last}): {why}" for one, why in seals.broken(which)]
        )

    def _end(self, faults: list[str]) -> None:
        if faults:
            raise CommandError("与封存不符 not as sealed:\n" + "\n".join(faults))
        self.stdout.write("全部与封存相符 all as sealed")
