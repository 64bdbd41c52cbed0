"""A local short message service centre on loopback: SMPP 3.4 over TCP, for tests and for trying the settings out.

Checks the bind, takes submit_sm, sends receipts and replies by deliver_sm until they are acknowledged, answers
enquire_link. Frames are aiosmpplib's; what it answers is `Faults`. As a centre does, it takes the same text twice when it
is told twice.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from aiosmpplib import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    EnquireLinkResp,
    GenericNack,
    PhoneNumber,
    SmppCommand,
    SmppCommandStatus,
    SmppMessage,
    SubmitSm,
    SubmitSmResp,
    UnbindResp,
)

from .vendors.desk import changed

HEADER = 16
AGAIN_S = 0.2  # what was not acknowledged is said again


@dataclass(frozen=True, slots=True)
class Faults:
    """How it misbehaves."""

    status: str = ""  # answers every submit_sm with this, e.g. ESME_RTHROTTLED
    silent: bool = False  # takes, and never answers
    refuse_bind: bool = False
    receipt: str = "DELIVRD"  # the final state of what it takes; empty: none is said
    receipt_text: str = (
        "id:{id} sub:001 dlvrd:001 submit date:2611290520 done date:261129052031 stat:{stat} err:00A"
    )
    early: bool = False  # the receipt is said before the answer


class Smsc:
    """What it has taken, and what it still has to say. Everything runs on its own event loop."""

    def __init__(self, system_id: str, password: str) -> None:
        self.system_id, self.password = system_id, password
        self.faults = Faults()
        self.taken: list[dict[str, Any]] = []  # oldest first: id, to, text, encoding, seconds
        self.binds = 0
        self._ids, self._sequence = count(1), count(1_000_000)
        self._unsaid: dict[int, DeliverSm] = {}  # by sequence number, until acknowledged
        self._links: list[asyncio.StreamWriter] = []
        self.port = 0

    def misbehave(self, **wishes: Any) -> None:
        self.faults = changed(Faults(), wishes)

    def forget(self) -> None:
        self.taken.clear()
        self._unsaid.clear()

    @property
    def unsaid(self) -> int:
        """Receipts and replies that nobody has acknowledged yet."""
        return len(self._unsaid)

    def reply(self, phone: str, words: str) -> None:
        """Somebody answers a text message."""
        said = DeliverSm(short_message=words, source=PhoneNumber(phone), encoding="ucs2")
        self.loop.call_soon_threadsafe(self._say, said)

    def cut(self) -> None:
        """Break every connection, as a dying network does."""
        self.loop.call_soon_threadsafe(lambda: [link.transport.abort() for link in self._links])

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        again = asyncio.create_task(self._say_again())
        ready.set()
        await stop.wait()
        again.cancel()
        server.close()
        for link in self._links:
            link.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(HEADER)
                header = SmppMessage.parse_header(head)
                pdu = head + await reader.readexactly(header.pdu_length - HEADER)
                match header.smpp_command:
                    case SmppCommand.BIND_TRANSCEIVER:
                        self._bind(BindTransceiver.from_pdu(pdu, header), writer)  # type: ignore[arg-type]
                    case SmppCommand.ENQUIRE_LINK:
                        writer.write(EnquireLinkResp(header.sequence_num).pdu())
                    case SmppCommand.SUBMIT_SM if writer in self._links:
                        self._submit(SubmitSm.from_pdu(pdu, header, "gsm0338"), writer)  # type: ignore[arg-type]
                    case SmppCommand.DELIVER_SM_RESP:
                        self._unsaid.pop(header.sequence_num, None)
                    case SmppCommand.UNBIND:
                        writer.write(UnbindResp(header.sequence_num).pdu())
                        break
                    case _:
                        writer.write(GenericNack(header.sequence_num).pdu())
        with suppress(ValueError):
            self._links.remove(writer)
        writer.close()

    def _bind(self, asked: BindTransceiver, writer: asyncio.StreamWriter) -> None:
        good = (asked.system_id, asked.password) == (self.system_id, self.password)
        status = SmppCommandStatus.ESME_ROK if good else SmppCommandStatus.ESME_RINVPASWD
        if self.faults.refuse_bind:
            status = SmppCommandStatus.ESME_RBINDFAIL
        answer = BindTransceiverResp(asked.sequence_num, status, system_id="smsc")
        writer.write(answer.pdu())
        if status is SmppCommandStatus.ESME_ROK:
            self.binds += 1
            self._links.append(writer)

    def _submit(self, asked: SubmitSm, writer: asyncio.StreamWriter) -> None:
        if self.faults.status:
            status = SmppCommandStatus[self.faults.status]
            writer.write(SubmitSmResp(asked.sequence_num, status, message_id="").pdu())
            return
        name = f"{next(self._ids):08x}"
        self.taken.append(
            {
                "id": name,
                "to": asked.destination.number,
                "from": asked.source.number,
                "text": asked.short_message or asked.message_payload,
                "payload": bool(asked.message_payload),
                "encoding": asked.encoding,
                "valid": asked.validity_period,
            }
        )
        if self.faults.early:
            self._receipt(name)
        if not self.faults.silent:
            writer.write(SubmitSmResp(asked.sequence_num, message_id=name).pdu())
        if not self.faults.early:
            self._receipt(name)

    def _receipt(self, name: str) -> None:
        if self.faults.receipt:
            words = self.faults.receipt_text.format(id=name, stat=self.faults.receipt)
            self._say(DeliverSm(short_message=words, esm_class=0b00000100))

    def _say(self, said: DeliverSm) -> None:
        said.sequence_num = next(self._sequence)
        said.set_encoding_info("gsm0338", None)
        self._unsaid[said.sequence_num] = said
        if self._links:
            self._links[-1].write(said.pdu())

    async def _say_again(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            for said in list(self._unsaid.values()):
                said.set_encoded_message(b"")
                if self._links:
                    self._links[-1].write(said.pdu())

    def run(self, ready: threading.Event) -> None:
        async def live() -> None:
            self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await self.serve(ready, self._stop)

        asyncio.run(live())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def run_smsc(system_id: str = "duty", password: str = "secret") -> Iterator[Smsc]:  # noqa: S107
    """A centre in a thread of this process while the block runs."""
    smsc, ready = Smsc(system_id, password), threading.Event()
    thread = threading.Thread(target=smsc.run, args=(ready,), name="smsc", daemon=True)
    thread.start()
    if not ready.wait(20):
        raise RuntimeError("the local centre did not start")
    try:
        yield smsc
    finally:
        smsc.stop()
        thread.join(10)
