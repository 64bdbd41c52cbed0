"""Each street's level out of the figures of its places: the street itself, or its communities, of which the gravest counts.

Owns how several places speak for one street. The rules are assessment/rules.py's; it is asked only where a mark is
reached or something is unclear, so that the dry places of a city cost nothing. Reads no rows.
"""

from alerts.assessment import rules
from alerts.assessment.rules import Assessment, Level
from alerts.rain import RainPicture


class Verdicts:
    """One picture against one table."""

    def __init__(self, seen: RainPicture, table: rules.Table) -> None:
        self._seen, self._table = seen, table
        self._marks = seen.figures.marks(table)

    def may_warn(self, street: str) -> bool:
        """Whether any mark is reached there, doubted values included."""
        marks = self._marks
        return any(
            marks.reached.get(place) or place in marks.unclear for place in self._seen.places_of(street)
        )

    def of(self, street: str) -> tuple[Assessment | None, int]:
        """(what is found, None without any figure; the level that still holds)."""
        marks = self._marks
        places = [p for p in self._seen.places_of(street) if p in marks.reached or p in marks.unclear]
        if not places:
            return None, 0
        unclear = [place for place in places if place in marks.unclear]
        clear = sorted(set(places) - set(unclear), key=lambda place: (-marks.reached[place], place))
        found: list[Assessment] = [self._assess(place) for place in unclear]
        for place in clear:
            if not self._could_matter(marks.reached[place], found):
                break
            found.append(self._assess(place))
        return self._joined(street, found), self._held(places)

    def _could_matter(self, reached: int, found: list[Assessment]) -> bool:
        """Whether a place that reaches so much could raise the street's level, or make more of it sure."""
        level = max((one.level for one in found), default=Level.NONE)
        sure = max((one.sure for one in found), default=Level.NONE)
        return reached > level or (reached > sure and reached > 0)

    def _assess(self, place: str) -> Assessment:
        return rules.assess(place, self._seen.figures.get(place, ()), self._table)

    def _joined(self, street: str, found: list[Assessment]) -> Assessment:
        gravest = max(found, key=lambda one: (one.level, one.sure), default=None)
        if gravest is None:
            return Assessment(street, Level.NONE, False, ())
        sure = max(one.sure for one in found)
        at = gravest.place if gravest.place != street else ""
        certain = bool(gravest.level) and sure == gravest.level
        return Assessment(street, gravest.level, certain, gravest.reasons, sure, at)

    def _held(self, places: list[str]) -> int:
        """The highest that still holds in any place of which enough is known; without one nothing is lowered."""
        marks, figures = self._marks, self._seen.figures
        held = []
        for place in places:
            if place not in marks.unclear:
                held += [] if place in marks.absent else [marks.held[place]]
            elif rules.present(its := figures.get(place, [])):
                held.append(rules.low_water(its, self._table))
        return max(held, default=int(Level.EMERGENCY))
