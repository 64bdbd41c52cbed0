"""One-time sign-in codes: asked for, sent, spent.

Owns OneTimeCode and WrongGuess. Unknown numbers are treated exactly like known ones, limits included, so that neither
the answer nor the work done tells whether a number is on the roster; only the sending, in a thread, is left out.

Every limit is one of where a request comes from (`source`), so that strangers elsewhere shut nobody out: HOURLY codes for
a number, FROM_ONE for any; TRIES a code, and as many for all who did not ask for it; MOST_WRONG guesses, and once all
together were wrong MANY_WRONG times, FEW_WRONG. Two sources that ask for one number within a minute share the code.
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
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.db import transaction

from foundation import seals
from foundation.clock import iso
from foundation.errors import Refusal
from foundation.gateway import Account, account, gateway
from officers import roster
from officers.models import Officer, OneTimeCode, WrongGuess
from officers.turns import in_turn

LIFE = timedelta(minutes=5)
TRIES = 5
HOURLY = 10
COUNTING = 2  # a number's newest codes: a stranger who asks for it does not end the owner's
FROM_ONE = 1000  # a carrier, or the government's own network, puts many phones behind one address
MOST_WRONG, MANY_WRONG, FEW_WRONG = 50, 1000, 5  # an hour
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


def source_of(address: str) -> str:
    """A digest of where a request comes from: the address, of IPv6 the /56 that one line may have."""
    try:
        ip = ip_address(address)
    except ValueError:
        return seals.keyed_digest(address, "source")
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip_network((ip, 56), strict=False).network_address
    return seals.keyed_digest(str(ip), "source")


def request_code(phone: str, now: datetime, source: str = "") -> None:
    """Make a code for the number and send it if an active officer has it; one on its way since less than a minute serves.

    Raises Refusal `bad_phone`, or 429 `too_many_codes` for any number, known or not, before anything is kept.
    """
    number = roster.normalise(phone)
    phone_digest = roster.digest(number)
    code = f"{secrets.randbelow(10**6):06d}"
    with transaction.atomic():
        in_turn(f"code {phone_digest}")
        _require_pace(phone_digest, source, now)
        if any(one.expires_at > now + LIFE - _PAUSE for one in _open(phone_digest, source, now)):
            return
        OneTimeCode.objects.create(
            phone_digest=phone_digest,
            code_digest=_digest(phone_digest, code),
            expires_at=now + LIFE,
            source=source,
        )
    for synthetic in Officer.objects.known(phone_digest).values_list("synthetic", flat=True)[:1]:
        _send(number, code, synthetic, now)


def spend(phone_digest: str, code: str, now: datetime, source: str = "") -> Verdict:
    """Try a code against the number's newest; the right one ends them all. Call inside a transaction that commits either way."""
    open_codes = _open(phone_digest, source, now)
    if not open_codes:
        return Verdict.ABSENT
    said = _digest(phone_digest, code)
    if any(hmac.compare_digest(one.code_digest, said) for one in open_codes):
        OneTimeCode.objects.of(phone_digest).filter(used_at=None).update(used_at=now)
        return Verdict.RIGHT
    for one in open_codes:
        counter = _counter(one, source)
        setattr(one, counter, getattr(one, counter) + 1)
    OneTimeCode.objects.bulk_update(open_codes, ["tries", "tries_elsewhere"])
    WrongGuess.objects.create(source=source, at=now)
    return Verdict.WRONG


def require_few_wrong(source: str, now: datetime) -> None:
    """Raises Refusal 429 `too_many_tries` for where too many wrong codes came from within the hour."""
    wrong = WrongGuess.objects.filter(at__gt=now - _HOUR)
    most = FEW_WRONG if wrong.count() >= MANY_WRONG else MOST_WRONG
    at = wrong.filter(source=source).order_by("-at").values_list("at", flat=True)[most - 1 : most].first()
    if at is not None:
        log.warning("otp.guessing most=%s", most)
        wait_s = math.ceil((at + _HOUR - now).total_seconds())
        raise Refusal(
            "too_many_tries",
            zh=f"此网络输错验证码次数过多。请在{wait_s}秒后重试，或换用其他网络。",
            en=f"Too many wrong codes from your network. Try again in {wait_s} seconds, or from another network.",
            status=429,
            retry_after_s=wait_s,
        )


def forget_codes(now: datetime) -> int:
    """Delete the codes and guesses that no longer count towards any limit; returns how many codes."""
    WrongGuess.objects.filter(at__lte=now - _HOUR).delete()
    return OneTimeCode.objects.filter(expires_at__lte=now - _HOUR).delete()[0]


def _open(phone_digest: str, source: str, now: datetime) -> list[OneTimeCode]:
    """The number's newest codes that may still be tried from this source, locked."""
    live = OneTimeCode.objects.of(phone_digest).filter(used_at=None, expires_at__gt=now)
    newest = live.select_for_update()[:COUNTING]
    return [one for one in newest if getattr(one, _counter(one, source)) < TRIES]


def _counter(one: OneTimeCode, source: str) -> str:
    return "tries" if one.source == source else "tries_elsewhere"


def _require_pace(phone_digest: str, source: str, now: datetime) -> None:
    since = now - _HOUR + LIFE  # a code was asked for LIFE before it expires
    here = OneTimeCode.objects.filter(source=source, expires_at__gt=since).order_by("-expires_at", "-id")
    mine = list(here.filter(phone_digest=phone_digest).values_list("expires_at", flat=True)[:HOURLY])
    all_here = here.values_list("expires_at", flat=True)[FROM_ONE - 1 : FROM_ONE].first()
    free_at = max(
        mine[0] - LIFE + _PAUSE if mine else now,
        mine[-1] - LIFE + _HOUR if len(mine) == HOURLY else now,
        all_here - LIFE + _HOUR if all_here else now,
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
