"""Who is on the roster: officers and their posts, and what becomes of a phone number.

Owns the rows of Officer and Post. A number is normalised to E.164 (ITU-T), found by a keyed digest, sealed at
rest and shown masked; no other form of it leaves this file except through `unseal`, to a transport.
"""

import re
import unicodedata
from collections.abc import Sequence

from foundation import seals
from foundation.errors import Refusal
from officers.models import Officer, Post

_PUNCTUATION = re.compile(r"[\s\-().]")
_MAINLAND_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})")
_BATCH = 2000  # rows an INSERT


def normalise(phone: str) -> str:
    """E.164 of a number as people write it; without a country code it is a mainland mobile.

    Raises Refusal `bad_phone`: mainland landlines cannot take a code and are refused too.
    """
    bare = _PUNCTUATION.sub("", unicodedata.normalize("NFKC", phone))
    if mainland := _MAINLAND_MOBILE.fullmatch(bare):
        return f"+86{mainland[1]}"
    abroad = _INTERNATIONAL.fullmatch(bare)
    if abroad and not abroad[1].startswith("86"):
        return f"+{abroad[1]}"
    raise Refusal(
        "bad_phone",
        zh="手机号码格式不正确。请输入11位手机号，境外号码请以+和国家代码开头。",
        en="Not a mobile number. Give 11 digits, or + and the country code for a number abroad.",
        fields={"phone": "不是手机号码 / not a mobile number"},
    )


def digest(phone: str) -> str:
    """What an officer is found by: a keyed digest of the E.164 number, 64 hex characters."""
    return seals.keyed_digest(phone, "phone digest")


def mask(phone: str) -> str:
    """An E.164 number as people may see it: "138****1234"; abroad "+852****67"."""
    if phone.startswith("+86"):
        return f"{phone[3:6]}****{phone[-4:]}"
    return f"{phone[:4]}****{phone[-2:]}"


def seal(phone: str) -> bytes:
    """The E.164 number encrypted for the table."""
    return seals.seal(phone)


def unseal(sealed: bytes | memoryview) -> str:
    """The E.164 number, for a transport that must dial it; never for a page, a log or a push."""
    return seals.unseal(sealed)


def officer_row(
    name: str, phone: str, language: str = "zh", synthetic: bool = False, staff_code: str | None = None
) -> Officer:
    """An unsaved officer; raises Refusal `bad_phone`."""
    number = normalise(phone)
    return Officer(
        name=name,
        phone_digest=digest(number),
        sealed_phone=seal(number),
        masked_phone=mask(number),
        staff_code=staff_code,
        language=language,
        synthetic=synthetic,
    )


def enrol(officers: Sequence[Officer]) -> list[Officer]:
    """Insert many officers, set-wise; they come back with their ids. Numbers must be new to the roster."""
    return Officer.objects.bulk_create(officers, batch_size=_BATCH)


def appoint(posts: Sequence[Post]) -> list[Post]:
    """Insert many posts, set-wise."""
    return Post.objects.bulk_create(posts, batch_size=_BATCH)
