"""Doors of the notifications room: the inbox, receipts, a preview; the others stand in doors/."""

from datetime import datetime

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.fields import DateTimeField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts.orders import URGENCY
from foundation.clock import SHENZHEN, now
from foundation.errors import Refusal, not_found
from foundation.faults import flat
from hydrology.doors.asked import LARGEST, language, whole
from hydrology.models import Region, path_filter
from notifications import frames, receipts
from notifications.entering import replayed_from
from notifications.inbox import items
from notifications.models import Delivery
from notifications.preview import preview, red_list
from notifications.shapes import (
    InboxPage,
    PreviewIn,
    PreviewOut,
    ReceiptIn,
    ReceiptsIn,
    ReceiptsOut,
    WarningPreviewIn,
)

PAGE = 100
MOST_RECEIPTS = 500
_CLOCK = DateTimeField(default_timezone=SHENZHEN)


class Inbox(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("since", int), OpenApiParameter("limit", int)], responses=InboxPage
    )
    def get(self, request: Request) -> Response:
        """What the caller has been told after `since`, oldest first. The record; sockets are only hints."""
        since = whole(request, "since", 0, LARGEST, 0)
        limit = min(PAGE, whole(request, "limit", 1, LARGEST, PAGE))
        begins = replayed_from(since, *frames.ledger())
        rows = Delivery.objects.inbox(request.user.pk, begins)[:limit]
        page = items(rows, request.user.language, now=now())
        return Response({"items": page, "next": page[-1]["seq"] if page else begins, "gap": begins != since})


def take_receipts(
    officer_id: int, raw: object, source: str, clock: object = None, spoken: str = "zh"
) -> list[dict[str, object]]:
    """Receipts as a phone sent them, HTTP or socket; a bad one is `invalid` and does not lose the good ones. In order.

    `clock`: the phone's, as it sent them; `spoken`: the language of what is wrong.
    """
    if not isinstance(raw, list) or len(raw) > MOST_RECEIPTS:
        raise Refusal(
            "invalid",
            zh=f"receipts 须为不超过 {MOST_RECEIPTS} 条的数组，请分批发送。",
            en=f"receipts must be an array of at most {MOST_RECEIPTS}; send them in parts.",
            fields={"receipts": "array"},
        )
    good: list[receipts.Answer] = []
    faulty: dict[int, dict[str, object]] = {}
    for number, row in enumerate(raw):
        asked = ReceiptIn(data=row)
        if asked.is_valid():
            good.append(asked.answer(asked.validated_data))
        else:
            known = row if isinstance(row, dict) else {}
            fields = {name: _sayable(why) for name, why in flat(asked.errors, spoken).items()}
            echo = {name: _echo(known.get(name)) for name in ("id", "state")}
            faulty[number] = {**echo, "result": "invalid", "fields": fields}
    at = now()
    taken = iter(receipts.take(officer_id, good, source=source, now=at, skew_s=_skew_s(clock, at)))
    return [faulty[number] if number in faulty else next(taken) for number in range(len(raw))]


def _skew_s(clock: object, at: datetime) -> float | None:
    """The phone's clock minus ours; None where it says none that makes sense: no receipt is lost for that."""
    if not isinstance(clock, str):
        return None
    try:
        said = _CLOCK.run_validation(clock)
    except ValidationError:
        return None
    return round((said - at).total_seconds(), 3)


def _echo(given: object) -> object:
    """What the phone called it, if that can be said back."""
    return _sayable(given) if isinstance(given, str) else given if isinstance(given, int) else None


def _sayable(text: str) -> str:
    """Half a surrogate pair, which JSON lets in, cannot be sent out."""
    return text.encode(errors="replace").decode()[:200]


class Receipts(APIView):
    @extend_schema(request=ReceiptsIn, responses=ReceiptsOut)
    def post(self, request: Request) -> Response:
        """Receipts, also late, repeated and out of order; a state never moves back."""
        said = request.data if isinstance(request.data, dict) else {}
        return Response(
            {
                "results": take_receipts(
                    request.user.pk, said.get("receipts"), "http", said.get("clock"), language(request)
                )
            }
        )


class Preview(APIView):
    @extend_schema(
        request=PolymorphicProxySerializer("Preview", [PreviewIn, WarningPreviewIn], None),
        responses=PreviewOut,
        operation_id="preview",
    )
    def post(self, request: Request, kind: str) -> Response:
        """How many officers would hear it, by district and by duty, and where nobody would, before anything is sent."""
        asked = (PreviewIn if kind == "orders" else WarningPreviewIn)(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        scope = request.auth.scope
        seen = Region.objects.filter(path_filter("path", scope.paths), code__in=said["areas"])
        if not scope.desk_paths and not scope.command_paths:
            scope.require_desk("")
        if seen.count() != len(set(said["areas"])):
            raise not_found("区域", "area")
        at = now()
        heard = preview(
            said["areas"],
            said["duties"],
            at,
            under=said["under"],
            urgency=URGENCY.get(said["level"], 0),
            drill_of=said["drill_of"],
        )
        return Response({**heard, "coverage": red_list(said["areas"], at)})
