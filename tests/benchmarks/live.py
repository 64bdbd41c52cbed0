"""`live/levels` of the whole city on one uvicorn process, against an ordinary DRF list of the same rows.

`python -m tests.benchmarks.live [SECONDS]` ends with one JSON line; rates are medians over three turns.
  rps_304, rps_200   answers a second over 16 keep-alive connections, with and without If-None-Match
  p99_ms_at_300      p99 of 304 answers at 300 requests a second, counted from when each was due to be sent; null when
                     the machine did not keep that pace
  ratio_to_drf       rps_200 / the same of plain.py, in the same run
The load comes from this process, over raw HTTP/1.1, and takes its share of the same cores.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hydrology.models import Latest
from hydrology.science.readings import Element
from replay import player
from replay.storm_2023 import reconstruct_2023
from tests.benchmarks.fanout import sign_in
from tests.benchmarks.stack import ROOT, Busy, Stack, median, result, say, stack, wait_for

CONNECTIONS = 16
TURNS = 3
PACE_PER_S = 300
SECONDS = 4.0


class Line:
    """One keep-alive connection; answers are read whole."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port, self._request = port, request

    async def open(self) -> "Line":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self

    async def ask(self) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of one answer."""
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in head[1:-2])}
        if length := int(headers.get(b"content-length", b"0")):
            await self._reader.readexactly(length)
        elif headers.get(b"transfer-encoding") == b"chunked":
            while int((await self._reader.readline()).strip() or b"0", 16):
                await self._reader.readline()
            await self._reader.readline()
        return int(head[0].split()[1]), headers

    def close(self) -> None:
        self._writer.close()


def request(path: str, bearer: str, etag: str = "") -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {bearer}",
        "Accept-Encoding: gzip",
    ]
    lines += [f"If-None-Match: {etag}"] if etag else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def etag_of(port: int, path: str, bearer: str) -> str:
    line = await Line(port, request(path, bearer)).open()
    status, headers = await line.ask()
    line.close()
    assert status == 200, status
    return headers[b"etag"].decode()


async def rate(port: int, asked: bytes, seconds: float, wanted: int) -> float:
    """Answers a second, closed loop; raises AssertionError on another status than `wanted`."""
    until_s = time.perf_counter() + seconds

    async def one() -> int:
        line = await Line(port, asked).open()
        count = 0
        while time.perf_counter() < until_s:
            status, _ = await line.ask()
            # a snapshot renewed meanwhile has another ETag
            assert status in {wanted, 200}, status
            count += status == wanted
        line.close()
        return count

    began_s = time.perf_counter()
    counts = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - began_s)


async def paced_p99_ms(port: int, asked: bytes, seconds: float) -> float | None:
    """p99 in ms at PACE_PER_S, open loop: waiting for a free connection counts."""
    lines: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        lines.put_nowait(await Line(port, asked).open())
    took_ms: list[float] = []

    async def one(due_s: float) -> None:
        line = await lines.get()
        await line.ask()
        took_ms.append((time.perf_counter() - due_s) * 1000)
        lines.put_nowait(line)

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(PACE_PER_S * seconds)):
            due_s = began_s + number / PACE_PER_S
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            group.create_task(one(due_s))
    kept = len(took_ms) / (time.perf_counter() - began_s) > 0.95 * PACE_PER_S
    while not lines.empty():
        lines.get_nowait().close()
    return round(sorted(took_ms)[int(len(took_ms) * 0.99)], 1) if kept else None


@contextmanager
def plain_server() -> Iterator[int]:
    """The comparison on a port of its own, started like the product's web server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    serve = [sys.executable, "-m", "uvicorn", "tests.benchmarks.plain:application", "--port", str(port)]
    server = subprocess.Popen([*serve, "--log-level", "warning", "--no-access-log"], cwd=ROOT, env=os.environ)

    def listens() -> bool:
        with socket.socket() as line:
            return line.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listens, 60, "the comparison", 0.1)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def fill(on: Stack) -> None:
    """One reading of every level, through the feed's door."""
    storm = reconstruct_2023()
    door = player.Door(on.url, on.keys.feed_key, on.keys.feed_secret)
    player.play(storm, door, speed=0.0, say=say, limit=2)
    wait_for(lambda: Latest.objects.filter(element=Element.STAGE).count() >= 296, 30, "the levels")


async def measure(on: Stack, plain_port: int, seconds: float) -> dict[str, object]:
    bearer = await asyncio.to_thread(lambda: sign_in().drafter)
    path = "/api/v1/live/levels"
    turns: dict[str, list[float]] = {name: [] for name in ("rps_304", "rps_200", "drf_200", "drf_304")}
    p99s: list[float] = []
    for _ in range(TURNS):
        etag = await etag_of(on.port, path, bearer)
        turns["rps_304"].append(await rate(on.port, request(path, bearer, etag), seconds, 304))
        turns["rps_200"].append(await rate(on.port, request(path, bearer), seconds, 200))
        if (p99 := await paced_p99_ms(on.port, request(path, bearer, etag), seconds)) is not None:
            p99s.append(p99)
        etag = await etag_of(plain_port, "/levels", bearer)
        turns["drf_304"].append(await rate(plain_port, request("/levels", bearer, etag), seconds, 304))
        turns["drf_200"].append(await rate(plain_port, request("/levels", bearer), seconds, 200))
        say("  ".join(f"{name} {values[-1]:.0f}" for name, values in turns.items()) + f"  p99 {p99}")
    middle = {name: median(values, 1) or 0.0 for name, values in turns.items()}
    return {
        "rps_304": middle["rps_304"],
        "rps_200": middle["rps_200"],
        "p99_ms_at_300": median(p99s, 1),
        "ratio_to_drf": round(middle["rps_200"] / middle["drf_200"], 1),
        "ratio_304_to_drf_304": round(middle["rps_304"] / middle["drf_304"], 1),
        "drf_rps_200": middle["drf_200"],
    }


def main(seconds: float) -> None:
    with stack() as on:
        fill(on)
        with Busy(on) as busy, plain_server() as plain_port:
            line = asyncio.run(measure(on, plain_port, seconds))
    result({**line, "others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
