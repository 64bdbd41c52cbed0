"""The product on a PostgreSQL with a standby and a Valkey with a replica and three sentinels, as docs/scaling.md says.

Owns those servers: started from the same wheels as the embedded ones, the first of each killed for good by a test.
"""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psycopg

from backend import up
from backend.children import Server
from backend.embedded import Postgres, Valkey
from tests.survival.stack import Stack

NAME = "flood"
OFFICERS = 6000
DOWN_AFTER_MS = 1500
# a commit has reached the standby before anybody is told of it
REPLICATED = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    "synchronous_standby_names": "*",
    "synchronous_commit": "on",
    "fsync": "off",
    "full_page_writes": "off",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((up.HOST, 0))
        return int(probe.getsockname()[1])


class Standby(Postgres):
    """A copy of `primary`, which runs, that follows it; readable, and writable once promoted."""

    def __init__(self, folder: Path, primary: Postgres) -> None:
        super().__init__(folder, **REPLICATED | {"synchronous_standby_names": ""})
        self.primary = primary

    def _make_cluster(self) -> None:
        part = self.folder.with_name(f"{self.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        self._give(part)
        copy = [
            str(self.program.with_name("pg_basebackup")),
            "-D",
            str(part),
            "-h",
            str(self.primary.socket_dir),
        ]
        # -R: it becomes a standby and knows whom to follow
        subprocess.run([*copy, "-U", "app", "-R", "-X", "stream", "-c", "fast"], check=True, **self.user)
        part.rename(self.folder)

    def promote(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as line:
            line.execute("SELECT pg_promote()")


class TcpValkey(Valkey):
    """A Valkey that sentinels can reach, alone or as a replica of another."""

    def __init__(self, folder: Path, replica_of: "TcpValkey | None" = None) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.replica_of = replica_of

    def _command(self) -> list[str]:
        words = super()._command()
        words[words.index("--port") + 1] = str(self.port)
        words += ["--bind", up.HOST, "--repl-diskless-sync-delay", "0"]
        if self.replica_of is not None:
            words += ["--replicaof", f"{up.HOST} {self.replica_of.port}"]
        return words


class Sentinel(TcpValkey):
    """One of those who watch `primary` and make its replica the next."""

    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, primary: TcpValkey) -> None:
        super().__init__(folder)
        self.primary = primary

    def _prepare(self) -> None:
        super()._prepare()
        lines = (
            f"port {self.port}",
            f"bind {up.HOST}",
            f"dir {self.folder}",
            f"pidfile {self.folder / self.pid_name}",
            f"unixsocket {self.socket}",
            f"sentinel monitor {NAME} {up.HOST} {self.primary.port} 2",
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {NAME} 10000",
        )
        self._written = self.folder / "sentinel.conf"
        self._written.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [str(self.program), str(self._written), "--sentinel"]


class Doubled(Stack):
    """Everything twice but the product. Nobody starts a killed server again: the other one takes over."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.postgres = Postgres(folder / "pg", **REPLICATED | {"synchronous_standby_names": ""})
        self.standby = Standby(folder / "standby", self.postgres)
        self.valkey: TcpValkey = TcpValkey(folder / "valkey")
        self.replica = TcpValkey(folder / "replica", self.valkey)
        self.sentinels = [Sentinel(folder / f"sentinel{n}", self.valkey) for n in range(3)]

    def start_servers(self) -> dict[str, str]:
        started: tuple[Server, ...] = (
            self.valkey,
            self.replica,
            *self.sentinels,
            self.postgres,
            self.standby,
        )
        for server in started:
            server.start()
        with psycopg.connect(self.postgres.url, autocommit=True) as line:
            line.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            line.execute("SELECT pg_reload_conf()")
        hosts = ",".join(str(server.socket_dir) for server in (self.postgres, self.standby))
        watchers = ",".join(f"{up.HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return {
            "DATABASE_URL": f"postgresql://app@/postgres?host={hosts}",
            "REDIS_URL": f"sentinel://{watchers}/{NAME}",
        }

    def stop_servers(self) -> None:
        for server in (*self.sentinels, self.replica, self.valkey, self.standby, self.postgres):
            server.stop()

    def primary_port(self) -> int:
        """Who is the primary, by the word of the first sentinel."""
        with socket.create_connection((up.HOST, self.sentinels[0].port), 5) as line:
            line.sendall(f"SENTINEL get-master-addr-by-name {NAME}\r\n".encode())
            return int(line.recv(200).split(b"\r\n")[4])

    def lose_postgres(self) -> None:
        """kill -9, and what a watcher (Patroni, an operator) does then."""
        self.kill_server(self.postgres)
        self.standby.promote()
        self.postgres = self.standby  # whom the test asks from now on
