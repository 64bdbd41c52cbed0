"""Calls: what is read to him who picks up, and which keys he may press.

Only the key proves that a person has heard it (叫应): picking up alone may be a mailbox.
"""

from foundation.gateway import Account

from .base import Message
from .gateway import GatewayTransport

KEYS_ZH, KEYS_EN = "确认请按1，不能到岗请按9。", "Press 1 to confirm, 9 if you cannot go."
TIMES_READ = 3
RING_S = 30


def transport(account: Account, rate_per_s: float) -> GatewayTransport:
    return GatewayTransport("voice", account, says=fields, body_columns=200, rate_per_s=rate_per_s)


def fields(message: Message) -> dict[str, object]:
    english = message.language == "en"
    prompt = (KEYS_EN if english else KEYS_ZH) if message.asks else ""
    return {
        "speech": f"{message.lead}{message.alone}",
        "prompt": prompt,
        "keys": ["1", "9"] if message.asks else [],
        "language": "en-GB" if english else "zh-CN",
        "times": TIMES_READ,
        "ring_s": RING_S,
    }
