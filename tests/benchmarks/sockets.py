"""Officers' sockets on one uvicorn process: how fast they come, what they weigh, how long a broadcast takes.

`python -m tests.benchmarks.sockets [SOCKETS]` ends with one JSON line.
  sockets            opened, each another officer's device, with the topics inbox and levels:4403
  handshakes_per_s   from the first connect to the last welcome, 100 at a time, tickets issued beforehand
  kb_per_socket      growth of the server's resident memory / sockets
  broadcast_last_s   median over five hints on the wire: from the publish until the last socket has the whole frame
  ratio_to_group_send  null: channels' group_send is not measured beside it yet
The clients are raw frames (RFC 6455) in one other process on the same cores.
"""

import asyncio
import os
import struct
import sys
import time
import uuid

import orjson

from foundation.clock import iso, now
from foundation.scope import Scope
from foundation.wire import hint
from hydrology.models import Region
from officers.auth import Grant, issue_ticket
from officers.models import Device
from tests.benchmarks.stack import Busy, Stack, median, result, rss_kb, say, stack

SOCKETS = 2000
AT_ONCE = 100
BROADCASTS = 5
WITHIN_S = 60.0
TEXT, PONG = 0x1, 0xA
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
KEY = "x3JJHMbDL1EzLkh9GBhXDw=="  # any 16 bytes will do
PATH = "4403/"


def tickets(devices: list[tuple[int, int]]) -> list[str]:
    """One a device, good for a minute."""
    at = now()
    return [
        issue_ticket(Grant(officer, uuid.uuid4(), device, Scope(paths=(PATH,))), at)
        for device, officer in devices
    ]


async def joined(port: int, ticket: str) -> Line:
    """A socket that has been welcomed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY.encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise ConnectionError(head.decode())
    hello = {"type": "hello", "ticket": ticket, "since": 1 << 40, "topics": ["inbox", "levels:4403"]}
    writer.write(masked(orjson.dumps(hello)))
    welcome = await frame((reader, writer))
    if orjson.loads(welcome)["type"] != "welcome":
        raise ConnectionError(welcome.decode("utf-8", "replace"))
    return reader, writer


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One frame of a client, masked with zeros."""
    assert len(payload) < 1 << 16
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


async def frame(line: Line) -> bytes:
    """The next text of the server; its pings are answered, its close is a ConnectionError."""
    reader, writer = line
    while True:
        first, length = await reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(length)
        match first & 0x0F:
            case 0x1:
                return payload
            case 0x9:
                writer.write(masked(payload, PONG))
            case 0x8:
                raise ConnectionError(f"closed by the server: {payload[:2].hex()} {payload[2:]!r}")


async def broadcast_last_s(lines: list[Line], region: str) -> float:
    """One hint about one station; seconds until the last socket has its frame."""
    mark = uuid.uuid4().hex
    changes = {region: [{"station": mark, "level_m": 12.34, "status": "over", "quality": "good"}]}

    async def until_told(line: Line) -> float:
        while mark.encode() not in await frame(line):
            pass
        return time.perf_counter()

    async with asyncio.timeout(WITHIN_S):
        waiting = [asyncio.create_task(until_told(line)) for line in lines]
        await asyncio.sleep(0.2)
        began_s = time.perf_counter()
        await asyncio.to_thread(hint, "levels", as_of=iso(now()), changes=changes)
        return max(await asyncio.gather(*waiting)) - began_s


async def measure(on: Stack, web: int, devices: list[tuple[int, int]], region: str) -> dict[str, object]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(ticket: str) -> Line:
        async with gate:
            return await joined(on.port, ticket)

    first = await one(
        (await asyncio.to_thread(tickets, devices[:1]))[0]
    )  # pays for imports and the subscription
    issued = await asyncio.to_thread(tickets, devices[1:])
    before_kb, began_s = rss_kb(web), time.perf_counter()
    lines = await asyncio.gather(*(one(ticket) for ticket in issued))
    took_s, after_kb = time.perf_counter() - began_s, rss_kb(web)
    say(f"{len(lines)} sockets in {took_s:.1f} s, {(after_kb - before_kb) / len(lines):.1f} KB each")
    lasts_s = []
    for _ in range(BROADCASTS):
        lasts_s.append(await broadcast_last_s([first, *lines], region))
        say(f"broadcast {lasts_s[-1]:.3f} s")
    for _, writer in (first, *lines):
        writer.close()
    return {
        "sockets": len(lines) + 1,
        "broadcast_last_s": median(lasts_s),
        "kb_per_socket": round((after_kb - before_kb) / len(lines), 1),
        "handshakes_per_s": round(len(lines) / took_s, 1),
        "ratio_to_group_send": None,
    }


def main(count: int) -> None:
    with stack() as on:
        web = on.pids("web")[0]
        limit = os.sysconf("SC_OPEN_MAX")
        if limit < count + 200:
            sys.exit(f"{limit} open files are too few for {count} sockets: ulimit -n {count + 1000}")
        live = Device.objects.filter(retired_at=None).order_by("officer_id", "id").distinct("officer_id")
        devices = list(live.values_list("pk", "officer_id")[:count])
        region = Region.objects.filter(path__startswith=PATH, level="district").order_by("pk").first()
        assert region is not None
        with Busy(on) as busy:
            line = asyncio.run(measure(on, web, devices, region.path))
    result({**line, "others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SOCKETS)
