"""Fetching from SL 323 databases: PostgreSQL, MySQL, MariaDB, SQL Server, read only, a page at a time.

Owns how far a table has been read: everything newer than the mark less an overlap is looked at again, and a row is sent
once, and again when it changed. So late rows come in, and a row that another feed corrected is not put back every
minute. Meaning of rows: science/sl323.py. Connection and time-outs: database.py. Writes nothing anywhere: polls.py does.
What cannot be read goes into the body as `unreadable` with its row, so that the door counts, keeps and shows it.
"""

import copy
import hashlib
import logging
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Engine, Select, and_, column, or_, select, table

from foundation.errors import Refusal
from hydrology.models import Source
from hydrology.science.readings import MAX_ROWS, Reading
from hydrology.science.sl323 import Row, RowRead, TrendCheck, Unread, read_row
from hydrology.science.sl323_mapping import DatabaseMapping, TableMapping
from hydrology.sources.database import Unreachable, engine_of, mapping_of, rows_of
from hydrology.sources.fetched import Fetched, Mark, fault

log = logging.getLogger(__name__)
PAGE_ROWS = 2000
BUCKET_MIN = 5
_DIGEST_BYTES = (
    6  # compared only within one table and 5 minutes: a chance of 1 in 10^11 a row to be taken for another
)
Entry = dict[str, Any]


def fetch(source: Source, now: datetime) -> Iterator[Fetched]:
    """Bodies for the door `readings`, table by table. Raises Refusal `source_fault`.

    A table that cannot be read does not keep the others from being read; its fault is raised at the end.
    """
    mapping = mapping_of(source)
    mark = _mark_of(source)
    engine = engine_of(source, mapping)
    faults: list[Refusal] = []
    try:
        for each in mapping.tables:
            try:
                yield from _Poll(source, mapping, each, mark, now).bodies(engine)
            except Unreachable:
                raise
            except Refusal as refusal:
                faults.append(refusal)
    finally:
        engine.dispose()
    if faults:
        raise faults[0]


def page_of(
    mapping: DatabaseMapping, each: TableMapping, after: datetime, start: Row | None, limit: int
) -> Select[Any]:
    """One page in order of (cursor, STCD): what is newer than `after`, or from the row `start` on, which comes again.

    The cursor is TM, or the column the mapping names under `modified`; naive time of the source.
    """
    cursor, stcd = column(each.modified or each.columns["TM"]), column(each.columns["STCD"])
    columns = [column(theirs).label(name) for name, theirs in each.columns.items()]
    wanted = select(*columns, cursor.label("cursor_at")).select_from(
        table(each.table, schema=mapping.schema or None)
    )
    if start is None:
        wanted = wanted.where(cursor > after)
    else:
        same = stcd.is_(None) if start["STCD"] is None else or_(stcd >= start["STCD"], stcd.is_(None))
        wanted = wanted.where(or_(cursor > start["cursor_at"], and_(cursor == start["cursor_at"], same)))
    return wanted.order_by(cursor, stcd).limit(limit)


def unmodified(mapping: DatabaseMapping, each: TableMapping, after: datetime) -> Select[Any]:
    """One row newer than `after` that has no time of change, if there is any."""
    tm = column(each.columns["TM"])
    rows = select(tm.label("TM")).select_from(table(each.table, schema=mapping.schema or None))
    return rows.where(tm > after, column(each.modified).is_(None)).limit(1)


class _Poll:
    """One table in one poll: what of it is new, and how far the mark may move after each page."""

    def __init__(
        self, source: Source, mapping: DatabaseMapping, each: TableMapping, mark: Mark, now: datetime
    ) -> None:
        self.source, self.mapping, self.table, self.mark, self.now = source, mapping, each, mark, now
        self.local_now = now.astimezone(mapping.zone).replace(tzinfo=None)
        known = mark["tables"].get(each.table, {})
        first = self.local_now - timedelta(seconds=mapping.first_s)
        self.until = datetime.fromisoformat(known["until"]) if "until" in known else first
        self.seen: dict[str, set[str]] = {at: set(_cut(said)) for at, said in known.get("seen", {}).items()}
        self.trends = TrendCheck()

    def bodies(self, engine: Engine) -> Iterator[Fetched]:
        fresh = 0
        self._all_have_cursors(engine)
        for rows in self._pages(engine):
            new = [(row, self._read(row)) for row in rows if self._unseen(row)]
            fresh += len(new)
            if new:
                yield from self._posted(new, max(at for row in rows if (at := self._cursor_at(row))))
            if fresh >= self.mapping.poll_rows:
                break
        if note := self.trends.note():
            log.warning("sl323.trend source=%s table=%s %s", self.source.pk, self.table.table, note)
            self.mark["notes"] = {**self.mark.get("notes", {}), self.table.table: note}
            yield Fetched("readings", b"", copy.deepcopy(self.mark), name=self.table.table, note=note)

    def _pages(self, engine: Engine) -> Iterator[list[Row]]:
        """Each page in a transaction of its own, so that the source holds nothing open while we store.

        A page that shows one key only (one STCD, one instant) is asked for again, longer.
        """
        after = self._after()
        start: Row | None = None
        limit = PAGE_ROWS
        while True:
            rows = rows_of(engine, self.mapping, page_of(self.mapping, self.table, after, start, limit))
            yield rows
            if len(rows) < limit:
                return
            if start is not None and _key(rows[-1]) == _key(start):
                if limit >= self.mapping.poll_rows:
                    raise fault(
                        f"tables.{self.table.kind}",
                        f"{self.table.table} 中同一站同一时刻超过 {limit} 行，无法翻页，请检查该表",
                        f"{self.table.table} has more than {limit} rows of one station and instant: look at it",
                    )
                limit *= 2
            start = rows[-1]

    def _all_have_cursors(self, engine: Engine) -> None:
        """Rows without a time of change would never be seen: say so instead of losing them."""
        if not self.table.modified:
            return
        if rows_of(engine, self.mapping, unmodified(self.mapping, self.table, self._after())):
            raise fault(
                f"mapping.tables.{self.table.kind}.modified",
                f"{self.table.table} 有 {self.table.modified} 为空的行，请删去 modified，按 TM 轮询。",
                f"{self.table.table} has rows without {self.table.modified}: leave modified out, poll by TM.",
            )

    def _after(self) -> datetime:
        return self.until - timedelta(seconds=self.mapping.overlap_s)

    def _unseen(self, row: Row) -> bool:
        """Whether the row has not been sent as it stands; it counts as sent from now on."""
        bucket = self.seen.setdefault(self._bucket(row), set())
        said = repr([str(value) for value in row.values()]).encode()
        digest = b64encode(hashlib.blake2b(said, digest_size=_DIGEST_BYTES).digest()).decode()
        if digest in bucket:
            if self.table.kind in _WITH_TRENDS:
                self._read(row)  # the level a new row is compared with
            return False
        bucket.add(digest)
        return True

    def _read(self, row: Row) -> RowRead:
        read = read_row(row, self.table, self.mapping, self.now)
        self.trends.look(read)
        return read

    def _cursor_at(self, row: Row) -> datetime | None:
        at = row["cursor_at"]
        if not isinstance(at, datetime):
            return None
        return at.astimezone(self.mapping.zone).replace(tzinfo=None) if at.tzinfo else at

    def _bucket(self, row: Row) -> str:
        at = self._cursor_at(row)
        if at is None:
            raise fault(
                f"tables.{self.table.kind}",
                f"{self.table.table} 的时间列不是日期时间类型，无法按时间轮询",
                f"{self.table.table}: its time column is no date and time, it cannot be polled by it",
            )
        return at.replace(minute=at.minute - at.minute % BUCKET_MIN).isoformat(timespec="minutes")

    def _posted(self, new: list[tuple[Row, RowRead]], newest: datetime) -> Iterator[Fetched]:
        """Bodies of up to 10,000 entries; the mark moves with the last. It never runs ahead of the clock."""
        before = copy.deepcopy(self.mark)
        self._move(new, min(newest, self.local_now))
        entries = [entry for row, read in new for entry in _entries(row, read)]
        note = _note([unread for _, read in new for unread in read.unread])
        counts = {
            "missing": sum(read.missing for _, read in new),
            "skipped": sum(read.skipped for _, read in new),
        }
        for start in range(0, len(entries), MAX_ROWS):
            part = entries[start : start + MAX_ROWS]
            body = orjson.dumps(
                {"source": self.source.pk, "table": self.table.table, **counts, "readings": part}
            )
            last = start + MAX_ROWS >= len(entries)
            mark = copy.deepcopy(self.mark) if last else before
            yield Fetched("readings", body, mark, name=self.table.table, note=note)
        if not entries:
            yield Fetched("readings", b"", copy.deepcopy(self.mark), name=self.table.table)

    def _move(self, new: Iterable[tuple[Row, RowRead]], newest: datetime) -> None:
        self.until = max(self.until, newest)
        back = timedelta(seconds=self.mapping.overlap_s, minutes=BUCKET_MIN)
        oldest = (self.until - back).isoformat(timespec="minutes")
        self.seen = {at: digests for at, digests in self.seen.items() if at >= oldest}
        self.mark["tables"][self.table.table] = {
            "until": self.until.isoformat(),
            "seen": {at: "".join(sorted(digests)) for at, digests in self.seen.items()},
        }
        if unread := [each for _, read in new for each in read.unread]:
            log.warning(
                "sl323.unread source=%s table=%s values=%s first=%s",
                self.source.pk, self.table.table, len(unread), unread[0],
            )  # fmt: skip
            total = self.mark.get("unread", {}).get("values", 0) + len(unread)
            self.mark["unread"] = {"values": total, "at": self.now.isoformat(), "last": str(unread[-1])}


_WITH_TRENDS = ("ST_RSVR_R", "ST_RIVER_R", "ST_TIDE_R")


def _mark_of(source: Source) -> Mark:
    """The stored mark; under another mapping the rows of the overlap are read again, as the new one has it."""
    mark: Mark = copy.deepcopy(source.mark) if source.mark else {}
    digest = hashlib.sha256(orjson.dumps(source.mapping, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    if mark.get("mapping") != digest:
        kept = {name: {"until": each["until"]} for name, each in mark.get("tables", {}).items()}
        mark = {"mapping": digest, "tables": kept}
    mark.setdefault("tables", {})
    return mark


def _entries(row: Row, read: RowRead) -> Iterator[Entry]:
    yield from map(_reading, read.readings)
    for unread in read.unread:
        yield {"unreadable": str(unread), "row": {name: _plain(value) for name, value in row.items()}}


def _note(unread: list[Unread]) -> str:
    if not unread:
        return ""
    return f"{len(unread)} 个值无法读取，已拒收并留存。{len(unread)} values could not be read: {unread[0]}"


def _reading(reading: Reading) -> Entry:
    entry: Entry = {
        "station": reading.station,
        "element": reading.element.value,
        "observed_at": reading.observed_at.isoformat(),
        "value": reading.value,
    }
    return entry | ({"duration_s": reading.duration_s} if reading.duration_s else {})


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | float | bool) else str(value)[:200]


def _key(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return row["cursor_at"], row["STCD"]


def _cut(said: str) -> Iterator[str]:
    """The digests of a bucket: 8 characters each."""
    return (said[at : at + 8] for at in range(0, len(said), 8))
