"""The vendors' own receipts: what the stand-ins of Huawei and JPush post to us of the pushes they have taken.

Forms and proofs as docs/vendors.md tells them; a vendor reports nothing until he was told where to (`PUT /receipts`).
"""

import asyncio
import hmac
import time
from base64 import b64decode, b64encode
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import orjson

AT_ONCE, EVERY_S, HEARD_WITHIN_S, TRIES = 100, 0.1, 5.0, 3


@dataclass(slots=True)
class Address:
    """Where one vendor posts, and how he behaves."""

    url: str
    user: str = ""  # Huawei's callback user, JPush's app key
    secret: str = field(default="", repr=False)
    version: int = 2  # of Huawei's receipts
    key_in_base64: bool = False  # Huawei's newer secrets
    result: int = 0  # Huawei's receipt code
    clicked: bool = False  # JPush: after it came it is clicked
    twice: bool = False  # everything is said again, last first


@dataclass(slots=True)
class Push:
    """One taken push, by the name that came with it."""

    token: str
    name: str
    at_ms: int = field(default_factory=lambda: int(time.time() * 1000))


class Receipts:
    """What was taken and is not said yet; `unheard` counts posts given up."""

    def __init__(self) -> None:
        self._addresses: dict[str, Address] = {}
        self._waiting: deque[tuple[str, Push]] = deque()
        self.unheard = 0

    def tell(self, vendor: str, wishes: dict[str, Any]) -> None:
        """Raises TypeError on an unknown wish."""
        self._addresses[vendor] = Address(**wishes)

    def forget(self) -> None:
        self._addresses.clear()
        self._waiting.clear()
        self.unheard = 0

    def took(self, vendor: str, token: str, name: str) -> None:
        if vendor in self._addresses:
            self._waiting.append((vendor, Push(token, name)))

    async def speak(self) -> None:
        once = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=HEARD_WITHIN_S, limits=once, trust_env=False) as client:
            while True:
                batches: dict[str, list[Push]] = {}
                for _ in range(min(len(self._waiting), AT_ONCE)):
                    vendor, push = self._waiting.popleft()
                    batches.setdefault(vendor, []).append(push)
                for vendor, batch in batches.items():
                    if vendor in self._addresses:
                        await self._say(client, vendor, self._addresses[vendor], batch)
                await asyncio.sleep(EVERY_S)

    async def _say(self, client: httpx.AsyncClient, vendor: str, to: Address, batch: list[Push]) -> None:
        bodies = _huawei(to, batch) if vendor == "huawei" else _jpush(to, batch)
        for body in [*bodies, *(bodies[::-1] if to.twice else [])]:
            for _ in range(TRIES):
                headers = _proof(vendor, to) | {"content-type": "application/json"}
                try:
                    if (await client.post(to.url, content=orjson.dumps(body), headers=headers)).is_success:
                        break
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(EVERY_S)
            else:
                self.unheard += 1


def _proof(vendor: str, to: Address) -> dict[str, str]:
    if vendor == "jpush":
        return {"authorization": f"Basic {b64encode(f'{to.user}:{to.secret}'.encode()).decode()}"}
    key = b64decode(to.secret) if to.key_in_base64 else to.secret.encode()
    stamp, nonce = str(int(time.time() * 1000)), str(uuid4())
    value = b64encode(hmac.digest(key, (stamp + nonce + to.user).encode(), "sha256")).decode()
    return {"x-huawei-callback-id": f"timestamp={stamp}; nonce={nonce}; value={value}"}


def _huawei(to: Address, batch: list[Push]) -> list[Any]:
    common = [{"token": push.token, "biTag": push.name, "requestId": "0"} for push in batch]
    if to.version == 1:
        own = [{"status": to.result, "timestamp": push.at_ms, "appid": "standin"} for push in batch]
    else:
        own = [
            {
                "pushType": 0,
                "appPackageName": "cn.example.yijiantong",
                "deliveryStatus": {"result": to.result, "timestamp": push.at_ms},
            }
            for push in batch
        ]
    return [{"statuses": [{**one, **more} for one, more in zip(common, own, strict=True)]}]


def _jpush(to: Address, batch: list[Push]) -> list[Any]:
    """Fields as we assume them: JPush tells the real ones to its customers only."""
    return [
        [
            {
                "type": kind,
                "registration_id": push.token,
                "params": {"id": push.name},
                "itime": push.at_ms // 1000 + kind,
            }
            for push in batch
        ]
        for kind in ((1, 2) if to.clicked else (1,))
    ]
