"""What a fetcher is and what it hands over; how its faults and its secret are named.

A fetcher reads one Source, outside any transaction, and yields bodies with the mark to remember once each was taken.
It writes nothing. polls.py takes, settles and remembers, in this order: a kill in between costs a repeat, which
ingest answers as a duplicate.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.errors import Refusal
from hydrology.models import Source

Mark = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fetched:
    """One body for a door, and the whole mark to store once it was taken. An empty body only moves the mark."""

    door: str
    body: bytes
    mark: Mark
    note: str = ""
    """What an engineer should look at although the poll goes well; zh and en, at most 400 characters."""
    name: str = ""
    """What it is called where it came from: a file, an address; for faults and the engineer."""
    settle: Callable[[bool], None] | None = None
    """Called once ingest took (True) or refused (False) the body, before `mark` is stored: it may move a file, or
    still change `mark`. When it raises Refusal, that is the poll's fault and the mark is stored all the same."""


ITS_VARIABLES = "SOURCE_"

Fetcher = Callable[[Source, datetime], Iterable[Fetched]]


def fault(field: str, zh: str, en: str) -> Refusal:
    """Why a source could not be read: what is wrong with `field` of it, and what to do, in both languages."""
    return Refusal("source_fault", zh=zh, en=en, status=502, fields={field: en})


def secret_of(source: Source) -> str:
    """The secret from the environment, empty when the source needs none. Raises Refusal when the
    variable is unset or none of a source's."""
    if not source.secret_env:
        return ""
    if not source.secret_env.startswith(ITS_VARIABLES):  # or a source could carry off our own secrets
        raise fault(
            "secret_env",
            f"环境变量名须以 {ITS_VARIABLES} 开头。",
            f"The variable's name must begin with {ITS_VARIABLES}.",
        )
    if secret := os.environ.get(source.secret_env, ""):
        return secret
    raise fault(
        "secret_env",
        f"环境变量 {source.secret_env} 未设置，请在运行环境中设置后重试。",
        f"The environment variable {source.secret_env} is not set: set it where the workers run.",
    )
