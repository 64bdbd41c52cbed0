"""Load the demo city once: `manage.py democity`. A second run finds it and does nothing."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from foundation.clock import now
from hydrology.models import Region
from replay import city


class Command(BaseCommand):
    help = "Load the synthetic demo city into an empty database; says what it does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--officers", type=int, default=None, help="fewer flood officers than 45,000")
        parser.add_argument(
            "--mixed", action="store_true", help="phones of several vendors, not of FCM alone"
        )

    def handle(
        self, *args: object, officers: int | None = None, mixed: bool = False, **options: object
    ) -> None:
        if Region.objects.exists():
            self.stdout.write("The city is already there 城市数据已存在")
            return
        began = time.monotonic()
        self.stdout.write("Loading the demo city, about 20 s 正在载入演示城市 …")
        with transaction.atomic():
            keys = city.build(now(), say=self._say, officers=officers, mixed=mixed)
        kept = Path(settings.RUN_DIR) / "demo.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(asdict(keys)))
        self.stdout.write(f"Done in {time.monotonic() - began:.1f} s 完成")

    def _say(self, line: str) -> None:
        self.stdout.write(f"  {line}")
        self.stdout.flush()
