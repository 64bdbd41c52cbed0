"""The door at which gateways report text messages and calls, and push vendors (or who relays for them) pushes. Signed
with the gateway's secret instead of a bearer; Huawei and JPush may also speak their own form, with their own proof.

Owns the signature's check and the reading of each report; the vendors' own words are notifications/callbacks.py, what a
report means is notifications/reports.py.
"""

import re
from datetime import datetime, timedelta

import orjson
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from foundation.bodies import read_at_most
from foundation.clock import iso, now
from foundation.errors import Refusal
from foundation.faults import flat
from foundation.gateway import KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER, account
from foundation.signatures import WINDOW, genuine, instant
from hydrology.doors.asked import language
from notifications import callbacks, reports
from notifications.reports import PUSH_VENDORS, SPEAKS, Report, Said
from notifications.shapes import TAKEN

MOST_REPORTS = 200
MOST_BYTES = 512 * 1024  # Huawei may join a thousand receipts
EARLY, LATE = (
    timedelta(minutes=10),
    timedelta(days=30),
)  # a gateway's clock; how long a report may be on its way
_NOBODY = "no such gateway"  # keeps the work the same where there is none
_WORDS = {Said.KEYPRESS: "key", Said.REPLY: "text", Said.FAILED: "reason"}


class ReportIn(serializers.Serializer[object]):
    id = serializers.CharField(max_length=64, help_text="as it was sent; of a push its data's id")
    state = serializers.ChoiceField(choices=[said.value for said in Said])
    at = serializers.DateTimeField(help_text="the gateway's clock, with zone")
    key = serializers.CharField(max_length=8, required=False, help_text="keypress: 1 confirms, 9 cannot go")
    text = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, help_text="reply: his text message"
    )
    reason = serializers.RegexField(r"^[A-Za-z0-9_ ]{1,48}\Z", required=False, help_text="failed: a word")

    def validate(self, given: dict[str, object]) -> dict[str, object]:
        at, state = given["at"], Said(str(given["state"]))
        assert isinstance(at, datetime)
        if not self.context["now"] - LATE < at < self.context["now"] + EARLY:
            raise serializers.ValidationError({"at": "超出合理时间，请校时 / out of range; set your clock"})
        if state not in SPEAKS[self.context["provider"]]:
            raise serializers.ValidationError({"state": "本通道无此状态 / not a state of this channel"})
        if state is not Said.FAILED and (word := _WORDS.get(state)) and word not in given:
            raise serializers.ValidationError({word: f"{state.value} 须带 {word} / needs {word}"})
        return given


class ReportsIn(serializers.Serializer[object]):
    reports = ReportIn(many=True, max_length=MOST_REPORTS)


class ReportResult(serializers.Serializer[object]):
    id = serializers.CharField()
    state = serializers.CharField()
    result = serializers.ChoiceField(choices=TAKEN)
    fields = serializers.DictField(required=False)


class ReportsOut(serializers.Serializer[object]):
    results = ReportResult(many=True)


_SIGNED = [
    OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True)
    for name in (KEY_HEADER, TIME_HEADER, SIGNATURE_HEADER)
]


class Reports(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(exclude=True)
    def get(self, request: Request, provider: str) -> HttpResponse:
        """JPush's console tries an address by a random word, which is to be said back."""
        word = request.query_params.get("echostr", "")
        if provider != "jpush" or not re.fullmatch(r"[A-Za-z0-9]{1,64}", word):
            raise MethodNotAllowed("GET")
        return HttpResponse(word, "text/plain")

    @extend_schema(
        parameters=_SIGNED, request=ReportsIn, responses=ReportsOut, operation_id="provider_reports", auth=[]
    )
    def post(self, request: Request, provider: str) -> Response:
        """Up to 200 reports; late, repeated and out of order is all right. One bad report never loses the good ones.

        Huawei and JPush may post their own receipts here instead (docs/vendors.md), each with its own proof.
        """
        body, at = read_at_most(request, MOST_BYTES), now()
        if KEY_HEADER not in request.headers and (said := _own_words(provider, request, body, at)):
            return said
        _verify(provider, request, body, at)
        results: list[dict[str, object]] = []
        good: list[Report] = []
        for row in _rows(body):
            read = ReportIn(data=row, context={"now": at, "provider": provider})
            known = row if isinstance(row, dict) else {}
            result: dict[str, object] = {name: _echo(known.get(name)) for name in ("id", "state")}
            if read.is_valid():
                given = read.validated_data
                state = Said(given["state"])
                good.append(
                    Report(given["id"], state, given["at"], str(given.get(_WORDS.get(state, ""), "")))
                )
            else:
                fields = {name: why[:200] for name, why in flat(read.errors, language(request)).items()}
                result |= {"result": "invalid", "fields": fields}
            results.append(result)
        said = iter(reports.take(provider, good, now=at))
        return Response(
            {"results": [one if "result" in one else one | {"result": next(said)} for one in results]}
        )


def _own_words(provider: str, request: Request, body: bytes, at: datetime) -> Response | None:
    """The answer to a vendor's own receipts; None when it is none that he has proved. Raises Refusal 400."""
    try:
        if provider == "huawei" and callbacks.from_huawei(
            request.headers.get(callbacks.HUAWEI_HEADER, ""),
            settings.HUAWEI_RECEIPT_USER, settings.HUAWEI_RECEIPT_SECRET, at,
        ):  # fmt: skip
            found = callbacks.huawei_reports(body, at)
            # as the present documentation has it, and as the older one
            answer: dict[str, object] = {"code": "0", "message": "success", "errno": "0", "errmsg": "success"}
        elif provider == "jpush" and callbacks.from_jpush(
            request.headers.get("Authorization", ""), settings.JPUSH_APP_KEY, settings.JPUSH_MASTER_SECRET
        ):
            found = callbacks.jpush_reports(
                body, at, settings.JPUSH_RECEIPT_FIELDS, settings.JPUSH_RECEIPT_STATES
            )
            answer = {"read": len(found)}
        else:
            return None
    except (ValueError, KeyError, TypeError):
        raise _unreadable() from None
    reports.take(provider, found, now=at)
    return Response(answer)


def _verify(provider: str, request: Request, body: bytes, at: datetime) -> None:
    """Raises Refusal 401 `bad_signature` or `clock_skew`; a channel without gateway answers alike."""
    key, secret = _signer(provider)
    time = request.headers.get(TIME_HEADER, "")
    signed = genuine(secret, time, body, request.headers.get(SIGNATURE_HEADER, ""))
    if not key or not signed or request.headers.get(KEY_HEADER) != key:
        raise Refusal(
            "bad_signature",
            zh=f"网关未登记或签名不符。请核对 {KEY_HEADER} 与密钥，对“{TIME_HEADER} + 换行 + 请求体原文”做 HMAC-SHA256。",
            en=f"Unknown gateway or wrong signature. Check {KEY_HEADER} and its secret; sign {TIME_HEADER}, a newline "
            "and the raw body with HMAC-SHA256.",
            status=401,
        )
    sent_at = instant(time)
    if sent_at is None or abs(at - sent_at) > WINDOW:
        raise Refusal(
            "clock_skew",
            zh=f"{TIME_HEADER} 与服务器时间相差超过 5 分钟。服务器时间 {iso(at)}，请校时后重发。",
            en=f"{TIME_HEADER} is more than 5 minutes off the server's clock. The server's time is {iso(at)}: set your "
            "clock and send again.",
            status=401,
            fields={TIME_HEADER: time[:40], "server_time": str(iso(at))},
        )


def _signer(provider: str) -> tuple[str, str]:
    """(key, secret) of who may report; an empty key where nobody may."""
    if provider in PUSH_VENDORS:
        return settings.PUSH_REPORT_KEY, settings.PUSH_REPORT_SECRET or _NOBODY
    there = account(provider)
    return (there.key, there.secret) if there else ("", _NOBODY)


def _rows(body: bytes) -> list[object]:
    try:
        rows = orjson.loads(body)["reports"]
        if isinstance(rows, list) and len(rows) <= MOST_REPORTS:
            return rows
    except (ValueError, KeyError, TypeError):
        pass
    raise _unreadable()


def _unreadable() -> Refusal:
    return Refusal(
        "invalid",
        zh=f'请求体须为 {{"reports": […]}}，不超过 {MOST_REPORTS} 条，或为厂商自己的回执格式。',
        en=f'The body must be {{"reports": [...]}} with at most {MOST_REPORTS} of them, or the vendor\'s own receipts.',
        fields={"reports": "array"},
    )


def _echo(given: object) -> object:
    """What the gateway called it, if it is short."""
    return given[:64] if isinstance(given, str) else None
