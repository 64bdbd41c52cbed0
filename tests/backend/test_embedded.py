"""Real servers from the wheels: what survives kill -9, and what is left alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import redis

from backend.children import Server, outside_homes
from backend.embedded import THROW_AWAY_SETTINGS, Postgres, Valkey, services

ROOT = Path(__file__).resolve().parents[2]
S = TypeVar("S", bound=Server)

PRINT_URLS_AND_WAIT = """
import sys
from pathlib import Path
from backend.embedded import services
with services(Path(sys.argv[1]), fsync="off") as servers:
    print(*[server.child.pid for server in servers], servers[0].url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def supervisor(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process of its own that holds both servers below `folder`, and the words it printed."""
    command = [sys.executable, "-c", PRINT_URLS_AND_WAIT, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=bare_environment() | environment, text=True, stdin=pipe, stdout=pipe
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()
        finally:
            process.communicate()  # end of its input: it stops what it started


def bare_environment() -> dict[str, str]:
    """Ours, without what the servers of this very test run have put there."""
    own = {"DATABASE_URL", "REDIS_URL", "RUN_DIR"}
    return {name: value for name, value in os.environ.items() if name not in own}


def ends(pid: int) -> bool:
    """Whether `pid` is gone within 20 s."""
    return eventually(lambda: not Path(f"/proc/{pid}").exists())


def eventually(true: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + 20
    while not true():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def postgres(folder: Path) -> Postgres:
    return Postgres(folder / "pg", **THROW_AWAY_SETTINGS)


def test_rows_survive_a_killed_postmaster_and_the_address_stays(tmp_path: Path) -> None:
    with running(Postgres(tmp_path / "pg")) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE gauge AS SELECT 42 AS stage_mm")
        assert server.child is not None
        server.child.kill()
        server.child.wait()
        assert not server.running
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT stage_mm FROM gauge").fetchall() == [(42,)]


def test_keys_survive_a_second_start(tmp_path: Path) -> None:
    with running(Valkey(tmp_path / "valkey")) as server:
        redis.from_url(server.url).set("gauge", 42)
    with running(Valkey(tmp_path / "valkey")) as server:
        assert redis.from_url(server.url).get("gauge") == b"42"


@pytest.mark.parametrize("make", [postgres, lambda folder: Valkey(folder / "valkey")])
def test_a_server_left_behind_on_the_same_folder_is_ended_first(
    tmp_path: Path, make: Callable[[Path], Server]
) -> None:
    with running(make(tmp_path)) as left_behind, running(make(tmp_path)) as server:
        assert not left_behind.running
        assert server.running


@pytest.mark.parametrize("make", [postgres, lambda folder: Valkey(folder / "valkey")])
def test_a_stale_pid_that_became_somebody_elses_is_left_alone(
    tmp_path: Path, make: Callable[[Path], Server]
) -> None:
    with running(make(tmp_path)) as server:
        pid_file = server.folder / server.pid_name
        kept = pid_file.read_text()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            pid_file.write_text("\n".join([str(stranger.pid), *kept.split("\n")[1:]]))
            with running(make(tmp_path)) as server:
                assert server.running
                assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_folder_too_long_for_a_socket_or_not_ascii_works(tmp_path: Path) -> None:
    folder = tmp_path / "一键 通" / ("deep" * 30)
    with services_without_urls(folder) as (database_url, redis_url):
        assert psycopg.connect(database_url).execute("SELECT 1").fetchone() == (1,)
        assert redis.from_url(redis_url).ping()


@contextmanager
def services_without_urls(folder: Path) -> Iterator[tuple[str, str]]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DATABASE_URL", raising=False)
        environment.delenv("REDIS_URL", raising=False)
        with services(folder, **THROW_AWAY_SETTINGS):
            yield os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
        assert "DATABASE_URL" not in os.environ
        assert "REDIS_URL" not in os.environ


def test_addresses_that_are_set_are_left_alone_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/warnings")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    with services(tmp_path / "run") as servers:
        assert servers == []
        assert os.environ["DATABASE_URL"] == "postgresql://elsewhere/warnings"
        assert os.environ["REDIS_URL"] == "redis://elsewhere"
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux")
def test_servers_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with supervisor(tmp_path) as (process, (postgres_pid, valkey_pid, _)):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert ends(int(postgres_pid))
        assert ends(int(valkey_pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
def test_root_without_user_namespaces_runs_postgres_as_nobody_and_back(tmp_path: Path) -> None:
    # pytest's folders are 0700, so nobody cannot enter: the cluster must move
    with supervisor(tmp_path, EMBEDDED_USERNS="0") as (_, (postgres_pid, _, url)):
        try:
            assert Path(f"/proc/{postgres_pid}").stat().st_uid != 0
            assert psycopg.connect(url).execute("SELECT 1").fetchone() == (1,)
        finally:
            moved = outside_homes(tmp_path / "pg")
    shutil.rmtree(moved)
    open_folder = outside_homes(tmp_path)
    try:
        for allowed, owner_is_root in (("0", False), ("1", True)):
            with supervisor(open_folder, EMBEDDED_USERNS=allowed) as (_, (postgres_pid, _, url)):
                assert psycopg.connect(url).execute("SELECT 1").fetchone() == (1,)
                assert ((open_folder / "pg").stat().st_uid == 0) is owner_is_root
    finally:
        shutil.rmtree(open_folder)


def test_a_command_on_throw_away_servers_answers_with_its_own_exit_code() -> None:
    look = "import os, psycopg; psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 1'); raise SystemExit(7)"
    command = [sys.executable, "-m", "backend.embedded", "--", sys.executable, "-c", look]
    assert subprocess.run(command, cwd=ROOT, env=bare_environment()).returncode == 7


def test_a_command_cut_short_by_a_signal_leaves_no_folder_behind() -> None:
    command = [sys.executable, "-m", "backend.embedded", "--", "sh", "-c", "echo $RUN_DIR; exec sleep 600"]
    with subprocess.Popen(
        command, cwd=ROOT, env=bare_environment(), text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert (folder / "pg").is_dir()
        process.terminate()
        assert process.wait() == 130
    assert not folder.exists()
