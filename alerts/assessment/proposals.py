"""Which response level an official signal suggests, to whom. A person decides; nothing here is ever released alone.

Owns the rule rows and `propose`. City and districts are separate authorities: neither's level overwrites the other's,
levels may be skipped. Source: project domain notes 2 (trigger matrix, confidence M, inferred from published responses):
the rows are data, and these only the first table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from alerts.assessment.signals import GRAVITY, Colour, Event

WIDE_SHARE: Final = 0.8  # zones over this share of the districts are as good as citywide
MANY: Final = 2  # core districts at once
COLOURS: Final = {
    Colour.BLUE: ("蓝色预警信号", "blue signal"),
    Colour.YELLOW: ("黄色预警信号", "yellow signal"),
    Colour.ORANGE: ("橙色预警信号", "orange signal"),
    Colour.RED: ("红色预警信号", "red signal"),
}
_WHERE: Final = {
    "zoned": ("分区", "zoned"),
    "many": ("多区", "several districts"),
    "citywide": ("全市", "citywide"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """For `authority` (city or district), when `colour` holds `where`: zoned, many or citywide; the gravest wins."""

    authority: str
    colour: Colour
    where: str
    level: int


DEFAULT_ROWS: Final = (
    Row("city", Colour.YELLOW, "zoned", 1),
    Row("city", Colour.ORANGE, "zoned", 2),
    Row("city", Colour.RED, "zoned", 2),
    Row("city", Colour.RED, "many", 3),
    Row("city", Colour.RED, "citywide", 4),
    Row("district", Colour.YELLOW, "zoned", 1),
    Row("district", Colour.ORANGE, "zoned", 2),
    Row("district", Colour.RED, "zoned", 3),
)
HAZARDS: Final = {Event.RAINSTORM: "flood", Event.TYPHOON: "flood"}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A response level for an authority's areas, and the rows that say so."""

    authority: str
    level: int
    areas: tuple[str, ...]
    why_zh: str
    why_en: str


def propose(
    open_colours: Mapping[str, Colour],
    districts: Iterable[str],
    city: str,
    rows: Iterable[Row] = DEFAULT_ROWS,
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[Proposed]:
    """For each authority the gravest level any row gives, the city first.

    `open_colours`: the gravest colour in force by district code (a street's signal counts for its district, one of
    the city for all). No row, no proposal. `names`: of the districts by code, for why.
    """
    every = tuple(districts)
    rules = tuple(rows)
    if city in open_colours:
        whole = open_colours[city]
        open_colours = {code: _graver(open_colours.get(code), whole) for code in every}
    found = []
    touched = tuple(code for code in every if code in open_colours)
    best = max(
        (
            row
            for row in rules
            if row.authority == "city" and _applies(row, open_colours, touched, len(every))
        ),
        key=lambda row: row.level,
        default=None,
    )
    if best:
        held = tuple(code for code in touched if GRAVITY[open_colours[code]] >= GRAVITY[best.colour])
        areas = (city,) if best.where == "citywide" else held
        named = [names.get(code, code) for code in held]
        (colour_zh, colour_en), (where_zh, where_en) = COLOURS[best.colour], _WHERE[best.where]
        why = f"{where_zh}{colour_zh}：{'、'.join(named)}", f"{colour_en}, {where_en}: {', '.join(named)}"
        found.append(Proposed(city, best.level, areas, *why))
    for code in touched:
        level = max(
            (row.level for row in rules if row.authority == "district" and row.colour == open_colours[code]),
            default=0,
        )
        if level:
            name, (colour_zh, colour_en) = names.get(code, code), COLOURS[open_colours[code]]
            found.append(Proposed(code, level, (code,), f"{name}{colour_zh}", f"{colour_en}, {name}"))
    return found


def _applies(row: Row, colours: Mapping[str, Colour], touched: tuple[str, ...], districts: int) -> bool:
    held = sum(GRAVITY[colours[code]] >= GRAVITY[row.colour] for code in touched)
    least = {"zoned": 1, "many": MANY, "citywide": max(MANY, WIDE_SHARE * districts)}[row.where]
    return held >= least


def _graver(one: Colour | None, other: Colour) -> Colour:
    return other if one is None or GRAVITY[other] > GRAVITY[one] else one
