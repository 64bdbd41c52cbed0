"""The processes of `make run` below a test, and the hand that kills them.

Owns their life (backend/crew.py looks after them while a test waits) and the questions put to the ledger on
connections of its own, so that no answer comes from the product's code. The city is the demo city.
"""

import json
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg

from backend import up
from backend.children import Server
from backend.crew import Crew
from backend.embedded import Postgres, Valkey
from replay.phones import Standin

Push = tuple[str, str]  # token, message id
CITY = "4403"
REVIVED_WITHIN_S = 60.0

_OF_BULLETIN = """
FROM notifications_delivery d JOIN notifications_dispatch s ON s.id = d.dispatch_id
WHERE s.bulletin_id = %s AND s.errand = 'first'
"""
# who must hear an order of an area: the flood posts below it and the desks above it, and their live phones
_AUDIENCE = """
SELECT p.officer_id, array_agg(DISTINCT v.token) FILTER (WHERE v.retired_at IS NULL AND v.token <> '')
FROM officers_post p JOIN hydrology_region r ON r.code = p.region_id CROSS JOIN hydrology_region a
LEFT JOIN officers_device v ON v.officer_id = p.officer_id
WHERE a.code = %s AND ((starts_with(r.path, a.path) AND p.duty IN ('flood', 'desk'))
                       OR (starts_with(a.path, r.path) AND p.duty = 'desk'))
GROUP BY p.officer_id
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """The ledger's lines of one bulletin."""

    rows: int
    officers: int
    unsent: int  # pending, being sent, or to be tried again
    sent: int
    attempts: int  # of the line with most
    recipients: int  # as the dispatch counted them


class Stack(Crew):
    """Web, workers, beat, the local FCM and both servers. A killed one comes back while somebody waits."""

    def __init__(self, folder: Path) -> None:
        super().__init__(up.ROOT)
        # read from the environment when it was imported
        up.RUN_DIR, up.PHONES_READY = folder, folder / "phones" / "ready.json"
        # a killed server, not a killed host: what was committed must be there without fsync
        self.postgres = Postgres(folder / "pg", fsync="off", full_page_writes="off")
        self.valkey = Valkey(folder / "valkey")
        with socket.socket() as probe:
            probe.bind((up.HOST, 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{up.HOST}:{self.port}"

    @property
    def phones(self) -> Standin:
        return Standin.at(up.PHONES_READY.parent)

    @property
    def feed(self) -> tuple[str, str]:
        """Key and secret of the city's feed."""
        keys = json.loads((up.RUN_DIR / "demo.json").read_text())
        return keys["feed_key"], keys["feed_secret"]

    def bring_up(self, *city: str) -> None:
        """`city`: options of the command that builds it."""
        addresses = self.start_servers()
        self.env = up.child_environment(self.port) | {
            "RUN_DIR": str(up.RUN_DIR),
            **addresses,
            "LOG_LEVEL": "WARNING",
        }
        up.start_phones(self)
        self.run("migrate", *up.MANAGE, "migrate", "--verbosity", "0")
        self.run("city", *up.MANAGE, "democity", *city)
        up.meet_phones(self)
        up.start_product(self, self.port)

    def take_down(self) -> None:
        for names in up.STOP_ORDER:
            self.stop(*names)
        self.stop_servers()

    def start_servers(self) -> dict[str, str]:
        """Returns where they are, as the product's settings say it."""
        for server in (self.postgres, self.valkey):
            server.start()
            self.keep_server(server)
        return {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.valkey.url}

    def stop_servers(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    def kill(self, name: str) -> None:
        """kill -9; returns when it is gone, before anybody has started it again."""
        child = self._children[name]
        child.kill()
        child.wait()

    def pids(self) -> dict[str, int]:
        """Of web, workers, beat and the local FCM."""
        return {name: child.pid for name, child in self._children.items()}

    def kill_server(self, server: Server) -> None:
        assert server.child is not None
        server.child.kill()
        server.child.wait()

    @contextmanager
    def without(self, server: Server) -> Iterator[None]:
        """Killed, and nobody starts it again before the block is over."""
        del self._watches[server.program.name]
        self.kill_server(server)
        yield
        server.start()
        self.keep_server(server)

    def wait(self, true: Callable[[], bool], what: str, within_s: float = REVIVED_WITHIN_S) -> None:
        """Until it is true, with the crew looked after; a database that is away is not yet true."""

        def now_true() -> bool:
            try:
                return true()
            except psycopg.OperationalError:
                return False

        self.until(now_true, within_s=within_s, what=what)

    def let_pass(self, span_s: float) -> None:
        """A span of the story, not of the proof."""
        over_s = time.monotonic() + span_s
        self.until(lambda: time.monotonic() > over_s)

    def issue(self, area: str) -> int:
        """The id of the bulletin of a new order for the area."""
        self.run("order", sys.executable, "-m", "tests.survival.order", area)
        return int(self.ask("SELECT max(id) FROM alerts_bulletin WHERE order_id IS NOT NULL")[0][0])

    def ask(self, question: str, *values: object) -> list[tuple]:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            return connection.execute(question, values).fetchall()

    def tally(self, bulletin: int) -> Tally:
        figures = (
            "count(*), count(DISTINCT officer_id),"
            " count(*) FILTER (WHERE d.state IN ('pending', 'sending', 'failed_temp')),"
            " count(d.sent_at), coalesce(max(attempts), 0), coalesce(max(s.recipients), 0)"
        )
        return Tally(*self.ask(f"SELECT {figures} {_OF_BULLETIN}", bulletin)[0])

    def all_settled(self, bulletin: int) -> bool:
        tally = self.tally(bulletin)
        return tally.rows > 0 and tally.unsent == 0

    def in_flight(self, bulletin: int) -> set[str]:
        """Message ids of the lines that a sender holds."""
        return {
            str(row[0]) for row in self.ask(f"SELECT d.id {_OF_BULLETIN} AND d.state = 'sending'", bulletin)
        }

    def heard(self, bulletin: int) -> "Counter[Push]":
        """What the phones took of one bulletin."""
        pushes, after = Counter[Push](), 0
        while some := self.phones.accepted(after, 20_000):
            pushes.update(
                (one["token"], one["id"]) for one in some if one["data"]["bulletin"] == str(bulletin)
            )
            after = some[-1]["n"]
        return pushes

    def prove_everyone_heard(self, bulletin: int, area: str) -> set[str]:
        """One line an officer, nobody forgotten, every live phone rang; the message ids that rang twice."""
        audience = dict(self.ask(_AUDIENCE, area))
        lines = self.ask(
            f"SELECT d.officer_id, d.id, d.state, d.sent_at IS NOT NULL {_OF_BULLETIN}", bulletin
        )
        assert sorted(officer for officer, *_ in lines) == sorted(audience)
        for officer, _, state, sent in lines:
            assert (state, sent) == (("sent", True) if audience[officer] else ("failed_perm", False))
        wanted = {(token, str(id_)) for officer, id_, *_ in lines for token in audience[officer] or ()}
        heard = self.heard(bulletin)
        assert set(heard) == wanted
        ours = {id_ for _, id_ in wanted}
        repeated = {one["id"] for one in self.phones.repeats()} & ours
        assert repeated == {id_ for (_, id_), times in heard.items() if times > 1}
        return repeated


AnyStack = TypeVar("AnyStack", bound=Stack)


@contextmanager
def running(kind: type[AnyStack], *city: str) -> Iterator[AnyStack]:
    """Everything up with the city, and down again."""
    with tempfile.TemporaryDirectory(prefix="yjt-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # postgres may run in it as nobody
        stack = kind(Path(folder))
        try:
            stack.bring_up(*city)
            yield stack
        finally:
            stack.take_down()
