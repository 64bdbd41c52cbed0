"""How many SL 651 reports one core takes from bytes to readings. `python -m tests.benchmarks.sl651` prints it.

The reports of the tests' vectors, and of ../shared/data/sl651_frames.tsv when it is there, one after the other in
segments of a TCP line: found, checked, every element decoded, rain and stages taken. No socket, no database. What is
damaged or not understood is met as on a line, and not counted.
"""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from hydrology.science.readings import Reading
from hydrology.science.sl651 import Direction, Frame, Receiver
from hydrology.science.sl651_elements import Malformed, decode
from hydrology.science.sl651_water import Totals, water_of
from tests.benchmarks.stack import result

VECTORS = Path(__file__).resolve().parents[1] / "hydrology" / "sl651_vectors.txt"
FOUND = Path(__file__).resolve().parents[3] / "shared" / "data" / "sl651_frames.tsv"
CHUNK = 1460  # bytes of a TCP segment
ENOUGH_S = 2.0
SENT_AT = datetime(2026, 6, 15, 12, tzinfo=UTC)


def stream() -> bytes:
    """All reports there are, a line of some seconds."""
    frames = [line.strip() for line in VECTORS.read_text().splitlines() if line.startswith("  ")]
    if FOUND.is_file():
        with FOUND.open(encoding="utf-8") as rows:
            frames += [
                row["hex"]
                for row in csv.DictReader(rows, delimiter="\t")
                if row["dir"] == "up" and row["crc_ok"] == "True" and "." not in row["hex"]
            ]
    return b"".join(bytes.fromhex(frame) for frame in frames) * 20


def read(line: bytes) -> tuple[int, int]:
    """(reports understood, readings in them)."""
    receiver, reports, readings = Receiver(), 0, 0
    totals: Totals = {}
    for at in range(0, len(line), CHUNK):
        for event in receiver.feed(line[at : at + CHUNK]):
            if isinstance(event, Frame) and not event.fragment and event.direction is Direction.UP:
                taken = _taken(event, totals)
                reports += taken is not None
                readings += len(taken or ())
    return reports, readings


def _taken(frame: Frame, totals: Totals) -> tuple[Reading, ...] | None:
    try:
        report = decode(frame)
    except Malformed:
        return None
    codes = {measure.station: measure.station for measure in report.measures}
    received_at = (report.sent_at or SENT_AT) + timedelta(seconds=2)  # they are of many years
    return water_of(report, codes, received_at, totals).readings


def frames_per_s() -> float:
    """Reports a second on one core."""
    line = stream()
    began_s, frames = perf_counter(), 0
    while perf_counter() - began_s < ENOUGH_S:
        frames += read(line)[0]
    return frames / (perf_counter() - began_s)


if __name__ == "__main__":
    reports, readings = read(stream())
    result({"sl651_frames_per_s": round(frames_per_s()), "reports": reports, "readings": readings})
