"""`manage.py officers`: simulated officers answer what the local FCM has taken, until a signal comes."""

import asyncio
import os
import signal
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from replay.officers import SOCKETS, Officers


class Command(BaseCommand):
    help = "Simulated officers (synthetic) answer the pushes taken by the local FCM; runs until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--standin", type=Path, default=settings.RUN_DIR / "phones", help="its folder")
        parser.add_argument("--server", default=os.environ.get("SERVER_URL", "http://127.0.0.1:8000"))
        parser.add_argument("--speed", type=float, default=1.0, help="people's seconds a second")
        parser.add_argument("--sockets", type=int, default=SOCKETS, help="phones that hold a socket")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["speed"] <= 0:
            raise CommandError("--speed must be above 0: officers need some time to answer.")
        asyncio.run(self._answer(options))

    async def _answer(self, options: dict[str, Any]) -> None:
        officers = Officers(
            options["standin"], options["server"], speed=options["speed"], sockets=options["sockets"]
        )
        task = asyncio.create_task(officers.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task
