"""`manage.py listen_sl651 [FEED] --allow NETWORK`: take SL 651 telemetry in over TCP until ended."""

import asyncio
import logging
import signal
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connections
from django.db.models import Q

from foundation.clock import now
from hydrology.feeds import telegrams
from hydrology.feeds.sl651_line import Listener
from hydrology.models import Feed, PostKind

log = logging.getLogger(__name__)
SWEEP_S = 5.0
ASK_S = 2.0


class Command(BaseCommand):
    help = "Listen to SL 651-2014 stations; every report is kept, confirmed, then read into observations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "feed",
            nargs="?",
            help="key of the enabled feed the readings belong to; may be left out where only one can be",
        )
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=6510, help="0 takes a free one")
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            metavar="NETWORK",
            help="addresses stations come from, like 10.20.0.0/16; may be given again; default: this machine",
        )
        parser.add_argument(
            "--hang-up", action="store_true", help="end a report with EOT: stations on batteries"
        )

    def handle(self, *args: object, **options: object) -> None:
        feed_key = _feed(options["feed"])
        connections.close_all()
        given = options["allow"] or ["127.0.0.0/8", "::1/128"]
        listener = Listener(feed_key, _networks(given), now, hang_up=bool(options["hang_up"]))
        asyncio.run(self._listen(listener, str(options["host"]), int(str(options["port"]))))

    async def _listen(self, listener: Listener, host: str, port: int) -> None:
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        server = await listener.open(host, port)
        self.stdout.write(f"listening on {server.sockets[0].getsockname()[:2]}")
        async with asyncio.TaskGroup() as tasks:
            busy = [tasks.create_task(_read_on(listener)), tasks.create_task(_ask_on(listener))]
            await ended.wait()
            server.close()
            for task in busy:
                task.cancel()


def _feed(key: str | None) -> str:
    """The enabled feed's key; where none is given, of the only one that can be meant."""
    enabled = Feed.objects.filter(enabled=True)
    if key is not None:
        if not enabled.filter(pk=key).exists():
            raise CommandError(f"There is no enabled feed {key!r}: register it first.")
        return key
    own = enabled.filter(Q(kinds=[]) | Q(kinds__contains=[PostKind.READINGS]), drill=False, replayed=False)
    keys = list(own.order_by("key").values_list("key", flat=True))
    if len(keys) != 1:
        raise CommandError(
            f"Which feed do the readings belong to? Name it ({', '.join(keys)})."
            if keys
            else "No feed takes telemetry: register one with `manage.py feeds add telemetry --kinds readings`."
        )
    return str(keys[0])


def _networks(given: object) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(text) for text in given]  # type: ignore[attr-defined]
    except ValueError as error:
        raise CommandError(f"--allow wants a network like 10.20.0.0/16: {error}") from error


async def _read_on(listener: Listener) -> None:
    """Read what lines keep, at once and by sweep: a telegram may be left from before a restart."""
    while True:
        try:
            while await asyncio.to_thread(_read_batch):
                pass
        except (OperationalError, InterfaceError) as error:
            log.warning("telegram.waits error=%r", error)
        try:
            await asyncio.wait_for(listener.kept.wait(), SWEEP_S)
        except TimeoutError:
            continue
        finally:
            listener.kept.clear()


async def _ask_on(listener: Listener) -> None:
    """Ask the stations on the line what engineers want to know."""
    while True:
        try:
            await listener.ask()
        except ConnectionError as error:
            log.warning("question.waits error=%r", error)
        await asyncio.sleep(ASK_S)


def _read_batch() -> int:
    try:
        return telegrams.take_up(now=now())
    finally:
        connections.close_all()
