#!/usr/bin/env python
"""Django's command line for this project. Beside a `make run` of this folder it speaks to that run's servers."""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV_PYTHON = ROOT / ".venv" / "bin" / "python"


def beside_the_run() -> None:
    """What `make run` told its children (backend/up.py), where nothing else is configured."""
    if not {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} & os.environ.keys():
        told = Path(os.environ.get("RUN_DIR") or ROOT / ".run") / "environment.json"
        if told.exists():
            os.environ.update({**json.loads(told.read_text()), **os.environ})


if __name__ == "__main__":
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        if not VENV_PYTHON.exists() or Path(sys.prefix) == VENV_PYTHON.parent.parent:
            sys.exit("Django is not installed here: `make install` first. 请先运行 make install。")
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])  # noqa: S606
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    beside_the_run()
    execute_from_command_line(sys.argv)
