"""Text messages: what one says. One segment is 70 characters when it holds 汉字 (GSM 03.38: 140 bytes of UCS-2).

The gateway puts its own registered signature before it, so a few characters are left for that.
"""

from foundation.gateway import Gateway

from .base import Message
from .gateway import GatewayTransport

SIGNATURE_CHARS = 10  # 【深圳三防】 and the like
SEGMENT, SEGMENT_ASCII = 70, 160
REPLY_ZH, REPLY_EN = "回复1确认，9不能到岗", " Reply 1: confirm, 9: cannot go"


def transport(gateway: Gateway, rate_per_s: float) -> GatewayTransport:
    return GatewayTransport(
        "sms", gateway, says=fields, max_body_chars=SEGMENT - SIGNATURE_CHARS, rate_per_s=rate_per_s
    )


def fields(message: Message) -> dict[str, object]:
    return {"text": text(message), "answers": ["1", "9"] if message.asks else []}


def text(message: Message) -> str:
    """One segment: drill first, then the bulletin's words, then how to answer; what does not fit is cut before that."""
    english = message.language == "en"
    reply = (REPLY_EN if english else REPLY_ZH) if message.asks else ""
    most = SEGMENT_ASCII if english and message.alone.isascii() else SEGMENT
    return message.alone[: most - SIGNATURE_CHARS - len(reply)] + reply
