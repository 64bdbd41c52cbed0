"""What every HTTP door has in common: how an error is said, and that a POST sent twice is done once."""

import hashlib
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler

from backend.models import KeptAnswer
from foundation.clock import now
from foundation.errors import Refusal
from foundation.faults import flat
from hydrology.doors.asked import language
from officers.auth import admits, subject_of

log = logging.getLogger(__name__)
STATUS_TEXT = {
    400: ("请求有误，请按字段提示修改后重试。", "The request is wrong; mend the named fields and try again."),
    401: ("请先登录。", "Sign in first."),
    403: ("您没有执行此操作的权限。", "You may not do this."),
    404: ("没有找到。请核对编号。", "Not found. Check the number."),
    405: ("此地址不支持该方法。", "This address does not take that method."),
    413: ("请求体过大，请分批发送。", "The body is too large; send it in parts."),
    415: ("不支持的内容类型，请用 application/json。", "Unsupported content type; send application/json."),
    429: ("请求过于频繁，请稍后再试。", "Too many requests; try again later."),
    500: (
        "系统内部出错，已记录。请稍后重试。",
        "Something failed on our side and was noted; try again later.",
    ),
}

NOT_STORABLE = Refusal(
    "invalid",
    zh="请求中有无法使用的字符或超出范围的数值，请检查后重试。",
    en="The request holds a character or a number that cannot be used; check it and try again.",
)
NO_CURSOR = Refusal(
    "invalid",
    zh="cursor 无效，请从第一页重新开始。",
    en="This cursor is not one of ours; begin again with the first page.",
    fields={"cursor": "invalid"},
)
NUL = Refusal(
    "invalid",
    zh="地址或查询参数中不能有空字符（%00），请去掉后重试。",
    en="The address and its query must not hold a NUL (%00); leave it out.",
)


def answer_error(error: Exception, context: dict[str, object]) -> Response | None:
    """DRF's exception handler: `{code, message, fields}` with the right status; None lets Django log a 500."""
    request: Request = context["request"]  # type: ignore[assignment]
    spoken = language(request)
    if isinstance(error, DataError) or (
        isinstance(error, ValueError | ValidationError) and "cursor" in request.query_params
    ):
        # a cursor's content is first understood by the query; the log tells a fault of ours from a caller's
        log.warning("doors.not_storable path=%s", request.path, exc_info=error)
        error = NO_CURSOR if "cursor" in request.query_params else NOT_STORABLE
    if isinstance(error, Refusal):
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        return Response(error.answer(spoken), status=error.status, headers=headers)
    response = exception_handler(error, context)
    if response is None:
        return None
    zh, en = STATUS_TEXT.get(response.status_code, STATUS_TEXT[400])
    fields = flat(error.detail, spoken) if isinstance(error, exceptions.ValidationError) else {}
    code = getattr(error, "default_code", "error") if not fields else "invalid"
    response.data = {"code": code, "message": en if spoken == "en" else zh, "fields": fields}
    return response


KEPT_FOR = timedelta(days=7)
CALLED_NUMBER = re.compile(r"/api/v1/calls/[0-9]+/phone")
# a phone that sends files again draws another boundary, so other bytes: a report is known by its key for ever, an
# order's paper by its content
FILES = re.compile(r"/api/v1/(hazards|orders/[0-9]+/attachments)")
ABANDONED = timedelta(minutes=1)  # the process that began it was killed: whoever asks again may run it


KEY_REUSED = Refusal(
    "key_reused",
    zh="同一个 Idempotency-Key 已用于另一请求，请换一个新键。",
    en="This Idempotency-Key belongs to another request; use a new one.",
)
IN_PROGRESS = Refusal(
    "in_progress",
    zh="同一请求正在执行，请稍候重试。",
    en="The same request is still running; try again shortly.",
)


def no_such_address(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's 404 handler: an unknown address answers in the same shape as everything else."""
    return _said(request, "not_found", 404)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's 400 handler: what it refuses before a view, such as a host that is not ours or a body without end."""
    if isinstance(exception, RequestDataTooBig):
        return _said(request, "too_large", 413)
    return _said(request, "bad_request", 400)


def our_fault(request: HttpRequest) -> JsonResponse:
    """Django's 500 handler: a program gets the shape it knows; the log has the rest."""
    return _said(request, "internal_error", 500)


def _said(request: HttpRequest, code: str, status: int) -> JsonResponse:
    zh, en = STATUS_TEXT[status]
    message = en if language(request) == "en" else zh
    return JsonResponse({"code": code, "message": message, "fields": {}}, status=status)


def forget_answers(at: datetime) -> int:
    """Drop the kept answers nobody will ask for again; returns how many."""
    return KeptAnswer.objects.filter(at__lt=at - KEPT_FOR).delete()[0]


class NoNul:
    """Middleware: a NUL in the path or the query is refused before any view; PostgreSQL can hold none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        if "\0" in request.path or "%00" in query or "\0" in query:
            return _refused(NUL, language(request))
        return self.get_response(request)


class SameAnswerTwice:
    """Middleware for `Idempotency-Key`: the same key and body gets the first answer, another body 409.

    The row is written before the view runs, in its own transaction, so two at once cannot both run; it is
    removed again when nothing came of it: who mends a refused body may send it with the same key. Keys belong to
    the bearer's token subject, never shared; without a bearer of ours nothing is kept.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key, caller = request.headers.get("Idempotency-Key"), request.headers.get("Authorization")
        secret = request.path.startswith("/api/v1/auth/") or CALLED_NUMBER.fullmatch(request.path)
        if request.method != "POST" or not key or not caller or secret or FILES.fullmatch(request.path):
            # answers with tokens or phone numbers are never kept; a feed's post is kept by its own digest
            return self.get_response(request)
        subject = subject_of(caller)
        if subject is None:  # nobody of ours: the view says so, and no row is made
            return self.get_response(request)
        digest = hashlib.sha256(request.path.encode() + b"\n" + request.body).hexdigest()
        kept, ours = _begin(subject, key, digest)
        if not ours:
            # who has signed out is told so by the view
            return (
                self._again(kept, digest, language(request)) if admits(caller) else self.get_response(request)
            )
        response = self.get_response(request)
        if 200 <= response.status_code < 300 and not response.streaming:
            kept.status, kept.body = response.status_code, response.content
            kept.save(update_fields=["status", "body"])
        else:
            kept.delete()
        return response

    def _again(self, kept: KeptAnswer, digest: str, language: str) -> HttpResponse:
        if kept.digest != digest:
            return _refused(KEY_REUSED, language, 409)
        if kept.status is None:
            return _refused(IN_PROGRESS, language, 409)
        return HttpResponse(kept.body, status=kept.status, content_type="application/json")


def _refused(refusal: Refusal, language: str, status: int = 400) -> JsonResponse:
    return JsonResponse(refusal.answer(language), status=status)


def _begin(subject: str, key: str, digest: str) -> tuple[KeptAnswer, bool]:
    """The row of this key, and whether this request is the one to run."""
    began_at = now()
    kept, ours = KeptAnswer.objects.get_or_create(
        owner=hashlib.sha256(subject.encode()).hexdigest(),
        key=key[:128],
        defaults={"digest": digest, "at": began_at},
    )
    if not ours and kept.status is None and kept.digest == digest and began_at - kept.at >= ABANDONED:
        # of several who ask again, one takes it over
        ours = KeptAnswer.objects.filter(pk=kept.pk, status=None, at=kept.at).update(at=began_at) == 1
    return kept, ours
