"""`manage.py replay DIR|demo [--drill ID] [--speed N] [--json]`: a storm through the front doors, and a closing count.

With --drill it goes to that running drill alone, by the feed made for drills, and closes with the drill's grade.
"""

import json
import os
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Max

from alerts.models import Drill
from foundation.clock import now
from notifications.drills import grade
from notifications.models import Dispatch
from replay import exercise, player
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
        parser.add_argument(
            "--drill", type=int, default=None, help="as this running drill; nothing live is touched"
        )
        parser.add_argument(
            "--json", action="store_true", help="only the closing JSON line to stdout, progress to stderr"
        )
        parser.add_argument("--frames", type=int, default=None, help="only the first so many frames")
        parser.add_argument("--server", default=os.environ.get("SERVER_URL", "http://127.0.0.1:8000"))

    def handle(self, *args: object, **options: object) -> None:
        say = partial(self.stderr.write, style_func=str) if options["json"] else self.stdout.write
        drill = options["drill"] if options["drill"] is None else int(str(options["drill"]))
        key, secret = self._feed("feed" if drill is None else "drill")
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
        if drill is None:
            report = player.play(storm, door, speed=speed, say=say, limit=limit)  # type: ignore[arg-type]
            self.stdout.write(json.dumps(player.summary(report, since)))
            return
        try:
            report = exercise.play(storm, door, drill, speed=speed, say=say, limit=limit)  # type: ignore[arg-type]
        except exercise.DrillOver as error:
            raise CommandError(str(error)) from error
        graded = grade(Drill.objects.get(pk=drill), now())
        self.stdout.write(json.dumps({**player.summary(report, since), "drill": drill, "grade": graded}))

    def _feed(self, which: str) -> tuple[str, str]:
        """Key and secret of the replay's (`feed`) or the `drill` feed, as `manage.py democity` left them (or FEED_KEY,
        FEED_SECRET)."""
        if os.environ.get("FEED_SECRET"):
            return os.environ.get("FEED_KEY", "replay" if which == "feed" else "drill"), os.environ[
                "FEED_SECRET"
            ]
        kept = Path(settings.RUN_DIR) / "demo.json"
        if not kept.exists():
            raise CommandError(
                "No feed secret: run `manage.py democity` first, or set FEED_KEY and FEED_SECRET."
            )
        keys = json.loads(kept.read_text())
        if f"{which}_secret" not in keys:
            raise CommandError("The city was loaded before there were drills: set FEED_KEY and FEED_SECRET.")
        return keys[f"{which}_key"], keys[f"{which}_secret"]
