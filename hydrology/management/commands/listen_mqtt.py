"""`manage.py listen_mqtt SOURCE`: take the messages of a broker in until ended."""

import asyncio
import signal

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from foundation.clock import now
from foundation.errors import Refusal
from hydrology.models import Source, SourceKind
from hydrology.sources.mqtt import line_of, listen


class Command(BaseCommand):
    help = "Keep the line to an MQTT broker; messages are acknowledged once their readings are stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="key of an enabled source of kind mqtt")

    def handle(self, *args: object, **options: object) -> None:
        key = str(options["source"])
        source = Source.objects.filter(pk=key, kind=SourceKind.MQTT, enabled=True, feed__enabled=True).first()
        if source is None:
            raise CommandError(
                f"没有已启用的 MQTT 来源 {key!r}，请先登记（manage.py sources）。 "
                f"There is no enabled MQTT source {key!r}: register it first (manage.py sources)."
            )
        try:
            line = line_of(source)
        except Refusal as refusal:
            raise CommandError(f"{refusal.zh} {refusal.en}") from refusal
        connections.close_all()
        self.stdout.write(f"listening to {line.host}:{line.port} as {line.client_id}")
        asyncio.run(self._listen(key))

    async def _listen(self, key: str) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await listen(key, clock=now, ended=ended)
