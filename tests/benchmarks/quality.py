"""What quality control finds of the faults it should find, and what it doubts without cause.

`python -m tests.benchmarks.quality [STATIONS_A_FAULT]` ends with one JSON line. Gauges of the demo city are sampled
from the given storm (../shared/data/storm; without it from the built-in one), made unlike the field by a factor of
lognormal 0.3 each time, levels answer the rain; some stations of each kind carry one fault (faults.py). Everything
goes through the ingest in order, readings before their field, as the player posts it.
  faults          by fault: injected, detected, rate, and by what (code of the refusal, or the check that doubted)
  false_alarms    of readings without a fault: rows, suspect, wrong, refused, rates, and the checks that objected;
                  and of hourly sums that agree, how many were doubted
  extremes        the heaviest 1 % of true rain: their number, how many became suspect, how many wrong or refused
  readings_s      median of one post of all gauges and levels
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from backend.embedded import THROW_AWAY_SETTINGS, Postgres, Valkey
from hydrology import ingest
from hydrology.models import Feed, Observation
from hydrology.science.consistency import check_of
from hydrology.science.quality import Quality
from replay import city
from replay.player import Objects
from replay.storm_2023 import reconstruct_2023
from replay.storms import Frame, read_folder
from tests.benchmarks.faults import FAULTS, RAIN, STAGE, Case, Row, Spoiled, histories
from tests.benchmarks.stack import median, result, say

GIVEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "storm"
STATIONS_A_FAULT = 5
NOISE = 0.3
SENT_AFTER = timedelta(seconds=2)
BUILT_IN = slice(24, 150)  # of the core: two hours into it
EXTREME_SHARE = 0.01
Key = tuple[str, str, datetime]  # station, element, instant


@dataclass(slots=True)
class Ledger:
    """What was sent, as it was sent: by fault the keys that must be found, and what found those not stored."""

    injected: Counter[str] = field(default_factory=Counter)
    found: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    pending: dict[Key, str] = field(default_factory=dict)
    true_mm: dict[Key, float] = field(default_factory=dict)
    refused_true: Counter[str] = field(default_factory=Counter)


@contextmanager
def servers() -> Iterator[None]:
    """PostgreSQL and Valkey of their own with the demo city; gone afterwards."""
    run_dir = Path(settings.RUN_DIR)
    run_dir.mkdir(mode=0o711)
    started = [Postgres(run_dir / "pg", **THROW_AWAY_SETTINGS), Valkey(run_dir / "valkey")]
    try:
        for server in started:
            server.start()
        call_command("migrate", verbosity=0)
        yield
    finally:
        for server in reversed(started):
            server.stop()


def frames() -> tuple[str, list[Frame]]:
    if GIVEN.is_dir():
        return "given", list(read_folder(GIVEN).frames)
    say("../shared/data/storm is not there: the built-in storm is taken")
    storm = reconstruct_2023()
    return "built-in", list(storm.frames[storm.core][BUILT_IN])


def carriers(objects: Objects, each: int, rng: np.random.Generator) -> dict[tuple[str, str], str]:
    """(station, element) -> the fault it carries; every station at most one."""
    free = {RAIN: list(objects.gauge_codes), STAGE: list(objects.level_codes)}
    chosen = {}
    for name, (element, _) in FAULTS.items():
        for _ in range(each):
            chosen[free[element].pop(int(rng.integers(len(free[element])))), element] = name
    return chosen


def play(feed: Feed, storm: list[Frame], each: int) -> tuple[Ledger, list[float]]:
    """Every frame through the ingest; returns what was sent and the seconds of each post of readings."""
    rng = np.random.default_rng(0)
    objects = Objects(storm[0].at.date())
    faulty, past, ledger, took_s = carriers(objects, each, rng), histories(), Ledger(), []
    memories: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for n, frame in enumerate(storm):
        if frame.rain_mm is None or frame.observed is None:
            continue
        rows: list[Row] = []
        marks: list[tuple[str, Spoiled | None]] = []
        for row in objects.readings(frame.rain_mm(), frame.at):
            key = (str(row["station"]), str(row["element"]))
            if row["element"] == RAIN:
                row["value"] = round(float(row["value"]) * float(np.exp(rng.normal(0.0, NOISE))), 1)
            spoiled, name = None, faulty.get(key, "")
            if name:
                case = Case(n, frame.at, row, past[key], rng, memories[name])
                spoiled = FAULTS[name][1](case)
            past[key].append(float(row["value"]))
            for one in spoiled.rows if spoiled else [row]:
                rows.append(one)
                marks.append((name, spoiled))
        began_s = time.perf_counter()
        answer = ingest.take_readings(feed, orjson.dumps({"readings": rows}), frame.at + SENT_AFTER)
        took_s.append(time.perf_counter() - began_s)
        account(ledger, rows, marks, answer)
        ingest.take_grid(feed, frame.observed(), frame.at + SENT_AFTER)
        if n % 25 == 0:
            say(
                f"frame {n:3}: {answer['accepted']} taken, {len(answer['rejected'])} refused, {took_s[-1]:.3f} s"
            )
    return ledger, took_s


def account(
    ledger: Ledger, rows: list[Row], marks: list[tuple[str, Spoiled | None]], answer: dict[str, Any]
) -> None:
    """Take note of a post: what the answer already says, and what the rows must say in the end."""
    refused = {rejection["index"]: rejection["code"] for rejection in answer["rejected"]}
    duplicates = Counter(name for name, spoiled in marks if spoiled and spoiled.found_by == "duplicate")
    for name, count in duplicates.items():
        ledger.injected[name] += count // 2
        ledger.found[name]["duplicate"] += min(answer["duplicate"], count // 2)
    for index, (row, (name, spoiled)) in enumerate(zip(rows, marks, strict=True)):
        if spoiled and spoiled.found_by == "duplicate":
            continue
        if spoiled and spoiled.hurts and spoiled.found_by:  # the extra row is what can be refused
            if row is spoiled.rows[-1]:
                ledger.injected[name] += 1
                ledger.found[name][refused.get(index, "")] += refused.get(index) == spoiled.found_by
            continue
        if spoiled and spoiled.hurts:
            ledger.injected[name] += 1
            if index in refused:
                ledger.found[name][refused[index]] += 1
            else:
                ledger.pending[_key(row)] = name
        elif not name:
            if index in refused:
                ledger.refused_true[refused[index]] += 1
            ledger.true_mm[_key(row)] = row["value"]


def _key(row: Row) -> Key:
    return row["station"], row["element"], datetime.fromisoformat(row["observed_at"])


def verdicts(first: datetime, last: datetime) -> dict[Key, tuple[Quality, str]]:
    """The first verdict on every row stored."""
    rows = Observation.objects.filter(
        revision=0, observed_at__gt=first - timedelta(days=1), observed_at__lte=last + timedelta(days=1)
    ).values_list("station_id", "element", "observed_at", "quality", "why")
    return {(station, element, at): (Quality(quality), why) for station, element, at, quality, why in rows}


def tell(ledger: Ledger, stored: dict[Key, tuple[Quality, str]]) -> dict[str, Any]:
    for key, name in ledger.pending.items():
        quality, why = stored[key]
        if quality is not Quality.GOOD:
            ledger.found[name][check_of(why)] += 1
    right = ledger.injected.pop("right_sum", 0)
    faults = {}
    for name, count in sorted(ledger.injected.items()):
        by = {check: n for check, n in ledger.found[name].items() if n}
        found = sum(by.values())
        faults[name] = {"injected": count, "detected": found, "rate": round(found / count, 3), "by": by}
    false: dict[str, Any] = {}
    for element in (RAIN, STAGE):
        untouched = [stored[key] for key in ledger.true_mm if key[1] == element and key in stored]
        by_quality = Counter(quality for quality, _ in untouched)
        false[element] = {
            "rows": len(untouched),
            "suspect": by_quality[Quality.SUSPECT],
            "wrong": by_quality[Quality.WRONG],
            "suspect_rate": round(by_quality[Quality.SUSPECT] / len(untouched), 6),
            "wrong_rate": round(by_quality[Quality.WRONG] / len(untouched), 6),
            "by": Counter(check_of(why) for quality, why in untouched if quality is not Quality.GOOD),
        }
    false["refused"] = dict(ledger.refused_true)
    false["right_sums"] = {"rows": right, "doubted": sum(ledger.found["right_sum"].values())}
    return {"faults": faults, "false_alarms": false, "extremes": _extremes(ledger, stored)}


def _extremes(ledger: Ledger, stored: dict[Key, tuple[Quality, str]]) -> dict[str, Any]:
    rain = sorted(((mm, key) for key, mm in ledger.true_mm.items() if key[1] == RAIN), reverse=True)
    heaviest = rain[: max(1, round(len(rain) * EXTREME_SHARE))]
    qualities = Counter(stored[key][0] if key in stored else None for _, key in heaviest)
    return {
        "rows": len(heaviest),
        "from_mm": heaviest[-1][0],
        "highest_mm": heaviest[0][0],
        "suspect": qualities[Quality.SUSPECT],
        "rejected": qualities[Quality.WRONG] + qualities[None],
    }


def main(each: int) -> None:
    name, storm = frames()
    with servers():
        with transaction.atomic():
            city.build(storm[0].at, say=lambda line: None, officers=1500)
        feed = Feed.objects.get(key="replay")
        began_s = time.perf_counter()
        ledger, took_s = play(feed, storm, each)
        told = tell(ledger, verdicts(storm[0].at, storm[-1].at))
    for fault, found in told["faults"].items():
        say(f"{fault:22} {found['detected']:5} of {found['injected']:5}  {found['rate']:6.1%}  {found['by']}")
    say(f"false alarms {told['false_alarms']}")
    result(
        {"storm": name, "frames": len(storm), "stations_a_fault": each, "gauge_noise": NOISE}
        | told
        | {
            "true_extremes_rejected": told["extremes"]["rejected"],
            "readings_s": median(took_s),
            "wall_s": round(time.perf_counter() - began_s, 1),
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STATIONS_A_FAULT)
