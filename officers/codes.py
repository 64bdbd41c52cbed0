"""One-time sign-in codes: asked for, sent, spent.

Owns OneTimeCode. Unknown numbers are treated exactly like known ones, limits included, so that neither the
answer nor the work done tells whether a number is on the roster; only the sending, in a thread, is left out. The
newest code of a number is the only one that counts. Guessing is bounded by TRIES a code and HOURLY codes an hour.
"""

import hmac
import logging
import math
import secrets
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from django.conf import settings
from django.db import transaction

from foundation import seals
from foundation.clock import iso
from foundation.errors import Refusal
from foundation.gateway import Account, account, gateway
from officers import roster
from officers.models import Officer, OneTimeCode
from officers.turns import in_turn

LIFE = timedelta(minutes=5)
TRIES = 5
HOURLY = 10
_PAUSE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)

TEXT = "验证码{code}，{minutes}分钟内有效，请勿告诉他人。Code {code}, valid {minutes} min."  # one segment
AGAIN_S = (2, 4)
_room = threading.BoundedSemaphore(200)  # codes waiting to go out

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What became of a code that somebody typed."""

    RIGHT = "right"  # it is spent now
    WRONG = "wrong"  # a try is gone
    ABSENT = "absent"  # there is nothing to try against: none asked for, spent, expired or tried too often


def request_code(phone: str, now: datetime) -> None:
    """Make a code for the number and send it if an active officer has it.

    Raises Refusal `bad_phone`, or 429 `too_many_codes` for any number, known or not.
    """
    number = roster.normalise(phone)
    phone_digest = roster.digest(number)
    code = f"{secrets.randbelow(10**6):06d}"
    with transaction.atomic():
        in_turn(f"code {phone_digest}")
        _require_pace(phone_digest, now)
        OneTimeCode.objects.create(
            phone_digest=phone_digest, code_digest=_digest(phone_digest, code), expires_at=now + LIFE
        )
    for synthetic in Officer.objects.known(phone_digest).values_list("synthetic", flat=True)[:1]:
        _send(number, code, synthetic, now)


def spend(phone_digest: str, code: str, now: datetime) -> Verdict:
    """Try a code against the number's newest one; call inside a transaction that commits either way."""
    newest = OneTimeCode.objects.of(phone_digest).select_for_update().first()
    if newest is None or newest.used_at or newest.expires_at <= now or newest.tries >= TRIES:
        return Verdict.ABSENT
    newest.tries += 1
    right = hmac.compare_digest(newest.code_digest, _digest(phone_digest, code))
    newest.used_at = now if right else None
    newest.save(update_fields=["tries", "used_at"])
    return Verdict.RIGHT if right else Verdict.WRONG


def forget_codes(now: datetime) -> int:
    """Delete the codes that no longer count towards any limit; returns how many."""
    return OneTimeCode.objects.filter(expires_at__lte=now - _HOUR).delete()[0]


def _require_pace(phone_digest: str, now: datetime) -> None:
    since = now - _HOUR + LIFE  # a code was asked for LIFE before it expires
    expiries = OneTimeCode.objects.of(phone_digest).filter(expires_at__gt=since)
    asked = [at - LIFE for at in expiries.values_list("expires_at", flat=True)[:HOURLY]]
    free_at = max(
        asked[0] + _PAUSE if asked else now,
        asked[-1] + _HOUR if len(asked) == HOURLY else now,
    )
    if free_at > now:
        wait_s = math.ceil((free_at - now).total_seconds())
        raise Refusal(
            "too_many_codes",
            zh=f"获取验证码过于频繁。请在{wait_s}秒后重试。",
            en=f"Too many codes were asked for. Try again in {wait_s} seconds.",
            status=429,
            retry_after_s=wait_s,
        )


def _send(number: str, code: str, synthetic: bool, now: datetime) -> None:
    there = account("sms") if settings.OTP_TRANSPORT == "sms" else None
    if settings.OTP_TRANSPORT == "console":
        print(f"otp.code phone={roster.mask(number)} code={code}", flush=True)  # noqa: T201 - the demo's transport
    elif there is None or (synthetic and not there.here):  # an invented person's number may be somebody's
        log.warning("otp.unsent transport=%s", settings.OTP_TRANSPORT)
    elif not _room.acquire(blocking=False):
        log.error("otp.unsent transport=sms reason=too_many_waiting")
    else:
        _posts().submit(_text, there, number, code, now)


@cache
def _posts() -> ThreadPoolExecutor:
    """The door answers at once, known number or not; a code lost with the process is asked for again."""
    return ThreadPoolExecutor(2, thread_name_prefix="otp")


def _text(there: Account, number: str, code: str, now: datetime) -> None:
    fields: dict[str, object] = {
        "id": f"code-{uuid.uuid4().hex}",
        "to": number,
        "text": TEXT.format(code=code, minutes=LIFE // timedelta(minutes=1)),
        "expires_in_s": int(LIFE.total_seconds()),
        "expires_at": iso(now + LIFE),
        "answers": [],
        "drill": False,
        "callback": "",
    }
    try:
        for pause_s in (0, *AGAIN_S):
            time.sleep(pause_s)
            reply = gateway(there).post(fields, now + timedelta(seconds=pause_s))
            if not reply.fault and reply.status < 500 and reply.status != 429:
                break
        log.info("otp.sent status=%s fault=%s", reply.status, reply.fault)
    except OSError as error:  # its certificates cannot be read
        log.error("otp.unsent transport=sms error=%s", type(error).__name__)
    finally:
        _room.release()


def _digest(phone_digest: str, code: str) -> str:
    return seals.keyed_digest(f"{phone_digest} {code}", "one-time code")
