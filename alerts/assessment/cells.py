"""Storm cells as people hear of them: which streets in warning belong together, and since when.

Owns the clustering: streets in warning that touch are one storm, a street joins the storm that touched it within the
last hour, storms that grow together become the older one. Does not own which streets touch (hydrology/zones.py), when a
street is in warning (lifecycle.py), nor rows. Time is slot time. A storm does not split: what was told as one stays one
message until its last street is out of warning (ADR 13).
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MEMORY: Final = timedelta(hours=1)  # how long a storm still owns the ground it has left
Neighbours = Mapping[str, AbstractSet[str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A storm under way. `lately`: by street the END of the last slot in which it was in warning.

    `number` is the caller's own; None: it has just begun.
    """

    began_at: datetime
    lately: Mapping[str, datetime]
    number: int | None = None

    @property
    def age_key(self) -> tuple[datetime, int]:
        """Sorts the oldest first."""
        return self.began_at, self.number or 0


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a storm in one slot: where it stands, its streets in warning, what it took in.

    Without `warned` it is over.
    """

    cell: Cell
    warned: frozenset[str]
    absorbed: tuple[int, ...] = ()


def follow(
    cells: Iterable[Cell], warned: AbstractSet[str], neighbours: Neighbours, at: datetime
) -> list[Followed]:
    """Every storm after the slot that ENDs at `at`, oldest first; `warned` are the streets in warning then.

    Each of them is in exactly one storm that is not over. Two streets belong together when they touch and at least one
    of them is in warning; all the ground a storm had in the last hour belongs together. The order of what is given does
    not matter.
    """
    open_cells = sorted(cells, key=lambda cell: cell.age_key)
    grounds = [
        frozenset(street for street, seen in c.lately.items() if at - seen <= MEMORY) for c in open_cells
    ]
    groups = _together([*grounds, *([street] for street in sorted(warned))], warned, neighbours)
    found = []
    for streets in groups:
        its = [cell for cell, ground in zip(open_cells, grounds, strict=True) if ground & streets]
        here = frozenset(streets & warned)
        lately: dict[str, datetime] = {}
        for cell in its:
            for street in cell.lately.keys() & streets:
                lately[street] = max(cell.lately[street], lately.get(street, cell.lately[street]))
        lately |= dict.fromkeys(here, at)
        first = its[0] if its else Cell(at, {})
        absorbed = tuple(cell.number for cell in its[1:] if cell.number is not None)
        found.append(Followed(Cell(first.began_at, lately, first.number), here, absorbed))
    found += [
        Followed(Cell(cell.began_at, {}, cell.number), frozenset())
        for cell, ground in zip(open_cells, grounds, strict=True)
        if not ground
    ]
    return sorted(found, key=lambda one: (*one.cell.age_key, min(one.cell.lately, default="")))


def _together(
    given: Sequence[Iterable[str]], warned: AbstractSet[str], neighbours: Neighbours
) -> list[set[str]]:
    """The given groups of streets, joined where they share a street or a street in warning touches one of them."""
    joined: list[set[str]] = []
    for group in given:
        streets = set(group)
        if not streets:
            continue
        rim = set(streets)
        for street in streets:
            touching = neighbours.get(street, frozenset())
            rim |= touching if street in warned else touching & warned
        apart = []
        for other in joined:
            if rim & other:
                streets |= other
            else:
                apart.append(other)
        joined = [*apart, streets]
    return joined
