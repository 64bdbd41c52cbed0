"""The stand-in for the city's portal on loopback: `/.well-known/openid-configuration`, `/authorize`, `/token`, `/keys`.

What it answers is decided in portal.py. Its own doors:
  GET /control counters and faults | POST /control {fault: value} change these faults | PUT /control these and no others
  DELETE /control forget what was asked | POST /rotate sign with a new key
  POST /retire publish only that key
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import orjson

from .portal import CityPortal, Reply

HOST = "127.0.0.1"
MOST_BODY_BYTES = 64 * 1024


class Doors(BaseHTTPRequestHandler):
    """One request; `portal` is set by `_server`."""

    portal: CityPortal
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._say(self._reply(b""))

    def do_POST(self) -> None:  # noqa: N802
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            self.close_connection = True
            self._say(Reply(413, {"error": "invalid_request"}))
            return
        self._say(self._reply(self.rfile.read(int(length))))

    do_PUT = do_DELETE = do_POST  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Its addresses hold codes."""

    def _reply(self, body: bytes) -> Reply:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        match self.command, address.path:
            case "GET", "/.well-known/openid-configuration":
                return self.portal.discovery()
            case "GET", "/keys":
                return self.portal.keys()
            case "GET", "/authorize":
                return self.portal.page(query)
            case "POST", "/authorize":
                return self.portal.authorize(query | _form(body), time.time())
            case "POST", "/token":
                return self.portal.token(self.headers.get("authorization", ""), _form(body), time.time())
            case "POST", "/rotate":
                self.portal.rotate()
            case "POST", "/retire":
                self.portal.retire()
            case "DELETE", "/control":
                self.portal.forget()
            case ("POST" | "PUT") as verb, "/control":
                try:
                    self.portal.misbehave(orjson.loads(body), only=verb == "PUT")
                except (ValueError, TypeError) as wrong:
                    return Reply(400, {"error": "bad_fault", "error_description": str(wrong)})
            case "GET", "/control":
                pass
            case _:
                return Reply(404, {"error": "not_found"})
        return Reply(200, self.portal.counters())

    def _say(self, reply: Reply) -> None:
        page = isinstance(reply.body, str)
        body = reply.body.encode() if isinstance(reply.body, str) else orjson.dumps(reply.body)
        self.send_response(reply.status)
        self.send_header("content-type", "text/html; charset=utf-8" if page else "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        if reply.location:
            self.send_header("location", reply.location)
        self.end_headers()
        self.wfile.write(body)


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace")))


@contextmanager
def run_portal(client_id: str, secret: str, redirect_uri: str) -> Iterator[CityPortal]:
    """A stand-in in threads of this process while the block runs, for tests."""
    server = _server(0)
    portal = _open(server, client_id, secret, redirect_uri)
    thread = threading.Thread(target=server.serve_forever, name="portal", daemon=True)
    thread.start()
    try:
        yield portal
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=20)


def serve(port: int, client_id: str, secret: str, redirect_uri: str) -> None:
    """Serve until a signal."""
    server = _server(port)
    _open(server, client_id, secret, redirect_uri)
    server.serve_forever()


def _server(port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer((HOST, port), type("Doors", (Doors,), {}))
    server.daemon_threads = True
    return server


def _open(server: ThreadingHTTPServer, client_id: str, secret: str, redirect_uri: str) -> CityPortal:
    portal = CityPortal(f"http://{HOST}:{server.server_address[1]}", client_id, secret, redirect_uri)
    server.RequestHandlerClass.portal = portal  # type: ignore[attr-defined]
    return portal
