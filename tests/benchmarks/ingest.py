"""One 5-minute cycle: gauges, levels, nowcast and field come in over HTTP, the watch assesses them, people are warned.

`python -m tests.benchmarks.ingest [CYCLES]` ends with one JSON line. A cycle is 206 gauges and 300 levels in one body,
a nowcast of 24 steps and an observed field, of the built-in storm with 3 h before it, posted to the real web server.
  cycle_s      median, from the first POST until the slot's assessment is committed, bulletins included
  parts_s      medians: `readings`, `nowcast`, `observed` (each POST to its answer), `assess` (from the last answer
               to the committed slot: nudge, queue, rain picture, rules, rows)
  warned       cycles in which a warning spoke, and warned_cycle_s over these alone
  growth_curve [[stations, cycle_s], …] at 1, 2, 5 and 10 times the stations, growth_parts_s the parts at each
  growth_10x   cycle_s with ten times the stations / cycle_s / 10: 1 is linear
  communities_ratio  cycle_s with the rain watched over `communities` places instead of the streets / cycle_s, both
               measured in turn, cycle by cycle; communities_parts_s: [streets, communities]
  sl651_frames_per_s  SL 651 reports from bytes to readings on one core, without socket and database (sl651.py)
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson

from alerts.assessment import rules
from alerts.models import Bulletin, Hazard, RuleTable, WatchLevel, WatchMark
from hydrology.models import Level, Region, Reservoir, River, SeasonLimit, Station
from replay import player
from replay.storm_2023 import reconstruct_2023
from replay.storms import Frame
from tests.benchmarks.sl651 import frames_per_s
from tests.benchmarks.stack import Busy, Stack, median, result, say, stack, wait_for

CYCLES = 9
LEAD_IN = 36  # 3 h of frames
FIRST_FRAME = 24  # of the storm's core: two hours into it, so that the measured cycles lie in its heavy part
GROWTH = (2, 5, 10)  # times the stations
GROWN_LEAD_IN = 13  # past the hour that levels are compared with
SLOT_WITHIN_S = 60.0


def cycle(
    on: Stack, frame: Frame, shift: timedelta, objects: player.Objects, door: player.Door
) -> dict[str, float]:
    """One frame from its first POST to its committed assessment; bodies are made before the clock starts."""
    slot_at = frame.at + shift
    assert frame.rain_mm is not None and frame.nowcast is not None and frame.observed is not None
    readings = orjson.dumps({"readings": objects.readings(frame.rain_mm(), slot_at)})
    grids = [player.moved(body(), shift) for body in (frame.nowcast, frame.observed)]
    bulletins = Bulletin.objects.count()
    at = [time.perf_counter()]
    door.post("readings", readings)
    for body in grids:
        at.append(time.perf_counter())
        door.post("grids", body)
    at.append(time.perf_counter())
    marks = WatchMark.objects.filter(hazard=Hazard.RAINSTORM, slot_at__gte=slot_at)
    wait_for(marks.exists, SLOT_WITHIN_S, f"the assessment of {slot_at}", 0.005)
    at.append(time.perf_counter())
    parts = [b - a for a, b in zip(at, at[1:], strict=False)]
    return {
        "cycle": at[-1] - at[0],
        **dict(zip(("readings", "nowcast", "observed", "assess"), parts, strict=True)),
        "bulletins": Bulletin.objects.count() - bulletins,
    }


def cycles(
    on: Stack, count: int, lead_in: int = LEAD_IN, before: Callable[[int], object] = lambda number: None
) -> list[dict[str, float]]:
    """The lead-in, then `count` measured cycles, each after the sends of the one before have ended.

    `before` is called with the number of the cycle to come.
    """
    storm = reconstruct_2023()
    shift = player.shift_for(storm)
    frames = storm.frames[storm.core][FIRST_FRAME + LEAD_IN - lead_in : FIRST_FRAME + LEAD_IN + count]
    objects = player.Objects((frames[0].at + shift).date())
    door = player.Door(on.url, on.keys.feed_key, on.keys.feed_secret)
    measured = []
    for number, frame in enumerate(frames):
        before(number)
        found = cycle(on, frame, shift, objects, door)
        player.worked_off(frame.at + shift, SLOT_WITHIN_S)
        if number >= lead_in:
            measured.append(found)
        if number >= lead_in or number % 12 == 0:
            say(f"{number:3} " + "  ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return measured


def multiply_stations(have: int, times: int) -> int:
    """Every station `times` times over instead of `have`, with its limits, beside the first; how many there are then."""
    grown = list(Station.objects.filter(pk__contains="x").values_list("pk", flat=True))
    for model in (Station, Reservoir, River):
        fields = [field.attname for field in model._meta.concrete_fields if not field.primary_key]
        copies = []
        for row in model.objects.exclude(pk__in=grown):
            kept = {name: getattr(row, name) for name in fields}
            copies += [model(pk=f"{row.pk}x{number}", **kept) for number in range(have, times)]
        model.objects.bulk_create(copies, batch_size=2000)
    SeasonLimit.objects.bulk_create(
        SeasonLimit(
            reservoir_id=f"{limit.reservoir_id}x{number}",
            begin_mmdd=limit.begin_mmdd,
            end_mmdd=limit.end_mmdd,
            limit_m=limit.limit_m,
        )
        for limit in SeasonLimit.objects.exclude(reservoir__in=grown)
        for number in range(have, times)
    )
    return Station.objects.count()


def watched_by_community(on: Stack, count: int) -> dict[str, object]:
    """Cycles over the streets and over the communities in turn, by a rule table that differs in nothing else.

    In turn, because what else the machine does then slows both alike.
    """
    table = RuleTable.objects.create(
        version="in-turn", valid_from=datetime(2000, 1, 1, tzinfo=UTC), rows=dict(rules.DEFAULT_ROWS)
    )
    levels = (WatchLevel.STREET, WatchLevel.COMMUNITY)

    def watch_the_other(number: int) -> None:
        RuleTable.objects.filter(pk=table.pk).update(watch_level=levels[number % 2])

    found = cycles(on, 2 * count, 2 * (GROWN_LEAD_IN // 2 + 1), watch_the_other)
    table.delete()
    by_street, by_community = medians(found[::2]), medians(found[1::2])
    return {
        "communities": Region.objects.filter(level=Level.COMMUNITY).count(),
        "communities_ratio": round((by_community["cycle"] or 0.0) / (by_street["cycle"] or 1.0), 2),
        "communities_parts_s": [by_street, by_community],
    }


PARTS = ("readings", "nowcast", "observed", "assess")


def medians(found: list[dict[str, float]]) -> dict[str, float | None]:
    return {name: median([one[name] for one in found]) for name in ("cycle", *PARTS)}


def main(count: int) -> None:
    with stack() as on, Busy(on) as busy:
        stations = Station.objects.count()
        once = cycles(on, count)
        communities = watched_by_community(on, count)
        grown, have = {stations: medians(once)}, 1
        for times in GROWTH:
            more, have = multiply_stations(have, times), times
            say(f"{more} stations")
            grown[more] = medians(cycles(on, max(3, count // 3), GROWN_LEAD_IN))
    warned = [one["cycle"] for one in once if one["bulletins"]]
    curve = [[many, found["cycle"] or 0.0] for many, found in grown.items()]
    result(
        {
            "cycle_s": curve[0][1],
            "growth_10x": round(curve[-1][1] / curve[0][1] / (curve[-1][0] / curve[0][0]), 2),
            "growth_curve": curve,
            **communities,
            "sl651_frames_per_s": round(frames_per_s()),
            "cycles": len(once),
            "worst_s": round(max(one["cycle"] for one in once), 3),
            "parts_s": {name: grown[stations][name] for name in PARTS},
            "warned": len(warned),
            "warned_cycle_s": median(warned),
            "growth_parts_s": [
                [many, {name: found[name] for name in PARTS}] for many, found in grown.items()
            ],
            "others_cpu_share": busy.others_share,
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CYCLES)
