"""Text messages and calls: which of the two are there."""

from django.conf import settings

CHANNELS = ("sms", "voice")


def configured() -> frozenset[str]:
    """The channels that have a gateway: "sms", "voice", both or none."""
    return frozenset(name for name in CHANNELS if getattr(settings, f"{name.upper()}_ENDPOINT"))
