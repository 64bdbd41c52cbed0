"""A snapshot as bytes: items encoded once, put together for whoever asks.

Owns which items an answer shows and in which order, its body (plain and gzipped) and its ETag. Knows no tables, no
Redis, no clock. A shelf never changes, the next snapshot is the next shelf; so what was put together once is kept
with it. Ages stand in the bytes but not in the ETag: a client with the same water gets 304.
"""

import gzip
import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, NamedTuple

import orjson

from foundation.scope import below

MOST_KEPT: Final = (
    256  # answers a snapshot: the city's, the districts', the usual filters; others are made each time
)
AGES: Final = frozenset({"age_s", "as_of"})


class Row(NamedTuple):
    """One item: where it stands, what it can be asked by, its JSON, and a digest of it without ages."""

    path: str
    code: str
    kind: str
    status: str
    body: bytes
    digest: bytes


class Asked(NamedTuple):
    """Items at or below `paths`, of one kind or status if given; those with the codes `first` come first."""

    paths: tuple[str, ...]
    kind: str = ""
    status: str = ""
    first: tuple[str, ...] = ()


class Answer:
    """One answer. The ETag is known at once, the bytes are put together when first wanted."""

    def __init__(self, head: bytes, seal: bytes, rows: list[Row]) -> None:
        self._head, self._rows = head, rows
        digest = hashlib.sha256(seal + b"".join([row.digest for row in rows])).hexdigest()[:20]
        self.etag = f'W/"{digest}"'
        self._opaque = f'"{digest}"'

    @cached_property
    def body(self) -> bytes:
        return b"%b[%b]}" % (self._head, b",".join([row.body for row in self._rows]))

    @cached_property
    def zipped(self) -> bytes:
        return gzip.compress(self.body, 4, mtime=0)

    def known_to(self, if_none_match: str) -> bool:
        """Whether the header names this content (weak comparison, RFC 9110 13.1.2)."""
        return self._opaque in if_none_match or if_none_match.strip() == "*"


class Shelf:
    """`head`: the members beside `items`; `seal`: what of them belongs to the content and so to the ETag."""

    def __init__(self, head: dict[str, Any], rows: Iterable[Row], seal: bytes = b"") -> None:
        self._head = orjson.dumps({**head, "items": []}).removesuffix(b"[]}")
        self._rows, self._seal = tuple(rows), seal
        self._answers: dict[Asked, Answer] = {}

    def answer(self, asked: Asked) -> Answer:
        found = self._answers.get(asked)
        if found is None:
            found = Answer(self._head, self._seal, self._chosen(asked))
            if len(self._answers) < MOST_KEPT:
                self._answers[asked] = found
        return found

    def prepared(self) -> "Shelf":
        """The same, with the answers for the city and for each district put together: not for the event loop."""
        above = {row.path.split("/")[0] + "/" for row in self._rows}
        for path in above | {"/".join(row.path.split("/")[:2]).rstrip("/") + "/" for row in self._rows}:
            self.answer(Asked((path,))).zipped  # noqa: B018  it is kept
        return self

    def _chosen(self, asked: Asked) -> list[Row]:
        rows = [
            row
            for row in self._rows
            if below(row.path, asked.paths)
            and (not asked.kind or row.kind == asked.kind)
            and (not asked.status or row.status == asked.status)
        ]
        if asked.first:
            own = frozenset(asked.first)
            rows.sort(key=lambda row: row.code not in own)  # stable: the order within both parts stays
        return rows


def row_of(path: str, code: str, item: dict[str, Any], kind: str = "", status: str = "") -> Row:
    digest = hashlib.sha256(orjson.dumps(lasting(item))).digest()[:16]
    return Row(path, code, kind, status, orjson.dumps(item), digest)


def lasting(content: Any) -> Any:
    """The content without what only says how old it is."""
    if isinstance(content, dict):
        return {name: lasting(value) for name, value in content.items() if name not in AGES}
    return [lasting(one) for one in content] if isinstance(content, list) else content


def etag_of(content: Any) -> str:
    """A weak ETag of the content without its ages."""
    return f'W/"{hashlib.sha256(orjson.dumps(lasting(content))).hexdigest()[:20]}"'
