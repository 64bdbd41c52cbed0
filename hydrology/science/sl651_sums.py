"""Do the rain sums of one SL 651 report agree with each other? PJ >= P1 >= PN05, F4 against P1, each within 0.2 mm.

Owns the comparison of the sums a report brings along (P1 to P12, PN10, PN30, PJ) with its 5-minute values and among
themselves. Says which instants are doubted and why; takes no value, changes none. Sources: domain sheet 5.1 (internal
checks); SL 651-2014: PJ counts from 08:00, Shenzhen time.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

from hydrology.science.consistency import doubted_sum
from hydrology.science.rainfall import SLOT_S
from hydrology.science.sl651_elements import Report

_HOURS: Final = {"P1": 1, "P2": 2, "P3": 3, "P6": 6, "P12": 12}
_SPANS_S: Final = {"PN10": 600, "PN30": 1800} | {name: hours * 3600 for name, hours in _HOURS.items()}
_SINCE_EIGHT: Final = "PJ"
_EIGHT_UTC: Final = time(0, tzinfo=UTC)  # 08:00 in Shenzhen

Slots = Mapping[datetime, float]
"""5-minute rain by the END of each slot, mm."""


def doubted_slots(
    report: Report, codes: Mapping[str, str], slots: Mapping[str, Slots]
) -> dict[str, dict[datetime, str]]:
    """Why which 5-minute values are doubted, by station code and instant; both maps are by station code.

    A sum that contradicts what lies inside it doubts every 5-minute value of the report that lies inside it.
    """
    doubted: dict[str, dict[datetime, str]] = defaultdict(dict)
    for code, at, sums in _sums(report, codes):
        own = slots.get(code, {})
        for name, (span_s, sum_mm) in sums.items():
            inside = {end: mm for end, mm in own.items() if at - timedelta(seconds=span_s) < end <= at}
            parts = [(SLOT_S, mm) for mm in inside.values()]
            shorter = [[(length_s, mm)] for length_s, mm in sums.values() if length_s < span_s]
            why = next(
                (why for group in (parts, *shorter) if (why := doubted_sum(sum_mm, span_s, group))), ""
            )
            for end in inside if why else ():
                doubted[code].setdefault(end, f"{why} ({name})")
    return dict(doubted)


def _sums(
    report: Report, codes: Mapping[str, str]
) -> Iterator[tuple[str, datetime, dict[str, tuple[int, float]]]]:
    """(station code, END, {element: (seconds, mm)}) of the sums that end together."""
    found: dict[tuple[str, datetime], dict[str, tuple[int, float]]] = defaultdict(dict)
    for measure in report.measures:
        code, at = codes.get(measure.station), measure.observed_at
        if code is None or at is None or not measure.values or measure.values[0] is None:
            continue
        span_s = _SPANS_S.get(measure.code) or (_since_eight_s(at) if measure.code == _SINCE_EIGHT else 0)
        if span_s:
            found[code, at][measure.code] = span_s, measure.values[0]
    for (code, at), sums in found.items():
        yield code, at, sums


def _since_eight_s(at: datetime) -> int:
    """Seconds since the last 08:00; 0 at 08:00 itself, where stations differ on which day they mean."""
    utc = at.astimezone(UTC)
    return int((utc - datetime.combine(utc.date(), _EIGHT_UTC)).total_seconds())
