"""SL 651 lines on loopback and PostgreSQL: kept, confirmed, read into observations or quarantined with a reason."""

import asyncio
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections

from foundation.clock import now
from hydrology.feeds import questions
from hydrology.feeds.sl651_line import NOISE_BYTES, Listener
from hydrology.feeds.telegrams import forget_old, keep, read_again, take_up
from hydrology.models import (
    Feed,
    FeedPost,
    Latest,
    Observation,
    PostKind,
    Question,
    Rtu,
    StationKind,
    Telegram,
    Verdict,
)
from hydrology.science.readings import Element
from hydrology.science.sl651 import Direction, End, Frame, Function, Packet, Receiver, crc16, encode
from hydrology.science.sl651_elements import decode
from hydrology.science.sl651_fields import digits_of
from hydrology.science.sl651_talk import confirm, period, set_clock
from hydrology.science.sl651_water import water_of
from tests.hydrology.factories import make_feed, make_regions, make_reservoir, make_station

VECTORS = [
    bytes.fromhex(line)
    for line in (Path(__file__).parent / "sl651_vectors.txt").read_text().splitlines()
    if line.startswith("  ")
]
UNIFORM, HOURLY, EVENT, TIDE, HEARTBEAT, STAY, HANG_UP, _, FIRST, SECOND, DONE, ASCII = VECTORS
NOW = datetime(2023, 9, 7, 14, 0, 6, tzinfo=UTC)  # as in the vectors' confirmations
RESERVOIR, GAUGE = "44030021", "4403030001"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame_of(raw: bytes) -> Frame:
    (frame,) = Receiver().feed(raw)
    assert isinstance(frame, Frame)
    return frame


def said(text: str, function: int = Function.TIMED, rtu: str = "0044030021") -> Frame:
    raw = bytes.fromhex("0001 230907220000" + text)
    frame = replace(frame_of(HOURLY), rtu=rtu, function=function, text=raw)
    return frame_of(encode(frame))


@pytest.fixture
def gauges(db: None) -> Feed:
    make_regions()
    make_reservoir(RESERVOIR, "440303001")
    make_station(GAUGE, StationKind.RAIN, "440303002")
    return make_feed("telemetry")


def taken(*frames: Frame | bytes) -> list[Telegram]:
    for frame in frames:
        keep("telemetry", "10.0.0.1", frame if isinstance(frame, Frame) else frame_of(frame), NOW)
    take_up(now=NOW)
    return list(Telegram.objects.order_by("id"))


# Telegrams


def test_hourly_report_becomes_twelve_slots_of_rain_and_a_stage(gauges: Feed) -> None:
    (telegram,) = taken(HOURLY)
    assert (telegram.verdict, telegram.reason, telegram.rtu) == (Verdict.STORED, "", "0044030021")
    rain = Observation.objects.filter(station=RESERVOIR, element=Element.RAIN).order_by("observed_at")
    assert [row.value for row in rain] == [8.5, 11.2, 13.4, 15.1, 15.8, 12.1, 9.8, 7.6, 6.4, 5.5, 4.3, 3.0]
    assert {row.duration_s for row in rain} == {300}
    assert rain[11].observed_at == datetime(2023, 9, 7, 14, 0, tzinfo=UTC)
    stage = Latest.objects.get(station=RESERVOIR, element=Element.STAGE)
    assert (stage.value, stage.observed_at) == (26.435, rain[11].observed_at)


def test_a_repeated_report_with_a_new_serial_stores_nothing_twice(gauges: Feed) -> None:
    again = frame_of(HOURLY)
    again = replace(again, text=b"\x00\x67" + again.text[2:])
    telegrams = taken(HOURLY, frame_of(encode(again)))
    assert [telegram.verdict for telegram in telegrams] == [Verdict.STORED, Verdict.STORED]
    assert Observation.objects.count() == 13


def test_uniform_event_and_ascii_reports_are_rain_of_the_same_gauge(gauges: Feed) -> None:
    telegrams = taken(UNIFORM, EVENT, ASCII)
    assert {telegram.verdict for telegram in telegrams} == {Verdict.STORED}
    rows = (
        Observation.objects.filter(station=GAUGE)
        .order_by("observed_at", "revision")
        .values_list("observed_at", "value")
    )
    assert [(f"{at:%H%M}", value) for at, value in rows] == [
        ("1305", 8.5), ("1310", 11.2), ("1315", 13.4), ("1315", 15.8), ("1325", 15.8), ("1330", 12.1), ("1400", 15.8),
    ]  # fmt: skip  # the event report says 15.8 where the uniform one says 13.4: a correction


def test_a_test_report_reaches_no_live_table(gauges: Feed) -> None:
    (telegram,) = taken(frame_of(encode(replace(frame_of(HOURLY), function=Function.TEST))))
    assert telegram.verdict == Verdict.TEST
    assert not Observation.objects.exists()


def test_a_report_without_rain_or_stage_is_read_and_says_nothing(gauges: Feed) -> None:
    (telegram,) = taken(said("F1F1 0044030021 4B F0F0 2309072200 3812 1250"))
    assert (telegram.verdict, telegram.reason) == (Verdict.NOTHING, "")


def test_an_unknown_station_is_quarantined_and_taken_once_it_is_registered(gauges: Feed) -> None:
    unknown = said("F1F1 4403030007 50 F0F0 2309072200 2219 000085", rtu="4403030007")
    (telegram,) = taken(unknown)
    assert (telegram.verdict, telegram.reason) == (
        Verdict.QUARANTINED, "station 4403030007 is not in the register",
    )  # fmt: skip
    make_station("4403030007", StationKind.RAIN, "440303001")
    assert read_again([telegram.pk], now=NOW) == 1
    telegram.refresh_from_db()
    assert telegram.verdict == Verdict.STORED
    assert Observation.objects.get().value == 8.5


def test_a_feed_with_a_list_takes_its_stations_only_and_reads_again_once_one_is_listed(gauges: Feed) -> None:
    rtu = frame_of(HOURLY).rtu
    Rtu.objects.create(feed=gauges, address="4403999999", station_id=GAUGE)
    (stranger,) = taken(HOURLY)
    assert (stranger.verdict, stranger.reason) == (
        Verdict.QUARANTINED,
        f"station {rtu} is not on the list of this feed",
    )
    Rtu.objects.create(feed=gauges, address=rtu, station_id=RESERVOIR)
    read_again([stranger.pk], now=NOW)
    stranger.refresh_from_db()
    assert stranger.verdict == Verdict.STORED
    assert set(Observation.objects.values_list("station", flat=True)) == {RESERVOIR}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"password": 0x9999}, "another password"),
        ({"network": "10.9.0.0/16"}, "from 10.0.0.1, not from 10.9.0.0/16"),
    ],
)
def test_a_listed_station_with_a_wrong_password_or_from_elsewhere_is_quarantined(
    gauges: Feed, fields: dict[str, object], why: str
) -> None:
    Rtu.objects.create(feed=gauges, address=frame_of(HOURLY).rtu, station_id=RESERVOIR, **fields)
    (telegram,) = taken(HOURLY)
    assert telegram.verdict == Verdict.QUARANTINED
    assert why in telegram.reason
    assert not Observation.objects.exists()


def test_relative_stages_stand_on_the_base_value_of_the_list(gauges: Feed) -> None:
    Rtu.objects.create(feed=gauges, address="0044030021", station_id=RESERVOIR, base_stage_m=24.5)
    slots = "000C 0019" + "FFFF" * 10
    (telegram,) = taken(said("F1F10044030021 4B F0F02309072105 F5C0" + slots, Function.HOURLY))
    assert telegram.verdict == Verdict.STORED
    stages = Observation.objects.filter(element=Element.STAGE).order_by("observed_at")
    assert list(stages.values_list("value", flat=True)) == [24.62, 24.75]


def test_what_cannot_be_read_keeps_the_rest_and_says_where(gauges: Feed) -> None:
    (telegram,) = taken(said("F1F1 0044030021 4B F0F0 2309072200 3B23 00026435 2219 0000"))
    assert telegram.verdict == Verdict.PARTLY
    assert telegram.reason == "PN05 at byte 29: needs 3 bytes, 2 are left (station)"
    assert Observation.objects.get().value == 26.435


def test_a_station_that_says_its_stage_meter_failed_is_doubted_and_its_status_told(gauges: Feed) -> None:
    sick, well = taken(
        said("F1F1 0044030021 4B F0F0 2309072155 3B23 00026435 2219 000012 4520 00000042"),
        said("F1F1 0044030021 4B F0F0 2309072200 3B23 00026440 4520 00000080"),
    )
    assert (sick.verdict, sick.reason) == (
        Verdict.STORED, "station 0044030021 status: battery_low, stage_meter_failed",
    )  # fmt: skip
    assert well.reason == "station 0044030021 status: box_door_closed"
    rows = Observation.objects.order_by("element", "observed_at").values_list("element", "quality", "why")
    assert list(rows) == [
        ("rain_mm", 0, ""), ("stage_m", 1, "source: status: stage_meter_failed"), ("stage_m", 0, ""),
    ]  # fmt: skip


def test_a_lost_clock_takes_the_whole_report_with_it(gauges: Feed) -> None:
    lost = frame_of(HOURLY)
    lost = replace(lost, text=lost.text[:2] + bytes.fromhex("591011155111") + lost.text[8:])
    (telegram,) = taken(frame_of(encode(lost)))
    assert telegram.verdict == Verdict.QUARANTINED
    assert "clock is lost, it says 591011155111" in telegram.reason
    assert not Observation.objects.exists()


def test_telegrams_are_forgotten_after_their_days(gauges: Feed) -> None:
    taken(HOURLY)
    assert forget_old(now=NOW + timedelta(days=29), keep_days=30) == 0
    assert forget_old(now=NOW + timedelta(days=31), keep_days=30) == 1


def test_an_engineer_lists_what_was_not_taken_and_reads_it_again(gauges: Feed) -> None:
    (telegram, _) = taken(said("F1F1 4403030007 50 F0F0 2309072200 2219 000085"), HOURLY)
    listed = StringIO()
    call_command("telegrams", stdout=listed)
    assert f"{telegram.pk} 2023-09-07T22:00:06+08:00 10.0.0.1" in listed.getvalue()
    assert bytes(telegram.raw).hex().upper() in listed.getvalue()
    assert listed.getvalue().count("not in the register") == 1
    make_station("4403030007", StationKind.RAIN, "440303001")
    again = StringIO()
    call_command("telegrams", again=[telegram.pk], stdout=again)
    assert " stored: " in again.getvalue()


# Which elements are water


def water(text: str) -> tuple[dict[str, float], tuple[str, ...]]:
    found = water_of(decode(said(text)), {"0044030021": RESERVOIR}, NOW, {})
    return {
        f"{reading.element} {reading.observed_at:%H%M}": reading.value for reading in found.readings
    }, found.left_out


PLACE = "F1F1 0044030021 4B F0F0 2309072200"


def test_relative_stages_take_their_base_from_the_true_one() -> None:
    values, left_out = water(
        "F1F1 0044030021 4B F0F0 2309072105 F5C0 000C001C"
        + "FFFF" * 9
        + "0031"
        + "F0F0 2309072200 3923 00010490"
    )
    assert values == {"stage_m 1305": 10.12, "stage_m 1310": 10.28, "stage_m 1400": 10.49}
    assert left_out == ()


def test_relative_stages_without_a_true_one_are_left_out() -> None:
    assert water("F1F1 0044030021 4B F0F0 2309072105 F5C0" + "0010" * 12) == ({}, ("DRZ1 has no base value",))


def test_upstream_stage_stands_before_the_other_and_totals_are_not_slots() -> None:
    values, left_out = water(f"{PLACE} 3923 00010490 3B23 00026435 1A19 000954 2019 001875 2619 012345")
    assert (values, left_out) == ({"stage_m 1400": 26.435}, ())


def test_missing_values_are_no_readings() -> None:
    assert water(f"{PLACE} 3B23 AAAAAAAA 2219 FFFFFF") == ({}, ())


def test_rain_off_the_slots_and_from_the_future_is_left_out() -> None:
    assert water("F1F1 0044030021 4B F0F0 2309072157 2219 000010") == (
        {}, ("PN05 does not end on whole 5 minutes",),
    )  # fmt: skip
    assert water("F1F1 0044030021 4B F0F0 2309072210 2219 000010") == ({}, ("PN05 is ahead of our clock",))
    assert water(f"{PLACE} 0418 000100 2219 000010") == (
        {}, ("PN05 every 3600 s is not a sum of 5 minutes each",),
    )  # fmt: skip


def test_running_totals_five_minutes_apart_are_rain(gauges: Feed) -> None:
    def total(minute: str, digits: str) -> Frame:
        return said(f"F1F1 0044030021 50 F0F0 23090721{minute} 2619 {digits}", Function.TIMED)

    telegrams = taken(
        total("00", "002345"), total("05", "002360"), total("07", "002370"), total("10", "002380")
    )
    assert [telegram.verdict for telegram in telegrams] == ["nothing", "stored", "nothing", "stored"]
    assert list(Observation.objects.order_by("observed_at").values_list("value", "duration_s")) == [
        (1.5, 300),
        (2.0, 300),
    ]
    *_, after_a_gap, exchanged, late = taken(
        total("25", "002500"), total("30", "000010"), total("15", "002390")
    )
    assert (after_a_gap.verdict, late.verdict) == ("nothing", "nothing")
    assert exchanged.reason == "PT: the counter was reset or exchanged, 250.0 to 1.0 mm"
    taken(total("35", "000015"))
    assert Observation.objects.order_by("observed_at").last().value == 0.5  # type: ignore[union-attr]


def test_slots_count_before_the_running_total(gauges: Feed) -> None:
    taken(
        said("F1F1 0044030021 50 F0F0 2309072155 2619 002345"),
        said("F1F1 0044030021 50 F0F0 2309072200 2219 000012 2619 002360"),
    )
    assert [row.value for row in Observation.objects.all()] == [1.2]


def test_a_batch_is_one_post_and_each_telegram_hears_its_own_reasons(gauges: Feed) -> None:
    other = said("F1F1 0044030021 4B F0F0 2309072200 2219 000085")
    keep("telemetry", "10.0.0.1", other, NOW)
    hour = replace(
        frame_of(UNIFORM),
        text=bytes.fromhex(f"0001 230907220000 F1F1 {GAUGE} 50 F0F0 2309072205 2219 000085"),
    )
    ahead = NOW + timedelta(seconds=1)
    keep("telemetry", "10.0.0.1", frame_of(encode(hour)), ahead)
    take_up(now=NOW - timedelta(minutes=10))  # our clock was set back since: ingest itself refuses them
    assert [row.reason.count("minutes ahead") for row in Telegram.objects.all()] == [1, 1]
    read_again(Telegram.objects.values_list("pk", flat=True), now=ahead)
    assert {row.verdict for row in Telegram.objects.all()} == {Verdict.STORED}
    assert FeedPost.objects.count() == 2


# Lines


def talked(
    talk: Talk, at: datetime = NOW, made: Callable[[Listener], None] = lambda _: None, **fields: object
) -> None:
    """Open a line on loopback, talk, and wait until the centre has closed it too."""

    async def scenario() -> None:
        networks = fields.pop("allowed", [ip_network("127.0.0.0/8")])
        listener = Listener("telemetry", networks, lambda: at, **fields)  # type: ignore[arg-type]
        made(listener)
        server = await listener.open("127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            await talk(reader, writer)
            if writer.can_write_eof():
                writer.write_eof()
            with suppress(ConnectionError):  # closed with bytes still unread
                assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    asyncio.run(scenario())


def asked_on_the_line(talk: Talk) -> None:
    """As `talked`, with the listener asking all the while."""

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (listener,) = listeners
        while not listener.heard:
            await asyncio.sleep(0.01)
        await listener.ask()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.gather(talk(reader, writer), asking(reader, writer))

    listeners: list[Listener] = []
    talked(both, made=listeners.append)


def in_thread(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    finally:
        connections.close_all()


async def answer(reader: asyncio.StreamReader) -> Frame:
    receiver = Receiver()
    while True:
        events = receiver.feed(await asyncio.wait_for(reader.readexactly(1), 20))
        for event in events:
            assert isinstance(event, Frame)
            return event


@pytest.fixture
def kept_gauges(transactional_db: None) -> Feed:
    make_regions()
    make_reservoir(RESERVOIR, "440303001")
    make_station(GAUGE, StationKind.RAIN, "440303002")
    return make_feed("telemetry")


@pytest.mark.parametrize(("hang_up", "vector"), [(False, STAY), (True, HANG_UP)])
def test_a_report_is_kept_and_confirmed_before_anybody_reads_it(
    kept_gauges: Feed, hang_up: bool, vector: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HOURLY)
        assert encode(await answer(reader)) == vector

    talked(talk, hang_up=hang_up)
    telegram = Telegram.objects.get()
    assert (telegram.verdict, bytes(telegram.raw), telegram.peer) == (Verdict.QUEUED, HOURLY, "127.0.0.1")
    assert not Observation.objects.exists()
    take_up(now=NOW)
    assert Observation.objects.count() == 13


def test_a_report_is_confirmed_while_the_table_of_observations_is_held(kept_gauges: Feed) -> None:
    """Storage of what reports say may take minutes; a station never waits for it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = asyncio.create_task(asyncio.to_thread(in_thread, lambda: bool(take_up(now=NOW))))
        writer.write(HOURLY)
        assert encode(await answer(reader)) == STAY
        assert not reading.done()
        holder.execute("ROLLBACK")
        assert await reading

    keep("telemetry", "10.0.0.1", frame_of(EVENT), NOW)
    url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    holder = psycopg.connect(url, autocommit=True)
    with holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE hydrology_observation IN ACCESS EXCLUSIVE MODE")
        talked(talk)
    assert Observation.objects.exists()


def test_packets_are_asked_for_again_and_confirmed_once(kept_gauges: Feed) -> None:
    third = frame_of(SECOND)
    lost = encode(replace(frame_of(FIRST), packet=Packet(3, 1)))
    middle = encode(replace(third, packet=Packet(3, 2), end=End.ETB, text=bytes.fromhex("0062")))
    last = encode(replace(third, packet=Packet(3, 3), text=third.text[2:]))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(lost + last)
        asked = await answer(reader)
        assert (asked.end, asked.packet) == (End.NAK, Packet(3, 2))
        writer.write(middle)
        done = await answer(reader)
        assert (done.end, done.packet, done.serial) == (End.ESC, Packet(3, 3), 0x69)

    talked(talk, at=NOW + timedelta(minutes=90))
    take_up(now=NOW + timedelta(minutes=90))
    assert Telegram.objects.get().verdict == Verdict.STORED
    assert Observation.objects.count() == 12


def test_heartbeats_get_no_answer_and_a_drifted_clock_gets_two_commands(kept_gauges: Feed) -> None:
    late = NOW + timedelta(minutes=10)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEARTBEAT * 3 + HOURLY)
        assert [await answer(reader) for _ in range(2)] == [set_clock(frame_of(HEARTBEAT), late)] * 2
        assert await answer(reader) == confirm(frame_of(HOURLY), late, End.ESC)
        assert await answer(reader) == set_clock(frame_of(HOURLY), late)

    talked(talk, at=late)
    assert Telegram.objects.count() == 1


def test_a_status_is_kept_but_not_confirmed(kept_gauges: Feed) -> None:
    status = said("F1F1 0044030021 4520 00000400", Function.STATUS)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(status.raw + HOURLY)
        assert encode(await answer(reader)) == STAY

    talked(talk)
    assert [row.function for row in Telegram.objects.order_by("id")] == [Function.STATUS, Function.HOURLY]


def test_noise_is_quarantined_and_the_frame_behind_it_confirmed(kept_gauges: Feed) -> None:
    broken = EVENT[:20] + b"\x00" + EVENT[21:]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(broken + HOURLY)
        assert encode(await answer(reader)) == STAY

    talked(talk)
    noise = Telegram.objects.doubtful().get()
    assert (bytes(noise.raw), noise.handled_at) == (broken, NOW)
    assert noise.reason.startswith("crc: ")
    assert f"{crc16(broken[:-2]):04X}" in noise.reason


def test_half_a_frame_is_quarantined_when_the_station_falls_silent(kept_gauges: Feed) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HOURLY[:50])
        while not await asyncio.to_thread(in_thread, Telegram.objects.doubtful().exists):
            await asyncio.sleep(0.05)
        writer.write(HOURLY)
        assert encode(await answer(reader)) == STAY

    talked(talk, silence_s=0.1)
    assert "cut short" in Telegram.objects.doubtful().get().reason


def test_a_line_that_only_makes_noise_is_closed(kept_gauges: Feed) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x55" * (2 * NOISE_BYTES))

    talked(talk)
    kept = sum(len(row.raw) for row in Telegram.objects.doubtful())
    assert NOISE_BYTES < kept < 2 * NOISE_BYTES


@pytest.mark.parametrize(
    "fields", [{"allowed": [ip_network("10.0.0.0/8")]}, {"most_lines": 0}, {"most_of_one_peer": 0}]
)
def test_strangers_and_too_many_are_not_let_in(kept_gauges: Feed, fields: dict[str, object]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await asyncio.wait_for(reader.read(), 20) == b""

    talked(talk, **fields)
    assert not Telegram.objects.exists()


def test_what_could_not_be_kept_is_not_confirmed(kept_gauges: Feed) -> None:
    kept_gauges.delete()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HOURLY)
        assert await asyncio.wait_for(reader.read(), 20) == b""

    talked(talk)
    assert not Telegram.objects.exists()


def test_a_frame_of_a_centre_is_no_report(kept_gauges: Feed) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STAY)

    talked(talk)
    telegram = Telegram.objects.get()
    read_again([telegram.pk], now=NOW)
    assert Telegram.objects.get().verdict == Verdict.QUARANTINED
    assert frame_of(bytes(telegram.raw)).direction is Direction.DOWN


# Questions


def answer_to(asked: Frame, text: str) -> Frame:
    """What a station says to a question: its own serial and time, then the data."""
    up = replace(
        asked, direction=Direction.UP, end=End.ETX, text=bytes.fromhex("0009 230907220003" + text), raw=b""
    )
    return frame_of(encode(up))


def test_a_station_on_the_line_is_asked_and_its_answer_fills_the_gap(kept_gauges: Feed) -> None:
    since = datetime(2023, 9, 7, 12, tzinfo=UTC)
    wanted = period(since, since + timedelta(hours=1), "rain")
    questions.ask("telemetry", "0044030021", Function.PERIOD, wanted, NOW)
    questions.ask("telemetry", "4403FFFF01", Function.REALTIME, b"", NOW)  # is not on the line

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(replace(frame_of(HEARTBEAT), rtu="0044030021")))
        asked = await answer(reader)
        assert (asked.function, asked.serial, asked.end) == (Function.PERIOD, 0, End.ENQ)
        assert asked.text[8:].hex() == "2309072023090721" + "0418000005f460"
        answered = answer_to(asked, "F1F1 0044030021 4B F0F0 2309072005 0418 000005 F460" + "05" * 12)
        writer.write(answered.raw)

    asked_on_the_line(talk)
    take_up(now=NOW)
    rain = Observation.objects.filter(station=RESERVOIR, element=Element.RAIN)
    assert [row.value for row in rain] == [0.5] * 12
    assert [questions.state(row, NOW) for row in Question.objects.order_by("id")] == [
        "answered 已答", "waiting 待问",
    ]  # fmt: skip


def test_a_silent_station_is_asked_three_times_and_an_answer_may_still_come(kept_gauges: Feed) -> None:
    asked = questions.ask("telemetry", "0044030021", Function.REALTIME, b"", NOW)

    def sent(seconds: int) -> list[Question]:
        return questions.due("telemetry", ["0044030021"], NOW + timedelta(seconds=seconds))

    assert [len(sent(s)) for s in (0, 9, 10, 20, 29, 30, 60)] == [1, 0, 1, 1, 0, 0, 0]
    asked.refresh_from_db()
    assert questions.state(asked, NOW + timedelta(seconds=30)) == "silent 未答"
    late = said("F1F1 0044030021 4B F0F0 2309072200 3B23 00026435", Function.REALTIME)
    keep("telemetry", "10.0.0.1", late, NOW + timedelta(minutes=1))
    asked.refresh_from_db()
    assert questions.state(asked, NOW + timedelta(minutes=1)) == "answered 已答"


def test_one_question_at_a_time_and_none_for_a_station_that_stays_away(kept_gauges: Feed) -> None:
    for _ in range(2):
        questions.ask("telemetry", "0044030021", Function.REALTIME, b"", NOW)
    assert len(questions.due("telemetry", ["0044030021", "4403030001"], NOW)) == 1
    day = timedelta(days=1, seconds=1)
    assert questions.due("telemetry", ["0044030021"], NOW + day) == []
    assert {questions.state(row, NOW + day) for row in Question.objects.all()} == {"never heard 未上线"}
    assert questions.forget_old(now=NOW + timedelta(days=31), keep_days=30) == 2


def test_an_engineer_asks_and_sees_what_became_of_it(gauges: Feed) -> None:
    said_back = StringIO()
    hours = {"since": "2023-09-07T20:00+08:00", "until": "2023-09-07T21:00+08:00"}
    call_command("ask_sl651", "telemetry", "0044030021", series="rain", **hours, stdout=said_back)
    assert "0044030021 38 23090720230907210418000005F460 waiting" in said_back.getvalue()


@pytest.mark.parametrize(
    ("arguments", "fields", "why"),
    [
        (["nobody"], {}, "no feed 'nobody'"),
        (["telemetry", "44030"], {}, "rtu '44030' is not 10 characters"),
        (["telemetry", "0044030021"], {"series": "rain"}, "--from wants a whole hour"),
        (
            ["telemetry", "0044030021"],
            {"series": "rain", "since": "2023-09-07T20:00+08:00", "until": "2023-09-07T20:30+08:00"},
            "--to wants a whole hour",
        ),
        (
            ["telemetry", "0044030021"],
            {"series": "rain", "since": "2023-09-07T21:00+08:00", "until": "2023-09-07T20:00+08:00"},
            "--from must lie before --to",
        ),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(
    gauges: Feed, arguments: list[str], fields: dict[str, str], why: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(why)):
        call_command("ask_sl651", *arguments, **fields, stdout=StringIO())


# The command


def test_the_command_keeps_confirms_and_reads_until_it_is_ended(kept_gauges: Feed) -> None:
    keep("telemetry", "10.0.0.1", frame_of(HOURLY), NOW)  # left from before a restart
    sent = digits_of(now())
    minute = f"{sent[:9]}{'5' if sent[9] >= '5' else '0'}"
    text = bytes.fromhex(f"0002 {sent} F1F1 {GAUGE} 50 F0F0 {minute} 2219 000015")
    report = encode(replace(frame_of(HOURLY), rtu=GAUGE, function=Function.EVENT, text=text))
    said, heard = StringIO(), []

    def station() -> None:
        port = None
        try:
            deadline = time.monotonic() + 30
            while not (port := re.search(r", (\d+)\)", said.getvalue())) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert port
            with socket.create_connection(("127.0.0.1", int(port[1])), timeout=20) as line:
                line.sendall(report)
                heard.extend(Receiver().feed(line.recv(4096)))
            while Telegram.objects.queued().exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            connections.close_all()
            if port:  # then the command is there to be ended
                os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=station)
    visitor.start()
    call_command("listen_sl651", port=0, stdout=said)  # the only feed that can be meant
    visitor.join()
    assert [(answer.end, answer.serial) for answer in heard] == [(End.ESC, 2)]
    assert [row.verdict for row in Telegram.objects.order_by("id")] == [Verdict.STORED, Verdict.STORED]
    assert Observation.objects.get(station=GAUGE).value == 1.5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nobody"], "no enabled feed 'nobody'"),
        ([], "Name it (second, telemetry)"),
        (["telemetry", "--allow", "10.0.0"], "--allow wants a network"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(
    kept_gauges: Feed, arguments: list[str], why: str
) -> None:
    make_feed("second")
    make_feed("other", kinds=[PostKind.GRID])
    with pytest.raises(CommandError, match=re.escape(why)):
        call_command("listen_sl651", *arguments)


def test_the_list_of_stations_comes_from_a_file_after_a_dry_run(gauges: Feed, tmp_path: Path) -> None:
    file = tmp_path / "rtus.csv"
    file.write_text(
        "address,station,base_stage_m,password,network\n"
        f"0044030021,{RESERVOIR},24.5,1A2B,10.20.0.0/16\n"
        "4403FFFE01,,,,\n"
        "44030,nowhere,,,\n"
        f"4403030001,{GAUGE},high,,\n"
        "4403030002,nowhere,,,\n"
    )

    def told(*args: str) -> str:
        out, err = StringIO(), StringIO()
        call_command("rtus", "telemetry", *args, stdout=out, stderr=err)
        return out.getvalue() + err.getvalue()

    dry = told(str(file))
    assert "new 0044030021 44030021 base 24.5 m password 10.20.0.0/16" in dry
    assert "line 4, address: '44030' is not 10 characters" in dry
    assert "line 5, base_stage_m: 'high' is not a number" in dry
    assert "line 6, station: 'nowhere' is not in the register" in dry
    assert "2 would change; write with --apply, 0 as they were, 3 refused" in dry
    assert not Rtu.objects.exists()
    assert "2 written" in told(str(file), "--apply")
    assert Rtu.objects.get(address="0044030021").password == 0x1A2B
    assert "0 would change; write with --apply, 2 as they were" in told(str(file))
    assert "4403FFFE01 relay" in told()
    assert "1a2b" not in (dry + told()).lower()
