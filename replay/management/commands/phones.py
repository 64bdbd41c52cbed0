"""`manage.py phones`: the local vendors of push until a signal comes. Needs no database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from replay.vendors.server import serve


class Command(BaseCommand):
    help = "Serve the local vendors of push; writes their certificate, what proves us to them and ready.json into --dir."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dir", type=Path, required=True)
        parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
        parser.add_argument("--parent", type=int, default=None, help="pid to end with")

    def handle(self, *args: Any, **options: Any) -> None:
        serve(options["dir"], options["port"], options["parent"])
