"""HTTP and WebSocket, one ASGI application."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
http = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  needs the app registry
from django.urls import path  # noqa: E402

from backend.body_door import BodyDoor  # noqa: E402
from backend.quick import QuickDoor  # noqa: E402
from backend.ticket_door import TicketDoor  # noqa: E402
from hazards import tasks  # noqa: E402, F401  what was said of tasks shows in the sockets' items as well
from notifications.consumers import officer_socket  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": BodyDoor(QuickDoor(TicketDoor(http))),
        "websocket": URLRouter([path("ws/v1/", officer_socket)]),
    }
)
