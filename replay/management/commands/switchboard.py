"""`manage.py switchboard`: a local gateway for text messages and calls until a signal comes. Needs no database."""

import os
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from replay.switchboard import DEMO
from replay.switchboard_server import serve


class Command(BaseCommand):
    help = "Serve a local gateway for text messages and calls; its synthetic people pick up now and then."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, required=True)
        parser.add_argument("--port", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Key and secret from SMS_KEY and SMS_SECRET; OFFICERS=0: nobody answers."""
        silent = replace(DEMO, reply_share=0.0, press_share=0.0, cannot_share=0.0)
        faults = silent if os.environ.get("OFFICERS") == "0" else DEMO
        key, secret = os.environ["SMS_KEY"], os.environ["SMS_SECRET"]
        serve(options["dir"], options["port"], key, secret, faults)
