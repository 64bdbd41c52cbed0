"""One web process: HTTP and sockets by uvicorn, on a port that several processes share. `python -m backend.web`

Owns how uvicorn is set up. Start it as often as there are cores: each listens for itself (SO_REUSEPORT) and Linux
spreads new connections evenly. Elsewhere than on Linux one process gets them all.

Sockets get no compression (300 KB a phone that asks for it), no pings of the protocol beside the contract's own, and
their transport is lent to the application, which encodes a frame once for all (docs/adr/0015).
"""

import argparse
import resource
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from backend.children import spare_the_collector

MOST_HEARD = 1 << 18  # bytes of one message from a phone
DEAD_MS = 40_000  # a phone that has acknowledged nothing for so long, a ping included, is gone
SENT_AHEAD = (
    1 << 17
)  # bytes the kernel may hold for one phone; without a bound it takes up to 4 MB for one that does not read
BACKLOG = 4096
PONG = b'{"type":"pong"}'  # 1,800 a second from 45,000 phones; that it was acknowledged is all it says


class Lines(WebSocketsSansIOProtocol):
    """Lends the transport to the application, as the extension "line" of its scope."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"]["line"] = self.transport  # type: ignore[index,typeddict-unknown-key]
            line = self.transport.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MS)

    def handle_text(self, event: Frame) -> None:
        if event.data != PONG or not event.fin:
            super().handle_text(event)


def config(application: Any = "backend.asgi:application", **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        ws_max_size=MOST_HEARD,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        access_log=False,
        lifespan="off",
        **{"ws": Lines, "log_level": "warning", "timeout_graceful_shutdown": 5} | more,
    )


def shared_port(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    listening.set_inheritable(False)
    return listening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket a phone
    server = uvicorn.Server(config())
    server.config.load()
    spare_the_collector()
    server.run(sockets=[shared_port(asked.host, asked.port)])


if __name__ == "__main__":
    main()
