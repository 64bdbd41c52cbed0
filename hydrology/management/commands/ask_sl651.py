"""`manage.py ask_sl651 FEED [RTU [--series rain --from … --to …]]`: ask a station for what is missing (SL 651, mode M4).

Without RTU the newest questions and what became of them. Without --series the present values (function 37), with it
5-minute values over whole hours (function 38).
"""

from datetime import UTC, datetime, timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import iso, now
from hydrology.feeds import questions
from hydrology.models import Feed, Question
from hydrology.science.sl651 import Function
from hydrology.science.sl651_talk import SERIES, period

MOST = timedelta(days=7)
SHOWN = 50


class Command(BaseCommand):
    help = "Ask an SL 651 station for its present values or for a period; list what was asked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("feed", help="key of the feed its line belongs to")
        parser.add_argument("rtu", nargs="?", help="address of the station, 10 characters 0-9A-F")
        parser.add_argument("--series", choices=sorted(SERIES), help="5-minute values over a period")
        parser.add_argument("--from", dest="since", metavar="TIME", help="ISO 8601 with zone, a whole hour")
        parser.add_argument("--to", dest="until", metavar="TIME", help="ISO 8601 with zone, a whole hour")

    def handle(self, *args: object, **options: object) -> None:
        feed = Feed.objects.filter(pk=options["feed"]).first()
        if feed is None:
            raise CommandError(f"There is no feed {options['feed']!r}: register it first.")
        at = now()
        if options["rtu"]:
            rtu = str(options["rtu"]).upper()
            if len(rtu) != 10 or rtu.strip("0123456789ABCDEF"):
                raise CommandError(f"rtu {rtu!r} is not 10 characters 0-9A-F.")
            series = options["series"]
            if series is None:
                questions.ask(feed.pk, rtu, Function.REALTIME, b"", at)
            else:
                since, until = _hour(options, "since", "--from"), _hour(options, "until", "--to")
                if not timedelta(0) < until - since <= MOST:
                    raise CommandError(f"--from must lie before --to, at most {MOST.days} days apart.")
                questions.ask(feed.pk, rtu, Function.PERIOD, period(since, until, str(series)), at)
        for row in Question.objects.filter(feed=feed).order_by("-id")[:SHOWN]:
            self.stdout.write(
                f"{row.pk} {iso(row.asked_at)} {row.rtu} {row.function:02X} {bytes(row.wanted).hex().upper() or '-'} "
                f"{questions.state(row, at)}"
            )


def _hour(options: dict[str, object], name: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(str(options[name]))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) != at:
        raise CommandError(f"{option} wants a whole hour with its zone, like 2026-09-07T18:00+08:00.")
    return at
