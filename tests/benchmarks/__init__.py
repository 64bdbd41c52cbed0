"""Measurements, one module each: `python -m tests.benchmarks.fanout` and so on (`make bench`).

Importing the package makes Django ready for a run that stack.py brings up later: where the run's servers will
listen is known from the folder's name alone. What the user has set for a server of his own is put aside.
"""

import os
import secrets
import tempfile
from pathlib import Path

import django

from backend.embedded import Postgres, Valkey

MARK = "BENCHMARK_RUN"  # set: a child of a benchmark, which lives in its parent's environment

if MARK not in os.environ:
    for name in (
        "DATABASE_URL",
        "REDIS_URL",
        "FIREBASE_CREDENTIALS",
        "FCM_ENDPOINT",
        "FCM_CA_FILE",
        "FCM_RATE_PER_S",
    ):
        os.environ.pop(name, None)
    folder = Path(tempfile.gettempdir(), f"yjtb-{secrets.token_hex(4)}")
    os.environ |= {
        MARK: str(os.getpid()),
        "DATABASE_URL": Postgres(folder / "pg").url,
        "REDIS_URL": Valkey(folder / "valkey").url,
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "LOG_LEVEL": "WARNING",  # of the benchmark itself; the run it measures logs as ever
        "OTP_TRANSPORT": "console",
        "RUN_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(48),
    }
django.setup()
