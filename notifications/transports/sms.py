"""Text messages: what one says. 70 characters are one segment when there is 汉字 in it (3GPP TS 23.038: 140 bytes of UCS-2).

One segment in Chinese, two in English, where a push has 160 letters. The gateway puts its own registered signature
before it, so a few characters are left for that.
"""

from foundation.gateway import Account

from .base import Message
from .gateway import GatewayTransport

SIGNATURE_CHARS = 8  # 【深圳三防】 and the like
SEGMENT, TWO_SEGMENTS, TWO_ASCII = 70, 134, 306
REPLY_ZH, REPLY_EN = "回复1确认，9不能到岗", " Reply 1: confirm, 9: cannot go"


def transport(account: Account, rate_per_s: float) -> GatewayTransport:
    return GatewayTransport("sms", account, says=fields, body_columns=TWO_ASCII, rate_per_s=rate_per_s)


def fields(message: Message) -> dict[str, object]:
    return {"text": text(message), "answers": ["1", "9"] if message.asks else []}


def text(message: Message) -> str:
    """Drill first, then the bulletin's words, which end with what is to be done, then how to answer.

    Why it comes again is said only where there is room left; a bulletin's own words always have it.
    """
    english, words = message.language == "en", message.alone
    reply = (REPLY_EN if english else REPLY_ZH) if message.asks else ""
    most = (TWO_ASCII if words.isascii() else TWO_SEGMENTS) if english else SEGMENT
    room = most - SIGNATURE_CHARS - len(reply)
    lead = message.lead if len(message.lead) + len(words) <= room else ""
    return f"{lead}{words}"[:room] + reply
