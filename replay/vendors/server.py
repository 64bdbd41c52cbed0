"""The local vendors of push on loopback, in one process: TLS, HTTP/2 and HTTP/1.1, their proofs, and doors to steer them.

What each serves and answers stands in fcm.py, huawei.py, apns.py and jpush.py. The doors (VENDOR is fcm when unsaid):
  GET /control?vendor=VENDOR counters and faults | DELETE /control forget what was counted, of all
  POST /control?vendor=VENDOR {fault: value} change these faults | PUT … these and no others
  PUT /receipts?vendor=VENDOR {url, user, secret, …} from now on send receipts there (receipts.py:Address)
  POST /revoke forget all bearers | POST /cut break every other connection
  GET /accepted?after=N&limit= pushes taken by any, oldest first | GET /repeats pushes taken more than once
"""

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.server.embed import Server

from .apns import KEY_ID, TEAM_ID, Apns
from .desk import Desk, Faults, Reply, Taken
from .fcm import Fcm
from .huawei import Huawei
from .identity import PROJECT, TOPIC, Identity, new_identity
from .jpush import Jpush

STREAMS = 100  # on one connection, as Google's front end allows


class Doors:
    """The HTTP side: one RSGI callable."""

    def __init__(self, identity: Identity, port: int) -> None:
        self._port, self._taken = port, Taken()
        self.speak = self._taken.receipts.speak
        self._desks: dict[str, Desk] = {
            vendor.name: vendor(self._taken, identity) for vendor in (Fcm, Huawei, Apns, Jpush)
        }
        self._by_path = {desk.path: desk for desk in self._desks.values()}

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        body = await proto()
        desk = self._by_path.get(scope.path) or (
            self._desks["apns"] if scope.path.startswith(Apns.path) else None
        )
        if desk is not None and scope.method == "POST":
            desk.versions[scope.http_version] += 1
            reply = desk.answer(scope.path, scope.headers, body)
            if desk.faults.latency_ms:
                await asyncio.sleep(desk.faults.latency_ms / 1000)
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
        query = {name: values[0] for name, values in parse_qs(scope.query_string).items()}
        desk = self._desks.get(query.get("vendor", "fcm"), self._desks["fcm"])
        match scope.method, scope.path:
            case "GET", "/control":
                return self._counters(desk)
            case "POST" | "PUT", "/control":
                try:
                    former = desk.faults if scope.method == "POST" else Faults()
                    desk.misbehave(former.changed(orjson.loads(body)))
                except (ValueError, AttributeError) as wrong:
                    return Reply.of({"code": "bad_fault", "message": str(wrong)}, 400)
                return self._counters(desk)
            case "DELETE", "/control":
                self._taken.forget()
                for one in self._desks.values():
                    one.forget()
                return self._counters(desk)
            case "PUT", "/receipts":
                try:
                    self._taken.receipts.tell(desk.name, orjson.loads(body))
                except (ValueError, TypeError) as wrong:
                    return Reply.of({"code": "bad_address", "message": str(wrong)}, 400)
                return Reply.of({})
            case "POST", "/revoke":
                for one in self._desks.values():
                    one.bearers.clear()
                return Reply.of({})
            case "POST", "/cut":
                _cut_connections(self._port, spared=scope.client)
                return Reply.of({})
            case "GET", "/accepted":
                items = self._taken.accepted(int(query.get("after", 0)), int(query.get("limit", 1000)))
                return Reply.of({"items": list(items), "last": self._taken.number})
            case "GET", "/repeats":
                return Reply.of({"items": self._taken.repeats()})
        for one in self._desks.values():
            reply = one.other(scope.method, scope.path, scope.query_string, scope.headers, body)
            if reply is not None:
                return reply
        return Reply(
            404, b"<!DOCTYPE html><title>Error 404 (Not Found)</title>", (("content-type", "text/html"),)
        )

    def _counters(self, desk: Desk) -> Reply:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = usage.ru_utime + usage.ru_stime
        unheard = self._taken.receipts.unheard
        return Reply.of({**self._taken.counters(), **desk.counters(), "unheard": unheard, "cpu_s": cpu_s})


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
        "app": PROJECT,
        "secret": identity.secret,
        "apns": {
            "key_file": str(identity.apns_key_file),
            "key_id": KEY_ID,
            "team_id": TEAM_ID,
            "topic": TOPIC,
        },
    }
    draft = directory / "ready.json.new"
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps(ready))
    draft.rename(directory / "ready.json")


async def _follow(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        await asyncio.sleep(0.25)
    os._exit(0)


async def _serve(directory: Path, port: int, parent_pid: int | None) -> None:
    identity = new_identity(directory, port)
    doors = Doors(identity, port)
    server = Server(
        doors,
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
    watchers = [loop.create_task(_announce(directory, identity, port)), loop.create_task(doors.speak())]
    if parent_pid:
        watchers.append(loop.create_task(_follow(parent_pid)))
    await server.serve()


def serve(directory: Path, port: int = 0, parent_pid: int | None = None) -> None:
    """Serve until a signal; port 0 takes a free one. With `parent_pid` it ends when that parent does."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ready.json").unlink(missing_ok=True)
    uvloop.run(_serve(directory.resolve(), port or _free_port(), parent_pid))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m replay.vendors.server", description="The local vendors of push."
    )
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parent", type=int, default=None, help="pid to end with")
    options = parser.parse_args(arguments)
    serve(options.dir, options.port, options.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
