"""45,000 officers' sockets on three web processes: how fast they come, what they weigh, how fast they are told.

`python -m tests.benchmarks.sockets [SOCKETS]` ends with one JSON line. The phones (socket_clients.py: three processes,
loopback addresses of their own, a ticket each) share the machine with all of it.
  sockets               held at once, each another officer's device, with the topics inbox and levels:4403
  handshakes_per_s      from the first connect to the last welcome, AT_ONCE under way a client process
  handshakes_per_cpu_s  handshakes / CPU seconds of the web processes meanwhile: what one core gives
  kb_per_socket         growth of the web processes' resident memory / sockets
  broadcast_last_s      median of BROADCASTS: one changed level, from the publish until the last socket has the frame
  order_last_s          one order to everybody, from the beginning of its dispatch (45,000 rows) until the last socket has
                        its own item; `order_cpu_s`: CPU seconds of the web processes for it
  storm_…               all lines reset at once; every phone comes back within JITTER_S with a fresh ticket and `since`;
                        meanwhile an order goes out. `storm_until_told_s`: until everybody is back and has it
  redis_…               Valkey killed with -9, an order while it is away, Valkey back: `redis_until_told_s` from the order
                        until the last socket has its item, `redis_heard_again_s` from Valkey's return until a changed
                        level has reached everybody
  missed, repeated, disordered   inbox items over all phones, by seq, against the ledger at the end; 0 is the only good value
  ratio_to_group_send   broadcast to PEERS sockets on one process by Channels' group_send over channels_redis (groups.py)
                        / the same by ours, median each, same server, same Valkey; peers: how many sockets that was
No worker runs: pushes would be measured with it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection

from backend.children import die_with_parent
from backend.embedded import Postgres, Valkey
from foundation.clock import iso, now
from foundation.wire import hint
from hydrology.models import Region
from notifications import dispatch, frames
from notifications.models import Delivery
from officers.models import Device, Session
from tests.benchmarks.groups import GROUP, layer
from tests.benchmarks.stack import ROOT, Busy, _free_port, median, result, rss_kb, say, used_s, wait_for
from tests.console.factories import make_bulletin

SOCKETS, PEERS = 45_000, 10_000
WEBS, CLIENTS = 3, 3
AT_ONCE = 300  # handshakes under way a client process
BROADCASTS = 5
JITTER_S = 30.0  # for 45,000; less in proportion
WITHIN_S = 300.0
AGAIN_S = 60.0  # after which Valkey must have been found again
PATH = "4403/"
TOPICS = ["inbox", "levels:4403"]


class Clients:
    """One process of phones."""

    def __init__(self, number: int) -> None:
        self.address = f"127.0.0.{number + 2}"
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.socket_clients"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent(15),
        )
        self.said: Queue[dict[str, Any]] = Queue()
        self.count = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.said.put(json.loads(line))

    def tell(self, do: str, **fields: object) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self.child.stdin.flush()

    def answer(self, name: str, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Until it has said so, passing over what nobody waits for any more; TimeoutError says what did happen."""
        until_s = time.monotonic() + within_s
        while True:
            try:
                heard = self.said.get(timeout=max(0.0, until_s - time.monotonic()))
            except Empty:
                self.tell("counts", goal=name)
                raise TimeoutError(
                    f"{self.address} did not say {name}, but {self.answer('counts')}"
                ) from None
            if heard["done"] == name:
                return heard


class Everybody:
    """All phones, in several processes."""

    def __init__(self, folder: Path, people: list[list[object]], clients: int) -> None:
        self.folder = folder
        self.parts = [Clients(number) for number in range(clients)]
        for number, part in enumerate(self.parts):
            mine = people[number::clients]
            file = folder / f"people-{number}.json"
            file.write_text(json.dumps(mine))
            part.count = len(mine)
            part.tell("people", file=str(file))
        for part in self.parts:
            part.answer("people")

    def connect(self, port: int, *, path: str = "/ws/v1/", since: int = 0, jitter_s: float = 0.0, most: int | None = None,
                ticketed: bool = True) -> None:  # fmt: skip
        for part in self.parts:
            part.tell("connect", port=port, path=path, at_once=AT_ONCE, jitter_s=jitter_s, ticketed=ticketed,
                      since=since, topics=TOPICS, most=most, **{"from": part.address})  # fmt: skip

    def expect(self, name: str, each: int = 1, most: int | None = None) -> None:
        for part in self.parts:
            if name == "welcome":  # again and again; all other counts go on
                part.tell("forget", name=name)
            part.tell("goal", name=name, count=each * min(part.count, most or part.count))

    def when(self, name: str, within_s: float = WITHIN_S) -> float:
        """The moment the last of them had it."""
        return max(part.answer(name, within_s)["last_s"] for part in self.parts)

    def tell(self, do: str, **fields: object) -> None:
        for part in self.parts:
            part.tell(do, **fields)

    def drop(self) -> None:
        self.tell("drop")
        for part in self.parts:
            part.answer("drop")

    def seqs(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for number, part in enumerate(self.parts):
            file = self.folder / f"seqs-{number}.json"
            part.tell("seqs", file=str(file))
            part.answer("seqs")
            found |= {int(officer): seqs for officer, seqs in json.loads(file.read_text()).items()}
        return found

    def end(self) -> None:
        for part in self.parts:
            part.child.terminate()
            part.child.wait()


@dataclass
class Ground:
    """PostgreSQL, Valkey, the city, and web processes on one port."""

    folder: Path
    valkey: Valkey
    port: int
    webs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    pid: int = os.getpid()

    def serve(self, count: int, port: int, *command: str) -> list[subprocess.Popen[bytes]]:
        """Starts `count` processes; returns when all of them listen."""
        log = (self.folder / "web.log").open("ab")
        started = [
            subprocess.Popen(
                [sys.executable, *command, "--port", str(port)],
                cwd=ROOT, env=os.environ | {"LOG_LEVEL": "INFO"}, stdout=log, stderr=log,
                preexec_fn=die_with_parent(15),
            )
            for _ in range(count)
        ]  # fmt: skip
        wait_for(lambda: listening(port) == count, 120, f"{count} web processes", 0.1)
        self.webs += started
        return started

    def stop(self, webs: list[subprocess.Popen[bytes]]) -> None:
        for web in webs:
            web.kill()
            web.wait()
            self.webs.remove(web)


def listening(port: int) -> int:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(int(f[1].split(":")[1], 16) == port and f[3] == "0A" for f in map(str.split, lines))


@contextlib.contextmanager
def ground(officers: int) -> Iterator[Ground]:
    folder = Path(settings.RUN_DIR)
    folder.mkdir(mode=0o711)  # postgres may run in it as nobody
    postgres, valkey = Postgres(folder / "pg"), Valkey(folder / "valkey")
    with contextlib.ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        for server in (postgres, valkey):
            server.start()
            ending.callback(server.stop)
        for command in (("migrate", "--verbosity", "0"), ("democity", "--officers", str(officers))):
            subprocess.run(
                [sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
            )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        on = Ground(folder, valkey, _free_port())
        ending.callback(lambda: on.stop(list(on.webs)))
        yield on


def people(count: int) -> list[list[object]]:
    """[officer, session, device, path] of so many flood officers of the city; everybody gets a session."""
    live = Device.objects.filter(retired_at=None, officer__is_active=True).order_by("officer_id", "id")
    devices = list(live.distinct("officer_id").values_list("pk", "officer_id")[:count])
    until = now() + timedelta(days=1)
    sessions = [
        Session(id=uuid.uuid4(), officer_id=officer, device_id=device, refresh_digest="", expires_at=until)
        for device, officer in devices
    ]
    Session.objects.bulk_create(sessions, batch_size=5000)
    return [[one.officer_id, str(one.pk), one.device_id, PATH] for one in sessions]


def level(everybody: Everybody, region: str, publish: Callable[[str, dict[str, Any]], None]) -> float:
    """One changed level to everybody; seconds until the last phone has it."""
    mark = uuid.uuid4().hex
    everybody.expect(f"level:{mark}")
    began_s = time.monotonic()
    publish(region, {"station": mark, "level_m": 12.34, "status": "over", "quality": "good"})
    return everybody.when(f"level:{mark}") - began_s


def by_hub(region: str, change: dict[str, Any]) -> None:
    hint("levels", as_of=iso(now()), changes={region: [change]})


def by_group_send(_: str, change: dict[str, Any]) -> None:
    text = json.dumps({"type": "levels", "as_of": iso(now()), "changes": [change]})
    text = text.replace('": ', '":')  # as orjson writes it

    async def send() -> None:
        await layer().group_send(GROUP, {"type": "told", "text": text})

    async_to_sync(send)()


def order() -> None:
    """An order's bulletin to every flood officer, dispatched here and now."""
    at = now()
    words = {
        "title_zh": "启动防汛Ⅲ级应急响应", "push_zh": "启动防汛Ⅲ级应急响应，请立即上岗到位。",
        "body_zh": "各级三防责任人立即上岗到位，转移低洼地带人员。" * 3,
    }  # fmt: skip
    make_bulletin(areas=["4403"], valid_until=at + timedelta(hours=1), caused_at=at, issued_at=at, **words)
    dispatch.take_up(now=at)


def cpu_s(webs: list[subprocess.Popen[bytes]]) -> float:
    return sum(used_s(web.pid) for web in webs)


def coming(on: Ground, everybody: Everybody, count: int, since: int) -> dict[str, object]:
    """All phones in, and what they weigh."""
    # imports, the subscription and the first queries are paid for by a few
    everybody.expect("welcome", most=5 * WEBS)
    everybody.connect(on.port, since=since, most=5 * WEBS)
    everybody.when("welcome")
    everybody.drop()
    before_kb, before_s = sum(rss_kb(web.pid) for web in on.webs), cpu_s(on.webs)
    everybody.expect("welcome")
    began_s = time.monotonic()
    everybody.connect(on.port, since=since)
    took_s, used = everybody.when("welcome") - began_s, cpu_s(on.webs) - before_s
    grown_kb = sum(rss_kb(web.pid) for web in on.webs) - before_kb
    say(f"{count} sockets in {took_s:.1f} s, {used:.1f} CPU s, {grown_kb / count:.1f} KB each")
    return {
        "sockets": count,
        "handshakes_per_s": round(count / took_s, 1),
        "handshakes_per_cpu_s": round(count / used, 1),
        "kb_per_socket": round(grown_kb / count, 1),
    }


def telling(on: Ground, everybody: Everybody, region: str) -> dict[str, object]:
    before_s = cpu_s(on.webs)
    lasts_s = [level(everybody, region, by_hub) for _ in range(BROADCASTS)]
    used = cpu_s(on.webs) - before_s
    say(f"levels {[round(one, 2) for one in lasts_s]}")
    everybody.expect("inbox")
    before_s, began_s = cpu_s(on.webs), time.monotonic()
    order()
    issued_s = time.monotonic() - began_s
    order_s = everybody.when("inbox") - began_s
    say(f"order {order_s:.2f} s, dispatched after {issued_s:.2f} s")
    return {
        "broadcast_last_s": median(lasts_s),
        "broadcast_cpu_s": round(used / BROADCASTS, 3),
        "order_last_s": round(order_s, 2),
        "order_dispatched_s": round(issued_s, 2),
        "order_cpu_s": round(cpu_s(on.webs) - before_s, 2),
    }


def storm(on: Ground, everybody: Everybody, count: int) -> dict[str, object]:
    """Everybody is thrown out, comes back with jitter, and an order goes out in the middle."""
    jitter_s = JITTER_S * count / SOCKETS
    everybody.tell("forget", name="lost")
    everybody.drop()
    everybody.expect("welcome")
    everybody.expect("inbox", each=2)
    before_s, began_s = cpu_s(on.webs), time.monotonic()
    everybody.connect(on.port, jitter_s=jitter_s)
    time.sleep(jitter_s / 2)
    order()
    back_s = everybody.when("welcome") - began_s
    used = cpu_s(on.webs) - before_s
    told_s = everybody.when("inbox") - began_s
    say(f"storm: back after {back_s:.1f} s, told after {told_s:.1f} s, {used:.1f} CPU s")
    return {
        "storm_jitter_s": round(jitter_s, 1),
        "storm_handshakes_per_s": round(count / back_s, 1),
        "storm_handshakes_per_cpu_s": round(count / used, 1),
        "storm_until_told_s": round(told_s, 1),
    }


def without_redis(on: Ground, everybody: Everybody, region: str) -> dict[str, object]:
    """Valkey is killed; an order goes out; Valkey comes back."""
    assert on.valkey.child is not None
    on.valkey.child.kill()
    on.valkey.child.wait()
    everybody.expect("inbox", each=3)
    began_s = time.monotonic()
    order()
    time.sleep(2)
    on.valkey.start()
    back_s = time.monotonic()
    told_s = everybody.when("inbox") - began_s
    while True:  # a hint is lost until all have subscribed again
        mark = uuid.uuid4().hex
        everybody.expect(f"level:{mark}")
        by_hub(region, {"station": mark, "level_m": 12.34, "status": "over", "quality": "good"})
        try:
            heard_s = everybody.when(f"level:{mark}", within_s=5.0) - back_s
            break
        except TimeoutError as missing:
            say(str(missing))
            if time.monotonic() - back_s > AGAIN_S:
                raise
    say(f"without Valkey: told after {told_s:.1f} s, heard again after {heard_s}")
    return {"redis_until_told_s": round(told_s, 1), "redis_heard_again_s": round(heard_s, 1)}


def checked(everybody: Everybody, since: int) -> dict[str, object]:
    """Every phone's items against the ledger."""
    owed: dict[int, list[int]] = {}
    for officer, seq in Delivery.objects.filter(id__gt=since).order_by("id").values_list("officer_id", "id"):
        owed.setdefault(officer, []).append(seq)
    had = everybody.seqs()
    return {
        "missed": sum(len(set(owed[officer]) - set(seqs)) for officer, seqs in had.items()),
        "repeated": sum(len(seqs) - len(set(seqs)) for seqs in had.values()),
        "disordered": sum(seqs != sorted(seqs) for seqs in had.values()),
        "items": sum(map(len, had.values())),
    }


def against_groups(on: Ground, chosen: list[list[object]], region: str) -> dict[str, object]:
    """The same broadcast to the same number of sockets on one process: ours, then the peer's."""
    peers, lasts_s = chosen[:PEERS], {}
    ours = "-m", "backend.web"
    theirs = ("-m", "uvicorn", "tests.benchmarks.groups:application", "--ws", "websockets-sansio", "--lifespan", "off",
              "--ws-per-message-deflate", "false", "--ws-ping-interval", "3600", "--log-level", "warning")  # fmt: skip
    for name, command, publish in (("ours", ours, by_hub), ("theirs", theirs, by_group_send)):
        port = _free_port()
        webs = on.serve(1, port, *command)
        everybody = Everybody(on.folder, peers, 1)
        try:
            everybody.expect("welcome")
            everybody.connect(port, ticketed=name == "ours", since=1)
            everybody.when("welcome")
            lasts_s[name] = [level(everybody, region, publish) for _ in range(BROADCASTS)]
            say(f"{len(peers)} sockets, {name}: {[round(one, 3) for one in lasts_s[name]]}")
        finally:
            everybody.end()
            on.stop(webs)
    ours_s, theirs_s = median(lasts_s["ours"], 4), median(lasts_s["theirs"], 4)
    assert ours_s and theirs_s
    return {
        "ratio_to_group_send": round(theirs_s / ours_s, 1),
        "peers": len(peers),
        "peers_ours_s": ours_s,
        "peers_group_send_s": theirs_s,
    }


def main(count: int) -> None:
    began_s = time.monotonic()
    with ground(count + count // 30 + 100) as on:  # one in a hundred has no phone
        chosen = people(count)
        district = Region.objects.filter(path__startswith=PATH, level="district").order_by("pk").first()
        assert district is not None
        say(f"city of {len(chosen)} after {time.monotonic() - began_s:.0f} s")
        on.serve(WEBS, on.port, "-m", "backend.web")
        with Busy(on) as busy:
            since = frames.ledger().newest
            everybody = Everybody(on.folder, chosen, CLIENTS)
            line = coming(on, everybody, len(chosen), since)
            line |= telling(on, everybody, district.path)
            line |= storm(on, everybody, len(chosen))
            line |= without_redis(on, everybody, district.path)
            line |= checked(everybody, since)
            everybody.end()
            on.stop(list(on.webs))
            line |= against_groups(on, chosen, district.path)
    result({**line, "wall_s": round(time.monotonic() - began_s), "others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SOCKETS)
