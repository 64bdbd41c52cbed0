"""`manage.py replay DIR|demo [--speed N] [--json]`: a storm through the front doors, and a closing count."""

import json
import os
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Max

from notifications.models import Dispatch
from replay import player
from replay.storm_2023 import reconstruct_2023
from replay.storms import NoStorm, read_folder


class Command(BaseCommand):
    help = (
        "Play a folder of storm files, or `demo` (a reconstruction of 7-8 September 2023), through the feeds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("storm", help="folder of obs_*.nc and nowcast_*.nc, or demo")
        parser.add_argument(
            "--speed", type=float, default=0.0, help="storm seconds a second; 0: as fast as it goes"
        )
        parser.add_argument("--json", action="store_true", help="print only the closing JSON line")
        parser.add_argument("--frames", type=int, default=None, help="only the first so many frames")
        parser.add_argument("--server", default=os.environ.get("SERVER_URL", "http://127.0.0.1:8000"))

    def handle(self, *args: object, **options: object) -> None:
        say = (lambda line: None) if options["json"] else self.stdout.write
        key, secret = self._feed()
        try:
            storm = (
                reconstruct_2023() if options["storm"] == "demo" else read_folder(Path(str(options["storm"])))
            )
        except NoStorm as error:
            raise CommandError(str(error)) from error
        say(f"{storm.title_zh} {storm.title_en}")
        since = Dispatch.objects.aggregate(newest=Max("pk"))["newest"] or 0
        door = player.Door(str(options["server"]), key, secret)
        speed, limit = float(str(options["speed"])), options["frames"]
        report = player.play(storm, door, speed=speed, say=say, limit=limit)  # type: ignore[arg-type]
        self.stdout.write(json.dumps(player.summary(report, since)))

    def _feed(self) -> tuple[str, str]:
        """The replay feed's key and secret, as `manage.py democity` left them (or FEED_KEY, FEED_SECRET)."""
        if os.environ.get("FEED_SECRET"):
            return os.environ.get("FEED_KEY", "replay"), os.environ["FEED_SECRET"]
        kept = Path(settings.RUN_DIR) / "demo.json"
        if not kept.exists():
            raise CommandError(
                "No feed secret: run `manage.py democity` first, or set FEED_KEY and FEED_SECRET."
            )
        keys = json.loads(kept.read_text())
        return keys["feed_key"], keys["feed_secret"]
