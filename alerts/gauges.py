"""The rain gauges of one assessment: their 5-minute values over the longest window, and which of them are doubted.

Reads hydrology's rows, computes with its science, leaves nothing behind. Doubts that hold a value against others are
found anew from the rows that are there now (a field often comes after the gauges), so the order in which things came
in does not matter; the others are those noted when the value came in.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hydrology.known import EVERYTHING, Known
from hydrology.models import Level, Observation, Station
from hydrology.science.consistency import AGAINST_OTHERS, Field, check_of, doubted_rain
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, SLOT_S
from hydrology.science.readings import Element
from hydrology.zones import members_of

Floats = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Gauges:
    """`mm` is (slot, gauge), oldest first, NaN missing, without what is impossible; `whys` says what is doubted.
    `places`: the street or community each counts for.

    `impossible`: the WRONG values of the newest slot by station, with the reason; `excluded`: stations left out.
    """

    codes: list[str]
    places: list[str]
    lat: Floats
    lon: Floats
    mm: Floats
    whys: dict[tuple[int, int], str] = field(default_factory=dict)
    impossible: dict[str, tuple[float, str]] = field(default_factory=dict)
    excluded: set[str] = field(default_factory=set)

    @property
    def doubted(self) -> NDArray[np.bool_]:
        """(slot, gauge)."""
        mask = np.zeros(self.mm.shape, dtype=bool)
        for at in self.whys:
            mask[at] = True
        return mask


def gauges_of(
    slot_at: datetime,
    slots: int,
    broken: AbstractSet[str] = frozenset(),
    believed: AbstractSet[str] = frozenset(),
    level: Level = Level.STREET,
    known: Known = EVERYTHING,
) -> Gauges:
    """The gauges of all places of the level over the `slots` slots up to `slot_at`, with the doubts they came in with.

    `broken`: stations a person has found out of order, left out whole; `believed`: whose values a person has
    confirmed, not doubted; `known`: only what these posts brought.
    """
    place_of = {code: place for place, codes in members_of(level).items() for code in codes}
    stands = {
        code: at for code, *at in Station.objects.filter(pk__in=place_of).values_list("code", "lat", "lon")
    }
    codes = [code for code in place_of if code in stands]
    column = {code: n for n, code in enumerate(codes)}
    at = np.array([stands[code] for code in codes], dtype=np.float64).reshape(-1, 2)
    found = Gauges(
        codes, [place_of[code] for code in codes], at[:, 0], at[:, 1], np.full((slots, len(codes)), np.nan)
    )
    rows = (
        Observation.objects.latest_revision()
        .filter(
            known.rows,
            element=Element.RAIN,
            duration_s=SLOT_S,
            observed_at__gt=slot_at - SLOT * slots,
            observed_at__lte=slot_at,
        )
        .values_list("station_id", "observed_at", "value", "quality", "why")
    )
    for code, observed_at, value, quality, why in rows:
        slot = slots - 1 - int((slot_at - observed_at).total_seconds()) // SLOT_S
        if quality == Quality.WRONG or code in broken:
            found.excluded.add(code)
            if code in column and code not in broken | believed and slot == slots - 1:
                found.impossible[code] = value, why
        elif code in column:
            found.mm[slot, column[code]] = value
            lasting = [part for part in why.split("; ") if part and check_of(part) not in AGAINST_OTHERS]
            if quality == Quality.SUSPECT and lasting and code not in believed:
                found.whys[slot, column[code]] = lasting[0]
    return found


def doubt(gauges: Gauges, over: Field | None, believed: AbstractSet[str] = frozenset()) -> None:
    """Note what the gauges and the observed field say against single values; `over` has the same slots."""
    for at, why in doubted_rain(gauges.mm, gauges.lat, gauges.lon, over).items():
        if gauges.codes[at[1]] not in believed:
            gauges.whys.setdefault(at, why)
