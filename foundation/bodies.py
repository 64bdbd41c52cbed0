"""What comes in with a request: no more of it than the door takes, JSON that can be looked at, any wish for a form.

One parser for every JSON door. Doors that take more (feeds, papers, photos) read their bytes themselves; what no door takes
does not come so far (backend/body_door.py).
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Final, Protocol

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from foundation.errors import Refusal

MOST_JSON_BYTES: Final = 2 * 1024 * 1024  # 500 receipts with forms are about 1 MB
MOST_DEEP: Final = 32  # no door asks for more than six

TOO_DEEP: Final = Refusal(
    "malformed",
    zh=f"无法读取：请求体嵌套超过 {MOST_DEEP} 层，请更正后重发。",
    en=f"Cannot be read: the body is nested more than {MOST_DEEP} deep; mend it and send again.",
    fields={"body": "nested too deep"},
)


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_at_most(stream: Stream, most_bytes: int) -> bytes:
    """The bytes, whatever the request says of their number. Raises Refusal 413 for one byte more."""
    body = stream.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise too_large(most_bytes)
    return body


def too_large(most_bytes: int) -> Refusal:
    mb = most_bytes // 1024 // 1024
    most = f"{mb} MB" if mb else f"{most_bytes // 1024} KB"
    return Refusal(
        "too_large",
        zh=f"请求体超过 {most}，请分批上报。",
        en=f"The body is larger than {most}; send it in parts.",
        status=413,
    )


class JsonBody(JSONParser):
    """JSON of bounded size and depth. Raises Refusal 413 `too_large` and 400 `malformed`, ParseError else."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = BytesIO(read_at_most(stream, MOST_JSON_BYTES))
        try:
            said = super().parse(body, media_type, parser_context)
        except RecursionError:
            raise TOO_DEEP from None
        if _is_deeper(said, MOST_DEEP):
            raise TOO_DEEP
        return said


def _is_deeper(said: object, most: int) -> bool:
    """Level by level: what nests deeper than Python calls would break whoever looks at it later."""
    level = [said]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


class WhateverIsAccepted(DefaultContentNegotiation):
    """An address has one form, and says which: who asks for `application/cap+xml` of a CAP document is right to."""

    def select_renderer(
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
