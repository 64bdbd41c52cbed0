"""The courier against a host that speaks HTTP/1.1 only: one request a connection at a time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from notifications.transports import jpush
from notifications.transports.carrier import NoBearer
from notifications.transports.courier import MOST_ANSWER_BYTES, Courier

released = threading.Event()


class Old(BaseHTTPRequestHandler):
    """Answers `/slow` when it is released, `/long` with more than anybody wants to read, a GET by the byte."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/slow":
            released.wait(20)
        said = b" " * (2 * MOST_ANSWER_BYTES) if self.path == "/long" else b"{}"
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b" ")
            if released.wait(0.1):
                break

    def log_message(self, format: str, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up in the middle of an answer is what is tested."""


@pytest.fixture
def old_host() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def courier(url: str, connections: int) -> Courier:
    return Courier(url, ca_file=None, timeout_s=10, concurrency=8, connections=connections)


def landed(one: Courier, but: int = 0) -> list[int]:
    """By index, in the order in which they came, until no more than `but` are out."""
    came: list[int] = []
    while one.flying > but:
        came += [answer.index for answer in one.landed(0.05) if not answer.fault]
    return came


@pytest.mark.parametrize("connections", [1, 8])
def test_a_slow_answer_holds_up_nobody_once_the_host_is_known(old_host: str, connections: int) -> None:
    released.clear()
    with closing(courier(old_host, connections)) as one:
        one.start(0, b"{}", ())
        assert landed(one) == [0]
        one.start(1, b"{}", (), f"{old_host}slow")
        for index in range(2, 8):
            one.start(index, b"{}", ())
        came = landed(one, but=1)
        released.set()
        came += landed(one)
        assert came[-1] == 1
        assert sorted(came) == list(range(1, 8))


def test_names_of_pushes_that_come_by_the_byte_hold_nobody_up(
    old_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who asks for them nor who waits for his turn to ask."""
    released.clear()
    monkeypatch.setattr(jpush, "CIDS_WITHIN_S", 0.5)
    cids, began_s = jpush.Cids(old_host, "authorization: Basic x", None), time.monotonic()

    def taken(number: int) -> bool:
        with pytest.raises(NoBearer):
            cids.take(number)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(taken, [1] * 4))
    released.set()
    assert time.monotonic() - began_s < 4.0


def test_an_answer_without_end_is_cut_off(old_host: str) -> None:
    with closing(courier(old_host, 8)) as one:
        one.start(0, b"{}", (), f"{old_host}long")
        answers = []
        while one.flying:
            answers += one.landed(0.05)
        assert answers[0].fault.startswith("CONNECTION")
