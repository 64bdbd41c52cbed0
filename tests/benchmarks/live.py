"""`live/levels` of the whole city on one uvicorn process, against an ordinary DRF list of the same rows.

`python -m tests.benchmarks.live [SECONDS]` ends with one JSON line; rates are medians over three turns.
  rps_304, rps_200   answers a second over 16 keep-alive connections, with and without If-None-Match
  p99_ms_at_300      p99 of 304 answers at 300 requests a second, counted from when each was due to be sent; null when
                     the machine did not keep that pace
  ratio_to_drf       rps_200 / the same of plain.py, in the same run
  mine_rps_200       the same with first=mine: one's own object first, so another body for everybody
  cpu_us             CPU of the server process a request, in microseconds, by kind of request; `stranger`: a bearer
                     this server process has not met, so that the database is asked
Every request comes from another of SESSIONS officers in turn, each with a session and an object of his own. The load
comes from this process, over raw HTTP/1.1, and takes its share of the same cores: where it is the slower side, a rate
is a lower bound, and cpu_us says what the server costs.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

import httpx

from foundation.clock import now
from hydrology.models import LEVEL_KINDS, Latest, Level, Region, Station
from hydrology.science.readings import Element
from officers import auth
from officers.models import Device, Duty, Post
from replay import player
from replay.storm_2023 import reconstruct_2023
from tests.benchmarks.stack import ROOT, Busy, Stack, median, result, say, stack, used_s, wait_for

LEVELS = "/api/v1/live/levels"
OBJECTS = 300  # reservoirs, rivers and tide posts of the city
CONNECTIONS = 16
SESSIONS, STRANGERS = 400, 1200
TURNS = 3
PACE_PER_S = 300
SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers a second, and the server's CPU a request in microseconds."""

    rps: float
    cpu_us: float


class Line:
    """One keep-alive connection; answers are read whole."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> "Line":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self

    async def ask(self, request: bytes) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of one answer."""
        self._writer.write(request)
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


def requests(path: str, bearers: Sequence[str], etag: str = "") -> Iterator[bytes]:
    """One after another of the bearers, without end."""
    return cycle([request(path, bearer, etag) for bearer in bearers])


async def etag_of(port: int, path: str, bearer: str) -> str:
    """The ETag of an answer that shows every level; AssertionError if it shows fewer."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        answer = await client.get(path, headers={"Authorization": f"Bearer {bearer}"})
    content = answer.json()
    shown = len(content["items"] if isinstance(content, dict) else content)
    assert answer.status_code == 200 and shown >= OBJECTS, (answer.status_code, shown)
    return answer.headers["etag"]


async def rate(pid: int, port: int, asked: Iterator[bytes], seconds: float, wanted: int) -> "Rate":
    """Closed loop until `asked` or the time ends; raises AssertionError on another status than `wanted`."""
    until_s = time.perf_counter() + seconds
    all_answers = 0

    async def one() -> int:
        nonlocal all_answers
        line = await Line(port).open()
        count = 0
        while time.perf_counter() < until_s and (next_one := next(asked, None)):
            status, _ = await line.ask(next_one)
            # a snapshot renewed meanwhile has another ETag
            assert status in {wanted, 200}, status
            count += status == wanted
            all_answers += 1
        line.close()
        return count

    began_s, before_s = time.perf_counter(), used_s(pid)
    counts = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    took_s = time.perf_counter() - began_s
    return Rate(sum(counts) / took_s, (used_s(pid) - before_s) / all_answers * 1e6)


async def paced_p99_ms(port: int, asked: Iterator[bytes], seconds: float) -> float | None:
    """p99 in ms at PACE_PER_S, open loop: waiting for a free connection counts."""
    lines: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        lines.put_nowait(await Line(port).open())
    took_ms: list[float] = []

    async def one(due_s: float) -> None:
        line = await lines.get()
        await line.ask(next(asked))
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
def plain_server() -> Iterator[tuple[int, int]]:
    """The comparison on a port of its own, started like the product's web server: its pid and port."""
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
        yield server.pid, port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def fill(on: Stack) -> None:
    """One reading of every level, through the feed's door."""
    storm = reconstruct_2023()
    door = player.Door(on.url, on.keys.feed_key, on.keys.feed_secret)
    player.play(storm, door, speed=0.0, say=say, limit=2)
    wait_for(lambda: Latest.objects.filter(element=Element.STAGE).count() >= OBJECTS, 30, "the levels")


def sign_in(count: int) -> list[str]:
    """Bearers of `count` officers who see the whole city and answer for one object each."""
    held = Device.objects.filter(retired_at=None, officer__is_active=True).order_by("officer_id", "pk")
    devices = list(held.distinct("officer_id")[:count])
    objects = cycle(
        Station.objects.filter(kind__in=LEVEL_KINDS).order_by("code").values_list("pk", flat=True)
    )
    city, at = Region.objects.get(level=Level.CITY), now()
    posts = [
        Post(officer_id=d.officer_id, duty=Duty.FLOOD, region=city, station_id=next(objects), valid_from=at)
        for d in devices
    ]
    Post.objects.bulk_create(posts, ignore_conflicts=True)
    return [auth.admit(device.pk, now()).access for device in devices]


async def measure(on: Stack, plain: tuple[int, int], seconds: float) -> dict[str, object]:
    ours = on.pids("web")[0], on.port
    everybody = await asyncio.to_thread(sign_in, SESSIONS + STRANGERS)
    known, strangers = everybody[:SESSIONS], everybody[SESSIONS:]
    turns: dict[str, list[Rate]] = {}
    p99s: list[float] = []

    async def turn(name: str, server: tuple[int, int], asked: Iterator[bytes], wanted: int = 200) -> None:
        turns.setdefault(name, []).append(await rate(*server, asked, seconds, wanted))

    async def etag(server: tuple[int, int], path: str) -> str:
        return await etag_of(server[1], path, known[0])

    await rate(*ours, iter([request(LEVELS, bearer) for bearer in known]), 60, 200)  # now they are known
    await turn("stranger", ours, iter([request(LEVELS, bearer) for bearer in strangers]))
    for _ in range(TURNS):
        await turn("304", ours, requests(LEVELS, known, await etag(ours, LEVELS)), 304)
        await turn("200", ours, requests(LEVELS, known))
        await turn("mine_200", ours, requests(f"{LEVELS}?first=mine", known))
        paced = requests(LEVELS, known, await etag(ours, LEVELS))
        if (p99 := await paced_p99_ms(on.port, paced, seconds)) is not None:
            p99s.append(p99)
        await turn("drf_304", plain, requests("/levels", known, await etag(plain, "/levels")), 304)
        await turn("drf_200", plain, requests("/levels", known))
        last = "  ".join(
            f"{name} {rates[-1].rps:.0f}/s {rates[-1].cpu_us:.0f} us" for name, rates in turns.items()
        )
        say(f"{last}  p99 {p99}")
    rps = {name: median([one.rps for one in rates], 1) or 0.0 for name, rates in turns.items()}
    return {
        "rps_304": rps["304"],
        "rps_200": rps["200"],
        "p99_ms_at_300": median(p99s, 1),
        "ratio_to_drf": round(rps["200"] / rps["drf_200"], 1),
        "ratio_304_to_drf_304": round(rps["304"] / rps["drf_304"], 1),
        "mine_rps_200": rps["mine_200"],
        "drf_rps_200": rps["drf_200"],
        "cpu_us": {name: median([one.cpu_us for one in rates], 0) for name, rates in turns.items()},
        "sessions": SESSIONS,
    }


def main(seconds: float) -> None:
    with stack() as on:
        fill(on)
        with Busy(on) as busy, plain_server() as plain:
            line = asyncio.run(measure(on, plain, seconds))
    result({**line, "others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
