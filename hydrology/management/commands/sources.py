"""`manage.py sources [add|change|enable|disable|poll] …`: where we fetch from, how it goes, and asking once now.

The only place besides hydrology/sources that writes Source: an engineer sets it up. Secrets are never asked for nor
shown: a source names the environment variable that holds its own.
"""

import json
import re
import secrets
from argparse import ArgumentParser
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import iso, now
from foundation.errors import Refusal
from foundation.seals import seal
from hydrology.models import Feed, Source, SourceKind
from hydrology.sources import database, folder, mqtt, polls, url
from hydrology.sources.named import length_of
from hydrology.sources.payload import shape_of
from hydrology.sources.pictures import look_of
from hydrology.sources.wet import wet

_FIELDS = ("kind", "address", "secret_env", "door", "every_s", "wet_every_s")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Command(BaseCommand):
    help = "List sources with their state; add, change, enable, disable one; or poll it once, now."

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="does", metavar="add|change|enable|disable|poll")
        for name in ("add", "change"):
            _about(does.add_parser(name), required=name == "add")
        for name in ("enable", "disable", "poll"):
            does.add_parser(name).add_argument("key")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            match options["does"]:
                case "add":
                    self._add(options)
                case "change":
                    self._change(options)
                case "enable" | "disable" as word:
                    source = _known(options["key"])
                    Source.objects.filter(pk=source.pk).update(enabled=word == "enable", due_at=now())
                case "poll":
                    self._poll(_known(options["key"]))
            if options["does"] != "poll":
                self._list(now())
        except Refusal as refusal:
            raise CommandError(f"{refusal.zh} {refusal.en}") from refusal

    def _list(self, at: datetime) -> None:
        for source in Source.objects.select_related("feed").order_by("key"):
            good = "never" if source.good_at is None else str(iso(source.good_at))
            self.stdout.write(
                f"{source.pk} [{source.kind} > {source.door}, feed {source.feed_id}] {state(source, at)}; "
                f"good {good}; next {iso(source.due_at) if source.kind != SourceKind.MQTT else '-'}; "
                f"{_PASSWORD.sub('***@', source.address)}"
            )
            if source.fault:
                self.stdout.write(f"    {source.fault}")

    def _add(self, options: dict[str, Any]) -> None:
        key = options["key"]
        if Source.objects.filter(pk=key).exists():
            raise CommandError(f"来源 {key} 已登记，请用 change。 {key} exists: use change.")
        given = {name: options[name] for name in _FIELDS if options[name] is not None}
        source = Source(
            key=key, feed_id=options["feed"], due_at=now(), mapping=_mapping(options) or {}, **given
        )
        check(source, now())
        if options["new_feed"]:
            Feed.objects.get_or_create(
                pk=options["feed"],
                # a secret nobody knows: we fetch for this feed, nobody posts as it
                defaults={"name": options["new_feed"], "sealed_secret": seal(secrets.token_urlsafe(32))}
                | {"cadence_s": source.every_s},
            )
        if not Feed.objects.filter(pk=options["feed"]).exists():
            raise CommandError(
                f"数据源 {options['feed']} 未登记；如需新建请加 --new-feed 名称。 "
                f"There is no feed {options['feed']}: add --new-feed NAME to make it."
            )
        source.save(force_insert=True)

    def _change(self, options: dict[str, Any]) -> None:
        source = _known(options["key"])
        given = {name: options[name] for name in _FIELDS if options[name] is not None}
        if options["feed"]:
            given["feed_id"] = options["feed"]
        if (mapping := _mapping(options)) is not None:
            given["mapping"] = mapping
        elsewhere = given.get("address", source.address) != source.address
        for name, value in given.items():
            setattr(source, name, value)
        check(source, now())
        if not Feed.objects.filter(pk=source.feed_id).exists():
            raise CommandError(f"数据源 {source.feed_id} 未登记。 There is no feed {source.feed_id}.")
        if elsewhere or options["forget"]:
            given["mark"] = {}  # what was read there says nothing of here
        Source.objects.filter(pk=source.pk).update(**given, due_at=now(), failures=0, fault="")

    def _poll(self, source: Source) -> None:
        if source.kind == SourceKind.MQTT:
            raise CommandError(
                f"MQTT 来源由 listen_mqtt {source.pk} 接收，不轮询。 Run listen_mqtt {source.pk} instead."
            )
        # whoever polls it just now loses his lease: what he has taken stays, a repeat is a duplicate
        while not polls.claim(source, now()):
            source = _known(source.pk)
        for came in polls.poll(source, raining=wet(now()), clock=now):
            self.stdout.write(
                f"{came.name}: {came.size_bytes} bytes, accepted {came.accepted}, duplicate {came.duplicate}, "
                f"rejected {came.rejected}{' refused' if came.refused else ''}"
            )
        after = _known(source.pk)
        self.stdout.write(f"{state(after, now())}; next {iso(after.due_at)}")
        if after.failures:
            raise CommandError(after.fault)
        if after.fault:
            self.stdout.write(f"    {after.fault}")


def state(source: Source, at: datetime) -> str:
    """How it goes, in a word or two."""
    if not source.enabled or not source.feed.enabled:
        return "off 停用"
    if source.failures:
        return f"failing 失败 x{source.failures}"
    if source.good_at is None:
        return "not polled yet 尚未轮询"
    if source.kind != SourceKind.MQTT and at - source.due_at > timedelta(minutes=1):
        return "overdue 逾期: do the workers run?"
    return "remark 有提示" if source.fault else "good 正常"


def check(source: Source, at: datetime) -> None:
    """Raises Refusal when the source cannot be meant. Its secret is not looked at: it may be set for workers only."""
    bare = Source(
        key=source.pk, kind=source.kind, door=source.door, address=source.address, mapping=source.mapping
    )
    match source.kind:
        case SourceKind.URL:
            url.check(bare)
        case SourceKind.FOLDER:
            folder.check(bare, at)
        case SourceKind.MQTT:
            mqtt.line_of(bare)
        case SourceKind.DATABASE:
            database.check(bare)
    if "payload" in bare.mapping:
        shape_of(bare.mapping["payload"])
    if "picture" in bare.mapping:
        look_of(bare.mapping["picture"])
    if "field" in bare.mapping:
        length_of(bare.mapping["field"])
    if source.secret_env and not _VARIABLE.fullmatch(source.secret_env):
        raise CommandError(
            "secret-env 须为环境变量名（大写字母、数字、下划线），不是口令本身。 "
            "secret-env is the NAME of an environment variable (capitals, digits, _), not the secret itself."
        )


def _about(parser: ArgumentParser, *, required: bool) -> None:
    parser.add_argument("key")
    parser.add_argument("--feed", required=required, help="key of the feed it speaks for")
    parser.add_argument("--kind", required=required, choices=SourceKind.values)
    parser.add_argument(
        "--address", required=required, help="URL, folder, mqtt(s)://host or database; no password"
    )
    parser.add_argument("--door", choices=list(polls.DOORS), help="what it brings; default readings")
    parser.add_argument("--secret-env", metavar="VARIABLE", help="environment variable that holds the secret")
    parser.add_argument("--mapping", metavar="JSON|@FILE", help="see docs/sources.md")
    parser.add_argument("--every-s", type=int, metavar="S")
    parser.add_argument("--wet-every-s", type=int, metavar="S", help="while it rains anywhere")
    parser.add_argument("--new-feed", metavar="NAME", help="make the feed, if there is none of that key")
    parser.add_argument("--forget", action="store_true", help="forget how far it was read")


def _mapping(options: dict[str, Any]) -> dict[str, Any] | None:
    given = options["mapping"]
    if given is None:
        return None
    try:
        found = json.loads(Path(given[1:]).read_text() if given.startswith("@") else given)
    except (OSError, ValueError) as error:
        raise CommandError(f"mapping 无法读取：{error}。 The mapping cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise CommandError("mapping 须为 JSON 对象。 The mapping must be a JSON object.")
    return found


def _known(key: str) -> Source:
    source = Source.objects.select_related("feed").filter(pk=key).first()
    if source is None:
        known = ", ".join(Source.objects.order_by("key").values_list("key", flat=True)[:20]) or "-"
        raise CommandError(f"没有来源 {key}；已登记：{known}。 There is no source {key}; known are: {known}.")
    return source
