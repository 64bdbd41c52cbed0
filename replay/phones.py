"""The phones' side of a storm on the table: starts the local vendors of push (vendors/server.py) and talks to them.

Product-grade stand-in for the vendor edge, for tests, benchmarks and the demo; product code never imports it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import requests

START_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Standin:
    """The running local vendors: where they are, what proves us to them, and their doors."""

    endpoint: str
    ca_file: str
    credentials: str  # a service account's JSON file
    pid: int
    app: str  # at Huawei and JPush
    secret: str = field(repr=False)
    apns: dict[str, str]
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    @classmethod
    def at(cls, directory: Path) -> "Standin":
        """The stand-in that has written `ready.json` there; raises FileNotFoundError when none has yet."""
        return cls(**orjson.loads((directory / "ready.json").read_bytes()))

    def control(self, vendor: str = "fcm", **faults: Any) -> dict[str, Any]:
        """Change faults (names in vendors/desk.py:Faults); raises requests.HTTPError on an unknown one."""
        return self._door("POST", f"/control?vendor={vendor}", faults)

    def behave(self, vendor: str = "fcm", **faults: Any) -> dict[str, Any]:
        """Only these faults, or none; raises requests.HTTPError on an unknown one."""
        return self._door("PUT", f"/control?vendor={vendor}", faults)

    def counters(self, vendor: str = "fcm") -> dict[str, Any]:
        """What was taken by all and answered by one since the start or the last `forget`, and the server's `cpu_s`."""
        return self._door("GET", f"/control?vendor={vendor}")

    def report_to(self, vendor: str, url: str, **wishes: Any) -> None:
        """Send this vendor's own receipts there until `forget`; wishes are the fields of vendors/receipts.py:Address."""
        self._door("PUT", f"/receipts?vendor={vendor}", {"url": url, **wishes})

    def forget(self) -> None:
        self._door("DELETE", "/control")

    def revoke(self) -> None:
        """Make every bearer handed out so far invalid."""
        self._door("POST", "/revoke")

    def cut(self) -> None:
        """Break every connection but the one that asks."""
        self._door("POST", "/cut")

    def accepted(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Pushes taken after number `after`: `{n, provider, token, id, data, at}`, oldest first."""
        items: list[dict[str, Any]] = self._door("GET", f"/accepted?after={after}&limit={limit}")["items"]
        return items

    def repeats(self) -> list[dict[str, Any]]:
        """`{token, id, times}` of every push taken more than once."""
        items: list[dict[str, Any]] = self._door("GET", "/repeats")["items"]
        return items

    def _door(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = self._session.request(
            method, self.endpoint + path, data=orjson.dumps(body), verify=self.ca_file, timeout=10
        )
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def start_standin(directory: Path, port: int = 0) -> Iterator[Standin]:
    """A stand-in in a process of its own while the block runs; it also dies with this process.

    Raises RuntimeError when it does not come up; its complaints are in `standin.log` in the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ready.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "replay.vendors.server", "--dir", str(directory), "--port", str(port)]
    with (directory / "standin.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--parent", str(os.getpid())],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield _when_ready(directory, process)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _when_ready(directory: Path, process: subprocess.Popen[bytes]) -> Standin:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return Standin.at(directory)
        except FileNotFoundError:
            time.sleep(0.02)
    raise RuntimeError(f"the local vendors did not start; see {directory / 'standin.log'}")
