"""The vendors of push that this installation has, and which of them may be tried at the moment.

Owns the one line a vendor that turns settings into a transport (docs/vendors.md). Whether a vendor works is health.py's;
which pushes there are is delivery.py's. Nobody else asks which vendor it is.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import cache

from django.conf import settings

from foundation.gateway import account
from notifications import health
from notifications.health import Standing
from notifications.transports.apns import ApnsTransport, provider_token
from notifications.transports.base import Transport
from notifications.transports.fcm import FcmTransport
from notifications.transports.huawei import HuaweiTransport, access_token
from notifications.transports.jpush import JpushTransport
from officers.models import PushVendor

log = logging.getLogger(__name__)

UNCONFIGURED_S = 30.0
PROBES = 3  # pushes by which one sender finds out whether a vendor that rests works again


def _fcm() -> Transport:
    return FcmTransport(
        settings.FIREBASE_CREDENTIALS,
        endpoint=settings.FCM_ENDPOINT,
        ca_file=settings.FCM_CA_FILE,
        rate_per_s=settings.FCM_RATE_PER_S,
    )


def _huawei() -> Transport:
    app, ca_file = settings.HUAWEI_APP_ID, settings.HUAWEI_CA_FILE
    return HuaweiTransport(
        app,
        access_token(settings.HUAWEI_AUTH_ENDPOINT, app, settings.HUAWEI_APP_SECRET, ca_file),
        category=settings.HUAWEI_CATEGORY,
        endpoint=settings.HUAWEI_ENDPOINT,
        ca_file=ca_file,
        rate_per_s=settings.HUAWEI_RATE_PER_S,
    )


def _apns() -> Transport:
    return ApnsTransport(
        provider_token(settings.APNS_KEY_FILE, settings.APNS_KEY_ID, settings.APNS_TEAM_ID),
        topic=settings.APNS_TOPIC,
        critical=settings.APNS_CRITICAL,
        endpoint=settings.APNS_ENDPOINT,
        ca_file=settings.APNS_CA_FILE,
        rate_per_s=settings.APNS_RATE_PER_S,
    )


def _jpush() -> Transport:
    return JpushTransport(
        settings.JPUSH_APP_KEY,
        settings.JPUSH_MASTER_SECRET,
        channels=settings.JPUSH_CHANNELS,
        production=not settings.JPUSH_APNS_SANDBOX,
        receipts=settings.JPUSH_RECEIPTS,
        endpoint=settings.JPUSH_ENDPOINT,
        ca_file=settings.JPUSH_CA_FILE,
        rate_per_s=settings.JPUSH_REQUESTS_PER_MINUTE / 60,
    )


# provider: the setting without which it is not there, and how it is made
_MAKERS: dict[str, tuple[str, Callable[[], Transport]]] = {
    PushVendor.FCM.value: ("FIREBASE_CREDENTIALS", _fcm),
    PushVendor.HUAWEI.value: ("HUAWEI_APP_ID", _huawei),
    PushVendor.APNS.value: ("APNS_KEY_FILE", _apns),
    PushVendor.JPUSH.value: ("JPUSH_APP_KEY", _jpush),
}
PROVIDERS = tuple(_MAKERS)


@cache
def transports() -> dict[str, Transport]:
    """This process's, by provider. One whose key file cannot be read is left out, loudly: the others work."""
    made = {}
    for provider, (setting, maker) in _MAKERS.items():
        if getattr(settings, setting):
            try:
                made[provider] = maker()
            except (OSError, ValueError, TypeError) as fault:
                log.error("push.not_configured provider=%s error=%s", provider, fault)
    return made


class Routes:
    """Which providers one sender may try for the chunk it has just claimed."""

    def __init__(self, now: datetime) -> None:
        self._paused = health.paused(now, PROVIDERS)
        # of those whose rest is over this sender tries a few, and nobody else until it knows
        self._probes = {one: PROBES for one, wait_s in self._paused.items() if wait_s is None}

    def hindrance(self, provider: str) -> tuple[str, float] | None:
        """Why nothing may go there now, and for how many seconds; None: go ahead."""
        if provider not in transports():
            return f"{provider}_not_configured", UNCONFIGURED_S
        if provider not in self._paused:
            return None
        if self._probes.get(provider, 0):
            self._probes[provider] -= 1
            return None
        return f"{provider}_paused", self._paused[provider] or health.PROBE_S


def standings(now: datetime) -> list[Standing]:
    """Every vendor and gateway that this installation has, and how it stands: for boards, metrics and alarms."""
    own = {PushVendor.HUAWEI: bool(settings.HUAWEI_RECEIPT_USER), PushVendor.JPUSH: settings.JPUSH_RECEIPTS}
    there = {
        name: transport.capabilities.receipts or own.get(PushVendor(name), False)
        for name, transport in transports().items()
    }
    there |= {channel: True for channel in ("sms", "voice") if account(channel)}
    if settings.SMPP_HOST:
        there["sms"] = True
    return health.standings(there, now)


def text_messages(now: datetime) -> bool:
    """Whether somebody whose phones cannot be pushed to may get a text message instead.

    When the gateway's rest is over he may: that text message is the probe.
    """
    there = settings.SMPP_HOST or account("sms")
    return bool(there) and not health.paused(now, ("sms",), probe=False).get("sms")
