"""A local Firebase Cloud Messaging on loopback: TLS, HTTP/2 and HTTP/1.1, OAuth, and doors to steer it.

Serves `POST /v1/projects/standin/messages:send` and `POST /token` (the service account's signed assertion
for a bearer). What it answers is decided in fcm_faults.py by the rules of fcm_v1.py. Its own doors:
  GET /control counters and faults | DELETE /control forget what was counted
  POST /control {fault: value} change these faults | PUT /control these and no others
  POST /revoke forget all bearers | POST /cut break every other connection
  GET /accepted?after=N&limit= pushes taken, oldest first | GET /repeats pushes taken more than once
"""

import argparse
import asyncio
import os
import resource
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.server.embed import Server

from .fcm_faults import JSON, PROJECT, Faults, Phones, Reply
from .fcm_identity import Identity, new_identity

STREAMS = 100  # on one connection, as Google's front end allows
SEND_PATH = f"/v1/projects/{PROJECT}/messages:send"
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"  # google-auth claims it whatever token_uri says
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = {f"https://www.googleapis.com/auth/{word}" for word in ("firebase.messaging", "cloud-platform")}


class Doors:
    """The HTTP side: one RSGI callable."""

    def __init__(self, identity: Identity, port: int) -> None:
        self._identity, self._port = identity, port
        self._phones = Phones()

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        body = await proto()
        if scope.path == SEND_PATH and scope.method == "POST":
            self._phones.versions[scope.http_version] += 1
            reply = self._phones.answer(scope.headers.get("authorization"), body)
            if self._phones.faults.latency_ms:
                await asyncio.sleep(self._phones.faults.latency_ms / 1000)
        else:
            reply = self._other(scope, body)
        if reply.silent:
            await proto.client_disconnect()
        elif reply.broken:
            stream = proto.response_stream(reply.status, [*reply.headers, ("content-length", "100")])
            await stream.send_bytes(reply.body)
        else:
            proto.response_bytes(reply.status, list(reply.headers), reply.body)

    def _other(self, scope: Any, body: bytes) -> Reply:
        match scope.method, scope.path:
            case "POST", "/token":
                return self._token(body)
            case "GET", "/control":
                usage = resource.getrusage(resource.RUSAGE_SELF)
                return _json({**self._phones.counters(), "cpu_s": usage.ru_utime + usage.ru_stime})
            case "POST" | "PUT", "/control":
                try:
                    former = self._phones.faults if scope.method == "POST" else Faults()
                    self._phones.misbehave(former.changed(orjson.loads(body)))
                except (ValueError, AttributeError) as wrong:
                    return _json({"code": "bad_fault", "message": str(wrong)}, 400)
                return _json(self._phones.counters())
            case "DELETE", "/control":
                self._phones.forget()
                return _json(self._phones.counters())
            case "POST", "/revoke":
                self._phones.bearers.clear()
                return _json({})
            case "POST", "/cut":
                _cut_connections(self._port, spared=scope.client)
                return _json({})
            case "GET", "/accepted":
                query = parse_qs(scope.query_string)
                after, limit = int(query.get("after", ["0"])[0]), int(query.get("limit", ["1000"])[0])
                return _json({"items": list(self._phones.accepted(after, limit)), "last": self._phones.taken})
            case "GET", "/repeats":
                return _json({"items": self._phones.repeats()})
        return Reply(
            404, b"<!DOCTYPE html><title>Error 404 (Not Found)</title>", (("content-type", "text/html"),)
        )

    def _token(self, body: bytes) -> Reply:
        """Google's token endpoint: a signed assertion for a bearer of limited life."""
        if self._phones.faults.refuse_assertions:
            return _json({"error": "invalid_grant", "error_description": "Account not found"}, 400)
        form = parse_qs(body.decode("latin-1"))
        if form.get("grant_type") != [GRANT]:
            return _json({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
        try:
            claims = jwt.decode(
                form.get("assertion", [""])[0],
                self._identity.public_key,
                algorithms=["RS256"],
                audience=[self._identity.token_uri, GOOGLE_AUDIENCE],
                issuer=self._identity.client_email,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as wrong:
            return _json({"error": "invalid_grant", "error_description": f"Invalid JWT: {wrong}"}, 400)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return _json({"error": "invalid_scope", "error_description": "No messaging scope"}, 400)
        bearer, life_s = secrets.token_urlsafe(24), self._phones.faults.bearer_life_s
        self._phones.bearers_issued += 1
        self._phones.bearers[f"Bearer {bearer}"] = time.monotonic() + life_s
        return _json({"access_token": bearer, "expires_in": life_s, "token_type": "Bearer"})


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), JSON)


def _cut_connections(port: int, spared: str) -> None:
    """Shut accepted connections down under the server's feet, as a dying network does; not `spared`'s."""
    for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        try:
            peer = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        with peer:
            try:
                host, client_port = peer.getpeername()[:2]
                if peer.getsockname()[1] == port and f"{host}:{client_port}" != spared:
                    peer.shutdown(socket.SHUT_RDWR)
            except (OSError, IndexError, ValueError):  # no TCP socket, or one that listens
                continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _announce(directory: Path, identity: Identity, port: int) -> None:
    """Write ready.json once the port answers; whoever reads it may connect."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.01)
    writer.close()
    ready = {
        "endpoint": identity.endpoint,
        "ca_file": str(identity.ca_file),
        "credentials": str(identity.credentials_file),
        "pid": os.getpid(),
    }
    draft = directory / "ready.json.new"
    draft.write_bytes(orjson.dumps(ready))
    draft.rename(directory / "ready.json")


async def _follow(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        await asyncio.sleep(0.25)
    os._exit(0)


async def _serve(directory: Path, port: int, parent_pid: int | None) -> None:
    identity = new_identity(directory, port)
    server = Server(
        Doors(identity, port),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.auto,
        websockets=False,
        backpressure=100_000,  # silent requests must not block the rest
        http2_settings=HTTP2Settings(max_concurrent_streams=STREAMS),
        ssl_cert=identity.cert_file,
        ssl_key=identity.key_file,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 0)  # nothing to save
    watchers = [loop.create_task(_announce(directory, identity, port))]
    if parent_pid:
        watchers.append(loop.create_task(_follow(parent_pid)))
    await server.serve()


def serve(directory: Path, port: int = 0, parent_pid: int | None = None) -> None:
    """Serve until a signal; port 0 takes a free one. With `parent_pid` it ends when that parent does."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ready.json").unlink(missing_ok=True)
    asyncio.run(_serve(directory.resolve(), port or _free_port(), parent_pid))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m replay.fcm_server", description="A local FCM.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parent", type=int, default=None, help="pid to end with")
    options = parser.parse_args(arguments)
    serve(options.dir, options.port, options.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
