"""Readings that come as messages of an MQTT 3.1.1 broker: subscribed at QoS 1, acknowledged once they are stored.

Owns the line to the broker of one Source and the batches made of its messages; leaves readings by way of ingest, and
good_at, failures and fault in the Source. The session is persistent (fixed client id): what is not acknowledged when
this process dies, or while the database is away, comes again and is a duplicate. Lost can be only what was published
at QoS 0, or what the broker itself drops when its queue for us is full. Mapping: docs/sources.md.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
import orjson
from django.db import InterfaceError, OperationalError, connections
from django.db.models import F

from foundation.errors import Refusal
from foundation.texts import printable
from hydrology.ingest import take_readings
from hydrology.models import Source
from hydrology.sources.fetched import fault, secret_of
from hydrology.sources.payload import Row, Shape, rows_of, shape_of, unreadable

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]
MOST_MESSAGES: Final = 500
MOST_ROWS: Final = 5000
BATCH_S: Final = 1.0
# Brokers hand out only so many unacknowledged messages (mosquitto: 20) and then wait for us: silence ends a batch.
SILENCE_S: Final = 0.05
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
LONG_LINE_S: Final = 30.0  # a line that held this long was a good one: the pauses begin anew
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_NAMED: Final = re.compile(r"\{(station|element)\}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One pattern: levels may be `+`, `#` at the end, `{station}` or `{element}`; and what its payloads look like."""

    pattern: str
    named: re.Pattern[str]
    shape: Shape

    @property
    def filter(self) -> str:
        return _NAMED.sub("+", self.pattern)


@dataclass(frozen=True, slots=True)
class Line:
    """How to reach the broker, checked."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    client_id: str
    user: str | None
    password: str | None
    topics: tuple[Topic, ...]


class Client(aiomqtt.Client):
    """aiomqtt acknowledges before anybody has stored anything; paho below it can leave that to us."""

    def __init__(self, line: Line, *, timeout_s: float = 10.0) -> None:
        super().__init__(
            line.host, line.port, username=line.user, password=line.password, identifier=line.client_id,
            clean_session=False, tls_context=line.tls, timeout=timeout_s, keepalive=30,
        )  # fmt: skip
        self._client.manual_ack_set(True)

    def acknowledge(self, messages: Sequence[aiomqtt.Message]) -> None:
        for message in messages:
            self._client.ack(message.mid, message.qos)


def line_of(source: Source) -> Line:
    """Raises Refusal naming the field of the Source that cannot be meant."""
    parts, mapping = urlsplit(source.address), source.mapping
    if parts.scheme not in PORTS or not parts.hostname or parts.password or parts.username:
        raise fault(
            "address",
            "address 须为 mqtt://主机:端口 或 mqtts://主机:端口，不含用户名与口令。",
            "address must be mqtt://host:port or mqtts://host:port, without user or password.",
        )
    topics = mapping.get("topics")
    if not isinstance(topics, dict) or not topics:
        raise fault(
            "mapping.topics",
            "mapping.topics 须写明主题及其报文格式。",
            "mapping.topics must say which topics, and what their payloads look like.",
        )
    user, client_id = mapping.get("user"), mapping.get("client_id", f"yijiantong-{source.pk}")
    if not isinstance(client_id, str) or not client_id or not isinstance(user, str | None):
        raise fault(
            "mapping.client_id",
            "mapping.client_id 与 user 须为文本。",
            "mapping.client_id and user must be texts.",
        )
    try:
        port = parts.port or PORTS[parts.scheme]
        tls = ssl.create_default_context(cafile=mapping.get("ca_file")) if parts.scheme == "mqtts" else None
    except (OSError, ValueError, TypeError) as error:
        raise fault(
            "mapping.ca_file",
            f"端口或证书文件有误：{error}。",
            f"the port or the certificate file is wrong: {error}.",
        ) from error
    found = tuple(_topic(pattern, shape) for pattern, shape in topics.items())
    return Line(parts.hostname, port, tls, client_id, user, secret_of(source) or None, found)


def _topic(pattern: str, shape: object) -> Topic:
    levels = pattern.split("/")
    odd = [
        level
        for n, level in enumerate(levels)
        if not _NAMED.fullmatch(level)
        and level != "+"
        and not (level == "#" and n == len(levels) - 1)
        and set(level) & set("+#{}")
    ]
    named = _NAMED.findall(pattern)
    if odd or not pattern or len(named) != len(set(named)):
        raise fault(
            f"mapping.topics.{pattern}",
            f"主题 {pattern} 有误：每级只能是文字、+、{{station}} 或 {{element}}，# 只能在末级。",
            f"the topic {pattern} is wrong: a level is a text, +, {{station}} or {{element}}; # stands last.",
        )
    matching = "/".join(
        ".*" if level == "#" else "[^/]+" if level == "+" else _level(level) for level in levels
    )
    return Topic(
        pattern,
        re.compile(matching.replace("/.*", "(?:/.*)?")),
        shape_of(shape, f"topics.{pattern}"),
    )


def _level(level: str) -> str:
    named = _NAMED.fullmatch(level)
    return f"(?P<{named[1]}>[^/]+)" if named else re.escape(level)


async def listen(
    source_key: str, *, clock: Clock, ended: asyncio.Event, first_pause_s: float = FIRST_PAUSE_S
) -> None:
    """Keep the line until `ended`; whatever breaks it becomes the source's fault, and it is tried again.

    Raises Refusal at once when the source cannot be meant.
    """
    line = await asyncio.to_thread(_apart, _line_of_key, source_key)
    talking = asyncio.create_task(_keep_talking(source_key, line, clock, first_pause_s))
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({talking, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    talking.cancel()
    await asyncio.gather(talking, ending, return_exceptions=True)


async def _keep_talking(source_key: str, line: Line, clock: Clock, first_pause_s: float) -> None:
    loop = asyncio.get_running_loop()
    pause_s = first_pause_s
    while True:
        began_s = loop.time()
        try:
            await _talk(source_key, line, clock)
        except aiomqtt.MqttError as error:
            await _say(source_key, "address", f"与消息服务器的连接中断（{error}），正在重连。",
                       f"the line to the broker broke ({error}); trying again.")  # fmt: skip
        except (OperationalError, InterfaceError) as error:
            log.warning(
                "mqtt.waits source=%s error=%r", source_key, error
            )  # unacknowledged: all of it comes again
        except Exception as error:  # one batch must not end the line for ever
            log.exception("mqtt.failed source=%s", source_key)
            await _say(source_key, "mapping", f"系统内部错误（{error!r}），报文未确认，正在重试。",
                       f"our own fault ({error!r}): not acknowledged, trying again.")  # fmt: skip
        if loop.time() - began_s > LONG_LINE_S:
            pause_s = first_pause_s
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _talk(source_key: str, line: Line, clock: Clock) -> None:
    """One connection. A client of its own each time: message ids, and so acknowledgements, belong to a connection."""
    async with Client(line) as client:
        granted = await client.subscribe([(topic.filter, 1) for topic in line.topics])
        refused = [
            topic.pattern
            for topic, code in zip(line.topics, granted, strict=False)
            if int(getattr(code, "value", code)) >= 128
        ]
        if refused:
            raise aiomqtt.MqttError(f"not allowed to subscribe to {', '.join(refused)}")
        log.info("mqtt.connected source=%s topics=%s", source_key, len(line.topics))
        await asyncio.to_thread(_apart, _note, source_key, True, "", clock())
        while True:
            batch = await _batch(client)
            await asyncio.to_thread(_apart, store_all, source_key, line, batch, clock())
            client.acknowledge(batch)


async def _batch(client: Client) -> list[aiomqtt.Message]:
    """At least one message; up to 500, or what comes within a second, or until the broker is silent.

    Waits by looking, not by a time-out on the next message: aiomqtt loses one that comes as its wait is cancelled.
    """
    loop = asyncio.get_running_loop()
    messages = client.messages
    batch = [await anext(messages)]
    until_s = loop.time() + BATCH_S
    while len(batch) < MOST_MESSAGES and loop.time() < until_s:
        if not len(messages):
            await asyncio.sleep(SILENCE_S)
            if not len(messages):
                break
        batch.append(await anext(messages))
    return batch


def store_all(source_key: str, line: Line, batch: Sequence[aiomqtt.Message], now: datetime) -> None:
    """One message must not stop the line: the one that breaks the rest is kept as unreadable, with our own fault."""
    try:
        store(source_key, [row for message in batch for row in rows_in(line, message, now)], now)
    except (OperationalError, InterfaceError, Source.DoesNotExist):
        raise
    except Exception as error:
        log.exception("mqtt.batch_failed source=%s messages=%s", source_key, len(batch))
        if len(batch) == 1:
            name, payload = str(batch[0].topic), bytes(batch[0].payload)
            store(source_key, [unreadable(f"our own fault: {error!r}", name, payload)], now)
            return
        middle = len(batch) // 2
        store_all(source_key, line, batch[:middle], now)
        store_all(source_key, line, batch[middle:], now)


def store(source_key: str, rows: Sequence[Row], now: datetime) -> None:
    """Post rows and note that the source spoke. Raises without a database; then nothing is acknowledged."""
    source = Source.objects.select_related("feed").get(pk=source_key)
    accepted, bad = 0, [row for row in rows if "unreadable" in row]
    refused = ""
    for first in range(0, len(rows), MOST_ROWS):
        try:
            # read_at makes each body one of its own: the same again would get its first answer, and its refusals
            body = orjson.dumps({"read_at": now, "readings": rows[first : first + MOST_ROWS]})
            accepted += take_readings(source.feed, body, now)["accepted"]
        except Refusal as refusal:  # kept there with its reason
            refused = f"{refusal.zh} {refusal.en}"
    for row in bad:
        log.warning("mqtt.unreadable source=%s why=%s", source_key, row["unreadable"])
    said = f"报文无法读取。 Unreadable: {bad[-1]['unreadable']}" if bad else refused
    _note(source_key, True, said, now)
    log.info(
        "mqtt.stored source=%s rows=%s accepted=%s unreadable=%s",
        source_key, len(rows), accepted, len(bad),
    )  # fmt: skip


def rows_in(line: Line, message: aiomqtt.Message, now: datetime) -> Iterator[Row]:
    """What a message says, as rows for `POST readings`. Never raises."""
    name = str(message.topic)
    payload = message.payload if isinstance(message.payload, bytes | bytearray) else b""
    found = next(((topic, named) for topic in line.topics if (named := topic.named.fullmatch(name))), None)
    if found is None:
        yield unreadable("no topic of the mapping matches", name, bytes(payload))
        return
    topic, named = found
    try:
        content: Any = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        yield unreadable(f"payload is not JSON ({error})", name, bytes(payload))
        return
    yield from rows_of(topic.shape, content, named.groupdict(), name, now)


async def _say(source_key: str, field: str, zh: str, en: str) -> None:
    refusal = fault(field, zh, en)
    log.warning("mqtt.broken source=%s why=%s", source_key, en)
    try:
        await asyncio.to_thread(_apart, _note, source_key, False, f"{refusal.zh} {refusal.en}", None)
    except (OperationalError, InterfaceError) as error:
        log.warning("mqtt.waits source=%s error=%r", source_key, error)


def _note(source_key: str, good: bool, said: str, now: datetime | None) -> None:
    source, words = Source.objects.filter(pk=source_key), printable(said, 400)
    if good:
        source.update(good_at=now, failures=0, fault=words)
    else:
        source.update(failures=F("failures") + 1, fault=words)


def _line_of_key(source_key: str) -> Line:
    return line_of(Source.objects.get(pk=source_key))


def _apart(do: Callable[..., Any], *args: object) -> Any:
    """In a thread of its own, which gives its connection back."""
    try:
        return do(*args)
    finally:
        connections.close_all()
