"""What every test of the house stands on."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as django_settings
from hypothesis import settings
from psycopg import sql

from replay.phones import Standin, start_standin

# A test is right or wrong, not slow: the machines that run it are shared. The same commit gives the same verdict, so
# the cases are drawn the same each time; HYPOTHESIS_PROFILE=search draws others, and more of them.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

ROOT = Path(__file__).resolve().parents[1]
OldCity = tuple[psycopg.Connection, Callable[..., None]]


@pytest.fixture(scope="session")
def running_standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    with start_standin(tmp_path_factory.mktemp("fcm")) as standin:
        yield standin


@pytest.fixture
def standin(running_standin: Standin) -> Standin:
    """The local vendors, well behaved and with empty counters."""
    for vendor in ("fcm", "huawei", "apns", "jpush"):
        running_standin.behave(vendor)
    running_standin.forget()
    return running_standin


@pytest.fixture
def old_city() -> Iterator[OldCity]:
    """A database of its own on the tests' server, and `migrate` for it."""
    name = f"old_city_{os.getpid()}"
    url = django_settings.DATABASE_URL
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            own = urlsplit(url)._replace(path=f"/{name}").geturl()
            with psycopg.connect(own, autocommit=True) as city:

                def migrate(*where: str) -> None:
                    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", *where]
                    ran = subprocess.run(
                        command,
                        cwd=ROOT,
                        env=os.environ | {"DATABASE_URL": own},
                        capture_output=True,
                        text=True,
                        check=False,
                    )
                    assert ran.returncode == 0, ran.stderr

                yield city, migrate
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
