"""Messages of a broker on loopback: stored, then acknowledged; killed, cut off, refused; bad ones kept with a reason."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from hypothesis import example, given
from hypothesis import strategies as st

from hydrology import ingest
from hydrology.ingest import take_readings
from hydrology.models import Feed, FeedPost, Observation, Source, SourceKind
from hydrology.sources import mqtt
from hydrology.sources.mqtt import line_of, listen, rows_in, store_all
from tests.hydrology.broker import Broker
from tests.hydrology.factories import MINUTE, NOW, make_feed, make_regions, make_station

ROOT = Path(__file__).resolve().parents[2]
TOPICS = {
    "sz/{station}/rain": {"time": "tm", "values": {"drp": {"element": "rain_mm", "duration_s": 300}}},
    "sz/{station}/{element}/now": {"elements": {"Z": {"element": "stage_m", "factor": 0.01}}},
}


@pytest.fixture
def gauges(transactional_db: None) -> Feed:
    make_regions()
    for code in ("rain-1", "rain-2"):
        make_station(code, "PP", "440303001")
    make_station("river-1", "ZZ", "440303001")
    return make_feed()


def make_source(port: int = 1883, **fields: Any) -> Source:
    about = {"address": f"mqtt://127.0.0.1:{port}", "mapping": {"topics": TOPICS}, "due_at": NOW} | fields
    return Source.objects.create(key="broker", feed_id="gauges", kind=SourceKind.MQTT, **about)


def apart(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    finally:
        connections.close_all()


async def until(ask: Callable[[], Any], *, in_database: bool = False) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := await asyncio.to_thread(apart, ask) if in_database else ask():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


def listened(
    scene: Callable[[Broker], Awaitable[None]], broker: Broker | None = None, **fields: Any
) -> Broker:
    """Play a scene with a broker while the listener runs."""
    stage = broker or Broker()

    async def play() -> None:
        port = await stage.open()
        await asyncio.to_thread(apart, lambda: make_source(port, **fields))
        ended = asyncio.Event()
        listening = asyncio.create_task(listen("broker", clock=lambda: NOW, ended=ended, first_pause_s=0.01))
        try:
            await scene(stage)
        finally:
            ended.set()
            await listening
            stage.close()

    asyncio.run(play())
    return stage


def rain_message(minute: int, mm: float = 1.0) -> bytes:
    return orjson.dumps({"tm": (NOW - minute * MINUTE).isoformat(), "drp": mm})


def subscribed(broker: Broker) -> bool:
    return any(session.filters and session.writer for session in broker.sessions.values())


def test_messages_are_stored_then_acknowledged_and_a_window_of_twenty_does_not_stall(gauges: Feed) -> None:
    async def scene(broker: Broker) -> None:
        await until(lambda: subscribed(broker))
        for minute in range(100):
            broker.publish("sz/rain-1/rain", rain_message(minute, 0.5))
        broker.publish("sz/river-1/Z/now", b'{"value": 412}')
        broker.publish("sz/rain-2/rain", rain_message(0), qos=0)
        await until(lambda: not broker.unacknowledged())
        await until(Observation.objects.filter(station="rain-2").exists, in_database=True)

    broker = listened(scene)
    assert Observation.objects.filter(station="rain-1").count() == 100
    assert FeedPost.objects.count() < 100
    stage = Observation.objects.get(station="river-1")
    assert (stage.value, stage.observed_at) == (4.12, NOW)
    source = Source.objects.get()
    assert (source.good_at, source.failures, source.fault) == (NOW, 0, "")
    assert list(broker.sessions) == ["yijiantong-broker"]


def test_what_was_not_acknowledged_comes_again_and_is_stored_once(gauges: Feed) -> None:
    async def scene(broker: Broker) -> None:
        await until(lambda: subscribed(broker))
        broker.deaf = True  # as if we died between storing and acknowledging
        broker.publish("sz/rain-1/rain", rain_message(0))
        await until(Observation.objects.exists, in_database=True)
        broker.drop_lines()
        broker.deaf = False
        await until(lambda: broker.connects >= 2 and not broker.unacknowledged())

    assert listened(scene).connects == 2
    assert Observation.objects.count() == 1


def test_what_could_not_be_stored_is_not_acknowledged_and_not_lost(gauges: Feed) -> None:
    async def scene(broker: Broker) -> None:
        await until(lambda: subscribed(broker))
        await asyncio.to_thread(apart, lambda: Source.objects.update(key="elsewhere"))
        broker.publish("sz/rain-1/rain", rain_message(0))
        await until(lambda: broker.connects >= 3)  # it lets go of the line and tries again
        assert broker.unacknowledged() == 1
        await asyncio.to_thread(apart, lambda: Source.objects.update(key="broker"))
        await until(lambda: not broker.unacknowledged())

    listened(scene)
    assert Observation.objects.count() == 1


def test_a_broker_that_goes_away_is_a_fault_until_it_is_back(gauges: Feed) -> None:
    async def scene(broker: Broker) -> None:
        await until(lambda: subscribed(broker))
        port = broker.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        broker.close()
        await until(Source.objects.filter(failures__gte=2).exists, in_database=True)
        fault = await asyncio.to_thread(apart, lambda: Source.objects.get().fault)
        assert "the line to the broker broke" in fault
        assert "消息服务器" in fault
        await broker.open(port)
        await until(lambda: subscribed(broker))
        broker.publish("sz/rain-1/rain", rain_message(0))
        await until(lambda: not broker.unacknowledged())

    listened(scene)
    source = Source.objects.get()
    assert (source.failures, source.fault) == (0, "")


def test_who_is_not_let_in_or_may_not_subscribe_says_so(
    gauges: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_BROKER", "wrong")

    async def scene(broker: Broker) -> None:
        await until(Source.objects.filter(fault__icontains="authori").exists, in_database=True)
        broker.users["ann"] = "wrong"
        await until(
            Source.objects.filter(fault__contains="not allowed to subscribe").exists, in_database=True
        )
        broker.refused.clear()
        await until(Source.objects.filter(failures=0).exists, in_database=True)

    broker = Broker(users={"ann": "hush"}, refused={"sz/+/rain"})
    listened(scene, broker, mapping={"topics": TOPICS, "user": "ann"}, secret_env="SOURCE_BROKER")


# What messages say


def stored(*messages: tuple[str, bytes], mapping: dict[str, Any] | None = None) -> list[dict[str, str]]:
    """Store messages without a broker; returns the rejections."""
    source = make_source(mapping=mapping or {"topics": TOPICS})
    batch = [
        aiomqtt.Message(topic, payload, 1, False, n, None) for n, (topic, payload) in enumerate(messages)
    ]
    store_all("broker", line_of(source), batch, NOW)
    return [row for post in FeedPost.objects.order_by("id") for row in post.answer["rejected"]]


BAD = {
    "no JSON": ("sz/rain-1/rain", b"\xff\x00{", "payload is not JSON"),
    "no field": ("sz/rain-1/rain", b'{"tm": "2026-09-07T12:00:00Z"}', "none of drp"),
    "no time": ("sz/rain-1/rain", b'{"drp": 1, "tm": "yesterday"}', "time tm 'yesterday' is not ISO 8601"),
    "no element": ("sz/rain-1/XX/now", b'{"value": 1}', "element 'XX' is not mapped"),
    "no topic": ("other/rain-1", b"{}", "no topic of the mapping matches"),
}  # fmt: skip


@pytest.mark.parametrize(("topic", "payload", "why"), BAD.values(), ids=BAD)
def test_a_bad_message_is_kept_and_counted_with_topic_and_reason_and_loses_no_good_one(
    city: Any, feed: Feed, topic: str, payload: bytes, why: str
) -> None:
    (rejected,) = stored((topic, payload), ("sz/rain-1/rain", rain_message(0)))
    assert (rejected["index"], rejected["code"]) == (0, "unreadable")
    assert f"{topic}: {why}" in rejected["en"]
    assert Observation.objects.count() == 1
    assert why in Source.objects.get().fault
    (row, _) = orjson.loads(bytes(FeedPost.objects.get().body))["readings"]
    assert row["payload"]


def test_a_message_that_breaks_the_rest_is_kept_and_the_others_are_stored(
    city: Any, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_on_poison(feed: Feed, body: bytes, now: datetime) -> ingest.Answer:
        if b'"value":13' in body:
            raise ZeroDivisionError
        return take_readings(feed, body, now)

    monkeypatch.setattr(mqtt, "take_readings", break_on_poison)
    messages = [("sz/rain-1/rain", rain_message(minute, mm)) for minute, mm in enumerate((1, 2, 13, 4, 5))]
    (rejected,) = stored(*messages)
    assert "sz/rain-1/rain: our own fault: ZeroDivisionError" in rejected["en"]
    assert sorted(Observation.objects.values_list("value", flat=True)) == [1, 2, 4, 5]


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tm", "drp", "value"]), inner)
    ),
    max_leaves=6,
)


@given(payload=st.binary(max_size=40) | _json.map(lambda content: json.dumps(content).encode()))
@example(payload=b'"INF"')
@example(payload=b"1.7e308")
def test_every_payload_becomes_rows_or_a_reason(payload: bytes) -> None:
    line = line_of(Source(key="broker", address="mqtt://127.0.0.1", mapping={"topics": TOPICS}))
    for topic in ("sz/a/rain", "sz/a/Z/now"):
        for row in rows_in(line, aiomqtt.Message(topic, payload, 1, False, 1, None), NOW):
            assert orjson.loads(orjson.dumps(row)) == row
            assert "unreadable" in row or {"station", "element", "observed_at", "value"} <= set(row)


@pytest.mark.parametrize(
    ("pattern", "topic", "named"),
    [
        ("sz/{station}/rain", "sz/a/rain", {"station": "a"}),
        ("sz/{station}/rain", "sz/a/b/rain", None),
        ("sz/+/{element}/#", "sz/x/Z/now/raw", {"element": "Z"}),
        ("sz/+/{element}/#", "sz/x/Z", {"element": "Z"}),
        ("a.c/#", "abc/d", None),
        ("#", "any/thing", {}),
    ],
)
def test_a_pattern_names_what_stands_in_a_topic(
    pattern: str, topic: str, named: dict[str, str] | None
) -> None:
    shape = {"values": {"drp": "rain_mm"}}
    source = Source(key="b", address="mqtt://127.0.0.1", mapping={"topics": {pattern: shape}})
    found = line_of(source).topics[0].named.fullmatch(topic)
    assert (found and found.groupdict()) == named


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"address": "http://127.0.0.1"}, "address must be mqtt"),
        ({"address": "mqtt://ann:hush@127.0.0.1"}, "without user or password"),
        ({"mapping": {}}, "mapping.topics must say which topics"),
        ({"mapping": {"topics": {"a/b#": {}}}}, "the topic a/b# is wrong"),
        ({"mapping": {"topics": {"{station}/{station}": {}}}}, "is wrong"),
        ({"mapping": {"topics": {"a": {"values": {"x": "snow"}}}}}, "mapping.topics.a.values.x.element must be one of"),
        ({"mapping": {"topics": {"a": {}}}}, "topics.a.values is needed"),
        ({"mapping": {"topics": {"a": {"colour": 1}}}}, "topics.a.colour is not known"),
        ({"secret_env": "SOURCE_NOWHERE"}, "SOURCE_NOWHERE is not set"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_when_the_command_starts(
    city: Any, feed: Feed, fields: dict[str, Any], why: str
) -> None:
    make_source(**fields)
    with pytest.raises(CommandError) as error:
        call_command("listen_mqtt", "broker")
    assert why in str(error.value)
    assert "hush" not in str(error.value)


def test_the_command_wants_an_enabled_source(city: Any, feed: Feed) -> None:
    make_source(enabled=False)
    with pytest.raises(CommandError, match="no enabled MQTT source 'broker'"):
        call_command("listen_mqtt", "broker")


def test_killed_and_started_again_the_command_gets_what_came_meanwhile(gauges: Feed) -> None:
    name = connections["default"].settings_dict["NAME"]
    command = (
        "import django; django.setup()\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {name!r}\n"
        "from django.core.management import call_command\n"
        "call_command('listen_mqtt', 'broker')"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "backend.settings"}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )

    async def scene() -> None:
        broker = Broker()
        port = await broker.open()
        await asyncio.to_thread(apart, lambda: make_source(port))
        listener = start()
        try:
            await until(lambda: subscribed(broker))
            broker.deaf = True
            broker.publish("sz/rain-1/rain", rain_message(1))
            await until(Observation.objects.exists, in_database=True)
            listener.send_signal(signal.SIGKILL)
            await asyncio.to_thread(listener.wait)
            await until(lambda: not subscribed(broker))
            broker.deaf = False
            broker.publish("sz/rain-1/rain", rain_message(0))
            listener = start()
            await until(lambda: broker.connects == 2 and not broker.unacknowledged())
            listener.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(listener.wait, 30) == 0
        finally:
            listener.kill()
            broker.close()

    asyncio.run(scene())
    assert Observation.objects.count() == 2
