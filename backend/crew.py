"""The children of `make run`: started, watched, started again after a death, heard, and ended.

Owns: one loop without threads (PDEATHSIG belongs to the forking thread) that pumps what children say to this
process's output, and the pauses between restarts. Does not own: which children there are (backend/up.py).
Standard library only.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from backend.children import Server, die_with_parent

TURN_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
STEADY_S = 60.0  # who lived this long dies for a new reason: the pauses start over
STOP_TIMEOUT_S = 15.0


class Stopped(Exception):
    """A signal asked this process to end."""


@dataclass(slots=True)
class Watch:
    """One thing to keep running. Moments are of time.monotonic()."""

    name: str
    start: Callable[[], object]
    running: Callable[[], bool]
    may_end: bool = False  # exit code 0 is the end of its work
    pause_s: float = FIRST_PAUSE_S
    started_s: float = field(default_factory=time.monotonic)
    again_s: float | None = None  # when it is to be started again; None while it runs

    def revive(self, now_s: float) -> str | None:
        """Schedules a restart after a death, or restarts when the pause is over; what to say about it."""
        if self.running():
            return None
        if self.again_s is None:
            steady = now_s - self.started_s > STEADY_S
            self.pause_s = FIRST_PAUSE_S if steady else self.pause_s
            self.again_s = now_s + self.pause_s
            return f"{self.name} died; starting it again in {self.pause_s:.0f} s"
        if now_s < self.again_s:
            return None
        self.started_s, self.again_s = now_s, None
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
        try:
            self.start()
        except (OSError, RuntimeError) as error:
            return f"{self.name} did not start: {error}"
        return f"{self.name} started again"


class Crew:
    """Children working in `folder`; `env` is read at every start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.env = folder, dict(os.environ)
        self.stops_asked: list[signal.Signals] = []
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ears = selectors.DefaultSelector()
        self._half_lines: dict[str, bytes] = {}
        self._watches: dict[str, Watch] = {}

    def ask_to_stop(self, number: int, _: object = None) -> None:
        """A signal handler: the loop raises Stopped at its next turn; a second signal cuts the waiting short."""
        self.stops_asked.append(signal.Signals(number))

    def keep(self, name: str, *command: str, may_end: bool = False) -> None:
        """Starts a child and keeps it running; with `may_end`, until it ends with exit code 0."""
        start = partial(self._spawn, name, command)
        start()
        self._watches[name] = Watch(name, start, partial(self._runs, name), may_end)

    def keep_server(self, server: Server) -> None:
        """Starts it again when it dies; it is ended by who started it."""
        name = server.program.name
        self._watches[name] = Watch(name, server.start, lambda: server.running)

    def run(self, name: str, *command: str) -> None:
        """Runs a child to its end. RuntimeError when it fails, Stopped when asked to stop meanwhile."""
        self._spawn(name, command)
        self.until(lambda: not self._runs(name))
        code = self._children.pop(name).returncode
        self._hear_out()
        if code:
            raise RuntimeError(f"{name} failed with exit code {code}; its last words stand above.")

    def until(self, true: Callable[[], bool], *, within_s: float | None = None, what: str = "") -> None:
        """Looks after everybody until `true()`. RuntimeError naming `what` after `within_s`; Stopped."""
        began_s = time.monotonic()
        while not true():
            if self.stops_asked:
                raise Stopped(self.stops_asked[0].name)
            if within_s is not None and time.monotonic() - began_s > within_s:
                raise RuntimeError(f"{what} did not come up within {within_s:.0f} s.")
            self._hear(TURN_S)
            self._look_after()

    def stop(self, *names: str) -> None:
        """Ends these children together; who does not end in time, or at a second signal, is killed."""
        leaving = [(name, child) for name in names if (child := self._children.pop(name, None))]
        for name, child in leaving:
            self._watches.pop(name, None)
            if child.poll() is None:
                child.terminate()
        give_up_s = time.monotonic() + STOP_TIMEOUT_S
        while any(child.poll() is None for _, child in leaving):
            self._hear(TURN_S)
            if time.monotonic() > give_up_s or len(self.stops_asked) > 1:
                for _, child in leaving:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)
        self._hear_out()

    def stop_all(self) -> None:
        self.stop(*self._children)

    def say(self, line: str, name: str = "up") -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone; the rest must still be ended
            print(f"{name:8}| {line}", flush=True)

    def _spawn(self, name: str, command: tuple[str, ...]) -> None:
        child = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others in order
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        assert child.stdout is not None
        self._children[name] = child
        self._ears.register(child.stdout, selectors.EVENT_READ, name)

    def _runs(self, name: str) -> bool:
        return self._children[name].poll() is None

    def _look_after(self) -> None:
        for watch in list(self._watches.values()):
            child = self._children.get(watch.name)
            if watch.may_end and child and child.poll() == 0:
                del self._watches[watch.name], self._children[watch.name]
                self.say(f"{watch.name} has finished")
            elif said := watch.revive(time.monotonic()):
                self.say(said)

    def _hear_out(self) -> None:
        while self._hear(0):
            pass

    def _hear(self, wait_s: float) -> bool:
        """Passes on whole lines, and a last half one when its speaker is gone; whether there was anything."""
        speaking = self._ears.select(wait_s)
        for key, _ in speaking:
            heard = os.read(key.fd, 1 << 16)
            *lines, half = (self._half_lines.pop(key.data, b"") + heard).split(b"\n")
            if heard:
                self._half_lines[key.data] = half
            else:
                self._ears.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
                lines += [half] if half else []
            for line in lines:
                if line.strip():
                    self.say(line.decode("utf-8", "replace"), key.data)
        return bool(speaking)
