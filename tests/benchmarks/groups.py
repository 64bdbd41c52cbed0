"""The peer of bench-sockets: the least a Channels app needs to tell everybody, by `group_send` over channels_redis.

Served by the same uvicorn as the product's sockets (sockets.py starts it), over the same Valkey; no sign-in, no
catching up. Source: the Channels documentation, "Channel Layers", groups.
"""

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import channel_layers
from channels_redis.core import RedisChannelLayer
from django.conf import settings

GROUP = "all"
ROOM = 1000  # messages a socket may leave waiting; its default of 100 would do here


def layer() -> RedisChannelLayer:
    return RedisChannelLayer(hosts=[settings.REDIS_DATA_URL], capacity=ROOM)


class Peer(AsyncWebsocketConsumer):
    groups = (GROUP,)

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data='{"type":"welcome","seq":0,"gap":false}')

    async def told(self, message: dict[str, str]) -> None:
        await self.send(text_data=message["text"])


channel_layers.set("default", layer())
application = Peer.as_asgi()
