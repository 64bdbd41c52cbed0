"""`manage.py portal`: a local stand-in for the city's portal until a signal comes. Needs no database."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from replay.portal_server import HOST, serve


class Command(BaseCommand):
    help = "Serve a local city portal (OpenID provider) where whoever types a staff code is that officer."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Our account there is that of the settings, OIDC_*."""
        here = f"http://{HOST}:{options['port']}"
        if here != settings.OIDC_ISSUER:
            raise CommandError(f"Set OIDC_ISSUER={here}: nobody else is to take this stand-in for a portal.")
        serve(
            options["port"], settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET, settings.OIDC_REDIRECT_URI
        )
