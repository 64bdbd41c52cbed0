"""An MQTT 3.1.1 broker as small as a test needs: persistent sessions, QoS 1, one subscriber a session.

Keeps what a session has not acknowledged and sends it again, marked as repeated, when the client comes back. Hands
out at most `window` unacknowledged messages, as brokers do. Publishing is a call, not a packet.
"""

import asyncio
import re
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1,
    2,
    3,
    4,
    8,
    9,
    12,
    13,
    14,
)
Waiting = tuple[str, bytes, int]  # topic, payload, QoS


def text(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return len(raw).to_bytes(2, "big") + raw


def packet(kind: int, flags: int, content: bytes) -> bytes:
    length, rest = bytearray(), len(content)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (128 if rest else 0))
        if not rest:
            return bytes([kind << 4 | flags]) + bytes(length) + content


@dataclass
class Session:
    filters: list[str] = field(default_factory=list)
    queue: list[Waiting] = field(default_factory=list)
    sent: dict[int, Waiting] = field(default_factory=dict)
    last_id: int = 0
    writer: asyncio.StreamWriter | None = None

    def wants(self, topic: str) -> bool:
        patterns = (
            re.escape(f).replace(r"\+", "[^/]+").replace(r"/\#", "(/.*)?").replace(r"\#", ".*")
            for f in self.filters
        )
        return any(re.fullmatch(pattern, topic) for pattern in patterns)


@dataclass
class Broker:
    """`users`: name to password, empty lets everybody in; `refused`: filters nobody may subscribe to."""

    users: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    window: int = 20
    deaf: bool = False
    """Reads acknowledgements and forgets them: as if the client had died before it sent them."""
    sessions: dict[str, Session] = field(default_factory=dict)
    connects: int = 0
    server: asyncio.Server | None = None

    async def open(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        for session in self.sessions.values():
            if session.wants(topic):
                session.queue.append((topic, payload, qos))
                self._hand_out(session)

    def drop_lines(self) -> None:
        for session in self.sessions.values():
            if session.writer:
                session.writer.close()

    def unacknowledged(self) -> int:
        return sum(len(session.queue) + len(session.sent) for session in self.sessions.values())

    def close(self) -> None:
        if self.server:
            self.server.close()
        self.drop_lines()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session()
        try:
            while True:
                kind, content = await self._read(reader)
                if kind == CONNECT:
                    session = self._connect(content, writer)
                elif kind == SUBSCRIBE:
                    writer.write(packet(SUBACK, 0, content[:2] + self._subscribe(session, content[2:])))
                elif kind == PUBACK and not self.deaf:
                    session.sent.pop(int.from_bytes(content[:2], "big"), None)
                    self._hand_out(session)
                elif kind == PINGREQ:
                    writer.write(packet(PINGRESP, 0, b""))
                elif kind == DISCONNECT:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if session.writer is writer:
                session.writer = None
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        first = (await reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            digit = (await reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first >> 4, await reader.readexactly(length)

    def _connect(self, content: bytes, writer: asyncio.StreamWriter) -> Session:
        assert content[:7] == text("MQTT") + b"\x04", "MQTT 3.1.1 only"
        flags, fields, at = content[7], [], 10
        while at < len(content):
            length = int.from_bytes(content[at : at + 2], "big")
            fields.append(content[at + 2 : at + 2 + length].decode())
            at += 2 + length
        known = not self.users or (len(fields) == 3 and self.users.get(fields[1]) == fields[2])
        clean = bool(flags & 2)
        session = Session() if clean else self.sessions.get(fields[0], Session())
        writer.write(packet(CONNACK, 0, bytes([bool(session.filters), 0 if known else 5])))
        if known:
            self.connects += 1
            self.sessions[fields[0]] = session
            session.writer = writer
            for number, waiting in session.sent.items():
                writer.write(self._message(number, waiting, again=True))
            self._hand_out(session)
        return session

    def _subscribe(self, session: Session, content: bytes) -> bytes:
        codes, at = bytearray(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 2], "big")
            wanted, qos = content[at + 2 : at + 2 + length].decode(), content[at + 2 + length]
            codes.append(0x80 if wanted in self.refused else qos)
            if wanted not in self.refused and wanted not in session.filters:
                session.filters.append(wanted)
            at += 3 + length
        return bytes(codes)

    def _hand_out(self, session: Session) -> None:
        while session.writer and session.queue and len(session.sent) < self.window:
            waiting = session.queue.pop(0)
            number = 0
            if waiting[2]:
                number = session.last_id = session.last_id % 65535 + 1
                session.sent[number] = waiting
            session.writer.write(self._message(number, waiting))

    @staticmethod
    def _message(number: int, waiting: Waiting, *, again: bool = False) -> bytes:
        topic, payload, qos = waiting
        identifier = number.to_bytes(2, "big") if qos else b""
        return packet(PUBLISH, again << 3 | qos << 1, text(topic) + identifier + payload)
