"""What every benchmark stands on: `make run` itself in a throw-away folder, and what its processes cost.

Owns the life of that one run (PostgreSQL with fsync, Valkey, web, the workers, beat, the local FCM, the demo city
of 45,000) and the reading of /proc (Linux). Measures nothing by itself. Sources: backend/up.py, proc(5).
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from backend.children import die_with_parent
from replay.city import Keys
from replay.phones import Standin

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_S, DOWN_WITHIN_S = 240.0, 60.0
TICKS_A_S = os.sysconf("SC_CLK_TCK")
# where each part of the product is known by its command line
PARTS = {
    "sender": "-Q urgent",
    "assessor": "-Q ingest",
    "web": "-m backend.web",
    "postgres": "/bin/postgres",
    "valkey": "valkey-server",
    "phones": "manage.py phones",
}
# the run makes these itself; LOG_LEVEL is the benchmark's own
_NOT_FOR_THE_RUN = ("DATABASE_URL", "REDIS_URL", "LOG_LEVEL")


@dataclass(frozen=True, slots=True)
class Stack:
    """One running product."""

    url: str
    port: int
    pid: int
    keys: Keys
    phones: Standin

    def pids(self, part: str) -> list[int]:
        """The processes of one of PARTS, with their children."""
        tree = _tree(self.pid)
        tops = [pid for pid in tree if PARTS[part] in _command(pid)]
        return sorted({child for top in tops for child in (top, *_tree(top))})

    def cpu_s(self, *parts: str) -> float:
        """User + system seconds these parts have used, ended and reaped children included."""
        return sum(_cpu_s(pid) for part in parts for pid in self.pids(part))


def say(line: str) -> None:
    """Progress, on stderr; stdout is for the one JSON line."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def result(line: dict[str, object]) -> None:
    """The closing JSON line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def median(values: list[float], digits: int = 3) -> float | None:
    return round(statistics.median(values), digits) if values else None


def wait_for(true: Callable[[], bool], within_s: float, what: str, pause_s: float = 0.02) -> None:
    """Raises TimeoutError naming `what`."""
    give_up_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"{what} did not happen within {within_s:.0f} s")
        time.sleep(pause_s)


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """`python -m backend.up` with no storm and nobody answering, in a folder that is gone afterwards."""
    run_dir, port = Path(settings.RUN_DIR), _free_port()
    run_dir.mkdir(mode=0o711)  # postgres may run in it as nobody
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_RUN}
    log = run_dir / "up.log"
    with log.open("wb") as sink:
        up = subprocess.Popen(
            [sys.executable, "-m", "backend.up"],
            cwd=ROOT,
            env=env | {"PORT": str(port), "REPLAY": "0", "OFFICERS": "0", "FCM_ONLY": "1"},
            stdout=sink,
            stderr=sink,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        yield _met(up, run_dir, port, log)
    finally:
        up.terminate()
        try:
            up.wait(DOWN_WITHIN_S)
        except subprocess.TimeoutExpired:
            up.kill()
        shutil.rmtree(run_dir, ignore_errors=True)


def _met(up: "subprocess.Popen[bytes]", run_dir: Path, port: int, log: Path) -> Stack:
    """Waits until everything answers."""
    began_s = time.monotonic()

    def ready() -> bool:
        if up.poll() is not None:
            raise RuntimeError(f"the run did not come up: {log.read_text('utf-8', 'replace')[-2000:]}")
        return b"| Ready" in log.read_bytes()

    wait_for(ready, UP_WITHIN_S, "make run", pause_s=0.2)
    say(
        f"up after {time.monotonic() - began_s:.0f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    keys = Keys(**json.loads((run_dir / "demo.json").read_text()))
    return Stack(f"http://127.0.0.1:{port}", port, up.pid, keys, Standin.at(run_dir / "phones"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(
    stack: Stack, method: str, path: str, bearer: str, body: dict[str, object] | None = None
) -> dict[str, object]:
    """One JSON request to the product's doors; RuntimeError with its words when refused."""
    request = urllib.request.Request(
        f"{stack.url}/api/v1/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, object] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:400]!r}") from error


class Busy:
    """How much of the machine others used while the block ran: the reader must know what a figure is worth."""

    def __init__(self, stack: Stack) -> None:
        self._pids = stack.pid
        self.others_share = 0.0

    def __enter__(self) -> "Busy":
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        busy_s, all_s, ours_s = (b - a for a, b in zip(self._before, self._look(), strict=True))
        self.others_share = round(max(0.0, busy_s - ours_s) / all_s, 2) if all_s else 0.0

    def _look(self) -> tuple[float, float, float]:
        line = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        ticks = [int(word) for word in line]
        idle = ticks[3] + ticks[4]
        ours_s = sum(_cpu_s(pid) for pid in (os.getpid(), self._pids, *_tree(self._pids)))
        return (sum(ticks) - idle) / TICKS_A_S, sum(ticks) / TICKS_A_S, ours_s


def rss_kb(pid: int) -> int:
    """Resident memory of one process in KB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def used_s(pid: int) -> float:
    """User + system seconds of one process, ended and reaped children included."""
    return _cpu_s(pid)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return []


def _cpu_s(pid: int) -> float:
    return sum(map(int, _stat(pid)[11:15])) / TICKS_A_S


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


def _tree(top: int) -> list[int]:
    """All processes below `top`."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (fields := _stat(int(path.name))):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found, waiting = [], [top]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
