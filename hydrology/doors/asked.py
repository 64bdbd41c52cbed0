"""What a request asks for: parameters parsed once, with an error that names the field and the remedy."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.errors import Refusal, language_of, not_found
from foundation.scope import below
from hydrology.feeds.signing import instant
from hydrology.models import Region

REGION = OpenApiParameter("region", str, description="code of a city, district or street in your regions")
CURSOR = OpenApiParameter(
    "cursor", str, description="of another page: follow `next` or `previous` as they come"
)
LIMIT = OpenApiParameter("limit", int, description="rows a page, at most 200; 50 when left out")
AFTER = OpenApiParameter("after", int, description="cursor: `next` of the page before")
LARGEST = 2**62  # well within PostgreSQL's largest number
AS_OF = OpenApiParameter(
    "as_of",
    OpenApiTypes.DATETIME,
    description="what was known then: only what had been received by this instant",
)
JSON_BYTES = "application/json"
# what may be asked about; further out no day can be added or taken away, nor an offset applied
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def language(request: Request | HttpRequest) -> str:
    """The caller's, of the two that are spoken here."""
    return language_of(request.headers.get("Accept-Language", ""))


class Pages(CursorPagination):
    """A list by cursor; `limit` says how many rows a page has, `page_size` when it is left out."""

    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        return whole(request, "limit", 1, self.max_page_size, self.page_size)

    def answer(
        self, view: APIView, rows: Any, shape: type[serializers.BaseSerializer[Any]], **context: Any
    ) -> Response:
        """The page of `rows` that the view's request asks for, each row in its shape: as `page_of(shape)`."""
        page = self.paginate_queryset(rows, view.request, view=view)
        return self.get_paginated_response(shape(page, many=True, context=context).data)


def page_of(shape: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """What a list by cursor answers, for the OpenAPI document: `{next, previous, results}`."""
    link = serializers.URLField
    fields = {"next": link(allow_null=True), "previous": link(allow_null=True), "results": shape(many=True)}
    return inline_serializer(f"{shape.__name__.removesuffix('Out')}Page", fields)


def flag(request: Request, name: str) -> bool | None:
    """Yes, no, or None when it is left out. Raises Refusal 400 naming the parameter: a typo is no answer."""
    given = choice(request, name, ("true", "false", "1", "0"))
    return None if given is None else given in {"true", "1"}


def choice(request: Request, name: str, choices: Iterable[str], default: str | None = None) -> str | None:
    """One of the choices, else `default`. Raises Refusal 400 naming the parameter and what it takes."""
    choices = tuple(choices)
    given = request.query_params.get(name) or default
    if given is None or given in choices:
        return given
    raise Refusal(
        "invalid",
        zh=f"{name} 只能是 {'、'.join(choices)}。",
        en=f"{name} must be one of {', '.join(choices)}.",
        fields={name: given[:40]},
    )


def number(request: Request, name: str, low: float, high: float) -> float:
    try:
        given = float(request.query_params.get(name, ""))
    except ValueError:
        given = float("nan")
    if low <= given <= high:
        return given
    raise Refusal(
        "invalid",
        zh=f"{name} 须为 {low:g} 至 {high:g} 之间的数（度）。",
        en=f"{name} must be a number from {low:g} to {high:g} (degrees).",
        fields={name: request.query_params.get(name, "")[:40]},
    )


def whole(request: Request, name: str, low: int, high: int, default: int) -> int:
    """A whole number. Raises Refusal 400 naming the parameter and its bounds."""
    given = request.query_params.get(name) or str(default)
    if given.isascii() and given.isdecimal() and len(given) < 20 and low <= int(given) <= high:
        return int(given)
    raise Refusal(
        "invalid",
        zh=f"{name} 须为 {low} 至 {high} 的整数。",
        en=f"{name} must be a whole number from {low} to {high}.",
        fields={name: given[:40]},
    )


def after(request: Request) -> int:
    """The cursor AFTER; 0 where it is left out."""
    return whole(request, "after", 0, LARGEST, 0)


def time(request: Request, name: str, default: datetime) -> datetime:
    """An instant with its zone, from 2000 to 2100. Raises Refusal 400 naming the parameter and how to write it."""
    raw = request.query_params.get(name)
    at = instant(raw.replace(" ", "+")) if raw else default  # "+08:00" arrives as a blank when not encoded
    if at is not None and EARLIEST <= at <= LATEST:
        return at
    raise Refusal(
        "invalid",
        zh=f"{name} 须为 2000 至 2100 年间带时区的 ISO 8601 时间，如 2023-09-07T18:20:00+08:00。",
        en=f"{name} must be an ISO 8601 time from 2000 to 2100 with its zone, like 2023-09-07T18:20:00+08:00.",
        fields={name: (raw or "")[:40]},
    )


def region(request: Request) -> Region | None:
    """The region asked for, if any. Raises Refusal 404 outside the caller's water."""
    code = request.query_params.get("region")
    if not code:
        return None
    region = Region.objects.filter(pk=code).first()
    if region is None or not below(region.path, request.auth.scope.water_paths):
        raise not_found("区域", "region")
    return region
