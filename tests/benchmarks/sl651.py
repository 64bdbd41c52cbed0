"""How many SL 651 frames one core takes from bytes to elements. `python -m tests.benchmarks.sl651` prints it."""

from pathlib import Path
from time import perf_counter

from hydrology.science.sl651 import Frame, Receiver
from hydrology.science.sl651_elements import decode

VECTORS = Path(__file__).resolve().parents[1] / "hydrology" / "sl651_vectors.txt"
CHUNK = 1460  # bytes of a TCP segment
ENOUGH_S = 1.0


def frames_per_s() -> float:
    """Uplink reports a second: received in segments, checked, every element decoded."""
    lines = [line.strip() for line in VECTORS.read_text().splitlines() if line.startswith("  ")]
    stream = b"".join(bytes.fromhex(line) for line in lines) * 50
    started, frames = perf_counter(), 0
    while perf_counter() - started < ENOUGH_S:
        receiver = Receiver()
        for at in range(0, len(stream), CHUNK):
            for event in receiver.feed(stream[at : at + CHUNK]):
                if isinstance(event, Frame) and not event.fragment:
                    decode(event)
                    frames += 1
    return frames / (perf_counter() - started)


if __name__ == "__main__":
    print(f"sl651_frames_per_s {frames_per_s():.0f}")
