"""What an event of the rain watch says about itself: everything needed to check the decision, and to make it again.

Owns the shape of WarningEvent.reasons of the watch: rule version, fields, nowcast run, posts of the gauges, what people
had said of gauges, share missing, and per street the figures, the 5-minute values and where it stood before. explain.py
reads it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from alerts.assessment.lifecycle import PlaceState
from alerts.assessment.rules import Assessment
from alerts.rain import RainPicture

Json = dict[str, Any]


def reasons_of(
    seen: RainPicture,
    found: Mapping[str, Assessment],
    version: str,
    streets: Iterable[str],
    before: Mapping[str, Json],
    after: Mapping[str, Json],
) -> Json:
    """For these streets of one slot; `before` and `after`: where they stood and stand (lifecycle.PlaceState)."""
    run = seen.nowcast
    return {
        "rule_version": version,
        "slot_at": seen.slot_at.isoformat(),
        "watched": seen.level.value,
        "grids": seen.grids,
        "spread": seen.spread,
        "nowcast": {"id": run.pk, "issued_at": run.issued_at.isoformat()} if run else None,
        "posts": seen.posts.to_json(),
        "answers": {"broken": seen.broken, "believed": seen.believed},
        "missing_share": seen.missing_share,
        "excluded": seen.excluded,
        "doubted": {
            code: {"why": why, "slots": [end.isoformat() for end in ends]}
            for code, (why, ends) in seen.doubted.items()
        },
        "streets": {
            street: {
                **_street(seen, its),
                "before": before.get(street),
                "after": _in_force(after.get(street)),
            }
            for street in streets
            if (its := found.get(street))
        },
    }


def _in_force(state: Json | None) -> int:
    return PlaceState.from_json(state).in_force if state else 0


def _street(seen: RainPicture, found: Assessment) -> Json:
    source = next((r.source for r in found.reasons if r.window.startswith("rain")), "")
    return {
        "level": int(found.level),
        "corroborated": found.corroborated,
        **({"community": found.at} if found.at else {}),
        "reasons": [
            {
                "window": r.window,
                "level": int(r.level),
                "value_mm": r.value_mm,
                "threshold_mm": r.threshold_mm,
                "source": r.source,
                "share": r.share,
                "agree_mm": r.agree_mm,
                "doubted": r.doubted,
            }
            for r in found.reasons
        ],
        "values_mm": {"source": source, "slots": seen.series(source)},
    }
