"""Where PostgreSQL and Redis are, with a second one that may take over."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.test_house import ROOT

LOOK = """
import json
from django.conf import settings as s
print(json.dumps([s.DATABASES["default"], s.CELERY_BROKER_URL, s.CELERY_BROKER_TRANSPORT_OPTIONS, s.REDIS_SENTINELS]))
"""


def look(database: str, redis: str) -> tuple[str, str]:
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "backend.settings", "SECRET_KEY": "x" * 40, "DATABASE_URL": database, "REDIS_URL": redis,
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return ran.stdout, ran.stderr


def seen(database: str, redis: str) -> list[Any]:
    out, err = look(database, redis)
    assert not err, err
    found: list[Any] = json.loads(out)
    return found


def test_several_hosts_and_sentinels() -> None:
    database, broker, options, sentinels = seen(
        "postgresql://flood:p%40ss@one,two:5433/warnings?sslmode=require",
        "sentinel://:secret@s1:26379,s2/flood?sentinel_password=other",
    )
    assert (database["HOST"], database["PORT"]) == ("one,two", "5432,5433")
    assert (database["USER"], database["PASSWORD"], database["NAME"]) == ("flood", "p@ss", "warnings")
    assert database["OPTIONS"]["target_session_attrs"] == "read-write"  # never the standby
    assert database["OPTIONS"]["sslmode"] == "require"
    assert broker == "sentinel://:secret@s1:26379/0;sentinel://:secret@s2:26379/0"
    assert options["master_name"] == "flood"
    assert options["sentinel_kwargs"]["password"] == "other"
    assert sentinels["hosts"] == [["s1", 26379], ["s2", 26379]]
    assert sentinels["login"] == {"password": "secret"}


def test_one_host_is_as_ever() -> None:
    database, broker, options, sentinels = seen("postgresql://app@/postgres?host=/run/pg", "redis://one:6379")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("/run/pg", "", "postgres")
    assert "target_session_attrs" not in database["OPTIONS"]
    assert (broker, sentinels) == ("redis://one:6379/0", None)
    assert "master_name" not in options


def test_sentinels_without_the_name_they_watch_are_refused() -> None:
    assert (
        "where NAME is what Sentinel watches" in look("postgresql://one/warnings", "sentinel://s1:26379")[1]
    )


def test_a_command_beside_a_run_finds_its_servers_and_what_is_set_stays(tmp_path: Path) -> None:
    """With nothing in the environment; the run leaves what its children are told (backend/up.py)."""
    beside = {"DATABASE_URL": "postgresql:///beside", "REDIS_URL": "redis://beside", "SECRET_KEY": "x" * 40}
    ours = {name: value for name, value in os.environ.items() if name not in beside} | {
        "RUN_DIR": str(tmp_path)
    }
    look = [
        "manage.py",
        "shell",
        "--no-imports",
        "-c",
        "from django.conf import settings; print(settings.DATABASE_URL)",
    ]

    def said(**more: str) -> str:
        command = [sys.executable, *look]
        ran = subprocess.run(command, cwd=ROOT, env=ours | more, capture_output=True, text=True, check=False)
        return ran.stdout.strip() or ran.stderr

    assert "Beside a `make run`" in said()
    (tmp_path / "environment.json").write_text(json.dumps(beside))
    assert said() == "postgresql:///beside"
    assert said(**beside | {"DATABASE_URL": "postgresql:///own"}) == "postgresql:///own"
