"""Phones for bench-sockets, thousands in one process: raw frames of RFC 6455 over one epoll loop.

A child of sockets.py: commands come as JSON lines on stdin, what has happened goes as JSON lines to stdout. Moments are
of time.monotonic(), which all processes of one Linux share. Every phone keeps the seqs of the inbox items it was given,
resumes from the last one, and answers pings, as the app does. Its ticket is issued right before it connects.

  {"do": "people", "file"}                  [[officer, session, device, region path], …] become this process's phones
  {"do": "connect", "port", "path", "from", "at_once", "jitter_s", "ticketed", "since", "topics", "most"}
                                            the first `most` phones, each once, after up to jitter_s
  {"do": "goal", "name", "count"}           a line is said once so many have happened: welcome, inbox, level:MARK
  {"do": "forget", "name"}                  counts that name from nothing again
  {"do": "drop"}                            all lines are reset at once
  {"do": "counts", "goal"}                  how often what has happened, and how many phones have a line; the goal is given up
  {"do": "seqs", "file"}                    writes {officer: [seq, …]} in the order of arrival
"""

import json
import os
import random
import select
import socket
import struct
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from foundation.clock import now
from foundation.scope import Scope
from officers.auth import Grant
from officers.tickets import issue_tickets

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
TICKETS_AT_ONCE = 100
INBOX = b'{"type":"inbox","seq":'
MARK = b'"station":"'


def masked(payload: bytes, opcode: int = 0x1) -> bytes:
    """One frame of a client, masked with zeros."""
    size = len(payload)
    head = (
        struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        if size < 126
        else struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    )
    return head + b"\0\0\0\0" + payload


PONG = masked(b'{"type":"pong"}')


class Phone:
    __slots__ = ("buffer", "grant", "line", "seqs", "ticket", "upgraded", "welcomed")

    def __init__(self, grant: Grant) -> None:
        self.grant, self.seqs = grant, []
        self.line: socket.socket | None = None
        self.buffer, self.ticket, self.upgraded, self.welcomed = b"", "", False, False


class Phones:
    def __init__(self) -> None:
        self.phones: list[Phone] = []
        self.open: dict[int, Phone] = {}
        self.epoll = select.epoll()
        self.epoll.register(0, select.EPOLLIN)
        self.happened: Counter[str] = Counter()
        self.last_s: dict[str, float] = {}
        self.goals: dict[str, int] = {}
        self.waiting: list[tuple[float, Phone]] = []  # to connect, the last one first
        self.ready: list[Phone] = []  # with a ticket
        self.connecting = 0
        self.how: dict[str, Any] = {}
        self.commands = b""

    def run(self) -> None:
        while True:
            pause_s = 0.01 if self.waiting or self.ready else 1.0
            for fd, _ in self.epoll.poll(pause_s, 512):
                if fd == 0:
                    if not self.obey():
                        return
                elif phone := self.open.get(fd):
                    self.hear(phone)
            self.connect_some()

    def obey(self) -> bool:
        heard = os.read(0, 1 << 16)
        *lines, self.commands = (self.commands + heard).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, command.pop("do"))(**command)
        return bool(heard)

    # commands

    def people(self, file: str) -> None:
        self.phones = [
            Phone(Grant(officer, uuid.UUID(session), device, Scope(paths=(path,))))
            for officer, session, device, path in json.loads(Path(file).read_text())
        ]
        self.tell("people", len(self.phones))

    def connect(self, **how: Any) -> None:
        self.how, began_s = how, time.monotonic()
        jitter_s = how["jitter_s"]
        chosen = self.phones[: how["most"]]
        moments = sorted((began_s + random.random() * jitter_s for _ in chosen), reverse=True)
        random.shuffle(chosen)
        self.waiting = list(zip(moments, chosen, strict=True))

    def goal(self, name: str, count: int) -> None:
        self.goals[name] = count
        self.reached(name)

    def forget(self, name: str) -> None:
        self.happened.pop(name, None)

    def drop(self) -> None:
        for phone in list(self.open.values()):
            self.lose(phone)
        self.connecting = 0
        self.tell("drop", len(self.open))

    def counts(self, goal: str) -> None:
        self.goals.pop(goal, None)
        self.tell(
            "counts", self.happened[goal], open=len(self.open), waiting=len(self.waiting),
            happened=dict(self.happened.most_common(12)),
        )  # fmt: skip

    def seqs(self, file: str) -> None:
        Path(file).write_text(json.dumps({phone.grant.officer_id: phone.seqs for phone in self.phones}))
        self.tell("seqs", len(self.phones))

    # lines

    def connect_some(self) -> None:
        """As many as are due, `at_once` under way; tickets are issued for a hundred of them at a time."""
        at_s = time.monotonic()
        while self.connecting < self.how.get("at_once", 0):
            if not self.ready and not self._take_due(at_s):
                return
            phone = self.ready.pop()
            line = socket.socket()
            line.setblocking(False)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(
                socket.SOL_IP, 24, 1
            )  # IP_BIND_ADDRESS_NO_PORT: a port a destination, not a port in all
            line.bind((self.how["from"], 0))
            line.connect_ex(("127.0.0.1", self.how["port"]))
            phone.line, phone.buffer, phone.upgraded, phone.welcomed = line, b"", False, False
            self.open[line.fileno()] = phone
            self.epoll.register(line.fileno(), select.EPOLLOUT)
            self.connecting += 1

    def _take_due(self, at_s: float) -> bool:
        while self.waiting and self.waiting[-1][0] <= at_s and len(self.ready) < TICKETS_AT_ONCE:
            self.ready.append(self.waiting.pop()[1])
        if self.ready and self.how["ticketed"]:
            tickets = issue_tickets([phone.grant for phone in self.ready], now())
            for phone, ticket in zip(self.ready, tickets, strict=True):
                phone.ticket = ticket
        return bool(self.ready)

    def hear(self, phone: Phone) -> None:
        assert phone.line is not None
        if (
            not phone.upgraded
            and not phone.buffer
            and phone.line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        ):
            return self.lost(phone)
        try:
            heard = phone.line.recv(1 << 16)
        except BlockingIOError:  # connected: now it speaks
            phone.line.send(UPGRADE % self.how["path"].encode())
            self.epoll.modify(phone.line.fileno(), select.EPOLLIN)
            return None
        except OSError:
            return self.lost(phone)
        if not heard:
            return self.lost(phone)
        phone.buffer = phone.buffer + heard if phone.buffer else heard
        if not phone.upgraded and not self.upgrade(phone):
            return None
        return self.frames(phone)

    def upgrade(self, phone: Phone) -> bool:
        head, end, rest = phone.buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self.lost(phone)
            return False
        phone.buffer, phone.upgraded = rest, True
        if self.how["ticketed"]:
            since = phone.seqs[-1] if phone.seqs else self.how["since"]
            hello = {"type": "hello", "ticket": phone.ticket, "since": since, "topics": self.how["topics"]}
            assert phone.line is not None
            phone.line.send(masked(json.dumps(hello).encode()))
        return True

    def frames(self, phone: Phone) -> None:
        buffer, at = phone.buffer, 0
        while len(buffer) - at >= 2:
            opcode, size, start = buffer[at] & 0x0F, buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10]), at + 10
            if len(buffer) < start + size:
                break
            at = start + size
            if opcode == 0x8:
                self.happen(f"closed:{int.from_bytes(buffer[start : start + 2])}")
                return self.lost(phone)
            if opcode == 0x1:
                self.heard(phone, buffer[start:at])
        phone.buffer = buffer[at:]
        return None

    def heard(self, phone: Phone, text: bytes) -> None:
        if text.startswith(INBOX):
            phone.seqs.append(int(text[len(INBOX) : text.index(b",", len(INBOX))]))
            self.happen("inbox")
        elif text.startswith(b'{"type":"levels"'):
            start = text.index(MARK) + len(MARK)
            self.happen("level:" + text[start : text.index(b'"', start)].decode())
        elif text.startswith(b'{"type":"welcome"'):
            self.connecting -= 1
            phone.welcomed = True
            if b'"gap":true' in text:
                self.happen("gap")
            self.happen("welcome")
        elif text == b'{"type":"ping"}':
            assert phone.line is not None
            phone.line.send(PONG)
            self.happen("ping")

    def lost(self, phone: Phone) -> None:
        """Not by us. It tries again, as a phone does."""
        self.happen("lost")
        self.connecting -= not phone.welcomed
        self.lose(phone)
        self.waiting.append((time.monotonic(), phone))

    def lose(self, phone: Phone) -> None:
        if phone.line is not None:
            del self.open[phone.line.fileno()]
            phone.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            phone.line.close()
            phone.line = None

    # what is told

    def happen(self, name: str) -> None:
        self.happened[name] += 1
        self.last_s[name] = time.monotonic()
        if name in self.goals:
            self.reached(name)

    def reached(self, name: str) -> None:
        if self.happened[name] >= self.goals[name]:
            del self.goals[name]
            self.tell(
                name, self.happened[name], last_s=self.last_s.get(name, 0.0), lost=self.happened["lost"]
            )

    def tell(self, name: str, count: int, **more: object) -> None:
        sys.stdout.write(json.dumps({"done": name, "count": count, **more}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Phones().run()
