"""The page 运行: each promise, how it stands now, and how much of the last 24 hours and 7 days was good. Reads only."""

from datetime import datetime, timedelta
from typing import Any

from escalation.models import Incident
from foundation.clock import iso
from monitoring import jobs, paces, readings, samples, watchman
from monitoring.targets import TARGETS, Target, target_of
from notifications import canaries
from officers.models import Officer

LATEST = 5  # messages shown by name
RECENT = timedelta(hours=24)
MOST_INCIDENTS = 30
Row = dict[str, Any]


def slo(now: datetime, *, english: bool) -> Row:
    """As the door gives it (api.py). A fixed number of queries."""
    shares, points, kept = samples.shares(now), samples.plot(now), samples.newest(now)
    newest = paces.newest(LATEST)
    present = {key: worth for key, (worth, _) in kept.items()} | samples.now_read(now)
    for pace in reversed(newest):
        present |= pace.readings
    rows = [
        _row(key, target, english, present, shares, points)
        for key, target in _indicators({*present, *shares})
    ]
    return {
        "as_of": iso(now),
        "indicators": rows,
        "faults": [
            {"kind": one.kind, "of": one.of, "count": one.count, "text": one.en if english else one.zh}
            for one in watchman.look(now)
        ],
        "incidents": _incidents(now),
        "messages": [
            {
                "dispatch": one.dispatch,
                "issued_at": iso(one.issued_at),
                "kind": one.kind,
                "title": one.title_en if english else one.title_zh,
                "people": one.people,
                "reachable": one.reachable,
                "readings": one.readings,
            }
            for one in newest
        ],
        "canaries": _canaries(now),
        "jobs": [
            {"job": one.job, "queue": one.queue, "period_s": one.period_s, "age_s": one.age_s, "late": one.late}
            for one in jobs.heard(now)
        ],
        "waiting": [
            {"transport": one.transport, "lane": one.lane, "state": one.state, "lines": one.lines,
             "oldest_s": round(one.oldest_s(now), 1)}
            for one in readings.waiting(now)
        ],
        "sockets": [{"process": who, "sockets": held} for who, held in readings.sockets(now).items()],
    }  # fmt: skip


def _indicators(known: set[str]) -> list[tuple[str, Target]]:
    """Every promise in its order, those of a vendor once a vendor."""
    found = []
    for target in TARGETS:
        own = sorted(key for key in known if "/" in key and target_of(key) is target)
        found += [(key, target) for key in own or [target.key]]
    return found


def _row(
    key: str,
    target: Target,
    english: bool,
    present: dict[str, float | None],
    shares: dict[str, samples.Kept],
    points: Any,
) -> Row:
    kept = shares.get(key)
    worth = present.get(key)
    return {
        "key": key,
        "of": key.partition("/")[2],
        "name": target.name_en if english else target.name_zh,
        "why": target.why_en if english else target.why_zh,
        "unit": target.unit,
        "limit": target.limit,
        "objective": target.objective,
        "now": worth,
        "known": key in present,
        "good": None if key not in present else worth is not None and worth <= target.limit,
        "day": {"readings": kept.day if kept else 0, "good": kept.day_good if kept else 0},
        "week": {"readings": kept.week if kept else 0, "good": kept.week_good if kept else 0},
        "points": [
            {"at": iso(one.at), "worst": one.worst, "missed": one.missed} for one in points.get(key, [])
        ],
    }


def _incidents(now: datetime) -> list[Row]:
    """Those open and those of the last 24 hours, newest first."""
    rows = Incident.objects.filter(found_at__gt=now - RECENT) | Incident.objects.filter(ended_at=None)
    return [
        {
            "kind": one.kind,
            "found_at": iso(one.found_at),
            "ended_at": iso(one.ended_at),
            "worst": one.worst,
            "other_way": watchman.other_way(one.kind)
            if one.kind.partition("/")[0] in watchman.KINDS
            else None,
        }
        for one in rows.order_by("-id")[:MOST_INCIDENTS]
    ]


def _canaries(now: datetime) -> list[Row]:
    """Each vendor's newest round, and each vendor with credentials that has no canary."""
    last = {one.officer: one for one in canaries.flights(now - watchman.FLOWN)}
    names = dict(Officer.objects.filter(pk__in=last).values_list("pk", "name"))
    rows = [
        {
            "provider": one.provider,
            "name": names.get(one.officer, ""),
            "told_at": iso(one.told_at),
            "accepted_at": iso(one.accepted_at),
            "back_at": iso(one.back_at),
            "trip_s": one.trip_s,
            "over": one.over(now),
            "fault": one.fault,
        }
        for one in last.values()
    ]
    without = sorted(canaries.providers() - {row["provider"] for row in rows})
    nothing = dict.fromkeys(("told_at", "accepted_at", "back_at", "trip_s"))
    return [
        *rows,
        *({"provider": one, "name": "", **nothing, "over": False, "fault": "no_canary"} for one in without),
    ]
