"""One, two and four sending workers on the same ledger: what a further worker brings, and where it ends.

`python -m tests.benchmarks.scaleout [ROUNDS]` ends with one JSON line. Workers are whole processes (`celery -Q urgent`,
two senders each) that know nothing of each other; an order to all 45,000 is issued as in fanout.py.
  by_workers            of a vendor who answers after 60 ms; by_workers_slow: after 1 s, so that each worker waits for the
                        vendor and not for the processor: `{workers: {rate_per_s, wall_s, cpu_s_per_1000, shares}}`
                        medians over the rounds; `shares`: of the workers' CPU seconds, each one's
  speedup               rate with 2 and with 4 workers / rate with one; speedup_slow
  duplicates            pushes taken twice in all rounds; anything but 0 is a fault
  cores                 of this machine; vendor, database, web and measuring share them with the workers
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.children import die_with_parent
from tests.benchmarks.fanout import CITY, issue, sign_in
from tests.benchmarks.stack import ROOT, Busy, Stack, median, result, say, stack, used_s, wait_for

ROUNDS = 3
WORKERS = (1, 2, 4)
LATENCY_MS, SLOW_MS = 60, 1000
READY_WITHIN_S, DOWN_WITHIN_S = 60.0, 30.0


@contextmanager
def workers(on: Stack, count: int) -> Iterator[list[int]]:
    """So many sending workers: the run's own and others like it, in its environment. Their pids."""
    [own, *_] = on.pids("sender")
    command = Path(f"/proc/{own}/cmdline").read_bytes().split(b"\0")[:-1]
    env = dict(pair.split(b"=", 1) for pair in Path(f"/proc/{own}/environ").read_bytes().split(b"\0") if pair)
    others: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(1, count):
            named = [b"urgent%d@%%h" % number if word.startswith(b"urgent@") else word for word in command]
            others.append(
                subprocess.Popen(
                    named,
                    cwd=ROOT,
                    env=env,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=die_with_parent(signal.SIGTERM),
                )
            )
        pids = [own, *(other.pid for other in others)]
        # a worker that has read its code has used a second or two, and then rests
        wait_for(lambda: all(used_s(pid) > 1.0 for pid in pids), READY_WITHIN_S, "the workers")
        yield pids
    finally:
        for other in others:
            other.terminate()
        for other in others:
            try:
                other.wait(DOWN_WITHIN_S)
            except subprocess.TimeoutExpired:
                other.kill()


def measure(on: Stack, count: int, latency_ms: int, rounds: int) -> tuple[dict[str, object], int]:
    """(figures of an order to everybody by so many workers, pushes taken twice)."""
    found, shares, costs = [], [], []

    def used() -> list[float]:
        return [on.cpu_s("postgres", "valkey"), *(used_s(pid) for pid in pids)]

    with workers(on, count) as pids:
        on.phones.behave(latency_ms=latency_ms)
        issue(on, sign_in(), [CITY])  # the first pays for connections and imports
        for _ in range(rounds):
            before_s = used()
            found.append(issue(on, sign_in(), [CITY]))
            servers_s, *each_s = (after - before for after, before in zip(used(), before_s, strict=True))
            costs.append((servers_s + sum(each_s)) / found[-1]["accepted"] * 1000)
            shares.append(sorted((round(one / sum(each_s), 2) for one in each_s), reverse=True))
        on.phones.behave()
    figures: dict[str, object] = {
        "rate_per_s": median([one["accepted"] / one["wall_s"] for one in found], 0),
        "wall_s": median([one["wall_s"] for one in found]),
        "cpu_s_per_1000": median(costs),
        "shares": shares[len(shares) // 2],
    }
    say(f"{count} workers, {latency_ms} ms: {figures}")
    return figures, sum(int(one["duplicates"]) for one in found)


def main(rounds: int) -> None:
    line: dict[str, object] = {}
    twice = 0
    with stack() as on, Busy(on) as busy:
        for name, latency_ms in (("", LATENCY_MS), ("_slow", SLOW_MS)):
            by_workers = {}
            for count in WORKERS:
                by_workers[count], more = measure(on, count, latency_ms, rounds)
                twice += more
            one, *others = [float(str(figures["rate_per_s"])) for figures in by_workers.values()]
            line[f"by_workers{name}"] = by_workers
            line[f"speedup{name}"] = [round(other / one, 2) for other in others]
    result(line | {"duplicates": twice, "cores": os.cpu_count(), "others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
