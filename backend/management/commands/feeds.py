"""`manage.py feeds [add|change|renew|off|on] …`: who may post to us, and the secret each signs with.

A secret is printed once, when it is made, and kept sealed: who has lost it gets a new one by `renew`, and the old one
counts no longer from that moment. Where we fetch for a feed is set up by `manage.py sources`. Every change is audited.
"""

import re
import secrets
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from foundation.clock import iso, now
from foundation.seals import seal
from hydrology.models import Feed, PostKind
from officers import audit

DOORS: Final = {
    "readings": PostKind.READINGS, "grids": PostKind.GRID, "radar": PostKind.RADAR, "signals": PostKind.SIGNAL,
}  # fmt: skip
"""What an engineer writes, the last word of the door's address, to what a feed is registered for."""
_NAMES: Final = {kind: door for door, kind in DOORS.items()}
_FIELDS: Final = ("name", "kinds", "rank", "cadence_s")
_KEY: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")  # it travels in a header


class Command(BaseCommand):
    help = "List feeds; add or change one; renew its secret; switch it off or on."

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="does", metavar="add|change|renew|off|on")
        _about(does.add_parser("add"), new=True)
        _about(does.add_parser("change"), new=False)
        for name in ("renew", "off", "on"):
            does.add_parser(name).add_argument("key")

    def handle(self, *args: object, **options: Any) -> None:
        given = {name: value for name in _FIELDS if (value := options.get(name)) is not None}
        with transaction.atomic():
            match options["does"]:
                case "add":
                    secret = self._add(options["key"], given | {"drill": options["drill"]})
                case "change":
                    secret = self._set(options["key"], "change", given)
                case "renew":
                    secret = self._set(options["key"], "renew", {}, renewed=True)
                case "off" | "on" as word:
                    secret = self._set(options["key"], word, {"enabled": word == "on"})
                case _:
                    secret = ""
        self._list()
        if secret:
            self.stdout.write(
                f"密钥只显示这一次，请立即交给数据源：\nThe secret is shown this once; hand it to the sender now:\n{secret}"
            )

    def _add(self, key: str, given: dict[str, Any]) -> str:
        if not _KEY.fullmatch(key):
            raise CommandError(
                "KEY 只能含 1 至 64 个字母、数字、点、下划线或连字符。 KEY may have 1 to 64 letters, digits, dots, _ and -."
            )
        if Feed.objects.filter(pk=key).exists():
            raise CommandError(
                f"数据源 {key} 已登记，请用 change 或 renew。 {key} exists: use change or renew."
            )
        secret = secrets.token_urlsafe(32)
        Feed.objects.create(key=key, sealed_secret=seal(secret), **given)
        audit.record(None, "feed.add", f"feed:{key}", given, now())
        return secret

    def _set(self, key: str, verb: str, given: dict[str, Any], *, renewed: bool = False) -> str:
        feed = Feed.objects.select_for_update().filter(pk=key).first()
        if feed is None:
            known = ", ".join(Feed.objects.order_by("key").values_list("key", flat=True)[:20]) or "-"
            raise CommandError(
                f"没有数据源 {key}；已登记：{known}。 There is no feed {key}; known are: {known}."
            )
        secret = secrets.token_urlsafe(32) if renewed else ""
        detail = {
            name: [getattr(feed, name), value]
            for name, value in given.items()
            if getattr(feed, name) != value
        }
        if detail or renewed:
            sealed = {"sealed_secret": seal(secret)} if renewed else {}
            Feed.objects.filter(pk=key).update(**given, **sealed)
            audit.record(None, f"feed.{verb}", f"feed:{key}", detail, now())
        return secret

    def _list(self) -> None:
        for feed in Feed.objects.select_related("feedmark").order_by("rank", "key"):
            mark = getattr(feed, "feedmark", None)
            kinds = ",".join(_NAMES[PostKind(kind)] for kind in feed.kinds) or "任意 any"
            flags = f"{'' if feed.enabled else ' 停用 off'}{' 演练 drill' if feed.drill else ''}"
            self.stdout.write(
                f"{feed.pk} {feed.name} [{kinds}] rank {feed.rank}, every {feed.cadence_s} s; "
                f"最近收到 last heard {iso(mark.received_at) if mark else '从未 never'}{flags}"
            )


def _about(parser: ArgumentParser, *, new: bool) -> None:
    parser.add_argument("key", help="what it calls itself in X-Feed-Key")
    if new:
        parser.add_argument("name", type=_name)
        parser.add_argument("--drill", action="store_true", help="speaks to drills only")
    else:
        parser.add_argument("--name", type=_name)
    parser.add_argument(
        "--kinds", type=_kinds, required=new, help=f"what it may bring: some of {','.join(DOORS)}"
    )
    parser.add_argument("--rank", type=_whole(1, 999), help="1 is believed first; the default")
    parser.add_argument(
        "--cadence-s", type=_whole(1, 86_400), metavar="S", help="how often it speaks; default 300"
    )


def _name(words: str) -> str:
    if 0 < len(words.strip()) <= 64 and words.isprintable():
        return words.strip()
    raise ArgumentTypeError("名称须为 1 至 64 个字符。 A name has 1 to 64 characters.")


def _kinds(words: str) -> list[str]:
    said = [each.strip() for each in words.split(",")]
    if strange := [each for each in said if each not in DOORS]:
        raise ArgumentTypeError(
            f"{strange[0]!r} 不是报送类别，请从 {','.join(DOORS)} 中选。 is none of {','.join(DOORS)}."
        )
    return [kind.value for door, kind in DOORS.items() if door in said]


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(words: str) -> int:
        if words.isdigit() and least <= int(words) <= most:
            return int(words)
        raise ArgumentTypeError(f"须为 {least} 至 {most} 的整数。 Must be {least} to {most}.")

    return read
