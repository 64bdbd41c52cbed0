"""`manage.py telegrams [--again ID …]`: what the SL 651 lines brought that was not taken, and reading it again."""

from django.core.management.base import BaseCommand, CommandParser

from foundation.clock import iso, now
from hydrology.feeds.telegrams import read_again
from hydrology.models import Telegram


class Command(BaseCommand):
    help = "List doubtful telegrams, newest first, with their reason; or read some of them again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, default=50)
        parser.add_argument("--again", type=int, nargs="+", metavar="ID", help="read these once more")

    def handle(self, *args: object, **options: object) -> None:
        shown = Telegram.objects.doubtful()[: int(str(options["limit"]))]
        if again := options["again"]:
            ids = [int(number) for number in again]  # type: ignore[attr-defined]
            read_again(ids, now=now())
            shown = Telegram.objects.filter(pk__in=ids).order_by("id")
        for row in shown:
            function = "--" if row.function is None else f"{row.function:02X}"
            self.stdout.write(
                f"{row.pk} {iso(row.received_at)} {row.peer} {row.rtu or '-'} {function} {row.verdict}: "
                f"{row.reason}\n    {bytes(row.raw).hex().upper()}"
            )
