"""Phones and browsers, and the push tokens they hold.

Owns Device. A token belongs to one live device: when it turns up on another, the old one is retired: a
vendor would otherwise ring the wrong person's phone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from officers import audit
from officers.models import Device, Platform
from officers.turns import in_turn

MOVED = "token moved"
LEFT = "left the roster"


@dataclass(frozen=True, slots=True)
class DeviceClaim:
    """What a phone says of itself at sign-in; no token means it is reached through the socket only."""

    platform: Platform
    name: str = ""
    provider: str = ""
    token: str = ""


def register(officer_id: int, claim: DeviceClaim, now: datetime) -> Device:
    """The officer's device with this token, or a new one; call inside a transaction."""
    mine = Device.objects.live().filter(officer_id=officer_id)
    device = mine.filter(provider=claim.provider, token=claim.token).first() or Device(officer_id=officer_id)
    device.platform, device.name, device.registered_at = claim.platform, claim.name, now
    # of a device that is there no more than that: it may have been retired since it was read
    device.save(update_fields=["platform", "name", "registered_at"] if device.pk else None)
    if claim.token:
        give_token(device.pk, officer_id, claim.provider, claim.token, now)
    return device


@transaction.atomic
def give_token(device_id: int, officer_id: int, provider: str, token: str, now: datetime) -> None:
    """Put the token on this device, which lives again if it was retired, and take it from any other."""
    in_turn(f"push {provider} {token}")
    others = list(Device.objects.live().filter(provider=provider, token=token).exclude(pk=device_id))
    for other in others:
        other.retired_at, other.retired_reason = now, MOVED
        other.save(update_fields=["retired_at", "retired_reason"])
        detail = {"to": device_id, "from_officer": other.officer_id}
        audit.record(officer_id, "device.move", f"device:{other.pk}", detail, now)
    Device.objects.filter(pk=device_id).update(
        provider=provider, token=token, registered_at=now, retired_at=None, retired_reason=""
    )


def retire(device_id: int, reason: str, now: datetime) -> None:
    """The device is no longer rung."""
    Device.objects.filter(pk=device_id, retired_at=None).update(retired_at=now, retired_reason=reason)


def retire_tokens(provider: str, tokens: Iterable[str], reason: str, now: datetime) -> int:
    """Retire the live devices that still hold these dead tokens; returns how many.

    By token, not by device: a phone that has meanwhile brought a fresh token keeps ringing.
    """
    dead = Device.objects.live().filter(provider=provider, token__in=list(tokens))
    return dead.update(retired_at=now, retired_reason=reason)


def retire_of(officers: Collection[int], now: datetime) -> None:
    """They have left the roster: no phone of theirs is rung."""
    Device.objects.live().filter(officer__in=officers).update(retired_at=now, retired_reason=LEFT)


def retire_lost(officer_id: int, now: datetime) -> int:
    """No device of this officer is rung, not even when he is back on the roster; how many were."""
    his = Device.objects.filter(Q(retired_at=None) | Q(retired_reason=LEFT), officer=officer_id)
    return his.update(retired_at=now, retired_reason="lost")


def revive_of(officers: Collection[int]) -> None:
    """They are on the roster again: their phones ring as before, but those that have become somebody else's."""
    moved = Device.objects.filter(
        provider=OuterRef("provider"), token=OuterRef("token"), registered_at__gt=OuterRef("registered_at")
    )
    left = Device.objects.filter(~Exists(moved), officer__in=officers, retired_reason=LEFT)
    left.update(retired_at=None, retired_reason="")
